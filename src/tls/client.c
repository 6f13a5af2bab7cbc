/*
 * TLS clients: verification, names, and sessions to take up again. One thread each.
 *
 * The library checks DNS names by itself; that an address stands in the certificate is checked
 * here, for 2.28 cannot (RFC 9525 6.5).
 */
#include "tls/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "tls/accel.h"
#include "tls/credentials.h"
#include "tls/library.h"
#include "tls/san.h"

#define SETTINGS_CHUNK 4096
#define HOST_MOST 254
/* Sessions kept, each with the certificate of its backend. */
#define SESSIONS 64

struct session {
    uint64_t backend; /* 0: none is here */
    bool barred; /* the backend refuses who comes with a session: no session is here, nor kept */
    mbedtls_ssl_session session;
};

struct mg_tls_client {
    uint32_t refs;
    struct mg_tls_desk *desk;
    struct mg_tls_client_settings *settings; /* a ref */
    struct mg_tls_credentials credentials;
    bool has_credentials;
    mbedtls_ssl_config conf;
    struct session *sessions; /* by backend, modulo SESSIONS */
};

/* What a stream needs of its client. */
struct attempt {
    struct mg_tls_client *client; /* a ref */
    uint64_t backend;
    bool offers_session;
    char host[HOST_MOST];
    bool is_address;
};

/* --- sessions --- */

static struct session *place_of(struct mg_tls_client *c, uint64_t backend)
{
    return &c->sessions[backend % SESSIONS];
}

static const mbedtls_ssl_session *session_of(struct mg_tls_client *c, uint64_t backend)
{
    struct session *s = place_of(c, backend);
    return s->backend == backend && !s->barred ? &s->session : NULL;
}

static void forget_session(struct session *s)
{
    if (s->backend && !s->barred)
        mbedtls_ssl_session_free(&s->session);
    s->backend = 0;
    s->barred = false;
}

static void keep_session(struct mg_tls_client *c, uint64_t backend, const mbedtls_ssl_context *ssl)
{
    struct session *s = place_of(c, backend);
    if (s->backend == backend && s->barred)
        return;
    forget_session(s);
    mbedtls_ssl_session_init(&s->session);
    s->backend = backend;
    if (mbedtls_ssl_get_session(ssl, &s->session) != 0)
        forget_session(s);
}

/* --- as a role --- */

/* Depth 0 is the backend's own certificate. */
static int on_verify(void *arg, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    struct mg_tls_client *c = arg;
    const struct attempt *a = c->desk->at ? mg_tls_stream_owner(c->desk->at) : NULL;
    if (depth == 0 && a && a->is_address && !mg_tls_san_answers_for(crt, mg_str_c(a->host)))
        *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
    return 0;
}

static const char *completed(void *owner, struct mg_tls_stream *stream)
{
    struct attempt *a = owner;
    keep_session(a->client, a->backend, mg_tls_stream_context(stream));
    return NULL;
}

/* A session is not offered again after a failure (RFC 5246 7.2.2). Backends that would refuse the
 * next one as well are common: those that ask for a certificate and never told OpenSSL its
 * session_id_context. */
static void failed(void *owner, bool by_alert)
{
    struct attempt *a = owner;
    struct session *s = place_of(a->client, a->backend);
    if (!a->offers_session)
        return;
    if (s->backend == a->backend)
        forget_session(s);
    if (by_alert && s->backend == 0) {
        s->backend = a->backend;
        s->barred = true;
    }
}

static void release_owner(void *owner)
{
    struct attempt *a = owner;
    mg_tls_client_unref(a->client);
    free(a);
}

static const struct mg_tls_role role = {
    .completed = completed, .failed = failed, .release = release_owner};

/* --- settings --- */

struct mg_tls_client_settings *mg_tls_client_settings_new(void)
{
    struct mg_tls_client_settings *s = mg_calloc(1, sizeof *s);
    atomic_init(&s->refs, 1);
    mg_pool_init(&s->_chunks, SETTINGS_CHUNK);
    mg_arena_init(&s->arena, &s->_chunks);
    return s;
}

struct mg_tls_client_settings *mg_tls_client_settings_ref(struct mg_tls_client_settings *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void mg_tls_client_settings_unref(struct mg_tls_client_settings *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    mg_tls_trust_unref(s->trust);
    mg_arena_release(&s->arena);
    mg_pool_release(&s->_chunks);
    free(s);
}

bool mg_tls_client_settings_equal(const struct mg_tls_client_settings *a,
                                  const struct mg_tls_client_settings *b)
{
    if (!a || !b || !a->trust != !b->trust)
        return a == b;
    return (!a->trust || mg_tls_trust_equal(a->trust, b->trust)) && mg_str_eq(a->name, b->name) &&
           mg_str_eq(a->cert_pem, b->cert_pem) && mg_str_eq(a->key_pem, b->key_pem) &&
           mg_str_eq(a->password, b->password);
}

/* --- making --- */

static enum mg_rc load(struct mg_tls_client *c, struct mg_error *err)
{
    const struct mg_tls_client_settings *s = c->settings;
    if (s->cert_pem.n == 0)
        return MG_OK;
    if (mg_tls_credentials_parse(&c->credentials, s->cert_pem, s->key_pem, s->password, err) !=
        MG_OK)
        return mg_error_prefix(err, "%.*s", (int)s->cert_file.n, s->cert_file.p);
    c->has_credentials = true;
    return MG_OK;
}

static enum mg_rc configure(struct mg_tls_client *c, struct mg_error *err)
{
    mbedtls_ssl_config *conf = &c->conf;
    struct mg_tls_trust *trust = c->settings->trust;
    if (mbedtls_ssl_config_defaults(conf, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                    MBEDTLS_SSL_PRESET_DEFAULT) != 0)
        return mg_error_set(err, "out of memory");
    mbedtls_ssl_conf_rng(conf, mg_tls_random, NULL);
    mg_tls_library_versions(conf, 12, mg_tls_library_max_version());
    mg_tls_library_groups(conf, true);
    mg_tls_library_suites(conf, false);
    mbedtls_ssl_conf_authmode(conf, trust ? MBEDTLS_SSL_VERIFY_REQUIRED : MBEDTLS_SSL_VERIFY_NONE);
    if (trust) {
        mbedtls_ssl_conf_ca_chain(conf, &trust->ca, trust->has_crl ? &trust->crl : NULL);
        mbedtls_ssl_conf_verify(conf, on_verify, c);
    }
    if (c->has_credentials &&
        mbedtls_ssl_conf_own_cert(conf, &c->credentials.chain, &c->credentials.key) != 0)
        return mg_error_set(err, "out of memory");
    if (c->settings->protocols)
        mbedtls_ssl_conf_alpn_protocols(conf, c->settings->protocols);
    mbedtls_ssl_conf_session_tickets(conf, MBEDTLS_SSL_SESSION_TICKETS_ENABLED);
    return MG_OK;
}

struct mg_tls_client *mg_tls_client_new(struct mg_tls_desk *desk,
                                        struct mg_tls_client_settings *settings,
                                        struct mg_error *err)
{
    struct mg_tls_client *c = mg_calloc(1, sizeof *c);
    *c = (struct mg_tls_client){
        .refs = 1, .desk = desk, .settings = mg_tls_client_settings_ref(settings)};
    c->sessions = mg_calloc(SESSIONS, sizeof *c->sessions);
    mg_tls_accel_catch_up();
    mbedtls_ssl_config_init(&c->conf);
    mg_tls_library_start();
    if (load(c, err) == MG_OK && configure(c, err) == MG_OK)
        return c;
    mg_tls_client_unref(c);
    return NULL;
}

struct mg_tls_client *mg_tls_client_ref(struct mg_tls_client *c)
{
    c->refs++;
    return c;
}

void mg_tls_client_unref(struct mg_tls_client *c)
{
    if (!c || --c->refs > 0)
        return;
    for (size_t i = 0; i < SESSIONS; i++)
        forget_session(&c->sessions[i]);
    free(c->sessions);
    mbedtls_ssl_config_free(&c->conf);
    if (c->has_credentials)
        mg_tls_credentials_release(&c->credentials);
    mg_tls_client_settings_unref(c->settings);
    free(c);
}

/* --- connecting --- */

/* The text of the address as certificates' are compared with, when it is one. */
static bool is_address(struct mg_str host, char out[MG_IP_TEXT_MAX])
{
    struct mg_addr addr;
    if (!mg_ip_parse(host, &addr))
        return false;
    out[mg_ip_format(&addr, out)] = 0;
    return true;
}

struct mg_tls_stream *mg_tls_client_connect(struct mg_tls_client *c, struct mg_stream *lower,
                                            struct mg_str host, uint64_t backend,
                                            uint64_t deadline_ns, mg_tls_done_fn on_done, void *arg)
{
    struct attempt *a = mg_calloc(1, sizeof *a);
    struct mg_str name = c->settings->name.n ? c->settings->name : host;
    char address[MG_IP_TEXT_MAX];
    c->refs++;
    a->client = c;
    a->backend = backend;
    a->is_address = is_address(name, address);
    snprintf(a->host, sizeof a->host, "%.*s", (int)name.n, name.p);
    if (a->is_address)
        snprintf(a->host, sizeof a->host, "%s", address);
    struct mg_tls_start start = {
        .desk = c->desk,
        .lower = lower,
        .role = &role,
        .owner = a,
        .deadline_ns = deadline_ns,
        .on_done = on_done,
        .arg = arg,
    };
    struct mg_tls_stream *s = mg_tls_stream_new(&start);
    const mbedtls_ssl_session *session = session_of(c, backend);
    a->offers_session = session != NULL;
    /* Addresses are not sent as server names (RFC 6066 3). */
    mg_tls_stream_begin(s, &c->conf, a->is_address ? NULL : a->host, session);
    return s;
}
