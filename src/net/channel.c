/* Channels on libevent. Loop thread. */
#include "net/channel.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "net/loop_private.h"

struct mg_channel {
    struct mg_loop *loop;
    int fd;
    struct mg_channel_events events;
    struct event event;
};

/* Room for one descriptor, aligned as its header wants it. */
union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

enum mg_rc mg_channel_pair(int ends[2], struct mg_error *err)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0)
        return MG_OK;
    return mg_error_set(err, "cannot open a channel to another process: %m");
}

static int received_fd(struct msghdr *m)
{
    int fd = -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

enum outcome { CAME, NOTHING_YET, ENDED };

static enum outcome receive(struct mg_channel *c)
{
    char text[MG_CHANNEL_TEXT_MAX];
    union control control;
    struct iovec part = {.iov_base = text, .iov_len = sizeof text};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    ssize_t n = recvmsg(c->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return NOTHING_YET;
    if (n <= 0)
        return ENDED;
    c->events.on_message(c->events.arg, mg_str(text, (size_t)n), received_fd(&m));
    return CAME;
}

/* One message at a time: the callback may free the channel. The event is level-triggered. */
static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct mg_channel *c = arg;
    (void)fd;
    (void)what;
    mg_loop_event_begins(c->loop);
    if (receive(c) != ENDED)
        return;
    event_del(&c->event);
    c->events.on_end(c->events.arg);
}

void mg_channel_finish(struct mg_channel *c)
{
    while (receive(c) == CAME) {
    }
}

struct mg_channel *mg_channel_new(struct mg_loop *loop, int fd,
                                  const struct mg_channel_events *events)
{
    struct mg_channel *c = mg_calloc(1, sizeof *c);
    *c = (struct mg_channel){.loop = loop, .fd = fd, .events = *events};
    event_assign(&c->event, mg_loop_base(loop), fd, EV_READ | EV_PERSIST, on_readable, c);
    event_add(&c->event, NULL);
    return c;
}

void mg_channel_free(struct mg_channel *c)
{
    if (!c)
        return;
    event_del(&c->event);
    close(c->fd);
    mg_loop_free_later(c->loop, c, NULL);
}

int mg_channel_fd(const struct mg_channel *c)
{
    return c->fd;
}

static bool send_now(struct mg_channel *c, struct mg_str text, int fd)
{
    union control control = {.bytes = {0}};
    struct iovec part = {.iov_base = (void *)text.p, .iov_len = text.n};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        m.msg_control = control.bytes;
        m.msg_controllen = sizeof control.bytes;
        struct cmsghdr *header = CMSG_FIRSTHDR(&m);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    return sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

bool mg_channel_send(struct mg_channel *c, struct mg_str text, int fd, int patience_ms)
{
    struct pollfd room = {.fd = c->fd, .events = POLLOUT};
    if (!MG_EXPECT(text.n > 0 && text.n <= MG_CHANNEL_TEXT_MAX))
        return false;
    while (!send_now(c, text, fd)) {
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN || patience_ms == 0 || poll(&room, 1, patience_ms) <= 0)
            return false;
    }
    return true;
}
