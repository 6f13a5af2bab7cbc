/*
 * TLS of listeners and services: reads the files, and tries what is in them, so that a bad
 * certificate is an error of the config and not of the first client.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/self_signed.h"
#include "script/config_build.h"
#include "tls/library.h"

#define PEM_MAX ((size_t)4 << 20)
#define DAY 86400.0

/* A part of the config that has files: where it stands, and what they are read into. */
struct part {
    struct mg_config_build *b;
    struct mg_arena *arena;
    struct mg_str path; /* "listen[0].tls" */
    int table;          /* stack index */
};

static struct mg_str path_of(const struct part *p, const char *key)
{
    return mg_arena_printf(&p->b->gen->arena, "%s.%s", p->path.p, key);
}

static void fail(const struct part *p, const char *key, const char *message)
{
    struct mg_config_place place = {.path = path_of(p, key)};
    mg_config_error(p->b, &place, "%s", message);
}

/* The text of the file that a field names; empty when it names none, or an error was told. */
static struct mg_str read_file(const struct part *p, const char *key)
{
    struct mg_str file = mg_config_text(p->b, p->table, key), text = MG_STR_NONE;
    struct mg_buf buf;
    if (file.n == 0)
        return text;
    if (mg_config_read_file(p->b, path_of(p, key).p, file, PEM_MAX, &buf) == MG_OK)
        text = mg_arena_str(p->arena, mg_buf_str(&buf));
    mg_config_drop_file(&buf);
    return text;
}

static struct mg_str read_password(const struct part *p)
{
    struct mg_str name = mg_config_text(p->b, p->table, "password");
    return name.n ? mg_arena_str(p->arena, mg_config_secret(p->b, name)) : MG_STR_NONE;
}

static struct mg_tls_trust *read_trust(const struct part *p, const char *ca_key,
                                       const char *crl_key)
{
    struct mg_error err;
    unsigned before = p->b->report->errors;
    struct mg_str ca = read_file(p, ca_key), crl = read_file(p, crl_key);
    if (p->b->report->errors != before)
        return NULL;
    struct mg_tls_trust *t = mg_tls_trust_new(ca, crl, false, &err);
    if (!t)
        fail(p, ca_key, err.text);
    return t;
}

/* --- listeners --- */

/* Where a certificate stands, for errors. */
static struct part certificate_part(const struct part *p, size_t i)
{
    struct part c = *p;
    c.path = mg_arena_printf(&p->b->gen->arena, "%s.certificates[%zu]", p->path.p, i);
    c.table = lua_gettop(p->b->L);
    return c;
}

static void read_certificate(const struct part *p, struct mg_tls_certificate *out)
{
    out->cert_file = mg_arena_str(p->arena, mg_config_text(p->b, p->table, "cert"));
    out->cert_pem = read_file(p, "cert");
    out->key_pem = read_file(p, "key");
    out->password = read_password(p);
    struct mg_str *names = mg_config_texts(p->b, p->table, "names", &out->name_count);
    out->names = mg_arena_calloc(p->arena, out->name_count * sizeof *names);
    for (size_t i = 0; i < out->name_count; i++)
        out->names[i] = mg_arena_str(p->arena, names[i]);
}

static void make_certificate(const struct part *p, struct mg_tls_server_settings *s)
{
    struct mg_buf cert, key;
    struct mg_error err;
    mg_buf_init(&cert, PEM_MAX);
    mg_buf_init(&key, PEM_MAX);
    s->certificate_count = 1;
    s->certificates = mg_arena_calloc(p->arena, sizeof *s->certificates);
    s->certificates->cert_file = MG_STR("self-signed certificate");
    if (mg_self_signed_make(&cert, &key, &err) != MG_OK)
        fail(p, "certificates", err.text);
    s->certificates->cert_pem = mg_arena_str(p->arena, mg_buf_str(&cert));
    s->certificates->key_pem = mg_arena_str(p->arena, mg_buf_str(&key));
    mg_buf_release(&cert);
    mg_buf_release(&key);
}

static void read_certificates(const struct part *p, struct mg_tls_server_settings *s)
{
    s->certificate_count = mg_config_list(p->b, p->table, "certificates");
    s->certificates = mg_arena_calloc(p->arena, s->certificate_count * sizeof *s->certificates);
    for (size_t i = 0; i < s->certificate_count; i++) {
        lua_rawgeti(p->b->L, -1, (lua_Integer)i + 1);
        struct part c = certificate_part(p, i);
        read_certificate(&c, &s->certificates[i]);
        lua_pop(p->b->L, 1);
    }
    lua_pop(p->b->L, 1);
    if (s->certificate_count)
        return;
    if (p->b->source->dev || mg_config_flag(p->b, p->b->config, "dev"))
        make_certificate(p, s);
    else
        fail(p, "certificates", "is required (with --dev one is made for localhost)");
}

static void read_client_auth(const struct part *p, struct mg_tls_server_settings *s)
{
    if (mg_config_is(p->b, p->table, "client_auth", "require"))
        s->client_auth = MG_TLS_CLIENT_AUTH_REQUIRE;
    else if (mg_config_is(p->b, p->table, "client_auth", "request"))
        s->client_auth = MG_TLS_CLIENT_AUTH_REQUEST;
    else
        return;
    s->client_depth = (uint32_t)mg_config_integer(p->b, p->table, "client_depth");
    s->client_trust = read_trust(p, "client_ca", "client_crl");
}

/* What is not spoken here is not offered. */
static void read_protocols(const struct part *p, struct mg_tls_server_settings *s)
{
    size_t count, kept = 0;
    struct mg_str *names = mg_config_texts(p->b, p->table, "alpn", &count);
    s->protocols = mg_arena_calloc(p->arena, (count + 1) * sizeof *s->protocols);
    for (size_t i = 0; i < count; i++) {
        if (!mg_str_eq(names[i], MG_STR("h2"))) {
            s->protocols[kept++] = mg_arena_str(p->arena, names[i]).p;
            continue;
        }
        struct mg_config_place place = {
            .path = mg_arena_printf(&p->b->gen->arena, "%s.alpn[%zu]", p->path.p, i)};
        mg_config_warning(p->b, &place, "HTTP/2 is not spoken yet, so it is not offered");
    }
    if (kept == 0)
        s->protocols = NULL;
}

static void note_expiry(const struct part *p, const struct mg_tls_server *server,
                        struct mg_tls_certificate *c, size_t i)
{
    struct mg_config_place place = {
        .path = mg_arena_printf(&p->b->gen->arena, "%s.certificates[%zu].cert", p->path.p, i)};
    c->expires = mg_tls_server_expiry(server, i, p->arena, &c->whose);
    double left = c->expires - (double)time(NULL);
    if (left <= 0)
        mg_config_warning(p->b, &place, "the certificate of '%.*s' has expired",
                          MG_STR_ARGS(c->whose));
    else if (left < MG_TLS_EXPIRY_WARNING)
        mg_config_warning(p->b, &place, "the certificate of '%.*s' expires in %.0f days",
                          MG_STR_ARGS(c->whose), left / DAY);
}

/* Secrets may be missing when a config is only checked; then keys with a password cannot be tried.
 */
static bool can_try(const struct part *p, const struct mg_tls_server_settings *s)
{
    for (size_t i = 0; i < s->certificate_count; i++)
        if (s->certificates[i].password.p && s->certificates[i].password.n == 0 &&
            p->b->source->check_only)
            return false;
    return true;
}

static void try_server(const struct part *p, struct mg_tls_server_settings *s)
{
    struct mg_tls_desk desk;
    struct mg_error err;
    mg_tls_desk_init(&desk, NULL);
    struct mg_tls_server *server = mg_tls_server_new(&desk, s, &err);
    if (!server)
        fail(p, "certificates", err.text);
    for (size_t i = 0; server && i < s->certificate_count; i++)
        note_expiry(p, server, &s->certificates[i], i);
    mg_tls_server_unref(server);
    mg_tls_desk_release(&desk);
}

struct mg_tls_server_settings *mg_config_build_listen_tls(struct mg_config_build *b, int listen,
                                                          uint32_t i)
{
    unsigned before = b->report->errors;
    int top = lua_gettop(b->L);
    if (lua_getfield(b->L, listen, "tls") != LUA_TTABLE) {
        lua_settop(b->L, top);
        return NULL;
    }
    struct mg_tls_server_settings *s = mg_tls_server_settings_new();
    struct part p = {b, &s->arena, mg_arena_printf(&b->gen->arena, "listen[%u].tls", i), top + 1};
    s->min_version = mg_config_is(b, p.table, "min_version", "1.3") ? 13 : 12;
    s->reject_unknown_names = mg_config_is(b, p.table, "unknown_names", "reject");
    read_protocols(&p, s);
    if (!b->source->simulated) {
        read_certificates(&p, s);
        read_client_auth(&p, s);
        if (mg_config_flag(b, p.table, "session_tickets"))
            s->tickets = mg_tls_tickets_new(
                (uint32_t)(mg_config_ns(b, p.table, "session_lifetime") / UINT64_C(1000000000)));
        if (s->min_version > mg_tls_library_max_version())
            fail(&p, "min_version", "this build's TLS library ends at TLS 1.2");
        else if (b->report->errors == before && can_try(&p, s))
            try_server(&p, s);
    }
    lua_settop(b->L, top);
    return s;
}

/* --- services, and others that we ask --- */

static void read_backend_trust(const struct part *p, struct mg_tls_client_settings *s)
{
    lua_getfield(p->b->L, p->table, "ca");
    bool own = !lua_isnil(p->b->L, -1);
    lua_pop(p->b->L, 1);
    struct mg_error err;
    if (own)
        s->trust = read_trust(p, "ca", "crl");
    else if (!(s->trust = mg_tls_trust_system(&err)))
        fail(p, "ca", err.text);
}

static void try_client(const struct part *p, struct mg_tls_client_settings *s)
{
    struct mg_tls_desk desk;
    struct mg_error err;
    mg_tls_desk_init(&desk, NULL);
    struct mg_tls_client *c = mg_tls_client_new(&desk, s, &err);
    if (!c)
        fail(p, "cert", err.text);
    mg_tls_client_unref(c);
    mg_tls_desk_release(&desk);
}

struct mg_tls_client_settings *mg_config_build_client_tls(struct mg_config_build *b, int table,
                                                          struct mg_str path)
{
    static const char *protocols[] = {"http/1.1", NULL};
    unsigned before = b->report->errors;
    int top = lua_gettop(b->L);
    if (lua_getfield(b->L, table, "tls") != LUA_TTABLE) {
        lua_settop(b->L, top);
        return NULL;
    }
    struct mg_tls_client_settings *s = mg_tls_client_settings_new();
    struct part p = {b, &s->arena, mg_arena_printf(&b->gen->arena, "%s.tls", path.p), top + 1};
    s->protocols = protocols;
    s->name = mg_arena_str(p.arena, mg_config_text(b, p.table, "name"));
    if (!b->source->simulated) {
        if (mg_config_flag(b, p.table, "verify"))
            read_backend_trust(&p, s);
        s->cert_file = mg_arena_str(p.arena, mg_config_text(b, p.table, "cert"));
        s->cert_pem = read_file(&p, "cert");
        s->key_pem = read_file(&p, "key");
        s->password = read_password(&p);
        if (b->report->errors == before &&
            !(b->source->check_only && s->password.p && s->password.n == 0))
            try_client(&p, s);
    }
    lua_settop(b->L, top);
    return s;
}
