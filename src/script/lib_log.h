/*
 * mg.log.debug, info, warn, error(message, fields?): one line of the log (base/log.h), with the
 * fields of the running request before the caller's own.
 *
 * At most 16 fields of the caller, in the order of their names; `fields_left_out` counts the
 * others. Long values are cut. A name that the line has already gets a '_' behind. Of fields that
 * are called like headers with secrets in them (authorization, cookie, set-cookie,
 * proxy-authorization, x-api-key, and log.redact of the config; '-' and '_' alike, without case)
 * the value is not shown.
 */
#ifndef MG_SCRIPT_LIB_LOG_H
#define MG_SCRIPT_LIB_LOG_H

#include <lua.h>

/* Adds the above to the `mg` table on top of the stack. May raise a Lua memory error. */
void mg_lib_log_open(lua_State *L);

#endif
