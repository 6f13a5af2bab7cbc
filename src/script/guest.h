/*
 * A script that lives as a guest in somebody else's Lua state: that of a spec. Policies run there
 * in the same sandbox as in a state of their own, but functions of the spec can be steps, its
 * debugger sees all, and no limit holds on memory.
 *
 * What our code keeps in the registry under the addresses of its own variables belongs to one
 * guest: several take turns, and each finds its own entries while it is in. The rest of the state
 * (null and the array mark of JSON, named metatables, references) is common to all. One thread.
 */
#ifndef MG_SCRIPT_GUEST_H
#define MG_SCRIPT_GUEST_H

#include <lua.h>

#include "script/state.h"

struct mg_guest {
    lua_State *host;          /* the state's main thread */
    struct mg_script *script; /* set by mg_script_new; NULL before and after its life */
    int entries; /* reference of the table that holds its entries while another guest is in */
};

/* A guest without a script. May raise a memory error. */
void mg_guest_init(struct mg_guest *g, lua_State *L);
/* Gives back what its entries hold, as closing a state would. The script is freed already. */
void mg_guest_release(struct mg_guest *g);

/* Puts the guest's entries in force, and makes mg_script_of find its script on the main thread, on
 * `L`, and in coroutines made from now on. Before any call into the guest. */
void mg_guest_enter(struct mg_guest *g, lua_State *L);
/* The second half of it alone: for going back to the spec's own code, which calls `mg` too. */
void mg_guest_answer(struct mg_guest *g, lua_State *L);

/* --- for state.c --- */

/* A script's memory: it stays until the state is closed, for handles of it may be kept that long.
 */
struct mg_script *mg_guest_new_script(struct mg_guest *g);
/* Makes s->L and opens the sandbox beside what is there. MG_FAIL: out of memory. */
enum mg_rc mg_guest_open(struct mg_guest *g, struct mg_script *s);
/* Forgets the script; its tasks have ended. */
void mg_guest_close(struct mg_guest *g);

#endif
