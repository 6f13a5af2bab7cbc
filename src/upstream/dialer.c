/* Connecting to backends. Loop thread. */
#include "upstream/dialer.h"

#include <errno.h>

static void *dial_socket(void *loop, struct mg_backend *b, mg_connect_fn on_done, void *arg,
                         int *error)
{
    return mg_connect_start(loop, &b->addr, b->unix_path, on_done, arg, error);
}

static void cancel_dial(void *loop, void *dial)
{
    (void)loop;
    mg_connect_cancel(dial);
}

struct mg_dialer mg_dialer_sockets(struct mg_loop *loop)
{
    return (struct mg_dialer){.start = dial_socket, .cancel = cancel_dial, .ctx = loop};
}

const char *mg_dialer_error(int error)
{
    switch (error) {
    case ECONNREFUSED:
        return "connection-refused";
    case EHOSTUNREACH:
    case ENETUNREACH:
        return "unreachable";
    case ETIMEDOUT:
        return "connect-timeout";
    case ENOENT:
        return "no-such-socket";
    default:
        return "connect-failed";
    }
}
