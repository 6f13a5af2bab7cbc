/* fork and exec. The supervisor has one thread, so a child may do as it likes in between. */
#include "app/child.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/notify.h"
#include "base/memory.h"

/* --- the child itself --- */

static void hand_over(pid_t parent, int channel, int keys, const struct mg_held *held)
{
    struct mg_buf text;
    mg_buf_init(&text, MG_HANDOVER_MAX);
    mg_handover_add_parent(&text, parent, channel);
    if (keys >= 0)
        mg_handover_add_keys(&text, keys);
    mg_held_write(held, &text);
    mg_buf_add_char(&text, 0);
    setenv(MG_HANDOVER_VARIABLE, text.failed ? "" : text.p, 1);
    mg_buf_release(&text);
    mg_held_set_inheritable(held, true);
    fcntl(channel, F_SETFD, 0);
    fcntl(keys, F_SETFD, 0);
}

static void become(const struct mg_child_program *program, pid_t parent, int channel,
                   const struct mg_held *held) __attribute__((noreturn));

static void become(const struct mg_child_program *program, pid_t parent, int channel,
                   const struct mg_held *held)
{
    hand_over(parent, channel, program->keys, held);
    mg_notify_hide();
    execv(program->path, program->argv);
    fprintf(stderr, "moongate: cannot start '%s': %m\n", program->path);
    _exit(127);
}

/* --- the supervisor --- */

static void on_message(void *arg, struct mg_str text, int fd)
{
    struct mg_child *child = arg;
    child->on_message(child->arg, child, text, fd);
}

/* Its end is heard of by SIGCHLD. */
static void on_end(void *arg)
{
    (void)arg;
}

static struct mg_child *new_child(pid_t pid, int fd, struct mg_loop *loop,
                                  mg_child_message_fn on_said, void *arg)
{
    struct mg_child *child = mg_calloc(1, sizeof *child);
    const struct mg_channel_events events = {
        .on_message = on_message, .on_end = on_end, .arg = child};
    mg_list_init(&child->link);
    child->pid = pid;
    child->started_ns = mg_loop_now(loop);
    child->answers = true;
    child->on_message = on_said;
    child->arg = arg;
    child->channel = mg_channel_new(loop, fd, &events);
    return child;
}

struct mg_child *mg_child_start(const struct mg_child_program *program, const struct mg_held *held,
                                struct mg_loop *loop, mg_child_message_fn on_said, void *arg,
                                struct mg_error *err)
{
    int ends[2];
    pid_t parent = getpid();
    if (mg_channel_pair(ends, err) != MG_OK)
        return NULL;
    pid_t pid = fork();
    if (pid == 0)
        become(program, parent, ends[1], held);
    close(ends[1]);
    if (pid > 0)
        return new_child(pid, ends[0], loop, on_said, arg);
    mg_error_set(err, "cannot start a process: %m");
    close(ends[0]);
    return NULL;
}

struct mg_child *mg_child_resume(const struct mg_handover_line *line, struct mg_loop *loop,
                                 mg_child_message_fn on_said, void *arg)
{
    fcntl(line->fd, F_SETFD, FD_CLOEXEC);
    struct mg_child *child = new_child(line->pid, line->fd, loop, on_said, arg);
    child->state = line->retiring ? MG_CHILD_RETIRING : MG_CHILD_SERVING;
    return child;
}

void mg_child_free(struct mg_child *child)
{
    mg_list_remove(&child->link);
    mg_channel_free(child->channel);
    free(child);
}

void mg_child_order(struct mg_child *child, const char *word)
{
    (void)mg_channel_send(child->channel, mg_str_c(word), -1, 0);
}

void mg_child_describe_end(int status, char out[MG_CHILD_END_MAX])
{
    const char *name = WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL;
    if (WIFSIGNALED(status))
        snprintf(out, MG_CHILD_END_MAX, "killed by signal %d (%s)", WTERMSIG(status),
                 name ? name : "?");
    else
        snprintf(out, MG_CHILD_END_MAX, "exited with status %d", WEXITSTATUS(status));
}

int mg_child_exit_status(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
