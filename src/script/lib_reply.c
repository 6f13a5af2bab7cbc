/*
 * Responses that policies make. Worker thread.
 *
 *     mg.reply(status, body?, headers?)
 *     mg.reply_json(status, value, headers?)
 *     mg.problem(status, slug, detail?, { headers=, members= }?)
 *     mg.redirect(url, status?)
 *     mg.stream(status, headers?, function(write) ... end)
 */
#include "script/lib_reply.h"

#include "gateway/problem.h"
#include "script/lib_body.h"
#include "script/lib_message.h"
#include "script/made_body.h"

static struct mg_response *new_response(lua_State *L, struct mg_context *ctx, int arg)
{
    lua_Integer status = luaL_checkinteger(L, arg);
    if (status < 200 || status > 599)
        luaL_argerror(L, arg, "expected a status of 200 to 599");
    return mg_response_new(ctx->arena, (unsigned)status, MG_SOURCE_POLICY);
}

static void default_type(struct mg_context *ctx, struct mg_response *res, struct mg_str type)
{
    struct mg_fields *fields = &res->msg->fields;
    if (!mg_fields_get(fields, MG_FIELD_CONTENT_TYPE))
        mg_fields_add_id(fields, ctx->arena, MG_FIELD_CONTENT_TYPE, type);
}

static int push_response(lua_State *L, struct mg_context *ctx, struct mg_response *res)
{
    mg_handle_push(L, ctx, MG_HANDLE_RESPONSE, res);
    return 1;
}

static int l_reply(lua_State *L)
{
    struct mg_context *ctx = mg_context_check(L, "mg.reply");
    struct mg_response *res = new_response(L, ctx, 1);
    size_t n;
    lua_settop(L, 3);
    mg_lib_message_add_table(L, 3, ctx, res->msg);
    if (!lua_isnil(L, 2)) {
        const char *body = luaL_checklstring(L, 2, &n);
        mg_response_set_body(res, ctx->arena, mg_arena_str(ctx->arena, mg_str(body, n)));
        if (n)
            default_type(ctx, res, MG_STR("text/plain; charset=utf-8"));
    }
    return push_response(L, ctx, res);
}

static int l_reply_json(lua_State *L)
{
    struct mg_context *ctx = mg_context_check(L, "mg.reply_json");
    struct mg_response *res = new_response(L, ctx, 1);
    luaL_checkany(L, 2);
    lua_settop(L, 3);
    mg_lib_message_add_table(L, 3, ctx, res->msg);
    mg_response_set_body(res, ctx->arena, mg_lib_body_encode_json(L, 2, ctx));
    default_type(ctx, res, MG_STR("application/json"));
    return push_response(L, ctx, res);
}

/* What of { a = 1 } a problem has by itself (enum mg_problem_member). */
static unsigned given_members(lua_State *L, int index)
{
    unsigned given = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
        if (lua_type(L, -2) == LUA_TSTRING)
            given |= mg_problem_member_of(mg_str_c(lua_tostring(L, -2)));
    return given;
}

/* { a = 1 } as ",\"a\":1": members to follow others in an object. */
static struct mg_str extra_members(lua_State *L, int index, struct mg_context *ctx, unsigned *given)
{
    *given = 0;
    if (lua_isnil(L, index))
        return MG_STR_NONE;
    if (!lua_istable(L, index))
        luaL_error(L, "mg.problem: members: expected table, got %s", luaL_typename(L, index));
    *given = given_members(L, index);
    struct mg_str json = mg_lib_body_encode_json(L, index, ctx);
    if (json.n <= 2 || json.p[0] != '{')
        return MG_STR_NONE;
    return mg_arena_printf(ctx->arena, ",%.*s", (int)json.n - 2, json.p + 1);
}

static void check_problem_options(lua_State *L, int index)
{
    luaL_checktype(L, index, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        if (strcmp(name, "headers") != 0 && strcmp(name, "members") != 0)
            luaL_error(L, "mg.problem: unknown option '%s'", luaL_tolstring(L, -2, NULL));
    }
}

static int l_problem(lua_State *L)
{
    struct mg_context *ctx = mg_context_check(L, "mg.problem");
    struct mg_response *res = new_response(L, ctx, 1);
    struct mg_str slug, detail = MG_STR_NONE, members = MG_STR_NONE;
    slug.p = luaL_checklstring(L, 2, &slug.n);
    if (!lua_isnoneornil(L, 3))
        detail.p = luaL_checklstring(L, 3, &detail.n);
    unsigned given = 0;
    lua_settop(L, 4);
    if (!lua_isnil(L, 4)) {
        check_problem_options(L, 4);
        lua_getfield(L, 4, "headers");
        mg_lib_message_add_table(L, 5, ctx, res->msg);
        lua_getfield(L, 4, "members");
        members = extra_members(L, 6, ctx, &given);
    }
    if (!ctx->req)
        return luaL_error(L, "mg.problem can only be called while a request is served");
    mg_response_set_body(res, ctx->arena,
                         mg_problem_body(ctx->req, res->msg->status, slug, detail, members, given));
    mg_problem_add_fields(ctx->req, res->msg);
    return push_response(L, ctx, res);
}

static int l_redirect(lua_State *L)
{
    struct mg_context *ctx = mg_context_check(L, "mg.redirect");
    size_t n;
    const char *url = luaL_checklstring(L, 1, &n);
    if (!mg_is_field_value(mg_str(url, n)) || n == 0)
        luaL_argerror(L, 1, "not a URL");
    lua_Integer status = luaL_optinteger(L, 2, 308);
    if (status < 300 || status > 399)
        luaL_argerror(L, 2, "expected a status of 300 to 399");
    struct mg_response *res = mg_response_new(ctx->arena, (unsigned)status, MG_SOURCE_POLICY);
    mg_fields_add_id(&res->msg->fields, ctx->arena, MG_FIELD_LOCATION,
                     mg_arena_str(ctx->arena, mg_str(url, n)));
    return push_response(L, ctx, res);
}

static int l_stream(lua_State *L)
{
    struct mg_context *ctx = mg_context_check(L, "mg.stream");
    struct mg_response *res = new_response(L, ctx, 1);
    luaL_checktype(L, 3, LUA_TFUNCTION);
    mg_lib_message_add_table(L, 2, ctx, res->msg);
    res->body = mg_made_body_written(L, 3, ctx);
    return push_response(L, ctx, res);
}

static const luaL_Reg functions[] = {
    {"reply", l_reply},       {"reply_json", l_reply_json}, {"problem", l_problem},
    {"redirect", l_redirect}, {"stream", l_stream},         {NULL, NULL},
};

void mg_lib_reply_open(lua_State *L)
{
    luaL_setfuncs(L, functions, 0);
}
