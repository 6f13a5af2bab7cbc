/* Control thread. */
#include "app/admin.h"

#include <stdlib.h>

#include "app/admin_explain.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/uri.h"
#include "crypto/digest.h"
#include "gateway/cache_key.h"
#include "net/listener.h"

#define CHUNK_BYTES 8192
#define BLOCK_BYTES 16384
#define CONNECTIONS 256
#define HEADER_FIELDS 100
#define BODY_BYTES 65536 /* only /explain reads one */
#define ANSWER_MAX ((size_t)4 << 20)

static const struct mg_sockets_one nowhere = {.fd = -1};

struct mg_admin {
    struct mg_admin_host host;
    struct mg_pool chunks, blocks;
    struct mg_server server;
    struct mg_listener *listener; /* NULL: none */
    struct mg_sockets_one at;
    struct mg_sockets_one next; /* between prepare and adopt or discard */
    bool moves;                 /* ... to there, or if that is not open to nowhere */
    struct mg_link waiting;
};

/* One that waits for a reload. In its arena. */
struct waiter {
    struct mg_link link;
    struct mg_inbound *in;
    uint64_t number; /* of the reload */
};

/* --- answering --- */

static void respond(struct mg_inbound *in, struct mg_response *res)
{
    mg_inbound_respond(in, res->msg, res->body);
}

static void respond_json(struct mg_inbound *in, unsigned status, struct mg_buf *json)
{
    respond(in, mg_page_json(&in->arena, status, mg_buf_str(json)));
    mg_buf_release(json);
}

static void respond_error(struct mg_inbound *in, unsigned status, const char *error)
{
    struct mg_buf json;
    mg_buf_init(&json, ANSWER_MAX);
    mg_buf_printf(&json, "{\"error\":\"%s\"}", error);
    respond_json(in, status, &json);
}

/* Texts of configs, which need not be UTF-8. */
static void add_string(struct mg_buf *json, struct mg_str text)
{
    size_t before = json->n;
    if (mg_json_write_string(json, text))
        return;
    json->n = before;
    mg_buf_add_c(json, "\"(it is not UTF-8)\"");
}

/* --- who may --- */

static bool shows_token(const struct mg_message *m, struct mg_str token)
{
    const struct mg_field *f = mg_fields_get(&m->fields, MG_FIELD_AUTHORIZATION);
    struct mg_str rest, scheme;
    uint8_t a[MG_SHA256_BYTES], b[MG_SHA256_BYTES];
    if (!f)
        return false;
    rest = mg_field_value(f);
    if (!mg_str_split(&rest, ' ', &scheme) || !mg_str_ieq(scheme, MG_STR("Bearer")))
        return false;
    mg_digest_sha256(mg_str_trim(rest), a);
    mg_digest_sha256(token, b);
    return mg_digest_equal(mg_str((char *)a, sizeof a), mg_str((char *)b, sizeof b));
}

/* A name that somebody else's DNS points at this machine is not ours, and only browsers speak of an
 * origin. */
static bool is_from_browser(const struct mg_message *m)
{
    struct mg_uri_authority at;
    struct mg_addr addr;
    if (mg_fields_get(&m->fields, MG_FIELD_ORIGIN))
        return true;
    if (mg_uri_parse_authority(m->authority, true, &at) != MG_URI_OK)
        return true;
    return at.host.n && !mg_str_ieq(at.host, MG_STR("localhost")) && !mg_ip_parse(at.host, &addr);
}

static bool is_free(struct mg_str path)
{
    return mg_str_eq(path, MG_STR("/health")) || mg_str_eq(path, MG_STR("/ready"));
}

/* False: it was answered. */
static bool admit(struct mg_admin *a, struct mg_inbound *in)
{
    struct mg_str token = a->host.serving->gen->admin.token;
    const struct mg_message *m = &in->request;
    if (is_free(m->path) || (token.n && shows_token(m, token)))
        return true;
    if (token.n) {
        struct mg_response *res =
            mg_page_json(&in->arena, 401, MG_STR("{\"error\":\"the token is missing or wrong\"}"));
        mg_fields_add(&res->msg->fields, &in->arena, MG_STR("WWW-Authenticate"), MG_STR("Bearer"));
        respond(in, res);
        return false;
    }
    if (!is_from_browser(m))
        return true;
    respond_error(in, 403,
                  "not for browsers: send no Origin, and address it by IP or as localhost");
    return false;
}

/* --- reload, drain --- */

static void post_reload(struct mg_admin *a, struct mg_inbound *in)
{
    if (a->host.state(a->host.arg) != MG_PAGE_READY) {
        respond_error(in, 503, "the gateway starts or stops");
        return;
    }
    struct waiter *w = mg_arena_alloc(&in->arena, sizeof *w);
    w->in = in;
    w->number = a->host.reload->number + 1;
    in->exchange = w;
    mg_list_push_back(&a->waiting, &w->link);
    mg_reload_start(a->host.reload);
}

static void tell_reloaded(struct mg_admin *a, struct mg_inbound *in, bool ok, struct mg_str said)
{
    struct mg_buf json;
    mg_buf_init(&json, ANSWER_MAX);
    if (ok)
        mg_buf_printf(&json, "{\"status\":\"ok\",\"config\":\"%s\"", a->host.serving->gen->hash);
    else
        mg_buf_add_c(&json, "{\"status\":\"failed\"");
    if (said.n) {
        mg_buf_add_c(&json, ok ? ",\"warnings\":" : ",\"error\":");
        add_string(&json, said);
    }
    mg_buf_add_char(&json, '}');
    respond_json(in, ok ? 200 : 422, &json);
}

void mg_admin_reloaded(struct mg_admin *a, bool ok, struct mg_str said)
{
    MG_LIST_FOREACH_SAFE(it, &a->waiting)
    {
        struct waiter *w = MG_CONTAINER_OF(it, struct waiter, link);
        if (w->number > a->host.reload->number)
            continue;
        mg_list_remove(&w->link);
        w->in->exchange = NULL;
        tell_reloaded(a, w->in, ok, said);
    }
}

static void post_drain(struct mg_admin *a, struct mg_inbound *in)
{
    mg_log_info("stopping", MG_LOG_C("reason", "asked for by the admin listener"));
    respond(in, mg_page_json(&in->arena, 202, MG_STR("{\"status\":\"draining\"}")));
    a->host.drain(a->host.arg);
}

/* --- caches --- */

struct listing {
    struct mg_buf json;
};

static void add_tier(struct mg_buf *json, const struct mg_cache_tier_counts *c)
{
    const struct {
        const char *name;
        const atomic_uint_fast64_t *value;
    } all[] = {{"hits", &c->hits},   {"misses", &c->misses},   {"stores", &c->stores},
               {"waits", &c->waits}, {"refused", &c->refused}, {"failures", &c->failures}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        mg_buf_printf(json, "%s\"%s\":%llu", i ? "," : ",\"redis\":{", all[i].name,
                      (unsigned long long)atomic_load_explicit(all[i].value, memory_order_relaxed));
    mg_buf_add_char(json, '}');
}

static void list_cache(void *arg, struct mg_str name, struct mg_cache *cache)
{
    struct listing *l = arg;
    struct mg_cache_stats s = mg_cache_stats(cache);
    mg_buf_add_c(&l->json, l->json.p[l->json.n - 1] == '[' ? "{\"name\":" : ",{\"name\":");
    add_string(&l->json, name);
    mg_buf_printf(&l->json,
                  ",\"entries\":%zu,\"bytes\":%zu,\"limit_bytes\":%zu,\"hits\":%llu,"
                  "\"misses\":%llu",
                  s.entries, s.bytes, s.limit_bytes, (unsigned long long)s.hits,
                  (unsigned long long)s.misses);
    if (mg_cache_purge_log(cache))
        add_tier(&l->json, mg_cache_tier_counts(cache));
    mg_buf_add_char(&l->json, '}');
}

static void get_caches(struct mg_admin *a, struct mg_inbound *in)
{
    struct listing l;
    mg_buf_init(&l.json, ANSWER_MAX);
    mg_buf_add_c(&l.json, "{\"caches\":[");
    mg_caches_each(a->host.stores->caches, list_cache, &l);
    mg_buf_add_c(&l.json, "]}");
    respond_json(in, 200, &l.json);
}

struct purge {
    struct mg_str cache; /* empty: every one */
    enum mg_cache_purge_by by;
    struct mg_str what;
    bool soft;
    size_t caches, entries; /* found, dropped */
};

static void purge_cache(void *arg, struct mg_str name, struct mg_cache *cache)
{
    struct purge *p = arg;
    if (p->cache.n && !mg_str_eq(p->cache, name))
        return;
    p->caches++;
    p->entries += mg_cache_purge(cache, p->by, p->what, p->soft);
}

/* Keys are told by the URLs that they stand for. False: it is none. */
static bool read_what(struct purge *p, struct mg_str value, struct mg_arena *arena)
{
    bool prefix = p->by == MG_CACHE_BY_PREFIX;
    p->what = value;
    return p->by == MG_CACHE_BY_TAG || mg_cache_key_of_url(value, prefix, arena, &p->what);
}

/* False: that is no parameter of a purge, or one too many. */
static bool read_parameter(struct purge *p, struct mg_str key, struct mg_str value,
                           struct mg_arena *arena)
{
    static const struct {
        struct mg_str name;
        enum mg_cache_purge_by by;
    } ways[] = {{MG_STR("key"), MG_CACHE_BY_KEY},
                {MG_STR("prefix"), MG_CACHE_BY_PREFIX},
                {MG_STR("tag"), MG_CACHE_BY_TAG}};
    if (mg_str_eq(key, MG_STR("cache"))) {
        p->cache = value;
        return value.n > 0;
    }
    if (mg_str_eq(key, MG_STR("soft"))) {
        p->soft = mg_str_eq(value, MG_STR("true"));
        return p->soft || mg_str_eq(value, MG_STR("false"));
    }
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        if (!mg_str_eq(key, ways[i].name) || p->by != MG_CACHE_ALL || value.n == 0)
            continue;
        p->by = ways[i].by;
        return read_what(p, value, arena);
    }
    return false;
}

static bool read_purge(struct mg_inbound *in, struct purge *p)
{
    struct mg_str rest = in->request.query, key, value;
    *p = (struct purge){.by = MG_CACHE_ALL};
    while (mg_uri_query_next(&rest, &key, &value))
        if (mg_uri_decode(&in->arena, value, true, &value) != MG_URI_OK ||
            !read_parameter(p, key, value, &in->arena))
            return false;
    return true;
}

static void post_purge(struct mg_admin *a, struct mg_inbound *in)
{
    struct purge p;
    struct mg_buf json;
    if (!read_purge(in, &p)) {
        respond_error(in, 400,
                      "expected cache=NAME, one of key=URL, prefix=URL, tag=TAG, and soft=true");
        return;
    }
    mg_caches_each(a->host.stores->caches, purge_cache, &p);
    if (p.cache.n && p.caches == 0) {
        respond_error(in, 404, "no cache of that name is in use");
        return;
    }
    mg_buf_init(&json, ANSWER_MAX);
    mg_buf_printf(&json, "{\"purged\":%zu}", p.entries);
    respond_json(in, 200, &json);
}

/* --- explaining --- */

static void get_explanation(struct mg_admin *a, struct mg_inbound *in)
{
    mg_admin_explain_get(in, a->host.serving);
}

static void post_explanation(struct mg_admin *a, struct mg_inbound *in)
{
    mg_admin_explain_post(in, a->host.serving);
}

/* --- requests --- */

static const struct {
    struct mg_str path;
    enum mg_method method;
    void (*answer)(struct mg_admin *a, struct mg_inbound *in);
} actions[] = {
    {MG_STR("/reload"), MG_METHOD_POST, post_reload},
    {MG_STR("/drain"), MG_METHOD_POST, post_drain},
    {MG_STR("/cache"), MG_METHOD_GET, get_caches},
    {MG_STR("/cache/purge"), MG_METHOD_POST, post_purge},
    {MG_STR("/explain"), MG_METHOD_GET, get_explanation},
    {MG_STR("/explain"), MG_METHOD_POST, post_explanation},
};

/* False: there is none at that path. */
static bool act(struct mg_admin *a, struct mg_inbound *in)
{
    struct mg_str allow = MG_STR("");
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (!mg_str_eq(actions[i].path, in->request.path))
            continue;
        if (actions[i].method == in->request.method_id) {
            actions[i].answer(a, in);
            return true;
        }
        allow = mg_arena_printf(&in->arena, "%.*s%s%s", MG_STR_ARGS(allow), allow.n ? ", " : "",
                                actions[i].method == MG_METHOD_GET ? "GET" : "POST");
    }
    if (allow.n)
        respond(in, mg_page_wrong_method(&in->arena, allow));
    return allow.n > 0;
}

static void show(struct mg_admin *a, struct mg_inbound *in)
{
    struct mg_str path = in->request.path;
    const struct mg_page *page = mg_page_find(mg_str(path.p + 1, path.n - 1));
    if (!page) {
        respond_error(in, 404, "no such page");
        return;
    }
    mg_generation_show(a->host.serving->gen);
    struct mg_page_view view = {.gen = a->host.serving->gen,
                                .now_ns = mg_loop_now(a->host.loop),
                                .state = a->host.state(a->host.arg)};
    respond(in, mg_page_response(page, &in->request, &in->arena, &view));
}

static void on_request(void *ctx, struct mg_inbound *in)
{
    struct mg_admin *a = ctx;
    in->exchange = NULL;
    if (admit(a, in) && !act(a, in))
        show(a, in);
}

static void on_refused(void *ctx, struct mg_inbound *in, int status, const char *reason)
{
    (void)ctx;
    in->exchange = NULL;
    respond_error(in, (unsigned)status, reason);
}

static void on_done(struct mg_inbound *in, const char *reason)
{
    (void)reason;
    mg_inbound_free(in);
}

static void on_gone(struct mg_inbound *in, const char *reason)
{
    struct waiter *w = in->exchange;
    (void)reason;
    if (w)
        mg_list_remove(&w->link);
    mg_inbound_free(in);
}

/* No request of ours has a deadline: a reload has its own. */
static void on_deadline(struct mg_inbound *in)
{
    (void)in;
}

static const struct mg_inbound_handler handler = {.on_request = on_request,
                                                  .on_refused = on_refused,
                                                  .on_done = on_done,
                                                  .on_gone = on_gone,
                                                  .on_deadline = on_deadline};

/* --- listening --- */

static void on_accept(void *arg, struct mg_stream *stream)
{
    struct mg_admin *a = arg;
    mg_server_accept(&a->server, stream, 0, false);
}

enum mg_rc mg_admin_prepare(struct mg_admin *a, const struct mg_generation *gen,
                            struct mg_error *err)
{
    const struct mg_admin_settings *s = &gen->admin;
    if (s->address.n && a->at.address && mg_str_eq(s->address, mg_str_c(a->at.address)))
        return MG_OK;
    /* Not for the default: another gateway of this machine has that, and keeps it. */
    struct mg_sockets *inherited = a->host.serving->inherited; /* while starting */
    enum mg_sockets_patience patience =
        inherited && !s->by_default ? MG_SOCKETS_PATIENT : MG_SOCKETS_AT_ONCE;
    bool failed = s->address.n && mg_sockets_open_one("admin", s->address.p, inherited, patience,
                                                      &a->next, err) != MG_OK;
    if (failed && !s->by_default)
        return mg_error_prefix(err, "admin");
    if (failed)
        mg_log_warn("no admin listener", MG_LOG_C("reason", err->text));
    a->moves = true;
    return MG_OK;
}

/* Connections go on. */
static void close_listener(struct mg_admin *a, bool leave_file)
{
    mg_listener_free(a->listener);
    a->listener = NULL;
    mg_sockets_close_one(&a->at, leave_file);
}

void mg_admin_adopt(struct mg_admin *a)
{
    if (!a->moves)
        return;
    close_listener(a, false);
    a->at = a->next;
    a->next = nowhere;
    a->moves = false;
    if (a->at.address)
        a->listener = mg_listener_new(a->host.loop, a->at.fd, on_accept, a);
}

void mg_admin_discard(struct mg_admin *a)
{
    mg_sockets_close_one(&a->next, false);
    a->moves = false;
}

const struct mg_sockets_one *mg_admin_socket(const struct mg_admin *a)
{
    return &a->at;
}

void mg_admin_retire(struct mg_admin *a)
{
    close_listener(a, true);
}

/* --- life --- */

struct mg_admin *mg_admin_new(const struct mg_admin_host *host)
{
    struct mg_admin *a = mg_calloc(1, sizeof *a);
    a->host = *host;
    a->at = a->next = nowhere;
    mg_list_init(&a->waiting);
    mg_pool_init(&a->chunks, CHUNK_BYTES);
    mg_pool_init(&a->blocks, BLOCK_BYTES);
    mg_server_init(&a->server, host->loop, &a->chunks, &a->blocks, &handler, a);
    a->server.limits = (struct mg_server_limits){
        .head = {.head_bytes = BLOCK_BYTES,
                 .target_bytes = BLOCK_BYTES,
                 .field_count = HEADER_FIELDS},
        .body_bytes = BODY_BYTES,
        .header_time_ns = 10 * MG_SECOND,
        .request_time_ns = 10 * MG_SECOND,
        .idle_time_ns = 60 * MG_SECOND,
        .connections = CONNECTIONS,
    };
    return a;
}

void mg_admin_free(struct mg_admin *a)
{
    if (!a)
        return;
    mg_admin_discard(a);
    close_listener(a, false);
    mg_server_release(&a->server);
    mg_loop_settle(a->host.loop); /* connections give their blocks back at the end of a turn */
    mg_pool_release(&a->chunks);
    mg_pool_release(&a->blocks);
    free(a);
}
