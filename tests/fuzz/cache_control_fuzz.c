/* Lines are fields of one message: Cache-Control, and the same text as a targeted field. Numbers
 * stay in range and are there only with their directive; text around commas cannot make a directive
 * that is present on its own go away. */
#include "http/cache_control.h"

#include "base/error.h"

static void check(const struct mg_cache_control *cc)
{
    const uint32_t numbers[] = {cc->max_age,        cc->s_maxage,  cc->stale_while_revalidate,
                                cc->stale_if_error, cc->max_stale, cc->min_fresh};
    static const enum mg_cache_directive BITS[] = {
        MG_CC_MAX_AGE,        MG_CC_S_MAXAGE,  MG_CC_STALE_WHILE_REVALIDATE,
        MG_CC_STALE_IF_ERROR, MG_CC_MAX_STALE, MG_CC_MIN_FRESH};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        MG_BUG_ON(numbers[i] > MG_CACHE_SECONDS_MAX);
        MG_BUG_ON(numbers[i] && !mg_cache_control_has(cc, BITS[i]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mg_str TARGET = MG_STR("CDN-Cache-Control");
    struct mg_pool pool;
    struct mg_arena arena;
    struct mg_fields fields = {0};
    struct mg_cache_control cc, more, targeted;
    mg_pool_init(&pool, 4096);
    mg_arena_init(&arena, &pool);
    struct mg_str rest = mg_str((const char *)data, size), line;
    while (mg_str_split(&rest, '\n', &line)) {
        mg_fields_add_id(&fields, &arena, MG_FIELD_CACHE_CONTROL, line);
        mg_fields_add(&fields, &arena, TARGET, line);
    }
    mg_cache_control_read(&fields, &arena, &cc);
    check(&cc);
    if (mg_cache_control_read_targeted(&fields, &TARGET, 1, &arena, &targeted))
        check(&targeted);
    /* One more line never makes the others count for less. */
    mg_fields_add_id(&fields, &arena, MG_FIELD_CACHE_CONTROL, MG_STR("no-store, max-age=0"));
    mg_cache_control_read(&fields, &arena, &more);
    MG_BUG_ON(more.present != (cc.present | MG_CC_NO_STORE | MG_CC_MAX_AGE) || more.max_age);
    mg_arena_release(&arena);
    mg_pool_release(&pool);
    return 0;
}
