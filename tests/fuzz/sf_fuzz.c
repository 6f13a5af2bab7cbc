/* Each line is read as an item, a list and a dictionary. What was read is written, and that is read
 * again to the same text: the canonical form is a fixed point (RFC 9651 4.1). */
#include "http/sf.h"

#include "base/error.h"

enum kind { ITEM, LIST, DICTIONARY };

static bool round_trip(struct mg_arena *arena, enum kind kind, struct mg_str text,
                       struct mg_str *out)
{
    struct mg_sf_writer w;
    struct mg_sf_item item;
    struct mg_sf_members members;
    mg_sf_writer_init(&w, arena);
    switch (kind) {
    case ITEM:
        if (!mg_sf_read_item(arena, text, &item))
            return false;
        mg_sf_add_item(&w, &item);
        break;
    case LIST:
        if (!mg_sf_read_list(arena, text, &members))
            return false;
        mg_sf_add_list(&w, &members);
        break;
    case DICTIONARY:
        if (!mg_sf_read_dictionary(arena, text, &members))
            return false;
        mg_sf_add_dictionary(&w, &members);
        break;
    }
    MG_BUG_ON(w.failed);
    *out = mg_sf_writer_str(&w);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum kind KINDS[] = {ITEM, LIST, DICTIONARY};
    struct mg_pool pool;
    struct mg_arena arena;
    mg_pool_init(&pool, 4096);
    mg_arena_init(&arena, &pool);
    struct mg_str rest = mg_str((const char *)data, size), line, once, twice;
    while (mg_str_split(&rest, '\n', &line)) {
        for (size_t i = 0; i < 3; i++) {
            if (!round_trip(&arena, KINDS[i], line, &once))
                continue;
            MG_BUG_ON(!round_trip(&arena, KINDS[i], once, &twice) || !mg_str_eq(once, twice));
        }
    }
    mg_arena_release(&arena);
    mg_pool_release(&pool);
    return 0;
}
