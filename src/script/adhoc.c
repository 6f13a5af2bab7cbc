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

void mg_adhocs_init(struct mg_adhocs *all, struct mg_loop *loop)
{
    *all = (struct mg_adhocs){.loop = loop};
    mg_list_init(&all->list);
}

static void free_adhoc(struct mg_adhoc *a)
{
    mg_list_remove(&a->link);
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
    mg_adhocs_init(all, all->loop);
}

static struct mg_adhoc *find(struct mg_adhocs *all, struct mg_str origin)
{
    MG_LIST_FOREACH(it, &all->list)
    {
        struct mg_adhoc *a = MG_CONTAINER_OF(it, struct mg_adhoc, link);
        if (mg_str_ieq(a->origin, origin))
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
    mg_service_publish(service, &at, 1);
}

static struct mg_adhoc *make(struct mg_adhocs *all, struct mg_str origin, struct mg_error *err)
{
    struct mg_backend_config backend = {.address = origin, .weight = 1};
    struct mg_service_config config = {
        .name = origin,
        .backends = &backend,
        .backend_count = 1,
        .host = MG_HOST_BACKEND,
        .connect_ns = CONNECT_NS,
        .first_byte_ns = FIRST_BYTE_NS,
        .idle_ns = IDLE_NS,
        .keepalive_max = KEEPALIVE,
        .keepalive_idle_ns = IDLE_NS,
        .status_when_down = 503,
    };
    struct mg_service *service = mg_service_new(&config, err);
    if (!service)
        return NULL;
    bool named = mg_service_needs_names(service);
    if (named && mg_loop_is_simulated(all->loop)) {
        publish_simulated(service);
        named = false;
    }
    if (named && !start_discovery(all, err)) {
        mg_service_unref(service);
        return NULL;
    }
    struct mg_adhoc *a = mg_calloc(1, sizeof *a);
    a->origin = mg_str(mg_strdup(origin), origin.n);
    mg_list_init(&a->waiting);
    mg_picker_init(&a->picker, service, 1);
    mg_list_push_front(&all->list, &a->link);
    all->count++;
    a->settled = !named;
    if (named) {
        mg_discovery_add(all->discovery, service);
        mg_discovery_when_settled(all->discovery, on_settled, a);
    }
    mg_service_unref(service); /* the picker has its own */
    return a;
}

struct mg_adhoc *mg_adhoc_get(struct mg_adhocs *all, const struct mg_uri *uri, struct mg_error *err)
{
    char origin[320];
    if (uri->https) {
        mg_error_set(err, "https is not spoken to backends");
        return NULL;
    }
    int n = snprintf(origin, sizeof origin, uri->at.v6 ? "[%.*s]:%u" : "%.*s:%u",
                     MG_STR_ARGS(uri->at.host), uri->at.port);
    if (n < 0 || (size_t)n >= sizeof origin) {
        mg_error_set(err, "host name too long");
        return NULL;
    }
    struct mg_adhoc *a = find(all, mg_str(origin, (size_t)n));
    if (a)
        return a;
    if (all->count >= ORIGINS_MAX) {
        mg_error_set(err, "more than %d different hosts; name them in `services`", ORIGINS_MAX);
        return NULL;
    }
    return make(all, mg_str(origin, (size_t)n), err);
}

void mg_adhoc_when_settled(struct mg_adhoc *a, struct mg_adhoc_wait *w, void (*fn)(void *arg),
                           void *arg)
{
    w->on_settled = fn;
    w->arg = arg;
    mg_list_push_back(&a->waiting, &w->link);
}
