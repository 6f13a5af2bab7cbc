/*
 * SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF"), with one compression and
 * three finalisation rounds: enough against bucket flooding, where an attacker never sees the
 * values. Pure.
 */
#include "base/hash.h"

#include <errno.h>
#include <sys/random.h>

#include "base/error.h"

struct sip {
    uint64_t a, b, c, d;
};

static inline uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static inline uint64_t load_le(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

static inline void sip_round(struct sip *s)
{
    s->a += s->b;
    s->c += s->d;
    s->b = rotate(s->b, 13) ^ s->a;
    s->d = rotate(s->d, 16) ^ s->c;
    s->a = rotate(s->a, 32);
    s->c += s->b;
    s->a += s->d;
    s->b = rotate(s->b, 17) ^ s->c;
    s->d = rotate(s->d, 21) ^ s->a;
    s->c = rotate(s->c, 32);
}

static inline void sip_word(struct sip *s, uint64_t word)
{
    s->d ^= word;
    sip_round(s);
    s->a ^= word;
}

/* The 0 to 7 bytes that fill no word, under the length's low byte. */
static uint64_t last_word(const uint8_t *p, size_t n, size_t total)
{
    uint64_t word = (uint64_t)total << 56;
    for (size_t i = 0; i < n; i++)
        word |= (uint64_t)p[i] << (8 * i);
    return word;
}

uint64_t mg_hash(const uint8_t key[MG_HASH_KEY_BYTES], struct mg_str s)
{
    uint64_t k0 = load_le(key), k1 = load_le(key + 8);
    struct sip sip = {
        .a = k0 ^ 0x736f6d6570736575, /* "somepseudorandomlygeneratedbytes" */
        .b = k1 ^ 0x646f72616e646f6d,
        .c = k0 ^ 0x6c7967656e657261,
        .d = k1 ^ 0x7465646279746573,
    };
    const uint8_t *p = (const uint8_t *)s.p;
    size_t whole = s.n & ~(size_t)7;
    for (size_t i = 0; i < whole; i += 8)
        sip_word(&sip, load_le(p + i));
    sip_word(&sip, last_word(whole < s.n ? p + whole : p, s.n - whole, s.n));
    sip.c ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(&sip);
    return sip.a ^ sip.b ^ sip.c ^ sip.d;
}

void mg_hash_random_key(uint8_t key[MG_HASH_KEY_BYTES])
{
    ssize_t n;
    do
        n = getrandom(key, MG_HASH_KEY_BYTES, 0);
    while (n < 0 && errno == EINTR);
    MG_BUG_ON(n != MG_HASH_KEY_BYTES); /* requests of up to 256 bytes are never cut short */
}
