/* Lua data as bytes and back: mg_pack and mg_unpack. */
#include "script/pack.h"

#include <lauxlib.h>
#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "script/json.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* A canonical text of any plain value, integers apart from floats. */
static const char show[] =
    "function show(v)\n"
    "  if v == null then return 'null' end\n"
    "  if type(v) ~= 'table' then\n"
    "    return math.type(v) == 'float' and ('%a'):format(v) or ('%q'):format(v)\n"
    "  end\n"
    "  local out = {}\n"
    "  for k, x in pairs(v) do out[#out + 1] = '[' .. show(k) .. ']=' .. show(x) end\n"
    "  table.sort(out)\n"
    "  return (is_array(v) and 'array' or '') .. '{' .. table.concat(out, ',') .. '}'\n"
    "end\n";

static lua_State *new_state(void)
{
    lua_State *L = luaL_newstate();
    assert_non_null(L);
    luaL_openlibs(L);
    mg_json_open(L);
    lua_getfield(L, -1, "null");
    lua_setglobal(L, "null");
    lua_getfield(L, -1, "array");
    lua_setglobal(L, "array");
    lua_getfield(L, -1, "is_array");
    lua_setglobal(L, "is_array");
    lua_pop(L, 1);
    assert_int_equal(luaL_dostring(L, show), LUA_OK);
    return L;
}

/* Pushes the value of an expression. */
static void push(lua_State *L, const char *expression)
{
    lua_pushfstring(L, "return %s", expression);
    if (luaL_dostring(L, lua_tostring(L, -1)))
        fail_msg("%s", lua_tostring(L, -1));
    lua_remove(L, -2);
}

/* Puts the canonical text in place of the value on top. */
static const char *shown(lua_State *L)
{
    lua_getglobal(L, "show");
    lua_insert(L, -2);
    lua_call(L, 1, 1);
    return lua_tostring(L, -1);
}

static void test_round_trip(void **unused)
{
    static const char *const values[] = {
        "nil",
        "true",
        "false",
        "0",
        "math.mininteger",
        "math.maxinteger",
        "1.0",
        "-0.0",
        "math.huge",
        "0.1",
        "''",
        "'a\\0b\\255'",
        "('x'):rep(100000)",
        "{}",
        "{1, 2, 3}",
        "{1, nil, 3}",
        "{[0] = 'zero', 'one', [-1] = 'minus', [1.5] = 'half'}",
        "{a = {b = {c = {}}}, [true] = 1, ['a b'] = {1, {2}}}",
        "{[1 << 40] = 1}",
        "{null, x = null}",
        "{{{{{{{{{{}}}}}}}}}}",
        "array()",
        "{array(), array {1, {}, array {}}, x = {y = array()}}",
    };
    (void)unused;
    for (size_t i = 0; i < COUNT(values); i++) {
        lua_State *from = new_state(), *to = new_state();
        struct mg_buf bytes;
        struct mg_error err;
        mg_buf_init(&bytes, 1 << 20);
        push(from, values[i]);
        if (!mg_pack(from, -1, &bytes, &err))
            fail_msg("%s: %s", values[i], err.text);
        assert_int_equal(lua_gettop(from), 1);
        assert_int_equal(mg_unpack(to, mg_buf_str(&bytes)), MG_OK);
        assert_int_equal(lua_gettop(to), 1);
        assert_string_equal(shown(to), shown(from));
        mg_buf_release(&bytes);
        lua_close(from);
        lua_close(to);
    }
}

static void test_null_of_yaml(void **unused)
{
    lua_State *L = new_state();
    struct mg_buf bytes;
    struct mg_error err;
    (void)unused;
    mg_buf_init(&bytes, 100);
    lua_pushlightuserdata(L, NULL);
    assert_true(mg_pack(L, -1, &bytes, &err));
    assert_int_equal(mg_unpack(L, mg_buf_str(&bytes)), MG_OK);
    assert_true(mg_json_is_null(L, -1));
    mg_buf_release(&bytes);
    lua_close(L);
}

static void test_refused(void **unused)
{
    static const struct {
        const char *value, *error;
    } cases[] = {
        {"print", "cannot hold a function"},
        {"{print}", "[0]: cannot hold a function"},
        {"{a = {b = {1, 2, print}}}", "a.b[2]: cannot hold a function"},
        {"{[print] = 1}", "cannot hold a function"},
        {"{a = coroutine.create(print)}", "a: cannot hold a thread"},
        {"{x = io.stdout}", "x: cannot hold a userdata"},
        {"{s = ('x'):rep(2000)}", "larger than 1000 bytes"},
        {"{{{('x'):rep(2000)}}}", "larger than 1000 bytes"},
    };
    (void)unused;
    for (size_t i = 0; i < COUNT(cases); i++) {
        lua_State *L = new_state();
        struct mg_buf bytes;
        struct mg_error err;
        mg_buf_init(&bytes, 1000);
        push(L, cases[i].value);
        assert_false(mg_pack(L, -1, &bytes, &err));
        assert_int_equal(lua_gettop(L), 1);
        if (!strstr(err.text, cases[i].error))
            fail_msg("%s: %s", cases[i].value, err.text);
        mg_buf_release(&bytes);
        lua_close(L);
    }
}

/* As many tables in each other as are allowed, and one more. */
static void test_depth(void **unused)
{
    (void)unused;
    for (int extra = 0; extra < 2; extra++) {
        lua_State *L = new_state();
        struct mg_buf bytes;
        struct mg_error err;
        mg_buf_init(&bytes, 1 << 20);
        lua_newtable(L);
        for (int i = 1; i < MG_PACK_DEPTH_MAX + extra; i++) {
            lua_newtable(L);
            lua_insert(L, -2);
            lua_setfield(L, -2, "x");
        }
        assert_int_equal(mg_pack(L, -1, &bytes, &err), extra == 0);
        if (extra)
            assert_non_null(strstr(err.text, "nested deeper than 150 levels"));
        else
            assert_int_equal(mg_unpack(L, mg_buf_str(&bytes)), MG_OK);
        mg_buf_release(&bytes);
        lua_close(L);
    }
}

static void test_cycle(void **unused)
{
    lua_State *L = new_state();
    struct mg_buf bytes;
    struct mg_error err;
    (void)unused;
    mg_buf_init(&bytes, 1 << 20);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "self");
    assert_false(mg_pack(L, -1, &bytes, &err));
    assert_false(mg_pack(L, -1, &bytes, NULL));
    mg_buf_release(&bytes);
    lua_close(L);
}

/* Whatever is cut off or changed is refused, or is another value; it never reads beyond the end. */
static void test_damaged(void **unused)
{
    lua_State *L = new_state();
    struct mg_buf bytes;
    struct mg_error err;
    (void)unused;
    mg_buf_init(&bytes, 1000);
    push(L, "{1, 'two', 3.5, {x = true, y = {false}}, null}");
    assert_true(mg_pack(L, -1, &bytes, &err));
    int top = lua_gettop(L);
    for (size_t n = 0; n < bytes.n; n++) {
        char *part = malloc(n + 1);
        memcpy(part, bytes.p, n);
        assert_int_equal(mg_unpack(L, mg_str(part, n)), MG_FAIL);
        assert_int_equal(lua_gettop(L), top);
        free(part);
    }
    for (size_t n = 0; n < bytes.n; n++) {
        for (int flip = 1; flip < 256; flip <<= 1) {
            bytes.p[n] ^= (char)flip;
            if (mg_unpack(L, mg_buf_str(&bytes)) == MG_OK)
                lua_pop(L, 1);
            assert_int_equal(lua_gettop(L), top);
            bytes.p[n] ^= (char)flip;
        }
    }
    mg_buf_add_char(&bytes, 1);
    assert_int_equal(mg_unpack(L, mg_buf_str(&bytes)), MG_FAIL);
    mg_buf_release(&bytes);
    lua_close(L);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_null_of_yaml),
        cmocka_unit_test(test_refused),    cmocka_unit_test(test_depth),
        cmocka_unit_test(test_cycle),      cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
