/* Fields and answers about limits. Worker thread. */
#include "gateway/rate_limit_answer.h"

#include <math.h>
#include <time.h>

#include "gateway/problem.h"
#include "gateway/worker.h"
#include "http/rate_limit_field.h"

#define PROBLEMS "https://iana.org/assignments/http-problem-types#"
#define DIGITS_MAX 20

static struct mg_str decimal(struct mg_arena *arena, uint64_t number)
{
    char *text = mg_arena_alloc(arena, DIGITS_MAX);
    return mg_str(text, mg_u64_to_dec(number, text));
}

/* --- what there is to tell --- */

static struct mg_str field_value(const struct mg_rate_limit_set *set,
                                 const struct mg_limiter_result *results, struct mg_arena *arena)
{
    char *text = mg_arena_alloc(arena, set->field_room);
    size_t used = 0;
    for (uint32_t i = 0; i < set->count; i++)
        used = mg_rate_limit_field_add(text, used, set->limits[i].head, &results[i]);
    return mg_str(text, used);
}

struct mg_rate_limit_word *mg_rate_limit_word_new(const struct mg_rate_limit_options *o,
                                                  const struct mg_rate_limit_set *set,
                                                  const struct mg_limiter_result *results,
                                                  size_t which, struct mg_request *req)
{
    const struct mg_limiter_result *r = &results[which];
    struct mg_rate_limit_word *word = mg_arena_alloc(req->arena, sizeof *word);
    *word = (struct mg_rate_limit_word){
        .set = set,
        .field = o->headers ? field_value(set, results, req->arena) : MG_STR_NONE,
        .limit = &set->limits[which],
        .left = r->ok ? (uint64_t)r->remaining : 0,
        .reset_s = fmax(r->reset_s, r->retry_after_s),
        .retry_after_s = r->retry_after_s,
        .wall_s = mg_loop_wall(req->wg->worker->loop),
    };
    return word;
}

/* --- X-RateLimit-* --- */

static char *put(char *at, const char *text, size_t n)
{
    return (char *)memcpy(at, text, n) + n;
}

static char *put_two(char *at, int number)
{
    at[0] = (char)('0' + number / 10);
    at[1] = (char)('0' + number % 10);
    return at + 2;
}

/* "Sat Nov 21 2026 19:18:52 GMT+0000 (Coordinated Universal Time)" */
static struct mg_str date(struct mg_arena *arena, double seconds)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    static const char zone[] = " GMT+0000 (Coordinated Universal Time)";
    time_t at = (time_t)seconds;
    struct tm t;
    gmtime_r(&at, &t);
    char *text =
        mg_arena_alloc(arena, sizeof "Sat Nov 21 2026 19:18:52" + DIGITS_MAX + sizeof zone);
    char *p = put(text, &days[3 * t.tm_wday], 3);
    *p++ = ' ';
    p = put(p, &months[3 * t.tm_mon], 3);
    *p++ = ' ';
    p = put_two(p, t.tm_mday);
    *p++ = ' ';
    p += mg_u64_to_dec((uint64_t)t.tm_year + 1900, p);
    *p++ = ' ';
    p = put_two(p, t.tm_hour);
    *p++ = ':';
    p = put_two(p, t.tm_min);
    *p++ = ':';
    p = put_two(p, t.tm_sec);
    p = put(p, zone, sizeof zone - 1);
    return mg_str(text, (size_t)(p - text));
}

static struct mg_str reset_value(enum mg_rate_limit_reset form,
                                 const struct mg_rate_limit_word *word, struct mg_arena *arena)
{
    switch (form) {
    case MG_RATE_LIMIT_RESET_DATE:
        return date(arena, ceil(word->wall_s + word->reset_s));
    case MG_RATE_LIMIT_RESET_SECONDS:
        return decimal(arena, (uint64_t)ceil(word->reset_s));
    case MG_RATE_LIMIT_RESET_EPOCH:
        break;
    }
    return decimal(arena, (uint64_t)ceil(word->wall_s + word->reset_s));
}

static void tell_legacy(enum mg_rate_limit_reset form, const struct mg_rate_limit_word *word,
                        struct mg_response *res)
{
    struct mg_arena *arena = res->msg->arena;
    if (res->told_left && res->told_left - 1 <= word->left)
        return;
    res->told_left = word->left + 1;
    mg_response_set_field(res, MG_STR("X-RateLimit-Limit"),
                          decimal(arena, (uint64_t)word->limit->rule.limit));
    mg_response_set_field(res, MG_STR("X-RateLimit-Remaining"), decimal(arena, word->left));
    mg_response_set_field(res, MG_STR("X-RateLimit-Reset"), reset_value(form, word, arena));
}

void mg_rate_limit_tell(const struct mg_rate_limit_options *o,
                        const struct mg_rate_limit_word *word, struct mg_response *res,
                        bool refused)
{
    if (o->headers) {
        mg_response_add_field(res, MG_STR("RateLimit-Policy"), word->set->policy);
        mg_response_add_field(res, MG_STR("RateLimit"), word->field);
    }
    if (o->legacy == MG_RATE_LIMIT_LEGACY_ALWAYS ||
        (refused && o->legacy == MG_RATE_LIMIT_LEGACY_REFUSED))
        tell_legacy(o->reset, word, res);
}

/* --- refusals --- */

static struct mg_response *new_answer(struct mg_request *req, unsigned status, uint64_t seconds)
{
    struct mg_response *res = mg_response_new(req->arena, status, MG_SOURCE_POLICY);
    mg_fields_add_id(&res->msg->fields, req->arena, MG_FIELD_RETRY_AFTER,
                     decimal(req->arena, seconds));
    return res;
}

static uint64_t whole_seconds(double seconds)
{
    return seconds > 1 ? (uint64_t)ceil(seconds) : 1;
}

/* As services answer that clients of `errors: { format: simple }` come from. */
static struct mg_str simple_body(struct mg_arena *arena, uint64_t seconds)
{
    return mg_arena_printf(
        arena,
        "{\"error\":\"Too Many Requests\",\"message\":\"Rate limit exceeded\",\"retryAfter\":%llu}",
        (unsigned long long)seconds);
}

static struct mg_str body_of(const struct mg_rate_limit_options *o,
                             const struct mg_rate_limit_word *word, struct mg_request *req,
                             uint64_t seconds)
{
    if (o->body.n)
        return o->body;
    if (req->wg->gen->errors_format == MG_ERRORS_SIMPLE)
        return simple_body(req->arena, seconds);
    return mg_problem_body(req, o->status, MG_STR(PROBLEMS "quota-exceeded"), MG_STR_NONE,
                           word->limit->members, 0);
}

struct mg_response *mg_rate_limit_refusal(const struct mg_rate_limit_options *o,
                                          const struct mg_rate_limit_word *word,
                                          struct mg_request *req)
{
    uint64_t seconds = whole_seconds(word->retry_after_s);
    struct mg_response *res = new_answer(req, o->status, seconds);
    if (o->body.n)
        mg_fields_add_id(&res->msg->fields, req->arena, MG_FIELD_CONTENT_TYPE, o->type);
    else
        mg_problem_add_fields(req, res->msg);
    mg_response_set_body(res, req->arena, body_of(o, word, req, seconds));
    mg_rate_limit_tell(o, word, res, true);
    return res;
}

struct mg_response *mg_rate_limit_uncounted(struct mg_request *req)
{
    return mg_problem_overloaded(req, 503, MG_STR("Requests cannot be counted at the moment"));
}
