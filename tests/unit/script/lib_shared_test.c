/* mg.shared as policies see it; the dictionaries themselves are tested in shared/. */
#include "script/lua_test.h"

static bool find_size(void *arg, struct mg_str name, size_t *bytes)
{
    (void)arg;
    if (mg_str_eq(name, MG_STR("tiny")))
        *bytes = 100;
    else if (mg_str_eq(name, MG_STR("big")))
        *bytes = (size_t)4 << 20;
    else
        return false;
    return true;
}

static const struct mg_lib_env env = {.dict_size = find_size};

static void test_values(void **state)
{
    (void)state;
    static const char *const code[] = {
        "d = mg.shared('d')",
        "gives(nil, d:get('k'))",
        "for _, v in ipairs{'text', '', 'a\\0b', 7, -1.5, true, false, math.mininteger} do\n"
        "  gives(true, d:set('k', v)) gives(v, d:get('k'))\n"
        "end",
        "gives(true, d:delete('k')) gives(false, d:delete('k')) gives(nil, d:get('k'))",
        "gives(true, d:add('k', 1)) fails('exists', d:add('k', 2)) gives(1, d:get('k'))",
        "code('exists', d:add('k', 2))",
        "gives(true, d:replace('k', 2)) gives(2, d:get('k'))",
        "fails('not found', d:replace('x', 2)) code('absent', d:replace('x', 2))",
        "gives(3, d:incr('k')) gives(10, d:incr('k', 7)) gives(10.5, d:incr('k', 0.5))",
        "fails('not found', d:incr('n')) gives(6, d:incr('n', 1, 5)) gives(7, d:incr('n', 1, 5))",
        "d:set('s', 'x') code('type', d:incr('s'))",
        "d:set('m', math.maxinteger) code('overflow', d:incr('m'))",
        "gives(true, d:cas('c', nil, 'a')) gives(true, d:cas('c', 'a', 'b'))",
        "fails('value differs', d:cas('c', 'a', 'x')) gives('b', d:get('c'))",
        "code('differs', d:cas('c', nil, 'x'))",
        "gives(true, d:cas('c', 'b', nil)) gives(nil, d:get('c'))",
        "code('key', d:get(('k'):rep(5000)))",
        "code('too_large', d:set('k', ('v'):rep(2000000)))",
        /* larger than what the handle keeps to read into */
        "big = mg.shared('big') long = ('v'):rep(100000)",
        "assert(big:set('k', long)) gives(long, big:get('k')) gives(long, big:get('k'))",
    };
    lua_test_run_each(&env, code, COUNT(code));
}

static void test_times(void **state)
{
    (void)state;
    struct lua_test t;
    lua_test_start(&t, &env);
    lua_test_run(&t, "d = mg.shared('d') d:set('a', 1, 10) d:set('b', 2) d:add('c', 3, 0.5)\n"
                     "gives(10.0, d:ttl('a')) gives(math.huge, d:ttl('b')) gives(0.5, d:ttl('c'))\n"
                     "fails('not found', d:ttl('x')) fails('not found', d:expire('x', 1))\n"
                     "d:incr('n', 1, 0, 3)");
    lua_test_advance(&t, 1);
    lua_test_run(&t, "gives(9.0, d:ttl('a')) gives(nil, d:get('c')) gives(2.0, d:ttl('n'))\n"
                     "gives(true, d:expire('a')) gives(true, d:expire('b', 5))");
    lua_test_advance(&t, 100);
    lua_test_run(&t, "gives(1, d:get('a')) gives(nil, d:get('b')) gives(nil, d:get('n'))");
    lua_test_end(&t);
}

static void test_limiters(void **state)
{
    (void)state;
    static const char helper[] =
        "function limit(r, ok, remaining, reset, retry_after)\n"
        "  if r.ok ~= ok or r.remaining ~= remaining or math.abs(r.reset - reset) > 1e-6 or\n"
        "     math.abs(r.retry_after - retry_after) > 1e-6 then\n"
        "    error(('%s %s %s %s'):format(r.ok, r.remaining, r.reset, r.retry_after), 2)\n"
        "  end\n"
        "  assert(math.type(r.remaining) == 'integer')\n"
        "end\n"
        "d = mg.shared('d')";
    struct lua_test t;
    lua_test_start(&t, &env);
    lua_test_run(&t, helper);
    lua_test_run(&t, "limit(d:take('t', 1, 2), true, 1, 1, 0)\n"
                     "limit(d:take('t', 1, 2), true, 0, 2, 0)\n"
                     "limit(d:take('t', 1, 2), false, 0, 2, 1)\n"
                     "limit(d:take('t', 1, 2, 0), true, 0, 2, 0)");
    lua_test_run(&t, "limit(d:window('w', 3, 60, 2), true, 1, 60, 0)\n"
                     "limit(d:window('w', 3, 60, 2), false, 1, 60, 60)\n"
                     "limit(d:window('w', 3, 60), true, 0, 60, 0)");
    lua_test_run(&t, "limit(d:acquire('a', 1), true, 0, 0, 0)\n"
                     "limit(d:acquire('a', 1), false, 0, 0, 0)\n"
                     "gives(true, d:release('a')) fails('not found', d:release('a'))\n"
                     "limit(d:acquire('a', 1), true, 0, 0, 0) d:release('a')");
    lua_test_advance(&t, 60);
    lua_test_run(&t, "limit(d:take('t', 1, 2), true, 1, 1, 0)\n"
                     "limit(d:window('w', 3, 60), true, 2, 60, 0)");
    lua_test_run(&t, "d:set('v', 1) code('type', d:take('v', 1, 1))\n"
                     "code('type', d:get('t'))\n"
                     "code('type', d:window('t', 1, 1))\n"
                     "gives(true, d:delete('t')) limit(d:take('t', 1, 2), true, 1, 1, 0)");
    lua_test_end(&t);
}

static void test_wrong_use(void **state)
{
    (void)state;
    static const char *const code[] = {
        "d = mg.shared('d')",
        "raises(\"bad argument #1 to 'get' (string expected, got nil)\", function() d:get(nil) "
        "end)",
        "raises(\"bad argument #1 to 'get' (string expected, got number)\","
        " function() d:get(7) end)",
        "raises(\"bad argument #2 to 'set' (string, number or boolean expected, got table)\","
        " function() d:set('k', {}) end)",
        "raises('got nil', d.set, d, 'k', nil)",
        "raises('expected a finite number', d.set, d, 'k', 0/0)",
        "raises('expected a number above 0', d.set, d, 'k', 1, 0)",
        "raises('expected a number above 0', d.set, d, 'k', 1, -1)",
        "raises('expected a number above 0', d.set, d, 'k', 1, 0/0)",
        "raises('number expected, got string', d.set, d, 'k', 1, '5')",
        "gives(true, d:set('k', 1, math.huge))",
        "raises('number expected, got string', d.incr, d, 'k', 'x')",
        "raises('value expected', d.cas, d, 'k', 1)",
        "raises('number expected, got no value', d.take, d, 'k', 1)",
        "raises('out of range', d.take, d, 'k2', 0, 1)",
        "raises('out of range', d.take, d, 'k2', 1, -1)",
        "raises('out of range', d.take, d, 'k2', 1, 1, -1)",
        "raises('out of range', d.window, d, 'k2', 1, 0)",
        "raises('no integer representation', d.acquire, d, 'k2', 1.5)",
        "raises('moongate.Dictionary expected, got table', d.get, {}, 'k')",
        "gives('moongate.Dictionary', getmetatable(d))",
        "for _, name in ipairs{'', 'a b', 'a/b', 'a\\0', ('x'):rep(129)} do\n"
        "  raises(\"expected letters, digits, '_', '-' and '.'\", mg.shared, name)\n"
        "end",
        "raises('string expected, got no value', mg.shared)",
        "raises(\"mg.shared: 'tiny': \", mg.shared, 'tiny')",
    };
    lua_test_run_each(&env, code, COUNT(code));
}

static void find_d(void *arg, struct mg_str name, const struct mg_dict_stats *stats)
{
    if (mg_str_eq(name, MG_STR("d")))
        assert_in_range(stats->limit_bytes, (size_t)900 << 10, (size_t)1 << 20);
    else if (mg_str_eq(name, MG_STR("big")))
        assert_in_range(stats->limit_bytes, (size_t)3 << 20, (size_t)4 << 20);
    ++*(int *)arg;
}

static void test_handles(void **state)
{
    (void)state;
    struct lua_test t;
    int count = 0;
    lua_test_start(&t, &env);
    lua_test_run(&t, "d = mg.shared('d') assert(d == mg.shared('d')) big = mg.shared('big')");
    mg_dicts_each(t.dicts, find_d, &count);
    assert_int_equal(count, 2);

    char context[] = "";
    lua_test_in_task(&t, context);
    lua_test_run(&t, "assert(mg.shared('d') == d)\n"
                     "raises(\"dictionary 'new' is not open: call mg.shared in new\", mg.shared, "
                     "'new')");
    lua_test_in_task(&t, NULL);
    lua_test_end(&t);
}

/* Two states of one process, as two workers are. */
static void test_is_shared(void **state)
{
    (void)state;
    struct lua_test a, b;
    lua_test_start(&a, &env);
    lua_test_start(&b, &env);
    mg_lib_set_env(b.L, &(struct mg_lib_env){.dicts = a.dicts});
    lua_test_run(&a, "mg.shared('d'):set('k', 'from a')");
    lua_test_run(&b, "gives('from a', mg.shared('d'):get('k')) mg.shared('d'):set('k', 'from b')");
    lua_test_run(&a, "gives('from b', mg.shared('d'):get('k'))");
    lua_test_end(&b);
    lua_test_end(&a);
}

static void test_without_dictionaries(void **state)
{
    (void)state;
    struct lua_test t;
    lua_test_init(&t);
    lua_test_open(t.L);
    lua_test_run(&t, "raises('there are no shared dictionaries here', mg.shared, 'd')");
    lua_test_end(&t);
}

/* A finalizer may meet a dictionary that is already closed. */
static void test_use_while_closing(void **state)
{
    (void)state;
    static const char *const code[] = {
        "local d = mg.shared('d')\n"
        "keep = setmetatable({}, {__gc = function() pcall(d.get, d, 'k') end})",
        "local keep = setmetatable({}, {__gc = function()\n"
        "  pcall(mg.shared, 'late') pcall(function() mg.shared('d'):set('k', 1) end)\n"
        "end})\n"
        "mg.shared('d') other = keep",
    };
    lua_test_run_each(&env, code, COUNT(code));
}

static void test_starved(void **state)
{
    (void)state;
    lua_test_run_starved(&env,
                         "local d = mg.shared('d')\n"
                         "d:set('k', ('x'):rep(5000)) d:get('k') d:get('absent') d:incr('k')\n"
                         "d:take('t', 1, 1) d:window('w', 1, 1) d:acquire('a', 1)\n"
                         "d:release('a') mg.shared('d')");
}

/* What was granted is either told or not held. */
static void test_acquire_starved(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        struct lua_test t;
        lua_test_start(&t, &env);
        lua_test_run(&t, "d = mg.shared('d')");
        assert_int_equal(luaL_loadstring(t.L, "d:acquire('a', 1)"), LUA_OK);
        lua_gc(t.L, LUA_GCCOLLECT);
        t.left = n;
        int status = lua_pcall(t.L, 0, 0, 0);
        t.left = -1;
        lua_test_run(&t, status == LUA_OK ? "gives(true, d:release('a'))"
                                          : "fails('not found', d:release('a'))");
        lua_test_end(&t);
        if (status == LUA_OK)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_limiters),
        cmocka_unit_test(test_wrong_use),
        cmocka_unit_test(test_handles),
        cmocka_unit_test(test_is_shared),
        cmocka_unit_test(test_without_dictionaries),
        cmocka_unit_test(test_use_while_closing),
        cmocka_unit_test(test_starved),
        cmocka_unit_test(test_acquire_starved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
