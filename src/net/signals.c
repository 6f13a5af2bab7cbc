/* Signals by signalfd(2) on libevent. Loop thread. */
#include "net/signals.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/memory.h"
#include "net/loop_private.h"

struct mg_signals {
    struct mg_loop *loop;
    mg_signal_fn fn;
    void *arg;
    int fd;
    struct event event;
};

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct mg_signals *s = arg;
    struct signalfd_siginfo info;
    (void)what;
    mg_loop_event_begins(s->loop);
    /* One at a time: the callback may free what we read for. The event is level-triggered. */
    if (read((int)fd, &info, sizeof info) == (ssize_t)sizeof info)
        s->fn(s->arg, (int)info.ssi_signo);
}

void mg_signals_hold(int number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

struct mg_signals *mg_signals_new(struct mg_loop *loop, const int *numbers, size_t count,
                                  mg_signal_fn fn, void *arg, struct mg_error *err)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < count; i++)
        sigaddset(&set, numbers[i]);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) {
        mg_error_set(err, "cannot receive signals: %m");
        return NULL;
    }
    struct mg_signals *s = mg_calloc(1, sizeof *s);
    *s = (struct mg_signals){.loop = loop, .fn = fn, .arg = arg, .fd = fd};
    event_assign(&s->event, mg_loop_base(loop), fd, EV_READ | EV_PERSIST, on_readable, s);
    event_add(&s->event, NULL);
    return s;
}

void mg_signals_free(struct mg_signals *s)
{
    if (!s)
        return;
    event_del(&s->event);
    close(s->fd);
    free(s);
}
