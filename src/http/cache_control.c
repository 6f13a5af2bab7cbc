/* One walk over the fields without copying, one table of directives for both of its grammars. */
#include "http/cache_control.h"

#include "http/chars.h"
#include "http/sf.h"

/* How several values of a number become one, and what an invalid one counts as. */
enum combine {
    FLAG,        /* no number */
    SMALLEST,    /* invalid: 0 */
    LARGEST,     /* invalid: as if absent */
    OR_UNLIMITED /* the smallest; without an argument: no limit; invalid: 0 */
};

/* Longest list of field names that several directives may add up to; beyond it the whole response
 * is meant. Joining them stays cheap so. */
#define NAMES_MAX 500

#define NUMBER(member) (uint16_t) offsetof(struct mg_cache_control, member)

static const struct directive {
    struct mg_str name;
    enum mg_cache_directive bit;
    enum combine combine;
    uint16_t number; /* offset of the uint32_t */
    uint16_t fields; /* offset of the struct mg_str for field names; 0: takes none */
} directives[] = {
    {MG_STR("max-age"), MG_CC_MAX_AGE, SMALLEST, NUMBER(max_age), 0},
    {MG_STR("s-maxage"), MG_CC_S_MAXAGE, SMALLEST, NUMBER(s_maxage), 0},
    {MG_STR("public"), MG_CC_PUBLIC, FLAG, 0, 0},
    {MG_STR("no-cache"), MG_CC_NO_CACHE, FLAG, 0, NUMBER(no_cache_fields)},
    {MG_STR("no-store"), MG_CC_NO_STORE, FLAG, 0, 0},
    {MG_STR("private"), MG_CC_PRIVATE, FLAG, 0, NUMBER(private_fields)},
    {MG_STR("must-revalidate"), MG_CC_MUST_REVALIDATE, FLAG, 0, 0},
    {MG_STR("proxy-revalidate"), MG_CC_PROXY_REVALIDATE, FLAG, 0, 0},
    {MG_STR("must-understand"), MG_CC_MUST_UNDERSTAND, FLAG, 0, 0},
    {MG_STR("immutable"), MG_CC_IMMUTABLE, FLAG, 0, 0},
    {MG_STR("no-transform"), MG_CC_NO_TRANSFORM, FLAG, 0, 0},
    {MG_STR("stale-while-revalidate"), MG_CC_STALE_WHILE_REVALIDATE, SMALLEST,
     NUMBER(stale_while_revalidate), 0},
    {MG_STR("stale-if-error"), MG_CC_STALE_IF_ERROR, SMALLEST, NUMBER(stale_if_error), 0},
    {MG_STR("only-if-cached"), MG_CC_ONLY_IF_CACHED, FLAG, 0, 0},
    {MG_STR("max-stale"), MG_CC_MAX_STALE, OR_UNLIMITED, NUMBER(max_stale), 0},
    {MG_STR("min-fresh"), MG_CC_MIN_FRESH, LARGEST, NUMBER(min_fresh), 0},
};

#define DIRECTIVE_COUNT (sizeof directives / sizeof directives[0])

static const struct directive *find(struct mg_str name)
{
    for (size_t i = 0; i < DIRECTIVE_COUNT; i++)
        if (mg_str_ieq(directives[i].name, name))
            return &directives[i];
    return NULL;
}

/* ---- taking in one directive ---- */

static void put_number(struct mg_cache_control *cc, const struct directive *d, uint32_t seconds)
{
    uint32_t *number = (uint32_t *)((char *)cc + d->number);
    bool first = !(cc->present & d->bit);
    bool better = d->combine == LARGEST ? seconds > *number : seconds < *number;
    if (first || better)
        *number = seconds;
    cc->present |= d->bit;
}

static bool is_separator(char c)
{
    return c == ',' || c == ' ' || c == '\t';
}

/* The next field name of such a list; false at its end. */
static bool next_name(struct mg_str *rest, struct mg_str *name)
{
    size_t start = 0, end;
    if (rest->n == 0)
        return false;
    while (start < rest->n && is_separator(rest->p[start]))
        start++;
    for (end = start; end < rest->n && !is_separator(rest->p[end]);)
        end++;
    *name = mg_str(rest->p + start, end - start);
    *rest = mg_str(rest->p + end, rest->n - end);
    return name->n > 0;
}

bool mg_cache_control_names(struct mg_str list, struct mg_str name)
{
    struct mg_str one;
    while (next_name(&list, &one))
        if (mg_str_ieq(one, name))
            return true;
    return false;
}

/* At least one name, and nothing but names: else the whole response is meant. */
static bool is_name_list(struct mg_str list)
{
    struct mg_str name;
    bool any = false;
    while (next_name(&list, &name)) {
        if (!mg_is_token(name))
            return false;
        any = true;
    }
    return any;
}

static void put_names(struct mg_cache_control *cc, const struct directive *d, struct mg_str list,
                      struct mg_arena *arena)
{
    struct mg_str *names = (struct mg_str *)((char *)cc + d->fields);
    if (!is_name_list(list))
        cc->present |= d->bit;
    else if (names->n == 0)
        *names = list;
    else if (names->n + list.n > NAMES_MAX)
        cc->present |= d->bit;
    else
        *names = mg_arena_printf(arena, "%.*s,%.*s", MG_STR_ARGS(*names), MG_STR_ARGS(list));
}

/* ---- Cache-Control ---- */

bool mg_cache_seconds(struct mg_str digits, uint32_t *out)
{
    uint64_t value = 0;
    if (digits.n == 0)
        return false;
    for (size_t i = 0; i < digits.n; i++) {
        unsigned digit = (unsigned char)digits.p[i] - '0';
        if (digit > 9)
            return false;
        value = value * 10 + digit;
        if (value > MG_CACHE_SECONDS_MAX)
            value = MG_CACHE_SECONDS_MAX;
    }
    *out = (uint32_t)value;
    return true;
}

/* End of what a directive is made of: the next comma outside a quoted string. A string that nobody
 * closes is none, lest it hide directives: `*quotes` is false from then on. */
static size_t directive_end(struct mg_str s, bool *quotes)
{
    bool quoted = false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"')
            quoted = !quoted && *quotes;
        else if (s.p[i] == '\\' && quoted && i + 1 < s.n)
            i++;
        else if (s.p[i] == ',' && !quoted)
            return i;
    }
    ptrdiff_t comma = quoted ? mg_str_find(s, ',') : -1;
    *quotes &= !quoted;
    return comma < 0 ? s.n : (size_t)comma;
}

/* `value` without its quotes, and whether it is one token or one quoted string. Escapes are of no
 * use in a number or a field name, and stay: then it is neither. */
static bool unquote(struct mg_str *value)
{
    if (value->n < 2 || value->p[0] != '"')
        return mg_is_token(*value);
    bool whole = value->p[value->n - 1] == '"' && !memchr(value->p + 1, '"', value->n - 2);
    *value = mg_str(value->p + 1, value->n - 2);
    return whole;
}

static void put_directive(struct mg_cache_control *cc, struct mg_str text, struct mg_arena *arena)
{
    size_t n = 0;
    while (n < text.n && mg_chars_is(text.p[n], MG_CHARS_TOKEN))
        n++;
    const struct directive *d = find(mg_str(text.p, n));
    if (!d)
        return;
    /* Between a name and "=" no blank is allowed; an argument that is not there is invalid. */
    bool has_argument = n < text.n;
    struct mg_str value = mg_str(text.p + n, text.n - n);
    bool valid = has_argument && value.p[0] == '=';
    if (valid) {
        value = mg_str(value.p + 1, value.n - 1);
        valid = unquote(&value);
    }
    uint32_t seconds = 0;
    if (d->fields && valid)
        put_names(cc, d, value, arena);
    else if (d->combine == FLAG)
        cc->present |= d->bit;
    else if (!has_argument && d->combine == OR_UNLIMITED)
        put_number(cc, d, MG_CACHE_SECONDS_MAX);
    else if ((valid && mg_cache_seconds(value, &seconds)) || d->combine != LARGEST)
        put_number(cc, d, seconds);
}

bool mg_cache_control_next(struct mg_str *rest, bool *quotes, struct mg_str *directive)
{
    if (rest->n == 0)
        return false;
    size_t n = directive_end(*rest, quotes);
    *directive = mg_str_trim(mg_str(rest->p, n));
    n += n < rest->n;
    *rest = mg_str(rest->p + n, rest->n - n);
    return true;
}

void mg_cache_control_read(const struct mg_fields *fields, struct mg_arena *arena,
                           struct mg_cache_control *out)
{
    *out = (struct mg_cache_control){0};
    for (const struct mg_field *f = mg_fields_get(fields, MG_FIELD_CACHE_CONTROL); f;
         f = mg_fields_next(fields, f)) {
        struct mg_str rest = mg_field_value(f), directive;
        bool quotes = true;
        while (mg_cache_control_next(&rest, &quotes, &directive))
            put_directive(out, directive, arena);
    }
}

/* ---- targeted fields ---- */

/* Names in an inner list of tokens or strings, joined; empty when it holds anything else. */
static struct mg_str join_names(const struct mg_sf_item *list, struct mg_arena *arena)
{
    struct mg_sf_writer w;
    mg_sf_writer_init(&w, arena);
    for (unsigned i = 0; i < list->inner_count; i++) {
        const struct mg_sf_bare *name = &list->inner[i].bare;
        if (name->type != MG_SF_TOKEN && name->type != MG_SF_STRING)
            return MG_STR_NONE;
        mg_sf_add_raw(&w, MG_STR(","));
        mg_sf_add_raw(&w, name->text);
    }
    return mg_sf_writer_str(&w);
}

/* False for an argument of a type that the directive does not take. A negative number is stale. */
static bool put_member(struct mg_cache_control *cc, const struct mg_sf_member *m,
                       struct mg_arena *arena)
{
    const struct directive *d = find(m->key);
    const struct mg_sf_bare *value = &m->value.bare;
    if (!d)
        return true;
    if (value->type == MG_SF_BOOLEAN && !value->boolean)
        return true;
    if (d->combine != FLAG) {
        if (value->type != MG_SF_INTEGER)
            return false;
        int64_t seconds = value->number < 0 ? 0 : value->number;
        put_number(cc, d,
                   seconds > MG_CACHE_SECONDS_MAX ? MG_CACHE_SECONDS_MAX : (uint32_t)seconds);
        return true;
    }
    if (value->type == MG_SF_BOOLEAN) {
        cc->present |= d->bit;
        return true;
    }
    if (!d->fields)
        return false;
    if (value->type == MG_SF_INNER_LIST)
        put_names(cc, d, join_names(&m->value, arena), arena);
    else
        put_names(cc, d, value->text, arena);
    return true;
}

static bool read_target(const struct mg_fields *fields, struct mg_str name, struct mg_arena *arena,
                        struct mg_cache_control *out)
{
    struct mg_str text;
    struct mg_sf_members members;
    if (!mg_fields_joined(fields, name, arena, &text) ||
        !mg_sf_read_dictionary(arena, text, &members) || members.n == 0)
        return false;
    for (unsigned i = 0; i < members.n; i++)
        if (!put_member(out, &members.v[i], arena))
            return false;
    return true;
}

bool mg_cache_control_read_targeted(const struct mg_fields *fields, const struct mg_str *names,
                                    size_t count, struct mg_arena *arena,
                                    struct mg_cache_control *out)
{
    for (size_t i = 0; i < count; i++) {
        *out = (struct mg_cache_control){0};
        if (read_target(fields, names[i], arena, out))
            return true;
    }
    *out = (struct mg_cache_control){0};
    return false;
}
