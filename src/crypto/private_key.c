/*
 * Private keys over libcrypto's EVP. Any thread.
 *
 * Making a signing context ready costs 2 us or more of a signature's 25. So the last one used waits
 * in the key for whoever comes next; a thread that finds it taken makes its own.
 */
#include "crypto/private_key.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/memory.h"

struct signer {
    EVP_PKEY_CTX *ctx;
    enum mg_key_scheme scheme;
    enum mg_key_hash hash;
};

struct mg_private_key {
    /* set once */
    EVP_PKEY *pkey;
    enum mg_key_kind kind;
    size_t signature_bytes;
    /* atomic */
    _Atomic(struct signer *) spare; /* NULL: in use, or never made */
};

static const struct {
    const EVP_MD *(*md)(void);
    size_t bytes;
} hashes[] = {
    [MG_KEY_SHA1] = {EVP_sha1, 20},     [MG_KEY_SHA224] = {EVP_sha224, 28},
    [MG_KEY_SHA256] = {EVP_sha256, 32}, [MG_KEY_SHA384] = {EVP_sha384, 48},
    [MG_KEY_SHA512] = {EVP_sha512, 64},
};

static void signer_free(struct signer *signer)
{
    if (signer)
        EVP_PKEY_CTX_free(signer->ctx);
    free(signer);
}

static bool signer_prepare(struct signer *signer, enum mg_key_scheme scheme, enum mg_key_hash hash)
{
    EVP_PKEY_CTX *ctx = signer->ctx;
    signer->scheme = scheme;
    signer->hash = hash;
    if (EVP_PKEY_sign_init(ctx) != 1)
        return false;
    if (scheme == MG_KEY_ECDSA)
        return true;
    int padding = scheme == MG_KEY_PSS ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING;
    return EVP_PKEY_CTX_set_rsa_padding(ctx, padding) == 1 &&
           EVP_PKEY_CTX_set_signature_md(ctx, hashes[hash].md()) == 1 &&
           (scheme != MG_KEY_PSS ||
            EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1);
}

static struct signer *signer_new(struct mg_private_key *key, enum mg_key_scheme scheme,
                                 enum mg_key_hash hash)
{
    struct signer *signer = mg_calloc(1, sizeof *signer);
    signer->ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    if (signer->ctx && signer_prepare(signer, scheme, hash))
        return signer;
    signer_free(signer);
    return NULL;
}

/* The spare one if it is for this kind of signature, or can be made so, else a new one. */
static struct signer *signer_take(struct mg_private_key *key, enum mg_key_scheme scheme,
                                  enum mg_key_hash hash)
{
    struct signer *signer = atomic_exchange(&key->spare, NULL);
    if (!signer)
        return signer_new(key, scheme, hash);
    if (signer->scheme == scheme && (signer->hash == hash || scheme == MG_KEY_ECDSA))
        return signer;
    if (signer_prepare(signer, scheme, hash))
        return signer;
    signer_free(signer);
    return NULL;
}

static bool kind_of(EVP_PKEY *pkey, enum mg_key_kind *kind)
{
    char group[32] = "";
    if (EVP_PKEY_is_a(pkey, "RSA")) {
        *kind = MG_KEY_RSA;
        int bits = EVP_PKEY_get_bits(pkey);
        return bits >= MG_KEY_RSA_BITS_MIN && bits <= MG_KEY_RSA_BITS_MAX;
    }
    if (!EVP_PKEY_is_a(pkey, "EC") || EVP_PKEY_get_group_name(pkey, group, sizeof group, NULL) != 1)
        return false;
    *kind = strcmp(group, "prime256v1") == 0  ? MG_KEY_EC_P256
            : strcmp(group, "secp384r1") == 0 ? MG_KEY_EC_P384
                                              : MG_KEY_EC_P521;
    return *kind != MG_KEY_EC_P521 || strcmp(group, "secp521r1") == 0;
}

/* Takes `pkey`. */
static struct mg_private_key *key_new(EVP_PKEY *pkey, struct mg_error *err)
{
    enum mg_key_kind kind;
    if (!kind_of(pkey, &kind)) {
        mg_error_set(err,
                     "key is of a kind or size that is not supported; RSA of %d to %d bits, "
                     "and EC on P-256, P-384 or P-521 are",
                     MG_KEY_RSA_BITS_MIN, MG_KEY_RSA_BITS_MAX);
        EVP_PKEY_free(pkey);
        ERR_clear_error();
        return NULL;
    }
    struct mg_private_key *key = mg_calloc(1, sizeof *key);
    key->pkey = pkey;
    key->kind = kind;
    key->signature_bytes = (size_t)EVP_PKEY_get_size(pkey);
    return key;
}

struct password {
    const char *text; /* NULL: none */
    bool asked;
};

static int give_password(char *buf, int size, int writing, void *arg)
{
    (void)writing;
    struct password *password = arg;
    password->asked = true;
    size_t n = password->text ? strlen(password->text) : 0;
    if (!password->text || n > (size_t)size)
        return -1;
    memcpy(buf, password->text, n);
    return (int)n;
}

struct mg_private_key *mg_private_key_from_pem(struct mg_str pem, const char *password,
                                               struct mg_error *err)
{
    struct password given = {password, false};
    BIO *bio = pem.n <= INT_MAX ? BIO_new_mem_buf(pem.n ? pem.p : "", (int)pem.n) : NULL;
    EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, give_password, &given) : NULL;
    BIO_free(bio);
    if (pkey)
        return key_new(pkey, err);
    mg_error_set(err, !given.asked ? "no private key in PEM"
                      : !password  ? "key is encrypted, and no password is given"
                                   : "key cannot be decrypted with this password");
    ERR_clear_error();
    return NULL;
}

struct mg_private_key *mg_private_key_from_der(struct mg_str der, struct mg_error *err)
{
    const unsigned char *p = (const unsigned char *)der.p;
    EVP_PKEY *pkey = der.n <= LONG_MAX ? d2i_AutoPrivateKey(NULL, &p, (long)der.n) : NULL;
    if (pkey)
        return key_new(pkey, err);
    mg_error_set(err, "no private key in DER");
    ERR_clear_error();
    return NULL;
}

void mg_private_key_free(struct mg_private_key *key)
{
    if (!key)
        return;
    signer_free(atomic_load(&key->spare));
    EVP_PKEY_free(key->pkey);
    free(key);
}

enum mg_key_kind mg_private_key_kind(const struct mg_private_key *key)
{
    return key->kind;
}

unsigned mg_private_key_bits(const struct mg_private_key *key)
{
    return (unsigned)EVP_PKEY_get_bits(key->pkey);
}

size_t mg_private_key_signature_bytes(const struct mg_private_key *key)
{
    return key->signature_bytes;
}

enum mg_rc mg_private_key_sign(struct mg_private_key *key, enum mg_key_scheme scheme,
                               enum mg_key_hash hash, struct mg_str digest, uint8_t *out, size_t *n)
{
    size_t room = key->signature_bytes;
    if ((scheme == MG_KEY_ECDSA) != (key->kind != MG_KEY_RSA) || digest.n != hashes[hash].bytes)
        return MG_FAIL;
    struct signer *signer = signer_take(key, scheme, hash);
    bool done =
        signer && EVP_PKEY_sign(signer->ctx, out, &room, (const uint8_t *)digest.p, digest.n) == 1;
    if (!done) {
        signer_free(signer);
        ERR_clear_error();
        return MG_FAIL;
    }
    *n = room;
    signer_free(atomic_exchange(&key->spare, signer));
    return MG_OK;
}
