/* A certificate as texts. Pure. */
#include "tls/peer.h"

#include <mbedtls/pem.h>
#include <mbedtls/x509_crt.h>

#include "base/ip.h"
#include "crypto/base64.h"
#include "crypto/digest.h"
#include "tls/dn.h"
#include "tls/library.h"

static struct mg_str hex(struct mg_arena *a, struct mg_str bytes)
{
    char *text = mg_arena_alloc(a, 2 * bytes.n + 1);
    mg_base64_hex_encode(bytes, text);
    text[2 * bytes.n] = 0;
    return mg_str(text, 2 * bytes.n);
}

/* A number, as all tools show it: without the byte that only keeps it positive (X.690 8.3.3), and
 * negative ones (which RFC 5280 4.1.2.2 forbids) with a minus. So no two have the same text. */
static struct mg_str serial_text(struct mg_arena *a, const mbedtls_x509_buf *serial)
{
    uint8_t *bytes = mg_arena_alloc(a, serial->len + 1);
    size_t n = serial->len, skip = 0;
    bool negative = n && serial->p[0] & 0x80;
    unsigned carry = 1;
    for (size_t i = n; i-- > 0;) {
        unsigned byte = serial->p[i];
        if (negative) {
            carry += (uint8_t)~byte;
            byte = carry & 0xff;
            carry >>= 8;
        }
        bytes[i] = (uint8_t)byte;
    }
    while (skip + 1 < n && bytes[skip] == 0)
        skip++;
    struct mg_str text = hex(a, mg_str((const char *)bytes + skip, n - skip));
    return negative ? mg_arena_printf(a, "-%.*s", MG_STR_ARGS(text)) : text;
}

static struct mg_str fingerprint(struct mg_arena *a, struct mg_str der)
{
    uint8_t digest[MG_SHA256_BYTES];
    mg_digest_sha256(der, digest);
    return hex(a, mg_str((const char *)digest, sizeof digest));
}

static struct mg_str pem_text(struct mg_arena *a, struct mg_str der)
{
    /* 64 characters a line, and the two lines around them */
    size_t room = MG_BASE64_ENCODED_MAX(der.n) * 65 / 64 + 64, written = 0;
    char *text = mg_arena_alloc(a, room);
    int rc = mbedtls_pem_write_buffer("-----BEGIN CERTIFICATE-----\n",
                                      "-----END CERTIFICATE-----\n", (const unsigned char *)der.p,
                                      der.n, (unsigned char *)text, room, &written);
    return MG_EXPECT(rc == 0 && written > 0) ? mg_str(text, written - 1) : MG_STR_NONE;
}

static struct mg_str san_text(struct mg_arena *a, enum mg_tls_san_kind kind, struct mg_str value)
{
    if (kind != MG_TLS_SAN_IP)
        return mg_arena_str(a, value);
    char text[MG_IP_TEXT_MAX];
    struct mg_addr addr = mg_tls_san_address(value);
    return mg_arena_str(a, mg_str(text, mg_ip_format(&addr, text)));
}

static void read_sans(struct mg_arena *a, const mbedtls_x509_crt *crt, struct mg_tls_peer_info *out)
{
    struct mg_tls_san_walk walk;
    enum mg_tls_san_kind kind;
    struct mg_str value;
    mg_tls_san_begin(&walk, crt);
    for (out->san_count = 0; mg_tls_san_next(&walk, &kind, &value);)
        out->san_count++;
    out->sans = mg_arena_alloc(a, out->san_count * sizeof *out->sans);
    mg_tls_san_begin(&walk, crt);
    for (size_t i = 0; mg_tls_san_next(&walk, &kind, &value); i++)
        out->sans[i] = (struct mg_tls_san){kind, san_text(a, kind, value)};
}

static enum mg_rc read_names(struct mg_arena *a, const mbedtls_x509_crt *crt,
                             struct mg_tls_peer_info *out, struct mg_error *err)
{
    out->common_name = mg_tls_dn_common_name(&crt->subject_raw, a);
    if (!mg_tls_dn_format(&crt->subject_raw, a, &out->subject) ||
        !mg_tls_dn_format(&crt->issuer_raw, a, &out->issuer))
        return mg_error_set(err, "the certificate's subject or issuer is malformed");
    return MG_OK;
}

static enum mg_rc describe(struct mg_str der, const mbedtls_x509_crt *crt, struct mg_arena *a,
                           struct mg_tls_peer_info *out, struct mg_error *err)
{
    if (crt->raw.len != der.n)
        return mg_error_set(err, "not a certificate: there are bytes behind it");
    if (read_names(a, crt, out, err) != MG_OK)
        return MG_FAIL;
    out->serial = serial_text(a, &crt->serial);
    out->fingerprint = fingerprint(a, der);
    out->not_before = mg_tls_library_time(&crt->valid_from);
    out->not_after = mg_tls_library_time(&crt->valid_to);
    read_sans(a, crt, out);
    out->pem = pem_text(a, der);
    return MG_OK;
}

enum mg_rc mg_tls_peer_describe(struct mg_str der, struct mg_arena *a, struct mg_tls_peer_info *out,
                                struct mg_error *err)
{
    if (der.n > MG_TLS_PEER_DER_MAX)
        return mg_error_set(err, "a certificate of %zu bytes is too large", der.n);
    enum mg_rc rc;
    char text[160];
    mbedtls_x509_crt crt;
    mbedtls_x509_crt_init(&crt);
    int code = mbedtls_x509_crt_parse_der_nocopy(&crt, (const unsigned char *)der.p, der.n);
    if (code == 0)
        rc = describe(der, &crt, a, out, err);
    else
        rc = mg_error_set(err, "not a certificate: %s",
                          mg_tls_library_error(code, text, sizeof text));
    mbedtls_x509_crt_free(&crt);
    return rc;
}
