/* Asks sentinels for the master, and dials it. Worker thread. */
#include "redis/sentinel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* A sentinel that does not answer may be followed by so many others in one dial. */
#define SENTINELS_ASKED 3
#define WORDS 3

struct sentinel {
    struct mg_loop *loop;
    struct mg_pool *chunks;
    struct mg_redis_settings settings;
    char *master, *password; /* owned */
    struct mg_redis_dialer lower;
};

struct dial {
    struct sentinel *sentinel;
    void *lower;                /* a dial of that: to a sentinel, then to the master */
    struct mg_redis_conn *conn; /* to a sentinel */
    struct mg_redis_call question;
    const char *argv[WORDS];
    size_t lengths[WORDS];
    int asked;
    mg_redis_dialled_fn on_done;
    void *arg;
};

static bool ask_one(struct dial *d, const char **reason);

static void close_conn(struct dial *d)
{
    struct mg_redis_conn *c = d->conn;
    mg_redis_call_cancel(&d->question);
    d->conn = NULL;
    if (c)
        mg_redis_conn_close(c, MG_REDIS_CLOSED, "done");
}

static void finish(struct dial *d, struct mg_stream *stream, const char *reason)
{
    mg_redis_dialled_fn on_done = d->on_done;
    void *arg = d->arg;
    d->lower = NULL;
    on_done(arg, stream, reason);
    close_conn(d);
    free(d);
}

static void ask_another(struct dial *d, const char *reason)
{
    close_conn(d);
    if (d->asked == SENTINELS_ASKED || !ask_one(d, &reason))
        finish(d, NULL, reason);
}

/* --- the master --- */

static void on_master(void *arg, struct mg_stream *stream, const char *reason)
{
    finish(arg, stream, reason);
}

static void dial_master(struct dial *d, struct mg_str host, struct mg_str port)
{
    const struct mg_redis_dialer *lower = &d->sentinel->lower;
    const char *reason = "";
    char address[300];
    bool v6 = mg_str_find(host, ':') >= 0;
    snprintf(address, sizeof address, v6 ? "[%.*s]:%.*s" : "%.*s:%.*s", MG_STR_ARGS(host),
             MG_STR_ARGS(port));
    close_conn(d);
    d->lower = lower->start(lower->ctx, address, on_master, d, &reason);
    if (!d->lower)
        finish(d, NULL, reason);
}

/* --- a sentinel --- */

static void on_answer_of_sentinel(struct mg_redis_call *call)
{
    struct dial *d = call->owner;
    const struct mg_redis_reply *r = call->reply;
    if (call->error)
        ask_another(d, call->detail);
    else if (r->type == MG_REDIS_ARRAY && r->count == 2 && r->items[0].type == MG_REDIS_STRING &&
             r->items[1].type == MG_REDIS_STRING)
        dial_master(d, r->items[0].str, r->items[1].str);
    else
        ask_another(d, "the sentinels do not know the master");
}

static void set_word(struct dial *d, int i, struct mg_str word)
{
    d->argv[i] = word.p;
    d->lengths[i] = word.n;
}

static void on_ready(void *owner, struct mg_redis_conn *c)
{
    struct dial *d = owner;
    const struct sentinel *s = d->sentinel;
    set_word(d, 0, MG_STR("SENTINEL"));
    set_word(d, 1, MG_STR("get-master-addr-by-name"));
    set_word(d, 2, mg_str_c(s->master));
    d->question = (struct mg_redis_call){.argc = WORDS,
                                         .argv = d->argv,
                                         .lengths = d->lengths,
                                         .on_done = on_answer_of_sentinel,
                                         .owner = d};
    d->question._deadline_ns = mg_loop_now(s->loop) + s->settings.timeout_ns;
    if (mg_redis_conn_send(c, &d->question, 1) != MG_REDIS_OK)
        ask_another(d, "the sentinel cannot be asked");
}

static void on_answer(void *owner, struct mg_redis_conn *c)
{
    (void)owner;
    (void)c;
}

static void on_closed(void *owner, struct mg_redis_conn *c, const char *reason)
{
    struct dial *d = owner;
    if (c != d->conn)
        return; /* we have closed it */
    d->conn = NULL;
    ask_another(d, reason);
}

static const struct mg_redis_conn_events conn_events = {
    .on_ready = on_ready, .on_answer = on_answer, .on_late = on_answer, .on_closed = on_closed};

static void on_sentinel(void *arg, struct mg_stream *stream, const char *reason)
{
    struct dial *d = arg;
    const struct sentinel *s = d->sentinel;
    d->lower = NULL;
    if (stream)
        d->conn = mg_redis_conn_new(s->loop, stream, s->chunks, &s->settings, &conn_events, d);
    else
        ask_another(d, reason);
}

static bool ask_one(struct dial *d, const char **reason)
{
    const struct mg_redis_dialer *lower = &d->sentinel->lower;
    d->asked++;
    d->lower = lower->start(lower->ctx, NULL, on_sentinel, d, reason);
    return d->lower != NULL;
}

/* --- the dialer --- */

static void *start(void *ctx, const char *address, mg_redis_dialled_fn on_done, void *arg,
                   const char **reason)
{
    struct dial *d = mg_calloc(1, sizeof *d);
    (void)address; /* the sentinels know better */
    *d = (struct dial){.sentinel = ctx, .on_done = on_done, .arg = arg};
    if (ask_one(d, reason))
        return d;
    free(d);
    return NULL;
}

static void cancel(void *ctx, void *dial)
{
    struct sentinel *s = ctx;
    struct dial *d = dial;
    if (d->lower)
        s->lower.cancel(s->lower.ctx, d->lower);
    close_conn(d);
    free(d);
}

struct mg_redis_dialer mg_redis_sentinel_new(const struct mg_redis_sentinel_options *options,
                                             const struct mg_redis_dialer *lower)
{
    struct sentinel *s = mg_malloc(sizeof *s);
    *s = (struct sentinel){.loop = options->loop,
                           .chunks = options->chunks,
                           .settings = *options->settings,
                           .master = mg_strdup(options->master),
                           .password = mg_strdup(options->settings->password),
                           .lower = *lower};
    s->settings.password = mg_str_c(s->password);
    return (struct mg_redis_dialer){start, cancel, s};
}

void mg_redis_sentinel_free(void *ctx)
{
    struct sentinel *s = ctx;
    explicit_bzero(s->password, strlen(s->password));
    free(s->password);
    free(s->master);
    free(s);
}
