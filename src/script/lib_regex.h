/*
 * mg.regex(pattern, flags?) -> matcher: regular expressions (base/regex.h).
 *
 *     matcher(text), matcher:test(text)  -> boolean | nil, err
 *
 * Flags are letters: "i" letters of either case, "u" characters are UTF-8. A search for the pattern
 * anywhere in the text. The pattern comes from policies and configs, the text from anyone: so a bad
 * pattern raises, and a text on which the match gave up is an expected failure, err.code "too_hard"
 * or "too_long". Neither waits.
 */
#ifndef MG_SCRIPT_LIB_REGEX_H
#define MG_SCRIPT_LIB_REGEX_H

#include <lua.h>

/* Adds the above to the `mg` table on top of the stack. May raise a Lua memory error. */
void mg_lib_regex_open(lua_State *L);

#endif
