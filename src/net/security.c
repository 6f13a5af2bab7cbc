/* Facts about a secured stream, in one piece of memory. */
#include "net/security.h"

#include <stdlib.h>

#include "base/memory.h"

static struct mg_str copy(char **at, struct mg_str s)
{
    char *to = *at;
    if (s.n)
        memcpy(to, s.p, s.n);
    *at += s.n;
    return mg_str(to, s.n);
}

struct mg_security *mg_security_new(const struct mg_security *values)
{
    size_t bytes = values->server_name.n + values->protocol.n + values->peer_der.n;
    struct mg_security *s = mg_malloc(sizeof *s + bytes);
    char *at = (char *)(s + 1);
    *s = *values;
    s->refs = 1;
    s->server_name = copy(&at, values->server_name);
    s->protocol = copy(&at, values->protocol);
    s->peer_der = copy(&at, values->peer_der);
    return s;
}

struct mg_security *mg_security_ref(struct mg_security *s)
{
    if (s)
        s->refs++;
    return s;
}

void mg_security_unref(struct mg_security *s)
{
    if (s && --s->refs == 0)
        free(s);
}
