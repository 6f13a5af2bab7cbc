/* `moongate status | reload | stop`: talks to the running gateway by its admin listener. */
#ifndef MG_APP_REMOTE_H
#define MG_APP_REMOTE_H

#include "app/options.h"

/* Where it is comes from the config, and the token as well, or from the command line. Prints what
 * it was told, and returns the exit status: 1 when nobody answers, or what was asked for has
 * failed. `stop` waits until the gateway has ended. */
int mg_remote(const struct mg_options *options);

#endif
