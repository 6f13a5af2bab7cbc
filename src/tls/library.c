/* The differences between Mbed TLS 2.28 and 3.6. Any thread. */
#include "tls/library.h"

#include <mbedtls/error.h>
#include <mbedtls/ssl_ciphersuites.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "crypto/random.h"

#if MBEDTLS_VERSION_NUMBER >= 0x03000000
#define IS_3 1
#include <psa/crypto.h>
#else
#define IS_3 0
#endif

/* The message that was read last. */
#if IS_3
#define MESSAGE_OF(ssl) ((ssl)->MBEDTLS_PRIVATE(in_msg))
#else
#define MESSAGE_OF(ssl) ((ssl)->in_msg)
#endif

#if IS_3 && defined(MBEDTLS_SSL_PROTO_TLS1_3)
#define HAS_TLS13 1
#else
#define HAS_TLS13 0
#endif

static char version_text[16];

static void read_version(void)
{
    unsigned v = mbedtls_version_get_number();
    snprintf(version_text, sizeof version_text, "%u.%u.%u", v >> 24, v >> 16 & 0xff, v >> 8 & 0xff);
}

/* Of the library at run time, which a package update may have made newer than its headers. */
const char *mg_tls_library_version(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, read_version);
    return version_text;
}

int mg_tls_random(void *unused, unsigned char *out, size_t n)
{
    (void)unused;
    mg_random_bytes(out, n);
    return 0;
}

const char *mg_tls_library_error(int code, char *buf, size_t size)
{
    mbedtls_strerror(code, buf, size);
    return buf;
}

double mg_tls_library_time(const mbedtls_x509_time *t)
{
    struct tm tm = {.tm_year = t->year - 1900,
                    .tm_mon = t->mon - 1,
                    .tm_mday = t->day,
                    .tm_hour = t->hour,
                    .tm_min = t->min,
                    .tm_sec = t->sec};
    return (double)timegm(&tm);
}

#if IS_3

void mg_tls_library_start(void)
{
    /* TLS 1.3 goes through it, and so do some keys. */
    psa_status_t status = psa_crypto_init();
    MG_BUG_ON(status != PSA_SUCCESS);
}

int mg_tls_library_parse_key(mbedtls_pk_context *key, struct mg_str bytes, struct mg_str password)
{
    return mbedtls_pk_parse_key(key, (const unsigned char *)bytes.p, bytes.n,
                                password.n ? (const unsigned char *)password.p : NULL, password.n,
                                mg_tls_random, NULL);
}

int mg_tls_library_check_pair(const mbedtls_pk_context *public_half, const mbedtls_pk_context *key)
{
    return mbedtls_pk_check_pair(public_half, key, mg_tls_random, NULL);
}

mbedtls_ecp_group_id mg_tls_library_curve(const mbedtls_pk_context *key)
{
    if (!mbedtls_pk_can_do(key, MBEDTLS_PK_ECKEY))
        return MBEDTLS_ECP_DP_NONE;
    return mbedtls_pk_ec(*key)->MBEDTLS_PRIVATE(grp).id;
}

int mg_tls_library_max_version(void)
{
    return HAS_TLS13 ? 13 : 12;
}

static mbedtls_ssl_protocol_version version_of(int v)
{
#if HAS_TLS13
    if (v >= 13)
        return MBEDTLS_SSL_VERSION_TLS1_3;
#endif
    (void)v;
    return MBEDTLS_SSL_VERSION_TLS1_2;
}

void mg_tls_library_versions(mbedtls_ssl_config *conf, int min, int max)
{
    mbedtls_ssl_conf_min_tls_version(conf, version_of(min));
    mbedtls_ssl_conf_max_tls_version(conf, version_of(max));
}

void mg_tls_library_groups(mbedtls_ssl_config *conf, bool p521)
{
    static const uint16_t GROUPS[] = {
        MBEDTLS_SSL_IANA_TLS_GROUP_X25519,
        MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
        MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1,
        MBEDTLS_SSL_IANA_TLS_GROUP_NONE,
    };
    static const uint16_t WITH_P521[] = {
        MBEDTLS_SSL_IANA_TLS_GROUP_X25519,    MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
        MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1, MBEDTLS_SSL_IANA_TLS_GROUP_SECP521R1,
        MBEDTLS_SSL_IANA_TLS_GROUP_NONE,
    };
    mbedtls_ssl_conf_groups(conf, p521 ? WITH_P521 : GROUPS);
}

#else

void mg_tls_library_start(void)
{
}

int mg_tls_library_parse_key(mbedtls_pk_context *key, struct mg_str bytes, struct mg_str password)
{
    return mbedtls_pk_parse_key(key, (const unsigned char *)bytes.p, bytes.n,
                                password.n ? (const unsigned char *)password.p : NULL, password.n);
}

int mg_tls_library_check_pair(const mbedtls_pk_context *public_half, const mbedtls_pk_context *key)
{
    return mbedtls_pk_check_pair(public_half, key);
}

mbedtls_ecp_group_id mg_tls_library_curve(const mbedtls_pk_context *key)
{
    return mbedtls_pk_can_do(key, MBEDTLS_PK_ECKEY) ? mbedtls_pk_ec(*key)->grp.id
                                                    : MBEDTLS_ECP_DP_NONE;
}

int mg_tls_library_max_version(void)
{
    return 12;
}

/* There is but one. */
void mg_tls_library_versions(mbedtls_ssl_config *conf, int min, int max)
{
    (void)min;
    (void)max;
    mbedtls_ssl_conf_min_version(conf, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
    mbedtls_ssl_conf_max_version(conf, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
}

void mg_tls_library_groups(mbedtls_ssl_config *conf, bool p521)
{
    static const mbedtls_ecp_group_id CURVES[] = {
        MBEDTLS_ECP_DP_CURVE25519,
        MBEDTLS_ECP_DP_SECP256R1,
        MBEDTLS_ECP_DP_SECP384R1,
        MBEDTLS_ECP_DP_NONE,
    };
    static const mbedtls_ecp_group_id WITH_P521[] = {
        MBEDTLS_ECP_DP_CURVE25519, MBEDTLS_ECP_DP_SECP256R1, MBEDTLS_ECP_DP_SECP384R1,
        MBEDTLS_ECP_DP_SECP521R1,  MBEDTLS_ECP_DP_NONE,
    };
    mbedtls_ssl_conf_curves(conf, p521 ? WITH_P521 : CURVES);
}

#endif

#if HAS_TLS13
#define AES_13 MBEDTLS_TLS1_3_AES_128_GCM_SHA256, MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
#define CHACHA20_13 MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
#else
#define AES_13
#define CHACHA20_13
#endif

#define AES_12(key)                                                                                \
    MBEDTLS_TLS_ECDHE_##key##_WITH_AES_128_GCM_SHA256,                                             \
        MBEDTLS_TLS_ECDHE_##key##_WITH_AES_256_GCM_SHA384
#define CHACHA20_12(key) MBEDTLS_TLS_ECDHE_##key##_WITH_CHACHA20_POLY1305_SHA256

/* The suite chooses the certificate: RSA only for those who cannot ECDSA. */
void mg_tls_library_suites(mbedtls_ssl_config *conf, bool chacha20_first)
{
    static const int AES_FIRST[] = {AES_13 CHACHA20_13 AES_12(ECDSA), CHACHA20_12(ECDSA),
                                    AES_12(RSA), CHACHA20_12(RSA), 0};
    static const int CHACHA20_FIRST[] = {CHACHA20_13 AES_13 CHACHA20_12(ECDSA), AES_12(ECDSA),
                                         CHACHA20_12(RSA), AES_12(RSA), 0};
    mbedtls_ssl_conf_ciphersuites(conf, chacha20_first ? CHACHA20_FIRST : AES_FIRST);
}

const char *mg_tls_library_suite(const mbedtls_ssl_context *ssl)
{
    static const struct {
        const char *name, *iana;
    } names[] = {
        {"TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
        {"TLS-ECDHE-ECDSA-WITH-AES-256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
        {"TLS-ECDHE-ECDSA-WITH-CHACHA20-POLY1305-SHA256",
         "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"},
        {"TLS-ECDHE-RSA-WITH-AES-128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
        {"TLS-ECDHE-RSA-WITH-AES-256-GCM-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
        {"TLS-ECDHE-RSA-WITH-CHACHA20-POLY1305-SHA256",
         "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"},
        {"TLS1-3-AES-128-GCM-SHA256", "TLS_AES_128_GCM_SHA256"},
        {"TLS1-3-AES-256-GCM-SHA384", "TLS_AES_256_GCM_SHA384"},
        {"TLS1-3-CHACHA20-POLY1305-SHA256", "TLS_CHACHA20_POLY1305_SHA256"},
    };
    const char *name = mbedtls_ssl_get_ciphersuite(ssl);
    for (size_t i = 0; name && i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i].name) == 0)
            return names[i].iana;
    return name ? name : "";
}

const char *mg_tls_library_alert(const mbedtls_ssl_context *ssl)
{
    static const struct {
        unsigned char number;
        const char *words;
    } alerts[] = {
        {10, "the peer says: unexpected message"},
        {20, "the peer says: bad record MAC"},
        {22, "the peer says: record overflow"},
        {40, "the peer says: handshake failure"},
        {42, "the peer says: bad certificate"},
        {43, "the peer says: unsupported certificate"},
        {44, "the peer says: certificate revoked"},
        {45, "the peer says: certificate expired"},
        {46, "the peer says: certificate unknown"},
        {47, "the peer says: illegal parameter"},
        {48, "the peer says: unknown CA"},
        {49, "the peer says: access denied"},
        {50, "the peer says: decode error"},
        {51, "the peer says: decrypt error"},
        {70, "the peer says: protocol version"},
        {71, "the peer says: insufficient security"},
        {80, "the peer says: internal error"},
        {86, "the peer says: inappropriate fallback"},
        {90, "the peer says: user cancelled"},
        {109, "the peer says: missing extension"},
        {110, "the peer says: unsupported extension"},
        {112, "the peer says: unrecognized name"},
        {113, "the peer says: bad certificate status response"},
        {115, "the peer says: unknown PSK identity"},
        {116, "the peer says: certificate required"},
        {120, "the peer says: no application protocol"},
    };
    const unsigned char *message = MESSAGE_OF(ssl); /* level, description */
    for (size_t i = 0; message && i < sizeof alerts / sizeof *alerts; i++)
        if (alerts[i].number == message[1])
            return alerts[i].words;
    return "the peer refuses, and does not say why";
}
