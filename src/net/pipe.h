/*
 * Kernel pipes that carry bytes from one socket to another without a copy through this process
 * (splice(2)). Each thread keeps a few for reuse.
 */
#ifndef MG_NET_PIPE_H
#define MG_NET_PIPE_H

#include <stddef.h>

struct mg_pipe {
    int read_fd, write_fd;
    size_t held; /* bytes in it */
};

/* An empty pipe, or NULL when the system has none left. */
struct mg_pipe *mg_pipe_get(void);
/* Gives it back. One that still holds bytes is closed, and they are lost. NULL is fine. */
void mg_pipe_put(struct mg_pipe *p);
/* Closes the ones that this thread keeps; before the thread ends. */
void mg_pipe_close_all(void);

#endif
