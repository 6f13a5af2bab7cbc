/*
 * Streams over sockets (TCP and unix) on raw libevent events. Loop thread.
 *
 * The read event is persistent and stays registered while the connection is idle; the write event
 * exists only from the first EAGAIN on. That is what keeps a proxied request at about four system
 * calls.
 */
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "net/loop_private.h"
#include "net/pipe.h"
#include "net/stream.h"

struct socket_stream {
    struct mg_stream base;
    int fd;
    bool closed;
    bool read_added;
    struct event read_event;
    struct event *write_event; /* NULL until the first time that the socket was full */
};

static struct socket_stream *from(struct mg_stream *s)
{
    return MG_CONTAINER_OF(s, struct socket_stream, base);
}

static void on_read_event(evutil_socket_t fd, short what, void *arg)
{
    struct socket_stream *s = arg;
    (void)fd, (void)what;
    mg_loop_event_begins(s->base.loop);
    if (!s->closed && s->base.watch_read)
        s->base.on_readable(s->base.arg);
}

static void on_write_event(evutil_socket_t fd, short what, void *arg)
{
    struct socket_stream *s = arg;
    (void)fd, (void)what;
    mg_loop_event_begins(s->base.loop);
    if (!s->closed && s->base.watch_write)
        s->base.on_writable(s->base.arg);
}

static ssize_t fault(struct socket_stream *s)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return MG_STREAM_AGAIN;
    s->base.error = errno;
    return MG_STREAM_ERROR;
}

static ssize_t receive(struct mg_stream *base, void *out, size_t n, int flags)
{
    struct socket_stream *s = from(base);
    ssize_t got;
    /* recv and send go to the socket without the file layer in between: measurably cheaper. */
    do
        got = recv(s->fd, out, n, flags);
    while (got < 0 && errno == EINTR);
    return got >= 0 ? got : fault(s);
}

static ssize_t socket_read(struct mg_stream *base, void *out, size_t n)
{
    return receive(base, out, n, 0);
}

static ssize_t socket_peek(struct mg_stream *base, void *out, size_t n)
{
    return receive(base, out, n, MSG_PEEK);
}

static ssize_t socket_writev(struct mg_stream *base, const struct iovec *iov, int count)
{
    struct socket_stream *s = from(base);
    ssize_t put;
    struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};
    do
        put = count == 1 ? send(s->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL)
                         : sendmsg(s->fd, &message, MSG_NOSIGNAL);
    while (put < 0 && errno == EINTR);
    return put >= 0 ? put : fault(s);
}

static ssize_t socket_to_pipe(struct mg_stream *base, struct mg_pipe *p, size_t max)
{
    struct socket_stream *s = from(base);
    ssize_t n;
    do
        n = splice(s->fd, NULL, p->write_fd, NULL, max, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return fault(s);
    p->held += (size_t)n;
    return n;
}

static ssize_t socket_from_pipe(struct mg_stream *base, struct mg_pipe *p)
{
    struct socket_stream *s = from(base);
    ssize_t n;
    do
        n = splice(p->read_fd, NULL, s->fd, NULL, p->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return fault(s);
    p->held -= (size_t)n;
    return n;
}

static void socket_watch(struct mg_stream *base, bool want_read, bool want_write)
{
    struct socket_stream *s = from(base);
    if (s->closed)
        return;
    if (want_read != s->read_added) {
        if (want_read)
            event_add(&s->read_event, NULL);
        else
            event_del(&s->read_event);
        s->read_added = want_read;
    }
    if (want_write && !s->write_event)
        s->write_event =
            event_new(mg_loop_base(base->loop), s->fd, EV_WRITE | EV_PERSIST, on_write_event, s);
    if (s->write_event && want_write != base->watch_write) {
        if (want_write)
            event_add(s->write_event, NULL);
        else
            event_del(s->write_event);
    }
    base->watch_read = want_read;
    base->watch_write = want_write;
}

static void socket_shutdown(struct mg_stream *base)
{
    shutdown(from(base)->fd, SHUT_WR);
}

static void socket_close(struct mg_stream *base, bool reset)
{
    struct socket_stream *s = from(base);
    if (s->closed)
        return;
    s->closed = true;
    if (s->read_added)
        event_del(&s->read_event);
    if (s->write_event)
        event_free(s->write_event);
    if (reset && !base->is_unix) {
        struct linger l = {.l_onoff = 1, .l_linger = 0};
        setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    }
    close(s->fd);
    mg_loop_free_later(base->loop, s, NULL);
}

static const struct mg_stream_ops socket_ops = {
    .read = socket_read,
    .peek = socket_peek,
    .writev = socket_writev,
    .to_pipe = socket_to_pipe,
    .from_pipe = socket_from_pipe,
    .watch = socket_watch,
    .shutdown = socket_shutdown,
    .close = socket_close,
};

struct mg_stream *mg_socket_stream_new(struct mg_loop *loop, int fd, const struct mg_addr *peer,
                                       const struct mg_addr *local)
{
    struct socket_stream *s = mg_calloc(1, sizeof *s);
    s->base.ops = &socket_ops;
    s->base.loop = loop;
    s->base.is_unix = peer->family == 0;
    s->base.peer = *peer;
    s->base.local = *local;
    s->fd = fd;
    event_assign(&s->read_event, mg_loop_base(loop), fd, EV_READ | EV_PERSIST, on_read_event, s);
    mg_stream_watch(&s->base, true, false);
    return &s->base;
}
