/*
 * Whatever a client sends as server_name, the table answers as a plain list would. The input is
 * lines: names of the table, an empty line, and the rest is what the client sends.
 */
#include "tls/names.h"

#include "base/error.h"

#define NAMES_MAX 64

struct model {
    struct mg_str name;
    uint32_t value;
};

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

static struct mg_str without_dot(struct mg_str s)
{
    return mg_str_ends(s, MG_STR(".")) ? mg_str(s.p, s.n - 1) : s;
}

static bool is_wildcard(struct mg_str name)
{
    return mg_str_starts(name, MG_STR("*."));
}

static bool is_host(struct mg_str name)
{
    name = without_dot(name);
    size_t label = 0;
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] != '.' && !is_name_byte(name.p[i]))
            return false;
        if (name.p[i] == '.' && label == 0)
            return false;
        label = name.p[i] == '.' ? 0 : label + 1;
        if (label > 63)
            return false;
    }
    return label > 0 && name.n <= 253;
}

static bool is_pattern(struct mg_str name)
{
    if (!is_wildcard(name))
        return is_host(name);
    return without_dot(name).n <= 253 && is_host(mg_str(name.p + 2, name.n - 2));
}

static bool is_exactly(struct mg_str pattern, struct mg_str host)
{
    return mg_str_ieq(without_dot(pattern), without_dot(host));
}

static bool covers(struct mg_str wildcard, struct mg_str host)
{
    ptrdiff_t dot = mg_str_find(host, '.');
    return is_wildcard(wildcard) && dot > 0 &&
           is_exactly(mg_str(wildcard.p + 1, wildcard.n - 1),
                      mg_str(host.p + dot, host.n - (size_t)dot));
}

typedef bool match_fn(struct mg_str pattern, struct mg_str host);

static void collect(const struct model *list, size_t count, struct mg_str host, match_fn *match,
                    struct mg_tls_name_entry *out)
{
    for (size_t i = 0; i < count; i++) {
        bool known = !match(list[i].name, host);
        for (uint32_t j = 0; j < out->count; j++)
            known = known || out->values[j] == list[i].value;
        if (!known && out->count < MG_TLS_NAME_VALUES)
            out->values[out->count++] = list[i].value;
    }
}

static void check(const struct mg_tls_names *t, const struct model *list, size_t count,
                  struct mg_str host)
{
    struct mg_tls_name_entry wanted = {.count = 0};
    if (is_host(host)) {
        collect(list, count, host, is_exactly, &wanted);
        if (wanted.count == 0)
            collect(list, count, host, covers, &wanted);
    }
    const struct mg_tls_name_entry *got = mg_tls_names_find(t, host);
    MG_BUG_ON(!got != (wanted.count == 0));
    MG_BUG_ON(got && got->count != wanted.count);
    MG_BUG_ON(got && memcmp(got->values, wanted.values, wanted.count * sizeof wanted.values[0]));
    bool any = false;
    for (size_t i = 0; i < count; i++)
        any = any || mg_tls_name_matches(list[i].name, host);
    MG_BUG_ON(any != (got != NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mg_str rest = mg_str((const char *)data, size), line;
    struct model list[NAMES_MAX];
    size_t count = 0;
    struct mg_tls_names *t = mg_tls_names_new();
    while (count < NAMES_MAX && mg_str_split(&rest, '\n', &line) && line.n) {
        uint32_t value = (uint32_t)count % 7;
        bool valid = is_pattern(line);
        bool added = mg_tls_names_add(t, line, value);
        MG_BUG_ON(mg_tls_name_is_valid(line) != valid || (added && !valid));
        if (valid)
            list[count++] = (struct model){line, value};
    }
    check(t, list, count, rest);
    for (size_t i = 0; i < count; i++) {
        check(t, list, count, list[i].name);
        if (is_wildcard(list[i].name)) /* as if the star were a label */
            check(t, list, count, mg_str(list[i].name.p + 2, list[i].name.n - 2));
    }
    mg_tls_names_free(t);
    return 0;
}
