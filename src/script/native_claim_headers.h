/* The options of the policy `claim-to-header`, from what its module makes of its checked conf.
 * Control thread. */
#ifndef MG_SCRIPT_NATIVE_CLAIM_HEADERS_H
#define MG_SCRIPT_NATIVE_CLAIM_HEADERS_H

#include "script/config_build.h"

/* See mg_native.build; gives a struct mg_claim_headers. */
const void *mg_native_claim_headers(struct mg_config_build *b, int conf,
                                    const struct mg_config_place *place);

#endif
