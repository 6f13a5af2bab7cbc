/*
 * Backends in simulation. The worker dials them as it dials real ones; what answers is our own HTTP
 * server, and behind that a Lua function of the spec, which runs as a task and may wait. Spec's
 * thread.
 *
 * A play is one request at a stub. Always true: it is in kit->plays while its inbound or its task
 * is there, and its userdata is anchored as long.
 */
#include <errno.h>
#include <lauxlib.h>
#include <stdlib.h>

#include "base/memory.h"
#include "http/server.h"
#include "script/context.h"
#include "script/kit.h"

#define PLAY_TYPE "moongate.KitPlay"
#define BODY_MAX ((size_t)64 << 20)

/* --- connections --- */

/* The stream that the server has of a connection. It is alive while a request on it is. */
struct mg_kit_accepted {
    struct mg_kit_accepted *next;
    struct mg_stream *stream;
};

static void put_number(struct mg_addr *addr, uint32_t number)
{
    memcpy(addr->bytes, &number, sizeof number);
}

/* Connections are told apart by the address that they come from, which is the number of streams
 * before. */
static void remember(struct mg_kit *kit, struct mg_stream *stream)
{
    struct mg_kit_accepted *a = mg_arena_alloc(&kit->gen->arena, sizeof *a);
    *a = (struct mg_kit_accepted){kit->accepted, stream};
    stream->peer = (struct mg_addr){.family = 4};
    put_number(&stream->peer, kit->accepted_count++);
    kit->accepted = a;
}

static struct mg_stream *stream_of(const struct mg_kit *kit, const struct mg_inbound *in)
{
    const struct mg_kit_accepted *a = kit->accepted;
    uint32_t number;
    memcpy(&number, in->client->peer.bytes, sizeof number);
    for (uint32_t i = kit->accepted_count - 1; i > number; i--)
        a = a->next;
    return a->stream;
}

/* --- dialling --- */

struct dial {
    struct mg_kit *kit;
    struct mg_link link; /* in kit->dials */
    struct mg_soon soon;
    uint32_t stub;
    struct mg_addr addr;
    mg_connect_fn on_done;
    void *arg;
};

static void free_dial(struct dial *d)
{
    mg_soon_cancel(&d->soon);
    mg_list_remove(&d->link);
    free(d);
}

static void on_dialled(void *arg)
{
    struct dial copy = *(struct dial *)arg;
    struct mg_kit *kit = copy.kit;
    struct mg_stream *ends[2];
    free_dial(arg);
    if (kit->stubs[copy.stub].reach == MG_KIT_REFUSED || kit->closing) {
        copy.on_done(copy.arg, NULL, ECONNREFUSED);
        return;
    }
    mg_pair_stream_new(kit->loop, MG_KIT_PAIR_BYTES, ends);
    ends[0]->peer = copy.addr;
    if (mg_kit_redis_is(kit, copy.stub)) {
        mg_kit_redis_accept(kit, copy.stub, ends[1]);
    } else {
        remember(kit, ends[1]);
        mg_server_accept(&kit->upstream, ends[1], copy.stub, false);
    }
    copy.on_done(copy.arg, ends[0], 0);
}

/* The name of the service that has this backend; empty for one that was called by its URL. */
static struct mg_str service_of(const struct mg_generation *gen, const struct mg_backend *b)
{
    struct mg_str name = MG_STR_NONE;
    for (uint32_t s = 0; s < gen->service_count && !name.n; s++) {
        uint64_t version;
        struct mg_members *m = mg_service_members(gen->services[s], &version);
        for (uint32_t i = 0; i < m->count; i++)
            if (m->v[i].backend == b)
                name = mg_service_config(gen->services[s])->name;
        mg_members_unref(m);
    }
    return name;
}

/* An origin may be written without the port of http or https. */
static bool is_origin(struct mg_str name, struct mg_str authority)
{
    bool usual = mg_str_ends(authority, MG_STR(":80")) || mg_str_ends(authority, MG_STR(":443"));
    return mg_str_ieq(name, authority) || (usual && mg_str_ieq(name, mg_address_host(authority)));
}

static bool find_stub(struct mg_kit *kit, const struct mg_backend *b, uint32_t *stub)
{
    struct mg_str service = service_of(kit->gen, b), authority = mg_str_c(b->authority);
    for (*stub = 0; *stub < kit->stub_count; ++*stub)
        if (is_origin(kit->stubs[*stub].name, authority))
            return true;
    for (*stub = 0; *stub < kit->stub_count; ++*stub)
        if (service.n && mg_str_eq(kit->stubs[*stub].name, service))
            return true;
    lua_State *L = mg_script_host(kit->guest.script);
    bool is_redis = mg_str_starts(service, MG_STR(MG_KIT_REDIS));
    lua_pushfstring(L, "nobody plays '%s' (%s): name it in `%s`",
                    is_redis    ? service.p + sizeof MG_KIT_REDIS - 1
                    : service.n ? service.p
                                : authority.p,
                    b->label, is_redis ? "redis" : "upstreams");
    mg_kit_fail(kit, L);
    return false;
}

static void *start_dial(void *ctx, struct mg_backend *b, mg_connect_fn on_done, void *arg,
                        int *error)
{
    struct mg_kit *kit = ctx;
    uint32_t stub;
    if (!find_stub(kit, b, &stub)) {
        *error = ECONNREFUSED;
        return NULL;
    }
    struct dial *d = mg_calloc(1, sizeof *d);
    *d = (struct dial){.kit = kit, .stub = stub, .addr = b->addr, .on_done = on_done, .arg = arg};
    mg_list_push_back(&kit->dials, &d->link);
    mg_soon_init(&d->soon, on_dialled, d);
    if (kit->stubs[stub].reach != MG_KIT_SILENT)
        mg_soon_run(kit->loop, &d->soon);
    return d;
}

static void cancel_dial(void *ctx, void *dial)
{
    (void)ctx;
    free_dial(dial);
}

/* --- names --- */

static void publish(struct mg_service *s, uint32_t number)
{
    size_t count;
    const struct mg_service_entry *entries = mg_service_entries(s, &count);
    struct mg_endpoint *v = mg_calloc(count, sizeof *v);
    for (size_t i = 0; i < count; i++) {
        /* 10.S.0.N for the n-th backend of the s-th service; nothing listens there, nor need it. */
        struct mg_addr addr = {.family = 4,
                               .bytes = {10, (uint8_t)number, (uint8_t)(i >> 8), (uint8_t)(i + 1)}};
        bool named = entries[i].address.kind == MG_ADDRESS_NAME;
        v[i] = mg_service_endpoint(&entries[i], named ? &addr : NULL);
    }
    mg_service_publish(s, v, count, 0);
    free(v);
}

void mg_kit_upstream_publish(struct mg_generation *gen)
{
    for (uint32_t i = 0; i < gen->service_count; i++)
        if (mg_service_needs_names(gen->services[i]))
            publish(gen->services[i], i + 1);
}

/* --- plays --- */

struct chunk {
    struct chunk *next;
    struct mg_str bytes;
};

struct play {
    struct mg_kit *kit;
    struct mg_link link;
    struct mg_inbound *in; /* NULL: answered, or the gateway has left */
    struct mg_task *task;  /* NULL: it has ended */
    struct mg_body_collector collector;
    struct mg_body body; /* of the response */
    struct chunk *first, **last;
    size_t used; /* of the first chunk */
    bool responded, finished, cut;
    bool calling; /* a method is at work that may tell of the end */
    int anchor;
};

static void release_play(struct play *p)
{
    if (p->in || p->task || p->calling || p->anchor == LUA_NOREF)
        return;
    mg_list_remove(&p->link);
    int anchor = p->anchor;
    p->anchor = LUA_NOREF;
    luaL_unref(p->kit->home->main, LUA_REGISTRYINDEX, anchor);
}

static void drop_inbound(struct play *p)
{
    struct mg_inbound *in = p->in;
    p->in = NULL;
    p->first = NULL;
    p->last = &p->first;
    if (in)
        mg_inbound_free(in);
}

/* The response's body, as it is sent. */

static enum mg_body_state body_peek(struct mg_body *b, struct mg_str *bytes)
{
    struct play *p = MG_CONTAINER_OF(b, struct play, body);
    b->at_end = p->first && !p->first->next && p->finished;
    if (p->first) {
        *bytes = mg_str(p->first->bytes.p + p->used, p->first->bytes.n - p->used);
        return MG_BODY_BYTES;
    }
    *bytes = MG_STR_NONE;
    b->at_end = p->finished;
    return p->finished ? MG_BODY_END : p->cut ? MG_BODY_BROKEN : MG_BODY_WAIT;
}

static void body_consume(struct mg_body *b, size_t n)
{
    struct play *p = MG_CONTAINER_OF(b, struct play, body);
    p->used += n;
    if (p->used < p->first->bytes.n)
        return;
    p->used = 0;
    p->first = p->first->next;
    if (!p->first)
        p->last = &p->first;
}

static const struct mg_body_ops body_ops = {.peek = body_peek, .consume = body_consume};

/* --- what the spec's function does --- */

static struct play *check_play(lua_State *L)
{
    return luaL_checkudata(L, 1, PLAY_TYPE);
}

/* Pushes whether the gateway still listens; ends a call of a method. */
static int end_method(lua_State *L, struct play *p)
{
    p->calling = false;
    lua_pushboolean(L, p->in != NULL);
    release_play(p);
    return 1;
}

static void add_fields(lua_State *L, int list, struct mg_message *m, struct mg_arena *arena)
{
    lua_Integer n = luaL_len(L, list);
    for (lua_Integer i = 1; i + 1 <= n; i += 2) {
        struct mg_str name, value;
        lua_rawgeti(L, list, i);
        lua_rawgeti(L, list, i + 1);
        name.p = luaL_tolstring(L, -2, &name.n);
        value.p = luaL_tolstring(L, -2, &value.n);
        if (!mg_is_token(name) || !mg_is_field_value(value))
            luaL_error(L, "answer: '%s' is no header, or its value is none", name.p);
        if (mg_field_is_codec(mg_field_id(name)))
            luaL_error(L, "answer: '%s' is set by the server itself", name.p);
        mg_fields_add(&m->fields, arena, mg_arena_str(arena, name), mg_arena_str(arena, value));
        lua_pop(L, 4);
    }
}

/* play:respond(status, fields, length | nil) */
static int l_respond(lua_State *L)
{
    struct play *p = check_play(L);
    lua_Integer status = luaL_checkinteger(L, 2);
    lua_Integer length = luaL_optinteger(L, 4, -1);
    luaL_argcheck(L, status >= 100 && status <= 599, 2, "status of 100 to 599 expected");
    luaL_checktype(L, 3, LUA_TTABLE);
    if (p->in && !p->responded) {
        struct mg_arena *arena = &p->in->arena;
        struct mg_message *m = mg_arena_calloc(arena, sizeof *m);
        mg_message_init(m, arena);
        m->status = (uint16_t)status;
        m->version = 11;
        m->content_length = length;
        add_fields(L, 3, m, arena);
        p->calling = true;
        if (status < 200) {
            mg_inbound_inform(p->in, m);
        } else {
            p->responded = true;
            p->body = (struct mg_body){.ops = &body_ops, .length = length};
            mg_inbound_respond(p->in, m, &p->body);
        }
    }
    return end_method(L, p);
}

/* play:write(bytes) */
static int l_write(lua_State *L)
{
    struct play *p = check_play(L);
    struct mg_str bytes;
    bytes.p = luaL_checklstring(L, 2, &bytes.n);
    if (p->in && p->responded && bytes.n) {
        struct chunk *c = mg_arena_alloc(&p->in->arena, sizeof *c);
        *c = (struct chunk){.bytes = mg_arena_str(&p->in->arena, bytes)};
        *p->last = c;
        p->last = &c->next;
        p->calling = true;
        mg_body_ready(&p->body);
    }
    return end_method(L, p);
}

/* play:finish(trailers) */
static int l_finish(lua_State *L)
{
    struct play *p = check_play(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    if (p->in && p->responded && !p->finished) {
        struct mg_message *m = mg_arena_calloc(&p->in->arena, sizeof *m);
        mg_message_init(m, &p->in->arena);
        add_fields(L, 2, m, &p->in->arena);
        p->body.trailers = &m->fields;
        p->finished = p->calling = true;
        mg_body_ready(&p->body);
    }
    return end_method(L, p);
}

/* play:raw(bytes): says exactly these in place of a response. */
static int l_raw(lua_State *L)
{
    struct play *p = check_play(L);
    size_t n;
    const char *bytes = luaL_checklstring(L, 2, &n);
    luaL_argcheck(L, n <= MG_KIT_PAIR_BYTES, 2, "too long for the connection");
    if (p->in && !p->responded) {
        struct iovec v = {(void *)bytes, n};
        p->responded = p->finished = p->calling = true;
        mg_stream_writev(stream_of(p->kit, p->in), &v, 1);
    }
    return end_method(L, p);
}

/* play:cut(reset): closes the connection, whatever is missing. What was said before can still be
 * read, but for a reset. */
static int l_cut(lua_State *L)
{
    struct play *p = check_play(L);
    if (p->in) {
        p->cut = true;
        if (!lua_toboolean(L, 2))
            mg_stream_close(stream_of(p->kit, p->in)); /* what comes first counts */
        mg_inbound_abort(p->in);
        drop_inbound(p);
    }
    return end_method(L, p);
}

/* --- the task --- */

static void finish_task(struct play *p)
{
    p->task = NULL;
    if (p->in && !p->finished && !p->cut) {
        p->cut = true;
        mg_inbound_abort(p->in);
        drop_inbound(p);
    }
    release_play(p);
}

static void on_task_done(struct mg_task *t, enum mg_task_status status, void *arg)
{
    struct play *p = arg;
    if (status == MG_TASK_FAILED) {
        lua_State *L = p->kit->guest.script->L;
        lua_pushlstring(L, t->message.p, t->message.n);
        mg_kit_fail(p->kit, L);
    }
    mg_task_free(t);
    finish_task(p);
}

static void on_task_cancelled(struct mg_task *t, void *arg)
{
    struct play *p = arg;
    (void)t;
    p->task = NULL;
    release_play(p);
}

static void append_field(lua_State *L, const char *name, struct mg_str value)
{
    lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
    lua_pushstring(L, name);
    lua_rawseti(L, -2, n + 1);
    lua_pushlstring(L, value.p, value.n);
    lua_rawseti(L, -2, n + 2);
}

/* Appends what the parser takes for itself, as a backend gets it, to the list on top. */
static void push_connection_fields(lua_State *L, const struct mg_message *m)
{
    if (m->te_trailers || m->upgrade.n)
        append_field(L, "Connection",
                     !m->te_trailers ? MG_STR("upgrade")
                     : m->upgrade.n  ? MG_STR("upgrade, TE")
                                     : MG_STR("TE"));
    if (m->upgrade.n)
        append_field(L, "Upgrade", m->upgrade);
    if (m->te_trailers)
        append_field(L, "TE", MG_STR("trailers"));
}

static void push_stub_request(lua_State *L, struct play *p)
{
    const struct mg_kit_stub *stub = &p->kit->stubs[p->in->client->listener];
    lua_pushlstring(L, stub->name.p, stub->name.n);
    mg_kit_push_message(L, &p->in->request, mg_str(p->collector.bytes, p->collector.n));
    lua_pushnumber(L, (double)(mg_loop_now(p->kit->loop) - MG_SECOND) / 1e9);
    lua_setfield(L, -2, "at");
    lua_pushboolean(L, p->in->body->length < 0);
    lua_setfield(L, -2, "chunked");
    mg_kit_push_fields(L, p->in->body->trailers);
    lua_setfield(L, -2, "trailers");
    lua_getfield(L, -1, "fields");
    push_connection_fields(L, &p->in->request);
    lua_pop(L, 1);
}

static void start_task(struct play *p)
{
    struct mg_kit *kit = p->kit;
    struct mg_task *t = mg_task_new(kit->guest.script, NULL, "upstream");
    if (!t) { /* the gateway is being closed */
        finish_task(p);
        return;
    }
    p->task = t;
    t->on_cancelled = on_task_cancelled;
    t->arg = p;
    lua_rawgeti(t->co, LUA_REGISTRYINDEX, kit->play);
    lua_rawgeti(t->co, LUA_REGISTRYINDEX, p->anchor);
    push_stub_request(t->co, p);
    enum mg_task_status status = mg_task_start(t, 3, on_task_done, p);
    if (status != MG_TASK_WAITING)
        on_task_done(t, status, p);
}

/* --- the server's side --- */

static struct play *new_play(struct mg_kit *kit, struct mg_inbound *in)
{
    lua_State *L = kit->guest.script->L;
    struct play *p = lua_newuserdatauv(L, sizeof *p, 0);
    *p = (struct play){.kit = kit, .in = in};
    p->last = &p->first;
    luaL_setmetatable(L, PLAY_TYPE);
    p->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
    mg_list_push_back(&kit->plays, &p->link);
    in->exchange = p;
    return p;
}

static void on_collected(void *arg, enum mg_collect_result result)
{
    struct play *p = arg;
    if (result == MG_COLLECT_DONE) {
        start_task(p);
        return;
    }
    if (p->in)
        mg_inbound_abort(p->in);
    drop_inbound(p);
    release_play(p);
}

static void on_request(void *ctx, struct mg_inbound *in)
{
    struct mg_kit *kit = ctx;
    enum mg_collect_result result;
    if (kit->closing) {
        mg_inbound_abort(in);
        mg_inbound_free(in);
        return;
    }
    struct play *p = new_play(kit, in);
    if (mg_body_collect(&p->collector, in->body, &in->arena, BODY_MAX, on_collected, p, &result))
        on_collected(p, result);
}

/* The gateway itself has sent what is no HTTP. */
static void on_refused(void *ctx, struct mg_inbound *in, int status, const char *reason)
{
    struct mg_kit *kit = ctx;
    if (!kit->closing) {
        lua_State *L = kit->guest.script->L;
        lua_pushfstring(L, "the gateway sent upstream what is no request: %s (%d)", reason, status);
        mg_kit_fail(kit, L);
    }
    mg_inbound_abort(in);
    mg_inbound_free(in);
}

static void on_done(struct mg_inbound *in, const char *reason)
{
    struct play *p = in->exchange;
    (void)reason;
    drop_inbound(p);
    release_play(p);
}

static void on_gone(struct mg_inbound *in, const char *reason)
{
    struct play *p = in->exchange;
    (void)reason;
    drop_inbound(p);
    if (p->task && p->task->waiting)
        mg_task_cancel(p->task); /* lets go of the play */
    else
        release_play(p);
}

static void on_deadline(struct mg_inbound *in)
{
    (void)in; /* stubs set none */
}

static const struct mg_inbound_handler handler = {
    .on_request = on_request,
    .on_refused = on_refused,
    .on_done = on_done,
    .on_gone = on_gone,
    .on_deadline = on_deadline,
};

/* --- life --- */

void mg_kit_upstream_init(struct mg_kit *kit)
{
    mg_server_init(&kit->upstream, kit->loop, &kit->chunks, &kit->blocks, &handler, kit);
    kit->upstream.limits = (struct mg_server_limits){
        .head = {.head_bytes = (uint32_t)kit->blocks.block_bytes,
                 .target_bytes = (uint32_t)kit->blocks.block_bytes,
                 .field_count = UINT16_MAX},
        .body_bytes = BODY_MAX,
        .header_time_ns = MG_KIT_PATIENCE_NS,
        .request_time_ns = MG_KIT_PATIENCE_NS,
        .idle_time_ns = MG_KIT_PATIENCE_NS,
        .connections = UINT32_MAX,
    };
    kit->worker.pools.dialer =
        (struct mg_dialer){.start = start_dial, .cancel = cancel_dial, .ctx = kit, .secure = true};
}

void mg_kit_upstream_release(struct mg_kit *kit)
{
    mg_server_release(&kit->upstream);
    while (!mg_list_empty(&kit->dials))
        free_dial(MG_CONTAINER_OF(kit->dials.next, struct dial, link));
    MG_BUG_ON(!mg_list_empty(&kit->plays));
}

void mg_kit_upstream_open(lua_State *L)
{
    static const luaL_Reg methods[] = {{"respond", l_respond}, {"write", l_write},
                                       {"finish", l_finish},   {"raw", l_raw},
                                       {"cut", l_cut},         {NULL, NULL}};
    luaL_newmetatable(L, PLAY_TYPE);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
