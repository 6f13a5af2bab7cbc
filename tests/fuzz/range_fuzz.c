/* Each line is a Range and a Content-Range field, against several lengths. */
#include "http/range.h"

#include "base/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t LENGTHS[] = {0, 1, 10, 1000, UINT64_MAX / 2};
    struct mg_pool pool;
    struct mg_arena arena;
    mg_pool_init(&pool, 4096);
    mg_arena_init(&arena, &pool);
    struct mg_str rest = mg_str((const char *)data, size), line;
    while (mg_str_split(&rest, '\n', &line)) {
        struct mg_range r, again;
        uint64_t length;
        for (size_t i = 0; i < sizeof LENGTHS / sizeof LENGTHS[0]; i++) {
            if (mg_range_choose(line, LENGTHS[i], &r) != MG_RANGE_PART)
                continue;
            MG_BUG_ON(r.last < r.first || r.last >= LENGTHS[i]);
            struct mg_str text = mg_range_content(&arena, r, LENGTHS[i]);
            MG_BUG_ON(!mg_range_read_content(text, &again, &length));
            MG_BUG_ON(again.first != r.first || again.last != r.last || length != LENGTHS[i]);
        }
        if (mg_range_read_content(line, &r, &length))
            MG_BUG_ON(r.last < r.first || r.last >= length);
    }
    mg_arena_release(&arena);
    mg_pool_release(&pool);
    return 0;
}
