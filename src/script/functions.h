/* Steps that are functions in a .lua config file. Functions cannot cross from the control thread's
 * state to a worker's, so each worker runs the file itself and finds them by their place. */
#ifndef MG_SCRIPT_FUNCTIONS_H
#define MG_SCRIPT_FUNCTIONS_H

#include <lua.h>

#include "script/plan.h"

/* Pushes the function that stands at the step's path in the plan's config file. Raises when there
 * is none. */
void mg_functions_push(lua_State *L, const struct mg_plan *plan, const struct mg_plan_step *step);

/* Has functions found in the table on top of the stack instead, and pops it. */
void mg_functions_set_config(lua_State *L);

#endif
