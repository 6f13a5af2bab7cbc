/* Streams to a Redis: dialled, and secured when its service says so. Worker thread. */
#include "upstream/redis_dialer.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

struct mg_redis_dialer_context {
    struct mg_pools *pools;
    struct mg_picker *picker;
};

struct dial {
    struct mg_redis_dialer_context *context;
    struct mg_backend *backend; /* a ref */
    void *connecting;
    struct mg_tls_client *tls; /* a ref; NULL: plain */
    struct mg_tls_stream *handshake;
    uint64_t connect_ns;
    mg_redis_dialled_fn on_done;
    void *arg;
};

static void free_dial(struct dial *d)
{
    mg_backend_unref(d->backend);
    mg_tls_client_unref(d->tls);
    free(d);
}

static void finish(struct dial *d, struct mg_stream *stream, const char *reason)
{
    mg_redis_dialled_fn on_done = d->on_done;
    void *arg = d->arg;
    on_done(arg, stream, reason);
    free_dial(d);
}

static void on_secured(void *arg, struct mg_stream *stream, const char *failure)
{
    finish(arg, stream, failure);
}

static void on_connected(void *arg, struct mg_stream *stream, int error)
{
    struct dial *d = arg;
    if (!stream || !d->tls) {
        finish(d, stream, stream ? NULL : strerror(error));
        return;
    }
    d->connecting = NULL;
    d->handshake = mg_tls_client_connect(
        d->tls, stream, mg_address_host(mg_str_c(d->backend->authority)), d->backend->id,
        mg_loop_now(d->context->pools->loop) + d->connect_ns, on_secured, d);
}

/* One of those in the config; NULL: none is known at present. With a ref. */
static struct mg_backend *configured(struct mg_redis_dialer_context *c, const char **reason)
{
    const struct mg_pick pick = {.now_ns = mg_loop_now(c->pools->loop)};
    struct mg_backend *b = mg_picker_next(c->picker, &pick);
    if (b)
        mg_backend_ref(b);
    else
        *reason = "its name has no address";
    return b;
}

/* One that a server has named. Servers name themselves by IP address unless they are told not to.
 */
static struct mg_backend *named(const char *text, const char **reason)
{
    struct mg_address address;
    if (mg_address_parse(mg_str_c(text), &address, NULL) != MG_OK ||
        address.kind != MG_ADDRESS_IP) {
        *reason = "the server named is no IP address";
        return NULL;
    }
    const struct mg_endpoint endpoint = {
        .addr = address.addr, .authority = mg_str_c(text), .weight = 1};
    return mg_backend_new(&endpoint);
}

static void *start(void *ctx, const char *address, mg_redis_dialled_fn on_done, void *arg,
                   const char **reason)
{
    struct mg_redis_dialer_context *c = ctx;
    const struct mg_dialer *dialer = &c->pools->dialer;
    struct mg_backend *b = address ? named(address, reason) : configured(c, reason);
    int error = 0;
    if (!b)
        return NULL;
    struct dial *d = mg_calloc(1, sizeof *d);
    *d = (struct dial){.context = c,
                       .backend = b,
                       .connect_ns = mg_service_config(c->picker->service)->connect_ns,
                       .on_done = on_done,
                       .arg = arg};
    if (c->picker->tls && !dialer->secure)
        d->tls = mg_tls_client_ref(c->picker->tls);
    d->connecting = dialer->start(dialer->ctx, b, on_connected, d, &error);
    if (d->connecting)
        return d;
    *reason = strerror(error);
    free_dial(d);
    return NULL;
}

static void cancel(void *ctx, void *dial)
{
    struct mg_redis_dialer_context *c = ctx;
    struct dial *d = dial;
    if (d->connecting)
        c->pools->dialer.cancel(c->pools->dialer.ctx, d->connecting);
    if (d->handshake)
        mg_tls_stream_cancel(d->handshake);
    free_dial(d);
}

struct mg_redis_dialer mg_redis_dialer_new(struct mg_pools *pools, struct mg_picker *picker)
{
    struct mg_redis_dialer_context *c = mg_malloc(sizeof *c);
    *c = (struct mg_redis_dialer_context){pools, picker};
    return (struct mg_redis_dialer){start, cancel, c};
}

void mg_redis_dialer_use(const struct mg_redis_dialer *d, struct mg_picker *picker)
{
    struct mg_redis_dialer_context *c = d->ctx;
    c->picker = picker;
}

void mg_redis_dialer_free(void *ctx)
{
    free(ctx);
}
