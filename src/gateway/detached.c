/* Requests without clients. Worker thread. */
#include "gateway/detached.h"

#include "base/log.h"
#include "gateway/worker.h"
#include "net/security.h"

static struct mg_detached *of(struct mg_inbound *in)
{
    return MG_CONTAINER_OF(in, struct mg_detached, in);
}

/* --- what a server does for its requests --- */

static void respond(struct mg_inbound *in, struct mg_message *res, struct mg_body *body)
{
    struct mg_detached *d = of(in);
    mg_timer_stop(&d->deadline);
    d->res = res;
    d->body = body;
    d->on_response(d);
}

static void inform(struct mg_inbound *in, struct mg_message *res)
{
    struct mg_detached *d = of(in);
    if (d->on_inform)
        d->on_inform(d, res);
}

static void set_deadline(struct mg_inbound *in, uint64_t deadline_ns)
{
    if (deadline_ns)
        mg_timer_set(&of(in)->deadline, deadline_ns);
    else
        mg_timer_stop(&of(in)->deadline);
}

static void on_deadline(void *arg)
{
    struct mg_detached *d = arg;
    mg_exchange_handler.on_deadline(&d->in);
}

static void abort_it(struct mg_inbound *in)
{
    mg_timer_stop(&of(in)->deadline);
}

static const struct mg_inbound_ops ops = {
    .respond = respond, .inform = inform, .set_deadline = set_deadline, .abort = abort_it};

/* --- life --- */

static void release(void *arg)
{
    struct mg_detached *d = arg;
    mg_timer_release(&d->deadline);
    mg_security_unref(d->client.security);
}

static void copy_client(struct mg_detached *d, const struct mg_walk *w)
{
    const struct mg_request *like = w->req;
    d->client = (struct mg_client){.peer = like->peer,
                                   .local = like->local,
                                   .listener = like->listener,
                                   .secure = like->secure,
                                   .security = mg_security_ref(like->security)};
    d->client.id = w->ex->in->client->id;
}

struct mg_detached *mg_detached_new(struct mg_walk *w)
{
    const struct mg_request *like = w->req;
    struct mg_worker *worker = like->wg->worker;
    struct mg_arena arena;
    mg_arena_init(&arena, &worker->chunks);
    struct mg_detached *d = mg_arena_calloc(&arena, sizeof *d);
    d->in.arena = arena;
    d->in.ops = &ops;
    d->in.client = &d->client;
    d->in.started_ns = mg_loop_now(worker->loop);
    mg_message_copy(&d->in.request, &d->in.arena, like->msg);
    d->in.request.expect_continue = false;
    d->in.body = mg_body_fixed(
        &d->in.arena, like->is_buffered ? mg_arena_str(&d->in.arena, like->buffered) : MG_STR_NONE);
    copy_client(d, w);
    mg_timer_init(&d->deadline, worker->loop, on_deadline, d);
    mg_arena_on_release(&d->in.arena, release, d);
    d->_like = w;
    return d;
}

void mg_detached_park(struct mg_detached *d, void (*on_response)(struct mg_detached *d),
                      void *owner)
{
    struct mg_walk *like = d->_like;
    struct mg_way way;
    d->_like = NULL;
    d->on_response = on_response;
    d->owner = owner;
    mg_walk_way(like, &d->in.arena, &way);
    d->at = mg_exchange_park(&d->in, like->req, like->ex, &way);
}

static void on_behind_done(struct mg_walk *behind, void *arg)
{
    struct mg_walk *at = arg;
    at->res = behind->res;
    mg_walk_resume(at, MG_STEP_STOP);
}

void mg_detached_go(struct mg_detached *d)
{
    struct mg_walk *behind = mg_walk_inner(d->at, d->at->req);
    behind->on_done = on_behind_done;
    behind->arg = d->at;
    mg_walk_start(behind);
}

void mg_detached_start(struct mg_detached *d, void (*on_response)(struct mg_detached *d),
                       void *owner)
{
    mg_detached_park(d, on_response, owner);
    mg_detached_go(d);
}

void mg_detached_end(struct mg_detached *d, const char *reason)
{
    mg_timer_stop(&d->deadline);
    if (d->_like)
        mg_inbound_free(&d->in);
    else if (reason)
        mg_exchange_handler.on_gone(&d->in, reason);
    else
        mg_exchange_handler.on_done(&d->in, NULL);
}

const struct mg_response *mg_detached_response(const struct mg_detached *d)
{
    return ((const struct mg_exchange *)d->in.exchange)->res;
}
