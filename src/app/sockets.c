/*
 * Opening and closing what we listen on. Control thread, but for mg_sockets_close, where each
 * worker writes its own places of `fds` alone.
 */
#include "app/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "net/listener.h"
#include "net/sockaddr.h"

struct mg_sockets {
    uint32_t listeners, workers;
    char **addresses; /* by listener, as configured */
    char **names;     /* by listener; NULL: not open, or no more ours */
    uint32_t *before; /* by listener: its number in the sockets before these */
    int *fds;         /* by listener, then worker; -1: not open */
};

static int *place(const struct mg_sockets *s, uint32_t listener, uint32_t worker)
{
    return &s->fds[(size_t)listener * s->workers + worker];
}

static bool is_unix(const char *address)
{
    return strncmp(address, "unix:", 5) == 0;
}

/* Do we listen on that port ourselves, perhaps by an address that overlaps with another? */
static bool has_port(const struct mg_sockets *s, uint16_t port)
{
    struct mg_addr addr;
    for (uint32_t i = 0; s && i < s->listeners; i++)
        if (!is_unix(s->names[i]) && mg_sockaddr_parse_listen(s->names[i], &addr) &&
            addr.port == port)
            return true;
    return false;
}

/* Without SO_REUSEPORT no address can be bound that somebody listens on. */
static enum mg_rc check_free(const char *address, const struct mg_sockets *old,
                             struct mg_error *err)
{
    struct sockaddr_storage ss;
    struct mg_addr addr;
    int one = 1;
    if (is_unix(address) || !mg_sockaddr_parse_listen(address, &addr) || addr.port == 0 ||
        has_port(old, addr.port))
        return MG_OK;
    socklen_t len = mg_sockaddr_from(&addr, &ss);
    int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return MG_OK; /* opening it in earnest tells why */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool taken = bind(fd, (struct sockaddr *)&ss, len) < 0 && errno == EADDRINUSE;
    close(fd);
    return taken ? mg_error_set(err, "cannot listen on '%s': %s", address, strerror(EADDRINUSE))
                 : MG_OK;
}

/* The others share a unix socket with the first, and take the port that it got. */
static int open_another(const struct mg_sockets *s, uint32_t listener, struct mg_error *err)
{
    if (!is_unix(s->names[listener]))
        return mg_listener_open(s->names[listener], NULL, err);
    int fd = fcntl(*place(s, listener, 0), F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        mg_error_set(err, "cannot listen on '%s': %m", s->names[listener]);
    return fd;
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

int mg_sockets_open_one(const char *address, char **name, struct mg_error *err)
{
    return check_free(address, NULL, err) == MG_OK ? open_first(address, name, err) : -1;
}

static enum mg_rc open_listener(struct mg_sockets *s, uint32_t listener, const char *address,
                                struct mg_error *err)
{
    int fd = open_first(address, &s->names[listener], err);
    if (fd < 0)
        return MG_FAIL;
    *place(s, listener, 0) = fd;
    for (uint32_t w = 1; w < s->workers; w++) {
        *place(s, listener, w) = open_another(s, listener, err);
        if (*place(s, listener, w) < 0)
            return MG_FAIL;
    }
    return MG_OK;
}

static uint32_t find_address(const struct mg_sockets *s, const char *address)
{
    for (uint32_t i = 0; s && i < s->listeners; i++)
        if (strcmp(s->addresses[i], address) == 0)
            return i;
    return MG_SOCKETS_NONE;
}

/* The same descriptors as the old listener's. */
static void share_listener(struct mg_sockets *s, uint32_t listener, const struct mg_sockets *old)
{
    uint32_t before = s->before[listener];
    s->names[listener] = mg_strdup(mg_str_c(old->names[before]));
    for (uint32_t w = 0; w < s->workers; w++)
        *place(s, listener, w) = *place(old, before, w);
}

static struct mg_sockets *new_sockets(const struct mg_generation *gen, uint32_t workers,
                                      const struct mg_sockets *old)
{
    struct mg_sockets *s = mg_calloc(1, sizeof *s);
    size_t count = (size_t)gen->listen_count * workers;
    s->listeners = gen->listen_count;
    s->workers = workers;
    s->addresses = mg_calloc(gen->listen_count, sizeof *s->addresses);
    s->names = mg_calloc(gen->listen_count, sizeof *s->names);
    s->before = mg_calloc(gen->listen_count, sizeof *s->before);
    s->fds = mg_calloc(count, sizeof *s->fds);
    for (size_t i = 0; i < count; i++)
        s->fds[i] = -1;
    for (uint32_t i = 0; i < gen->listen_count; i++) {
        s->addresses[i] = mg_strdup(gen->listens[i].address);
        s->before[i] = find_address(old, s->addresses[i]);
    }
    return s;
}

static enum mg_rc open_all(struct mg_sockets *s, const struct mg_sockets *old, struct mg_error *err)
{
    for (uint32_t i = 0; i < s->listeners; i++)
        if (s->before[i] == MG_SOCKETS_NONE && check_free(s->addresses[i], old, err) != MG_OK)
            return MG_FAIL;
    for (uint32_t i = 0; i < s->listeners; i++) {
        if (s->before[i] != MG_SOCKETS_NONE)
            share_listener(s, i, old);
        else if (open_listener(s, i, s->addresses[i], err) != MG_OK)
            return MG_FAIL;
    }
    return MG_OK;
}

struct mg_sockets *mg_sockets_open(const struct mg_generation *gen, uint32_t workers,
                                   const struct mg_sockets *old, struct mg_error *err)
{
    struct mg_sockets *s = new_sockets(gen, workers, old);
    if (open_all(s, old, err) == MG_OK)
        return s;
    mg_sockets_give_back(s);
    mg_sockets_free(s);
    return NULL;
}

/* Somebody else has its descriptors and its file. */
static void let_go(struct mg_sockets *s, uint32_t listener)
{
    for (uint32_t w = 0; w < s->workers; w++)
        *place(s, listener, w) = -1;
    free(s->names[listener]);
    s->names[listener] = NULL;
}

uint32_t mg_sockets_before(const struct mg_sockets *s, uint32_t listener)
{
    return s->before[listener];
}

void mg_sockets_take_over(struct mg_sockets *s, struct mg_sockets *old)
{
    for (uint32_t i = 0; i < s->listeners; i++)
        if (s->before[i] != MG_SOCKETS_NONE)
            let_go(old, s->before[i]);
}

void mg_sockets_give_back(struct mg_sockets *s)
{
    for (uint32_t i = 0; i < s->listeners; i++)
        if (s->before[i] != MG_SOCKETS_NONE && s->names[i])
            let_go(s, i);
}

void mg_sockets_free(struct mg_sockets *s)
{
    if (!s)
        return;
    for (uint32_t i = 0; i < s->listeners; i++) {
        for (uint32_t w = 0; w < s->workers; w++)
            mg_sockets_close(s, i, w);
        if (s->names[i] && is_unix(s->names[i]))
            unlink(s->names[i] + 5);
        free(s->names[i]);
        free(s->addresses[i]);
    }
    free(s->addresses);
    free(s->names);
    free(s->before);
    free(s->fds);
    free(s);
}

uint32_t mg_sockets_count(const struct mg_sockets *s)
{
    return s->listeners;
}

const char *mg_sockets_name(const struct mg_sockets *s, uint32_t listener)
{
    return s->names[listener];
}

int mg_sockets_fd(const struct mg_sockets *s, uint32_t listener, uint32_t worker)
{
    return *place(s, listener, worker);
}

void mg_sockets_close(struct mg_sockets *s, uint32_t listener, uint32_t worker)
{
    int *fd = place(s, listener, worker);
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}
