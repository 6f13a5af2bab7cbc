/* Names, methods, phrases, and field lists: looked up, changed, joined and copied. */
#include "http/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/test_arena.h"

static void assert_str(struct mg_str got, const char *want)
{
    if (!mg_str_eq(got, mg_str_c(want)))
        fail_msg("got '%.*s', want '%s'", MG_STR_ARGS(got), want);
}

/* "A: 1|B: 2" */
static void assert_fields(const struct mg_fields *fields, const char *want)
{
    char got[1024] = "";
    size_t n = 0;
    for (unsigned i = 0; i < fields->n; i++) {
        const struct mg_field *f = &fields->v[i];
        n += (size_t)snprintf(got + n, sizeof got - n, "%s%.*s: %.*s", i ? "|" : "", f->name_len,
                              f->name, (int)f->value_len, f->value);
        assert_int_equal(f->id, mg_field_id(mg_str(f->name, f->name_len)));
    }
    assert_string_equal(got, want);
}

static void add_all(struct mg_fields *fields, const char *text)
{
    struct mg_str rest = mg_str_c(text), item;
    while (mg_str_split(&rest, '|', &item)) {
        size_t colon = (size_t)mg_str_find(item, ':');
        mg_fields_add(fields, &arena, mg_str(item.p, colon),
                      mg_str(item.p + colon + 2, item.n - colon - 2));
    }
}

static void names_are_known_in_any_case(void **state)
{
    (void)state;
    for (int id = MG_FIELD_OTHER + 1; id < MG_FIELD_COUNT; id++) {
        struct mg_str usual = mg_field_name(id);
        char *text = malloc(usual.n); /* exact, so that reading beyond is seen */
        assert_true(mg_is_token(usual));
        assert_int_equal(mg_field_id(usual), id);
        for (int form = 0; form < 3; form++) {
            for (size_t i = 0; i < usual.n; i++) {
                char low = mg_lower(usual.p[i]);
                bool up = form == 1 || (form == 2 && i % 2);
                text[i] = up && low >= 'a' && low <= 'z' ? (char)(low - 32) : low;
            }
            assert_int_equal(mg_field_id(mg_str(text, usual.n)), id);
        }
        free(text);
    }
    assert_str(mg_field_name(MG_FIELD_OTHER), "");
}

/* Every other byte at every place of every name makes another name: so bytes that differ from a
 * letter or '-' only in the bit that tells case, do too. */
static void near_misses_are_not_known(void **state)
{
    (void)state;
    for (int id = MG_FIELD_OTHER + 1; id < MG_FIELD_COUNT; id++) {
        struct mg_str usual = mg_field_name(id);
        char text[32];
        memcpy(text, usual.p, usual.n);
        for (size_t i = 0; i < usual.n; i++) {
            for (int c = 0; c < 256; c++) {
                text[i] = (char)c;
                bool same = mg_str_ieq(mg_str(text, usual.n), usual);
                assert_true((mg_field_id(mg_str(text, usual.n)) == (unsigned)id) == same);
            }
            text[i] = usual.p[i];
        }
        assert_int_not_equal(mg_field_id(mg_str(text, usual.n - 1)), id);
        text[usual.n] = 's';
        assert_int_not_equal(mg_field_id(mg_str(text, usual.n + 1)), id);
    }
    assert_int_equal(mg_field_id(MG_STR("")), MG_FIELD_OTHER);
    assert_int_equal(mg_field_id(MG_STR_NONE), MG_FIELD_OTHER);
    assert_int_equal(mg_field_id(MG_STR("x")), MG_FIELD_OTHER);
    assert_int_equal(mg_field_id(MG_STR("x-a-name-that-is-longer-than-any")), MG_FIELD_OTHER);
}

static void codec_and_trailer_fields(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool codec, may_trail;
    } cases[] = {
        {"Connection", true, false},
        {"Content-Length", true, false},
        {"Expect", true, false},
        {"Host", true, false},
        {"HTTP2-Settings", true, false},
        {"Keep-Alive", true, false},
        {"Proxy-Connection", true, false},
        {"TE", true, false},
        {"Transfer-Encoding", true, false},
        {"Upgrade", true, false},
        {"Authorization", false, false},
        {"Set-Cookie", false, false},
        {"Trailer", false, false},
        {"Content-Type", false, false},
        {"X-Forwarded-For", false, false},
        {"if-none-match", false, false},
        {"If-", false, true},
        {"WWW-authenticate", false, false},
        {"ETag", false, true},
        {"Digest", false, true},
        {"grpc-status", false, true},
        {"Server-Timing", false, true},
        {"Content-Digest", false, true},
        {"Accept-Ranges", false, true},
        {"X-Sum", false, true},
        {"Pragma", false, false},
        {"Accept-Language", false, false},
        {"X-HTTP-Method-Override", false, false},
        {"X-Original-URL", false, false},
        {"Sec-Fetch-Site", false, false},
        {"x_forwarded_for", false, false},
        {"Content.Type", false, false},
        {"Transfer_Encoding", false, false},
        {"proxy_authorization", false, false},
        {"If_None_Match", false, false},
        {"X_Forwarded_Server", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mg_str name = mg_str_c(cases[i].name);
        struct mg_field f = {.name = name.p, .name_len = (uint16_t)name.n, .id = mg_field_id(name)};
        if (mg_field_is_codec(f.id) != cases[i].codec ||
            mg_field_may_trail(&f) != cases[i].may_trail)
            fail_msg("%s", cases[i].name);
    }
}

static void alike(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool alike;
    } cases[] = {
        {"X-User-Id", "X-User-Id", true},
        {"X-User-Id", "x-uSER-iD", true},
        {"X-User-Id", "X_User_Id", true},
        {"X-User-Id", "x.user~id", true},
        {"X_User_Id", "X-User-Id", true},
        {"", "", true},
        {"X-User-Id", "X-User-Ix", false},
        {"X-User-Id", "X-User-Id2", false},
        {"X-User-Id", "XaUser-Id", false},
        {"XaUser-Id", "X-User-Id", false},
        {"X1User", "X-User", false},
        {"X-User-Id", "X--User-Id", false},
        {"a", "!", false},
        {"@", "`", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (mg_field_is_alike(mg_str_c(cases[i].a), mg_str_c(cases[i].b)) != cases[i].alike)
            fail_msg("'%s' and '%s'", cases[i].a, cases[i].b);
}

static void lookalikes_are_removed(void **state)
{
    (void)state;
    struct mg_fields f = {0};
    static const char *const names[] = {"x_user_id", "X-User-Id", "Host2",     "X.User.Id",
                                        "x-USER-id", "X-User",    "X_User_Id", "Cookie"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        mg_fields_add(&f, &arena, mg_str_c(names[i]), MG_STR("v"));
    assert_int_equal(mg_fields_remove_lookalikes(&f, MG_STR("X-User-Id")), 3);
    static const char *const left[] = {"X-User-Id", "Host2", "x-USER-id", "X-User", "Cookie"};
    assert_int_equal(f.n, sizeof left / sizeof *left);
    for (unsigned i = 0; i < f.n; i++)
        assert_memory_equal(f.v[i].name, left[i], f.v[i].name_len);
    assert_int_equal(mg_fields_remove_lookalikes(&f, MG_STR("Host2")), 0);
    assert_int_equal(mg_fields_remove_lookalikes(&f, MG_STR("cookie")), 0);
}

static bool trails(const struct mg_message *m, const char *name)
{
    struct mg_field f = {.name = name, .name_len = (uint16_t)strlen(name)};
    f.id = mg_field_id(mg_str_c(name));
    return mg_message_may_trail(m, &f);
}

static void what_is_settled_does_not_trail(void **state)
{
    (void)state;
    struct mg_message m, copy;
    mg_message_init(&m, &arena);
    assert_true(trails(&m, "X-User-Id") && trails(&m, "ETag"));
    mg_message_settle(&m, MG_STR("X-User-Id"));
    mg_message_settle(&m, MG_STR("etag"));
    mg_message_settle(&m, MG_STR("x_user_id")); /* is in already */
    assert_int_equal(m.settled.n, 2);
    assert_false(trails(&m, "X-User-Id") || trails(&m, "X_USER_ID") || trails(&m, "ETag"));
    assert_true(trails(&m, "X-User") && trails(&m, "X-User-Ids"));
    mg_message_copy(&copy, &arena, &m);
    assert_true(trails(&copy, "X-User-Id"));
    assert_false(trails(&copy, "Cookie"));
}

static void nothing_trails_when_too_much_is_settled(void **state)
{
    (void)state;
    struct mg_message m, copy;
    mg_message_init(&m, &arena);
    for (int i = 0; i < 128; i++)
        mg_message_settle(&m, mg_arena_printf(&arena, "x-%d", i));
    assert_true(trails(&m, "X-Sum"));
    mg_message_settle(&m, MG_STR("x-127"));
    assert_true(trails(&m, "X-Sum"));
    mg_message_settle(&m, MG_STR("x-128"));
    assert_false(trails(&m, "X-Sum"));
    assert_int_equal(m.settled.n, 128);
    mg_message_copy(&copy, &arena, &m);
    assert_true(trails(&copy, "X-Sum"));
}

static void methods(void **state)
{
    (void)state;
    static const char *const known[] = {"GET",   "HEAD",    "POST",  "PUT",    "DELETE",
                                        "PATCH", "OPTIONS", "TRACE", "CONNECT"};
    for (unsigned i = 0; i < sizeof known / sizeof *known; i++)
        assert_int_equal(mg_method_id(mg_str_c(known[i])), MG_METHOD_GET + i);
    static const char *const others[] = {"", "get", "GETT", "GE", "PURGE", "Post"};
    for (unsigned i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(mg_method_id(mg_str_c(others[i])), MG_METHOD_OTHER);
}

static void phrases(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        const char *phrase;
    } cases[] = {
        {0, ""},
        {99, ""},
        {100, "Continue"},
        {200, "OK"},
        {204, "No Content"},
        {299, ""},
        {306, ""},
        {404, "Not Found"},
        {418, ""},
        {429, "Too Many Requests"},
        {502, "Bad Gateway"},
        {511, "Network Authentication Required"},
        {512, ""},
        {599, ""},
        {65535, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_str(mg_status_phrase(cases[i].status), cases[i].phrase);
}

static void tokens_and_values(void **state)
{
    (void)state;
    const char *separators = "\"(),/:;<=>?@[\\]{} ";
    for (int c = 0; c < 256; c++) {
        char text[3] = {'a', (char)c, 'b'};
        bool token = c > 0x20 && c < 0x7f && !strchr(separators, c);
        bool value = c == '\t' || (c >= 0x20 && c != 0x7f);
        assert_int_equal(mg_is_token(mg_str(text, 3)), token);
        assert_int_equal(mg_is_field_value(mg_str(text, 3)), value);
        bool blank = c == ' ' || c == '\t';
        assert_int_equal(mg_is_field_value(mg_str(text + 1, 1)), value && !blank);
        assert_int_equal(mg_is_field_value(mg_str(text, 2)), value && !blank);
        assert_int_equal(mg_is_field_value(mg_str(text + 1, 2)), value && !blank);
    }
    assert_false(mg_is_token(MG_STR("")));
    assert_true(mg_is_field_value(MG_STR("")));
    assert_true(mg_is_field_value(MG_STR_NONE));
}

/* A bad byte is found at every place of values of every length around the block size of the scan.
 */
static void bad_bytes_are_found_everywhere(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 50; n++) {
        char *text = malloc(n);
        for (size_t at = 0; at < n; at++) {
            static const char bad[] = {'\0', '\n', '\r', 1, 0x1f, 0x7f};
            for (size_t b = 0; b < sizeof bad; b++) {
                memset(text, 'x', n);
                assert_true(mg_is_field_value(mg_str(text, n)));
                text[at] = bad[b];
                assert_false(mg_is_field_value(mg_str(text, n)));
            }
        }
        free(text);
    }
}

static void fields_are_found(void **state)
{
    (void)state;
    struct mg_fields fields = {0};
    assert_null(mg_fields_get(&fields, MG_FIELD_VIA));
    assert_null(mg_fields_find(&fields, MG_STR("X-A")));
    add_all(&fields, "X-A: 1|Via: 2|x-a: 3|VIA: 4|X-B: 5");
    struct mg_field *f = mg_fields_get(&fields, MG_FIELD_VIA);
    assert_str(mg_field_value(f), "2");
    f = mg_fields_next(&fields, f);
    assert_str(mg_field_value(f), "4");
    assert_null(mg_fields_next(&fields, f));
    f = mg_fields_find(&fields, MG_STR("X-a"));
    assert_str(mg_field_value(f), "1");
    f = mg_fields_next(&fields, f);
    assert_str(mg_field_value(f), "3");
    assert_null(mg_fields_next(&fields, f));
    assert_ptr_equal(mg_fields_find(&fields, MG_STR("via")), mg_fields_get(&fields, MG_FIELD_VIA));
    assert_null(mg_fields_find(&fields, MG_STR("X-C")));
}

static void values_are_joined(void **state)
{
    (void)state;
    struct mg_fields fields = {0};
    struct mg_str out;
    add_all(&fields, "Via: a|X-A: one|via: |Via: c, d");
    assert_true(mg_fields_joined(&fields, MG_STR("via"), &arena, &out));
    assert_str(out, "a, , c, d");
    assert_true(mg_fields_joined(&fields, MG_STR("x-a"), &arena, &out));
    assert_ptr_equal(out.p, fields.v[1].value);
    assert_int_equal(out.n, 3);
    assert_false(mg_fields_joined(&fields, MG_STR("x-b"), &arena, &out));
}

static void members_stand_among_the_fields(void **state)
{
    (void)state;
    struct mg_message m;
    struct mg_str out;
    mg_message_init(&m, &arena);
    assert_false(mg_message_field(&m, MG_STR("host"), &arena, &out));
    assert_false(mg_message_field(&m, MG_STR("content-length"), &arena, &out));
    m.authority = MG_STR("shop.example:8080");
    m.content_length = 12;
    add_all(&m.fields, "X-A: 1|x-a: 2");
    assert_true(mg_message_field(&m, MG_STR("Host"), &arena, &out));
    assert_str(out, "shop.example:8080");
    assert_true(mg_message_field(&m, MG_STR("Content-Length"), &arena, &out));
    assert_str(out, "12");
    assert_true(mg_message_field(&m, MG_STR("x-a"), &arena, &out));
    assert_str(out, "1, 2");
    assert_false(mg_message_field(&m, MG_STR("x-b"), &arena, &out));
}

static void fields_are_set_and_removed(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned removed;
        const char *after_set, *after_remove;
    } cases[] = {
        {"x-a", 2, "Via: 0|x-a: new|Via: 2|X-B: 4", "Via: 0|Via: 2|X-B: 4"},
        {"Via", 2, "Via: new|X-A: 1|X-a: 3|X-B: 4", "X-A: 1|X-a: 3|X-B: 4"},
        {"X-B", 1, "Via: 0|X-A: 1|Via: 2|X-a: 3|X-B: new", "Via: 0|X-A: 1|Via: 2|X-a: 3"},
        {"Age", 0, "Via: 0|X-A: 1|Via: 2|X-a: 3|X-B: 4|Age: new",
         "Via: 0|X-A: 1|Via: 2|X-a: 3|X-B: 4"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mg_str name = mg_str_c(cases[i].name);
        for (int by_id = 0; by_id < 2; by_id++) {
            enum mg_field_id id = mg_field_id(name);
            if (by_id && id == MG_FIELD_OTHER)
                continue;
            struct mg_fields fields = {0};
            add_all(&fields, "Via: 0|X-A: 1|Via: 2|X-a: 3|X-B: 4");
            unsigned removed =
                by_id ? mg_fields_remove_id(&fields, id) : mg_fields_remove(&fields, name);
            assert_int_equal(removed, cases[i].removed);
            assert_fields(&fields, cases[i].after_remove);

            fields = (struct mg_fields){0};
            add_all(&fields, "Via: 0|X-A: 1|Via: 2|X-a: 3|X-B: 4");
            if (by_id)
                mg_fields_set_id(&fields, &arena, id, MG_STR("new"));
            else
                mg_fields_set(&fields, &arena, name, MG_STR("new"));
            assert_fields(&fields, cases[i].after_set);
        }
    }
}

static void lists_grow(void **state)
{
    (void)state;
    struct mg_fields fields = {0};
    static char values[1000][8];
    for (int i = 0; i < 1000; i++) {
        snprintf(values[i], sizeof values[i], "%d", i);
        if (i % 2)
            mg_fields_add_id(&fields, &arena, MG_FIELD_VIA, mg_str_c(values[i]));
        else
            mg_fields_add(&fields, &arena, MG_STR("X-A"), mg_str_c(values[i]));
        mg_arena_alloc(&arena, 8); /* so that the list is not always the latest piece */
    }
    assert_int_equal(fields.n, 1000);
    for (int i = 0; i < 1000; i++) {
        assert_str(mg_field_value(&fields.v[i]), values[i]);
        assert_int_equal(fields.v[i].id, i % 2 ? MG_FIELD_VIA : MG_FIELD_OTHER);
    }
}

static void count_line(void *arg, enum mg_log_level level, struct mg_str line)
{
    (void)level;
    (void)line;
    ++*(int *)arg;
}

/* What does not fit is a bug of the caller: it is logged, and nothing is cut short. */
static void too_much_is_left_out(void **state)
{
    (void)state;
    int lines = 0;
    mg_log_set_sink(count_line, &lines);
    static char name[70000];
    memset(name, 'n', sizeof name);
    struct mg_fields fields = {0};
    mg_fields_add(&fields, &arena, mg_str(name, 65536), MG_STR("v"));
    assert_int_equal(fields.n, 0);
    assert_int_equal(lines, 1);
    mg_fields_add(&fields, &arena, mg_str(name, 65535), MG_STR("v"));
    assert_int_equal(fields.n, 1);
    assert_int_equal(fields.v[0].name_len, 65535);
    for (int i = 1; i < 65535; i++)
        mg_fields_add_id(&fields, &arena, MG_FIELD_VIA, MG_STR("v"));
    assert_int_equal(fields.n, 65535);
    assert_int_equal(lines, 1);
    mg_fields_add_id(&fields, &arena, MG_FIELD_VIA, MG_STR("w"));
    assert_int_equal(fields.n, 65535);
    assert_int_equal(lines, 2);
    mg_log_set_sink(NULL, NULL);
}

static void copies_share_nothing(void **state)
{
    (void)state;
    static char text[] = "GET http a.example /p q OK websocket X-A one";
    struct mg_message from, to;
    struct mg_arena other;
    mg_arena_init(&other, &pool);
    mg_message_init(&from, &arena);
    assert_int_equal(from.content_length, -1);
    from.method = mg_str(text, 3);
    from.method_id = MG_METHOD_GET;
    from.scheme = mg_str(text + 4, 4);
    from.authority = mg_str(text + 9, 9);
    from.path = mg_str(text + 19, 2);
    from.query = mg_str(text + 22, 0);
    from.phrase = mg_str(text + 24, 2);
    from.upgrade = mg_str(text + 27, 9);
    from.status = 204;
    from.version = 11;
    from.content_length = 5;
    from.expect_continue = from.te_trailers = true;
    mg_fields_add(&from.fields, &arena, mg_str(text + 37, 3), mg_str(text + 41, 3));
    mg_fields_add_id(&from.fields, &arena, MG_FIELD_VIA, mg_str(text + 41, 0));
    mg_message_copy(&to, &other, &from);
    memset(text, '#', sizeof text);

    assert_ptr_equal(to.arena, &other);
    assert_str(to.method, "GET");
    assert_str(to.scheme, "http");
    assert_str(to.authority, "a.example");
    assert_str(to.path, "/p");
    assert_non_null(to.query.p);
    assert_int_equal(to.query.n, 0);
    assert_str(to.phrase, "OK");
    assert_str(to.upgrade, "websocket");
    assert_int_equal(to.status, 204);
    assert_int_equal(to.version, 11);
    assert_int_equal(to.content_length, 5);
    assert_true(to.expect_continue && to.te_trailers);
    assert_fields(&to.fields, "X-A: one|Via: ");
    mg_fields_add_id(&to.fields, &other, MG_FIELD_AGE, MG_STR("1"));
    assert_fields(&to.fields, "X-A: one|Via: |Age: 1");
    assert_int_equal(from.fields.n, 2);

    struct mg_message empty, copy;
    mg_message_init(&empty, &arena);
    mg_message_copy(&copy, &other, &empty);
    assert_null(copy.query.p);
    assert_int_equal(copy.fields.n, 0);
    assert_int_equal(copy.content_length, -1);
    mg_arena_release(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_known_in_any_case),
        cmocka_unit_test(near_misses_are_not_known),
        cmocka_unit_test(codec_and_trailer_fields),
        cmocka_unit_test(alike),
        cmocka_unit_test_setup_teardown(lookalikes_are_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_settled_does_not_trail, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_trails_when_too_much_is_settled, setup, teardown),
        cmocka_unit_test(methods),
        cmocka_unit_test(phrases),
        cmocka_unit_test(tokens_and_values),
        cmocka_unit_test(bad_bytes_are_found_everywhere),
        cmocka_unit_test_setup_teardown(fields_are_found, setup, teardown),
        cmocka_unit_test_setup_teardown(values_are_joined, setup, teardown),
        cmocka_unit_test_setup_teardown(members_stand_among_the_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(fields_are_set_and_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(lists_grow, setup, teardown),
        cmocka_unit_test_setup_teardown(too_much_is_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(copies_share_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
