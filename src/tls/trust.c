/* CA certificates and CRLs, shared by all threads once made. */
#include "tls/trust.h"

#include <pthread.h>
#include <sys/stat.h>

#include "base/file.h"

#define SYSTEM_FILE_MAX ((size_t)16 << 20)

#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "tls/accel.h"
#include "tls/library.h"
#include "tls/pem.h"

static int parse_certificate(void *list, const unsigned char *pem, size_t n)
{
    return mbedtls_x509_crt_parse(list, pem, n);
}

static int parse_crl(void *list, const unsigned char *pem, size_t n)
{
    return mbedtls_x509_crl_parse(list, pem, n);
}

static enum mg_rc read_cas(struct mg_tls_trust *t, struct mg_str pem, bool lenient,
                           struct mg_error *err)
{
    size_t count, bad;
    char text[160];
    int rc = mg_tls_pem_read(pem, "CERTIFICATE", parse_certificate, &t->ca, lenient, &count, &bad);
    if (rc != 0)
        return mg_error_set(err, "CA certificate %zu cannot be read: %s", bad,
                            mg_tls_library_error(rc, text, sizeof text));
    if (count == 0)
        return mg_error_set(err, "there is no readable CA certificate in PEM form in it");
    return MG_OK;
}

static enum mg_rc read_crls(struct mg_tls_trust *t, struct mg_str pem, struct mg_error *err)
{
    size_t count, bad;
    char text[160];
    if (pem.n == 0)
        return MG_OK;
    int rc = mg_tls_pem_read(pem, "X509 CRL", parse_crl, &t->crl, false, &count, &bad);
    if (rc != 0)
        return mg_error_set(err, "CRL %zu cannot be read: %s", bad,
                            mg_tls_library_error(rc, text, sizeof text));
    if (count == 0)
        return mg_error_set(err, "there is no CRL in PEM form in it");
    t->has_crl = true;
    return MG_OK;
}

struct mg_tls_trust *mg_tls_trust_new(struct mg_str ca_pem, struct mg_str crl_pem, bool lenient,
                                      struct mg_error *err)
{
    struct mg_tls_trust *t = mg_calloc(1, sizeof *t);
    mg_tls_accel_catch_up();
    atomic_init(&t->refs, 1);
    mbedtls_x509_crt_init(&t->ca);
    mbedtls_x509_crl_init(&t->crl);
    if (read_cas(t, ca_pem, lenient, err) == MG_OK && read_crls(t, crl_pem, err) == MG_OK)
        return t;
    mg_tls_trust_unref(t);
    return NULL;
}

struct mg_tls_trust *mg_tls_trust_ref(struct mg_tls_trust *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void mg_tls_trust_unref(struct mg_tls_trust *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    mbedtls_x509_crt_free(&t->ca);
    mbedtls_x509_crl_free(&t->crl);
    free(t);
}

static bool same_bytes(const mbedtls_x509_buf *a, const mbedtls_x509_buf *b)
{
    return mg_str_eq(mg_str((const char *)a->p, a->len), mg_str((const char *)b->p, b->len));
}

bool mg_tls_trust_equal(const struct mg_tls_trust *a, const struct mg_tls_trust *b)
{
    const mbedtls_x509_crt *x = &a->ca, *y = &b->ca;
    const mbedtls_x509_crl *p = &a->crl, *q = &b->crl;
    if (a == b)
        return true;
    for (; x && y && same_bytes(&x->raw, &y->raw); x = x->next)
        y = y->next;
    for (; p && q && same_bytes(&p->raw, &q->raw); p = p->next)
        q = q->next;
    return !x && !y && !p && !q;
}

const char *mg_tls_trust_system_file(void)
{
    static const char *const PLACES[] = {
        "/etc/ssl/certs/ca-certificates.crt",                /* Debian, Arch, Gentoo */
        "/etc/pki/tls/certs/ca-bundle.crt",                  /* Fedora, RHEL */
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* RHEL */
        "/etc/ssl/ca-bundle.pem",                            /* openSUSE */
        "/etc/ssl/cert.pem",                                 /* Alpine, the BSDs */
    };
    const char *own = getenv("SSL_CERT_FILE");
    if (own && own[0])
        return own;
    for (size_t i = 0; i < sizeof PLACES / sizeof PLACES[0]; i++)
        if (access(PLACES[i], R_OK) == 0)
            return PLACES[i];
    return NULL;
}

const char *mg_tls_trust_flaw(uint32_t flags)
{
    /* What has to be mended first comes first: a stranger's certificate is a stranger's, whatever
     * else there is to say of it. */
    static const struct {
        uint32_t flag;
        const char *words;
    } FLAWS[] = {
        {MBEDTLS_X509_BADCERT_MISSING, "no certificate"},
        {MBEDTLS_X509_BADCERT_REVOKED, "revoked"},
        {MBEDTLS_X509_BADCERT_NOT_TRUSTED, "unknown issuer"},
        {MBEDTLS_X509_BADCERT_EXPIRED, "expired"},
        {MBEDTLS_X509_BADCERT_FUTURE, "not valid yet"},
        {MBEDTLS_X509_BADCERT_CN_MISMATCH, "not for this name"},
        {MBEDTLS_X509_BADCERT_KEY_USAGE, "its key is not for this use"},
        {MBEDTLS_X509_BADCERT_EXT_KEY_USAGE, "not for this use"},
        {MBEDTLS_X509_BADCERT_NS_CERT_TYPE, "not for this use"},
        {MBEDTLS_X509_BADCERT_BAD_MD, "signed with a weak digest"},
        {MBEDTLS_X509_BADCERT_BAD_PK, "signed with an unfit kind of key"},
        {MBEDTLS_X509_BADCERT_BAD_KEY, "weak key or unfit curve"},
        {MBEDTLS_X509_BADCRL_NOT_TRUSTED, "its CRL is not signed by its issuer"},
        {MBEDTLS_X509_BADCRL_EXPIRED, "its CRL is expired"},
        {MBEDTLS_X509_BADCRL_FUTURE, "its CRL is not valid yet"},
        {MBEDTLS_X509_BADCRL_BAD_MD, "its CRL is signed with a weak digest"},
        {MBEDTLS_X509_BADCRL_BAD_PK, "its CRL is signed with an unfit kind of key"},
        {MBEDTLS_X509_BADCRL_BAD_KEY, "its CRL is signed with a weak key"},
        {MBEDTLS_X509_BADCERT_SKIP_VERIFY, "not verified"},
    };
    for (size_t i = 0; i < sizeof FLAWS / sizeof FLAWS[0]; i++)
        if (flags & FLAWS[i].flag)
            return FLAWS[i].words;
    return flags ? "refused" : "none";
}

/* --- the system's --- */

static pthread_mutex_t system_lock = PTHREAD_MUTEX_INITIALIZER;
/* Under the lock. The last ones that were read; they stay to the end of the process. */
static struct mg_tls_trust *system_trust;
static struct timespec system_time;

static struct mg_tls_trust *read_system(const char *file, struct mg_error *err)
{
    struct mg_buf text;
    struct mg_tls_trust *t = NULL;
    mg_buf_init(&text, SYSTEM_FILE_MAX);
    if (mg_file_read(file, &text, err) == MG_OK &&
        !(t = mg_tls_trust_new(mg_buf_str(&text), MG_STR_NONE, true, err)))
        mg_error_prefix(err, "%s", file);
    mg_buf_release(&text);
    return t;
}

struct mg_tls_trust *mg_tls_trust_system(struct mg_error *err)
{
    const char *file = mg_tls_trust_system_file();
    struct stat st;
    if (!file || stat(file, &st) != 0) {
        mg_error_set(err, "this system has no file of certificate authorities");
        return NULL;
    }
    pthread_mutex_lock(&system_lock);
    if (!system_trust || memcmp(&system_time, &st.st_mtim, sizeof system_time) != 0) {
        struct mg_tls_trust *t = read_system(file, err);
        if (t) {
            mg_tls_trust_unref(system_trust);
            system_trust = t;
            system_time = st.st_mtim;
        }
    }
    struct mg_tls_trust *t = system_trust ? mg_tls_trust_ref(system_trust) : NULL;
    pthread_mutex_unlock(&system_lock);
    return t;
}
