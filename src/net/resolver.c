/*
 * Names to addresses through c-ares, on libevent events and one mg_timer. Loop thread.
 *
 * c-ares may call back before ares_getaddrinfo returns (for /etc/hosts), must not be destroyed
 * inside its own callbacks, and cannot give up a single query. So results always go out through
 * mg_soon, and a lookup that nobody wants any more stays here, without its on_done, until c-ares
 * lets go of it.
 */
#include "net/resolver.h"

#include <ares.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "base/memory.h"
#include "net/loop_private.h"
#include "net/sockaddr.h"

/* c-ares doubles its wait from try to try: with one server it is done after 7 times this, even
 * where a server answers for IPv4 and never for IPv6. */
#define FIRST_TRY_MS 850
#define TRIES 3
/* However many servers and search domains there are. */
#define DEADLINE_NS (6 * MG_SECOND)

#define TTL_MIN_NS MG_SECOND /* a name with TTL 0 must not make us spin */
#define TTL_MAX_NS (3600 * MG_SECOND)
/* /etc/hosts gives no TTL; reading it again this often costs nothing worth counting. */
#define TTL_OF_FILE_S 10

#define NAME_MAX_BYTES 255 /* RFC 1035 2.3.4 */

struct mg_resolver {
    struct mg_loop *loop;
    ares_channel channel; /* NULL: simulated */
    struct mg_timer timer;
    struct mg_link watches; /* sockets of c-ares */
    struct mg_link lookups; /* those still to be told, and those that c-ares holds */
    struct mg_link played;
};

struct watch {
    struct mg_link link;
    struct mg_resolver *resolver;
    int fd;
    struct event event;
};

struct mg_lookup {
    struct mg_link link;
    struct mg_resolver *resolver;
    mg_resolver_fn on_done; /* NULL: nobody wants it any more */
    void *arg;
    bool starting; /* ares_getaddrinfo has not returned yet */
    bool in_ares;
    struct mg_timer deadline;
    struct mg_soon done;
    struct mg_addr *addrs;
    size_t count;
    uint64_t ttl_ns;
    const char *error;
};

struct played {
    struct mg_link link;
    char *name;
    struct mg_addr *addrs;
    size_t count;
    uint64_t ttl_ns;
};

/* --- sockets and time of c-ares --- */

static void set_timer(struct mg_resolver *r)
{
    struct timeval tv;
    if (!ares_timeout(r->channel, NULL, &tv)) {
        mg_timer_stop(&r->timer);
        return;
    }
    mg_timer_set(&r->timer, mg_loop_now(r->loop) + (uint64_t)tv.tv_sec * MG_SECOND +
                                (uint64_t)tv.tv_usec * 1000);
}

static void on_timer(void *arg)
{
    struct mg_resolver *r = arg;
    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_timer(r);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
    struct mg_resolver *r = ((struct watch *)arg)->resolver;
    mg_loop_event_begins(r->loop);
    ares_process_fd(r->channel, what & EV_READ ? fd : ARES_SOCKET_BAD,
                    what & EV_WRITE ? fd : ARES_SOCKET_BAD);
    set_timer(r);
}

static struct watch *watch_of(struct mg_resolver *r, int fd)
{
    MG_LIST_FOREACH(it, &r->watches)
    {
        struct watch *w = MG_CONTAINER_OF(it, struct watch, link);
        if (w->fd == fd)
            return w;
    }
    struct watch *w = mg_malloc(sizeof *w);
    w->resolver = r;
    w->fd = fd;
    event_assign(&w->event, mg_loop_base(r->loop), fd, 0, on_socket, w);
    mg_list_push_back(&r->watches, &w->link);
    return w;
}

static void on_sock_state(void *data, ares_socket_t fd, int readable, int writable)
{
    struct mg_resolver *r = data;
    struct watch *w = watch_of(r, fd);
    event_del(&w->event);
    if (!readable && !writable) {
        mg_list_remove(&w->link);
        mg_loop_free_later(r->loop, w, NULL);
        return;
    }
    short what = (short)(EV_PERSIST | (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));
    event_assign(&w->event, mg_loop_base(r->loop), fd, what, on_socket, w);
    event_add(&w->event, NULL);
}

/* --- results --- */

static void release(struct mg_lookup *l)
{
    mg_list_remove(&l->link);
    mg_timer_release(&l->deadline);
    mg_soon_cancel(&l->done);
    free(l->addrs);
    free(l);
}

static void deliver(void *arg)
{
    struct mg_lookup *l = arg;
    struct mg_resolved resolved = {l->addrs, l->count, l->ttl_ns, l->error};
    /* Off the resolver's list first, as the callee may free the resolver. */
    mg_list_remove(&l->link);
    mg_timer_release(&l->deadline);
    l->on_done(l->arg, &resolved);
    release(l);
}

static const char *error_text(int status)
{
    switch (status) {
    case ARES_ENOTFOUND:
        return "no such name";
    case ARES_ENODATA:
        return "the name has no address";
    case ARES_EBADNAME:
        return "not a host name";
    case ARES_ETIMEOUT:
        return "no answer from the name servers in time";
    case ARES_ECONNREFUSED: /* also how c-ares 1.18 ends when every server failed or refused */
    case ARES_ESERVFAIL:
    case ARES_EREFUSED:
    case ARES_ENOTIMP:
        return "no name server could answer";
    case ARES_EBADRESP:
    case ARES_EFORMERR:
        return "the name server's answer makes no sense";
    default:
        return ares_strerror(status);
    }
}

static void on_deadline(void *arg)
{
    struct mg_lookup *l = arg;
    mg_resolver_fn on_done = l->on_done;
    l->on_done = NULL;
    on_done(l->arg, &(struct mg_resolved){.error = error_text(ARES_ETIMEOUT)});
}

static uint64_t clamp_ttl(uint64_t ttl_ns)
{
    return ttl_ns < TTL_MIN_NS ? TTL_MIN_NS : ttl_ns > TTL_MAX_NS ? TTL_MAX_NS : ttl_ns;
}

/* RFC 2181 8: a TTL with the top bit set counts as 0. */
static int lesser_ttl(int a, int b)
{
    return b < 0 ? 0 : b < a ? b : a;
}

static int ttl_of(const struct ares_addrinfo *info)
{
    int ttl = INT32_MAX;
    for (const struct ares_addrinfo_node *n = info->nodes; n; n = n->ai_next)
        ttl = lesser_ttl(ttl, n->ai_ttl);
    for (const struct ares_addrinfo_cname *c = info->cnames; c; c = c->next)
        ttl = lesser_ttl(ttl, c->ttl);
    return ttl;
}

static size_t copy_addrs(const struct ares_addrinfo *info, struct mg_addr *out)
{
    size_t count = 0;
    for (const struct ares_addrinfo_node *n = info->nodes; n && count < MG_RESOLVER_ADDRS_MAX;
         n = n->ai_next) {
        struct sockaddr_storage ss = {0};
        if ((size_t)n->ai_addrlen > sizeof ss)
            continue;
        memcpy(&ss, n->ai_addr, n->ai_addrlen);
        mg_sockaddr_to(&ss, &out[count]);
        out[count].port = 0;
        if (out[count].family)
            count++;
    }
    return count;
}

/* Connecting a datagram socket sends nothing, but fails where there is no route. */
static bool has_route(const struct mg_addr *addr)
{
    struct sockaddr_storage ss;
    struct mg_addr to = *addr;
    to.port = 9; /* discard; any will do */
    socklen_t len = mg_sockaddr_from(&to, &ss);
    int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool ok = connect(fd, (struct sockaddr *)&ss, len) == 0;
    close(fd);
    return ok;
}

/* Sorting alone (RFC 6724 rule 1) puts them last, but who takes all addresses would still hit them.
 */
static size_t drop_unusable(struct mg_addr *addrs, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (addrs[i].family == 4 || has_route(&addrs[i]))
            addrs[kept++] = addrs[i];
    return kept ? kept : count;
}

static void on_ares(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    struct mg_lookup *l = arg;
    (void)timeouts;
    l->in_ares = false;
    if (!l->on_done) {
        release(l);
    } else {
        if (status == ARES_SUCCESS && info) {
            /* Only what a file answers comes before ares_getaddrinfo has returned. */
            int ttl = l->starting ? TTL_OF_FILE_S : ttl_of(info);
            l->addrs = mg_malloc(MG_RESOLVER_ADDRS_MAX * sizeof *l->addrs);
            l->count = drop_unusable(l->addrs, copy_addrs(info, l->addrs));
            l->ttl_ns = clamp_ttl((uint64_t)ttl * MG_SECOND);
            status = ARES_ENODATA; /* where nothing was left */
        }
        l->error = l->count ? NULL : error_text(status);
        mg_timer_stop(&l->deadline);
        mg_soon_run(l->resolver->loop, &l->done);
    }
    if (info)
        ares_freeaddrinfo(info);
}

/* --- simulation --- */

static struct played *played_of(struct mg_resolver *r, struct mg_str name)
{
    MG_LIST_FOREACH(it, &r->played)
    {
        struct played *p = MG_CONTAINER_OF(it, struct played, link);
        if (mg_str_ieq(mg_str_c(p->name), name))
            return p;
    }
    return NULL;
}

static void free_played(struct played *p)
{
    mg_list_remove(&p->link);
    free(p->name);
    free(p->addrs);
    free(p);
}

void mg_resolver_play(struct mg_resolver *r, struct mg_str name, const struct mg_addr *addrs,
                      size_t count, uint64_t ttl_ns)
{
    struct played *p = played_of(r, name);
    if (p)
        free_played(p);
    if (count > MG_RESOLVER_ADDRS_MAX)
        count = MG_RESOLVER_ADDRS_MAX;
    p = mg_malloc(sizeof *p);
    *p = (struct played){.name = mg_strdup(name), .count = count, .ttl_ns = clamp_ttl(ttl_ns)};
    p->addrs = mg_malloc(count * sizeof *addrs);
    if (count)
        memcpy(p->addrs, addrs, count * sizeof *addrs);
    mg_list_push_back(&r->played, &p->link);
}

static void look_up_played(struct mg_lookup *l, struct mg_str name)
{
    const struct played *p = played_of(l->resolver, name);
    if (p && p->count) {
        l->addrs = mg_malloc(p->count * sizeof *p->addrs);
        memcpy(l->addrs, p->addrs, p->count * sizeof *p->addrs);
        l->count = p->count;
        l->ttl_ns = p->ttl_ns;
    } else {
        l->error = error_text(ARES_ENOTFOUND);
    }
    mg_soon_run(l->resolver->loop, &l->done);
}

/* --- lookups --- */

static void look_up(struct mg_lookup *l, struct mg_str name)
{
    struct mg_resolver *r = l->resolver;
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    char *text = mg_strdup(name);
    l->starting = l->in_ares = true;
    ares_getaddrinfo(r->channel, text, NULL, &hints, on_ares, l);
    l->starting = false;
    free(text);
    if (l->in_ares)
        mg_timer_set(&l->deadline, mg_loop_now(r->loop) + DEADLINE_NS);
    set_timer(r);
}

struct mg_lookup *mg_resolver_lookup(struct mg_resolver *r, struct mg_str name,
                                     mg_resolver_fn on_done, void *arg)
{
    struct mg_lookup *l = mg_malloc(sizeof *l);
    *l = (struct mg_lookup){.resolver = r, .on_done = on_done, .arg = arg};
    mg_timer_init(&l->deadline, r->loop, on_deadline, l);
    mg_soon_init(&l->done, deliver, l);
    mg_list_push_back(&r->lookups, &l->link);
    if (name.n == 0 || name.n > NAME_MAX_BYTES || memchr(name.p, 0, name.n)) {
        l->error = error_text(ARES_EBADNAME);
        mg_soon_run(r->loop, &l->done);
    } else if (!r->channel) {
        look_up_played(l, name);
    } else {
        look_up(l, name);
    }
    return l;
}

void mg_resolver_cancel(struct mg_lookup *l)
{
    if (!l->in_ares) {
        release(l);
        return;
    }
    l->on_done = NULL;
    mg_timer_stop(&l->deadline);
}

/* --- life --- */

static void init_library(void)
{
    ares_library_init(ARES_LIB_INIT_ALL);
}

static int new_channel(struct mg_resolver *r)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char lookups[] = "fb"; /* files, then DNS */
    struct ares_options options = {
        .timeout = FIRST_TRY_MS,
        .tries = TRIES,
        .lookups = lookups,
        .sock_state_cb = on_sock_state,
        .sock_state_cb_data = r,
    };
    pthread_once(&once, init_library);
    return ares_init_options(&r->channel, &options,
                             ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
                                 ARES_OPT_SOCK_STATE_CB);
}

struct mg_resolver *mg_resolver_new(struct mg_loop *loop, struct mg_error *err)
{
    struct mg_resolver *r = mg_calloc(1, sizeof *r);
    r->loop = loop;
    mg_list_init(&r->watches);
    mg_list_init(&r->lookups);
    mg_list_init(&r->played);
    mg_timer_init(&r->timer, loop, on_timer, r);
    int status = mg_loop_is_simulated(loop) ? ARES_SUCCESS : new_channel(r);
    if (status == ARES_SUCCESS)
        return r;
    mg_error_set(err, "cannot set up name resolution: %s", error_text(status));
    free(r);
    return NULL;
}

void mg_resolver_free(struct mg_resolver *r)
{
    if (!r)
        return;
    MG_LIST_FOREACH_SAFE(it, &r->lookups)
    {
        mg_resolver_cancel(MG_CONTAINER_OF(it, struct mg_lookup, link));
    }
    if (r->channel)
        ares_destroy(r->channel); /* calls on_ares for what it still holds */
    MG_LIST_FOREACH_SAFE(it, &r->played)
    {
        free_played(MG_CONTAINER_OF(it, struct played, link));
    }
    mg_timer_release(&r->timer);
    free(r);
}

enum mg_rc mg_resolver_set_servers(struct mg_resolver *r, const char *servers, struct mg_error *err)
{
    if (!r->channel)
        return mg_error_set(err, "cannot use name servers '%s': this is a simulation", servers);
    int status = ares_set_servers_ports_csv(r->channel, servers);
    if (status != ARES_SUCCESS)
        return mg_error_set(err, "cannot use name servers '%s': %s", servers,
                            status == ARES_EBADSTR ? "not an address" : error_text(status));
    return MG_OK;
}
