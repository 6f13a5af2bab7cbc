/* Claims as header values: which of them can be, and how they look. */
#include "gateway/claim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])
#define ITEMS_MAX 4
#define PATH_MAX_PARTS 4

static struct mg_pool chunks;
static struct mg_arena arena;

static int setup(void **state)
{
    (void)state;
    mg_pool_init(&chunks, 4096);
    mg_arena_init(&arena, &chunks);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mg_arena_release(&arena);
    mg_pool_release(&chunks);
    return 0;
}

/* --- values --- */

static const struct {
    enum mg_claim_kind kind;
    const char *items[ITEMS_MAX];
    const char *text; /* NULL: it cannot stand in a header */
} values[] = {
    {MG_CLAIM_NONE, {0}, ""},
    {MG_CLAIM_OTHER, {0}, NULL},
    {MG_CLAIM_ONE, {""}, ""},
    {MG_CLAIM_ONE, {"ann"}, "ann"},
    {MG_CLAIM_ONE, {"J\xc3\xb6rg"}, "J\xc3\xb6rg"},
    {MG_CLAIM_ONE, {"Doe, Jane"}, "Doe, Jane"},
    {MG_CLAIM_ONE, {"a \t b"}, "a \t b"},
    {MG_CLAIM_ONE, {" ann"}, NULL},
    {MG_CLAIM_ONE, {"ann "}, NULL},
    {MG_CLAIM_ONE, {"\tann"}, NULL},
    {MG_CLAIM_ONE, {"ann\t"}, NULL},
    {MG_CLAIM_LIST, {0}, ""},
    {MG_CLAIM_LIST, {"a"}, "a"},
    {MG_CLAIM_LIST, {"a", "b c", "3"}, "a, b c, 3"},
    {MG_CLAIM_LIST, {"a", "b,c"}, NULL},
    {MG_CLAIM_LIST, {"a", ""}, NULL},
    {MG_CLAIM_LIST, {"", "a"}, NULL},
    {MG_CLAIM_LIST, {"a", " b"}, NULL},
    {MG_CLAIM_LIST, {"a\r\nX-Admin: 1", "b"}, NULL},
};

static struct mg_claim make(enum mg_claim_kind kind, const char *const *texts, struct mg_str *items)
{
    struct mg_claim claim = {.kind = kind, .items = items};
    while (claim.count < ITEMS_MAX && texts[claim.count]) {
        items[claim.count] = mg_str_c(texts[claim.count]);
        claim.count++;
    }
    return claim;
}

static void are_told_as_they_are_or_not_at_all(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(values); i++) {
        struct mg_str items[ITEMS_MAX], text;
        struct mg_claim claim = make(values[i].kind, values[i].items, items);
        bool can = mg_claim_text(&claim, &arena, &text);
        if (can != (values[i].text != NULL) || (can && !mg_str_eq(text, mg_str_c(values[i].text))))
            fail_msg("value %zu: %d '%.*s'", i, can, MG_STR_ARGS(text));
    }
}

/* Wherever it stands: the bytes that could end a header, or hide in one. */
static void controls_never_pass(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        bool control = (byte < 0x20 && byte != '\t') || byte == 0x7f;
        for (size_t at = 0; at < 40; at++) {
            char bytes[40];
            struct mg_str item = mg_str(bytes, sizeof bytes), text;
            memset(bytes, 'x', sizeof bytes);
            bytes[at] = (char)byte;
            struct mg_claim one = {MG_CLAIM_ONE, &item, 1}, list = {MG_CLAIM_LIST, &item, 1};
            bool end = at == 0 || at == sizeof bytes - 1;
            bool fine = !control && !(end && (byte == ' ' || byte == '\t'));
            assert_int_equal(mg_claim_text(&one, &arena, &text), fine);
            assert_int_equal(mg_claim_text(&list, &arena, &text), fine && byte != ',');
        }
    }
}

/* --- names --- */

static const struct {
    const char *text, *path[PATH_MAX_PARTS];
} names[] = {
    {"sub", {"sub"}},     {"a.b.c", {"a", "b", "c"}},
    {"a..b", {"a", "b"}}, {".a.b", {"a", "b"}},
    {"a..", {"a"}},       {".", {0}},
};

static void names_have_parts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        struct mg_claim_name name = mg_claim_name(mg_str_c(names[i].text), &arena);
        size_t count = 0;
        for (; count < PATH_MAX_PARTS && names[i].path[count]; count++)
            assert_true(count < name.path_count &&
                        mg_str_eq(name.path[count], mg_str_c(names[i].path[count])));
        assert_int_equal(name.path_count, count);
        assert_true(mg_str_eq(name.text, mg_str_c(names[i].text)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(are_told_as_they_are_or_not_at_all),
        cmocka_unit_test(controls_never_pass),
        cmocka_unit_test(names_have_parts),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
