/* Conditions of routes. Made by the control thread; asked by any. */
#include "gateway/route_rule.h"

#include "base/uri.h"
#include "gateway/route_hash.h"

static uint64_t signature_of(struct mg_str name)
{
    uint32_t hash = MG_ROUTE_HASH_SEED;
    for (size_t i = 0; i < name.n; i++)
        hash = mg_route_hash_byte(hash, mg_lower(name.p[i]));
    return (uint64_t)1 << mg_route_hash_slot(hash, 6);
}

static const struct mg_route_pair *copy_pairs(struct mg_arena *arena,
                                              const struct mg_route_pair *pairs, size_t count,
                                              struct mg_route_rule *rule)
{
    struct mg_route_pair *copy = mg_arena_alloc(arena, count * sizeof *copy);
    for (size_t i = 0; i < count; i++) {
        copy[i].name = mg_arena_str(arena, pairs[i].name);
        copy[i].value = mg_arena_str(arena, pairs[i].value);
        rule->signature |= signature_of(pairs[i].name);
    }
    return copy;
}

struct mg_route_rule *mg_route_rule_new(struct mg_arena *arena, const struct mg_route_match *match,
                                        const void *route, uint32_t methods, size_t order)
{
    struct mg_route_rule *rule = mg_arena_calloc(arena, sizeof *rule);
    rule->route = route;
    rule->methods = methods;
    rule->order = order;
    rule->headers = copy_pairs(arena, match->headers, match->header_count, rule);
    rule->header_count = match->header_count;
    rule->query = copy_pairs(arena, match->query, match->query_count, rule);
    rule->query_count = match->query_count;
    rule->listener = mg_arena_str(arena, match->listener);
    bool by_method = match->method_count > 0, by_listener = match->listener.n > 0;
    rule->kinds =
        (unsigned)by_method + by_listener + (rule->header_count > 0) + (rule->query_count > 0);
    rule->singles = (size_t)by_method + by_listener + rule->header_count + rule->query_count;
    return rule;
}

int mg_route_rule_compare(const struct mg_route_rule *a, const struct mg_route_rule *b)
{
    if (a->kinds != b->kinds)
        return a->kinds > b->kinds ? -1 : 1;
    if (a->singles != b->singles)
        return a->singles > b->singles ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static bool has_pair(const struct mg_route_pair *pairs, size_t count,
                     const struct mg_route_pair *pair, bool any_case)
{
    for (size_t i = 0; i < count; i++) {
        bool same =
            any_case ? mg_str_ieq(pairs[i].name, pair->name) : mg_str_eq(pairs[i].name, pair->name);
        if (same && (mg_str_eq(pair->value, MG_STR("*")) || mg_str_eq(pairs[i].value, pair->value)))
            return true;
    }
    return false;
}

bool mg_route_rule_covers(const struct mg_route_rule *a, const struct mg_route_rule *b)
{
    if (a->signature & ~b->signature)
        return false;
    if (a->listener.n && !mg_str_eq(a->listener, b->listener))
        return false;
    for (size_t i = 0; i < a->header_count; i++)
        if (!has_pair(b->headers, b->header_count, &a->headers[i], true))
            return false;
    for (size_t i = 0; i < a->query_count; i++)
        if (!has_pair(b->query, b->query_count, &a->query[i], false))
            return false;
    return true;
}

static bool has_header(const struct mg_route_query *q, const struct mg_route_pair *pair)
{
    const struct mg_str *value = mg_str_eq(pair->value, MG_STR("*")) ? NULL : &pair->value;
    return q->has_header && q->has_header(q->header_arg, pair->name, value);
}

static bool has_query(const struct mg_route_query *q, const struct mg_route_pair *pair)
{
    const struct mg_str *value = mg_str_eq(pair->value, MG_STR("*")) ? NULL : &pair->value;
    return mg_uri_query_has(q->query, pair->name, value);
}

bool mg_route_rule_has_conditions(const struct mg_route_rule *rule)
{
    return rule->listener.n > 0 || rule->header_count > 0 || rule->query_count > 0;
}

bool mg_route_rule_holds(const struct mg_route_rule *rule, const struct mg_route_query *q,
                         struct mg_route_fault *fault)
{
    fault->by = MG_ROUTE_BY_LISTENER;
    if (rule->listener.n && !mg_str_eq(rule->listener, q->listener))
        return false;
    fault->by = MG_ROUTE_BY_HEADER;
    for (size_t i = 0; i < rule->header_count; i++) {
        fault->pair = &rule->headers[i];
        if (!has_header(q, fault->pair))
            return false;
    }
    fault->by = MG_ROUTE_BY_QUERY;
    for (size_t i = 0; i < rule->query_count; i++) {
        fault->pair = &rule->query[i];
        if (!has_query(q, fault->pair))
            return false;
    }
    return true;
}
