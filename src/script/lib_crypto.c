/* mg.crypto. Buffers are luaL_Buffers, which the collector owns: an error leaks nothing. */
#include "script/lib_crypto.h"

#include <lauxlib.h>

#include "crypto/base64.h"
#include "crypto/digest.h"
#include "crypto/random.h"
#include "script/fail.h"
#include "script/lib_password.h"

#define RANDOM_MAX 65536
#define ENCODED_MAX(n) (2 * (n) + 4) /* enough for hex and for both kinds of base64 */

static struct mg_str check_bytes(lua_State *L, int arg)
{
    struct mg_str s;
    luaL_checktype(L, arg, LUA_TSTRING);
    s.p = lua_tolstring(L, arg, &s.n);
    return s;
}

/* Digests
 * ---------------------------------------------------------------------------------------------- */

/* Pushes a digest in the form that argument `arg` asks for. */
static int push_digest(lua_State *L, int arg, const uint8_t *digest, size_t n)
{
    static const char *const forms[] = {"hex", "raw", NULL};
    char hex[2 * MG_SHA512_BYTES];
    struct mg_str raw = mg_str((const char *)digest, n);
    if (luaL_checkoption(L, arg, "hex", forms) == 1) {
        lua_pushlstring(L, raw.p, raw.n);
        return 1;
    }
    mg_base64_hex_encode(raw, hex);
    lua_pushlstring(L, hex, 2 * n);
    return 1;
}

static int l_sha1(lua_State *L)
{
    uint8_t digest[MG_SHA1_BYTES];
    mg_digest_sha1(check_bytes(L, 1), digest);
    return push_digest(L, 2, digest, sizeof digest);
}

static int l_sha256(lua_State *L)
{
    uint8_t digest[MG_SHA256_BYTES];
    mg_digest_sha256(check_bytes(L, 1), digest);
    return push_digest(L, 2, digest, sizeof digest);
}

static int l_sha512(lua_State *L)
{
    uint8_t digest[MG_SHA512_BYTES];
    mg_digest_sha512(check_bytes(L, 1), digest);
    return push_digest(L, 2, digest, sizeof digest);
}

static int l_hmac_sha256(lua_State *L)
{
    uint8_t digest[MG_SHA256_BYTES];
    mg_digest_hmac_sha256(check_bytes(L, 1), check_bytes(L, 2), digest);
    return push_digest(L, 3, digest, sizeof digest);
}

static int l_hmac_sha512(lua_State *L)
{
    uint8_t digest[MG_SHA512_BYTES];
    mg_digest_hmac_sha512(check_bytes(L, 1), check_bytes(L, 2), digest);
    return push_digest(L, 3, digest, sizeof digest);
}

static int l_equal(lua_State *L)
{
    lua_pushboolean(L, mg_digest_equal(check_bytes(L, 1), check_bytes(L, 2)));
    return 1;
}

/* Random values
 * ---------------------------------------------------------------------------------------------- */

static int l_random(lua_State *L)
{
    lua_Integer n = luaL_checkinteger(L, 1);
    luaL_argcheck(L, n >= 0 && n <= RANDOM_MAX, 1, "expected 0 to 65536");
    luaL_Buffer b;
    mg_random_bytes(luaL_buffinitsize(L, &b, (size_t)n), (size_t)n);
    luaL_pushresultsize(&b, (size_t)n);
    return 1;
}

static int l_uuid(lua_State *L)
{
    char uuid[MG_RANDOM_UUID_CHARS];
    mg_random_uuid(uuid);
    lua_pushlstring(L, uuid, sizeof uuid);
    return 1;
}

/* Bytes as text
 * ---------------------------------------------------------------------------------------------- */

static size_t hex_encode(struct mg_str data, char *out)
{
    mg_base64_hex_encode(data, out);
    return 2 * data.n;
}

static int hex_digit(char c)
{
    unsigned digit = (unsigned char)c - (unsigned)'0', letter = (unsigned char)mg_lower(c) - 'a';
    if (digit < 10)
        return (int)digit;
    return letter < 6 ? (int)letter + 10 : -1;
}

static bool hex_decode(struct mg_str text, void *out, size_t *n)
{
    uint8_t *bytes = out;
    for (size_t i = 0; i + 1 < text.n; i += 2) {
        int high = hex_digit(text.p[i]), low = hex_digit(text.p[i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i / 2] = (uint8_t)(high << 4 | low);
    }
    *n = text.n / 2;
    return text.n % 2 == 0;
}

static const struct coding {
    const char *name;
    const char *fault; /* of a text that cannot be decoded */
    size_t (*encode)(struct mg_str data, char *out);
    bool (*decode)(struct mg_str text, void *out, size_t *n);
} codings[] = {
    {"base64", "not base64", mg_base64_encode, mg_base64_decode},
    {"base64url", "not base64url", mg_base64_url_encode, mg_base64_url_decode},
    {"hex", "not hex", hex_encode, hex_decode},
};

static const struct coding *own_coding(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

static int encode_argument(lua_State *L, int arg)
{
    const struct coding *coding = own_coding(L);
    struct mg_str data = check_bytes(L, arg);
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, ENCODED_MAX(data.n));
    luaL_pushresultsize(&b, coding->encode(data, out));
    return 1;
}

static int l_encode(lua_State *L)
{
    return encode_argument(L, 1);
}

static int l_encode_call(lua_State *L)
{
    return encode_argument(L, 2); /* the first is the table that is called */
}

static int l_decode(lua_State *L)
{
    const struct coding *coding = own_coding(L);
    struct mg_str text = check_bytes(L, 1);
    luaL_Buffer b;
    size_t n;
    char *out = luaL_buffinitsize(L, &b, MG_BASE64_DECODED_MAX(text.n));
    if (!coding->decode(text, out, &n))
        return mg_fail_push(L, "bad_encoding", coding->fault);
    luaL_pushresultsize(&b, n);
    return 1;
}

static void set_with_coding(lua_State *L, const struct coding *coding, const char *field,
                            lua_CFunction fn)
{
    lua_pushlightuserdata(L, (void *)(uintptr_t)coding);
    lua_pushcclosure(L, fn, 1);
    lua_setfield(L, -2, field);
}

static void add_coding(lua_State *L, const struct coding *coding)
{
    lua_createtable(L, 0, 2);
    set_with_coding(L, coding, "encode", l_encode);
    set_with_coding(L, coding, "decode", l_decode);
    lua_createtable(L, 0, 1);
    set_with_coding(L, coding, "__call", l_encode_call);
    lua_setmetatable(L, -2);
    lua_setfield(L, -2, coding->name);
}

void mg_lib_crypto_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"sha1", l_sha1},
        {"sha256", l_sha256},
        {"sha512", l_sha512},
        {"equal", l_equal},
        {"hmac_sha256", l_hmac_sha256},
        {"hmac_sha512", l_hmac_sha512},
        {"random", l_random},
        {"uuid", l_uuid},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    for (size_t i = 0; i < sizeof codings / sizeof codings[0]; i++)
        add_coding(L, &codings[i]);
    mg_lib_password_open(L);
    lua_setfield(L, -2, "crypto");
}
