/*
 * Names are sorted in a small array; values are written piece by piece into the arena.
 *
 * A key is, for each name, "-" when the request lacks the field, else the value's length, ':' and
 * the value: so it can be taken apart in one way only.
 */
#include "http/vary.h"

#include "http/sf.h"

/* A list of more choices than this is not read as weights, but as text. */
#define CHOICES_MAX 32
#define WEIGHT_ONE 1000

/* A member of Accept-Encoding or Accept-Language. */
struct choice {
    struct mg_str name; /* lower case */
    int weight;         /* thousandths */
};

static int compare(struct mg_str a, struct mg_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

static struct mg_str lower(struct mg_arena *arena, struct mg_str s)
{
    char *out = mg_arena_alloc(arena, s.n);
    for (size_t i = 0; i < s.n; i++)
        out[i] = mg_lower(s.p[i]);
    return mg_str(out, s.n);
}

/* ---- names ---- */

struct names {
    struct mg_str v[MG_VARY_NAMES_MAX];
    unsigned n;
};

/* Keeps them sorted; false when there is no more room. */
static bool insert_name(struct names *names, struct mg_str name)
{
    unsigned at = names->n;
    for (; at > 0; at--) {
        int order = compare(names->v[at - 1], name);
        if (order == 0)
            return true;
        if (order < 0)
            break;
    }
    if (names->n == MG_VARY_NAMES_MAX)
        return false;
    memmove(&names->v[at + 1], &names->v[at], (names->n - at) * sizeof names->v[0]);
    names->v[at] = name;
    names->n++;
    return true;
}

static bool add_names(struct names *names, struct mg_str list, struct mg_arena *arena)
{
    struct mg_str item;
    while (mg_str_split(&list, ',', &item)) {
        item = mg_str_trim(item);
        if (item.n == 0)
            continue;
        if (mg_str_eq(item, MG_STR("*")) || !mg_is_token(item) ||
            !insert_name(names, lower(arena, item)))
            return false;
    }
    return true;
}

bool mg_vary_read(const struct mg_fields *response, struct mg_str extra, struct mg_arena *arena,
                  struct mg_str *out)
{
    struct names names = {.n = 0};
    struct mg_sf_writer w;
    if (!add_names(&names, extra, arena))
        return false;
    for (const struct mg_field *f = mg_fields_get(response, MG_FIELD_VARY); f;
         f = mg_fields_next(response, f))
        if (!add_names(&names, mg_field_value(f), arena))
            return false;
    mg_sf_writer_init(&w, arena);
    for (unsigned i = 0; i < names.n; i++) {
        if (i > 0)
            mg_sf_add_raw(&w, MG_STR(","));
        mg_sf_add_raw(&w, names.v[i]);
    }
    *out = mg_sf_writer_str(&w);
    return true;
}

/* ---- values as text ---- */

/* `text` without the white space around commas, but for those in quoted strings. */
static void add_list(struct mg_sf_writer *w, struct mg_str text)
{
    size_t start = 0;
    bool quoted = false;
    for (size_t i = 0; i <= text.n; i++) {
        if (i < text.n && text.p[i] == '"')
            quoted = !quoted;
        else if (i + 1 < text.n && quoted && text.p[i] == '\\')
            i++;
        if (i < text.n && (quoted || text.p[i] != ','))
            continue;
        mg_sf_add_raw(w, mg_str_trim(mg_str(text.p + start, i - start)));
        if (i < text.n)
            mg_sf_add_raw(w, MG_STR(","));
        start = i + 1;
    }
}

static struct mg_str text_value(const struct mg_fields *request, const struct mg_field *first,
                                struct mg_arena *arena)
{
    struct mg_sf_writer w;
    mg_sf_writer_init(&w, arena);
    for (const struct mg_field *f = first; f; f = mg_fields_next(request, f)) {
        if (f != first)
            mg_sf_add_raw(&w, MG_STR(","));
        if (f->value_len > 0)
            add_list(&w, mg_field_value(f));
    }
    return mg_sf_writer_str(&w);
}

/* ---- values as weights (RFC 9110 12.4.2) ---- */

/* "1", "0.5", "0.125": in thousandths, or -1. */
static int read_weight(struct mg_str text)
{
    int weight = 0, places = 0;
    if (text.n == 0 || text.n > 5 || (text.p[0] != '0' && text.p[0] != '1') ||
        (text.n > 1 && text.p[1] != '.'))
        return -1;
    weight = text.p[0] - '0';
    for (size_t i = 2; i < text.n; i++, places++) {
        unsigned digit = (unsigned char)text.p[i] - '0';
        if (digit > 9)
            return -1;
        weight = weight * 10 + (int)digit;
    }
    for (; places < 3; places++)
        weight *= 10;
    return weight <= WEIGHT_ONE ? weight : -1;
}

static bool read_choice(struct mg_str item, struct mg_arena *arena, struct choice *out)
{
    struct mg_str name, rest = item;
    mg_str_split(&rest, ';', &name);
    name = mg_str_trim(name);
    rest = mg_str_trim(rest);
    out->weight = WEIGHT_ONE;
    if (rest.n > 2 && mg_str_ieq(mg_str(rest.p, 2), MG_STR("q=")))
        out->weight = read_weight(mg_str(rest.p + 2, rest.n - 2));
    else if (rest.n > 0)
        return false;
    if (!mg_is_token(name) || out->weight < 0)
        return false;
    out->name = lower(arena, name);
    return true;
}

/* The heaviest first, names in order among equals; a name once, where it is heaviest. */
static void insert_choice(struct choice *list, unsigned *n, struct choice c)
{
    unsigned at = 0, old;
    for (old = 0; old < *n && compare(list[old].name, c.name) != 0;)
        old++;
    if (old < *n) {
        if (list[old].weight >= c.weight)
            return;
        memmove(&list[old], &list[old + 1], (--*n - old) * sizeof *list);
    }
    while (at < *n && (list[at].weight > c.weight ||
                       (list[at].weight == c.weight && compare(list[at].name, c.name) < 0)))
        at++;
    memmove(&list[at + 1], &list[at], (*n - at) * sizeof *list);
    list[at] = c;
    ++*n;
}

/* All members of all lines; false when there are too many, or one is malformed. */
static bool read_choices(const struct mg_fields *request, const struct mg_field *f,
                         struct mg_arena *arena, struct choice list[CHOICES_MAX], unsigned *n)
{
    *n = 0;
    for (; f; f = mg_fields_next(request, f)) {
        struct mg_str rest = mg_field_value(f), item;
        while (mg_str_split(&rest, ',', &item)) {
            struct choice c;
            item = mg_str_trim(item);
            if (item.n == 0)
                continue;
            if (*n == CHOICES_MAX || !read_choice(item, arena, &c))
                return false;
            insert_choice(list, n, c);
        }
    }
    return true;
}

/* What is refused says something only where a "*" or the default would let it in. */
static bool says_nothing(const struct choice *c, bool any)
{
    return c->weight == 0 && !any && !mg_str_eq(c->name, MG_STR("identity")) &&
           !mg_str_eq(c->name, MG_STR("*"));
}

static struct mg_str weights_value(const struct choice *list, unsigned n, struct mg_arena *arena)
{
    struct mg_sf_writer w;
    bool any = false;
    for (unsigned i = 0; i < n; i++)
        any |= mg_str_eq(list[i].name, MG_STR("*")) && list[i].weight > 0;
    mg_sf_writer_init(&w, arena);
    for (unsigned i = 0; i < n; i++) {
        if (says_nothing(&list[i], any))
            continue;
        if (w.n > 0)
            mg_sf_add_raw(&w, MG_STR(","));
        mg_sf_add_raw(&w, list[i].name);
        if (list[i].weight < WEIGHT_ONE)
            mg_sf_add_raw(&w, mg_arena_printf(arena, ";q=%d", list[i].weight));
    }
    return mg_sf_writer_str(&w);
}

static struct mg_str field_value(const struct mg_fields *request, const struct mg_field *f,
                                 struct mg_str name, struct mg_arena *arena)
{
    struct choice list[CHOICES_MAX];
    unsigned n;
    bool weighted =
        mg_str_eq(name, MG_STR("accept-encoding")) || mg_str_eq(name, MG_STR("accept-language"));
    if (weighted && read_choices(request, f, arena, list, &n))
        return weights_value(list, n, arena);
    return text_value(request, f, arena);
}

/* ---- keys ---- */

static void add_value(struct mg_sf_writer *w, struct mg_str value)
{
    char digits[20];
    mg_sf_add_raw(w, mg_str(digits, mg_u64_to_dec(value.n, digits)));
    mg_sf_add_raw(w, MG_STR(":"));
    mg_sf_add_raw(w, value);
}

/* With a `language`, that stands for what the request says of languages. */
static struct mg_str make_key(struct mg_str names, const struct mg_fields *request,
                              struct mg_str language, struct mg_arena *arena)
{
    struct mg_sf_writer w;
    struct mg_str name;
    mg_sf_writer_init(&w, arena);
    while (mg_str_split(&names, ',', &name)) {
        if (language.n > 0 && mg_str_eq(name, MG_STR("accept-language"))) {
            mg_sf_add_raw(&w, MG_STR("="));
            add_value(&w, language);
            continue;
        }
        const struct mg_field *f = mg_fields_find(request, name);
        if (f)
            add_value(&w, field_value(request, f, name, arena));
        else
            mg_sf_add_raw(&w, MG_STR("-"));
    }
    return mg_sf_writer_str(&w);
}

struct mg_str mg_vary_key(struct mg_str names, const struct mg_fields *request,
                          struct mg_arena *arena)
{
    return make_key(names, request, MG_STR_NONE, arena);
}

static bool has_language(struct mg_str names)
{
    struct mg_str name;
    while (mg_str_split(&names, ',', &name))
        if (mg_str_eq(name, MG_STR("accept-language")))
            return true;
    return false;
}

bool mg_vary_language_key_of_response(struct mg_str names, const struct mg_fields *request,
                                      const struct mg_fields *response, struct mg_arena *arena,
                                      struct mg_str *key)
{
    const struct mg_field *f = mg_fields_find(response, MG_STR("Content-Language"));
    if (!f || !has_language(names) || mg_fields_next(response, f) ||
        !mg_is_token(mg_field_value(f)))
        return false;
    *key = make_key(names, request, lower(arena, mg_field_value(f)), arena);
    return true;
}

bool mg_vary_language_key_of_request(struct mg_str names, const struct mg_fields *request,
                                     struct mg_arena *arena, struct mg_str *key)
{
    struct choice list[CHOICES_MAX];
    unsigned n;
    const struct mg_field *f = mg_fields_find(request, MG_STR("Accept-Language"));
    if (!f || !has_language(names) || !read_choices(request, f, arena, list, &n) || n == 0)
        return false;
    bool favourite = list[0].weight > 0 && !mg_str_eq(list[0].name, MG_STR("*")) &&
                     (n == 1 || list[1].weight < list[0].weight);
    if (favourite)
        *key = make_key(names, request, list[0].name, arena);
    return favourite;
}
