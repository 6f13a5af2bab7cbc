/*
 * Telling systemd how the service is (sd_notify(3)): datagrams of NAME=value lines to the socket
 * that NOTIFY_SOCKET names. Elsewhere nobody listens, and nothing is sent. The protocol is stable
 * and a sendto(2); libsystemd would bring more libraries along than we have.
 */
#ifndef MG_APP_NOTIFY_H
#define MG_APP_NOTIFY_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "base/buf.h"

struct mg_notify {
    struct sockaddr_un to;
    socklen_t length;     /* of `to`; 0: nobody listens */
    uint64_t watchdog_ns; /* how often it wants to hear that we live; 0: it does not */
};

/* From the environment of this process. */
void mg_notify_init(struct mg_notify *n);
/* Takes those variables out of it: they are not for processes that we start. */
void mg_notify_hide(void);

void mg_notify_ready(const struct mg_notify *n, struct mg_str status);
void mg_notify_reloading(const struct mg_notify *n, struct mg_str status);
void mg_notify_stopping(const struct mg_notify *n, struct mg_str status);
void mg_notify_status(const struct mg_notify *n, struct mg_str status);
void mg_notify_alive(const struct mg_notify *n);

/* --- pure --- */

/* "/run/systemd/notify", or "@name" for an abstract socket. 0: neither. */
socklen_t mg_notify_address(const char *text, struct sockaddr_un *out);
/* `pid`: WATCHDOG_PID; both may be NULL. */
uint64_t mg_notify_watchdog(const char *usec, const char *pid, pid_t own);
/* Adds "STATUS=...", on one line. */
void mg_notify_add_status(struct mg_buf *out, struct mg_str status);

#endif
