/* What the settings of tls/library.h do to a handshake: the library talks to itself in memory. */
#include "tls/library.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tls/credentials.h"
#include "tls/test_ca.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

/* Bytes on their way to one side. */
struct pipe {
    uint8_t bytes[32 * 1024];
    size_t read, written;
};

struct side {
    mbedtls_ssl_config conf;
    mbedtls_ssl_context ssl;
    struct pipe *in, *out;
};

/* What is otherwise than with our settings. Lists end with 0. */
struct client {
    const int *suites;
    const mbedtls_ecp_group_id *curves;
    int max_minor;       /* of SSL 3.x; 0: the library's choice */
    bool server_has_all; /* of the library's suites, also those of old versions */
};

struct outcome {
    bool done;
    char version[16];
    char suite[64];
    unsigned group; /* IANA's number */
};

static struct mg_tls_credentials ecdsa, rsa;

static int on_send(void *arg, const unsigned char *bytes, size_t n)
{
    struct pipe *p = ((struct side *)arg)->out;
    if (n > sizeof p->bytes - p->written)
        return MBEDTLS_ERR_SSL_WANT_WRITE;
    memcpy(p->bytes + p->written, bytes, n);
    p->written += n;
    return (int)n;
}

static int on_receive(void *arg, unsigned char *bytes, size_t n)
{
    struct pipe *p = ((struct side *)arg)->in;
    if (n > p->written - p->read)
        n = p->written - p->read;
    if (n == 0)
        return MBEDTLS_ERR_SSL_WANT_READ;
    memcpy(bytes, p->bytes + p->read, n);
    p->read += n;
    return (int)n;
}

static void side_init(struct side *s, int endpoint)
{
    mbedtls_ssl_config_init(&s->conf);
    mbedtls_ssl_init(&s->ssl);
    assert_int_equal(mbedtls_ssl_config_defaults(&s->conf, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM,
                                                 MBEDTLS_SSL_PRESET_DEFAULT),
                     0);
    mbedtls_ssl_conf_rng(&s->conf, mg_tls_random, NULL);
    mbedtls_ssl_conf_authmode(&s->conf, MBEDTLS_SSL_VERIFY_NONE);
}

static void side_start(struct side *s)
{
    assert_int_equal(mbedtls_ssl_setup(&s->ssl, &s->conf), 0);
    mbedtls_ssl_set_bio(&s->ssl, s, on_send, on_receive, NULL);
}

static void side_release(struct side *s)
{
    mbedtls_ssl_free(&s->ssl);
    mbedtls_ssl_config_free(&s->conf);
}

static void server_set_up(struct side *s, const struct client *how, bool chacha20_first)
{
    side_init(s, MBEDTLS_SSL_IS_SERVER);
    mg_tls_library_versions(&s->conf, 12, 13);
    mg_tls_library_groups(&s->conf, false);
    if (!how->server_has_all)
        mg_tls_library_suites(&s->conf, chacha20_first);
    assert_int_equal(mbedtls_ssl_conf_own_cert(&s->conf, &ecdsa.chain, &ecdsa.key), 0);
    assert_int_equal(mbedtls_ssl_conf_own_cert(&s->conf, &rsa.chain, &rsa.key), 0);
    side_start(s);
}

static void client_set_up(struct side *s, const struct client *how)
{
    side_init(s, MBEDTLS_SSL_IS_CLIENT);
    mg_tls_library_versions(&s->conf, 12, 12);
    if (how->suites)
        mbedtls_ssl_conf_ciphersuites(&s->conf, how->suites);
    if (how->curves)
        mbedtls_ssl_conf_curves(&s->conf, how->curves);
    if (how->max_minor) {
        mbedtls_ssl_conf_min_version(&s->conf, MBEDTLS_SSL_MAJOR_VERSION_3, how->max_minor);
        mbedtls_ssl_conf_max_version(&s->conf, MBEDTLS_SSL_MAJOR_VERSION_3, how->max_minor);
    }
    side_start(s);
}

/* The curve in a ServerKeyExchange (RFC 8422 5.4), which travels in the clear in TLS 1.2. */
static unsigned group_sent(const struct pipe *p)
{
    for (size_t at = 0; at + 9 < p->written;) {
        const uint8_t *r = p->bytes + at;
        if (r[0] == 22 && r[5] == 12 && r[9] == 3)
            return (unsigned)r[10] << 8 | r[11];
        at += 5 + ((size_t)r[3] << 8 | r[4]);
    }
    return 0;
}

static bool goes_on(int rc)
{
    return rc == 0 || rc == MBEDTLS_ERR_SSL_WANT_READ;
}

static struct outcome shake(const struct client *how, bool chacha20_first)
{
    static struct pipe up, down;
    static struct side client, server;
    struct outcome got = {.done = false};
    up.read = up.written = down.read = down.written = 0;
    client.in = server.out = &down;
    client.out = server.in = &up;
    server_set_up(&server, how, chacha20_first);
    client_set_up(&client, how);
    int c = 1, s = 1;
    for (int turn = 0; turn < 20 && (c != 0 || s != 0); turn++) {
        c = mbedtls_ssl_handshake(&client.ssl);
        s = mbedtls_ssl_handshake(&server.ssl);
        if (!goes_on(c) || !goes_on(s))
            break;
    }
    if (c == 0 && s == 0) {
        got.done = true;
        snprintf(got.version, sizeof got.version, "%s", mbedtls_ssl_get_version(&server.ssl));
        snprintf(got.suite, sizeof got.suite, "%s", mg_tls_library_suite(&server.ssl));
        got.group = group_sent(&down);
    } else {
        assert_string_equal(mg_tls_library_suite(&server.ssl), "");
    }
    side_release(&client);
    side_release(&server);
    return got;
}

#define SUITE(kind, cipher) MBEDTLS_TLS_ECDHE_##kind##_WITH_##cipher

static void suites_in_our_order(void **state)
{
    (void)state;
    static const int RSA_FIRST[] = {
        SUITE(RSA, CHACHA20_POLY1305_SHA256),   SUITE(RSA, AES_256_GCM_SHA384),
        SUITE(ECDSA, CHACHA20_POLY1305_SHA256), SUITE(ECDSA, AES_256_GCM_SHA384),
        SUITE(ECDSA, AES_128_GCM_SHA256),       0};
    static const int RSA_ONLY[] = {SUITE(RSA, CHACHA20_POLY1305_SHA256),
                                   SUITE(RSA, AES_256_GCM_SHA384), SUITE(RSA, AES_128_GCM_SHA256),
                                   0};
    static const int NO_AES_128[] = {SUITE(ECDSA, CHACHA20_POLY1305_SHA256),
                                     SUITE(ECDSA, AES_256_GCM_SHA384), 0};
    static const int MIXED[] = {SUITE(RSA, AES_128_GCM_SHA256),
                                SUITE(ECDSA, CHACHA20_POLY1305_SHA256), 0},
                     MIXED_2[] = {SUITE(RSA, CHACHA20_POLY1305_SHA256),
                                  SUITE(ECDSA, AES_128_GCM_SHA256), 0};
    static const int OLD[] = {SUITE(ECDSA, AES_128_CBC_SHA256), SUITE(RSA, AES_128_CBC_SHA),
                              MBEDTLS_TLS_RSA_WITH_AES_128_GCM_SHA256,
                              MBEDTLS_TLS_DHE_RSA_WITH_AES_128_GCM_SHA256, 0};
    static const struct {
        const int *client;
        bool chacha20_first;
        const char *suite; /* NULL: refused */
    } CASES[] = {
        {RSA_FIRST, false, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
        {RSA_FIRST, true, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"},
        {NO_AES_128, false, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
        {RSA_ONLY, false, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
        {RSA_ONLY, true, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"},
        {MIXED, false, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"},
        {MIXED_2, true, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
        {OLD, false, NULL},
        {OLD, true, NULL},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct client how = {.suites = CASES[i].client};
        struct outcome got = shake(&how, CASES[i].chacha20_first);
        assert_int_equal(got.done, CASES[i].suite != NULL);
        if (got.done)
            assert_string_equal(got.suite, CASES[i].suite);
    }
}

static void curves_in_our_order(void **state)
{
    (void)state;
    static const mbedtls_ecp_group_id ALL[] = {MBEDTLS_ECP_DP_SECP521R1, MBEDTLS_ECP_DP_SECP384R1,
                                               MBEDTLS_ECP_DP_SECP256R1, MBEDTLS_ECP_DP_CURVE25519,
                                               MBEDTLS_ECP_DP_NONE},
                                      NIST[] = {MBEDTLS_ECP_DP_SECP384R1, MBEDTLS_ECP_DP_SECP256R1,
                                                MBEDTLS_ECP_DP_NONE},
                                      P384[] = {MBEDTLS_ECP_DP_SECP384R1, MBEDTLS_ECP_DP_NONE},
                                      P521[] = {MBEDTLS_ECP_DP_SECP521R1, MBEDTLS_ECP_DP_NONE},
                                      KOBLITZ[] = {MBEDTLS_ECP_DP_SECP256K1, MBEDTLS_ECP_DP_NONE};
    static const struct {
        const mbedtls_ecp_group_id *client;
        unsigned group; /* 0: refused */
    } CASES[] = {{ALL, 0x1d}, {NIST, 0x17}, {P384, 0x18}, {P521, 0}, {KOBLITZ, 0}};
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct outcome got = shake(&(struct client){.curves = CASES[i].client}, false);
        assert_int_equal(got.done, CASES[i].group != 0);
        assert_int_equal(got.group, CASES[i].group);
    }
}

static void versions(void **state)
{
    (void)state;
    static const struct {
        int max_minor;
        const char *version; /* NULL: refused */
    } CASES[] = {
        {MBEDTLS_SSL_MINOR_VERSION_3, "TLSv1.2"},
#if MBEDTLS_VERSION_NUMBER < 0x03000000
        {MBEDTLS_SSL_MINOR_VERSION_2, NULL},
        {MBEDTLS_SSL_MINOR_VERSION_1, NULL},
#endif
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct outcome got =
            shake(&(struct client){.max_minor = CASES[i].max_minor, .server_has_all = true}, false);
        assert_int_equal(got.done, CASES[i].version != NULL);
        if (got.done)
            assert_string_equal(got.version, CASES[i].version);
    }
    assert_true(mg_tls_library_max_version() == 12 || mg_tls_library_max_version() == 13);
}

static void texts(void **state)
{
    (void)state;
    char text[160];
    const char *version = mg_tls_library_version();
    assert_true(strncmp(version, "2.28.", 5) == 0 || strncmp(version, "3.", 2) == 0);
    assert_ptr_equal(mg_tls_library_version(), version);
    assert_non_null(
        strstr(mg_tls_library_error(MBEDTLS_ERR_X509_INVALID_FORMAT, text, sizeof text), "X509"));
}

static void times(void **state)
{
    (void)state;
    static const struct {
        mbedtls_x509_time time;
        double seconds;
    } CASES[] = {
        {{1970, 1, 1, 0, 0, 0}, 0},
        {{1969, 12, 31, 23, 59, 59}, -1},
        {{2000, 2, 29, 12, 0, 1}, 951825601},
        {{2038, 1, 19, 3, 14, 8}, 2147483648.0},
        {{9999, 12, 31, 23, 59, 59}, 253402300799.0}, /* RFC 5280 4.1.2.5: no end */
    };
    for (size_t i = 0; i < COUNT(CASES); i++)
        assert_true(mg_tls_library_time(&CASES[i].time) == CASES[i].seconds);
}

static void read_credentials(struct mg_tls_credentials *c, enum test_key key)
{
    struct mg_error err = {""};
    struct test_cert *cert = test_leaf_new(NULL, key, "DNS:a.example");
    enum mg_rc rc = mg_tls_credentials_parse(c, mg_str_c(cert->cert_pem), mg_str_c(cert->key_pem),
                                             MG_STR_NONE, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(rc, MG_OK);
    test_cert_free(cert);
}

static int set_up(void **state)
{
    (void)state;
    mg_tls_library_start();
    mg_tls_library_start();
    read_credentials(&ecdsa, TEST_KEY_P256);
    read_credentials(&rsa, TEST_KEY_RSA2048);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mg_tls_credentials_release(&ecdsa);
    mg_tls_credentials_release(&rsa);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(suites_in_our_order),
        cmocka_unit_test(curves_in_our_order),
        cmocka_unit_test(versions),
        cmocka_unit_test(texts),
        cmocka_unit_test(times),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
