/* What protects a service, from the checked config. Control thread. */
#include "script/config_build.h"

/* Pushes the table of a key; false, with nothing pushed, when there is none. */
static bool push_part(struct mg_config_build *b, int service, const char *key)
{
    if (lua_getfield(b->L, service, key) == LUA_TTABLE)
        return true;
    lua_pop(b->L, 1);
    return false;
}

static void read_breaker(struct mg_config_build *b, int service, struct mg_breaker_config *c)
{
    if (!push_part(b, service, "circuit_breaker"))
        return;
    int part = lua_gettop(b->L);
    c->failures = (uint32_t)mg_config_integer(b, part, "failures");
    c->open_ns = mg_config_ns(b, part, "open_for");
    c->ratio = (uint32_t)mg_config_integer(b, part, "ratio");
    c->min_requests = (uint32_t)mg_config_integer(b, part, "min_requests");
    c->window_ns = mg_config_ns(b, part, "window");
    c->slow_ns = mg_config_ns(b, part, "slow");
    lua_pop(b->L, 1);
}

void mg_config_build_guards(struct mg_config_build *b, int service, struct mg_guards_config *c)
{
    read_breaker(b, service, &c->breaker);
}
