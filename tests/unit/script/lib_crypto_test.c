/* mg.crypto as policies see it; the digests themselves are tested in crypto/. */
#include "script/lua_test.h"

static void test_digests(void **state)
{
    (void)state;
    static const char *const code[] = {
        "C = mg.crypto",
        "gives('a9993e364706816aba3e25717850c26c9cd0d89d', C.sha1('abc'))",
        "gives('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',"
        " C.sha256('abc'))",
        "gives(128, #C.sha512('')) gives('cf83e135', C.sha512(''):sub(1, 8))",
        /* RFC 4231, test case 2 */
        "gives('5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',"
        " C.hmac_sha256('Jefe', 'what do ya want for nothing?'))",
        "gives('164b7a7b', C.hmac_sha512('Jefe', 'what do ya want for nothing?'):sub(1, 8))",
        "gives(32, #C.sha256('abc', 'raw')) gives(C.sha256('abc'), C.hex(C.sha256('abc', 'raw')))",
        "gives(C.sha256('abc'), C.sha256('abc', 'hex'))",
        "gives(C.hmac_sha256('k', 'd'), C.hex(C.hmac_sha256('k', 'd', 'raw')))",
        "raises(\"invalid option 'base64'\", C.sha256, 'abc', 'base64')",
        "raises('string expected, got number', C.sha256, 1)",
        "raises('string expected, got no value', C.hmac_sha256, 'key')",
    };
    lua_test_run_each(NULL, code, COUNT(code));
}

static void test_passwords(void **state)
{
    (void)state;
    static const char *const code[] = {
        "C, LOW = mg.crypto, {ln = 4, r = 1, p = 1}",
        "H = C.password_hash('open', LOW) gives(H:sub(1, 24), '$scrypt$ln=4,r=1,p=1$' .. "
        "H:sub(22, 24))",
        "gives(true, C.password_verify(H, 'open')) gives(false, C.password_verify(H, 'Open'))",
        "gives(false, C.password_verify(H, '')) gives(false, C.password_verify(H, 'open\\0'))",
        "assert(H ~= C.password_hash('open', LOW))",
        "P = C.password_hash('', {algorithm = 'pbkdf2-sha256', iterations = 1000})",
        "gives('$pbkdf2-sha256$i=1000$', P:sub(1, 22)) gives(true, C.password_verify(P, ''))",
        "gives('$scrypt$ln=13,r=8,p=1$', C.password_hash('a'):sub(1, 22))",
        "gives('scrypt ln=4,r=1,p=1', C.password_cost(H))",
        "gives('pbkdf2-sha256 i=1000', C.password_cost(P))",
        "code('bad_hash', C.password_cost(''))",
        "code('bad_hash', C.password_verify('open', 'open'))",
        "fails(\"'ln' must be 1 to 15\", C.password_verify(H:gsub('ln=4', 'ln=31'), 'open'))",
        "raises(\"'ln' must be 1 to 15\", C.password_hash, 'a', {ln = 16})",
        "raises(\"option 'ln' must be a whole number\", C.password_hash, 'a', {ln = 1.5})",
        "raises(\"option 'ln' must be a whole number\", C.password_hash, 'a', {ln = -1})",
        "raises(\"unknown option 'rounds'\", C.password_hash, 'a', {rounds = 1})",
        "raises(\"unknown option '1'\", C.password_hash, 'a', {1})",
        "raises(\"invalid option 'md5'\", C.password_hash, 'a', {algorithm = 'md5'})",
        "raises('table expected', C.password_hash, 'a', 4)",
        "raises('string expected, got number', C.password_hash, 1)",
        "raises('string expected, got no value', C.password_verify, H)",
        "raises('at most 1024 bytes', C.password_hash, ('a'):rep(1025), LOW)",
    };
    lua_test_run_each(NULL, code, COUNT(code));
}

static void test_random(void **state)
{
    (void)state;
    static const char *const code[] = {
        "C = mg.crypto",
        "gives('', C.random(0)) gives(16, #C.random(16)) gives(65536, #C.random(65536))",
        "assert(C.random(16) ~= C.random(16))",
        "raises('expected 0 to 65536', C.random, -1) raises('0 to 65536', C.random, 65537)",
        "raises('number expected, got no value', C.random)",
        "assert(C.uuid():match('^%x+%-%x+%-4%x+%-[89ab]%x+%-%x+$') and #C.uuid() == 36)",
        "assert(C.uuid() ~= C.uuid())",
    };
    lua_test_run_each(NULL, code, COUNT(code));
}

static void test_texts(void **state)
{
    (void)state;
    static const char *const code[] = {
        "C = mg.crypto",
        "gives('Zm9v/w==', C.base64.encode('foo\\xff')) gives('Zm9v/w==', C.base64('foo\\xff'))",
        "gives('Zm9v_w', C.base64url.encode('foo\\xff')) gives('Zm9v_w', C.base64url('foo\\xff'))",
        "gives('', C.base64('')) gives('', C.base64.decode('')) gives('', C.hex.decode(''))",
        "gives('foo\\xff', C.base64.decode('Zm9v/w==')) gives('foo\\xff', "
        "C.base64url.decode('Zm9v_w'))",
        "fails('not base64', C.base64.decode('Zm9v_w'))",
        "fails('not base64', C.base64.decode('Zm9v/x=='))",
        "fails('not base64url', C.base64url.decode('Zm9v/w=='))",
        "gives('00ff', C.hex('\\0\\xff')) gives('\\0\\xff', C.hex.decode('00Ff'))",
        "fails('not hex', C.hex.decode('0')) fails('not hex', C.hex.decode('0g'))",
        "fails('not hex', C.hex.decode('00 ')) fails('not hex', C.hex.decode('-1'))",
        "code('bad_encoding', C.hex.decode('x'))",
        "for _, coding in ipairs{C.base64, C.base64url, C.hex} do\n"
        "  for n = 0, 300 do\n"
        "    local bytes = C.random(n)\n"
        "    gives(bytes, coding.decode(coding(bytes)))\n"
        "  end\n"
        "  local long = ('x'):rep(100001)\n"
        "  gives(long, coding.decode(coding.encode(long)))\n"
        "end",
        "raises('string expected, got nil', C.base64, nil)",
        "raises('string expected, got number', C.base64.decode, 5)",
    };
    lua_test_run_each(NULL, code, COUNT(code));
}

static void test_equal(void **state)
{
    (void)state;
    static const char *const code[] = {
        "C = mg.crypto",
        "gives(true, C.equal('', '')) gives(true, C.equal('a\\0b', 'a\\0b'))",
        "gives(false, C.equal('a\\0b', 'a\\0c')) gives(false, C.equal('a', 'ab'))",
        "raises('string expected, got nil', C.equal, 'a', nil)",
    };
    lua_test_run_each(NULL, code, COUNT(code));
}

static void test_starved(void **state)
{
    (void)state;
    lua_test_run_starved(NULL, "local C, long = mg.crypto, ('x'):rep(5000)\n"
                               "C.base64.decode(C.base64(long)) C.base64.decode('?')\n"
                               "C.sha256(long) C.uuid() C.random(5000)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digests), cmocka_unit_test(test_passwords),
        cmocka_unit_test(test_random),  cmocka_unit_test(test_texts),
        cmocka_unit_test(test_equal),   cmocka_unit_test(test_starved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
