/* The budget of retries. Any thread. */
#include "upstream/retry_budget.h"

#include <stdlib.h>

#include "base/memory.h"

struct mg_retry_budget {
    atomic_uint refs;
    uint32_t percent; /* set once */
    struct mg_window window;
};

struct mg_retry_budget *mg_retry_budget_new(uint32_t percent)
{
    struct mg_retry_budget *b = mg_calloc(1, sizeof *b);
    atomic_init(&b->refs, 1);
    b->percent = percent;
    mg_window_init(&b->window, MG_RETRY_BUDGET_WINDOW_NS);
    return b;
}

struct mg_retry_budget *mg_retry_budget_ref(struct mg_retry_budget *b)
{
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

void mg_retry_budget_unref(struct mg_retry_budget *b)
{
    if (b && atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1)
        free(b);
}

uint32_t mg_retry_budget_percent(const struct mg_retry_budget *b)
{
    return b->percent;
}

void mg_retry_budget_add_request(struct mg_retry_budget *b, uint64_t now_ns)
{
    mg_window_add(&b->window, false, now_ns);
}

bool mg_retry_budget_take(struct mg_retry_budget *b, uint64_t now_ns)
{
    return mg_window_mark(&b->window, b->percent, MG_RETRY_BUDGET_FLOOR, now_ns);
}
