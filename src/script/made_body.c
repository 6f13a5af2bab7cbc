/*
 * Bodies that Lua makes. Worker thread.
 *
 * A transform and a written body are sources of bytes that run Lua when they are pulled: a piece of
 * output is a Lua string, anchored until the reader has taken it, so that a body of any length
 * needs the memory of one piece.
 */
#include "script/made_body.h"

#include "base/log.h"

enum { OUTPUT_NONE = LUA_NOREF };

struct made {
    struct mg_body base;
    struct mg_context *ctx;
    const struct mg_step *step;
    struct mg_body *inner; /* transform: what is rewritten; NULL: a written body */
    int fn;                /* reference */
    int output;            /* reference of the piece that waits for the reader */
    struct mg_str rest;    /* of that piece */
    struct mg_task *task;  /* transform: runs or waits */
    struct mg_link writes; /* written: of struct write.link, in order; the first one's is `rest` */
    struct mg_soon soon;   /* written: bytes for the reader, or room for the next piece */
    bool began, ended, failed;
};

static struct made *made_of(struct mg_body *b)
{
    return MG_CONTAINER_OF(b, struct made, base);
}

static void drop_output(struct made *m)
{
    if (m->output != OUTPUT_NONE)
        luaL_unref(m->ctx->script->L, LUA_REGISTRYINDEX, m->output);
    m->output = OUTPUT_NONE;
    m->rest = MG_STR_NONE;
}

/* Takes the string on top of L as the next piece. */
static void take_output(struct made *m, lua_State *L)
{
    size_t n;
    const char *p = lua_tolstring(L, -1, &n);
    drop_output(m);
    if (n == 0) {
        lua_pop(L, 1);
        return;
    }
    m->rest = mg_str(p, n);
    m->output = luaL_ref(L, LUA_REGISTRYINDEX);
}

static void made_failed(struct made *m, struct mg_str message)
{
    struct mg_request *req = m->ctx->req;
    m->failed = true;
    m->base.reason = MG_MADE_BODY_FAILED;
    m->base.status = 500;
    mg_log_error("policy failed", MG_LOG_STR("policy", m->step ? m->step->policy : MG_STR_NONE),
                 MG_LOG_STR("step", m->step ? m->step->id : MG_STR_NONE),
                 MG_LOG_STR("path", m->step ? m->step->path : MG_STR_NONE),
                 MG_LOG_STR("route", req && req->route ? req->route->name : MG_STR_NONE),
                 MG_LOG_STR("request_id", req ? mg_request_id(req) : MG_STR_NONE),
                 MG_LOG_STR("error", message));
}

/* The transform's function has returned what is no piece of a body. */
static void wrong_piece(struct made *m, const char *got)
{
    lua_State *L = mg_script_host(m->ctx->script);
    lua_Debug ar;
    lua_rawgeti(L, LUA_REGISTRYINDEX, m->fn);
    lua_getinfo(L, ">S", &ar);
    made_failed(m, mg_arena_printf(m->ctx->arena,
                                   "%s:%d: the function of the transform returned a %s; expected a "
                                   "string or nothing",
                                   ar.short_src, ar.linedefined, got));
}

/* The transform's function has returned. */
static void transform_ended(struct made *m, struct mg_task *t, enum mg_task_status status)
{
    m->task = NULL;
    if (status == MG_TASK_FAILED) {
        made_failed(m, t->message);
    } else if (t->results >= 1 && lua_isstring(t->co, -t->results)) {
        lua_pushvalue(t->co, -t->results);
        take_output(m, t->co);
    } else if (t->results >= 1 && !lua_isnil(t->co, -t->results)) {
        wrong_piece(m, luaL_typename(t->co, -t->results));
    }
    mg_task_free(t);
}

static void on_transform_done(struct mg_task *t, enum mg_task_status status, void *arg)
{
    struct made *m = arg;
    transform_ended(m, t, status);
    mg_body_ready(&m->base);
}

static void run_transform(struct made *m, struct mg_str bytes, bool eof)
{
    struct mg_task *t = mg_task_new(m->ctx->script, m->ctx, m->step ? m->step->id.p : "transform");
    if (!t) {
        made_failed(m, MG_STR("not enough memory"));
        return;
    }
    mg_list_push_back(&m->ctx->tasks, &t->owned);
    m->task = t;
    t->source = m->step;
    m->ctx->script->memory_lenient++; /* what is pushed here nobody could catch an error of */
    lua_rawgeti(t->co, LUA_REGISTRYINDEX, m->fn);
    lua_pushlstring(t->co, bytes.p ? bytes.p : "", bytes.n);
    lua_pushboolean(t->co, eof);
    m->ctx->script->memory_lenient--;
    enum mg_task_status status = mg_task_start(t, 2, on_transform_done, m);
    if (status != MG_TASK_WAITING)
        transform_ended(m, t, status);
}

static enum mg_body_state transform_peek(struct mg_body *b, struct mg_str *bytes)
{
    struct made *m = made_of(b);
    for (;;) {
        struct mg_str in;
        *bytes = m->rest;
        b->at_end = false;
        if (bytes->n)
            return MG_BODY_BYTES;
        if (m->failed)
            return MG_BODY_BROKEN;
        if (m->task)
            return MG_BODY_WAIT;
        if (m->ended)
            return MG_BODY_END;
        switch (mg_body_peek(m->inner, &in)) {
        case MG_BODY_BYTES:
            run_transform(m, in, false);
            mg_body_consume(m->inner, in.n);
            break;
        case MG_BODY_END:
            m->ended = true;
            b->trailers = m->inner->trailers;
            run_transform(m, MG_STR_NONE, true);
            break;
        case MG_BODY_BROKEN:
            b->reason = m->inner->reason;
            b->status = m->inner->status;
            return MG_BODY_BROKEN;
        case MG_BODY_WAIT:
            return MG_BODY_WAIT;
        }
    }
}

static void made_consume(struct mg_body *b, size_t n)
{
    struct made *m = made_of(b);
    m->rest = mg_str(m->rest.p + n, m->rest.n - n);
    if (m->rest.n)
        return;
    drop_output(m);
    if (!m->inner)
        mg_soon_run(m->ctx->script->loop, &m->soon);
}

static void transform_cancel(struct mg_body *b)
{
    struct made *m = made_of(b);
    mg_body_cancel(m->inner);
}

static const struct mg_body_ops transform_ops = {
    .peek = transform_peek, .consume = made_consume, .cancel = transform_cancel};

static void on_inner_ready(void *arg)
{
    struct made *m = arg;
    mg_body_ready(&m->base);
}

/* The output's reference goes when the exchange does, should nobody have taken it. */
static void made_release(void *arg)
{
    struct made *m = arg;
    drop_output(m);
    mg_soon_cancel(&m->soon);
    luaL_unref(m->ctx->script->L, LUA_REGISTRYINDEX, m->fn);
}

static void on_written_soon(void *arg);

static struct made *new_made(lua_State *L, int fn_index, struct mg_context *ctx)
{
    struct made *m = mg_arena_calloc(ctx->arena, sizeof *m);
    m->ctx = ctx;
    m->step = mg_context_step(L);
    m->base.length = -1;
    m->output = OUTPUT_NONE;
    mg_list_init(&m->writes);
    mg_soon_init(&m->soon, on_written_soon, m);
    lua_pushvalue(L, fn_index);
    m->fn = luaL_ref(L, LUA_REGISTRYINDEX);
    mg_arena_on_release(ctx->arena, made_release, m);
    return m;
}

bool mg_made_body_is_running(const struct mg_body *b)
{
    for (; b->ops == &transform_ops; b = MG_CONTAINER_OF(b, struct made, base)->inner) {
        const struct mg_task *t = MG_CONTAINER_OF(b, struct made, base)->task;
        if (t && !t->waiting)
            return true;
    }
    return false;
}

struct mg_body *mg_made_body_transform(lua_State *L, int index, struct mg_context *ctx,
                                       struct mg_body *inner)
{
    struct made *m = new_made(L, index, ctx);
    m->base.ops = &transform_ops;
    m->inner = inner;
    m->inner->on_ready = on_inner_ready;
    m->inner->reader = m;
    return &m->base;
}

/* --- written bodies: mg.stream --- */

/* A call of write that waits until its piece is taken: a value on its task's stack. Several tasks
 * of a request may write; their pieces go out in the order of the calls. */
struct write {
    struct mg_link link;
    struct made *made;
    struct mg_task *task;
    struct mg_str text;
    int ref;      /* of the text, until it is offered */
    bool offered; /* it became m->rest */
};

static struct write *first_write(const struct made *m)
{
    return mg_list_empty(&m->writes) ? NULL : MG_CONTAINER_OF(m->writes.next, struct write, link);
}

static void offer(struct made *m, struct write *w)
{
    m->rest = w->text;
    m->output = w->ref;
    w->offered = true;
    /* The reader is told when the call is out of the way. */
    mg_soon_run(m->ctx->script->loop, &m->soon);
}

static void on_written_soon(void *arg)
{
    struct made *m = arg;
    struct write *w = first_write(m);
    if (m->rest.n) {
        mg_body_ready(&m->base);
    } else if (w && !w->offered) {
        offer(m, w);
    } else if (w) {
        mg_list_remove(&w->link);
        if (m->ended || first_write(m))
            mg_soon_run(m->ctx->script->loop, &m->soon);
        mg_task_resume(w->task, 0);
    } else if (m->ended) {
        mg_body_ready(&m->base);
    }
}

/* A piece that was offered still goes out. */
static void cancel_write(void *arg)
{
    struct write *w = arg;
    mg_list_remove(&w->link);
    if (!w->offered)
        luaL_unref(w->task->script->L, LUA_REGISTRYINDEX, w->ref);
    if (w->made->ended) /* it may have been the last that the end waits for */
        mg_soon_run(w->task->script->loop, &w->made->soon);
}

/* Code may keep write for longer than there is something to write to. */
static int l_write(lua_State *L)
{
    struct made *m = mg_handle_check(L, lua_upvalueindex(1), MG_HANDLE_STREAM)->object;
    struct mg_str text;
    text.p = luaL_checklstring(L, 1, &text.n);
    struct mg_task *t = mg_task_check_wait(L, "write");
    if (t->context != m->ctx)
        return luaL_error(L, "write: only tasks of its own request may call it");
    if (m->ended)
        return luaL_error(L, "write: the stream has ended");
    if (text.n == 0)
        return 0;
    lua_settop(L, 1);
    struct write *w = lua_newuserdatauv(L, sizeof *w, 0);
    *w = (struct write){.made = m, .task = t, .text = text};
    lua_pushvalue(L, 1);
    w->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    mg_list_push_back(&m->writes, &w->link);
    if (first_write(m) == w && !m->rest.n)
        offer(m, w);
    return mg_task_wait(t, cancel_write, w);
}

static void written_ended(struct made *m, struct mg_task *t, enum mg_task_status status)
{
    m->ended = true;
    if (status == MG_TASK_FAILED)
        made_failed(m, t->message);
    mg_task_free(t);
}

static void on_written_done(struct mg_task *t, enum mg_task_status status, void *arg)
{
    struct made *m = arg;
    written_ended(m, t, status);
    mg_body_ready(&m->base);
}

static void start_writer(struct made *m)
{
    struct mg_task *t = mg_task_new(m->ctx->script, m->ctx, m->step ? m->step->id.p : "stream");
    m->began = true;
    if (!t) {
        made_failed(m, MG_STR("not enough memory"));
        return;
    }
    mg_list_push_back(&m->ctx->tasks, &t->owned);
    t->source = m->step;
    m->ctx->script->memory_lenient++;
    lua_rawgeti(t->co, LUA_REGISTRYINDEX, m->fn);
    mg_handle_push(t->co, m->ctx, MG_HANDLE_STREAM, m);
    lua_pushcclosure(t->co, l_write, 1);
    m->ctx->script->memory_lenient--;
    enum mg_task_status status = mg_task_start(t, 1, on_written_done, m);
    if (status != MG_TASK_WAITING)
        written_ended(m, t, status);
}

static enum mg_body_state written_peek(struct mg_body *b, struct mg_str *bytes)
{
    struct made *m = made_of(b);
    if (!m->began)
        start_writer(m);
    *bytes = m->rest;
    if (bytes->n)
        return MG_BODY_BYTES;
    if (m->failed)
        return MG_BODY_BROKEN;
    /* What other tasks of the request have given it still goes out. */
    return m->ended && !first_write(m) ? MG_BODY_END : MG_BODY_WAIT;
}

static const struct mg_body_ops written_ops = {.peek = written_peek, .consume = made_consume};

struct mg_body *mg_made_body_written(lua_State *L, int index, struct mg_context *ctx)
{
    struct made *m = new_made(L, index, ctx);
    m->base.ops = &written_ops;
    return &m->base;
}
