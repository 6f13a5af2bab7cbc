/*
 * Limiters over several keys at once, and concurrency counters. Any thread.
 *
 * A call locks all shards that its keys fall into, each once and in the order of their addresses,
 * so that two calls never wait for each other. Then it decides on all keys before it changes any.
 */
#include "shared/limiter.h"

#include <string.h>

#include "shared/dict_shard.h"

/* Opens the key's slot and makes sure that it holds this sort of limiter or nothing. */
static enum mg_dict_rc open_slot(struct mg_dict_slot *slot, struct mg_dict *dict, struct mg_str key,
                                 enum mg_dict_entry_kind kind, int64_t now_ms)
{
    enum mg_dict_rc rc = mg_dict_slot_open(slot, dict, key, now_ms);
    if (rc == MG_DICT_OK && slot->entry && slot->entry->kind != kind) {
        mg_dict_slot_close(slot);
        rc = MG_DICT_BAD_TYPE;
    }
    return rc;
}

/* ---- rules ---- */

static enum mg_dict_entry_kind kind_of(enum mg_limiter_algorithm algorithm)
{
    return (enum mg_dict_entry_kind)(MG_DICT_ENTRY_FIXED_WINDOW + algorithm);
}

_Static_assert(MG_DICT_ENTRY_LEAKY_BUCKET - MG_DICT_ENTRY_FIXED_WINDOW == MG_LIMITER_LEAKY_BUCKET,
               "kinds in the same order");

/* One call: its slots, and the order in which their shards are locked. */
struct call {
    const struct mg_limiter_ask *asks;
    size_t count;
    struct mg_dict_slot slots[MG_LIMITER_ASKS_MAX];
    struct mg_dict_shard *shards[MG_LIMITER_ASKS_MAX]; /* ascending, each once */
    size_t shard_count;
    bool is_new[MG_LIMITER_ASKS_MAX]; /* the entry was made by this call */
};

static void add_shard(struct call *call, struct mg_dict_shard *shard)
{
    size_t at = call->shard_count;
    while (at > 0 && call->shards[at - 1] > shard)
        at--;
    if (at > 0 && call->shards[at - 1] == shard)
        return;
    memmove(&call->shards[at + 1], &call->shards[at], (call->shard_count - at) * sizeof shard);
    call->shards[at] = shard;
    call->shard_count++;
}

static bool same_key(const struct mg_dict_slot *a, const struct mg_dict_slot *b)
{
    return a->hash == b->hash && mg_str_eq(a->key, b->key);
}

static enum mg_dict_rc prepare(struct call *call, struct mg_dict *dict, int64_t now_ms)
{
    for (size_t i = 0; i < call->count; i++) {
        const struct mg_limiter_ask *ask = &call->asks[i];
        if (!mg_limiter_rule_ok(ask->rule) || !mg_limiter_units_ok(ask->cost))
            return MG_DICT_BAD_ARGUMENT;
        enum mg_dict_rc rc = mg_dict_slot_prepare(&call->slots[i], dict, ask->key, now_ms);
        if (rc != MG_DICT_OK)
            return rc;
        for (size_t j = 0; j < i; j++)
            if (same_key(&call->slots[j], &call->slots[i]))
                return MG_DICT_BAD_ARGUMENT;
        add_shard(call, call->slots[i].shard);
    }
    return MG_DICT_OK;
}

static enum mg_dict_rc find_all(struct call *call)
{
    for (size_t i = 0; i < call->count; i++) {
        mg_dict_slot_find(&call->slots[i]);
        const struct mg_dict_entry *e = call->slots[i].entry;
        if (e && e->kind != kind_of(call->asks[i].rule->algorithm))
            return MG_DICT_BAD_TYPE;
    }
    return MG_DICT_OK;
}

static void decide(const struct call *call, size_t i, double cost, struct mg_limiter_decision *out)
{
    union mg_limiter_state state;
    const struct mg_dict_slot *slot = &call->slots[i];
    const struct mg_limiter_rule *rule = call->asks[i].rule;
    if (slot->entry)
        memcpy(&state, mg_dict_entry_payload(slot->entry), mg_limiter_state_bytes(rule->algorithm));
    mg_limiter_decide(rule, slot->entry ? &state : NULL, cost, slot->now_ms, out);
}

/* Pins the keys' entries, and makes those that are new: what makes one must not evict another. */
static enum mg_dict_rc pin_all(struct call *call)
{
    for (size_t i = 0; i < call->count; i++) {
        struct mg_dict_slot *slot = &call->slots[i];
        enum mg_limiter_algorithm algorithm = call->asks[i].rule->algorithm;
        call->is_new[i] = !slot->entry;
        if (!slot->entry) {
            enum mg_dict_rc rc =
                mg_dict_slot_put(slot, kind_of(algorithm), mg_limiter_state_bytes(algorithm));
            if (rc != MG_DICT_OK)
                return rc;
        }
        mg_dict_slot_pin(slot);
    }
    return MG_DICT_OK;
}

static void unpin_all(struct call *call)
{
    for (size_t i = 0; i < call->count; i++)
        if (call->slots[i].entry)
            mg_dict_slot_unpin(&call->slots[i]);
}

static void remove_new(struct call *call)
{
    for (size_t i = 0; i < call->count && call->slots[i].entry; i++)
        if (call->is_new[i])
            mg_dict_slot_remove(&call->slots[i]);
}

static void keep(struct call *call, size_t i, const struct mg_limiter_decision *decision)
{
    struct mg_dict_entry *e = call->slots[i].entry;
    size_t bytes = mg_limiter_state_bytes(call->asks[i].rule->algorithm);
    memcpy(mg_dict_entry_payload(e), &decision->next, bytes);
    /* What stays as it is is not written: other workers have the line in their caches, too. */
    if (e->expires_ms != decision->expires_ms)
        e->expires_ms = decision->expires_ms;
}

static bool has_all(const struct call *call)
{
    for (size_t i = 0; i < call->count; i++)
        if (!call->slots[i].entry)
            return false;
    return true;
}

/* All is granted. */
static enum mg_dict_rc keep_all(struct call *call, const struct mg_limiter_decision *decisions)
{
    bool takes = false, has = has_all(call);
    for (size_t i = 0; i < call->count; i++)
        takes = takes || call->asks[i].cost > 0;
    if (!takes)
        return MG_DICT_OK; /* nothing to make entries for */
    enum mg_dict_rc rc = has ? MG_DICT_OK : pin_all(call);
    for (size_t i = 0; rc == MG_DICT_OK && i < call->count; i++)
        keep(call, i, &decisions[i]);
    if (has)
        return MG_DICT_OK;
    if (rc != MG_DICT_OK)
        remove_new(call);
    unpin_all(call);
    return rc;
}

static enum mg_dict_rc take_locked(struct call *call, struct mg_limiter_result *out)
{
    struct mg_limiter_decision decisions[MG_LIMITER_ASKS_MAX];
    bool granted = true;
    enum mg_dict_rc rc = find_all(call);
    if (rc != MG_DICT_OK)
        return rc;
    for (size_t i = 0; i < call->count; i++) {
        decide(call, i, call->asks[i].cost, &decisions[i]);
        granted = granted && decisions[i].result.ok;
    }
    if (granted)
        rc = keep_all(call, decisions);
    for (size_t i = 0; rc == MG_DICT_OK && i < call->count; i++) {
        if (!granted && decisions[i].result.ok)
            decide(call, i, 0, &decisions[i]);
        out[i] = decisions[i].result;
    }
    return rc;
}

enum mg_dict_rc mg_limiter_take_all(struct mg_dict *dict, const struct mg_limiter_ask *asks,
                                    size_t count, int64_t now_ms, struct mg_limiter_result *out)
{
    struct call call;
    call.asks = asks;
    call.count = count;
    call.shard_count = 0;
    if (count == 0 || count > MG_LIMITER_ASKS_MAX)
        return MG_DICT_BAD_ARGUMENT;
    enum mg_dict_rc rc = prepare(&call, dict, now_ms);
    if (rc != MG_DICT_OK)
        return rc;
    for (size_t i = 0; i < call.shard_count; i++)
        mg_dict_shard_lock(call.shards[i]);
    rc = take_locked(&call, out);
    for (size_t i = call.shard_count; i > 0; i--)
        mg_dict_shard_unlock(call.shards[i - 1]);
    return rc;
}

static bool is_tighter(const struct mg_limiter_result *a, const struct mg_limiter_result *b)
{
    if (a->ok != b->ok)
        return !a->ok;
    return a->ok ? a->remaining < b->remaining : a->retry_after_s > b->retry_after_s;
}

size_t mg_limiter_tightest(const struct mg_limiter_result *results, size_t count)
{
    size_t at = 0;
    for (size_t i = 1; i < count; i++)
        if (is_tighter(&results[i], &results[at]))
            at = i;
    return at;
}

enum mg_dict_rc mg_limiter_take(struct mg_dict *dict, struct mg_str key, double rate, double burst,
                                double cost, int64_t now_ms, struct mg_limiter_result *out)
{
    struct mg_limiter_rule rule = {MG_LIMITER_TOKEN_BUCKET, rate, 1, burst, 0};
    struct mg_limiter_ask ask = {&rule, key, cost};
    return mg_limiter_take_all(dict, &ask, 1, now_ms, out);
}

enum mg_dict_rc mg_limiter_window(struct mg_dict *dict, struct mg_str key, double limit,
                                  double seconds, double cost, int64_t now_ms,
                                  struct mg_limiter_result *out)
{
    struct mg_limiter_rule rule = {MG_LIMITER_FIXED_WINDOW, limit, seconds, 0, 0};
    struct mg_limiter_ask ask = {&rule, key, cost};
    return mg_limiter_take_all(dict, &ask, 1, now_ms, out);
}

/* ---- concurrency ---- */

static enum mg_dict_rc acquire(struct mg_dict_slot *slot, int64_t max,
                               struct mg_limiter_result *out)
{
    int64_t held = slot->entry ? slot->entry->as.held : 0;
    bool ok = held < max;
    if (ok && !slot->entry) {
        enum mg_dict_rc rc = mg_dict_slot_put(slot, MG_DICT_ENTRY_HELD, 0);
        if (rc != MG_DICT_OK)
            return rc;
        mg_dict_slot_pin(slot);
    }
    if (ok)
        slot->entry->as.held = ++held;
    *out = (struct mg_limiter_result){.ok = ok, .remaining = held < max ? (double)(max - held) : 0};
    return MG_DICT_OK;
}

enum mg_dict_rc mg_limiter_acquire(struct mg_dict *dict, struct mg_str key, int64_t max,
                                   int64_t now_ms, struct mg_limiter_result *out)
{
    struct mg_dict_slot slot;
    if (max < 0)
        return MG_DICT_BAD_ARGUMENT;
    enum mg_dict_rc rc = open_slot(&slot, dict, key, MG_DICT_ENTRY_HELD, now_ms);
    if (rc != MG_DICT_OK)
        return rc;
    rc = acquire(&slot, max, out);
    mg_dict_slot_close(&slot);
    return rc;
}

enum mg_dict_rc mg_limiter_release(struct mg_dict *dict, struct mg_str key, int64_t now_ms)
{
    struct mg_dict_slot slot;
    enum mg_dict_rc rc = open_slot(&slot, dict, key, MG_DICT_ENTRY_HELD, now_ms);
    if (rc != MG_DICT_OK)
        return rc;
    if (!slot.entry)
        rc = MG_DICT_ABSENT;
    else if (--slot.entry->as.held == 0)
        mg_dict_slot_remove(&slot);
    mg_dict_slot_close(&slot);
    return rc;
}
