/* Commands for those who write configs and policies. They are written in Lua, and read their own
 * options. */
#ifndef MG_APP_TOOLS_H
#define MG_APP_TOOLS_H

#include <stdbool.h>

/* Runs the tool that argv[1] names, with the arguments behind it, and sets `*status` to its exit
 * status. False: there is no such tool. */
bool mg_tools_run(int argc, char **argv, int *status);

#endif
