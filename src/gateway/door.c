/* Ways in. Worker thread. */
#include "gateway/door.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "gateway/worker.h"
#include "net/proxy_accept.h"

/* --- the way in --- */

/* What is on its way in counts as well: it has a descriptor and may become a connection. */
static bool is_full(struct mg_worker *w)
{
    uint32_t limit = w->server.limits.connections;
    if (w->server.connection_count + w->proxy_gate.count + w->tls.handshakes < limit)
        return false;
    mg_log_warn("too many connections", MG_LOG_INT("limit", limit));
    return true;
}

/* Clients that give up, scan ports or send garbage are no news; a certificate that was refused is.
 */
static void tell_failure(const struct mg_door *d, const char *failure)
{
    mg_log_debug("TLS handshake failed", MG_LOG_INT("listener", d->listener),
                 MG_LOG_C("reason", failure));
}

static void on_secured(void *arg, struct mg_stream *stream, const char *failure)
{
    struct mg_door *d = arg;
    if (stream)
        mg_server_accept(&d->worker->server, stream, d->listener, true);
    else
        tell_failure(d, failure);
}

static void pass(struct mg_door *d, struct mg_stream *stream, bool secure)
{
    struct mg_worker *w = d->worker;
    if (d->tls)
        mg_tls_server_accept(d->tls, stream, mg_loop_now(w->loop) + w->server.limits.header_time_ns,
                             on_secured, d);
    else
        mg_server_accept(&w->server, stream, d->listener, secure);
}

/* The proxy may have ended TLS for us. */
static void on_introduced(void *arg, struct mg_stream *stream, const struct mg_proxy_header *header)
{
    pass(arg, stream, header->over_tls);
}

void mg_door_enter(struct mg_worker *w, uint32_t listener, struct mg_stream *stream)
{
    struct mg_door *d = &w->doors[listener];
    if ((d->proxy_protocol || d->tls) && is_full(w)) {
        mg_stream_close(stream);
        return;
    }
    if (!d->proxy_protocol) {
        pass(d, stream, false);
        return;
    }
    w->proxy_gate.limit = w->server.limits.connections;
    w->proxy_gate.header_time_ns = w->server.limits.header_time_ns;
    mg_proxy_accept_start(&w->proxy_gate, stream, w->current->gen->trusted, on_introduced, d);
}

/* --- all of them --- */

enum mg_rc mg_doors_init(struct mg_worker *w, const struct mg_generation *gen, struct mg_error *err)
{
    w->doors = mg_calloc(gen->listen_count, sizeof *w->doors);
    w->door_count = gen->listen_count;
    for (uint32_t i = 0; i < gen->listen_count; i++) {
        const struct mg_listen *l = &gen->listens[i];
        w->doors[i] =
            (struct mg_door){.worker = w, .listener = i, .proxy_protocol = l->proxy_protocol};
        if (l->tls && !(w->doors[i].tls = mg_tls_server_new(&w->tls, l->tls, err)))
            return mg_error_prefix(err, "listen[%u]", i);
    }
    return MG_OK;
}

void mg_doors_release(struct mg_worker *w)
{
    for (uint32_t i = 0; i < w->door_count; i++)
        mg_tls_server_unref(w->doors[i].tls);
    free(w->doors);
    w->doors = NULL;
    w->door_count = 0;
}

void mg_doors_cut(struct mg_worker *w)
{
    mg_proxy_accept_cancel(&w->proxy_gate);
}

uint32_t mg_doors_busy(const struct mg_worker *w)
{
    return w->proxy_gate.count + w->tls.handshakes + w->tls.leaving;
}
