/* Field lists of tests, from texts. */
#ifndef MG_TESTS_HTTP_TEST_FIELDS_H
#define MG_TESTS_HTTP_TEST_FIELDS_H

#include "base/test_arena.h"
#include "http/message.h"

/* "Foo: 1|Bar: 2"; in the test's arena. */
static struct mg_fields fields_of(const char *lines)
{
    struct mg_fields fields = {0};
    struct mg_str rest = mg_str_c(lines), line;
    while (mg_str_split(&rest, '|', &line)) {
        size_t colon = (size_t)mg_str_find(line, ':');
        mg_fields_add(&fields, &arena, mg_str(line.p, colon),
                      mg_str_trim(mg_str(line.p + colon + 1, line.n - colon - 1)));
    }
    return fields;
}

#endif
