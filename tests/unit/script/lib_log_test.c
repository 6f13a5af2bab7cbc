/* mg.log: what ends up in the line. */
#include "script/lua_test.h"

#include <string.h>

static char written[32768];
static enum mg_log_level written_level;

static void keep_line(void *arg, enum mg_log_level level, struct mg_str line)
{
    (void)arg;
    assert_true(line.n < sizeof written);
    memcpy(written, line.p, line.n);
    written[line.n] = '\0';
    written_level = level;
}

/* The line without its time: from the message on. */
static const char *after_time(void)
{
    const char *at = strstr(written, "\"msg\":");
    return at ? at : written;
}

static size_t request_fields(const struct mg_task *t, struct mg_log_field *out, size_t room)
{
    assert_true(room >= 2);
    out[0] = MG_LOG_C("request_id", t->context);
    out[1] = MG_LOG_C("route", "users");
    return 2;
}

static const struct mg_str redacted[] = {{"x-session", 9}};
static const struct mg_lib_env env = {.redact = {redacted, 1}};

static int set_up(void **state)
{
    (void)state;
    mg_log_configure(MG_LOG_DEBUG, MG_LOG_JSON);
    mg_log_set_sink(keep_line, NULL);
    return 0;
}

static void test_fields(void **state)
{
    (void)state;
    static const struct {
        const char *code;
        const char *line;
    } cases[] = {
        {"mg.log.info('hello')", "\"msg\":\"hello\"}\n"},
        {"mg.log.info('hello', nil)", "\"msg\":\"hello\"}\n"},
        {"mg.log.info('x', {b = 1, a = 'y', d = true, c = 1.5})",
         "\"msg\":\"x\",\"a\":\"y\",\"b\":1,\"c\":1.5,\"d\":true}\n"},
        {"mg.log.info('x', {t = setmetatable({}, {__tostring = function() return 'T' end})})",
         "\"msg\":\"x\",\"t\":\"T\"}\n"},
        {"mg.log.info('a\\n\"b', {v = 'c\\0\\r'})",
         "\"msg\":\"a\\n\\\"b\",\"v\":\"c\\u0000\\u000d\"}\n"},
        /* names cannot forge anything */
        {"mg.log.info('x', {['a\":1,\"b'] = 2})", "\"msg\":\"x\",\"a__1__b\":2}\n"},
        {"mg.log.info('x', {['a\\0b'] = 2})", "\"msg\":\"x\",\"a_b\":2}\n"},
        {"mg.log.info('x', {msg = 1, level = 2, time = 3})",
         "\"msg\":\"x\",\"level_\":2,\"msg_\":1,\"time_\":3}\n"},
    };
    struct lua_test t;
    lua_test_start(&t, &env);
    for (size_t i = 0; i < COUNT(cases); i++) {
        lua_test_run(&t, cases[i].code);
        assert_string_equal(after_time(), cases[i].line);
    }
    lua_test_end(&t);
}

static void test_request(void **state)
{
    (void)state;
    char id[] = "r-1";
    struct lua_test t;
    lua_test_start(&t, &env);
    t.script.log_fields = request_fields;
    lua_test_in_task(&t, id);
    lua_test_run(&t, "mg.log.warn('x', {a = 1, route = 'mine'})");
    assert_string_equal(after_time(), "\"msg\":\"x\",\"request_id\":\"r-1\",\"route\":\"users\","
                                      "\"a\":1,\"route_\":\"mine\"}\n");
    assert_int_equal(written_level, MG_LOG_WARN);
    lua_test_in_task(&t, NULL);
    lua_test_end(&t);
}

static void test_redaction(void **state)
{
    (void)state;
    static const char *const hidden[] = {"authorization", "Authorization",       "COOKIE",
                                         "set-cookie",    "set_cookie",          "x_api_key",
                                         "X-Api-Key",     "proxy_authorization", "X-Session",
                                         "x_session"};
    static const char *const shown[] = {"session", "cookies", "x-session-2", "authorization2",
                                        "api-key"};
    struct lua_test t;
    char code[128];
    lua_test_start(&t, &env);
    for (size_t i = 0; i < COUNT(hidden) + COUNT(shown); i++) {
        bool hides = i < COUNT(hidden);
        snprintf(code, sizeof code, "mg.log.info('x', {['%s'] = 's3cret'})",
                 hides ? hidden[i] : shown[i - COUNT(hidden)]);
        lua_test_run(&t, code);
        if (hides == (strstr(written, "s3cret") != NULL) ||
            hides != (strstr(written, "\"[redacted]\"") != NULL))
            fail_msg("%s gives %s", code, written);
    }
    lua_test_end(&t);
}

static void test_levels(void **state)
{
    (void)state;
    static const char *const names[] = {"debug", "info", "warn", "error"};
    struct lua_test t;
    lua_test_start(&t, &env);
    for (int least = MG_LOG_DEBUG; least <= MG_LOG_ERROR; least++) {
        mg_log_configure(least, MG_LOG_JSON);
        for (int level = MG_LOG_DEBUG; level <= MG_LOG_ERROR; level++) {
            written[0] = '\0';
            lua_pushstring(t.L, names[level]);
            lua_setglobal(t.L, "level");
            lua_test_run(&t, "mg.log[level]('x', {a = {}})");
            assert_int_equal(written[0] != '\0', level >= least);
            if (level >= least)
                assert_int_equal(written_level, level);
        }
    }
    lua_test_end(&t);
}

static size_t occurrences(const char *what)
{
    size_t n = 0;
    for (const char *p = written; (p = strstr(p, what)); p++)
        n++;
    return n;
}

static void test_bounds(void **state)
{
    (void)state;
    struct lua_test t;
    lua_test_start(&t, &env);

    lua_test_run(&t, "local f = {} for i = 1, 40 do f['k' .. i] = 'v' end mg.log.info('x', f)");
    assert_int_equal(occurrences(":\"v\""), 16);
    assert_non_null(strstr(written, ",\"fields_left_out\":24}\n"));

    lua_test_run(&t, "mg.log.info('x', {[('k'):rep(100)] = 'v'})");
    assert_int_equal(strspn(strstr(written, "\"k") + 1, "k"), 64);

    lua_test_run(&t, "mg.log.info('x', {a = ('v'):rep(5000)})");
    assert_int_equal(strspn(strstr(written, "\"v") + 1, "v"), 2048);

    /* not within a character: 2047 bytes and half of a two-byte one would fit */
    lua_test_run(&t, "mg.log.info('x', {a = 'v' .. ('\\u{fc}'):rep(3000)})");
    assert_non_null(strstr(written, "\xc3\xbc\"}\n"));

    /* the line stays whole whatever is in it */
    lua_test_run(&t, "local f = {} for i = 1, 16 do f['k' .. i] = ('\\1'):rep(5000) end\n"
                     "mg.log.error(('\\1'):rep(5000), f)");
    assert_int_equal(occurrences("\"k"), 16);
    assert_non_null(strstr(written, "\"}\n"));
    assert_true(strlen(written) < 16384);
    lua_test_end(&t);
}

static void test_wrong_use(void **state)
{
    (void)state;
    static const char *const code[] = {
        "raises('string expected, got no value', mg.log.info)",
        "raises('string expected, got table', mg.log.info, {})",
        "raises('table expected, got string', mg.log.info, 'x', 'y')",
        "raises('field names are strings, got number', mg.log.info, 'x', {'y'})",
        "bad = setmetatable({}, {__tostring = function() error('boom') end})",
        "raises('boom', mg.log.info, 'x', {a = bad})",
    };
    lua_test_run_each(&env, code, COUNT(code));
}

static void test_starved(void **state)
{
    (void)state;
    lua_test_run_starved(&env, "mg.log.info('x', {a = {}, b = print, c = 'x', d = 1})");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_fields, set_up),
        cmocka_unit_test_setup(test_request, set_up),
        cmocka_unit_test_setup(test_redaction, set_up),
        cmocka_unit_test_setup(test_levels, set_up),
        cmocka_unit_test_setup(test_bounds, set_up),
        cmocka_unit_test_setup(test_wrong_use, set_up),
        cmocka_unit_test_setup(test_starved, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
