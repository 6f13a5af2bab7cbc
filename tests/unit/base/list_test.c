/* Lists of structs that carry their own links. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/list.h"

struct item {
    char letter;
    struct mg_link link;
};

static const char *letters(struct mg_link *list)
{
    static char text[16];
    size_t n = 0;
    MG_LIST_FOREACH(it, list)
    {
        assert_true(it->next->prev == it && it->prev->next == it);
        text[n++] = MG_CONTAINER_OF(it, struct item, link)->letter;
    }
    text[n] = 0;
    return text;
}

static void items_go_where_they_are_put(void **state)
{
    struct mg_link list;
    struct item v[] = {{.letter = 'a'}, {.letter = 'b'}, {.letter = 'c'}, {.letter = 'd'}};
    (void)state;
    mg_list_init(&list);
    assert_true(mg_list_empty(&list));
    assert_string_equal(letters(&list), "");
    mg_list_push_back(&list, &v[1].link);
    assert_false(mg_list_empty(&list));
    mg_list_push_back(&list, &v[2].link);
    mg_list_push_front(&list, &v[0].link);
    mg_list_insert(&v[1].link, &v[3].link);
    assert_string_equal(letters(&list), "abdc");
}

static void items_may_be_removed(void **state)
{
    struct mg_link list;
    struct item v[] = {{.letter = 'a'}, {.letter = 'b'}, {.letter = 'c'}};
    (void)state;
    mg_list_init(&list);
    for (size_t i = 0; i < 3; i++)
        mg_list_push_back(&list, &v[i].link);
    mg_list_remove(&v[1].link);
    assert_string_equal(letters(&list), "ac");
    assert_true(mg_list_empty(&v[1].link));
    mg_list_remove(&v[1].link); /* twice does no harm */
    assert_string_equal(letters(&list), "ac");
    mg_list_remove(&v[0].link);
    mg_list_remove(&v[2].link);
    assert_true(mg_list_empty(&list));
}

static void the_body_of_a_loop_may_remove(void **state)
{
    struct mg_link list;
    struct item v[] = {{.letter = 'a'}, {.letter = 'b'}, {.letter = 'c'}, {.letter = 'd'}};
    (void)state;
    for (unsigned gone = 0; gone < 16; gone++) {
        char want[8] = "", seen[8] = "";
        size_t wanted = 0, n = 0;
        mg_list_init(&list);
        for (size_t i = 0; i < 4; i++) {
            mg_list_push_back(&list, &v[i].link);
            if (!(gone & 1u << i))
                want[wanted++] = v[i].letter;
        }
        MG_LIST_FOREACH_SAFE(it, &list)
        {
            struct item *item = MG_CONTAINER_OF(it, struct item, link);
            seen[n++] = item->letter;
            if (gone & 1u << (item - v)) {
                mg_list_remove(it);
                memset(it, 0xdb, sizeof *it);
            }
        }
        assert_string_equal(seen, "abcd");
        assert_string_equal(letters(&list), want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_go_where_they_are_put),
        cmocka_unit_test(items_may_be_removed),
        cmocka_unit_test(the_body_of_a_loop_may_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
