/*
 * The first bytes of a connection, as far as the list of ciphers (RFC 8446 4.1.2, RFC
 * 5246 7.4.1.2):
 *
 *     0            5           9         11        43                        78 or less
 *     | record     | handshake | version | random  | session id | ciphers .. | ...
 *     | 22 3 x n n | 1 n n n   |         | 32      | n, n bytes | n n, ids   |
 *
 * Each length is believed only as far as it stays in the first record. What does not fit is
 * answered KNOWN at once: for every prefix of what a client sends the answer is MORE, or the one
 * that the whole gets.
 */
#include "tls/hello.h"

#define RECORD_HEAD 5
#define RECORD_HANDSHAKE 22
#define CLIENT_HELLO 1
/* To the session id's length: record, handshake, version, random. */
#define SESSION_AT (RECORD_HEAD + 4 + 2 + 32)
#define SESSION_MAX 32
/* A list of ciphers that ends behind it is not looked at. */
#define LOOK_MAX (16u * 1024)

/* AEAD suites from the IANA registry, other than ChaCha20-Poly1305. GREASE values (0x?a?a) and
 * signalling values (0x00ff, 0x5600) are in none of the ranges, so nothing has to skip them. */
static const struct {
    uint16_t first, last;
} OTHER_AEAD[] = {
    {0x1301, 0x1302}, {0x1304, 0x1307}, /* TLS 1.3: AES-GCM, AES-CCM, AEGIS */
    {0x009c, 0x00ad},                   /* AES-GCM */
    {0xc02b, 0xc032},                   /* ECDHE and ECDH with AES-GCM */
    {0xc050, 0xc063}, {0xc06a, 0xc06f}, /* ARIA-GCM */
    {0xc07a, 0xc093},                   /* Camellia-GCM */
    {0xc09c, 0xc0af},                   /* AES-CCM */
    {0xd001, 0xd005},                   /* ECDHE_PSK with AES-GCM and AES-CCM */
};

static unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static bool is_chacha20(unsigned suite)
{
    return suite == 0x1303 || (suite >= 0xcca8 && suite <= 0xccae);
}

static bool is_other_aead(unsigned suite)
{
    for (size_t i = 0; i < sizeof OTHER_AEAD / sizeof OTHER_AEAD[0]; i++)
        if (suite >= OTHER_AEAD[i].first && suite <= OTHER_AEAD[i].last)
            return true;
    return false;
}

static bool chacha20_comes_first(const uint8_t *suites, size_t bytes)
{
    for (size_t i = 0; i + 1 < bytes; i += 2) {
        unsigned suite = get16(suites + i);
        if (is_chacha20(suite))
            return true;
        if (is_other_aead(suite))
            return false;
    }
    return false;
}

/* Can these be the first bytes of a handshake record of SSL 3.0 to TLS 1.3? (RFC 8446 5.1) */
static bool may_be_tls(const uint8_t *p, size_t n)
{
    return (n < 1 || p[0] == RECORD_HANDSHAKE) && (n < 2 || p[1] == 3) && (n < 3 || p[2] <= 4);
}

enum mg_tls_hello_state mg_tls_hello_look(const uint8_t *p, size_t n, struct mg_tls_hello *out)
{
    *out = (struct mg_tls_hello){.prefers_chacha20 = false};
    if (!may_be_tls(p, n))
        return MG_TLS_HELLO_NOT_TLS;
    if (n < RECORD_HEAD)
        return MG_TLS_HELLO_MORE;

    size_t end = RECORD_HEAD + get16(p + 3); /* of what may be looked at */
    if (end > LOOK_MAX)
        end = LOOK_MAX;
    if (end < SESSION_AT + 1)
        return MG_TLS_HELLO_KNOWN;
    if (n < SESSION_AT + 1)
        return n > RECORD_HEAD && p[RECORD_HEAD] != CLIENT_HELLO ? MG_TLS_HELLO_KNOWN
                                                                 : MG_TLS_HELLO_MORE;
    if (p[RECORD_HEAD] != CLIENT_HELLO || p[SESSION_AT] > SESSION_MAX)
        return MG_TLS_HELLO_KNOWN;

    size_t ciphers = SESSION_AT + 1 + p[SESSION_AT];
    if (ciphers + 2 > end)
        return MG_TLS_HELLO_KNOWN;
    if (ciphers + 2 > n)
        return MG_TLS_HELLO_MORE;
    size_t bytes = get16(p + ciphers);
    if (bytes % 2 || ciphers + 2 + bytes > end)
        return MG_TLS_HELLO_KNOWN;
    if (ciphers + 2 + bytes > n)
        return MG_TLS_HELLO_MORE;
    out->prefers_chacha20 = chacha20_comes_first(p + ciphers + 2, bytes);
    return MG_TLS_HELLO_KNOWN;
}
