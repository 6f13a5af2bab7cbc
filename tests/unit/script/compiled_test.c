/* Files of the program as bytecode: what comes from it is what comes from the text. */
#include "script/compiled.h"

#include <lauxlib.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define THREADS 4

static const struct mg_embedded_file *file_called(const char *name)
{
    for (size_t i = 0; i < mg_embedded_file_count; i++)
        if (strcmp(mg_embedded_files[i].name, name) == 0)
            return &mg_embedded_files[i];
    return NULL;
}

/* Where the function on top stands and how many lines it has, as "source:first-last:name of its
 * upvalue". */
static void describe(lua_State *L, char *out, size_t room)
{
    lua_Debug ar;
    const char *upvalue = lua_getupvalue(L, -1, 1);
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_getinfo(L, ">S", &ar);
    snprintf(out, room, "%s:%d-%d:%s", ar.short_src, ar.linedefined, ar.lastlinedefined, upvalue);
}

static void every_load_gives_the_same(void **state)
{
    const struct mg_embedded_file *file = file_called("lua/moongate/schema.lua");
    char first[200], again[200];
    (void)state;
    assert_non_null(file);
    lua_State *L = luaL_newstate();
    assert_int_equal(mg_compiled_load(L, file, "@schema.lua"), LUA_OK);
    describe(L, first, sizeof first);
    assert_string_equal(first, "schema.lua:0-0:_ENV");
    lua_close(L);
    L = luaL_newstate();
    assert_int_equal(mg_compiled_load(L, file, "@schema.lua"), LUA_OK);
    describe(L, again, sizeof again);
    assert_string_equal(first, again);
    lua_close(L);
}

/* The line of a fault is known in bytecode, too. */
static void faults_keep_their_lines(void **state)
{
    const struct mg_embedded_file *file = file_called("lua/moongate/config/walk.lua");
    char first[200] = "";
    (void)state;
    for (int i = 0; i < 2; i++) {
        lua_State *L = luaL_newstate(); /* without a `require` */
        assert_int_equal(mg_compiled_load(L, file, "@walk.lua"), LUA_OK);
        assert_int_equal(lua_pcall(L, 0, 0, 0), LUA_ERRRUN);
        if (i == 0)
            snprintf(first, sizeof first, "%s", lua_tostring(L, -1));
        assert_memory_equal(first, "walk.lua:", 9);
        assert_string_equal(lua_tostring(L, -1), first);
        lua_close(L);
    }
}

static void *load_all(void *arg)
{
    size_t *loaded = arg;
    lua_State *L = luaL_newstate();
    for (size_t i = 0; i < mg_embedded_file_count; i++) {
        size_t n = strlen(mg_embedded_files[i].name);
        if (n < 4 || strcmp(mg_embedded_files[i].name + n - 4, ".lua") != 0)
            continue;
        *loaded += mg_compiled_load(L, &mg_embedded_files[i], "=file") == LUA_OK;
        lua_settop(L, 0);
    }
    lua_close(L);
    return NULL;
}

static void threads_share_it(void **state)
{
    pthread_t threads[THREADS];
    size_t loaded[THREADS] = {0};
    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, load_all, &loaded[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++) {
        assert_true(loaded[i] > 100);
        assert_int_equal(loaded[i], loaded[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_load_gives_the_same),
        cmocka_unit_test(faults_keep_their_lines),
        cmocka_unit_test(threads_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
