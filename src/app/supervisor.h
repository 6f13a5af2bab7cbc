/*
 * `moongate run` as the user starts it: a small parent that holds the listening sockets, and starts
 * the gateway process (run.h), again when it falls, and a new program in its place when it is told
 * to.
 */
#ifndef MG_APP_SUPERVISOR_H
#define MG_APP_SUPERVISOR_H

#include "app/options.h"

/* Returns the exit status. `argv` is what the gateway process is started with, too. */
int mg_supervisor_run(char *const *argv, const struct mg_options *options);

#endif
