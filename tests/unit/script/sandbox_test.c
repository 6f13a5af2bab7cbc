/* What policy code can and cannot reach; strict globals; load, require, expressions; bounded
 * libraries. */
#include "script/script_test.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "script/stdlib.h"

struct refused {
    const char *text, *want;
};

static void run_refused(const struct refused *cases, size_t count)
{
    struct script_test t;
    script_test_start(&t, (struct mg_script_options){0});
    for (size_t i = 0; i < count; i++)
        script_test_fails(&t, MG_TASK_ERROR, cases[i].want, cases[i].text);
    script_test_end(&t);
}

static void test_what_is_there(void **state)
{
    (void)state;
    struct script_test t;
    script_test_start(&t, (struct mg_script_options){0});
    script_test_gives(
        &t, "ok",
        "for name in ('assert collectgarbage coroutine error getmetatable ipairs load math next os "
        "pairs '\n"
        "  .. 'pcall print rawequal rawget rawlen rawset require select setmetatable string table "
        "'\n"
        "  .. 'tonumber tostring type utf8 xpcall _VERSION _G'):gmatch('%S+') do\n"
        "  assert(_G[name] ~= nil, name)\n"
        "end\n"
        "assert(_G._G == _G and require('string') == string and string.format('%d', 3) == '3')\n"
        "assert(('x'):rep(3) == 'xxx' and table.concat({1, 2}, ',') == '1,2' and utf8.char(228))\n"
        "assert(math.random() < 1 and math.random(5) <= 5 and math.randomseed(1) == nil)\n"
        "assert(collectgarbage('count') > 1)\n"
        "assert(os.nothing == nil and not pcall(function() return os.execute end))\n"
        "assert(string.dump == nil and coroutine.running())\n"
        "return 'ok'");
    script_test_end(&t);
}

static void test_out_of_reach(void **state)
{
    (void)state;
    static const struct refused cases[] = {
        {"io.open('/etc/passwd')",
         "test:1: 'io' is not available to policies; read a file with mg.file, in `new`"},
        {"os.exit(1)",
         "test:1: 'os.exit' is not available to policies; return a response to end a request"},
        {"return os.getenv 'HOME'",
         "'os.getenv' is not available to policies; use mg.secret, or write ${NAME} in the config"},
        {"debug.getregistry()", "'debug' is not available to policies"},
        {"dofile('x')", "'dofile' is not available"},
        {"loadfile('x')", "'loadfile' is not available"},
        {"package.loadlib('x', '*')", "'package' is not available"},
        {"string.format = print", "cannot change 'format' of a read-only table"},
        {"os.getenv = print", "read-only table"},
        {"rawset(string, 'format', print)", "cannot change a read-only table"},
        {"rawset(_G, 'x', 1)", "cannot change a read-only table"},
        {"setmetatable(string, {})", "cannot change a protected metatable"},
        {"setmetatable(_G, nil)", "cannot change a protected metatable"},
        {"getmetatable('').__index = nil", "attempt to index a boolean value"},
        {"table.insert(string, 'x')", "read-only table"},
        {"table.move({1}, 1, 1, 1, string)", "read-only table"},
        {"table.sort(setmetatable({}, {__len = function() return 1 << 40 end}))",
         "more than 10000000"},
        {"setmetatable({}, {__gc = print})",
         "__gc is not available to policies; use a <close> variable"},
        {"collectgarbage()", "only \"count\" is available"},
        {"collectgarbage('stop')", "only \"count\" is available"},
        {"assert(load('\\27Lua'))", "attempt to load a binary chunk"},
        {"assert(load(function() return nil end, 'x', 'b', {})) assert(load('\\27Lua', 'x', 'b'))",
         "attempt to load a binary chunk"},
    };
    run_refused(cases, COUNT(cases));
}

static void test_strict_globals(void **state)
{
    (void)state;
    static const struct refused cases[] = {
        {"local y = 1\nx = y", "test:2: assignment to undeclared global 'x'; declare it local"},
        {"\n\nreturn x", "test:3: undeclared global 'x'; is it misspelt?"},
        {"function f() end", "test:1: assignment to undeclared global 'f'"},
        {"print = nil", "assignment to 'print', which is part of Lua's library"},
        {"_G.x = 1", "assignment to undeclared global 'x'"},
        {"return _G[1]", "undeclared global '1'"},
        {"load('z = 1')()", "assignment to undeclared global 'z'"},
        {"load('return z')()", "undeclared global 'z'"},
    };
    run_refused(cases, COUNT(cases));

    struct script_test t;
    script_test_start(&t, (struct mg_script_options){0});
    /* An environment of one's own is one's own affair. */
    script_test_gives(&t, "5", "local _ENV = {} x = 5 return x");
    script_test_gives(&t, "6", "local env = {y = 6} return load('return y', 'c', 't', env)()");
    script_test_gives(&t, "nil", "return load('return y', 'c', 't', {})()");
    /* Nothing is left behind for the next. */
    script_test_fails(&t, MG_TASK_ERROR, "undeclared global 'x'", "return x");
    script_test_end(&t);
}

static void test_load(void **state)
{
    (void)state;
    struct script_test t;
    script_test_start(&t, (struct mg_script_options){0});
    script_test_gives(&t, "3", "return load('return 1 + 2')()");
    script_test_gives(&t, "3",
                      "local p = {'return ', '1 ', '+ 2', ''} local i = 0\n"
                      "return load(function() i = i + 1 return p[i] end)()");
    script_test_gives(&t, "ok",
                      "local f, err = load('x x', '=name') assert(f == nil and "
                      "err:find('^name:1:')) return 'ok'");
    script_test_gives(&t, "ok",
                      "local ok, err = pcall(load, function() return {} end)\n"
                      "assert(not ok and err:find('must return a string')) return 'ok'");
    lua_State *L = t.s->L;
    assert_int_equal(mg_sandbox_load(L, MG_STR("return +"), "@policies/x.lua"), MG_FAIL);
    assert_non_null(strstr(lua_tostring(L, -1), "policies/x.lua:1: unexpected symbol"));
    assert_int_equal(mg_sandbox_load(L, MG_STR("\x1bLuaT"), "=x"), MG_FAIL);
    lua_settop(L, 0);
    script_test_end(&t);
}

typedef enum mg_rc (*load_fn)(lua_State *L, struct mg_str text, const char *chunk_name,
                              uint32_t line);

struct loaded {
    const char *text, *want; /* NULL: it compiles */
    uint32_t line;
};

/* Calls each text with (5, "r", {n = 7}), or only with the last of these. */
static void check_loaded(load_fn load, int nargs, const struct loaded *cases, size_t count)
{
    struct script_test t;
    script_test_start(&t, (struct mg_script_options){0});
    lua_State *L = t.s->L;
    for (size_t i = 0; i < count; i++) {
        if (load(L, mg_str_c(cases[i].text), "=when", 0) != MG_OK)
            fail_msg("%s\nin: %s", lua_tostring(L, -1), cases[i].text);
        if (nargs == 3) {
            lua_pushinteger(L, 5);
            lua_pushliteral(L, "r");
        }
        lua_newtable(L);
        lua_pushinteger(L, 7);
        lua_setfield(L, -2, "n");
        enum mg_rc rc = mg_task_call(L, nargs, 1);
        const char *got = luaL_tolstring(L, -1, NULL);
        if (cases[i].want &&
            (rc == MG_OK ? strcmp(got, cases[i].want) != 0 : !strstr(got, cases[i].want)))
            fail_msg("want: %s\ngot:  %s\nin: %s", cases[i].want, got, cases[i].text);
        lua_settop(L, 0);
    }
    script_test_end(&t);
}

static void check_not_loaded(load_fn load, const struct loaded *cases, size_t count)
{
    struct script_test t;
    script_test_start(&t, (struct mg_script_options){0});
    lua_State *L = t.s->L;
    for (size_t i = 0; i < count; i++) {
        if (load(L, mg_str_c(cases[i].text), "=when", cases[i].line) == MG_OK)
            fail_msg("compiles: %s", cases[i].text);
        if (!strstr(lua_tostring(L, -1), cases[i].want))
            fail_msg("want: %s\ngot:  %s", cases[i].want, lua_tostring(L, -1));
        lua_settop(L, 0);
    }
    script_test_end(&t);
}

static void test_expressions(void **state)
{
    (void)state;
    static const struct loaded good[] = {
        {"req == 5", "true", 0},
        {" req + mg.n ", "12", 0},
        {"res .. 'x' -- comment", "rx", 0},
        {"(function() return req end)()", "5", 0},
        {"function() return req end", NULL, 0},
        {"returned == nil and 1", "undeclared global 'returned'", 0},
        {"not req", "false", 0},
    };
    static const struct loaded bad[] = {
        {"req ==", "when:1: unexpected symbol", 0},
        {"req ==", "when:41: unexpected symbol", 41},
        {"x = 1", "when:7: ", 7},
        {"local x = 1 return x", "when:1: ", 0},
        {"true return false", "when:1: ", 0},
    };
    check_loaded(mg_sandbox_load_expression, 3, good, COUNT(good));
    check_not_loaded(mg_sandbox_load_expression, bad, COUNT(bad));
}

static void test_functions(void **state)
{
    (void)state;
    static const struct loaded good[] = {
        {"return mg.n", "7", 0},
        {"-- first\n; local x = mg.n\nreturn x * 2", "14", 0},
        {"if mg then return 'five' end", "five", 0},
        {"do return 1 end", "1", 0},
        {"tostring(1)\nreturn 3", "3", 0}, /* begins like an expression */
        {"(function() end)() return 4", "4", 0},
        {"--[[ a\nb ]] return 2", "2", 0},
        {"", "nil", 0},
        {"return req.path", "undeclared global 'req'", 0},
        {"count = 1", "assignment to undeclared global 'count'", 0},
    };
    static const struct loaded bad[] = {
        {"local x =\n\n", "when:1002: unexpected symbol", 1000},
        {"mg.n == 5", "when:1: ", 0},
        {"function() end", "when:9: ", 9},
    };
    check_loaded(mg_sandbox_load_function, 1, good, COUNT(good));
    check_not_loaded(mg_sandbox_load_function, bad, COUNT(bad));
}

static void test_bounds(void **state)
{
    (void)state;
    static const struct refused cases[] = {
        {"return ('x'):rep(1 << 40)", "would be larger than 16777216 bytes"},
        {"return ('x'):rep(3, ('y'):rep(16 << 20))", "would be larger than 16777216 bytes"},
        {"return ('x'):rep(math.maxinteger, 'x')", "would be larger than 16777216 bytes"},
        {"return string.pack('c1000000000', '')", "would be larger than 16777216 bytes"},
        {"table.move({}, 1, 1 << 60, 2)", "more than 10000000 items"},
        {"table.move({}, math.mininteger, -2, 2)", "more than 10000000 items"},
        {"table.concat(setmetatable({}, {__index = function() return 'x' end}), '', 1, 1 << 50)",
         "more than 10000000 items"},
        {"local t = setmetatable({}, {__len = function() return 1 << 50 end}) table.insert(t, 1, "
         "2)",
         "more than 10000000 items"},
        {"local t = setmetatable({}, {__len = function() return 1 << 50 end}) table.remove(t, 1)",
         "more than 10000000 items"},
        {"local t = setmetatable({}, {__len = function() return 1 << 50 end}) table.concat(t)",
         "more than 10000000 items"},
        {"table.concat(setmetatable({}, {__index = function() return 'x' end}), '', "
         "math.mininteger)",
         "more than 10000000 items"},
        {"local t = {} for i = 0, 62 do t[1 << i] = 1 end t[3] = 1 t[5] = 1 table.insert(t, 1, 1)",
         "more than 10000000 items"},
        {"local t = {} for i = 0, 62 do t[1 << i] = 1 end t[3] = 1 t[5] = 1 table.sort(t, "
         "rawequal)",
         "more than 10000000 items"},
        {"table.insert(nil, 1, 2)", "table expected"},
        {"table.concat()", "table expected"},
        {"os.date(('%c'):rep(1000))", "format too long"},
    };
    run_refused(cases, COUNT(cases));

    struct script_test t;
    script_test_start(&t, (struct mg_script_options){0});
    script_test_gives(
        &t, "ok",
        "assert(('x'):rep(0) == '' and ('x'):rep(-1) == '' and (''):rep(1 << 40) == '')\n"
        "assert(('x'):rep(2, ',') == 'x,x' and #('x'):rep(16 << 20) == 16 << 20)\n"
        "assert(string.pack('<i4c2', 1, 'ab') == '\\1\\0\\0\\0ab')\n"
        "local t = {3, 1, 2} table.sort(t) table.insert(t, 4) table.insert(t, 1, 0)\n"
        "assert(table.concat(t, ',') == '0,1,2,3,4' and table.concat(t, ',', 2, 3) == '1,2')\n"
        "assert(table.remove(t) == 4 and table.remove(t, 1) == 0)\n"
        "assert(#table.move(t, 1, 3, 2) == 4 and table.unpack(t, 4) == 3)\n"
        "return 'ok'");
    script_test_end(&t);
}

static void test_time(void **state)
{
    (void)state;
    struct script_test t;
    script_test_start(&t, (struct mg_script_options){0});
    script_test_advance(&t, 90);
    script_test_gives(&t, "1767225690", "return os.time()");
    script_test_gives(&t, "2026-01-01 00:01:30", "return os.date('!%Y-%m-%d %H:%M:%S')");
    script_test_gives(&t, "1970-01-01", "return os.date('!%Y-%m-%d', 0)");
    script_test_gives(&t, "2026", "return os.date('!*t').year");
    script_test_gives(&t, "86400",
                      "return os.time{year=2020,month=1,day=2} - os.time{year=2020,month=1,day=1}");
    script_test_end(&t);
}

static void test_print(void **state)
{
    (void)state;
    struct script_test t;
    script_test_start(&t, (struct mg_script_options){0});
    script_test_gives(&t, NULL, "print('hello', 1, nil, true)");
    assert_non_null(strstr(t.log, "hello\\t1\\tnil\\ttrue"));
    assert_non_null(strstr(t.log, "step-1"));
    script_test_end(&t);
}

static void test_coroutines(void **state)
{
    (void)state;
    struct script_test t;
    script_test_start(&t, (struct mg_script_options){0});
    script_test_gives(
        &t, "ok",
        "local co = coroutine.create(function(a, b)\n"
        "  assert(coroutine.status(coroutine.running()) == 'running' and coroutine.isyieldable())\n"
        "  local c = coroutine.yield(a + b)\n"
        "  local d, e = coroutine.yield(c)\n"
        "  return d, e, 'end'\n"
        "end)\n"
        "assert(coroutine.status(co) == 'suspended')\n"
        "local function same(want, ...) local t = {} for i, v in ipairs{...} do t[i] = tostring(v) "
        "end\n"
        "  local got = table.concat(t, ' ') assert(got == want, got) end\n"
        "same('true 3', coroutine.resume(co, 1, 2))\n"
        "same('true x', coroutine.resume(co, 'x'))\n"
        "same('true 7 8 end', coroutine.resume(co, 7, 8))\n"
        "same('false cannot resume dead coroutine', coroutine.resume(co))\n"
        "assert(coroutine.status(co) == 'dead' and not coroutine.isyieldable())\n"
        "co = coroutine.create(error) same('false boo', coroutine.resume(co, 'boo'))\n"
        "assert(coroutine.status(co) == 'dead')\n"
        "local list = {} for i in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end "
        "end) do\n"
        "  list[#list + 1] = i end same('1 2 3', table.unpack(list))\n"
        "local ok, err = pcall(coroutine.wrap(function() error({}) end)) assert(type(err) == "
        "'table')\n"
        "ok, err = pcall(coroutine.wrap(function() error('boo', 0) end)) assert(err:find('boo$'))\n"
        "local seen\n"
        "ok, err = pcall(coroutine.wrap(function()\n"
        "  local v <close> = setmetatable({}, {__close = function(_, e) seen = e end}) "
        "error('boo', 0) end))\n"
        "assert(seen == 'boo' and err:find('boo$'))\n"
        "ok, err = pcall(coroutine.wrap(function()\n"
        "  local v <close> = setmetatable({}, {__close = function() error('two', 0) end}) "
        "error('one') end))\n"
        "assert(err:find('two$'))\n"
        "co = coroutine.create(function() local v <close> = setmetatable({}, {__close = "
        "function(_, e)\n"
        "  seen = e == nil and 'closed' end}) coroutine.yield() end)\n"
        "coroutine.resume(co) same('true', coroutine.close(co)) assert(seen == 'closed')\n"
        "co = coroutine.create(function() local v <close> = setmetatable({}, {__close = "
        "function()\n"
        "  error('late', 0) end}) coroutine.yield() end)\n"
        "coroutine.resume(co) same('false late', coroutine.close(co))\n"
        "local outer outer = coroutine.create(function()\n"
        "  return coroutine.wrap(function() return coroutine.status(outer), pcall(coroutine.close, "
        "outer) end)()\n"
        "end)\n"
        "local _, status, closed, why = coroutine.resume(outer)\n"
        "assert(status == 'normal' and not closed and why:find('cannot close a normal "
        "coroutine'))\n"
        "same('false cannot resume non-suspended coroutine', coroutine.wrap(function()\n"
        "  return coroutine.resume(coroutine.running()) end)())\n"
        "assert(not pcall(coroutine.create, 1) and not pcall(coroutine.resume, 1))\n"
        "assert(not pcall(coroutine.status, nil) and not pcall(coroutine.close))\n"
        "co = coroutine.create(function(...) return select('#', ...), ... end)\n"
        "assert(select('#', coroutine.resume(co, table.unpack({}, 1, 5000))) == 5002)\n"
        "return 'ok'");
    script_test_end(&t);
}

/* --- require --- */

static char folder[64];

static void write_file(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    char *slash = strrchr(path, '/');
    *slash = 0;
    mkdir(path, 0700);
    *slash = '/';
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void remove_files(const char *const *names, size_t count)
{
    char path[256];
    for (size_t i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        remove(path);
    }
    remove(folder);
}

static void start_with_folder(struct script_test *t, bool allow_c)
{
    script_test_start(t, (struct mg_script_options){0});
    const struct mg_str paths[] = {MG_STR("/nonexistent"), mg_str_c(folder)};
    mg_sandbox_set_paths(t->s->L, &(struct mg_sandbox_paths){paths, COUNT(paths), allow_c});
}

static void test_require(void **state)
{
    (void)state;
    struct script_test t;
    snprintf(folder, sizeof folder, "/tmp/mg-require-XXXXXX");
    assert_non_null(mkdtemp(folder));
    write_file("one.lua", "local name, file = ... return {name = name, file = file}");
    write_file("two/two.lua", "return 'two'");
    write_file("three/init.lua", "return 'three'");
    write_file("deep/er.lua", "return require 'one'");
    write_file("nothing.lua", "");
    write_file("broken.lua", "\nreturn +");
    write_file("failing.lua", "error('boo')");
    write_file("loop.lua", "return require 'loop'");
    write_file("global.lua", "x = 1");
    write_file("binary.lua", "\x1bLuaT");
    write_file("slow.lua", "coroutine.yield()");
    start_with_folder(&t, false);
    script_test_gives(&t, "ok",
                      "local one, file = require 'one'\n"
                      "assert(one.name == 'one' and one.file == file and file:find('/one.lua$'))\n"
                      "assert(require 'one' == one and require 'deep.er' == one)\n"
                      "assert(require 'two' == 'two' and require 'three' == 'three' and require "
                      "'nothing' == true)\n"
                      "return 'ok'");
    static const struct refused cases[] = {
        {"require 'broken'", "/broken.lua:2: unexpected symbol"},
        {"require 'failing'", "/failing.lua:1: boo"},
        {"require 'failing'", "module 'failing' requires itself, or failed before"},
        {"require 'loop'", "module 'loop' requires itself"},
        {"require 'global'", "/global.lua:1: assignment to undeclared global 'x'"},
        {"require 'binary'", "attempt to load a binary chunk"},
        {"require 'slow'", "coroutine.yield can only be called"},
        {"require 'missing.part'",
         "module 'missing.part' not found: put it beside the policies, or install it for Lua 5.4; "
         "there is\n\tno file '/nonexistent/missing/part.lua'"},
        {"require 'missing'", "\n\tno built-in file 'lua/missing.lua'"},
        {"require '../etc/passwd'", "bad module name '../etc/passwd'"},
        {"require '..etc'", "bad module name"},
        {"require 'one\\0'", "bad module name"},
        {"require ''", "bad module name"},
        {"require()", "bad argument #1"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        script_test_fails(&t, MG_TASK_ERROR, cases[i].want, cases[i].text);

    lua_State *L = t.s->L;
    assert_int_equal(mg_sandbox_require(L, "two"), MG_OK);
    assert_string_equal(lua_tostring(L, -1), "two");
    assert_int_equal(mg_sandbox_require(L, "nowhere"), MG_FAIL);
    assert_int_equal(lua_gettop(L), 2);
    lua_settop(L, 0);
    lua_pushliteral(L, "mine");
    mg_sandbox_preload(L, "moongate");
    assert_int_equal(lua_gettop(L), 0);
    script_test_gives(&t, "mine", "return require 'moongate'");
    script_test_end(&t);

    static const char *const names[] = {
        "one.lua",     "two/two.lua", "two",         "three/init.lua", "three",
        "deep/er.lua", "deep",        "nothing.lua", "broken.lua",     "failing.lua",
        "loop.lua",    "global.lua",  "binary.lua",  "slow.lua",
    };
    remove_files(names, COUNT(names));
}

/* Modules that were not written for the sandbox may use globals of their own. */
static void test_system_modules(void **state)
{
    (void)state;
    struct script_test t;
    char path[128];
    snprintf(folder, sizeof folder, "/tmp/mg-system-XXXXXX");
    assert_non_null(mkdtemp(folder));
    write_file("mg_test_rock.lua", "answer = unpack or 42 return {answer = answer}");
    write_file("mg_test_bad.lua", "return io.open('/etc/passwd')");
    snprintf(path, sizeof path, "%s/?.lua", folder);
    setenv("LUA_PATH_5_4", path, 1);
    setenv("LUA_CPATH_5_4", "/nonexistent/?.so", 1);

    script_test_start(&t, (struct mg_script_options){0});
    mg_sandbox_set_paths(t.s->L, &(struct mg_sandbox_paths){.allow_c = true});
    script_test_gives(&t, "42", "return require('mg_test_rock').answer");
    script_test_fails(&t, MG_TASK_ERROR, "undeclared global 'answer'", "return answer");
    script_test_fails(&t, MG_TASK_ERROR, "attempt to index a nil value (global 'io')",
                      "require 'mg_test_bad'");
    script_test_fails(&t, MG_TASK_ERROR, "no file '/nonexistent/mg_none.so'", "require 'mg_none'");
    script_test_end(&t);

    script_test_start(&t, (struct mg_script_options){0});
    script_test_fails(&t, MG_TASK_ERROR, "not found", "require 'mg_test_rock'");
    script_test_end(&t);
    static const char *const names[] = {"mg_test_rock.lua", "mg_test_bad.lua"};
    remove_files(names, COUNT(names));
    unsetenv("LUA_PATH_5_4");
    unsetenv("LUA_CPATH_5_4");
}

/* Breaks "=test" only. */
static bool say_other(lua_State *L, const char *chunk_name, struct mg_str *text)
{
    if (strcmp(chunk_name, "=test") != 0)
        return false;
    lua_pushfstring(L, "%s .. 'er'", text->p);
    text->p = lua_tolstring(L, -1, &text->n);
    return true;
}

static void test_filter(void **state)
{
    (void)state;
    struct script_test t;
    script_test_start(&t, (struct mg_script_options){0});
    lua_State *L = t.s->L;
    static const struct {
        const char *name, *text, *want;
    } cases[] = {
        {"=test", "return 'oth'", "other"},
        {"=rest", "return 'oth'", "oth"},
    };
    mg_sandbox_set_filter(say_other);
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(mg_sandbox_load(L, mg_str_c(cases[i].text), cases[i].name), MG_OK);
        assert_int_equal(lua_gettop(L), 1);
        assert_int_equal(mg_task_call(L, 0, 1), MG_OK);
        assert_string_equal(lua_tostring(L, -1), cases[i].want);
        lua_settop(L, 0);
    }
    assert_int_equal(mg_sandbox_load(L, MG_STR("return ("), "=test"), MG_FAIL);
    assert_int_equal(lua_gettop(L), 1); /* the error text alone */
    lua_settop(L, 0);
    mg_sandbox_set_filter(NULL);
    script_test_gives(&t, "oth", "return 'oth'");
    script_test_end(&t);
}

static void test_protect(void **state)
{
    (void)state;
    struct script_test t;
    script_test_start(&t, (struct mg_script_options){0});
    lua_State *L = t.s->L;
    lua_newtable(L);
    lua_pushinteger(L, 5);
    lua_setfield(L, -2, "x");
    mg_stdlib_protect(L);
    assert_int_equal(lua_gettop(L), 1);
    mg_sandbox_preload(L, "p");
    script_test_gives(&t, "5", "return require('p').x");
    script_test_fails(&t, MG_TASK_ERROR, "cannot change 'x' of a read-only table",
                      "require('p').x = 6");
    script_test_end(&t);
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_there),  cmocka_unit_test(test_out_of_reach),
        cmocka_unit_test(test_strict_globals), cmocka_unit_test(test_load),
        cmocka_unit_test(test_expressions),    cmocka_unit_test(test_functions),
        cmocka_unit_test(test_bounds),         cmocka_unit_test(test_time),
        cmocka_unit_test(test_print),          cmocka_unit_test(test_coroutines),
        cmocka_unit_test(test_require),        cmocka_unit_test(test_system_modules),
        cmocka_unit_test(test_filter),         cmocka_unit_test(test_protect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
