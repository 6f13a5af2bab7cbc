/* Backend addresses as configurations write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "upstream/address.h"

static void parses_what_may_be_written(void **state)
{
    static const struct {
        const char *text;
        enum mg_address_kind kind;
        const char *is; /* the address and port, the path, or the name */
        uint16_t port;
    } cases[] = {
        {"10.0.0.1:8080", MG_ADDRESS_IP, "10.0.0.1:8080", 8080},
        {"10.0.0.1", MG_ADDRESS_IP, "10.0.0.1:80", 80},
        {"[::1]:9000", MG_ADDRESS_IP, "[::1]:9000", 9000},
        {"[2001:db8::7]", MG_ADDRESS_IP, "[2001:db8::7]:80", 80},
        {"[::ffff:10.0.0.1]:81", MG_ADDRESS_IP, "10.0.0.1:81", 81},
        {"unix:/run/app.sock", MG_ADDRESS_UNIX, "/run/app.sock", 0},
        {"unix:app.sock", MG_ADDRESS_UNIX, "app.sock", 0},
        {"users-1:8080", MG_ADDRESS_NAME, "users-1", 8080},
        {"users_db", MG_ADDRESS_NAME, "users_db", 80},
        {"Catalog.Default.svc.:1", MG_ADDRESS_NAME, "Catalog.Default.svc.", 1},
        {"1st.example.com:65535", MG_ADDRESS_NAME, "1st.example.com", 65535},
        {"a1", MG_ADDRESS_NAME, "a1", 80},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mg_address a;
        struct mg_error err;
        char text[MG_IP_TEXT_MAX];
        struct mg_str is = MG_STR_NONE;
        if (mg_address_parse(mg_str_c(cases[i].text), &a, &err) != MG_OK)
            fail_msg("%s: %s", cases[i].text, err.text);
        assert_int_equal(a.kind, cases[i].kind);
        if (a.kind == MG_ADDRESS_IP)
            is = mg_str(text, mg_ip_format_port(&a.addr, text));
        else
            is = a.kind == MG_ADDRESS_UNIX ? a.path : a.name;
        if (!mg_str_eq(is, mg_str_c(cases[i].is)) || a.port != cases[i].port)
            fail_msg("%s: got '%.*s' port %d", cases[i].text, MG_STR_ARGS(is), a.port);
    }
}

static void refuses_the_rest(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", "cannot use '' as a backend: not an address and not a name"},
        {":80", "cannot use ':80' as a backend: not an address and not a name"},
        {"users:", "cannot use 'users:' as a backend: not a port from 1 to 65535"},
        {"users:0", "cannot use 'users:0' as a backend: not a port from 1 to 65535"},
        {"users:65536", "cannot use 'users:65536' as a backend: not a port from 1 to 65535"},
        {"users:80a", "cannot use 'users:80a' as a backend: not a port from 1 to 65535"},
        {"10.0.0.256:80", "cannot use '10.0.0.256:80' as a backend: not an address and not a name"},
        {"10.1:80", "cannot use '10.1:80' as a backend: not an address and not a name"},
        {"8080", "cannot use '8080' as a backend: not an address and not a name"},
        {"[10.0.0.1]:80", "cannot use '[10.0.0.1]:80' as a backend: not an address and not a name"},
        {"[users]:80", "cannot use '[users]:80' as a backend: not an address and not a name"},
        {"[::1", "cannot use '[::1' as a backend: not an address and not a name"},
        {"::1", "cannot use '::1' as a backend: put the IPv6 address in brackets"},
        {"::1:8080", "cannot use '::1:8080' as a backend: put the IPv6 address in brackets"},
        {"http://users", "cannot use 'http://users' as a backend: not a port from 1 to 65535"},
        {"a b:80", "cannot use 'a b:80' as a backend: not an address and not a name"},
        {"a..b", "cannot use 'a..b' as a backend: not an address and not a name"},
        {"a..", "cannot use 'a..' as a backend: not an address and not a name"},
        {".", "cannot use '.' as a backend: not an address and not a name"},
        {"-a", "cannot use '-a' as a backend: not an address and not a name"},
        {"a-.b", "cannot use 'a-.b' as a backend: not an address and not a name"},
        {"unix:", "cannot use 'unix:' as a backend: not a path for a unix socket"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mg_address a;
        struct mg_error err;
        if (mg_address_parse(mg_str_c(cases[i].text), &a, &err) == MG_OK)
            fail_msg("'%s' was taken", cases[i].text);
        assert_string_equal(err.text, cases[i].error);
    }
}

static void lengths_have_limits(void **state)
{
    char text[512];
    struct mg_address a;
    (void)state;
    memset(text, 'a', sizeof text);
    memcpy(text, "unix:/", 6);
    assert_int_equal(mg_address_parse(mg_str(text, 5 + 107), &a, NULL), MG_OK);
    assert_int_equal(mg_address_parse(mg_str(text, 5 + 108), &a, NULL), MG_FAIL);
    memset(text, 'a', sizeof text);
    assert_true(mg_address_is_name(mg_str(text, 63)));
    assert_false(mg_address_is_name(mg_str(text, 64)));
    for (size_t i = 50; i < sizeof text; i += 50)
        text[i] = '.';
    assert_true(mg_address_is_name(mg_str(text, 253)));
    assert_false(mg_address_is_name(mg_str(text, 254)));
    text[253] = '.';
    assert_true(mg_address_is_name(mg_str(text, 254)));
    assert_false(mg_address_is_name(MG_STR("a\0b")));
    assert_int_equal(mg_address_parse(MG_STR("unix:/a\0b"), &a, NULL), MG_FAIL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_what_may_be_written),
        cmocka_unit_test(refuses_the_rest),
        cmocka_unit_test(lengths_have_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
