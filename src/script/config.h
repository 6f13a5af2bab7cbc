/*
 * From a config file to a generation: reads the file and what it includes, has it checked by the
 * Lua module moongate.config (with the schemas of all policies in it), and builds what the workers
 * serve by.
 *
 * Paths in a config (include, lua.path, secrets) are relative to the folder of its main file.
 * Control thread; waits for the disk.
 */
#ifndef MG_SCRIPT_CONFIG_H
#define MG_SCRIPT_CONFIG_H

#include "base/buf.h"
#include "gateway/generation.h"
#include "script/config_files.h"
#include "shared/stores.h"

#define MG_CONFIG_FILE_MAX ((size_t)16 << 20) /* bytes of one file */

/* All borrowed for the call, but for the stores, which live longer than the generation.
 */
struct mg_config_source {
    const char *file;               /* ends in .json or .lua, or it is YAML */
    const struct mg_str *text;      /* in place of what is in the file; NULL: read it */
    const char *port_override;      /* decimal digits for the first listener, or NULL */
    uint32_t workers_override;      /* 0: none */
    bool dev;                       /* whatever the file says */
    bool notes;                     /* tell who holds bodies in memory, too */
    bool shown;                     /* somebody asks for gen->shown; so does who serves */
    bool show_later;                /* ... but not at once: mg_generation_show */
    bool check_only;                /* secrets need not be there: they are not read... */
    bool tries_secrets;             /* ... but for those that are; of others a warning */
    bool admin_only;                /* only `admin` counts, for those who talk to who serves */
    bool simulated;                 /* neither do files of certificates: nothing is encrypted */
    const struct mg_stores *stores; /* NULL: none, since nothing is going to run */
    struct mg_config_files *files;  /* gets the names of what is read; NULL: nobody asks */
};

/* A generation with a reference for the caller, whose `script` is a struct mg_plan (script/plan.h);
 * or NULL when there are errors. Appends what is to be said to `diagnostics`, in the form
 * "FILE:LINE:COL: PATH: MESSAGE": all errors, or when there are none all warnings, and notes behind
 * them. Counts the former two; either may be NULL. */
struct mg_generation *mg_config_load(const struct mg_config_source *source,
                                     struct mg_buf *diagnostics, unsigned *errors,
                                     unsigned *warnings);

#endif
