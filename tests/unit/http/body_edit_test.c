/* Bodies that are edited while they stream: waiting, ends good and bad, and trailers. */
#include "http/body_edit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/list.h"

/* A source that the test feeds. */
struct source {
    struct mg_body base;
    struct mg_str piece;
    enum mg_body_state then; /* when the piece is used up */
    int cancelled;
};

struct scene {
    struct mg_pool pool;
    struct mg_arena arena;
    struct mg_json_rule old, root;
    struct mg_json_field field;
    struct mg_json_rules rules;
    struct source source;
    struct mg_body *body;
    int told;
};

static struct source *source_of(struct mg_body *b)
{
    return MG_CONTAINER_OF(b, struct source, base);
}

static enum mg_body_state source_peek(struct mg_body *b, struct mg_str *bytes)
{
    *bytes = source_of(b)->piece;
    return bytes->n ? MG_BODY_BYTES : source_of(b)->then;
}

static void source_consume(struct mg_body *b, size_t n)
{
    struct source *s = source_of(b);
    assert_true(n <= s->piece.n);
    s->piece = mg_str(s->piece.p + n, s->piece.n - n);
}

static void source_cancel(struct mg_body *b)
{
    source_of(b)->cancelled++;
}

static const struct mg_body_ops source_ops = {
    .peek = source_peek, .consume = source_consume, .cancel = source_cancel};

static void on_ready(void *reader)
{
    ((struct scene *)reader)->told++;
}

/* "old" becomes "new". */
static void set_up(struct scene *s)
{
    *s = (struct scene){0};
    mg_pool_init(&s->pool, 4096);
    mg_arena_init(&s->arena, &s->pool);
    s->old = (struct mg_json_rule){.name = MG_STR("\"new\""), .capture = MG_JSON_EDIT_NO_SLOT};
    s->field = (struct mg_json_field){MG_STR("old"), &s->old};
    s->root = (struct mg_json_rule){
        .fields = &s->field, .field_count = 1, .rule_count = 1, .capture = MG_JSON_EDIT_NO_SLOT};
    s->rules.root = &s->root;
    assert_true(mg_json_rules_finish(&s->rules));
    s->source = (struct source){.base = {.ops = &source_ops, .length = 20}, .then = MG_BODY_WAIT};
    s->body = mg_body_edit(&s->arena, &s->source.base, &s->rules, NULL);
    s->body->on_ready = on_ready;
    s->body->reader = s;
}

static void tear_down(struct scene *s)
{
    mg_arena_release(&s->arena);
    assert_int_equal(s->pool.live, 0);
    mg_pool_release(&s->pool);
}

static void feed(struct scene *s, const char *text, enum mg_body_state then)
{
    s->source.piece = mg_str_c(text);
    s->source.then = then;
    mg_body_ready(&s->source.base);
}

/* Reads in small bites until the body gives no bytes. */
static enum mg_body_state drain(struct scene *s, struct mg_buf *out)
{
    struct mg_str bytes;
    enum mg_body_state state;
    mg_buf_reset(out);
    while ((state = mg_body_peek(s->body, &bytes)) == MG_BODY_BYTES) {
        size_t n = bytes.n < 3 ? bytes.n : 3;
        mg_buf_add(out, bytes.p, n);
        mg_body_consume(s->body, n);
    }
    mg_buf_add_char(out, 0);
    return state;
}

static void gives_what_became_of_each_piece(void **state)
{
    struct scene s;
    struct mg_buf out;
    struct mg_fields trailers;
    (void)state;
    set_up(&s);
    mg_buf_init(&out, 1000);
    assert_int_equal(s.body->length, -1);
    assert_int_equal(drain(&s, &out), MG_BODY_WAIT);
    feed(&s, "{\"old\":[1,2", MG_BODY_WAIT);
    assert_int_equal(s.told, 1);
    assert_int_equal(drain(&s, &out), MG_BODY_WAIT);
    assert_string_equal(out.p, "{\"new\":[1,2");
    feed(&s, "3],\"o", MG_BODY_WAIT);
    assert_int_equal(drain(&s, &out), MG_BODY_WAIT);
    assert_string_equal(out.p, "3]");
    s.source.base.trailers = &trailers;
    feed(&s, "ld\":5,\"x\":6}", MG_BODY_END);
    assert_int_equal(drain(&s, &out), MG_BODY_END);
    assert_string_equal(out.p, ",\"x\":6}");
    assert_ptr_equal(s.body->trailers, &trailers);
    mg_buf_release(&out);
    tear_down(&s);
}

static void gives_what_is_no_json(void **state)
{
    struct scene s;
    struct mg_buf out;
    (void)state;
    set_up(&s);
    mg_buf_init(&out, 1000);
    feed(&s, "{\"old\":1, \"ol", MG_BODY_END);
    assert_int_equal(drain(&s, &out), MG_BODY_END);
    assert_string_equal(out.p, "{\"new\":1, \"ol");
    mg_buf_release(&out);
    tear_down(&s);
}

static void breaks_when_its_source_does(void **state)
{
    struct scene s;
    struct mg_buf out;
    (void)state;
    set_up(&s);
    mg_buf_init(&out, 1000);
    s.source.base.reason = "upstream-reset";
    s.source.base.status = 502;
    feed(&s, "[1,", MG_BODY_BROKEN);
    assert_int_equal(drain(&s, &out), MG_BODY_BROKEN);
    assert_string_equal(out.p, "[1,");
    assert_string_equal(s.body->reason, "upstream-reset");
    assert_int_equal(s.body->status, 502);
    mg_body_cancel(s.body);
    assert_int_equal(s.source.cancelled, 1);
    mg_buf_release(&out);
    tear_down(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_what_became_of_each_piece),
        cmocka_unit_test(gives_what_is_no_json),
        cmocka_unit_test(breaks_when_its_source_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
