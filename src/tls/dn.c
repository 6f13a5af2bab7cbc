/* Distinguished names, from DER to the text of RFC 4514. Pure. */
#include "tls/dn.h"

#include <mbedtls/asn1.h>
#include <stdint.h>

#include "base/buf.h"

#define SEQUENCE (MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE)
#define SET (MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SET)

/* Of the text. Escapes make bytes three, so the longest name that comes in a handshake fits. */
#define TEXT_MAX (64u * 1024)

struct attribute {
    struct mg_str oid;
    int tag; /* of the value */
    struct mg_str value;
    struct mg_str ber;  /* the value with its tag and length */
    bool continues_rdn; /* belongs to the RDN of the attribute before it */
};

struct walk {
    unsigned char *at, *end;
    unsigned char *rdn_end; /* of the RDN that `at` is in */
};

static const struct {
    struct mg_str oid;
    const char *name;
} NAMES[] = {
    /* RFC 4514 3 */
    {{"\x55\x04\x03", 3}, "CN"},
    {{"\x55\x04\x07", 3}, "L"},
    {{"\x55\x04\x08", 3}, "ST"},
    {{"\x55\x04\x0a", 3}, "O"},
    {{"\x55\x04\x0b", 3}, "OU"},
    {{"\x55\x04\x06", 3}, "C"},
    {{"\x55\x04\x09", 3}, "STREET"},
    {{"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19", 10}, "DC"},
    {{"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01", 10}, "UID"},
    /* Others that certificates have, under the names that libcrypto writes. */
    {{"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01", 9}, "emailAddress"},
    {{"\x55\x04\x04", 3}, "SN"},
    {{"\x55\x04\x05", 3}, "serialNumber"},
    {{"\x55\x04\x0c", 3}, "title"},
    {{"\x55\x04\x0f", 3}, "businessCategory"},
    {{"\x55\x04\x11", 3}, "postalCode"},
    {{"\x55\x04\x2a", 3}, "GN"},
    {{"\x55\x04\x2b", 3}, "initials"},
    {{"\x55\x04\x2c", 3}, "generationQualifier"},
    {{"\x55\x04\x2e", 3}, "dnQualifier"},
    {{"\x55\x04\x41", 3}, "pseudonym"},
    {{"\x55\x04\x61", 3}, "organizationIdentifier"},
};

static const char *name_of(struct mg_str oid)
{
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++)
        if (mg_str_eq(NAMES[i].oid, oid))
            return NAMES[i].name;
    return NULL;
}

/* --- reading --- */

static bool walk_begin(struct walk *w, const mbedtls_x509_buf *name)
{
    size_t n;
    *w = (struct walk){name->p, name->p + name->len, NULL};
    if (mbedtls_asn1_get_tag(&w->at, w->end, &n, SEQUENCE) != 0 || w->at + n != w->end)
        return false;
    w->rdn_end = w->at;
    return true;
}

/* 1: `out` has the next one. 0: that was all. -1: malformed. */
static int walk_next(struct walk *w, struct attribute *out)
{
    size_t n;
    out->continues_rdn = w->at < w->rdn_end;
    if (w->at == w->end)
        return 0;
    if (!out->continues_rdn) {
        if (mbedtls_asn1_get_tag(&w->at, w->end, &n, SET) != 0 || n == 0)
            return -1;
        w->rdn_end = w->at + n;
    }
    if (mbedtls_asn1_get_tag(&w->at, w->rdn_end, &n, SEQUENCE) != 0)
        return -1;
    unsigned char *pair_end = w->at + n;
    if (mbedtls_asn1_get_tag(&w->at, pair_end, &n, MBEDTLS_ASN1_OID) != 0)
        return -1;
    out->oid = mg_str((const char *)w->at, n);
    w->at += n;
    if (w->at == pair_end)
        return -1;
    out->ber = mg_str((const char *)w->at, (size_t)(pair_end - w->at));
    out->tag = *w->at++;
    if (mbedtls_asn1_get_len(&w->at, pair_end, &n) != 0 || w->at + n != pair_end)
        return -1;
    out->value = mg_str((const char *)w->at, n);
    w->at = pair_end;
    return 1;
}

/* Code points from strings of ASN.1. Bytes from `at`, how many they were or 0 for what is none. */

static size_t utf8_char(const uint8_t *p, size_t n, uint32_t *c)
{
    static const uint32_t LEAST[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (p[0] >= 0xf8 || (p[0] & 0xc0) == 0x80 || length > n)
        return 0;
    *c = length == 1 ? p[0] : p[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        *c = *c << 6 | (p[i] & 0x3f);
    }
    return *c < LEAST[length] ? 0 : length;
}

static size_t next_char(const struct attribute *a, size_t at, uint32_t *c)
{
    const uint8_t *p = (const uint8_t *)a->value.p + at;
    size_t n = a->value.n - at;
    switch (a->tag) {
    case MBEDTLS_ASN1_UTF8_STRING:
        return utf8_char(p, n, c);
    case MBEDTLS_ASN1_PRINTABLE_STRING:
    case MBEDTLS_ASN1_IA5_STRING:
        *c = p[0];
        return *c < 0x80;
    case MBEDTLS_ASN1_T61_STRING: /* Latin-1, as everybody uses it */
        *c = p[0];
        return 1;
    case MBEDTLS_ASN1_BMP_STRING:
        if (n < 2)
            return 0;
        *c = (uint32_t)p[0] << 8 | p[1];
        return 2;
    case MBEDTLS_ASN1_UNIVERSAL_STRING:
        if (n < 4)
            return 0;
        *c = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        return 4;
    default:
        return 0;
    }
}

/* --- writing --- */

/* Surrogates are no characters, not even two of them in a BMPString. */
static size_t utf8_encode(uint32_t c, char out[4])
{
    if (c >= 0x110000 || (c >= 0xd800 && c < 0xe000))
        return 0;
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    static const uint8_t LEAD[] = {0, 0, 0xc0, 0xe0, 0xf0};
    out[0] = (char)(LEAD[n] | c);
    return n;
}

/* Also those of ISO 6429 above ASCII: a terminal may obey them. */
static bool is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

/* RFC 4514 2.4 */
static void add_escaped(struct mg_buf *out, uint32_t c, bool first, bool last)
{
    char bytes[4];
    size_t n = utf8_encode(c, bytes);
    if (is_control(c)) {
        for (size_t i = 0; i < n; i++)
            mg_buf_printf(out, "\\%02X", (unsigned)(uint8_t)bytes[i]);
        return;
    }
    if ((c < 0x80 && strchr("\"+,;<>\\", (int)c)) || (c == ' ' && (first || last)) ||
        (c == '#' && first))
        mg_buf_add_char(out, '\\');
    mg_buf_add(out, bytes, n);
}

static bool is_text(int tag)
{
    return tag == MBEDTLS_ASN1_UTF8_STRING || tag == MBEDTLS_ASN1_PRINTABLE_STRING ||
           tag == MBEDTLS_ASN1_IA5_STRING || tag == MBEDTLS_ASN1_T61_STRING ||
           tag == MBEDTLS_ASN1_BMP_STRING || tag == MBEDTLS_ASN1_UNIVERSAL_STRING;
}

/* False, and nothing added: it is not the text that its tag says. */
static bool add_text(struct mg_buf *out, const struct attribute *a)
{
    size_t start = out->n;
    if (!is_text(a->tag))
        return false;
    for (size_t at = 0, n; at < a->value.n; at += n) {
        uint32_t c;
        char unused[4];
        n = next_char(a, at, &c);
        if (n == 0 || utf8_encode(c, unused) == 0) {
            out->n = start;
            return false;
        }
        add_escaped(out, c, at == 0, at + n == a->value.n);
    }
    return true;
}

static void add_hex(struct mg_buf *out, struct mg_str bytes)
{
    for (size_t i = 0; i < bytes.n; i++)
        mg_buf_printf(out, "%02x", (unsigned)(uint8_t)bytes.p[i]);
}

/* Numbers of an OBJECT IDENTIFIER (X.690 8.19). False, and nothing added: malformed, or one is
 * greater than 2^64. */
static bool add_numbers(struct mg_buf *out, struct mg_str oid)
{
    size_t start = out->n;
    uint64_t v = 0;
    bool inside = false, first = true;
    for (size_t i = 0; i < oid.n; i++) {
        uint8_t byte = (uint8_t)oid.p[i];
        if ((!inside && byte == 0x80) || v >> 57)
            goto fail;
        v = v << 7 | (byte & 0x7f);
        inside = byte & 0x80;
        if (inside)
            continue;
        if (first) {
            unsigned root = v < 80 ? (unsigned)v / 40 : 2;
            mg_buf_printf(out, "%u.%llu", root, (unsigned long long)(v - root * 40));
        } else {
            mg_buf_printf(out, ".%llu", (unsigned long long)v);
        }
        first = false;
        v = 0;
    }
    if (!inside && !first)
        return true;
fail:
    out->n = start;
    return false;
}

static void add_attribute(struct mg_buf *out, const struct attribute *a)
{
    const char *name = name_of(a->oid);
    if (name) {
        mg_buf_add_c(out, name);
    } else if (!add_numbers(out, a->oid)) {
        mg_buf_add_c(out, "oid-"); /* RFC 4514 has no word for it; this is at least unlike others */
        add_hex(out, a->oid);
    }
    mg_buf_add_char(out, '=');
    if (name && add_text(out, a))
        return;
    mg_buf_add_char(out, '#');
    add_hex(out, a->ber);
}

/* The attributes in an array in the arena, or NULL. */
static struct attribute *collect(const mbedtls_x509_buf *name, struct mg_arena *a, size_t *count)
{
    struct walk w;
    struct attribute one;
    int rc;
    if (!walk_begin(&w, name))
        return NULL;
    for (*count = 0; (rc = walk_next(&w, &one)) > 0;)
        ++*count;
    if (rc < 0)
        return NULL;
    struct attribute *all = mg_arena_alloc(a, *count * sizeof *all);
    walk_begin(&w, name);
    for (size_t i = 0; i < *count; i++)
        walk_next(&w, &all[i]);
    return all;
}

bool mg_tls_dn_format(const mbedtls_x509_buf *name, struct mg_arena *a, struct mg_str *out)
{
    size_t count;
    struct attribute *all = collect(name, a, &count);
    if (!all)
        return false;
    struct mg_buf text;
    mg_buf_init(&text, TEXT_MAX);
    for (size_t end = count, start; end > 0; end = start) {
        for (start = end - 1; all[start].continues_rdn;)
            start--;
        for (size_t i = start; i < end; i++) {
            if (text.n)
                mg_buf_add_char(&text, i > start ? '+' : ',');
            add_attribute(&text, &all[i]);
        }
    }
    bool fits = !text.failed;
    if (fits)
        *out = mg_arena_str(a, mg_buf_str(&text));
    mg_buf_release(&text);
    return fits;
}

static bool last_common_name(const mbedtls_x509_buf *name, struct attribute *out)
{
    static const struct mg_str ID_AT_COMMON_NAME = {"\x55\x04\x03", 3};
    struct walk w;
    struct attribute one;
    bool found = false;
    if (!walk_begin(&w, name))
        return false;
    while (walk_next(&w, &one) > 0) {
        if (mg_str_eq(one.oid, ID_AT_COMMON_NAME)) {
            *out = one;
            found = true;
        }
    }
    return found;
}

struct mg_str mg_tls_dn_common_name(const mbedtls_x509_buf *name, struct mg_arena *a)
{
    struct attribute cn;
    if (!last_common_name(name, &cn) || !is_text(cn.tag))
        return MG_STR_NONE;
    /* No encoding takes fewer than half the bytes of UTF-8. */
    char *text = mg_arena_alloc(a, 2 * cn.value.n + 1);
    size_t length = 0;
    for (size_t at = 0, n; at < cn.value.n; at += n) {
        uint32_t c;
        char bytes[4];
        n = next_char(&cn, at, &c);
        size_t more = n ? utf8_encode(c, bytes) : 0;
        if (more == 0 || is_control(c))
            return MG_STR_NONE;
        memcpy(text + length, bytes, more);
        length += more;
    }
    text[length] = 0;
    return mg_str(text, length);
}

bool mg_tls_dn_common_name_bytes(const mbedtls_x509_buf *name, struct mg_str *bytes)
{
    struct attribute cn;
    if (!last_common_name(name, &cn) || !is_text(cn.tag) || cn.tag == MBEDTLS_ASN1_BMP_STRING ||
        cn.tag == MBEDTLS_ASN1_UNIVERSAL_STRING)
        return false;
    *bytes = cn.value;
    return true;
}
