/* Members given by name: order, time to live, failures, reload. In simulation, on played names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/log.h"
#include "upstream/discovery.h"

#define MAX 8

struct scene {
    struct mg_loop *loop;
    struct mg_resolver *resolver;
    struct mg_discovery *discovery;
    int warned, informed, settled;
};

static void count_lines(void *arg, enum mg_log_level level, struct mg_str line)
{
    struct scene *s = arg;
    (void)line;
    s->warned += level == MG_LOG_WARN;
    s->informed += level == MG_LOG_INFO;
}

static void set_up(struct scene *s)
{
    *s = (struct scene){.loop = mg_loop_new_simulated(1)};
    s->resolver = mg_resolver_new(s->loop, NULL);
    s->discovery = mg_discovery_new(s->loop, s->resolver);
    mg_log_set_sink(count_lines, s);
}

static void tear_down(struct scene *s)
{
    mg_discovery_free(s->discovery);
    mg_resolver_free(s->resolver);
    mg_loop_free(s->loop);
    mg_log_set_sink(NULL, NULL);
}

/* `addresses` is a list with spaces; "" for a name that fails. */
static void play(struct scene *s, const char *name, const char *addresses, uint64_t ttl_s)
{
    struct mg_addr addrs[MAX];
    struct mg_str rest = mg_str_c(addresses), item;
    size_t count = 0;
    while (mg_str_split(&rest, ' ', &item))
        assert_true(mg_ip_parse(item, &addrs[count++]));
    mg_resolver_play(s->resolver, mg_str_c(name), addrs, count, ttl_s * MG_SECOND);
}

static void advance(struct scene *s, double seconds)
{
    mg_loop_simulate(s->loop, mg_loop_now(s->loop) + (uint64_t)(seconds * 1e9), NULL);
}

/* `backends` is a list with spaces. */
static struct mg_service *new_service(const char *backends)
{
    struct mg_backend_config v[MAX] = {{.weight = 1}};
    struct mg_service_config config = {.name = MG_STR("s"), .backends = v};
    struct mg_str rest = mg_str_c(backends);
    while (mg_str_split(&rest, ' ', &v[config.backend_count].address))
        v[config.backend_count++].weight = 1;
    struct mg_service *service = mg_service_new(&config, NULL);
    assert_non_null(service);
    return service;
}

static const char *members(struct mg_service *service)
{
    static char text[512];
    uint64_t version;
    struct mg_members *m = mg_service_members(service, &version);
    int n = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < m->count; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s%s", n ? " " : "",
                      m->v[i].backend->label);
    mg_members_unref(m);
    return text;
}

static void members_come_in_configured_order(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s);
    play(&s, "users-1", "10.0.0.1", 60);
    play(&s, "users-3", "10.0.3.2 10.0.3.1", 60);
    struct mg_service *service = new_service("users-3:8080 10.9.9.9 users-1 unix:/run/u gone:1");
    mg_discovery_add(s.discovery, service);
    assert_string_equal(members(service), "10.9.9.9:80 unix:/run/u"); /* nothing inside the call */
    advance(&s, 0);
    assert_string_equal(members(service),
                        "10.0.3.1:8080 10.0.3.2:8080 10.9.9.9:80 10.0.0.1:80 unix:/run/u");
    mg_service_unref(service); /* the discovery holds it */
    advance(&s, 100);
    tear_down(&s);
}

static void a_name_of_both_families_counts_once(void **state)
{
    static const struct {
        const char *answer, *members;
    } cases[] = {
        {"::1 127.0.0.1", "127.0.0.1:80"},
        {"2001:db8::2 2001:db8::1", "[2001:db8::1]:80 [2001:db8::2]:80"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scene s;
        set_up(&s);
        play(&s, "localhost", cases[i].answer, 60);
        struct mg_service *service = new_service("localhost");
        mg_discovery_add(s.discovery, service);
        advance(&s, 0);
        assert_string_equal(members(service), cases[i].members);
        mg_service_unref(service);
        tear_down(&s);
    }
}

static void the_time_to_live_is_kept(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s);
    play(&s, "users", "10.0.0.1 10.0.0.2", 30);
    struct mg_service *service = new_service("users");
    mg_discovery_add(s.discovery, service);
    advance(&s, 0);
    uint64_t version = mg_service_version(service);

    /* The same in another order is no change. */
    play(&s, "users", "10.0.0.2 10.0.0.1", 30);
    advance(&s, 30);
    assert_int_equal(mg_service_version(service), version);

    play(&s, "users", "10.0.0.3", 30);
    advance(&s, 29.9);
    assert_int_equal(mg_service_version(service), version);
    advance(&s, 0.1);
    assert_string_equal(members(service), "10.0.0.3:80");
    assert_int_equal(s.warned + s.informed, 0);
    mg_service_unref(service);
    tear_down(&s);
}

static void a_failure_keeps_the_last_answer(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s);
    play(&s, "users", "10.0.0.1", 10);
    struct mg_service *service = new_service("users");
    mg_discovery_add(s.discovery, service);
    advance(&s, 1);
    play(&s, "users", "", 0);
    advance(&s, 100);
    assert_string_equal(members(service), "10.0.0.1:80");
    assert_int_equal(s.warned, 1);
    assert_int_equal(s.informed, 0);
    play(&s, "users", "10.0.0.2", 10);
    advance(&s, 30);
    assert_string_equal(members(service), "10.0.0.2:80");
    assert_int_equal(s.warned, 1);
    assert_int_equal(s.informed, 1);
    mg_service_unref(service);
    tear_down(&s);
}

/* Retries come 1, 2, 4, 8, 16, 30, 30 s after each other: at 1, 3, 7, 15, 31, 61, 91 s. */
static void retries_back_off(void **state)
{
    static const struct {
        double back_at, found_at;
    } cases[] = {{0.5, 1}, {1.5, 3}, {3.5, 7}, {16, 31}, {31.5, 61}, {61.5, 91}, {91.5, 121}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scene s;
        set_up(&s);
        struct mg_service *service = new_service("users");
        mg_discovery_add(s.discovery, service);
        advance(&s, cases[i].back_at);
        play(&s, "users", "10.0.0.1", 5);
        advance(&s, cases[i].found_at - cases[i].back_at - 0.01);
        assert_string_equal(members(service), "");
        advance(&s, 0.02);
        assert_string_equal(members(service), "10.0.0.1:80");
        /* After a good answer it begins with 1 s again. */
        play(&s, "users", "", 0);
        advance(&s, 5.5);
        play(&s, "users", "10.0.0.2", 5);
        advance(&s, 0.6);
        assert_string_equal(members(service), "10.0.0.2:80");
        assert_int_equal(s.warned, 2);
        assert_int_equal(s.informed, 2);
        mg_service_unref(service);
        tear_down(&s);
    }
}

static void count_settled(void *arg)
{
    ((struct scene *)arg)->settled++;
}

static void settled_is_told_once(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s);
    play(&s, "users", "10.0.0.1", 60);
    struct mg_service *service = new_service("users gone"), *other = new_service("later");
    mg_discovery_add(s.discovery, service);
    mg_discovery_when_settled(s.discovery, count_settled, &s);
    mg_discovery_when_settled(s.discovery, count_settled, &s);
    assert_int_equal(s.settled, 0);
    advance(&s, 0);
    assert_int_equal(s.settled, 2); /* a failure settles a name too */

    /* Already so: told later, not inside. */
    mg_discovery_when_settled(s.discovery, count_settled, &s);
    assert_int_equal(s.settled, 2);
    advance(&s, 0);
    assert_int_equal(s.settled, 3);

    /* A name that is given up is not waited for. */
    mg_discovery_add(s.discovery, other);
    mg_discovery_when_settled(s.discovery, count_settled, &s);
    mg_discovery_remove(s.discovery, other);
    advance(&s, 0);
    assert_int_equal(s.settled, 4);
    advance(&s, 100);
    assert_int_equal(s.settled, 4);
    mg_service_unref(service);
    mg_service_unref(other);
    tear_down(&s);
}

static void a_waiter_can_be_taken_back(void **state)
{
    struct scene s, other = {0};
    (void)state;
    set_up(&s);
    struct mg_service *service = new_service("users");
    mg_discovery_add(s.discovery, service);
    mg_discovery_when_settled(s.discovery, count_settled, &s);
    mg_discovery_when_settled(s.discovery, count_settled, &other);
    mg_discovery_when_settled(s.discovery, count_settled, &s);
    mg_discovery_forget_waiter(s.discovery, count_settled, &s);
    mg_discovery_forget_waiter(s.discovery, count_settled, NULL);
    advance(&s, 100);
    assert_int_equal(s.settled, 0);
    assert_int_equal(other.settled, 1);

    /* Also when it is due already. */
    mg_discovery_when_settled(s.discovery, count_settled, &s);
    mg_discovery_forget_waiter(s.discovery, count_settled, &s);
    advance(&s, 100);
    assert_int_equal(s.settled, 0);
    mg_service_unref(service);
    tear_down(&s);
}

static void free_all(void *arg)
{
    struct scene *s = arg;
    mg_discovery_free(s->discovery);
    mg_resolver_free(s->resolver);
    s->discovery = NULL;
    s->resolver = NULL;
}

static void the_callee_may_free_all(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s);
    struct mg_service *service = new_service("users");
    mg_discovery_add(s.discovery, service);
    mg_discovery_when_settled(s.discovery, free_all, &s);
    mg_discovery_when_settled(s.discovery, count_settled, &s);
    mg_service_unref(service);
    advance(&s, 100);
    assert_null(s.discovery);
    assert_int_equal(s.settled, 0);
    tear_down(&s);
}

static void a_reload_need_not_resolve_again(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s);
    play(&s, "users", "10.0.0.1", 60);
    struct mg_service *old = new_service("users:81"), *new = new_service("USERS:81 10.0.0.9");
    mg_discovery_add(s.discovery, old);
    mg_discovery_add(s.discovery, old); /* twice is once */
    advance(&s, 0);
    play(&s, "users", "", 0); /* the name server is down */
    mg_discovery_add(s.discovery, new);
    mg_discovery_remove(s.discovery, old);
    mg_service_unref(old);
    assert_string_equal(members(new), "10.0.0.1:81 10.0.0.9:80");
    play(&s, "users", "10.0.0.2", 60);
    advance(&s, 60);
    assert_string_equal(members(new), "10.0.0.2:81 10.0.0.9:80");
    mg_discovery_remove(s.discovery, new);
    mg_discovery_remove(s.discovery, new);
    assert_int_equal(s.warned, 0);
    mg_service_unref(new);
    tear_down(&s);
}

static void services_without_names_are_left_alone(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s);
    struct mg_service *service = new_service("10.0.0.1");
    uint64_t version = mg_service_version(service);
    mg_discovery_add(s.discovery, service);
    mg_discovery_when_settled(s.discovery, count_settled, &s);
    advance(&s, 100);
    assert_int_equal(mg_service_version(service), version);
    assert_int_equal(s.settled, 1);
    mg_service_unref(service);
    tear_down(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_come_in_configured_order),
        cmocka_unit_test(a_name_of_both_families_counts_once),
        cmocka_unit_test(the_time_to_live_is_kept),
        cmocka_unit_test(a_failure_keeps_the_last_answer),
        cmocka_unit_test(retries_back_off),
        cmocka_unit_test(settled_is_told_once),
        cmocka_unit_test(a_waiter_can_be_taken_back),
        cmocka_unit_test(the_callee_may_free_all),
        cmocka_unit_test(a_reload_need_not_resolve_again),
        cmocka_unit_test(services_without_names_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
