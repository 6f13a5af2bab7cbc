/* Which content coding fits an Accept-Encoding (RFC 9110 12.5.3). Weights of other fields are
 * tested by vary_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/accept.h"

static const enum mg_coding OFFERS[] = {MG_CODING_BR, MG_CODING_GZIP};

static void the_best_coding_is_chosen(void **state)
{
    static const struct {
        const char *field;  /* NULL: none */
        const char *second; /* a second line */
        enum mg_coding chosen;
        bool identity;
    } cases[] = {
        {NULL, NULL, MG_CODING_IDENTITY, true},
        {"", NULL, MG_CODING_IDENTITY, true},
        {"gzip", NULL, MG_CODING_GZIP, true},
        {"GZip", NULL, MG_CODING_GZIP, true},
        {"x-gzip", NULL, MG_CODING_GZIP, true},
        {"br", NULL, MG_CODING_BR, true},
        {"gzip, deflate, br, zstd", NULL, MG_CODING_BR, true},
        {"gzip", "br", MG_CODING_BR, true},
        {"gzip;q=1.0, br;q=0.9", NULL, MG_CODING_GZIP, true},
        {"gzip;q=0.5 , br;q=0.5", NULL, MG_CODING_BR, true},
        {"gzip;q=0, br;q=0.001", NULL, MG_CODING_BR, true},
        {"gzip;q=0", NULL, MG_CODING_IDENTITY, true},
        {"*", NULL, MG_CODING_BR, true},
        {"br;q=0, *", NULL, MG_CODING_GZIP, true},
        {"*;q=0", NULL, MG_CODING_IDENTITY, false},
        {"*;q=0, gzip", NULL, MG_CODING_GZIP, false},
        {"gzip, identity;q=0", NULL, MG_CODING_GZIP, false},
        {"identity;q=0", NULL, MG_CODING_IDENTITY, false},
        {"identity", NULL, MG_CODING_IDENTITY, true},
        {"identity, gzip;q=0.5", NULL, MG_CODING_IDENTITY, true},
        {"identity;q=0.5, gzip;q=0.5", NULL, MG_CODING_GZIP, true},
        {"identity, gzip", NULL, MG_CODING_GZIP, true},
        {"deflate, zstd", NULL, MG_CODING_IDENTITY, true},
        {"gzip;q=2", NULL, MG_CODING_IDENTITY, true},
        {"gzip;level=1", NULL, MG_CODING_IDENTITY, true},
        {"gzip;q=0.5;x", NULL, MG_CODING_IDENTITY, true},
        {"g z i p", NULL, MG_CODING_IDENTITY, true},
        {",, gzip ,", NULL, MG_CODING_GZIP, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mg_pool pool;
        struct mg_arena arena;
        struct mg_fields fields = {0};
        struct mg_accepted_codings accepted;
        mg_pool_init(&pool, 1024);
        mg_arena_init(&arena, &pool);
        if (cases[i].field)
            mg_fields_add(&fields, &arena, MG_STR("Accept-Encoding"), mg_str_c(cases[i].field));
        if (cases[i].second)
            mg_fields_add(&fields, &arena, MG_STR("accept-encoding"), mg_str_c(cases[i].second));
        mg_accept_codings(&fields, &arena, &accepted);
        if (mg_accept_choose(&accepted, OFFERS, 2) != cases[i].chosen ||
            (accepted.weight[MG_CODING_IDENTITY] > 0) != cases[i].identity)
            fail_msg("case %zu: '%s'", i, cases[i].field ? cases[i].field : "(none)");
        mg_arena_release(&arena);
        mg_pool_release(&pool);
    }
}

static void without_offers_it_is_identity(void **state)
{
    struct mg_accepted_codings all = {.weight = {1, 1000, 1000, 1000}};
    (void)state;
    assert_int_equal(mg_accept_choose(&all, NULL, 0), MG_CODING_IDENTITY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_coding_is_chosen),
        cmocka_unit_test(without_offers_it_is_identity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
