/* Adaptive concurrency. Any thread; one shard's lock a call. */
#include "shared/adaptive.h"

#include <math.h>
#include <string.h>

#include "shared/dict_shard.h"

#define STEP_MS_MIN 100
#define STEP_MS_MAX 1000
#define IDLE_MS (10 * 60 * 1000)
#define SMOOTHING 0.2         /* of the limit, a step */
#define USUAL_SMOOTHING 0.002 /* of the usual latency, a step */
#define FALL_MAX 0.5          /* the least that latency makes of the limit, before smoothing */
#define FAILED_SHARE_MAX 0.1  /* with more failures than that the limit does not rise */

struct state {
    double limit;
    double usual_s;   /* 0: not known yet */
    double latency_s; /* the sum of those that ended well in this step */
    double well, failed;
    int64_t step_ms; /* when this step began */
    int64_t held;
};

static void load(const struct mg_dict_slot *slot, const struct mg_adaptive_rule *rule,
                 struct state *s)
{
    if (slot->entry)
        memcpy(s, mg_dict_entry_payload(slot->entry), sizeof *s);
    else
        *s = (struct state){.limit = rule->initial, .step_ms = slot->now_ms};
    s->limit = fmin(fmax(s->limit, rule->min), rule->max); /* the config may have changed */
}

static enum mg_dict_rc keep(struct mg_dict_slot *slot, const struct state *s)
{
    if (!slot->entry) {
        enum mg_dict_rc rc = mg_dict_slot_put(slot, MG_DICT_ENTRY_ADAPTIVE, sizeof *s);
        if (rc != MG_DICT_OK)
            return rc;
    }
    memcpy(mg_dict_entry_payload(slot->entry), s, sizeof *s);
    if (s->held > 0) {
        mg_dict_slot_pin(slot);
        slot->entry->expires_ms = MG_DICT_NEVER;
    } else {
        mg_dict_slot_unpin(slot);
        slot->entry->expires_ms = mg_dict_after(slot->now_ms, IDLE_MS);
    }
    return MG_DICT_OK;
}

/* ---- the limit ---- */

/* Gives the latency of the step in times of the usual one, and lets that follow. */
static double compare_latency(struct state *s)
{
    double now_s = s->latency_s / s->well;
    if (s->usual_s == 0)
        s->usual_s = now_s;
    double times = s->usual_s > 0 ? now_s / s->usual_s : 1;
    s->usual_s += (now_s - s->usual_s) * USUAL_SMOOTHING;
    /* After a long time of overload the average is far too high, and would be for long. */
    if (s->usual_s > 2 * now_s)
        s->usual_s *= 0.95;
    return times;
}

static double next_limit(struct state *s, const struct mg_adaptive_rule *rule)
{
    double failed_share = s->failed / (s->well + s->failed);
    double times = s->well > 0 ? compare_latency(s) : 1;
    double gradient = times > 0 ? rule->tolerance / times : 1;
    double room = failed_share > FAILED_SHARE_MAX ? 0 : sqrt(s->limit);
    return s->limit * fmax(FALL_MAX, fmin(1, gradient)) * (1 - failed_share) + room;
}

static void step(struct state *s, const struct mg_adaptive_rule *rule, int64_t now_ms)
{
    double next = next_limit(s, rule);
    /* A limit that nobody comes near has not been tried, so it has not earned a higher one. */
    bool tried = (double)s->held * 2 >= s->limit;
    if (next < s->limit || tried)
        s->limit += (next - s->limit) * SMOOTHING;
    s->limit = fmin(fmax(s->limit, rule->min), rule->max);
    s->latency_s = s->well = s->failed = 0;
    s->step_ms = now_ms;
}

static void count(struct state *s, const struct mg_adaptive_rule *rule, double latency_s,
                  bool failed, int64_t now_ms)
{
    if (failed) {
        s->failed++;
    } else {
        s->well++;
        s->latency_s += latency_s;
    }
    double due_ms = fmin(fmax(s->usual_s * 2000, STEP_MS_MIN), STEP_MS_MAX);
    if ((double)(now_ms - s->step_ms) >= due_ms)
        step(s, rule, now_ms);
}

/* ---- the calls ---- */

/* Also false for what is no number. */
bool mg_adaptive_rule_ok(const struct mg_adaptive_rule *rule)
{
    return rule->min >= 1 && rule->min <= rule->initial && rule->initial <= rule->max &&
           rule->max <= 1e6 && rule->tolerance >= 1 && rule->tolerance <= 100;
}

static enum mg_dict_rc open_slot(struct mg_dict_slot *slot, struct mg_dict *dict, struct mg_str key,
                                 const struct mg_adaptive_rule *rule, int64_t now_ms)
{
    if (!mg_adaptive_rule_ok(rule))
        return MG_DICT_BAD_ARGUMENT;
    enum mg_dict_rc rc = mg_dict_slot_open(slot, dict, key, now_ms);
    if (rc == MG_DICT_OK && slot->entry && slot->entry->kind != MG_DICT_ENTRY_ADAPTIVE) {
        mg_dict_slot_close(slot);
        rc = MG_DICT_BAD_TYPE;
    }
    return rc;
}

enum mg_dict_rc mg_adaptive_acquire(struct mg_dict *dict, struct mg_str key,
                                    const struct mg_adaptive_rule *rule, int64_t now_ms,
                                    struct mg_adaptive_result *out)
{
    struct mg_dict_slot slot;
    struct state s;
    enum mg_dict_rc rc = open_slot(&slot, dict, key, rule, now_ms);
    if (rc != MG_DICT_OK)
        return rc;
    load(&slot, rule, &s);
    bool ok = s.held < (int64_t)s.limit;
    if (ok) {
        s.held++;
        rc = keep(&slot, &s);
    }
    if (rc == MG_DICT_OK)
        *out = (struct mg_adaptive_result){ok, (double)s.held, floor(s.limit)};
    mg_dict_slot_close(&slot);
    return rc;
}

enum mg_dict_rc mg_adaptive_release(struct mg_dict *dict, struct mg_str key,
                                    const struct mg_adaptive_rule *rule, double latency_s,
                                    bool failed, int64_t now_ms)
{
    struct mg_dict_slot slot;
    struct state s;
    enum mg_dict_rc rc = open_slot(&slot, dict, key, rule, now_ms);
    if (rc != MG_DICT_OK)
        return rc;
    load(&slot, rule, &s);
    if (s.held == 0) {
        mg_dict_slot_close(&slot);
        return MG_DICT_ABSENT;
    }
    /* Counted while this one is still held, as it is part of what the limit is tried with. */
    if (failed || latency_s >= 0)
        count(&s, rule, latency_s, failed, now_ms);
    s.held--;
    rc = keep(&slot, &s);
    mg_dict_slot_close(&slot);
    return rc;
}
