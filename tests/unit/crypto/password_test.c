/* Hashes of passwords: vectors of others, what is no hash, limits, new ones. */
#include "crypto/password.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static bool verifies(const char *text, const char *password)
{
    return mg_password_verify(mg_str_c(text), mg_str_c(password)) == MG_OK;
}

/* The third of RFC 7914 12, and two that were made with another program. */
static void vectors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *password;
    } cases[] = {
        {"$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/"
         "2o+7qQT44+qbVD9lRdofLVQylV"
         "YT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw",
         "pleaseletmein"},
        {"$scrypt$ln=10,r=8,p=16$TmFDbE5hQ2w$XsC2ZTdXJ4zsfzVdRtTQNNSXMToqf+tcSxiTF5U/EW4bQrmC0tFSLi"
         "qsSgATDJlsuk/bU58fe99WhUo5izDpPw",
         "password"},
        {"$pbkdf2-sha256$i=80000$TmFDbE5hQ2w$Q9X5TYm7APo3Dt8GKWvPSYeqRflNEgQlbgcO4aAyBjqH7XhjnZ6PYP"
         "uuQ66d9W5hh0y2dntoqh6miMTZTCB0ug",
         "Password"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char other[64];
        assert_true(verifies(cases[i].text, cases[i].password));
        assert_false(verifies(cases[i].text, ""));
        snprintf(other, sizeof other, "%s ", cases[i].password);
        assert_false(verifies(cases[i].text, other));
    }
}

#define SALT "U29kaXVtQ2hsb3JpZGU"
#define HASH "cCO9yzr9c0hGHAbNgf046w"

static void what_is_no_hash(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "$",
        "secret",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "$2y$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
        "$argon2id$v=19$m=65536,t=3,p=4$" SALT "$" HASH,
        "scrypt$ln=10,r=8,p=1$" SALT "$" HASH,
        "x$scrypt$ln=10,r=8,p=1$" SALT "$" HASH,
        "$scrypt$ln=10,r=8,p=1$" SALT "$" HASH "$",
        "$scrypt$ln=10,r=8,p=1$" SALT "$" HASH "$x",
        "$scrypt$ln=10,r=8,p=1$" SALT "$",
        "$scrypt$ln=10,r=8,p=1$" SALT,
        "$scrypt$ln=10,r=8,p=1$" SALT "$" HASH "==",
        "$scrypt$ln=10,r=8,p=1$" SALT "$cCO9yzr9c0hGHAbNgf046x", /* stray bits */
        "$scrypt$ln=10,r=8,p=1$" SALT "$cCO9",
        "$scrypt$ln=10,r=8,p=1$U29k$" HASH,
        "$scrypt$ln=10,r=8,p=1$" SALT "!$" HASH,
        "$scrypt$ln=10,r=8$" SALT "$" HASH,
        "$scrypt$r=8,ln=10,p=1$" SALT "$" HASH,
        "$scrypt$ln=10,r=8,p=1,x=1$" SALT "$" HASH,
        "$scrypt$ln=010,r=8,p=1$" SALT "$" HASH,
        "$scrypt$ln=-1,r=8,p=1$" SALT "$" HASH,
        "$scrypt$ln=,r=8,p=1$" SALT "$" HASH,
        "$scrypt$ln=4294967306,r=8,p=1$" SALT "$" HASH,
        "$pbkdf2-sha256$i=1000,i=1000$" SALT "$" HASH,
        "$pbkdf2-sha256$" SALT "$" HASH,
        "$pbkdf2-sha512$i=1000$" SALT "$" HASH,
    };
    struct mg_error err;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (mg_password_parse(mg_str_c(cases[i]), NULL, &err) == MG_OK)
            fail_msg("taken: %s", cases[i]);
        assert_string_equal(err.text, "not a password hash ($scrypt$... or $pbkdf2-sha256$...)");
        assert_false(verifies(cases[i], "x"));
    }
    assert_int_equal(mg_password_parse(MG_STR("$scrypt$ln=10,r=8,p=1$" SALT "$" HASH), NULL, &err),
                     MG_OK);
}

static void long_texts(void **state)
{
    (void)state;
    struct mg_error err;
    char text[1024];
    for (size_t zeros = 1; zeros < 600; zeros++) {
        int n = snprintf(text, sizeof text, "$scrypt$ln=10,r=8,p=1$" SALT "$%0*d", (int)zeros, 0);
        bool parsed = mg_password_parse(mg_str(text, (size_t)n), NULL, &err) == MG_OK;
        n = snprintf(text, sizeof text, "$scrypt$ln=10,r=8,p=1$%0*d$" HASH, (int)zeros, 0);
        parsed |= mg_password_parse(mg_str(text, (size_t)n), NULL, &err) == MG_OK;
        (void)parsed; /* whether they are good is told above; here they must only be read */
    }
}

static void costs_have_limits(void **state)
{
    (void)state;
    static const struct {
        const char *parameters, *fault;
    } cases[] = {
        {"scrypt$ln=0,r=8,p=1", "'ln' must be 1 to 15"},
        {"scrypt$ln=15,r=8,p=1", NULL},
        {"scrypt$ln=16,r=1,p=1", "'ln' must be 1 to 15"},
        {"scrypt$ln=63,r=1,p=1", "'ln' must be 1 to 15"},
        {"scrypt$ln=10,r=0,p=1", "'r' must be 1 to 32"},
        {"scrypt$ln=10,r=33,p=1", "'r' must be 1 to 32"},
        {"scrypt$ln=10,r=8,p=0", "'p' must be 1 to 16"},
        {"scrypt$ln=10,r=8,p=17", "'p' must be 1 to 16"},
        {"scrypt$ln=13,r=32,p=1", NULL},
        {"scrypt$ln=15,r=8,p=2",
         "'ln', 'r' and 'p' ask for too much: 2^ln * r * p must be at most 262144"},
        {"pbkdf2-sha256$i=999", "'i' must be 1000 to 600000"},
        {"pbkdf2-sha256$i=600000", NULL},
        {"pbkdf2-sha256$i=600001", "'i' must be 1000 to 600000"},
        {"pbkdf2-sha256$i=4294967295", "'i' must be 1000 to 600000"},
    };
    struct mg_error err;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[256];
        snprintf(text, sizeof text, "$%s$%s$%s", cases[i].parameters, SALT, HASH);
        enum mg_rc rc = mg_password_parse(mg_str_c(text), NULL, &err);
        assert_int_equal(rc, cases[i].fault ? MG_FAIL : MG_OK);
        if (cases[i].fault)
            assert_string_equal(err.text, cases[i].fault);
    }
}

static void new_ones(void **state)
{
    (void)state;
    static const struct {
        struct mg_password_cost cost;
        const char *head;
    } cases[] = {
        {{.kind = MG_PASSWORD_SCRYPT, .ln = 4, .r = 1, .p = 2}, "$scrypt$ln=4,r=1,p=2$"},
        {{.kind = MG_PASSWORD_PBKDF2_SHA256, .iterations = 1000}, "$pbkdf2-sha256$i=1000$"},
    };
    static const char *const passwords[] = {"", "a", "p\xc3\xa4ss w\xc3\xb6rd"};
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t k = 0; k < COUNT(passwords); k++) {
            char one[MG_PASSWORD_TEXT_MAX], two[MG_PASSWORD_TEXT_MAX];
            struct mg_str password = mg_str_c(passwords[k]);
            struct mg_password_cost cost;
            size_t n = mg_password_hash(password, &cases[i].cost, one, NULL);
            size_t m = mg_password_hash(password, &cases[i].cost, two, NULL);
            assert_true(n > 0 && n == m && mg_str_starts(mg_str(one, n), mg_str_c(cases[i].head)));
            assert_memory_not_equal(one, two, n); /* each has its salt */
            assert_int_equal(mg_password_verify(mg_str(one, n), password), MG_OK);
            assert_int_equal(mg_password_verify(mg_str(one, n), MG_STR("b")), MG_FAIL);
            assert_int_equal(mg_password_parse(mg_str(one, n), &cost, NULL), MG_OK);
            assert_memory_equal(&cost, &cases[i].cost, sizeof cost);
        }
    }
}

static void passwords_have_a_limit(void **state)
{
    (void)state;
    static char bytes[MG_PASSWORD_BYTES_MAX + 1];
    char text[MG_PASSWORD_TEXT_MAX];
    struct mg_password_cost cost = {.ln = 4, .r = 1, .p = 1};
    struct mg_error err;
    struct mg_str longest = mg_str(bytes, sizeof bytes - 1), longer = mg_str(bytes, sizeof bytes);
    memset(bytes, 'a', sizeof bytes);
    assert_int_equal(mg_password_hash(longer, &cost, text, &err), 0);
    assert_string_equal(err.text, "a password must have at most 1024 bytes, and no NUL");
    size_t n = mg_password_hash(longest, &cost, text, &err);
    assert_int_equal(mg_password_verify(mg_str(text, n), longest), MG_OK);
    assert_int_equal(mg_password_verify(mg_str(text, n), longer), MG_FAIL);
    assert_int_equal(mg_password_hash(MG_STR("a\0"), &cost, text, &err), 0);
    n = mg_password_hash(MG_STR("a"), &cost, text, &err);
    assert_int_equal(mg_password_verify(mg_str(text, n), MG_STR("a\0")), MG_FAIL);
    cost.ln = 16;
    assert_int_equal(mg_password_hash(longest, &cost, text, &err), 0);
}

static void defaults_are_within_limits(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct mg_password_cost cost = mg_password_cost_default((enum mg_password_kind)kind);
        assert_int_equal(cost.kind, kind);
        assert_int_equal(mg_password_cost_check(&cost, NULL), MG_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(what_is_no_hash),
        cmocka_unit_test(long_texts),
        cmocka_unit_test(costs_have_limits),
        cmocka_unit_test(new_ones),
        cmocka_unit_test(passwords_have_a_limit),
        cmocka_unit_test(defaults_are_within_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
