/*
 * Purges between gateways. Worker thread; only the bell is rung by others.
 *
 * In Redis, of the cache NAME:
 *     moongate:{NAME}:purges  a hash: `seq` the newest number, `born` the first; others are fields
 * of the table ("17", or "s17" for soft ones) moongate:{NAME}:said    a sorted set: "NUMBER BEFORE
 * TEXT", by number
 *
 * Numbers are microseconds since 1970 of whoever tells, and always more than the one before. So
 * they go on rising when Redis has lost all it had.
 */
#include "gateway/cache_gossip.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "net/bell.h"

#define LISTEN_NS (250 * MG_MILLISECOND)
#define AGAIN_NS MG_SECOND /* after it failed, who is in a hurry does not try before */
#define LISTEN_MAX "20"    /* purges at a time: each may take a look at the whole store */
#define ROWS_MAX (MG_PURGE_FIELDS + 2)

/* KEYS: table, list. ARGV: now, and for each its field and its text. */
static const char tell_script[] =
    "local numbers = {} "
    "for i = 2, #ARGV, 2 do "
    "  local before = redis.call('HGET', KEYS[1], 'seq') "
    "  local n = tonumber(ARGV[1]) "
    "  if before and tonumber(before) >= n then n = tonumber(before) + 1 end "
    "  n = string.format('%.0f', n) "
    "  if not before then redis.call('HSET', KEYS[1], 'born', n) end "
    "  redis.call('HSET', KEYS[1], 'seq', n) "
    "  redis.call('HSET', KEYS[1], ARGV[i], n) "
    "  redis.call('ZADD', KEYS[2], n, n .. ' ' .. (before or '0') .. ' ' .. ARGV[i + 1]) "
    "  numbers[#numbers + 1] = n "
    "end "
    "redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -10001) "
    "return numbers";

/* KEYS: table, list. ARGV: now, the newest that is known ('0': the table is wanted), how many. */
static const char listen_script[] =
    "local newest = redis.call('HGET', KEYS[1], 'seq') "
    "if not newest then "
    "  newest = ARGV[1] "
    "  redis.call('HSET', KEYS[1], 'seq', newest) "
    "  redis.call('HSET', KEYS[1], 'born', newest) "
    "end "
    "if ARGV[2] == '0' then return {newest, redis.call('HGETALL', KEYS[1])} end "
    "if newest == ARGV[2] then return {newest, {}} end "
    "return {newest, redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[2], '+inf', 'LIMIT', 0, "
    "ARGV[3])}";

#define TELL_WORDS (6 + 2 * MG_PURGE_BATCH)
#define FIELD_ROOM 8 /* "s4096" */
#define NUMBER_ROOM 24

struct mg_cache_gossip {
    struct mg_cache_tier *tier;
    struct mg_str table, list; /* keys */
    struct mg_arena arena;     /* of these */
    /* Listening. */
    struct mg_cache_command listen;
    char listen_now[NUMBER_ROOM], listen_known[NUMBER_ROOM];
    uint64_t known;         /* that it was asked with */
    uint64_t vain_until_ns; /* it has just failed */
    /* Telling; one worker of all. */
    struct mg_cache_command tell;
    const char *words[TELL_WORDS];
    size_t lengths[TELL_WORDS];
    char tell_now[NUMBER_ROOM], fields[MG_PURGE_BATCH][FIELD_ROOM];
    struct mg_timer tick;
    struct mg_bell *bell; /* rung by a purge; NULL: this worker does not tell */
};

static struct mg_loop *loop_of(const struct mg_cache_gossip *g)
{
    return g->tier->wg->worker->loop;
}

static struct mg_str now_text(const struct mg_cache_gossip *g, char out[NUMBER_ROOM])
{
    int n = snprintf(out, NUMBER_ROOM, "%.0f", mg_loop_wall(loop_of(g)) * 1e6);
    return mg_str(out, (size_t)n);
}

static bool read_number(const struct mg_redis_reply *r, uint64_t *out)
{
    return r->type == MG_REDIS_STRING && mg_str_to_u64(r->str, UINT64_MAX, out);
}

/* --- listening --- */

static void purge_here(struct mg_cache_gossip *g, const struct mg_purge *p)
{
    mg_cache_purge_here(g->tier->store, p->by, p->what, p->soft);
}

/* "17", "s17": false for the others. */
static bool read_field(struct mg_str name, unsigned *out)
{
    uint64_t n;
    bool soft = name.n > 0 && name.p[0] == 's';
    if (!mg_str_to_u64(soft ? mg_str(name.p + 1, name.n - 1) : name, MG_PURGE_BUCKETS, &n))
        return false;
    *out = (unsigned)n + (soft ? MG_PURGE_BUCKETS + 1 : 0);
    return true;
}

static bool read_table(struct mg_cache_gossip *g, uint64_t newest,
                       const struct mg_redis_reply *pairs)
{
    if (pairs->count > 2 * (size_t)ROWS_MAX)
        return false;
    struct mg_purge_row *rows = mg_calloc(pairs->count / 2 + 1, sizeof *rows);
    size_t count = 0;
    uint64_t born = UINT64_MAX; /* not told: nothing that lies there is trusted */
    for (size_t i = 0; i + 1 < pairs->count; i += 2) {
        const struct mg_redis_reply *name = &pairs->items[i];
        uint64_t number;
        if (name->type != MG_REDIS_STRING || !read_number(&pairs->items[i + 1], &number))
            continue;
        if (mg_str_eq(name->str, MG_STR("born")))
            born = number;
        else if (read_field(name->str, &rows[count].field))
            rows[count++].number = number;
    }
    bool missed = mg_purge_log_read(g->tier->log, newest, born, rows, count);
    free(rows);
    if (missed)
        purge_here(g, &(struct mg_purge){.by = MG_CACHE_ALL});
    return true;
}

static void hear_all(struct mg_cache_gossip *g, uint64_t newest, const struct mg_redis_reply *said)
{
    struct mg_purge purge;
    if (said->count == 0 || newest < g->known)
        mg_purge_log_newest(g->tier->log, g->known, newest);
    for (size_t i = 0; i < said->count; i++) {
        const struct mg_redis_reply *text = &said->items[i];
        struct mg_str bytes = text->type == MG_REDIS_STRING ? text->str : MG_STR_NONE;
        switch (mg_purge_log_hear(g->tier->log, bytes, &purge)) {
        case MG_PURGE_NEW:
            purge_here(g, &purge);
            break;
        case MG_PURGE_OLD:
            break;
        case MG_PURGE_MISSED:
        case MG_PURGE_BAD:
            return;
        }
    }
}

/* False: that is no answer. */
static bool take_news(struct mg_cache_gossip *g, const struct mg_redis_reply *r)
{
    uint64_t newest;
    if (r->type != MG_REDIS_ARRAY || r->count != 2 || !read_number(&r->items[0], &newest) ||
        r->items[1].type != MG_REDIS_ARRAY)
        return false;
    if (g->known == 0)
        return read_table(g, newest, &r->items[1]);
    hear_all(g, newest, &r->items[1]);
    return true;
}

static void on_news(struct mg_cache_command *c, const struct mg_redis_reply *reply)
{
    struct mg_cache_gossip *g = MG_CONTAINER_OF(c, struct mg_cache_gossip, listen);
    if (reply && !take_news(g, reply)) {
        mg_cache_tier_failed(g->tier, MG_CACHE_TIER_READS, "bad_reply",
                             MG_STR("that is no list of purges"));
        reply = NULL;
    }
    if (!reply) {
        g->vain_until_ns = mg_loop_now(loop_of(g)) + AGAIN_NS;
        return;
    }
    g->vain_until_ns = 0;
    /* There may be more of them, or the table is wanted now. */
    uint64_t known = mg_purge_log_known(g->tier->log);
    if (known != g->known && (known == 0 || g->known != 0))
        mg_cache_gossip_listen(g);
}

bool mg_cache_gossip_listen(struct mg_cache_gossip *g)
{
    struct mg_cache_command *c = &g->listen;
    if (c->tier)
        return true;
    if (g->vain_until_ns > mg_loop_now(loop_of(g)))
        return false;
    g->known = mg_purge_log_known(g->tier->log);
    mg_cache_command_init(c, listen_script, 2);
    mg_cache_command_add(c, g->table);
    mg_cache_command_add(c, g->list);
    mg_cache_command_add(c, now_text(g, g->listen_now));
    mg_cache_command_add(c, mg_str(g->listen_known, mg_u64_to_dec(g->known, g->listen_known)));
    mg_cache_command_add(c, MG_STR(LISTEN_MAX));
    return mg_cache_command_start(c, g->tier, on_news);
}

/* --- telling --- */

static void tell(struct mg_cache_gossip *g);

static size_t read_numbers(const struct mg_redis_reply *r, uint64_t *out)
{
    size_t count = 0;
    while (r->type == MG_REDIS_ARRAY && count < r->count && count < MG_PURGE_BATCH &&
           read_number(&r->items[count], &out[count]))
        count++;
    return count;
}

static void on_told(struct mg_cache_command *c, const struct mg_redis_reply *reply)
{
    struct mg_cache_gossip *g = MG_CONTAINER_OF(c, struct mg_cache_gossip, tell);
    uint64_t numbers[MG_PURGE_BATCH] = {0};
    size_t count = reply ? read_numbers(reply, numbers) : 0;
    mg_purge_log_told(g->tier->log, numbers, count);
    if (count)
        tell(g); /* those that came meanwhile; else the next tick tries again */
}

static void add_telling(struct mg_cache_gossip *g, size_t i, const struct mg_purge_telling *t)
{
    bool soft = t->field > MG_PURGE_BUCKETS;
    unsigned bucket = soft ? t->field - MG_PURGE_BUCKETS - 1 : t->field;
    int n = snprintf(g->fields[i], FIELD_ROOM, soft ? "s%u" : "%u", bucket);
    mg_cache_command_add(&g->tell, mg_str(g->fields[i], (size_t)n));
    mg_cache_command_add(&g->tell, t->text);
}

static void tell(struct mg_cache_gossip *g)
{
    struct mg_purge_telling tellings[MG_PURGE_BATCH];
    struct mg_cache_command *c = &g->tell;
    size_t count = c->tier ? 0 : mg_purge_log_tell(g->tier->log, tellings);
    if (!count)
        return;
    mg_cache_command_init(c, tell_script, 2);
    for (int i = 0; i < c->call.argc; i++) {
        g->words[i] = c->words[i];
        g->lengths[i] = c->lengths[i];
    }
    c->call.argv = g->words;
    c->call.lengths = g->lengths;
    mg_cache_command_add(c, g->table);
    mg_cache_command_add(c, g->list);
    mg_cache_command_add(c, now_text(g, g->tell_now));
    for (size_t i = 0; i < count; i++)
        add_telling(g, i, &tellings[i]);
    if (!mg_cache_command_start(c, g->tier, on_told))
        mg_purge_log_told(g->tier->log, NULL, 0);
}

/* --- the worker that does it --- */

static void ring(void *arg)
{
    mg_bell_ring(((struct mg_cache_gossip *)arg)->bell);
}

static void on_tick(void *arg)
{
    struct mg_cache_gossip *g = arg;
    if (!mg_list_empty(&g->tier->wg->link))
        return; /* the generation is in force no more: another one does it */
    mg_purge_log_on_add(g->tier->log, ring, g); /* a candidate that was discarded may have had it */
    tell(g);
    mg_cache_gossip_listen(g);
    mg_timer_set(&g->tick, mg_loop_now(loop_of(g)) + LISTEN_NS);
}

static void on_bell(void *arg)
{
    tell(arg);
}

struct mg_cache_gossip *mg_cache_gossip_new(struct mg_cache_tier *tier)
{
    struct mg_worker *w = tier->wg->worker;
    struct mg_cache_gossip *g = mg_calloc(1, sizeof *g);
    struct mg_str name = tier->cache->name;
    g->tier = tier;
    mg_arena_init(&g->arena, &w->chunks);
    g->table = mg_arena_printf(&g->arena, "moongate:{%.*s}:purges", MG_STR_ARGS(name));
    g->list = mg_arena_printf(&g->arena, "moongate:{%.*s}:said", MG_STR_ARGS(name));
    mg_timer_init(&g->tick, w->loop, on_tick, g);
    if (w->number == 0) {
        g->bell = mg_bell_new(w->loop, on_bell, g);
        mg_purge_log_on_add(tier->log, ring, g);
        mg_timer_set(&g->tick, mg_loop_now(w->loop) + 1);
    }
    return g;
}

void mg_cache_gossip_free(struct mg_cache_gossip *g)
{
    if (!g)
        return;
    mg_purge_log_off_add(g->tier->log, g);
    mg_timer_release(&g->tick);
    mg_bell_free(g->bell);
    mg_cache_command_cancel(&g->listen);
    if (g->tell.tier) {
        mg_cache_command_cancel(&g->tell);
        mg_purge_log_told(g->tier->log, NULL, 0);
    }
    mg_arena_release(&g->arena);
    free(g);
}
