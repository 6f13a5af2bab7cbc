/*
 * Two joined in-memory streams: what one end writes, the other reads. For simulation. Loop thread.
 *
 * Each end has a bounded buffer of what was sent towards it, so that back-pressure is real.
 * Readiness is told through mg_soon, never from inside a call.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/memory.h"
#include "net/security.h"
#include "net/stream.h"

struct end {
    struct mg_stream base;
    struct end *other;    /* NULL once the other end is closed and forgotten */
    struct mg_soon ready; /* tells the owner */
    char *bytes;          /* sent towards this end and not yet read: ring of `room` */
    size_t room, head, used;
    bool ended;  /* no more will come */
    bool broken; /* the other end is gone or was reset */
    bool closed;
};

static struct end *from(struct mg_stream *s)
{
    return MG_CONTAINER_OF(s, struct end, base);
}

static bool can_read(const struct end *e)
{
    return e->used > 0 || e->ended || e->broken;
}

static bool can_write(const struct end *e)
{
    return e->broken || !e->other || e->other->used < e->other->room;
}

static void tell(struct end *e)
{
    if (e->closed)
        return;
    if ((e->base.watch_read && can_read(e)) || (e->base.watch_write && can_write(e)))
        mg_soon_run(e->base.loop, &e->ready);
}

static void on_ready(void *arg)
{
    struct end *e = arg;
    if (!e->closed && e->base.watch_read && can_read(e) && e->base.on_readable)
        e->base.on_readable(e->base.arg);
    if (!e->closed && e->base.watch_write && can_write(e) && e->base.on_writable)
        e->base.on_writable(e->base.arg);
}

static ssize_t broken(struct end *e)
{
    e->base.error = ECONNRESET;
    return MG_STREAM_ERROR;
}

static ssize_t nothing_to_read(struct end *e)
{
    return e->broken ? broken(e) : e->ended ? 0 : MG_STREAM_AGAIN;
}

static size_t copy_out(const struct end *e, void *out, size_t n)
{
    size_t got = e->used < n ? e->used : n;
    size_t first = e->room - e->head < got ? e->room - e->head : got;
    memcpy(out, e->bytes + e->head, first);
    memcpy((char *)out + first, e->bytes, got - first);
    return got;
}

static ssize_t pair_read(struct mg_stream *s, void *out, size_t n)
{
    struct end *e = from(s);
    if (e->used == 0)
        return nothing_to_read(e);
    size_t got = copy_out(e, out, n);
    e->head = (e->head + got) % e->room;
    e->used -= got;
    if (e->other)
        tell(e->other);
    /* A socket's event is level-triggered: what is left over is told again. */
    tell(e);
    return (ssize_t)got;
}

static ssize_t pair_peek(struct mg_stream *s, void *out, size_t n)
{
    struct end *e = from(s);
    if (e->used == 0)
        return nothing_to_read(e);
    tell(e);
    return (ssize_t)copy_out(e, out, n);
}

static size_t put(struct end *to, const char *p, size_t n)
{
    size_t free_room = to->room - to->used;
    if (n > free_room)
        n = free_room;
    for (size_t i = 0; i < n;) {
        size_t at = (to->head + to->used) % to->room;
        size_t run = to->room - at < n - i ? to->room - at : n - i;
        memcpy(to->bytes + at, p + i, run);
        to->used += run;
        i += run;
    }
    return n;
}

static ssize_t pair_writev(struct mg_stream *s, const struct iovec *iov, int count)
{
    struct end *e = from(s);
    if (e->broken || !e->other || e->other->ended) {
        s->error = EPIPE; /* reset, closed, or shut down by the writer itself */
        return MG_STREAM_ERROR;
    }
    size_t total = 0, asked = 0;
    for (int i = 0; i < count; i++) {
        asked += iov[i].iov_len;
        size_t n = put(e->other, iov[i].iov_base, iov[i].iov_len);
        total += n;
        if (n < iov[i].iov_len)
            break;
    }
    tell(e->other);
    tell(e); /* level-triggered as well: there may be room left */
    return total == 0 && asked > 0 ? MG_STREAM_AGAIN : (ssize_t)total;
}

static void pair_watch(struct mg_stream *s, bool want_read, bool want_write)
{
    s->watch_read = want_read;
    s->watch_write = want_write;
    tell(from(s));
}

static void pair_shutdown(struct mg_stream *s)
{
    struct end *e = from(s);
    if (e->other && !e->other->ended) {
        e->other->ended = true;
        tell(e->other);
    }
}

static void release(void *memory)
{
    struct end *e = memory;
    mg_security_unref(e->base.security);
    free(e->bytes);
    free(e);
}

static void pair_close(struct mg_stream *s, bool reset)
{
    struct end *e = from(s);
    if (e->closed)
        return;
    e->closed = true;
    mg_soon_cancel(&e->ready);
    if (e->other) {
        /* As with TCP: what was sent before a close can still be read, after a reset it cannot. */
        struct end *o = e->other;
        o->ended = true;
        o->other = NULL;
        if (reset) {
            o->broken = true;
            o->used = 0;
        }
        tell(o);
    }
    mg_loop_free_later(s->loop, e, release);
}

static const struct mg_stream_ops pair_ops = {
    .read = pair_read,
    .peek = pair_peek,
    .writev = pair_writev,
    .watch = pair_watch,
    .shutdown = pair_shutdown,
    .close = pair_close,
};

void mg_pair_stream_new(struct mg_loop *loop, size_t room, struct mg_stream *ends[2])
{
    struct end *e[2];
    for (int i = 0; i < 2; i++) {
        e[i] = mg_calloc(1, sizeof *e[i]);
        e[i]->base.ops = &pair_ops;
        e[i]->base.loop = loop;
        e[i]->base.watch_read = true;
        e[i]->bytes = mg_malloc(room);
        e[i]->room = room;
        mg_soon_init(&e[i]->ready, on_ready, e[i]);
        ends[i] = &e[i]->base;
    }
    e[0]->other = e[1];
    e[1]->other = e[0];
}
