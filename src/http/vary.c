/*
 * Names are sorted in a small array; values are written piece by piece into the arena.
 *
 * A key is, for each name, "-" when the request lacks the field, else the value's length, ':' and
 * the value: so it can be taken apart in one way only.
 */
#include "http/vary.h"

#include "http/accept.h"
#include "http/sf.h"

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
        int order = mg_str_compare(names->v[at - 1], name);
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

/* Backends get these from us, made of the client's address: no request as it came tells them. */
static bool is_made_later(struct mg_str name)
{
    enum mg_field_id id = mg_field_id(name);
    return id == MG_FIELD_FORWARDED || id == MG_FIELD_X_FORWARDED_FOR || id == MG_FIELD_X_REAL_IP;
}

static bool add_names(struct names *names, struct mg_str list, struct mg_arena *arena)
{
    struct mg_str item;
    while (mg_str_split(&list, ',', &item)) {
        item = mg_str_trim(item);
        if (item.n == 0)
            continue;
        if (mg_str_eq(item, MG_STR("*")) || !mg_is_token(item) || is_made_later(item) ||
            !insert_name(names, mg_arena_lower(arena, item)))
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

/* ---- values as weights ---- */

/* What is refused says something only where a "*" or the default would let it in. */
static bool says_nothing(const struct mg_choice *c, bool any)
{
    return c->weight == 0 && !any && !mg_str_eq(c->name, MG_STR("identity")) &&
           !mg_str_eq(c->name, MG_STR("*"));
}

static struct mg_str weights_value(const struct mg_choice *list, unsigned n, struct mg_arena *arena)
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
        if (list[i].weight < MG_WEIGHT_ONE)
            mg_sf_add_raw(&w, mg_arena_printf(arena, ";q=%d", list[i].weight));
    }
    return mg_sf_writer_str(&w);
}

static struct mg_str field_value(const struct mg_fields *request, const struct mg_field *f,
                                 struct mg_str name, struct mg_arena *arena)
{
    struct mg_choice list[MG_CHOICES_MAX];
    unsigned n;
    bool weighted =
        mg_str_eq(name, MG_STR("accept-encoding")) || mg_str_eq(name, MG_STR("accept-language"));
    if (weighted && mg_choices_read(request, f, arena, list, &n))
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

struct mg_str mg_vary_key(struct mg_str names, const struct mg_fields *request,
                          struct mg_arena *arena)
{
    struct mg_sf_writer w;
    struct mg_str name;
    mg_sf_writer_init(&w, arena);
    while (mg_str_split(&names, ',', &name)) {
        const struct mg_field *f = mg_fields_find(request, name);
        if (f)
            add_value(&w, field_value(request, f, name, arena));
        else
            mg_sf_add_raw(&w, MG_STR("-"));
    }
    return mg_sf_writer_str(&w);
}
