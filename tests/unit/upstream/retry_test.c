/* Rules for retries: what, how long after, and how many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "upstream/retry.h"
#include "upstream/retry_budget.h"

#define SECOND UINT64_C(1000000000)

static void a_rule_names_failures(void **state)
{
    static const struct {
        enum mg_fetch_error error;
        unsigned failure; /* 0: none names it */
    } cases[] = {
        {MG_FETCH_CONNECT_FAILED, MG_RETRY_CONNECT},
        {MG_FETCH_CONNECT_TIMEOUT, MG_RETRY_CONNECT},
        {MG_FETCH_TLS, MG_RETRY_CONNECT},
        {MG_FETCH_RESET, MG_RETRY_RESET},
        {MG_FETCH_BAD_RESPONSE, MG_RETRY_RESET},
        {MG_FETCH_FIRST_BYTE_TIMEOUT, MG_RETRY_TIMEOUT},
        {MG_FETCH_IDLE_TIMEOUT, MG_RETRY_TIMEOUT},
        {MG_FETCH_NO_BACKEND, 0},
        {MG_FETCH_REQUEST_BODY, 0},
        {MG_FETCH_CIRCUIT_OPEN, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (unsigned failure = 1; failure <= MG_RETRY_TIMEOUT; failure *= 2) {
            struct mg_retry_config c = {.failures = failure};
            assert_int_equal(mg_retry_on_error(&c, cases[i].error), cases[i].failure == failure);
        }
}

static void a_rule_names_statuses_and_methods(void **state)
{
    struct mg_retry_config c = {0};
    (void)state;
    assert_true(mg_retry_on_method(&c, MG_METHOD_POST)); /* any */
    c.methods = 1u << MG_METHOD_GET;
    assert_true(mg_retry_on_method(&c, MG_METHOD_GET));
    assert_false(mg_retry_on_method(&c, MG_METHOD_POST));
    mg_retry_add_status(&c, 503);
    mg_retry_add_status(&c, 599);
    mg_retry_add_status(&c, 60000);
    for (unsigned status = 100; status < 1000; status++)
        assert_int_equal(mg_retry_on_status(&c, status), status == 503 || status == 599);
}

static void back_off_doubles_up_to_a_bound(void **state)
{
    static const struct mg_retry_config c = {.backoff_ns = 100};
    static const uint64_t bounds[] = {100, 200, 400, 800, 1000, 1000};
    (void)state;
    for (uint32_t n = 1; n <= 6; n++) {
        uint64_t most = 0;
        for (uint64_t random = 0; random < 5000; random++) {
            uint64_t ns = mg_retry_backoff(&c, n, random);
            most = ns > most ? ns : most;
        }
        assert_int_equal(most, bounds[n - 1]);
        assert_int_equal(mg_retry_backoff(&c, n, 0), 0);
    }
    assert_true(mg_retry_backoff(&c, UINT32_MAX, UINT64_MAX) <= 1000);
}

static void retry_after_is_read(void **state)
{
    static const struct {
        const char *value;
        uint64_t want; /* at 784111777, Sun, 06 Nov 1994 08:49:37 GMT */
    } cases[] = {
        {"4", 4 * SECOND},
        {"0", 0},
        {"86401", 0},
        {"-1", 0},
        {"soon", 0},
        {"Sun, 06 Nov 1994 08:50:00 GMT", 23 * SECOND},
        {"Sun, 06 Nov 1994 08:49:37 GMT", 0},
        {"Sun, 06 Nov 1994 08:00:00 GMT", 0},
        {"Wed, 06 Nov 2094 08:00:00 GMT", 0},
    };
    struct mg_pool chunks;
    (void)state;
    mg_pool_init(&chunks, 4096);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mg_arena arena;
        struct mg_message response;
        mg_arena_init(&arena, &chunks);
        mg_message_init(&response, &arena);
        assert_int_equal(mg_retry_after(&response, 784111777), 0);
        mg_fields_add_id(&response.fields, &arena, MG_FIELD_RETRY_AFTER, mg_str_c(cases[i].value));
        assert_int_equal(mg_retry_after(&response, 784111777), cases[i].want);
        mg_arena_release(&arena);
    }
    mg_pool_release(&chunks);
}

static unsigned take_all(struct mg_retry_budget *b, uint64_t now)
{
    unsigned n = 0;
    while (mg_retry_budget_take(b, now))
        n++;
    return n;
}

static void a_budget_is_a_share_and_a_floor(void **state)
{
    struct mg_retry_budget *b = mg_retry_budget_new(20);
    (void)state;
    assert_int_equal(take_all(b, SECOND), MG_RETRY_BUDGET_FLOOR);
    for (int i = 0; i < 50; i++)
        mg_retry_budget_add_request(b, 2 * SECOND);
    assert_int_equal(take_all(b, 2 * SECOND), 10);
    assert_int_equal(take_all(b, 5 * SECOND), 0);
    assert_int_equal(take_all(b, 30 * SECOND), MG_RETRY_BUDGET_FLOOR);
    mg_retry_budget_unref(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_names_failures),
        cmocka_unit_test(a_rule_names_statuses_and_methods),
        cmocka_unit_test(back_off_doubles_up_to_a_bound),
        cmocka_unit_test(retry_after_is_read),
        cmocka_unit_test(a_budget_is_a_share_and_a_floor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
