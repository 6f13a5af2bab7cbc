/* Addresses, networks and sets of networks. */
#include "base/ip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static void read_and_written(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint8_t family;
        const char *written;
    } CASES[] = {
        {"0.0.0.0", 4, "0.0.0.0"},
        {"255.255.255.255", 4, "255.255.255.255"},
        {"10.20.3.1", 4, "10.20.3.1"},
        {"::", 6, "::"},
        {"::1", 6, "::1"},
        {"1::", 6, "1::"},
        {"2001:DB8::A", 6, "2001:db8::a"},
        {"2001:0db8:0000:0000:0001:0000:0000:0001", 6, "2001:db8::1:0:0:1"},
        {"2001:db8:0:1:1:1:1:1", 6, "2001:db8:0:1:1:1:1:1"},
        {"2001:0:0:1:0:0:0:1", 6, "2001:0:0:1::1"},
        {"1:2:3:4:5:6:7::", 6, "1:2:3:4:5:6:7:0"},
        {"::2:3:4:5:6:7:8", 6, "0:2:3:4:5:6:7:8"},
        {"1:2:3:4:5:6:7:8", 6, "1:2:3:4:5:6:7:8"},
        {"1:2:3:4:5:6:0:0", 6, "1:2:3:4:5:6::"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 6, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        {"64:ff9b::192.0.2.33", 6, "64:ff9b::c000:221"},
        {"1:2:3:4:5:6:1.2.3.4", 6, "1:2:3:4:5:6:102:304"},
        {"::ffff:10.0.0.1", 4, "10.0.0.1"},
        {"::FFFF:0a00:0001", 4, "10.0.0.1"},
        {"0:0:0:0:0:ffff:10.0.0.1", 4, "10.0.0.1"},
        {"::10.0.0.1", 6, "::a00:1"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_addr addr = {.port = 9};
        char text[MG_IP_TEXT_MAX];
        assert_true(mg_ip_parse(mg_str_c(CASES[i].text), &addr));
        assert_int_equal(addr.family, CASES[i].family);
        assert_int_equal(addr.port, 0);
        assert_int_equal(mg_ip_format(&addr, text), strlen(CASES[i].written));
        assert_string_equal(text, CASES[i].written);
    }
}

static void refused(void **state)
{
    (void)state;
    static const char *const CASES[] = {
        "",
        ".",
        "1",
        "1.2.3",
        "1.2.3.4.",
        "1.2.3.4.5",
        ".1.2.3.4",
        "1..2.3",
        "256.1.1.1",
        "1.1.1.1000",
        "01.2.3.4",
        "1.2.3.00",
        "0x1.2.3.4",
        "1.2.3.4 ",
        " 1.2.3.4",
        "1.2.3.-4",
        "+1.2.3.4",
        "1.2.3.4:80",
        "1.2.3.4/8",
        ":",
        ":::",
        ":1",
        "1:",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7:8::",
        "::1:2:3:4:5:6:7:8",
        "1:2:3:4::5:6:7:8",
        "1::2::3",
        "1:::2",
        "12345::",
        "g::",
        "::1.2.3",
        "::1.2.3.4:5",
        "1:2:3:4:5:6:7:1.2.3.4",
        "::a.2.3.4",
        "fe80::1%eth0",
        "[::1]",
        "::1/64",
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_addr addr = {.family = 77};
        if (mg_ip_parse(mg_str_c(CASES[i]), &addr))
            fail_msg("'%s' was taken for an address", CASES[i]);
        assert_int_equal(addr.family, 77);
    }
    struct mg_addr addr;
    assert_false(mg_ip_parse(MG_STR_NONE, &addr));
    assert_false(mg_ip_parse(MG_STR("1.2.3.4\0"), &addr));
}

static void ports(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *written; /* NULL: refused */
    } CASES[] = {
        {"10.0.0.1:80", "10.0.0.1:80"},
        {"10.0.0.1", "10.0.0.1:0"},
        {"10.0.0.1:65535", "10.0.0.1:65535"},
        {"[2001:db8::1]:443", "[2001:db8::1]:443"},
        {"[::1]", "[::1]:0"},
        {"2001:db8::1", "[2001:db8::1]:0"},
        {"[::ffff:1.2.3.4]:5", "1.2.3.4:5"},
        {"10.0.0.1:", NULL},
        {"10.0.0.1:65536", NULL},
        {"10.0.0.1:-1", NULL},
        {"10.0.0.1:000080", NULL},
        {"10.0.0.1:80:80", NULL},
        {"[10.0.0.1]:80", NULL},
        {"[::1", NULL},
        {"[::1]80", NULL},
        {"[::1]:", NULL},
        {"[]", NULL},
        {"[", NULL},
        {":80", NULL},
        {"localhost:80", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_addr addr;
        char text[MG_IP_TEXT_MAX];
        bool ok = mg_ip_parse_port(mg_str_c(CASES[i].text), &addr);
        if (ok != (CASES[i].written != NULL))
            fail_msg("'%s' was %s", CASES[i].text, ok ? "taken" : "refused");
        if (!ok)
            continue;
        assert_int_equal(mg_ip_format_port(&addr, text), strlen(CASES[i].written));
        assert_string_equal(text, CASES[i].written);
    }
    struct mg_addr none = {0};
    char text[MG_IP_TEXT_MAX] = "x";
    assert_int_equal(mg_ip_format_port(&none, text), 0);
    assert_string_equal(text, "");
}

static struct mg_addr address(const char *text)
{
    struct mg_addr addr;
    if (!mg_ip_parse_port(mg_str_c(text), &addr))
        fail_msg("'%s' is no address", text);
    return addr;
}

static void equality(void **state)
{
    (void)state;
    struct mg_addr a = address("10.0.0.1:80"), b = address("::ffff:10.0.0.1"), none = {0};
    struct mg_addr compatible = address("::10.0.0.1");
    assert_true(mg_ip_eq(&a, &b));
    assert_false(mg_ip_eq(&a, &compatible));
    assert_false(mg_ip_eq(&a, &none));
    assert_true(mg_ip_eq(&none, &none));
}

static void networks(void **state)
{
    (void)state;
    static const struct {
        const char *cidr, *address;
        bool has;
    } CASES[] = {
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "::ffff:10.1.2.3", true},
        {"10.0.0.0/8", "a00::1", false},
        {"::ffff:10.0.0.0/104", "10.1.2.3", true},
        {"::ffff:10.0.0.1", "10.0.0.1", true},
        {"10.0.0.1", "10.0.0.1", true},
        {"10.0.0.1", "10.0.0.0", false},
        {"10.0.0.0/31", "10.0.0.1", true},
        {"10.0.0.0/31", "10.0.0.2", false},
        {"0.0.0.0/0", "255.1.2.3", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "ffff::", true},
        {"::/0", "1.2.3.4", false},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"2001:db8::/64", "2001:db8::ffff:0:0:1", true},
        {"2001:db8::/64", "2001:db8:0:1::", false},
        {"2001:db8::/65", "2001:db8::8000:0:0:0", false},
        {"::1/128", "::1", true},
        {"::1/128", "::2", false},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_cidr cidr;
        struct mg_addr addr = address(CASES[i].address);
        struct mg_str item = mg_str_c(CASES[i].cidr);
        assert_int_equal(mg_cidr_parse(item, &cidr, NULL), MG_OK);
        struct mg_cidr_set *set = mg_cidr_set_new(&item, 1, NULL);
        assert_non_null(set);
        if (mg_cidr_has(&cidr, &addr) != CASES[i].has)
            fail_msg("network %s and %s", CASES[i].cidr, CASES[i].address);
        if (mg_cidr_set_has(set, &addr) != CASES[i].has)
            fail_msg("set of %s and %s", CASES[i].cidr, CASES[i].address);
        mg_cidr_set_free(set);
    }
}

static void network_errors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } CASES[] = {
        {"10.0.0.1/8", "cannot use '10.0.0.1/8' as an address or network: bits are set after the "
                       "prefix, did you mean '10.0.0.0/8'"},
        {"2001:db8::1/32", "cannot use '2001:db8::1/32' as an address or network: bits are set "
                           "after the prefix, did you mean '2001:db8::/32'"},
        {"10.0.0.0/33", "cannot use '10.0.0.0/33' as an address or network: the prefix length is "
                        "not a number from 0 to 32"},
        {"10.0.0.0/08", "cannot use '10.0.0.0/08' as an address or network: the prefix length is "
                        "not a number from 0 to 32"},
        {"10.0.0.0/", "cannot use '10.0.0.0/' as an address or network: the prefix length is not a "
                      "number from 0 to 32"},
        {"::/129", "cannot use '::/129' as an address or network: the prefix length is not a "
                   "number from 0 to 128"},
        {"::ffff:0.0.0.0/95", "cannot use '::ffff:0.0.0.0/95' as an address or network: a prefix "
                              "of less than 96 bits would reach beyond IPv4-mapped addresses"},
        {"office", "cannot use 'office' as an address or network: not an IPv4 or IPv6 address"},
        {"", "cannot use '' as an address or network: not an IPv4 or IPv6 address"},
        {"/8", "cannot use '/8' as an address or network: not an IPv4 or IPv6 address"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_str items[] = {MG_STR("192.168.0.0/16"), mg_str_c(CASES[i].text)};
        struct mg_error err;
        assert_null(mg_cidr_set_new(items, 2, &err));
        assert_string_equal(err.text, CASES[i].error);
    }
}

static void joined_ranges(void **state)
{
    (void)state;
    struct mg_str items[] = {
        MG_STR("10.0.1.0/24"),     MG_STR("10.0.0.0/24"),     MG_STR("10.0.0.128/25"),
        MG_STR("10.0.0.7"),        MG_STR("10.0.3.0/24"),     MG_STR("0.0.0.0/32"),
        MG_STR("255.255.255.255"), MG_STR("ffff::/16"),       MG_STR("ffff:1::/32"),
        MG_STR("2001::/64"),       MG_STR("2001:0:0:1::/64"),
    };
    static const struct {
        const char *address;
        bool has;
    } CASES[] = {
        {"9.255.255.255", false},
        {"10.0.0.0", true},
        {"10.0.1.255", true},
        {"10.0.2.0", false},
        {"10.0.3.0", true},
        {"10.0.4.0", false},
        {"0.0.0.0", true},
        {"0.0.0.1", false},
        {"255.255.255.254", false},
        {"255.255.255.255", true},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true},
        {"fffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
        {"2001::ffff:ffff:ffff:ffff", true},
        {"2001:0:0:1::", true},
        {"2001:0:0:2::", false},
        {"::", false},
    };
    struct mg_cidr_set *set = mg_cidr_set_new(items, COUNT(items), NULL);
    assert_non_null(set);
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_addr addr = address(CASES[i].address);
        if (mg_cidr_set_has(set, &addr) != CASES[i].has)
            fail_msg("%s", CASES[i].address);
    }
    struct mg_addr none = {0};
    assert_false(mg_cidr_set_has(set, &none));
    mg_cidr_set_free(set);
}

static void empty_set(void **state)
{
    (void)state;
    struct mg_cidr_set *set = mg_cidr_set_new(NULL, 0, NULL);
    struct mg_addr a = address("1.2.3.4"), b = address("::1");
    assert_non_null(set);
    assert_false(mg_cidr_set_has(set, &a));
    assert_false(mg_cidr_set_has(set, &b));
    mg_cidr_set_free(set);
    mg_cidr_set_free(NULL);
}

/* A set answers as the networks it was built from do, one by one. */
static void many_networks(void **state)
{
    (void)state;
    enum { NETWORKS = 3000, QUESTIONS = 2000 };
    static char texts[NETWORKS][MG_IP_TEXT_MAX + 4];
    static struct mg_str items[NETWORKS];
    static struct mg_cidr cidrs[NETWORKS];
    unsigned seed = 1;
    for (int i = 0; i < NETWORKS; i++) {
        unsigned bits = 16 + (unsigned)rand_r(&seed) % 17;
        uint32_t net = (uint32_t)rand_r(&seed) << 1 & (uint32_t)(UINT64_MAX << (32 - bits));
        int n = snprintf(texts[i], sizeof texts[i], i % 2 ? "%u.%u.%u.%u/%u" : "%x%02x:%x%02x::/%u",
                         net >> 24, net >> 16 & 255, net >> 8 & 255, net & 255, bits);
        items[i] = mg_str(texts[i], (size_t)n);
        assert_int_equal(mg_cidr_parse(items[i], &cidrs[i], NULL), MG_OK);
    }
    struct mg_cidr_set *set = mg_cidr_set_new(items, NETWORKS, NULL);
    assert_non_null(set);
    int hits = 0;
    for (int i = 0; i < QUESTIONS; i++) {
        struct mg_addr addr = cidrs[rand_r(&seed) % NETWORKS].net;
        addr.bytes[1 + i % 3] = (uint8_t)rand_r(&seed);
        bool has = false;
        for (int j = 0; j < NETWORKS && !has; j++)
            has = mg_cidr_has(&cidrs[j], &addr);
        assert_int_equal(mg_cidr_set_has(set, &addr), has);
        hits += has;
    }
    assert_in_range(hits, 1, QUESTIONS - 1);
    mg_cidr_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_and_written),
        cmocka_unit_test(refused),
        cmocka_unit_test(ports),
        cmocka_unit_test(equality),
        cmocka_unit_test(networks),
        cmocka_unit_test(network_errors),
        cmocka_unit_test(joined_ranges),
        cmocka_unit_test(empty_set),
        cmocka_unit_test(many_networks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
