/* Pipes for splice(2). Each thread has its own. */
#include "net/pipe.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"

/* More room means fewer calls for the same bytes; the kernel allows unprivileged processes this
 * much. */
#define PIPE_BYTES (1 << 20)
#define KEPT 16

static _Thread_local struct mg_pipe *kept[KEPT];
static _Thread_local int kept_count;

static void close_pipe(struct mg_pipe *p)
{
    close(p->read_fd);
    close(p->write_fd);
    free(p);
}

struct mg_pipe *mg_pipe_get(void)
{
    int fds[2];
    if (kept_count)
        return kept[--kept_count];
    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
        return NULL;
    /* Refused beyond a user's share of pipe memory; then the size stays what it is. */
    fcntl(fds[1], F_SETPIPE_SZ, PIPE_BYTES);
    struct mg_pipe *p = mg_calloc(1, sizeof *p);
    p->read_fd = fds[0];
    p->write_fd = fds[1];
    return p;
}

void mg_pipe_put(struct mg_pipe *p)
{
    if (!p)
        return;
    if (p->held || kept_count == KEPT)
        close_pipe(p);
    else
        kept[kept_count++] = p;
}

void mg_pipe_close_all(void)
{
    while (kept_count)
        close_pipe(kept[--kept_count]);
}
