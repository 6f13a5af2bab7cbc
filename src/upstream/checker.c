/*
 * Health checks. Control thread.
 *
 * Each service has a round: it looks who the members are, and has each of them checked, at moments
 * that are spread over a tenth of the interval. A backend that does not answer is under way until
 * its time is over, and is left out of the rounds in between.
 */
#include "upstream/checker.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/memory.h"
#include "crypto/random.h"

#define BODY_MAX ((size_t)64 << 10)
#define URL_MAX 8192
/* A service whose names are not resolved yet is looked at again after it. */
#define EMPTY_NS MG_SECOND

struct mg_checker {
    struct mg_loop *loop;
    struct mg_agent *agent;
    struct mg_link watches;
};

/* A service. */
struct watch {
    struct mg_link link;
    struct mg_checker *all;
    struct mg_service *service; /* a ref */
    const struct mg_check *check;
    struct mg_tls_client *tls; /* NULL: the backends are plain */
    uint64_t version;          /* of the members that `targets` are */
    struct mg_link targets;
    struct mg_timer round;
};

/* One member of it. */
struct target {
    struct mg_link link;
    struct watch *watch;
    struct mg_backend *backend; /* a ref */
    bool is_member;             /* for comparing with a newer list */
    uint32_t good, bad;         /* checks in a row; one of them is 0 */
    struct mg_timer start;
    struct mg_agent_call *call; /* NULL: none is under way */
};

/* --- verdicts --- */

static bool is_down(const struct target *t)
{
    return atomic_load_explicit(&t->backend->health.down, memory_order_relaxed);
}

static void bring_up(struct target *t)
{
    struct mg_health *h = &t->backend->health;
    atomic_store_explicit(&h->recovered_since_ns, mg_loop_now(t->watch->all->loop),
                          memory_order_relaxed);
    atomic_store_explicit(&h->down, false, memory_order_relaxed);
    mg_log_info("backend is up again",
                MG_LOG_STR("service", mg_service_config(t->watch->service)->name),
                MG_LOG_C("backend", t->backend->label));
}

static void bring_down(struct target *t, const char *why)
{
    atomic_store_explicit(&t->backend->health.down, true, memory_order_relaxed);
    mg_log_warn("backend is down",
                MG_LOG_STR("service", mg_service_config(t->watch->service)->name),
                MG_LOG_C("backend", t->backend->label), MG_LOG_C("error", why));
}

/* `why` NULL: it is well. */
static void judge(struct target *t, const char *why)
{
    const struct mg_check *check = t->watch->check;
    t->good = why ? 0 : t->good + (t->good < UINT32_MAX);
    t->bad = why ? t->bad + (t->bad < UINT32_MAX) : 0;
    if (t->bad >= check->unhealthy && !is_down(t))
        bring_down(t, why);
    else if (t->good >= check->healthy && is_down(t))
        bring_up(t);
}

/* Why the answer is not good; NULL: it is. */
static const char *fault_of(const struct mg_check *check, const struct mg_agent_answer *answer,
                            struct mg_error *err)
{
    if (answer->failure || check->tcp)
        return answer->failure;
    unsigned status = answer->head->status;
    if (status > MG_CHECK_STATUS_MAX || !(check->expect[status / 8] >> status % 8 & 1)) {
        mg_error_set(err, "status %u", status);
        return err->text;
    }
    bool fits = !check->body.n || (answer->body.n && memmem(answer->body.p, answer->body.n,
                                                            check->body.p, check->body.n));
    return fits ? NULL : "the body is another one";
}

static void on_answer(void *arg, const struct mg_agent_answer *answer)
{
    struct target *t = arg;
    struct mg_error err;
    t->call = NULL;
    judge(t, fault_of(t->watch->check, answer, &err));
}

/* --- asking --- */

static struct mg_str host_of(const struct watch *w, const struct mg_backend *b)
{
    const struct mg_service_config *config = mg_service_config(w->service);
    if (w->check->host.n)
        return w->check->host;
    if (config->host == MG_HOST_NAME)
        return config->host_name;
    return b->unix_path ? MG_STR("localhost") : mg_str_c(b->authority);
}

static void on_start(void *arg)
{
    struct target *t = arg;
    const struct watch *w = t->watch;
    struct mg_buf url;
    mg_buf_init(&url, URL_MAX);
    mg_buf_printf(&url, "%s://%s%.*s", w->tls ? "https" : "http",
                  t->backend->unix_path ? "localhost" : t->backend->authority,
                  MG_STR_ARGS(w->check->path));
    const struct mg_agent_request request = {
        .url = mg_buf_str(&url),
        .host = host_of(w, t->backend),
        .fields = w->check->fields,
        .field_count = w->check->field_count,
        .backend = t->backend,
        .connect_only = w->check->tcp,
        .tls = w->tls,
        .limit_ns = w->check->timeout_ns,
        .body_max = BODY_MAX,
    };
    t->call = mg_agent_start(w->all->agent, &request, on_answer, t);
    mg_buf_release(&url);
}

/* --- members --- */

static struct target *target_of(const struct watch *w, const struct mg_backend *b)
{
    MG_LIST_FOREACH(it, &w->targets)
    {
        struct target *t = MG_CONTAINER_OF(it, struct target, link);
        if (t->backend == b)
            return t;
    }
    return NULL;
}

/* The same backend as another service knows it, or NULL. */
static struct target *known(const struct mg_checker *all, const struct watch *but,
                            const struct mg_backend *b)
{
    MG_LIST_FOREACH(it, &all->watches)
    {
        const struct watch *w = MG_CONTAINER_OF(it, struct watch, link);
        struct target *t = w == but ? NULL : target_of(w, b);
        if (t)
            return t;
    }
    return NULL;
}

static struct target *new_target(struct watch *w, struct mg_backend *b)
{
    const struct target *before = known(w->all, w, b);
    struct target *t = mg_calloc(1, sizeof *t);
    t->watch = w;
    t->backend = b;
    mg_backend_ref(b);
    if (before) {
        t->good = before->good;
        t->bad = before->bad;
    }
    mg_timer_init(&t->start, w->all->loop, on_start, t);
    mg_list_push_back(&w->targets, &t->link);
    return t;
}

static void free_target(struct target *t)
{
    if (t->call)
        mg_agent_cancel(t->call);
    mg_timer_release(&t->start);
    mg_list_remove(&t->link);
    mg_backend_unref(t->backend);
    free(t);
}

/* What nobody checks any more is up: nobody else would ever say so. */
static void drop_target(struct target *t)
{
    if (!known(t->watch->all, t->watch, t->backend))
        atomic_store_explicit(&t->backend->health.down, false, memory_order_relaxed);
    free_target(t);
}

static void follow_members(struct watch *w)
{
    if (mg_service_version(w->service) == w->version)
        return;
    struct mg_members *m = mg_service_members(w->service, &w->version);
    MG_LIST_FOREACH(it, &w->targets)
    MG_CONTAINER_OF(it, struct target, link)->is_member = false;
    for (uint32_t i = 0; i < m->count; i++) {
        struct target *t = target_of(w, m->v[i].backend);
        t = t ? t : new_target(w, m->v[i].backend);
        t->is_member = true;
    }
    mg_members_unref(m);
    MG_LIST_FOREACH_SAFE(it, &w->targets)
    {
        struct target *t = MG_CONTAINER_OF(it, struct target, link);
        if (!t->is_member)
            drop_target(t);
    }
}

/* --- rounds --- */

static uint64_t some_of(uint64_t ns)
{
    uint32_t random;
    mg_random_bytes(&random, sizeof random);
    return (uint64_t)((double)ns * ((double)random / UINT32_MAX));
}

static void on_round(void *arg)
{
    struct watch *w = arg;
    uint64_t now = mg_loop_now(w->all->loop), every = w->check->every_ns;
    follow_members(w);
    MG_LIST_FOREACH(it, &w->targets)
    {
        struct target *t = MG_CONTAINER_OF(it, struct target, link);
        if (!t->call)
            mg_timer_set(&t->start, now + some_of(every / 10));
    }
    bool soon = mg_list_empty(&w->targets) && every > EMPTY_NS;
    mg_timer_set(&w->round, now + (soon ? EMPTY_NS : every));
}

/* --- services --- */

void mg_checker_add(struct mg_checker *all, struct mg_service *service)
{
    const struct mg_service_config *config = mg_service_config(service);
    struct mg_error err;
    if (!config->check)
        return;
    struct watch *w = mg_calloc(1, sizeof *w);
    w->all = all;
    w->service = mg_service_ref(service);
    w->check = config->check;
    if (config->tls && !(w->tls = mg_agent_tls(all->agent, config->tls, &err)))
        mg_log_error("backends cannot be checked over tls", MG_LOG_STR("service", config->name),
                     MG_LOG_C("error", err.text));
    mg_list_init(&w->targets);
    mg_list_push_back(&all->watches, &w->link);
    mg_timer_init(&w->round, all->loop, on_round, w);
    if (w->tls || !config->tls)
        on_round(w);
}

static void free_watch(struct watch *w, void (*end)(struct target *t))
{
    MG_LIST_FOREACH_SAFE(it, &w->targets)
    end(MG_CONTAINER_OF(it, struct target, link));
    mg_list_remove(&w->link);
    mg_timer_release(&w->round);
    mg_tls_client_unref(w->tls);
    mg_service_unref(w->service);
    free(w);
}

void mg_checker_remove(struct mg_checker *all, struct mg_service *service)
{
    MG_LIST_FOREACH_SAFE(it, &all->watches)
    {
        struct watch *w = MG_CONTAINER_OF(it, struct watch, link);
        if (w->service == service)
            free_watch(w, drop_target);
    }
}

/* --- life --- */

struct mg_checker *mg_checker_new(struct mg_loop *loop, struct mg_agent *agent)
{
    struct mg_checker *all = mg_calloc(1, sizeof *all);
    all->loop = loop;
    all->agent = agent;
    mg_list_init(&all->watches);
    return all;
}

void mg_checker_free(struct mg_checker *all)
{
    if (!all)
        return;
    while (!mg_list_empty(&all->watches))
        free_watch(MG_CONTAINER_OF(all->watches.next, struct watch, link), free_target);
    free(all);
}
