/* `moongate run`: the gateway process, from its start to its end. */
#ifndef MG_APP_RUN_H
#define MG_APP_RUN_H

#include "app/options.h"

/* Serves until SIGTERM or SIGINT. Returns the process's exit status: 0 after a stop that was asked
 * for, 1 when it could not start. */
int mg_run(const struct mg_options *options);

#endif
