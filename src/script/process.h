/*
 * Processes, for commands that are written in Lua: forks of the program itself, and their ends. The
 * main thread; while there are forks there is no other.
 */
#ifndef MG_SCRIPT_PROCESS_H
#define MG_SCRIPT_PROCESS_H

#include <lua.h>

/* Pushes the module `moongate.process`. A lua_CFunction.
 *
 *     fork(output?) -> pid; 0 in the child. It ends with its parent. With `output`, the name of a
 *         file, it is on its own: what it writes goes there, it reads nothing, has a process group
 *         that a terminal does not signal, and its memory has a limit
 *     kill(pid): a child, and with it all of its group
 *     wait(seconds) -> pid, status of a child that has ended (128 and the number, for a signal);
 *         nil, "timeout"; nil, "interrupted" when SIGINT or SIGTERM came, now or before
 *     cpus() -> how many there are for this process
 *     clock() -> seconds, which only go forward
 *     stat(path) -> two texts: which file it is, and which of its states; nil when there is none
 *
 * From the first fork or wait on SIGINT and SIGTERM do nothing but end a wait, and what takes a
 * while must wait from time to time. Children are as the process was before. */
int mg_process_open(lua_State *L);

#endif
