/*
 * Server-sent events in Lua. Worker thread.
 *
 * An event is a table { event =, data =, id =, retry = } both ways. res:events pulls pieces by the
 * iterator of res:chunks; res:map_events is the function of a res:transform.
 */
#include "script/lib_sse.h"

#include <lauxlib.h>

#include "http/sse.h"
#include "script/context.h"
#include "script/lib_body.h"
#include "script/lib_message.h"

/* Of what a mapper makes of one piece. */
#define MAPPED_MAX ((size_t)64 << 20)

static size_t check_limit(lua_State *L, int index, const struct mg_handle *h)
{
    lua_Integer limit =
        luaL_optinteger(L, index, (lua_Integer)h->ctx->wg->gen->buffered_body_bytes);
    luaL_argcheck(L, limit > 0, index, "expected a number of bytes");
    return (size_t)limit;
}

static int too_large(lua_State *L, const struct mg_sse_reader *r)
{
    return luaL_error(L, "an event is larger than %I bytes", (LUAI_UACINT)r->_limit);
}

/* Memory for a text that is made and pushed at once. */
static struct mg_buf *scratch_of(const struct mg_context *ctx)
{
    struct mg_instances *all = ctx->wg->script;
    mg_buf_reset(&all->scratch);
    return &all->scratch;
}

/* --- events as tables --- */

static void push_event(lua_State *L, const struct mg_sse_event *event)
{
    lua_createtable(L, 0, 4);
    if (event->name.n)
        lua_pushlstring(L, event->name.p, event->name.n);
    else
        lua_pushliteral(L, "message");
    lua_setfield(L, -2, "event");
    lua_pushlstring(L, event->data.n ? event->data.p : "", event->data.n);
    lua_setfield(L, -2, "data");
    if (event->has_id) {
        lua_pushlstring(L, event->id.n ? event->id.p : "", event->id.n);
        lua_setfield(L, -2, "id");
    }
    if (event->retry_ms >= 0) {
        lua_pushinteger(L, (lua_Integer)event->retry_ms);
        lua_setfield(L, -2, "retry");
    }
}

/* The fields that an event has, in the order in which they are put on the stack. */
enum { FIELD_EVENT, FIELD_ID, FIELD_RETRY, FIELD_DATA, FIELDS };

static const char *const field_names[FIELDS] = {"event", "id", "retry", "data"};

static void check_names(lua_State *L, int index)
{
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        int i = 0;
        while (i < FIELDS && !(lua_type(L, -1) == LUA_TSTRING &&
                               strcmp(lua_tostring(L, -1), field_names[i]) == 0))
            i++;
        if (i == FIELDS)
            luaL_error(L,
                       "unknown field '%s' of an event; known are 'data', 'event', 'id', 'retry'",
                       luaL_tolstring(L, -1, NULL));
    }
}

/* The text at `index`, which stays there; a number becomes one. */
static struct mg_str check_text(lua_State *L, int index, int field)
{
    struct mg_str text;
    if (!lua_isstring(L, index))
        luaL_error(L, "field '%s' of an event: expected string, got %s", field_names[field],
                   luaL_typename(L, index));
    text.p = lua_tolstring(L, index, &text.n);
    return text;
}

static int64_t check_retry(lua_State *L, int index)
{
    int is_integer;
    lua_Integer ms = lua_tointegerx(L, index, &is_integer);
    if (!is_integer || ms < 0)
        luaL_error(L, "field 'retry' of an event: expected a number of milliseconds");
    return (int64_t)ms;
}

/* Text is taken as it is; of anything else the JSON stands in its place on the stack. */
static struct mg_str check_data(lua_State *L, int index, struct mg_context *ctx)
{
    if (lua_type(L, index) != LUA_TSTRING) {
        struct mg_buf *json = scratch_of(ctx);
        struct mg_error err;
        if (mg_lib_body_add_json(L, index, json, &err) != MG_OK)
            luaL_error(L, "field 'data' of an event: %s", err.text);
        lua_pushlstring(L, json->p, json->n);
        lua_replace(L, index);
    }
    return check_text(L, index, FIELD_DATA);
}

/* The event in the table at `index`. Puts its fields on the stack, from where it borrows them: a
 * stream may go on for days, and the arena only grows. Raises when it is no event. */
static struct mg_sse_event check_event(lua_State *L, int index, struct mg_context *ctx)
{
    struct mg_sse_event event = {.retry_ms = -1};
    int base = lua_gettop(L) + 1;
    index = lua_absindex(L, index);
    luaL_checkstack(L, FIELDS + 2, NULL);
    check_names(L, index);
    for (int i = 0; i < FIELDS; i++)
        lua_getfield(L, index, field_names[i]);
    if (!lua_isnil(L, base + FIELD_EVENT))
        event.name = check_text(L, base + FIELD_EVENT, FIELD_EVENT);
    if (!mg_sse_is_name(event.name))
        luaL_error(L, "field 'event' of an event has a line break");
    event.has_id = !lua_isnil(L, base + FIELD_ID);
    if (event.has_id)
        event.id = check_text(L, base + FIELD_ID, FIELD_ID);
    if (!mg_sse_is_id(event.id))
        luaL_error(L, "field 'id' of an event has a line break or a NUL character");
    if (!lua_isnil(L, base + FIELD_RETRY))
        event.retry_ms = check_retry(L, base + FIELD_RETRY);
    event.has_data = !lua_isnil(L, base + FIELD_DATA);
    if (event.has_data)
        event.data = check_data(L, base + FIELD_DATA, ctx);
    return event;
}

/* mg.sse(event) -> its text */
static int l_sse(lua_State *L)
{
    struct mg_context *ctx = mg_context_check(L, "mg.sse");
    luaL_checktype(L, 1, LUA_TTABLE);
    struct mg_sse_event event = check_event(L, 1, ctx);
    struct mg_buf *out = scratch_of(ctx);
    mg_sse_write(out, &event);
    if (out->failed)
        return luaL_error(L, "mg.sse: the event is too large");
    lua_pushlstring(L, out->p, out->n);
    return 1;
}

/* --- reading --- */

struct events {
    struct mg_sse_reader reader;
    struct mg_str rest; /* of the piece at hand */
};

/* Upvalues of the iterator. */
enum { UP_RESPONSE = 1, UP_EVENTS, UP_CHUNKS, UP_PIECE };

static void release_events(void *arg)
{
    struct events *e = arg;
    mg_sse_reader_release(&e->reader);
}

static int next_event(lua_State *L);

static int piece_came(lua_State *L, int status, lua_KContext k)
{
    struct events *e = (struct events *)k;
    (void)status;
    if (lua_isnil(L, -1))
        return 1;
    e->rest.p = lua_tolstring(L, -1, &e->rest.n);
    lua_replace(L, lua_upvalueindex(UP_PIECE));
    return next_event(L);
}

static int next_event(lua_State *L)
{
    mg_handle_check(L, lua_upvalueindex(UP_RESPONSE), MG_HANDLE_RESPONSE);
    struct events *e = lua_touserdata(L, lua_upvalueindex(UP_EVENTS));
    lua_settop(L, 0);
    while (e->rest.n) {
        enum mg_sse_state state = mg_sse_read(&e->reader, &e->rest);
        if (state == MG_SSE_TOO_LARGE)
            return too_large(L, &e->reader);
        if (state != MG_SSE_EVENT)
            continue;
        push_event(L, &e->reader.event);
        return 1;
    }
    lua_pushvalue(L, lua_upvalueindex(UP_CHUNKS));
    lua_callk(L, 0, 1, (lua_KContext)e, piece_came);
    return piece_came(L, LUA_OK, (lua_KContext)e);
}

int mg_lib_sse_events(lua_State *L)
{
    struct mg_handle *h = mg_handle_check(L, 1, MG_HANDLE_RESPONSE);
    struct events *e = mg_arena_calloc(h->ctx->arena, sizeof *e);
    mg_sse_reader_init(&e->reader, check_limit(L, 2, h));
    mg_arena_on_release(h->ctx->arena, release_events, e);
    lua_settop(L, 1);
    lua_pushlightuserdata(L, e);
    lua_pushcfunction(L, mg_lib_body_chunks);
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    lua_pushnil(L);
    lua_pushcclosure(L, next_event, UP_PIECE);
    return 1;
}

/* --- mapping --- */

struct mapper {
    struct mg_context *ctx;
    struct mg_sse_reader reader;
    struct mg_str rest; /* of the piece at hand */
    struct mg_buf out;
};

/* Upvalues of the transform's function. */
enum { UP_FUNCTION = 1, UP_MAPPER };

static void release_mapper(void *arg)
{
    struct mapper *m = arg;
    mg_sse_reader_release(&m->reader);
    mg_buf_release(&m->out);
}

static void add_event(lua_State *L, int index, struct mapper *m)
{
    int top = lua_gettop(L);
    struct mg_sse_event event = check_event(L, index, m->ctx);
    mg_sse_write(&m->out, &event);
    lua_settop(L, top);
}

/* What the function has returned, on top: an event, a list of events, or nothing. */
static void add_result(lua_State *L, struct mapper *m)
{
    if (lua_isnil(L, -1))
        return;
    if (!lua_istable(L, -1))
        luaL_error(L,
                   "map_events: the function returned a %s; expected an event, a list of events or "
                   "nothing",
                   luaL_typename(L, -1));
    lua_Unsigned count = lua_rawlen(L, -1);
    if (count == 0)
        add_event(L, -1, m);
    for (lua_Unsigned i = 1; i <= count; i++) {
        if (lua_rawgeti(L, -1, (lua_Integer)i) != LUA_TTABLE)
            luaL_error(L, "map_events: the list has a %s; expected events", luaL_typename(L, -1));
        add_event(L, -1, m);
        lua_pop(L, 1);
    }
}

static int map_rest(lua_State *L, struct mapper *m);

static int mapped(lua_State *L, int status, lua_KContext k)
{
    struct mapper *m = (struct mapper *)k;
    (void)status;
    add_result(L, m);
    lua_pop(L, 1);
    return map_rest(L, m);
}

/* What goes on as it came: comments keep connections alive, ids and times are for the client. */
static void pass(struct mapper *m, enum mg_sse_state state)
{
    if (state == MG_SSE_COMMENT)
        mg_sse_write_comment(&m->out, m->reader.comment);
    else if (state == MG_SSE_BARE)
        mg_sse_write(&m->out, &m->reader.event);
}

static int map_rest(lua_State *L, struct mapper *m)
{
    while (m->rest.n) {
        enum mg_sse_state state = mg_sse_read(&m->reader, &m->rest);
        if (state == MG_SSE_TOO_LARGE)
            return too_large(L, &m->reader);
        if (state != MG_SSE_EVENT) {
            pass(m, state);
            continue;
        }
        lua_pushvalue(L, lua_upvalueindex(UP_FUNCTION));
        push_event(L, &m->reader.event);
        lua_callk(L, 1, 1, (lua_KContext)m, mapped);
        add_result(L, m);
        lua_pop(L, 1);
    }
    if (m->out.failed)
        return luaL_error(L, "map_events: what the function has made is too large");
    lua_pushlstring(L, m->out.n ? m->out.p : "", m->out.n);
    return 1;
}

/* The function of the transform: (piece, eof) -> what becomes of it. */
static int map_piece(lua_State *L)
{
    struct mapper *m = lua_touserdata(L, lua_upvalueindex(UP_MAPPER));
    lua_settop(L, 1); /* where the piece stays while it is read */
    m->rest.p = lua_tolstring(L, 1, &m->rest.n);
    mg_buf_reset(&m->out);
    return map_rest(L, m);
}

static bool is_event_stream(const struct mg_message *m)
{
    const struct mg_field *f = mg_fields_get(&m->fields, MG_FIELD_CONTENT_TYPE);
    struct mg_str rest = f ? mg_field_value(f) : MG_STR_NONE, type;
    mg_str_split(&rest, ';', &type);
    return mg_str_ieq(mg_str_trim(type), MG_STR("text/event-stream"));
}

int mg_lib_sse_map_events(lua_State *L)
{
    struct mg_handle *h = mg_handle_check(L, 1, MG_HANDLE_RESPONSE);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    size_t limit = check_limit(L, 3, h);
    lua_settop(L, 2);
    if (!is_event_stream(mg_lib_message_of(h))) {
        lua_pushboolean(L, false);
        return 1;
    }
    struct mapper *m = mg_arena_calloc(h->ctx->arena, sizeof *m);
    m->ctx = h->ctx;
    mg_sse_reader_init(&m->reader, limit);
    mg_buf_init(&m->out, MAPPED_MAX);
    mg_arena_on_release(h->ctx->arena, release_mapper, m);
    lua_pushlightuserdata(L, m);
    lua_pushcclosure(L, map_piece, UP_MAPPER);
    mg_lib_body_transform(L);
    lua_pushboolean(L, true);
    return 1;
}

static const luaL_Reg functions[] = {{"sse", l_sse}, {NULL, NULL}};

void mg_lib_sse_open(lua_State *L)
{
    luaL_setfuncs(L, functions, 0);
}
