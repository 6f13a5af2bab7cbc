/*
 * A ring is a byte array with two counters that only grow: the writer moves `head`, the log's
 * thread `tail`. Waking costs a system call, so it is done only when the thread has said that it
 * sleeps; having been woken it lets lines gather for a moment.
 */
#include "shared/line_log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"

#define GATHER_MS 20
/* poll(2) says that a pipe is writable when so much can be written without waiting (PIPE_BUF). */
#define PIPE_PIECE 4096
#define WAIT_MS 100    /* between looks whether the log is to end */
#define ENDING_MS 1000 /* for the rest, at the end */
#define SYSLOG_PATH "/dev/log"
#define SYSLOG_PRIORITY 134 /* local0.info (RFC 5424 6.2.1) */
#define SYSLOG_LINE_MAX 8192

struct mg_line_ring {
    struct mg_line_log *log;
    struct mg_line_ring *next;
    uint32_t writer;
    _Alignas(64) atomic_size_t head; /* bytes put, by the writer */
    atomic_uint_fast64_t dropped;    /* by the writer */
    _Alignas(64) atomic_size_t tail; /* bytes taken, by the thread */
    char bytes[MG_LINE_RING_BYTES];
};

struct sink {
    enum mg_line_to to;
    char *file;
    int fd; /* -1: none */
};

struct mg_line_log {
    /* Atomic. */
    _Atomic(struct mg_line_ring *) rings;
    atomic_bool asleep, ending, reopening, changing;
    /* Set once. */
    int wake_fd;
    /* Control thread; end_ms before `ending`. */
    pthread_t thread;
    bool started;
    struct sink wanted;   /* what it was told last; no descriptor */
    struct sink prepared; /* what it will be told; with its descriptor */
    bool is_prepared;
    uint64_t end_ms;
    /* The thread's, while it runs. */
    struct sink sink;
    uint64_t told_dropped;
    uint64_t lost; /* lines that could not be written since that was told */
    bool failing;
    /* Under lock. */
    pthread_mutex_t lock;
    struct sink next; /* `changing`: to be taken over */
};

/* --- rings --- */

static struct mg_line_ring *new_ring(struct mg_line_log *l, uint32_t writer)
{
    struct mg_line_ring *r = aligned_alloc(64, sizeof *r);
    if (!r)
        abort();
    r->log = l;
    r->writer = writer;
    atomic_init(&r->head, 0);
    atomic_init(&r->tail, 0);
    atomic_init(&r->dropped, 0);
    return r;
}

struct mg_line_ring *mg_line_log_ring(struct mg_line_log *l, uint32_t writer)
{
    struct mg_line_ring *r = atomic_load_explicit(&l->rings, memory_order_acquire);
    for (; r; r = r->next)
        if (r->writer == writer)
            return r;
    r = new_ring(l, writer);
    r->next = atomic_load_explicit(&l->rings, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&l->rings, &r->next, r, memory_order_acq_rel,
                                                  memory_order_relaxed))
        ;
    return r;
}

/* Bytes from place `at` on, around the end of the array. */
static void copy_in(struct mg_line_ring *r, size_t at, struct mg_str line)
{
    size_t begin = at % MG_LINE_RING_BYTES, room = MG_LINE_RING_BYTES - begin;
    size_t first = line.n < room ? line.n : room;
    memcpy(r->bytes + begin, line.p, first);
    memcpy(r->bytes, line.p + first, line.n - first);
}

static void wake(struct mg_line_log *l)
{
    const uint64_t one = 1;
    ssize_t n = write(l->wake_fd, &one, sizeof one);
    (void)n; /* it fails only when the thread is being woken already */
}

bool mg_line_ring_put(struct mg_line_ring *r, struct mg_str line)
{
    size_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    size_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
    if (line.n > MG_LINE_RING_BYTES - (head - tail)) {
        atomic_store_explicit(&r->dropped,
                              atomic_load_explicit(&r->dropped, memory_order_relaxed) + 1,
                              memory_order_relaxed);
        return false;
    }
    copy_in(r, head, line);
    /* Sequentially consistent, as is what the thread does before it sleeps: one of the two sees the
     * other. */
    atomic_store(&r->head, head + line.n);
    if (atomic_load(&r->log->asleep) && atomic_exchange(&r->log->asleep, false))
        wake(r->log);
    return true;
}

uint64_t mg_line_log_dropped(struct mg_line_log *l)
{
    uint64_t sum = 0;
    const struct mg_line_ring *r = atomic_load_explicit(&l->rings, memory_order_acquire);
    for (; r; r = r->next)
        sum += atomic_load_explicit(&r->dropped, memory_order_relaxed);
    return sum;
}

/* --- writing: the thread --- */

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Who does not read is waited for until the log is to end, or goes to another place. */
static bool is_waited_for(const struct mg_line_log *l)
{
    return !atomic_load(&l->changing) && (!atomic_load(&l->ending) || now_ms() < l->end_ms);
}

static bool wait_writable(const struct mg_line_log *l)
{
    struct pollfd p = {.fd = l->sink.fd, .events = POLLOUT};
    while (poll(&p, 1, WAIT_MS) == 0)
        if (!is_waited_for(l))
            return false;
    return true;
}

/* Gives 0, or an errno when there is no use in going on; `s` is what is left then. */
static int write_all(const struct mg_line_log *l, struct mg_str *s)
{
    while (s->n) {
        size_t piece = s->n;
        if (l->sink.to != MG_LINE_TO_FILE) {
            if (!wait_writable(l))
                return ETIMEDOUT;
            piece = piece < PIPE_PIECE ? piece : PIPE_PIECE;
        }
        ssize_t n = write(l->sink.fd, s->p, piece);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0)
            return n < 0 ? errno : EIO;
        *s = mg_str(s->p + n, s->n - (size_t)n);
    }
    return 0;
}

static uint64_t count_lines(struct mg_str s)
{
    uint64_t count = 0;
    struct mg_str line;
    while (s.n && mg_str_split(&s, '\n', &line))
        count++;
    return count;
}

/* A disk that is full is told of once, and once more when it is written again. */
static void tell_outcome(struct mg_line_log *l, int error, struct mg_str left)
{
    l->lost += count_lines(left);
    if (error && !l->failing)
        mg_log_error("the access log cannot be written", MG_LOG_C("error", strerror(error)));
    if (!error && l->failing) {
        mg_log_warn("the access log is written again", MG_LOG_INT("lost", (int64_t)l->lost));
        l->lost = 0;
    }
    l->failing = error != 0;
}

static void send_line(const struct mg_line_log *l, struct mg_str line)
{
    char message[SYSLOG_LINE_MAX];
    int n = snprintf(message, sizeof message, "<%d>moongate[%d]: %.*s", SYSLOG_PRIORITY,
                     (int)getpid(), MG_STR_ARGS(line));
    if (n > 0)
        send(l->sink.fd, message, (size_t)n < sizeof message ? (size_t)n : sizeof message - 1,
             MSG_NOSIGNAL);
}

/* Whole lines, gathered by the caller. */
static void pass(struct mg_line_log *l, struct mg_str lines)
{
    struct mg_str line;
    if (l->sink.fd < 0)
        return;
    if (l->sink.to != MG_LINE_TO_SYSLOG) {
        int error = write_all(l, &lines);
        tell_outcome(l, error, lines);
        return;
    }
    while (mg_str_split(&lines, '\n', &line))
        send_line(l, line);
}

/* What is in a ring, in two pieces at most. A line that goes around the end of the array is put
 * together first. */
static bool empty_ring(struct mg_line_log *l, struct mg_line_ring *r, char *joined)
{
    size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    size_t n = atomic_load(&r->head) - tail;
    if (n == 0)
        return false;
    size_t begin = tail % MG_LINE_RING_BYTES, room = MG_LINE_RING_BYTES - begin;
    if (n <= room) {
        pass(l, mg_str(r->bytes + begin, n));
    } else {
        memcpy(joined, r->bytes + begin, room);
        memcpy(joined + room, r->bytes, n - room);
        pass(l, mg_str(joined, n));
    }
    atomic_store_explicit(&r->tail, tail + n, memory_order_release);
    return true;
}

static bool empty_rings(struct mg_line_log *l, char *joined)
{
    bool any = false;
    struct mg_line_ring *r = atomic_load_explicit(&l->rings, memory_order_acquire);
    for (; r; r = r->next)
        any = empty_ring(l, r, joined) || any;
    return any;
}

/* Not more often than it gathers. */
static void tell_dropped(struct mg_line_log *l)
{
    uint64_t dropped = mg_line_log_dropped(l);
    if (dropped == l->told_dropped)
        return;
    mg_log_warn("lines of the access log were dropped: it is not written quickly enough",
                MG_LOG_INT("lines", (int64_t)(dropped - l->told_dropped)));
    l->told_dropped = dropped;
}

/* --- where to --- */

static int open_syslog(struct mg_error *err)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX, .sun_path = SYSLOG_PATH};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&sun, sizeof sun) == 0)
        return fd;
    mg_error_set(err, "cannot reach syslog at '%s': %s", SYSLOG_PATH, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static int open_target(enum mg_line_to to, const char *file, struct mg_error *err)
{
    int fd = -1;
    switch (to) {
    case MG_LINE_TO_NOWHERE:
        return -1;
    case MG_LINE_TO_SYSLOG:
        return open_syslog(err);
    case MG_LINE_TO_STDOUT:
        fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
        break;
    case MG_LINE_TO_STDERR:
        fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
        break;
    case MG_LINE_TO_FILE:
        fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
        break;
    }
    if (fd < 0)
        mg_error_set(err, "cannot write to '%s': %s", file ? file : "standard output",
                     strerror(errno));
    return fd;
}

static void release_sink(struct sink *s)
{
    if (s->fd >= 0)
        close(s->fd);
    free(s->file);
    *s = (struct sink){.fd = -1};
}

/* By the thread, as is the next: what was put before is written already. */
static void change(struct mg_line_log *l)
{
    pthread_mutex_lock(&l->lock);
    release_sink(&l->sink);
    l->sink = l->next;
    l->next = (struct sink){.fd = -1};
    atomic_store(&l->changing, false);
    pthread_mutex_unlock(&l->lock);
}

static void reopen(struct mg_line_log *l)
{
    struct mg_error err;
    if (l->sink.to != MG_LINE_TO_FILE)
        return;
    int fd = open_target(l->sink.to, l->sink.file, &err);
    if (fd < 0) {
        mg_log_error("the access log cannot be opened anew", MG_LOG_C("error", err.text));
        return;
    }
    close(l->sink.fd);
    l->sink.fd = fd;
}

/* --- the thread --- */

static bool is_told(struct mg_line_log *l)
{
    return atomic_load(&l->ending) || atomic_load(&l->reopening) || atomic_load(&l->changing);
}

static void sleep_until_woken(struct mg_line_log *l)
{
    uint64_t count;
    ssize_t n = read(l->wake_fd, &count, sizeof count);
    (void)n;
    if (!is_told(l))
        poll(NULL, 0, GATHER_MS);
}

static bool is_empty(struct mg_line_log *l)
{
    struct mg_line_ring *r = atomic_load_explicit(&l->rings, memory_order_acquire);
    for (; r; r = r->next)
        if (atomic_load(&r->head) != atomic_load(&r->tail))
            return false;
    return true;
}

static void *run(void *arg)
{
    struct mg_line_log *l = arg;
    char *joined = mg_malloc(MG_LINE_RING_BYTES);
    for (;;) {
        bool ending = atomic_load(&l->ending); /* before the rings are looked at */
        if (atomic_load(&l->changing)) {
            if (l->sink.fd >= 0)
                empty_rings(l, joined);
            change(l);
        }
        while (empty_rings(l, joined))
            tell_dropped(l);
        if (atomic_exchange(&l->reopening, false))
            reopen(l);
        if (ending)
            break;
        atomic_store(&l->asleep, true);
        if (is_empty(l) && !is_told(l))
            sleep_until_woken(l);
        atomic_store(&l->asleep, false);
    }
    tell_dropped(l);
    free(joined);
    return NULL;
}

static enum mg_rc start(struct mg_line_log *l, struct mg_error *err)
{
    if (l->started)
        return MG_OK;
    l->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (l->wake_fd < 0)
        return mg_error_set(err, "cannot make an eventfd: %s", strerror(errno));
    int error = pthread_create(&l->thread, NULL, run, l);
    if (error)
        return mg_error_set(err, "cannot start a thread: %s", strerror(error));
    pthread_setname_np(l->thread, "access-log");
    l->started = true;
    return MG_OK;
}

/* --- life --- */

struct mg_line_log *mg_line_log_new(void)
{
    struct mg_line_log *l = mg_calloc(1, sizeof *l);
    pthread_mutex_init(&l->lock, NULL);
    l->wake_fd = l->sink.fd = l->next.fd = l->wanted.fd = l->prepared.fd = -1;
    return l;
}

enum mg_rc mg_line_log_prepare(struct mg_line_log *l, const struct mg_line_target *target,
                               struct mg_error *err)
{
    bool file = target->to == MG_LINE_TO_FILE;
    if (target->to == l->wanted.to && (!file || mg_str_eq(target->file, mg_str_c(l->wanted.file))))
        return MG_OK;
    int fd = open_target(target->to, file ? target->file.p : NULL, err);
    if (target->to != MG_LINE_TO_NOWHERE && fd < 0)
        return MG_FAIL;
    if (start(l, err) != MG_OK) {
        if (fd >= 0)
            close(fd);
        return MG_FAIL;
    }
    l->prepared = (struct sink){target->to, file ? mg_strdup(target->file) : NULL, fd};
    l->is_prepared = true;
    return MG_OK;
}

void mg_line_log_adopt(struct mg_line_log *l)
{
    if (!l->is_prepared)
        return;
    release_sink(&l->wanted);
    l->wanted.to = l->prepared.to;
    l->wanted.file = l->prepared.file ? mg_strdup(mg_str_c(l->prepared.file)) : NULL;
    pthread_mutex_lock(&l->lock);
    release_sink(&l->next);
    l->next = l->prepared;
    atomic_store(&l->changing, true);
    pthread_mutex_unlock(&l->lock);
    l->prepared = (struct sink){.fd = -1};
    l->is_prepared = false;
    wake(l);
}

void mg_line_log_discard(struct mg_line_log *l)
{
    release_sink(&l->prepared);
    l->is_prepared = false;
}

void mg_line_log_reopen(struct mg_line_log *l)
{
    if (!l->started)
        return;
    atomic_store(&l->reopening, true);
    wake(l);
}

void mg_line_log_free(struct mg_line_log *l)
{
    if (!l)
        return;
    if (l->started) {
        l->end_ms = now_ms() + ENDING_MS;
        atomic_store(&l->ending, true);
        wake(l);
        pthread_join(l->thread, NULL);
    }
    release_sink(&l->sink);
    release_sink(&l->next);
    release_sink(&l->wanted);
    release_sink(&l->prepared);
    if (l->wake_fd >= 0)
        close(l->wake_fd);
    for (struct mg_line_ring *r = atomic_load(&l->rings), *next; r; r = next) {
        next = r->next;
        free(r);
    }
    pthread_mutex_destroy(&l->lock);
    free(l);
}
