/* Backend addresses as configurations write them. Pure; any thread. */
#include "upstream/address.h"

#include <sys/un.h>

#define DEFAULT_PORT 80
#define NAME_MAX_BYTES 253 /* RFC 1035 2.3.4, without the root's dot */
#define LABEL_MAX_BYTES 63

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_byte(char c)
{
    char lower = mg_lower(c);
    return (lower >= 'a' && lower <= 'z') || is_digit(c) || c == '-' || c == '_';
}

static bool is_label(struct mg_str label, bool *all_digits)
{
    *all_digits = true;
    if (label.n == 0 || label.n > LABEL_MAX_BYTES || label.p[0] == '-' ||
        label.p[label.n - 1] == '-')
        return false;
    for (size_t i = 0; i < label.n; i++) {
        if (!is_name_byte(label.p[i]))
            return false;
        if (!is_digit(label.p[i]))
            *all_digits = false;
    }
    return true;
}

bool mg_address_is_name(struct mg_str text)
{
    struct mg_str label;
    bool all_digits = true;
    if (text.n > 1 && text.p[text.n - 1] == '.')
        text.n--; /* absolute: search domains are not tried */
    if (text.n == 0 || text.n > NAME_MAX_BYTES || text.p[text.n - 1] == '.')
        return false;
    while (mg_str_split(&text, '.', &label))
        if (!is_label(label, &all_digits))
            return false;
    return !all_digits;
}

/* The last colon outside of brackets begins the port. */
static bool split_port(struct mg_str *text, uint16_t *port)
{
    uint64_t number;
    size_t colon = text->n;
    while (colon > 0 && text->p[colon - 1] != ':' && text->p[colon - 1] != ']')
        colon--;
    *port = DEFAULT_PORT;
    if (colon == 0 || text->p[colon - 1] == ']')
        return true;
    if (!mg_str_to_u64(mg_str(text->p + colon, text->n - colon), UINT16_MAX, &number) ||
        number == 0)
        return false;
    *port = (uint16_t)number;
    text->n = colon - 1;
    return true;
}

static bool parse_unix(struct mg_str path, struct mg_address *out)
{
    out->kind = MG_ADDRESS_UNIX;
    out->path = path;
    return path.n > 0 && path.n < sizeof((struct sockaddr_un *)0)->sun_path &&
           mg_str_find(path, 0) < 0;
}

static bool parse_host(struct mg_str host, struct mg_address *out)
{
    bool in_brackets = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    struct mg_str inner = in_brackets ? mg_str(host.p + 1, host.n - 2) : host;
    if (mg_ip_parse(inner, &out->addr)) {
        out->kind = MG_ADDRESS_IP;
        out->addr.port = out->port;
        /* Colons and brackets belong together, or the port could be part of the address. */
        return in_brackets == (mg_str_find(inner, ':') >= 0);
    }
    out->kind = MG_ADDRESS_NAME;
    out->name = host;
    return mg_address_is_name(host);
}

enum mg_rc mg_address_parse(struct mg_str text, struct mg_address *out, struct mg_error *err)
{
    struct mg_str host = text;
    *out = (struct mg_address){0};
    if (mg_str_starts(text, MG_STR("unix:"))) {
        if (parse_unix(mg_str(text.p + 5, text.n - 5), out))
            return MG_OK;
        return mg_error_set(err, "cannot use '%.*s' as a backend: not a path for a unix socket",
                            MG_STR_ARGS(text));
    }
    if (mg_ip_parse(text, &out->addr) && mg_str_find(text, ':') >= 0)
        return mg_error_set(err, "cannot use '%.*s' as a backend: put the IPv6 address in brackets",
                            MG_STR_ARGS(text));
    if (!split_port(&host, &out->port))
        return mg_error_set(err, "cannot use '%.*s' as a backend: not a port from 1 to 65535",
                            MG_STR_ARGS(text));
    if (!parse_host(host, out))
        return mg_error_set(err, "cannot use '%.*s' as a backend: not an address and not a name",
                            MG_STR_ARGS(text));
    return MG_OK;
}

struct mg_str mg_address_host(struct mg_str authority)
{
    bool bracketed = authority.n && authority.p[0] == '[';
    ptrdiff_t end = mg_str_find(authority, bracketed ? ']' : ':');
    size_t n = end < 0 ? authority.n : (size_t)end;
    return bracketed ? mg_str(authority.p + 1, n - 1) : mg_str(authority.p, n);
}
