/* Digests: FIPS 180-4 example texts, and the HMAC cases of RFC 4231. */
#include "crypto/digest.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/base64.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static void assert_hex(const uint8_t *bytes, size_t n, const char *expected)
{
    char text[2 * MG_SHA512_BYTES + 1] = "";
    mg_base64_hex_encode(mg_str((const char *)bytes, n), text);
    assert_string_equal(text, expected);
}

static void digests(void **state)
{
    (void)state;
    static const struct {
        const char *data, *sha1, *sha256, *sha512;
    } CASES[] = {
        {"", "da39a3ee5e6b4b0d3255bfef95601890afd80709",
         "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
         "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
         "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"},
        {"abc", "a9993e364706816aba3e25717850c26c9cd0d89d",
         "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
         "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
         "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
         "204a8fc6dda82f0a0ced7beb8e08a41657c16ef468b228a8279be331a703c335"
         "96fd15c13b1b07f9aa1d3bea57789ca031ad85c7a71dd70354ec631238ca3445"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        uint8_t out[MG_SHA512_BYTES];
        struct mg_str data = mg_str_c(CASES[i].data);
        mg_digest_sha1(data, out);
        assert_hex(out, MG_SHA1_BYTES, CASES[i].sha1);
        mg_digest_sha256(data, out);
        assert_hex(out, MG_SHA256_BYTES, CASES[i].sha256);
        mg_digest_sha512(data, out);
        assert_hex(out, MG_SHA512_BYTES, CASES[i].sha512);
    }
}

static void no_data_at_all(void **state)
{
    (void)state;
    uint8_t out[MG_SHA256_BYTES];
    mg_digest_sha256(MG_STR_NONE, out);
    assert_hex(out, sizeof out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    mg_digest_hmac_sha256(MG_STR_NONE, MG_STR_NONE, out);
    assert_hex(out, sizeof out, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

#define AA_20 "\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa"
#define AA_131 AA_20 AA_20 AA_20 AA_20 AA_20 AA_20 "\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa"
#define OB_20 "\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"

static void hmacs(void **state)
{
    (void)state;
    static const struct {
        struct mg_str key, data;
        const char *sha256, *sha512;
    } CASES[] = {
        /* RFC 4231 4.2, 4.3, 4.7 and 4.8 */
        {MG_STR(OB_20), MG_STR("Hi There"),
         "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
         "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
         "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"},
        {MG_STR("Jefe"), MG_STR("what do ya want for nothing?"),
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
         "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
         "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"},
        {MG_STR(AA_131), MG_STR("Test Using Larger Than Block-Size Key - Hash Key First"),
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
         "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
         "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598"},
        {MG_STR(AA_131),
         MG_STR("This is a test using a larger than block-size key and a larger than block-size "
                "data. The key needs to be hashed before being used by the HMAC algorithm."),
         "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
         "e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944"
         "b6022cac3c4982b10d5eeb55c3e4de15134676fb6de0446065c97440fa8c6a58"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        uint8_t out[MG_SHA512_BYTES];
        mg_digest_hmac_sha256(CASES[i].key, CASES[i].data, out);
        assert_hex(out, MG_SHA256_BYTES, CASES[i].sha256);
        mg_digest_hmac_sha512(CASES[i].key, CASES[i].data, out);
        assert_hex(out, MG_SHA512_BYTES, CASES[i].sha512);
    }
}

/* RFC 4231 4.3 and 4.7, and FIPS 180-4's "abc". */
static void sha384(void **state)
{
    (void)state;
    static const struct {
        struct mg_str key, data;
        const char *mac;
    } CASES[] = {
        {MG_STR("Jefe"), MG_STR("what do ya want for nothing?"),
         "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecf"
         "ab21649"},
        {MG_STR(AA_131), MG_STR("Test Using Larger Than Block-Size Key - Hash Key First"),
         "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df16"
         "3f44952"},
    };
    uint8_t out[MG_SHA384_BYTES];
    for (size_t i = 0; i < COUNT(CASES); i++) {
        mg_digest_hmac_sha384(CASES[i].key, CASES[i].data, out);
        assert_hex(out, MG_SHA384_BYTES, CASES[i].mac);
    }
    mg_digest_sha384(MG_STR("abc"), out);
    assert_hex(out, MG_SHA384_BYTES,
               "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358b"
               "aeca134c825a7");
}

static void equality(void **state)
{
    (void)state;
    assert_true(mg_digest_equal(MG_STR("secret"), MG_STR("secret")));
    assert_true(mg_digest_equal(MG_STR_NONE, MG_STR("")));
    assert_false(mg_digest_equal(MG_STR("secret"), MG_STR("secreT")));
    assert_false(mg_digest_equal(MG_STR("secret"), MG_STR("secre")));
    assert_false(mg_digest_equal(MG_STR("\0a"), MG_STR("\0b")));
}

/* --- how a comparison reads --- */

/* Two pages, of which the second cannot be read: whoever looks at a byte there is found out. */
struct trap {
    char *pages;
    size_t page;
};

static sigjmp_buf on_trap;

static void trapped(int signal)
{
    (void)signal;
    siglongjmp(on_trap, 1);
}

static void set_trap(struct trap *t)
{
    t->page = (size_t)sysconf(_SC_PAGESIZE);
    t->pages = mmap(NULL, 2 * t->page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(t->pages != MAP_FAILED);
    memset(t->pages, 'x', t->page);
    assert_int_equal(mprotect(t->pages + t->page, t->page, PROT_NONE), 0);
}

/* Whether comparing `n` bytes, which are another text from the first byte on, reads any of those
 * from `from` on. */
static bool reads_from(const struct trap *t, struct mg_str other, size_t from)
{
    struct mg_str secret = mg_str(t->pages + t->page - from, other.n);
    if (sigsetjmp(on_trap, 1))
        return true;
    assert_false(mg_digest_equal(secret, other));
    return false;
}

/* An answer that comes sooner the earlier the first wrong byte is lets a secret be guessed byte by
 * byte. That no byte is left out shows without a clock. */
static void a_wrong_first_byte_ends_no_comparison(void **state)
{
    static const char other[64] = "y";
    struct sigaction action = {.sa_handler = trapped}, segv, bus;
    struct trap t;
    (void)state;
    set_trap(&t);
    sigaction(SIGSEGV, &action, &segv);
    sigaction(SIGBUS, &action, &bus);
    for (size_t n = 1; n <= sizeof other; n++) {
        for (size_t from = 0; from < n; from++)
            if (!reads_from(&t, mg_str(other, n), from))
                fail_msg("%zu bytes: none from %zu on is looked at", n, from);
        assert_false(reads_from(&t, mg_str(other, n), n));
    }
    sigaction(SIGSEGV, &segv, NULL);
    sigaction(SIGBUS, &bus, NULL);
    munmap(t.pages, 2 * t.page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests),  cmocka_unit_test(no_data_at_all),
        cmocka_unit_test(hmacs),    cmocka_unit_test(sha384),
        cmocka_unit_test(equality), cmocka_unit_test(a_wrong_first_byte_ends_no_comparison),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
