/*
 * A gateway process as its supervisor sees it: its pid, and the channel to it. Of what it says, see
 * parent.h.
 */
#ifndef MG_APP_CHILD_H
#define MG_APP_CHILD_H

#include "app/held.h"
#include "base/list.h"
#include "net/channel.h"

enum mg_child_state {
    MG_CHILD_STARTING,
    MG_CHILD_SERVING,
    MG_CHILD_RETIRING /* finishes what it has; another one serves */
};

struct mg_child;

typedef void (*mg_child_message_fn)(void *arg, struct mg_child *child, struct mg_str text, int fd);

struct mg_child {
    struct mg_link link; /* for its owner */
    pid_t pid;
    enum mg_child_state state;
    uint64_t started_ns;
    bool answers; /* the last ping */
    struct mg_channel *channel;
    /* Takes the descriptor; -1: none came. */
    mg_child_message_fn on_message;
    void *arg;
};

/* What is started: a file, and its arguments. Borrowed. */
struct mg_child_program {
    const char *path;
    char *const *argv;
    int keys; /* the file of upstream/key_memory.h; -1: none */
};

/* Starts one that listens on the sockets that are held. Signals that are blocked here stay blocked
 * there, so that none ends it before it listens to them. NULL with `err` set when the system
 * refuses. */
struct mg_child *mg_child_start(const struct mg_child_program *program, const struct mg_held *held,
                                struct mg_loop *loop, mg_child_message_fn on_message, void *arg,
                                struct mg_error *err) MG_MUST_CHECK;
/* One that was started by what this process was before. Takes the descriptor. */
struct mg_child *mg_child_resume(const struct mg_handover_line *line, struct mg_loop *loop,
                                 mg_child_message_fn on_message, void *arg);
/* After its end, or ours. */
void mg_child_free(struct mg_child *child);

/* "stop", "cut", "retire", "reload", "reopen", "ping". One that does not read does not get it. */
void mg_child_order(struct mg_child *child, const char *word);

/* "exited with status 1", "killed by signal 11 (SEGV)", for what waitpid(2) gave. */
#define MG_CHILD_END_MAX 64
void mg_child_describe_end(int status, char out[MG_CHILD_END_MAX]);
/* As a shell has it. */
int mg_child_exit_status(int status);

#endif
