/* Services: entries, members that change, and the identity of backends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "upstream/service.h"

#define MAX 8

static struct mg_service *new_service(const char *const *addresses, struct mg_error *err)
{
    struct mg_backend_config backends[MAX];
    struct mg_service_config config = {.name = MG_STR("users"), .backends = backends};
    for (; addresses[config.backend_count]; config.backend_count++)
        backends[config.backend_count] = (struct mg_backend_config){
            .address = mg_str_c(addresses[config.backend_count]), .weight = 1};
    return mg_service_new(&config, err);
}

static struct mg_endpoint at(const char *text, const char *authority, uint32_t weight)
{
    struct mg_endpoint e = {.authority = mg_str_c(authority), .weight = weight};
    if (text[0] == '/')
        e.unix_path = text;
    else
        assert_true(mg_ip_parse_port(mg_str_c(text), &e.addr));
    return e;
}

/* Borrowed until the next publish. */
static struct mg_backend *backend(struct mg_service *s, uint32_t i)
{
    uint64_t version;
    struct mg_members *m = mg_service_members(s, &version);
    assert_true(i < m->count);
    struct mg_backend *b = m->v[i].backend;
    mg_members_unref(m);
    return b;
}

static uint32_t member_count(struct mg_service *s)
{
    uint64_t version;
    struct mg_members *m = mg_service_members(s, &version);
    uint32_t count = m->count;
    mg_members_unref(m);
    return count;
}

static void config_is_copied(void **state)
{
    char name[] = "users", address[] = "10.0.0.1:81", host[] = "h.example", base[] = "/base";
    struct mg_backend_config backends[] = {{.address = mg_str_c(address), .weight = 3}};
    struct mg_service_config config = {
        .name = mg_str_c(name),
        .backends = backends,
        .backend_count = 1,
        .host = MG_HOST_NAME,
        .host_name = mg_str_c(host),
        .base_path = mg_str_c(base),
        .keepalive_max = 7,
        .status_when_down = 503,
    };
    struct mg_service *s = mg_service_new(&config, NULL);
    (void)state;
    assert_non_null(s);
    memset(name, 'x', 5);
    memset(address, 'x', 5);
    memset(host, 'x', 5);
    memset(base, 'x', 5);
    memset(backends, 0, sizeof backends);
    const struct mg_service_config *c = mg_service_config(s);
    assert_true(mg_str_eq(c->name, MG_STR("users")));
    assert_true(mg_str_eq(c->backends[0].address, MG_STR("10.0.0.1:81")));
    assert_int_equal(c->backends[0].weight, 3);
    assert_true(mg_str_eq(c->host_name, MG_STR("h.example")));
    assert_true(mg_str_eq(c->base_path, MG_STR("/base")));
    assert_int_equal(c->keepalive_max, 7);
    assert_int_equal(c->status_when_down, 503);
    mg_service_unref(s);
}

static void addresses_are_members_at_once(void **state)
{
    const char *const addresses[] = {"10.0.0.1:8080", "users-2:80", "[::1]", "unix:/run/u", NULL};
    static const struct {
        const char *label, *authority;
    } want[] = {
        {"10.0.0.1:8080", "10.0.0.1:8080"}, {"[::1]:80", "[::1]"}, {"unix:/run/u", "localhost"}};
    struct mg_service *s = new_service(addresses, NULL);
    (void)state;
    assert_non_null(s);
    assert_true(mg_service_needs_names(s));
    assert_int_equal(member_count(s), 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_string_equal(backend(s, i)->label, want[i].label);
        assert_string_equal(backend(s, i)->authority, want[i].authority);
    }
    assert_int_equal(backend(s, 2)->addr.family, 0);
    assert_string_equal(backend(s, 2)->unix_path, "/run/u");
    mg_service_unref(s);
}

static void entries_are_in_order(void **state)
{
    const char *const addresses[] = {"users-1:8080", "10.0.0.1", NULL};
    struct mg_service *s = new_service(addresses, NULL);
    struct mg_addr resolved;
    size_t count;
    (void)state;
    const struct mg_service_entry *e = mg_service_entries(s, &count);
    assert_int_equal(count, 2);
    assert_int_equal(e[0].address.kind, MG_ADDRESS_NAME);
    assert_true(mg_ip_parse(MG_STR("192.0.2.1"), &resolved));
    struct mg_endpoint endpoint = mg_service_endpoint(&e[0], &resolved);
    assert_int_equal(endpoint.addr.port, 8080);
    assert_true(mg_ip_eq(&endpoint.addr, &resolved));
    assert_true(mg_str_eq(endpoint.authority, MG_STR("users-1:8080")));
    endpoint = mg_service_endpoint(&e[1], NULL);
    assert_int_equal(endpoint.addr.port, 80);
    mg_service_unref(s);
}

static void a_dns_name_is_one_entry(void **state)
{
    static const struct {
        uint16_t port;
        const char *authority;
    } cases[] = {{8080, "catalog.svc:8080"}, {80, "catalog.svc"}};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        size_t count;
        struct mg_service_config config = {.dns_name = MG_STR("catalog.svc"),
                                           .dns_port = cases[i].port};
        struct mg_service *s = mg_service_new(&config, NULL);
        assert_non_null(s);
        assert_true(mg_service_needs_names(s));
        assert_int_equal(member_count(s), 0);
        const struct mg_service_entry *e = mg_service_entries(s, &count);
        assert_int_equal(count, 1);
        assert_int_equal(e->address.port, cases[i].port);
        assert_true(mg_str_eq(e->authority, mg_str_c(cases[i].authority)));
        mg_service_unref(s);
    }
}

static void what_is_wrong_is_refused(void **state)
{
    struct mg_backend_config one = {.address = MG_STR("10.0.0.1"), .weight = 1},
                             no_weight = {.address = MG_STR("10.0.0.1"), .weight = 0},
                             bad = {.address = MG_STR("a b"), .weight = 1};
    const struct {
        struct mg_service_config config;
        const char *error;
    } cases[] = {
        {{.backends = &bad, .backend_count = 1},
         "cannot use 'a b' as a backend: not an address and not a name"},
        {{.backends = &no_weight, .backend_count = 1},
         "cannot use '10.0.0.1' as a backend: its weight is 0"},
        {{.dns_name = MG_STR("10.0.0.1"), .dns_port = 80},
         "cannot use '10.0.0.1': not a host name"},
        {{.dns_name = MG_STR("a")}, "cannot use 'a': it needs a port"},
        {{.dns_name = MG_STR("a"), .dns_port = 1, .backends = &one, .backend_count = 1},
         "cannot use 'a': there are backends as well"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mg_error err;
        assert_null(mg_service_new(&cases[i].config, &err));
        assert_string_equal(err.text, cases[i].error);
    }
}

static void publish_keeps_backends(void **state)
{
    const char *const none[] = {NULL};
    struct mg_service *s = new_service(none, NULL);
    struct mg_endpoint v[] = {at("10.0.0.1:80", "a", 1), at("10.0.0.2:80", "a", 1),
                              at("/run/u", "localhost", 1)};
    (void)state;
    mg_service_publish(s, v, 3, 0);
    struct mg_backend *first = backend(s, 0), *second = backend(s, 1), *third = backend(s, 2);
    assert_true(first->id != second->id && second->id != third->id);
    uint64_t version = mg_service_version(s);

    /* Nothing new: no new list. */
    mg_service_publish(s, v, 3, 0);
    assert_int_equal(mg_service_version(s), version);

    /* Another order, one more, one gone. */
    struct mg_endpoint w[] = {at("/run/u", "localhost", 1), at("10.0.0.9:80", "a", 1),
                              at("10.0.0.1:80", "a", 5)};
    mg_service_publish(s, w, 3, 0);
    assert_true(mg_service_version(s) != version);
    assert_ptr_equal(backend(s, 0), third);
    assert_ptr_equal(backend(s, 2), first);

    /* Another port, authority or path makes another backend. */
    uint64_t id = first->id;
    struct mg_endpoint x[] = {at("10.0.0.1:81", "a", 1), at("10.0.0.1:80", "b", 1),
                              at("/run/v", "localhost", 1)};
    mg_service_publish(s, x, 3, 0);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(backend(s, i)->id > id);

    /* Twice in one list is one backend. */
    struct mg_endpoint y[] = {at("10.0.0.3:80", "a", 1), at("10.0.0.3:80", "a", 2)};
    mg_service_publish(s, y, 2, 0);
    assert_int_equal(member_count(s), 2);
    assert_ptr_equal(backend(s, 0), backend(s, 1));

    mg_service_publish(s, NULL, 0, 0);
    assert_int_equal(member_count(s), 0);
    mg_service_unref(s);
}

static void a_backend_lives_as_long_as_it_is_held(void **state)
{
    const char *const addresses[] = {"10.0.0.1", NULL};
    struct mg_service *s = new_service(addresses, NULL);
    struct mg_backend *b = backend(s, 0);
    (void)state;
    mg_backend_ref(b);
    mg_service_unref(s);
    assert_string_equal(b->label, "10.0.0.1:80"); /* ASan sees it when it is gone */
    assert_int_equal(atomic_load(&b->refs), 1);
    mg_backend_unref(b);
}

static void a_reload_keeps_backends(void **state)
{
    const char *const before[] = {"10.0.0.1", "10.0.0.2", "name:81", NULL};
    const char *const after[] = {"10.0.0.3", "10.0.0.1", "name:81", NULL};
    struct mg_service *old = new_service(before, NULL);
    struct mg_endpoint v[] = {at("10.0.0.1:80", "10.0.0.1", 1), at("10.0.0.2:80", "10.0.0.2", 1),
                              at("10.0.0.7:81", "name:81", 1)};
    (void)state;
    mg_service_publish(old, v, 3, 0);
    uint64_t first = backend(old, 0)->id, named = backend(old, 2)->id;

    for (uint64_t turn = 0; turn < 5; turn++)
        assert_int_equal(mg_service_take_turn(old), turn);
    struct mg_service *s = new_service(after, NULL);
    mg_service_inherit(s, old, 0);
    mg_service_unref(old);
    assert_int_equal(mg_service_take_turn(s), 5);
    assert_int_equal(member_count(s), 2);
    assert_true(backend(s, 0)->id > named);
    assert_int_equal(backend(s, 1)->id, first);

    /* What the name stands for comes with the discovery. */
    struct mg_endpoint w[] = {at("10.0.0.3:80", "10.0.0.3", 1), at("10.0.0.1:80", "10.0.0.1", 1),
                              at("10.0.0.7:81", "name:81", 1)};
    mg_service_publish(s, w, 3, 0);
    assert_int_equal(backend(s, 1)->id, first);
    assert_int_equal(backend(s, 2)->id, named);
    mg_service_unref(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_is_copied),
        cmocka_unit_test(addresses_are_members_at_once),
        cmocka_unit_test(entries_are_in_order),
        cmocka_unit_test(a_dns_name_is_one_entry),
        cmocka_unit_test(what_is_wrong_is_refused),
        cmocka_unit_test(publish_keeps_backends),
        cmocka_unit_test(a_backend_lives_as_long_as_it_is_held),
        cmocka_unit_test(a_reload_keeps_backends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
