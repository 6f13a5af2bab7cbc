/* Keyrings: versions, asking for newer keys, and when two are the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "upstream/keyring.h"

static struct mg_jwk_set *new_set(void)
{
    struct mg_jwk_set *set = mg_jwk_set_parse(MG_STR("{\"keys\":[]}"), NULL, NULL);
    assert_non_null(set);
    return set;
}

static struct mg_keyring_source source(void)
{
    return (struct mg_keyring_source){
        .name = MG_STR("main"), .url = MG_STR("https://a/jwks"), .refresh_ns = MG_SECOND};
}

static void a_fixed_one_never_changes(void **state)
{
    (void)state;
    uint64_t version;
    struct mg_keyring *r = mg_keyring_of(new_set());
    assert_null(mg_keyring_source(r));
    assert_int_not_equal(mg_keyring_version(r), 0);
    struct mg_jwk_set *set = mg_keyring_set(r, &version);
    assert_non_null(set);
    assert_int_equal(version, mg_keyring_version(r));
    assert_false(mg_keyring_want(r, version, MG_SECOND));
    mg_keyring_unref(r);
    assert_int_equal(set->count, 0); /* a ref of its own */
    mg_jwk_set_unref(set);
}

static void each_set_has_a_version(void **state)
{
    (void)state;
    uint64_t version;
    struct mg_keyring_source s = source();
    struct mg_keyring *r = mg_keyring_new(&s);
    assert_null(mg_keyring_set(r, &version));
    assert_int_equal(version, 0);
    mg_keyring_begin(r);
    mg_keyring_end(r, NULL);
    assert_int_equal(mg_keyring_version(r), 0);
    assert_int_equal(mg_keyring_tries(r), 1);
    for (uint64_t i = 1; i < 4; i++) {
        struct mg_jwk_set *set = new_set();
        mg_keyring_begin(r);
        mg_keyring_end(r, set);
        struct mg_jwk_set *got = mg_keyring_set(r, &version);
        assert_ptr_equal(got, set);
        assert_int_equal(version, i);
        mg_jwk_set_unref(got);
    }
    mg_keyring_unref(r);
}

static void count(void *arg)
{
    ++*(int *)arg;
}

static void newer_keys_are_asked_for_once(void **state)
{
    (void)state;
    int asked = 0;
    struct mg_loop *loop = mg_loop_new_simulated(1);
    struct mg_keyring_source s = source();
    struct mg_keyring *r = mg_keyring_new(&s);
    uint64_t now = mg_loop_now(loop);
    assert_false(mg_keyring_want(r, 0, now)); /* nobody listens */
    mg_keyring_listen(r, loop, count, &asked);
    assert_true(mg_keyring_want(r, 0, now));
    assert_true(mg_keyring_want(r, 0, now)); /* it is on its way */
    mg_loop_simulate(loop, now + 1, NULL);
    assert_int_equal(asked, 1);
    assert_true(mg_keyring_is_wanted(r));
    mg_keyring_begin(r);
    assert_false(mg_keyring_is_wanted(r));
    assert_true(mg_keyring_want(r, 0, now)); /* so it is */
    mg_keyring_end(r, NULL);
    assert_false(mg_keyring_want(r, 0, now + 9 * MG_SECOND)); /* a moment ago */
    assert_true(mg_keyring_want(r, 7, now + 9 * MG_SECOND));  /* what is there is newer */
    assert_true(mg_keyring_want(r, 0, now + 10 * MG_SECOND));
    mg_loop_simulate(loop, now + 2, NULL);
    assert_int_equal(asked, 2);
    mg_keyring_unref(r);
    mg_loop_free(loop);
}

static void the_same_is_what_is_got_from_the_same_place(void **state)
{
    (void)state;
    struct mg_tls_client_settings *tls = mg_tls_client_settings_new();
    struct mg_keyring_source base = source();
    struct mg_keyring_source others[] = {base, base, base, base, base, base, base};
    others[0].name = MG_STR("other");
    others[1].url = MG_STR("https://b/jwks");
    others[2].issuer = MG_STR("https://a");
    others[3].refresh_ns = 1;
    others[4].algs = 1;
    others[5].insecure = true;
    others[6].tls = tls;
    struct mg_keyring *r = mg_keyring_new(&base), *same = mg_keyring_new(&base);
    struct mg_keyring *fixed = mg_keyring_of(new_set());
    assert_true(mg_keyring_is_same(r, same));
    assert_false(mg_keyring_is_same(r, fixed));
    assert_false(mg_keyring_is_same(fixed, fixed));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct mg_keyring *other = mg_keyring_new(&others[i]);
        assert_false(mg_keyring_is_same(r, other));
        mg_keyring_unref(other);
    }
    mg_keyring_unref(fixed);
    mg_keyring_unref(same);
    mg_keyring_unref(r);
    mg_tls_client_settings_unref(tls);
}

static void keys_come_by_https_or_from_here(void **state)
{
    static const struct {
        const char *url;
        bool good, when_insecure;
    } cases[] = {
        {"https://login.example.com/jwks", true, true},
        {"http://login.example.com/jwks", false, true},
        {"http://localhost:8080/jwks", true, true},
        {"http://127.9.9.9/jwks", true, true},
        {"http://[::1]:80/jwks", true, true},
        {"http://128.0.0.1/jwks", false, true},
        {"http://localhost.evil.test/jwks", false, true},
        {"http://[::2]/jwks", false, true},
        {"file:///etc/passwd", false, false},
        {"login.example.com", false, false},
        {"", false, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mg_error err;
        struct mg_str url = mg_str_c(cases[i].url);
        assert_int_equal(mg_keyring_check_url(url, false, &err) == MG_OK, cases[i].good);
        assert_int_equal(mg_keyring_check_url(url, true, &err) == MG_OK, cases[i].when_insecure);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fixed_one_never_changes),
        cmocka_unit_test(each_set_has_a_version),
        cmocka_unit_test(newer_keys_are_asked_for_once),
        cmocka_unit_test(the_same_is_what_is_got_from_the_same_place),
        cmocka_unit_test(keys_come_by_https_or_from_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
