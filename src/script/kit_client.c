/*
 * Clients of a gateway in simulation: requests that the spec sends, and connections on which it
 * says exactly these bytes. Spec's thread.
 *
 * Always true: what is in kit->calls has its other end in the worker's server, and is anchored in
 * the registry.
 */
#include <lauxlib.h>

#include "http/client.h"
#include "net/security.h"
#include "script/kit.h"

#define CALL_TYPE "moongate.KitCall"
#define CONN_TYPE "moongate.KitConn"
#define BODY_MAX ((size_t)256 << 20)
#define FIRST_PORT 40000

/* A client's end of a connection, of either kind. */
struct peer {
    struct mg_kit *kit;  /* NULL: the gateway is closed */
    struct mg_link link; /* in kit->calls */
    void (*cut)(struct peer *p);
    uint16_t port;
    int anchor;
};

struct mg_kit_call {
    struct peer peer;
    struct mg_arena arena;
    struct mg_message request;
    struct mg_outbound out;
    struct mg_client_conn *conn; /* NULL: closed */
    struct mg_buf body;          /* of the response, as far as it came */
    const char *broken;          /* why there is no whole response; static */
    uint64_t done_ns;
    int inject, view; /* references */
    bool answered;    /* there is a head */
    bool done;
    bool touched;
};

struct conn {
    struct peer peer;
    struct mg_stream *stream; /* NULL: closed by the spec */
    struct mg_buf got, to_send;
    size_t sent;
    bool ended; /* the gateway has closed */
    bool reset; /* ... and not cleanly */
};

/* --- both kinds --- */

static struct mg_addr check_address(lua_State *L, struct mg_str ip)
{
    struct mg_addr addr;
    if (!mg_ip_parse(ip, &addr))
        luaL_error(L, "client_ip: '%s' is no address", ip.p);
    return addr;
}

/* Streams in memory need no TLS; the gateway sees them as if they had it. */
static struct mg_security *pretend_security(void)
{
    return mg_security_new(&(struct mg_security){
        .version = "TLSv1.2", .cipher = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"});
}

/* Gives the worker the other end of a connection that comes from `from`. */
static struct mg_stream *dial(struct mg_kit *kit, struct peer *p, struct mg_addr from,
                              uint32_t listener, bool secure)
{
    struct mg_stream *ends[2];
    p->kit = kit;
    p->port = kit->last_port = kit->last_port < FIRST_PORT ? FIRST_PORT : kit->last_port + 1;
    mg_list_push_back(&kit->calls, &p->link);
    mg_pair_stream_new(kit->loop, MG_KIT_PAIR_BYTES, ends);
    from.port = p->port;
    ends[1]->peer = from;
    ends[1]->local = (struct mg_addr){.family = 4, .bytes = {127, 0, 0, 1}, .port = 8080};
    if (secure)
        ends[1]->security = pretend_security();
    mg_server_accept(&kit->worker.server, ends[1], listener, secure);
    return ends[0];
}

static bool is_secure(const struct mg_kit *kit, uint32_t listener)
{
    return kit->gen->listens[listener].tls;
}

static void forget(struct peer *p)
{
    mg_list_remove(&p->link);
    p->kit = NULL;
}

static void drop_anchor(struct peer *p, lua_State *L)
{
    luaL_unref(L, LUA_REGISTRYINDEX, p->anchor);
    p->anchor = LUA_NOREF;
}

static void *new_peer(lua_State *L, size_t size, const char *type)
{
    struct peer *p = lua_newuserdatauv(L, size, 0);
    memset(p, 0, size);
    mg_list_init(&p->link);
    luaL_setmetatable(L, type);
    lua_pushvalue(L, -1);
    p->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
    return p;
}

static uint32_t listener_index(lua_State *L, const struct mg_kit *kit, int index)
{
    size_t n;
    const char *name = luaL_optlstring(L, index, "", &n);
    for (uint32_t i = 0; i < kit->gen->listen_count; i++)
        if (mg_str_eq(kit->gen->listens[i].name, mg_str(name, n)))
            return i;
    if (n)
        luaL_error(L, "there is no listener '%s'", name);
    return 0;
}

void mg_kit_client_release(struct mg_kit *kit)
{
    while (!mg_list_empty(&kit->calls)) {
        struct peer *p = MG_CONTAINER_OF(kit->calls.next, struct peer, link);
        p->cut(p);
        drop_anchor(p, kit->home->main);
        forget(p);
    }
}

/* --- requests --- */

static struct mg_kit_call *call_of(struct peer *p)
{
    return MG_CONTAINER_OF(p, struct mg_kit_call, peer);
}

static void end_call(struct mg_kit_call *c, const char *broken)
{
    if (c->done)
        return;
    c->done = true;
    c->broken = broken;
    c->done_ns = mg_loop_now(c->peer.kit->loop);
    mg_outbound_end(&c->out);
    if (c->conn)
        mg_client_conn_close(c->conn);
    c->conn = NULL;
}

static void on_body(void *reader)
{
    struct mg_kit_call *c = reader;
    struct mg_body *b = &c->out.response_body;
    struct mg_str bytes;
    for (;;) {
        switch (mg_body_peek(b, &bytes)) {
        case MG_BODY_BYTES:
            mg_buf_add_str(&c->body, bytes);
            mg_body_consume(b, bytes.n);
            break;
        case MG_BODY_WAIT:
            return;
        case MG_BODY_END:
            end_call(c, NULL);
            return;
        case MG_BODY_BROKEN:
            end_call(c, b->reason);
            return;
        }
    }
}

static void on_response(struct mg_outbound *o)
{
    struct mg_kit_call *c = o->owner;
    c->answered = true;
    if (o->response.status == 101) {
        end_call(c,
                 NULL); /* what follows is not HTTP: a connection of the spec's own is for that */
        return;
    }
    o->response_body.on_ready = on_body;
    o->response_body.reader = c;
    on_body(c);
}

static void on_failed(struct mg_outbound *o, enum mg_outbound_failure failure, const char *reason)
{
    (void)failure;
    end_call(o->owner, reason);
}

static void on_free(void *owner, struct mg_client_conn *conn)
{
    (void)owner, (void)conn; /* closed with the call */
}

static void on_closed(void *owner, struct mg_client_conn *conn)
{
    struct mg_kit_call *c = owner;
    (void)conn;
    c->conn = NULL;
}

static const struct mg_client_conn_events conn_events = {.on_free = on_free,
                                                         .on_closed = on_closed};

static void cut_call(struct peer *p)
{
    struct mg_kit_call *c = call_of(p);
    end_call(c, "the gateway was closed");
    mg_arena_release(&c->arena);
    mg_buf_release(&c->body);
}

static struct mg_str check_text(lua_State *L, int table, const char *key, const char *otherwise)
{
    struct mg_str s = mg_str_c(otherwise);
    if (lua_getfield(L, table, key) != LUA_TNIL && !(s.p = lua_tolstring(L, -1, &s.n)))
        luaL_error(L, "request: %s must be a string", key);
    lua_pop(L, 1); /* the table holds it */
    return s;
}

static struct mg_str copy_text(lua_State *L, int table, const char *key, const char *otherwise,
                               struct mg_arena *arena)
{
    return mg_arena_str(arena, check_text(L, table, key, otherwise));
}

static void add_field(lua_State *L, struct mg_kit_call *c, struct mg_str name, struct mg_str value)
{
    if (!mg_is_token(name) || !mg_is_field_value(value))
        luaL_error(L, "request: '%s' is no header, or its value is none; t:raw can send such",
                   name.p);
    if (mg_str_ieq(name, MG_STR("host")))
        c->request.authority = mg_arena_str(&c->arena, value);
    else if (mg_str_ieq(name, MG_STR("expect")) && mg_str_ieq(value, MG_STR("100-continue")))
        c->request.expect_continue = true;
    else if (mg_field_is_codec(mg_field_id(name)))
        luaL_error(L, "request: '%s' is set by the client itself; t:raw can send another", name.p);
    else
        mg_fields_add(&c->request.fields, &c->arena, mg_arena_str(&c->arena, name),
                      mg_arena_str(&c->arena, value));
}

/* The flat list { name, value, ... } at the top. */
static void add_fields(lua_State *L, struct mg_kit_call *c)
{
    lua_Integer n = luaL_len(L, -1);
    for (lua_Integer i = 1; i + 1 <= n; i += 2) {
        struct mg_str name, value;
        lua_rawgeti(L, -1, i);
        lua_rawgeti(L, -2, i + 1);
        name.p = luaL_tolstring(L, -2, &name.n);
        value.p = luaL_tolstring(L, -2, &value.n);
        add_field(L, c, name, value);
        lua_pop(L, 4);
    }
}

static void read_request(lua_State *L, int table, struct mg_kit_call *c)
{
    struct mg_message *m = &c->request;
    mg_message_init(m, &c->arena);
    m->version = 11;
    m->method = copy_text(L, table, "method", "GET", &c->arena);
    m->method_id = mg_method_id(m->method);
    m->scheme = MG_STR("http");
    m->authority = copy_text(L, table, "host", "localhost", &c->arena);
    c->out.target = copy_text(L, table, "target", "/", &c->arena);
    m->path = c->out.target;
    lua_getfield(L, table, "fields");
    add_fields(L, c);
    lua_pop(L, 1);
    if (lua_getfield(L, table, "body") != LUA_TNIL) {
        struct mg_str body = copy_text(L, table, "body", "", &c->arena);
        c->out.body = mg_body_fixed(&c->arena, body);
        lua_getfield(L, table, "chunked");
        if (lua_toboolean(L, -1))
            c->out.body->length = -1; /* as of a client that does not know it yet */
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* start(kit, { method=, target=, host=, fields=, body=, chunked=, client_ip=, listener=, secure=,
 * inject= }) -> call. A listener with TLS makes it secure, or else `secure`. */
int mg_kit_client_start(lua_State *L)
{
    struct mg_kit *kit = mg_kit_check(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    struct mg_addr from = check_address(L, check_text(L, 2, "client_ip", "192.0.2.1"));
    lua_getfield(L, 2, "listener");
    uint32_t listener = listener_index(L, kit, -1);
    lua_settop(L, 2);
    struct mg_kit_call *c = new_peer(L, sizeof *c, CALL_TYPE);
    c->peer.cut = cut_call;
    c->inject = c->view = LUA_NOREF;
    c->touched = true;
    c->done = true; /* nothing to end yet, if reading raises */
    mg_arena_init(&c->arena, &kit->chunks);
    mg_buf_init(&c->body, BODY_MAX);
    mg_list_push_back(&kit->calls, &c->peer.link);
    c->peer.kit = kit;
    read_request(L, 2, c);
    mg_list_remove(&c->peer.link);
    lua_getfield(L, 2, "secure");
    bool secure = lua_toboolean(L, -1) || is_secure(kit, listener);
    lua_pop(L, 1);
    lua_getfield(L, 2, "inject");
    c->inject = luaL_ref(L, LUA_REGISTRYINDEX);
    c->done = false;
    struct mg_stream *stream = dial(kit, &c->peer, from, listener, secure);
    c->out.request = &c->request;
    c->out.arena = &c->arena;
    c->out.first_byte_ns = c->out.idle_ns = MG_KIT_PATIENCE_NS;
    c->out.on_response = on_response;
    c->out.on_failed = on_failed;
    c->out.owner = c;
    c->conn = mg_client_conn_new(stream, &kit->blocks, &kit->upstream.limits.head, &conn_events, c);
    mg_client_conn_send(c->conn, &c->out);
    return 1;
}

/* wait(kit, call): runs until it is done, and then all that can be done at that time. */
int mg_kit_client_wait(lua_State *L)
{
    struct mg_kit *kit = mg_kit_check(L, 1);
    const struct mg_kit_call *c = luaL_checkudata(L, 2, CALL_TYPE);
    mg_kit_run(kit, L, mg_loop_now(kit->loop) + MG_KIT_PATIENCE_NS, &c->done);
    mg_kit_run_present(kit, L);
    mg_kit_raise_failure(kit, L);
    if (!c->done)
        luaL_error(L, "the request was not answered, and nothing is left to wait for");
    return 0;
}

static void set_ref(lua_State *L, int ref, const char *key)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
    lua_setfield(L, -2, key);
    luaL_unref(L, LUA_REGISTRYINDEX, ref);
}

/* call:result() -> { status=, fields=, body=, broken=, at=, touched=, request= } once it is done;
 * nil before. */
static int l_result(lua_State *L)
{
    struct mg_kit_call *c = luaL_checkudata(L, 1, CALL_TYPE);
    if (!c->done || !c->peer.kit)
        return 0;
    struct mg_kit *kit = c->peer.kit;
    if (c->answered)
        mg_kit_push_message(L, &c->out.response, mg_buf_str(&c->body));
    else
        lua_newtable(L);
    if (c->broken) {
        lua_pushstring(L, c->broken);
        lua_setfield(L, -2, "broken");
    }
    lua_pushnumber(L, (double)(c->done_ns - MG_SECOND) / 1e9);
    lua_setfield(L, -2, "at");
    lua_pushboolean(L, c->touched);
    lua_setfield(L, -2, "touched");
    set_ref(L, c->view, "request");
    luaL_unref(L, LUA_REGISTRYINDEX, c->inject);
    mg_arena_release(&c->arena);
    mg_buf_release(&c->body);
    drop_anchor(&c->peer, kit->home->main);
    forget(&c->peer);
    return 1;
}

/* --- for the step in front --- */

struct mg_kit_call *mg_kit_client_find(struct mg_kit *kit, uint16_t port)
{
    MG_LIST_FOREACH(it, &kit->calls)
    {
        struct peer *p = MG_CONTAINER_OF(it, struct peer, link);
        if (p->port == port && p->cut == cut_call)
            return call_of(p);
    }
    return NULL;
}

void mg_kit_client_push_inject(lua_State *L, const struct mg_kit_call *call)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, call->inject);
}

void mg_kit_client_set_view(lua_State *L, struct mg_kit_call *call)
{
    luaL_unref(L, LUA_REGISTRYINDEX, call->view);
    call->view = luaL_ref(L, LUA_REGISTRYINDEX);
}

void mg_kit_client_set_touched(struct mg_kit_call *call, bool touched)
{
    call->touched = touched;
}

/* --- connections --- */

static void flush(struct conn *c)
{
    while (c->stream && c->sent < c->to_send.n) {
        struct iovec v = {c->to_send.p + c->sent, c->to_send.n - c->sent};
        ssize_t n = mg_stream_writev(c->stream, &v, 1);
        if (n == MG_STREAM_ERROR)
            c->sent = c->to_send.n; /* nobody reads any more */
        if (n < 0)
            break;
        c->sent += (size_t)n;
    }
    if (c->stream)
        mg_stream_watch(c->stream, !c->ended, c->sent < c->to_send.n);
}

static void on_writable(void *arg)
{
    flush(arg);
}

static void on_readable(void *arg)
{
    struct conn *c = arg;
    char bytes[4096];
    ssize_t n;
    while ((n = mg_stream_read(c->stream, bytes, sizeof bytes)) > 0)
        mg_buf_add(&c->got, bytes, (size_t)n);
    if (n == MG_STREAM_AGAIN)
        return;
    c->ended = true;
    c->reset = n == MG_STREAM_ERROR;
    mg_stream_watch(c->stream, false, c->stream->watch_write);
}

static void close_conn(struct conn *c, bool reset)
{
    if (c->stream && reset)
        mg_stream_reset(c->stream);
    else if (c->stream)
        mg_stream_close(c->stream);
    c->stream = NULL;
}

static void cut_conn(struct peer *p)
{
    struct conn *c = MG_CONTAINER_OF(p, struct conn, peer);
    close_conn(c, false);
    mg_buf_release(&c->to_send);
}

static struct conn *check_conn(lua_State *L)
{
    return luaL_checkudata(L, 1, CONN_TYPE);
}

/* connect(kit, client_ip?, listener?) -> conn */
int mg_kit_client_connect(lua_State *L)
{
    struct mg_kit *kit = mg_kit_check(L, 1);
    struct mg_str ip;
    ip.p = luaL_optlstring(L, 2, "192.0.2.1", &ip.n);
    struct mg_addr from = check_address(L, ip);
    uint32_t listener = listener_index(L, kit, 3);
    struct conn *c = new_peer(L, sizeof *c, CONN_TYPE);
    c->peer.cut = cut_conn;
    mg_buf_init(&c->got, BODY_MAX);
    mg_buf_init(&c->to_send, BODY_MAX);
    c->stream = dial(kit, &c->peer, from, listener, is_secure(kit, listener));
    c->stream->arg = c;
    c->stream->on_readable = on_readable;
    c->stream->on_writable = on_writable;
    mg_stream_watch(c->stream, true, false);
    return 1;
}

/* conn:put(bytes): says them, as far as the gateway reads. */
static int l_put(lua_State *L)
{
    struct conn *c = check_conn(L);
    size_t n;
    const char *bytes = luaL_checklstring(L, 2, &n);
    if (!c->stream || !c->peer.kit)
        return luaL_error(L, "the connection is closed");
    mg_buf_add(&c->to_send, bytes, n);
    flush(c);
    return 0;
}

/* conn:take() -> what came since, "open" | "closed" | "reset" */
static int l_take(lua_State *L)
{
    struct conn *c = check_conn(L);
    lua_pushlstring(L, c->got.n ? c->got.p : "", c->got.n);
    mg_buf_reset(&c->got);
    lua_pushstring(L, c->reset ? "reset" : c->ended || !c->stream ? "closed" : "open");
    return 2;
}

/* conn:half_close(): says no more. */
static int l_half_close(lua_State *L)
{
    struct conn *c = check_conn(L);
    if (c->stream)
        mg_stream_shutdown(c->stream);
    return 0;
}

/* conn:cut(reset?) */
static int l_cut(lua_State *L)
{
    struct conn *c = check_conn(L);
    struct mg_kit *kit = c->peer.kit;
    if (!kit)
        return 0;
    close_conn(c, lua_toboolean(L, 2));
    mg_buf_release(&c->to_send);
    drop_anchor(&c->peer, kit->home->main);
    forget(&c->peer);
    return 0;
}

static int l_conn_gc(lua_State *L)
{
    struct conn *c = check_conn(L);
    mg_buf_release(&c->got);
    return 0;
}

void mg_kit_client_open(lua_State *L)
{
    static const luaL_Reg call_methods[] = {{"result", l_result}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"put", l_put},
                                       {"take", l_take},
                                       {"half_close", l_half_close},
                                       {"cut", l_cut},
                                       {NULL, NULL}};
    luaL_newmetatable(L, CALL_TYPE);
    luaL_newlib(L, call_methods);
    lua_setfield(L, -2, "__index");
    luaL_newmetatable(L, CONN_TYPE);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, l_conn_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 2);
}
