/* The program: one command each time. */
#include <stdio.h>
#include <stdlib.h>

#include "app/check.h"
#include "app/descriptors.h"
#include "app/ndjson.h"
#include "app/options.h"
#include "app/parent.h"
#include "app/remote.h"
#include "app/run.h"
#include "app/supervisor.h"
#include "app/tools.h"
#include "crypto/version.h"
#include "net/version.h"
#include "script/version.h"
#include "tls/accel.h"
#include "tls/version.h"

#define VERSION "0.1.0"

static int print_version(void)
{
    mg_tls_accel_start(getenv(MG_TLS_ACCEL_VARIABLE));
    printf("moongate " VERSION " (lua %s, libevent %s, mbedtls %s, openssl %s)\n", mg_version_lua(),
           mg_version_libevent(), mg_version_mbedtls(), mg_version_openssl());
    printf("TLS acceleration: %s\n", mg_tls_accel_summary());
    return 0;
}

int main(int argc, char **argv)
{
    struct mg_options options;
    struct mg_error err;
    int status;
    mg_descriptors_fill_standard();
    if (argc > 0 && !mg_options_is_rgate(argv[0]) && mg_tools_run(argc, argv, &status))
        return status;
    if (mg_options_parse(argc, argv, &options, &err) != MG_OK) {
        fprintf(stderr, "moongate: %s\n\n%s", err.text, mg_options_usage);
        return 2;
    }
    switch (options.command) {
    case MG_COMMAND_RUN:
        return options.unsupervised || mg_parent_is_there() ? mg_run(&options)
                                                            : mg_supervisor_run(argv, &options);
    case MG_COMMAND_CHECK:
        return mg_check(&options);
    case MG_COMMAND_NDJSON:
        return mg_ndjson(&options);
    case MG_COMMAND_STATUS:
    case MG_COMMAND_RELOAD:
    case MG_COMMAND_STOP:
        return mg_remote(&options);
    case MG_COMMAND_VERSION:
        return print_version();
    case MG_COMMAND_HELP:
        fputs(mg_options_usage, stdout);
        return 0;
    }
    return 2;
}
