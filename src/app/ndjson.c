/*
 * A loop over standard input: what came is answered, then what was answered is written, then more
 * is waited for. So no reply waits for the next message, and a thousand that came together leave in
 * one write.
 *
 * No input ends the loop but its end: what is no message is answered with one of type "error".
 */
#include "app/ndjson.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "app/ndjson_frame.h"
#include "app/ndjson_message.h"
#include "app/ndjson_routes.h"

#define READ_BYTES ((size_t)256 << 10)
#define WRITE_BYTES ((size_t)256 << 10)
#define MESSAGE_MAX                                                                                \
    (MG_CONFIG_FILE_MAX - 64)        /* its routes, and what stands around them in a file */
#define REPLY_MAX (MESSAGE_MAX * 10) /* it may repeat parts of a message, in more bytes */
#define DIAGNOSTICS_MAX ((size_t)2 << 20)
#define CHUNK_BYTES 16384

struct session {
    struct mg_pool chunks;
    struct mg_arena arena; /* of one message */
    struct mg_buf input, output, scratch;
    size_t taken; /* bytes of the input that are done with */
    struct mg_ndjson_frame frame;
    struct mg_ndjson_routes routes;
};

/* --- replies --- */

static bool write_all(const char *p, size_t n)
{
    while (n) {
        ssize_t written = write(STDOUT_FILENO, p, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            perror("moongate ndjson: cannot write");
            return false;
        }
        p += written;
        n -= (size_t)written;
    }
    return true;
}

static bool flush(struct session *s)
{
    bool ok = write_all(s->output.p, s->output.n);
    mg_buf_reset(&s->output);
    return ok;
}

static struct mg_ndjson_reply fault(const char *text)
{
    return (struct mg_ndjson_reply){.type = MG_STR("error"), .text = mg_str_c(text)};
}

/* --- messages --- */

/* The first line of what the loader says. */
static struct mg_str first_line(struct session *s, const struct mg_buf *diagnostics)
{
    struct mg_str rest = mg_buf_str(diagnostics), line = MG_STR_NONE;
    (void)!mg_str_split(&rest, '\n', &line);
    return mg_arena_str(&s->arena, line);
}

/* An init without routes leaves all as it is. */
static struct mg_ndjson_reply init(struct session *s, const struct mg_ndjson_message *m)
{
    struct mg_ndjson_reply reply = {.type = MG_STR("init_ok")};
    if (!m->routes.n)
        return reply;
    if (m->routes.p[0] != '[')
        return fault("'routes' must be a list");
    struct mg_buf diagnostics, file;
    mg_buf_init(&diagnostics, DIAGNOSTICS_MAX);
    mg_buf_init(&file, MG_CONFIG_FILE_MAX);
    mg_buf_printf(&file, "{\"routes\":%.*s}", MG_STR_ARGS(m->routes));
    struct mg_str text = mg_buf_str(&file);
    struct mg_config_source source = {.file = "init.json", .text = &text, .check_only = true};
    if (mg_ndjson_routes_load(&s->routes, &source, &diagnostics) != MG_OK) {
        reply = fault(NULL);
        reply.text = first_line(s, &diagnostics);
    }
    mg_buf_release(&file);
    mg_buf_release(&diagnostics);
    return reply;
}

static void answer(struct session *s, struct mg_str text)
{
    struct mg_ndjson_message m;
    struct mg_ndjson_reply reply;
    struct mg_error err;
    if (mg_ndjson_message_read(&s->arena, text, &s->scratch, &m, &err) != MG_OK)
        reply = fault(err.text);
    else if (mg_str_eq(m.type, MG_STR("api_request")))
        reply = mg_ndjson_routes_answer(&s->routes, &m);
    else if (mg_str_eq(m.type, MG_STR("init")))
        reply = init(s, &m);
    else
        reply = fault("unknown type of message");
    mg_ndjson_reply_write(&s->output, &m, &reply);
    mg_arena_release(&s->arena);
}

/* What is no text at all: nobody is known to whom the reply should go. */
static void answer_broken(struct session *s, const char *why)
{
    struct mg_ndjson_message nobody = {.enveloped = false};
    struct mg_ndjson_reply reply = fault(why);
    mg_ndjson_reply_write(&s->output, &nobody, &reply);
}

/* --- the stream --- */

/* Answers all that is whole. False when nobody reads the replies any more. */
static bool answer_all(struct session *s, bool at_end)
{
    for (;;) {
        struct mg_str rest = mg_str(s->input.p + s->taken, s->input.n - s->taken), text;
        size_t used;
        enum mg_ndjson_frame_result result =
            mg_ndjson_frame_next(&s->frame, rest, at_end, &text, &used);
        if (result == MG_NDJSON_TEXT)
            answer(s, text);
        else if (result == MG_NDJSON_BROKEN)
            answer_broken(s, "this is no JSON object");
        s->taken += used;
        if (s->output.n >= WRITE_BYTES && !flush(s))
            return false;
        if (result == MG_NDJSON_MORE)
            return flush(s);
    }
}

/* Makes room for another read: what was taken goes, and with it a message that nobody could keep.
 */
static void make_room(struct session *s)
{
    struct mg_buf *in = &s->input;
    memmove(in->p, in->p + s->taken, in->n - s->taken);
    in->n -= s->taken;
    s->taken = 0;
    if (in->n > MESSAGE_MAX) {
        answer_broken(s, "the message is too long");
        mg_ndjson_frame_skip(&s->frame);
        mg_buf_reset(in);
    }
}

/* Appends what there is of the input; waits for it. False at its end. */
static bool read_more(struct session *s)
{
    ssize_t n;
    if (s->input.p)
        make_room(s);
    bool room = mg_buf_reserve(&s->input, READ_BYTES);
    MG_BUG_ON(!room);
    do
        n = read(STDIN_FILENO, s->input.p + s->input.n, READ_BYTES);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        s->input.n += (size_t)n;
    return n > 0;
}

static bool load(struct session *s, const char *file)
{
    struct mg_buf diagnostics;
    struct mg_config_source source = {.file = file, .check_only = true};
    mg_buf_init(&diagnostics, DIAGNOSTICS_MAX);
    enum mg_rc rc = mg_ndjson_routes_load(&s->routes, &source, &diagnostics);
    fwrite(diagnostics.p, 1, diagnostics.n, stderr);
    mg_buf_release(&diagnostics);
    return rc == MG_OK;
}

int mg_ndjson(const struct mg_options *options)
{
    struct session s = {.taken = 0};
    mg_pool_init(&s.chunks, CHUNK_BYTES);
    mg_arena_init(&s.arena, &s.chunks);
    mg_buf_init(&s.input, MESSAGE_MAX + READ_BYTES);
    mg_buf_init(&s.output, WRITE_BYTES + REPLY_MAX);
    mg_buf_init(&s.scratch, MESSAGE_MAX + READ_BYTES);
    mg_ndjson_routes_init(&s.routes, &s.arena);
    bool good = !options->config || load(&s, options->config);
    while (good && read_more(&s))
        good = answer_all(&s, false);
    good = good && (!s.input.p || answer_all(&s, true));
    mg_ndjson_routes_release(&s.routes);
    mg_buf_release(&s.scratch);
    mg_buf_release(&s.output);
    mg_buf_release(&s.input);
    mg_arena_release(&s.arena);
    mg_pool_release(&s.chunks);
    return good ? 0 : 1;
}
