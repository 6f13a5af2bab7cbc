/*
 * Opening and closing what we listen on. Control thread, but for mg_sockets_close, where each
 * worker writes its own places of `fds` alone.
 */
#include "app/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "net/listener.h"
#include "net/sockaddr.h"

#define LABEL_MAX ((size_t)256)
#define TAKEN_TRIES 20
#define TAKEN_WAIT_MS 25

struct listener {
    char *address;   /* as configured; what we were given may have a name instead */
    char *name;      /* NULL: not open, or no more ours */
    uint32_t before; /* its number in the sockets before these */
    uint32_t count;  /* of fds */
    uint32_t shared; /* the first so many of them belong to the one before, too */
    int *fds;        /* by place; -1: not open */
};

struct mg_sockets {
    uint32_t count;
    bool leave_files;
    struct listener v[];
};

static bool is_unix(const char *address)
{
    return strncmp(address, "unix:", 5) == 0;
}

/* --- finding --- */

/* Do we listen on that port ourselves, perhaps by an address that overlaps with another? */
static bool has_port(const struct mg_sockets *s, uint16_t port)
{
    struct mg_addr addr;
    for (uint32_t i = 0; s && i < s->count; i++)
        if (s->v[i].name && !is_unix(s->v[i].name) &&
            mg_sockaddr_parse_listen(s->v[i].name, &addr) && addr.port == port)
            return true;
    return false;
}

/* All addresses of IPv4. A socket for all of IPv6 takes those as well. */
static bool is_any(const struct mg_addr *addr)
{
    static const struct mg_addr any4 = {.family = 4}, any6 = {.family = 6};
    return mg_ip_eq(addr, &any4) || mg_ip_eq(addr, &any6);
}

static bool is_bound_to(const struct listener *old, const struct mg_listen *l)
{
    return old->name && mg_str_eq(mg_str_c(old->name), l->address);
}

/* Port 0 is another one once it is bound. */
static bool has_address(const struct listener *old, const struct mg_listen *l)
{
    return mg_str_eq(mg_str_c(old->address), l->address);
}

static bool has_listener_name(const struct listener *old, const struct mg_listen *l)
{
    return l->name.n && mg_str_eq(mg_str_c(old->address), l->name);
}

static bool covers(const struct listener *old, const struct mg_listen *l)
{
    struct mg_addr a, b;
    return old->name && mg_sockaddr_parse_listen(old->name, &a) &&
           mg_sockaddr_parse_listen(l->address.p, &b) && a.port == b.port && is_any(&a) &&
           is_any(&b);
}

static bool is_claimed(const struct mg_sockets *s, uint32_t before)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->v[i].before == before)
            return true;
    return false;
}

typedef bool (*sign_fn)(const struct listener *old, const struct mg_listen *l);

/* By which an old listener is known; the surest sign first. */
static const sign_fn signs[] = {is_bound_to, has_address, has_listener_name, covers};
#define SIGNS (sizeof signs / sizeof signs[0])

/* Each old one is found once: two listeners may have asked for port 0. */
static uint32_t find_before(const struct mg_sockets *s, const struct mg_listen *l,
                            const struct mg_sockets *old, sign_fn sign)
{
    for (uint32_t i = 0; old && i < old->count; i++)
        if (sign(&old->v[i], l) && !is_claimed(s, i))
            return i;
    return MG_SOCKETS_NONE;
}

static void find_all_before(struct mg_sockets *s, const struct mg_listen *wanted,
                            const struct mg_sockets *old)
{
    for (size_t sign = 0; sign < SIGNS; sign++)
        for (uint32_t i = 0; i < s->count; i++)
            if (s->v[i].before == MG_SOCKETS_NONE)
                s->v[i].before = find_before(s, &wanted[i], old, signs[sign]);
}

/* --- opening --- */

/* Without SO_REUSEPORT no address can be bound that somebody listens on. */
static bool is_taken(const struct mg_addr *addr)
{
    struct sockaddr_storage ss;
    socklen_t len = mg_sockaddr_from(addr, &ss);
    int one = 1, fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false; /* opening it in earnest tells why */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool taken = bind(fd, (struct sockaddr *)&ss, len) < 0 && errno == EADDRINUSE;
    close(fd);
    return taken;
}

/* A gateway whose supervisor was killed a moment ago may still be giving its memory back, and then
 * its sockets. */
static bool stays_taken(const struct mg_addr *addr, enum mg_sockets_patience patience)
{
    int tries = patience == MG_SOCKETS_PATIENT ? TAKEN_TRIES : 1;
    while (is_taken(addr)) {
        if (--tries == 0)
            return true;
        poll(NULL, 0, TAKEN_WAIT_MS);
    }
    return false;
}

static enum mg_rc check_free(const char *address, const struct mg_sockets *old,
                             enum mg_sockets_patience patience, struct mg_error *err)
{
    struct mg_addr addr;
    if (is_unix(address) || !mg_sockaddr_parse_listen(address, &addr) || addr.port == 0 ||
        has_port(old, addr.port) || !stays_taken(&addr, patience))
        return MG_OK;
    return mg_error_set(err, "cannot listen on '%s': %s", address, strerror(EADDRINUSE));
}

static int open_first(const char *address, char **name, struct mg_error *err)
{
    struct mg_addr bound;
    char text[MG_IP_TEXT_MAX];
    int fd = mg_listener_open(address, &bound, err);
    if (fd >= 0)
        *name = is_unix(address) ? mg_strdup(mg_str_c(address))
                                 : mg_strdup(mg_str(text, mg_ip_format_port(&bound, text)));
    return fd;
}

/* The others take the port that the first got, or share its socket: a unix socket, or one that
 * whoever opened it wants to be alone. */
static int open_another(const struct listener *l, struct mg_error *err)
{
    if (!mg_listener_is_single(l->fds[0])) {
        int own = mg_listener_open(l->name, NULL, err);
        if (own >= 0)
            return own;
    }
    int fd = fcntl(l->fds[0], F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        mg_error_set(err, "cannot listen on '%s': %m", l->name);
    return fd;
}

static enum mg_rc open_listener(struct listener *l, struct mg_error *err)
{
    for (uint32_t i = l->shared; i < l->count; i++) {
        l->fds[i] = i ? open_another(l, err) : open_first(l->address, &l->name, err);
        if (l->fds[i] < 0)
            return MG_FAIL;
    }
    return MG_OK;
}

static void make_places(struct listener *l, uint32_t count)
{
    l->count = count;
    l->fds = mg_calloc(count, sizeof *l->fds);
    for (uint32_t i = 0; i < count; i++)
        l->fds[i] = -1;
}

/* The same descriptors as the old listener's. */
static void share_listener(struct listener *l, const struct listener *old)
{
    l->name = mg_strdup(mg_str_c(old->name));
    l->shared = old->count;
    memcpy(l->fds, old->fds, old->count * sizeof *l->fds);
}

static struct mg_sockets *new_sockets(uint32_t count)
{
    struct mg_sockets *s = mg_calloc(1, sizeof *s + count * sizeof s->v[0]);
    s->count = count;
    for (uint32_t i = 0; i < count; i++)
        s->v[i].before = MG_SOCKETS_NONE;
    return s;
}

static void plan_listener(struct listener *l, struct mg_str address, uint32_t workers,
                          const struct mg_sockets *old)
{
    l->address = mg_strdup(address);
    uint32_t there = l->before == MG_SOCKETS_NONE ? 0 : old->v[l->before].count;
    make_places(l, there > workers ? there : workers);
    if (there)
        share_listener(l, &old->v[l->before]);
}

static enum mg_rc open_all(struct mg_sockets *s, const struct mg_sockets *old, struct mg_error *err)
{
    /* Nobody serves yet, here: there is time. */
    enum mg_sockets_patience patience =
        old && old->count == 0 ? MG_SOCKETS_PATIENT : MG_SOCKETS_AT_ONCE;
    for (uint32_t i = 0; i < s->count; i++)
        if (!s->v[i].shared && check_free(s->v[i].address, old, patience, err) != MG_OK)
            return MG_FAIL;
    for (uint32_t i = 0; i < s->count; i++)
        if (open_listener(&s->v[i], err) != MG_OK)
            return MG_FAIL;
    return MG_OK;
}

struct mg_sockets *mg_sockets_open(const struct mg_generation *gen, uint32_t workers,
                                   const struct mg_sockets *old, struct mg_error *err)
{
    struct mg_sockets *s = new_sockets(gen->listen_count);
    find_all_before(s, gen->listens, old);
    for (uint32_t i = 0; i < s->count; i++)
        plan_listener(&s->v[i], gen->listens[i].address, workers, old);
    if (open_all(s, old, err) == MG_OK)
        return s;
    mg_sockets_give_back(s);
    mg_sockets_free(s);
    return NULL;
}

/* --- those that were there before us --- */

static void take_item(struct listener *l, struct mg_held_item *item)
{
    *l = (struct listener){.address = mg_strdup(mg_str_c(item->label)),
                           .name = mg_strdup(mg_str_c(item->name)),
                           .before = MG_SOCKETS_NONE,
                           .count = item->count,
                           .fds = item->fds};
    item->fds = NULL;
    item->count = 0;
}

struct mg_sockets *mg_sockets_inherit(struct mg_held *held)
{
    struct mg_sockets *s = new_sockets(held->count);
    for (uint32_t i = 0; i < s->count; i++)
        take_item(&s->v[i], &held->items[i]);
    mg_held_release(held);
    return s;
}

/* --- one alone --- */

static struct listener *find_one(struct mg_sockets *s, const char *address, const char *label)
{
    static const sign_fn signs_of_one[] = {is_bound_to, has_listener_name};
    const struct mg_listen wanted = {.name = mg_str_c(label), .address = mg_str_c(address)};
    for (size_t sign = 0; sign < sizeof signs_of_one / sizeof signs_of_one[0]; sign++)
        for (uint32_t i = 0; i < s->count; i++)
            if (s->v[i].name && signs_of_one[sign](&s->v[i], &wanted))
                return &s->v[i];
    return NULL;
}

static bool take_one(struct mg_sockets *s, const char *address, struct mg_sockets_one *out)
{
    struct listener *l = s ? find_one(s, address, out->label) : NULL;
    if (!l)
        return false;
    out->fd = l->fds[0];
    l->fds[0] = -1;
    out->name = l->name;
    l->name = NULL;
    return true;
}

static char *label_of_one(const char *role, const char *address)
{
    struct mg_buf text;
    mg_buf_init(&text, LABEL_MAX);
    mg_buf_printf(&text, "%s %s", role, address);
    char *label = mg_strdup(mg_buf_str(&text));
    mg_buf_release(&text);
    return label;
}

enum mg_rc mg_sockets_open_one(const char *role, const char *address, struct mg_sockets *inherited,
                               enum mg_sockets_patience patience, struct mg_sockets_one *out,
                               struct mg_error *err)
{
    struct mg_sockets_one one = {.fd = -1, .label = label_of_one(role, address)};
    if (!take_one(inherited, address, &one)) {
        if (check_free(address, NULL, patience, err) == MG_OK)
            one.fd = open_first(address, &one.name, err);
    }
    if (one.fd < 0) {
        free(one.label);
        return MG_FAIL;
    }
    one.address = mg_strdup(mg_str_c(address));
    *out = one;
    return MG_OK;
}

void mg_sockets_close_one(struct mg_sockets_one *one, bool leave_file)
{
    if (!one->address)
        return;
    close(one->fd);
    if (is_unix(one->name) && !leave_file)
        unlink(one->name + 5);
    free(one->address);
    free(one->label);
    free(one->name);
    *one = (struct mg_sockets_one){.fd = -1};
}

/* --- the end --- */

/* Somebody else has the first `count` descriptors, and the file. */
static void let_go(struct listener *l, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        l->fds[i] = -1;
    free(l->name);
    l->name = NULL;
}

void mg_sockets_take_over(struct mg_sockets *s, struct mg_sockets *old)
{
    for (uint32_t i = 0; i < s->count; i++) {
        struct listener *l = &s->v[i];
        if (!l->shared)
            continue;
        let_go(&old->v[l->before], l->shared);
        l->shared = 0;
    }
}

void mg_sockets_give_back(struct mg_sockets *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->v[i].shared)
            let_go(&s->v[i], s->v[i].shared);
}

void mg_sockets_leave_files(struct mg_sockets *s, bool on)
{
    s->leave_files = on;
}

void mg_sockets_free(struct mg_sockets *s)
{
    if (!s)
        return;
    for (uint32_t i = 0; i < s->count; i++) {
        struct listener *l = &s->v[i];
        for (uint32_t place = 0; place < l->count; place++)
            mg_sockets_close(s, i, place);
        if (l->name && is_unix(l->name) && !s->leave_files)
            unlink(l->name + 5);
        free(l->name);
        free(l->address);
        free(l->fds);
    }
    free(s);
}

/* --- looking --- */

uint32_t mg_sockets_before(const struct mg_sockets *s, uint32_t listener)
{
    return s->v[listener].before;
}

uint32_t mg_sockets_count(const struct mg_sockets *s)
{
    return s->count;
}

const char *mg_sockets_address(const struct mg_sockets *s, uint32_t listener)
{
    return s->v[listener].address;
}

const char *mg_sockets_name(const struct mg_sockets *s, uint32_t listener)
{
    return s->v[listener].name;
}

uint32_t mg_sockets_places(const struct mg_sockets *s, uint32_t listener)
{
    return s->v[listener].count;
}

int mg_sockets_fd(const struct mg_sockets *s, uint32_t listener, uint32_t place)
{
    return s->v[listener].fds[place];
}

const int *mg_sockets_fds(const struct mg_sockets *s, uint32_t listener)
{
    return s->v[listener].fds;
}

void mg_sockets_close(struct mg_sockets *s, uint32_t listener, uint32_t place)
{
    int *fd = &s->v[listener].fds[place];
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}
