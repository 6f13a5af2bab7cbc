/*
 * One connection. Worker thread.
 *
 * Always true: _ring holds one entry for each reply that is still to come, oldest first, so replies
 * find their callers by order alone. An entry whose call is NULL belongs to a caller that has left.
 */
#include "redis/conn.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

/* More would only be late. */
#define PENDING_MAX 8192
#define OUT_MAX ((size_t)64 << 20)
/* What is kept of the buffer of an idle connection. */
#define OUT_KEEP ((size_t)64 << 10)
#define READ_BYTES 16384
/* One busy connection does not hold the loop. */
#define READS_A_TURN 4
#define GREETING_WORDS 3

static uint64_t now(const struct mg_redis_conn *c)
{
    return mg_loop_now(c->_loop);
}

static struct mg_redis_sent *sent_at(struct mg_redis_conn *c, uint64_t number)
{
    return &c->_ring[number & (c->_room - 1)];
}

/* --- closing --- */

static void free_conn(void *memory)
{
    struct mg_redis_conn *c = memory;
    mg_redis_reader_release(&c->_reader);
    mg_buf_release(&c->_out);
    free(c->_ring);
    free(c);
}

static void fail_all(struct mg_redis_conn *c, enum mg_redis_error error, const char *reason)
{
    while (c->pending) {
        struct mg_redis_call *call = sent_at(c, c->_first)->call;
        c->_first++;
        c->pending--;
        if (call)
            mg_redis_call_finish(call, error, reason, NULL);
    }
}

void mg_redis_conn_close(struct mg_redis_conn *c, enum mg_redis_error error, const char *reason)
{
    if (c->_closed)
        return;
    c->_closed = true;
    for (uint32_t i = 0; i < c->_greeting_count; i++)
        mg_redis_call_cancel(&c->_greeting[i]);
    mg_soon_cancel(&c->_flush);
    mg_timer_release(&c->_timer);
    mg_stream_close(c->_stream);
    c->_events->on_closed(c->_owner, c, reason);
    fail_all(c, error, reason);
    mg_loop_free_later(c->_loop, c, free_conn);
}

/* --- lateness --- */

/* When a server that has not said anything is given up: one time-out after the oldest command was
 * late, or after the last that we heard. */
static uint64_t silent_until(struct mg_redis_conn *c)
{
    uint64_t due = sent_at(c, c->_first)->deadline_ns;
    uint64_t heard = c->_heard_ns + c->_settings->timeout_ns;
    return (due > heard ? due : heard) + c->_settings->timeout_ns;
}

static void watch_time(struct mg_redis_conn *c)
{
    if (c->pending == 0) {
        mg_timer_stop(&c->_timer);
    } else if (c->_expired == 0) {
        mg_timer_set(&c->_timer, sent_at(c, c->_first)->deadline_ns);
    } else {
        uint64_t silent = silent_until(c), next = UINT64_MAX;
        if (c->_expired < c->pending)
            next = sent_at(c, c->_first + c->_expired)->deadline_ns;
        mg_timer_set(&c->_timer, silent < next ? silent : next);
    }
}

static void expire(struct mg_redis_conn *c)
{
    while (!c->_closed && c->_expired < c->pending) {
        struct mg_redis_sent *s = sent_at(c, c->_first + c->_expired);
        if (s->deadline_ns > now(c))
            return;
        struct mg_redis_call *call = s->call;
        c->_expired++;
        c->late = true;
        s->call = NULL;
        if (!call)
            continue;
        mg_redis_call_finish(call, MG_REDIS_TIMEOUT, "no reply in time", NULL);
        if (!c->_closed)
            c->_events->on_late(c->_owner, c);
    }
}

static void on_timer(void *arg)
{
    struct mg_redis_conn *c = arg;
    expire(c);
    if (c->_closed)
        return;
    if (c->_expired && silent_until(c) <= now(c))
        mg_redis_conn_close(c, MG_REDIS_TIMEOUT, "no reply in time");
    else
        watch_time(c);
}

/* --- reading --- */

static void deliver(struct mg_redis_conn *c, const struct mg_redis_reply *reply)
{
    struct mg_redis_call *call = sent_at(c, c->_first)->call;
    c->_first++;
    c->pending--;
    if (c->_expired)
        c->_expired--;
    c->late = c->_expired > 0;
    if (!call)
        return;
    c->_events->on_answer(c->_owner, c);
    bool demoted = c->_settings->master && mg_redis_reply_is_error(reply, MG_STR("READONLY"));
    mg_redis_call_finish(call, MG_REDIS_OK, NULL, reply);
    if (demoted)
        mg_redis_conn_close(c, MG_REDIS_CLOSED, "it is no master any more");
}

static void deliver_all(struct mg_redis_conn *c)
{
    struct mg_redis_reply *reply;
    while (!c->_closed) {
        int n = mg_redis_reader_next(&c->_reader, &reply);
        if (n == 0)
            return;
        if (n < 0)
            mg_redis_conn_close(c, MG_REDIS_BAD, c->_reader.error);
        else if (c->pending == 0)
            mg_redis_conn_close(c, MG_REDIS_BAD, "a reply to nothing");
        else
            deliver(c, reply);
    }
}

static void on_readable(void *arg)
{
    struct mg_redis_conn *c = arg;
    char bytes[READ_BYTES];
    for (int i = 0; i < READS_A_TURN && !c->_closed; i++) {
        ssize_t n = mg_stream_read(c->_stream, bytes, sizeof bytes);
        if (n == MG_STREAM_AGAIN)
            break;
        if (n <= 0) {
            mg_redis_conn_close(c, MG_REDIS_CLOSED, n == 0 ? "closed by the server" : "reset");
            return;
        }
        c->_heard_ns = now(c);
        mg_redis_reader_feed(&c->_reader, bytes, (size_t)n);
        deliver_all(c);
        if ((size_t)n < sizeof bytes)
            break;
    }
    if (!c->_closed)
        watch_time(c);
}

/* --- writing --- */

static void all_written(struct mg_redis_conn *c)
{
    c->_written = 0;
    if (c->_out.room > OUT_KEEP)
        mg_buf_release(&c->_out);
    else
        mg_buf_reset(&c->_out);
}

static void flush(void *arg)
{
    struct mg_redis_conn *c = arg;
    while (c->_written < c->_out.n) {
        struct iovec v = {c->_out.p + c->_written, c->_out.n - c->_written};
        ssize_t n = mg_stream_writev(c->_stream, &v, 1);
        if (n == MG_STREAM_AGAIN) {
            mg_stream_watch(c->_stream, true, true);
            return;
        }
        if (n < 0) {
            mg_redis_conn_close(c, MG_REDIS_CLOSED, "reset");
            return;
        }
        c->_written += (size_t)n;
    }
    all_written(c);
    mg_stream_watch(c->_stream, true, false);
}

static bool make_room(struct mg_redis_conn *c, uint32_t count)
{
    uint32_t room = c->_room ? c->_room : 16;
    if (count > PENDING_MAX - c->pending)
        return false;
    while (room < c->pending + count)
        room *= 2;
    if (room == c->_room)
        return true;
    struct mg_redis_sent *ring = mg_malloc(room * sizeof *ring);
    for (uint32_t i = 0; i < c->pending; i++)
        ring[(c->_first + i) & (room - 1)] = *sent_at(c, c->_first + i);
    free(c->_ring);
    c->_ring = ring;
    c->_room = room;
    return true;
}

/* What was written goes before the buffer grows for nothing. */
static void compact(struct mg_redis_conn *c)
{
    if (c->_written < OUT_KEEP || c->_written < c->_out.n / 2)
        return;
    c->_out.n -= c->_written;
    memmove(c->_out.p, c->_out.p + c->_written, c->_out.n);
    c->_written = 0;
}

static bool append(struct mg_redis_conn *c, const struct mg_redis_call *call)
{
    char *wire;
    size_t bytes = 0;
    for (int i = 0; i < call->argc; i++)
        bytes += call->lengths[i]; /* of things in memory: no overflow */
    if (bytes > OUT_MAX)
        return false; /* hiredis counts in an int */
    if (call->_asking)
        mg_buf_add_str(&c->_out, MG_STR("*1\r\n$6\r\nASKING\r\n"));
    int n = redisFormatCommandArgv(&wire, call->argc, call->argv, call->lengths);
    if (n < 0)
        return false;
    mg_buf_add(&c->_out, wire, (size_t)n);
    redisFreeCommand(wire);
    return !c->_out.failed;
}

static bool append_all(struct mg_redis_conn *c, const struct mg_redis_call *calls, uint32_t count)
{
    compact(c);
    size_t before = c->_out.n;
    for (uint32_t i = 0; i < count; i++) {
        if (append(c, &calls[i]))
            continue;
        c->_out.n = before;
        c->_out.failed = false;
        return false;
    }
    return true;
}

static void expect_reply(struct mg_redis_conn *c, struct mg_redis_call *call, uint64_t deadline_ns)
{
    *sent_at(c, c->_first + c->pending) = (struct mg_redis_sent){call, deadline_ns};
    c->pending++;
}

enum mg_redis_error mg_redis_conn_send(struct mg_redis_conn *c, struct mg_redis_call *calls,
                                       uint32_t count)
{
    uint32_t replies = count;
    for (uint32_t i = 0; i < count; i++)
        replies += calls[i]._asking;
    if (!make_room(c, replies) || !append_all(c, calls, count))
        return MG_REDIS_BUSY;
    for (uint32_t i = 0; i < count; i++) {
        struct mg_redis_call *call = &calls[i];
        if (call->_asking)
            expect_reply(c, NULL, call->_deadline_ns);
        call->_conn = c;
        call->_number = c->_first + c->pending;
        expect_reply(c, call, call->_deadline_ns);
    }
    if (!mg_timer_is_set(&c->_timer))
        mg_timer_set(&c->_timer, calls->_deadline_ns);
    if (!c->_stream->watch_write)
        mg_soon_run(c->_loop, &c->_flush);
    return MG_REDIS_OK;
}

void mg_redis_conn_drop(struct mg_redis_conn *c, const struct mg_redis_call *call)
{
    sent_at(c, call->_number)->call = NULL;
}

/* --- the greeting --- */

static void refuse(struct mg_redis_conn *c, struct mg_str said)
{
    snprintf(c->_refusal, sizeof c->_refusal, "%.*s", MG_STR_ARGS(said));
    mg_redis_conn_close(c, MG_REDIS_DOWN, c->_refusal);
}

/* Servers of old know no names of clients: that answer does not matter. */
static void on_name_set(struct mg_redis_call *call)
{
    (void)call;
}

static void on_step(struct mg_redis_call *call)
{
    struct mg_redis_conn *c = call->owner;
    if (call->error)
        mg_redis_conn_close(c, call->error, call->detail);
    else if (call->reply->type == MG_REDIS_ERROR)
        refuse(c, call->reply->str);
}

static void on_role(struct mg_redis_call *call)
{
    const struct mg_redis_reply *r = call->reply;
    on_step(call);
    if (!r || r->type == MG_REDIS_ERROR)
        return;
    if (r->type != MG_REDIS_ARRAY || r->count == 0 || !mg_str_eq(r->items->str, MG_STR("master")))
        refuse(call->owner, MG_STR("it is no master"));
}

/* The last one. A server that loads its data or is no master any more says so here. */
static void on_ping(struct mg_redis_call *call)
{
    struct mg_redis_conn *c = call->owner;
    on_step(call);
    if (!c->_closed && !call->error)
        c->_events->on_ready(c->_owner, c);
}

static void greet(struct mg_redis_conn *c, const struct mg_str *words, int count,
                  void (*on_done)(struct mg_redis_call *call))
{
    const char *argv[GREETING_WORDS];
    size_t lengths[GREETING_WORDS];
    for (int i = 0; i < count; i++) {
        argv[i] = words[i].n ? words[i].p : "";
        lengths[i] = words[i].n;
    }
    struct mg_redis_call *call = &c->_greeting[c->_greeting_count++];
    *call = (struct mg_redis_call){.argc = count,
                                   .argv = argv,
                                   .lengths = lengths,
                                   .on_done = on_done,
                                   .owner = c,
                                   ._deadline_ns = now(c) + c->_settings->connect_timeout_ns};
    mg_list_init(&call->_link);
    MG_BUG_ON(mg_redis_conn_send(c, call, 1) != MG_REDIS_OK); /* nothing else is in line yet */
}

/* All in one write: a server answers each even when it refused the one before. */
static void send_greeting(struct mg_redis_conn *c)
{
    const struct mg_redis_settings *s = c->_settings;
    char digits[20];
    struct mg_str name[] = {MG_STR("CLIENT"), MG_STR("SETNAME"), MG_STR("moongate")};
    struct mg_str database = mg_str(digits, mg_u64_to_dec(s->database, digits));
    if (s->password.n && s->username.n)
        greet(c, (struct mg_str[]){MG_STR("AUTH"), s->username, s->password}, 3, on_step);
    else if (s->password.n)
        greet(c, (struct mg_str[]){MG_STR("AUTH"), s->password}, 2, on_step);
    greet(c, name, 3, on_name_set);
    if (s->database)
        greet(c, (struct mg_str[]){MG_STR("SELECT"), database}, 2, on_step);
    if (s->master)
        greet(c, (struct mg_str[]){MG_STR("ROLE")}, 1, on_role);
    greet(c, (struct mg_str[]){MG_STR("PING")}, 1, on_ping);
}

struct mg_redis_conn *mg_redis_conn_new(struct mg_loop *loop, struct mg_stream *stream,
                                        struct mg_pool *chunks,
                                        const struct mg_redis_settings *settings,
                                        const struct mg_redis_conn_events *events, void *owner)
{
    struct mg_redis_conn *c = mg_calloc(1, sizeof *c);
    c->_loop = loop;
    c->_stream = stream;
    c->_settings = settings;
    c->_events = events;
    c->_owner = owner;
    mg_list_init(&c->link);
    mg_redis_reader_init(&c->_reader, chunks, &settings->limits);
    mg_buf_init(&c->_out, OUT_MAX);
    mg_soon_init(&c->_flush, flush, c);
    mg_timer_init(&c->_timer, loop, on_timer, c);
    stream->on_readable = on_readable;
    stream->on_writable = flush;
    stream->arg = c;
    mg_stream_watch(stream, true, false);
    send_greeting(c);
    return c;
}
