/* Checks a config. Secrets are not needed for it, so that it can be done where they are not, as in
 * CI. */
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
    struct mg_config_source source = {.file = options->config, .check_only = true};
    mg_buf_init(&diagnostics, DIAGNOSTICS_MAX);
    struct mg_generation *gen = mg_config_load(&source, &diagnostics, &errors, &warnings);
    fwrite(diagnostics.p, 1, diagnostics.n, stdout);
    printf("%s: ", options->config);
    if (errors)
        print_count("error", errors);
    else
        printf("ok");
    if (warnings) {
        printf(", ");
        print_count("warning", warnings);
    }
    printf("\n");
    mg_buf_release(&diagnostics);
    mg_generation_unref(gen);
    return gen ? 0 : 1;
}
