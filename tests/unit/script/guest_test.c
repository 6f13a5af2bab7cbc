/* Guests: several scripts in one Lua state of others. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "script/guest.h"
#include "script/json.h"
#include "script/sandbox.h"
#include "script/task.h"

static const char key; /* of an entry */

static struct mg_script *open_guest(struct mg_guest *g, lua_State *L)
{
    mg_guest_init(g, L);
    mg_guest_enter(g, L);
    return mg_script_new(&(struct mg_script_options){.guest = g});
}

static void close_guest(struct mg_guest *g)
{
    mg_guest_enter(g, g->host);
    mg_script_free(g->script);
    mg_guest_release(g);
}

static void set_entry(lua_State *L, const char *value)
{
    lua_pushstring(L, value);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
}

static const char *entry(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &key);
    const char *text = lua_tostring(L, -1);
    lua_pop(L, 1);
    return text;
}

static void run(lua_State *L, const char *code)
{
    if (luaL_dostring(L, code))
        fail_msg("%s", lua_tostring(L, -1));
    lua_settop(L, 0);
}

static lua_State *new_state(void)
{
    lua_State *L = luaL_newstate();
    assert_non_null(L);
    luaL_openlibs(L);
    return L;
}

static void each_finds_its_own_entries(void **state)
{
    lua_State *L = new_state();
    struct mg_guest a, b;
    (void)state;
    assert_non_null(open_guest(&a, L));
    set_entry(L, "of a");
    assert_non_null(open_guest(&b, L));
    assert_null(entry(L));
    set_entry(L, "of b");
    mg_guest_enter(&a, L);
    assert_string_equal(entry(L), "of a");
    assert_ptr_equal(mg_script_of(L), a.script);
    mg_guest_enter(&b, L);
    assert_string_equal(entry(L), "of b");
    assert_ptr_equal(mg_script_of(L), b.script);
    mg_guest_answer(&a, L);
    assert_string_equal(entry(L), "of b");
    assert_ptr_equal(mg_script_of(L), a.script);
    lua_State *co = lua_newthread(L);
    assert_ptr_equal(mg_script_of(co), a.script);
    close_guest(&b);
    mg_guest_enter(&a, L);
    assert_string_equal(entry(L), "of a");
    close_guest(&a);
    lua_close(L);
}

static void entries_of_others_stay(void **state)
{
    lua_State *L = new_state();
    struct mg_guest a;
    int theirs; /* an address outside of the program's data */
    (void)state;
    lua_pushliteral(L, "theirs");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &theirs);
    assert_non_null(open_guest(&a, L));
    lua_rawgetp(L, LUA_REGISTRYINDEX, &theirs);
    assert_string_equal(lua_tostring(L, -1), "theirs");
    close_guest(&a);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &theirs);
    assert_string_equal(lua_tostring(L, -1), "theirs");
    lua_close(L);
}

static void null_is_one_value(void **state)
{
    lua_State *L = new_state();
    struct mg_guest a, b;
    (void)state;
    assert_non_null(open_guest(&a, L));
    mg_json_push_null(L);
    assert_non_null(open_guest(&b, L));
    assert_true(mg_json_is_null(L, -1));
    lua_pop(L, 1);
    close_guest(&b);
    close_guest(&a);
    lua_close(L);
}

/* The sandbox has a library of its own; the state keeps what it had. */
static void the_library_stays(void **state)
{
    lua_State *L = new_state();
    struct mg_guest a;
    (void)state;
    run(L, "before = { string, os, math, table, coroutine, utf8, getmetatable('') }");
    assert_non_null(open_guest(&a, L));
    run(L, "for i, v in ipairs { string, os, math, table, coroutine, utf8, getmetatable('') } do\n"
           "  assert(v == before[i], i)\n"
           "end\n"
           "assert(package.loaded.string == string)\n"
           "assert(string.dump and os.execute and io and ('x'):rep(2) == 'xx')");
    lua_State *own = a.script->L;
    assert_int_equal(mg_sandbox_load(own, MG_STR("return io"), "=x"), MG_OK);
    assert_int_equal(mg_task_call(own, 0, 1), MG_FAIL);
    assert_non_null(strstr(lua_tostring(own, -1), "'io' is not available to policies"));
    lua_settop(own, 0);
    close_guest(&a);
    lua_close(L);
}

static int count_gc(lua_State *L)
{
    ++*(int *)lua_touserdata(L, lua_upvalueindex(1));
    return 0;
}

static void release_finalizes_entries_once(void **state)
{
    lua_State *L = new_state();
    struct mg_guest a;
    int finalized = 0;
    (void)state;
    assert_non_null(open_guest(&a, L));
    lua_newuserdatauv(L, 1, 0);
    lua_newtable(L);
    lua_pushlightuserdata(L, &finalized);
    lua_pushcclosure(L, count_gc, 1);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
    assert_int_equal(finalized, 0);
    close_guest(&a);
    assert_int_equal(finalized, 1);
    lua_close(L);
    assert_int_equal(finalized, 1);
}

static void tasks_run_and_end(void **state)
{
    lua_State *L = new_state();
    struct mg_guest a;
    (void)state;
    struct mg_script *s = open_guest(&a, L);
    struct mg_task *t = mg_task_new(s, NULL, "test");
    assert_int_equal(luaL_loadstring(t->co, "return ..."), LUA_OK);
    lua_pushinteger(t->co, 7);
    assert_int_equal(mg_task_start(t, 1, NULL, NULL), MG_TASK_DONE);
    assert_int_equal(lua_tointeger(t->co, -1), 7);
    mg_task_free(t);
    close_guest(&a);
    assert_null(a.script);
    assert_null(s->loop); /* the memory is there as long as the state, for whoever kept a handle */
    lua_close(L);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_finds_its_own_entries),
        cmocka_unit_test(entries_of_others_stay),
        cmocka_unit_test(null_is_one_value),
        cmocka_unit_test(the_library_stays),
        cmocka_unit_test(release_finalizes_entries_once),
        cmocka_unit_test(tasks_run_and_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
