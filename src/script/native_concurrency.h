/* The options of the policy `concurrency`, from what its module makes of its checked conf. Control
 * thread. */
#ifndef MG_SCRIPT_NATIVE_CONCURRENCY_H
#define MG_SCRIPT_NATIVE_CONCURRENCY_H

#include "script/config_build.h"

/* See mg_native.build; gives a struct mg_concurrency. */
const void *mg_native_concurrency(struct mg_config_build *b, int conf,
                                  const struct mg_config_place *place);

#endif
