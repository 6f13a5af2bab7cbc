/*
 * Services, their members and backends. The control thread makes and changes them, workers read.
 *
 * Always true: the list in force is never NULL and never changes; a newer one takes its place. A
 * backend that stays from list to list is the same object, so its id, counters and pooled
 * connections stay too.
 */
#include "upstream/service.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/memory.h"

#define CACHE_LINE 64
#define DEFAULT_PORT 80 /* RFC 9110 4.2.1: may be left out in Host */

struct mg_service {
    /* Set once. */
    struct mg_service_config config;
    struct mg_members_plan plan;
    char *texts; /* all strings of config and entries */
    struct mg_service_entry *entries;
    size_t entry_count;
    bool needs_names;
    struct mg_guards guards; /* and by a reload, before workers see the service */
    /* Control thread. */
    struct mg_members
        *inherited; /* of the service before a reload, until the next publish; or NULL */
    /* Under lock. Only the control thread writes, so it may read without. */
    pthread_mutex_t lock;
    struct mg_members *members;
    /* Atomic. */
    atomic_uint refs;
    atomic_uint_fast64_t version; /* of members */
    char _apart[CACHE_LINE];      /* `turn` is written by every request, the others are read */
    atomic_uint_fast64_t turn;
};

/* --- members --- */

/* A backend may be in several lists for a while: of a service, and of the one that takes over. */
static void list_all(const struct mg_members *m)
{
    for (uint32_t i = 0; i < m->count; i++)
        atomic_fetch_add_explicit(&m->v[i].backend->listed, 1, memory_order_relaxed);
}

static void delist_all(const struct mg_members *m)
{
    for (uint32_t i = 0; i < m->count; i++)
        atomic_fetch_sub_explicit(&m->v[i].backend->listed, 1, memory_order_relaxed);
}

static void mark_new(struct mg_backend *b, uint64_t now_ns)
{
    atomic_store_explicit(&b->health.recovered_since_ns, now_ns, memory_order_relaxed);
}

/* Takes `m`. */
static void put_in_force(struct mg_service *s, struct mg_members *m)
{
    struct mg_members *old = s->members;
    if (mg_members_are_same(old, m)) {
        mg_members_unref(m);
        return;
    }
    list_all(m);
    pthread_mutex_lock(&s->lock);
    s->members = m;
    atomic_fetch_add_explicit(&s->version, 1, memory_order_release);
    pthread_mutex_unlock(&s->lock);
    delist_all(old);
    mg_members_unref(old);
}

/* Takes `m`; NULL: there is nothing left to take over. */
static void set_inherited(struct mg_service *s, struct mg_members *m)
{
    if (m)
        list_all(m);
    if (s->inherited)
        delist_all(s->inherited);
    mg_members_unref(s->inherited);
    s->inherited = m;
}

void mg_service_publish(struct mg_service *s, const struct mg_endpoint *v, size_t count,
                        uint64_t now_ns)
{
    const struct mg_members *const known[] = {s->members, s->inherited};
    struct mg_members *m = mg_members_new(&s->plan, v, count, known);
    for (uint32_t i = 0; s->members->count && i < m->count; i++)
        if (!mg_backend_is_listed(m->v[i].backend))
            mark_new(m->v[i].backend, now_ns);
    put_in_force(s, m);
    set_inherited(s, NULL);
}

void mg_service_inherit(struct mg_service *s, struct mg_service *old, uint64_t now_ns)
{
    struct mg_members *m = mg_members_inherit(&s->plan, s->members, old->members);
    mg_guards_inherit(&s->guards, &old->guards);
    atomic_store(&s->turn, atomic_load(&old->turn));
    for (uint32_t i = 0; old->members->count && i < m->count; i++)
        if (m->v[i].backend == s->members->v[i].backend) /* it was not among the old ones */
            mark_new(m->v[i].backend, now_ns);
    put_in_force(s, m);
    set_inherited(s, s->needs_names ? mg_members_ref(old->members) : NULL);
}

/* --- definitions --- */

static size_t text_bytes(const struct mg_service_config *c)
{
    size_t n = c->name.n + c->dns_name.n + c->host_name.n + c->base_path.n + 4;
    n += (c->label.n ? c->label.n : c->name.n) + 1;
    n += c->hash.n + c->zone.n + 2;
    n += c->sticky.cookie.n + c->sticky.path.n + c->sticky.secret.n + 3;
    n += c->deadline_header.n + 1;
    n += c->dns_name.n + sizeof ":65535";
    for (size_t i = 0; i < c->backend_count; i++)
        n += c->backends[i].address.n + c->backends[i].zone.n + 2;
    return n;
}

/* With a NUL after it, which unix_path relies on. */
static struct mg_str copy_text(char **at, struct mg_str s)
{
    char *copy = *at;
    if (s.n)
        memcpy(copy, s.p, s.n);
    copy[s.n] = 0;
    *at += s.n + 1;
    return mg_str(copy, s.n);
}

/* Returns where the free room of `texts` begins. */
static char *copy_config(struct mg_service *s, const struct mg_service_config *config)
{
    struct mg_service_config *c = &s->config;
    struct mg_backend_config *backends =
        mg_malloc(config->backend_count * sizeof *config->backends);
    char *at = s->texts = mg_malloc(text_bytes(config));
    *c = *config;
    if (c->tls)
        mg_tls_client_settings_ref(c->tls);
    c->name = copy_text(&at, config->name);
    c->label = copy_text(&at, config->label.n ? config->label : config->name);
    c->dns_name = copy_text(&at, config->dns_name);
    c->host_name = copy_text(&at, config->host_name);
    c->base_path = copy_text(&at, config->base_path);
    c->deadline_header = copy_text(&at, config->deadline_header);
    c->hash = copy_text(&at, config->hash);
    c->zone = copy_text(&at, config->zone);
    c->sticky.cookie = copy_text(&at, config->sticky.cookie);
    c->sticky.path = copy_text(&at, config->sticky.path);
    c->sticky.secret = copy_text(&at, config->sticky.secret);
    for (size_t i = 0; i < config->backend_count; i++) {
        backends[i] = config->backends[i];
        backends[i].address = copy_text(&at, config->backends[i].address);
        backends[i].zone = copy_text(&at, config->backends[i].zone);
    }
    c->backends = backends;
    return at;
}

static enum mg_rc make_backend_entry(struct mg_service_entry *e, const struct mg_backend_config *c,
                                     struct mg_error *err)
{
    if (c->weight == 0)
        return mg_error_set(err, "cannot use '%.*s' as a backend: its weight is 0",
                            MG_STR_ARGS(c->address));
    if (mg_address_parse(c->address, &e->address, err) != MG_OK)
        return MG_FAIL;
    e->authority = e->address.kind == MG_ADDRESS_UNIX ? MG_STR("localhost") : c->address;
    e->weight = c->weight;
    e->zone = c->zone;
    e->priority = c->priority;
    return MG_OK;
}

static enum mg_rc make_dns_entry(struct mg_service_entry *e, const struct mg_service_config *c,
                                 char *text, struct mg_error *err)
{
    if (!mg_address_is_name(c->dns_name))
        return mg_error_set(err, "cannot use '%.*s': not a host name", MG_STR_ARGS(c->dns_name));
    if (c->dns_port == 0 || c->backend_count)
        return mg_error_set(err, "cannot use '%.*s': %s", MG_STR_ARGS(c->dns_name),
                            c->backend_count ? "there are backends as well" : "it needs a port");
    size_t n = c->dns_name.n;
    memcpy(text, c->dns_name.p, n);
    if (c->dns_port != DEFAULT_PORT) {
        text[n++] = ':';
        n += mg_u64_to_dec(c->dns_port, text + n);
    }
    *e = (struct mg_service_entry){
        .address = {.kind = MG_ADDRESS_NAME, .name = c->dns_name, .port = c->dns_port},
        .authority = mg_str(text, n),
        .weight = 1,
    };
    return MG_OK;
}

static enum mg_rc make_entries(struct mg_service *s, char *text, struct mg_error *err)
{
    const struct mg_service_config *c = &s->config;
    s->entries = mg_calloc(c->backend_count + 1, sizeof *s->entries);
    if (c->dns_name.n) {
        s->entry_count = 1;
        s->needs_names = true;
        return make_dns_entry(s->entries, c, text, err);
    }
    s->entry_count = c->backend_count;
    for (size_t i = 0; i < c->backend_count; i++) {
        if (make_backend_entry(&s->entries[i], &c->backends[i], err) != MG_OK)
            return MG_FAIL;
        s->needs_names |= s->entries[i].address.kind == MG_ADDRESS_NAME;
    }
    return MG_OK;
}

static void publish_addresses(struct mg_service *s)
{
    struct mg_endpoint *v = mg_malloc(s->entry_count * sizeof *v);
    size_t count = 0;
    for (size_t i = 0; i < s->entry_count; i++)
        if (s->entries[i].address.kind != MG_ADDRESS_NAME)
            v[count++] = mg_service_endpoint(&s->entries[i], NULL);
    mg_service_publish(s, v, count, 0);
    free(v);
}

struct mg_service *mg_service_new(const struct mg_service_config *config, struct mg_error *err)
{
    struct mg_service *s = mg_calloc(1, sizeof *s);
    atomic_init(&s->refs, 1);
    atomic_init(&s->version, 1);
    pthread_mutex_init(&s->lock, NULL);
    mg_guards_init(&s->guards, &config->guards);
    char *text = copy_config(s, config);
    s->plan = (struct mg_members_plan){
        .service = s->config.name,
        .zone = s->config.zone,
        .require_zone = s->config.require_zone,
        .with_rings = s->config.balance == MG_BALANCE_HASH,
        .sticky = &s->config.sticky,
    };
    s->members = mg_members_new(&s->plan, NULL, 0, (const struct mg_members *const[2]){NULL});
    if (make_entries(s, text, err) != MG_OK) {
        mg_service_unref(s);
        return NULL;
    }
    publish_addresses(s);
    return s;
}

struct mg_service *mg_service_ref(struct mg_service *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void mg_service_unref(struct mg_service *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    delist_all(s->members);
    mg_members_unref(s->members);
    set_inherited(s, NULL);
    mg_guards_release(&s->guards);
    pthread_mutex_destroy(&s->lock);
    free((void *)s->config.backends);
    mg_tls_client_settings_unref(s->config.tls);
    free(s->entries);
    free(s->texts);
    free(s);
}

const struct mg_service_config *mg_service_config(const struct mg_service *s)
{
    return &s->config;
}

const struct mg_guards *mg_service_guards(const struct mg_service *s)
{
    return s->guards.any ? &s->guards : NULL;
}

const struct mg_service_entry *mg_service_entries(const struct mg_service *s, size_t *count)
{
    *count = s->entry_count;
    return s->entries;
}

struct mg_endpoint mg_service_endpoint(const struct mg_service_entry *e, const struct mg_addr *at)
{
    struct mg_endpoint endpoint = {
        .authority = e->authority, .zone = e->zone, .weight = e->weight, .priority = e->priority};
    if (e->address.kind == MG_ADDRESS_UNIX) {
        endpoint.unix_path = e->address.path.p;
    } else {
        endpoint.addr = at ? *at : e->address.addr;
        endpoint.addr.port = e->address.port;
    }
    return endpoint;
}

bool mg_service_needs_names(const struct mg_service *s)
{
    return s->needs_names;
}

/* --- for pickers --- */

uint64_t mg_service_version(const struct mg_service *s)
{
    return atomic_load_explicit(&s->version, memory_order_acquire);
}

struct mg_members *mg_service_members(struct mg_service *s, uint64_t *version)
{
    pthread_mutex_lock(&s->lock);
    struct mg_members *m = mg_members_ref(s->members);
    *version = atomic_load_explicit(&s->version, memory_order_relaxed);
    pthread_mutex_unlock(&s->lock);
    return m;
}

uint64_t mg_service_take_turn(struct mg_service *s)
{
    return atomic_fetch_add_explicit(&s->turn, 1, memory_order_relaxed);
}
