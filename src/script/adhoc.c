/* Services by URL. Worker thread: the resolver here is the worker's own. */
#include "script/adhoc.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

#define ORIGINS_MAX 256
#define CONNECT_NS (1 * MG_SECOND)
#define FIRST_BYTE_NS (10 * MG_SECOND)
#define IDLE_NS (60 * MG_SECOND)
#define KEEPALIVE 16

void mg_adhocs_init(struct mg_adhocs *all, struct mg_loop *loop, struct mg_tls_desk *desk)
{
    *all = (struct mg_adhocs){.loop = loop, .desk = desk};
    mg_list_init(&all->list);
}

static void free_adhoc(struct mg_adhoc *a)
{
    mg_list_remove(&a->link);
    mg_tls_client_unref(a->picker.tls);
    mg_picker_release(&a->picker);
    free((char *)a->origin.p);
    free(a);
}

void mg_adhocs_release(struct mg_adhocs *all)
{
    if (all->discovery)
        mg_discovery_free(all->discovery);
    if (all->resolver)
        mg_resolver_free(all->resolver);
    MG_LIST_FOREACH_SAFE(it, &all->list)
    free_adhoc(MG_CONTAINER_OF(it, struct mg_adhoc, link));
    mg_tls_client_settings_unref(all->tls);
    mg_adhocs_init(all, all->loop, all->desk);
}

static struct mg_adhoc *find(struct mg_adhocs *all, struct mg_str origin, bool https)
{
    MG_LIST_FOREACH(it, &all->list)
    {
        struct mg_adhoc *a = MG_CONTAINER_OF(it, struct mg_adhoc, link);
        if (a->https == https && mg_str_ieq(a->origin, origin))
            return a;
    }
    return NULL;
}

static void on_settled(void *arg)
{
    struct mg_adhoc *a = arg;
    a->settled = true;
    MG_LIST_FOREACH_SAFE(it, &a->waiting)
    {
        struct mg_adhoc_wait *w = MG_CONTAINER_OF(it, struct mg_adhoc_wait, link);
        mg_list_remove(&w->link);
        w->on_settled(w->arg);
    }
}

static bool start_discovery(struct mg_adhocs *all, struct mg_error *err)
{
    if (all->discovery)
        return true;
    all->resolver = mg_resolver_new(all->loop, err);
    if (!all->resolver)
        return false;
    all->discovery = mg_discovery_new(all->loop, all->resolver);
    return true;
}

/* A simulation looks no names up: it knows backends by their authority, and any address will do. */
static void publish_simulated(struct mg_service *service)
{
    size_t count;
    struct mg_addr anywhere = {.family = 4, .bytes = {192, 0, 2, 99}};
    struct mg_endpoint at = mg_service_endpoint(mg_service_entries(service, &count), &anywhere);
    mg_service_publish(service, &at, 1, 0);
}

/* Waits for the disk the first time: authorities are read once for all workers. */
static struct mg_tls_client *make_client(struct mg_adhocs *all, struct mg_error *err)
{
    static const char *protocols[] = {"http/1.1", NULL};
    if (!all->tls) {
        struct mg_tls_trust *trust = mg_tls_trust_system(err);
        if (!trust)
            return NULL;
        all->tls = mg_tls_client_settings_new();
        all->tls->trust = trust;
        all->tls->protocols = protocols;
    }
    return mg_tls_client_new(all->desk, all->tls, err);
}

/* The Host that a client would send: without the port that the scheme implies. */
static struct mg_str host_of(struct mg_str origin, bool https)
{
    struct mg_str implied = https ? MG_STR(":443") : MG_STR(":80");
    return mg_str(origin.p, mg_str_ends(origin, implied) ? origin.n - implied.n : origin.n);
}

static struct mg_service *make_service(struct mg_str origin, bool https, struct mg_error *err)
{
    struct mg_backend_config backend = {.address = origin, .weight = 1};
    struct mg_service_config config = {
        .name = origin,
        .backends = &backend,
        .backend_count = 1,
        .host = MG_HOST_NAME,
        .host_name = host_of(origin, https),
        .connect_ns = CONNECT_NS,
        .first_byte_ns = FIRST_BYTE_NS,
        .idle_ns = IDLE_NS,
        .keepalive_max = KEEPALIVE,
        .keepalive_idle_ns = IDLE_NS,
        .status_when_down = 503,
    };
    return mg_service_new(&config, err);
}

/* Has its name looked up, when it is one. */
static void look_up(struct mg_adhocs *all, struct mg_adhoc *a)
{
    struct mg_service *service = a->picker.service;
    a->settled = !mg_service_needs_names(service);
    if (a->settled)
        return;
    if (mg_loop_is_simulated(all->loop)) {
        publish_simulated(service);
        a->settled = true;
    } else {
        mg_discovery_add(all->discovery, service);
        mg_discovery_when_settled(all->discovery, on_settled, a);
    }
}

static struct mg_adhoc *make(struct mg_adhocs *all, struct mg_str origin, bool https,
                             struct mg_error *err)
{
    bool real = !mg_loop_is_simulated(all->loop);
    struct mg_tls_client *tls = NULL;
    if (real && (!start_discovery(all, err) || (https && !(tls = make_client(all, err)))))
        return NULL;
    struct mg_service *service = make_service(origin, https, err);
    if (!service) {
        mg_tls_client_unref(tls);
        return NULL;
    }
    struct mg_adhoc *a = mg_calloc(1, sizeof *a);
    a->origin = mg_str(mg_strdup(origin), origin.n);
    a->https = https;
    mg_list_init(&a->waiting);
    mg_picker_init(&a->picker, service, 1);
    mg_service_unref(service); /* the picker has its own */
    a->picker.tls = tls;
    mg_list_push_front(&all->list, &a->link);
    all->count++;
    look_up(all, a);
    return a;
}

struct mg_adhoc *mg_adhoc_get(struct mg_adhocs *all, const struct mg_uri *uri, struct mg_error *err)
{
    char origin[320];
    int n = snprintf(origin, sizeof origin, uri->at.v6 ? "[%.*s]:%u" : "%.*s:%u",
                     MG_STR_ARGS(uri->at.host), uri->at.port);
    if (n < 0 || (size_t)n >= sizeof origin) {
        mg_error_set(err, "host name too long");
        return NULL;
    }
    struct mg_adhoc *a = find(all, mg_str(origin, (size_t)n), uri->https);
    if (a)
        return a;
    if (all->count >= ORIGINS_MAX) {
        mg_error_set(err, "more than %d different hosts; name them in `services`", ORIGINS_MAX);
        return NULL;
    }
    return make(all, mg_str(origin, (size_t)n), uri->https, err);
}

void mg_adhoc_when_settled(struct mg_adhoc *a, struct mg_adhoc_wait *w, void (*fn)(void *arg),
                           void *arg)
{
    w->on_settled = fn;
    w->arg = arg;
    mg_list_push_back(&a->waiting, &w->link);
}
