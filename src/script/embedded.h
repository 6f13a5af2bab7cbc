/*
 * The Lua files that are built into the program: its own modules (lua/) and the shipped policies.
 *
 * The table is made by embed.lua when one of the files changes. Constant; any thread may read it.
 */
#ifndef MG_SCRIPT_EMBEDDED_H
#define MG_SCRIPT_EMBEDDED_H

#include <stddef.h>

struct mg_embedded_file {
    const char *name; /* path in the source tree: "lua/moongate/schema.lua" */
    const char *data; /* the file's bytes, with a NUL after the last */
    size_t size;      /* without that NUL */
};

/* In the order of their names (as strcmp has it), so that a name can be found by bisection. */
extern const struct mg_embedded_file mg_embedded_files[];
extern const size_t mg_embedded_file_count;

#endif
