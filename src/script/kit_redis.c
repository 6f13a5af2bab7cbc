/*
 * A Redis in simulation: the gateway's real client on one end of a pair, and on the other what
 * reads its commands and has the spec's Lua answer them, one after the other. Spec's thread.
 *
 * A command comes to Lua as play_redis(name, connection, command, seconds), runs as a task and may
 * wait. What it returns goes out as it is; false ends the connection.
 */
#include <lauxlib.h>
#include <stdlib.h>

#include "base/memory.h"
#include "redis/reply.h"
#include "script/kit.h"
#include "script/task.h"

#define OUT_MAX ((size_t)64 << 20)

struct mg_kit_redis {
    struct mg_link link; /* in kit->redises */
    struct mg_kit *kit;
    struct mg_stream *stream;
    uint32_t stub;
    uint32_t number; /* of the connection */
    struct mg_redis_reader reader;
    struct mg_buf out;
    size_t written;
    struct mg_task *task; /* answers a command; the next ones wait for it */
    bool closed;
};

static void serve(struct mg_kit_redis *r);

static void free_redis(void *memory)
{
    struct mg_kit_redis *r = memory;
    mg_redis_reader_release(&r->reader);
    mg_buf_release(&r->out);
    free(r);
}

static void close_redis(struct mg_kit_redis *r)
{
    if (r->closed)
        return;
    r->closed = true;
    mg_list_remove(&r->link);
    mg_stream_close(r->stream);
    if (r->task && r->task->waiting)
        mg_task_cancel(r->task);
    mg_loop_free_later(r->kit->loop, r, free_redis);
}

static void fail(struct mg_kit_redis *r, const char *text)
{
    lua_State *L = mg_script_host(r->kit->guest.script);
    lua_pushstring(L, text);
    mg_kit_fail(r->kit, L);
    close_redis(r);
}

/* --- answering --- */

static void flush(void *arg)
{
    struct mg_kit_redis *r = arg;
    while (r->written < r->out.n) {
        struct iovec v = {r->out.p + r->written, r->out.n - r->written};
        ssize_t n = mg_stream_writev(r->stream, &v, 1);
        if (n == MG_STREAM_AGAIN) {
            mg_stream_watch(r->stream, true, true);
            return;
        }
        if (n < 0) {
            close_redis(r);
            return;
        }
        r->written += (size_t)n;
    }
    r->written = 0;
    mg_buf_reset(&r->out);
    mg_stream_watch(r->stream, true, false);
}

static void on_cancelled(struct mg_task *t, void *arg)
{
    struct mg_kit_redis *r = arg;
    (void)t;
    r->task = NULL;
}

/* The task has ended: its result is what goes out. */
static void take_answer(struct mg_kit_redis *r, struct mg_task *t, enum mg_task_status status)
{
    struct mg_str bytes = MG_STR_NONE;
    r->task = NULL;
    if (status == MG_TASK_FAILED) {
        fail(r, t->message.p);
    } else if (r->closed || t->results < 1 || lua_type(t->co, -t->results) != LUA_TSTRING) {
        close_redis(r);
    } else {
        bytes.p = lua_tolstring(t->co, -t->results, &bytes.n);
        mg_buf_add_str(&r->out, bytes);
    }
    mg_task_free(t);
}

static void on_answered(struct mg_task *t, enum mg_task_status status, void *arg)
{
    struct mg_kit_redis *r = arg;
    take_answer(r, t, status);
    if (!r->closed)
        serve(r);
}

/* Pushes the command's words as a list; false when it is none. */
static bool push_command(lua_State *L, const struct mg_redis_reply *command)
{
    if (command->type != MG_REDIS_ARRAY || command->count == 0)
        return false;
    lua_createtable(L, (int)command->count, 0);
    for (size_t i = 0; i < command->count; i++) {
        const struct mg_redis_reply *word = &command->items[i];
        if (word->type != MG_REDIS_STRING)
            return false;
        lua_pushlstring(L, word->str.p, word->str.n);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return true;
}

static void start(struct mg_kit_redis *r, const struct mg_redis_reply *command)
{
    struct mg_kit *kit = r->kit;
    struct mg_task *t = mg_task_new(kit->guest.script, NULL, "redis");
    if (!t) { /* the gateway is being closed */
        close_redis(r);
        return;
    }
    lua_checkstack(t->co, 8);
    lua_rawgeti(t->co, LUA_REGISTRYINDEX, kit->play_redis);
    lua_pushlstring(t->co, kit->stubs[r->stub].name.p, kit->stubs[r->stub].name.n);
    lua_pushinteger(t->co, r->number);
    if (!push_command(t->co, command)) {
        lua_settop(t->co, 0);
        mg_task_free(t);
        fail(r, "the gateway sent a Redis what is no command");
        return;
    }
    lua_pushnumber(t->co, (double)(mg_loop_now(kit->loop) - MG_SECOND) / 1e9);
    r->task = t;
    t->on_cancelled = on_cancelled;
    t->arg = r;
    enum mg_task_status status = mg_task_start(t, 4, on_answered, r);
    if (status != MG_TASK_WAITING)
        take_answer(r, t, status);
}

static void serve(struct mg_kit_redis *r)
{
    struct mg_redis_reply *command;
    int n = 0;
    while (!r->closed && !r->task && (n = mg_redis_reader_next(&r->reader, &command)) > 0)
        start(r, command);
    if (n < 0 && !r->closed)
        fail(r, r->reader.error);
    if (!r->closed)
        flush(r);
}

static void on_readable(void *arg)
{
    struct mg_kit_redis *r = arg;
    char bytes[4096];
    ssize_t n = mg_stream_read(r->stream, bytes, sizeof bytes);
    if (n == MG_STREAM_AGAIN)
        return;
    if (n <= 0) {
        close_redis(r);
        return;
    }
    mg_redis_reader_feed(&r->reader, bytes, (size_t)n);
    serve(r);
}

/* --- connections --- */

void mg_kit_redis_accept(struct mg_kit *kit, uint32_t stub, struct mg_stream *stream)
{
    static const struct mg_redis_limits limits = {.reply_bytes = OUT_MAX, .items = 1 << 20};
    struct mg_kit_redis *r = mg_calloc(1, sizeof *r);
    r->kit = kit;
    r->stream = stream;
    r->stub = stub;
    r->number = ++kit->redis_connections;
    mg_redis_reader_init(&r->reader, &kit->chunks, &limits);
    mg_buf_init(&r->out, OUT_MAX);
    mg_list_push_back(&kit->redises, &r->link);
    stream->on_readable = on_readable;
    stream->on_writable = flush;
    stream->arg = r;
    mg_stream_watch(stream, true, false);
}

bool mg_kit_redis_is(const struct mg_kit *kit, uint32_t stub)
{
    return mg_str_starts(kit->stubs[stub].name, MG_STR(MG_KIT_REDIS));
}

static void cut(struct mg_kit *kit, const struct mg_kit_stub *stub)
{
    MG_LIST_FOREACH_SAFE(it, &kit->redises)
    {
        struct mg_kit_redis *r = MG_CONTAINER_OF(it, struct mg_kit_redis, link);
        if (!stub || &kit->stubs[r->stub] == stub)
            close_redis(r);
    }
}

/* kit:redis_reach(name, "reached" | "refused" | "silent"): connections that are there are cut,
 * unless it is reached. */
int mg_kit_redis_reach(lua_State *L)
{
    static const char *const words[] = {"reached", "refused", "silent", NULL};
    struct mg_kit *kit = mg_kit_check(L, 1);
    struct mg_str name;
    name.p = luaL_checklstring(L, 2, &name.n);
    enum mg_kit_reach reach = (enum mg_kit_reach)luaL_checkoption(L, 3, NULL, words);
    for (uint32_t i = 0; i < kit->stub_count; i++) {
        if (!mg_str_eq(kit->stubs[i].name, name))
            continue;
        kit->stubs[i].reach = reach;
        if (reach != MG_KIT_REACHED)
            cut(kit, &kit->stubs[i]);
    }
    return 0;
}

void mg_kit_redis_release(struct mg_kit *kit)
{
    cut(kit, NULL);
}
