/*
 * Builds and walks route trees.
 *
 * Nodes are of different sizes, and point at each other by offset in 32-bit words. A node is
 * followed by its leaves and then by its children, so that what lies below a fork is a few cache
 * lines in a row.
 */
#include "gateway/route_tree.h"

#include <stdlib.h>

#include "base/memory.h"
#include "gateway/route_hash.h"

enum {
    HAS_EXACT = 1, /* leaves for the path that ends here */
    HAS_SLASH = 2, /* leaves for the path that ends with the slash after it */
    HAS_REGEX = 4,
    HAS_TAIL = 8,
    HAS_PARAM = 16, /* the child behind "/{name}" */
    HAS_CHILDREN = 32,
};

struct node {
    uint8_t flags;
    uint8_t slot_bits; /* log2 of the number of slots */
    uint16_t label_n;  /* bytes of the literal before this position, without the slash in front */
    /* The label, padded; an offset for each of the first five flags that is set; the slots. */
    uint32_t words[];
};

/* Literal children, by the hash of their first segment. A single one has slot_bits 0, and no hash.
 */
struct slot {
    uint32_t hash;
    uint32_t child; /* 0: empty */
};

enum { LEAF_MORE = 1, LEAF_CONDITIONS = 2 };

struct leaf {
    const void *route;
    const struct mg_route_entry *entry;
    uint32_t methods;
    uint32_t flags;
};

static inline uint32_t hash_segment(const char *p, size_t n)
{
    uint32_t hash = MG_ROUTE_HASH_SEED;
    for (size_t i = 0; i < n && p[i] != '/'; i++)
        hash = mg_route_hash_byte(hash, p[i]);
    return hash;
}

static inline size_t words_for(size_t bytes)
{
    return (bytes + 3) / 4;
}

/* The offset behind one of the first five flags, which must be set. */
static inline uint32_t *link_of(const struct node *node, unsigned flag)
{
    static const uint8_t COUNT[32] = {0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
                                      1, 2, 2, 3, 2, 3, 3, 4, 2, 3, 3, 4, 3, 4, 4, 5};
    size_t at = words_for(node->label_n) + COUNT[node->flags & (flag - 1)];
    return (uint32_t *)&node->words[at];
}

/* HAS_CHILDREN comes after all links, so its place is that of the slots. */
static inline struct slot *slots_of(const struct node *node)
{
    return (struct slot *)link_of(node, HAS_CHILDREN);
}

/* ---- building ---- */

static int compare_sizes(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

/* A slash sorts before all other bytes, so that what goes on below a segment stands right behind
 * it; a parameter (NUL) comes next. */
static int compare_keys(struct mg_str a, struct mg_str b)
{
    for (size_t i = 0; i < a.n && i < b.n; i++) {
        if (a.p[i] == b.p[i])
            continue;
        if (a.p[i] == '/' || b.p[i] == '/')
            return a.p[i] == '/' ? -1 : 1;
        return (unsigned char)a.p[i] < (unsigned char)b.p[i] ? -1 : 1;
    }
    return compare_sizes(a.n, b.n);
}

int mg_route_tree_compare(const struct mg_route_entry *a, const struct mg_route_entry *b)
{
    int order = compare_keys(a->pattern.key, b->pattern.key);
    if (!order)
        order = (int)a->pattern.end - (int)b->pattern.end;
    if (!order)
        order = compare_sizes(b->pattern.regex_literal.n, a->pattern.regex_literal.n);
    return order ? order : mg_route_rule_compare(a->rule, b->rule);
}

/* Offset of `n` fresh words, all 0. The tree may move. */
static uint32_t take_words(struct mg_route_tree *t, size_t n)
{
    size_t at = t->n;
    MG_BUG_ON(at + n > UINT32_MAX);
    if (at + n > t->room) {
        t->room = 2 * (at + n);
        t->words = mg_realloc(t->words, t->room * sizeof *t->words);
    }
    memset(t->words + at, 0, n * sizeof *t->words);
    t->n = at + n;
    return (uint32_t)at;
}

static struct node *node_at(const struct mg_route_tree *t, uint32_t at)
{
    return (struct node *)(t->words + at);
}

static uint32_t emit_leaves(struct mg_route_tree *t, struct mg_route_entry *const *v, size_t n)
{
    take_words(t, t->n & 1); /* a leaf holds pointers */
    uint32_t at = take_words(t, n * sizeof(struct leaf) / sizeof *t->words);
    for (size_t i = 0; i < n; i++) {
        const struct mg_route_rule *rule = v[i]->rule;
        struct leaf leaf = {.route = rule->route, .entry = v[i], .methods = rule->methods};
        leaf.flags = i + 1 < n ? LEAF_MORE : 0;
        if (mg_route_rule_has_conditions(rule))
            leaf.flags |= LEAF_CONDITIONS;
        memcpy((struct leaf *)(t->words + at) + i, &leaf, sizeof leaf);
    }
    return at;
}

static struct mg_str segment_at(struct mg_str key, size_t at)
{
    struct mg_str rest = mg_str(key.p + at, key.n - at);
    ptrdiff_t slash = mg_str_find(rest, '/');
    return mg_str(rest.p, slash < 0 ? rest.n : (size_t)slash);
}

static bool is_param(struct mg_str segment)
{
    return segment.n == 1 && segment.p[0] == '\0';
}

/* Entries of one node, sorted, in the runs that its members are made of. */
struct plan {
    struct mg_route_entry *const *v;
    size_t n;
    size_t at;                               /* in the key: the node's position */
    size_t exact, slash, regex, tail, param; /* lengths of the runs, in this order */
    size_t children_from, children;
};

/* Length of the run at `from` whose keys are `key_n` long and end so. */
static size_t run_ending(const struct plan *p, size_t from, size_t key_n, enum mg_route_end first,
                         enum mg_route_end last)
{
    size_t i = from;
    while (i < p->n && p->v[i]->pattern.key.n == key_n && p->v[i]->pattern.end >= first &&
           p->v[i]->pattern.end <= last)
        i++;
    return i - from;
}

/* Length of the run at `from` with the same segment behind this position. */
static size_t run_of_segment(const struct plan *p, size_t from)
{
    struct mg_str segment = segment_at(p->v[from]->pattern.key, p->at + 1);
    size_t i = from + 1;
    while (i < p->n && mg_str_eq(segment_at(p->v[i]->pattern.key, p->at + 1), segment))
        i++;
    return i - from;
}

static struct plan make_plan(struct mg_route_entry *const *v, size_t n, size_t at)
{
    struct plan p = {.v = v, .n = n, .at = at};
    p.exact = run_ending(&p, 0, at, MG_ROUTE_EXACT, MG_ROUTE_PREFIX);
    size_t i = p.exact;
    p.slash = run_ending(&p, i, at + 1, MG_ROUTE_EXACT, MG_ROUTE_EXACT);
    i += p.slash;
    p.regex = run_ending(&p, i, at + 1, MG_ROUTE_REGEX, MG_ROUTE_REGEX);
    i += p.regex;
    p.tail = run_ending(&p, i, at + 1, MG_ROUTE_TAIL, MG_ROUTE_TAIL);
    i += p.tail;
    if (i < n && is_param(segment_at(v[i]->pattern.key, at + 1)))
        p.param = run_of_segment(&p, i);
    p.children_from = i + p.param;
    for (i = p.children_from; i < n; i += run_of_segment(&p, i))
        p.children++;
    return p;
}

/* Where the child's label ends: after the segment at `from`, and on as long as nothing ends or
 * forks. */
static size_t label_end(struct mg_route_entry *const *v, size_t n, size_t from)
{
    struct mg_str first = v[0]->pattern.key, last = v[n - 1]->pattern.key;
    size_t end = from + segment_at(first, from).n;
    while (first.n > end + 1) {
        struct mg_str next = segment_at(first, end + 1);
        if (is_param(next) || !mg_str_eq(next, segment_at(last, end + 1)))
            break;
        end += 1 + next.n;
    }
    return end;
}

static uint32_t emit_node(struct mg_route_tree *t, struct mg_route_entry *const *v, size_t n,
                          size_t label_at, size_t at);

static void put_slot(struct mg_route_tree *t, uint32_t node, struct mg_str segment, uint32_t child)
{
    struct slot *slots = slots_of(node_at(t, node));
    unsigned bits = node_at(t, node)->slot_bits;
    if (bits == 0) {
        slots[0].child = child;
        return;
    }
    uint32_t hash = hash_segment(segment.p, segment.n), mask = (1u << bits) - 1;
    uint32_t i = mg_route_hash_slot(hash, bits);
    while (slots[i].child)
        i = (i + 1) & mask;
    slots[i] = (struct slot){hash, child};
}

static void emit_children(struct mg_route_tree *t, uint32_t node, const struct plan *p)
{
    for (size_t i = p->children_from, n; i < p->n; i += n) {
        n = run_of_segment(p, i);
        size_t from = p->at + 1;
        uint32_t child = emit_node(t, p->v + i, n, from, label_end(p->v + i, n, from));
        put_slot(t, node, segment_at(p->v[i]->pattern.key, from), child);
    }
}

/* Room for the node itself, with its label; its links and slots are 0. */
static uint32_t emit_bare_node(struct mg_route_tree *t, const struct plan *p, struct mg_str label)
{
    struct node node = {.label_n = (uint16_t)label.n};
    const struct {
        size_t count;
        unsigned flag;
    } parts[] = {
        {p->exact, HAS_EXACT}, {p->slash, HAS_SLASH}, {p->regex, HAS_REGEX},
        {p->tail, HAS_TAIL},   {p->param, HAS_PARAM},
    };
    size_t words = words_for(sizeof node) + words_for(label.n);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].count) {
            node.flags |= parts[i].flag;
            words++;
        }
    }
    if (p->children) {
        node.flags |= HAS_CHILDREN;
        node.slot_bits = p->children > 1 ? (uint8_t)mg_route_hash_bits(p->children) : 0;
        words += words_for(sizeof(struct slot)) << node.slot_bits;
    }
    uint32_t at = take_words(t, words);
    *node_at(t, at) = node;
    memcpy(node_at(t, at)->words, label.p, label.n);
    return at;
}

/* The node for the entries `v`, whose keys are alike up to `at`; its label begins at `label_at`.
 * Calls itself as deep as patterns have segments. */
static uint32_t emit_node(struct mg_route_tree *t, struct mg_route_entry *const *v, size_t n,
                          size_t label_at, size_t at)
{
    struct plan p = make_plan(v, n, at);
    uint32_t node = emit_bare_node(t, &p, mg_str(v[0]->pattern.key.p + label_at, at - label_at));
    const struct {
        size_t count;
        unsigned flag;
    } leaves[] = {
        {p.exact, HAS_EXACT}, {p.slash, HAS_SLASH}, {p.regex, HAS_REGEX}, {p.tail, HAS_TAIL}};
    size_t from = 0;
    for (size_t i = 0; i < sizeof leaves / sizeof leaves[0]; i++) {
        if (leaves[i].count) {
            uint32_t list = emit_leaves(t, v + from, leaves[i].count);
            *link_of(node_at(t, node), leaves[i].flag) = list;
        }
        from += leaves[i].count;
    }
    if (p.param) {
        uint32_t child = emit_node(t, v + from, p.param, at + 2, at + 2);
        *link_of(node_at(t, node), HAS_PARAM) = child;
    }
    emit_children(t, node, &p);
    return node;
}

void mg_route_tree_init(struct mg_route_tree *t)
{
    *t = (struct mg_route_tree){0};
    take_words(t, 2); /* no root has offset 0 */
}

void mg_route_tree_release(struct mg_route_tree *t)
{
    free(t->words);
}

uint32_t mg_route_tree_add(struct mg_route_tree *t, struct mg_route_entry *const *sorted, size_t n)
{
    return emit_node(t, sorted, n, 0, 0);
}

/* ---- searching ---- */

/* A leaf was passed over, as in a trace all of them are. */
static __attribute__((noinline, cold)) void
tell(const struct mg_route_search *s, const struct leaf *leaf, const struct mg_route_fault *fault)
{
    const struct mg_route_trace *trace = s->trace;
    struct mg_route_tried tried = {.entry = leaf->entry, .verdict = MG_ROUTE_REFUSES};
    if (s->gave_up)
        tried.verdict = MG_ROUTE_TOO_COSTLY;
    else if (trace->other_host)
        tried.verdict = MG_ROUTE_OTHER_HOST;
    else if (fault->by == MG_ROUTE_BY_METHOD && leaf->methods & trace->method)
        tried.verdict = MG_ROUTE_FITS;
    else
        tried.fault = *fault;
    trace->on_tried(trace->arg, &tried);
}

/* Does the route take the request, whose host and path it matches? */
static inline bool admits(struct mg_route_search *s, const struct leaf *leaf)
{
    struct mg_route_fault fault;
    if (!(leaf->flags & LEAF_CONDITIONS) ||
        mg_route_rule_holds(leaf->entry->rule, s->query, &fault)) {
        if (leaf->methods & s->method)
            return true;
        fault.by = MG_ROUTE_BY_METHOD;
        s->found->allow |= leaf->methods;
    }
    if (s->trace)
        tell(s, leaf, &fault);
    return false;
}

static inline const struct leaf *leaves_at(const struct mg_route_search *s, const struct node *node,
                                           unsigned flag)
{
    return (const struct leaf *)(s->tree->words + *link_of(node, flag));
}

static const struct leaf *accept(struct mg_route_search *s, const struct leaf *leaf, size_t params)
{
    struct mg_route_found *found = s->found;
    found->route = leaf->route;
    found->pattern = &leaf->entry->pattern;
    found->param_count = params;
    found->literal_bytes =
        params ? (size_t)(found->values[0].p - s->query->path.p) : s->query->path.n;
    return leaf;
}

static const struct leaf *pick(struct mg_route_search *s, const struct leaf *leaf, size_t params)
{
    for (;; leaf++) {
        if (admits(s, leaf))
            return accept(s, leaf, params);
        if (!(leaf->flags & LEAF_MORE))
            return NULL;
    }
}

/* Does the expression match the path, which has `rest` behind the pattern's key? Sets the
 * parameters. */
static bool regex_matches(struct mg_route_search *s, const struct mg_route_pattern *pattern,
                          struct mg_str rest)
{
    struct mg_str groups[MG_ROUTE_PARAMS_MAX + 1];
    struct mg_str subject =
        mg_str(s->query->path.p + pattern->regex_from, s->query->path.n - pattern->regex_from);
    if (!mg_str_starts(rest, pattern->regex_literal))
        return false;
    int count = mg_regex_match(pattern->regex, subject, 0, groups, MG_ROUTE_PARAMS_MAX + 1);
    s->gave_up = count < 0;
    for (int i = 1; i < count; i++)
        s->found->values[i - 1] = groups[i];
    return count > 0;
}

/* Regexes stand only where no parameter came before. */
static const struct leaf *try_regexes(struct mg_route_search *s, const struct leaf *leaf, size_t at)
{
    struct mg_str rest = mg_str(s->query->path.p + at, s->query->path.n - at);
    for (;; leaf++) {
        const struct mg_route_pattern *pattern = &leaf->entry->pattern;
        bool matches = regex_matches(s, pattern, rest);
        if (s->gave_up && s->trace)
            tell(s, leaf, NULL);
        if (s->gave_up)
            return NULL;
        if (matches && admits(s, leaf)) {
            accept(s, leaf, 0);
            s->found->param_count = pattern->name_count;
            s->found->literal_bytes = at + pattern->regex_literal.n;
            return leaf;
        }
        if (!(leaf->flags & LEAF_MORE))
            return NULL;
    }
}

static inline uint32_t load_word(const char *p)
{
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* Labels are short: a call of memcmp costs more than the comparison. The last word overlaps. */
static inline bool same_bytes(const char *a, const char *b, size_t n)
{
    if (n < 4) {
        for (size_t i = 0; i < n; i++)
            if (a[i] != b[i])
                return false;
        return true;
    }
    for (size_t i = 0; i + 4 < n; i += 4)
        if (load_word(a + i) != load_word(b + i))
            return false;
    return load_word(a + n - 4) == load_word(b + n - 4);
}

/* The label stands at `p` and ends there with the segment. */
static inline bool label_matches(const struct node *node, const char *p, size_t n)
{
    return node->label_n <= n && same_bytes(p, (const char *)node->words, node->label_n) &&
           (node->label_n == n || p[node->label_n] == '/');
}

static inline const struct node *literal_child(const struct mg_route_search *s,
                                               const struct node *node, const char *p, size_t n)
{
    const struct slot *slots = slots_of(node);
    if (node->slot_bits == 0) {
        const struct node *child = (const struct node *)(s->tree->words + slots[0].child);
        return label_matches(child, p, n) ? child : NULL;
    }
    uint32_t hash = hash_segment(p, n), mask = (1u << node->slot_bits) - 1;
    for (uint32_t i = mg_route_hash_slot(hash, node->slot_bits); slots[i].child;
         i = (i + 1) & mask) {
        const struct node *child = (const struct node *)(s->tree->words + slots[i].child);
        if (slots[i].hash != hash)
            continue;
        __builtin_prefetch((const char *)child + 64);
        __builtin_prefetch((const char *)child + 128);
        if (label_matches(child, p, n))
            return child;
    }
    return NULL;
}

static size_t segment_end(struct mg_str path, size_t at)
{
    const char *slash = memchr(path.p + at, '/', path.n - at);
    return slash ? (size_t)(slash - path.p) : path.n;
}

/*
 * From `node`, which stands at `at` in the path, with `params` values set so far. Calls itself only
 * where there is something to come back to, so no deeper than patterns have segments.
 */
static const struct leaf *walk(struct mg_route_search *s, const struct node *node, size_t at,
                               size_t params)
{
    const struct mg_str path = s->query->path;
    const struct leaf *hit = NULL;
    for (;;) {
        unsigned flags = node->flags;
        if (at == path.n)
            return flags & HAS_EXACT ? pick(s, leaves_at(s, node, HAS_EXACT), params) : NULL;
        at++;
        bool ends = at == path.n;
        if (ends && flags & HAS_SLASH) {
            hit = pick(s, leaves_at(s, node, HAS_SLASH), params);
        } else if (!ends && flags & HAS_CHILDREN) {
            const struct node *child = literal_child(s, node, path.p + at, path.n - at);
            if (child && !(flags & (HAS_REGEX | HAS_PARAM | HAS_TAIL))) {
                node = child;
                at += child->label_n;
                continue;
            }
            if (child)
                hit = walk(s, child, at + child->label_n, params);
        }
        if (!hit && !s->gave_up && flags & HAS_REGEX)
            hit = try_regexes(s, leaves_at(s, node, HAS_REGEX), at);
        if (hit || s->gave_up)
            return hit;

        size_t end = flags & HAS_PARAM ? segment_end(path, at) : at;
        if (end > at) {
            const struct node *child =
                (const struct node *)(s->tree->words + *link_of(node, HAS_PARAM));
            s->found->values[params] = mg_str(path.p + at, end - at);
            if (!(flags & HAS_TAIL)) {
                node = child;
                at = end;
                params++;
                continue;
            }
            hit = walk(s, child, end, params + 1);
            if (hit || s->gave_up)
                return hit;
        }
        if (!(flags & HAS_TAIL))
            return NULL;
        s->found->values[params] = mg_str(path.p + at, path.n - at);
        return pick(s, leaves_at(s, node, HAS_TAIL), params + 1);
    }
}

bool mg_route_tree_find(struct mg_route_search *s, uint32_t root)
{
    return walk(s, (const struct node *)(s->tree->words + root), 0, 0);
}
