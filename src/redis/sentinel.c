/* Asks sentinels for the master, and dials it. Worker thread. */
#include "redis/sentinel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "redis/inquiry.h"

struct sentinel {
    struct mg_loop *loop;
    struct mg_pool *chunks;
    struct mg_redis_settings settings;
    char *master, *password; /* owned */
    struct mg_redis_dialer lower;
};

struct dial {
    struct sentinel *sentinel;
    struct mg_redis_inquiry *inquiry; /* for the master; then */
    void *lower;                      /* a dial to it */
    mg_redis_dialled_fn on_done;
    void *arg;
};

static void finish(struct dial *d, struct mg_stream *stream, const char *reason)
{
    d->on_done(d->arg, stream, reason);
    free(d);
}

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
    d->lower = lower->start(lower->ctx, address, on_master, d, &reason);
    if (!d->lower)
        finish(d, NULL, reason);
}

static bool on_reply(void *arg, const struct mg_redis_reply *r, const char **reason)
{
    struct dial *d = arg;
    if (r->type != MG_REDIS_ARRAY || r->count != 2 || r->items[0].type != MG_REDIS_STRING ||
        r->items[1].type != MG_REDIS_STRING) {
        *reason = "the sentinels do not know the master";
        return false;
    }
    d->inquiry = NULL;
    dial_master(d, r->items[0].str, r->items[1].str);
    return true;
}

static void on_failed(void *arg, const char *reason)
{
    finish(arg, NULL, reason);
}

/* --- the dialer --- */

static void *start(void *ctx, const char *address, mg_redis_dialled_fn on_done, void *arg,
                   const char **reason)
{
    struct sentinel *s = ctx;
    struct dial *d = mg_calloc(1, sizeof *d);
    const struct mg_redis_inquiry_options options = {
        .loop = s->loop,
        .chunks = s->chunks,
        .settings = &s->settings,
        .dialer = &s->lower,
        .words = {"SENTINEL", "get-master-addr-by-name", s->master},
        .on_reply = on_reply,
        .on_failed = on_failed,
        .arg = d,
    };
    (void)address; /* the sentinels know better */
    *d = (struct dial){.sentinel = s, .on_done = on_done, .arg = arg};
    d->inquiry = mg_redis_inquiry_start(&options, reason);
    if (d->inquiry)
        return d;
    free(d);
    return NULL;
}

static void cancel(void *ctx, void *dial)
{
    struct sentinel *s = ctx;
    struct dial *d = dial;
    if (d->inquiry)
        mg_redis_inquiry_cancel(d->inquiry);
    if (d->lower)
        s->lower.cancel(s->lower.ctx, d->lower);
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
