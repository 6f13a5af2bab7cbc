/* Keys of issuers in a file: each source has its own, the last one counts, rubbish is nothing. */
#include "upstream/key_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct mg_keyring_source by_url = {.url = MG_STR("https://a.test/keys")};
static const struct mg_keyring_source by_issuer = {.issuer = MG_STR("https://a.test/keys")};
static const struct mg_keyring_source both = {.url = MG_STR("https://a.test/keys"),
                                              .issuer = MG_STR("b")};

static struct mg_key_memory *memory;
static int file; /* the same one, for looking from outside */

static int setup(void **state)
{
    (void)state;
    file = mg_key_memory_file();
    assert_true(file >= 0);
    memory = mg_key_memory_new(dup(file));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mg_key_memory_free(memory);
    close(file);
    return 0;
}

/* `expected` NULL: nothing is kept. */
static void expect(const struct mg_keyring_source *source, const char *expected)
{
    struct mg_buf text;
    mg_buf_init(&text, MG_KEY_MEMORY_MAX);
    bool found = mg_key_memory_recall(memory, source, &text);
    assert_int_equal(found, expected != NULL);
    if (expected) {
        assert_int_equal(text.n, strlen(expected));
        assert_memory_equal(text.p, expected, text.n);
    }
    mg_buf_release(&text);
}

static void keep(const struct mg_keyring_source *source, const char *text)
{
    mg_key_memory_keep(memory, source, mg_str_c(text));
}

static void each_source_has_its_own(void **state)
{
    (void)state;
    expect(&by_url, NULL);
    keep(&by_url, "{\"keys\":[]}");
    keep(&by_issuer, "second \\ \"\n\xc3\xa9");
    expect(&by_url, "{\"keys\":[]}");
    expect(&by_issuer, "second \\ \"\n\xc3\xa9");
    expect(&both, NULL);
}

static void the_last_one_counts(void **state)
{
    (void)state;
    keep(&by_url, "a long text, which was kept first");
    keep(&both, "between");
    keep(&by_url, "short");
    expect(&by_url, "short");
    expect(&both, "between");
}

static void the_next_process_finds_them(void **state)
{
    (void)state;
    keep(&by_url, "kept");
    mg_key_memory_free(memory);
    memory = mg_key_memory_new(dup(file));
    expect(&by_url, "kept");
}

static void rubbish_is_nothing(void **state)
{
    static const char *const RUBBISH[] = {"x",
                                          "[",
                                          "[[\"https://a.test/keys\"",
                                          "[[1,2,3]]",
                                          "[[\"https://a.test/keys\",\"\",\"k\",4]]",
                                          "{}"};
    (void)state;
    for (size_t i = 0; i < sizeof RUBBISH / sizeof *RUBBISH; i++) {
        assert_int_equal(ftruncate(file, 0), 0);
        assert_int_equal(pwrite(file, RUBBISH[i], strlen(RUBBISH[i]), 0), strlen(RUBBISH[i]));
        expect(&by_url, NULL);
        keep(&by_url, "good");
        expect(&by_url, "good");
    }
}

/* No JSON text, or too much: what was kept before stays. */
static void what_cannot_be_kept_changes_nothing(void **state)
{
    (void)state;
    keep(&by_url, "good");
    keep(&by_url, "\xff");
    expect(&by_url, "good");
    char *large = malloc(MG_KEY_MEMORY_MAX + 1);
    memset(large, 'a', MG_KEY_MEMORY_MAX);
    mg_key_memory_keep(memory, &both, mg_str(large, MG_KEY_MEMORY_MAX));
    free(large);
    expect(&by_url, "good");
    expect(&both, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_source_has_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_one_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(the_next_process_finds_them, setup, teardown),
        cmocka_unit_test_setup_teardown(rubbish_is_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_kept_changes_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
