/*
 * What one process hands to the one that it starts, or becomes, as text in an environment variable.
 * A line for each thing; descriptors are numbers, and stay open over exec:
 *
 *     parent PID FD            to a gateway process: its supervisor, and the channel to it
 *     child PID FD serving     to a supervisor's next program: a gateway process, and its channel
 *     child PID FD retiring    one that only finishes what it has
 *     crashes N                to it: how often a gateway process has crashed
 *     log LEVEL FORMAT         to it: as numbers of base/log.h
 *     keys FD                  to both: the file of upstream/key_memory.h
 *     socket FD,FD,... LABEL   to both: a listener's sockets, one for each worker
 *
 * The label is the listener's address as the config has it ("admin ADDRESS" for the admin
 * listener), or the name that systemd gives it. Lines of other kinds are passed over, for the two
 * may be of different versions. Pure, but for mg_handover_take.
 */
#ifndef MG_APP_HANDOVER_H
#define MG_APP_HANDOVER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"

#define MG_HANDOVER_VARIABLE "MOONGATE_HANDOVER"
#define MG_HANDOVER_MAX ((size_t)120 << 10) /* the system's limit for one variable is 128 KiB */

enum mg_handover_kind {
    MG_HANDOVER_PARENT,
    MG_HANDOVER_CHILD,
    MG_HANDOVER_CRASHES,
    MG_HANDOVER_LOG,
    MG_HANDOVER_KEYS,
    MG_HANDOVER_SOCKET
};

struct mg_handover_line {
    enum mg_handover_kind kind;
    pid_t pid;
    int fd;
    bool retiring;
    uint32_t crashes;
    uint32_t log_level, log_format;
    struct mg_str fds;   /* for mg_handover_fd */
    struct mg_str label; /* not empty */
};

/* Takes lines off `*rest` up to the next one of a known kind. False: there is none. */
bool mg_handover_next(struct mg_str *rest, struct mg_handover_line *out);
/* Takes the next number off `*fds`. False: there is none. */
bool mg_handover_fd(struct mg_str *fds, int *out);

/* Keeps a descriptor that came over exec from going on to the next one. -1: it is none. */
int mg_handover_take(int fd);

void mg_handover_add_parent(struct mg_buf *out, pid_t pid, int fd);
void mg_handover_add_child(struct mg_buf *out, pid_t pid, int fd, bool retiring);
void mg_handover_add_crashes(struct mg_buf *out, uint32_t crashes);
void mg_handover_add_log(struct mg_buf *out, unsigned level, unsigned format);
void mg_handover_add_keys(struct mg_buf *out, int fd);
/* `label` has no line break. */
void mg_handover_add_socket(struct mg_buf *out, const int *fds, uint32_t count, const char *label);

#endif
