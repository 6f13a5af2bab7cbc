/*
 * For tests of what Lua sees: a state with `mg` and some helpers, whose allocations can be made to
 * fail, on a simulated clock. Brings cmocka along.
 *
 * Each test is a list of Lua snippets; a snippet fails its test by raising.
 */
#ifndef MG_TESTS_SCRIPT_LUA_TEST_H
#define MG_TESTS_SCRIPT_LUA_TEST_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net/loop.h"
#include "script/lib.h"
#include "script/task.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

struct lua_test {
    lua_State *L;
    struct mg_script script;
    struct mg_task task; /* current while the snippets run "in a task" */
    struct mg_dicts *dicts;
    size_t bytes;
    long left; /* allocations that succeed; negative: all */
};

static inline void *lua_test_allocate(void *ud, void *p, size_t old, size_t n)
{
    struct lua_test *t = ud;
    if (!p)
        old = 0;
    if (n == 0) {
        free(p);
        t->bytes -= old;
        return NULL;
    }
    /* Lua counts on shrinking to succeed. */
    if (n > old && t->left == 0)
        return NULL;
    if (n > old && t->left > 0)
        t->left--;
    void *q = realloc(p, n);
    if (q)
        t->bytes += n - old;
    return q;
}

/* `mg` as a global, by the real way in. */
static inline int lua_test_open(lua_State *L)
{
    lua_newtable(L);
    mg_lib_open_pure(L);
    lua_setglobal(L, "mg");
    return 0;
}

static const char lua_test_helpers[] =
    "function gives(want, ...)\n"
    "  local got = table.pack(...)\n"
    "  if got.n ~= 1 or got[1] ~= want or math.type(got[1]) ~= math.type(want) then\n"
    "    for i = 1, got.n do got[i] = tostring(got[i]) end\n"
    "    error('want: ' .. tostring(want) .. '\\ngot:  ' .. table.concat(got, ', '), 2)\n"
    "  end\n"
    "end\n"
    "function fails(want, value, err)\n"
    "  if value ~= nil then error('no failure, but ' .. tostring(value), 2) end\n"
    "  if tostring(err) ~= want then\n"
    "    error('want: ' .. want .. '\\ngot:  ' .. tostring(err), 2)\n"
    "  end\n"
    "end\n"
    "function code(want, value, err)\n"
    "  if value ~= nil then error('no failure, but ' .. tostring(value), 2) end\n"
    "  if err.code ~= want then\n"
    "    error('want: ' .. want .. '\\ngot:  ' .. tostring(err.code), 2)\n"
    "  end\n"
    "end\n"
    "function raises(want, f, ...)\n"
    "  local ok, err = pcall(f, ...)\n"
    "  if ok or not err:find(want, 1, true) then\n"
    "    error('want: ' .. want .. '\\ngot:  ' .. tostring(err), 2)\n"
    "  end\n"
    "end\n";

/* A state with the standard libraries and the helpers above, but no `mg` yet. */
static inline void lua_test_init(struct lua_test *t)
{
    *t = (struct lua_test){.left = -1, .dicts = mg_dicts_new()};
    t->L = lua_newstate(lua_test_allocate, t);
    assert_non_null(t->L);
    t->script.L = t->L;
    t->script.loop = mg_loop_new_simulated(1);
    t->task.script = &t->script;
    *(struct mg_script **)lua_getextraspace(t->L) = &t->script;
    luaL_openlibs(t->L);
    if (luaL_dostring(t->L, lua_test_helpers))
        fail_msg("%s", lua_tostring(t->L, -1));
}

/* The same with `mg` and the dictionaries. `env` may be NULL; its `dicts` is set here. */
static inline void lua_test_start(struct lua_test *t, const struct mg_lib_env *env)
{
    struct mg_lib_env own = {0};
    lua_test_init(t);
    if (env)
        own = *env;
    own.dicts = t->dicts;
    mg_lib_set_env(t->L, &own);
    lua_test_open(t->L);
}

/* Everything must have been given back. */
static inline void lua_test_end(struct lua_test *t)
{
    t->left = -1;
    lua_close(t->L);
    assert_int_equal(t->bytes, 0);
    mg_loop_free(t->script.loop);
    mg_dicts_free(t->dicts);
}

static inline void lua_test_run(struct lua_test *t, const char *code)
{
    int top = lua_gettop(t->L);
    if (luaL_dostring(t->L, code))
        fail_msg("%s\nin: %s", lua_tostring(t->L, -1), code);
    lua_settop(t->L, top);
}

static inline void lua_test_in_task(struct lua_test *t, void *context)
{
    t->task.context = context;
    t->script.current = context ? &t->task : NULL;
}

static inline void lua_test_advance(struct lua_test *t, double seconds)
{
    mg_loop_simulate(t->script.loop,
                     mg_loop_now(t->script.loop) + (uint64_t)(seconds * (double)MG_SECOND), NULL);
}

static inline void lua_test_run_each(const struct mg_lib_env *env, const char *const *code,
                                     size_t count)
{
    struct lua_test t;
    lua_test_start(&t, env);
    for (size_t i = 0; i < count; i++)
        lua_test_run(&t, code[i]);
    lua_test_end(&t);
}

/* Runs `code` in fresh states with the first, second, ... allocation failing, until it gets
 * through. Whatever it held when the error came has to be given back by the end of the state. */
static inline void lua_test_run_starved(const struct mg_lib_env *env, const char *code)
{
    for (long n = 0;; n++) {
        struct lua_test t;
        lua_test_start(&t, env);
        if (luaL_loadstring(t.L, code))
            fail_msg("%s\nin: %s", lua_tostring(t.L, -1), code);
        t.left = n;
        int status = lua_pcall(t.L, 0, 0, 0);
        t.left = -1;
        if (status != LUA_OK && status != LUA_ERRMEM)
            fail_msg("allocation %ld: %s\nin: %s", n, lua_tostring(t.L, -1), code);
        lua_test_end(&t);
        if (status == LUA_OK)
            break;
        assert_true(n < 100000);
    }
}

#endif
