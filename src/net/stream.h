/*
 * A byte pipe with two directions: TCP, unix socket, or an in-memory pair; later TLS over any of
 * them.
 *
 * Reading and writing never wait. The owner is told when it is worth trying again. No function here
 * calls back before it returns. One thread: the loop's.
 */
#ifndef MG_NET_STREAM_H
#define MG_NET_STREAM_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/ip.h"
#include "net/loop.h"

struct mg_pipe;
struct mg_security;
struct mg_stream;

/* Results of read and writev besides byte counts. A read of 0 is the end of what the peer sends. */
#define MG_STREAM_AGAIN (-1)
#define MG_STREAM_ERROR (-2) /* reset or broken; stream->error has the errno */

struct mg_stream_ops {
    ssize_t (*read)(struct mg_stream *s, void *out, size_t n);
    /* NULL: this kind of stream cannot. */
    ssize_t (*peek)(struct mg_stream *s, void *out, size_t n);
    ssize_t (*writev)(struct mg_stream *s, const struct iovec *iov, int count);
    void (*watch)(struct mg_stream *s, bool read, bool write);
    /* Moves bytes between the socket and a pipe inside the kernel; results as read and writev.
     * NULL: this kind of stream cannot. */
    ssize_t (*to_pipe)(struct mg_stream *s, struct mg_pipe *p, size_t max);
    ssize_t (*from_pipe)(struct mg_stream *s, struct mg_pipe *p);
    void (*shutdown)(struct mg_stream *s);
    void (*close)(struct mg_stream *s, bool reset);
};

/* Bytes, the end, or an error may be there to read. */
typedef void (*mg_stream_fn)(void *arg);

struct mg_stream {
    const struct mg_stream_ops *ops;
    struct mg_loop *loop;
    mg_stream_fn on_readable; /* set by the owner; may change at any time */
    mg_stream_fn on_writable;
    void *arg;
    int error;       /* errno behind MG_STREAM_ERROR */
    bool watch_read; /* as asked for by mg_stream_watch */
    bool watch_write;
    bool is_unix;
    struct mg_addr peer; /* family 0 for unix sockets and pairs that set none */
    struct mg_addr local;
    struct mg_security *security; /* net/security.h; NULL: none, these bytes are plain */
};

/* At most n bytes into `out`. A result shorter than n means that there is no more at present
 * (unless it ends there): no second read is needed, the watch will tell. */
static inline ssize_t mg_stream_read(struct mg_stream *s, void *out, size_t n)
{
    return s->ops->read(s, out, n);
}

/* As read, but the bytes stay, and the owner is told of them again until it reads them: for those
 * who must not read too much. Sockets and pairs can. */
static inline ssize_t mg_stream_peek(struct mg_stream *s, void *out, size_t n)
{
    return s->ops->peek(s, out, n);
}

/* May write less than given; then MG_STREAM_AGAIN is what the next call would give. */
static inline ssize_t mg_stream_writev(struct mg_stream *s, const struct iovec *iov, int count)
{
    return s->ops->writev(s, iov, count);
}

/* Which calls are wanted. Reading stays watched while a connection is idle: that costs nothing and
 * shows the peer's close. Watch writing only after MG_STREAM_AGAIN. Cheap when nothing changes. */
static inline void mg_stream_watch(struct mg_stream *s, bool read, bool write)
{
    if (s->watch_read != read || s->watch_write != write)
        s->ops->watch(s, read, write);
}

/* No more bytes will be written; the peer reads the end after what was written (half-close). */
static inline void mg_stream_shutdown(struct mg_stream *s)
{
    s->ops->shutdown(s);
}

/* Ends both directions and frees the stream at the end of the turn. No callback comes after. */
static inline void mg_stream_close(struct mg_stream *s)
{
    s->ops->close(s, false);
}

/* The same, but the peer sees a reset: for answers that are cut short and must not look whole. */
static inline void mg_stream_reset(struct mg_stream *s)
{
    s->ops->close(s, true);
}

/* Takes a connected, non-blocking socket (TCP or unix) and watches it for reading. */
struct mg_stream *mg_socket_stream_new(struct mg_loop *loop, int fd, const struct mg_addr *peer,
                                       const struct mg_addr *local);

/* Two joined in-memory ends, each with `room` bytes of buffer towards it. Either loop kind. */
void mg_pair_stream_new(struct mg_loop *loop, size_t room, struct mg_stream *ends[2]);

#endif
