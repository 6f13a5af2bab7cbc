/* The arithmetic of limiters. Pure. */
#include "shared/limiter_rules.h"

#include <math.h>
#include <string.h>

/* Rounding of the sums below may not cost a client the token it has waited for. */
#define SLACK 1e-6

/* Beyond these, results would no longer be whole numbers, or times that anybody can write down. */
#define UNITS_MAX 0x1p53
#define SECONDS_MAX 1e9

static int64_t ceil_ms(double seconds)
{
    int64_t ms = (int64_t)ceil(seconds * 1000 - SLACK);
    return ms > 0 ? ms : 1;
}

static int64_t elapsed_ms(int64_t from_ms, int64_t now_ms)
{
    return now_ms > from_ms ? now_ms - from_ms : 0;
}

static int64_t later(int64_t a_ms, int64_t b_ms)
{
    return a_ms > b_ms ? a_ms : b_ms;
}

/* ---- fixed window ---- */

/* The window that `now` lies in. One whose length has shrunk since may be over before its entry
 * expires. */
static void fixed_window(const struct mg_limiter_rule *rule, const union mg_limiter_state *state,
                         double cost, int64_t now_ms, struct mg_limiter_decision *out)
{
    int64_t length_ms = ceil_ms(rule->seconds), start_ms = now_ms;
    double count = 0;
    if (state && elapsed_ms(state->fixed.start_ms, now_ms) < length_ms) {
        count = state->fixed.count;
        start_ms = state->fixed.start_ms;
    }
    bool ok = count + cost <= rule->limit + SLACK;
    if (ok)
        count += cost;
    double left_s = (double)(length_ms - elapsed_ms(start_ms, now_ms)) / 1000;
    out->result = (struct mg_limiter_result){
        .ok = ok,
        .remaining = fmax(0, floor(rule->limit - count + SLACK)),
        .reset_s = left_s,
        .retry_after_s = ok ? 0 : left_s,
    };
    out->next.fixed.count = count;
    out->next.fixed.start_ms = start_ms;
    out->expires_ms = start_ms + length_ms;
}

/* ---- sliding window ---- */

/* Lets the cells that have left by `now` go. */
static void slide(union mg_limiter_state *s, int64_t now_ms)
{
    int64_t newest = later(now_ms / s->sliding.cell_ms, s->sliding.newest);
    int64_t gone = newest - s->sliding.newest;
    if (gone > MG_LIMITER_CELLS)
        gone = MG_LIMITER_CELLS;
    for (int64_t i = 0; i < gone; i++)
        s->sliding.counts[(newest - i) % MG_LIMITER_CELLS] = 0;
    s->sliding.newest = newest;
}

static double sum_of_cells(const union mg_limiter_state *s)
{
    double sum = 0;
    for (int i = 0; i < MG_LIMITER_CELLS; i++)
        sum += s->sliding.counts[i];
    return sum;
}

/* The state as it is now, in cells of that length. When the rule's time has changed, all that
 * counts goes into the newest cell: later than due, but never lost. */
static void sliding_now(const union mg_limiter_state *state, int64_t cell_ms, int64_t now_ms,
                        union mg_limiter_state *s)
{
    double before = 0;
    if (state) {
        *s = *state;
        slide(s, now_ms);
        if (s->sliding.cell_ms == cell_ms)
            return;
        before = sum_of_cells(s);
    }
    memset(&s->sliding, 0, sizeof s->sliding);
    s->sliding.cell_ms = cell_ms;
    s->sliding.newest = now_ms / cell_ms;
    s->sliding.counts[s->sliding.newest % MG_LIMITER_CELLS] = before;
}

/* When so much of what counts has left, in milliseconds; at the latest when all has. */
static int64_t sliding_free_at(const union mg_limiter_state *s, double units)
{
    int64_t oldest = s->sliding.newest - MG_LIMITER_CELLS + 1;
    int64_t last = s->sliding.newest;
    while (last >= oldest && s->sliding.counts[(last + MG_LIMITER_CELLS) % MG_LIMITER_CELLS] == 0)
        last--;
    double freed = 0;
    for (int64_t cell = oldest; cell < last; cell++) {
        freed += s->sliding.counts[(cell + MG_LIMITER_CELLS) % MG_LIMITER_CELLS];
        if (freed + SLACK >= units)
            return (cell + MG_LIMITER_CELLS) * s->sliding.cell_ms;
    }
    return (last + MG_LIMITER_CELLS) * s->sliding.cell_ms;
}

static void sliding_window(const struct mg_limiter_rule *rule, const union mg_limiter_state *state,
                           double cost, int64_t now_ms, struct mg_limiter_decision *out)
{
    int64_t cell_ms = (ceil_ms(rule->seconds) + MG_LIMITER_CELLS - 2) / (MG_LIMITER_CELLS - 1);
    union mg_limiter_state *s = &out->next;
    sliding_now(state, cell_ms, now_ms, s);
    double used = sum_of_cells(s);
    bool ok = used + cost <= rule->limit + SLACK;
    double retry_after_s = 0;
    if (ok) {
        used += cost;
        s->sliding.counts[s->sliding.newest % MG_LIMITER_CELLS] += cost;
    } else if (cost > rule->limit) {
        retry_after_s = (double)(cell_ms * MG_LIMITER_CELLS) / 1000;
    } else {
        int64_t free_ms = sliding_free_at(s, used + cost - rule->limit);
        retry_after_s = (double)elapsed_ms(now_ms, free_ms) / 1000;
    }
    int64_t empty_ms = used > 0 ? sliding_free_at(s, INFINITY) : now_ms;
    out->result = (struct mg_limiter_result){
        .ok = ok,
        .remaining = fmax(0, floor(rule->limit - used + SLACK)),
        .reset_s = (double)elapsed_ms(now_ms, empty_ms) / 1000,
        .retry_after_s = retry_after_s,
    };
    out->expires_ms = empty_ms;
}

/* ---- buckets ---- */

static double rate_of(const struct mg_limiter_rule *rule)
{
    return rule->limit / rule->seconds;
}

static double change_since(const struct mg_limiter_rule *rule, const union mg_limiter_state *state,
                           int64_t now_ms)
{
    return (double)elapsed_ms(state->bucket.at_ms, now_ms) * rate_of(rule) / 1000;
}

static void keep_level(const union mg_limiter_state *state, double level, double left_s,
                       int64_t now_ms, struct mg_limiter_decision *out)
{
    int64_t at_ms = state ? later(state->bucket.at_ms, now_ms) : now_ms;
    out->next.bucket.level = level;
    out->next.bucket.at_ms = at_ms;
    out->expires_ms = at_ms + ceil_ms(left_s);
}

static void token_bucket(const struct mg_limiter_rule *rule, const union mg_limiter_state *state,
                         double cost, int64_t now_ms, struct mg_limiter_decision *out)
{
    double rate = rate_of(rule), burst = rule->burst, tokens = burst;
    if (state)
        tokens = fmin(burst, state->bucket.level + change_since(rule, state, now_ms));
    bool ok = tokens + SLACK >= cost;
    if (ok)
        tokens = fmax(0, tokens - cost);
    double full_in_s = (burst - tokens) / rate;
    out->result = (struct mg_limiter_result){
        .ok = ok,
        .remaining = floor(tokens + SLACK),
        .reset_s = full_in_s,
        .retry_after_s = ok ? 0 : (cost > burst ? burst : cost - tokens) / rate,
    };
    keep_level(state, tokens, full_in_s, now_ms, out);
}

/* As a meter when there is no queue. With one, it tells how long the request has to wait for its
 * turn (this is GCRA, of ITU-T I.371, with the bucket's level in place of a theoretical arrival
 * time). Who goes away while waiting has left all the same. */
static void leaky_bucket(const struct mg_limiter_rule *rule, const union mg_limiter_state *state,
                         double cost, int64_t now_ms, struct mg_limiter_decision *out)
{
    double rate = rate_of(rule), room = rule->burst + rule->queue, level = 0, retry_after_s = 0;
    if (state)
        level = fmax(0, state->bucket.level - change_since(rule, state, now_ms));
    bool ok = level + cost <= room + SLACK;
    if (ok)
        level += cost;
    else
        retry_after_s = (cost > room ? room : level + cost - room) / rate;
    out->result = (struct mg_limiter_result){
        .ok = ok,
        .remaining = fmax(0, floor(room - level + SLACK)),
        .reset_s = level / rate,
        .retry_after_s = retry_after_s,
        .delay_s = ok && level > rule->burst + SLACK ? (level - rule->burst) / rate : 0,
    };
    keep_level(state, level, level / rate, now_ms, out);
}

/* ---- all ---- */

static const struct {
    const char *name;
    void (*decide)(const struct mg_limiter_rule *rule, const union mg_limiter_state *state,
                   double cost, int64_t now_ms, struct mg_limiter_decision *out);
    size_t state_bytes;
} ALGORITHMS[] = {
    [MG_LIMITER_FIXED_WINDOW] = {"fixed-window", fixed_window,
                                 sizeof(((union mg_limiter_state *)0)->fixed)},
    [MG_LIMITER_SLIDING_WINDOW] = {"sliding-window", sliding_window,
                                   sizeof(((union mg_limiter_state *)0)->sliding)},
    [MG_LIMITER_TOKEN_BUCKET] = {"token-bucket", token_bucket,
                                 sizeof(((union mg_limiter_state *)0)->bucket)},
    [MG_LIMITER_LEAKY_BUCKET] = {"leaky-bucket", leaky_bucket,
                                 sizeof(((union mg_limiter_state *)0)->bucket)},
};

bool mg_limiter_algorithm_find(struct mg_str name, enum mg_limiter_algorithm *out)
{
    for (size_t i = 0; i < sizeof ALGORITHMS / sizeof ALGORITHMS[0]; i++) {
        if (mg_str_eq(name, mg_str_c(ALGORITHMS[i].name))) {
            *out = (enum mg_limiter_algorithm)i;
            return true;
        }
    }
    return false;
}

size_t mg_limiter_state_bytes(enum mg_limiter_algorithm algorithm)
{
    return ALGORITHMS[algorithm].state_bytes;
}

/* Also false for what is no number. */
bool mg_limiter_units_ok(double units)
{
    return units >= 0 && units <= UNITS_MAX;
}

bool mg_limiter_rule_ok(const struct mg_limiter_rule *rule)
{
    bool is_bucket = rule->algorithm >= MG_LIMITER_TOKEN_BUCKET;
    if (!mg_limiter_units_ok(rule->limit) || !(rule->seconds > 0 && rule->seconds <= SECONDS_MAX))
        return false;
    return !is_bucket || (rate_of(rule) > 0 && rate_of(rule) <= UNITS_MAX &&
                          mg_limiter_units_ok(rule->burst) && mg_limiter_units_ok(rule->queue) &&
                          (rule->burst + rule->queue) / rate_of(rule) <= SECONDS_MAX);
}

void mg_limiter_decide(const struct mg_limiter_rule *rule, const union mg_limiter_state *state,
                       double cost, int64_t now_ms, struct mg_limiter_decision *out)
{
    ALGORITHMS[rule->algorithm].decide(rule, state, cost, now_ms, out);
}
