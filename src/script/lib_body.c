/*
 * Bodies in Lua. Worker thread.
 *
 * Requests are read without being changed: what is read of a coded one is made beside it, for what
 * was sent may be signed. Of responses the coding is taken off for whoever reads.
 */
#include "script/lib_body.h"

#include "gateway/content.h"
#include "http/body_edit.h"
#include "script/fail.h"
#include "script/json.h"
#include "script/lib_json_edit.h"
#include "script/lib_message.h"
#include "script/made_body.h"

/* --- what a handle's body is --- */

static struct mg_body **body_of(const struct mg_handle *h)
{
    return h->kind == MG_HANDLE_REQUEST ? &((struct mg_request *)h->object)->body
                                        : &((struct mg_response *)h->object)->body;
}

static bool buffered(const struct mg_handle *h, struct mg_str *bytes)
{
    if (h->kind == MG_HANDLE_REQUEST) {
        struct mg_request *req = h->object;
        *bytes = req->buffered;
        return req->is_buffered;
    }
    struct mg_response *res = h->object;
    *bytes = res->buffered;
    return res->is_buffered || !res->body;
}

static void set_buffered(const struct mg_handle *h, struct mg_str bytes)
{
    if (h->kind == MG_HANDLE_REQUEST)
        mg_request_set_body(h->object, bytes);
    else
        mg_response_set_body(h->object, h->ctx->arena, bytes);
}

/* All of the body that it has. */
static void hold(const struct mg_handle *h, struct mg_str bytes)
{
    if (h->kind == MG_HANDLE_REQUEST)
        mg_request_set_body(h->object, bytes);
    else
        mg_response_hold_body(h->object, h->ctx->arena, bytes);
}

/* A body must be declared, so that everybody can see beforehand who holds bodies in memory. Inline
 * steps and background tasks need not. */
static void check_declared(lua_State *L, const struct mg_handle *h)
{
    const struct mg_step *step = mg_context_step(L);
    const char *side = h->kind == MG_HANDLE_REQUEST ? "request" : "response";
    if (!step || !step->declares_bodies)
        return;
    if (h->kind == MG_HANDLE_REQUEST ? step->reads_request : step->reads_response)
        return;
    const struct mg_response *res = h->kind == MG_HANDLE_RESPONSE ? h->object : NULL;
    if (res && (res->fetched || res->is_buffered))
        return;
    luaL_error(
        L,
        "policy '%s' reads the %s body without declaring it; add body = { %s = \"buffer\" } (or "
        "\"stream\") to its module",
        step->policy.p, side, side);
}

/* Of a response that is going to be read or rewritten. */
static void decode_response(const struct mg_handle *h)
{
    mg_content_read_response(h->object, h->ctx->wg->worker, h->ctx->arena);
}

/* --- reading all of it --- */

/* How a whole body is asked for. */
struct reader {
    const char *what;
    lua_KFunction done; /* called with the text (or nil, err) on top */
    bool limited;       /* a limit may stand at 2 */
};

struct mg_body_reading {
    struct mg_body_collector collector;
    struct mg_task *task;
    struct mg_handle *handle;
    struct mg_link others; /* of struct awaiting.link */
};

/* A task that wants a body which another one is reading. It reads when that has ended. */
struct awaiting {
    struct mg_link link;
    struct mg_soon soon;
    struct mg_task *task;
    const struct reader *reader;
};

static void on_other_ended(void *arg)
{
    struct awaiting *a = arg;
    mg_task_resume(a->task, 0);
}

static void cancel_awaiting(void *arg)
{
    struct awaiting *a = arg;
    mg_list_remove(&a->link);
    mg_soon_cancel(&a->soon);
}

static void end_reading(struct mg_body_reading *c)
{
    c->handle->reading = NULL;
    MG_LIST_FOREACH_SAFE(it, &c->others)
    {
        struct awaiting *a = MG_CONTAINER_OF(it, struct awaiting, link);
        mg_list_remove(&a->link);
        mg_soon_run(c->handle->ctx->script->loop, &a->soon);
    }
}

/* Is it still the handle's body? Another task may have set one meanwhile. */
static bool is_current(const struct mg_body_reading *c)
{
    return *body_of(c->handle) == c->collector.body;
}

/* What was read stands in front again: the body can still go on as a stream. */
static void put_back(struct mg_body_reading *c)
{
    struct mg_str bytes = mg_str(c->collector.bytes, c->collector.n);
    if (is_current(c))
        *body_of(c->handle) = mg_body_chain(c->handle->ctx->arena, bytes, c->collector.body);
}

static void cancel_reading(void *arg)
{
    struct mg_body_reading *c = arg;
    c->collector.body->on_ready = NULL;
    put_back(c);
    end_reading(c);
}

const char *mg_lib_body_error_code(const struct mg_body *b, bool request)
{
    struct mg_str reason = mg_str_c(b->reason);
    if (mg_str_eq(reason, MG_STR(MG_MADE_BODY_FAILED)))
        return "policy_error";
    if (request)
        return b->status == 413 ? "too_large" : "request_body";
    if (b->status == 504)
        return "idle_timeout";
    return mg_str_starts(reason, MG_STR("upstream-")) ? "reset" : "bad_response";
}

static int push_too_large(lua_State *L, size_t limit)
{
    lua_pushnil(L);
    lua_pushfstring(L, "the body is larger than %I bytes", (LUAI_UACINT)limit);
    mg_fail_wrap(L, "too_large");
    return 2;
}

static int push_broken(lua_State *L, const struct mg_handle *h, const struct mg_body *b)
{
    lua_pushnil(L);
    lua_pushfstring(L, "the body broke off: %s", b->reason ? b->reason : "unknown");
    mg_fail_wrap(L, mg_lib_body_error_code(b, h->kind == MG_HANDLE_REQUEST));
    return 2;
}

static int collected(lua_State *L, struct mg_body_reading *c, enum mg_collect_result result)
{
    struct mg_str bytes = mg_str(c->collector.bytes, c->collector.n);
    switch (result) {
    case MG_COLLECT_DONE:
        if (is_current(c))
            hold(c->handle, bytes);
        lua_pushlstring(L, bytes.p ? bytes.p : "", bytes.n);
        return 1;
    case MG_COLLECT_TOO_LARGE:
        put_back(c);
        return push_too_large(L, c->collector.limit);
    case MG_COLLECT_BROKEN:
        break;
    }
    return push_broken(L, c->handle, c->collector.body);
}

static void on_collected(void *arg, enum mg_collect_result result)
{
    struct mg_body_reading *c = arg;
    if (!c->handle->object)
        return;
    int n = collected(c->task->co, c, result);
    end_reading(c);
    mg_task_resume(c->task, n);
}

static size_t usual_limit(const struct mg_handle *h)
{
    return (size_t)h->ctx->wg->gen->buffered_body_bytes;
}

/* What a policy gives at 2, or the config's limit. */
static size_t check_limit(lua_State *L, const struct mg_handle *h)
{
    if (lua_isnoneornil(L, 2))
        return usual_limit(h);
    lua_Integer limit = luaL_checkinteger(L, 2);
    luaL_argcheck(L, limit >= 0, 2, "expected a number of bytes");
    return (size_t)limit;
}

/* The running task, which may wait for the body: that goes with its request, as the tasks of the
 * request do, and others would be left with nothing. */
static struct mg_task *check_wait(lua_State *L, const struct mg_handle *h, const char *what)
{
    struct mg_task *t = mg_task_check_wait(L, what);
    if (t->context != h->ctx)
        luaL_error(L, "%s: only tasks of its own request may wait for the body", what);
    return t;
}

static int read_all(lua_State *L, const struct reader *r);

static int read_again(lua_State *L, int status, lua_KContext ctx)
{
    const struct awaiting *a = (const struct awaiting *)ctx;
    (void)status;
    return read_all(L, a->reader);
}

static int await_other(lua_State *L, const struct mg_handle *h, const struct reader *r)
{
    struct awaiting *a = mg_arena_alloc(h->ctx->arena, sizeof *a);
    *a = (struct awaiting){.task = check_wait(L, h, r->what), .reader = r};
    mg_soon_init(&a->soon, on_other_ended, a);
    mg_list_push_back(&h->reading->others, &a->link);
    return mg_task_wait_k(a->task, cancel_awaiting, a, (lua_KContext)a, read_again);
}

/* A body has one reader at a time: a second one would take pieces from it. */
static void check_unread(lua_State *L, const struct mg_body *b, const char *what)
{
    if (mg_body_is_being_read(b) || (b && mg_made_body_is_running(b)))
        luaL_error(L, "%s: other code is reading the body right now", what);
}

/* Whose fault it is, should there be no body to forward. */
static void note_reader(lua_State *L, const struct mg_handle *h)
{
    struct mg_request *req = h->object;
    luaL_where(L, 1);
    req->body_read_at = mg_context_copy(h->ctx, L, -1);
    req->body_reader = mg_context_step(L);
    lua_pop(L, 1);
}

/* Goes on with the text (or nil, err) on the stack. */
static int read_all(lua_State *L, const struct reader *r)
{
    struct mg_handle *h = mg_handle_check_any(L, 1);
    bool limited = r->limited && !lua_isnoneornil(L, 2);
    size_t limit = limited ? check_limit(L, h) : usual_limit(h);
    struct mg_str bytes;
    if (h->kind == MG_HANDLE_RESPONSE)
        decode_response(h);
    if (buffered(h, &bytes)) {
        if (bytes.n > limit && limited)
            return push_too_large(L, limit);
        lua_pushlstring(L, bytes.p ? bytes.p : "", bytes.n);
        return r->done(L, LUA_OK, 0);
    }
    check_declared(L, h);
    const struct mg_request *req = h->kind == MG_HANDLE_REQUEST ? h->object : NULL;
    if (req && req->body_taken && req->body->length != 0)
        return luaL_error(L, "%s: the body has been read as a stream already", r->what);
    if (h->reading)
        return await_other(L, h, r);
    check_unread(L, *body_of(h), r->what);
    struct mg_body_reading *c = mg_arena_alloc(h->ctx->arena, sizeof *c);
    enum mg_collect_result result;
    c->task = check_wait(L, h, r->what); /* before anything is set to call back */
    c->handle = h;
    mg_list_init(&c->others);
    if (mg_body_collect(&c->collector, *body_of(h), h->ctx->arena, limit, on_collected, c,
                        &result)) {
        int n = collected(L, c, result);
        return n == 1 ? r->done(L, LUA_OK, 0) : n;
    }
    h->reading = c;
    if (h->kind == MG_HANDLE_REQUEST)
        note_reader(L, h);
    return mg_task_wait_k(c->task, cancel_reading, c, 0, r->done);
}

static int whole_text(lua_State *L, int status, lua_KContext ctx)
{
    (void)status, (void)ctx;
    return lua_type(L, -1) == LUA_TSTRING ? 1 : 2; /* a failed wait has pushed nil and an error */
}

int mg_lib_body_text(lua_State *L)
{
    static const struct reader text = {"text", whole_text, .limited = true};
    lua_settop(L, 2);
    return read_all(L, &text);
}

/* The content of a body that is in memory. Where it cannot be had, pushes nil and an error. */
static bool find_content(lua_State *L, const struct mg_handle *h, size_t limit, struct mg_str *out)
{
    if (h->kind == MG_HANDLE_RESPONSE)
        return buffered(h, out);
    switch (mg_content_view(h->object, limit, out)) {
    case MG_COLLECT_DONE:
        return true;
    case MG_COLLECT_TOO_LARGE:
        push_too_large(L, limit);
        return false;
    case MG_COLLECT_BROKEN:
        break;
    }
    mg_fail_push(L, "request_body", "the body is not in its content coding");
    return false;
}

/* The text is on top, or nil and an error. */
static int whole_content(lua_State *L, int status, lua_KContext ctx)
{
    struct mg_str content;
    (void)status, (void)ctx;
    if (lua_type(L, -1) != LUA_TSTRING)
        return 2;
    struct mg_handle *h = mg_handle_check_any(L, 1);
    if (h->kind == MG_HANDLE_RESPONSE || !mg_content_is_coded(mg_lib_message_of(h)))
        return 1;
    if (find_content(L, h, check_limit(L, h), &content))
        lua_pushlstring(L, content.p ? content.p : "", content.n);
    return lua_type(L, -1) == LUA_TSTRING ? 1 : 2;
}

int mg_lib_body_content(lua_State *L)
{
    static const struct reader content = {"content", whole_content, .limited = true};
    lua_settop(L, 2); /* the limit, which is looked at twice */
    return read_all(L, &content);
}

/* By the options at 2. */
static int push_json(lua_State *L, struct mg_str text)
{
    struct mg_json_options options;
    struct mg_error err;
    mg_json_check_options(L, 2, &options);
    if (mg_json_push(L, text, &options, &err) == MG_OK)
        return 1;
    return mg_fail_push(L, MG_JSON_BAD, err.text);
}

static int parse_json(lua_State *L, int status, lua_KContext ctx)
{
    struct mg_str text;
    (void)status, (void)ctx;
    if (lua_type(L, -1) != LUA_TSTRING)
        return 2;
    struct mg_handle *h = mg_handle_check_any(L, 1);
    return find_content(L, h, usual_limit(h), &text) ? push_json(L, text) : 2;
}

int mg_lib_body_json(lua_State *L)
{
    static const struct reader json = {"json", parse_json, .limited = false};
    struct mg_handle *h = mg_handle_check_any(L, 1);
    struct mg_json_options options;
    struct mg_str bytes;
    lua_settop(L, 2);
    mg_json_check_options(L, 2, &options); /* before it waits */
    if (h->kind == MG_HANDLE_RESPONSE)
        decode_response(h);
    if (!buffered(h, &bytes))
        return read_all(L, &json);
    if (!find_content(L, h, usual_limit(h), &bytes))
        return 2;
    int n = push_json(L, bytes); /* straight from the buffer: no Lua string in between */
    if (n == 1 && lua_isnil(L, 2) && h->kind == MG_HANDLE_RESPONSE && h->object)
        ((struct mg_response *)h->object)->is_json = true;
    return n;
}

/* --- reading in pieces --- */

struct pieces {
    struct mg_task *task;
    struct mg_body *body;
    struct mg_handle *handle;
};

static int next_piece(lua_State *L);

static int push_piece(lua_State *L, struct mg_body *body, bool *wait)
{
    struct mg_str bytes;
    *wait = false;
    switch (mg_body_peek(body, &bytes)) {
    case MG_BODY_BYTES:
        lua_pushlstring(L, bytes.p, bytes.n);
        mg_body_consume(body, bytes.n);
        return 1;
    case MG_BODY_END:
        lua_pushnil(L);
        return 1;
    case MG_BODY_BROKEN:
        return luaL_error(L, "the body broke off: %s", body->reason ? body->reason : "unknown");
    case MG_BODY_WAIT:
        break;
    }
    *wait = true;
    return 0;
}

static void on_piece_ready(void *arg)
{
    struct pieces *p = arg;
    p->body->on_ready = NULL;
    mg_task_resume(p->task, 0);
}

static void cancel_piece(void *arg)
{
    struct pieces *p = arg;
    p->body->on_ready = NULL;
}

static int piece_came(lua_State *L, int status, lua_KContext ctx)
{
    (void)status, (void)ctx;
    return next_piece(L);
}

static int next_piece(lua_State *L)
{
    struct mg_handle *h = mg_handle_check_any(L, lua_upvalueindex(1));
    struct pieces *p = lua_touserdata(L, lua_upvalueindex(2));
    bool wait;
    check_unread(L, p->body, "chunks");
    int n = push_piece(L, p->body, &wait);
    if (!wait)
        return n;
    p->handle = h;
    p->task = check_wait(L, h, "chunks");
    p->body->on_ready = on_piece_ready;
    p->body->reader = p;
    return mg_task_wait_k(p->task, cancel_piece, p, 0, piece_came);
}

int mg_lib_body_chunks(lua_State *L)
{
    struct mg_handle *h = mg_handle_check_any(L, 1);
    struct mg_str bytes;
    check_declared(L, h);
    struct pieces *p = mg_arena_calloc(h->ctx->arena, sizeof *p);
    if (h->kind == MG_HANDLE_REQUEST) {
        p->body = mg_request_take_body(h->object);
        if (!p->body)
            return luaL_error(L, "chunks: the body has been read already");
        note_reader(L, h);
    } else {
        decode_response(h);
        bool whole = buffered(h, &bytes);
        p->body = whole ? mg_body_fixed(h->ctx->arena, bytes) : *body_of(h);
        ((struct mg_response *)h->object)->read_in_pieces |= !whole;
    }
    lua_pushvalue(L, 1);
    lua_pushlightuserdata(L, p);
    lua_pushcclosure(L, next_piece, 2);
    return 1;
}

/* --- setting --- */

/* Of exactly the old bytes: it may only look weak since their coding was taken off. */
static bool is_strong(const struct mg_message *m, struct mg_str etag)
{
    return !mg_str_starts(etag, MG_STR("W/")) || (m->weakened.n && mg_str_eq(etag, m->weakened));
}

/* What described the old bytes does not describe the new ones. */
static void forget_old_body(struct mg_handle *h)
{
    struct mg_message *m = mg_lib_message_of(h);
    struct mg_fields *fields = &m->fields;
    mg_fields_remove_id(fields, MG_FIELD_CONTENT_ENCODING);
    mg_fields_remove_id(fields, MG_FIELD_CONTENT_DIGEST);
    mg_fields_remove_id(fields, MG_FIELD_REPR_DIGEST);
    mg_fields_remove_id(fields, MG_FIELD_DIGEST);
    mg_fields_remove_id(fields, MG_FIELD_CONTENT_MD5);
    const struct mg_field *etag = mg_fields_get(fields, MG_FIELD_ETAG);
    if (etag && is_strong(m, mg_field_value(etag)))
        mg_fields_remove_id(fields, MG_FIELD_ETAG);
}

static void check_not_sent(lua_State *L, const struct mg_handle *h)
{
    if (h->kind == MG_HANDLE_RESPONSE && h->ctx->ex && h->ctx->ex->answered)
        luaL_error(L, "the response has left already");
}

/* The codings of its body that are put on again when it leaves. */
static struct mg_codings *again_of(const struct mg_handle *h)
{
    return h->kind == MG_HANDLE_REQUEST ? &((struct mg_request *)h->object)->again
                                        : &((struct mg_response *)h->object)->again;
}

/* With `recode` the new body gets the codings that the old one came in. */
static void replace_body(struct mg_handle *h, struct mg_str bytes, bool recode)
{
    struct mg_body *old = *body_of(h);
    struct mg_codings *again = again_of(h);
    struct mg_str rest;
    *again = recode ? mg_content_codings(mg_lib_message_of(h), again) : (struct mg_codings){.n = 0};
    forget_old_body(h);
    if (h->kind == MG_HANDLE_RESPONSE && old && !h->reading && !mg_body_is_fixed(old, &rest))
        mg_body_cancel(old);
    set_buffered(h, bytes);
}

/* The option `recode` of the table at `index`. */
static bool wants_recoding(lua_State *L, int index)
{
    if (lua_isnoneornil(L, index))
        return false;
    luaL_checktype(L, index, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, index)) {
        if (lua_type(L, -2) != LUA_TSTRING || strcmp(lua_tostring(L, -2), "recode") != 0)
            luaL_error(L, "set_body: unknown option '%s'", luaL_tolstring(L, -2, NULL));
        lua_pop(L, 1);
    }
    lua_getfield(L, index, "recode");
    return lua_toboolean(L, -1);
}

int mg_lib_body_set_body(lua_State *L)
{
    struct mg_handle *h = mg_handle_check_any(L, 1);
    size_t n;
    const char *p = luaL_checklstring(L, 2, &n);
    bool recode = wants_recoding(L, 3);
    check_not_sent(L, h);
    replace_body(h, mg_arena_str(h->ctx->arena, mg_str(p, n)), recode);
    return 0;
}

/* A response in a value that is encoded. */
static bool response_text(lua_State *L, int index, struct mg_json_text *out)
{
    struct mg_handle *h = mg_handle_peek(L, index, MG_HANDLE_RESPONSE);
    if (!h)
        return false;
    decode_response(h);
    if (!buffered(h, &out->text))
        return false;
    out->checked = ((struct mg_response *)h->object)->is_json;
    return true;
}

enum mg_rc mg_lib_body_add_json(lua_State *L, int index, struct mg_buf *out, struct mg_error *err)
{
    static const struct mg_json_encode_options options = {.stands_for = response_text};
    return mg_json_encode(L, index, out, &options, err);
}

struct mg_str mg_lib_body_encode_json(lua_State *L, int index, struct mg_context *ctx)
{
    struct mg_instances *i = ctx->wg->script;
    struct mg_error err;
    mg_buf_reset(&i->scratch);
    if (mg_lib_body_add_json(L, index, &i->scratch, &err) != MG_OK)
        luaL_error(L, "%s", err.text);
    return mg_arena_str(ctx->arena, mg_buf_str(&i->scratch));
}

int mg_lib_body_set_json(lua_State *L)
{
    struct mg_handle *h = mg_handle_check_any(L, 1);
    luaL_checkany(L, 2);
    check_not_sent(L, h);
    struct mg_message *m = mg_lib_message_of(h);
    replace_body(h, mg_lib_body_encode_json(L, 2, h->ctx), false);
    if (!mg_lib_message_is_json(m))
        mg_fields_set_id(&m->fields, h->ctx->arena, MG_FIELD_CONTENT_TYPE,
                         MG_STR("application/json"));
    return 0;
}

/* --- rewriting --- */

/* Keeps an editor's rules alive as long as the arena. */
struct editor_ref {
    struct mg_script *script;
    int ref;
};

/* Takes the message's body out, for one that reads it to stand in its place. */
static struct mg_body *take_body(lua_State *L, struct mg_handle *h)
{
    check_unread(L, *body_of(h), "transform");
    if (h->kind == MG_HANDLE_RESPONSE) {
        struct mg_response *res = h->object;
        res->is_buffered = false;
        return res->body ? res->body : mg_body_empty(h->ctx->arena);
    }
    struct mg_request *req = h->object;
    struct mg_body *body = mg_request_take_body(req);
    if (!body)
        luaL_error(L, "transform: the body has been read already");
    req->is_buffered = req->body_taken = false;
    return body;
}

static void put_body(struct mg_handle *h, struct mg_body *body)
{
    forget_old_body(h);
    mg_lib_message_of(h)->content_length = -1;
    *body_of(h) = body;
}

static void unref_editor(void *arg)
{
    struct editor_ref *ref = arg;
    luaL_unref(ref->script->L, LUA_REGISTRYINDEX, ref->ref);
}

/* The editor at 2, with its values at 3: it works without Lua from here on. */
static int transform_by_editor(lua_State *L, struct mg_handle *h, const struct mg_json_rules *rules)
{
    struct mg_arena *arena = h->ctx->arena;
    if (rules->whole)
        return luaL_error(L, "transform: the editor looks ahead and needs a whole text");
    struct mg_str *values = mg_lib_json_edit_values(L, 3, rules, arena);
    struct editor_ref *ref = mg_arena_alloc(arena, sizeof *ref);
    lua_pushvalue(L, 2);
    *ref = (struct editor_ref){h->ctx->script, luaL_ref(L, LUA_REGISTRYINDEX)};
    mg_arena_on_release(arena, unref_editor, ref);
    put_body(h, mg_body_edit(arena, take_body(L, h), rules, values));
    return 0;
}

int mg_lib_body_transform(lua_State *L)
{
    struct mg_handle *h = mg_handle_check_any(L, 1);
    const struct mg_json_rules *rules = mg_lib_json_edit_rules(L, 2);
    if (!rules)
        luaL_checktype(L, 2, LUA_TFUNCTION);
    check_not_sent(L, h);
    check_declared(L, h);
    if (h->kind == MG_HANDLE_REQUEST)
        mg_content_rewrite_request(h->object);
    else
        decode_response(h);
    if (rules)
        return transform_by_editor(L, h, rules);
    put_body(h, mg_made_body_transform(L, 2, h->ctx, take_body(L, h)));
    return 0;
}
