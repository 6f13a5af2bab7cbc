/* Socket addresses to and from our own. Pure. */
#include "net/sockaddr.h"

#include <netinet/in.h>
#include <stddef.h>

socklen_t mg_sockaddr_from(const struct mg_addr *addr, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (addr->family == 6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(addr->port);
        memcpy(&in6->sin6_addr, addr->bytes, 16);
        return sizeof *in6;
    }
    struct sockaddr_in *in = (struct sockaddr_in *)out;
    in->sin_family = AF_INET;
    in->sin_port = htons(addr->port);
    memcpy(&in->sin_addr, addr->bytes, 4);
    return sizeof *in;
}

void mg_sockaddr_to(const struct sockaddr_storage *ss, struct mg_addr *out)
{
    memset(out, 0, sizeof *out);
    if (ss->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)ss;
        out->family = 4;
        out->port = ntohs(in->sin_port);
        memcpy(out->bytes, &in->sin_addr, 4);
    } else if (ss->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;
        bool mapped = IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);
        out->family = mapped ? 4 : 6;
        out->port = ntohs(in6->sin6_port);
        memcpy(out->bytes, (const char *)&in6->sin6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
    }
}

bool mg_sockaddr_unix(const char *path, struct sockaddr_un *out, socklen_t *len)
{
    size_t n = strlen(path);
    memset(out, 0, sizeof *out);
    if (n == 0 || n >= sizeof out->sun_path)
        return false;
    out->sun_family = AF_UNIX;
    memcpy(out->sun_path, path, n + 1);
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
    return true;
}

bool mg_sockaddr_parse_listen(const char *text, struct mg_addr *out)
{
    struct mg_str s = mg_str_c(text);
    uint64_t port;
    memset(out, 0, sizeof *out);
    const char *colon = strrchr(text, ':');
    if (!colon || !mg_str_to_u64(mg_str_c(colon + 1), 65535, &port))
        return false;
    s.n = (size_t)(colon - text);
    if (s.n == 0 || mg_str_eq(s, MG_STR("*"))) {
        out->family = 4; /* 0.0.0.0: all of IPv4, as nginx has it; "[::]:80" is there for IPv6 */
    } else {
        if (s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
            s = mg_str(s.p + 1, s.n - 2);
        if (!mg_ip_parse(s, out))
            return false;
    }
    out->port = (uint16_t)port;
    return true;
}
