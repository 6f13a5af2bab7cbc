/*
 * Edits of JSON. Whatever the text is and wherever it is cut, all ways of cutting give the same;
 * what is JSON stays JSON, and what is none comes out as it is where no rule had met it. The first
 * two bytes choose the rules and the cut.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/json_edit.h"

#define RULE(...)                                                                                  \
    &(const struct mg_json_rule)                                                                   \
    {                                                                                              \
        .capture = MG_JSON_EDIT_NO_SLOT, __VA_ARGS__                                               \
    }

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void edit(const struct mg_json_rules *rules, struct mg_str text, size_t size,
                 struct mg_buf *out)
{
    struct mg_json_edit e;
    mg_buf_reset(out);
    mg_json_edit_init(&e, rules, NULL);
    for (size_t at = 0; at < text.n;) {
        size_t n = size < text.n - at ? size : text.n - at;
        at += mg_json_edit_feed(&e, mg_str(text.p + at, n), SIZE_MAX, out);
    }
    mg_json_edit_end(&e, out);
    mg_json_edit_release(&e);
}

static bool is_json(struct mg_str text)
{
    struct mg_json_rules rules = {.root = RULE(.drop = false)};
    struct mg_buf out;
    mg_buf_init(&out, 64 << 20);
    check(mg_json_rules_finish(&rules));
    bool ok = mg_json_edit_text(&rules, NULL, text, &out);
    mg_buf_release(&out);
    return ok;
}

/* Fields "a" renamed to "b" and cast, "c" dropped, "d" set, "e" a list of the same. */
static void run(struct mg_str text, uint8_t choice, size_t size)
{
    static const struct mg_json_value seven = {.text = MG_STR("7")};
    struct mg_json_rule a = {.capture = MG_JSON_EDIT_NO_SLOT, .name = MG_STR("\"b\"")};
    a.cast = (enum mg_json_cast)(choice & 3) + 1;
    struct mg_json_rule c = {.capture = MG_JSON_EDIT_NO_SLOT, .drop = true, .index = 1};
    struct mg_json_rule d = {.capture = MG_JSON_EDIT_NO_SLOT, .name = MG_STR("\"d\""), .index = 2};
    d.set = &seven;
    d.if_absent = choice & 4;
    const struct mg_json_rule *const added[] = {&d};
    const struct mg_json_field inner[] = {
        {MG_STR("a"), &a}, {MG_STR("b"), &a}, {MG_STR("c"), &c}, {MG_STR("d"), &d}};
    struct mg_json_rule e = {.capture = MG_JSON_EDIT_NO_SLOT, .index = 3};
    e.items = RULE(.fields = inner, .field_count = 4, .rule_count = 3, .added = added,
                   .added_count = 1, .only = choice & 8);
    const struct mg_json_field fields[] = {
        inner[0], inner[1], inner[2], inner[3], {MG_STR("e"), &e}};
    struct mg_json_rules rules = {.to_case = (enum mg_json_case)(choice >> 4 & 3)};
    rules.root =
        RULE(.fields = fields, .field_count = 5, .rule_count = 4, .added = added, .added_count = 1);
    check(mg_json_rules_finish(&rules) && !rules.whole);

    struct mg_buf whole, cut;
    mg_buf_init(&whole, 64 << 20);
    mg_buf_init(&cut, 64 << 20);
    bool ok = mg_json_edit_text(&rules, NULL, text, &whole);
    edit(&rules, text, size, &cut);
    check(mg_str_eq(mg_buf_str(&whole), mg_buf_str(&cut)));
    check(ok == is_json(text));
    if (ok)
        check(is_json(mg_buf_str(&whole)));
    mg_buf_release(&whole);
    mg_buf_release(&cut);
}

/* Texts that the strict reader takes, the lexer takes too. */
static void compare_with_reader(struct mg_str text)
{
    const struct mg_json_options options = {.depth_limit = MG_JSON_DEPTH_MAX,
                                            .big_numbers_as_float = true};
    struct mg_json_reader r;
    struct mg_buf scratch;
    enum mg_json_token token;
    mg_buf_init(&scratch, 64 << 20);
    mg_json_reader_init(&r, text, &options, &scratch);
    do
        token = mg_json_next(&r);
    while (token > MG_JSON_END);
    if (token == MG_JSON_END)
        check(is_json(text));
    mg_buf_release(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2)
        return 0;
    struct mg_str text = mg_str((const char *)data + 2, n - 2);
    run(text, data[0], (size_t)data[1] % 64 + 1);
    compare_with_reader(text);
    return 0;
}
