/* Members of Cache-Status (RFC 9211 2). */
#include "http/cache_status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define CACHE .cache = MG_STR("moongate")

static const struct {
    struct mg_cache_status status;
    const char *want;
} cases[] = {
    {{CACHE, .has_ttl = true, .ttl = 376}, "moongate;hit;ttl=376"},
    {{CACHE, .has_ttl = true, .ttl = -412}, "moongate;hit;ttl=-412"},
    {{CACHE, .forward_status = 200}, "moongate;hit"},
    {{CACHE, .forward = MG_CACHE_URI_MISS, .stored = true}, "moongate;fwd=uri-miss;stored"},
    {{CACHE, .forward = MG_CACHE_URI_MISS, .collapsed = true}, "moongate;fwd=uri-miss;collapsed"},
    {{CACHE, .forward = MG_CACHE_STALE, .forward_status = 304, .has_ttl = true, .ttl = 60,
      .stored = true},
     "moongate;fwd=stale;fwd-status=304;ttl=60;stored"},
    {{CACHE, .forward = MG_CACHE_BYPASS, .detail = MG_STR("set-cookie")},
     "moongate;fwd=bypass;detail=set-cookie"},
    {{CACHE, .forward = MG_CACHE_METHOD}, "moongate;fwd=method"},
    {{CACHE, .forward = MG_CACHE_VARY_MISS}, "moongate;fwd=vary-miss"},
    {{CACHE, .forward = MG_CACHE_MISS}, "moongate;fwd=miss"},
    {{CACHE, .forward = MG_CACHE_REQUEST}, "moongate;fwd=request"},
    {{CACHE, .forward = MG_CACHE_PARTIAL}, "moongate;fwd=partial"},
    {{CACHE, .key = MG_STR("GET a\"b"), .detail = MG_STR("two words")},
     "moongate;hit;key=\"GET a\\\"b\";detail=\"two words\""},
    {{CACHE, .key = MG_STR("caf\xc3\xa9"), .detail = MG_STR("\r\n")}, "moongate;hit"},
    {{.cache = MG_STR("my cache")}, "\"my cache\";hit"},
};

static void test_members(void **state)
{
    (void)state;
    struct mg_pool pool;
    struct mg_arena arena;
    mg_pool_init(&pool, 4096);
    mg_arena_init(&arena, &pool);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mg_str got = mg_cache_status_text(&arena, &cases[i].status);
        if (!mg_str_eq(got, mg_str_c(cases[i].want)))
            fail_msg("got '%.*s', want '%s'", MG_STR_ARGS(got), cases[i].want);
    }
    mg_arena_release(&arena);
    mg_pool_release(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_members)};
    return cmocka_run_group_tests_name("http/cache_status", tests, NULL, NULL);
}
