/* The response as policies see it. Worker thread. */
#include "script/lib_response.h"

#include "http/cache_control.h"
#include "script/lib_body.h"
#include "script/lib_message.h"
#include "script/lib_sse.h"
#include "script/table.h"

enum field { F_STATUS, F_SOURCE, F_ERROR, F_UPSTREAM };

static const char *const fields[] = {
    [F_STATUS] = "status",     [F_SOURCE] = "source",   [F_ERROR] = "error",
    [F_UPSTREAM] = "upstream", [F_UPSTREAM + 1] = NULL,
};

static void set_seconds(lua_State *L, const char *key, uint64_t from_ns, uint64_t to_ns)
{
    if (!from_ns || to_ns < from_ns)
        return;
    lua_pushnumber(L, (double)(to_ns - from_ns) / 1e9);
    lua_setfield(L, -2, key);
}

static void push_upstream(lua_State *L, const struct mg_fetch *f)
{
    if (!f) {
        lua_pushnil(L);
        return;
    }
    lua_createtable(L, 0, 5);
    struct mg_str service = mg_service_config(f->picker->service)->name;
    mg_table_set_text(L, "service", service);
    if (f->backend)
        mg_table_set_text(L, "address", mg_str_c(f->backend->label));
    lua_pushinteger(L, f->attempts);
    lua_setfield(L, -2, "attempts");
    set_seconds(L, "connect", f->started_ns, f->connected_ns);
    set_seconds(L, "first_byte", f->started_ns, f->first_byte_ns);
}

static void push_error(lua_State *L, const struct mg_response *res)
{
    if (!res->error_code) {
        lua_pushnil(L);
        return;
    }
    lua_createtable(L, 0, 4);
    mg_table_set_text(L, "code", mg_str_c(res->error_code));
    mg_table_set_text(
        L, "message",
        mg_str_c(res->fetch && res->fetch->detail ? res->fetch->detail : res->error_code));
    if (res->error_policy.n) {
        lua_pushlstring(L, res->error_policy.p, res->error_policy.n);
        lua_setfield(L, -2, "policy");
    }
    if (res->fetch) {
        push_upstream(L, res->fetch);
        lua_setfield(L, -2, "upstream");
    }
}

static void get(lua_State *L, struct mg_handle *h, int field)
{
    const struct mg_response *res = h->object;
    switch ((enum field)field) {
    case F_STATUS:
        lua_pushinteger(L, res->msg->status);
        break;
    case F_SOURCE:
        lua_pushstring(L, mg_source_name(res->source));
        break;
    case F_ERROR:
        push_error(L, res);
        break;
    case F_UPSTREAM:
        push_upstream(L, res->fetch);
        break;
    }
}

static void set(lua_State *L, struct mg_handle *h, int field)
{
    struct mg_response *res = h->object;
    if (field != F_STATUS)
        luaL_error(L, "res.%s cannot be set", fields[field]);
    int is_integer;
    lua_Integer status = lua_tointegerx(L, 3, &is_integer);
    if (!is_integer || status < 200 || status > 599)
        luaL_error(L, "res.status: expected 200 to 599, got %s", luaL_tolstring(L, 3, NULL));
    if (h->ctx->ex && h->ctx->ex->answered)
        luaL_error(L, "the response's headers have left already");
    res->msg->status = (uint16_t)status;
    res->msg->phrase = MG_STR_NONE;
}

static int l_is_json(lua_State *L)
{
    lua_pushboolean(L, mg_lib_message_is_json(mg_handle_response(L, 1)->msg));
    return 1;
}

/* Cache-Control as a table: { ["max-age"] = "60", ["no-store"] = true }. */
static int l_cache_control(lua_State *L)
{
    struct mg_handle *h = mg_handle_check(L, 1, MG_HANDLE_RESPONSE);
    struct mg_str list = MG_STR_NONE, item;
    bool quotes = true;
    lua_newtable(L);
    mg_fields_joined(&mg_lib_message_of(h)->fields, MG_STR("cache-control"), h->ctx->arena, &list);
    while (mg_cache_control_next(&list, &quotes, &item)) {
        ptrdiff_t eq = mg_str_find(item, '=');
        struct mg_str name = eq < 0 ? item : mg_str(item.p, (size_t)eq);
        if (name.n == 0)
            continue;
        char *lower = mg_arena_alloc(h->ctx->arena, name.n);
        for (size_t i = 0; i < name.n; i++)
            lower[i] = mg_lower(name.p[i]);
        lua_pushlstring(L, lower, name.n);
        if (eq < 0) {
            lua_pushboolean(L, true);
        } else {
            struct mg_str value = mg_str(item.p + eq + 1, item.n - (size_t)eq - 1);
            if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
                value = mg_str(value.p + 1, value.n - 2);
            lua_pushlstring(L, value.p, value.n);
        }
        lua_rawset(L, -3);
    }
    return 1;
}

/* A response of one's own with the same status, headers and body; the body must have been read. */
static int l_copy(lua_State *L)
{
    struct mg_handle *h = mg_handle_check(L, 1, MG_HANDLE_RESPONSE);
    const struct mg_response *res = h->object;
    if (!res->is_buffered && res->body)
        return luaL_error(L, "res:copy needs the whole body; read it with res:text() before");
    struct mg_response *copy = mg_response_new(h->ctx->arena, res->msg->status, MG_SOURCE_POLICY);
    mg_message_copy(copy->msg, h->ctx->arena, res->msg);
    if (res->body)
        mg_response_set_body(copy, h->ctx->arena, res->buffered);
    copy->again = res->again;
    mg_handle_push(L, h->ctx, MG_HANDLE_RESPONSE, copy);
    return 1;
}

static const luaL_Reg methods[] = {
    MG_LIB_MESSAGE_METHODS,
    MG_LIB_BODY_METHODS,
    {"is_json", l_is_json},
    {"cache_control", l_cache_control},
    {"copy", l_copy},
    {"events", mg_lib_sse_events},
    {"map_events", mg_lib_sse_map_events},
    {NULL, NULL},
};

static const struct mg_handle_type type = {
    .name = "moongate.Response", .methods = methods, .fields = fields, .get = get, .set = set};

void mg_lib_response_open(lua_State *L)
{
    mg_handle_register(L, MG_HANDLE_RESPONSE, &type);
}
