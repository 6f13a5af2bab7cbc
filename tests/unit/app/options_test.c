/* The command line: mg_options_parse. */
#include "app/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])
#define WORDS_MAX 8

static enum mg_rc parse(const char *const *words, struct mg_options *out, struct mg_error *err)
{
    char *argv[WORDS_MAX + 2] = {(char *)"moongate"};
    int argc = 1;
    for (; words[argc - 1]; argc++)
        argv[argc] = (char *)words[argc - 1];
    return mg_options_parse(argc, argv, out, err);
}

static void test_good(void **unused)
{
    static const struct {
        const char *words[WORDS_MAX];
        struct mg_options want;
    } cases[] = {
        {{"run"}, {.command = MG_COMMAND_RUN, .config = "moongate.yaml"}},
        {{"run", "-c", "x.json", "-p", "0"},
         {.command = MG_COMMAND_RUN, .config = "x.json", .port = "0"}},
        {{"run", "--workers", "1024", "--dev"},
         {.command = MG_COMMAND_RUN, .config = "moongate.yaml", .workers = 1024, .dev = true}},
        {{"run", "--port", "65535", "--config", "-c"},
         {.command = MG_COMMAND_RUN, .config = "-c", .port = "65535"}},
        {{"check"}, {.command = MG_COMMAND_CHECK, .config = "moongate.yaml"}},
        {{"check", "a.yaml"}, {.command = MG_COMMAND_CHECK, .config = "a.yaml"}},
        {{"check", "--strict", "a.yaml"}, {MG_COMMAND_CHECK, "a.yaml", .strict = true}},
        {{"check", "-c", "a.yaml"}, {.command = MG_COMMAND_CHECK, .config = "a.yaml"}},
        {{"ndjson"}, {.command = MG_COMMAND_NDJSON}},
        {{"ndjson", "-c", "a.json"}, {.command = MG_COMMAND_NDJSON, .config = "a.json"}},
        {{"status"}, {.command = MG_COMMAND_STATUS, .config = "moongate.yaml"}},
        {{"reload", "-c", "a"}, {.command = MG_COMMAND_RELOAD, .config = "a"}},
        {{"stop", "--admin", "[::1]:1"},
         {.command = MG_COMMAND_STOP, .config = "moongate.yaml", .admin = "[::1]:1"}},
        {{"version"}, {.command = MG_COMMAND_VERSION, .config = "moongate.yaml"}},
        {{"--version"}, {.command = MG_COMMAND_VERSION, .config = "moongate.yaml"}},
        {{"help"}, {.command = MG_COMMAND_HELP, .config = "moongate.yaml"}},
        {{"-h"}, {.command = MG_COMMAND_HELP, .config = "moongate.yaml"}},
        {{"run", "--help"}, {.command = MG_COMMAND_HELP, .config = "moongate.yaml"}},
        {{"check", "-h", "a.yaml"}, {.command = MG_COMMAND_HELP, .config = "a.yaml"}},
        {{"check", "--help"}, {.command = MG_COMMAND_HELP, .config = "moongate.yaml"}},
        {{"ndjson", "-c", "a", "--help"}, {.command = MG_COMMAND_HELP, .config = "a"}},
        {{"reload", "-h"}, {.command = MG_COMMAND_HELP, .config = "moongate.yaml"}},
        {{"run", "-c", "-h"}, {.command = MG_COMMAND_RUN, .config = "-h"}},
    };
    (void)unused;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct mg_options *want = &cases[i].want;
        struct mg_options got;
        struct mg_error err;
        if (parse(cases[i].words, &got, &err) != MG_OK)
            fail_msg("case %zu: %s", i, err.text);
        assert_int_equal(got.command, want->command);
        assert_string_equal(got.config ? got.config : "none", want->config ? want->config : "none");
        assert_string_equal(got.port ? got.port : "none", want->port ? want->port : "none");
        assert_int_equal(got.workers, want->workers);
        assert_string_equal(got.admin ? got.admin : "none", want->admin ? want->admin : "none");
        assert_int_equal(got.dev, want->dev);
        assert_int_equal(got.strict, want->strict);
    }
}

static void test_supervision(void **unused)
{
    static const char *const words[] = {"run", "--pid-file", "a.pid", "--no-supervisor", NULL};
    static const char *const bare[] = {"run", NULL};
    struct mg_options got;
    struct mg_error err;
    (void)unused;
    assert_int_equal(parse(words, &got, &err), MG_OK);
    assert_string_equal(got.pid_file, "a.pid");
    assert_true(got.unsupervised);
    assert_int_equal(parse(bare, &got, &err), MG_OK);
    assert_null(got.pid_file);
    assert_false(got.unsupervised);
}

static void test_rgate(void **unused)
{
    struct mg_options got;
    struct mg_error err;
    char *const run[] = {(char *)"/usr/bin/rgate", (char *)"-c", (char *)"config.yml", (char *)"-p",
                         (char *)"6000",           NULL};
    char *const bare[] = {(char *)"rgate", NULL};
    char *const wrong[] = {(char *)"rgate", (char *)"check", NULL};
    (void)unused;
    assert_int_equal(mg_options_parse(5, run, &got, &err), MG_OK);
    assert_int_equal(got.command, MG_COMMAND_RUN);
    assert_string_equal(got.config, "config.yml");
    assert_string_equal(got.port, "6000");
    assert_int_equal(mg_options_parse(1, bare, &got, &err), MG_OK);
    assert_int_equal(got.command, MG_COMMAND_RUN);
    assert_int_equal(mg_options_parse(2, wrong, &got, &err), MG_FAIL);
    assert_true(mg_options_is_rgate("./rgate"));
    assert_false(mg_options_is_rgate("rgate/moongate"));
    assert_false(mg_options_is_rgate("xrgate"));
}

static void test_bad(void **unused)
{
    static const struct {
        const char *words[WORDS_MAX];
        const char *error;
    } cases[] = {
        {{NULL}, "a command is missing"},
        {{"start"}, "unknown command 'start'"},
        {{""}, "unknown command ''"},
        {{"run", "x.yaml"}, "run: unknown argument 'x.yaml'"},
        {{"run", "-x"}, "run: unknown argument '-x'"},
        {{"run", "-c"}, "-c needs a value"},
        {{"run", "-c", ""}, "-c needs a value"},
        {{"run", "-p", "65536"}, "-p must be a number from 0 to 65535, not '65536'"},
        {{"run", "-p", "-1"}, "-p must be a number from 0 to 65535, not '-1'"},
        {{"run", "-p", "80x"}, "-p must be a number from 0 to 65535, not '80x'"},
        {{"run", "-p"}, "-p needs a value"},
        {{"run", "--workers", "0"}, "--workers must be a number from 1 to 1024, not '0'"},
        {{"run", "--workers", "99999999999999999999"}, "--workers must be a number from 1 to 1024"},
        {{"check", "a", "b"}, "check: one file at a time, 'b' is one more"},
        {{"check", "--dev"}, "check: unknown argument '--dev'"},
        {{"ndjson", "a.json"}, "ndjson: unknown argument 'a.json'"},
        {{"check", "-c"}, "-c needs a value"},
        {{"stop", "now"}, "stop: unknown argument 'now'"},
    };
    (void)unused;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct mg_options got;
        struct mg_error err;
        assert_int_equal(parse(cases[i].words, &got, &err), MG_FAIL);
        if (!strstr(err.text, cases[i].error))
            fail_msg("case %zu: %s", i, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_supervision),
        cmocka_unit_test(test_rgate),
        cmocka_unit_test(test_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
