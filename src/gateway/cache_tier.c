/* Second tiers of caches. Worker thread. */
#include "gateway/cache_tier.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "gateway/cache_gossip.h"
#include "gateway/tier_fill.h"
#include "gateway/worker_redis.h"

#define LOG_EVERY_NS (10 * MG_SECOND)

/* --- failures --- */

void mg_cache_tier_failed(struct mg_cache_tier *t, enum mg_cache_tier_act act, const char *code,
                          struct mg_str detail)
{
    static const char *const texts[] = {
        [MG_CACHE_TIER_READS] = "cache error", [MG_CACHE_TIER_STORES] = "cache storage error"};
    struct mg_cache_tier_failures *f = &t->failed[act];
    uint64_t now_ns = mg_loop_now(t->wg->worker->loop);
    atomic_fetch_add_explicit(&t->counts->failures, 1, memory_order_relaxed);
    f->untold++;
    if (now_ns < f->told_from_ns)
        return;
    mg_log_warn(texts[act], MG_LOG_STR("cache", t->cache->name),
                MG_LOG_STR("redis", t->cache->redis), MG_LOG_C("code", code),
                MG_LOG_STR("reason", detail), MG_LOG_INT("times", (int64_t)f->untold));
    f->untold = 0;
    f->told_from_ns = now_ns + LOG_EVERY_NS;
}

/* --- commands --- */

void mg_cache_command_init(struct mg_cache_command *c, const char *script, unsigned keys)
{
    static const char *const counts[] = {"0", "1", "2", "3"};
    *c = (struct mg_cache_command){.call = {.argv = c->words, .lengths = c->lengths}};
    MG_BUG_ON(keys >= sizeof counts / sizeof counts[0]);
    mg_cache_command_add(c, MG_STR("EVAL"));
    mg_cache_command_add(c, mg_str_c(script));
    mg_cache_command_add(c, mg_str_c(counts[keys]));
}

void mg_cache_command_add(struct mg_cache_command *c, struct mg_str word)
{
    struct mg_redis_call *call = &c->call;
    MG_BUG_ON(call->argv == c->words && call->argc == MG_CACHE_COMMAND_WORDS);
    call->argv[call->argc] = word.n ? word.p : "";
    call->lengths[call->argc++] = word.n;
}

static void on_reply(struct mg_redis_call *call)
{
    struct mg_cache_command *c = call->owner;
    struct mg_cache_tier *t = c->tier;
    const struct mg_redis_reply *reply = call->reply;
    c->tier = NULL;
    if (!reply)
        mg_cache_tier_failed(t, c->act, mg_redis_error_code(call->error), mg_str_c(call->detail));
    else if (reply->type == MG_REDIS_ERROR)
        mg_cache_tier_failed(t, c->act, "error", reply->str);
    c->on_done(c, reply && reply->type != MG_REDIS_ERROR ? reply : NULL);
}

bool mg_cache_command_start(struct mg_cache_command *c, struct mg_cache_tier *tier,
                            void (*on_done)(struct mg_cache_command *c,
                                            const struct mg_redis_reply *reply))
{
    c->call.on_done = on_reply;
    c->call.owner = c;
    c->on_done = on_done;
    if (mg_redis_client_start(tier->client, &c->call, 1) != MG_REDIS_OK) {
        mg_cache_tier_failed(tier, c->act, mg_redis_error_code(c->call.error),
                             mg_str_c(c->call.detail));
        return false;
    }
    c->tier = tier;
    return true;
}

void mg_cache_command_cancel(struct mg_cache_command *c)
{
    if (!c->tier)
        return;
    mg_redis_call_cancel(&c->call);
    c->tier = NULL;
}

/* --- life --- */

static uint64_t timeout_of(const struct mg_generation *gen, struct mg_str redis)
{
    for (uint32_t i = 0; i < gen->redis_count; i++)
        if (mg_str_eq(gen->redises[i].name, redis))
            return gen->redises[i].settings.timeout_ns;
    return 0;
}

static struct mg_cache_tier *new_tier(struct mg_worker_generation *wg,
                                      const struct mg_generation_cache *cache)
{
    struct mg_cache_tier *t = mg_calloc(1, sizeof *t);
    *t = (struct mg_cache_tier){.wg = wg,
                                .cache = cache,
                                .store = cache->cache,
                                .log = mg_cache_purge_log(cache->cache),
                                .counts = mg_cache_tier_counts(cache->cache),
                                .client = mg_worker_redis_find(wg, cache->redis),
                                .timeout_ns = timeout_of(wg->gen, cache->redis)};
    mg_list_init(&t->fills);
    t->gossip = mg_cache_gossip_new(t);
    return t;
}

void mg_cache_tiers_make(struct mg_worker_generation *wg)
{
    const struct mg_generation *gen = wg->gen;
    wg->tiers = mg_calloc(gen->cache_count, sizeof(struct mg_cache_tier *));
    for (uint32_t i = 0; i < gen->cache_count; i++)
        if (gen->caches[i].cache && gen->caches[i].redis.n)
            wg->tiers[i] = new_tier(wg, &gen->caches[i]);
}

static void free_tier(struct mg_cache_tier *t)
{
    if (!t)
        return;
    mg_tier_fills_release(t);
    mg_cache_gossip_free(t->gossip);
    free(t);
}

void mg_cache_tiers_release(struct mg_worker_generation *wg)
{
    for (uint32_t i = 0; wg->tiers && i < wg->gen->cache_count; i++)
        free_tier(wg->tiers[i]);
    free(wg->tiers);
}

bool mg_cache_tiers_busy(const struct mg_worker_generation *wg)
{
    for (uint32_t i = 0; i < wg->gen->cache_count; i++)
        if (wg->tiers[i] && !mg_list_empty(&wg->tiers[i]->fills))
            return true;
    return false;
}

struct mg_cache_tier *mg_cache_tier_of(const struct mg_worker_generation *wg,
                                       const struct mg_cache *store)
{
    for (uint32_t i = 0; i < wg->gen->cache_count; i++)
        if (wg->gen->caches[i].cache == store)
            return wg->tiers[i];
    return NULL;
}
