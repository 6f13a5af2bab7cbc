/* Changing the config while serving. Control thread. */
#include "app/reload.h"

#include "app/cpus.h"
#include "base/log.h"
#include "script/config.h"
#include "script/plan.h"

/* Names that were not resolved by then, and keys that have not come, are not waited for. */
#define PATIENCE_NS (5 * MG_SECOND)
#define DIAGNOSTICS_MAX ((size_t)256 << 10)

struct mg_generation *mg_reload_read(const struct mg_options *options,
                                     const struct mg_stores *stores, struct mg_watch *watch,
                                     bool show_later, struct mg_buf *diagnostics)
{
    struct mg_config_source source = {
        .file = options->config,
        .port_override = options->port,
        .workers_override = options->workers,
        .dev = options->dev,
        .show_later = show_later,
        .stores = stores,
        .files = mg_watch_reading(watch),
    };
    struct mg_generation *gen = mg_config_load(&source, diagnostics, NULL, NULL);
    mg_watch_has_read(watch);
    if (gen)
        mg_watch_turn(watch, gen->dev);
    return gen;
}

/* --- the end of one --- */

static void on_names_settled(void *arg);

/* Whoever waits on would end the next reload's wait before its names are there. */
static void stop_waiting(struct mg_reload *r)
{
    mg_timer_stop(&r->patience);
    mg_discovery_forget_waiter(r->discovery, on_names_settled, r);
}

static void end(struct mg_reload *r, bool ok, struct mg_str said)
{
    r->state = MG_RELOAD_IDLE;
    stop_waiting(r);
    r->gen = NULL;
    r->sockets = NULL;
    r->on_done(r->arg, ok, said);
    if (!r->again || r->stopping)
        return;
    r->again = false;
    mg_reload_start(r);
}

static void watch_keys(struct mg_reload *r, const struct mg_generation *gen, bool on)
{
    const struct mg_plan *plan = gen->script;
    for (uint32_t i = 0; i < plan->key_count; i++) {
        if (on)
            mg_issuers_watch(r->issuers, plan->keys[i].ring);
        else
            mg_issuers_unwatch(r->issuers, plan->keys[i].ring);
    }
}

/* What the generation needs to hear of while it serves. */
static void watch(struct mg_reload *r, const struct mg_generation *gen, bool on)
{
    watch_keys(r, gen, on);
    for (uint32_t i = 0; i < gen->service_count; i++) {
        if (on) {
            mg_discovery_add(r->discovery, gen->services[i]);
            mg_checker_add(r->checker, gen->services[i]);
        } else {
            mg_discovery_remove(r->discovery, gen->services[i]);
            mg_checker_remove(r->checker, gen->services[i]);
        }
    }
}

static void give_up(struct mg_reload *r, struct mg_str why)
{
    if (r->stopping)
        mg_log_info("reload given up, for the gateway stops");
    else
        mg_log_error("reload failed; the config before it stays in force",
                     MG_LOG_STR("error", why));
    if (r->gen) {
        watch(r, r->gen, false);
        mg_generation_unref(r->gen);
    }
    if (r->sockets) {
        mg_sockets_give_back(r->sockets);
        mg_sockets_free(r->sockets);
    }
    end(r, false, why);
}

/* --- what can only be changed by a restart --- */

static void keep_workers(struct mg_reload *r)
{
    uint32_t now = r->serving->gen->workers, then = r->gen->workers;
    then = then ? then : mg_cpus_count();
    if (now != then)
        mg_buf_printf(&r->said,
                      "%s: workers: warning: there are %u until the gateway is restarted, not %u\n",
                      r->options->config, now, then);
    r->gen->workers = now;
}

static void tell_of_heads(struct mg_reload *r)
{
    uint32_t wanted = r->gen->limits.head.head_bytes;
    if (wanted > r->head_max)
        mg_buf_printf(&r->said,
                      "%s: limits.header_bytes: warning: it is %zu for responses until the gateway "
                      "is restarted, not %u\n",
                      r->options->config, r->head_max, wanted);
}

static void tell_of_user(struct mg_reload *r)
{
    const struct mg_generation *old = r->serving->gen;
    if (!mg_str_eq(r->gen->user, old->user) || !mg_str_eq(r->gen->group, old->group))
        mg_buf_printf(&r->said,
                      "%s: user: warning: it stays who it is until the gateway is restarted\n",
                      r->options->config);
}

/* --- step by step --- */

/* What was learned of backends that were verified in another way is of no use. */
static bool verify_alike(const struct mg_service *a, const struct mg_service *b)
{
    return mg_tls_client_settings_equal(mg_service_config(a)->tls, mg_service_config(b)->tls);
}

/* Backends that stay keep their connections and counters. */
static void inherit_services(const struct mg_reload *r)
{
    const struct mg_generation *old = r->serving->gen;
    for (uint32_t i = 0; i < mg_generation_request_services(r->gen); i++) {
        struct mg_service *s = r->gen->services[i];
        int32_t before = mg_generation_service(old, mg_service_config(s)->name);
        if (before != MG_NO_SERVICE && verify_alike(s, old->services[before]))
            mg_service_inherit(s, old->services[before], mg_loop_now(r->loop));
    }
}

/* Keys that are got from the same place are the same keys: those at hand go on. */
static void inherit_keyrings(const struct mg_reload *r)
{
    const struct mg_plan *plan = r->gen->script;
    for (uint32_t i = 0; i < plan->key_count; i++) {
        struct mg_keyring **ring = &plan->keys[i].ring;
        struct mg_keyring *known = mg_issuers_find(r->issuers, *ring);
        if (!known)
            continue;
        mg_keyring_ref(known);
        mg_keyring_unref(*ring);
        *ring = known;
    }
}

static void inherit_sessions(const struct mg_reload *r)
{
    const struct mg_generation *old = r->serving->gen;
    for (uint32_t i = 0; i < r->gen->listen_count; i++) {
        struct mg_listen *l = &r->gen->listens[i];
        for (uint32_t j = 0; l->tls && j < old->listen_count; j++)
            if (old->listens[j].tls && mg_str_eq(l->address, old->listens[j].address))
                mg_tls_server_settings_inherit(l->tls, old->listens[j].tls);
    }
}

static void prepare(struct mg_reload *r)
{
    struct mg_error err;
    stop_waiting(r);
    r->sockets = mg_sockets_open(r->gen, r->serving->gen->workers, r->serving->sockets, &err);
    if (!r->sockets || r->on_prepare(r->arg, r->gen, &err) != MG_OK) {
        give_up(r, mg_str_c(err.text));
        return;
    }
    r->state = MG_RELOAD_PREPARING;
    mg_crew_prepare(r->crew, r->gen);
}

static void on_patience_over(void *arg)
{
    struct mg_reload *r = arg;
    mg_log_warn(r->names_settled ? "keys of issuers have not come yet; going on without them"
                                 : "names are not resolved yet; going on without them");
    prepare(r);
}

void mg_reload_settled(struct mg_reload *r)
{
    if (r->state == MG_RELOAD_SETTLING && r->names_settled && mg_issuers_are_settled(r->issuers))
        prepare(r);
}

static void on_names_settled(void *arg)
{
    struct mg_reload *r = arg;
    r->names_settled = true;
    mg_reload_settled(r);
}

void mg_reload_start(struct mg_reload *r)
{
    if (r->stopping)
        return;
    if (r->state != MG_RELOAD_IDLE) {
        r->again = true;
        return;
    }
    r->number++;
    r->on_begin(r->arg);
    r->started_ns = mg_loop_now(r->loop);
    mg_buf_reset(&r->said);
    r->gen = mg_reload_read(r->options, r->stores, r->watch, false, &r->said);
    if (!r->gen) {
        give_up(r, mg_buf_str(&r->said));
    } else {
        keep_workers(r);
        tell_of_heads(r);
        tell_of_user(r);
        if (r->said.n)
            mg_log_warn("the config has warnings", MG_LOG_STR("warning", mg_buf_str(&r->said)));
        inherit_services(r);
        inherit_sessions(r);
        inherit_keyrings(r);
        r->names_settled = false;
        r->state = MG_RELOAD_SETTLING;
        watch(r, r->gen, true);
        mg_timer_set(&r->patience, mg_loop_now(r->loop) + PATIENCE_NS);
        mg_discovery_when_settled(r->discovery, on_names_settled, r);
    }
}

void mg_reload_prepared(struct mg_reload *r, const struct mg_error *failure)
{
    if (failure) {
        give_up(r, mg_str_c(failure->text));
    } else if (r->stopping) {
        mg_crew_discard(r->crew);
        give_up(r, MG_STR("the gateway stops"));
    } else {
        r->state = MG_RELOAD_ADOPTING;
        mg_crew_adopt(r->crew, r->sockets);
    }
}

void mg_reload_adopted(struct mg_reload *r)
{
    struct mg_serving old = *r->serving;
    *r->serving = (struct mg_serving){.gen = r->gen, .sockets = r->sockets};
    mg_sockets_take_over(r->sockets, old.sockets);
    mg_sockets_free(old.sockets);
    watch(r, old.gen, false);
    mg_log_configure(r->gen->log_level, r->gen->log_format);
    mg_generation_unref(old.gen);
    end(r, true, mg_buf_str(&r->said));
}

/* --- life --- */

void mg_reload_init(struct mg_reload *r)
{
    r->state = MG_RELOAD_IDLE;
    r->head_max = mg_worker_head_max(r->serving->gen);
    mg_buf_init(&r->said, DIAGNOSTICS_MAX);
    mg_timer_init(&r->patience, r->loop, on_patience_over, r);
}

void mg_reload_stop(struct mg_reload *r)
{
    r->stopping = true;
    if (r->state == MG_RELOAD_SETTLING)
        give_up(r, MG_STR("the gateway stops"));
}

void mg_reload_release(struct mg_reload *r)
{
    if (!r->loop)
        return;
    mg_timer_release(&r->patience);
    mg_buf_release(&r->said);
    if (r->sockets) {
        mg_sockets_give_back(r->sockets);
        mg_sockets_free(r->sockets);
    }
    mg_generation_unref(r->gen);
}
