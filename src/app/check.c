/* Checks a config. Secrets are not needed for it, so that it can be done where they are not, as in
 * CI; where they are, they are looked at as well. */
#include "app/check.h"

#include <stdio.h>

#include "script/config.h"

#define DIAGNOSTICS_MAX ((size_t)2 << 20)

static void print_count(const char *what, unsigned count)
{
    printf("%u %s%s", count, what, count == 1 ? "" : "s");
}

int mg_check(const struct mg_options *options)
{
    struct mg_buf diagnostics;
    unsigned errors, warnings;
    struct mg_config_source source = {
        .file = options->config, .check_only = true, .tries_secrets = true, .notes = true};
    mg_buf_init(&diagnostics, DIAGNOSTICS_MAX);
    struct mg_generation *gen = mg_config_load(&source, &diagnostics, &errors, &warnings);
    fwrite(diagnostics.p, 1, diagnostics.n, stdout);
    bool refused = errors || (options->strict && warnings);
    printf("%s: ", options->config);
    if (errors)
        print_count("error", errors);
    else if (!refused)
        printf("ok%s", warnings ? ", " : "");
    if (warnings)
        print_count("warning", warnings);
    printf("\n");
    mg_buf_release(&diagnostics);
    mg_generation_unref(gen);
    return refused ? 1 : 0;
}
