/* The editor of JSON: what each rule does, and that it does the same wherever its input is cut. */
#include "base/json_edit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])
#define RULE(...)                                                                                  \
    &(const struct mg_json_rule)                                                                   \
    {                                                                                              \
        .capture = MG_JSON_EDIT_NO_SLOT, __VA_ARGS__                                               \
    }
#define FIELDS(...)                                                                                \
    .fields = (const struct mg_json_field[]){__VA_ARGS__},                                         \
    .field_count = COUNT(((const struct mg_json_field[]){__VA_ARGS__})),                           \
    .rule_count = COUNT(((const struct mg_json_field[]){__VA_ARGS__}))
#define ADDED(...)                                                                                 \
    .added = (const struct mg_json_rule *const[]){__VA_ARGS__},                                    \
    .added_count = COUNT(((const struct mg_json_rule *const[]){__VA_ARGS__}))
#define TEXT(json)                                                                                 \
    &(const struct mg_json_value)                                                                  \
    {                                                                                              \
        .text = MG_STR(json)                                                                       \
    }

struct example {
    const char *in, *out; /* out NULL: the text is no JSON, and comes out as it is */
};

static void edit_in_pieces(const struct mg_json_rules *rules, struct mg_str text, size_t first,
                           size_t size, struct mg_buf *out)
{
    struct mg_json_edit e;
    mg_buf_reset(out);
    mg_json_edit_init(&e, rules, NULL);
    for (size_t at = 0, piece = first; at < text.n; at += piece, piece = size) {
        piece = piece < text.n - at ? piece : text.n - at;
        if (!piece)
            continue;
        /* A copy without a byte to spare, so that a sanitizer sees a read past the end. */
        char *copy = malloc(piece);
        assert_non_null(copy);
        memcpy(copy, text.p + at, piece);
        assert_int_equal(mg_json_edit_feed(&e, mg_str(copy, piece), SIZE_MAX, out), piece);
        free(copy);
    }
    mg_json_edit_end(&e, out);
    mg_json_edit_release(&e);
}

static void check_one(const struct mg_json_rules *rules, const struct example *x)
{
    struct mg_str text = mg_str_c(x->in);
    struct mg_buf out, whole;
    mg_buf_init(&out, 1 << 20);
    mg_buf_init(&whole, 1 << 20);
    assert_int_equal(mg_json_edit_text(rules, NULL, text, &whole), x->out != NULL);
    if (x->out && !mg_str_eq(mg_buf_str(&whole), mg_str_c(x->out)))
        fail_msg("in:   %s\nwant: %s\ngot:  %.*s", x->in, x->out, MG_STR_ARGS(mg_buf_str(&whole)));
    for (size_t cut = 0; cut <= text.n; cut++) {
        edit_in_pieces(rules, text, cut, SIZE_MAX, &out);
        assert_true(mg_str_eq(mg_buf_str(&out), mg_buf_str(&whole)));
    }
    edit_in_pieces(rules, text, 1, 1, &out);
    assert_true(mg_str_eq(mg_buf_str(&out), mg_buf_str(&whole)));
    mg_buf_release(&out);
    mg_buf_release(&whole);
}

static void check(const struct mg_json_rule *root, enum mg_json_case to_case,
                  const struct example *examples, size_t n)
{
    struct mg_json_rules rules = {.root = root, .to_case = to_case};
    assert_true(mg_json_rules_finish(&rules));
    assert_false(rules.whole);
    for (size_t i = 0; i < n; i++)
        check_one(&rules, &examples[i]);
}

#define CHECK(root, to_case, ...)                                                                  \
    check(root, to_case, (const struct example[]){__VA_ARGS__},                                    \
          COUNT(((const struct example[]){__VA_ARGS__})))

static void test_touches_nothing_else(void **state)
{
    (void)state;
    const struct mg_json_rule *root = RULE(.field_count = 0);
    static const char *const texts[] = {
        "{}",
        " [ 1 , -0.50e+10, 123456789012345678901234567890, 1e999 ]\n",
        "{\"b\":1,\"a\":[true,false,null,\"\\u00e4\\ud800\\n\"],\"b\":2}",
        "\"\xc3\xa4\xf0\x9f\x98\x80\"",
        "12",
        "[[[[{}]]],{\"\":{}}]",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct mg_json_rules rules = {.root = root};
        assert_true(mg_json_rules_finish(&rules));
        check_one(&rules, &(struct example){texts[i], texts[i]});
    }
}

static void test_no_json_passes(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        " ",
        "{",
        "[1",
        "{\"b\"",
        "{\"b\":1",
        "[1,]",
        "{\"b\":}",
        "01",
        "1.",
        "-",
        "1e",
        "[1 2]",
        "{\"b\":1,}",
        "tru",
        "trux",
        "\"a",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\x01\"",
        "\"\xff\"",
        "\"\xc3\"",
        "\"\xed\xa0\x80\"",
        "{} {}",
        "[}",
        "{\"b\":1]",
        "nul",
        "\xef\xbb\xbf{}",
        "{b:1}",
        "{\"b\" 1}",
        "hello",
        "{\"b\":[\"x",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct mg_json_rules rules = {.root = RULE(.field_count = 0)};
        struct mg_str text = mg_str_c(texts[i]);
        struct mg_buf out;
        mg_buf_init(&out, 1 << 20);
        assert_true(mg_json_rules_finish(&rules));
        check_one(&rules, &(struct example){texts[i], NULL});
        edit_in_pieces(&rules, text, 1, 1, &out);
        assert_true(mg_str_eq(mg_buf_str(&out), text));
        mg_buf_release(&out);
    }
}

static void test_renames(void **state)
{
    (void)state;
    const struct mg_json_rule *a = RULE(.name = MG_STR("\"b\""));
    CHECK(RULE(FIELDS({MG_STR("a"), a})), MG_JSON_CASE_NONE, {"{\"a\":1}", "{\"b\":1}"},
          {" { \"x\" : {\"a\":2} , \"a\"\t: [ 1 ] } ", " { \"x\" : {\"a\":2} , \"b\"\t: [ 1 ] } "},
          {"{\"\\u0061\":1}", "{\"b\":1}"}, {"[{\"a\":1}]", "[{\"a\":1}]"}, {"{}", "{}"},
          {"{\"a\":1,\"a\":2}", "{\"b\":1}"}, {"{\"aa\":1,\"\":2}", "{\"aa\":1,\"\":2}"},
          {"{\"\\ud800\":1,\"a\":\"\\\"\"}", "{\"\\ud800\":1,\"b\":\"\\\"\"}"});
}

static void test_writes_a_name_once(void **state)
{
    (void)state;
    struct mg_json_rule a = {.capture = MG_JSON_EDIT_NO_SLOT, .name = MG_STR("\"b\"")};
    const struct mg_json_rule root = {
        .capture = MG_JSON_EDIT_NO_SLOT,
        .fields = (const struct mg_json_field[]){{MG_STR("a"), &a}, {MG_STR("b"), &a}},
        .field_count = 2,
        .rule_count = 1,
    };
    CHECK(&root, MG_JSON_CASE_NONE, {"{\"a\":1,\"b\":2}", "{\"b\":1}"},
          {"{\"b\":2,\"a\":1,\"c\":3}", "{\"b\":2,\"c\":3}"});
}

static void test_drops(void **state)
{
    (void)state;
    const struct mg_json_rule *gone = RULE(.drop = true);
    CHECK(RULE(FIELDS({MG_STR("a"), gone})), MG_JSON_CASE_NONE, {"{\"a\":1}", "{}"},
          {"{ \"a\" : {\"x\":[\"}\"]} , \"b\":2 }", "{ \"b\":2 }"},
          {"{\"b\":2, \"a\":1}", "{\"b\":2}"},
          {"{\"a\":1,\"b\":2,\"a\":3,\"c\":4}", "{\"b\":2,\"c\":4}"}, {"{\n  \"a\": 1\n}", "{\n}"},
          {"{\"b\":{\"a\":1}}", "{\"b\":{\"a\":1}}"});
    CHECK(RULE(.only = true, FIELDS({MG_STR("a"), RULE(.drop = false)})), MG_JSON_CASE_NONE,
          {"{\"b\":{\"a\":1},\"a\":1,\"c\":2}", "{\"a\":1}"}, {"{\"b\":1}", "{}"},
          {"[{\"b\":1}]", "[{\"b\":1}]"});
}

static void test_sets(void **state)
{
    (void)state;
    const struct mg_json_rule *a = RULE(.name = MG_STR("\"a\""), .set = TEXT("7"));
    CHECK(RULE(FIELDS({MG_STR("a"), a}), ADDED(a)), MG_JSON_CASE_NONE, {"{}", "{\"a\":7}"},
          {"{\"a\":{\"x\":1},\"b\":2}", "{\"a\":7,\"b\":2}"},
          {"{ \"b\":2 }", "{ \"b\":2,\"a\":7 }"}, {"[]", "[]"}, {"{\"a\":1,\"a\":2}", "{\"a\":7}"});
    const struct mg_json_rule *b =
        RULE(.name = MG_STR("\"a\""), .set = TEXT("7"), .if_absent = true);
    CHECK(RULE(FIELDS({MG_STR("a"), b}), ADDED(b)), MG_JSON_CASE_NONE, {"{}", "{\"a\":7}"},
          {"{\"a\":null}", "{\"a\":null}"});
}

static void test_makes_objects_around(void **state)
{
    (void)state;
    const struct mg_json_rule *b = RULE(.name = MG_STR("\"b\""), .set = TEXT("[1]"));
    const struct mg_json_rule *a =
        RULE(.name = MG_STR("\"a\""), FIELDS({MG_STR("b"), b}), ADDED(b));
    CHECK(RULE(FIELDS({MG_STR("a"), a}), ADDED(a)), MG_JSON_CASE_NONE,
          {"{}", "{\"a\":{\"b\":[1]}}"}, {"{\"a\":{}}", "{\"a\":{\"b\":[1]}}"},
          {"{\"a\":5}", "{\"a\":5}"}, {"{\"a\":{\"c\":1}}", "{\"a\":{\"c\":1,\"b\":[1]}}"});
}

static void test_maps_arrays(void **state)
{
    (void)state;
    const struct mg_json_rule *qty = RULE(.name = MG_STR("\"quantity\""));
    const struct mg_json_rule *id = RULE(.name = MG_STR("\"productId\""), .index = 1);
    const struct mg_json_rule *item =
        RULE(FIELDS({MG_STR("qty"), qty}, {MG_STR("product_id"), id}));
    const struct mg_json_rule *items = RULE(.name = MG_STR("\"orderItems\""), .items = item);
    CHECK(RULE(FIELDS({MG_STR("items"), items})), MG_JSON_CASE_NONE,
          {"{\"items\":[{\"product_id\":1,\"qty\":2},{\"qty\":3,\"x\":{\"qty\":1}},5]}",
           "{\"orderItems\":[{\"productId\":1,\"quantity\":2},{\"quantity\":3,\"x\":{\"qty\":1}},5]"
           "}"},
          {"{\"items\":[]}", "{\"orderItems\":[]}"},
          {"{\"items\":{\"qty\":1}}", "{\"orderItems\":{\"qty\":1}}"},
          {"{\"items\":[[{\"qty\":1}],{\"qty\":1}]}",
           "{\"orderItems\":[[{\"qty\":1}],{\"quantity\":1}]}"});
}

static void test_casts(void **state)
{
    (void)state;
    static const struct {
        enum mg_json_cast cast;
        const char *in, *out;
    } rows[] = {
        {MG_JSON_CAST_NUMBER, "\"12.50\"", "12.50"},
        {MG_JSON_CAST_NUMBER, "\"9007199254740993\"", "9007199254740993"},
        {MG_JSON_CAST_NUMBER, "\"007\"", "\"007\""},
        {MG_JSON_CAST_NUMBER, "\"\"", "\"\""},
        {MG_JSON_CAST_NUMBER, "true", "1"},
        {MG_JSON_CAST_NUMBER, "null", "null"},
        {MG_JSON_CAST_NUMBER, "[\"1\"]", "[\"1\"]"},
        {MG_JSON_CAST_NUMBER, "5", "5"},
        {MG_JSON_CAST_INTEGER, "\"12\"", "12"},
        {MG_JSON_CAST_INTEGER, "12.00", "12"},
        {MG_JSON_CAST_INTEGER, "12.5", "12.5"},
        {MG_JSON_CAST_INTEGER, "1e2", "1e2"},
        {MG_JSON_CAST_INTEGER, "false", "0"},
        {MG_JSON_CAST_STRING, "12345678901234567890.10", "\"12345678901234567890.10\""},
        {MG_JSON_CAST_STRING, "true", "\"true\""},
        {MG_JSON_CAST_STRING, "null", "null"},
        {MG_JSON_CAST_STRING, "\"\\\"\"", "\"\\\"\""},
        {MG_JSON_CAST_BOOLEAN, "\"true\"", "true"},
        {MG_JSON_CAST_BOOLEAN, "0", "false"},
        {MG_JSON_CAST_BOOLEAN, "\"1\"", "true"},
        {MG_JSON_CAST_BOOLEAN, "2", "2"},
        {MG_JSON_CAST_BOOLEAN, "\"yes\"", "\"yes\""},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct mg_json_rule *a = RULE(.cast = rows[i].cast);
        const struct mg_json_rule *root = RULE(FIELDS({MG_STR("a"), RULE(.items = a)}));
        char in[128], out[128];
        snprintf(in, sizeof in, "{\"a\":[%s,%s ]}", rows[i].in, rows[i].in);
        snprintf(out, sizeof out, "{\"a\":[%s,%s ]}", rows[i].out, rows[i].out);
        check(root, MG_JSON_CASE_NONE, &(struct example){in, out}, 1);
    }
}

static void test_cases(void **state)
{
    (void)state;
    static const char camel[] =
        "{\"userName\":[{\"orderID\":1}],\"_id\":2,\"a\\nB\":3,\"parseURLNow\":\"xY\"}";
    CHECK(RULE(.drop = false), MG_JSON_CASE_SNAKE,
          {camel,
           "{\"user_name\":[{\"order_id\":1}],\"_id\":2,\"a\\nB\":3,\"parse_url_now\":\"xY\"}"});
    CHECK(RULE(.drop = false), MG_JSON_CASE_KEBAB,
          {"{\"user_name\":1,\"orderId\":2}", "{\"user-name\":1,\"order-id\":2}"});
    CHECK(RULE(.drop = false), MG_JSON_CASE_CAMEL,
          {"{\"user_name\":{\"first-name\":1},\"__x_y_\":2,\"_\":3,\"A\":4}",
           "{\"userName\":{\"firstName\":1},\"__xY_\":2,\"_\":3,\"a\":4}"});
    const struct mg_json_rule *a = RULE(.name = MG_STR("\"X_Y\""));
    CHECK(RULE(FIELDS({MG_STR("a_b"), a})), MG_JSON_CASE_CAMEL,
          {"{\"a_b\":{\"c_d\":1},\"e_f\":2}", "{\"X_Y\":{\"cD\":1},\"eF\":2}"});
}

/* Names, gaps and scalars that are longer than what is held. */
static void test_long(void **state)
{
    (void)state;
    const struct mg_json_rule *a = RULE(.name = MG_STR("\"b\""), .cast = MG_JSON_CAST_NUMBER);
    struct mg_json_rules rules = {.root = RULE(FIELDS({MG_STR("a"), a}))};
    struct mg_buf in, out;
    static char x[9001], space[1501];
    memset(x, 'x', 9000);
    memset(space, ' ', 1500);
    assert_true(mg_json_rules_finish(&rules));
    mg_buf_init(&in, 1 << 20);
    mg_buf_init(&out, 1 << 20);
    mg_buf_printf(&in, "{\"%s\":1,%s\"a\"%s:%s\"%s\"%s}", x, space, space, space, x, space);
    for (size_t size = 1; size < 3000; size = size * 3 + 1) {
        edit_in_pieces(&rules, mg_buf_str(&in), 1, size, &out);
        struct mg_json_reader r;
        struct mg_buf scratch;
        mg_buf_init(&scratch, 1 << 20);
        mg_json_reader_init(&r, mg_buf_str(&out), NULL, &scratch);
        assert_int_equal(mg_json_next(&r), MG_JSON_OBJECT);
        assert_int_equal(mg_json_next(&r), MG_JSON_KEY);
        assert_true(mg_str_eq(r.text, mg_str(x, 9000)));
        assert_int_equal(mg_json_next(&r), MG_JSON_INTEGER);
        assert_int_equal(mg_json_next(&r), MG_JSON_KEY);
        assert_true(mg_str_eq(r.text, MG_STR("b")));
        assert_int_equal(mg_json_next(&r), MG_JSON_STRING);
        assert_true(mg_str_eq(r.text, mg_str(x, 9000)));
        assert_int_equal(mg_json_next(&r), MG_JSON_OBJECT_END);
        assert_int_equal(mg_json_next(&r), MG_JSON_END);
        mg_buf_release(&scratch);
    }
    mg_buf_release(&in);
    mg_buf_release(&out);
}

/* What is past the limit waits for the next call: no text makes much of little. */
static void test_soft_limit(void **state)
{
    (void)state;
    static char big[1001];
    memset(big, '1', 1000);
    const struct mg_json_value value = {.text = mg_str(big, 1000)};
    const struct mg_json_rule *a = RULE(.name = MG_STR("\"a\""), .set = &value);
    struct mg_json_rules rules = {.root = RULE(.items = RULE(FIELDS({MG_STR("a"), a}), ADDED(a)))};
    static const char text[] = "[{},{},{},{},{},{},{},{}]";
    struct mg_json_edit e;
    struct mg_buf out;
    size_t at = 0, calls = 0, total = 0;
    assert_true(mg_json_rules_finish(&rules));
    mg_buf_init(&out, 1 << 20);
    mg_json_edit_init(&e, &rules, NULL);
    while (at < sizeof text - 1) {
        at += mg_json_edit_feed(&e, mg_str(text + at, sizeof text - 1 - at), 500, &out);
        assert_true(out.n < 1600);
        total += out.n;
        calls++;
        mg_buf_reset(&out);
    }
    assert_true(calls >= 8);
    assert_int_equal(total, sizeof text - 1 + 8 * 1004);
    mg_json_edit_end(&e, &out);
    mg_json_edit_release(&e);
    mg_buf_release(&out);
}

static void test_looks_ahead(void **state)
{
    (void)state;
    /* items[].product.id -> items[].id, and the customer's name for each. */
    const struct mg_json_rule *id = &(const struct mg_json_rule){.capture = 0};
    const struct mg_json_rule *product = RULE(FIELDS({MG_STR("id"), id}));
    const struct mg_json_rule *name = &(const struct mg_json_rule){.capture = 1};
    const struct mg_json_value take = {.parts = &(const struct mg_json_part){.slot = 0},
                                       .part_count = 1};
    const struct mg_json_part parts[] = {{.text = MG_STR("for "), .slot = MG_JSON_EDIT_NO_SLOT},
                                         {.slot = 1}};
    const struct mg_json_value text = {.parts = parts, .part_count = 2};
    const struct mg_json_rule *new_id = RULE(.name = MG_STR("\"id\""), .set = &take);
    struct mg_json_rule *label = &(struct mg_json_rule){
        .capture = MG_JSON_EDIT_NO_SLOT, .name = MG_STR("\"label\""), .set = &text, .index = 1};
    const struct mg_json_rule *gone =
        &(const struct mg_json_rule){.capture = MG_JSON_EDIT_NO_SLOT, .drop = true, .index = 2};
    const uint16_t ids[] = {0}, names[] = {1};
    const struct mg_json_rule *item =
        RULE(FIELDS({MG_STR("id"), new_id}, {MG_STR("label"), label}, {MG_STR("product"), gone}),
             ADDED(new_id, label), .look = RULE(FIELDS({MG_STR("product"), product})),
             .look_slots = ids, .look_slot_count = 1);
    const struct mg_json_rule *items = RULE(.items = item);
    struct mg_json_rules rules = {.root = RULE(FIELDS({MG_STR("items"), items}),
                                               .look = RULE(FIELDS({MG_STR("name"), name})),
                                               .look_slots = names, .look_slot_count = 1),
                                  .slot_count = 2};
    struct mg_str values[2] = {{0}};
    struct mg_buf out;
    assert_true(mg_json_rules_finish(&rules));
    assert_true(rules.whole);
    mg_buf_init(&out, 1 << 20);
    assert_true(mg_json_edit_text(&rules, values,
                                  MG_STR("{\"items\":[{\"product\":{\"id\":\"a\\n\",\"x\":1}},{"
                                         "\"id\":5},{\"product\":{\"id\":[1]}}],"
                                         "\"name\":\"Ann\"}"),
                                  &out));
    mg_buf_add_char(&out, 0);
    assert_string_equal(
        out.p,
        "{\"items\":[{\"id\":\"a\\n\",\"label\":\"for Ann\"},{\"id\":5,\"label\":\"for Ann\"},"
        "{\"id\":[1],\"label\":\"for Ann\"}],\"name\":\"Ann\"}");
    mg_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_touches_nothing_else),
        cmocka_unit_test(test_no_json_passes),
        cmocka_unit_test(test_renames),
        cmocka_unit_test(test_writes_a_name_once),
        cmocka_unit_test(test_drops),
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_makes_objects_around),
        cmocka_unit_test(test_maps_arrays),
        cmocka_unit_test(test_casts),
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_soft_limit),
        cmocka_unit_test(test_looks_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
