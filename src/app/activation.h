/*
 * Sockets that systemd has opened for the service (sd_listen_fds(3)). They are for the listeners
 * with the same address, or else with the name that the socket unit has (FileDescriptorName=).
 */
#ifndef MG_APP_ACTIVATION_H
#define MG_APP_ACTIVATION_H

#include <sys/types.h>

#include "app/held.h"

/* Takes them all, and the variables that tell of them out of the environment. */
void mg_activation_take(struct mg_held *held);

/* How many there are, from LISTEN_PID and LISTEN_FDS; each may be NULL. Pure. */
uint32_t mg_activation_count(const char *pid, const char *fds, pid_t own);

#endif
