/* ECDSA verification: RFC 6979's signatures, and all that is nearly one of them. */
#include "crypto/ecdsa.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

/* RFC 6979 A.2.5 to A.2.7, message "sample". */
static const struct signature {
    enum mg_curve curve;
    const char *public, *digest, *r, *s;
} signatures[] = {
    {MG_CURVE_P256,
     "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e956"
     "28bc64f2f1b20c2d7e9f5177a3c294d4462299",
     "af2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf",
     "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716",
     "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"},
    {MG_CURVE_P384,
     "04ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a2545154"
     "80bc138015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd"
     "2533264720",
     "9a9083505bc92276aec4be312696ef7bf3bf603f4bbd381196a029f340585312313bca4a9b5b890efee42c77b1ee"
     "25fe",
     "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fa"
     "be46",
     "99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a3862"
     "8ac8"},
    {MG_CURVE_P521,
     "0401894550d0785932e00eaa23b694f213f8c3121f86dc97a04e5a7167db4e5bcd371123d46e45db6b5d5370a7f2"
     "0fb633155d38ffa16d2bd761dcac474b9a2f5023a400493101c962cd4d2fddf782285e64584139c2f91b47f87ff8"
     "2354d6630f746a28a0db25741b5b34a828008b22acc23f924faafbd4d33f81ea66956dfeaa2bfdfcf5",
     "39a5e04aaff7455d9850c605364f514c11324ce64016960d23d5dc57d3ffd8f49a739468ab8049bf18eef820cdb1"
     "ad6c9015f838556bc7fad4138b23fdf986c7",
     "00c328fafcbd79dd77850370c46325d987cb525569fb63c5d3bc53950e6d4c5f174e25a1ee9017b5d450606add15"
     "2b534931d7d4e8455cc91f9b15bf05ec36e377fa",
     "00617cce7cf5064806c467f678d3b4080d6f1cc50af26ca209417308281b68af282623eaa63e5b5c0723d8b8c37f"
     "f0777b1a20f8ccb1dccc43997f1ee0e44da4a67a"},
};

struct octets {
    uint8_t p[160];
    size_t n;
};

static struct octets unhex(const char *text)
{
    struct octets out = {.n = strlen(text) / 2};
    for (size_t i = 0; i < out.n; i++) {
        unsigned byte;
        assert_int_equal(sscanf(text + 2 * i, "%2x", &byte), 1);
        out.p[i] = (uint8_t)byte;
    }
    return out;
}

static void good_ones_and_those_with_one_bit_changed(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(signatures); i++) {
        const struct signature *t = &signatures[i];
        struct octets public = unhex(t->public), digest = unhex(t->digest);
        struct octets r = unhex(t->r), s = unhex(t->s);
        assert_int_equal(r.n, mg_curve_bytes(t->curve));
        for (int change = 0; change < 6; change++) {
            struct octets changed[4] = {public, digest, r, s};
            if (change < 4)
                changed[change].p[changed[change].n - 1] ^= 1;
            if (change == 5) /* longer than the curve: what is more does not count */
                changed[1].n += 4;
            enum mg_rc expected = change < 4 ? MG_FAIL : MG_OK;
            if (change == 5 && t->curve == MG_CURVE_P521)
                changed[1].n -= 4; /* whose digest is shorter than the curve */
            assert_int_equal(mg_ecdsa_verify(t->curve, changed[0].p,
                                             mg_str((const char *)changed[1].p, changed[1].n),
                                             changed[2].p, changed[3].p),
                             expected);
        }
    }
}

static void numbers_out_of_range(void **state)
{
    (void)state;
    const struct signature *t = &signatures[0];
    static const char *const ORDER =
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    static const char *const ZERO =
        "0000000000000000000000000000000000000000000000000000000000000000";
    struct octets public = unhex(t->public), digest = unhex(t->digest);
    struct octets r = unhex(t->r), s = unhex(t->s), order = unhex(ORDER), zero = unhex(ZERO);
    const struct octets *const PAIRS[][2] = {
        {&zero, &s}, {&r, &zero}, {&zero, &zero}, {&order, &s}, {&r, &order},
    };
    for (size_t i = 0; i < COUNT(PAIRS); i++)
        assert_int_equal(mg_ecdsa_verify(t->curve, public.p,
                                         mg_str((const char *)digest.p, digest.n), PAIRS[i][0]->p,
                                         PAIRS[i][1]->p),
                         MG_FAIL);
}

static void x25519_does_not_sign(void **state)
{
    (void)state;
    static const uint8_t ANY[32] = {9};
    assert_int_equal(mg_ecdsa_verify(MG_CURVE_X25519, ANY, MG_STR("digest"), ANY, ANY), MG_FAIL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_ones_and_those_with_one_bit_changed),
        cmocka_unit_test(numbers_out_of_range),
        cmocka_unit_test(x25519_does_not_sign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
