/* The options of the policy `cache`, from its checked conf. Control thread. */
#ifndef MG_SCRIPT_NATIVE_CACHE_H
#define MG_SCRIPT_NATIVE_CACHE_H

#include "script/config_build.h"

/* See mg_native.build; gives a struct mg_cache_options. */
const void *mg_native_cache(struct mg_config_build *b, int conf,
                            const struct mg_config_place *place);

#endif
