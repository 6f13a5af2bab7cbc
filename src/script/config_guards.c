/* What protects a service, from the checked config. Control thread. */
#include "script/config_build.h"

#define BUDGET_DEFAULT 20 /* of hedges where no retries are defined */

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

/* Words and statuses of `on`, and the methods. */
static void read_retry(struct mg_config_build *b, int service, struct mg_guards_config *c)
{
    static const char *const failures[] = {"connect", "reset", "timeout"};
    if (!push_part(b, service, "retries"))
        return;
    int part = lua_gettop(b->L);
    size_t count;
    c->retry.attempts = (uint32_t)mg_config_integer(b, part, "attempts");
    c->retry.backoff_ns = mg_config_ns(b, part, "backoff");
    c->budget = (uint32_t)mg_config_integer(b, part, "budget");
    struct mg_str *words = mg_config_texts(b, part, "failures", &count);
    for (size_t i = 0; i < count; i++)
        for (unsigned k = 0; k < 3; k++)
            if (mg_str_eq(words[i], mg_str_c(failures[k])))
                c->retry.failures |= 1u << k;
    uint32_t statuses = mg_config_list(b, part, "statuses");
    for (uint32_t i = 0; i < statuses; i++) {
        lua_rawgeti(b->L, -1, (lua_Integer)i + 1);
        mg_retry_add_status(&c->retry, (unsigned)lua_tointeger(b->L, -1));
        lua_pop(b->L, 1);
    }
    lua_pop(b->L, 1);
    struct mg_str *methods = mg_config_texts(b, part, "methods", &count);
    for (size_t i = 0; i < count; i++)
        c->retry.methods |= 1u << mg_method_id(methods[i]);
    lua_pop(b->L, 1);
}

static void read_hedge(struct mg_config_build *b, int service, struct mg_guards_config *c)
{
    if (!push_part(b, service, "hedge"))
        return;
    c->hedge.delay_ns = mg_config_ns(b, lua_gettop(b->L), "delay");
    c->hedge.max = (uint32_t)mg_config_integer(b, lua_gettop(b->L), "max");
    if (!c->budget)
        c->budget = BUDGET_DEFAULT;
    lua_pop(b->L, 1);
}

static void read_outliers(struct mg_config_build *b, int service, struct mg_outlier_config *c)
{
    if (!push_part(b, service, "outliers"))
        return;
    c->errors = (uint32_t)mg_config_integer(b, lua_gettop(b->L), "errors");
    c->eject_ns = mg_config_ns(b, lua_gettop(b->L), "eject_for");
    c->max_ejected = (uint32_t)mg_config_integer(b, lua_gettop(b->L), "max_ejected");
    lua_pop(b->L, 1);
}

static void read_gate(struct mg_config_build *b, int service, struct mg_gate_config *c)
{
    c->max_requests = (uint32_t)mg_config_integer(b, service, "max_requests");
    if (!push_part(b, service, "queue"))
        return;
    c->queue_size = (uint32_t)mg_config_integer(b, lua_gettop(b->L), "size");
    c->queue_ns = mg_config_ns(b, lua_gettop(b->L), "timeout");
    lua_pop(b->L, 1);
}

void mg_config_build_guards(struct mg_config_build *b, int service, struct mg_guards_config *c)
{
    read_breaker(b, service, &c->breaker);
    read_retry(b, service, c);
    read_hedge(b, service, c);
    read_outliers(b, service, &c->outliers);
    read_gate(b, service, &c->gate);
}
