/*
 * The circuit breaker. Any thread.
 *
 * Its whole state is one word: a time, and in the lowest two bits what the time stands for. A
 * request's ticket is the word under which it was let through, so a report that belongs to an
 * earlier state is known by its ticket, and each change of state is one compare-and-swap that one
 * thread wins.
 */
#include "upstream/breaker.h"

#include <stdlib.h>

#include "base/memory.h"

enum { CLOSED, OPEN, TRIAL }; /* since then, until then, since then */

struct mg_breaker {
    /* Set once. */
    struct mg_breaker_config config;
    /* Atomic. */
    atomic_uint refs;
    atomic_uint_fast64_t state;
    atomic_uint failures; /* in a row, while closed */
    struct mg_window window;
};

static uint64_t word(uint64_t time_ns, unsigned kind)
{
    return time_ns << 2 | kind;
}

static unsigned kind_of(uint64_t state)
{
    return state & 3;
}

static uint64_t time_of(uint64_t state)
{
    return state >> 2;
}

static bool change(struct mg_breaker *b, uint64_t from, uint64_t to)
{
    uint_fast64_t expected = from;
    return atomic_compare_exchange_strong_explicit(&b->state, &expected, to, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

struct mg_breaker *mg_breaker_new(const struct mg_breaker_config *config)
{
    struct mg_breaker *b = mg_calloc(1, sizeof *b);
    b->config = *config;
    atomic_init(&b->refs, 1);
    mg_window_init(&b->window, config->window_ns);
    return b;
}

struct mg_breaker *mg_breaker_ref(struct mg_breaker *b)
{
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

void mg_breaker_unref(struct mg_breaker *b)
{
    if (b && atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1)
        free(b);
}

const struct mg_breaker_config *mg_breaker_config(const struct mg_breaker *b)
{
    return &b->config;
}

/* --- letting through --- */

static bool refuses(uint64_t state, uint64_t now_ns)
{
    switch (kind_of(state)) {
    case CLOSED:
        return false;
    case OPEN:
        return now_ns < time_of(state);
    default:
        return true;
    }
}

bool mg_breaker_refuses(const struct mg_breaker *b, uint64_t now_ns)
{
    return refuses(atomic_load_explicit(&b->state, memory_order_relaxed), now_ns);
}

bool mg_breaker_admit(struct mg_breaker *b, uint64_t now_ns, uint64_t *ticket)
{
    uint64_t state = atomic_load_explicit(&b->state, memory_order_relaxed);
    *ticket = state;
    if (kind_of(state) == CLOSED)
        return true;
    if (refuses(state, now_ns))
        return false;
    *ticket = word(now_ns, TRIAL);
    return change(b, state, *ticket); /* of all who come at this moment one is the trial */
}

bool mg_breaker_is_trial(uint64_t ticket)
{
    return kind_of(ticket) == TRIAL;
}

uint64_t mg_breaker_retry_after(const struct mg_breaker *b, uint64_t now_ns)
{
    uint64_t state = atomic_load_explicit(&b->state, memory_order_relaxed);
    return kind_of(state) == OPEN && time_of(state) > now_ns ? time_of(state) - now_ns : 0;
}

/* --- reports --- */

enum mg_breaker_outcome mg_breaker_judge(const struct mg_breaker_config *c, unsigned status,
                                         uint64_t took_ns)
{
    if (status >= 500 || (c->slow_ns && took_ns > c->slow_ns))
        return MG_BREAKER_FAILURE;
    return status >= 300 ? MG_BREAKER_NEUTRAL : MG_BREAKER_SUCCESS;
}

/* The counts begin anew before anybody can be let through under the new state. */
static enum mg_breaker_change end_trial(struct mg_breaker *b, uint64_t ticket,
                                        enum mg_breaker_outcome outcome, uint64_t now_ns)
{
    switch (outcome) {
    case MG_BREAKER_SUCCESS:
    case MG_BREAKER_NEUTRAL:
        atomic_store_explicit(&b->failures, 0, memory_order_relaxed);
        mg_window_reset(&b->window);
        return change(b, ticket, word(now_ns, CLOSED)) ? MG_BREAKER_CLOSED : MG_BREAKER_SAME;
    case MG_BREAKER_FAILURE:
        change(b, ticket, word(now_ns + b->config.open_ns, OPEN));
        return MG_BREAKER_OPENED;
    case MG_BREAKER_UNKNOWN:
        change(b, ticket, word(now_ns, OPEN)); /* the next one is the trial */
        break;
    }
    return MG_BREAKER_SAME;
}

static bool too_many_in_a_row(struct mg_breaker *b)
{
    uint32_t limit = b->config.failures;
    return limit && atomic_fetch_add_explicit(&b->failures, 1, memory_order_relaxed) + 1 >= limit;
}

static bool too_large_a_share(struct mg_breaker *b, uint64_t now_ns)
{
    const struct mg_breaker_config *c = &b->config;
    if (!c->ratio)
        return false;
    struct mg_window_sum sum = mg_window_sum(&b->window, now_ns);
    return sum.total >= c->min_requests &&
           (uint64_t)sum.marked * 100 >= (uint64_t)sum.total * c->ratio;
}

enum mg_breaker_change mg_breaker_report(struct mg_breaker *b, uint64_t ticket,
                                         enum mg_breaker_outcome outcome, uint64_t now_ns)
{
    if (kind_of(ticket) == TRIAL)
        return end_trial(b, ticket, outcome, now_ns);
    if (outcome == MG_BREAKER_UNKNOWN ||
        atomic_load_explicit(&b->state, memory_order_relaxed) != ticket)
        return MG_BREAKER_SAME;
    if (b->config.ratio)
        mg_window_add(&b->window, outcome == MG_BREAKER_FAILURE, now_ns);
    if (outcome == MG_BREAKER_SUCCESS && atomic_load_explicit(&b->failures, memory_order_relaxed))
        atomic_store_explicit(&b->failures, 0, memory_order_relaxed);
    if (outcome != MG_BREAKER_FAILURE)
        return MG_BREAKER_SAME;
    bool open = too_many_in_a_row(b);
    open |= too_large_a_share(b, now_ns);
    if (open && change(b, ticket, word(now_ns + b->config.open_ns, OPEN)))
        return MG_BREAKER_OPENED;
    return MG_BREAKER_SAME;
}
