/* The author's own coroutines. One thread. */
#include "script/coroutine.h"

#include <lauxlib.h>
#include <lualib.h>

#include "script/budget.h"
#include "script/state.h"

static lua_State *check_coroutine(lua_State *L, const char *verb)
{
    lua_State *co = lua_tothread(L, 1);
    luaL_argexpected(L, co, 1, "coroutine");
    if (mg_script_is_task(co))
        luaL_error(L, "cannot %s the coroutine of a request or task", verb);
    return co;
}

static int reset(lua_State *L, lua_State *co)
{
    struct mg_script *s = mg_script_of(L);
    struct mg_budget_saved saved;
    mg_budget_enter(s, &saved, co);
    mg_budget_grace(s, co);
#if LUA_VERSION_RELEASE_NUM >= 50406
    int status = lua_closethread(co, L);
#else
    int status = lua_resetthread(co);
#endif
    mg_budget_leave(s, &saved);
    return status;
}

/* Resumes with the `nargs` values on top of L. Returns how many results it put there instead, or -1
 * with the error value there. */
static int resume(lua_State *L, lua_State *co, int nargs)
{
    struct mg_script *s = mg_script_of(L);
    struct mg_budget_saved saved;
    int nresults;
    if (!lua_checkstack(co, nargs)) {
        lua_pushliteral(L, "too many arguments to resume");
        return -1;
    }
    lua_xmove(L, co, nargs);
    mg_budget_enter(s, &saved, co);
    int status = lua_resume(co, L, nargs, &nresults);
    mg_budget_leave(s, &saved);
    if (status == LUA_YIELD && mg_budget_overran(s)) {
        reset(L, co);
        mg_budget_push_text(L);
        return -1; /* who catches this gets no further than the next instruction */
    }
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_xmove(co, L, 1);
        return -1;
    }
    if (!lua_checkstack(L, nresults + 1)) {
        lua_pop(co, nresults);
        lua_pushliteral(L, "too many results to resume");
        return -1;
    }
    lua_xmove(co, L, nresults);
    return nresults;
}

static int l_create(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    return 1;
}

static int l_resume(lua_State *L)
{
    lua_State *co = check_coroutine(L, "resume");
    int n = resume(L, co, lua_gettop(L) - 1);
    lua_pushboolean(L, n >= 0);
    if (n < 0)
        n = 1;
    lua_insert(L, -(n + 1));
    return n + 1;
}

/* Closes the variables of a wrapped coroutine that failed with the error on top; they see it, and
 * may put another in its place. Then raises it, with the caller's place in front of a text. */
static int wrap_failed(lua_State *L, lua_State *co)
{
    int status = lua_status(co);
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_xmove(L, co, 1);
        reset(L, co);
        lua_xmove(co, L, 1);
    }
    if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int l_call_wrapped(lua_State *L)
{
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    int n = resume(L, co, lua_gettop(L));
    return n < 0 ? wrap_failed(L, co) : n;
}

static int l_wrap(lua_State *L)
{
    l_create(L);
    lua_pushcclosure(L, l_call_wrapped, 1);
    return 1;
}

static int l_yield(lua_State *L)
{
    if (mg_script_is_task(L))
        return luaL_error(L,
                          "coroutine.yield can only be called inside a coroutine of your own; to "
                          "wait, call mg.sleep or the like");
    return lua_yield(L, lua_gettop(L));
}

static int l_isyieldable(lua_State *L)
{
    lua_State *co = lua_isthread(L, 1) ? lua_tothread(L, 1) : L;
    lua_pushboolean(L, !mg_script_is_task(co) && lua_isyieldable(co));
    return 1;
}

static bool has_frames(lua_State *co)
{
    lua_Debug ar;
    return lua_getstack(co, 0, &ar) != 0;
}

static const char *status_of(lua_State *L, lua_State *co)
{
    if (co == L)
        return "running";
    switch (lua_status(co)) {
    case LUA_YIELD:
        return "suspended";
    case LUA_OK:
        return has_frames(co) ? "normal" : lua_gettop(co) ? "suspended" : "dead";
    default:
        return "dead";
    }
}

static int l_status(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    luaL_argexpected(L, co, 1, "coroutine");
    lua_pushstring(L, status_of(L, co));
    return 1;
}

static int l_close(lua_State *L)
{
    lua_State *co = check_coroutine(L, "close");
    const char *status = status_of(L, co);
    if (status[0] != 's' && status[0] != 'd')
        return luaL_error(L, "cannot close a %s coroutine", status);
    if (reset(L, co) == LUA_OK) {
        lua_pushboolean(L, true);
        return 1;
    }
    lua_pushboolean(L, false);
    lua_xmove(co, L, 1);
    return 2;
}

static int l_running(lua_State *L)
{
    lua_pushboolean(L, lua_pushthread(L));
    return 2;
}

void mg_coroutine_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"close", l_close},   {"create", l_create},   {"isyieldable", l_isyieldable},
        {"resume", l_resume}, {"running", l_running}, {"status", l_status},
        {"wrap", l_wrap},     {"yield", l_yield},     {NULL, NULL},
    };
    luaL_newlib(L, functions);
}
