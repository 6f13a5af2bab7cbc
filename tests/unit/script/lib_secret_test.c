/* mg.secret. */
#include "script/lua_test.h"

static const char *find_secret(void *arg, struct mg_str name, struct mg_str *value)
{
    if (mg_str_eq(name, MG_STR("other")))
        return "not for you:";
    if (!mg_str_eq(name, MG_STR("jwt")))
        return "unknown secret";
    *value = mg_str_c(arg);
    return NULL;
}

static char value[] = "s3cret";
static const struct mg_lib_env env = {.secret = find_secret, .arg = value};

static void test_secret(void **state)
{
    (void)state;
    static const char *const code[] = {
        "gives('s3cret', mg.secret('jwt'))",
        "raises(\"unknown secret 'jwt2'\", mg.secret, 'jwt2')",
        "raises(\"not for you: 'other'\", mg.secret, 'other')",
        "raises('string expected, got nil', mg.secret, nil)",
    };
    lua_test_run_each(&env, code, COUNT(code));
}

static void test_without_secrets(void **state)
{
    (void)state;
    static const char *const code[] = {"raises(\"unknown secret 'jwt'\", mg.secret, 'jwt')"};
    lua_test_run_each(NULL, code, COUNT(code));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secret),
        cmocka_unit_test(test_without_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
