/*
 * A script that lives as a guest in somebody else's Lua state: that of a spec. Policies run there
 * in the same sandbox as in a state of their own, but functions of the spec can be steps, and its
 * debugger sees all.
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
    bool at_work;
    lua_Alloc host_alloc; /* at work: the state's own allocator */
    void *host_alloc_arg;
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

/* Between these two the guest is at work: what the state grows by counts against the limit of its
 * script, and strings have the methods of its sandbox, as with a state of its own. The same goes
 * for the spec's code that it calls. After mg_guest_enter; the script may come and go meanwhile. */
void mg_guest_begin_work(struct mg_guest *g);
void mg_guest_end_work(struct mg_guest *g);

/* --- for state.c --- */

/* A script's memory: it stays until the state is closed, for handles of it may be kept that long.
 */
struct mg_script *mg_guest_new_script(struct mg_guest *g);
/* Makes s->L and opens the sandbox beside what is there. MG_FAIL: out of memory. */
enum mg_rc mg_guest_open(struct mg_guest *g, struct mg_script *s);
/* Forgets the script; its tasks have ended. */
void mg_guest_close(struct mg_guest *g);

#endif
