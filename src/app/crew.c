/*
 * Worker threads and their messages.
 *
 * A member is its own thread's, from the start of the thread to its end; what the control thread
 * reads of it came by a message or stands still. Loops are made before the threads and freed after
 * them, because messages may be posted to them at any time.
 */
#include "app/crew.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "net/listener.h"

/* How often a draining worker looks whether its connections have closed and its background tasks
 * ended. */
#define DRAIN_LOOK_NS (10 * MG_MILLISECOND)
#define RETIRED_LOOK_NS (250 * MG_MILLISECOND) /* which may go on for days */
/* What a candidate is built in, between which requests are served. */
#define SLICE_NS (1 * MG_MILLISECOND)

struct member;

/* A place of a listener where the member accepts. */
struct accepting {
    struct member *member;
    uint32_t index; /* of the listener */
    uint32_t place;
    struct mg_listener *listener;
};

struct member {
    /* Set once. */
    struct mg_crew *crew;
    uint32_t number;
    struct mg_loop *loop;
    /* Control thread. */
    pthread_t thread;
    bool started;
    /* The worker's thread; `error` is read after on_member_built. */
    struct mg_worker worker;
    struct mg_sockets *sockets;  /* that it accepts from */
    struct accepting *accepting; /* all its places */
    uint32_t places;
    bool prepared; /* a candidate is there */
    struct mg_timer drain_look;
    uint64_t drain_look_ns; /* how often */
    bool built;
    struct mg_error error;
};

struct mg_crew {
    /* Set once. */
    struct mg_loop *control;
    const struct mg_script_hooks *hooks;
    struct mg_crew_events events;
    uint32_t count;
    /* Control thread; stands still while workers look at it. */
    struct mg_generation *gen; /* a ref */
    struct mg_sockets *sockets;
    struct mg_generation *candidate; /* a ref, between prepare and the end of adopt or discard */
    struct mg_sockets *candidate_sockets;
    /* Control thread. */
    uint32_t built, failed, ended, adopted;
    struct mg_error failure; /* the first one's */
    struct member v[];
};

/* --- control thread: what members say --- */

static void tell_built(struct mg_crew *c)
{
    if (c->built + c->failed < c->count)
        return;
    if (c->failed)
        mg_crew_cut(c);
    c->events.on_built(c->events.arg, c->failed ? &c->failure : NULL);
}

static void on_member_built(void *arg)
{
    struct member *m = arg;
    m->crew->built++;
    tell_built(m->crew);
}

static void on_member_failed(void *arg)
{
    struct member *m = arg;
    if (m->crew->failed++ == 0)
        m->crew->failure = m->error;
    tell_built(m->crew);
}

static void on_member_ended(void *arg)
{
    struct mg_crew *c = ((struct member *)arg)->crew;
    if (++c->ended == c->count)
        c->events.on_ended(c->events.arg);
}

/* Both answers to a prepare, counted together. */
static void tell_prepared(struct mg_crew *c)
{
    if (c->built + c->failed < c->count)
        return;
    if (c->failed)
        mg_crew_discard(c);
    c->events.on_prepared(c->events.arg, c->failed ? &c->failure : NULL);
}

static void on_member_prepared(void *arg)
{
    struct member *m = arg;
    m->crew->built++;
    tell_prepared(m->crew);
}

static void on_member_refused(void *arg)
{
    struct member *m = arg;
    if (m->crew->failed++ == 0)
        m->crew->failure = m->error;
    tell_prepared(m->crew);
}

static void on_member_adopted(void *arg)
{
    struct mg_crew *c = ((struct member *)arg)->crew;
    if (++c->adopted < c->count)
        return;
    mg_generation_unref(c->gen);
    c->gen = c->candidate;
    c->sockets = c->candidate_sockets;
    c->candidate = NULL;
    c->candidate_sockets = NULL;
    c->events.on_adopted(c->events.arg);
}

/* --- the worker's thread --- */

static void on_accept(void *arg, struct mg_stream *stream)
{
    struct accepting *a = arg;
    mg_door_enter(&a->member->worker, a->index, stream);
}

static void listen_at(struct accepting *a)
{
    struct member *m = a->member;
    int fd = mg_sockets_fd(m->sockets, a->index, a->place);
    a->listener = mg_listener_new(m->loop, fd, on_accept, a);
}

/* Returns how many places of the sockets are this member's; writes them to `v` unless that is NULL.
 */
static uint32_t list_places(struct member *m, const struct mg_sockets *sockets, struct accepting *v)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < mg_sockets_count(sockets); i++) {
        for (uint32_t at = m->number; at < mg_sockets_places(sockets, i); at += m->crew->count) {
            if (v)
                v[count] = (struct accepting){.member = m, .index = i, .place = at};
            count++;
        }
    }
    return count;
}

static void set_sockets(struct member *m, struct mg_sockets *sockets)
{
    m->sockets = sockets;
    m->places = list_places(m, sockets, NULL);
    m->accepting = mg_calloc(m->places, sizeof *m->accepting);
    list_places(m, sockets, m->accepting);
}

static void accept_all(void *arg)
{
    struct member *m = arg;
    for (uint32_t i = 0; i < m->places; i++)
        if (!m->accepting[i].listener)
            listen_at(&m->accepting[i]);
}

static void close_place(struct mg_sockets *sockets, struct accepting *a)
{
    mg_listener_free(a->listener);
    a->listener = NULL;
    mg_sockets_close(sockets, a->index, a->place);
}

static void close_listeners(struct member *m)
{
    for (uint32_t i = 0; i < m->places; i++)
        close_place(m->sockets, &m->accepting[i]);
    m->places = 0;
}

/* Goes on where another listener accepted. */
static void take_place(struct accepting *a, struct accepting *old, uint32_t count)
{
    uint32_t before = mg_sockets_before(a->member->sockets, a->index);
    for (uint32_t i = 0; i < count; i++) {
        if (old[i].index != before || old[i].place != a->place)
            continue;
        a->listener = old[i].listener;
        old[i].listener = NULL;
        mg_listener_set_arg(a->listener, a);
    }
}

/* Listeners that stay go on with their sockets, others are closed. */
static void change_listeners(struct member *m, struct mg_sockets *sockets)
{
    struct mg_sockets *before = m->sockets;
    struct accepting *old = m->accepting;
    uint32_t count = m->places;
    set_sockets(m, sockets);
    for (uint32_t i = 0; i < m->places; i++)
        take_place(&m->accepting[i], old, count);
    for (uint32_t i = 0; i < count; i++)
        if (old[i].listener)
            close_place(before, &old[i]);
    accept_all(m);
    free(old);
}

/* The limit is the process's. Connections are not spread quite evenly, so it is met a little
 * early. */
static void share_limit(struct member *m, const struct mg_generation *gen)
{
    uint32_t connections = gen->limits.connections, count = m->crew->count;
    m->worker.server.limits.connections = connections / count + (connections % count != 0);
}

static void tell_of_candidate(struct member *m, enum mg_rc rc)
{
    m->prepared = rc == MG_OK;
    mg_loop_post(m->crew->control, rc == MG_OK ? on_member_prepared : on_member_refused, m);
}

/* A large config takes a while. */
static void prepare_more(void *arg)
{
    struct member *m = arg;
    enum mg_rc rc = mg_worker_prepare_more(&m->worker, SLICE_NS, &m->error);
    if (rc == MG_AGAIN)
        mg_loop_post(m->loop, prepare_more, m);
    else
        tell_of_candidate(m, rc);
}

static void prepare(void *arg)
{
    struct member *m = arg;
    enum mg_rc rc = mg_worker_prepare(&m->worker, m->crew->candidate, &m->error);
    if (rc == MG_OK)
        prepare_more(m);
    else
        tell_of_candidate(m, rc);
}

static void discard(void *arg)
{
    struct member *m = arg;
    if (m->prepared)
        mg_worker_discard(&m->worker);
    m->prepared = false;
}

static void adopt(void *arg)
{
    struct member *m = arg;
    struct mg_crew *c = m->crew;
    m->prepared = false;
    mg_worker_adopt(&m->worker);
    share_limit(m, c->candidate);
    change_listeners(m, c->candidate_sockets);
    mg_loop_post(c->control, on_member_adopted, m);
}

static void look_if_drained(void *arg)
{
    struct member *m = arg;
    if (mg_worker_is_idle(&m->worker))
        mg_loop_stop(m->loop);
    else
        mg_timer_set(&m->drain_look, mg_loop_now(m->loop) + m->drain_look_ns);
}

/* The last exchange has ended, perhaps inside its connection's callback, which still has bytes to
 * write. */
static void on_drained(void *arg)
{
    struct member *m = arg;
    mg_timer_set(&m->drain_look, mg_loop_now(m->loop));
}

static void drain(void *arg)
{
    struct member *m = arg;
    if (m->worker.draining)
        return;
    close_listeners(m);
    m->drain_look_ns = DRAIN_LOOK_NS;
    mg_worker_drain(&m->worker, on_drained, m);
}

static void retire(void *arg)
{
    struct member *m = arg;
    close_listeners(m);
    m->drain_look_ns = RETIRED_LOOK_NS;
    mg_worker_retire(&m->worker);
    mg_timer_set(&m->drain_look, mg_loop_now(m->loop));
}

static void cut(void *arg)
{
    mg_loop_stop(((struct member *)arg)->loop);
}

static void serve(struct member *m)
{
    struct mg_crew *c = m->crew;
    share_limit(m, c->gen);
    mg_timer_init(&m->drain_look, m->loop, look_if_drained, m);
    mg_loop_post(c->control, on_member_built, m);
    mg_loop_run(m->loop);
    close_listeners(m);
    mg_timer_release(&m->drain_look);
    mg_worker_release(&m->worker);
}

static void *run(void *arg)
{
    struct member *m = arg;
    struct mg_crew *c = m->crew;
    if (mg_worker_init(&m->worker, m->number, m->loop, c->gen, c->hooks, &m->error) == MG_OK)
        serve(m);
    else
        mg_loop_post(c->control, on_member_failed, m);
    mg_loop_post(c->control, on_member_ended, m);
    return NULL;
}

/* --- control thread: telling them --- */

static void post_all(struct mg_crew *c, void (*fn)(void *arg))
{
    for (uint32_t i = 0; i < c->count; i++)
        if (c->v[i].started)
            mg_loop_post(c->v[i].loop, fn, &c->v[i]);
}

void mg_crew_accept(struct mg_crew *c)
{
    post_all(c, accept_all);
}

void mg_crew_prepare(struct mg_crew *c, struct mg_generation *gen)
{
    mg_generation_ref(gen);
    c->candidate = gen;
    c->built = c->failed = 0;
    post_all(c, prepare);
}

void mg_crew_adopt(struct mg_crew *c, struct mg_sockets *sockets)
{
    c->candidate_sockets = sockets;
    c->adopted = 0;
    post_all(c, adopt);
}

/* Workers have refs of their own. */
void mg_crew_discard(struct mg_crew *c)
{
    post_all(c, discard);
    mg_generation_unref(c->candidate);
    c->candidate = NULL;
}

void mg_crew_drain(struct mg_crew *c)
{
    post_all(c, drain);
}

void mg_crew_retire(struct mg_crew *c)
{
    post_all(c, retire);
}

void mg_crew_cut(struct mg_crew *c)
{
    post_all(c, cut);
}

static enum mg_rc start_member(struct mg_crew *c, uint32_t number, struct mg_error *err)
{
    struct member *m = &c->v[number];
    char name[24];
    m->crew = c;
    m->number = number;
    set_sockets(m, c->sockets);
    m->loop = mg_loop_new(err);
    if (!m->loop)
        return MG_FAIL;
    int error = pthread_create(&m->thread, NULL, run, m);
    if (error)
        return mg_error_set(err, "cannot start a thread: %s", strerror(error));
    m->started = true;
    snprintf(name, sizeof name, "worker-%u", number);
    pthread_setname_np(m->thread, name);
    return MG_OK;
}

struct mg_crew *mg_crew_new(struct mg_loop *control, uint32_t workers, struct mg_generation *gen,
                            struct mg_sockets *sockets, const struct mg_script_hooks *hooks,
                            const struct mg_crew_events *events, struct mg_error *err)
{
    struct mg_crew *c = mg_calloc(1, sizeof *c + workers * sizeof c->v[0]);
    c->control = control;
    c->gen = gen;
    mg_generation_ref(gen);
    c->sockets = sockets;
    c->hooks = hooks;
    c->events = *events;
    c->count = workers;
    for (uint32_t i = 0; i < workers; i++) {
        if (start_member(c, i, err) != MG_OK) {
            mg_crew_free(c);
            return NULL;
        }
    }
    return c;
}

void mg_crew_free(struct mg_crew *c)
{
    if (!c)
        return;
    mg_crew_cut(c);
    for (uint32_t i = 0; i < c->count; i++)
        if (c->v[i].started)
            pthread_join(c->v[i].thread, NULL);
    for (uint32_t i = 0; i < c->count; i++) {
        mg_loop_free(c->v[i].loop);
        free(c->v[i].accepting);
    }
    mg_generation_unref(c->candidate);
    mg_generation_unref(c->gen);
    free(c);
}
