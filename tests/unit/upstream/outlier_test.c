/* When backends are put aside, for how long, and how many of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "upstream/outlier.h"
#include "upstream/service.h"

#define SECOND UINT64_C(1000000000)
#define MAX 8

static const struct mg_outlier_config THREE = {
    .errors = 3, .eject_ns = 10 * SECOND, .max_ejected = 50};

struct scene {
    struct mg_service *service;
    struct mg_members *members;
};

static void set_up(struct scene *s, size_t count)
{
    struct mg_backend_config backends[MAX];
    char texts[MAX][32];
    struct mg_service_config config = {
        .name = MG_STR("s"), .backends = backends, .backend_count = count};
    uint64_t version;
    for (size_t i = 0; i < count; i++) {
        snprintf(texts[i], sizeof texts[i], "10.0.0.%zu:80", i);
        backends[i] = (struct mg_backend_config){.address = mg_str_c(texts[i]), .weight = 1};
    }
    s->service = mg_service_new(&config, NULL);
    s->members = mg_service_members(s->service, &version);
}

static void tear_down(struct scene *s)
{
    mg_members_unref(s->members);
    mg_service_unref(s->service);
}

/* For how many seconds the last of `errors` in a row ejects it. */
static unsigned errors_at(struct scene *s, uint32_t i, unsigned errors, uint64_t seconds)
{
    uint64_t out_ns = 0;
    while (errors--)
        out_ns = mg_outlier_failed(&THREE, s->members->v[i].backend, s->members, seconds * SECOND);
    return (unsigned)(out_ns / SECOND);
}

static void errors_in_a_row_eject(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s, 2);
    struct mg_backend *b = s.members->v[0].backend;
    assert_int_equal(errors_at(&s, 0, 2, 1), 0);
    mg_outlier_succeeded(b);
    assert_int_equal(errors_at(&s, 0, 2, 1), 0);
    assert_true(mg_health_is_usable(&b->health, SECOND));
    assert_int_equal(errors_at(&s, 0, 1, 1), 10);
    assert_false(mg_health_is_usable(&b->health, 11 * SECOND - 1));
    assert_true(mg_health_is_usable(&b->health, 11 * SECOND));
    assert_int_equal(b->health.recovered_since_ns, 11 * SECOND);
    /* What was under way before says nothing new. */
    assert_int_equal(errors_at(&s, 0, 5, 2), 0);
    assert_int_equal(b->health.ejected_until_ns, 11 * SECOND);
    tear_down(&s);
}

static void each_time_is_longer(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s, 2);
    assert_int_equal(errors_at(&s, 0, 3, 0), 10);
    assert_int_equal(errors_at(&s, 0, 3, 11), 20); /* out until 31 */
    assert_int_equal(errors_at(&s, 0, 3, 31 + 20), 30);
    assert_int_equal(errors_at(&s, 0, 3, 81 + 31), 10); /* it was well for long enough */
    uint64_t at = 122;
    for (unsigned i = 2; i < 20; i++) {
        unsigned want = (i < MG_OUTLIER_TIMES_MAX ? i : MG_OUTLIER_TIMES_MAX) * 10;
        assert_int_equal(errors_at(&s, 0, 3, at), want);
        at += want;
    }
    tear_down(&s);
}

static void never_more_than_the_share(void **state)
{
    static const struct {
        uint32_t members, most;
    } cases[] = {{1, 0}, {2, 1}, {3, 1}, {4, 2}, {5, 2}, {8, 4}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scene s;
        uint32_t out = 0;
        set_up(&s, cases[i].members);
        for (uint32_t k = 0; k < cases[i].members; k++)
            out += errors_at(&s, k, 3, 1) > 0;
        assert_int_equal(out, cases[i].most);
        if (cases[i].members > 1) /* one has come back: the last one's next error ejects it */
            assert_int_equal(errors_at(&s, cases[i].members - 1, 1, 12), 10);
        tear_down(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_in_a_row_eject),
        cmocka_unit_test(each_time_is_longer),
        cmocka_unit_test(never_more_than_the_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
