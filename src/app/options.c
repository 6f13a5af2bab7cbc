/* Reads the command line: a command, then its options in any order. */
#include "app/options.h"

#include <string.h>

#include "base/str.h"

#define WORKERS_MAX 1024

const char mg_options_usage[] =
    "usage: moongate COMMAND [OPTION]...\n"
    "\n"
    "  run [-c FILE] [-p PORT] [--dev] [--workers N] [--pid-file FILE] [--no-supervisor]\n"
    "                 start the gateway; -p replaces the first listener's port,\n"
    "                 --dev shows tracebacks in error bodies and reloads what is saved,\n"
    "                 --no-supervisor makes it one process, for a debugger\n"
    "  check [--strict] [FILE]\n"
    "                 tell all errors and warnings of a config, and who holds bodies in\n"
    "                 memory; --strict fails on warnings, too\n"
    "  explain METHOD URL [-H 'K: V']... [-c FILE] [--json]\n"
    "                 tell what a config would do with a request, without sending it\n"
    "  plan NEW [-c OLD] [--json]\n"
    "                 tell what another config would change: routes that lose what keeps\n"
    "                 requests out, what changes, what a reload keeps\n"
    "  convert FILE   print a config, or a file of another program, as the native file\n"
    "  status | reload | stop [-c FILE] [--admin ADDRESS]\n"
    "                 ask the running gateway by its admin listener: how it is; to read\n"
    "                 its config again; to finish what is under way and end\n"
    "  test [busted options] [PATH]...\n"
    "                 run specs with the test kit\n"
    "  new policy NAME [--dir FOLDER]\n"
    "                 make a policy with its README and spec, to begin with\n"
    "  policy [-c FILE] [--json] [NAME]\n"
    "                 list the policies, or tell all options of one\n"
    "  token [-c FILE] [--key NAME] [CLAIM=VALUE]...\n"
    "                 sign a JSON Web Token with a key of the config\n"
    "  ndjson [-c FILE]\n"
    "                 answer routing messages on standard input, by the routes of a\n"
    "                 config or of an init message; nothing is sent to backends\n"
    "  version        of the program and its libraries\n"
    "  help           this text\n"
    "\n"
    "The config is moongate.yaml where none is named.\n";

struct args {
    const char *command;
    char *const *at; /* what is left, to the NULL at the end */
    const char *option;
    struct mg_error *err;
};

static enum mg_rc take_value(struct args *a, const char **out)
{
    if (!*a->at || !**a->at)
        return mg_error_set(a->err, "%s needs a value", a->option);
    *out = *a->at++;
    return MG_OK;
}

static enum mg_rc take_number(struct args *a, const char **text, uint64_t least, uint64_t most,
                              uint64_t *out)
{
    if (take_value(a, text) != MG_OK)
        return MG_FAIL;
    if (mg_str_to_u64(mg_str_c(*text), most, out) && *out >= least)
        return MG_OK;
    return mg_error_set(a->err, "%s must be a number from %llu to %llu, not '%s'", a->option,
                        (unsigned long long)least, (unsigned long long)most, *text);
}

static bool is(const char *text, const char *word)
{
    return strcmp(text, word) == 0;
}

static bool is_help(const char *word)
{
    return is(word, "--help") || is(word, "-h");
}

/* What the command does not know: somebody asks for help, or is wrong. */
static enum mg_rc other_option(struct args *a, struct mg_options *out)
{
    if (!is_help(a->option))
        return mg_error_set(a->err, "%s: unknown argument '%s'", a->command, a->option);
    out->command = MG_COMMAND_HELP;
    return MG_OK;
}

static enum mg_rc parse_run(struct args *a, struct mg_options *out)
{
    const char *text;
    uint64_t number = 0;
    while ((a->option = *a->at)) {
        enum mg_rc rc = MG_OK;
        a->at++;
        if (is(a->option, "-c") || is(a->option, "--config")) {
            rc = take_value(a, &out->config);
        } else if (is(a->option, "-p") || is(a->option, "--port")) {
            rc = take_number(a, &out->port, 0, 65535, &number);
        } else if (is(a->option, "--workers")) {
            rc = take_number(a, &text, 1, WORKERS_MAX, &number);
            out->workers = (uint32_t)number;
        } else if (is(a->option, "--dev")) {
            out->dev = true;
        } else if (is(a->option, "--pid-file")) {
            rc = take_value(a, &out->pid_file);
        } else if (is(a->option, "--no-supervisor")) {
            out->unsupervised = true;
        } else {
            rc = other_option(a, out);
        }
        if (rc != MG_OK)
            return rc;
    }
    return MG_OK;
}

static enum mg_rc parse_ndjson(struct args *a, struct mg_options *out)
{
    out->config = NULL;
    while ((a->option = *a->at)) {
        bool by_option = is(a->option, "-c") || is(a->option, "--config");
        a->at++;
        enum mg_rc rc = by_option ? take_value(a, &out->config) : other_option(a, out);
        if (rc != MG_OK)
            return rc;
    }
    return MG_OK;
}

static enum mg_rc parse_check(struct args *a, struct mg_options *out)
{
    bool named = false;
    while ((a->option = *a->at)) {
        bool by_option = is(a->option, "-c") || is(a->option, "--config");
        a->at++;
        if (is(a->option, "--strict")) {
            out->strict = true;
            continue;
        }
        if (!by_option && *a->option == '-') {
            if (other_option(a, out) != MG_OK)
                return MG_FAIL;
            continue;
        }
        if (named)
            return mg_error_set(a->err, "check: one file at a time, '%s' is one more",
                                by_option && *a->at ? *a->at : a->option);
        if (!by_option)
            out->config = a->option;
        else if (take_value(a, &out->config) != MG_OK)
            return MG_FAIL;
        named = true;
    }
    return MG_OK;
}

/* Is it a command for the running gateway? */
static bool is_remote(const char *command, struct mg_options *out)
{
    static const struct {
        const char *word;
        enum mg_command command;
    } commands[] = {
        {"status", MG_COMMAND_STATUS}, {"reload", MG_COMMAND_RELOAD}, {"stop", MG_COMMAND_STOP}};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (!is(command, commands[i].word))
            continue;
        out->command = commands[i].command;
        return true;
    }
    return false;
}

static enum mg_rc parse_remote(struct args *a, struct mg_options *out)
{
    while ((a->option = *a->at)) {
        enum mg_rc rc = MG_OK;
        a->at++;
        if (is(a->option, "-c") || is(a->option, "--config"))
            rc = take_value(a, &out->config);
        else if (is(a->option, "--admin"))
            rc = take_value(a, &out->admin);
        else
            rc = other_option(a, out);
        if (rc != MG_OK)
            return rc;
    }
    return MG_OK;
}

bool mg_options_is_rgate(const char *program)
{
    const char *slash = program ? strrchr(program, '/') : NULL;
    return program && is(slash ? slash + 1 : program, "rgate");
}

enum mg_rc mg_options_parse(int argc, char *const *argv, struct mg_options *out,
                            struct mg_error *err)
{
    struct args a = {.command = "run", .at = argv + (argc > 0 ? 1 : 0), .err = err};
    *out = (struct mg_options){.config = "moongate.yaml"};
    if (argc > 0 && mg_options_is_rgate(argv[0])) {
        out->command = MG_COMMAND_RUN;
        return parse_run(&a, out);
    }
    if (!*a.at)
        return mg_error_set(err, "a command is missing");
    const char *command = a.command = *a.at++;
    if (is(command, "run")) {
        out->command = MG_COMMAND_RUN;
        return parse_run(&a, out);
    }
    if (is(command, "check")) {
        out->command = MG_COMMAND_CHECK;
        return parse_check(&a, out);
    }
    if (is(command, "ndjson")) {
        out->command = MG_COMMAND_NDJSON;
        return parse_ndjson(&a, out);
    }
    if (is_remote(command, out))
        return parse_remote(&a, out);
    if (is(command, "version") || is(command, "--version"))
        out->command = MG_COMMAND_VERSION;
    else if (!is(command, "help") && !is_help(command))
        return mg_error_set(err, "unknown command '%s'", command);
    return MG_OK;
}
