/*
 * Writing HTTP/1 messages.
 *
 * A "piece" is what one peek of the body gave. For chunked bodies each piece is one chunk, so that
 * nothing is copied or held back; its size line goes before it and its CRLF after it, all in one
 * writev. The last chunk joins the last piece when the source knows that it is the last.
 */
#include "http/h1_output.h"

#include "http/h1_write.h"
#include "net/pipe.h"

/* Bodies of which less is left go through memory: setting a pipe up costs some calls. */
#define MOVE_MIN ((uint64_t)128 * 1024)
#define MOVE_MAX ((uint64_t)1024 * 1024)
#define MOVE_ROUNDS 8

void mg_h1_output_init(struct mg_h1_output *o)
{
    *o = (struct mg_h1_output){.ended = true};
}

static void stop_moving(struct mg_h1_output *o)
{
    mg_pipe_put(o->_pipe);
    o->_pipe = NULL;
    if (o->body)
        o->body->moves = false;
}

void mg_h1_output_release(struct mg_h1_output *o)
{
    stop_moving(o);
    if (o->body)
        o->body->on_ready = NULL;
    o->body = NULL;
}

void mg_h1_output_queue(struct mg_h1_output *o, struct mg_arena *arena, struct mg_str bytes)
{
    if (o->head.n == 0) {
        o->head = bytes;
        return;
    }
    char *both = mg_arena_alloc(arena, o->head.n + bytes.n);
    memcpy(both, o->head.p, o->head.n);
    memcpy(both + o->head.n, bytes.p, bytes.n);
    o->head = mg_str(both, o->head.n + bytes.n);
}

void mg_h1_output_body(struct mg_h1_output *o, const struct mg_message *m, struct mg_body *body,
                       enum mg_h1_framing_kind framing, uint64_t length)
{
    o->message = m;
    o->body = body;
    o->framing = framing;
    o->left = length;
    o->ended = !body || framing == MG_H1_NO_BODY || (framing == MG_H1_LENGTH && length == 0);
}

static void end_chunks(struct mg_h1_output *o, struct mg_arena *arena, bool after_piece)
{
    struct mg_str last = mg_h1_write_last_chunk(arena, o->message, o->body->trailers);
    if (after_piece) {
        char *both = mg_arena_alloc(arena, last.n + 2);
        memcpy(both, "\r\n", 2);
        memcpy(both + 2, last.p, last.n);
        last = mg_str(both, last.n + 2);
    }
    o->_post = last;
    o->ended = true;
}

static void begin_piece(struct mg_h1_output *o, struct mg_str bytes, struct mg_arena *arena)
{
    o->_piece = bytes.n;
    o->_stuck = false;
    switch (o->framing) {
    case MG_H1_CHUNKED:
        o->_line_at = 0;
        o->_line_n = (uint8_t)mg_h1_write_chunk_size(o->_line, bytes.n);
        if (o->body->at_end)
            end_chunks(o, arena, true);
        else
            o->_post = MG_STR("\r\n");
        break;
    case MG_H1_LENGTH:
        /* Never more than was announced: the rest would be read as the next message. */
        if (o->_piece > o->left)
            o->_piece = (size_t)o->left;
        o->left -= o->_piece;
        o->ended = o->left == 0;
        break;
    default:
        o->ended = o->body->at_end;
        break;
    }
}

/* Sets up the next piece when the last one is out. */
static enum mg_h1_output_state next_piece(struct mg_h1_output *o, struct mg_str *bytes,
                                          struct mg_arena *arena)
{
    switch (mg_body_peek(o->body, bytes)) {
    case MG_BODY_BYTES:
        begin_piece(o, *bytes, arena);
        return MG_H1_OUT_DONE;
    case MG_BODY_WAIT:
        return MG_H1_OUT_WAIT_BODY;
    case MG_BODY_BROKEN:
        return MG_H1_OUT_BODY_BROKEN;
    case MG_BODY_END:
        break;
    }
    *bytes = MG_STR_NONE;
    if (o->framing == MG_H1_LENGTH) {
        o->body->reason = "body-shorter-than-announced";
        return MG_H1_OUT_BODY_BROKEN;
    }
    if (o->framing == MG_H1_CHUNKED)
        end_chunks(o, arena, false);
    o->ended = true;
    return MG_H1_OUT_DONE;
}

static int add(struct iovec *iov, int count, const char *p, size_t n)
{
    if (n == 0)
        return count;
    iov[count] = (struct iovec){(void *)p, n};
    return count + 1;
}

/* How many of `have` bytes the written ones cover. */
static size_t take(size_t *written, size_t have)
{
    size_t n = *written < have ? *written : have;
    *written -= n;
    return n;
}

/* Head and body of a small message are cheaper copied together than handed over in pieces. */
#define JOIN_BYTES 2048

static ssize_t write_parts(struct mg_stream *stream, const struct iovec *iov, int count,
                           size_t total)
{
    char joined[JOIN_BYTES];
    if (count == 1 || total > sizeof joined)
        return mg_stream_writev(stream, iov, count);
    size_t n = 0;
    for (int i = 0; i < count; i++) {
        memcpy(joined + n, iov[i].iov_base, iov[i].iov_len);
        n += iov[i].iov_len;
    }
    struct iovec one = {joined, n};
    return mg_stream_writev(stream, &one, 1);
}

static void advance(struct mg_str *part, size_t *written)
{
    size_t n = take(written, part->n);
    *part = n == part->n ? MG_STR_NONE : mg_str(part->p + n, part->n - n);
}

/* Books `written` bytes on the parts they came from, in order. */
static void book(struct mg_h1_output *o, size_t written)
{
    advance(&o->head, &written);
    size_t n;
    n = take(&written, o->_line_n);
    o->_line_at = (uint8_t)(o->_line_at + n);
    o->_line_n = (uint8_t)(o->_line_n - n);
    n = take(&written, o->_piece);
    o->_piece -= n;
    o->sent += n;
    if (n)
        mg_body_consume(o->body, n);
    advance(&o->_post, &written);
}

/* Large bodies of known length between two plain sockets, once what was in memory is out. */
static bool may_move(const struct mg_h1_output *o, const struct mg_stream *stream)
{
    return o->framing == MG_H1_LENGTH && o->left >= MOVE_MIN && o->head.n == 0 && !o->_stuck &&
           o->body->ops->move && stream->ops->from_pipe;
}

/* Moves what can be moved. MG_H1_OUT_DONE: go on through memory. Two fast sockets could keep this
 * going for the whole body; after some rounds the loop sees to others, and the sockets, still
 * ready, call again. */
static enum mg_h1_output_state move(struct mg_h1_output *o, struct mg_stream *stream)
{
    for (int round = 0;; round++) {
        while (o->_pipe->held) {
            ssize_t n = stream->ops->from_pipe(stream, o->_pipe);
            if (n == MG_STREAM_AGAIN)
                return MG_H1_OUT_WAIT_SOCKET;
            if (n <= 0)
                return MG_H1_OUT_SOCKET_BROKEN;
            o->sent += (uint64_t)n;
        }
        if (round == MOVE_ROUNDS)
            return MG_H1_OUT_WAIT_SOCKET;
        uint64_t max = o->left < MOVE_MAX ? o->left : MOVE_MAX;
        ssize_t n = max ? o->body->ops->move(o->body, o->_pipe, (size_t)max) : 0;
        if (n == MG_STREAM_AGAIN)
            return MG_H1_OUT_WAIT_BODY;
        if (n == 0)
            break;
        o->left -= (uint64_t)n;
    }
    o->ended = o->left == 0;
    stop_moving(o);
    o->_stuck = !o->ended; /* not again before something came through memory */
    return MG_H1_OUT_DONE;
}

static void start_moving(struct mg_h1_output *o)
{
    o->_pipe = mg_pipe_get();
    o->body->moves = o->_pipe != NULL;
}

enum mg_h1_output_state mg_h1_output_pump(struct mg_h1_output *o, struct mg_stream *stream,
                                          struct mg_arena *arena)
{
    for (;;) {
        struct mg_str bytes = MG_STR_NONE;
        enum mg_h1_output_state waiting = MG_H1_OUT_DONE;
        if (o->_pipe) {
            enum mg_h1_output_state state = move(o, stream);
            if (state != MG_H1_OUT_DONE)
                return state;
        }
        if (o->_piece) {
            mg_body_peek(o->body, &bytes); /* the same bytes again: they were not consumed */
        } else if (!o->ended && o->_post.n == 0) {
            waiting = next_piece(o, &bytes, arena);
            if (waiting == MG_H1_OUT_BODY_BROKEN)
                return waiting;
            if (waiting == MG_H1_OUT_WAIT_BODY && may_move(o, stream)) {
                start_moving(o);
                if (o->_pipe)
                    continue;
            }
        }

        struct iovec iov[4];
        int count = add(iov, 0, o->head.p, o->head.n);
        count = add(iov, count, o->_line + o->_line_at, o->_line_n);
        count = add(iov, count, bytes.p, o->_piece);
        count = add(iov, count, o->_post.p, o->_post.n);
        if (count == 0)
            return o->ended ? MG_H1_OUT_DONE : waiting;

        size_t total = 0;
        for (int i = 0; i < count; i++)
            total += iov[i].iov_len;
        ssize_t n = write_parts(stream, iov, count, total);
        if (n == MG_STREAM_AGAIN)
            return MG_H1_OUT_WAIT_SOCKET;
        if (n < 0)
            return MG_H1_OUT_SOCKET_BROKEN;
        book(o, (size_t)n);
        if ((size_t)n < total)
            return MG_H1_OUT_WAIT_SOCKET; /* a short write: the socket is full */
        if (waiting == MG_H1_OUT_WAIT_BODY)
            return waiting;
    }
}
