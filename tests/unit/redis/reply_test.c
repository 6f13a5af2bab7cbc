/* Replies, whole and cut at every byte; and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "redis/reply.h"

static const struct mg_redis_limits limits = {.reply_bytes = 100000, .items = 100};

struct scene {
    struct mg_pool pool;
    struct mg_redis_reader reader;
};

static void set_up(struct scene *s)
{
    mg_pool_init(&s->pool, 4096);
    mg_redis_reader_init(&s->reader, &s->pool, &limits);
}

static void tear_down(struct scene *s)
{
    mg_redis_reader_release(&s->reader);
    assert_int_equal(s->pool.live, 0);
    mg_pool_release(&s->pool);
}

static void describe(struct mg_buf *out, const struct mg_redis_reply *r)
{
    switch (r->type) {
    case MG_REDIS_NIL:
        mg_buf_add_c(out, "nil");
        break;
    case MG_REDIS_STRING:
        mg_buf_printf(out, "'%.*s'", MG_STR_ARGS(r->str));
        break;
    case MG_REDIS_STATUS:
        mg_buf_printf(out, "+%.*s", MG_STR_ARGS(r->str));
        break;
    case MG_REDIS_ERROR:
        mg_buf_printf(out, "-%.*s", MG_STR_ARGS(r->str));
        break;
    case MG_REDIS_INTEGER:
        mg_buf_printf(out, "%lld", (long long)r->integer);
        break;
    case MG_REDIS_ARRAY:
        mg_buf_add_char(out, '[');
        for (size_t i = 0; i < r->count; i++) {
            if (i)
                mg_buf_add_char(out, ' ');
            describe(out, &r->items[i]);
        }
        mg_buf_add_char(out, ']');
        break;
    }
}

/* Reads the replies in `wire`, cut in two at `cut`; "bad" in place of what is none. */
static void read_all(const char *wire, size_t cut, char *out, size_t room)
{
    struct scene s;
    struct mg_buf text;
    struct mg_redis_reply *reply;
    size_t n = strlen(wire);
    const size_t sizes[] = {cut, n - cut};
    set_up(&s);
    mg_buf_init(&text, 4096);
    for (int i = 0, got = 1; i < 2 && got >= 0; i++) {
        mg_redis_reader_feed(&s.reader, wire + (i ? cut : 0), sizes[i]);
        while ((got = mg_redis_reader_next(&s.reader, &reply)) > 0) {
            describe(&text, reply);
            mg_buf_add_char(&text, ';');
        }
        if (got < 0)
            mg_buf_add_c(&text, "bad");
    }
    snprintf(out, room, "%.*s", (int)text.n, text.n ? text.p : "");
    mg_buf_release(&text);
    tear_down(&s);
}

static void reads_replies_however_they_are_cut(void **state)
{
    static const struct {
        const char *wire, *replies;
    } cases[] = {
        {"+OK\r\n", "+OK;"},
        {"-ERR no\r\n", "-ERR no;"},
        {":-42\r\n", "-42;"},
        {"$5\r\nhello\r\n", "'hello';"},
        {"$0\r\n\r\n", "'';"},
        {"$-1\r\n", "nil;"},
        {"*-1\r\n", "nil;"},
        {"*0\r\n", "[];"},
        {"*3\r\n:1\r\n$1\r\na\r\n*1\r\n+x\r\n", "[1 'a' [+x]];"},
        {"+a\r\n+b\r\n$-1\r\n", "+a;+b;nil;"},
        {"*2\r\n*0\r\n*-1\r\n", "[[] nil];"},
        {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:7\r\n", "[[[[[[[7]]]]]]];"},
        {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:7\r\n", "bad"}, /* too deep */
        {"*101\r\n", "bad"},
        {"*2\r\n*60\r\n", ""},
        {"+ok\r\nwhat\r\n", "+ok;bad"},
        {"%1\r\n+a\r\n+b\r\n", "bad"}, /* RESP3 was not asked for */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t cut = 0; cut <= strlen(cases[i].wire); cut++) {
            char got[256];
            read_all(cases[i].wire, cut, got, sizeof got);
            assert_string_equal(got, cases[i].replies);
        }
    }
}

/* Feeds pieces until it says that they are bad; fails when it never does. */
static const char *fault_of(const char *head, const char *piece)
{
    struct scene s;
    struct mg_redis_reply *reply;
    static char fault[128];
    int got = 0;
    set_up(&s);
    mg_redis_reader_feed(&s.reader, head, strlen(head));
    for (int i = 0; i < 100000 && got == 0; i++) {
        mg_redis_reader_feed(&s.reader, piece, strlen(piece));
        got = mg_redis_reader_next(&s.reader, &reply);
    }
    assert_int_equal(got, -1);
    assert_int_equal(mg_redis_reader_next(&s.reader, &reply), -1); /* and stays so */
    snprintf(fault, sizeof fault, "%s", s.reader.error);
    tear_down(&s);
    return fault;
}

static void has_limits(void **state)
{
    (void)state;
    assert_string_equal(fault_of("+", "aaaaaaaaaaaaaaaa"), "a line without an end");
    assert_string_equal(fault_of("*2\r\n:1\r\n-", "aaaaaaaaaaaaaaaa"), "a line without an end");
    assert_string_equal(fault_of("$1000000\r\n", "aaaaaaaaaaaaaaaa"), "the reply is too large");
    assert_string_equal(fault_of("*90\r\n", "*1\r\n*0\r\n"), "too many items");
}

static void tells_errors_by_their_word(void **state)
{
    struct mg_redis_reply error = {.type = MG_REDIS_ERROR, .str = MG_STR("NOSCRIPT none")};
    (void)state;
    assert_true(mg_redis_reply_is_error(&error, MG_STR("NOSCRIPT")));
    assert_false(mg_redis_reply_is_error(&error, MG_STR("NOSC")));
    error.type = MG_REDIS_STRING;
    assert_false(mg_redis_reply_is_error(&error, MG_STR("NOSCRIPT")));
}

static void copies(void **state)
{
    struct scene s;
    struct mg_arena arena;
    struct mg_buf text;
    struct mg_redis_reply *reply;
    const char *wire = "*2\r\n*1\r\n$1\r\na\r\n:1\r\n+next\r\n";
    (void)state;
    set_up(&s);
    mg_arena_init(&arena, &s.pool);
    mg_redis_reader_feed(&s.reader, wire, strlen(wire));
    assert_int_equal(mg_redis_reader_next(&s.reader, &reply), 1);
    reply = mg_redis_reply_copy(&arena, reply);
    struct mg_redis_reply *next;
    assert_int_equal(mg_redis_reader_next(&s.reader, &next), 1);
    mg_buf_init(&text, 100);
    describe(&text, reply);
    mg_buf_add_char(&text, 0);
    assert_string_equal(text.p, "[['a'] 1]");
    mg_buf_release(&text);
    mg_arena_release(&arena);
    tear_down(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_replies_however_they_are_cut),
        cmocka_unit_test(has_limits),
        cmocka_unit_test(tells_errors_by_their_word),
        cmocka_unit_test(copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
