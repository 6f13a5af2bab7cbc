/* subjectAltName from DER. Pure. */
#include "tls/san.h"

#include <mbedtls/asn1.h>

#include "base/ip.h"
#include "tls/dn.h"
#include "tls/names.h"

#define SEQUENCE (MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE)

/* GeneralName's tags: rfc822Name, dNSName, uniformResourceIdentifier, iPAddress; implicit. */
enum { TAG_EMAIL = 0x81, TAG_DNS = 0x82, TAG_URI = 0x86, TAG_IP = 0x87 };

/* Takes one Extension off `*p`; its name and its octets. */
static bool next_extension(unsigned char **p, unsigned char *end, struct mg_str *oid,
                           unsigned char **value, unsigned char **value_end)
{
    size_t n;
    int critical;
    if (mbedtls_asn1_get_tag(p, end, &n, SEQUENCE) != 0)
        return false;
    unsigned char *at = *p, *own_end = at + n;
    *p = own_end;
    if (mbedtls_asn1_get_tag(&at, own_end, &n, MBEDTLS_ASN1_OID) != 0)
        return false;
    *oid = mg_str((const char *)at, n);
    at += n;
    int rc = mbedtls_asn1_get_bool(&at, own_end, &critical);
    if (rc != 0 && rc != MBEDTLS_ERR_ASN1_UNEXPECTED_TAG)
        return false;
    if (mbedtls_asn1_get_tag(&at, own_end, &n, MBEDTLS_ASN1_OCTET_STRING) != 0)
        return false;
    *value = at;
    *value_end = at + n;
    return true;
}

void mg_tls_san_begin(struct mg_tls_san_walk *walk, const mbedtls_x509_crt *crt)
{
    static const char ID_CE_SUBJECT_ALT_NAME[] = {0x55, 0x1d, 0x11};
    const struct mg_str wanted = mg_str(ID_CE_SUBJECT_ALT_NAME, sizeof ID_CE_SUBJECT_ALT_NAME);
    *walk = (struct mg_tls_san_walk){NULL, NULL, false};
    unsigned char *p = crt->v3_ext.p, *value, *value_end;
    struct mg_str oid;
    size_t n;
    if (!p)
        return;
    unsigned char *end = p + crt->v3_ext.len;
    if (mbedtls_asn1_get_tag(&p, end, &n, SEQUENCE) != 0)
        return;
    while (next_extension(&p, end, &oid, &value, &value_end)) {
        if (!mg_str_eq(oid, wanted))
            continue;
        walk->present = true;
        if (mbedtls_asn1_get_tag(&value, value_end, &n, SEQUENCE) == 0) {
            walk->_at = value;
            walk->_end = value + n;
        }
        return;
    }
}

static bool is_printable(struct mg_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return false;
    return s.n > 0;
}

static bool is_known(int tag, struct mg_str value, enum mg_tls_san_kind *kind)
{
    switch (tag) {
    case TAG_DNS:
        *kind = MG_TLS_SAN_DNS;
        return is_printable(value);
    case TAG_EMAIL:
        *kind = MG_TLS_SAN_EMAIL;
        return is_printable(value);
    case TAG_URI:
        *kind = MG_TLS_SAN_URI;
        return is_printable(value);
    case TAG_IP:
        *kind = MG_TLS_SAN_IP;
        return value.n == 4 || value.n == 16;
    default:
        return false;
    }
}

bool mg_tls_san_next(struct mg_tls_san_walk *walk, enum mg_tls_san_kind *kind, struct mg_str *value)
{
    while (walk->_at < walk->_end) {
        int tag = *walk->_at++;
        size_t n;
        if (mbedtls_asn1_get_len(&walk->_at, walk->_end, &n) != 0)
            break;
        *value = mg_str((const char *)walk->_at, n);
        walk->_at += n;
        if (is_known(tag, *value, kind))
            return true;
    }
    walk->_at = walk->_end;
    return false;
}

struct mg_addr mg_tls_san_address(struct mg_str value)
{
    const uint8_t *bytes = (const uint8_t *)value.p;
    return value.n == 4 ? mg_ip_from_v4(bytes) : mg_ip_from_v6(bytes);
}

bool mg_tls_san_answers_for(const mbedtls_x509_crt *crt, struct mg_str host)
{
    struct mg_addr wanted;
    bool is_address = mg_ip_parse(host, &wanted);
    struct mg_tls_san_walk walk;
    enum mg_tls_san_kind kind;
    struct mg_str value;
    mg_tls_san_begin(&walk, crt);
    while (mg_tls_san_next(&walk, &kind, &value)) {
        if (is_address && kind == MG_TLS_SAN_IP) {
            struct mg_addr has = mg_tls_san_address(value);
            if (mg_ip_eq(&has, &wanted))
                return true;
        } else if (!is_address && kind == MG_TLS_SAN_DNS && mg_tls_name_matches(value, host)) {
            return true;
        }
    }
    return !walk.present && !is_address && mg_tls_dn_common_name_bytes(&crt->subject_raw, &value) &&
           mg_tls_name_matches(value, host);
}
