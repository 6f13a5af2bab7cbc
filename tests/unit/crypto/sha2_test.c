/* SHA-2 blocks: FIPS 180-4's examples of one block, padded by hand. */
#include "crypto/sha2.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static void sha256_of_abc(void **state)
{
    (void)state;
    uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                     0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    static const uint32_t EXPECTED[8] = {0xba7816bf, 0x8f01cfea, 0x414140de, 0x5dae2223,
                                         0xb00361a3, 0x96177a9c, 0xb410ff61, 0xf20015ad};
    uint8_t block[MG_SHA2_256_BLOCK_BYTES] = {'a', 'b', 'c', 0x80};
    block[63] = 24;
    mg_sha2_256_block(h, block);
    assert_memory_equal(h, EXPECTED, sizeof h);
}

static void sha512_of_abc(void **state)
{
    (void)state;
    uint64_t h[8] = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b,
                     0xa54ff53a5f1d36f1, 0x510e527fade682d1, 0x9b05688c2b3e6c1f,
                     0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
    static const uint64_t EXPECTED[8] = {0xddaf35a193617aba, 0xcc417349ae204131, 0x12e6fa4e89a97ea2,
                                         0x0a9eeee64b55d39a, 0x2192992a274fc1a8, 0x36ba3c23a3feebbd,
                                         0x454d4423643ce80e, 0x2a9ac94fa54ca49f};
    uint8_t block[MG_SHA2_512_BLOCK_BYTES] = {'a', 'b', 'c', 0x80};
    block[127] = 24;
    mg_sha2_512_block(h, block);
    assert_memory_equal(h, EXPECTED, sizeof h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_of_abc),
        cmocka_unit_test(sha512_of_abc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
