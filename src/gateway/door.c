/* Ways in. Worker thread. */
#include "gateway/door.h"

#include <stdlib.h>
#include <string.h>

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

/* Clients that give up, scan ports or send garbage are no news. */
static void tell_failure(const struct mg_door *d, const char *failure)
{
    mg_log_debug("TLS handshake failed", MG_LOG_INT("listener", d->listener),
                 MG_LOG_C("reason", failure));
}

/* The listener may have gone meanwhile; so do those who knocked. */
static void serve(struct mg_door *d, struct mg_stream *stream, bool secure)
{
    if (d->listener == MG_NO_LISTENER)
        mg_stream_close(stream);
    else
        mg_server_accept(&d->worker->server, stream, d->listener, secure);
}

static void on_secured(void *arg, struct mg_stream *stream, const char *failure)
{
    struct mg_door *d = arg;
    if (stream)
        serve(d, stream, true);
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
        serve(d, stream, secure);
}

/* The proxy may have ended TLS for us. */
static void on_introduced(void *arg, struct mg_stream *stream, const struct mg_proxy_header *header)
{
    pass(arg, stream, header->over_tls);
}

void mg_door_enter(struct mg_worker *w, uint32_t listener, struct mg_stream *stream)
{
    struct mg_door *d = w->doors.v[listener];
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

static void free_door(struct mg_door *d)
{
    mg_tls_server_unref(d->tls);
    free(d->address);
    free(d);
}

void mg_doors_free(struct mg_doors *doors)
{
    for (uint32_t i = 0; i < doors->count; i++)
        free_door(doors->v[i]);
    free(doors->v);
    *doors = (struct mg_doors){0};
}

static struct mg_door *make_door(struct mg_worker *w, const struct mg_listen *l, uint32_t i)
{
    struct mg_door *d = mg_calloc(1, sizeof *d);
    mg_list_init(&d->link);
    d->worker = w;
    d->address = mg_strdup(l->address);
    d->listener = i;
    d->proxy_protocol = l->proxy_protocol;
    return d;
}

enum mg_rc mg_doors_make(struct mg_doors *doors, struct mg_worker *w,
                         const struct mg_generation *gen, struct mg_error *err)
{
    *doors = (struct mg_doors){.v = mg_calloc(gen->listen_count, sizeof *doors->v)};
    for (uint32_t i = 0; i < gen->listen_count; i++) {
        const struct mg_listen *l = &gen->listens[i];
        struct mg_door *d = doors->v[doors->count++] = make_door(w, l, i);
        /* A simulation's streams need no TLS. */
        if (!l->tls || mg_loop_is_simulated(w->loop))
            continue;
        if (!(d->tls = mg_tls_server_new(&w->tls, l->tls, err))) {
            mg_doors_free(doors);
            return mg_error_prefix(err, "listen[%u]", i);
        }
    }
    return MG_OK;
}

static struct mg_door *take_by_address(struct mg_doors *doors, const char *address)
{
    for (uint32_t i = 0; i < doors->count; i++) {
        struct mg_door *d = doors->v[i];
        if (d && strcmp(d->address, address) == 0) {
            doors->v[i] = NULL;
            return d;
        }
    }
    return NULL;
}

/* The old door goes on in place of the new one. */
static struct mg_door *renew(struct mg_door *old, struct mg_door *fresh, uint32_t *renumbered)
{
    struct mg_tls_server *tls = old->tls;
    *renumbered = fresh->listener;
    old->listener = fresh->listener;
    old->proxy_protocol = fresh->proxy_protocol;
    old->tls = fresh->tls;
    fresh->tls = tls;
    free_door(fresh);
    return old;
}

void mg_doors_replace(struct mg_worker *w, struct mg_doors *fresh)
{
    struct mg_doors old = w->doors;
    uint32_t *numbers = mg_malloc((old.count + 1) * sizeof *numbers);
    for (uint32_t i = 0; i < old.count; i++)
        numbers[i] = MG_NO_LISTENER;
    for (uint32_t i = 0; i < fresh->count; i++) {
        uint32_t before;
        struct mg_door *d = take_by_address(&old, fresh->v[i]->address);
        if (!d)
            continue;
        before = d->listener;
        fresh->v[i] = renew(d, fresh->v[i], &numbers[before]);
    }
    for (uint32_t i = 0; i < old.count; i++)
        if (old.v[i]) {
            old.v[i]->listener = MG_NO_LISTENER;
            mg_list_push_back(&w->closed_doors, &old.v[i]->link);
        }
    mg_server_renumber(&w->server, numbers, old.count);
    free(numbers);
    free(old.v);
    w->doors = *fresh;
    *fresh = (struct mg_doors){0};
}

static void free_closed(struct mg_worker *w)
{
    while (!mg_list_empty(&w->closed_doors)) {
        struct mg_door *d = MG_CONTAINER_OF(w->closed_doors.next, struct mg_door, link);
        mg_list_remove(&d->link);
        free_door(d);
    }
}

void mg_doors_trim(struct mg_worker *w)
{
    if (w->proxy_gate.count == 0 && w->tls.handshakes == 0)
        free_closed(w);
}

void mg_doors_release(struct mg_worker *w)
{
    mg_doors_free(&w->doors);
    free_closed(w);
}

void mg_doors_cut(struct mg_worker *w)
{
    mg_proxy_accept_cancel(&w->proxy_gate);
    mg_tls_desk_cut(&w->tls);
}

uint32_t mg_doors_busy(const struct mg_worker *w)
{
    return w->proxy_gate.count + w->tls.handshakes + w->tls.leaving;
}
