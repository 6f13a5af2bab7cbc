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

void mg_guards_init(struct mg_guards *g, const struct mg_guards_config *config)
{
    *g = (struct mg_guards){0};
    if (config->breaker.open_ns)
        g->breaker = mg_breaker_new(&config->breaker);
    g->any = g->breaker;
}

void mg_guards_release(struct mg_guards *g)
{
    mg_breaker_unref(g->breaker);
}

void mg_guards_inherit(struct mg_guards *g, const struct mg_guards *old)
{
    if (same_breaker(g->breaker, old->breaker)) {
        mg_breaker_unref(g->breaker);
        g->breaker = mg_breaker_ref(old->breaker);
    }
}
