#include "base/redact.h"

static const struct mg_str always[] = {MG_STR("authorization"), MG_STR("cookie"),
                                       MG_STR("set-cookie"), MG_STR("proxy-authorization"),
                                       MG_STR("x-api-key")};

static bool same_name(struct mg_str a, struct mg_str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        char x = a.p[i] == '_' ? '-' : mg_lower(a.p[i]), y = b.p[i] == '_' ? '-' : mg_lower(b.p[i]);
        if (x != y)
            return false;
    }
    return true;
}

bool mg_redact_has(const struct mg_redact *r, struct mg_str name)
{
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
        if (same_name(name, always[i]))
            return true;
    for (size_t i = 0; i < r->count; i++)
        if (same_name(name, r->names[i]))
            return true;
    return false;
}
