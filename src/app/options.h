/* The command line. Pure. */
#ifndef MG_APP_OPTIONS_H
#define MG_APP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum mg_command {
    MG_COMMAND_HELP,
    MG_COMMAND_RUN,
    MG_COMMAND_CHECK,
    MG_COMMAND_NDJSON,
    MG_COMMAND_STATUS,
    MG_COMMAND_RELOAD,
    MG_COMMAND_STOP,
    MG_COMMAND_VERSION,
};

struct mg_options {
    enum mg_command command;
    const char *config; /* file; NULL: none (ndjson) */
    const char *port;   /* digits, at most 65535; NULL: as the config says */
    uint32_t workers;   /* 0: as the config says */
    bool dev;
    const char *admin;    /* address of a running gateway; NULL: as the config says */
    const char *pid_file; /* NULL: none */
    bool unsupervised;    /* the gateway process alone */
    bool strict;          /* warnings of `check` are errors */
};

extern const char mg_options_usage[];

/* Is the program called `rgate`? Then it runs the gateway, and its arguments are options of that.
 */
bool mg_options_is_rgate(const char *program);

/* Borrows argv's texts. MG_FAIL with a text for whoever typed it. */
enum mg_rc mg_options_parse(int argc, char *const *argv, struct mg_options *out,
                            struct mg_error *err) MG_MUST_CHECK;

#endif
