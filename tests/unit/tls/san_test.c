/* For whom a certificate is. */
#include "tls/san.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tls/test_ca.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

#define CN(value) (const struct test_attribute[]){{"CN", MG_STR(value), 0, false}}, 1

static void check(const struct test_want *want, struct mg_str host, bool answers)
{
    struct test_cert *cert = test_cert_new(want, NULL);
    mbedtls_x509_crt crt;
    mbedtls_x509_crt_init(&crt);
    assert_int_equal(
        mbedtls_x509_crt_parse_der(&crt, (const unsigned char *)cert->der.p, cert->der.n), 0);
    if (mg_tls_san_answers_for(&crt, host) != answers)
        fail_msg("sans '%s', host '%.*s'", want->sans ? want->sans : "-", MG_STR_ARGS(host));
    mbedtls_x509_crt_free(&crt);
    test_cert_free(cert);
}

static void hosts(void **state)
{
    (void)state;
    static const struct {
        const char *sans;
        struct mg_str host;
        bool answers;
    } CASES[] = {
        {"DNS:a.example", MG_STR("a.example"), true},
        {"DNS:a.example", MG_STR("A.Example."), true},
        {"DNS:b.example, DNS:a.example", MG_STR("a.example"), true},
        {"DNS:*.example", MG_STR("a.example"), true},
        {"DNS:*.example", MG_STR("a.b.example"), false},
        {"DNS:a.example", MG_STR("b.example"), false},
        {"DNS:a.example", MG_STR("a.example\0"), false},
        {"DNS:a.example", MG_STR(""), false},
        {"DNS:w*.example", MG_STR("www.example"), false},
        {"email:a@a.example", MG_STR("a.example"), false},
        {"URI:https://a.example", MG_STR("a.example"), false},
        {"IP:10.0.0.1", MG_STR("10.0.0.1"), true},
        {"IP:10.0.0.1", MG_STR("::ffff:10.0.0.1"), true},
        {"IP:10.0.0.1", MG_STR("10.0.0.2"), false},
        {"IP:2001:db8::1", MG_STR("2001:DB8:0::1"), true},
        {"IP:2001:db8::1", MG_STR("2001:db8::2"), false},
        {"DNS:10.0.0.1", MG_STR("10.0.0.1"), false}, /* a name is no address */
        {"DNS:*.0.0.1", MG_STR("10.0.0.1"), false},
    };
    for (size_t i = 0; i < COUNT(CASES); i++)
        check(&(struct test_want){.sans = CASES[i].sans}, CASES[i].host, CASES[i].answers);
}

static void common_names(void **state)
{
    (void)state;
    const struct {
        struct test_want want;
        struct mg_str host;
        bool answers;
    } CASES[] = {
        {{.common_name = "a.example"}, MG_STR("a.example"), true},
        {{.common_name = "*.example"}, MG_STR("a.example"), true},
        {{.common_name = "a.example"}, MG_STR("b.example"), false},
        {{.common_name = "10.0.0.1"}, MG_STR("10.0.0.1"), false},
        /* with alternative names it does not count, whatever they are */
        {{.common_name = "a.example", .sans = "DNS:b.example"}, MG_STR("a.example"), false},
        {{.common_name = "a.example", .sans = "URI:urn:x"}, MG_STR("a.example"), false},
        {{.common_name = "a.example", .sans_der = MG_STR("\x30\x00")}, MG_STR("a.example"), false},
        {{.subject = CN("a.example\0.evil.example")}, MG_STR("a.example"), false},
        {{.subject = CN("a.example\0")}, MG_STR("a.example"), false},
    };
    for (size_t i = 0; i < COUNT(CASES); i++)
        check(&CASES[i].want, CASES[i].host, CASES[i].answers);
}

/* Bytes that no honest authority signs (CVE-2009-2408 and its kin). */
static void hostile_names(void **state)
{
    (void)state;
    static const struct {
        struct mg_str der;
        struct mg_str host;
        bool answers;
    } CASES[] = {
        {MG_STR("\x30\x18\x82\x16"
                "a.example\0evil.example"),
         MG_STR("a.example"), false},
        {MG_STR("\x30\x0c\x82\x0a"
                "a.example\0"),
         MG_STR("a.example"), false},
        {MG_STR("\x30\x0c\x82\x0a"
                "a.example "),
         MG_STR("a.example"), false},
        {MG_STR("\x30\x17\x82\x0a"
                "a.example\0"
                "\x82\x09"
                "a.example"),
         MG_STR("a.example"), true},
        {MG_STR("\x30\x0b\x82\x09\xe1.example"), MG_STR("a.example"), false},
        {MG_STR("\x30\x07\x87\x05\x0a\x00\x00\x01\x00"), MG_STR("10.0.0.1"), false},
        {MG_STR("\x30\x0a\x87\x08\x0a\x00\x00\x01\xff\xff\xff\xff"), MG_STR("10.0.0.1"), false},
        {MG_STR("\x30\x02\x82\x00"), MG_STR(""), false},
    };
    for (size_t i = 0; i < COUNT(CASES); i++)
        check(&(struct test_want){.sans_der = CASES[i].der}, CASES[i].host, CASES[i].answers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts),
        cmocka_unit_test(common_names),
        cmocka_unit_test(hostile_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
