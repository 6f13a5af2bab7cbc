/* Listening and connecting sockets on libevent. Loop thread, but for mg_listener_open. */
#include "net/listener.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "net/loop_private.h"
#include "net/sockaddr.h"

/* A busy listener does not hold the loop: the level-triggered event calls again. */
#define ACCEPTS_A_TURN 32
#define BACKLOG 4096
/* Wait after running out of descriptors, instead of spinning on a socket that stays readable. */
#define PAUSE_NS (100 * MG_MILLISECOND)

struct mg_listener {
    struct mg_loop *loop;
    int fd;
    bool closed;
    mg_accept_fn on_accept;
    void *arg;
    struct event event;
    struct mg_timer retry;
};

static void set_no_delay(int fd)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* --- opening --- */

static int bind_unix(const char *address, const char *path, struct mg_error *err)
{
    struct sockaddr_un sun;
    socklen_t len;
    struct stat st;
    if (!mg_sockaddr_unix(path, &sun, &len)) {
        mg_error_set(err, "cannot listen on '%s': path empty or too long", address);
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        mg_error_set(err, "cannot listen on '%s': %m", address);
        return -1;
    }
    /* A socket file that nobody answers on was left behind by a crash. One that is answered is in
     * use. */
    if (stat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
        int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (probe >= 0 && connect(probe, (struct sockaddr *)&sun, len) < 0 && errno == ECONNREFUSED)
            unlink(path);
        if (probe >= 0)
            close(probe);
    }
    if (bind(fd, (struct sockaddr *)&sun, len) < 0) {
        mg_error_set(err, "cannot listen on '%s': %m", address);
        close(fd);
        return -1;
    }
    return fd;
}

static int bind_tcp(const char *address, struct mg_addr *addr, struct mg_error *err)
{
    struct sockaddr_storage ss;
    socklen_t len = mg_sockaddr_from(addr, &ss);
    int one = 1;
    int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        goto fail;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&ss, len) < 0)
        goto fail;
    len = sizeof ss;
    if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0)
        mg_sockaddr_to(&ss, addr);
    return fd;
fail:
    mg_error_set(err, "cannot listen on '%s': %m", address);
    if (fd >= 0)
        close(fd);
    return -1;
}

int mg_listener_open(const char *address, struct mg_addr *bound, struct mg_error *err)
{
    struct mg_addr addr = {0};
    int fd;
    if (strncmp(address, "unix:", 5) == 0) {
        fd = bind_unix(address, address + 5, err);
    } else {
        if (!mg_sockaddr_parse_listen(address, &addr)) {
            mg_error_set(err, "cannot listen on '%s': not an address and port", address);
            return -1;
        }
        fd = bind_tcp(address, &addr, err);
    }
    if (fd < 0)
        return -1;
    if (listen(fd, BACKLOG) < 0) {
        mg_error_set(err, "cannot listen on '%s': %m", address);
        close(fd);
        return -1;
    }
    if (bound)
        *bound = addr;
    return fd;
}

/* --- sockets that others opened --- */

static int option(int fd, int name)
{
    int value = 0;
    socklen_t len = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 ? value : 0;
}

static bool unix_name(const struct sockaddr_storage *ss, socklen_t len,
                      char name[MG_LISTENER_NAME_MAX])
{
    const struct sockaddr_un *sun = (const struct sockaddr_un *)ss;
    size_t n = len > offsetof(struct sockaddr_un, sun_path)
                   ? strnlen(sun->sun_path, len - offsetof(struct sockaddr_un, sun_path))
                   : 0;
    snprintf(name, MG_LISTENER_NAME_MAX, "unix:%.*s", (int)n, sun->sun_path);
    return n > 0; /* else it is abstract, or was not bound */
}

bool mg_listener_bound(int fd, char name[MG_LISTENER_NAME_MAX])
{
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof ss;
    struct mg_addr addr;
    char text[MG_IP_TEXT_MAX];
    if (option(fd, SO_TYPE) != SOCK_STREAM || !option(fd, SO_ACCEPTCONN) ||
        getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
        return false;
    if (ss.ss_family == AF_UNIX)
        return unix_name(&ss, len, name);
    mg_sockaddr_to(&ss, &addr);
    mg_ip_format_port(&addr, text);
    snprintf(name, MG_LISTENER_NAME_MAX, "%s", text);
    return addr.family != 0;
}

bool mg_listener_is_single(int fd)
{
    return option(fd, SO_DOMAIN) == AF_UNIX || !option(fd, SO_REUSEPORT);
}

/* --- accepting --- */

static void out_of_descriptors(struct mg_listener *l)
{
    mg_log_error("cannot accept a connection", MG_LOG_C("error", strerror(errno)));
    event_del(&l->event);
    mg_timer_set(&l->retry, mg_loop_now(l->loop) + PAUSE_NS);
}

static void accepted(struct mg_listener *l, int fd, const struct sockaddr_storage *from)
{
    struct mg_addr peer = {0}, local = {0};
    if (from->ss_family == AF_INET || from->ss_family == AF_INET6) {
        struct sockaddr_storage here;
        socklen_t len = sizeof here;
        set_no_delay(fd);
        mg_sockaddr_to(from, &peer);
        if (getsockname(fd, (struct sockaddr *)&here, &len) == 0)
            mg_sockaddr_to(&here, &local);
    }
    l->on_accept(l->arg, mg_socket_stream_new(l->loop, fd, &peer, &local));
}

static void on_acceptable(evutil_socket_t listen_fd, short what, void *arg)
{
    struct mg_listener *l = arg;
    (void)what;
    mg_loop_event_begins(l->loop);
    for (int i = 0; i < ACCEPTS_A_TURN && !l->closed; i++) {
        struct sockaddr_storage from = {0};
        socklen_t len = sizeof from;
        int fd =
            accept4((int)listen_fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            accepted(l, fd, &from);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            out_of_descriptors(l);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return; /* EAGAIN: another worker was faster, or the queue is empty */
        }
    }
}

static void on_retry(void *arg)
{
    struct mg_listener *l = arg;
    if (!l->closed)
        event_add(&l->event, NULL);
}

struct mg_listener *mg_listener_new(struct mg_loop *loop, int fd, mg_accept_fn on_accept, void *arg)
{
    struct mg_listener *l = mg_calloc(1, sizeof *l);
    *l = (struct mg_listener){.loop = loop, .fd = fd, .on_accept = on_accept, .arg = arg};
    mg_timer_init(&l->retry, loop, on_retry, l);
    event_assign(&l->event, mg_loop_base(loop), fd, EV_READ | EV_PERSIST, on_acceptable, l);
    event_add(&l->event, NULL);
    return l;
}

void mg_listener_set_arg(struct mg_listener *l, void *arg)
{
    l->arg = arg;
}

void mg_listener_free(struct mg_listener *l)
{
    if (!l)
        return;
    l->closed = true; /* ends the loop in on_acceptable, which may be our caller */
    event_del(&l->event);
    mg_timer_release(&l->retry);
    mg_loop_free_later(l->loop, l, NULL);
}

/* --- connecting --- */

struct mg_connect {
    struct mg_loop *loop;
    int fd;
    struct mg_addr addr;
    mg_connect_fn on_done;
    void *arg;
    struct event event;
};

static void finish(struct mg_connect *c, struct mg_stream *stream, int error)
{
    event_del(&c->event);
    mg_loop_free_later(c->loop, c, NULL);
    c->on_done(c->arg, stream, error);
}

static void on_connected(evutil_socket_t fd, short what, void *arg)
{
    struct mg_connect *c = arg;
    int error = 0;
    socklen_t len = sizeof error;
    struct mg_addr local = {0};
    (void)what;
    mg_loop_event_begins(c->loop);
    if (getsockopt((int)fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    if (error) {
        close((int)fd);
        finish(c, NULL, error);
        return;
    }
    /* The event is taken off before the stream puts its own on the same descriptor. */
    event_del(&c->event);
    finish(c, mg_socket_stream_new(c->loop, (int)fd, &c->addr, &local), 0);
}

static int start_connect(const struct mg_addr *addr, const char *path)
{
    struct sockaddr_storage ss;
    struct sockaddr_un sun;
    struct sockaddr *to = (struct sockaddr *)&ss;
    socklen_t len;
    if (path) {
        if (!mg_sockaddr_unix(path, &sun, &len)) {
            errno = ENAMETOOLONG;
            return -1;
        }
        to = (struct sockaddr *)&sun;
    } else {
        len = mg_sockaddr_from(addr, &ss);
    }
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (!path)
        set_no_delay(fd);
    if (connect(fd, to, len) == 0 || errno == EINPROGRESS)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

struct mg_connect *mg_connect_start(struct mg_loop *loop, const struct mg_addr *addr,
                                    const char *path, mg_connect_fn on_done, void *arg, int *error)
{
    int fd = start_connect(addr, path);
    if (fd < 0) {
        *error = errno;
        return NULL;
    }
    struct mg_connect *c = mg_calloc(1, sizeof *c);
    *c = (struct mg_connect){.loop = loop, .fd = fd, .on_done = on_done, .arg = arg};
    if (!path)
        c->addr = *addr;
    event_assign(&c->event, mg_loop_base(loop), fd, EV_WRITE, on_connected, c);
    event_add(&c->event, NULL);
    return c;
}

void mg_connect_cancel(struct mg_connect *c)
{
    event_del(&c->event);
    close(c->fd);
    mg_loop_free_later(c->loop, c, NULL);
}
