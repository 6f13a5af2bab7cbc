/* Pattern functions: the same results as the stock library's, and an end to all work. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "script/pattern.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* Globals `ours` and `stock`, and same(function, ...), which calls both and compares all there is.
 */
static const char helpers[] =
    "local function pack(f, ...)\n"
    "  local calls = {}\n"
    "  local args = table.pack(...)\n"
    "  for i = 1, args.n do\n"
    "    local g = args[i]\n"
    "    if type(g) == 'function' then\n"
    "      args[i] = function(...) calls[#calls + 1] = table.pack(...) return g(...) end\n"
    "    end\n"
    "  end\n"
    "  local r = table.pack(pcall(f, table.unpack(args, 1, args.n)))\n"
    "  if not r[1] then r[2], r.n = 'error', 2 end\n"
    "  local out = {}\n"
    "  calls[#calls + 1] = r\n"
    "  for _, c in ipairs(calls) do\n"
    "    for i = 1, c.n do out[#out + 1] = (math.type(c[i]) or type(c[i])) .. ':' .. "
    "tostring(c[i]) end\n"
    "    out[#out + 1] = ';'\n"
    "  end\n"
    "  return table.concat(out, ' ')\n"
    "end\n"
    "function all(lib)\n"
    "  return function(s, p, init)\n"
    "    local out = {}\n"
    "    for a, b, c in lib.gmatch(s, p, init) do\n"
    "      out[#out + 1] = tostring(a) .. tostring(b) .. tostring(c)\n"
    "    end\n"
    "    return table.concat(out, ',')\n"
    "  end\n"
    "end\n"
    "ours.all, stock.all = all(ours), all(stock)\n"
    "function same(name, ...)\n"
    "  local want, got = pack(stock[name], ...), pack(ours[name], ...)\n"
    "  if want ~= got then\n"
    "    local args = {}\n"
    "    for i, v in ipairs { ... } do args[i] = ('%q'):format(tostring(v)) end\n"
    "    error(name .. '(' .. table.concat(args, ', ') .. ')\\nwant: ' .. want .. '\\ngot:  ' .. "
    "got, 2)\n"
    "  end\n"
    "end\n";

static lua_State *start(void)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    lua_newtable(L);
    mg_pattern_open(L);
    lua_setglobal(L, "ours");
    if (luaL_dostring(L, "stock = setmetatable({}, {__index = string})") ||
        luaL_dostring(L, helpers))
        fail_msg("%s", lua_tostring(L, -1));
    return L;
}

static void run(const char *text)
{
    lua_State *L = start();
    if (luaL_dostring(L, text))
        fail_msg("%s", lua_tostring(L, -1));
    lua_close(L);
}

static void test_same_results(void **state)
{
    (void)state;
    run("local subjects = { '', 'a', 'abc', 'aaa bbb', 'key = value', '[x] (y(z)) ]', 'a\\0b', "
        "'%d+', 'THE (quick) fox',\n"
        "  'x^y$', 'hello world from Lua', '  trim  ', 'a,b,,c', '\\255\\128', '-1.5e3', "
        "('ab'):rep(50) }\n"
        "local patterns = { '', 'a', '^a', 'a$', '^$', '^', '$', '.', '.*', '.-', '.+', 'a*', "
        "'a?', 'a-', 'a+b', '^.-$', '%a+',\n"
        "  '%d', '%D', '%s*', '%S+', '[a-c]', '[^a-c]+', '[]]', '[^]]', '[]', '[^', '[a-', '[a-]', "
        "'[-a]', '[a-%%]', '[%a-z]',\n"
        "  '[%', '[%]', '[%]]', '[%]', '%', '%%', 'a%', '(a)', '(', ')', '(()', '(a', '()', "
        "'()a()', '(a)(b)', '(a*)(b*)',\n"
        "  '(a)%1', '%1', '%0', '(a%1)', '()%1', '%b()', '%b', '%b(', '%bxx', '%b[]%b()', "
        "'%f[%w]%w+', '%f', '%f[', '%fa',\n"
        "  '%f[%z]', '%f[^%w]', '[^%s]+', '(%w+)%s*=%s*(%w+)', '^%s*(.-)%s*$', '%z', '%Z', '%c', "
        "'%g+', '%p', '%u%u', '%x+',\n"
        "  '(.)(.)(.)', 'a$b', '$a', 'a^', '.-b', 'a.-b', '(a-)(b-)$', '((a)(b))', '[a-z]*[^b]', "
        "'a*?', 'a**', '%a-$', '^^',\n"
        "  'b*a', '\\0', '[\\0]', '%A', '[%W]', '%', '[a-c-e]', '[c-a]', '[%d.]+', "
        "'(%-?%d+)%.?(%d*)' }\n"
        "for _, s in ipairs(subjects) do\n"
        "  for _, p in ipairs(patterns) do\n"
        "    for init = -4, 5 do\n"
        "      same('find', s, p, init) same('match', s, p, init) same('all', s, p, init)\n"
        "    end\n"
        "    same('find', s, p, 1, true) same('find', s, p) same('match', s, p) same('all', s, p)\n"
        "    for _, r in ipairs { '', 'x', '%0', '%1', '%2', '%%', '<%0>', '%', '%a', 'a%1%1', 7, "
        "1.5 } do\n"
        "      same('gsub', s, p, r) same('gsub', s, p, r, 1) same('gsub', s, p, r, 0) "
        "same('gsub', s, p, r, -1)\n"
        "    end\n"
        "    same('gsub', s, p, { a = 'A', b = false, [1] = 'one', [2] = 2 })\n"
        "    same('gsub', s, p, setmetatable({}, { __index = function(_, k) return #tostring(k) "
        "end }))\n"
        "    same('gsub', s, p, function(a) return ({ 'x', 12, false, nil, '' })[#tostring(a) % 5] "
        "end)\n"
        "    same('gsub', s, p, function() return {} end) same('gsub', s, p, error) same('gsub', "
        "s, p, function() end)\n"
        "  end\n"
        "end\n");
}

static void test_arguments(void **state)
{
    (void)state;
    run("for _, f in ipairs { 'find', 'match', 'gmatch', 'gsub' } do\n"
        "  same(f) same(f, 'a') same(f, nil, 'a') same(f, {}, 'a') same(f, 'a', {}) same(f, 'a', "
        "'a', {}) same(f, 'a', 'a', 'x')\n"
        "end\n"
        "for _, i in ipairs { math.maxinteger, math.mininteger, 1.5, 2.0, '2', 'x', 1e300 } do\n"
        "  same('find', 'abc', 'b', i) same('match', 'abc', 'b', i) same('all', 'abc', '.', i) "
        "same('gsub', 'abc', '.', 'x', i)\n"
        "end\n"
        "same('gsub', 'a', 'a') same('gsub', 'a', 'a', nil) same('gsub', 'a', 'a', true) "
        "same('gsub', 'a', 'a', 'b', {})\n"
        "same('find', 12, 1) same('gsub', 12, 1, 3) same('match', 1.5, '%d', 2)\n"
        "same('find', 'a', ('()'):rep(32)) same('find', 'a', ('()'):rep(33)) same('match', 'a', "
        "('()'):rep(32))\n"
        "same('find', ('a'):rep(300), ('a?'):rep(150) .. ('a'):rep(150))\n"
        /* gmatch holds its strings, and goes on where it was */
        "local f = ours.gmatch('a' .. 'b' .. tostring(1), '%w') collectgarbage()\n"
        "assert(f() == 'a' and f() == 'b' and f() == '1' and f() == nil and f() == nil)\n");
}

/* Patterns put together at random from pieces that are mostly right. */
static void test_random(void **state)
{
    (void)state;
    run("math.randomseed(42)\n"
        "local pieces = { 'a', 'b', '.', '%a', '%W', '[ab]', '[^b]', '[%a-]', '(', ')', '()', "
        "'%1', '%b()', '%f[a]', '%f[^a]',\n"
        "  '*', '+', '-', '?', '*', '-', '$', '^', '[a-', '%', ' ' }\n"
        "local bytes = { 'a', 'b', 'a', '(', ')', ' ', '1' }\n"
        "local function make(from, most)\n"
        "  local t = {}\n"
        "  for i = 1, math.random(0, most) do t[i] = from[math.random(#from)] end\n"
        "  return table.concat(t)\n"
        "end\n"
        "for _ = 1, 20000 do\n"
        "  local s, p = make(bytes, 12), make(pieces, 7)\n"
        "  same('find', s, p) same('match', s, p, math.random(-3, 3)) same('all', s, p) "
        "same('gsub', s, p, '<%0>')\n"
        "  same('gsub', s, p, '%1', math.random(0, 3)) same('gsub', s, p, function(a) return a ~= "
        "'a' and 'X' end)\n"
        "end\n");
}

static double cpu_seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

static void test_work_ends(void **state)
{
    (void)state;
    static const char *const calls[] = {
        "ours.find(('a'):rep(40), ('a*'):rep(20) .. 'b')",
        "ours.find(('a'):rep(8192), '.-.-.-.-.-b')",
        "ours.match(('a'):rep(8192), '(.*)(.*)(.*)(.*)b')",
        "ours.gsub(('a'):rep(8192), '.-.-.-b', '')",
        "ours.gsub(('a'):rep(100000), 'a-b', '')",
        "ours.find(('('):rep(100000), '%b()')",
        "for x in ours.gmatch(('a'):rep(8192), '.-.-.-b') do end",
        "ours.find(('ab'):rep(50000), '(ab)*%1%1%1.-.-c')",
        "ours.find(('a'):rep(300000), '[%w%s%p%d%l%u%c%x]-b')",
        "ours.find(('a'):rep(200000), 'a*$b')",
        "ours.find(('a'):rep(200000) .. 'b', 'a*$')",
        "ours.find(('a'):rep(30), ('a?'):rep(30) .. ('a'):rep(30) .. 'b')",
        "ours.find(('a'):rep(4000), ('a-'):rep(190) .. 'b')",
    };
    for (size_t i = 0; i < COUNT(calls); i++) {
        lua_State *L = start();
        double before = cpu_seconds();
        int status = luaL_dostring(L, calls[i]);
        double took = cpu_seconds() - before;
        if (status != LUA_OK &&
            !strstr(lua_tostring(L, -1), "pattern takes too many steps for a subject"))
            fail_msg("%s", lua_tostring(L, -1));
        if (took > 3) /* without a sanitizer some 0.1 s at most */
            fail_msg("%s took %.1f s", calls[i], took);
        lua_close(L);
    }
}

/* What policies do with headers and bodies is nowhere near the bounds. */
static void test_usual_work_is_allowed(void **state)
{
    (void)state;
    run("local long = ('a'):rep(8192)\n"
        "assert(ours.match('Bearer ' .. long, '^Bearer%s+(%S+)$') == long)\n"
        "assert(ours.match(long .. ' ', '^%s*(.-)%s*$') == long)\n"
        "assert(ours.match('  ' .. long .. '  ', '^%s*(.-)%s*$') == long)\n"
        "assert(ours.match('x' .. long .. '; q=0.5', '^([^;]+);%s*q=([%d.]+)$') == 'x' .. long)\n"
        "assert(select(2, ours.gsub(('k=v&'):rep(2000), '([^&=]+)=([^&]*)', '%2=%1')) == 2000)\n"
        "local body = ('some words, 12 numbers\\n'):rep(100000)\n"
        "assert(select(2, ours.gsub(body, '%w+', string.upper)) == 400000)\n"
        "assert(select(2, ours.gsub(body, '\\n', '\\r\\n')) == 100000)\n"
        "assert(ours.find(body, 'absent', 1, true) == nil and ours.find(body, 'absent%d') == nil)\n"
        "assert(ours.match(body, '.*(%d%d)') == '12')\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_results),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_work_ends),
        cmocka_unit_test(test_usual_work_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
