/* CA files and CRLs as they come; and what verification against them says. */
#include "tls/trust.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tls/test_ca.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

#define BROKEN "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUAAAA\n-----END CERTIFICATE-----\n"

static struct test_cert *root, *other, *middle, *leaf, *revoked;

static struct mg_tls_trust *read_trust(const char *ca, const char *crl)
{
    struct mg_error err = {""};
    struct mg_tls_trust *t = mg_tls_trust_new(mg_str_c(ca), mg_str_c(crl), false, &err);
    assert_string_equal(err.text, "");
    assert_non_null(t);
    return t;
}

static size_t certificates(const struct mg_tls_trust *t)
{
    size_t n = 0;
    for (const mbedtls_x509_crt *c = &t->ca; c && c->raw.len; c = c->next)
        n++;
    return n;
}

static void files(void **state)
{
    (void)state;
    char *two = test_join("# a comment\n", root->cert_pem, "\nIssuer: x\n", other->cert_pem, NULL);
    char *with_broken = test_join(root->cert_pem, BROKEN, other->cert_pem, NULL);
    char *cut = test_join(root->cert_pem, NULL);
    cut[strlen(cut) - 40] = 0;
    char *windows = test_join("\r\n", root->cert_pem, "\r\n", NULL);
    char *crl = test_crl_new(root, NULL, 0, 3600);
    char *broken_crl =
        test_join(crl, "-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n", NULL);
    const struct {
        const char *what, *ca, *crl;
        bool lenient;
        size_t count;      /* 0: refused */
        const char *error; /* part of it */
    } CASES[] = {
        {"one", root->cert_pem, NULL, false, 1, NULL},
        {"two, with words between", two, NULL, false, 2, NULL},
        {"with empty lines of Windows", windows, NULL, false, 1, NULL},
        {"a broken one", with_broken, NULL, false, 0, "CA certificate 2 cannot be read: "},
        {"a broken one, leniently", with_broken, NULL, true, 2, NULL},
        {"only broken ones, leniently", BROKEN, NULL, true, 0, "no readable CA certificate"},
        {"cut short", cut, NULL, false, 0, "CA certificate 1 cannot be read: "},
        {"empty", "", NULL, false, 0, "no readable CA certificate"},
        {"a key", root->key_pem, NULL, false, 0, "no readable CA certificate"},
        {"a CRL", crl, NULL, false, 0, "no readable CA certificate"},
        {"a CRL beside it", root->cert_pem, crl, false, 1, NULL},
        {"no CRL where one should be", root->cert_pem, root->cert_pem, false, 0, "no CRL in PEM"},
        {"a broken CRL", root->cert_pem, broken_crl, false, 0, "CRL 2 cannot be read: "},
        {"a broken CRL, leniently", root->cert_pem, broken_crl, true, 0, "CRL 2 cannot be read: "},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_error err = {""};
        struct mg_tls_trust *t =
            mg_tls_trust_new(mg_str_c(CASES[i].ca), mg_str_c(CASES[i].crl), CASES[i].lenient, &err);
        if (!t != (CASES[i].count == 0) || (t && certificates(t) != CASES[i].count) ||
            (!t && !strstr(err.text, CASES[i].error)) || (t && t->has_crl != !!CASES[i].crl))
            fail_msg("%s: %s", CASES[i].what, err.text);
        mg_tls_trust_unref(t);
    }
    free(two), free(with_broken), free(cut), free(windows), free(crl), free(broken_crl);
}

static uint32_t verify(struct mg_tls_trust *t, const char *chain_pem, const char *name)
{
    mbedtls_x509_crt chain;
    uint32_t flags = 0;
    mbedtls_x509_crt_init(&chain);
    assert_int_equal(
        mbedtls_x509_crt_parse(&chain, (const unsigned char *)chain_pem, strlen(chain_pem) + 1), 0);
    mbedtls_x509_crt_verify(&chain, &t->ca, t->has_crl ? &t->crl : NULL, name, &flags, NULL, NULL);
    mbedtls_x509_crt_free(&chain);
    return flags;
}

static void verdicts(void **state)
{
    (void)state;
    struct test_want want = {.common_name = "old", .from_s = -7200, .to_s = -3600};
    struct test_cert *expired = test_cert_new(&want, root);
    want = (struct test_want){.common_name = "new", .from_s = 3600, .to_s = 7200};
    struct test_cert *future = test_cert_new(&want, root);
    const struct test_cert *bad[] = {revoked};
    char *root_crl = test_crl_new(root, NULL, 0, 3600);
    char *middle_crl = test_crl_new(middle, bad, 1, 3600);
    char *both_crls = test_join(root_crl, middle_crl, NULL);
    char *stale_crl = test_crl_new(middle, NULL, 0, -60);
    const struct {
        const char *crl;
        const struct test_cert *cert;
        const char *name, *flaw;
    } CASES[] = {
        {NULL, leaf, NULL, "none"},
        {NULL, leaf, "a.example", "none"},
        {NULL, leaf, "b.example", "not for this name"},
        {NULL, other, NULL, "unknown issuer"},
        {NULL, expired, NULL, "expired"},
        {NULL, future, NULL, "not valid yet"},
        {NULL, revoked, NULL, "none"},
        {both_crls, revoked, NULL, "revoked"},
        {both_crls, revoked, "b.example", "revoked"}, /* the first of two */
        {both_crls, leaf, NULL, "none"},
        {stale_crl, leaf, NULL, "its CRL is expired"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_tls_trust *t = read_trust(root->cert_pem, CASES[i].crl);
        assert_string_equal(mg_tls_trust_flaw(verify(t, CASES[i].cert->chain_pem, CASES[i].name)),
                            CASES[i].flaw);
        mg_tls_trust_unref(t);
    }
    free(root_crl), free(middle_crl), free(both_crls), free(stale_crl);
    test_cert_free(expired);
    test_cert_free(future);
}

/* A CA that has run out is loaded: others may stand beside it, and its leaves say what is wrong. */
static void expired_authority(void **state)
{
    (void)state;
    struct test_want want = {.common_name = "Old CA", .is_ca = true, .from_s = -9000, .to_s = -60};
    struct test_cert *old = test_cert_new(&want, NULL);
    struct test_cert *of_old = test_leaf_new(old, TEST_KEY_P256, NULL);
    char *both = test_join(old->cert_pem, root->cert_pem, NULL);
    struct mg_tls_trust *t = read_trust(both, NULL);
    assert_int_equal(certificates(t), 2);
    assert_int_equal(verify(t, leaf->chain_pem, NULL), 0);
    assert_int_not_equal(verify(t, of_old->chain_pem, NULL), 0);
    mg_tls_trust_unref(t);
    free(both);
    test_cert_free(of_old);
    test_cert_free(old);
}

static void equal(void **state)
{
    (void)state;
    char *both = test_join(root->cert_pem, leaf->cert_pem, NULL);
    char *crl = test_crl_new(root, NULL, 0, 3600);
    struct mg_tls_trust *a = read_trust(root->cert_pem, NULL);
    struct mg_tls_trust *b = read_trust(root->cert_pem, NULL);
    struct mg_tls_trust *more = read_trust(both, NULL), *strict = read_trust(root->cert_pem, crl);
    struct mg_tls_trust *third = read_trust(leaf->cert_pem, NULL);
    assert_true(mg_tls_trust_equal(a, a));
    assert_true(mg_tls_trust_equal(a, b));
    assert_false(mg_tls_trust_equal(a, more));
    assert_false(mg_tls_trust_equal(more, a));
    assert_false(mg_tls_trust_equal(a, strict));
    assert_false(mg_tls_trust_equal(a, third));
    mg_tls_trust_unref(a), mg_tls_trust_unref(b), mg_tls_trust_unref(more);
    mg_tls_trust_unref(strict), mg_tls_trust_unref(third);
    free(both), free(crl);
}

static void counted(void **state)
{
    (void)state;
    struct mg_tls_trust *t = read_trust(root->cert_pem, NULL);
    assert_ptr_equal(mg_tls_trust_ref(t), t);
    mg_tls_trust_unref(t);
    assert_int_equal(certificates(t), 1);
    mg_tls_trust_unref(t);
    mg_tls_trust_unref(NULL);
}

static void flaws(void **state)
{
    (void)state;
    assert_string_equal(mg_tls_trust_flaw(0), "none");
    for (uint32_t flag = 1; flag <= MBEDTLS_X509_BADCRL_BAD_KEY; flag <<= 1)
        if (flag != MBEDTLS_X509_BADCERT_OTHER)
            assert_string_not_equal(mg_tls_trust_flaw(flag), "refused");
    assert_string_equal(mg_tls_trust_flaw(MBEDTLS_X509_BADCERT_OTHER), "refused");
    assert_string_equal(mg_tls_trust_flaw(0x80000000), "refused");
}

static void system_file(void **state)
{
    (void)state;
    setenv("SSL_CERT_FILE", "/nowhere/ca.pem", 1);
    assert_string_equal(mg_tls_trust_system_file(), "/nowhere/ca.pem");
    setenv("SSL_CERT_FILE", "", 1);
    const char *usual = mg_tls_trust_system_file();
    assert_true(!usual || usual[0] == '/');
    unsetenv("SSL_CERT_FILE");
    assert_true(mg_tls_trust_system_file() == usual);
}

static void write_file(const char *path, const char *text, time_t changed)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    const struct timespec times[2] = {{.tv_sec = changed}, {.tv_sec = changed}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void system_trust(void **state)
{
    (void)state;
    struct mg_error err = {""};
    char path[] = "/tmp/moongate_trust_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    setenv("SSL_CERT_FILE", path, 1);
    assert_null(mg_tls_trust_system(&err));
    assert_non_null(strstr(err.text, path));

    write_file(path, root->cert_pem, 1000);
    struct mg_tls_trust *first = mg_tls_trust_system(&err), *again = mg_tls_trust_system(&err);
    assert_non_null(first);
    assert_ptr_equal(again, first);
    char *two = test_join(root->cert_pem, BROKEN, other->cert_pem, NULL);
    write_file(path, two, 2000);
    struct mg_tls_trust *second = mg_tls_trust_system(&err);
    assert_int_equal(certificates(second), 2);
    assert_int_equal(certificates(first), 1); /* whoever has it keeps it */
    write_file(path, "half written", 3000);
    struct mg_tls_trust *kept = mg_tls_trust_system(&err);
    assert_ptr_equal(kept, second);

    unlink(path);
    assert_null(mg_tls_trust_system(&err));
    unsetenv("SSL_CERT_FILE");
    mg_tls_trust_unref(first), mg_tls_trust_unref(again);
    mg_tls_trust_unref(second), mg_tls_trust_unref(kept);
    free(two);
}

static int set_up(void **state)
{
    (void)state;
    root = test_ca_new("Root");
    other = test_ca_new("Other");
    middle = test_intermediate_new(root, "Middle");
    leaf = test_leaf_new(middle, TEST_KEY_P256, "DNS:a.example");
    revoked = test_leaf_new(middle, TEST_KEY_P256, "DNS:a.example");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_cert_free(revoked);
    test_cert_free(leaf);
    test_cert_free(middle);
    test_cert_free(other);
    test_cert_free(root);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files),
        cmocka_unit_test(verdicts),
        cmocka_unit_test(expired_authority),
        cmocka_unit_test(equal),
        cmocka_unit_test(counted),
        cmocka_unit_test(flaws),
        cmocka_unit_test(system_file),
        cmocka_unit_test(system_trust),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
