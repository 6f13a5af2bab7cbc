/*
 * TLS streams. Loop thread.
 *
 * The library reads and writes through two callbacks that never touch the network by themselves
 * more than they must: `in` is filled by one read of all that is there, and what is to be sent
 * gathers in `out` and leaves in one write. Both are held only while they have something in them,
 * and so are the library's own buffers (shelf.h).
 *
 * Sockets tell for as long as there is something to read; bytes that wait in our buffers are
 * invisible to the loop. So whatever leaves readable bytes behind asks for another call, in the
 * next turn of the loop: others have their turn in between.
 */
#include "tls/stream.h"

#include <errno.h>
#include <mbedtls/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "net/security.h"
#include "tls/hello.h"
#include "tls/library.h"
#include "tls/trust.h"

/* Four full records and what encryption adds to them (RFC 5246 6.2.3: 16 KiB of text each). */
#define RECORD_TEXT 16384
#define RECORD_MOST (RECORD_TEXT + 256)
#define WIRE_BYTES ((size_t)17 * 4096)
/* A peer that does not take the last bytes of a stream that was closed is not waited for longer. */
#define LAST_BYTES_NS (10 * MG_SECOND)

enum phase {
    LOOKING, /* a server that waits for a whole list of ciphers */
    SHAKING,
    OPEN,
    LEAVING, /* closed by its owner; our last bytes are on their way */
    CLOSED,
};

struct wire {
    uint8_t *block; /* NULL: nothing in it */
    size_t at, end;
};

struct mg_tls_stream {
    struct mg_stream base;
    struct mg_tls_desk *desk;
    struct mg_stream *lower;
    const struct mg_tls_role *role;
    void *owner;
    mg_tls_done_fn on_done;
    void *arg;
    struct mg_link link; /* desk->streams */
    struct mg_timer
        timer;            /* handshake: its deadline; open: tells the owner; last bytes: deadline */
    struct mg_soon start; /* a client's first flight */
    struct wire in, out;
    struct mg_tls_shelved shelved;
    uint8_t phase;
    bool has_context;
    bool lower_dry; /* the last read of it was short: no more is there until it says so */
    bool lower_ended;
    bool starved;    /* what is in `in` is no whole record */
    bool ended;      /* the peer has said that it sends no more */
    bool failed;     /* broken; base.error says how */
    bool shut;       /* we have said that we send no more */
    bool shut_lower; /* ... and the lower stream has to know once `out` is empty */
    bool resumed;
    bool alerted;      /* the library has told the peer what is wrong */
    bool peer_alerted; /* the peer has told us */
    char *server_name; /* until the handshake is done */
    mbedtls_ssl_context context;
};

static struct mg_tls_stream *from(struct mg_stream *s)
{
    return MG_CONTAINER_OF(s, struct mg_tls_stream, base);
}

/* --- wire: between the library and the lower stream --- */

static bool is_empty(const struct wire *w)
{
    return w->at == w->end;
}

static void hold(struct mg_tls_stream *s, struct wire *w)
{
    if (!w->block)
        *w = (struct wire){mg_pool_get(&s->desk->wire), 0, 0};
}

static void let_go(struct mg_tls_stream *s, struct wire *w)
{
    if (w->block)
        mg_pool_put(&s->desk->wire, w->block);
    *w = (struct wire){0};
}

/* One read of the lower stream behind what is in `in`. */
static ssize_t fill(struct mg_tls_stream *s)
{
    if (s->lower_ended)
        return 0;
    if (s->lower_dry)
        return MG_STREAM_AGAIN;
    hold(s, &s->in);
    if (s->in.at > 0) {
        memmove(s->in.block, s->in.block + s->in.at, s->in.end - s->in.at);
        s->in.end -= s->in.at;
        s->in.at = 0;
    }
    size_t room = WIRE_BYTES - s->in.end;
    ssize_t n = mg_stream_read(s->lower, s->in.block + s->in.end, room);
    if (n > 0) {
        s->in.end += (size_t)n;
        s->lower_dry = (size_t)n < room;
    } else if (n == 0) {
        s->lower_ended = true;
    } else {
        s->lower_dry = true;
    }
    if (is_empty(&s->in))
        let_go(s, &s->in);
    return n;
}

/* mbedtls_ssl_recv_t */
static int receive(void *arg, unsigned char *out, size_t n)
{
    struct mg_tls_stream *s = arg;
    if (is_empty(&s->in)) {
        ssize_t got = fill(s);
        if (got == 0)
            return MBEDTLS_ERR_SSL_CONN_EOF;
        if (got == MG_STREAM_AGAIN)
            return MBEDTLS_ERR_SSL_WANT_READ;
        if (got < 0) {
            s->base.error = s->lower->error;
            return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
        }
    }
    if (n > s->in.end - s->in.at)
        n = s->in.end - s->in.at;
    memcpy(out, s->in.block + s->in.at, n);
    s->in.at += n;
    if (is_empty(&s->in))
        let_go(s, &s->in);
    return (int)n;
}

/* mbedtls_ssl_send_t */
static int send_later(void *arg, const unsigned char *bytes, size_t n)
{
    struct mg_tls_stream *s = arg;
    if (n > 0 && bytes[0] == MBEDTLS_SSL_MSG_ALERT)
        s->alerted = true;
    hold(s, &s->out);
    size_t room = WIRE_BYTES - s->out.end;
    if (room == 0)
        return MBEDTLS_ERR_SSL_WANT_WRITE;
    if (n > room)
        n = room;
    memcpy(s->out.block + s->out.end, bytes, n);
    s->out.end += n;
    return (int)n;
}

static void fail(struct mg_tls_stream *s, int error)
{
    if (!s->failed)
        s->base.error = error;
    s->failed = true;
    let_go(s, &s->out);
}

/* True when all has left. */
static bool flush(struct mg_tls_stream *s)
{
    while (!is_empty(&s->out)) {
        struct iovec v = {s->out.block + s->out.at, s->out.end - s->out.at};
        ssize_t n = mg_stream_writev(s->lower, &v, 1);
        if (n == MG_STREAM_AGAIN)
            return false;
        if (n < 0) {
            fail(s, s->lower->error);
            return true;
        }
        s->out.at += (size_t)n;
    }
    let_go(s, &s->out);
    if (s->shut_lower) {
        s->shut_lower = false;
        mg_stream_shutdown(s->lower);
    }
    return true;
}

static void watch_lower(struct mg_tls_stream *s)
{
    bool read = s->phase == LOOKING || s->phase == SHAKING ||
                (s->phase == OPEN && s->base.watch_read && !s->lower_ended);
    mg_stream_watch(s->lower, read, !is_empty(&s->out));
}

static void flush_and_watch(struct mg_tls_stream *s)
{
    flush(s);
    watch_lower(s);
}

/* --- the library's buffers --- */

static void unshelve(struct mg_tls_stream *s)
{
    mg_tls_shelf_return(&s->desk->shelf, &s->context, &s->shelved);
}

static void shelve(struct mg_tls_stream *s)
{
    if (s->phase == OPEN && s->in.block == NULL)
        mg_tls_shelf_take(&s->desk->shelf, &s->context, &s->shelved);
}

/* --- ending --- */

static void release(void *memory)
{
    free(memory);
}

static void free_context(struct mg_tls_stream *s)
{
    if (!s->has_context)
        return;
    if (!s->shelved.on)
        mg_tls_shelf_strip(&s->desk->shelf, &s->context);
    mbedtls_ssl_free(&s->context);
    s->has_context = false;
}

/* Everything goes but the struct, which stays until nothing on the stack knows it. */
static void finish(struct mg_tls_stream *s, bool reset)
{
    if (s->phase == LOOKING || s->phase == SHAKING)
        s->desk->handshakes--;
    if (s->phase == LEAVING)
        s->desk->leaving--;
    s->phase = CLOSED;
    mg_timer_release(&s->timer);
    mg_soon_cancel(&s->start);
    mg_list_remove(&s->link);
    let_go(s, &s->in);
    let_go(s, &s->out);
    free_context(s);
    if (reset)
        mg_stream_reset(s->lower);
    else
        mg_stream_close(s->lower);
    free(s->server_name);
    mg_security_unref(s->base.security);
    s->base.security = NULL;
    if (s->role->release)
        s->role->release(s->owner);
    mg_loop_free_later(s->desk->loop, s, release);
}

/* Says goodbye to the peer (RFC 5246 7.2.1), once. */
static void say_end(struct mg_tls_stream *s)
{
    if (s->shut || s->failed || s->phase != OPEN)
        return;
    unshelve(s);
    s->shut = true;
    mbedtls_ssl_close_notify(&s->context);
}

/* Closes once the last bytes are out. */
static void leave(struct mg_tls_stream *s)
{
    if (s->failed || flush(s)) {
        finish(s, false);
        return;
    }
    s->phase = LEAVING;
    s->desk->leaving++;
    let_go(s, &s->in);
    mg_timer_set(&s->timer, mg_loop_now(s->desk->loop) + LAST_BYTES_NS);
    watch_lower(s);
}

/* --- handshake --- */

static void describe(struct mg_tls_stream *s)
{
    const mbedtls_x509_crt *peer = mbedtls_ssl_get_peer_cert(&s->context);
    const char *protocol = mbedtls_ssl_get_alpn_protocol(&s->context);
    s->base.security = mg_security_new(&(struct mg_security){
        .version = mbedtls_ssl_get_version(&s->context),
        .cipher = mg_tls_library_suite(&s->context),
        .server_name = mg_str_c(s->server_name ? s->server_name : ""),
        .protocol = mg_str_c(protocol ? protocol : ""),
        .peer_der = peer ? mg_str((const char *)peer->raw.p, peer->raw.len) : MG_STR_NONE,
        .resumed = s->resumed,
    });
    free(s->server_name);
    s->server_name = NULL;
}

static bool has_bytes(const struct mg_tls_stream *s)
{
    if (s->phase != OPEN)
        return false;
    return s->failed || s->ended || (!s->shelved.on && mbedtls_ssl_get_bytes_avail(&s->context)) ||
           (!s->starved && (!is_empty(&s->in) || s->lower_ended));
}

static bool has_room(const struct mg_tls_stream *s)
{
    return s->failed || is_empty(&s->out);
}

static void tell(struct mg_tls_stream *s)
{
    if (s->phase == OPEN &&
        ((s->base.watch_read && has_bytes(s)) || (s->base.watch_write && has_room(s))))
        mg_timer_set(&s->timer, mg_loop_now(s->desk->loop) + 1);
}

static void give_up(struct mg_tls_stream *s, const char *failure)
{
    mg_tls_done_fn on_done = s->on_done;
    void *arg = s->arg;
    char text[160];
    /* An alert may tell the peer why; it is sent if it goes at once. */
    flush(s);
    snprintf(text, sizeof text, "%s", failure);
    if (s->role->failed)
        s->role->failed(s->owner, s->peer_alerted);
    finish(s, false);
    on_done(arg, NULL, text);
}

/* The library leaves some peers without a word: those who show no certificate (RFC 5246 7.4.6), and
 * those whose curves are none of ours. */
static void alert(struct mg_tls_stream *s, int code)
{
    if (!s->alerted && !s->peer_alerted && !s->base.error && code != MBEDTLS_ERR_SSL_CONN_EOF)
        mbedtls_ssl_send_alert_message(&s->context, MBEDTLS_SSL_ALERT_LEVEL_FATAL,
                                       MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE);
}

/* The second: it is good, but not for this use. */
static bool is_about_certificate(int code)
{
    return code == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED || code == MG_TLS_BAD_CERTIFICATE;
}

static void give_up_on(struct mg_tls_stream *s, int code)
{
    char text[160];
    uint32_t flaws = mbedtls_ssl_get_verify_result(&s->context);
    s->peer_alerted = code == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE;
    alert(s, code);
    if (is_about_certificate(code) && flaws != 0 && flaws != UINT32_MAX)
        give_up(s, mg_tls_trust_flaw(flaws));
    else if (s->peer_alerted)
        give_up(s, mg_tls_library_alert(&s->context));
    else if (code == MBEDTLS_ERR_SSL_CONN_EOF)
        give_up(s, "the peer closed the connection");
    else if (s->base.error)
        give_up(s, strerror(s->base.error));
    else
        give_up(s, mg_tls_library_error(code, text, sizeof text));
}

static void succeed(struct mg_tls_stream *s)
{
    const char *refused = s->role->completed(s->owner, s);
    if (refused) {
        give_up(s, refused);
        return;
    }
    s->desk->handshakes--;
    s->phase = OPEN;
    mg_timer_stop(&s->timer);
    describe(s);
    s->base.watch_read = true;
    s->starved = false;
    shelve(s);
    watch_lower(s);
    s->on_done(s->arg, &s->base, NULL);
    tell(s);
}

static void shake(struct mg_tls_stream *s)
{
    s->desk->at = s;
    int rc = mbedtls_ssl_handshake(&s->context);
    s->desk->at = NULL;
    if (rc == 0) {
        flush(s);
        if (s->failed)
            give_up(s, strerror(s->base.error));
        else
            succeed(s);
    } else if (rc == MBEDTLS_ERR_SSL_WANT_READ || rc == MBEDTLS_ERR_SSL_WANT_WRITE) {
        flush(s);
        if (s->failed)
            give_up(s, strerror(s->base.error));
        else
            watch_lower(s);
    } else {
        give_up_on(s, rc);
    }
}

static bool set_up(struct mg_tls_stream *s, const mbedtls_ssl_config *conf)
{
    mbedtls_ssl_init(&s->context);
    s->has_context = true;
    if (mbedtls_ssl_setup(&s->context, conf) != 0)
        return false;
    mg_tls_shelf_adopt(&s->desk->shelf, &s->context);
    mbedtls_ssl_set_bio(&s->context, s, send_later, receive, NULL);
    s->phase = SHAKING;
    return true;
}

/* Somebody who speaks HTTP to this port gets an answer that he can read. */
static void answer_plain(struct mg_tls_stream *s)
{
    static const char text[] = "HTTP/1.1 400 Bad Request\r\n"
                               "Content-Type: text/plain\r\n"
                               "Content-Length: 33\r\n"
                               "Connection: close\r\n"
                               "\r\n"
                               "This port speaks HTTPS, not HTTP\n";
    uint8_t first = s->in.block[s->in.at];
    if (first >= 'A' && first <= 'Z')
        send_later(s, (const unsigned char *)text, sizeof text - 1);
    give_up(s, "this is no TLS");
}

static void look(struct mg_tls_stream *s)
{
    struct mg_tls_hello hello = {0};
    ssize_t n = fill(s);
    if (n == MG_STREAM_AGAIN)
        return;
    if (n <= 0) {
        give_up(s, n == 0 ? "the peer closed the connection" : strerror(s->lower->error));
        return;
    }
    switch (mg_tls_hello_look(s->in.block + s->in.at, s->in.end - s->in.at, &hello)) {
    case MG_TLS_HELLO_MORE:
        return;
    case MG_TLS_HELLO_NOT_TLS:
        answer_plain(s);
        return;
    case MG_TLS_HELLO_KNOWN:
        break;
    }
    if (set_up(s, s->role->choose(s->owner, hello.prefers_chacha20)))
        shake(s);
    else
        give_up(s, "out of memory");
}

/* --- events --- */

static void on_lower_readable(void *arg)
{
    struct mg_tls_stream *s = arg;
    s->lower_dry = false;
    s->starved = false;
    switch ((enum phase)s->phase) {
    case LOOKING:
        look(s);
        break;
    case SHAKING:
        shake(s);
        break;
    case OPEN:
        if (s->base.watch_read)
            s->base.on_readable(s->base.arg);
        tell(s);
        break;
    case LEAVING:
    case CLOSED:
        break;
    }
}

static void on_lower_writable(void *arg)
{
    struct mg_tls_stream *s = arg;
    bool empty = flush(s);
    switch ((enum phase)s->phase) {
    case SHAKING:
        shake(s);
        break;
    case OPEN:
        watch_lower(s);
        if (empty)
            shelve(s);
        if (empty && s->base.watch_write)
            s->base.on_writable(s->base.arg);
        break;
    case LEAVING:
        if (empty)
            finish(s, false);
        break;
    case LOOKING:
    case CLOSED:
        break;
    }
}

static void tell_owner(struct mg_tls_stream *s)
{
    if (s->phase == OPEN && s->base.watch_read && has_bytes(s))
        s->base.on_readable(s->base.arg);
    if (s->phase == OPEN && s->base.watch_write && has_room(s))
        s->base.on_writable(s->base.arg);
    tell(s);
}

static void on_time(void *arg)
{
    struct mg_tls_stream *s = arg;
    if (s->phase == OPEN)
        tell_owner(s);
    else if (s->phase == LEAVING)
        finish(s, true);
    else
        give_up(s, "the handshake took too long");
}

/* --- as a stream --- */

/* What a read that gave nothing means from now on. */
static void note_end(struct mg_tls_stream *s, int rc)
{
    switch (rc) {
    case MBEDTLS_ERR_SSL_WANT_READ:
    case MBEDTLS_ERR_SSL_WANT_WRITE:
        s->starved = true;
        break;
    case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
        s->ended = true;
        break;
    case 0:
    case MBEDTLS_ERR_SSL_CONN_EOF:
        /* Without a goodbye: somebody may have cut the end off (RFC 5246 7.2.1). */
        fail(s, ECONNABORTED);
        break;
    default:
        flush(s); /* the alert that says what was wrong */
        fail(s, s->base.error ? s->base.error : EPROTO);
    }
}

static ssize_t tls_read(struct mg_stream *base, void *out, size_t n)
{
    struct mg_tls_stream *s = from(base);
    size_t got = 0;
    unshelve(s);
    while (got < n && !s->ended && !s->failed) {
        int rc = mbedtls_ssl_read(&s->context, (unsigned char *)out + got, n - got);
        if (rc <= 0) {
            note_end(s, rc);
            break;
        }
        got += (size_t)rc;
    }
    shelve(s);
    if (!is_empty(&s->out))
        flush_and_watch(s); /* the library answers some messages by itself */
    if (got > 0 || n == 0) {
        tell(s);
        return (ssize_t)got;
    }
    return s->failed ? MG_STREAM_ERROR : s->ended ? 0 : MG_STREAM_AGAIN;
}

/* The next piece to encrypt, at most one record: from the pieces at `*iov`, gathered when they are
 * small. */
static struct mg_str next_text(struct mg_tls_stream *s, const struct iovec *iov, int count,
                               size_t skip)
{
    const char *p = (const char *)iov->iov_base + skip;
    size_t n = iov->iov_len - skip;
    if (n >= RECORD_TEXT || count == 1)
        return mg_str(p, n < RECORD_TEXT ? n : RECORD_TEXT);
    uint8_t *to = s->desk->staging;
    size_t used = 0;
    for (int i = 0; i < count && used < RECORD_TEXT; i++, skip = 0) {
        size_t piece = iov[i].iov_len - skip;
        if (piece > RECORD_TEXT - used)
            piece = RECORD_TEXT - used;
        memcpy(to + used, (const char *)iov[i].iov_base + skip, piece);
        used += piece;
    }
    return mg_str((const char *)to, used);
}

/* False: nothing more can be taken. */
static bool encrypt(struct mg_tls_stream *s, struct mg_str text)
{
    if (WIRE_BYTES - s->out.end < RECORD_MOST && !flush(s))
        return false;
    if (s->failed)
        return false;
    unshelve(s);
    int rc = mbedtls_ssl_write(&s->context, (const unsigned char *)text.p, text.n);
    if (rc == (int)text.n)
        return true;
    fail(s, EPROTO);
    return false;
}

static ssize_t tls_writev(struct mg_stream *base, const struct iovec *iov, int count)
{
    struct mg_tls_stream *s = from(base);
    size_t done = 0, skip = 0;
    if (s->shut && !s->failed)
        fail(s, EPIPE);
    if (!s->failed && !flush(s))
        return MG_STREAM_AGAIN;
    while (count > 0 && !s->failed) {
        if (skip == iov->iov_len) {
            iov++, count--, skip = 0;
            continue;
        }
        struct mg_str text = next_text(s, iov, count, skip);
        if (!encrypt(s, text))
            break;
        done += text.n;
        for (size_t left = text.n; left > 0;) {
            size_t piece = iov->iov_len - skip;
            if (left < piece) {
                skip += left;
                break;
            }
            left -= piece;
            iov++, count--, skip = 0;
        }
    }
    flush_and_watch(s);
    if (is_empty(&s->out))
        shelve(s);
    tell(s);
    if (s->failed)
        return MG_STREAM_ERROR;
    return done == 0 && count > 0 ? MG_STREAM_AGAIN : (ssize_t)done;
}

static void tls_watch(struct mg_stream *base, bool read, bool write)
{
    struct mg_tls_stream *s = from(base);
    if (s->phase != OPEN)
        return;
    base->watch_read = read;
    base->watch_write = write;
    watch_lower(s);
    tell(s);
}

static void tls_shutdown(struct mg_stream *base)
{
    struct mg_tls_stream *s = from(base);
    if (s->phase != OPEN || s->shut)
        return;
    say_end(s);
    s->shut_lower = true;
    flush_and_watch(s);
}

static void tls_close(struct mg_stream *base, bool reset)
{
    struct mg_tls_stream *s = from(base);
    if (s->phase != OPEN)
        return;
    if (reset) {
        finish(s, true);
        return;
    }
    say_end(s);
    leave(s);
}

static const struct mg_stream_ops ops = {
    .read = tls_read,
    .writev = tls_writev,
    .watch = tls_watch,
    .shutdown = tls_shutdown,
    .close = tls_close,
};

/* --- making them --- */

static void begin(void *arg)
{
    struct mg_tls_stream *s = arg;
    if (s->failed)
        give_up(s, strerror(s->base.error));
    else
        shake(s);
}

struct mg_tls_stream *mg_tls_stream_new(const struct mg_tls_start *start)
{
    struct mg_tls_stream *s = mg_calloc(1, sizeof *s);
    struct mg_stream *lower = start->lower;
    s->base = (struct mg_stream){.ops = &ops,
                                 .loop = lower->loop,
                                 .is_unix = lower->is_unix,
                                 .peer = lower->peer,
                                 .local = lower->local};
    s->desk = start->desk;
    s->lower = lower;
    s->role = start->role;
    s->owner = start->owner;
    s->on_done = start->on_done;
    s->arg = start->arg;
    s->phase = start->role->is_server ? LOOKING : SHAKING;
    lower->on_readable = on_lower_readable;
    lower->on_writable = on_lower_writable;
    lower->arg = s;
    mg_list_push_back(&s->desk->streams, &s->link);
    s->desk->handshakes++;
    mg_timer_init(&s->timer, s->desk->loop, on_time, s);
    mg_timer_set(&s->timer, start->deadline_ns);
    mg_soon_init(&s->start, begin, s);
    watch_lower(s);
    return s;
}

void mg_tls_stream_begin(struct mg_tls_stream *s, const mbedtls_ssl_config *conf, const char *host,
                         const mbedtls_ssl_session *session)
{
    if (!set_up(s, conf) || mbedtls_ssl_set_hostname(&s->context, host) != 0 ||
        (session && mbedtls_ssl_set_session(&s->context, session) != 0))
        fail(s, ENOMEM);
    mg_soon_run(s->desk->loop, &s->start);
}

void mg_tls_stream_cancel(struct mg_tls_stream *s)
{
    finish(s, false);
}

mbedtls_ssl_context *mg_tls_stream_context(struct mg_tls_stream *s)
{
    return &s->context;
}

void *mg_tls_stream_owner(const struct mg_tls_stream *s)
{
    return s->owner;
}

void mg_tls_stream_set_server_name(struct mg_tls_stream *s, struct mg_str name)
{
    free(s->server_name);
    s->server_name = mg_strdup(name);
}

void mg_tls_stream_set_resumed(struct mg_tls_stream *s)
{
    s->resumed = true;
}

/* --- the desk --- */

void mg_tls_desk_init(struct mg_tls_desk *desk, struct mg_loop *loop)
{
    *desk = (struct mg_tls_desk){.loop = loop, .staging = mg_malloc(RECORD_TEXT)};
    mg_pool_init(&desk->wire, WIRE_BYTES);
    mg_tls_shelf_init(&desk->shelf);
    mg_list_init(&desk->streams);
}

void mg_tls_desk_trim(struct mg_tls_desk *desk)
{
    mg_pool_trim(&desk->wire);
    mg_tls_shelf_trim(&desk->shelf);
}

void mg_tls_desk_cut(struct mg_tls_desk *desk)
{
    MG_LIST_FOREACH_SAFE(it, &desk->streams)
    {
        struct mg_tls_stream *s = MG_CONTAINER_OF(it, struct mg_tls_stream, link);
        if (s->role->is_server && (s->phase == LOOKING || s->phase == SHAKING))
            finish(s, false);
    }
}

void mg_tls_desk_release(struct mg_tls_desk *desk)
{
    while (!mg_list_empty(&desk->streams)) {
        struct mg_tls_stream *s = MG_CONTAINER_OF(desk->streams.next, struct mg_tls_stream, link);
        finish(s, true);
    }
    mg_pool_release(&desk->wire);
    mg_tls_shelf_release(&desk->shelf);
    free(desk->staging);
}
