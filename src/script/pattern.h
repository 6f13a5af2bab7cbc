/*
 * string.find, match, gmatch and gsub with the meaning they have in stock Lua, but with a bound on
 * the work: a pattern that backtracks without end is an error, and not a worker that stands still.
 * (The CPU budget cannot stop a C function.)
 *
 * A call may take MG_PATTERN_STEPS steps and MG_PATTERN_STEPS_PER_BYTE more for each byte of its
 * subject; a step is a try of one pattern item at one place, about 3 ns. The text of some errors
 * differs from stock's.
 */
#ifndef MG_SCRIPT_PATTERN_H
#define MG_SCRIPT_PATTERN_H

#include <lua.h>

#define MG_PATTERN_STEPS 5000000
#define MG_PATTERN_STEPS_PER_BYTE 32

/* Sets the four functions in the table on top of the stack. */
void mg_pattern_open(lua_State *L);

#endif
