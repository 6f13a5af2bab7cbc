/*
 * The route table: the rules as configured, and a tree for each host. Built by the control thread,
 * immutable from `mg_router_finish` on.
 */
#include "gateway/router.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/pool.h"
#include "base/uri.h"
#include "gateway/route_hash.h"

#define HOST_MAX 255
#define METHODS_MAX 31
#define OTHER_METHOD (1u << METHODS_MAX) /* one that no route names */

struct level {
    struct mg_str name; /* a host, or ".example.com" for all below it */
    uint32_t hash;
    uint32_t root; /* 0: empty slot */
};

struct mg_router {
    struct mg_route_tree tree; /* its words are NULL until it is built */
    uint32_t any_root;         /* of routes without host; 0: none */
    struct level *levels;
    unsigned level_bits;
    bool has_levels;

    struct mg_str methods[METHODS_MAX];
    unsigned method_count;

    struct mg_route_entry **entries; /* in file order */
    size_t entry_count, entry_room;
    size_t rule_count;
    struct mg_pool pool;
    struct mg_arena arena; /* rules, entries and their texts */
};

/* ---- rules ---- */

struct mg_router *mg_router_new(void)
{
    struct mg_router *r = mg_calloc(1, sizeof *r);
    mg_pool_init(&r->pool, 32 * 1024);
    mg_arena_init(&r->arena, &r->pool);
    r->methods[r->method_count++] = MG_STR("GET");
    r->methods[r->method_count++] = MG_STR("HEAD");
    return r;
}

void mg_router_free(struct mg_router *r)
{
    if (!r)
        return;
    mg_arena_release(&r->arena);
    mg_pool_release(&r->pool);
    free(r->entries);
    free(r->levels);
    mg_route_tree_release(&r->tree);
    free(r);
}

static uint32_t method_bit(const struct mg_router *r, struct mg_str method)
{
    for (unsigned i = 0; i < r->method_count; i++)
        if (mg_str_eq(r->methods[i], method))
            return 1u << i;
    return OTHER_METHOD;
}

static bool is_method(struct mg_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
    }
    return name.n > 0;
}

static enum mg_rc add_methods(struct mg_router *r, const struct mg_route_match *match,
                              uint32_t *methods, struct mg_error *err)
{
    *methods = match->method_count ? 0 : MG_ROUTE_ANY_METHOD;
    for (size_t i = 0; i < match->method_count; i++) {
        struct mg_str name = match->methods[i];
        if (!is_method(name))
            return mg_error_set(err, "method '%.*s': expected upper-case letters",
                                MG_STR_ARGS(name));
        uint32_t bit = method_bit(r, name);
        if (bit == OTHER_METHOD) {
            if (r->method_count == METHODS_MAX)
                return mg_error_set(err, "method '%.*s': more than %d different methods",
                                    MG_STR_ARGS(name), METHODS_MAX);
            bit = 1u << r->method_count;
            r->methods[r->method_count++] = mg_arena_str(&r->arena, name);
        }
        *methods |= bit;
    }
    if (*methods & method_bit(r, MG_STR("GET")))
        *methods |= method_bit(r, MG_STR("HEAD"));
    return MG_OK;
}

static bool is_host(struct mg_str name)
{
    struct mg_uri_authority a;
    if (mg_uri_parse_authority(name, false, &a) || a.port)
        return false;
    return a.v6 || (name.p[0] != '.' && !mg_str_ends(name, MG_STR(".")) &&
                    !memmem(name.p, name.n, "..", 2) && mg_str_find(name, '*') < 0);
}

/* As entries hold it: lower case, no brackets, no dot at the end. */
static enum mg_rc clean_host(struct mg_router *r, struct mg_str host, struct mg_str *out,
                             struct mg_error *err)
{
    *out = MG_STR("");
    if (host.n == 0 || mg_str_eq(host, MG_STR("*")))
        return MG_OK;
    struct mg_str copy = mg_arena_str(&r->arena, host);
    for (size_t i = 0; i < copy.n; i++)
        ((char *)copy.p)[i] = mg_lower(copy.p[i]);
    if (mg_str_ends(copy, MG_STR(".")))
        copy.n--;
    bool wild = mg_str_starts(copy, MG_STR("*."));
    if (copy.n > HOST_MAX || !is_host(wild ? mg_str(copy.p + 2, copy.n - 2) : copy))
        return mg_error_set(err, "host '%.*s': expected a name, an address or '*.name', no port",
                            MG_STR_ARGS(host));
    if (copy.p[0] == '[')
        copy = mg_str(copy.p + 1, copy.n - 2);
    *out = copy;
    return MG_OK;
}

static void add_entry(struct mg_router *r, struct mg_str host, const struct mg_route_rule *rule,
                      const struct mg_route_pattern *pattern)
{
    if (r->entry_count == r->entry_room) {
        r->entry_room = r->entry_room ? 2 * r->entry_room : 64;
        r->entries = mg_realloc(r->entries, r->entry_room * sizeof *r->entries);
    }
    struct mg_route_entry *entry = mg_arena_alloc(&r->arena, sizeof *entry);
    *entry = (struct mg_route_entry){.host = host, .pattern = *pattern, .rule = rule};
    r->entries[r->entry_count++] = entry;
}

/* All paths of the match under one host. */
static enum mg_rc add_paths(struct mg_router *r, const struct mg_route_match *match,
                            struct mg_str host, const struct mg_route_rule *rule,
                            struct mg_error *err)
{
    struct mg_route_pattern patterns[2];
    size_t count;
    for (size_t i = 0; i < match->path_count; i++) {
        if (mg_route_pattern_parse(&r->arena, match->base_path, match->paths[i], patterns, err))
            return MG_FAIL;
        add_entry(r, host, rule, patterns);
    }
    if (match->path_prefix.n == 0)
        return MG_OK;
    if (mg_route_pattern_prefix(&r->arena, match->base_path, match->path_prefix, patterns, &count,
                                err))
        return MG_FAIL;
    for (size_t i = 0; i < count; i++)
        add_entry(r, host, rule, &patterns[i]);
    return MG_OK;
}

enum mg_rc mg_router_add(struct mg_router *r, const struct mg_route_match *match, const void *route,
                         struct mg_error *err)
{
    MG_BUG_ON(r->tree.words != NULL);
    if (match->path_count == 0 && match->path_prefix.n == 0)
        return mg_error_set(err, "a route needs a path");
    uint32_t methods;
    if (add_methods(r, match, &methods, err))
        return MG_FAIL;
    const struct mg_route_rule *rule =
        mg_route_rule_new(&r->arena, match, route, methods, r->rule_count++);
    for (size_t i = 0; i < match->host_count || i == 0; i++) {
        struct mg_str host = match->host_count ? match->hosts[i] : MG_STR("");
        enum mg_rc rc = clean_host(r, host, &host, err);
        if (!rc)
            rc = add_paths(r, match, host, rule, err);
        if (rc)
            return rc;
    }
    return MG_OK;
}

void mg_router_each(const struct mg_router *r,
                    void (*each)(void *arg, const void *route, struct mg_str host,
                                 const struct mg_route_pattern *pattern),
                    void *arg)
{
    for (size_t i = 0; i < r->entry_count; i++)
        each(arg, r->entries[i]->rule->route, r->entries[i]->host, &r->entries[i]->pattern);
}

/* ---- order and shadows ---- */

static int compare_bytes(struct mg_str a, struct mg_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

static int compare_entries(const void *left, const void *right)
{
    const struct mg_route_entry *a = *(struct mg_route_entry *const *)left,
                                *b = *(struct mg_route_entry *const *)right;
    int order = compare_bytes(a->host, b->host);
    return order ? order : mg_route_tree_compare(a, b);
}

static bool same_place(const struct mg_route_entry *a, const struct mg_route_entry *b)
{
    const struct mg_route_pattern *p = &a->pattern, *q = &b->pattern;
    return mg_str_eq(a->host, b->host) && mg_str_eq(p->key, q->key) && p->end == q->end &&
           p->regex_literal.n == q->regex_literal.n;
}

/* Both are in one place, methods apart. Paths that a regex takes are only compared by its text. */
static bool shadows(const struct mg_route_entry *a, const struct mg_route_entry *b)
{
    return a->rule != b->rule && mg_route_rule_covers(a->rule, b->rule) &&
           (!a->pattern.regex || mg_str_eq(a->pattern.text, b->pattern.text));
}

static void report_shadows(struct mg_route_entry *const *sorted, size_t n,
                           void (*on_shadow)(void *arg, const struct mg_route_shadow *shadow),
                           void *arg)
{
    size_t first = 0; /* of those in the same place */
    for (size_t i = 1; i < n; i++) {
        const struct mg_route_entry *b = sorted[i];
        if (!same_place(sorted[first], b))
            first = i;
        uint32_t left = b->rule->methods; /* that it can still get */
        for (size_t j = first; j < i; j++) {
            const struct mg_route_entry *a = sorted[j];
            if (!shadows(a, b))
                continue;
            left &= ~a->rule->methods;
            if (left)
                continue;
            struct mg_route_shadow shadow = {b->rule->route, a->rule->route, b->host,
                                             b->pattern.text};
            on_shadow(arg, &shadow);
            break;
        }
    }
}

/* ---- hosts ---- */

static uint32_t hash_host(struct mg_str host)
{
    uint32_t hash = MG_ROUTE_HASH_SEED;
    for (size_t i = host.n; i > 0; i--) /* from the end, so that one pass hashes all its suffixes */
        hash = mg_route_hash_byte(hash, mg_lower(host.p[i - 1]));
    return hash;
}

static void put_level(struct mg_router *r, struct mg_str host, uint32_t root)
{
    if (host.n == 0) {
        r->any_root = root;
        return;
    }
    struct mg_str name = host.p[0] == '*' ? mg_str(host.p + 1, host.n - 1) : host;
    uint32_t hash = hash_host(name), mask = (1u << r->level_bits) - 1;
    uint32_t i = mg_route_hash_slot(hash, r->level_bits);
    while (r->levels[i].root)
        i = (i + 1) & mask;
    r->levels[i] = (struct level){name, hash, root};
    r->has_levels = true;
}

static uint32_t find_level(const struct mg_router *r, uint32_t hash, struct mg_str name)
{
    uint32_t mask = (1u << r->level_bits) - 1;
    for (uint32_t i = mg_route_hash_slot(hash, r->level_bits); r->levels[i].root;
         i = (i + 1) & mask)
        if (r->levels[i].hash == hash && mg_str_ieq(r->levels[i].name, name))
            return r->levels[i].root;
    return 0;
}

static size_t run_of_host(struct mg_route_entry *const *v, size_t n)
{
    size_t i = 1;
    while (i < n && mg_str_eq(v[i]->host, v[0]->host))
        i++;
    return i;
}

static void emit_hosts(struct mg_router *r, struct mg_route_entry *const *sorted)
{
    size_t hosts = 0;
    for (size_t i = 0; i < r->entry_count; i += run_of_host(sorted + i, r->entry_count - i))
        hosts++;
    r->level_bits = mg_route_hash_bits(hosts);
    r->levels = mg_calloc((size_t)1 << r->level_bits, sizeof *r->levels);
    mg_route_tree_init(&r->tree);
    for (size_t i = 0, n; i < r->entry_count; i += n) {
        n = run_of_host(sorted + i, r->entry_count - i);
        put_level(r, sorted[i]->host, mg_route_tree_add(&r->tree, sorted + i, n));
    }
}

static struct mg_route_entry **sort_entries(const struct mg_router *r)
{
    struct mg_route_entry **sorted = mg_calloc(r->entry_count + 1, sizeof *sorted);
    for (size_t i = 0; i < r->entry_count; i++)
        sorted[i] = r->entries[i];
    qsort(sorted, r->entry_count, sizeof *sorted, compare_entries);
    return sorted;
}

void mg_router_finish(struct mg_router *r,
                      void (*on_shadow)(void *arg, const struct mg_route_shadow *shadow), void *arg)
{
    MG_BUG_ON(r->tree.words != NULL);
    struct mg_route_entry **sorted = sort_entries(r);
    if (on_shadow)
        report_shadows(sorted, r->entry_count, on_shadow, arg);
    emit_hosts(r, sorted);
    free(sorted);
}

void mg_router_shadows(const struct mg_router *r,
                       void (*on_shadow)(void *arg, const struct mg_route_shadow *shadow),
                       void *arg)
{
    struct mg_route_entry **sorted = sort_entries(r);
    report_shadows(sorted, r->entry_count, on_shadow, arg);
    free(sorted);
}

/* ---- search ---- */

static bool search_level(struct mg_route_search *s, uint32_t root)
{
    return root && !s->gave_up && mg_route_tree_find(s, root);
}

/* The levels of the host, most specific first. Each wildcard that is found is a suffix of its own,
 * so there are at most as many as a host has labels. */
static bool search_hosts(struct mg_route_search *s, const struct mg_router *r, struct mg_str host)
{
    uint32_t wild[HOST_MAX / 2 + 1], hash = MG_ROUTE_HASH_SEED;
    size_t count = 0;
    if (mg_str_ends(host, MG_STR(".")))
        host.n--;
    if (host.n == 0 || host.n > HOST_MAX || host.p[0] == '.')
        return false;
    for (size_t i = host.n; i-- > 0;) {
        hash = mg_route_hash_byte(hash, mg_lower(host.p[i]));
        if (host.p[i] != '.')
            continue;
        uint32_t root = find_level(r, hash, mg_str(host.p + i, host.n - i));
        if (root && count < sizeof wild / sizeof wild[0])
            wild[count++] = root;
    }
    if (search_level(s, find_level(r, hash, host)))
        return true;
    while (count > 0)
        if (search_level(s, wild[--count]))
            return true;
    return false;
}

enum mg_router_result mg_router_find(const struct mg_router *r, const struct mg_route_query *q,
                                     struct mg_route_found *found)
{
    struct mg_route_search s = {
        .tree = &r->tree,
        .query = q,
        .found = found,
        .method = method_bit(r, q->method),
    };
    found->allow = 0;
    if (q->path.n == 0 || q->path.p[0] != '/')
        return MG_ROUTER_NONE;
    if ((r->has_levels && search_hosts(&s, r, q->host)) || search_level(&s, r->any_root))
        return MG_ROUTER_FOUND;
    if (s.gave_up)
        return MG_ROUTER_GAVE_UP;
    return found->allow ? MG_ROUTER_WRONG_METHOD : MG_ROUTER_NONE;
}

/* ---- tracing ---- */

/* A host leads to as many levels as it has labels, to its own, and to that of any host. */
#define HOST_LEVELS_MAX (HOST_MAX / 2 + 3)

struct tracing {
    void (*on_tried)(void *arg, const struct mg_route_tried *tried);
    void *arg;
    struct mg_str hosts[HOST_LEVELS_MAX]; /* of levels that were told of */
    size_t host_count;
};

static bool is_told(const struct tracing *t, struct mg_str host)
{
    for (size_t i = t->host_count; i > 0; i--)
        if (mg_str_eq(t->hosts[i - 1], host))
            return true;
    return false;
}

static void on_tried(void *arg, const struct mg_route_tried *tried)
{
    struct tracing *t = arg;
    struct mg_str host = tried->entry->host;
    bool told = is_told(t, host);
    if (tried->verdict == MG_ROUTE_OTHER_HOST && told)
        return;
    if (tried->verdict != MG_ROUTE_OTHER_HOST && !told && t->host_count < HOST_LEVELS_MAX)
        t->hosts[t->host_count++] = host;
    t->on_tried(t->arg, tried);
}

static void trace_other_hosts(struct mg_route_search *s, const struct mg_router *r)
{
    for (size_t i = 0; r->has_levels && i < (size_t)1 << r->level_bits; i++)
        search_level(s, r->levels[i].root);
}

void mg_router_trace(const struct mg_router *r, const struct mg_route_query *q,
                     void (*fn)(void *arg, const struct mg_route_tried *tried), void *arg)
{
    struct tracing t = {.on_tried = fn, .arg = arg};
    struct mg_route_trace trace = {
        .on_tried = on_tried, .arg = &t, .method = method_bit(r, q->method)};
    struct mg_route_found found = {.allow = 0};
    struct mg_route_search s = {.tree = &r->tree, .query = q, .found = &found, .trace = &trace};
    if (q->path.n == 0 || q->path.p[0] != '/')
        return;
    if (r->has_levels)
        search_hosts(&s, r, q->host);
    search_level(&s, r->any_root);
    trace.other_host = true;
    trace_other_hosts(&s, r);
}

enum mg_router_precedence mg_router_precedence(const struct mg_route_entry *first,
                                               const struct mg_route_entry *second)
{
    const struct mg_route_rule *a = first->rule, *b = second->rule;
    if (!mg_str_eq(first->host, second->host))
        return MG_ROUTER_BY_HOST;
    if (!same_place(first, second))
        return MG_ROUTER_BY_PATH;
    return a->kinds != b->kinds || a->singles != b->singles ? MG_ROUTER_BY_CONDITIONS
                                                            : MG_ROUTER_BY_ORDER;
}

struct mg_str mg_router_allow(const struct mg_router *r, uint32_t allow, struct mg_arena *arena)
{
    struct mg_str text = MG_STR("");
    for (unsigned i = 0; i < r->method_count; i++) {
        if (!(allow & 1u << i))
            continue;
        text = mg_arena_printf(arena, "%.*s%s%.*s", MG_STR_ARGS(text), text.n ? ", " : "",
                               MG_STR_ARGS(r->methods[i]));
    }
    return text;
}

bool mg_router_param(const struct mg_route_found *found, struct mg_str name, struct mg_str *value)
{
    for (size_t i = 0; i < found->param_count; i++) {
        if (!mg_str_eq(found->pattern->names[i], name))
            continue;
        *value = found->values[i];
        return true;
    }
    return false;
}
