/*
 * The supervisor. One thread; it never reads the config and never touches a connection, so there is
 * little that could bring it down.
 *
 *     starting -> serving -> fallen -> (back-off) -> starting ...     the gateway process
 *                         -> retiring, beside the one that takes its place
 *
 * Sockets. The gateway process opens them, since it reads the config, and passes each one up when
 * it serves by it. They stay open here, so that connections wait in the kernel while no gateway
 * process is there, and each one that is started gets them.
 *
 * Programs. A process that fell is replaced by the program that this one runs, also when its file
 * is another by now. A new program takes over when it is told to (SIGUSR2), and only when it has
 * shown that it can serve; then the supervisor becomes the new program, too. The process that
 * served before goes on with the connections that it has.
 *
 * Orders go down by the channels, not as signals: signals also come from a terminal, or to a whole
 * group, and what arrives twice would mean something else.
 */
#include "app/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/activation.h"
#include "app/backoff.h"
#include "app/child.h"
#include "app/descriptors.h"
#include "app/notify.h"
#include "app/program.h"
#include "base/log.h"
#include "base/memory.h"
#include "net/signals.h"
#include "upstream/key_memory.h"

/* A new program that is not ready by then is given up. It may wait 5 s for names and keys. */
#define START_LIMIT_NS (30 * MG_SECOND)
/* The gateway process cuts what is open after 30 s. */
#define STOP_LIMIT_NS (35 * MG_SECOND)
#define TEXT_MAX ((size_t)4096)

struct supervisor {
    const struct mg_options *options;
    char *const *argv;
    char *path; /* of the program's file */
    struct mg_loop *loop;
    struct mg_signals *signals;
    struct mg_notify notify;
    struct mg_held held;
    int keys;                 /* upstream/key_memory.h; -1: the system has no such files */
    struct mg_link children;  /* all of them */
    struct mg_child *current; /* that serves or begins to; NULL: it fell */
    struct mg_child *next;    /* of a new program, not ready yet */
    struct mg_backoff backoff;
    uint32_t crashes;
    struct mg_timer restart, start_limit, stop_limit, watchdog;
    bool has_served;     /* some gateway process has been ready */
    bool upgrade_wanted; /* when what starts is ready, or has failed to start */
    bool stopping;
    unsigned stop_signals;
    int status; /* of this process */
    enum mg_log_level log_level;
    enum mg_log_format log_format;
};

static void on_message(void *arg, struct mg_child *child, struct mg_str text, int fd);

/* --- telling --- */

/* "serving on 127.0.0.1:8080, unix:/run/gate; crashes: 1" */
static void tell_ready(const struct supervisor *s)
{
    struct mg_buf text;
    mg_buf_init(&text, TEXT_MAX);
    mg_buf_add_c(&text, "serving on ");
    mg_held_list(&s->held, &text);
    if (s->crashes)
        mg_buf_printf(&text, "; crashes: %u", s->crashes);
    mg_notify_ready(&s->notify, mg_buf_str(&text));
    mg_buf_release(&text);
}

static void write_pid_file(const struct supervisor *s)
{
    FILE *file = s->options->pid_file ? fopen(s->options->pid_file, "we") : NULL;
    if (file) {
        fprintf(file, "%ld\n", (long)getpid());
        if (fclose(file) == 0)
            return;
    }
    if (s->options->pid_file)
        mg_log_error("cannot write the pid file", MG_LOG_C("file", s->options->pid_file),
                     MG_LOG_C("error", strerror(errno)));
}

static void configure_log(struct supervisor *s, unsigned level, unsigned format)
{
    if (level > MG_LOG_ERROR || format > MG_LOG_PLAIN)
        return;
    s->log_level = (enum mg_log_level)level;
    s->log_format = (enum mg_log_format)format;
    mg_log_configure(s->log_level, s->log_format);
}

/* --- starting --- */

static struct mg_child *start_child(struct supervisor *s, const char *path, struct mg_error *err)
{
    const struct mg_child_program program = {.path = path, .argv = s->argv, .keys = s->keys};
    struct mg_child *child = mg_child_start(&program, &s->held, s->loop, on_message, s, err);
    if (child)
        mg_list_push_back(&s->children, &child->link);
    return child;
}

static void restart_later(struct supervisor *s, uint64_t lived_ns)
{
    uint32_t wait_ms = mg_backoff_next_ms(&s->backoff, lived_ns / MG_MILLISECOND);
    mg_timer_set(&s->restart, mg_loop_now(s->loop) + wait_ms * MG_MILLISECOND);
}

static void on_restart(void *arg)
{
    struct supervisor *s = arg;
    struct mg_error err;
    s->current = start_child(s, MG_PROGRAM_SELF, &err);
    if (s->current)
        return;
    mg_log_error("cannot restart the gateway process", MG_LOG_C("error", err.text));
    restart_later(s, 0);
}

/* --- stopping --- */

static void order_all(const struct supervisor *s, const char *word)
{
    MG_LIST_FOREACH(it, &s->children)
    {
        mg_child_order(MG_CONTAINER_OF(it, struct mg_child, link), word);
    }
}

static void kill_all(const struct supervisor *s)
{
    MG_LIST_FOREACH(it, &s->children)
    {
        kill(MG_CONTAINER_OF(it, struct mg_child, link)->pid, SIGKILL);
    }
}

static void end_when_alone(struct supervisor *s)
{
    if (s->stopping && mg_list_empty(&s->children))
        mg_loop_stop(s->loop);
}

/* Clients shall be refused from now on, and go elsewhere: nobody would serve them. */
static void begin_to_stop(struct supervisor *s)
{
    s->stopping = true;
    mg_notify_stopping(&s->notify, MG_STR("stopping"));
    mg_held_release(&s->held);
    mg_timer_stop(&s->restart);
    mg_timer_stop(&s->start_limit);
    mg_timer_set(&s->stop_limit, mg_loop_now(s->loop) + STOP_LIMIT_NS);
    if (s->next)
        kill(s->next->pid, SIGKILL); /* it serves nobody */
    order_all(s, "stop");
    end_when_alone(s);
}

/* With more force each time. The first signal is none where the stop has begun without it: a
 * gateway process that got it as well was quicker, or the admin listener was asked before. */
static void stop(struct supervisor *s, const char *signal_name)
{
    unsigned before = s->stop_signals++;
    mg_log_info(before ? "stopping at once" : "stopping", MG_LOG_C("signal", signal_name));
    if (!s->stopping)
        begin_to_stop(s);
    else if (before == 1)
        order_all(s, "cut");
    else if (before > 1)
        kill_all(s);
}

static void on_stop_limit(void *arg)
{
    struct supervisor *s = arg;
    mg_log_error("a gateway process did not stop in time; killing it");
    kill_all(s);
}

/* --- a new program --- */

static void set_inheritable(const struct supervisor *s, bool on)
{
    mg_held_set_inheritable(&s->held, on);
    fcntl(s->keys, F_SETFD, on ? 0 : FD_CLOEXEC);
    MG_LIST_FOREACH(it, &s->children)
    {
        struct mg_child *child = MG_CONTAINER_OF(it, struct mg_child, link);
        fcntl(mg_channel_fd(child->channel), F_SETFD, on ? 0 : FD_CLOEXEC);
    }
}

static void write_handover(const struct supervisor *s, struct mg_buf *out)
{
    mg_handover_add_crashes(out, s->crashes);
    mg_handover_add_log(out, s->log_level, s->log_format);
    MG_LIST_FOREACH(it, &s->children)
    {
        const struct mg_child *child = MG_CONTAINER_OF(it, struct mg_child, link);
        mg_handover_add_child(out, child->pid, mg_channel_fd(child->channel),
                              child->state == MG_CHILD_RETIRING);
    }
    if (s->keys >= 0)
        mg_handover_add_keys(out, s->keys);
    mg_held_write(&s->held, out);
    mg_buf_add_char(out, 0);
}

/* This process stays the parent of its children, and what they say meanwhile waits. Signals stay
 * blocked and wait, too. */
static void become_new_program(struct supervisor *s)
{
    struct mg_buf text;
    mg_buf_init(&text, MG_HANDOVER_MAX);
    write_handover(s, &text);
    if (!text.failed) {
        set_inheritable(s, true);
        setenv(MG_HANDOVER_VARIABLE, text.p, 1);
        execv(s->path, s->argv);
    }
    mg_log_error("the supervisor stays the program that it was",
                 MG_LOG_C("error", text.failed ? "too many sockets" : strerror(errno)));
    unsetenv(MG_HANDOVER_VARIABLE);
    set_inheritable(s, false);
    mg_buf_release(&text);
}

static bool starts(const struct supervisor *s)
{
    return s->current && s->current->state == MG_CHILD_STARTING;
}

static void upgrade(struct supervisor *s)
{
    struct mg_error err;
    s->upgrade_wanted = starts(s);
    if (s->upgrade_wanted || s->stopping || s->next)
        return;
    s->next = start_child(s, s->path, &err);
    if (!s->next) {
        mg_log_error("cannot start the new program", MG_LOG_C("error", err.text));
        return;
    }
    mg_log_info("starting a new program", MG_LOG_C("file", s->path),
                MG_LOG_INT("pid", s->next->pid));
    mg_timer_stop(&s->restart);
    mg_timer_set(&s->start_limit, mg_loop_now(s->loop) + START_LIMIT_NS);
}

static void on_start_limit(void *arg)
{
    struct supervisor *s = arg;
    mg_log_error("the new program is not ready in time; killing it");
    kill(s->next->pid, SIGKILL);
}

static void retire(struct mg_child *child)
{
    child->state = MG_CHILD_RETIRING;
    mg_child_order(child, "retire");
}

static void take_over(struct supervisor *s)
{
    mg_log_info("the new program serves", MG_LOG_INT("pid", s->next->pid));
    mg_timer_stop(&s->start_limit);
    if (s->current)
        retire(s->current);
    s->current = s->next;
    s->next = NULL;
    tell_ready(s);
    become_new_program(s);
}

/* --- what gateway processes say --- */

static void on_ready(struct supervisor *s, struct mg_child *child)
{
    child->state = MG_CHILD_SERVING;
    if (child == s->next) {
        take_over(s);
        return;
    }
    s->has_served = true;
    tell_ready(s);
    if (s->upgrade_wanted)
        upgrade(s);
}

static void on_refused(const struct supervisor *s, struct mg_str why)
{
    struct mg_buf text;
    mg_buf_init(&text, TEXT_MAX);
    mg_buf_printf(&text, "serving; the new config was refused: %.*s", MG_STR_ARGS(why));
    mg_notify_ready(&s->notify, mg_buf_str(&text));
    mg_buf_release(&text);
}

static void on_log(struct supervisor *s, struct mg_str rest)
{
    if (rest.n == 3)
        configure_log(s, (unsigned)(rest.p[0] - '0'), (unsigned)(rest.p[2] - '0'));
}

static void on_word(struct supervisor *s, struct mg_child *child, struct mg_str word,
                    struct mg_str rest)
{
    if (mg_str_eq(word, MG_STR("alive")))
        child->answers = true;
    else if (mg_str_eq(word, MG_STR("ready")))
        on_ready(s, child);
    else if (mg_str_eq(word, MG_STR("drop")))
        mg_held_drop(&s->held, rest);
    else if (mg_str_eq(word, MG_STR("log")))
        on_log(s, rest);
    else if (mg_str_eq(word, MG_STR("reloading")))
        mg_notify_reloading(&s->notify, MG_STR("reading the config"));
    else if (mg_str_eq(word, MG_STR("reloaded")))
        tell_ready(s);
    else if (mg_str_eq(word, MG_STR("refused")))
        on_refused(s, rest);
    else if (mg_str_eq(word, MG_STR("stopping")))
        begin_to_stop(s); /* the admin listener was asked */
}

/* One that retires has nothing to say about what is served. */
static void on_message(void *arg, struct mg_child *child, struct mg_str text, int fd)
{
    struct supervisor *s = arg;
    struct mg_str word;
    bool heard = !s->stopping && child->state != MG_CHILD_RETIRING;
    if (!mg_str_split(&text, ' ', &word))
        word = MG_STR_NONE;
    if (fd >= 0 && (!heard || !mg_str_eq(word, MG_STR("hold"))))
        close(fd);
    else if (fd >= 0 && mg_held_add(&s->held, text, fd) != MG_OK)
        mg_log_warn("what a gateway process wants to be held is no listening socket");
    else if (heard)
        on_word(s, child, word, text);
}

/* --- their ends --- */

static void on_crash(struct supervisor *s, const struct mg_child *child, const char *how)
{
    uint64_t lived_ns = mg_loop_now(s->loop) - child->started_ns;
    s->crashes++;
    s->current = NULL;
    mg_log_error("the gateway process fell; it is started again", MG_LOG_C("reason", how),
                 MG_LOG_INT("pid", child->pid), MG_LOG_INT("crashes", s->crashes),
                 MG_LOG_NUM("lived_s", (double)lived_ns / 1e9));
    if (s->upgrade_wanted)
        upgrade(s);
    if (!s->next)
        restart_later(s, lived_ns);
    mg_notify_status(&s->notify, MG_STR("the gateway process fell; it is started again"));
}

/* What is wrong with the config, say: it was told on standard error, and trying again would not
 * help.
 */
static void on_start_failed(struct supervisor *s, int status, const char *how)
{
    s->status = mg_child_exit_status(status);
    if (WIFSIGNALED(status))
        mg_log_error("the gateway process did not start", MG_LOG_C("reason", how));
    mg_loop_stop(s->loop);
}

static void on_next_failed(struct supervisor *s, const char *how)
{
    mg_timer_stop(&s->start_limit);
    mg_log_error("the new program did not start", MG_LOG_C("reason", how));
    if (!s->current)
        restart_later(s, 0);
}

static void forget(struct supervisor *s, struct mg_child *child)
{
    if (s->current == child)
        s->current = NULL;
    if (s->next == child)
        s->next = NULL;
    mg_child_free(child);
}

static void on_ended(struct supervisor *s, struct mg_child *child, int status)
{
    char how[MG_CHILD_END_MAX];
    mg_child_describe_end(status, how);
    if (s->stopping) {
        if (child == s->current)
            s->status = mg_child_exit_status(status);
    } else if (child == s->next) {
        on_next_failed(s, how);
    } else if (child != s->current) {
        mg_log_info("a retired process ended", MG_LOG_INT("pid", child->pid),
                    MG_LOG_C("reason", how));
    } else if (s->has_served) {
        on_crash(s, child, how);
    } else {
        on_start_failed(s, status, how);
    }
    forget(s, child);
    end_when_alone(s);
}

static struct mg_child *find_child(const struct supervisor *s, pid_t pid)
{
    MG_LIST_FOREACH(it, &s->children)
    {
        struct mg_child *child = MG_CONTAINER_OF(it, struct mg_child, link);
        if (child->pid == pid)
            return child;
    }
    return NULL;
}

/* What a process had said comes before its end. It stays a zombie until then: hearing it may make
 * us a new program, which has to learn of the end as well. */
static void hear_last_words(const struct supervisor *s, pid_t pid)
{
    struct mg_child *child = find_child(s, pid);
    if (child)
        mg_channel_finish(child->channel);
}

/* As process 1 of a container we also get those that others left behind. */
static void reap(struct supervisor *s)
{
    int status;
    for (;;) {
        siginfo_t info = {.si_pid = 0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
            return;
        hear_last_words(s, info.si_pid);
        struct mg_child *child = find_child(s, info.si_pid);
        if (waitpid(info.si_pid, &status, 0) > 0 && child)
            on_ended(s, child, status);
    }
}

/* --- signals, watchdog --- */

static void on_signal(void *arg, int number)
{
    struct supervisor *s = arg;
    switch (number) {
    case SIGCHLD:
        reap(s);
        break;
    case SIGHUP:
        if (s->current) /* what is started later reads it anyway */
            mg_child_order(s->current, "reload");
        break;
    case SIGUSR1:
        order_all(s, "reopen");
        break;
    case SIGUSR2:
        upgrade(s);
        break;
    default:
        stop(s, number == SIGINT ? "SIGINT" : "SIGTERM");
    }
}

/* A process that starts has its own limits, and so has one that stops. */
static bool is_alive(const struct supervisor *s)
{
    return s->stopping || !s->current || starts(s) || s->current->answers;
}

static void on_watchdog(void *arg)
{
    struct supervisor *s = arg;
    if (is_alive(s)) {
        mg_notify_alive(&s->notify);
        if (s->current) {
            s->current->answers = false;
            mg_child_order(s->current, "ping");
        }
    }
    mg_timer_set(&s->watchdog, mg_loop_now(s->loop) + s->notify.watchdog_ns / 2);
}

/* --- life --- */

static bool init(struct supervisor *s, struct mg_error *err)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD};
    mg_list_init(&s->children);
    mg_notify_init(&s->notify);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* one who ignores it would leave us nothing to wait for */
    mg_descriptors_raise();
    if (!(s->loop = mg_loop_new(err)))
        return false;
    mg_timer_init(&s->restart, s->loop, on_restart, s);
    mg_timer_init(&s->start_limit, s->loop, on_start_limit, s);
    mg_timer_init(&s->stop_limit, s->loop, on_stop_limit, s);
    mg_timer_init(&s->watchdog, s->loop, on_watchdog, s);
    s->signals =
        mg_signals_new(s->loop, numbers, sizeof numbers / sizeof numbers[0], on_signal, s, err);
    if (s->notify.watchdog_ns)
        on_watchdog(s);
    return s->signals != NULL;
}

static void resume_child(struct supervisor *s, const struct mg_handover_line *line)
{
    struct mg_child *child = mg_child_resume(line, s->loop, on_message, s);
    mg_list_push_back(&s->children, &child->link);
    if (!line->retiring)
        s->current = child;
}

/* Goes on from what another program left in this process. Without that there is no child. */
static void resume(struct supervisor *s)
{
    struct mg_str rest = mg_str_c(getenv(MG_HANDOVER_VARIABLE));
    struct mg_handover_line line;
    while (mg_handover_next(&rest, &line)) {
        if (line.kind == MG_HANDOVER_CRASHES)
            s->crashes = line.crashes;
        else if (line.kind == MG_HANDOVER_LOG)
            configure_log(s, line.log_level, line.log_format);
        else if (line.kind == MG_HANDOVER_KEYS)
            s->keys = mg_handover_take(line.fd);
        else if (line.kind == MG_HANDOVER_SOCKET)
            mg_held_read(&s->held, &line);
        else if (line.kind == MG_HANDOVER_CHILD)
            resume_child(s, &line);
    }
    unsetenv(MG_HANDOVER_VARIABLE);
    s->has_served = !mg_list_empty(&s->children);
    reap(s); /* the signal may have come before we became this program */
}

static bool start(struct supervisor *s, struct mg_error *err)
{
    mg_activation_take(&s->held);
    write_pid_file(s);
    s->keys = mg_key_memory_file();
    s->current = start_child(s, MG_PROGRAM_SELF, err);
    return s->current != NULL;
}

static void release(struct supervisor *s)
{
    while (!mg_list_empty(&s->children))
        mg_child_free(MG_CONTAINER_OF(s->children.next, struct mg_child, link));
    if (s->options->pid_file)
        unlink(s->options->pid_file);
    mg_held_release(&s->held);
    if (s->keys >= 0)
        close(s->keys);
    mg_signals_free(s->signals);
    if (s->loop) {
        mg_timer_release(&s->restart);
        mg_timer_release(&s->start_limit);
        mg_timer_release(&s->stop_limit);
        mg_timer_release(&s->watchdog);
    }
    mg_loop_free(s->loop);
    free(s->path);
}

int mg_supervisor_run(char *const *argv, const struct mg_options *options)
{
    struct supervisor s = {.options = options, .argv = argv, .keys = -1, .log_level = MG_LOG_INFO};
    struct mg_error err;
    s.path = mg_program_find(argv[0]);
    bool ok = init(&s, &err);
    if (ok) {
        resume(&s);
        if (!s.has_served)
            ok = start(&s, &err);
    }
    if (ok) {
        mg_loop_run(s.loop);
    } else {
        fprintf(stderr, "moongate: %s\n", err.text);
        s.status = 1;
    }
    release(&s);
    return s.status;
}
