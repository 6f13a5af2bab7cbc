/* What a request would take, by weights. Lists are short: they are kept sorted as they are read. */
#include "http/accept.h"

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
    return weight <= MG_WEIGHT_ONE ? weight : -1;
}

static bool read_choice(struct mg_str item, struct mg_arena *arena, struct mg_choice *out)
{
    struct mg_str name, rest = item;
    mg_str_split(&rest, ';', &name);
    name = mg_str_trim(name);
    rest = mg_str_trim(rest);
    out->weight = MG_WEIGHT_ONE;
    if (rest.n > 2 && mg_str_ieq(mg_str(rest.p, 2), MG_STR("q=")))
        out->weight = read_weight(mg_str(rest.p + 2, rest.n - 2));
    else if (rest.n > 0)
        return false;
    if (!mg_is_token(name) || out->weight < 0)
        return false;
    out->name = mg_arena_lower(arena, name);
    return true;
}

/* The heaviest first, names in order among equals; a name once, where it is heaviest. */
static void insert_choice(struct mg_choice *list, unsigned *n, struct mg_choice c)
{
    unsigned at = 0, old;
    for (old = 0; old < *n && mg_str_compare(list[old].name, c.name) != 0;)
        old++;
    if (old < *n) {
        if (list[old].weight >= c.weight)
            return;
        memmove(&list[old], &list[old + 1], (--*n - old) * sizeof *list);
    }
    while (at < *n && (list[at].weight > c.weight ||
                       (list[at].weight == c.weight && mg_str_compare(list[at].name, c.name) < 0)))
        at++;
    memmove(&list[at + 1], &list[at], (*n - at) * sizeof *list);
    list[at] = c;
    ++*n;
}

bool mg_choices_read(const struct mg_fields *request, const struct mg_field *f,
                     struct mg_arena *arena, struct mg_choice list[MG_CHOICES_MAX], unsigned *n)
{
    *n = 0;
    for (; f; f = mg_fields_next(request, f)) {
        struct mg_str rest = mg_field_value(f), item;
        while (mg_str_split(&rest, ',', &item)) {
            struct mg_choice c;
            item = mg_str_trim(item);
            if (item.n == 0)
                continue;
            if (*n == MG_CHOICES_MAX || !read_choice(item, arena, &c))
                return false;
            insert_choice(list, n, c);
        }
    }
    return true;
}

/* ---- codings ---- */

static int weight_of(const struct mg_choice *list, unsigned n, struct mg_str name, int otherwise)
{
    for (unsigned i = 0; i < n; i++)
        if (mg_str_eq(list[i].name, name))
            return list[i].weight;
    return otherwise;
}

/* "x-gzip" is the same coding (RFC 9110 8.4.1.3). */
static int weight_of_coding(const struct mg_choice *list, unsigned n, enum mg_coding coding,
                            int any)
{
    int weight = weight_of(list, n, mg_coding_name(coding), -1);
    if (weight < 0 && coding == MG_CODING_GZIP)
        weight = weight_of(list, n, MG_STR("x-gzip"), -1);
    return weight < 0 ? any : weight;
}

void mg_accept_codings(const struct mg_fields *request, struct mg_arena *arena,
                       struct mg_accepted_codings *out)
{
    struct mg_choice list[MG_CHOICES_MAX];
    unsigned n;
    const struct mg_field *f = mg_fields_get(request, MG_FIELD_ACCEPT_ENCODING);
    *out = (struct mg_accepted_codings){.weight[MG_CODING_IDENTITY] = 1};
    if (!f || !mg_choices_read(request, f, arena, list, &n))
        return;
    int any = weight_of(list, n, MG_STR("*"), -1);
    for (int c = MG_CODING_GZIP; c < MG_CODING_OTHER; c++)
        out->weight[c] = weight_of_coding(list, n, (enum mg_coding)c, any < 0 ? 0 : any);
    /* Unless something is said of it, it will do where nothing else does. */
    out->weight[MG_CODING_IDENTITY] =
        weight_of_coding(list, n, MG_CODING_IDENTITY, any == 0 ? 0 : 1);
}

enum mg_coding mg_accept_choose(const struct mg_accepted_codings *accepted,
                                const enum mg_coding *offers, size_t count)
{
    enum mg_coding best = MG_CODING_IDENTITY;
    int weight = accepted->weight[MG_CODING_IDENTITY];
    for (size_t i = 0; i < count; i++) {
        int w = accepted->weight[offers[i]];
        if (w > weight || (w == weight && w > 0 && best == MG_CODING_IDENTITY)) {
            best = offers[i];
            weight = w;
        }
    }
    return best;
}
