/*
 * The part of Lua's standard library that policy code may have, with bounds where a C function
 * could work or allocate without end.
 *
 * Not there: io, debug, package, dofile, loadfile, string.dump, os but for time; __gc (a finalizer
 * cannot be stopped; <close> can). math.randomseed does nothing: all policies of a worker share the
 * generator. collectgarbage only counts.
 */
#ifndef MG_SCRIPT_STDLIB_H
#define MG_SCRIPT_STDLIB_H

#include <lua.h>

#define MG_STDLIB_STRING_MAX (16 << 20) /* bytes that string.rep and a pack item may make */
#define MG_STDLIB_ITEMS_MAX 10000000    /* of a table function's work in one call */

/* Pushes a table of the safe globals, without `load` and `require`. Its libraries are protected. */
void mg_stdlib_open(lua_State *L);

/* Puts a read-only stand-in for the table on top of the stack in its place. Reading through it is
 * one table lookup more; pairs() over it finds nothing. */
void mg_stdlib_protect(lua_State *L);

#endif
