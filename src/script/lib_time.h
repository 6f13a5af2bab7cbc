/*
 * Time and tasks in the `mg` table: sleep, now, monotonic, spawn, background, after, every.
 *
 * What mg.spawn, mg.after and mg.every start belongs to the context of the code that started it (a
 * request), and is cancelled with it. Without a context it belongs to the generation. mg.background
 * leaves the context: such tasks are counted, limited, and waited for at shutdown. A failure that
 * nobody waits for is logged.
 */
#ifndef MG_SCRIPT_LIB_TIME_H
#define MG_SCRIPT_LIB_TIME_H

#include <lua.h>

/* Adds the functions to the table on top of the stack. */
void mg_lib_time_open(lua_State *L);

/* mg.background, for other parts of the library: (fn, ...) are all that is on the stack. */
int mg_lib_time_background(lua_State *L);

#endif
