/*
 * A body as a stream of bytes with back-pressure: the reader pulls, the source says when there is
 * more.
 *
 *     for (;;) {
 *         switch (mg_body_peek(b, &bytes)) {
 *         case MG_BODY_BYTES: n = use(bytes); mg_body_consume(b, n); break;
 *         case MG_BODY_WAIT:  return;            // b->on_ready(b->reader) will be called
 *         case MG_BODY_END:   ...trailers...     // all of it was there
 *         case MG_BODY_BROKEN: ...b->reason...   // cut short: never a clean end
 *         }
 *     }
 *
 * A source keeps at most one buffer; what is not consumed stops its socket, and so its sender.
 * Bytes seen by peek are borrowed from the source until consume or the next turn of the loop. A
 * body has one reader at a time. One thread.
 */
#ifndef MG_HTTP_BODY_H
#define MG_HTTP_BODY_H

#include "http/message.h"
#include "net/stream.h"

enum mg_body_state {
    MG_BODY_BYTES,
    MG_BODY_WAIT,
    MG_BODY_END,
    MG_BODY_BROKEN,
};

struct mg_body;

struct mg_body_ops {
    /* Never calls back. */
    enum mg_body_state (*peek)(struct mg_body *b, struct mg_str *bytes);
    /* n is at most what the latest peek gave. May start reading again; never calls back. */
    void (*consume)(struct mg_body *b, size_t n);
    /* Moves bytes that are not in memory yet straight from the source's socket into a pipe, at most
     * `max`. > 0: so many; MG_STREAM_AGAIN: on_ready will come; 0: it cannot be done now, and peek
     * tells why. Never calls back. NULL: the source has no socket. A reader that moves sets
     * `moves`, so that the source does not read into memory meanwhile. */
    ssize_t (*move)(struct mg_body *b, struct mg_pipe *p, size_t max);
    /* The reader wants no more. The source stops or drains as it sees fit; no callback comes after.
     * Once at most; also allowed after the end. NULL: nothing to do. */
    void (*cancel)(struct mg_body *b);
};

struct mg_body {
    const struct mg_body_ops *ops;
    int64_t length;             /* all of it in bytes when known beforehand, else -1 */
    struct mg_fields *trailers; /* valid after MG_BODY_END; NULL: none */
    bool moves;                 /* set by the reader; see ops->move */
    bool at_end;                /* set by peek: the bytes it gave are the last ones */
    const char *reason;         /* after MG_BODY_BROKEN: the word for the log, static */
    int status; /* after MG_BODY_BROKEN: what it is for the client (408, 413, 400, 502) */
    void (*on_ready)(void *reader); /* set by the reader; not called after cancel; may be NULL */
    void *reader;
};

static inline enum mg_body_state mg_body_peek(struct mg_body *b, struct mg_str *bytes)
{
    return b->ops->peek(b, bytes);
}

static inline void mg_body_consume(struct mg_body *b, size_t n)
{
    b->ops->consume(b, n);
}

static inline void mg_body_cancel(struct mg_body *b)
{
    b->on_ready = NULL;
    if (b->ops->cancel)
        b->ops->cancel(b);
}

/* For sources: there is something new to peek at. */
static inline void mg_body_ready(struct mg_body *b)
{
    if (b->on_ready)
        b->on_ready(b->reader);
}

/* Does a reader wait for more of it? Another one would take bytes from that. */
static inline bool mg_body_is_being_read(const struct mg_body *b)
{
    return b && b->on_ready;
}

/* A body that is there already. Borrows `bytes`, which live in the arena (or are static). In the
 * arena. */
struct mg_body *mg_body_fixed(struct mg_arena *arena, struct mg_str bytes);
/* An empty one. */
struct mg_body *mg_body_empty(struct mg_arena *arena);
/* A fixed body's bytes that are not yet consumed; false for other kinds. */
bool mg_body_is_fixed(const struct mg_body *b, struct mg_str *rest);

/* Reads a whole body into memory, up to a limit. */
struct mg_body_collector;
enum mg_collect_result {
    MG_COLLECT_DONE,
    MG_COLLECT_TOO_LARGE, /* what was read stays in front of the body: it can go on as a stream */
    MG_COLLECT_BROKEN,
};
typedef void (*mg_collect_fn)(void *arg, enum mg_collect_result result);

struct mg_body_collector {
    struct mg_body *body; /* borrowed */
    struct mg_arena *arena;
    char *bytes; /* in the arena */
    size_t n, room, limit;
    mg_collect_fn on_done;
    void *arg;
};

/* Returns true when it ended at once (with *result set; on_done does not come), else on_done comes
 * later. The collected bytes are mg_str(c->bytes, c->n). To stop: mg_body_cancel(c->body). */
bool mg_body_collect(struct mg_body_collector *c, struct mg_body *body, struct mg_arena *arena,
                     size_t limit, mg_collect_fn on_done, void *arg,
                     enum mg_collect_result *result);

/* A body that gives `front` first, then `rest` (borrowed both; in the arena). `front` was read from
 * `rest` before, so their length together is what `rest` had from the beginning. */
struct mg_body *mg_body_chain(struct mg_arena *arena, struct mg_str front, struct mg_body *rest);

#endif
