/* Each line is a Range and a Content-Range field, against several lengths. */
#include "http/range.h"

#include "base/error.h"

static const uint64_t LENGTHS[] = {0, 1, 10, 1000, MG_RANGE_END - 1};

/* One range asks for the same in its own words, whatever the length. */
static void check_one(struct mg_str line, struct mg_arena *arena)
{
    struct mg_range_asked asked, again;
    struct mg_range a, b;
    if (!mg_range_read_one(line, &asked))
        return;
    struct mg_str text = mg_range_text(arena, &asked);
    MG_BUG_ON(!asked.any || !mg_range_read_one(text, &again));
    MG_BUG_ON(!mg_str_eq(mg_range_text(arena, &again), text));
    for (size_t i = 0; i < sizeof LENGTHS / sizeof LENGTHS[0]; i++) {
        enum mg_range_verdict verdict = mg_range_choose(line, LENGTHS[i], &a);
        MG_BUG_ON(mg_range_choose(text, LENGTHS[i], &b) != verdict || verdict == MG_RANGE_WHOLE);
        MG_BUG_ON(verdict == MG_RANGE_PART && (a.first != b.first || a.last != b.last));
        const struct mg_range half = {LENGTHS[i] / 4, LENGTHS[i] / 2};
        bool within = mg_range_within(&asked, half, LENGTHS[i], &b);
        MG_BUG_ON(within && (verdict != MG_RANGE_PART || a.first != b.first || a.last != b.last));
        MG_BUG_ON(within && (b.first < half.first || b.last > half.last));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mg_pool pool;
    struct mg_arena arena;
    mg_pool_init(&pool, 4096);
    mg_arena_init(&arena, &pool);
    struct mg_str rest = mg_str((const char *)data, size), line;
    while (mg_str_split(&rest, '\n', &line)) {
        check_one(line, &arena);
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
            MG_BUG_ON(r.last < r.first || r.last >= length || length > MG_RANGE_END);
    }
    mg_arena_release(&arena);
    mg_pool_release(&pool);
    return 0;
}
