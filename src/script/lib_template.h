/* mg.json.template: JSON texts with gaps, filled in for each response. Worker thread. */
#ifndef MG_SCRIPT_LIB_TEMPLATE_H
#define MG_SCRIPT_LIB_TEMPLATE_H

#include <lua.h>

/* Adds it to the `json` table of the `mg` table on top. */
void mg_lib_template_open(lua_State *L);

#endif
