/* Base64, base64url and hex: RFC 4648 10, and everything that must not be read. */
#include "crypto/base64.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static const struct {
    struct mg_str data;
    const char *standard, *url;
} KNOWN[] = {
    {MG_STR(""), "", ""},
    {MG_STR("f"), "Zg==", "Zg"},
    {MG_STR("fo"), "Zm8=", "Zm8"},
    {MG_STR("foo"), "Zm9v", "Zm9v"},
    {MG_STR("foob"), "Zm9vYg==", "Zm9vYg"},
    {MG_STR("fooba"), "Zm9vYmE=", "Zm9vYmE"},
    {MG_STR("foobar"), "Zm9vYmFy", "Zm9vYmFy"},
    {MG_STR("\xfb\xff\xfe"), "+//+", "-__-"},
    {MG_STR("\0\0"), "AAA=", "AAA"},
};

static void known_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(KNOWN); i++) {
        char text[16];
        uint8_t data[16];
        size_t n = mg_base64_encode(KNOWN[i].data, text);
        assert_int_equal(n, strlen(KNOWN[i].standard));
        assert_int_equal(n, MG_BASE64_ENCODED_MAX(KNOWN[i].data.n));
        assert_memory_equal(text, KNOWN[i].standard, n);
        assert_true(mg_base64_decode(mg_str(text, n), data, &n));
        assert_int_equal(n, KNOWN[i].data.n);
        assert_memory_equal(data, KNOWN[i].data.p, n);

        n = mg_base64_url_encode(KNOWN[i].data, text);
        assert_int_equal(n, strlen(KNOWN[i].url));
        assert_memory_equal(text, KNOWN[i].url, n);
        assert_true(mg_base64_url_decode(mg_str(text, n), data, &n));
        assert_int_equal(n, KNOWN[i].data.n);
        assert_memory_equal(data, KNOWN[i].data.p, n);
    }
}

static void refused(void **state)
{
    (void)state;
    static const char *const STANDARD[] = {
        "Z",    "Zg",       "Zg=",        "Zm8",     "Zg===", "=",        "==",
        "====", "Zg==Zg==", "Zh==",       "Zm9=",    "Zm9v=", "Z===",     "Zg= ",
        " Zg=", "Zm9v\n",   "Zm9v\r\n",   "Zm 9",    "-__-",  "Zm9v====", "Zm=v",
        "Z=8=", "Zm9*",     "\xc3\xa4==", "A\x00g=",
    };
    static const char *const URL[] = {
        "Z", "Zg==", "Zm8=", "Zh", "Zm9", "+//+", "Zm9vY", "Zm9v ", "Z g", "Zg\n", "=", "Zm9v=",
    };
    uint8_t data[16];
    size_t n;
    for (size_t i = 0; i < COUNT(STANDARD); i++)
        if (mg_base64_decode(mg_str_c(STANDARD[i]), data, &n))
            fail_msg("'%s' was read as base64", STANDARD[i]);
    for (size_t i = 0; i < COUNT(URL); i++)
        if (mg_base64_url_decode(mg_str_c(URL[i]), data, &n))
            fail_msg("'%s' was read as base64url", URL[i]);
    assert_false(mg_base64_decode(MG_STR("Zm9\0"), data, &n));
}

static void every_byte_round_trips(void **state)
{
    (void)state;
    char data[256], text[MG_BASE64_ENCODED_MAX(256)];
    for (int i = 0; i < 256; i++)
        data[i] = (char)i;
    for (size_t n = 250; n <= 256; n++) {
        size_t length = mg_base64_encode(mg_str(data, n), text), back;
        assert_true(mg_base64_decode(mg_str(text, length), text, &back)); /* in place */
        assert_int_equal(back, n);
        assert_memory_equal(text, data, n);
    }
}

/* Of the 256 values that a character may have, 64 are read. */
static void alphabets(void **state)
{
    (void)state;
    uint8_t data[3];
    size_t n;
    int standard = 0, url = 0;
    for (int c = 0; c < 256; c++) {
        char text[4] = {'A', 'A', 'A', (char)c};
        standard += c != '=' && mg_base64_decode(mg_str(text, 4), data, &n);
        url += mg_base64_url_decode(mg_str(text, 4), data, &n);
    }
    assert_int_equal(standard, 64);
    assert_int_equal(url, 64);
}

static void hex(void **state)
{
    (void)state;
    char text[8];
    mg_base64_hex_encode(MG_STR("\x00\x9f\xab\xff"), text);
    assert_memory_equal(text, "009fabff", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_texts),
        cmocka_unit_test(refused),
        cmocka_unit_test(every_byte_round_trips),
        cmocka_unit_test(alphabets),
        cmocka_unit_test(hex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
