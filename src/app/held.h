/*
 * Listening sockets that outlive the process that opened them: what a supervisor holds, and what a
 * gateway process finds when it starts. All sockets that are bound to one address are one item; the
 * label tells which listener of the config they are for.
 */
#ifndef MG_APP_HELD_H
#define MG_APP_HELD_H

#include "app/handover.h"
#include "base/error.h"

struct mg_held_item {
    char *label; /* see handover.h */
    char *name;  /* the bound address: "127.0.0.1:8080", "unix:/path" */
    int *fds;
    uint32_t count;
};

/* Begins as all zero. */
struct mg_held {
    struct mg_held_item *items;
    uint32_t count;
};

/* Takes the descriptor. MG_FAIL: it is no listening socket, and was closed. */
enum mg_rc mg_held_add(struct mg_held *h, struct mg_str label, int fd);
/* Closes the sockets that are bound there; none is fine. */
void mg_held_drop(struct mg_held *h, struct mg_str name);
void mg_held_release(struct mg_held *h);

/* "127.0.0.1:8080, unix:/path" */
void mg_held_list(const struct mg_held *h, struct mg_buf *out);
/* As lines of a handover. */
void mg_held_write(const struct mg_held *h, struct mg_buf *out);
/* Takes what such a line names. */
void mg_held_read(struct mg_held *h, const struct mg_handover_line *line);
/* Do they stay open over exec? */
void mg_held_set_inheritable(const struct mg_held *h, bool on);

#endif
