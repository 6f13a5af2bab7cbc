/*
 * The `mg` table, require "moongate", and how Lua steps run: what the config loader and the gateway
 * process need of it.
 */
#ifndef MG_SCRIPT_MODULE_H
#define MG_SCRIPT_MODULE_H

#include <lua.h>

#include "gateway/exchange.h"
#include "gateway/worker.h"

/* Pushes the module, for mg_sandbox_preload under the name "moongate". In a state that belongs to
 * no worker too: there policies are only loaded, and what needs a worker raises when it is called.
 * May raise a Lua memory error. */
void mg_lua_module_open(lua_State *L);

/* How a Lua step of a pipeline runs. */
extern const struct mg_step_ops mg_script_step_ops;

/* How a worker builds and drops its Lua side of a generation. */
extern const struct mg_script_hooks mg_script_hooks;

#endif
