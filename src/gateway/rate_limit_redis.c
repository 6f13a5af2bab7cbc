/* Limits in Redis. Worker thread. */
#include "gateway/rate_limit_redis.h"

#include <math.h>
#include <stdio.h>

#include "base/log.h"
#include "gateway/worker.h"
#include "gateway/worker_redis.h"

#define NUMBER_BYTES_MAX 32
/* More units than any limit has, and more milliseconds than any takes. */
#define REPLY_MAX INT64_C(10000000000000)
/* Numbers in the script's reply, for each limit. */
enum {
    REPLY_OK,
    REPLY_REMAINING,
    REPLY_RESET_MS,
    REPLY_RETRY_AFTER_MS,
    REPLY_DELAY_MS,
    REPLY_COUNT
};

static struct mg_arena *arena_of(const struct mg_rate_limit_call *c)
{
    return c->req->arena;
}

static int64_t now_ms(const struct mg_rate_limit_call *c)
{
    return (int64_t)(mg_loop_now(c->req->wg->worker->loop) / MG_MILLISECOND);
}

/* --- what is said when it goes, and comes back --- */

/* Once, and not for each request. */
static void tell_down(const struct mg_rate_limit_options *o, const char *why)
{
    const struct mg_rate_limit_redis *r = o->redis;
    static const char *const instead[] = {[MG_RATE_LIMIT_DOWN_ALLOW] = "allow",
                                          [MG_RATE_LIMIT_DOWN_DENY] = "deny",
                                          [MG_RATE_LIMIT_DOWN_LOCAL] = "local"};
    if (!atomic_exchange_explicit(r->is_down, true, memory_order_relaxed))
        mg_log_warn("limits cannot be counted in Redis", MG_LOG_STR("store", r->name),
                    MG_LOG_C("why", why), MG_LOG_C("instead", instead[o->when_down]));
}

static void tell_up(const struct mg_rate_limit_redis *r)
{
    if (atomic_load_explicit(r->is_down, memory_order_relaxed) &&
        atomic_exchange_explicit(r->is_down, false, memory_order_relaxed))
        mg_log_info("limits are counted in Redis again", MG_LOG_STR("store", r->name));
}

/* --- keys --- */

static struct mg_str joined(struct mg_str a, struct mg_str b, struct mg_str c,
                            struct mg_arena *arena)
{
    char *text = mg_arena_alloc(arena, a.n + b.n + c.n), *at = text;
    const struct mg_str parts[] = {a, b, c};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].n)
            at = (char *)memcpy(at, parts[i].p, parts[i].n) + parts[i].n;
    return mg_str(text, a.n + b.n + c.n);
}

/* In a cluster all keys of one call have to lie in one slot, which what stands in braces chooses:
 * the client where all limits count by the same, else the step. A client without a key, or one that
 * closes the braces at once, would tear its keys apart. */
static struct mg_str redis_key(const struct mg_rate_limit_call *c, uint32_t i)
{
    const struct mg_rate_limit *limit = &c->set->limits[i];
    struct mg_str key = c->keys[i];
    if (limit->redis_client.n && key.n && key.p[0] != '}')
        return joined(limit->redis_client, key, MG_STR("}"), arena_of(c));
    return joined(limit->redis_head, key, MG_STR_NONE, arena_of(c));
}

/* --- the script --- */

static void add_arg(struct mg_redis_call *call, struct mg_str text)
{
    call->argv[call->argc] = text.n ? text.p : "";
    call->lengths[call->argc++] = text.n;
}

static struct mg_str number(double value, struct mg_arena *arena)
{
    char *text = mg_arena_alloc(arena, NUMBER_BYTES_MAX);
    if (value == floor(value))
        return mg_str(text, mg_u64_to_dec((uint64_t)value, text));
    return mg_str(text, (size_t)snprintf(text, NUMBER_BYTES_MAX, "%.17g", value));
}

static void prepare(struct mg_rate_limit_call *c)
{
    const struct mg_rate_limit_redis *r = c->options->redis;
    struct mg_redis_call *call = &c->_eval.call;
    size_t count = MG_REDIS_EVAL_KEYS + c->set->count + 1 + c->set->redis_arg_count;
    call->argv = mg_arena_alloc(arena_of(c), count * sizeof *call->argv);
    call->lengths = mg_arena_alloc(arena_of(c), count * sizeof *call->lengths);
    call->argc = MG_REDIS_EVAL_SCRIPT;
    add_arg(call, r->sha1);
    add_arg(call, number(c->set->count, arena_of(c)));
    for (uint32_t i = 0; i < c->set->count; i++)
        add_arg(call, redis_key(c, i));
    add_arg(call, number(c->_asked, arena_of(c)));
    for (uint32_t i = 0; i < c->set->redis_arg_count; i++)
        add_arg(call, c->set->redis_args[i]);
}

/* False: nobody knows what was sent for. */
static bool start_script(struct mg_rate_limit_call *c, double units)
{
    const struct mg_rate_limit_redis *r = c->options->redis;
    c->_asked = units;
    prepare(c);
    if (mg_redis_eval_start(&c->_eval, c->req->wg->redises[r->index].client) == MG_REDIS_OK)
        return true;
    tell_down(c->options, mg_redis_error_code(c->_eval.call.error));
    return false;
}

static bool is_numbers(const struct mg_redis_reply *reply, size_t count)
{
    if (reply->type != MG_REDIS_ARRAY || reply->count != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (reply->items[i].type != MG_REDIS_INTEGER || reply->items[i].integer < 0 ||
            reply->items[i].integer > REPLY_MAX)
            return false;
    return true;
}

static void read_results(struct mg_rate_limit_call *c, const struct mg_redis_reply *reply)
{
    for (uint32_t i = 0; i < c->set->count; i++) {
        const struct mg_redis_reply *v = &reply->items[i * REPLY_COUNT];
        c->results[i] = (struct mg_limiter_result){
            .ok = v[REPLY_OK].integer == 1,
            .remaining = (double)v[REPLY_REMAINING].integer,
            .reset_s = (double)v[REPLY_RESET_MS].integer / 1000,
            .retry_after_s = (double)v[REPLY_RETRY_AFTER_MS].integer / 1000,
            .delay_s = (double)v[REPLY_DELAY_MS].integer / 1000,
        };
    }
}

/* --- batches --- */

/* What was told of the limit when units were taken; a value of the dictionary. */
struct told {
    double remaining;
    int64_t until_ms; /* when it is as new */
};

static struct mg_str batch_key(const struct mg_rate_limit_call *c, struct mg_str kind)
{
    return joined(kind, c->set->limits->prefix, c->keys[0], arena_of(c));
}

static struct mg_dict_value units(double n)
{
    return (struct mg_dict_value){.kind = MG_DICT_NUMBER, .number = n};
}

static bool get_told(const struct mg_rate_limit_call *c, struct told *told)
{
    struct mg_dict_value value;
    struct mg_buf text;
    mg_buf_init(&text, sizeof *told);
    enum mg_dict_rc rc =
        mg_dict_get(c->options->dict, batch_key(c, MG_STR("told")), now_ms(c), &value, &text);
    bool found = rc == MG_DICT_OK && value.kind == MG_DICT_STRING && value.string.n == sizeof *told;
    if (found)
        memcpy(told, value.string.p, sizeof *told);
    mg_buf_release(&text);
    return found;
}

/* Takes from what is left of a batch. Only who finds it not below zero has it; the others put back
 * what they took. */
static bool take_from_batch(struct mg_rate_limit_call *c)
{
    const struct mg_dict_value none = {.kind = MG_DICT_NONE};
    struct mg_dict *dict = c->options->dict;
    struct mg_str left = batch_key(c, MG_STR("left"));
    struct mg_dict_value sum;
    struct told told;
    if (mg_dict_incr(dict, left, units(-c->cost), none, 0, now_ms(c), &sum) != MG_DICT_OK)
        return false;
    if (sum.number < 0 || !get_told(c, &told)) {
        mg_dict_incr(dict, left, units(c->cost), none, 0, now_ms(c), &sum);
        return false;
    }
    double reset_s = (double)(told.until_ms - now_ms(c)) / 1000;
    c->results[0] = (struct mg_limiter_result){
        .ok = true,
        .remaining = floor(told.remaining + sum.number),
        .reset_s = fmax(0, reset_s),
    };
    return c->counted = true;
}

/* A batch was granted: what the request does not need is there for others, until the limit is as
 * new at the latest. */
static void keep_batch(struct mg_rate_limit_call *c)
{
    struct mg_limiter_result *r = &c->results[0];
    int64_t ttl_ms = (int64_t)fmax(1, ceil(r->reset_s * 1000));
    const struct told told = {r->remaining, now_ms(c) + ttl_ms};
    const struct mg_dict_value value = {.kind = MG_DICT_STRING,
                                        .string = {(const char *)&told, sizeof told}};
    struct mg_dict_value sum;
    mg_dict_incr(c->options->dict, batch_key(c, MG_STR("left")), units(c->_asked - c->cost),
                 units(0), ttl_ms, now_ms(c), &sum);
    mg_dict_set(c->options->dict, batch_key(c, MG_STR("told")), value, ttl_ms, now_ms(c));
    r->remaining += c->_asked - c->cost;
}

/* --- the call --- */

/* False: it goes on. */
static bool is_over(struct mg_rate_limit_call *c)
{
    const struct mg_redis_call *call = &c->_eval.call;
    if (call->error || !is_numbers(call->reply, (size_t)c->set->count * REPLY_COUNT)) {
        tell_down(c->options, call->error ? mg_redis_error_code(call->error) : "redis");
        return true;
    }
    tell_up(c->options->redis);
    read_results(c, call->reply);
    bool batched = c->_asked > c->cost;
    if (batched && !c->results[0].ok) /* fewer are left than a batch */
        return !start_script(c, c->cost);
    if (batched)
        keep_batch(c);
    return c->counted = true;
}

static void on_eval_done(struct mg_redis_eval *e)
{
    struct mg_rate_limit_call *c = e->owner;
    if (is_over(c))
        c->on_done(c);
}

bool mg_rate_limit_redis_start(struct mg_rate_limit_call *c)
{
    const struct mg_rate_limit_redis *r = c->options->redis;
    bool batched = r->batch > 1 && r->batch > c->cost;
    c->counted = false;
    c->_eval = (struct mg_redis_eval){.text = r->script, .on_done = on_eval_done, .owner = c};
    if (batched && take_from_batch(c))
        return true;
    return !start_script(c, batched ? r->batch : c->cost);
}

void mg_rate_limit_redis_cancel(struct mg_rate_limit_call *c)
{
    mg_redis_eval_cancel(&c->_eval);
}
