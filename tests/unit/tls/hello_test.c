/* The look at a connection's first bytes: every answer, for every prefix. */
#include "tls/hello.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])
#define HELLO_MAX (20 * 1024)

struct hello {
    uint8_t bytes[HELLO_MAX];
    size_t n;
};

/* What is odd about a hello; 0: nothing. */
struct oddity {
    size_t session_bytes, padding_bytes;
    unsigned record_length, cipher_bytes; /* instead of the true ones */
    uint8_t handshake_type;               /* instead of 1 */
    uint8_t session_length;               /* instead of the true one */
};

static void put(struct hello *h, size_t n, unsigned value)
{
    for (size_t i = n; i-- > 0;)
        h->bytes[h->n++] = (uint8_t)(value >> (8 * i));
}

static void make(struct hello *h, const uint16_t *suites, size_t count, const struct oddity *odd)
{
    static const struct oddity NONE;
    odd = odd ? odd : &NONE;
    size_t body = 2 + 32 + 1 + odd->session_bytes + 2 + 2 * count + 2 + odd->padding_bytes;
    memset(h, 0, sizeof *h);
    put(h, 1, 22);
    put(h, 2, 0x0301);
    put(h, 2, odd->record_length ? odd->record_length : (unsigned)body + 4);
    put(h, 1, odd->handshake_type ? odd->handshake_type : 1);
    put(h, 3, (unsigned)body);
    put(h, 2, 0x0303);
    h->n += 32;
    put(h, 1, odd->session_length ? odd->session_length : (unsigned)odd->session_bytes);
    h->n += odd->session_bytes;
    put(h, 2, odd->cipher_bytes ? odd->cipher_bytes : (unsigned)(2 * count));
    for (size_t i = 0; i < count; i++)
        put(h, 2, suites[i]);
    put(h, 2, 0x0100);
    h->n += odd->padding_bytes;
}

static enum mg_tls_hello_state look(const struct hello *h, size_t n, struct mg_tls_hello *out)
{
    uint8_t *piece = malloc(n ? n : 1); /* of its own size, so that a read past it is seen */
    memcpy(piece, h->bytes, n);
    enum mg_tls_hello_state got = mg_tls_hello_look(piece, n, out);
    free(piece);
    return got;
}

/* The whole is KNOWN with `chacha20`, and every prefix is MORE or the same. */
static void check(const struct hello *h, const char *what, bool chacha20)
{
    bool decided = false;
    for (size_t i = 0; i <= h->n; i += i > 2048 ? 500 : 1) {
        size_t n = i + 500 > h->n && i > 2048 ? h->n : i;
        struct mg_tls_hello out = {.prefers_chacha20 = !chacha20};
        enum mg_tls_hello_state got = look(h, n, &out);
        if (got == MG_TLS_HELLO_KNOWN && out.prefers_chacha20 == chacha20)
            decided = true;
        else if (got != MG_TLS_HELLO_MORE || decided || n >= 16 * 1024)
            fail_msg("%s: %d after %zu bytes", what, (int)got, n);
    }
    if (!decided)
        fail_msg("%s: no answer", what);
}

static void preferences(void **state)
{
    (void)state;
    static const struct {
        const char *client;
        uint16_t suites[24];
        bool chacha20;
    } CASES[] = {
        {"Chrome on a PC",
         {0x5a5a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8},
         false},
        {"Chrome without AES",
         {0xcaca, 0x1303, 0x1301, 0x1302, 0xcca9, 0xcca8, 0xc02b, 0xc02f},
         true},
        {"Firefox", {0x1301, 0x1303, 0x1302, 0xc02b, 0xc02f, 0xcca9, 0xcca8}, false},
        {"OpenSSL", {0x1302, 0x1303, 0x1301, 0xc02c, 0xc030, 0x009f, 0xcca9, 0x00ff}, false},
        {"TLS 1.2, ChaCha20 first", {0xcca9, 0xc02b}, true},
        {"RSA ChaCha20 only", {0xcca8}, true},
        {"CBC suites do not count", {0xc009, 0xc013, 0x002f, 0xcca8, 0xc02f}, true},
        {"neither do signals", {0x00ff, 0x5600, 0x1303}, true},
        {"all GREASE",
         {0x0a0a, 0x1a1a, 0x2a2a, 0x3a3a, 0x4a4a, 0x5a5a, 0x6a6a, 0x7a7a, 0x8a8a, 0x9a9a, 0xaaaa,
          0xbaba, 0xcaca, 0xdada, 0xeaea, 0xfafa, 0xcca9, 0xc02b},
         true},
        {"CCM", {0xc0ac, 0xcca9}, false},
        {"RSA key exchange with GCM", {0x009c, 0xcca9}, false},
        {"ARIA to the last", {0xc063, 0xcca9}, false},
        {"no AEAD", {0xc013, 0x002f}, false},
        {"nothing", {0}, false},
    };
    static struct hello h;
    for (size_t i = 0; i < COUNT(CASES); i++) {
        size_t count = 0;
        while (count < COUNT(CASES[i].suites) && CASES[i].suites[count])
            count++;
        make(&h, CASES[i].suites, count, NULL);
        check(&h, CASES[i].client, CASES[i].chacha20);
    }
}

static void odd_hellos(void **state)
{
    (void)state;
    static const uint16_t SUITES[] = {0x1303, 0x1301};
    static const struct {
        const char *what;
        struct oddity odd;
        bool chacha20;
    } CASES[] = {
        {"a session id of 32", {.session_bytes = 32}, true},
        {"a session id of 33", {.session_bytes = 33}, false},
        {"a session id that is not there", {.session_length = 0xff}, false},
        {"a large key share", {.padding_bytes = 1500}, true},
        {"as large as a record", {.padding_bytes = 16384 - 4 - 2 - 32 - 1 - 2 - 4 - 2}, true},
        {"an empty record", {.record_length = 1}, false},
        {"ciphers in the next record", {.record_length = 40}, false},
        {"ciphers half in the next record", {.record_length = 4 + 34 + 1 + 2 + 2}, false},
        {"the rest in the next record", {.record_length = 4 + 34 + 1 + 2 + 4}, true},
        {"a record beyond all bounds", {.record_length = 0xffff, .padding_bytes = 100}, true},
        {"an odd number of cipher bytes", {.cipher_bytes = 3}, false},
        {"ciphers to behind the record", {.cipher_bytes = 0xfffe, .padding_bytes = 300}, false},
        {"ciphers to behind what is looked at",
         {.cipher_bytes = 16384 - 40, .padding_bytes = 16384 - 100},
         false},
        {"a ServerHello", {.handshake_type = 2}, false},
        {"a HelloRequest", {.handshake_type = 0xff}, false},
    };
    static struct hello h;
    for (size_t i = 0; i < COUNT(CASES); i++) {
        make(&h, SUITES, COUNT(SUITES), &CASES[i].odd);
        check(&h, CASES[i].what, CASES[i].chacha20);
    }
}

/* A list of ciphers that ends behind 16 KiB, but in its record. */
static void not_looked_at_further(void **state)
{
    (void)state;
    enum { SUITES = (16384 + 2 - 46) / 2 };
    static struct hello h;
    static uint16_t suites[SUITES] = {0x1303};
    struct mg_tls_hello out;
    make(&h, suites, SUITES, NULL);
    assert_int_equal(look(&h, 16383, &out), MG_TLS_HELLO_KNOWN);
    assert_false(out.prefers_chacha20);
    check(&h, "one too many", false);
    make(&h, suites, SUITES - 1, NULL);
    assert_int_equal(look(&h, 16383, &out), MG_TLS_HELLO_MORE);
    check(&h, "as many as can be", true);
}

static void first_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        enum mg_tls_hello_state state;
    } CASES[] = {
        {"", 0, MG_TLS_HELLO_MORE},
        {"\x16", 1, MG_TLS_HELLO_MORE},
        {"\x16\x03", 2, MG_TLS_HELLO_MORE},
        {"\x16\x03\x01", 3, MG_TLS_HELLO_MORE},
        {"\x16\x03\x00\x01", 4, MG_TLS_HELLO_MORE},
        {"\x16\x03\x04\x01\x00", 5, MG_TLS_HELLO_MORE},
        {"\x16\x03\x03\x00\x00", 5, MG_TLS_HELLO_KNOWN},
        {"G", 1, MG_TLS_HELLO_NOT_TLS},
        {"GET / HTTP/1.1\r\n\r\n", 18, MG_TLS_HELLO_NOT_TLS},
        {"PRI * HTTP/2.0\r\n", 16, MG_TLS_HELLO_NOT_TLS},
        {"PROXY TCP4 ", 11, MG_TLS_HELLO_NOT_TLS},
        {"SSH-2.0-x\r\n", 11, MG_TLS_HELLO_NOT_TLS},
        {"\x80\x2e\x01\x03\x01", 5, MG_TLS_HELLO_NOT_TLS},         /* SSL 2.0 */
        {"\x15\x03\x01\x00\x02\x02\x28", 7, MG_TLS_HELLO_NOT_TLS}, /* an alert */
        {"\x17\x03\x03\x00\x10", 5, MG_TLS_HELLO_NOT_TLS},         /* data */
        {"\x16\x02", 2, MG_TLS_HELLO_NOT_TLS},
        {"\x16\x03\x05", 3, MG_TLS_HELLO_NOT_TLS},
        {"\x16\xfe\xfd", 3, MG_TLS_HELLO_NOT_TLS}, /* DTLS */
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct mg_tls_hello out;
        assert_int_equal(mg_tls_hello_look((const uint8_t *)CASES[i].bytes, CASES[i].n, &out),
                         CASES[i].state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(preferences),
        cmocka_unit_test(odd_hellos),
        cmocka_unit_test(not_looked_at_further),
        cmocka_unit_test(first_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
