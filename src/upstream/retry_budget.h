/*
 * How many retries and hedges a service gets: a share of its requests of the last ten seconds, and
 * a few more, so that it also works with little traffic. Without it, who is overloaded gets several
 * times the load. Counted; shared by all workers without a lock. Pure; the time is an argument.
 */
#ifndef MG_UPSTREAM_RETRY_BUDGET_H
#define MG_UPSTREAM_RETRY_BUDGET_H

#include "upstream/window.h"

struct mg_retry_budget;

#define MG_RETRY_BUDGET_FLOOR 10
#define MG_RETRY_BUDGET_WINDOW_NS UINT64_C(10000000000)

struct mg_retry_budget *mg_retry_budget_new(uint32_t percent);
struct mg_retry_budget *mg_retry_budget_ref(struct mg_retry_budget *b);
void mg_retry_budget_unref(struct mg_retry_budget *b); /* NULL is fine */
uint32_t mg_retry_budget_percent(const struct mg_retry_budget *b);
void mg_retry_budget_add_request(struct mg_retry_budget *b, uint64_t now_ns);
/* May there be one more? */
bool mg_retry_budget_take(struct mg_retry_budget *b, uint64_t now_ns);

#endif
