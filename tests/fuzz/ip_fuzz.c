/* Whatever is read as an address or network is written and read back as the same one. */
#include "base/ip.h"

#include <stdio.h>

static void check_address(struct mg_str text)
{
    struct mg_addr addr, again;
    char out[MG_IP_TEXT_MAX];
    if (mg_ip_parse(text, &addr)) {
        size_t n = mg_ip_format(&addr, out);
        MG_BUG_ON(n == 0 || n > text.n + 24 || !mg_ip_parse(mg_str(out, n), &again));
        MG_BUG_ON(!mg_ip_eq(&addr, &again) || addr.port != 0);
    }
    if (mg_ip_parse_port(text, &addr)) {
        size_t n = mg_ip_format_port(&addr, out);
        MG_BUG_ON(n >= sizeof out || out[n] || !mg_ip_parse_port(mg_str(out, n), &again));
        MG_BUG_ON(!mg_ip_eq(&addr, &again) || addr.port != again.port);
    }
}

static void check_network(struct mg_str text)
{
    struct mg_cidr cidr, again;
    struct mg_error err;
    char out[MG_IP_TEXT_MAX], both[MG_IP_TEXT_MAX + 8];
    if (mg_cidr_parse(text, &cidr, &err) != MG_OK)
        return;
    mg_ip_format(&cidr.net, out);
    int n = snprintf(both, sizeof both, "%s/%u", out, cidr.bits);
    MG_BUG_ON(mg_cidr_parse(mg_str(both, (size_t)n), &again, &err) != MG_OK);
    MG_BUG_ON(!mg_ip_eq(&cidr.net, &again.net) || cidr.bits != again.bits);
    MG_BUG_ON(!mg_cidr_has(&cidr, &cidr.net));
}

/* A set made of all lines answers as the networks one by one. */
static void check_set(const struct mg_str *lines, size_t count)
{
    struct mg_error err;
    struct mg_cidr_set *set = mg_cidr_set_new(lines, count, &err);
    if (!set)
        return;
    for (size_t i = 0; i < count; i++) {
        struct mg_cidr cidr;
        MG_BUG_ON(mg_cidr_parse(lines[i], &cidr, &err) != MG_OK);
        MG_BUG_ON(!mg_cidr_set_has(set, &cidr.net));
        struct mg_addr probe = cidr.net;
        probe.bytes[cidr.net.family == 4 ? 3 : 15] ^= 1;
        bool has = false;
        for (size_t j = 0; j < count && !has; j++)
            has = mg_cidr_parse(lines[j], &cidr, &err) == MG_OK && mg_cidr_has(&cidr, &probe);
        MG_BUG_ON(mg_cidr_set_has(set, &probe) != has);
    }
    mg_cidr_set_free(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mg_str rest = mg_str((const char *)data, size), lines[32];
    size_t count = 0;
    while (count < 32 && mg_str_split(&rest, '\n', &lines[count])) {
        check_address(lines[count]);
        check_network(lines[count]);
        count++;
    }
    check_set(lines, count);
    return 0;
}
