/* `moongate ndjson`: messages on standard input, replies on standard output (app/ndjson_message.h),
 * to the end of the input. */
#ifndef MG_APP_NDJSON_H
#define MG_APP_NDJSON_H

#include "app/options.h"

/* Runs to the end of standard input. Gives the exit status. */
int mg_ndjson(const struct mg_options *options);

#endif
