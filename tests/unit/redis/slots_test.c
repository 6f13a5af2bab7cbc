/* Slots of keys and of commands, as a server has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "redis/slots.h"

static uint16_t slot(const char *key)
{
    return mg_redis_slot_of_key(mg_str_c(key));
}

/* Of a command whose words are parted by spaces. */
static int route(const char *command)
{
    const char *argv[32];
    size_t lengths[32];
    int argc = 0;
    struct mg_str rest = mg_str_c(command), word;
    while (mg_str_split(&rest, ' ', &word)) {
        argv[argc] = word.p;
        lengths[argc++] = word.n;
    }
    return mg_redis_slot_of_command(argc, argv, lengths);
}

static void the_sum_is_that_of_the_specification(void **state)
{
    (void)state;
    assert_int_equal(slot("123456789"), 0x31c3); /* which is below 16384 */
    assert_int_equal(slot("foo"), 12182);
    assert_int_equal(slot("bar"), 5061);
    assert_int_equal(slot(""), 0);
    assert_int_equal(mg_redis_slot_of_key(mg_str("\0\xff\x80", 3)),
                     mg_redis_slot_of_key(mg_str("x{\0\xff\x80}y", 7)));
}

static void what_stands_in_the_first_braces_is_the_key_unless_it_is_nothing(void **state)
{
    (void)state;
    assert_int_equal(slot("{foo}bar"), slot("foo"));
    assert_int_equal(slot("a{foo}{bar}"), slot("foo"));
    assert_int_equal(slot("a{{foo}}"), slot("{foo"));
    assert_int_not_equal(slot("{}foo"), slot("foo"));
    assert_int_not_equal(slot("{}foo"), slot(""));
    assert_int_not_equal(slot("{foo"), slot("foo"));
    assert_int_not_equal(slot("foo}"), slot("foo"));
}

static void keys_are_where_the_command_has_them(void **state)
{
    static const char *const of_foo[] = {
        "GET foo",
        "get foo",
        "SET foo bar",
        "UNHEARD.OF foo bar",
        "A-COMMAND-WITH-A-VERY-LONG-NAME foo bar",
        "DEL foo {foo}1 {foo}2",
        "MSET foo bar {foo}1 baz",
        "RENAME foo {foo}1",
        "SMOVE foo {foo}1 bar",
        "BITOP AND foo {foo}1 {foo}2",
        "OBJECT ENCODING foo",
        "MEMORY USAGE foo",
        "EVAL text 1 foo bar baz",
        "EVALSHA digest 2 foo {foo}1 bar",
        "evalsha digest 1 foo",
        "FCALL name 1 foo bar",
        "ZUNIONSTORE foo 2 {foo}1 {foo}2 WEIGHTS 1 2",
        "ZUNION 2 foo {foo}1 WITHSCORES",
        "LMPOP 1 foo LEFT COUNT 2",
        "XREAD COUNT 2 STREAMS foo {foo}1 0 0",
        "XREADGROUP GROUP g c streams foo >",
        "XINFO STREAM foo",
        "SORT foo BY bar",
    };
    (void)state;
    for (size_t i = 0; i < sizeof of_foo / sizeof *of_foo; i++)
        assert_int_equal(route(of_foo[i]), slot("foo"));
}

static void several_slots_are_told(void **state)
{
    static const char *const cross[] = {
        "MGET foo bar",        "MSET foo 1 bar 2",          "RENAME foo bar",
        "EVAL text 2 foo bar", "ZUNIONSTORE foo 1 bar",     "ZDIFF 2 foo bar",
        "BITOP NOT foo bar",   "XREAD STREAMS foo bar 0 0", "UNLINK {foo}1 {foo}2 bar",
    };
    (void)state;
    for (size_t i = 0; i < sizeof cross / sizeof *cross; i++)
        assert_int_equal(route(cross[i]), MG_REDIS_SLOT_CROSS);
}

static void some_have_no_keys_and_some_are_wrong(void **state)
{
    static const char *const any[] = {
        "PING",
        "TIME",
        "ECHO foo",
        "SCRIPT LOAD text",
        "EVAL text 0 foo",
        "EVAL text x",
        "EVAL text",
        "EVAL",
        "GET",
        "MULTI",
        "BITOP AND",
        "DEL",
        "EVAL text -1 foo",
        "XREAD COUNT 1",
        "XREAD STREAMS",
        "PUBLISH c foo",
        "ZUNION",
        "MEMORY STATS",
        "EVAL text 99999999999999999999 foo",
    };
    (void)state;
    for (size_t i = 0; i < sizeof any / sizeof *any; i++)
        assert_int_equal(route(any[i]), MG_REDIS_SLOT_ANY);
    assert_int_equal(route("EVAL text 1 foo"), slot("foo"));
    assert_int_equal(route("EVAL text 9 foo"), MG_REDIS_SLOT_ANY); /* there are not so many */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sum_is_that_of_the_specification),
        cmocka_unit_test(what_stands_in_the_first_braces_is_the_key_unless_it_is_nothing),
        cmocka_unit_test(keys_are_where_the_command_has_them),
        cmocka_unit_test(several_slots_are_told),
        cmocka_unit_test(some_have_no_keys_and_some_are_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
