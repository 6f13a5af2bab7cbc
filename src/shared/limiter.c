/* Token buckets, fixed windows and concurrency counters. Any thread; one shard's lock a call. */
#include "shared/limiter.h"

#include <math.h>

#include "shared/dict_shard.h"

/* Rounding of the sums below may not cost a client the token it has waited for. */
#define SLACK 1e-6

/* Beyond these, results would no longer be whole numbers, or times that anybody can write down. */
#define UNITS_MAX 0x1p53
#define SECONDS_MAX 1e9

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

static enum mg_dict_rc ensure_entry(struct mg_dict_slot *slot, enum mg_dict_entry_kind kind)
{
    return slot->entry ? MG_DICT_OK : mg_dict_slot_put(slot, kind, 0);
}

/* Also false for what is no number. */
static bool is_units(double x)
{
    return x >= 0 && x <= UNITS_MAX;
}

static int64_t ceil_ms(double seconds)
{
    return (int64_t)ceil(seconds * 1000 - SLACK);
}

/* Threads read the clock at different moments; time that seems to run back stands still. */
static int64_t elapsed_ms(int64_t from_ms, int64_t now_ms)
{
    return now_ms > from_ms ? now_ms - from_ms : 0;
}

/* ---- token bucket ---- */

static double tokens_now(const struct mg_dict_slot *slot, double rate, double burst)
{
    const struct mg_dict_entry *e = slot->entry;
    if (!e)
        return burst;
    double elapsed = (double)elapsed_ms(e->as.bucket.at_ms, slot->now_ms);
    return fmin(burst, e->as.bucket.tokens + elapsed * rate / 1000);
}

static enum mg_dict_rc keep_tokens(struct mg_dict_slot *slot, double tokens, double full_in_s)
{
    int64_t at_ms = slot->now_ms;
    if (slot->entry && slot->entry->as.bucket.at_ms > at_ms)
        at_ms = slot->entry->as.bucket.at_ms;
    enum mg_dict_rc rc = ensure_entry(slot, MG_DICT_ENTRY_BUCKET);
    if (rc != MG_DICT_OK)
        return rc;
    slot->entry->as.bucket.tokens = tokens;
    slot->entry->as.bucket.at_ms = at_ms;
    slot->entry->expires_ms = mg_dict_after(at_ms, ceil_ms(full_in_s));
    return MG_DICT_OK;
}

static enum mg_dict_rc take(struct mg_dict_slot *slot, double rate, double burst, double cost,
                            struct mg_limiter_result *out)
{
    double tokens = tokens_now(slot, rate, burst);
    bool ok = tokens + SLACK >= cost;
    /* A refusal leaves the bucket alone, so that asking often does not add up rounding errors. */
    if (ok && cost > 0) {
        tokens = fmax(0, tokens - cost);
        enum mg_dict_rc rc = keep_tokens(slot, tokens, (burst - tokens) / rate);
        if (rc != MG_DICT_OK)
            return rc;
    }
    *out = (struct mg_limiter_result){
        .ok = ok,
        .remaining = floor(tokens + SLACK),
        .reset_s = (burst - tokens) / rate,
        .retry_after_s = ok ? 0 : (cost > burst ? burst : cost - tokens) / rate,
    };
    return MG_DICT_OK;
}

enum mg_dict_rc mg_limiter_take(struct mg_dict *dict, struct mg_str key, double rate, double burst,
                                double cost, int64_t now_ms, struct mg_limiter_result *out)
{
    struct mg_dict_slot slot;
    if (!(rate > 0 && rate <= UNITS_MAX) || !is_units(burst) || !is_units(cost) ||
        !(burst / rate <= SECONDS_MAX))
        return MG_DICT_BAD_ARGUMENT;
    enum mg_dict_rc rc = open_slot(&slot, dict, key, MG_DICT_ENTRY_BUCKET, now_ms);
    if (rc != MG_DICT_OK)
        return rc;
    rc = take(&slot, rate, burst, cost, out);
    mg_dict_slot_close(&slot);
    return rc;
}

/* ---- fixed window ---- */

struct window {
    double count;
    int64_t start_ms;
};

/* The window that now lies in. One whose length has shrunk since may be over before its entry
 * expires. */
static struct window window_now(const struct mg_dict_slot *slot, int64_t length_ms)
{
    const struct mg_dict_entry *e = slot->entry;
    if (e && elapsed_ms(e->as.window.start_ms, slot->now_ms) < length_ms)
        return (struct window){e->as.window.count, e->as.window.start_ms};
    return (struct window){0, slot->now_ms};
}

static enum mg_dict_rc keep_window(struct mg_dict_slot *slot, struct window window,
                                   int64_t length_ms)
{
    enum mg_dict_rc rc = ensure_entry(slot, MG_DICT_ENTRY_WINDOW);
    if (rc != MG_DICT_OK)
        return rc;
    slot->entry->as.window.count = window.count;
    slot->entry->as.window.start_ms = window.start_ms;
    slot->entry->expires_ms = mg_dict_after(window.start_ms, length_ms);
    return MG_DICT_OK;
}

static enum mg_dict_rc count(struct mg_dict_slot *slot, double limit, int64_t length_ms,
                             double cost, struct mg_limiter_result *out)
{
    struct window window = window_now(slot, length_ms);
    bool ok = window.count + cost <= limit + SLACK;
    if (ok && cost > 0) {
        window.count += cost;
        enum mg_dict_rc rc = keep_window(slot, window, length_ms);
        if (rc != MG_DICT_OK)
            return rc;
    }
    double left_s = (double)(length_ms - elapsed_ms(window.start_ms, slot->now_ms)) / 1000;
    *out = (struct mg_limiter_result){
        .ok = ok,
        .remaining = fmax(0, floor(limit - window.count + SLACK)),
        .reset_s = left_s,
        .retry_after_s = ok ? 0 : left_s,
    };
    return MG_DICT_OK;
}

enum mg_dict_rc mg_limiter_window(struct mg_dict *dict, struct mg_str key, double limit,
                                  double seconds, double cost, int64_t now_ms,
                                  struct mg_limiter_result *out)
{
    struct mg_dict_slot slot;
    if (!is_units(limit) || !is_units(cost) || !(seconds > 0 && seconds <= SECONDS_MAX))
        return MG_DICT_BAD_ARGUMENT;
    enum mg_dict_rc rc = open_slot(&slot, dict, key, MG_DICT_ENTRY_WINDOW, now_ms);
    if (rc != MG_DICT_OK)
        return rc;
    int64_t length_ms = ceil_ms(seconds);
    rc = count(&slot, limit, length_ms ? length_ms : 1, cost, out);
    mg_dict_slot_close(&slot);
    return rc;
}

/* ---- concurrency ---- */

static enum mg_dict_rc acquire(struct mg_dict_slot *slot, int64_t max,
                               struct mg_limiter_result *out)
{
    int64_t held = slot->entry ? slot->entry->as.held : 0;
    bool ok = held < max;
    if (ok) {
        enum mg_dict_rc rc = ensure_entry(slot, MG_DICT_ENTRY_HELD);
        if (rc != MG_DICT_OK)
            return rc;
        slot->entry->as.held = ++held;
    }
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
