/* Bytes as they may lie in a store that others write to. Two kinds of input: as they are, and
 * (first byte 's') with a right checksum, so that what lies behind it is reached. What reads is
 * written again as the very same bytes, and holds nothing that must not be sent. */
#include "http/cache_wire.h"

#include "base/error.h"

static void check(struct mg_str bytes, const struct mg_cache_wire *w)
{
    struct mg_buf again;
    struct mg_str stamp;
    MG_BUG_ON(!mg_cache_wire_stamp_of(bytes, &stamp));
    for (uint16_t i = 0; i < w->fields.n; i++) {
        const struct mg_field *f = &w->fields.v[i];
        MG_BUG_ON(!mg_is_token(mg_str(f->name, f->name_len)));
        MG_BUG_ON(!mg_is_field_value(mg_field_value(f)));
        MG_BUG_ON(mg_field_is_codec((enum mg_field_id)f->id));
    }
    mg_buf_init(&again, bytes.n);
    mg_cache_wire_begin(&again, w, w->body.n);
    mg_buf_add_str(&again, w->body);
    MG_BUG_ON(!mg_cache_wire_seal(&again));
    MG_BUG_ON(!mg_str_eq(mg_buf_str(&again), bytes));
    mg_buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mg_pool pool;
    struct mg_arena arena;
    struct mg_buf sealed;
    struct mg_cache_wire w;
    bool seal = size >= 28 && data[0] == 's';
    mg_pool_init(&pool, 4096);
    mg_arena_init(&arena, &pool);
    mg_buf_init(&sealed, size ? size : 1);
    mg_buf_add(&sealed, data, size);
    if (seal) {
        sealed.p[0] = 'M';
        MG_BUG_ON(!mg_cache_wire_seal(&sealed));
    }
    struct mg_str bytes = mg_buf_str(&sealed);
    if (mg_cache_wire_read(bytes, &arena, &w))
        check(bytes, &w);
    mg_buf_release(&sealed);
    mg_arena_release(&arena);
    mg_pool_release(&pool);
    return 0;
}
