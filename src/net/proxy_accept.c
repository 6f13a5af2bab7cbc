/*
 * Waiting for PROXY headers on accepted streams. Loop thread.
 *
 * Always true: what was read of a stream is part of its header. The bytes are looked at first;
 * when the header ends among them, just as many are read. Part of a header is read and kept: were
 * it left there, the socket would stay readable, and the loop would spin until the rest is here.
 * So the usual connection costs two system calls, and no buffer of its own.
 */
#include "net/proxy_accept.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"

struct waiting {
    struct mg_proxy_gate *gate;
    struct mg_stream *stream;
    mg_proxy_accepted_fn on_accepted;
    void *arg;
    struct mg_link link; /* in gate->waiting */
    struct mg_timer timer;
    char *part;  /* of a header, as read; NULL: nothing yet */
    size_t n;    /* bytes of it */
    size_t room; /* for the longest header that can become of it */
};

/* --- the end of waiting --- */

static void free_waiting(void *memory)
{
    struct waiting *w = memory;
    free(w->part);
    free(w);
}

static void leave(struct waiting *w)
{
    mg_timer_release(&w->timer);
    mg_list_remove(&w->link);
    w->gate->count--;
    mg_loop_free_later(w->gate->loop, w, free_waiting);
}

static void log_end(enum mg_log_level level, const struct mg_stream *stream, const char *reason)
{
    char peer[MG_IP_TEXT_MAX] = "unix";
    if (stream->peer.family)
        mg_ip_format_port(&stream->peer, peer);
    MG_LOG_AT(level, "connection without a valid PROXY header", MG_LOG_C("peer", peer),
              MG_LOG_C("reason", reason));
}

static void refuse(struct waiting *w, const char *reason)
{
    log_end(MG_LOG_WARN, w->stream, reason);
    mg_stream_reset(w->stream);
    leave(w);
}

/* Those who look whether the port is open connect and leave, time and again: no need to warn. */
static void ended(struct waiting *w)
{
    if (w->n) {
        refuse(w, "the connection ended within the header");
        return;
    }
    log_end(MG_LOG_DEBUG, w->stream, "the connection ended before it");
    mg_stream_close(w->stream);
    leave(w);
}

static void pass_on(struct waiting *w, const struct mg_proxy_header *header)
{
    leave(w);
    if (header->kind == MG_PROXY_TCP) {
        w->stream->peer = header->source;
        w->stream->local = header->destination;
    }
    w->on_accepted(w->arg, w->stream, header);
}

/* --- reading --- */

/* Reads bytes that were seen: they are there. */
static bool take(struct waiting *w, void *out, size_t n)
{
    if (mg_stream_read(w->stream, out, n) == (ssize_t)n)
        return true;
    refuse(w, "the connection broke");
    return false;
}

/* The first `n` bytes of a header came alone. */
static void keep_part(struct waiting *w, size_t n, size_t missing_bytes)
{
    if (!w->part) {
        w->room = n + missing_bytes;
        w->part = mg_malloc(w->room);
    }
    if (take(w, w->part + w->n, n - w->n))
        w->n = n;
}

static void look(struct waiting *w, char *bytes, size_t n)
{
    struct mg_proxy_header header;
    int length = mg_proxy_protocol_parse(bytes, n, &header);
    if (length < 0)
        refuse(w, header.reason);
    else if (length == 0)
        keep_part(w, n, header.missing_bytes);
    else if (take(w, bytes + w->n, (size_t)length - w->n))
        pass_on(w, &header);
}

static void on_readable(void *arg)
{
    struct waiting *w = arg;
    char first[MG_PROXY_HEADER_MAX];
    char *bytes = w->part ? w->part : first;
    size_t room = w->part ? w->room : sizeof first;
    ssize_t n = mg_stream_peek(w->stream, bytes + w->n, room - w->n);
    if (n > 0)
        look(w, bytes, w->n + (size_t)n);
    else if (n == 0)
        ended(w);
    else if (n == MG_STREAM_ERROR)
        refuse(w, "the connection broke");
}

static void on_timer(void *arg)
{
    refuse(arg, "it did not come in time");
}

/* --- the gate --- */

void mg_proxy_accept_init(struct mg_proxy_gate *g, struct mg_loop *loop)
{
    *g = (struct mg_proxy_gate){.loop = loop};
    mg_list_init(&g->waiting);
}

static bool is_full(const struct mg_proxy_gate *g)
{
    uint64_t others = g->others ? *g->others : 0;
    return g->count + others >= g->limit;
}

static bool is_trusted(const struct mg_stream *stream, const struct mg_cidr_set *trusted)
{
    if (stream->is_unix)
        return true;
    return trusted && stream->peer.family && mg_cidr_set_has(trusted, &stream->peer);
}

void mg_proxy_accept_start(struct mg_proxy_gate *g, struct mg_stream *stream,
                           const struct mg_cidr_set *trusted, mg_proxy_accepted_fn on_accepted,
                           void *arg)
{
    MG_BUG_ON(!stream->ops->peek);
    if (!is_trusted(stream, trusted)) {
        log_end(MG_LOG_WARN, stream, "the peer is not trusted to send one");
        mg_stream_reset(stream);
        return;
    }
    if (is_full(g)) {
        mg_log_warn("too many connections", MG_LOG_INT("limit", g->limit));
        mg_stream_close(stream);
        return;
    }
    struct waiting *w = mg_calloc(1, sizeof *w);
    w->gate = g;
    w->stream = stream;
    w->on_accepted = on_accepted;
    w->arg = arg;
    mg_timer_init(&w->timer, g->loop, on_timer, w);
    mg_timer_set(&w->timer, mg_loop_now(g->loop) + g->header_time_ns);
    mg_list_push_back(&g->waiting, &w->link);
    g->count++;
    stream->arg = w;
    stream->on_readable = on_readable;
    mg_stream_watch(stream, true, false);
}

void mg_proxy_accept_cancel(struct mg_proxy_gate *g)
{
    while (!mg_list_empty(&g->waiting)) {
        struct waiting *w = MG_CONTAINER_OF(g->waiting.next, struct waiting, link);
        mg_stream_close(w->stream);
        leave(w);
    }
}
