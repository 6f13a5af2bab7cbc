/* Paths, queries, URLs and authorities. */
#include "base/uri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

struct fixture {
    struct mg_pool pool;
    struct mg_arena arena;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    mg_pool_init(&f->pool, 4096);
    mg_arena_init(&f->arena, &f->pool);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    mg_arena_release(&f->arena);
    mg_pool_release(&f->pool);
    free(f);
    return 0;
}

static void assert_str(struct mg_str s, const char *text)
{
    assert_int_equal(s.n, strlen(text));
    if (s.n)
        assert_memory_equal(s.p, text, s.n);
}

static void paths_are_normalised(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *raw, *out;
    } CASES[] = {
        {"", "/"},
        {"/", "/"},
        {"/a/b", "/a/b"},
        {"/a/b/", "/a/b/"},
        {"/a.b/.c/..d/e.", "/a.b/.c/..d/e."},
        {"/...", "/..."},
        {"//", "/"},
        {"///a////b//", "/a/b/"},
        {"/.", "/"},
        {"/./", "/"},
        {"/a/./b", "/a/b"},
        {"/a/.", "/a/"},
        {"/a/..", "/"},
        {"/a/../", "/"},
        {"/a/b/..", "/a/"},
        {"/a/b/../..", "/"},
        {"/a/b/../../c", "/c"},
        {"/a//../b", "/b"},
        {"/a/%2e/b", "/a/b"},
        {"/a/%2E%2e/b", "/b"},
        {"/a/.%2e/b", "/b"},
        {"/a/%2e./b", "/b"},
        {"/a/..%2f..", "/a/..%2F.."},
        {"/a%2fb%2F", "/a%2Fb%2F"},
        {"/%2f%2f", "/%2F%2F"},
        {"/%41%7a%7E", "/Az~"},
        {"/a%20b", "/a b"},
        {"/caf%C3%A9", "/caf\xc3\xa9"},
        {"/%3f%23", "/?#"},
        {"/%252e%252e", "/%252e%252e"},
        {"/%25", "/%25"},
        {"/%2525%2F", "/%2525%2F"},
        {"/a;x=1/..;/b", "/a;x=1/..;/b"},
        {"/a|b\\c{d}\"<>^`", "/a|b\\c{d}\"<>^`"},
        {"/%0a", "/\n"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_str out;
        assert_int_equal(mg_uri_path_normalize(&f->arena, mg_str_c(CASES[i].raw), &out), MG_URI_OK);
        assert_str(out, CASES[i].out);
    }
}

static void bad_paths_are_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        struct mg_str raw;
        enum mg_uri_rc rc;
    } CASES[] = {
        {MG_STR("a"), MG_URI_NOT_ABSOLUTE},      {MG_STR("*"), MG_URI_NOT_ABSOLUTE},
        {MG_STR("%2fa"), MG_URI_NOT_ABSOLUTE},   {MG_STR("/.."), MG_URI_ABOVE_ROOT},
        {MG_STR("/a/../.."), MG_URI_ABOVE_ROOT}, {MG_STR("/a/../../a"), MG_URI_ABOVE_ROOT},
        {MG_STR("//.."), MG_URI_ABOVE_ROOT},     {MG_STR("/%2e%2e/a"), MG_URI_ABOVE_ROOT},
        {MG_STR("/%"), MG_URI_BAD_ESCAPE},       {MG_STR("/%4"), MG_URI_BAD_ESCAPE},
        {MG_STR("/%4/1"), MG_URI_BAD_ESCAPE},    {MG_STR("/%g1"), MG_URI_BAD_ESCAPE},
        {MG_STR("/%1g"), MG_URI_BAD_ESCAPE},     {MG_STR("/%u002f"), MG_URI_BAD_ESCAPE},
        {MG_STR("/a%00"), MG_URI_NUL},           {MG_STR("/a\0b"), MG_URI_BAD_BYTE},
        {MG_STR("/a b"), MG_URI_BAD_BYTE},       {MG_STR("/a\tb"), MG_URI_BAD_BYTE},
        {MG_STR("/a\x7f"), MG_URI_BAD_BYTE},     {MG_STR("/caf\xc3\xa9"), MG_URI_BAD_BYTE},
        {MG_STR("/a\xff"), MG_URI_BAD_BYTE},     {MG_STR("/a?b"), MG_URI_BAD_BYTE},
        {MG_STR("/a#b"), MG_URI_BAD_BYTE},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_str out = MG_STR("kept");
        assert_int_equal(mg_uri_path_normalize(&f->arena, CASES[i].raw, &out), CASES[i].rc);
        assert_str(out, "kept");
        assert_true(strlen(mg_uri_rc_text(CASES[i].rc)) > 8);
    }
}

static void plain_paths_are_not_copied(void **state)
{
    struct fixture *f = *state;
    struct mg_str raw = MG_STR("/api/v1.2/users/~me/a..b;x=1,2"), out;
    assert_int_equal(mg_uri_path_normalize(&f->arena, raw, &out), MG_URI_OK);
    assert_ptr_equal(out.p, raw.p);
    assert_int_equal(f->arena.bytes, 0);
}

/* A long path of dot segments takes time in proportion to its length. */
static void long_paths_are_normalised(void **state)
{
    struct fixture *f = *state;
    size_t n = 1 << 20;
    char *text = malloc(n);
    for (size_t i = 0; i < n; i += 8)
        memcpy(text + i, i < n / 2 ? "/abcdef/" : "/..//.//", 8);
    struct mg_str out;
    assert_int_equal(mg_uri_path_normalize(&f->arena, mg_str(text, n), &out), MG_URI_OK);
    assert_str(out, "/");
    free(text);
}

static void text_is_encoded(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        enum mg_uri_part part;
        const char *out;
    } CASES[] = {
        {"", MG_URI_SEGMENT, ""},
        {"aZ09-._~!$&'()*+,;=:@", MG_URI_SEGMENT, "aZ09-._~!$&'()*+,;=:@"},
        {"a/b c%2F", MG_URI_SEGMENT, "a%2Fb%20c%252F"},
        {"\r\n\xc3\xa9\x7f", MG_URI_SEGMENT, "%0D%0A%C3%A9%7F"},
        {"/a b/c%2Fd%25?e#", MG_URI_PATH, "/a%20b/c%2Fd%25%3Fe%23"},
        {"%2", MG_URI_PATH, "%252"},
        {"%41", MG_URI_PATH, "%2541"},
        {"a=b&c+d e/f~", MG_URI_QUERY, "a%3Db%26c%2Bd%20e%2Ff~"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_str text = mg_str_c(CASES[i].text);
        struct mg_buf buf;
        mg_buf_init(&buf, 100);
        mg_uri_encode(&buf, text, CASES[i].part);
        assert_str(mg_buf_str(&buf), CASES[i].out);
        mg_buf_release(&buf);
        assert_str(mg_uri_encode_arena(&f->arena, text, CASES[i].part), CASES[i].out);
    }

    struct mg_str plain = MG_STR("plain");
    assert_ptr_equal(mg_uri_encode_arena(&f->arena, plain, MG_URI_QUERY).p, plain.p);
    struct mg_buf small;
    mg_buf_init(&small, 4);
    mg_uri_encode(&small, MG_STR("  "), MG_URI_QUERY);
    assert_true(small.failed);
    mg_buf_release(&small);
}

static void text_is_decoded(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        bool plus;
        const char *out; /* NULL: a bad escape */
    } CASES[] = {
        {"", true, ""},          {"abc", true, "abc"},     {"a+b", false, "a+b"},
        {"a+b", true, "a b"},    {"a%2Bb+", true, "a+b "}, {"%2f%25%32", false, "/%2"},
        {"%2525", false, "%25"}, {"%", false, NULL},       {"a%2", false, NULL},
        {"%zz", true, NULL},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_str out = MG_STR("kept");
        enum mg_uri_rc rc = mg_uri_decode(&f->arena, mg_str_c(CASES[i].text), CASES[i].plus, &out);
        assert_int_equal(rc, CASES[i].out ? MG_URI_OK : MG_URI_BAD_ESCAPE);
        assert_str(out, CASES[i].out ? CASES[i].out : "kept");
    }
    struct mg_str out;
    assert_int_equal(mg_uri_decode(&f->arena, MG_STR("a%00b"), false, &out), MG_URI_OK);
    assert_int_equal(out.n, 3);
    assert_memory_equal(out.p, "a\0b", 3);
}

static void queries_are_taken_apart(void **state)
{
    (void)state;
    struct mg_str rest = MG_STR("&a=1&&b=&c&=d&e=f=g%26&"), key, value;
    static const struct {
        const char *key, *value; /* value NULL: no '=' */
    } ITEMS[] = {{"a", "1"}, {"b", ""}, {"c", NULL}, {"", "d"}, {"e", "f=g%26"}};
    for (size_t i = 0; i < COUNT(ITEMS); i++) {
        assert_true(mg_uri_query_next(&rest, &key, &value));
        assert_str(key, ITEMS[i].key);
        assert_int_equal(value.p != NULL, ITEMS[i].value != NULL);
        assert_str(value, ITEMS[i].value ? ITEMS[i].value : "");
    }
    assert_false(mg_uri_query_next(&rest, &key, &value));
    assert_false(mg_uri_query_next(&rest, &key, &value));
}

static void queries_are_asked(void **state)
{
    (void)state;
    static const struct {
        const char *query, *key, *value; /* value NULL: any */
        bool has;
    } CASES[] = {
        {"a=1&b=2", "b", NULL, true},    {"a=1&b=2", "b", "2", true},
        {"a=1&b=2", "b", "1", false},    {"a=1&a=2", "a", "2", true},
        {"ab=1", "a", NULL, false},      {"a=1", "ab", NULL, false},
        {"a", "a", NULL, true},          {"a", "a", "", true},
        {"a=12", "a", "1", false},       {"a=1", "a", "12", false},
        {"%61=x%20y", "a", "x y", true}, {"a=x+y", "a", "x y", true},
        {"a=%zz", "a", "%zz", false},    {"a=%zz", "a", NULL, true},
        {"", "a", NULL, false},          {"", "", NULL, false},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_str value = mg_str_c(CASES[i].value);
        assert_int_equal(mg_uri_query_has(mg_str_c(CASES[i].query), mg_str_c(CASES[i].key),
                                          CASES[i].value ? &value : NULL),
                         CASES[i].has);
    }
}

static void authorities_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        unsigned port;
        bool v6;
    } CASES[] = {
        {"example.com", "example.com", 0, false},
        {"example.com:80", "example.com", 80, false},
        {"example.com:65535", "example.com", 65535, false},
        {"a_b-c~!$&'()*+,;=%41", "a_b-c~!$&'()*+,;=%41", 0, false},
        {"10.0.0.1:08080", "10.0.0.1", 8080, false},
        {"[::1]", "::1", 0, true},
        {"[2001:db8::A]:443", "2001:db8::A", 443, true},
        {"[::ffff:1.2.3.4]:1", "::ffff:1.2.3.4", 1, true},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_uri_authority a;
        assert_int_equal(mg_uri_parse_authority(mg_str_c(CASES[i].text), false, &a), MG_URI_OK);
        assert_str(a.host, CASES[i].host);
        assert_int_equal(a.port, CASES[i].port);
        assert_int_equal(a.v6, CASES[i].v6);
    }
}

static void bad_authorities_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum mg_uri_rc rc;
    } CASES[] = {
        {"", MG_URI_BAD_HOST},
        {":80", MG_URI_BAD_HOST},
        {"a b", MG_URI_BAD_HOST},
        {"a/b", MG_URI_BAD_HOST},
        {"a\\b", MG_URI_BAD_HOST},
        {"a%4", MG_URI_BAD_HOST},
        {"a%00", MG_URI_BAD_HOST},
        {"\xc3\xa9", MG_URI_BAD_HOST},
        {"a:", MG_URI_BAD_PORT},
        {"a:0", MG_URI_BAD_PORT},
        {"a:00000", MG_URI_BAD_PORT},
        {"a:65536", MG_URI_BAD_PORT},
        {"a:99999999999999999999", MG_URI_BAD_PORT},
        {"a:-1", MG_URI_BAD_PORT},
        {"a:+1", MG_URI_BAD_PORT},
        {"a:1x", MG_URI_BAD_PORT},
        {"a:1:2", MG_URI_BAD_PORT},
        {"::1", MG_URI_BAD_HOST},
        {"u@a", MG_URI_USERINFO},
        {"u:p@a:80", MG_URI_USERINFO},
        {"[::1", MG_URI_BAD_HOST},
        {"[]", MG_URI_BAD_HOST},
        {"[1.2.3.4]", MG_URI_BAD_HOST},
        {"[::1%25eth0]", MG_URI_BAD_HOST},
        {"[v1.x]", MG_URI_BAD_HOST},
        {"[::1]x", MG_URI_BAD_HOST},
        {"[::1]80", MG_URI_BAD_HOST},
        {"[::1]:", MG_URI_BAD_PORT},
    };
    struct mg_uri_authority a;
    for (size_t i = 0; i < COUNT(CASES); i++)
        assert_int_equal(mg_uri_parse_authority(mg_str_c(CASES[i].text), false, &a), CASES[i].rc);

    assert_int_equal(mg_uri_parse_authority(MG_STR_NONE, true, &a), MG_URI_OK);
    assert_int_equal(a.host.n, 0);
    assert_int_equal(mg_uri_parse_authority(MG_STR(":80"), true, &a), MG_URI_OK);
    assert_int_equal(a.port, 80);

    char text[257];
    memset(text, 'a', sizeof text);
    assert_int_equal(mg_uri_parse_authority(mg_str(text, 255), false, &a), MG_URI_OK);
    assert_int_equal(mg_uri_parse_authority(mg_str(text, 256), false, &a), MG_URI_BAD_HOST);
}

static void urls_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool https;
        const char *authority;
        unsigned port;
        const char *path, *query; /* query NULL: none */
    } CASES[] = {
        {"http://a", false, "a", 80, "/", NULL},
        {"https://a", true, "a", 443, "/", NULL},
        {"HTTPS://A.b:8443/x/%zz", true, "A.b:8443", 8443, "/x/%zz", NULL},
        {"http://a/x?y=1?z", false, "a", 80, "/x", "y=1?z"},
        {"http://a?q", false, "a", 80, "/", "q"},
        {"http://a/?", false, "a", 80, "/", ""},
        {"http://[::1]:81/", false, "[::1]:81", 81, "/", NULL},
        {"http://a//b@c", false, "a", 80, "//b@c", NULL},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_uri u;
        assert_int_equal(mg_uri_parse(mg_str_c(CASES[i].text), &u), MG_URI_OK);
        assert_int_equal(u.https, CASES[i].https);
        assert_str(u.authority, CASES[i].authority);
        assert_int_equal(u.at.port, CASES[i].port);
        assert_str(u.path, CASES[i].path);
        assert_int_equal(u.query.p != NULL, CASES[i].query != NULL);
        assert_str(u.query, CASES[i].query ? CASES[i].query : "");
    }
}

static void bad_urls_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum mg_uri_rc rc;
    } CASES[] = {
        {"", MG_URI_BAD_SCHEME},
        {"a", MG_URI_BAD_SCHEME},
        {"/a", MG_URI_BAD_SCHEME},
        {"//a", MG_URI_BAD_SCHEME},
        {"ftp://a", MG_URI_BAD_SCHEME},
        {"http:/a", MG_URI_BAD_SCHEME},
        {"http://", MG_URI_BAD_HOST},
        {"http:///x", MG_URI_BAD_HOST},
        {"http://:80/", MG_URI_BAD_HOST},
        {"http://u@a/", MG_URI_USERINFO},
        {"http://a\\@b/", MG_URI_USERINFO},
        {"http://a:x/", MG_URI_BAD_PORT},
        {"http://a/b c", MG_URI_BAD_BYTE},
        {"http://a/b\r\nc", MG_URI_BAD_BYTE},
        {"http://a/b#c", MG_URI_BAD_BYTE},
        {"http://a#c", MG_URI_BAD_BYTE},
        {"http://a/?b#c", MG_URI_BAD_BYTE},
        {"http://a/?b c", MG_URI_BAD_BYTE},
        {"http://a/\xc3\xa9", MG_URI_BAD_BYTE},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_uri u;
        assert_int_equal(mg_uri_parse(mg_str_c(CASES[i].text), &u), CASES[i].rc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(paths_are_normalised, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_paths_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(plain_paths_are_not_copied, setup, teardown),
        cmocka_unit_test_setup_teardown(long_paths_are_normalised, setup, teardown),
        cmocka_unit_test_setup_teardown(text_is_encoded, setup, teardown),
        cmocka_unit_test_setup_teardown(text_is_decoded, setup, teardown),
        cmocka_unit_test(queries_are_taken_apart),
        cmocka_unit_test(queries_are_asked),
        cmocka_unit_test(authorities_are_read),
        cmocka_unit_test(bad_authorities_are_refused),
        cmocka_unit_test(urls_are_read),
        cmocka_unit_test(bad_urls_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
