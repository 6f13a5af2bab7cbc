/*
 * JSON texts with gaps. Worker thread.
 *
 *     local page = mg.json.template { '{"product":', ',"inStock":', '}' }
 *     page:reply(200, headers, product, true)
 *
 * What does not change is text from the start, and what a service has said goes from its buffer
 * into the answer's: no table is built for either, and the fields stay in the order in which they
 * were written. The result is JSON whatever values are put into the gaps, for the texts are tried
 * when the template is made.
 */
#include "script/lib_template.h"

#include <lauxlib.h>

#include "script/fail.h"
#include "script/json.h"
#include "script/lib_body.h"
#include "script/lib_message.h"

#define TEMPLATE "moongate.JsonTemplate"
#define GAPS_MAX 200 /* values of one call; they lie on the Lua stack */
#define TEXT_MAX ((size_t)1 << 20)

struct template
{
    size_t gaps;
    size_t ends[GAPS_MAX + 1]; /* of the texts, in `bytes` */
    char bytes[];
};

/* --- making --- */

static size_t count_bytes(lua_State *L, lua_Integer n)
{
    size_t bytes = 0;
    for (lua_Integer i = 1; i <= n; i++) {
        size_t len;
        if (lua_rawgeti(L, 1, i) != LUA_TSTRING)
            luaL_error(L, "mg.json.template: item %d: expected string, got %s", (int)i,
                       luaL_typename(L, -1));
        lua_tolstring(L, -1, &len);
        bytes += len;
        lua_pop(L, 1);
    }
    luaL_argcheck(L, bytes <= TEXT_MAX, 1, "the texts are too long");
    return bytes;
}

static struct mg_str text_before(const struct template *t, size_t gap)
{
    size_t from = gap ? t->ends[gap - 1] : 0;
    return mg_str(t->bytes + from, t->ends[gap] - from);
}

/* A gap where any value fits takes `null`, which a name cannot be, and an empty string, which does
 * not fit inside of a string. */
static void check_texts(lua_State *L, const struct template *t, const char *filling)
{
    struct mg_error err;
    luaL_Buffer b;
    struct mg_str whole;
    luaL_buffinit(L, &b);
    for (size_t i = 0; i <= t->gaps; i++) {
        struct mg_str text = text_before(t, i);
        if (i)
            luaL_addstring(&b, filling);
        luaL_addlstring(&b, text.p, text.n);
    }
    luaL_pushresult(&b);
    whole.p = lua_tolstring(L, -1, &whole.n);
    if (mg_json_check(whole, &err) != MG_OK)
        luaL_error(L, "mg.json.template: with %s in its gaps: %s", filling, err.text);
    lua_pop(L, 1);
}

static int l_template(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_Integer n = (lua_Integer)lua_rawlen(L, 1);
    luaL_argcheck(L, n >= 1, 1, "expected a list of texts");
    luaL_argcheck(L, n <= GAPS_MAX + 1, 1, "more than 200 gaps");
    struct template *t = lua_newuserdatauv(L, sizeof *t + count_bytes(L, n), 0);
    size_t end = 0;
    t->gaps = (size_t)n - 1;
    for (lua_Integer i = 1; i <= n; i++) {
        size_t len;
        lua_rawgeti(L, 1, i);
        const char *text = lua_tolstring(L, -1, &len);
        memcpy(t->bytes + end, text, len);
        end += len;
        t->ends[i - 1] = end;
        lua_pop(L, 1);
    }
    check_texts(L, t, "null");
    check_texts(L, t, "\"\"");
    luaL_setmetatable(L, TEMPLATE);
    return 1;
}

/* --- filling --- */

static struct mg_buf *scratch_of(struct mg_context *ctx)
{
    struct mg_instances *instances = ctx->wg->script;
    return &instances->scratch;
}

static void add_value(lua_State *L, int index, struct mg_buf *out, enum mg_rc *rc,
                      struct mg_error *err)
{
    if (lua_isnil(L, index))
        mg_buf_add_str(out, MG_STR("null"));
    else
        *rc = mg_lib_body_add_json(L, index, out, err);
}

/* Fills the gaps with the values from `first` on, into the scratch of the worker's state. Returns
 * 0, or pushes nil and an error whose `index` says which value is no good. */
static int fill(lua_State *L, const struct template *t, int first, struct mg_buf *out)
{
    struct mg_error err;
    lua_settop(L, first + (int)t->gaps - 1);
    luaL_checkstack(L, 8, "template");
    mg_buf_reset(out);
    for (size_t i = 0; i <= t->gaps; i++) {
        enum mg_rc rc = MG_OK;
        if (i)
            add_value(L, first + (int)i - 1, out, &rc, &err);
        if (rc != MG_OK) {
            mg_fail_push(L, MG_JSON_BAD_VALUE, err.text);
            lua_pushinteger(L, (lua_Integer)i);
            lua_setfield(L, -2, "index");
            return 2;
        }
        mg_buf_add_str(out, text_before(t, i));
    }
    return out->failed ? mg_fail_push(L, MG_JSON_BAD_VALUE, "text too long") : 0;
}

static int l_text(lua_State *L)
{
    struct mg_context *ctx = mg_context_check(L, "template:text");
    const struct template *t = luaL_checkudata(L, 1, TEMPLATE);
    struct mg_buf *out = scratch_of(ctx);
    int failed = fill(L, t, 2, out);
    if (failed)
        return failed;
    lua_pushlstring(L, out->p ? out->p : "", out->n);
    return 1;
}

static int l_reply(lua_State *L)
{
    struct mg_context *ctx = mg_context_check(L, "template:reply");
    const struct template *t = luaL_checkudata(L, 1, TEMPLATE);
    struct mg_buf *out = scratch_of(ctx);
    lua_Integer status = luaL_checkinteger(L, 2);
    luaL_argcheck(L, status >= 200 && status <= 599, 2, "expected a status of 200 to 599");
    int failed = fill(L, t, 4, out);
    if (failed)
        return failed;
    struct mg_response *res = mg_response_new(ctx->arena, (unsigned)status, MG_SOURCE_POLICY);
    mg_response_set_body(res, ctx->arena, mg_arena_str(ctx->arena, mg_buf_str(out)));
    mg_lib_message_add_table(L, 3, ctx, res->msg);
    if (!mg_fields_get(&res->msg->fields, MG_FIELD_CONTENT_TYPE))
        mg_fields_add_id(&res->msg->fields, ctx->arena, MG_FIELD_CONTENT_TYPE,
                         MG_STR("application/json"));
    mg_handle_push(L, ctx, MG_HANDLE_RESPONSE, res);
    return 1;
}

/* --- the class --- */

static void make_metatable(lua_State *L)
{
    static const luaL_Reg methods[] = {{"reply", l_reply}, {"text", l_text}, {NULL, NULL}};
    if (luaL_newmetatable(L, TEMPLATE)) {
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
        lua_pushliteral(L, TEMPLATE);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
}

void mg_lib_template_open(lua_State *L)
{
    make_metatable(L);
    lua_getfield(L, -1, "json");
    lua_pushcfunction(L, l_template);
    lua_setfield(L, -2, "template");
    lua_pop(L, 1);
}
