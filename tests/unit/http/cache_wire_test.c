/* Stored responses between gateways: what was written is read, and nothing else is. */
#include "http/cache_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"

static struct mg_pool pool;
static struct mg_arena arena;
static struct mg_buf out;

static int setup(void **state)
{
    (void)state;
    mg_pool_init(&pool, 4096);
    mg_arena_init(&arena, &pool);
    mg_buf_init(&out, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mg_buf_release(&out);
    mg_arena_release(&arena);
    int leaked = pool.live != 0;
    mg_pool_release(&pool);
    return leaked;
}

static struct mg_cache_wire response(void)
{
    struct mg_cache_wire w = {
        .record = {.stored_at = 1767225600,
                   .initial_age = 3,
                   .lifetime = 60,
                   .stale_while_revalidate = 30,
                   .stale_if_error = 3600,
                   .flags = MG_CACHE_CAN_VALIDATE},
        .known = UINT64_C(1767225600123456),
        .primary = mg_str("http\0example.com\0/a", 19),
        .variant = MG_STR("user\nfoo"),
        .tags = MG_STR("home news "),
        .status = 200,
        .version = 11,
        .phrase = MG_STR("OK"),
        .body = MG_STR("the body\0of it"),
    };
    mg_fields_add(&w.fields, &arena, MG_STR("ETag"), MG_STR("\"v1\""));
    mg_fields_add(&w.fields, &arena, MG_STR("X-Empty"), MG_STR(""));
    return w;
}

static struct mg_str written(const struct mg_cache_wire *w)
{
    mg_buf_reset(&out);
    mg_cache_wire_begin(&out, w, w->body.n);
    mg_buf_add_str(&out, w->body);
    assert_true(mg_cache_wire_seal(&out));
    return mg_buf_str(&out);
}

static bool reads(struct mg_str bytes)
{
    struct mg_cache_wire got;
    return mg_cache_wire_read(bytes, &arena, &got);
}

static void assert_str(struct mg_str got, struct mg_str want)
{
    assert_int_equal(got.n, want.n);
    if (want.n)
        assert_memory_equal(got.p, want.p, want.n);
}

static void test_comes_back(void **state)
{
    (void)state;
    struct mg_cache_wire w = response(), got;
    assert_true(mg_cache_wire_read(written(&w), &arena, &got));
    assert_memory_equal(&got.record, &w.record, sizeof w.record);
    assert_true(got.known == w.known);
    assert_int_equal(got.status, 200);
    assert_int_equal(got.version, 11);
    assert_str(got.primary, w.primary);
    assert_str(got.variant, w.variant);
    assert_str(got.names, MG_STR_NONE);
    assert_str(got.tags, w.tags);
    assert_str(got.phrase, w.phrase);
    assert_str(got.body, w.body);
    assert_int_equal(got.fields.n, 2);
    assert_int_equal(got.fields.v[0].id, MG_FIELD_ETAG);
    assert_str(mg_field_value(&got.fields.v[0]), MG_STR("\"v1\""));
    assert_str(mg_field_value(mg_fields_find(&got.fields, MG_STR("x-empty"))), MG_STR_NONE);
}

static void test_note(void **state)
{
    (void)state;
    struct mg_cache_wire got, w = {.record = {.stored_at = 7},
                                   .primary = MG_STR("http"),
                                   .names = MG_STR("accept-language,x-plan")};
    assert_true(mg_cache_wire_read(written(&w), &arena, &got));
    assert_str(got.names, w.names);
    w.body = MG_STR("x"); /* a note has none */
    assert_false(reads(written(&w)));
}

/* Every shorter piece of it, and every byte that is another one. */
static void test_damage(void **state)
{
    (void)state;
    struct mg_cache_wire w = response();
    struct mg_str all = written(&w);
    char copy[512];
    assert_true(all.n < sizeof copy);
    for (size_t n = 0; n < all.n; n++)
        assert_false(reads(mg_str(all.p, n)));
    for (size_t i = 0; i < all.n; i++) {
        memcpy(copy, all.p, all.n);
        copy[i] ^= 0x20;
        assert_false(reads(mg_str(copy, all.n)));
    }
    memcpy(copy, all.p, all.n);
    copy[all.n] = 'x';
    assert_false(reads(mg_str(copy, all.n + 1)));
}

/* Whole and well-formed, but nothing that a gateway would write. */
static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        const char *field, *value;
        unsigned status, version;
        const char *phrase, *tags, *names;
        int64_t stored_at;
        uint32_t lifetime, flags;
        bool no_key;
    } cases[] = {
        {"a good one first", "X", "y", 200, 11, "OK", "t", "", 1, 1, 0, false},
        {"a field that ends the head", "X", "y\r\n\r\nz", 200, 11, "OK", "t", "", 1, 1, 0, false},
        {"a NUL in a value", "X", NULL, 200, 11, "OK", "t", "", 1, 1, 0, false},
        {"blanks around a value", "X", " y", 200, 11, "OK", "t", "", 1, 1, 0, false},
        {"no name", "", "y", 200, 11, "OK", "t", "", 1, 1, 0, false},
        {"a name that is no token", "X Y", "y", 200, 11, "OK", "t", "", 1, 1, 0, false},
        {"framing", "Transfer-Encoding", "chunked", 200, 11, "OK", "t", "", 1, 1, 0, false},
        {"a length of its own", "Content-Length", "0", 200, 11, "OK", "t", "", 1, 1, 0, false},
        {"an interim status", "X", "y", 101, 11, "OK", "t", "", 1, 1, 0, false},
        {"a part that does not say which", "X", "y", 206, 11, "OK", "t", "", 1, 1, 0, false},
        {"a 304", "X", "y", 304, 11, "OK", "t", "", 1, 1, 0, false},
        {"no status", "X", "y", 600, 11, "OK", "t", "", 1, 1, 0, false},
        {"no version", "X", "y", 200, 99, "OK", "t", "", 1, 1, 0, false},
        {"a phrase of two lines", "X", "y", 200, 11, "O\nK", "t", "", 1, 1, 0, false},
        {"tags of two lines", "X", "y", 200, 11, "OK", "t\nu", "", 1, 1, 0, false},
        {"before 1970", "X", "y", 200, 11, "OK", "t", "", -1, 1, 0, false},
        {"a lifetime beyond all", "X", "y", 200, 11, "OK", "t", "", 1, UINT32_MAX, 0, false},
        {"a flag that nobody knows", "X", "y", 200, 11, "OK", "t", "", 1, 1, 1 << 9, false},
        {"no key", "X", "y", 200, 11, "OK", "t", "", 1, 1, 0, true},
        {"a note with fields", "X", "y", 200, 11, "OK", "t", "foo", 1, 1, 0, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mg_cache_wire w = {
            .record = {.stored_at = cases[i].stored_at,
                       .lifetime = cases[i].lifetime,
                       .flags = cases[i].flags},
            .primary = cases[i].no_key ? MG_STR_NONE : MG_STR("http"),
            .names = mg_str_c(cases[i].names),
            .tags = mg_str_c(cases[i].tags),
            .status = (uint16_t)cases[i].status,
            .version = (uint8_t)cases[i].version,
            .phrase = mg_str_c(cases[i].phrase),
        };
        /* Put together by hand: lists of fields take nothing that is none. */
        struct mg_str value = cases[i].value ? mg_str_c(cases[i].value) : mg_str("a\0b", 3);
        struct mg_field f = {.name = cases[i].field,
                             .name_len = (uint16_t)strlen(cases[i].field),
                             .value = value.p,
                             .value_len = (uint32_t)value.n};
        w.fields = (struct mg_fields){.v = &f, .n = 1, .room = 1};
        if (reads(written(&w)) != (i == 0))
            fail_msg("%s", cases[i].what);
    }
}

static void test_part(void **state)
{
    (void)state;
    struct mg_cache_wire w = {.primary = MG_STR("k"), .status = 206, .version = 11};
    mg_fields_add(&w.fields, &arena, MG_STR("Content-Range"), MG_STR("bytes 4-9/10"));
    assert_true(reads(written(&w)));
    mg_fields_add(&w.fields, &arena, MG_STR("Content-Type"), MG_STR("multipart/byteranges"));
    assert_false(reads(written(&w)));
}

static void test_names_of_notes(void **state)
{
    (void)state;
    static const struct {
        const char *names;
        bool good;
    } cases[] = {{"a", true},  {"a,b", true}, {"a,", false},  {",a", false},
                 {"A", false}, {"*", true},   {"a b", false}, {"a\r\nb", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mg_cache_wire w = {.primary = MG_STR("k"), .names = mg_str_c(cases[i].names)};
        if (reads(written(&w)) != cases[i].good)
            fail_msg("'%s'", cases[i].names);
    }
}

/* Numbers that promise more than there is: nothing is allocated for them. */
static void test_lies(void **state)
{
    (void)state;
    struct mg_cache_wire w = {.primary = MG_STR("k"), .status = 200, .version = 11};
    mg_buf_reset(&out);
    mg_cache_wire_begin(&out, &w, UINT64_MAX);
    assert_true(mg_cache_wire_seal(&out));
    assert_false(reads(mg_buf_str(&out)));
    w.fields.n = 0xffff;
    w.fields.v = calloc(w.fields.n, sizeof *w.fields.v);
    struct mg_buf most;
    mg_buf_init(&most, 1 << 20);
    mg_cache_wire_begin(&most, &w, 0);
    most.n -= 6; /* one field less than there should be */
    assert_true(mg_cache_wire_seal(&most));
    assert_false(reads(mg_buf_str(&most)));
    mg_buf_release(&most);
    free(w.fields.v);
}

static void test_too_large(void **state)
{
    (void)state;
    struct mg_cache_wire w = response();
    struct mg_buf small;
    mg_buf_init(&small, 100);
    mg_cache_wire_begin(&small, &w, 0);
    assert_false(mg_cache_wire_seal(&small));
    mg_buf_release(&small);
}

static void test_stamps(void **state)
{
    (void)state;
    char a[MG_CACHE_WIRE_STAMP], b[MG_CACHE_WIRE_STAMP];
    struct mg_cache_wire w = response();
    struct mg_str stamp, all = written(&w);
    mg_cache_wire_stamp(1767225600, a);
    mg_cache_wire_stamp(1767225601, b);
    assert_true(memcmp(a, b, sizeof a) < 0);
    assert_true(mg_cache_wire_stamp_of(all, &stamp));
    assert_memory_equal(stamp.p, a, sizeof a);
    assert_false(mg_cache_wire_stamp_of(MG_STR("MGC1000000000000000"), &stamp));
    mg_cache_wire_stamp(-5, a);
    assert_memory_equal(a, "0000000000000000", sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_note, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_part, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_of_notes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_large, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stamps, setup, teardown),
    };
    return cmocka_run_group_tests_name("http/cache_wire", tests, NULL, NULL);
}
