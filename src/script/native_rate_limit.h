/* The options of the policies `rate-limit` and `quota`, from what their modules make of their
 * checked confs. Control thread. */
#ifndef MG_SCRIPT_NATIVE_RATE_LIMIT_H
#define MG_SCRIPT_NATIVE_RATE_LIMIT_H

#include "script/config_build.h"

/* See mg_native.build; gives a struct mg_rate_limit_options. */
const void *mg_native_rate_limit(struct mg_config_build *b, int conf,
                                 const struct mg_config_place *place);

#endif
