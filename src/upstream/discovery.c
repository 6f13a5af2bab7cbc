/*
 * Follows the addresses of names. Control thread.
 *
 * Each name is watched once, however many services use it; so a service that comes with a reload
 * gets its members at once when the one before it was following the same name. A name is either
 * being looked up or its timer is set.
 */
#include "upstream/discovery.h"

#include <stdlib.h>

#include "base/list.h"
#include "base/log.h"
#include "base/memory.h"

#define RETRY_MIN_NS MG_SECOND
#define RETRY_MAX_NS (30 * MG_SECOND)

struct mg_discovery {
    struct mg_loop *loop;
    struct mg_resolver *resolver; /* borrowed */
    struct mg_link names;
    struct mg_link services;
    struct mg_link waiters;
    uint64_t last_name; /* number of the newest name */
    struct mg_soon tell_waiters;
};

struct name {
    struct mg_link link;
    struct mg_discovery *discovery;
    char *text;
    uint64_t number; /* names are counted, so that a waiter knows which came before it */
    unsigned users;  /* entries of services */
    bool settled;    /* answered or failed at least once */
    bool failing;
    uint64_t retry_ns;        /* the wait after the next failure */
    struct mg_lookup *lookup; /* NULL: none under way */
    struct mg_timer timer;
    struct mg_addr *addrs; /* the last good answer, sorted */
    size_t count;
};

struct watched {
    struct mg_link link;
    struct mg_service *service; /* a ref */
    size_t entry_count;
    struct name *names[]; /* one an entry; NULL: the entry is no name */
};

struct waiter {
    struct mg_link link;
    uint64_t last_name;
    void (*fn)(void *arg);
    void *arg;
};

/* --- publishing --- */

static size_t endpoint_count(const struct watched *w)
{
    size_t count = 0;
    for (size_t i = 0; i < w->entry_count; i++)
        count += w->names[i] ? w->names[i]->count : 1;
    return count;
}

/* Loop time, or 0 before each name had its first answer: until then nobody is there already whom
 * others could join. */
static uint64_t joining_ns(const struct watched *w)
{
    uint64_t now_ns = 0;
    for (size_t i = 0; i < w->entry_count; i++) {
        if (w->names[i] && !w->names[i]->settled)
            return 0;
        if (w->names[i])
            now_ns = mg_loop_now(w->names[i]->discovery->loop);
    }
    return now_ns;
}

static void publish(const struct watched *w)
{
    size_t entry_count, n = 0;
    const struct mg_service_entry *entries = mg_service_entries(w->service, &entry_count);
    struct mg_endpoint *v = mg_malloc(endpoint_count(w) * sizeof *v);
    for (size_t i = 0; i < entry_count; i++) {
        const struct name *name = w->names[i];
        if (!name)
            v[n++] = mg_service_endpoint(&entries[i], NULL);
        for (size_t k = 0; name && k < name->count; k++)
            v[n++] = mg_service_endpoint(&entries[i], &name->addrs[k]);
    }
    mg_service_publish(w->service, v, n, joining_ns(w));
    free(v);
}

static bool uses(const struct watched *w, const struct name *name)
{
    for (size_t i = 0; i < w->entry_count; i++)
        if (w->names[i] == name)
            return true;
    return false;
}

static void publish_users(const struct name *name)
{
    MG_LIST_FOREACH(it, &name->discovery->services)
    {
        const struct watched *w = MG_CONTAINER_OF(it, struct watched, link);
        if (uses(w, name))
            publish(w);
    }
}

/* --- waiters --- */

static bool is_due(const struct mg_discovery *d, const struct waiter *w)
{
    MG_LIST_FOREACH(it, &d->names)
    {
        const struct name *name = MG_CONTAINER_OF(it, struct name, link);
        if (!name->settled && name->number <= w->last_name)
            return false;
    }
    return true;
}

static struct waiter *due_waiter(struct mg_discovery *d)
{
    MG_LIST_FOREACH(it, &d->waiters)
    {
        struct waiter *w = MG_CONTAINER_OF(it, struct waiter, link);
        if (is_due(d, w))
            return w;
    }
    return NULL;
}

static void something_settled(struct mg_discovery *d)
{
    if (due_waiter(d))
        mg_soon_run(d->loop, &d->tell_waiters);
}

/* One at a time, for the callee may free the discovery. */
static void on_tell_waiters(void *arg)
{
    struct mg_discovery *d = arg;
    struct waiter *due = due_waiter(d);
    if (!due)
        return;
    struct waiter w = *due;
    mg_list_remove(&due->link);
    free(due);
    something_settled(d);
    w.fn(w.arg);
}

/* --- answers --- */

static int compare_addrs(const void *left, const void *right)
{
    const struct mg_addr *a = left, *b = right;
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

/*
 * The members that a name stands for, sorted, as name servers shuffle their answers and a new order
 * is no change. When a name has addresses of both families, the IPv6 ones are left out: as a rule
 * they are the same machines once more, so each would get two turns, and "localhost" would send
 * half of the requests to ::1, where servers often do not listen.
 */
static size_t members_of(const struct mg_resolved *resolved, struct mg_addr *out)
{
    uint8_t family = 6;
    size_t count = 0;
    for (size_t i = 0; i < resolved->count; i++)
        if (resolved->addrs[i].family == 4)
            family = 4;
    for (size_t i = 0; i < resolved->count; i++)
        if (resolved->addrs[i].family == family)
            out[count++] = resolved->addrs[i];
    qsort(out, count, sizeof *out, compare_addrs);
    return count;
}

static bool same_addrs(const struct mg_addr *a, const struct mg_addr *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!mg_ip_eq(&a[i], &b[i]))
            return false;
    return true;
}

static void take_addrs(struct name *name, const struct mg_resolved *resolved)
{
    struct mg_addr *addrs = mg_malloc(resolved->count * sizeof *addrs);
    size_t count = members_of(resolved, addrs);
    if (count == name->count && same_addrs(addrs, name->addrs, count)) {
        free(addrs);
        return;
    }
    free(name->addrs);
    name->addrs = addrs;
    name->count = count;
    publish_users(name);
}

static void answered(struct name *name, const struct mg_resolved *resolved)
{
    struct mg_discovery *d = name->discovery;
    if (name->failing)
        mg_log_info("name resolves again", MG_LOG_C("name", name->text),
                    MG_LOG_INT("addresses", (int64_t)resolved->count));
    name->failing = false;
    name->retry_ns = RETRY_MIN_NS;
    mg_timer_set(&name->timer, mg_loop_now(d->loop) + resolved->ttl_ns);
    take_addrs(name, resolved);
}

static void failed(struct name *name, const char *error)
{
    struct mg_discovery *d = name->discovery;
    if (!name->failing)
        mg_log_warn("cannot resolve name", MG_LOG_C("name", name->text), MG_LOG_C("error", error),
                    MG_LOG_INT("addresses_kept", (int64_t)name->count));
    name->failing = true;
    mg_timer_set(&name->timer, mg_loop_now(d->loop) + name->retry_ns);
    name->retry_ns = name->retry_ns * 2 < RETRY_MAX_NS ? name->retry_ns * 2 : RETRY_MAX_NS;
}

static void on_resolved(void *arg, const struct mg_resolved *resolved)
{
    struct name *name = arg;
    name->lookup = NULL;
    if (resolved->count)
        answered(name, resolved);
    else
        failed(name, resolved->error);
    if (!name->settled) {
        name->settled = true;
        something_settled(name->discovery);
    }
}

static void look_up(void *arg)
{
    struct name *name = arg;
    name->lookup =
        mg_resolver_lookup(name->discovery->resolver, mg_str_c(name->text), on_resolved, name);
}

/* --- names --- */

static struct name *new_name(struct mg_discovery *d, struct mg_str text)
{
    struct name *name = mg_malloc(sizeof *name);
    *name = (struct name){.discovery = d,
                          .text = mg_strdup(text),
                          .number = ++d->last_name,
                          .retry_ns = RETRY_MIN_NS};
    mg_timer_init(&name->timer, d->loop, look_up, name);
    mg_list_push_back(&d->names, &name->link);
    look_up(name);
    return name;
}

static struct name *use_name(struct mg_discovery *d, struct mg_str text)
{
    struct name *name = NULL;
    MG_LIST_FOREACH(it, &d->names)
    {
        struct name *other = MG_CONTAINER_OF(it, struct name, link);
        if (mg_str_ieq(mg_str_c(other->text), text))
            name = other;
    }
    if (!name)
        name = new_name(d, text);
    name->users++;
    return name;
}

static void drop_name(struct name *name)
{
    if (--name->users > 0)
        return;
    if (name->lookup)
        mg_resolver_cancel(name->lookup);
    mg_timer_release(&name->timer);
    mg_list_remove(&name->link);
    free(name->text);
    free(name->addrs);
    free(name);
}

/* --- services --- */

static struct watched *watched_of(struct mg_discovery *d, const struct mg_service *service)
{
    MG_LIST_FOREACH(it, &d->services)
    {
        struct watched *w = MG_CONTAINER_OF(it, struct watched, link);
        if (w->service == service)
            return w;
    }
    return NULL;
}

static void free_watched(struct watched *w)
{
    mg_list_remove(&w->link);
    for (size_t i = 0; i < w->entry_count; i++)
        if (w->names[i])
            drop_name(w->names[i]);
    mg_service_unref(w->service);
    free(w);
}

void mg_discovery_add(struct mg_discovery *d, struct mg_service *service)
{
    size_t count;
    bool known = false;
    const struct mg_service_entry *entries = mg_service_entries(service, &count);
    if (!mg_service_needs_names(service) || watched_of(d, service))
        return;
    struct watched *w = mg_calloc(1, sizeof *w + count * sizeof w->names[0]);
    w->service = mg_service_ref(service);
    w->entry_count = count;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].address.kind != MG_ADDRESS_NAME)
            continue;
        w->names[i] = use_name(d, entries[i].address.name);
        known |= w->names[i]->count > 0;
    }
    mg_list_push_back(&d->services, &w->link);
    if (known)
        publish(w);
}

void mg_discovery_remove(struct mg_discovery *d, struct mg_service *service)
{
    struct watched *w = watched_of(d, service);
    if (!w)
        return;
    free_watched(w);
    something_settled(d); /* a name that nobody uses any more is not waited for */
}

void mg_discovery_when_settled(struct mg_discovery *d, void (*fn)(void *arg), void *arg)
{
    struct waiter *w = mg_malloc(sizeof *w);
    *w = (struct waiter){.last_name = d->last_name, .fn = fn, .arg = arg};
    mg_list_push_back(&d->waiters, &w->link);
    something_settled(d);
}

void mg_discovery_forget_waiter(struct mg_discovery *d, void (*fn)(void *arg), void *arg)
{
    MG_LIST_FOREACH_SAFE(it, &d->waiters)
    {
        struct waiter *w = MG_CONTAINER_OF(it, struct waiter, link);
        if (w->fn != fn || w->arg != arg)
            continue;
        mg_list_remove(&w->link);
        free(w);
    }
}

/* --- life --- */

struct mg_discovery *mg_discovery_new(struct mg_loop *loop, struct mg_resolver *resolver)
{
    struct mg_discovery *d = mg_calloc(1, sizeof *d);
    d->loop = loop;
    d->resolver = resolver;
    mg_list_init(&d->names);
    mg_list_init(&d->services);
    mg_list_init(&d->waiters);
    mg_soon_init(&d->tell_waiters, on_tell_waiters, d);
    return d;
}

void mg_discovery_free(struct mg_discovery *d)
{
    if (!d)
        return;
    mg_soon_cancel(&d->tell_waiters);
    MG_LIST_FOREACH_SAFE(it, &d->services)
    {
        free_watched(MG_CONTAINER_OF(it, struct watched, link));
    }
    MG_LIST_FOREACH_SAFE(it, &d->waiters)
    {
        free(MG_CONTAINER_OF(it, struct waiter, link));
    }
    free(d);
}
