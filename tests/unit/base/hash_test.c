/* SipHash-1-3 against values that OpenSSL's SIPHASH gives with c-rounds 1 and d-rounds 3. */
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

static uint64_t from_le_bytes(uint64_t shown)
{
    return __builtin_bswap64(shown);
}

static void known_values(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        uint64_t shown; /* first byte first */
    } CASES[] = {
        {0, 0xdcc40f055801acab},  {1, 0x93ca577df39bf4c9},  {7, 0x4011b19b987d92d3},
        {8, 0x8e9a298d11959036},  {9, 0xe43d066cb38ea425},  {15, 0x5699512a6dd820d3},
        {16, 0x668b907d1add4fcc}, {63, 0xa8b3bbb76290199d},
    };
    uint8_t key[MG_HASH_KEY_BYTES];
    char text[64];
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)i;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++)
        assert_int_equal(mg_hash(key, mg_str(text, CASES[i].n)), from_le_bytes(CASES[i].shown));
    assert_int_equal(mg_hash(key, MG_STR_NONE), from_le_bytes(CASES[0].shown));
}

static void unaligned_text(void **state)
{
    (void)state;
    uint8_t key[MG_HASH_KEY_BYTES] = {7};
    char text[40] = "-a text that begins at an odd place";
    uint64_t first = mg_hash(key, mg_str_c(text + 1));
    memmove(text, text + 1, strlen(text));
    assert_int_equal(mg_hash(key, mg_str_c(text)), first);
}

static void keys_matter(void **state)
{
    (void)state;
    uint8_t a[MG_HASH_KEY_BYTES] = {0}, b[MG_HASH_KEY_BYTES] = {0};
    mg_hash_random_key(a);
    mg_hash_random_key(b);
    assert_memory_not_equal(a, b, sizeof a);
    assert_int_not_equal(mg_hash(a, MG_STR("key")), mg_hash(b, MG_STR("key")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(unaligned_text),
        cmocka_unit_test(keys_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
