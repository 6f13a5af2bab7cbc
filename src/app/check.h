/* `moongate check`: what is wrong with a config, without serving it. */
#ifndef MG_APP_CHECK_H
#define MG_APP_CHECK_H

#include "app/options.h"

/* Prints all errors and warnings, and their number, and notes on what costs memory. Returns the
 * exit status: 1 when there are errors, or warnings where these count as such. */
int mg_check(const struct mg_options *options);

#endif
