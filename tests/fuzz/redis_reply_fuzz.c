/*
 * What a Redis says. The first byte of the input is the size of the pieces it comes in; all that
 * can be read must be the same as in one piece, and within the limits.
 */
#include "base/error.h"
#include "redis/reply.h"

#define CHECK(condition) MG_BUG_ON(!(condition))

static const struct mg_redis_limits limits = {.reply_bytes = 4096, .items = 64};

/* A number for all that a reply holds; `items` counts those of its arrays. */
static uint64_t sum_of(const struct mg_redis_reply *r, size_t *items)
{
    uint64_t sum = (uint64_t)r->type * 31 + (uint64_t)r->integer;
    for (size_t i = 0; i < r->str.n; i++)
        sum = sum * 31 + (unsigned char)r->str.p[i];
    *items += r->count;
    for (size_t i = 0; i < r->count; i++)
        sum = sum * 31 + sum_of(&r->items[i], items);
    return sum;
}

static uint64_t read_all(struct mg_pool *pool, const char *p, size_t n, size_t step, int *last)
{
    struct mg_redis_reader reader;
    struct mg_redis_reply *reply;
    uint64_t sum = 0;
    mg_redis_reader_init(&reader, pool, &limits);
    *last = 0;
    for (size_t at = 0; at < n && *last == 0; at += step) {
        mg_redis_reader_feed(&reader, p + at, n - at < step ? n - at : step);
        while ((*last = mg_redis_reader_next(&reader, &reply)) > 0) {
            size_t items = 0;
            sum = sum * 31 + sum_of(reply, &items);
            CHECK(items <= limits.items);
        }
    }
    CHECK(*last == 0 || reader.error);
    mg_redis_reader_release(&reader);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > limits.reply_bytes)
        return 0;
    const char *p = (const char *)data + 1;
    struct mg_pool pool;
    int whole, pieces;
    mg_pool_init(&pool, 4096);
    uint64_t sum = read_all(&pool, p, size - 1, size - 1, &whole);
    CHECK(sum == read_all(&pool, p, size - 1, (size_t)data[0] + 1, &pieces));
    CHECK(whole == pieces);
    CHECK(pool.live == 0);
    mg_pool_release(&pool);
    return 0;
}
