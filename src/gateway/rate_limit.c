/*
 * One request at its limits. Worker thread.
 *
 *     which limits, whose, how much ──▶ count here, ──▶ granted ──▶ (wait for the turn) ──▶ go on
 *                                       or in Redis        │            on the way back: tell
 *                                            │             └────▶ refused ──▶ answer
 *                                            └─▶ nobody can ──▶ count here, go on, or answer
 *
 * What is counted here, granted, and need not wait costs no allocation but in the exchange's arena.
 */
#include "gateway/rate_limit.h"

#include <math.h>
#include <stdlib.h>

#include "base/log.h"
#include "gateway/expr.h"
#include "gateway/rate_limit_answer.h"
#include "gateway/rate_limit_redis.h"
#include "gateway/worker.h"

#define NUMBER_BYTES_MAX 63

/* --- which limits --- */

/* NULL: it is no tier. */
static const struct mg_rate_limit_set *find_tier(const struct mg_rate_limit_options *o,
                                                 struct mg_str tier)
{
    for (uint32_t i = 1; i < o->set_count; i++)
        if (mg_str_eq(o->sets[i].tier, tier))
            return &o->sets[i];
    return NULL;
}

/* The first of the client's groups that is a tier. */
static const struct mg_rate_limit_set *find_group(const struct mg_rate_limit_options *o,
                                                  struct mg_request *req)
{
    const struct mg_rate_limit_set *set = NULL;
    struct mg_str group;
    for (uint32_t i = 1; !set && mg_expr_item(req, MG_STR("claims.groups"), i, &group); i++)
        set = find_tier(o, group);
    return set;
}

static const struct mg_rate_limit_set *choose(const struct mg_rate_limit_options *o,
                                              struct mg_request *req)
{
    if (o->set_count == 1)
        return o->sets;
    const struct mg_rate_limit_set *set =
        o->tier.n ? find_tier(o, mg_expr_text(req, o->tier)) : find_group(o, req);
    return set ? set : o->sets;
}

/* --- how much --- */

/* Whoever may say what a request costs must not give units back, or say what is no number at all:
 * that is 1. What is too much for any limit must not be cheaper than less. */
static double cost_of(const struct mg_rate_limit_options *o, struct mg_request *req)
{
    char digits[NUMBER_BYTES_MAX + 1], *end;
    if (!o->cost_expr.n)
        return o->cost;
    struct mg_str text = mg_str_trim(mg_expr_text(req, o->cost_expr));
    if (text.n == 0 || text.n > NUMBER_BYTES_MAX)
        return 1;
    memcpy(digits, text.p, text.n);
    digits[text.n] = 0;
    double cost = strtod(digits, &end);
    return end == digits + text.n && cost >= 0 ? fmin(cost, o->cost_max) : 1;
}

/* --- whose --- */

static struct mg_str join(struct mg_str prefix, struct mg_str key, struct mg_arena *arena)
{
    char *text = mg_arena_alloc(arena, prefix.n + key.n);
    memcpy(text, prefix.p, prefix.n);
    if (key.n)
        memcpy(text + prefix.n, key.p, key.n);
    return mg_str(text, prefix.n + key.n);
}

static int64_t wall_seconds(const struct mg_request *req)
{
    return (int64_t)mg_loop_wall(req->wg->worker->loop);
}

/* "2026-11:" in front of it. */
static struct mg_str dated(enum mg_calendar calendar, struct mg_str key, struct mg_request *req)
{
    char name[MG_CALENDAR_NAME_MAX];
    size_t n = mg_calendar_name(calendar, wall_seconds(req), name);
    name[n++] = ':';
    return join(mg_str(name, n), key, req->arena);
}

static struct mg_str key_of(const struct mg_rate_limit_options *o,
                            const struct mg_rate_limit *limit, struct mg_request *req)
{
    struct mg_str key = mg_client_key_text(&limit->by, req);
    return o->calendar ? dated(o->calendar, key, req) : key;
}

/* The keys of the limits, without any prefix. */
static void find_keys(const struct mg_rate_limit_options *o, const struct mg_rate_limit_set *set,
                      struct mg_request *req, struct mg_str *keys)
{
    for (uint32_t i = 0; i < set->count; i++)
        keys[i] = i > 0 && set->one_key ? keys[0] : key_of(o, &set->limits[i], req);
}

/* --- what becomes of it --- */

static struct mg_str route_name(const struct mg_request *req)
{
    return req->route ? req->route->name : MG_STR_NONE;
}

static enum mg_step_result refuse(const struct mg_step *step, struct mg_walk *w,
                                  const struct mg_rate_limit_word *word)
{
    const struct mg_rate_limit_options *o = step->options;
    mg_log_info(o->calendar ? "over the quota" : "over the limit", MG_LOG_STR("step", step->id),
                MG_LOG_STR("route", route_name(w->req)),
                MG_LOG_STR("request_id", mg_request_id(w->req)), MG_LOG_BOOL("dry_run", o->dry_run),
                MG_LOG_STR("limit", word->limit->name));
    if (o->dry_run)
        return MG_STEP_NEXT;
    w->res = mg_rate_limit_refusal(o, word, w->req);
    return MG_STEP_STOP;
}

static void log_uncounted(const struct mg_step *step, const struct mg_walk *w, enum mg_dict_rc why)
{
    mg_log_error("requests cannot be counted", MG_LOG_STR("step", step->id),
                 MG_LOG_STR("route", route_name(w->req)),
                 MG_LOG_STR("request_id", mg_request_id(w->req)),
                 MG_LOG_C("why", mg_dict_rc_text(why)));
}

static enum mg_step_result uncounted(const struct mg_step *step, struct mg_walk *w)
{
    const struct mg_rate_limit_options *o = step->options;
    if (o->when_down == MG_RATE_LIMIT_DOWN_ALLOW || o->dry_run)
        return MG_STEP_NEXT;
    w->res = mg_rate_limit_uncounted(w->req);
    return MG_STEP_STOP;
}

/* Granted, but only later: the request of a leaky bucket waits for its turn. In the arena. */
struct turn {
    struct mg_walk *walk;
    struct mg_timer timer;
};

static void leave(void *arg)
{
    struct turn *t = arg;
    mg_timer_release(&t->timer);
}

static void on_turn(void *arg)
{
    struct turn *t = arg;
    mg_timer_release(&t->timer);
    mg_wait_end(&t->walk->wait);
    mg_walk_resume(t->walk, MG_STEP_NEXT);
}

static enum mg_step_result wait_for_turn(struct mg_walk *w, double seconds)
{
    struct mg_loop *loop = w->ex->worker->loop;
    struct turn *t = mg_arena_alloc(w->req->arena, sizeof *t);
    t->walk = w;
    mg_timer_init(&t->timer, loop, on_turn, t);
    mg_timer_set(&t->timer, mg_loop_now(loop) + (uint64_t)(seconds * (double)MG_SECOND));
    mg_wait_begin(&w->wait, &w->ex->wait, leave, t);
    return MG_STEP_WAIT;
}

static double longest_delay(const struct mg_limiter_result *results, uint32_t count)
{
    double seconds = 0;
    for (uint32_t i = 0; i < count; i++)
        seconds = fmax(seconds, results[i].delay_s);
    return seconds;
}

static enum mg_step_result grant(const struct mg_step *step, struct mg_walk *w,
                                 const struct mg_rate_limit_set *set,
                                 const struct mg_limiter_result *results, size_t which)
{
    const struct mg_rate_limit_options *o = step->options;
    if (o->dry_run)
        return MG_STEP_NEXT;
    if (o->headers || o->legacy == MG_RATE_LIMIT_LEGACY_ALWAYS)
        *mg_walk_kept(w, step) = mg_rate_limit_word_new(o, set, results, which, w->req);
    double delay_s = longest_delay(results, set->count);
    return delay_s > 0 ? wait_for_turn(w, delay_s) : MG_STEP_NEXT;
}

/* What is told ends with the calendar, and not with the window of the counter, which begins with
 * the first request of each stretch. */
static void end_with_calendar(enum mg_calendar calendar, const struct mg_request *req,
                              struct mg_limiter_result *results, uint32_t count)
{
    double wall_s = mg_loop_wall(req->wg->worker->loop);
    double left_s = fmax(1, (double)mg_calendar_end(calendar, wall_seconds(req)) - wall_s);
    for (uint32_t i = 0; i < count; i++) {
        results[i].reset_s = left_s;
        results[i].retry_after_s = results[i].ok ? 0 : left_s;
    }
}

static enum mg_step_result decide(const struct mg_step *step, struct mg_walk *w,
                                  const struct mg_rate_limit_set *set,
                                  struct mg_limiter_result *results)
{
    const struct mg_rate_limit_options *o = step->options;
    if (o->calendar)
        end_with_calendar(o->calendar, w->req, results, set->count);
    size_t which = mg_limiter_tightest(results, set->count);
    if (results[which].ok)
        return grant(step, w, set, results, which);
    return refuse(step, w, mg_rate_limit_word_new(o, set, results, which, w->req));
}

/* --- counting here --- */

static int64_t now_ms(const struct mg_walk *w)
{
    return (int64_t)(mg_loop_now(w->ex->worker->loop) / MG_MILLISECOND);
}

static enum mg_step_result count_here(const struct mg_step *step, struct mg_walk *w,
                                      const struct mg_rate_limit_set *set,
                                      const struct mg_str *keys, double cost)
{
    const struct mg_rate_limit_options *o = step->options;
    struct mg_limiter_ask asks[MG_RATE_LIMITS_MAX];
    struct mg_limiter_result results[MG_RATE_LIMITS_MAX];
    for (uint32_t i = 0; i < set->count; i++) {
        const struct mg_rate_limit *limit = &set->limits[i];
        struct mg_str key = join(limit->prefix, keys[i], w->req->arena);
        asks[i] = (struct mg_limiter_ask){&limit->rule, key, cost};
    }
    enum mg_dict_rc rc = mg_limiter_take_all(o->dict, asks, set->count, now_ms(w), results);
    if (rc == MG_DICT_OK)
        return decide(step, w, set, results);
    log_uncounted(step, w, rc);
    return uncounted(step, w);
}

/* --- counting in Redis --- */

/* In the arena. */
struct visit {
    struct mg_rate_limit_call call;
    struct mg_str keys[MG_RATE_LIMITS_MAX];
    const struct mg_step *step;
    struct mg_walk *walk;
};

static enum mg_step_result told(struct visit *v)
{
    struct mg_rate_limit_call *call = &v->call;
    if (call->counted)
        return decide(v->step, v->walk, call->set, call->results);
    if (call->options->when_down == MG_RATE_LIMIT_DOWN_LOCAL)
        return count_here(v->step, v->walk, call->set, call->keys, call->cost);
    return uncounted(v->step, v->walk);
}

static void on_told(struct mg_rate_limit_call *call)
{
    struct visit *v = call->owner;
    mg_wait_end(&v->walk->wait);
    enum mg_step_result result = told(v);
    if (result != MG_STEP_WAIT)
        mg_walk_resume(v->walk, result);
}

static void give_up(void *arg)
{
    mg_rate_limit_redis_cancel(&((struct visit *)arg)->call);
}

static enum mg_step_result count_in_redis(const struct mg_step *step, struct mg_walk *w,
                                          const struct mg_rate_limit_set *set,
                                          const struct mg_str *keys, double cost)
{
    struct visit *v = mg_arena_alloc(w->req->arena, sizeof *v);
    memcpy(v->keys, keys, set->count * sizeof *keys);
    v->step = step;
    v->walk = w;
    v->call = (struct mg_rate_limit_call){.options = step->options,
                                          .set = set,
                                          .req = w->req,
                                          .keys = v->keys,
                                          .cost = cost,
                                          .on_done = on_told,
                                          .owner = v};
    if (mg_rate_limit_redis_start(&v->call))
        return told(v);
    mg_wait_begin(&w->wait, &w->ex->wait, give_up, v);
    return MG_STEP_WAIT;
}

/* --- the step --- */

enum mg_step_result mg_rate_limit_request(const struct mg_step *step, struct mg_walk *w)
{
    const struct mg_rate_limit_options *o = step->options;
    const struct mg_rate_limit_set *set = choose(o, w->req);
    struct mg_str keys[MG_RATE_LIMITS_MAX];
    find_keys(o, set, w->req, keys);
    double cost = cost_of(o, w->req);
    return o->redis ? count_in_redis(step, w, set, keys, cost)
                    : count_here(step, w, set, keys, cost);
}

enum mg_step_result mg_rate_limit_response(const struct mg_step *step, struct mg_walk *w)
{
    const struct mg_rate_limit_word *word = *mg_walk_kept(w, step);
    if (word)
        mg_rate_limit_tell(step->options, word, w->res, false);
    return MG_STEP_NEXT;
}
