/*
 * The gateway process: the control thread, which is the main one, and the workers it starts.
 *
 *     starting -> serving -> stopping
 *
 * Workers accept when all of them have built the generation, the names of backends are resolved and
 * the keys of issuers are there, or were waited for long enough. SIGHUP has the config read again
 * (reload.h). The first SIGTERM or SIGINT lets open exchanges and background tasks finish; the
 * second, or STOP_NS, cuts them.
 */
#include "app/run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "app/admin.h"
#include "app/cpus.h"
#include "app/crew.h"
#include "app/expiry.h"
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

enum state { STARTING, SERVING, STOPPING };

struct gateway {
    enum state state;
    int status; /* of the process */
    const struct mg_options *options;
    uint32_t workers;
    struct mg_serving serving;
    struct mg_stores stores;
    struct mg_loop *loop;
    struct mg_signals *signals;
    struct mg_resolver *resolver;
    struct mg_discovery *discovery;
    struct mg_agent *agent;
    struct mg_issuers *issuers;
    struct mg_checker *checker;
    struct mg_expiry expiry;
    struct mg_crew *crew;
    struct mg_reload reload;
    struct mg_admin *admin;
    struct mg_timer limit; /* of starting, then of stopping */
    uint64_t started_ns;
    bool built, names_settled, waited;
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
    if (mg_admin_name(g->admin))
        printf("moongate: admin on %s\n", mg_admin_name(g->admin));
    printf("moongate: %s\n", word);
    fflush(stdout);
    mg_log_info(message, MG_LOG_STR("listen", mg_buf_str(&all)), MG_LOG_INT("workers", g->workers),
                MG_LOG_INT("routes", s->gen->route_count),
                MG_LOG_NUM("ms", (double)(mg_loop_now(g->loop) - since_ns) / 1e6));
    mg_buf_release(&all);
}

static void serve_when_ready(struct gateway *g)
{
    bool settled = g->waited || (g->names_settled && mg_issuers_are_settled(g->issuers));
    if (g->state != STARTING || !g->built || !settled)
        return;
    g->state = SERVING;
    mg_timer_stop(&g->limit);
    mg_crew_accept(g->crew);
    say(g, "ready", "gateway ready", g->started_ns);
}

static void stop(struct gateway *g)
{
    g->state = STOPPING;
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

static enum mg_rc start_access_log(struct gateway *g, struct mg_error *err)
{
    if (mg_line_log_set_target(g->stores.access, &g->serving.gen->access.target, err) != MG_OK)
        return mg_error_prefix(err, "log.access");
    return MG_OK;
}

static void take_over(struct gateway *g)
{
    struct mg_error err;
    if (start_access_log(g, &err) != MG_OK)
        mg_log_error("the access log stays where it is", MG_LOG_C("error", err.text));
    g->expiry.gen = g->serving.gen;
    if (mg_admin_listen(g->admin, &err) != MG_OK)
        mg_log_error("the admin listener stays where it is", MG_LOG_C("error", err.text));
    say(g, "reloaded", "config reloaded", g->reload.started_ns);
}

static void on_reloaded(void *arg, bool ok, struct mg_str said)
{
    struct gateway *g = arg;
    if (ok)
        take_over(g);
    mg_admin_reloaded(g->admin, ok, said);
}

static enum mg_page_state admin_state(void *arg)
{
    static const enum mg_page_state states[] = {
        [STARTING] = MG_PAGE_STARTING, [SERVING] = MG_PAGE_READY, [STOPPING] = MG_PAGE_DRAINING};
    return states[((struct gateway *)arg)->state];
}

static void on_drain(void *arg)
{
    struct gateway *g = arg;
    if (g->state != STOPPING)
        stop(g);
}

static void on_signal(void *arg, int number)
{
    struct gateway *g = arg;
    if (number == SIGHUP) {
        /* One that comes too early finds nothing old. */
        if (g->state == SERVING)
            mg_reload_start(&g->reload);
        return;
    }
    if (number == SIGUSR1) {
        mg_line_log_reopen(g->stores.access);
        return;
    }
    bool again = g->state == STOPPING;
    mg_log_info(again ? "stopping at once" : "stopping",
                MG_LOG_C("signal", number == SIGINT ? "SIGINT" : "SIGTERM"));
    if (again)
        mg_crew_cut(g->crew);
    else
        stop(g);
}

/* --- starting --- */

static bool load_config(struct gateway *g)
{
    struct mg_buf diagnostics;
    mg_buf_init(&diagnostics, DIAGNOSTICS_MAX);
    g->serving.gen = mg_reload_read(g->options, &g->stores, &diagnostics);
    fwrite(diagnostics.p, 1, diagnostics.n, stderr);
    mg_buf_release(&diagnostics);
    if (g->serving.gen)
        mg_log_configure(g->serving.gen->log_level, g->serving.gen->log_format);
    return g->serving.gen != NULL;
}

static bool open_sockets(struct gateway *g, struct mg_error *err)
{
    g->workers = g->serving.gen->workers ? g->serving.gen->workers : mg_cpus_count();
    g->serving.gen->workers = g->workers;
    g->serving.sockets = mg_sockets_open(g->serving.gen, g->workers, NULL, err);
    return g->serving.sockets != NULL;
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
    if (!g->signals || !(g->resolver = mg_resolver_new(g->loop, err)))
        return false;
    mg_expiry_start(&g->expiry, g->loop, g->serving.gen);
    g->discovery = mg_discovery_new(g->loop, g->resolver);
    for (uint32_t i = 0; i < g->serving.gen->service_count; i++)
        mg_discovery_add(g->discovery, g->serving.gen->services[i]);
    g->agent = mg_agent_new(g->loop, g->resolver);
    g->issuers = mg_issuers_new(g->loop, g->agent);
    mg_issuers_on_settled(g->issuers, on_keys_settled, g);
    const struct mg_plan *plan = g->serving.gen->script;
    for (uint32_t i = 0; i < plan->key_count; i++)
        mg_issuers_watch(g->issuers, plan->keys[i].ring);
    g->checker = mg_checker_new(g->loop, g->agent);
    for (uint32_t i = 0; i < g->serving.gen->service_count; i++)
        mg_checker_add(g->checker, g->serving.gen->services[i]);
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
    return mg_admin_listen(g->admin, err) == MG_OK;
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
                                   .loop = g->loop,
                                   .discovery = g->discovery,
                                   .issuers = g->issuers,
                                   .checker = g->checker,
                                   .crew = g->crew,
                                   .serving = &g->serving,
                                   .on_done = on_reloaded,
                                   .arg = g};
    mg_reload_init(&g->reload);
    return g->crew != NULL;
}

static void serve(struct gateway *g)
{
    mg_discovery_when_settled(g->discovery, on_names_settled, g);
    mg_timer_set(&g->limit, mg_loop_now(g->loop) + SETTLE_NS);
    mg_loop_run(g->loop);
}

/* Each connection is a descriptor, and the usual soft limit of 1024 is for programs that use
 * select(2). */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Workers first: the others outlive whoever may use them. */
static void release(struct gateway *g)
{
    mg_crew_free(g->crew);
    mg_admin_free(g->admin);
    mg_reload_release(&g->reload);
    mg_expiry_stop(&g->expiry);
    mg_checker_free(g->checker);
    mg_issuers_free(g->issuers);
    mg_agent_free(g->agent);
    mg_discovery_free(g->discovery);
    mg_resolver_free(g->resolver);
    mg_signals_free(g->signals);
    if (g->loop)
        mg_timer_release(&g->limit);
    mg_loop_free(g->loop);
    mg_sockets_free(g->serving.sockets);
    mg_generation_unref(g->serving.gen);
    mg_stores_release(&g->stores);
}

int mg_run(const struct mg_options *options)
{
    struct gateway g = {.state = STARTING, .options = options};
    struct mg_error err;
    mg_stores_init(&g.stores);
    signal(SIGPIPE, SIG_IGN);
    mg_tls_accel_start(getenv(MG_TLS_ACCEL_VARIABLE));
    raise_descriptor_limit();
    if (!load_config(&g)) {
        g.status = 1;
    } else if (open_sockets(&g, &err) && start_control(&g, &err) && start_admin(&g, &err) &&
               start_access_log(&g, &err) == MG_OK && start_crew(&g, &err)) {
        serve(&g);
    } else {
        fprintf(stderr, "moongate: %s\n", err.text);
        g.status = 1;
    }
    release(&g);
    return g.status;
}
