/*
 * Reading private keys. The library reads all but one form: of encrypted PKCS #8 it knows only
 * DES and 3DES (in 2.28), while everybody's tools have written AES for years. So libcrypto takes
 * that cover off.
 */
#include "tls/key.h"

#include <limits.h>
#include <mbedtls/platform_util.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <stdlib.h>

#include "base/memory.h"
#include "tls/library.h"
#include "tls/pem.h"

#define RSA_BITS_MIN 2048

static const char WRONG_PASSWORD[] = "the password is wrong, or the key is damaged";
static const char NO_PASSWORD[] = "it is encrypted, and there is no password for it";

/* A fault of the algorithm, as opposed to a wrong password, which is a bad padding, or (once in 256
 * times) rubbish for the parser behind it. */
static enum mg_rc decrypt_failed(struct mg_error *err)
{
    unsigned long code = ERR_peek_error();
    const char *reason = ERR_GET_LIB(code) == ERR_LIB_EVP ? ERR_reason_error_string(code) : NULL;
    if (reason)
        return mg_error_set(err, "it cannot be decrypted: %s", reason);
    return mg_error_set(err, "%s", WRONG_PASSWORD);
}

/* DER of the plain PKCS #8 key; OPENSSL_clear_free() it. */
static enum mg_rc decrypt_pkcs8(struct mg_str block, struct mg_str password, unsigned char **der,
                                size_t *n, struct mg_error *err)
{
    enum mg_rc rc = MG_FAIL;
    PKCS8_PRIV_KEY_INFO *plain = NULL;
    if (password.n == 0)
        return mg_error_set(err, "%s", NO_PASSWORD);
    if (block.n > INT_MAX || password.n > INT_MAX)
        return mg_error_set(err, "it is too large");
    ERR_clear_error();
    BIO *bio = BIO_new_mem_buf(block.p, (int)block.n);
    X509_SIG *sealed = bio ? PEM_read_bio_PKCS8(bio, NULL, NULL, NULL) : NULL;
    if (!sealed) {
        mg_error_set(err, "it is damaged: not the PEM of an encrypted key");
        goto out;
    }
    plain = PKCS8_decrypt(sealed, password.p, (int)password.n);
    if (!plain) {
        decrypt_failed(err);
        goto out;
    }
    *der = NULL;
    int written = i2d_PKCS8_PRIV_KEY_INFO(plain, der);
    if (written <= 0) {
        mg_error_set(err, "%s", WRONG_PASSWORD);
        goto out;
    }
    *n = (size_t)written;
    rc = MG_OK;
out:
    PKCS8_PRIV_KEY_INFO_free(plain);
    X509_SIG_free(sealed);
    BIO_free(bio);
    ERR_clear_error();
    return rc;
}

static enum mg_rc parse_failed(int code, bool encrypted, struct mg_error *err)
{
    char text[160];
    if (code == MBEDTLS_ERR_PK_PASSWORD_REQUIRED)
        return mg_error_set(err, "%s", NO_PASSWORD);
    /* A wrong password can give bytes that look like the beginning of a key. */
    if (code == MBEDTLS_ERR_PK_PASSWORD_MISMATCH || encrypted)
        return mg_error_set(err, "%s", WRONG_PASSWORD);
    if (code == MBEDTLS_ERR_PK_UNKNOWN_PK_ALG)
        return mg_error_set(err, "it is neither an RSA nor an EC key");
    if (code == MBEDTLS_ERR_PK_UNKNOWN_NAMED_CURVE)
        return mg_error_set(err, "its curve is none of P-256, P-384 and P-521");
    return mg_error_set(err, "it cannot be read: %s",
                        mg_tls_library_error(code, text, sizeof text));
}

static enum mg_rc parse_pem(mbedtls_pk_context *key, struct mg_str pem, struct mg_str password,
                            struct mg_error *err)
{
    char *copy = mg_strdup(pem);
    int code = mg_tls_library_parse_key(key, mg_str(copy, pem.n + 1), password);
    mbedtls_platform_zeroize(copy, pem.n);
    free(copy);
    bool encrypted = password.n && memmem(pem.p, pem.n, "DEK-Info:", 9);
    return code == 0 ? MG_OK : parse_failed(code, encrypted, err);
}

static enum mg_rc parse_pkcs8(mbedtls_pk_context *key, struct mg_str block, struct mg_str password,
                              struct mg_error *err)
{
    unsigned char *der;
    size_t n;
    if (decrypt_pkcs8(block, password, &der, &n, err) != MG_OK)
        return MG_FAIL;
    int code = mg_tls_library_parse_key(key, mg_str((const char *)der, n), MG_STR_NONE);
    OPENSSL_clear_free(der, n);
    return code == 0 ? MG_OK : parse_failed(code, false, err);
}

static enum mg_rc check_strength(const mbedtls_pk_context *key, struct mg_error *err)
{
    size_t bits = mbedtls_pk_get_bitlen(key);
    if (mbedtls_pk_get_type(key) == MBEDTLS_PK_RSA && bits < RSA_BITS_MIN)
        return mg_error_set(err, "RSA with %zu bits is too weak; %d is the least", bits,
                            RSA_BITS_MIN);
    if (mbedtls_pk_get_type(key) == MBEDTLS_PK_RSA)
        return MG_OK;
    switch (mg_tls_library_curve(key)) {
    case MBEDTLS_ECP_DP_SECP256R1:
    case MBEDTLS_ECP_DP_SECP384R1:
    case MBEDTLS_ECP_DP_SECP521R1:
        return MG_OK;
    default:
        return parse_failed(MBEDTLS_ERR_PK_UNKNOWN_NAMED_CURVE, false, err);
    }
}

enum mg_rc mg_tls_key_parse(mbedtls_pk_context *key, struct mg_str pem, struct mg_str password,
                            struct mg_error *err)
{
    struct mg_str rest = pem, block;
    enum mg_rc rc;
    if (mg_tls_pem_next(&rest, "ENCRYPTED PRIVATE KEY", &block))
        rc = parse_pkcs8(key, block, password, err);
    else if (mg_tls_pem_has(pem, "PRIVATE KEY"))
        rc = parse_pem(key, pem, password, err);
    else if (mg_tls_pem_has(pem, "CERTIFICATE"))
        return mg_error_set(err, "there is a certificate in it, but no private key");
    else
        return mg_error_set(err, "there is no private key in PEM form in it");
    return rc == MG_OK ? check_strength(key, err) : rc;
}
