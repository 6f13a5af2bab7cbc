/*
 * The gateway process: the control thread, which is the main one, and the workers it starts.
 *
 *     starting -> serving -> (retiring) -> stopping
 *
 * Workers accept when all of them have built the generation, the names of backends are resolved and
 * the keys of issuers are there, or were waited for long enough. An order to reload has the config
 * read again (reload.h). The first order to stop lets open exchanges and background tasks finish;
 * the second, or STOP_NS, cuts them. A process that retires, because a new program has taken its
 * place, has no such limit.
 *
 * Orders come from the supervisor (parent.h), or as signals where there is none. Signals also come
 * to a supervised process, when a whole group of processes gets them: they mean the same, but are
 * no second order.
 */
#include "app/run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/activation.h"
#include "app/admin.h"
#include "app/cpus.h"
#include "app/crew.h"
#include "app/descriptors.h"
#include "app/expiry.h"
#include "app/parent.h"
#include "app/privileges.h"
#include "app/reload.h"
#include "base/log.h"
#include "net/resolver.h"
#include "net/signals.h"
#include "script/config.h"
#include "script/module.h"
#include "script/plan.h"
#include "tls/accel.h"
#include "upstream/agent.h"
#include "upstream/checker.h"
#include "upstream/discovery.h"
#include "upstream/issuers.h"

#define SETTLE_NS (5 * MG_SECOND)
#define STOP_NS (30 * MG_SECOND)
#define DIAGNOSTICS_MAX ((size_t)2 << 20)

enum state { STARTING, SERVING, RETIRING, STOPPING };

struct gateway {
    enum state state;
    int status; /* of the process */
    const struct mg_options *options;
    struct mg_parent *parent; /* NULL: nobody supervises us */
    uint32_t workers;
    struct mg_serving serving;
    struct mg_stores stores;
    struct mg_loop *loop;
    struct mg_signals *signals;
    struct mg_resolver *resolver;
    struct mg_discovery *discovery;
    struct mg_agent *agent;
    struct mg_key_memory *key_memory; /* NULL: there is none */
    struct mg_issuers *issuers;
    struct mg_checker *checker;
    struct mg_expiry expiry;
    struct mg_crew *crew;
    struct mg_reload reload;
    struct mg_watch watch;
    struct mg_admin *admin;
    struct mg_timer limit; /* of starting, then of stopping */
    uint64_t started_ns;
    bool built, names_settled, waited;
    bool reload_when_ready; /* was asked for while starting */
};

/* --- serving --- */

/* On standard output for whoever started it, and in the log. */
static void say(const struct gateway *g, const char *word, const char *message, uint64_t since_ns)
{
    const struct mg_serving *s = &g->serving;
    struct mg_buf all;
    mg_buf_init(&all, 4096);
    for (uint32_t i = 0; i < mg_sockets_count(s->sockets); i++) {
        mg_buf_printf(&all, "%s%s", i ? ", " : "", mg_sockets_name(s->sockets, i));
        printf("moongate: listening on %s\n", mg_sockets_name(s->sockets, i));
    }
    if (mg_admin_socket(g->admin)->name)
        printf("moongate: admin on %s\n", mg_admin_socket(g->admin)->name);
    printf("moongate: %s\n", word);
    fflush(stdout);
    mg_log_info(message, MG_LOG_STR("listen", mg_buf_str(&all)), MG_LOG_INT("workers", g->workers),
                MG_LOG_INT("routes", s->gen->route_count),
                MG_LOG_NUM("ms", (double)(mg_loop_now(g->loop) - since_ns) / 1e6));
    mg_buf_release(&all);
}

static void tell_parent(struct gateway *g, const char *word)
{
    mg_parent_log(g->parent, g->serving.gen->log_level, g->serving.gen->log_format);
    mg_parent_hold(g->parent, g->serving.sockets, mg_admin_socket(g->admin));
    mg_parent_say(g->parent, word, MG_STR_NONE);
}

/* Should we fail to start, whoever serves now, or will, needs them. */
static void leave_files(struct gateway *g, bool on)
{
    mg_sockets_leave_files(g->serving.inherited, on);
    mg_sockets_leave_files(g->serving.sockets, on);
}

/* Sockets that were held for us, and that no listener is for. */
static void drop_leftovers(struct gateway *g)
{
    struct mg_sockets *s = g->serving.inherited;
    for (uint32_t i = 0; i < mg_sockets_count(s); i++)
        if (mg_sockets_name(s, i))
            mg_log_warn("no listener of the config is for a socket that was there; closing it",
                        MG_LOG_C("socket", mg_sockets_name(s, i)));
    mg_sockets_free(s);
    g->serving.inherited = NULL;
}

static void serve_when_ready(struct gateway *g)
{
    bool settled = g->waited || (g->names_settled && mg_issuers_are_settled(g->issuers));
    if (g->state != STARTING || !g->built || !settled)
        return;
    g->state = SERVING;
    mg_timer_stop(&g->limit);
    mg_crew_accept(g->crew);
    leave_files(g, false);
    drop_leftovers(g);
    tell_parent(g, "ready");
    say(g, "ready", "gateway ready", g->started_ns);
    mg_generation_show(g->serving.gen);
    mg_tls_accel_catch_up(); /* before a step of a worker connects by TLS, and has to wait for it */
    if (g->reload_when_ready)
        mg_reload_start(&g->reload);
}

static void retire(struct gateway *g)
{
    g->state = RETIRING;
    mg_log_info("retiring; another process serves new connections");
    mg_reload_stop(&g->reload);
    mg_sockets_leave_files(g->serving.sockets, true);
    mg_admin_retire(g->admin);
    mg_crew_retire(g->crew);
}

static void stop(struct gateway *g)
{
    g->state = STOPPING;
    mg_parent_say(g->parent, "stopping", MG_STR_NONE);
    mg_reload_stop(&g->reload);
    mg_timer_set(&g->limit, mg_loop_now(g->loop) + STOP_NS);
    mg_crew_drain(g->crew);
}

/* --- events of the control loop --- */

static void on_built(void *arg, const struct mg_error *failure)
{
    struct gateway *g = arg;
    if (failure) {
        fprintf(stderr, "moongate: %s\n", failure->text);
        g->status = 1;
        g->state = STOPPING;
        return;
    }
    g->built = true;
    serve_when_ready(g);
}

static void on_ended(void *arg)
{
    struct gateway *g = arg;
    mg_loop_stop(g->loop);
}

static void on_names_settled(void *arg)
{
    struct gateway *g = arg;
    g->names_settled = true;
    serve_when_ready(g);
}

static void on_keys_settled(void *arg)
{
    struct gateway *g = arg;
    serve_when_ready(g);
    mg_reload_settled(&g->reload);
}

static void on_limit(void *arg)
{
    struct gateway *g = arg;
    if (g->state == STARTING) {
        if (!g->names_settled)
            mg_log_warn("names of backends are not resolved yet; serving without them");
        if (!mg_issuers_are_settled(g->issuers))
            mg_log_warn("keys of issuers are not there yet; serving without them");
        g->waited = true;
        serve_when_ready(g);
    } else if (g->state == STOPPING) {
        mg_log_warn(
            "requests or background tasks are under way after the time to stop; cutting them");
        mg_crew_cut(g->crew);
    }
}

static void on_prepared(void *arg, const struct mg_error *failure)
{
    mg_reload_prepared(&((struct gateway *)arg)->reload, failure);
}

static void on_adopted(void *arg)
{
    mg_reload_adopted(&((struct gateway *)arg)->reload);
}

static enum mg_rc prepare_log(struct gateway *g, const struct mg_generation *gen,
                              struct mg_error *err)
{
    if (mg_line_log_prepare(g->stores.access, &gen->access.target, err) != MG_OK)
        return mg_error_prefix(err, "log.access");
    return MG_OK;
}

/* What a generation needs beside its listeners and workers is opened before it is in force, ... */
static enum mg_rc open_places(void *arg, const struct mg_generation *gen, struct mg_error *err)
{
    struct gateway *g = arg;
    if (mg_admin_prepare(g->admin, gen, err) != MG_OK)
        return MG_FAIL;
    return prepare_log(g, gen, err);
}

/* ... used when it is, ... */
static void use_places(struct gateway *g)
{
    mg_admin_adopt(g->admin);
    mg_line_log_adopt(g->stores.access);
}

/* ... or closed again. */
static void close_places(struct gateway *g)
{
    mg_admin_discard(g->admin);
    mg_line_log_discard(g->stores.access);
}

static void on_reload_begins(void *arg)
{
    mg_parent_say(((struct gateway *)arg)->parent, "reloading", MG_STR_NONE);
}

static void on_reloaded(void *arg, bool ok, struct mg_str said)
{
    struct gateway *g = arg;
    if (ok) {
        use_places(g);
        g->expiry.gen = g->serving.gen;
        tell_parent(g, "reloaded");
        say(g, "reloaded", "config reloaded", g->reload.started_ns);
    } else {
        close_places(g);
        mg_parent_say(g->parent, "refused", said);
    }
    mg_admin_reloaded(g->admin, ok, said);
}

static enum mg_page_state admin_state(void *arg)
{
    static const enum mg_page_state states[] = {[STARTING] = MG_PAGE_STARTING,
                                                [SERVING] = MG_PAGE_READY,
                                                [RETIRING] = MG_PAGE_DRAINING,
                                                [STOPPING] = MG_PAGE_DRAINING};
    return states[((struct gateway *)arg)->state];
}

static void on_drain(void *arg)
{
    struct gateway *g = arg;
    if (g->state != STOPPING)
        stop(g);
}

static void ask_for_reload(void *arg)
{
    struct gateway *g = arg;
    if (g->state == STARTING)
        g->reload_when_ready = true; /* the config may have changed since it was read */
    else if (g->state == SERVING)
        mg_reload_start(&g->reload);
}

static void on_order(void *arg, enum mg_order order)
{
    struct gateway *g = arg;
    switch (order) {
    case MG_ORDER_STOP:
        if (g->state != STOPPING)
            stop(g);
        break;
    case MG_ORDER_CUT:
        mg_crew_cut(g->crew);
        break;
    case MG_ORDER_RETIRE:
        if (g->state == SERVING)
            retire(g);
        break;
    case MG_ORDER_RELOAD:
        ask_for_reload(g);
        break;
    case MG_ORDER_REOPEN:
        mg_line_log_reopen(g->stores.access);
        break;
    }
}

static void on_stop_signal(struct gateway *g, int number)
{
    bool again = g->state == STOPPING;
    if (again && g->parent)
        return;
    mg_log_info(again ? "stopping at once" : "stopping",
                MG_LOG_C("signal", number == SIGINT ? "SIGINT" : "SIGTERM"));
    on_order(g, again ? MG_ORDER_CUT : MG_ORDER_STOP);
}

static void on_signal(void *arg, int number)
{
    struct gateway *g = arg;
    if (number == SIGHUP)
        on_order(g, MG_ORDER_RELOAD);
    else if (number == SIGUSR1)
        on_order(g, MG_ORDER_REOPEN);
    else
        on_stop_signal(g, number);
}

/* --- starting --- */

static bool load_config(struct gateway *g)
{
    struct mg_buf diagnostics;
    mg_buf_init(&diagnostics, DIAGNOSTICS_MAX);
    g->serving.gen = mg_reload_read(g->options, &g->stores, &g->watch, true, &diagnostics);
    fwrite(diagnostics.p, 1, diagnostics.n, stderr);
    mg_buf_release(&diagnostics);
    if (g->serving.gen)
        mg_log_configure(g->serving.gen->log_level, g->serving.gen->log_format);
    return g->serving.gen != NULL;
}

static bool open_sockets(struct gateway *g, struct mg_held *held, struct mg_error *err)
{
    struct mg_serving *s = &g->serving;
    g->workers = s->gen->workers ? s->gen->workers : mg_cpus_count();
    s->gen->workers = g->workers;
    s->inherited = mg_sockets_inherit(held);
    s->sockets = mg_sockets_open(s->gen, g->workers, s->inherited, err);
    if (!s->sockets)
        return false;
    mg_sockets_take_over(s->sockets, s->inherited);
    leave_files(g, mg_sockets_count(s->inherited) > 0);
    return true;
}

static void watch_names(struct gateway *g)
{
    g->discovery = mg_discovery_new(g->loop, g->resolver);
    for (uint32_t i = 0; i < g->serving.gen->service_count; i++)
        mg_discovery_add(g->discovery, g->serving.gen->services[i]);
}

static void watch_issuers(struct gateway *g)
{
    const struct mg_plan *plan = g->serving.gen->script;
    int file = mg_parent_take_keys(g->parent);
    g->issuers = mg_issuers_new(g->loop, g->agent);
    if (file >= 0) {
        g->key_memory = mg_key_memory_new(file);
        mg_issuers_remember(g->issuers, g->key_memory);
    }
    mg_issuers_on_settled(g->issuers, on_keys_settled, g);
    for (uint32_t i = 0; i < plan->key_count; i++)
        mg_issuers_watch(g->issuers, plan->keys[i].ring);
}

static void watch_health(struct gateway *g)
{
    g->checker = mg_checker_new(g->loop, g->agent);
    for (uint32_t i = 0; i < g->serving.gen->service_count; i++)
        mg_checker_add(g->checker, g->serving.gen->services[i]);
}

static bool start_control(struct gateway *g, struct mg_error *err)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    if (!(g->loop = mg_loop_new(err)))
        return false;
    g->started_ns = mg_loop_now(g->loop);
    mg_timer_init(&g->limit, g->loop, on_limit, g);
    g->signals =
        mg_signals_new(g->loop, numbers, sizeof numbers / sizeof numbers[0], on_signal, g, err);
    mg_parent_listen(g->parent, g->loop, on_order, g);
    if (!g->signals || !(g->resolver = mg_resolver_new(g->loop, err)))
        return false;
    mg_expiry_start(&g->expiry, g->loop, g->serving.gen);
    watch_names(g);
    g->agent = mg_agent_new(g->loop, g->resolver);
    watch_issuers(g);
    watch_health(g);
    return true;
}

/* When all is bound that may need rights, and what may be secret was read. */
static bool drop_privileges(struct gateway *g, struct mg_error *err)
{
    const struct mg_generation *gen = g->serving.gen;
    if (mg_privileges_drop(gen->user, gen->group, err) != MG_OK)
        return false;
    mg_parent_bind(g->parent);
    return true;
}

static bool start_admin(struct gateway *g, struct mg_error *err)
{
    const struct mg_admin_host host = {.loop = g->loop,
                                       .serving = &g->serving,
                                       .stores = &g->stores,
                                       .reload = &g->reload,
                                       .state = admin_state,
                                       .drain = on_drain,
                                       .arg = g};
    g->admin = mg_admin_new(&host);
    /* As its own user it opens the log: should it not be allowed to do that anew, it is told now.
     */
    if (mg_admin_prepare(g->admin, g->serving.gen, err) != MG_OK || !drop_privileges(g, err) ||
        prepare_log(g, g->serving.gen, err) != MG_OK)
        return false;
    use_places(g);
    return true;
}

static bool start_crew(struct gateway *g, struct mg_error *err)
{
    const struct mg_crew_events events = {.on_built = on_built,
                                          .on_ended = on_ended,
                                          .on_prepared = on_prepared,
                                          .on_adopted = on_adopted,
                                          .arg = g};
    g->crew = mg_crew_new(g->loop, g->workers, g->serving.gen, g->serving.sockets, &mg_script_hooks,
                          &events, err);
    g->reload = (struct mg_reload){.options = g->options,
                                   .stores = &g->stores,
                                   .watch = &g->watch,
                                   .loop = g->loop,
                                   .discovery = g->discovery,
                                   .issuers = g->issuers,
                                   .checker = g->checker,
                                   .crew = g->crew,
                                   .serving = &g->serving,
                                   .on_begin = on_reload_begins,
                                   .on_prepare = open_places,
                                   .on_done = on_reloaded,
                                   .arg = g};
    mg_reload_init(&g->reload);
    mg_watch_start(&g->watch, g->loop, ask_for_reload, g);
    return g->crew != NULL;
}

static void serve(struct gateway *g)
{
    mg_discovery_when_settled(g->discovery, on_names_settled, g);
    mg_timer_set(&g->limit, mg_loop_now(g->loop) + SETTLE_NS);
    mg_loop_run(g->loop);
}

/* Workers first: the others outlive whoever may use them. */
static void release(struct gateway *g)
{
    mg_crew_free(g->crew);
    mg_admin_free(g->admin);
    mg_reload_release(&g->reload);
    mg_watch_release(&g->watch);
    mg_expiry_stop(&g->expiry);
    mg_checker_free(g->checker);
    mg_issuers_free(g->issuers);
    mg_key_memory_free(g->key_memory);
    mg_agent_free(g->agent);
    mg_discovery_free(g->discovery);
    mg_resolver_free(g->resolver);
    mg_signals_free(g->signals);
    mg_parent_free(g->parent);
    if (g->loop)
        mg_timer_release(&g->limit);
    mg_loop_free(g->loop);
    mg_sockets_free(g->serving.inherited);
    mg_sockets_free(g->serving.sockets);
    mg_generation_unref(g->serving.gen);
    mg_stores_release(&g->stores);
}

int mg_run(const struct mg_options *options)
{
    struct gateway g = {.state = STARTING, .options = options};
    struct mg_held held = {0};
    struct mg_error err;
    mg_privileges_freeze();
    g.parent = mg_parent_find(&held);
    if (!g.parent)
        mg_activation_take(&held);
    mg_stores_init(&g.stores);
    mg_watch_init(&g.watch);
    signal(SIGPIPE, SIG_IGN);
    mg_signals_hold(SIGHUP);
    mg_signals_hold(SIGUSR1);
    mg_tls_accel_put_off(getenv(MG_TLS_ACCEL_VARIABLE));
    mg_descriptors_raise();
    if (!load_config(&g)) {
        g.status = 1;
    } else if (open_sockets(&g, &held, &err) && start_control(&g, &err) && start_admin(&g, &err) &&
               start_crew(&g, &err)) {
        serve(&g);
    } else {
        fprintf(stderr, "moongate: %s\n", err.text);
        g.status = 1;
    }
    mg_held_release(&held);
    release(&g);
    return g.status;
}
