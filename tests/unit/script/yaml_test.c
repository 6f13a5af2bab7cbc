/* What YAML and JSON become in Lua, where faults are placed, and that nothing leaks when memory
 * ends. */
#include "script/yaml.h"

#include <lauxlib.h>
#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* dump(value, null) and at(positions, value, ...) in Lua, where they are short. */
static const char HELPERS[] =
    "function dump(v, null)\n"
    "  if v == null then return 'null' end\n"
    "  if type(v) == 'string' then return '\"' .. v .. '\"' end\n"
    "  if type(v) ~= 'table' then return tostring(v) end\n"
    "  local out, keys = {}, {}\n"
    "  for k in pairs(v) do keys[#keys + 1] = k end\n"
    "  table.sort(keys)\n"
    "  for i, k in ipairs(keys) do\n"
    "    out[i] = (type(k) == 'string' and k .. '=' or '') .. dump(v[k], null)\n"
    "  end\n"
    "  return '{' .. table.concat(out, ' ') .. '}'\n"
    "end\n"
    "function faults(errors)\n"
    "  local out = {}\n"
    "  for i, e in ipairs(errors) do out[i] = e.line .. ':' .. e.col .. ': ' .. e.message end\n"
    "  return table.concat(out, '; ')\n"
    "end\n"
    "function marks(positions, v)\n"
    "  local info, out, keys = positions[v], {}, {}\n"
    "  local function text(p) return p and (p >> 20) .. ':' .. (p & 0xFFFFF) or '-' end\n"
    "  for k in pairs(v) do keys[#keys + 1] = k end\n"
    "  table.sort(keys)\n"
    "  out[1] = (info.list and 'list ' or 'map ') .. text(info.self)\n"
    "  for _, k in ipairs(keys) do\n"
    "    out[#out + 1] = k .. ' ' .. text(info.key[k]) .. ' ' .. text(info.value[k])\n"
    "    if type(v[k]) == 'table' then out[#out + 1] = '(' .. marks(positions, v[k]) .. ')' end\n"
    "  end\n"
    "  return table.concat(out, ', ')\n"
    "end\n";

static int setup(void **state)
{
    lua_State *L = luaL_newstate();
    assert_non_null(L);
    luaL_openlibs(L);
    luaL_requiref(L, "moongate.yaml", mg_yaml_open, 0);
    lua_setglobal(L, "yaml");
    assert_int_equal(luaL_dostring(L, HELPERS), LUA_OK);
    *state = L;
    return 0;
}

static int teardown(void **state)
{
    lua_close(*state);
    return 0;
}

/* Runs `chunk` with `text` and `file` as its arguments; what it returns must be `expected`. */
static void expect(lua_State *L, const char *chunk, struct mg_str text, const char *file,
                   const char *expected)
{
    assert_int_equal(luaL_loadstring(L, chunk), LUA_OK);
    lua_pushlstring(L, text.p, text.n);
    lua_pushstring(L, file);
    if (lua_pcall(L, 2, 1, 0) != LUA_OK)
        fail_msg("%s", lua_tostring(L, -1));
    assert_string_equal(lua_tostring(L, -1), expected);
    lua_settop(L, 0);
}

static const char VALUE[] = "local text, file = ...\n"
                            "local v, info = yaml.parse(text, file)\n"
                            "if v == nil then return faults(info) end\n"
                            "return dump(v, yaml.null)";

struct value_case {
    struct mg_str text;
    const char *expected;
};

static void test_values(void **state)
{
    static const struct value_case cases[] = {
        {MG_STR(""), "null"},
        {MG_STR("# only a comment"), "null"},
        {MG_STR("[~, null, Null, NULL, ]"), "{null null null null}"},
        {MG_STR("[nULL, '~', \"null\"]"), "{\"nULL\" \"~\" \"null\"}"},
        {MG_STR("[true, True, TRUE, false, False, FALSE]"), "{true true true false false false}"},
        {MG_STR("[on, off, yes, no, y, tRUE]"), "{\"on\" \"off\" \"yes\" \"no\" \"y\" \"tRUE\"}"},
        {MG_STR("[0, -7, +7, 007, 0x1F, 0o17]"), "{0 -7 7 7 31 15}"},
        {MG_STR("[0b1, 1_000, 0x, 0o8, -0x1, 1:30]"),
         "{\"0b1\" \"1_000\" \"0x\" \"0o8\" \"-0x1\" \"1:30\"}"},
        {MG_STR("[9223372036854775807, 0x7fffffffffffffff]"),
         "{9223372036854775807 9223372036854775807}"},
        {MG_STR("[1.5, .5, 5., 1e3, -1.5E-1, +.5]"), "{1.5 0.5 5.0 1000.0 -0.15 0.5}"},
        {MG_STR("[., -, +, 1e, e1, 1e+, .e1, 1.2.3]"),
         "{\".\" \"-\" \"+\" \"1e\" \"e1\" \"1e+\" \".e1\" \"1.2.3\"}"},
        {MG_STR("[.inf, -.Inf, +.INF]"), "{inf -inf inf}"},
        {MG_STR("['1', \"true\", |\n 5\n]"),
         "1:15: found character that cannot start any token while "
         "scanning for the next token"},
        {MG_STR("a: |\n  5\nb: >-\n  x\n  y"), "{a=\"5\n\" b=\"x y\"}"},
        {MG_STR("200: a\ntrue: b\n~: c\n<<: {d: 1}"), "{200=\"a\" <<={d=1} true=\"b\" ~=\"c\"}"},
        {MG_STR("a: &x [1, &y 2]\nb: *x\nc: *y"), "{a={1 2} b={1 2} c=2}"},
        {MG_STR("[!!str 5, !!int '5', !!float 5, !!bool 'true', !!null '', !!seq [], !!map {}]"),
         "{\"5\" 5 5 true null {} {}}"},
        {MG_STR("\xEF\xBB\xBF"
                "a: 1\nb: 2"),
         "{a=1 b=2}"},
        {MG_STR("%YAML 1.2\n---\na: 1\n..."), "{a=1}"},
        {MG_STR("a:\r\n  b: 1\r\n"), "{a={b=1}}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(*state, VALUE, cases[i].text, "a.yaml", cases[i].expected);
}

static void test_faults(void **state)
{
    static const struct value_case cases[] = {
        {MG_STR("a: 1\nb: 2\na: 3"), "3:1: duplicate key 'a', first at line 1"},
        {MG_STR("a: 1\na: 2\na: 3\nb: !x 1"),
         "2:1: duplicate key 'a', first at line 1; 3:1: duplicate key 'a', first at line 1; "
         "4:4: tag '!x' is not known"},
        {MG_STR("? [a]\n: 1\n? {b: 1}\n: 2"),
         "1:3: a key must be a plain text; 3:3: a key must be a plain text"},
        {MG_STR("&a a: 1\n*a : 2"),
         "2:1: a key must be a plain text; 2:1: no anchor 'a' before this alias"},
        {MG_STR("a\n---\nb"), "2:1: a second document, only one is allowed"},
        {MG_STR("--- a\n--- b\n"), "2:1: a second document, only one is allowed"},
        {MG_STR("a: *b"), "1:4: no anchor 'b' before this alias"},
        {MG_STR("&a [*a]"), "1:5: no anchor 'a' before this alias"},
        {MG_STR("[9223372036854775808]"),
         "1:2: number 9223372036854775808 is out of range, quote it if it is text"},
        {MG_STR("[0x8000000000000000, 0o1777777777777777777777]"),
         "1:2: number 0x8000000000000000 is out of range, quote it if it is text; "
         "1:22: number 0o1777777777777777777777 is out of range, quote it if it is text"},
        {MG_STR("!!int x"), "1:1: 'x' is no int"},
        {MG_STR("!!bool 5"), "1:1: '5' is no bool"},
        {MG_STR("!!float x"), "1:1: 'x' is no float"},
        {MG_STR("!!null x"), "1:1: 'x' is no null"},
        {MG_STR("!!set {a}"), "1:1: tag '!!set' is not known"},
        {MG_STR("!!seq {a: 1}"), "1:1: tag '!!seq' is not known"},
        {MG_STR("a: \"x\\0y\""), "1:4: a string must not hold a NUL character"},
        {MG_STR("\"a\\0\": 1"), "1:1: a key must not hold a NUL character"},
        {MG_STR("a: x\0y"), "1:5: control characters are not allowed"},
        {MG_STR("a: 1\n\xC3\xA9: \xFF"), "2:4: invalid leading UTF-8 octet"},
        {MG_STR("a: \xC0\x80"), "1:4: invalid length of a UTF-8 sequence"},
        {MG_STR("a: b: c"), "1:5: mapping values are not allowed in this context"},
        {MG_STR("a:\n  - b\n c: 1"), "3:2: did not find expected key while parsing a block mapping "
                                     "that began at line 1"},
        {MG_STR("a: \"\\ud83d\\ude00\""), "1:7: found invalid Unicode character escape code while "
                                          "parsing a quoted scalar"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(*state, VALUE, cases[i].text, "a.yaml", cases[i].expected);
}

static void test_json(void **state)
{
    static const struct value_case cases[] = {
        {MG_STR("{\"a\":1,\"b\":[true,null,-1.5e2,\"\\/\\u00e9\"]}"),
         "{a=1 b={true null -150.0 \"/\xC3\xA9\"}}"},
        {MG_STR("\t{\n\t\"a\":\t{}\n\t}"), "{a={}}"},
        {MG_STR("[\"\\ud83d\\ude00\\uD83D\\uDE01\", \"\\\\ud83d\\\\ude00\"]"),
         "{\"\xF0\x9F\x98\x80\xF0\x9F\x98\x81\" \"\\ud83d\\ude00\"}"},
        {MG_STR("{\"\\ud83d\\ude00\": 1}"), "{\xF0\x9F\x98\x80=1}"},
        {MG_STR("[\"\\\"\\ud83d\\ude00\", 1]"), "{\"\"\xF0\x9F\x98\x80\" 1}"},
        /* nothing behind a pair has moved */
        {MG_STR("{\"a\": \"\\ud83d\\ude00\", \"a\": 1}"),
         "1:23: duplicate key 'a', first at line 1"},
        {MG_STR("[\"\\ud83d\"]"),
         "1:5: found invalid Unicode character escape code while parsing a "
         "quoted scalar"},
        {MG_STR("[\"\\ude00\\ud83d\"]"), "1:5: found invalid Unicode character escape code while "
                                         "parsing a quoted scalar"},
        {MG_STR("[\"\\ud83d\\ude00"),
         "1:15: found unexpected end of stream while scanning a quoted scalar"},
        {MG_STR("\""), "1:2: found unexpected end of stream while scanning a quoted scalar"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(*state, VALUE, cases[i].text, "a.json", cases[i].expected);
}

static void test_positions(void **state)
{
    static const char chunk[] = "local text = ...\n"
                                "local v, positions = yaml.parse(text)\n"
                                "return marks(positions, v)";
    expect(*state, chunk, MG_STR("a: 1\nb:\n  - \xC3\xA9: x\n  - [y]\nc: {}"), "",
           "map 1:1, a 1:1 1:4, b 2:1 3:3, (list 3:3, 1 - 3:5, (map 3:5, \xC3\xA9 3:5 3:8), "
           "2 - 4:5, (list 4:5, 1 - 4:6)), c 5:1 5:4, (map 5:4)");
    expect(*state, chunk, MG_STR("a: &x {k: v}\nb: *x"), "",
           "map 1:1, a 1:1 1:4, (map 1:4, k 1:8 1:11), b 2:1 2:4, (map 1:4, k 1:8 1:11)");
}

static void test_limits(void **state)
{
    static const struct {
        const char *text; /* an expression in Lua */
        const char *expected;
    } cases[] = {
        {"('['):rep(100) .. (']'):rep(100)", "fits"},
        {"('['):rep(101) .. (']'):rep(101)", "1:101: nested deeper than 100 levels"},
        {"'- &a ' .. ('['):rep(60) .. (']'):rep(60) .. '\\n- ' .. ('['):rep(60) .. '*a' .. "
         "(']'):rep(60)",
         "2:63: nested deeper than 100 levels"},
        {"'- &a [' .. ('1,'):rep(1000) .. ']\\n- &b [' .. ('*a,'):rep(900) .. ']'", "fits"},
        {"'- &a [' .. ('1,'):rep(1000) .. ']\\n- &b [' .. ('*a,'):rep(1100) .. ']'",
         "2:2998: more than 1000000 values"},
        {"(' '):rep(16 << 20) .. 'a'", "1:1: longer than 16 MiB"},
        {"('!x a: 1\\n'):rep(200)", "100 faults"},
    };
    lua_State *L = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lua_pushfstring(L,
                        "local v, info = yaml.parse(%s)\n"
                        "if v ~= nil then return 'fits' end\n"
                        "if #info > 10 then return #info .. ' faults' end\n"
                        "return faults(info)",
                        cases[i].text);
        char *chunk = strdup(lua_tostring(L, -1));
        assert_non_null(chunk);
        expect(L, chunk, MG_STR(""), "", cases[i].expected);
        free(chunk);
    }
}

static void test_push(void **state)
{
    lua_State *L = *state;
    struct mg_error err;
    lua_pushliteral(L, "below");
    assert_int_equal(mg_yaml_push(L, MG_STR("a: 1"), "a.yaml", &err), MG_OK);
    assert_int_equal(lua_gettop(L), 3);
    assert_int_equal(lua_getfield(L, 2, "a"), LUA_TNUMBER);
    lua_settop(L, 1);
    assert_int_equal(mg_yaml_push(L, MG_STR("a: 1\na: 2"), "a.yaml", &err), MG_FAIL);
    assert_int_equal(lua_gettop(L), 1);
    assert_string_equal(err.text, "a.yaml:2:1: duplicate key 'a', first at line 1");
    lua_settop(L, 0);
}

/* Lua's allocations end after `left` more. */
struct budget {
    size_t left;
};

static void *limited(void *ud, void *p, size_t old_size, size_t size)
{
    struct budget *budget = ud;
    if (size == 0) {
        free(p);
        return NULL;
    }
    if (!p || size > old_size) {
        if (budget->left == 0)
            return NULL;
        budget->left--;
    }
    return realloc(p, size);
}

static int protected_parse(lua_State *L)
{
    const struct mg_str text =
        MG_STR("{\"a\": &x [1, {\"b\": \"\\ud83d\\ude00\"}], \"c\": *x, \"a\": 2, \"d\": [");
    struct mg_error err;
    assert_int_equal(mg_yaml_push(L, text, "a.json", &err), MG_FAIL);
    return 0;
}

/* Under the leak checker this shows that libyaml's memory goes whatever line Lua leaves by. */
static void test_memory_ends_anywhere(void **state)
{
    (void)state;
    int rc = LUA_ERRMEM;
    for (size_t n = 0; rc != LUA_OK; n++) {
        struct budget budget = {.left = 1000};
        lua_State *L = lua_newstate(limited, &budget);
        assert_non_null(L);
        lua_gc(L, LUA_GCSTOP);
        lua_pushcfunction(L, protected_parse);
        budget.left = n;
        rc = lua_pcall(L, 0, 0, 0);
        assert_true(rc == LUA_OK || rc == LUA_ERRMEM);
        assert_true(n < 1000);
        budget.left = 1000;
        lua_close(L);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_faults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json, setup, teardown),
        cmocka_unit_test_setup_teardown(test_positions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_push, setup, teardown),
        cmocka_unit_test(test_memory_ends_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
