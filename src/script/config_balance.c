/* Which backend gets a request: the fields of a service that are about the choice. */
#include "script/config_build.h"

static const struct {
    const char *name;
    enum mg_balance balance;
} ways[] = {
    {"round-robin", MG_BALANCE_ROUND_ROBIN},
    {"random", MG_BALANCE_RANDOM},
    {"least-requests", MG_BALANCE_LEAST_REQUESTS},
    {"two-choices", MG_BALANCE_TWO_CHOICES},
    {"latency", MG_BALANCE_LATENCY},
};

static void read_way(struct mg_config_build *b, int service, struct mg_service_config *c)
{
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        if (mg_config_is(b, service, "balance", ways[i].name))
            c->balance = ways[i].balance;
    if (lua_getfield(b->L, service, "balance") == LUA_TTABLE) {
        c->balance = MG_BALANCE_HASH;
        c->hash = mg_config_text(b, lua_gettop(b->L), "hash");
    }
    lua_pop(b->L, 1);
}

static void read_sticky(struct mg_config_build *b, int service, struct mg_sticky_config *c)
{
    if (lua_getfield(b->L, service, "sticky") == LUA_TTABLE) {
        int sticky = lua_gettop(b->L);
        struct mg_str secret = mg_config_text(b, sticky, "secret");
        c->cookie = mg_config_text(b, sticky, "cookie");
        c->path = mg_config_text(b, sticky, "path");
        c->ttl_ns = mg_config_ns(b, sticky, "ttl");
        c->secure = mg_config_flag(b, sticky, "secure");
        c->secret = secret.n ? mg_config_secret(b, secret) : MG_STR_NONE;
    }
    lua_pop(b->L, 1);
}

void mg_config_build_balance(struct mg_config_build *b, int service, struct mg_service_config *c)
{
    read_way(b, service, c);
    read_sticky(b, service, &c->sticky);
    c->slow_start_ns = mg_config_ns(b, service, "slow_start");
    c->panic_percent = (uint8_t)mg_config_integer(b, service, "panic_threshold");
    c->zone = mg_config_text(b, b->config, "zone");
    c->require_zone = mg_config_flag(b, service, "require_zone");
}
