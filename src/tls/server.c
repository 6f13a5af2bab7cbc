/*
 * TLS servers: which certificate for which name, what is asked of clients, tickets. One thread
 * each, but for the tickets.
 */
#include "tls/server.h"

#include <mbedtls/oid.h>
#include <stdlib.h>

#include "base/memory.h"
#include "tls/accel.h"
#include "tls/credentials.h"
#include "tls/library.h"
#include "tls/names.h"

#define SETTINGS_CHUNK 4096

struct mg_tls_server {
    uint32_t refs;
    struct mg_tls_desk *desk;
    struct mg_tls_server_settings *settings; /* a ref */
    struct mg_tls_credentials *credentials;
    size_t count; /* of them, parsed */
    struct mg_tls_names *names;
    char *first_name;                  /* of the first certificate; NULL: it has none */
    struct mg_tls_name_entry fallback; /* for clients that name no host, or none of ours */
    /* Alike but for the order of their suites: a configuration cannot change once a handshake uses
     * it. */
    mbedtls_ssl_config aes_first, chacha20_first;
};

/* --- callbacks of the library --- */

static bool is_ec(const struct mg_tls_credentials *c)
{
    return mbedtls_pk_can_do(&c->key, MBEDTLS_PK_ECKEY);
}

/* The library takes the first that the client can use. */
static int offer(mbedtls_ssl_context *ssl, struct mg_tls_server *s,
                 const struct mg_tls_name_entry *entry)
{
    for (int ec = 1; ec >= 0; ec--)
        for (uint32_t i = 0; i < entry->count; i++) {
            struct mg_tls_credentials *c = &s->credentials[entry->values[i]];
            int rc = is_ec(c) == ec ? mbedtls_ssl_set_hs_own_cert(ssl, &c->chain, &c->key) : 0;
            if (rc != 0)
                return rc;
        }
    return 0;
}

/* RFC 6066 3. Anything but 0 becomes the alert unrecognized_name. */
static int on_server_name(void *arg, mbedtls_ssl_context *ssl, const unsigned char *bytes, size_t n)
{
    struct mg_tls_server *s = arg;
    struct mg_str name = mg_str((const char *)bytes, n);
    if (mg_tls_name_is_valid(name))
        mg_tls_stream_set_server_name(s->desk->at, name);
    const struct mg_tls_name_entry *entry = mg_tls_names_find(s->names, name);
    if (!entry && s->settings->reject_unknown_names)
        return -1;
    return entry ? offer(ssl, s, entry) : 0;
}

/* Depth 0 is the client's own certificate; the highest is the trusted one. */
static int on_verify(void *arg, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    struct mg_tls_server *s = arg;
    (void)crt;
    if ((uint32_t)depth > s->settings->client_depth + 1)
        *flags |= MBEDTLS_X509_BADCERT_OTHER;
    return 0;
}

static int write_ticket(void *arg, const mbedtls_ssl_session *session, unsigned char *start,
                        const unsigned char *end, size_t *n, uint32_t *lifetime)
{
    struct mg_tls_server *s = arg;
    return mbedtls_ssl_ticket_write(&s->settings->tickets->context, session, start, end, n,
                                    lifetime);
}

static int parse_ticket(void *arg, mbedtls_ssl_session *session, unsigned char *bytes, size_t n)
{
    struct mg_tls_server *s = arg;
    int rc = mbedtls_ssl_ticket_parse(&s->settings->tickets->context, session, bytes, n);
    if (rc == 0)
        mg_tls_stream_set_resumed(s->desk->at);
    return rc;
}

/* --- as a role --- */

static const mbedtls_ssl_config *choose(void *owner, bool prefers_chacha20)
{
    struct mg_tls_server *s = owner;
    return prefers_chacha20 ? &s->chacha20_first : &s->aes_first;
}

/* A certificate that is only asked for must be good as well when there is one: the library lets bad
 * ones pass. */
static const char *completed(void *owner, struct mg_tls_stream *stream)
{
    mbedtls_ssl_context *ssl = mg_tls_stream_context(stream);
    struct mg_tls_server *s = owner;
    if (s->settings->client_auth != MG_TLS_CLIENT_AUTH_REQUEST || !mbedtls_ssl_get_peer_cert(ssl))
        return NULL;
    uint32_t flaws = mbedtls_ssl_get_verify_result(ssl);
    if (flaws == 0)
        return NULL;
    mbedtls_ssl_send_alert_message(ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL,
                                   MBEDTLS_SSL_ALERT_MSG_BAD_CERT);
    return mg_tls_trust_flaw(flaws);
}

static void release_owner(void *owner)
{
    mg_tls_server_unref(owner);
}

static const struct mg_tls_role role = {
    .choose = choose,
    .completed = completed,
    .release = release_owner,
    .is_server = true,
};

/* --- making --- */

static enum mg_rc add_names(struct mg_tls_server *s, uint32_t i, struct mg_error *err)
{
    const struct mg_tls_certificate *config = &s->settings->certificates[i];
    struct mg_pool pool;
    struct mg_arena arena;
    struct mg_str *names = config->names;
    size_t count = config->name_count;
    enum mg_rc rc = MG_OK;
    mg_pool_init(&pool, 2048);
    mg_arena_init(&arena, &pool);
    if (count == 0)
        names = mg_tls_credentials_names(&s->credentials[i], &arena, &count);
    for (size_t n = 0; n < count && rc == MG_OK; n++)
        if (!mg_tls_names_add(s->names, names[n], i))
            rc = mg_error_set(err, "too many certificates for the name '%.*s'", (int)names[n].n,
                              names[n].p);
    if (i == 0 && count > 0)
        s->first_name = mg_strdup(names[0]);
    mg_arena_release(&arena);
    mg_pool_release(&pool);
    return rc;
}

/* For clients that name no host: the first certificate, and what stands beside it for its name. */
static void choose_fallback(struct mg_tls_server *s)
{
    const struct mg_tls_name_entry *entry =
        s->first_name ? mg_tls_names_find(s->names, mg_str_c(s->first_name)) : NULL;
    s->fallback = entry ? *entry : (struct mg_tls_name_entry){.count = 1};
}

/* RFC 5280 4.2.1.12: clients would refuse it. */
static bool serves(const struct mg_tls_credentials *c)
{
    return mbedtls_x509_crt_check_extended_key_usage(
               &c->chain, MBEDTLS_OID_SERVER_AUTH, MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH)) == 0;
}

static enum mg_rc load(struct mg_tls_server *s, struct mg_error *err)
{
    const struct mg_tls_server_settings *settings = s->settings;
    s->credentials = mg_calloc(settings->certificate_count, sizeof *s->credentials);
    for (uint32_t i = 0; i < settings->certificate_count; i++) {
        const struct mg_tls_certificate *c = &settings->certificates[i];
        if (mg_tls_credentials_parse(&s->credentials[i], c->cert_pem, c->key_pem, c->password,
                                     err) != MG_OK)
            return mg_error_prefix(err, "%.*s", (int)c->cert_file.n, c->cert_file.p);
        s->count++;
        if (!serves(&s->credentials[i]))
            return mg_error_set(err, "%.*s: certificate: it may not be used for a server",
                                MG_STR_ARGS(c->cert_file));
        if (add_names(s, i, err) != MG_OK)
            return mg_error_prefix(err, "%.*s", (int)c->cert_file.n, c->cert_file.p);
    }
    choose_fallback(s);
    return MG_OK;
}

static int set_default(struct mg_tls_server *s, mbedtls_ssl_config *conf)
{
    int rc = 0;
    for (int ec = 1; ec >= 0; ec--)
        for (uint32_t i = 0; i < s->fallback.count && rc == 0; i++) {
            struct mg_tls_credentials *c = &s->credentials[s->fallback.values[i]];
            if (is_ec(c) == ec)
                rc = mbedtls_ssl_conf_own_cert(conf, &c->chain, &c->key);
        }
    return rc;
}

static void ask_for_certificate(struct mg_tls_server *s, mbedtls_ssl_config *conf)
{
    static const int modes[] = {
        [MG_TLS_CLIENT_AUTH_NONE] = MBEDTLS_SSL_VERIFY_NONE,
        /* The library's "optional" lets bad ones in too; stream.c looks at the result. */
        [MG_TLS_CLIENT_AUTH_REQUEST] = MBEDTLS_SSL_VERIFY_OPTIONAL,
        [MG_TLS_CLIENT_AUTH_REQUIRE] = MBEDTLS_SSL_VERIFY_REQUIRED,
    };
    struct mg_tls_trust *trust = s->settings->client_trust;
    mbedtls_ssl_conf_authmode(conf, modes[s->settings->client_auth]);
    if (!trust)
        return;
    mbedtls_ssl_conf_ca_chain(conf, &trust->ca, trust->has_crl ? &trust->crl : NULL);
    mbedtls_ssl_conf_verify(conf, on_verify, s);
}

static enum mg_rc configure(struct mg_tls_server *s, mbedtls_ssl_config *conf, bool chacha20_first,
                            struct mg_error *err)
{
    if (mbedtls_ssl_config_defaults(conf, MBEDTLS_SSL_IS_SERVER, MBEDTLS_SSL_TRANSPORT_STREAM,
                                    MBEDTLS_SSL_PRESET_DEFAULT) != 0)
        return mg_error_set(err, "out of memory");
    mbedtls_ssl_conf_rng(conf, mg_tls_random, NULL);
    mg_tls_library_versions(conf, s->settings->min_version, mg_tls_library_max_version());
    mg_tls_library_groups(conf, false);
    mg_tls_library_suites(conf, chacha20_first);
    if (set_default(s, conf) != 0)
        return mg_error_set(err, "out of memory");
    mbedtls_ssl_conf_sni(conf, on_server_name, s);
    ask_for_certificate(s, conf);
    if (s->settings->protocols)
        mbedtls_ssl_conf_alpn_protocols(conf, s->settings->protocols);
    if (s->settings->tickets)
        mbedtls_ssl_conf_session_tickets_cb(conf, write_ticket, parse_ticket, s);
    return MG_OK;
}

struct mg_tls_server_settings *mg_tls_server_settings_new(void)
{
    struct mg_tls_server_settings *s = mg_calloc(1, sizeof *s);
    atomic_init(&s->refs, 1);
    mg_pool_init(&s->_chunks, SETTINGS_CHUNK);
    mg_arena_init(&s->arena, &s->_chunks);
    return s;
}

void mg_tls_server_settings_unref(struct mg_tls_server_settings *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    mg_tls_trust_unref(s->client_trust);
    mg_tls_tickets_unref(s->tickets);
    mg_arena_release(&s->arena);
    mg_pool_release(&s->_chunks);
    free(s);
}

void mg_tls_server_settings_inherit(struct mg_tls_server_settings *s,
                                    struct mg_tls_server_settings *old)
{
    if (s->client_auth || old->client_auth || !s->tickets || !old->tickets)
        return;
    mg_tls_tickets_unref(s->tickets);
    s->tickets = mg_tls_tickets_ref(old->tickets);
}

struct mg_tls_server *mg_tls_server_new(struct mg_tls_desk *desk,
                                        struct mg_tls_server_settings *settings,
                                        struct mg_error *err)
{
    struct mg_tls_server *s = mg_calloc(1, sizeof *s);
    atomic_fetch_add_explicit(&settings->refs, 1, memory_order_relaxed);
    *s = (struct mg_tls_server){
        .refs = 1, .desk = desk, .settings = settings, .names = mg_tls_names_new()};
    mg_tls_accel_catch_up();
    mbedtls_ssl_config_init(&s->aes_first);
    mbedtls_ssl_config_init(&s->chacha20_first);
    mg_tls_library_start();
    if (load(s, err) == MG_OK && configure(s, &s->aes_first, false, err) == MG_OK &&
        configure(s, &s->chacha20_first, true, err) == MG_OK)
        return s;
    mg_tls_server_unref(s);
    return NULL;
}

struct mg_tls_server *mg_tls_server_ref(struct mg_tls_server *s)
{
    s->refs++;
    return s;
}

void mg_tls_server_unref(struct mg_tls_server *s)
{
    if (!s || --s->refs > 0)
        return;
    mbedtls_ssl_config_free(&s->aes_first);
    mbedtls_ssl_config_free(&s->chacha20_first);
    for (size_t i = 0; i < s->count; i++)
        mg_tls_credentials_release(&s->credentials[i]);
    free(s->credentials);
    mg_tls_names_free(s->names);
    mg_tls_server_settings_unref(s->settings);
    free(s->first_name);
    free(s);
}

void mg_tls_server_accept(struct mg_tls_server *s, struct mg_stream *lower, uint64_t deadline_ns,
                          mg_tls_done_fn on_done, void *arg)
{
    struct mg_tls_start start = {
        .desk = s->desk,
        .lower = lower,
        .role = &role,
        .owner = mg_tls_server_ref(s),
        .deadline_ns = deadline_ns,
        .on_done = on_done,
        .arg = arg,
    };
    mg_tls_stream_new(&start);
}

double mg_tls_server_expiry(const struct mg_tls_server *s, size_t i, struct mg_arena *a,
                            struct mg_str *which)
{
    return mg_tls_credentials_expiry(&s->credentials[i], a, which);
}
