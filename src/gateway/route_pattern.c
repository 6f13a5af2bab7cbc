/* Parses path patterns. Control thread. */
#include "gateway/route_pattern.h"

#include <string.h>

#include "base/uri.h"

/* A key that is being put together. */
struct draft {
    struct mg_arena *arena;
    struct mg_str text; /* for errors */
    struct mg_error *err;
    char *key;
    size_t n;
    struct mg_str names[MG_ROUTE_PARAMS_MAX];
    size_t name_count;
    bool literal_only;
};

static enum mg_rc refuse(const struct draft *d, const char *why)
{
    return mg_error_set(d->err, "path '%.*s': %s", MG_STR_ARGS(d->text), why);
}

static bool has_any(struct mg_str s, const char *bytes)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\0' || strchr(bytes, s.p[i]))
            return true;
    return false;
}

static enum mg_rc add_name(struct draft *d, struct mg_str name)
{
    for (size_t i = 0; i < d->name_count; i++)
        if (mg_str_eq(d->names[i], name))
            return refuse(d, "a parameter's name stands twice");
    if (d->name_count == MG_ROUTE_PARAMS_MAX)
        return refuse(d, "more than 16 parameters");
    d->names[d->name_count++] = name;
    return MG_OK;
}

static bool is_name(struct mg_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = mg_lower(name.p[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_' && c != '-')
            return false;
    }
    return name.n > 0;
}

static enum mg_rc add_literal(struct draft *d, struct mg_str segment)
{
    if (has_any(segment, "{}*"))
        return refuse(d, d->literal_only ? "parameters and '*' cannot stand here"
                                         : "'{name}' and '*' must be whole segments");
    if (has_any(segment, "?#"))
        return refuse(d, "'?' and '#' are no part of a path");
    struct mg_str decoded = mg_str(d->key + d->n, 0);
    enum mg_uri_rc rc = mg_uri_path_decode(segment, d->key + d->n, &decoded.n);
    if (rc)
        return refuse(d, mg_uri_rc_text(rc));
    if (mg_str_eq(decoded, MG_STR(".")) || mg_str_eq(decoded, MG_STR("..")))
        return refuse(d, "dot segments never reach a route");
    d->n += decoded.n;
    return MG_OK;
}

/* "{name}", "{name+}" or "*". */
static enum mg_rc add_wildcard(struct draft *d, struct mg_str segment, bool last, bool *tail)
{
    struct mg_str name = segment;
    *tail = segment.p[0] == '*';
    if (!*tail) {
        if (segment.p[segment.n - 1] != '}')
            return refuse(d, "'{name}' must be a whole segment");
        name = mg_str(segment.p + 1, segment.n - 2);
        *tail = mg_str_ends(name, MG_STR("+"));
        name.n -= *tail;
        if (!is_name(name))
            return refuse(d, "a parameter's name has letters, digits, '_' and '-'");
    }
    if (*tail && !last)
        return refuse(d, "'*' and '{name+}' can only be last");
    if (!*tail)
        d->key[d->n++] = '\0';
    return add_name(d, name);
}

static bool is_wildcard(const struct draft *d, struct mg_str segment)
{
    return !d->literal_only && segment.n > 0 &&
           (segment.p[0] == '{' || mg_str_eq(segment, MG_STR("*")));
}

/* All segments of `path`, which begins with '/'; each with the slash before it. */
static enum mg_rc add_segments(struct draft *d, struct mg_str path, bool *tail)
{
    struct mg_str rest = path;
    *tail = false;
    do {
        rest = mg_str(rest.p + 1, rest.n - 1);
        ptrdiff_t slash = mg_str_find(rest, '/');
        bool last = slash < 0;
        struct mg_str segment = mg_str(rest.p, last ? rest.n : (size_t)slash);
        d->key[d->n++] = '/';
        if (segment.n == 0 && !last)
            return refuse(d, "has an empty segment");
        enum mg_rc rc = is_wildcard(d, segment) ? add_wildcard(d, segment, last, tail)
                                                : add_literal(d, segment);
        if (rc)
            return rc;
        rest = mg_str(rest.p + segment.n, rest.n - segment.n);
    } while (rest.n > 0);
    return MG_OK;
}

static enum mg_rc add_base(struct draft *d, struct mg_str base)
{
    bool tail;
    if (mg_str_ends(base, MG_STR("/")))
        base.n--;
    if (base.n == 0)
        return MG_OK;
    struct draft part = *d;
    part.text = base;
    part.literal_only = true;
    if (base.n > MG_ROUTE_PATTERN_MAX)
        return refuse(&part, "is too long");
    if (base.p[0] != '/')
        return refuse(&part, "must begin with '/'");
    if (mg_str_ends(base, MG_STR("/")))
        return refuse(&part, "has an empty segment");
    enum mg_rc rc = add_segments(&part, base, &tail);
    d->n = part.n;
    return rc;
}

static enum mg_rc draft_init(struct draft *d, struct mg_arena *arena, struct mg_str base,
                             struct mg_str text, struct mg_error *err)
{
    *d = (struct draft){.arena = arena, .err = err, .text = text};
    if (text.n > MG_ROUTE_PATTERN_MAX)
        return mg_error_set(err, "path is longer than %d bytes", MG_ROUTE_PATTERN_MAX);
    if (text.n == 0 || (text.p[0] != '/' && text.p[0] != '~'))
        return refuse(d, "must begin with '/', or with '~' for a regular expression");
    d->text = mg_arena_str(arena, text);
    d->key = mg_arena_alloc(arena, base.n + text.n + 1);
    return add_base(d, base);
}

static void draft_finish(const struct draft *d, enum mg_route_end end, struct mg_route_pattern *out)
{
    struct mg_str *names = mg_arena_alloc(d->arena, d->name_count * sizeof *names);
    for (size_t i = 0; i < d->name_count; i++)
        names[i] = d->names[i];
    *out = (struct mg_route_pattern){
        .text = d->text,
        .key = mg_str(d->key, d->n),
        .end = end,
        .names = names,
        .name_count = d->name_count,
    };
}

/* The byte after the ']' of the class that opens at `at`. */
static size_t skip_class(struct mg_str re, size_t at)
{
    at++;
    if (at < re.n && re.p[at] == '^')
        at++;
    if (at < re.n && re.p[at] == ']')
        at++;
    while (at < re.n && re.p[at] != ']') {
        if (re.p[at] == '\\') {
            at += 2;
        } else if (re.p[at] == '[' && at + 1 < re.n && re.p[at + 1] == ':') {
            const char *close = memmem(re.p + at, re.n - at, ":]", 2);
            at = close ? (size_t)(close - re.p) + 2 : at + 1;
        } else {
            at++;
        }
    }
    return at + 1;
}

/*
 * May the expression have alternatives outside all groups? What would take a full parser to tell
 * (quoting, comments, inline options, verbs) counts as yes, which costs such a route its place
 * among the longer literals and is never wrong.
 */
static bool may_have_alternatives(struct mg_str re)
{
    size_t depth = 0, at = 0;
    while (at < re.n) {
        char c = re.p[at], next = at + 1 < re.n ? re.p[at + 1] : '\0';
        char third = at + 2 < re.n ? re.p[at + 2] : '\0';
        if (c == '\\') {
            if (next == 'Q')
                return true;
            at += 2;
        } else if (c == '[') {
            at = skip_class(re, at);
        } else {
            if (c == '(' && (next == '*' || (next == '?' && !strchr(":=!<>P'|", third))))
                return true;
            if (c == '|' && depth == 0)
                return true;
            depth += c == '(';
            depth -= c == ')' && depth > 0;
            at++;
        }
    }
    return false;
}

static bool is_punctuation(char c)
{
    return (c > ' ' && c < '0') || (c > '9' && c < 'A') || (c > 'Z' && c < 'a') ||
           (c > 'z' && c < 0x7f);
}

/* Writes the bytes that every matching path begins with, and returns how many; `out` has room for
 * all of `re`. Too few do no harm. */
static size_t literal_of(struct mg_str re, char *out)
{
    size_t n = 0, at = 1;
    if (re.n == 0 || re.p[0] != '^' || may_have_alternatives(re))
        return 0;
    while (at < re.n) {
        char c = re.p[at++];
        if (c == '\\') {
            if (at == re.n || !is_punctuation(re.p[at]))
                break;
            c = re.p[at++];
        } else if (strchr("^$.[|()?*+{", c)) {
            break;
        }
        char next = at < re.n ? re.p[at] : '\0';
        if (next == '?' || next == '*' || next == '{')
            break;
        out[n++] = c;
    }
    return n;
}

static enum mg_rc name_groups(struct draft *d, const struct mg_regex *regex)
{
    size_t count = mg_regex_group_count(regex);
    for (size_t i = 1; i < count; i++) {
        struct mg_str name = mg_regex_group_name(regex, i);
        if (name.n == 0)
            name = mg_arena_printf(d->arena, "%zu", i);
        enum mg_rc rc = add_name(d, name);
        if (rc)
            return rc;
    }
    return MG_OK;
}

static void free_regex(void *arg)
{
    mg_regex_free(arg);
}

/* Every path begins with '/', so an expression without a literal of its own stands where "/" does.
 */
static enum mg_rc parse_regex(struct draft *d, struct mg_route_pattern *out)
{
    struct mg_str re = mg_str(d->text.p + 1, d->text.n - 1);
    struct mg_regex *regex = mg_regex_new(re, 0, NULL, d->err);
    if (!regex)
        return mg_error_prefix(d->err, "path '%.*s'", MG_STR_ARGS(d->text));
    mg_arena_on_release(d->arena, free_regex, regex);

    size_t from = d->n;
    char *literal = d->key + from;
    size_t n = literal_of(re, literal);
    if (n == 0)
        literal[n++] = '/';
    if (literal[0] != '/')
        return refuse(d, "can never match, for every path begins with '/'");
    d->n += n;
    enum mg_rc rc = name_groups(d, regex);
    if (rc)
        return rc;
    draft_finish(d, MG_ROUTE_REGEX, out);
    while (out->key.p[out->key.n - 1] != '/')
        out->key.n--;
    out->regex = regex;
    out->regex_literal = mg_str(d->key + out->key.n, d->n - out->key.n);
    out->regex_from = from;
    return MG_OK;
}

enum mg_rc mg_route_pattern_parse(struct mg_arena *arena, struct mg_str base, struct mg_str text,
                                  struct mg_route_pattern *out, struct mg_error *err)
{
    struct draft d;
    bool tail;
    enum mg_rc rc = draft_init(&d, arena, base, text, err);
    if (rc)
        return rc;
    if (text.p[0] == '~')
        return parse_regex(&d, out);
    rc = add_segments(&d, d.text, &tail);
    if (!rc)
        draft_finish(&d, tail ? MG_ROUTE_TAIL : MG_ROUTE_EXACT, out);
    return rc;
}

enum mg_rc mg_route_pattern_prefix(struct mg_arena *arena, struct mg_str base, struct mg_str text,
                                   struct mg_route_pattern out[2], size_t *count,
                                   struct mg_error *err)
{
    struct draft d;
    bool tail;
    enum mg_rc rc = draft_init(&d, arena, base, text, err);
    if (rc)
        return rc;
    d.literal_only = true;
    if (text.p[0] != '/')
        return refuse(&d, "a prefix must begin with '/'");
    rc = add_segments(&d, d.text, &tail);
    if (rc)
        return rc;
    *count = 0;
    if (d.key[d.n - 1] != '/') {
        draft_finish(&d, MG_ROUTE_PREFIX, &out[(*count)++]);
        d.key[d.n++] = '/';
    }
    rc = add_name(&d, MG_STR("*"));
    draft_finish(&d, MG_ROUTE_TAIL, &out[(*count)++]);
    return rc;
}
