/*
 * The gateway process: the control thread, which is the main one, and the workers it starts.
 *
 *     starting -> serving -> stopping
 *
 * Workers accept when all of them have built the generation and the names of backends are resolved,
 * or were waited for long enough. The first SIGTERM or SIGINT lets open exchanges and background
 * tasks finish; the second, or STOP_NS, cuts them.
 */
#include "app/run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "app/cpus.h"
#include "app/crew.h"
#include "app/expiry.h"
#include "base/log.h"
#include "net/resolver.h"
#include "net/signals.h"
#include "script/config.h"
#include "script/module.h"
#include "tls/accel.h"
#include "upstream/discovery.h"

#define SETTLE_NS (5 * MG_SECOND)
#define STOP_NS (30 * MG_SECOND)
#define DIAGNOSTICS_MAX ((size_t)2 << 20)

enum state { STARTING, SERVING, STOPPING };

struct gateway {
    enum state state;
    int status; /* of the process */
    uint32_t workers;
    struct mg_generation *gen;
    struct mg_dicts *dicts;
    struct mg_sockets *sockets;
    struct mg_loop *loop;
    struct mg_signals *signals;
    struct mg_resolver *resolver;
    struct mg_discovery *discovery;
    struct mg_expiry expiry;
    struct mg_crew *crew;
    struct mg_timer limit; /* of starting, then of stopping */
    bool built, settled;
};

/* --- serving --- */

static void say_ready(const struct gateway *g)
{
    struct mg_buf all;
    mg_buf_init(&all, 4096);
    for (uint32_t i = 0; i < mg_sockets_count(g->sockets); i++) {
        mg_buf_printf(&all, "%s%s", i ? ", " : "", mg_sockets_name(g->sockets, i));
        printf("moongate: listening on %s\n", mg_sockets_name(g->sockets, i));
    }
    printf("moongate: ready\n");
    fflush(stdout);
    mg_log_info("gateway ready", MG_LOG_STR("listen", mg_buf_str(&all)),
                MG_LOG_INT("workers", g->workers), MG_LOG_INT("routes", g->gen->route_count));
    mg_buf_release(&all);
}

static void serve_when_ready(struct gateway *g)
{
    if (g->state != STARTING || !g->built || !g->settled)
        return;
    g->state = SERVING;
    mg_timer_stop(&g->limit);
    mg_crew_accept(g->crew);
    say_ready(g);
}

static void stop(struct gateway *g)
{
    g->state = STOPPING;
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

static void on_settled(void *arg)
{
    struct gateway *g = arg;
    g->settled = true;
    serve_when_ready(g);
}

static void on_limit(void *arg)
{
    struct gateway *g = arg;
    if (g->state == STARTING) {
        mg_log_warn("names of backends are not resolved yet; serving without them");
        on_settled(g);
    } else if (g->state == STOPPING) {
        mg_log_warn(
            "requests or background tasks are under way after the time to stop; cutting them");
        mg_crew_cut(g->crew);
    }
}

static void on_signal(void *arg, int number)
{
    struct gateway *g = arg;
    bool again = g->state == STOPPING;
    mg_log_info(again ? "stopping at once" : "stopping",
                MG_LOG_C("signal", number == SIGINT ? "SIGINT" : "SIGTERM"));
    if (again)
        mg_crew_cut(g->crew);
    else
        stop(g);
}

/* --- starting --- */

static bool load_config(struct gateway *g, const struct mg_options *options)
{
    struct mg_buf diagnostics;
    struct mg_config_source source = {
        .file = options->config,
        .port_override = options->port,
        .workers_override = options->workers,
        .dev = options->dev,
        .dicts = g->dicts,
    };
    mg_buf_init(&diagnostics, DIAGNOSTICS_MAX);
    g->gen = mg_config_load(&source, &diagnostics, NULL, NULL);
    fwrite(diagnostics.p, 1, diagnostics.n, stderr);
    mg_buf_release(&diagnostics);
    if (g->gen)
        mg_log_configure(g->gen->log_level, g->gen->log_format);
    return g->gen != NULL;
}

static bool open_sockets(struct gateway *g, struct mg_error *err)
{
    g->workers = g->gen->workers ? g->gen->workers : mg_cpus_count();
    g->sockets = mg_sockets_open(g->gen, g->workers, err);
    return g->sockets != NULL;
}

static bool start_control(struct gateway *g, struct mg_error *err)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    if (!(g->loop = mg_loop_new(err)))
        return false;
    mg_timer_init(&g->limit, g->loop, on_limit, g);
    g->signals =
        mg_signals_new(g->loop, numbers, sizeof numbers / sizeof numbers[0], on_signal, g, err);
    if (!g->signals || !(g->resolver = mg_resolver_new(g->loop, err)))
        return false;
    mg_expiry_start(&g->expiry, g->loop, g->gen);
    g->discovery = mg_discovery_new(g->loop, g->resolver);
    for (uint32_t i = 0; i < g->gen->service_count; i++)
        mg_discovery_add(g->discovery, g->gen->services[i]);
    return true;
}

static bool start_crew(struct gateway *g, struct mg_error *err)
{
    const struct mg_crew_events events = {.on_built = on_built, .on_ended = on_ended, .arg = g};
    g->crew = mg_crew_new(g->loop, g->workers, g->gen, g->sockets, &mg_script_hooks, &events, err);
    return g->crew != NULL;
}

static void serve(struct gateway *g)
{
    mg_discovery_when_settled(g->discovery, on_settled, g);
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
    mg_expiry_stop(&g->expiry);
    mg_discovery_free(g->discovery);
    mg_resolver_free(g->resolver);
    mg_signals_free(g->signals);
    if (g->loop)
        mg_timer_release(&g->limit);
    mg_loop_free(g->loop);
    mg_sockets_free(g->sockets);
    mg_generation_unref(g->gen);
    mg_dicts_free(g->dicts);
}

int mg_run(const struct mg_options *options)
{
    struct gateway g = {.state = STARTING, .dicts = mg_dicts_new()};
    struct mg_error err;
    signal(SIGPIPE, SIG_IGN);
    mg_tls_accel_start(getenv(MG_TLS_ACCEL_VARIABLE));
    raise_descriptor_limit();
    if (!load_config(&g, options)) {
        g.status = 1;
    } else if (open_sockets(&g, &err) && start_control(&g, &err) && start_crew(&g, &err)) {
        serve(&g);
    } else {
        fprintf(stderr, "moongate: %s\n", err.text);
        g.status = 1;
    }
    release(&g);
    return g.status;
}
