/* What the options of several policies that C runs have in common. Control thread. */
#ifndef MG_SCRIPT_NATIVE_OPTIONS_H
#define MG_SCRIPT_NATIVE_OPTIONS_H

#include "gateway/client_key.h"
#include "script/config_build.h"

/* The list `by` of the table: whose requests are counted together. */
void mg_native_client_key(struct mg_config_build *b, int table, struct mg_client_key *out);
/* The dictionary that `dictionary` of the conf names, as large as the config says; NULL: nothing is
 * going to run. */
struct mg_dict *mg_native_dict(struct mg_config_build *b, int conf);

#endif
