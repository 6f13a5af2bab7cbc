/* Hashes of passwords over libcrypto's EVP_KDF. Any thread. */
#include "crypto/password.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <pthread.h>
#include <stdio.h>

#include "crypto/base64.h"
#include "crypto/digest.h"
#include "crypto/random.h"

#define NEW_SALT_BYTES 16
#define NEW_HASH_BYTES 32
#define SALT_MIN 8
#define HASH_MIN 16
#define LN_MIN 1
#define R_MAX 32
#define P_MAX 16
/* Of scrypt: 128 * r * 2^ln, with what libcrypto wants beside. */
#define MEMORY_MAX ((uint64_t)192 << 20)

struct parsed {
    struct mg_password_cost cost;
    uint8_t salt[MG_PASSWORD_SALT_MAX + 2], hash[MG_PASSWORD_HASH_MAX + 2];
    size_t salt_n, hash_n;
};

static EVP_KDF *scrypt_kdf, *pbkdf2_kdf; /* set once */
static pthread_once_t fetched_once = PTHREAD_ONCE_INIT;

static void fetch(void)
{
    scrypt_kdf = EVP_KDF_fetch(NULL, "SCRYPT", NULL);
    pbkdf2_kdf = EVP_KDF_fetch(NULL, "PBKDF2", NULL);
    MG_BUG_ON(!scrypt_kdf || !pbkdf2_kdf);
}

/* Cost
 * ---------------------------------------------------------------------------------------------- */

struct mg_password_cost mg_password_cost_default(enum mg_password_kind kind)
{
    if (kind == MG_PASSWORD_PBKDF2_SHA256)
        return (struct mg_password_cost){.kind = kind, .iterations = 100000};
    return (struct mg_password_cost){.kind = kind, .ln = 13, .r = 8, .p = 1};
}

static enum mg_rc check_range(const char *name, uint64_t value, uint64_t least, uint64_t most,
                              struct mg_error *err)
{
    if (value >= least && value <= most)
        return MG_OK;
    return mg_error_set(err, "'%s' must be %llu to %llu", name, (unsigned long long)least,
                        (unsigned long long)most);
}

enum mg_rc mg_password_cost_check(const struct mg_password_cost *cost, struct mg_error *err)
{
    if (cost->kind == MG_PASSWORD_PBKDF2_SHA256)
        return check_range("i", cost->iterations, 1000, MG_PASSWORD_ITERATIONS_MAX, err);
    if (check_range("ln", cost->ln, LN_MIN, MG_PASSWORD_LN_MAX, err) != MG_OK ||
        check_range("r", cost->r, 1, R_MAX, err) != MG_OK ||
        check_range("p", cost->p, 1, P_MAX, err) != MG_OK)
        return MG_FAIL;
    if (((uint64_t)1 << cost->ln) * cost->r * cost->p <= MG_PASSWORD_SCRYPT_WORK_MAX)
        return MG_OK;
    return mg_error_set(err,
                        "'ln', 'r' and 'p' ask for too much: 2^ln * r * p must be at most %llu",
                        (unsigned long long)MG_PASSWORD_SCRYPT_WORK_MAX);
}

/* Text
 * ---------------------------------------------------------------------------------------------- */

static enum mg_rc not_a_hash(struct mg_error *err)
{
    return mg_error_set(err, "not a password hash ($scrypt$... or $pbkdf2-sha256$...)");
}

static bool read_number(struct mg_str text, uint32_t *out)
{
    uint64_t value;
    if (text.n > 10 || !mg_str_to_u64(text, UINT32_MAX, &value))
        return false;
    *out = (uint32_t)value;
    return text.n == 1 || text.p[0] != '0';
}

/* "ln=14,r=8,p=1": exactly these, in this order. */
static bool read_parameters(struct mg_str text, const char *const names[], uint32_t *const out[])
{
    struct mg_str item;
    for (size_t i = 0; names[i]; i++) {
        struct mg_str name = mg_str_c(names[i]);
        if (!mg_str_split(&text, ',', &item) || !mg_str_starts(item, name) ||
            !read_number(mg_str(item.p + name.n, item.n - name.n), out[i]))
            return false;
    }
    return text.n == 0;
}

static bool read_cost(struct mg_str kind, struct mg_str parameters, struct mg_password_cost *c)
{
    *c = (struct mg_password_cost){.kind = MG_PASSWORD_SCRYPT};
    if (mg_str_eq(kind, MG_STR("scrypt")))
        return read_parameters(parameters, (const char *const[]){"ln=", "r=", "p=", NULL},
                               (uint32_t *const[]){&c->ln, &c->r, &c->p});
    c->kind = MG_PASSWORD_PBKDF2_SHA256;
    return mg_str_eq(kind, MG_STR("pbkdf2-sha256")) &&
           read_parameters(parameters, (const char *const[]){"i=", NULL},
                           (uint32_t *const[]){&c->iterations});
}

/* Base64 with the standard alphabet and no padding: what is missing is put back. */
static bool read_bytes(struct mg_str text, size_t least, size_t most, uint8_t *out, size_t *n)
{
    char padded[MG_BASE64_ENCODED_MAX(MG_PASSWORD_HASH_MAX) + 4];
    if (text.n == 0 || text.n > MG_BASE64_ENCODED_MAX(most) || text.p[text.n - 1] == '=')
        return false;
    memcpy(padded, text.p, text.n);
    size_t used = text.n;
    while (used % 4)
        padded[used++] = '=';
    uint8_t bytes[sizeof padded];
    bool ok = mg_base64_decode(mg_str(padded, used), bytes, n) && *n >= least && *n <= most;
    if (ok)
        memcpy(out, bytes, *n);
    return ok;
}

static enum mg_rc parse(struct mg_str text, struct parsed *out, struct mg_error *err)
{
    struct mg_str part[5];
    /* One "$" at the end would be lost: there is nothing behind it to split off. */
    if (text.n > MG_PASSWORD_TEXT_MAX || mg_str_ends(text, MG_STR("$")))
        return not_a_hash(err);
    for (size_t i = 0; i < 5; i++)
        if (!mg_str_split(&text, '$', &part[i]))
            return not_a_hash(err);
    if (text.n || part[0].n || !read_cost(part[1], part[2], &out->cost) ||
        !read_bytes(part[3], SALT_MIN, MG_PASSWORD_SALT_MAX, out->salt, &out->salt_n) ||
        !read_bytes(part[4], HASH_MIN, MG_PASSWORD_HASH_MAX, out->hash, &out->hash_n))
        return not_a_hash(err);
    return mg_password_cost_check(&out->cost, err);
}

enum mg_rc mg_password_parse(struct mg_str text, struct mg_password_cost *cost,
                             struct mg_error *err)
{
    struct parsed parsed;
    enum mg_rc rc = parse(text, &parsed, err);
    if (rc == MG_OK && cost)
        *cost = parsed.cost;
    return rc;
}

static size_t add_bytes(char *out, const uint8_t *bytes, size_t n)
{
    size_t used = mg_base64_encode(mg_str((const char *)bytes, n), out);
    while (used && out[used - 1] == '=')
        used--;
    return used;
}

static size_t write_head(const struct mg_password_cost *c, char *out)
{
    int n;
    if (c->kind == MG_PASSWORD_SCRYPT)
        n = snprintf(out, MG_PASSWORD_TEXT_MAX, "$scrypt$ln=%u,r=%u,p=%u$", c->ln, c->r, c->p);
    else
        n = snprintf(out, MG_PASSWORD_TEXT_MAX, "$pbkdf2-sha256$i=%u$", c->iterations);
    return (size_t)n;
}

/* Work
 * ---------------------------------------------------------------------------------------------- */

static bool run(EVP_KDF *kdf, const OSSL_PARAM params[], uint8_t *out, size_t n)
{
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    bool ok = ctx && EVP_KDF_derive(ctx, out, n, params) == 1;
    EVP_KDF_CTX_free(ctx);
    return ok;
}

static bool derive_scrypt(const struct mg_password_cost *c, OSSL_PARAM *password, OSSL_PARAM *salt,
                          uint8_t *out, size_t n)
{
    uint64_t rounds = (uint64_t)1 << c->ln, memory = MEMORY_MAX;
    uint32_t r = c->r, p = c->p;
    const OSSL_PARAM params[] = {
        *password,
        *salt,
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &rounds),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &r),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &p),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &memory),
        OSSL_PARAM_construct_end(),
    };
    return run(scrypt_kdf, params, out, n);
}

static bool derive_pbkdf2(const struct mg_password_cost *c, OSSL_PARAM *password, OSSL_PARAM *salt,
                          uint8_t *out, size_t n)
{
    uint64_t rounds = c->iterations;
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        *password,
        *salt,
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_ITER, &rounds),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return run(pbkdf2_kdf, params, out, n);
}

/* An empty password must be a pointer all the same, or libcrypto takes it for a missing one. */
static bool derive(const struct mg_password_cost *c, struct mg_str password, const uint8_t *salt,
                   size_t salt_n, uint8_t *out, size_t n)
{
    void *bytes = (void *)(uintptr_t)(password.n ? password.p : "");
    OSSL_PARAM secret =
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, bytes, password.n);
    OSSL_PARAM grain =
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt, salt_n);
    pthread_once(&fetched_once, fetch);
    return c->kind == MG_PASSWORD_SCRYPT ? derive_scrypt(c, &secret, &grain, out, n)
                                         : derive_pbkdf2(c, &secret, &grain, out, n);
}

/* HMAC fills short keys up with zeros, so "a" and "a\0" would have the same hash. */
static bool is_fit(struct mg_str password)
{
    return password.n <= MG_PASSWORD_BYTES_MAX && mg_str_find(password, '\0') < 0;
}

size_t mg_password_hash(struct mg_str password, const struct mg_password_cost *cost,
                        char out[MG_PASSWORD_TEXT_MAX], struct mg_error *err)
{
    uint8_t salt[NEW_SALT_BYTES], hash[NEW_HASH_BYTES];
    if (mg_password_cost_check(cost, err) != MG_OK)
        return 0;
    if (!is_fit(password)) {
        mg_error_set(err, "a password must have at most %d bytes, and no NUL",
                     MG_PASSWORD_BYTES_MAX);
        return 0;
    }
    mg_random_bytes(salt, sizeof salt);
    if (!derive(cost, password, salt, sizeof salt, hash, sizeof hash)) {
        mg_error_set(err, "the password cannot be hashed: no memory");
        return 0;
    }
    size_t n = write_head(cost, out);
    n += add_bytes(out + n, salt, sizeof salt);
    out[n++] = '$';
    n += add_bytes(out + n, hash, sizeof hash);
    OPENSSL_cleanse(hash, sizeof hash);
    return n;
}

enum mg_rc mg_password_verify(struct mg_str text, struct mg_str password)
{
    struct parsed parsed;
    uint8_t hash[MG_PASSWORD_HASH_MAX];
    bool fit = is_fit(password);
    if (parse(text, &parsed, NULL) != MG_OK)
        return MG_FAIL;
    if (password.n > MG_PASSWORD_BYTES_MAX)
        password.n = MG_PASSWORD_BYTES_MAX;
    bool same = derive(&parsed.cost, password, parsed.salt, parsed.salt_n, hash, parsed.hash_n) &&
                mg_digest_equal(mg_str((const char *)hash, parsed.hash_n),
                                mg_str((const char *)parsed.hash, parsed.hash_n));
    OPENSSL_cleanse(hash, sizeof hash);
    return same && fit ? MG_OK : MG_FAIL;
}
