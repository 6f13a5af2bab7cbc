/* What is told of a peer's certificate, honest ones and others. */
#include "tls/peer.h"

#include <openssl/asn1.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "crypto/base64.h"
#include "tls/test_ca.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

struct scene {
    struct mg_pool pool;
    struct mg_arena arena;
    struct test_cert *cert;
    struct mg_tls_peer_info info;
};

static void set_up(struct scene *s, const struct test_want *want, const struct test_cert *issuer)
{
    struct mg_error err = {""};
    mg_pool_init(&s->pool, 4096);
    mg_arena_init(&s->arena, &s->pool);
    s->cert = test_cert_new(want, issuer);
    /* In memory of its own size, and gone before anything is looked at. */
    char *der = malloc(s->cert->der.n);
    memcpy(der, s->cert->der.p, s->cert->der.n);
    enum mg_rc rc = mg_tls_peer_describe(mg_str(der, s->cert->der.n), &s->arena, &s->info, &err);
    free(der);
    assert_string_equal(err.text, "");
    assert_int_equal(rc, MG_OK);
}

static void tear_down(struct scene *s)
{
    mg_arena_release(&s->arena);
    mg_pool_release(&s->pool);
    test_cert_free(s->cert);
}

static void is(struct mg_str got, const char *wanted)
{
    if (!mg_str_eq(got, mg_str_c(wanted)))
        fail_msg("'%.*s' is not '%s'", MG_STR_ARGS(got), wanted);
}

#define NAMES(...)                                                                                 \
    .subject = (const struct test_attribute[]){__VA_ARGS__},                                       \
    .subject_count = COUNT(((const struct test_attribute[]){__VA_ARGS__}))

#define CN_OF(value, type) NAMES({"CN", MG_STR(value), type, false})

static void subjects(void **state)
{
    (void)state;
    const struct {
        struct test_want want;
        const char *subject, *common_name;
    } CASES[] = {
        {{NAMES({"C", MG_STR("DE"), V_ASN1_PRINTABLESTRING, false}, {"O", MG_STR("Example"), 0, 0},
                {"CN", MG_STR("ann"), 0, 0})},
         "CN=ann,O=Example,C=DE",
         "ann"},
        {{NAMES({"O", MG_STR("x"), 0, 0}, {"CN", MG_STR("a"), 0, 0}, {"OU", MG_STR("b"), 0, true},
                {"UID", MG_STR("7"), 0, 0})},
         "UID=7,CN=a+OU=b,O=x",
         "a"},
        {{NAMES({"CN", MG_STR("one"), 0, 0}, {"CN", MG_STR("two"), 0, 0})}, "CN=two,CN=one", "two"},
        {{NAMES({"DC", MG_STR("org"), V_ASN1_IA5STRING, 0},
                {"DC", MG_STR("example"), V_ASN1_IA5STRING, 0},
                {"emailAddress", MG_STR("a@b.example"), V_ASN1_IA5STRING, 0})},
         "emailAddress=a@b.example,DC=example,DC=org",
         ""},
        {{CN_OF("a,b+c\"d\\e<f>g;h=i#j", 0)},
         "CN=a\\,b\\+c\\\"d\\\\e\\<f\\>g\\;h=i#j",
         "a,b+c\"d\\e<f>g;h=i#j"},
        {{CN_OF("x,O=Admin", 0)}, "CN=x\\,O=Admin", "x,O=Admin"},
        {{CN_OF(" a b ", 0)}, "CN=\\ a b\\ ", " a b "},
        {{CN_OF(" ", 0)}, "CN=\\ ", " "},
        {{CN_OF("#1", 0)}, "CN=\\#1", "#1"},
        {{CN_OF("", 0)}, "CN=", ""},
        {{CN_OF("b\xc3\xbc"
                "cher \xe2\x82\xac \xf0\x9f\x94\x92",
                0)},
         "CN=b\xc3\xbc"
         "cher \xe2\x82\xac \xf0\x9f\x94\x92",
         "b\xc3\xbc"
         "cher \xe2\x82\xac \xf0\x9f\x94\x92"},
        {{CN_OF("b\xfc"
                "cher",
                V_ASN1_T61STRING)},
         "CN=b\xc3\xbc"
         "cher",
         "b\xc3\xbc"
         "cher"},
        {{CN_OF("\0a\x20\xac", V_ASN1_BMPSTRING)}, "CN=a\xe2\x82\xac", "a\xe2\x82\xac"},
        {{CN_OF("\0\0\0a\0\1\xf5\x12", V_ASN1_UNIVERSALSTRING)},
         "CN=a\xf0\x9f\x94\x92",
         "a\xf0\x9f\x94\x92"},
        /* what is meant to be cut, or to be taken for another */
        {{CN_OF("admin\0.evil", 0)}, "CN=admin\\00.evil", ""},
        {{CN_OF("a\nb\x7f\x1b[2J", 0)}, "CN=a\\0Ab\\7F\\1B[2J", ""},
        {{CN_OF("a\xc2\x9b"
                "b",
                0)},
         "CN=a\\C2\\9Bb",
         ""},
        {{CN_OF("\0\0\0a", V_ASN1_BMPSTRING)}, "CN=\\00a", ""},
        {{NAMES({"1.2.3.4", MG_STR("x"), 0, 0})}, "1.2.3.4=#0c0178", ""},
        {{NAMES({"2.999.3", MG_STR("x"), 0, 0})}, "2.999.3=#0c0178", ""},
        {{NAMES({"2.25.18446744073709551616", MG_STR("x"), 0, 0})},
         "oid-6982808080808080808000=#0c0178",
         ""},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct scene s;
        set_up(&s, &CASES[i].want, NULL);
        is(s.info.subject, CASES[i].subject);
        is(s.info.issuer, CASES[i].subject);
        is(s.info.common_name, CASES[i].common_name);
        tear_down(&s);
    }
}

/* libcrypto makes no such strings: the tag and the bytes of a common name are patched, in subject
 * and issuer. Nobody asks for the signature here. */
static void patch_common_name(struct mg_str der, int tag, struct mg_str value)
{
    char old[32] = "\x06\x03\x55\x04\x03\x13"; /* id-at-commonName, PrintableString */
    size_t n = 7 + value.n;
    old[6] = (char)value.n;
    memset(old + 7, 'x', value.n);
    for (int i = 0; i < 2; i++) {
        char *at = memmem(der.p, der.n, old, n);
        assert_non_null(at);
        at[5] = (char)tag;
        memcpy(at + 7, value.p, value.n);
    }
}

static void strings_that_are_none(void **state)
{
    (void)state;
    static const struct {
        int tag;
        struct mg_str value;
        const char *subject;
    } CASES[] = {
        {V_ASN1_UTF8STRING, MG_STR("a\xff"), "CN=#0c0261ff"},
        {V_ASN1_UTF8STRING, MG_STR("\x80"), "CN=#0c0180"},
        {V_ASN1_UTF8STRING, MG_STR("\xc0\xae"), "CN=#0c02c0ae"},             /* overlong */
        {V_ASN1_UTF8STRING, MG_STR("\xe0\x80\xae"), "CN=#0c03e080ae"},       /* overlong */
        {V_ASN1_UTF8STRING, MG_STR("\xed\xa0\x80"), "CN=#0c03eda080"},       /* a surrogate */
        {V_ASN1_UTF8STRING, MG_STR("\xf4\x90\x80\x80"), "CN=#0c04f4908080"}, /* beyond Unicode */
        {V_ASN1_UTF8STRING, MG_STR("\xf8\x88\x80\x80\x80"), "CN=#0c05f888808080"},
        {V_ASN1_UTF8STRING, MG_STR("a\xe2\x82"), "CN=#0c0361e282"}, /* cut */
        {V_ASN1_PRINTABLESTRING, MG_STR("\xe1"), "CN=#1301e1"},
        {V_ASN1_IA5STRING, MG_STR("a\x80"), "CN=#16026180"},
        {V_ASN1_BMPSTRING, MG_STR("abc"), "CN=#1e03616263"},
        {V_ASN1_BMPSTRING, MG_STR("\xd8\x3d\xdd\x12"), "CN=#1e04d83ddd12"},
        {V_ASN1_UNIVERSALSTRING, MG_STR("\0\x11\0\0"), "CN=#1c0400110000"},
        {V_ASN1_UNIVERSALSTRING, MG_STR("\xff\xff\xff\xff"), "CN=#1c04ffffffff"},
        {V_ASN1_UNIVERSALSTRING, MG_STR("\0\0\0a\0"), "CN=#1c050000006100"},
        {V_ASN1_BIT_STRING, MG_STR("\0\1"), "CN=#03020001"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct scene s;
        char filler[16];
        memset(filler, 'x', sizeof filler);
        struct test_attribute cn = {"CN", mg_str(filler, CASES[i].value.n), V_ASN1_PRINTABLESTRING,
                                    false};
        set_up(&s, &(struct test_want){.subject = &cn, .subject_count = 1}, NULL);
        patch_common_name(s.cert->der, CASES[i].tag, CASES[i].value);
        assert_int_equal(mg_tls_peer_describe(s.cert->der, &s.arena, &s.info, NULL), MG_OK);
        is(s.info.subject, CASES[i].subject);
        is(s.info.issuer, CASES[i].subject);
        is(s.info.common_name, "");
        tear_down(&s);
    }
}

static void empty_subject(void **state)
{
    (void)state;
    struct scene s;
    struct test_cert *ca = test_ca_new("CA, Inc");
    static const struct test_attribute NOTHING;
    struct test_want want = {.subject = &NOTHING, .subject_count = 0, .sans = "DNS:a.example"};
    set_up(&s, &want, ca);
    is(s.info.subject, "");
    is(s.info.common_name, "");
    is(s.info.issuer, "CN=CA\\, Inc");
    tear_down(&s);
    test_cert_free(ca);
}

static void sans(void **state)
{
    (void)state;
    static const char *const KINDS[] = {"dns", "email", "uri", "ip"};
    static const struct {
        const char *sans;
        struct mg_str der;
        const char *told; /* "kind value " each */
    } CASES[] = {
        {NULL, {NULL, 0}, ""},
        {"DNS:a.example, DNS:*.B.example, email:a@b.example, URI:spiffe://x/y, IP:10.0.0.1, "
         "IP:2001:db8::1, IP:::ffff:10.0.0.2",
         {NULL, 0},
         "dns a.example dns *.B.example email a@b.example uri spiffe://x/y ip 10.0.0.1 "
         "ip 2001:db8::1 ip 10.0.0.2 "},
        {"otherName:1.2.3.4;UTF8:x, RID:1.2.3, DNS:a.example", {NULL, 0}, "dns a.example "},
        /* a NUL, a blank, a byte that is not ASCII, nothing at all: left out whole */
        {NULL,
         MG_STR("\x30\x1a\x82\x04"
                "a\0b."
                "\x82\x03"
                "a b"
                "\x81\x02\xc3\xa4"
                "\x82\x00"
                "\x86\x02"
                "x\n"
                "\x82\x03"
                "a.b"),
         "dns a.b "},
        /* addresses of odd lengths, as in name constraints */
        {NULL, MG_STR("\x30\x15\x87\x03\1\2\3\x87\x08\1\2\3\4\xff\xff\xff\xff\x87\x04\1\2\3\4"),
         "ip 1.2.3.4 "},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct scene s;
        char all[400] = "";
        size_t n = 0;
        set_up(&s, &(struct test_want){.sans = CASES[i].sans, .sans_der = CASES[i].der}, NULL);
        for (size_t j = 0; j < s.info.san_count; j++)
            n += (size_t)snprintf(all + n, sizeof all - n, "%s %.*s ", KINDS[s.info.sans[j].kind],
                                  MG_STR_ARGS(s.info.sans[j].value));
        assert_string_equal(all, CASES[i].told);
        tear_down(&s);
    }
}

/* As many as fit: all are told, and it takes no more memory than a few times the certificate. */
static void many_sans(void **state)
{
    (void)state;
    enum { SANS = 5000 };
    uint8_t der[4 + 3 * SANS] = {0x30, 0x82, 3 * SANS >> 8, 3 * SANS & 0xff};
    for (size_t i = 0; i < SANS; i++)
        memcpy(der + 4 + 3 * i, "\x82\x01x", 3);
    struct scene s;
    set_up(&s, &(struct test_want){.sans_der = {(const char *)der, sizeof der}}, NULL);
    assert_int_equal(s.info.san_count, SANS);
    is(s.info.sans[SANS - 1].value, "x");
    assert_true(s.arena.bytes < 20 * s.cert->der.n);
    tear_down(&s);
}

static void serials(void **state)
{
    (void)state;
    static const struct {
        struct mg_str serial;
        const char *text;
    } CASES[] = {
        {MG_STR("\x01"), "01"},
        {MG_STR("\x00"), "00"},
        {MG_STR("\x7f\x00"), "7f00"},
        {MG_STR("\x80"), "80"}, /* 00 80 in the certificate */
        {MG_STR("\xff\xff\x00"), "ffff00"},
        {MG_STR("\x0a\x1b\x2c\x3d\x4e\x5f\x60\x71\x82\x93\xa4\xb5\xc6\xd7\xe8\xf9\x01\x02\x03\x04"),
         "0a1b2c3d4e5f60718293a4b5c6d7e8f901020304"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct scene s;
        set_up(&s, &(struct test_want){.serial = CASES[i].serial}, NULL);
        is(s.info.serial, CASES[i].text);
        tear_down(&s);
    }
}

/* RFC 5280 forbids them, and somebody makes them. The serial is patched: nobody asks for the
 * signature here. */
static void negative_serials(void **state)
{
    (void)state;
    static const struct {
        struct mg_str bytes;
        const char *text;
    } CASES[] = {
        {MG_STR("\x7f\x34\x56"), "7f3456"},
        {MG_STR("\xff\xff\xff"), "-01"},
        {MG_STR("\x80\x00\x00"), "-800000"},
        {MG_STR("\xff\x00\x01"), "-ffff"},
    };
    struct scene s;
    set_up(&s, &(struct test_want){.serial = MG_STR("\x11\x22\x33")}, NULL);
    char *at = memmem(s.cert->der.p, s.cert->der.n, "\x02\x03\x11\x22\x33", 5);
    assert_non_null(at);
    for (size_t i = 0; i < COUNT(CASES); i++) {
        memcpy(at + 2, CASES[i].bytes.p, 3);
        assert_int_equal(mg_tls_peer_describe(s.cert->der, &s.arena, &s.info, NULL), MG_OK);
        is(s.info.serial, CASES[i].text);
    }
    tear_down(&s);
}

static void the_rest(void **state)
{
    (void)state;
    struct scene s;
    struct test_want want = {.from_s = -1000, .to_s = 100000};
    set_up(&s, &want, NULL);
    double now = (double)time(NULL);
    assert_true(s.info.not_before >= now - 1060 && s.info.not_before <= now - 1000);
    assert_true(s.info.not_after - s.info.not_before == 101000);
    assert_int_equal(s.info.pem.n, strlen(s.cert->cert_pem));
    is(s.info.pem, s.cert->cert_pem);
    uint8_t digest[32];
    char text[65] = "";
    unsigned n;
    EVP_Digest(s.cert->der.p, s.cert->der.n, digest, &n, EVP_sha256(), NULL);
    mg_base64_hex_encode(mg_str((const char *)digest, n), text);
    is(s.info.fingerprint, text);
    tear_down(&s);
}

/* PEM of every length around full lines. */
static void pem_lines(void **state)
{
    (void)state;
    static const char FILL[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    for (size_t i = 1; i < 50; i++) {
        struct test_attribute cn = {"CN", mg_str(FILL, i), 0, false};
        struct scene s;
        set_up(&s, &(struct test_want){.subject = &cn, .subject_count = 1}, NULL);
        is(s.info.pem, s.cert->cert_pem);
        tear_down(&s);
    }
}

static void no_certificates(void **state)
{
    (void)state;
    struct scene s;
    struct mg_error err;
    struct mg_tls_peer_info info;
    set_up(&s, &(struct test_want){.sans = "DNS:a.example"}, NULL);
    size_t n = s.cert->der.n;
    char *copy = malloc(n + 1);
    memcpy(copy, s.cert->der.p, n);
    copy[n] = 0;
    for (size_t i = 0; i < n; i++) {
        char *piece = malloc(i ? i : 1); /* of its own size, so that a read past it is seen */
        memcpy(piece, copy, i);
        assert_int_equal(mg_tls_peer_describe(mg_str(piece, i), &s.arena, &info, &err), MG_FAIL);
        assert_int_equal(strncmp(err.text, "not a certificate: ", 19), 0);
        free(piece);
    }
    assert_int_equal(mg_tls_peer_describe(mg_str(copy, n + 1), &s.arena, &info, &err), MG_FAIL);
    assert_string_equal(err.text, "not a certificate: there are bytes behind it");
    free(copy);

    copy = calloc(1, MG_TLS_PEER_DER_MAX + 1);
    assert_int_equal(
        mg_tls_peer_describe(mg_str(copy, MG_TLS_PEER_DER_MAX + 1), &s.arena, &info, &err),
        MG_FAIL);
    assert_string_equal(err.text, "a certificate of 16385 bytes is too large");
    free(copy);
    assert_int_equal(mg_tls_peer_describe(MG_STR_NONE, &s.arena, &info, &err), MG_FAIL);
    tear_down(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subjects),         cmocka_unit_test(strings_that_are_none),
        cmocka_unit_test(empty_subject),    cmocka_unit_test(sans),
        cmocka_unit_test(many_sans),        cmocka_unit_test(serials),
        cmocka_unit_test(negative_serials), cmocka_unit_test(the_rest),
        cmocka_unit_test(pem_lines),        cmocka_unit_test(no_certificates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
