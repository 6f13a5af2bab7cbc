/* The parts that protect a service, and how they outlive a reload. Control thread. */
#include "upstream/guards.h"

static bool same_breaker(const struct mg_breaker *a, const struct mg_breaker *b)
{
    if (!a || !b)
        return false;
    const struct mg_breaker_config *x = mg_breaker_config(a), *y = mg_breaker_config(b);
    return x->failures == y->failures && x->open_ns == y->open_ns && x->ratio == y->ratio &&
           x->min_requests == y->min_requests && x->window_ns == y->window_ns &&
           x->slow_ns == y->slow_ns;
}

static bool same_gate(const struct mg_gate *a, const struct mg_gate *b)
{
    if (!a || !b)
        return false;
    const struct mg_gate_config *x = mg_gate_config(a), *y = mg_gate_config(b);
    return x->max_requests == y->max_requests && x->queue_size == y->queue_size &&
           x->queue_ns == y->queue_ns;
}

void mg_guards_init(struct mg_guards *g, const struct mg_guards_config *config)
{
    bool repeats = config->retry.attempts || config->hedge.max;
    *g = (struct mg_guards){.config = *config};
    if (config->breaker.open_ns)
        g->breaker = mg_breaker_new(&config->breaker);
    if (repeats)
        g->budget = mg_retry_budget_new(config->budget);
    if (config->gate.max_requests)
        g->gate = mg_gate_new(&config->gate);
    g->any = g->gate || g->breaker || repeats || config->outliers.errors;
}

void mg_guards_release(struct mg_guards *g)
{
    mg_breaker_unref(g->breaker);
    mg_retry_budget_unref(g->budget);
    mg_gate_unref(g->gate);
}

void mg_guards_inherit(struct mg_guards *g, const struct mg_guards *old)
{
    if (same_breaker(g->breaker, old->breaker)) {
        mg_breaker_unref(g->breaker);
        g->breaker = mg_breaker_ref(old->breaker);
    }
    if (g->budget && old->budget &&
        mg_retry_budget_percent(g->budget) == mg_retry_budget_percent(old->budget)) {
        mg_retry_budget_unref(g->budget);
        g->budget = mg_retry_budget_ref(old->budget);
    }
    if (same_gate(g->gate, old->gate)) {
        mg_gate_unref(g->gate);
        g->gate = mg_gate_ref(old->gate);
    }
}
