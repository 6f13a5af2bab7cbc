/* The JSON codec as policies see it, and what it does when memory runs out or a finalizer calls it.
 */
#include "script/json.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* What a Lua state has from us, and when it gets no more. */
struct memory {
    size_t bytes;
    long left; /* allocations that succeed; negative: all */
};

static void *allocate(void *ud, void *p, size_t old, size_t n)
{
    struct memory *m = ud;
    if (!p)
        old = 0;
    if (n == 0) {
        free(p);
        m->bytes -= old;
        return NULL;
    }
    /* Lua counts on shrinking to succeed. */
    if (n > old && m->left == 0)
        return NULL;
    if (n > old && m->left > 0)
        m->left--;
    void *q = realloc(p, n);
    if (q)
        m->bytes += n - old;
    return q;
}

/* A state with the libraries, the global `json` and some helpers. */
static lua_State *new_state(struct memory *m)
{
    *m = (struct memory){.left = -1};
    lua_State *L = lua_newstate(allocate, m);
    assert_non_null(L);
    luaL_openlibs(L);
    mg_json_open(L);
    lua_setglobal(L, "json");
    static const char helpers[] =
        "function same(a, b)\n"
        "  if type(a) ~= 'table' or type(b) ~= 'table' then\n"
        "    return a == b and math.type(a) == math.type(b)\n"
        "  end\n"
        "  for k, v in pairs(a) do if not same(v, b[k]) then return false end end\n"
        "  for k in pairs(b) do if a[k] == nil then return false end end\n"
        "  return json.is_array(a) == json.is_array(b)\n"
        "end\n"
        "function fails(want, value, err)\n"
        "  if value ~= nil then error('no failure, but ' .. tostring(value), 2) end\n"
        "  if tostring(err) ~= want then error('want: ' .. want .. '\\ngot:  ' .. tostring(err), "
        "2) end\n"
        "  if err.code ~= 'bad_json' and err.code ~= 'bad_value' then error(err.code, 2) end\n"
        "end\n"
        "function gives(want, value, err)\n"
        "  if value ~= want or err ~= nil then\n"
        "    error('want: ' .. want .. '\\ngot:  ' .. tostring(value) .. ' ' .. tostring(err), 2)\n"
        "  end\n"
        "end\n"
        "function raises(want, f, ...)\n"
        "  local ok, err = pcall(f, ...)\n"
        "  if ok or not err:find(want, 1, true) then\n"
        "    error('want: ' .. want .. '\\ngot:  ' .. tostring(err), 2)\n"
        "  end\n"
        "end\n";
    if (luaL_dostring(L, helpers))
        fail_msg("%s", lua_tostring(L, -1));
    return L;
}

static void end_state(lua_State *L, struct memory *m)
{
    m->left = -1;
    lua_close(L);
    assert_int_equal(m->bytes, 0);
}

static void run(lua_State *L, const char *code)
{
    int top = lua_gettop(L);
    if (luaL_dostring(L, code))
        fail_msg("%s\nin: %s", lua_tostring(L, -1), code);
    lua_settop(L, top);
}

static void run_each(const char *const *code, size_t count)
{
    struct memory m;
    lua_State *L = new_state(&m);
    for (size_t i = 0; i < count; i++)
        run(L, code[i]);
    end_state(L, &m);
}

static void test_decode(void **state)
{
    (void)state;
    static const char *const code[] = {
        "assert(json.decode('true') == true and json.decode('false') == false)",
        "local v = json.decode('9223372036854775807') assert(v == math.maxinteger)",
        "assert(math.type(json.decode('1')) == 'integer')",
        "assert(math.type(json.decode('1.0')) == 'float')",
        "assert(math.type(json.decode('1e2')) == 'float')",
        "assert(json.decode('\"a\\\\u0000b\"') == 'a\\0b')",
        "assert(json.decode('\"\\\\ud83d\\\\ude00\"') == '\\u{1F600}')",
        "assert(same(json.decode('{\"a\":[1,2,{\"b\":null}]}'),"
        " {a = json.array{1, 2, {b = json.null}}}))",
        "local v = json.decode('[null,1,null]') assert(#v == 3 and v[1] == json.null and v[3] == "
        "json.null)",
        "local v = json.decode('{\"a\":null}') assert(v.a == json.null and v.b == nil)",
        "local v = json.decode('{\"\":1}') assert(v[''] == 1)",
        /* more items and fields than are held on the stack, at the edges of a batch */
        "for _, n in ipairs{31, 32, 33, 63, 64, 65, 96, 97, 1000} do\n"
        "  local items, fields = {}, {}\n"
        "  for i = 1, n do items[i] = i; fields[i] = ('\"k%d\":%d'):format(i, i) end\n"
        "  local a = json.decode('[' .. table.concat(items, ',') .. ']')\n"
        "  local o = json.decode('{' .. table.concat(fields, ',') .. '}')\n"
        "  assert(#a == n)\n"
        "  for i = 1, n do assert(a[i] == i and o['k' .. i] == i) end\n"
        "  local count = 0\n"
        "  for _ in pairs(o) do count = count + 1 end\n"
        "  assert(count == n)\n"
        "end",
        "assert(json.decode(('['):rep(128) .. (']'):rep(128)))",
        "assert(json.decode('9223372036854775808', {big = 'float'}) == 2.0 ^ 63)",
        "assert(json.decode('5', {big = 'error'}) == 5)",
    };
    run_each(code, COUNT(code));
}

static void test_decode_failures(void **state)
{
    (void)state;
    static const char *const code[] = {
        "fails('line 1 column 1: unexpected end of input', json.decode(''))",
        "fails('line 1 column 5: expected a value', json.decode('[1, x]'))",
        "fails('line 2 column 3: expected \\',\\' or \\'}\\'', json.decode('{\"a\":1\\n  "
        "\"b\":2}'))",
        "fails('line 1 column 3: something follows the value', json.decode('{}x'))",
        "fails('line 1 column 1: byte order mark', json.decode('\\xef\\xbb\\xbf1'))",
        "fails('line 1 column 3: invalid UTF-8', json.decode('\"a\\xff\"'))",
        "fails('line 1 column 3: control character in a string', json.decode('\"a\\0\"'))",
        "fails('line 1 column 2: lone surrogate', json.decode('\"\\\\ud800\"'))",
        "fails('line 1 column 2: unknown escape', json.decode('\"\\\\q\"'))",
        "fails('line 1 column 2: integer out of range', json.decode('[9223372036854775808]'))",
        "fails('line 1 column 1: number out of range', json.decode('1e400'))",
        "fails('line 1 column 1: number out of range', json.decode('1e400', {big = 'float'}))",
        "fails('line 1 column 2: number with a leading zero', json.decode('00'))",
        "fails('line 1 column 129: nested too deeply', json.decode(('['):rep(129)))",
        "fails('line 1 column 3: nested too deeply', json.decode('[[[]]]', {depth = 2}))",
        /* keys: next to each other, in another batch, with an escape, empty, long */
        "fails('line 1 column 8: duplicate key \\'a\\'', json.decode('{\"a\":1,\"a\":2}'))",
        "fails('line 1 column 8: duplicate key \\'a\\'',"
        " json.decode('{\"a\":1,\"\\\\u0061\":2,\"b\":3}'))",
        "fails('line 1 column 11: duplicate key \\'a\\'', json.decode('{\"a\":null,\"a\":null}'))",
        "fails('line 1 column 7: duplicate key \\'\\'', json.decode('{\"\":1,\"\":2}'))",
        "fails('line 1 column 13: duplicate key \\'b\\'',"
        " json.decode('{\"a\":{\"b\":1,\"b\":2}}'))",
        "assert(same(json.decode('{\"a\":{\"a\":{\"a\":1}}}'), {a = {a = {a = 1}}}))",
        "fails('line 2 column 1: duplicate key \\'' .. ('k'):rep(40) .. '...\\'',"
        " json.decode('{\"' .. ('k'):rep(50) .. '\":1,\\n\"' .. ('k'):rep(50) .. '\":2}'))",
        "fails('line 2 column 1: duplicate key \\'?? x?\\'',"
        " json.decode('{\"\\u{fc} x\\\\n\":1,\\n\"\\u{fc} x\\\\n\":2}'))",
        "for _, n in ipairs{2, 20, 32, 33, 34, 500} do\n"
        "  for _, again in ipairs{1, n // 2, n - 1} do\n"
        "    local fields = {}\n"
        "    for i = 1, n do fields[i] = ('\"k%d\":%d'):format(i, i) end\n"
        "    local text = '{' .. table.concat(fields, ',') .. ',\\n \"k' .. again .. '\":0}'\n"
        "    if again > 0 then\n"
        "      fails(('line 2 column 2: duplicate key \\'k%d\\''):format(again), "
        "json.decode(text))\n"
        "    end\n"
        "  end\n"
        "end",
    };
    run_each(code, COUNT(code));
}

static void test_encode(void **state)
{
    (void)state;
    static const char *const code[] = {
        "gives('null', json.encode(json.null))",
        "gives('true', json.encode(true)) gives('false', json.encode(false))",
        "gives('-12', json.encode(-12)) gives('1.0', json.encode(1.0))",
        "gives('0.1', json.encode(0.1)) gives('1e+300', json.encode(1e300))",
        "gives('\"a\\\\n\\\\u0000\\\\\"\\u{fc}\"', json.encode('a\\n\\0\"\\u{fc}'))",
        "gives('{}', json.encode{}) gives('[]', json.encode(json.array()))",
        "gives('[]', json.encode(json.array{}))",
        "gives('[1,2,3]', json.encode{1, 2, 3})",
        "gives('[[],{},[[]]]', json.encode{json.array(), {}, {json.array()}})",
        "gives('{\"a\":[true,null]}', json.encode{a = {true, json.null}})",
        "gives('{\"a\":1,\"aa\":2,\"b\":{\"x\":1,\"y\":2}}',"
        " json.encode({b = {y = 2, x = 1}, aa = 2, a = 1}, {sort = true}))",
        "gives('{\"\":0,\"Z\":1,\"a\":2,\"\\u{fc}\":3}',"
        " json.encode({['\\u{fc}'] = 3, a = 2, Z = 1, [''] = 0}, {sort = true}))",
        "gives('{\\n  \"a\": [\\n    1,\\n    {\\n      \"b\": 2\\n    }\\n  ],\\n  \"c\": {},\\n"
        "  \"d\": []\\n}',"
        " json.encode({a = {1, {b = 2}}, c = {}, d = json.array()}, {sort = true, pretty = true}))",
        /* arrays whose items are not in the array part, or only some of them */
        "local t = {} for i = 40, 1, -1 do t[i] = i end\n"
        "local u = {} for i = 1, 40 do u[i] = i end\n"
        "gives(json.encode(u), json.encode(t))",
        "local t = {} t[3] = 3 t[1] = 1 t[2] = 2 gives('[1,2,3]', json.encode(t))",
        "local t = {1, 2, 3} t[5] = 5 t[4] = 4 gives('[1,2,3,4,5]', json.encode(t))",
        "local t = {1, 2, 3, 4, 5, 6, 7, 8} for i = 8, 1, -1 do t[i] = nil end\n"
        "gives('{}', json.encode(t)) gives('[]', json.encode(json.array(t)))",
        /* sorted in arrays in sorted, more than once */
        "gives('[{\"a\":[{\"c\":1,\"d\":2}],\"b\":0},{\"e\":0}]',"
        " json.encode({{b = 0, a = {{d = 2, c = 1}}}, {e = 0}}, {sort = true}))",
        "local big = {} for i = 1, 500 do big[('%04d'):format(i)] = i end\n"
        "local last = ''\n"
        "for k in json.encode(big, {sort = true}):gmatch('\"(%d+)\"') do\n"
        "  assert(k > last) last = k\n"
        "end\n"
        "assert(last == '0500')",
        /* metamethods are not asked */
        "local t = setmetatable({a = 1}, {__index = {b = 2}, __pairs = error, __len = error})\n"
        "gives('{\"a\":1}', json.encode(t))",
    };
    run_each(code, COUNT(code));
}

static void test_encode_failures(void **state)
{
    (void)state;
    static const char *const code[] = {
        "fails('cannot encode a value of type nil', json.encode(nil))",
        "fails('cannot encode a value of type function', json.encode(print))",
        "fails('a.b[2]: cannot encode a value of type function', json.encode{a = {b = {1, "
        "print}}})",
        "fails('[1].x: cannot encode a value of type userdata', json.encode{{x = io.stdout}})",
        "fails('a: cannot encode a number that is not finite', json.encode{a = 0/0})",
        "fails('cannot encode a number that is not finite', json.encode(math.huge))",
        "fails('string is not UTF-8', json.encode('\\xff'))",
        "fails('[2]: string is not UTF-8', json.encode{1, '\\xed\\xa0\\x80'})",
        "fails('a.k?: string is not UTF-8', json.encode{a = {['k\\xff'] = 1}})",
        "fails('array has no item 2', json.encode{1, nil, 3})",
        "fails('a: array has no item 1', json.encode{a = {[2] = 1}})",
        "fails('array has no item 4', json.encode{1, 2, 3, [1000000000] = 1})",
        "fails('array has the item 0', json.encode{[0] = 1})",
        "fails('array has the item -5', json.encode{1, 2, [-5] = 1})",
        "fails('array has the field \\'x\\'', json.encode{1, 2, x = 3})",
        "fails('array has the field \\'x\\'', json.encode(json.array{x = 3}))",
        "fails('array has the field \\'x\\'', json.encode({1, x = 3}, {sort = true}))",
        "fails('cannot encode a key of type number', json.encode{[1.5] = 1})",
        "fails('cannot encode a key of type boolean', json.encode{[true] = 1})",
        "fails('cannot encode a key of type boolean', json.encode{1, 2, [true] = 1})",
        /* whichever kind of key comes first */
        "for i = 1, 50 do\n"
        "  local t = {['k' .. i] = 1, [i + 1] = 2}\n"
        "  local plain, err = json.encode(t)\n"
        "  assert(plain == nil and (err.message:find('^array has the field') or "
        "err.message:find('^object has the "
        "item')))\n"
        "  local sorted, err = json.encode(t, {sort = true})\n"
        "  assert(sorted == nil and (err.message:find('^array has the field') or "
        "err.message:find('^object has the "
        "item')))\n"
        "end",
        "local t = {} t[1] = t local v, err = json.encode(t)\n"
        "assert(v == nil and err.message:find('%[1%]: nested deeper than 128 tables$') and "
        "#err.message < 300)",
        "local t = {} t.again = t local v, err = json.encode(t, {sort = true})\n"
        "assert(v == nil and err.message:find('again: nested deeper than 128 tables$') and "
        "#err.message < 300)",
        "local t = 1 for i = 1, 128 do t = {t} end assert(json.encode(t))\n"
        "local v, err = json.encode{t} assert(v == nil and err)",
        "fails('[1][1]: nested deeper than 2 tables', json.encode({{{}}}, {depth = 2}))",
        "local t = 1 for i = 1, 1024 do t = {x = t} end assert(json.encode(t, {depth = 1024}))\n"
        "assert(json.encode(t, {depth = 1024, sort = true}))\n"
        "assert(json.decode(json.encode(t, {depth = 1024}), {depth = 1024}))",
        /* after a failure all is as before */
        "gives('[1]', json.encode{1})",
    };
    run_each(code, COUNT(code));
}

/* A table that holds another twice, a hundred levels deep, has no size that one could write. */
static void test_encode_is_bounded(void **state)
{
    (void)state;
    struct memory m;
    struct mg_error err;
    struct mg_buf out;
    lua_State *L = new_state(&m);
    run(L, "fails('text too long', json.encode(('x'):rep((64 << 20) + 1)))\n"
           "gives('1', json.encode(1))\n"
           "deep = {'x'} for i = 1, 100 do deep = {deep, deep} end");
    mg_buf_init(&out, 1 << 20);
    lua_getglobal(L, "deep");
    assert_int_equal(mg_json_encode(L, -1, &out, NULL, &err), MG_FAIL);
    assert_non_null(strstr(err.text, ": text too long"));
    mg_buf_release(&out);
    end_state(L, &m);
}

static void test_arguments(void **state)
{
    (void)state;
    static const char *const code[] = {
        "raises('string expected, got no value', json.decode)",
        "raises('string expected, got number', json.decode, 1)",
        "raises('table expected, got string', json.decode, '1', 'x')",
        "raises('unknown option \\'bigg\\'', json.decode, '1', {bigg = 'float'})",
        "raises('unknown option \\'1\\'', json.decode, '1', {'float'})",
        "raises('option \\'big\\': expected \"float\" or \"error\"', json.decode, '1', {big = 1})",
        "raises('option \\'depth\\': expected integer from 1 to 1024', json.decode, '1', {depth = "
        "0})",
        "raises('option \\'depth\\': expected integer from 1 to 1024', json.encode, 1, {depth = "
        "1025})",
        "raises('value expected', json.encode)",
        "raises('table expected, got number', json.encode, 1, 2)",
        "raises('unknown option \\'indent\\'', json.encode, 1, {indent = 2})",
        "raises('option \\'sort\\': expected boolean, got string', json.encode, 1, {sort = 'yes'})",
        "raises('option \\'pretty\\': expected boolean, got number', json.encode, 1, {pretty = 2})",
        "raises('table expected, got number', json.array, 1)",
        "raises('metatable already', json.array, setmetatable({}, {}))",
        "raises('value expected', json.is_array)",
        "gives('1', json.encode(1, nil)) assert(json.decode('1', nil) == 1)",
    };
    run_each(code, COUNT(code));
}

static void test_null_and_arrays(void **state)
{
    (void)state;
    static const char *const code[] = {
        "assert(tostring(json.null) == 'null' and json.null == json.null and json.null ~= nil)",
        "assert(rawequal(json.decode('null'), json.null))",
        "assert(rawequal(json.decode('[null]')[1], json.null))",
        "local t = {1} assert(json.array(t) == t and json.is_array(t))",
        "assert(json.array(json.decode('[]')))",
        "assert(json.is_array(json.decode('[1]')) and not json.is_array(json.decode('{}')))",
        "assert(not json.is_array{} and not json.is_array(1) and not json.is_array(nil))",
        "assert(not json.is_array(setmetatable({}, {})))",
        "assert(getmetatable(json.decode('[]')).__name == 'moongate.json.array')",
        "assert(tostring(json.decode('[]')):find('^moongate.json.array'))",
        "assert(coroutine.wrap(json.decode)('[null]')[1] == json.null)",
    };
    run_each(code, COUNT(code));
}

static void test_open_twice(void **state)
{
    (void)state;
    struct memory m;
    lua_State *L = new_state(&m);
    mg_json_open(L);
    lua_setglobal(L, "other");
    run(L, "assert(other.null == json.null and other.is_array(json.array()))");
    mg_json_push_null(L);
    assert_true(mg_json_is_null(L, -1));
    lua_pushboolean(L, 1);
    assert_false(mg_json_is_null(L, -1));
    lua_newtable(L);
    mg_json_mark_array(L, -1);
    lua_setglobal(L, "marked");
    run(L, "gives('[]', json.encode(marked))");
    end_state(L, &m);
}

static void test_round_trip(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "null",
        "[]",
        "{}",
        "[[],{},[[],{}],null,true,false,0,-1,1.0,-0.0,1.5e300,\"\",\"x\"]",
        "{\"a\":{\"b\":[],\"c\":{},\"d\":null},\"\":[{\"\":[]}]}",
        "\"\\u0000\\u001f\\\"\\\\ \\u00e9 \\ud83d\\ude00\"",
        "[9223372036854775807,-9223372036854775808,0.1,1e-7,123456.789]",
        "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]",
    };
    struct memory m;
    lua_State *L = new_state(&m);
    for (size_t i = 0; i < COUNT(texts); i++) {
        lua_pushstring(L, texts[i]);
        lua_setglobal(L, "text");
        run(L, "local v = assert(json.decode(text))\n"
               "for _, o in ipairs{{}, {sort = true}, {pretty = true}, {sort = true, pretty = "
               "true}} do\n"
               "  local again = assert(json.encode(v, o))\n"
               "  assert(same(v, assert(json.decode(again))), again)\n"
               "end\n");
    }
    end_state(L, &m);
}

/* The functions for C leave the stack as they found it, and the text where it was. */
static void test_from_c(void **state)
{
    (void)state;
    struct memory m;
    struct mg_error err;
    struct mg_buf out;
    lua_State *L = new_state(&m);
    mg_buf_init(&out, 1000);
    int top = lua_gettop(L);

    assert_int_equal(mg_json_push(L, MG_STR("[1,{\"a\":2}]"), NULL, &err), MG_OK);
    assert_int_equal(lua_gettop(L), top + 1);
    mg_buf_add_c(&out, "body: ");
    assert_int_equal(mg_json_encode(L, -1, &out, NULL, &err), MG_OK);
    assert_int_equal(lua_gettop(L), top + 1);
    assert_true(mg_str_eq(mg_buf_str(&out), MG_STR("body: [1,{\"a\":2}]")));

    assert_int_equal(mg_json_push(L, MG_STR("[1,{\"a\":2,}]"), NULL, &err), MG_FAIL);
    assert_string_equal(err.text, "line 1 column 11: expected a key in quotes");
    assert_int_equal(mg_json_push(L, MG_STR("[1,{\"a\":2,}]"), NULL, NULL), MG_FAIL);
    assert_int_equal(lua_gettop(L), top + 1);

    lua_pushcfunction(L, luaopen_base);
    assert_int_equal(mg_json_encode(L, -1, &out, NULL, &err), MG_FAIL);
    assert_int_equal(mg_json_encode(L, -1, &out, NULL, NULL), MG_FAIL);
    assert_int_equal(lua_gettop(L), top + 2);

    mg_buf_release(&out);
    mg_buf_init(&out, 4);
    assert_int_equal(mg_json_encode(L, top + 1, &out, NULL, &err), MG_FAIL);
    assert_string_equal(err.text, "[2]: text too long");
    mg_buf_release(&out);
    end_state(L, &m);
}

/* Both directions, with escapes so that the scratch is used. Allocates in every way there is. */
static const char busy_code[] =
    "local text = '{\"k\\\\u0065y\":[1,2.5,\"' .. ('x'):rep(50) .. '\\\\n\"],'"
    "  .. '\"o\":{\"a\":{},\"b\":[],\"c\":null}'\n"
    "for i = 1, 40 do text = text .. ',\"f' .. i .. '\":[' .. ('1,'):rep(40) .. '0]' end\n"
    "local v = assert(json.decode(text .. '}'))\n"
    "local again = assert(json.encode(v, {sort = true, pretty = true}))\n"
    "assert(#assert(json.encode(v)) < #again)\n"
    "local bad, err = json.decode(text)\n"
    "assert(bad == nil and err.code == 'bad_json' and err.message:find('unexpected end'))\n"
    "bad, err = json.encode{v, {print}}\n"
    "assert(err.code == 'bad_value' and err.message:find('function'))\n";

static void test_each_allocation_fails(void **state)
{
    (void)state;
    bool done = false;
    for (long n = 0; !done; n++) {
        struct memory m;
        lua_State *L = new_state(&m);
        lua_gc(L, LUA_GCSTOP);
        assert_int_equal(luaL_loadstring(L, busy_code), LUA_OK);
        m.left = n;
        int status = lua_pcall(L, 0, 0, 0);
        done = status == LUA_OK && m.left > 0;
        if (status != LUA_OK && status != LUA_ERRMEM) {
            m.left = -1;
            fail_msg("after %ld allocations: %s", n, lua_tostring(L, -1));
        }
        m.left = -1;
        run(L, busy_code); /* works again */
        end_state(L, &m);
        assert_true(n < 5000);
    }
}

static int open_json(lua_State *L)
{
    mg_json_open(L);
    return 1;
}

static void test_open_when_memory_fails(void **state)
{
    (void)state;
    bool done = false;
    for (long n = 0; !done; n++) {
        struct memory m = {.left = -1};
        lua_State *L = lua_newstate(allocate, &m);
        assert_non_null(L);
        lua_pushcfunction(L, open_json);
        m.left = n;
        done = lua_pcall(L, 0, 1, 0) == LUA_OK;
        assert_int_equal(n == 0 && done, false);
        end_state(L, &m);
        assert_true(n < 100);
    }
}

/* Finalizers that use the codec run in the middle of it, and at the very end. */
static void test_finalizers_may_call(void **state)
{
    (void)state;
    struct memory m;
    lua_State *L = new_state(&m);
    run(L,
        "calls = 0\n"
        "local function trap()\n"
        "  setmetatable({}, {__gc = function()\n"
        "    calls = calls + 1\n"
        "    local v = json.decode('[\"fin\\\\u0061l\",{\"b\":1,\"a\":2}]')\n"
        "    assert(json.encode(v, {sort = true}) == '[\"final\",{\"a\":2,\"b\":1}]')\n"
        "    if not stop then trap() end\n"
        "  end})\n"
        "end\n"
        "warn('@on')\n"
        "collectgarbage('setpause', 1) collectgarbage('setstepmul', 10000)\n"
        "for i = 1, 20 do trap() end\n"
        "local items = {}\n"
        "for i = 1, 100 do items[i] = '{\"nam\\\\u0065\":\"v\\\\t' .. i .. '\",\"l\":[1,2]}' end\n"
        "local text = '[' .. table.concat(items, ',') .. ']'\n"
        "for round = 1, 2 do\n"
        "  local v = assert(json.decode(text))\n"
        "  for i = 1, 100 do assert(v[i].name == 'v\\t' .. i and #v[i].l == 2) end\n"
        "  local sorted = assert(json.encode(v, {sort = true}))\n"
        "  assert(sorted:sub(1, 25) == '[{\"l\":[1,2],\"name\":\"v\\\\t1\"', sorted:sub(1, 25))\n"
        "  assert(same(v, json.decode(sorted)))\n"
        "end\n"
        "assert(calls > 0)\n"
        "stop = true\n");
    end_state(L, &m);
}

/* What is finalized after the scratch gets an error, as nobody would free another scratch. */
static void test_finalizer_at_the_end(void **state)
{
    (void)state;
    struct memory m;
    lua_State *L = new_state(&m);
    run(L, "last = setmetatable({}, {__gc = function() json.encode{1} end})\n"
           "gives('[1]', json.encode{1})");
    end_state(L, &m);
}

/* A finalizer that takes away what is being written must not lead to bytes that are no more. */
static void test_finalizers_may_change_the_table(void **state)
{
    (void)state;
    struct memory m;
    lua_State *L = new_state(&m);
    run(L,
        "collectgarbage('setpause', 1) collectgarbage('setstepmul', 10000)\n"
        "for round = 1, 200 do\n"
        "  local t = {}\n"
        "  for i = 1, 50 do t[('a rather long name of a field, too long to share %d'):format(i)] = "
        "{x = i, y = {}} end\n"
        "  setmetatable({}, {__gc = function()\n"
        "    for k in pairs(t) do t[k] = nil end\n"
        "    t[#t + 1] = 'new'\n"
        "    for i = 1, 100 do t['n' .. i] = i end\n"
        "  end})\n"
        "  pcall(json.encode, t, {sort = true})\n"
        "  pcall(json.encode, {t, t, t}, {sort = true})\n"
        "end\n");
    end_state(L, &m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_decode_failures),
        cmocka_unit_test(test_encode),
        cmocka_unit_test(test_encode_failures),
        cmocka_unit_test(test_encode_is_bounded),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_null_and_arrays),
        cmocka_unit_test(test_open_twice),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_from_c),
        cmocka_unit_test(test_each_allocation_fails),
        cmocka_unit_test(test_open_when_memory_fails),
        cmocka_unit_test(test_finalizers_may_call),
        cmocka_unit_test(test_finalizer_at_the_end),
        cmocka_unit_test(test_finalizers_may_change_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
