/* Replies: hiredis' reader, which asks us for each value that it finds. One thread. */
#include "redis/reply.h"

#include <hiredis/hiredis.h>
#include <hiredis/read.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

/* A line (status, error, number, length) is looked through for its end each time that bytes come:
 * one without an end must not cost more and more. */
#define LINE_MAX_BYTES ((size_t)16 << 10)

#if HIREDIS_MAJOR >= 1
typedef size_t element_count;
#else
typedef int element_count;
#endif

/* --- what the reader calls --- */

/* Where the value belongs: in its array, or as the reply itself. */
static struct mg_redis_reply *place_for(const redisReadTask *task)
{
    struct mg_redis_reader *r = task->privdata;
    if (task->parent) {
        struct mg_redis_reply *array = task->parent->obj;
        return &array->items[task->idx];
    }
    r->_reply = mg_arena_alloc(&r->arena, sizeof *r->_reply);
    return r->_reply;
}

static void *create_string(const redisReadTask *task, char *bytes, size_t n)
{
    struct mg_redis_reader *r = task->privdata;
    struct mg_redis_reply *reply = place_for(task);
    enum mg_redis_type type = task->type == REDIS_REPLY_ERROR    ? MG_REDIS_ERROR
                              : task->type == REDIS_REPLY_STATUS ? MG_REDIS_STATUS
                                                                 : MG_REDIS_STRING;
    *reply =
        (struct mg_redis_reply){.type = type, .str = mg_arena_str(&r->arena, mg_str(bytes, n))};
    return reply;
}

static void *create_array(const redisReadTask *task, element_count count)
{
    struct mg_redis_reader *r = task->privdata;
    struct mg_redis_reply *reply = place_for(task);
    size_t n = count > 0 ? (size_t)count : 0;
    if (n > r->limits.items - r->_items) { /* a few bytes can ask for any amount of memory */
        r->error = "too many items";
        return NULL;
    }
    r->_items += n;
    *reply = (struct mg_redis_reply){.type = MG_REDIS_ARRAY, .count = n};
    reply->items = mg_arena_calloc(&r->arena, n * sizeof *reply->items);
    return reply;
}

static void *create_integer(const redisReadTask *task, long long value)
{
    struct mg_redis_reply *reply = place_for(task);
    *reply = (struct mg_redis_reply){.type = MG_REDIS_INTEGER, .integer = value};
    return reply;
}

static void *create_nil(const redisReadTask *task)
{
    struct mg_redis_reply *reply = place_for(task);
    *reply = (struct mg_redis_reply){.type = MG_REDIS_NIL};
    return reply;
}

static void free_object(void *in_the_arena)
{
    (void)in_the_arena;
}

static redisReplyObjectFunctions functions = {
    .createString = create_string,
    .createArray = create_array,
    .createInteger = create_integer,
    .createNil = create_nil,
    .freeObject = free_object,
};

/* --- reading --- */

void mg_redis_reader_init(struct mg_redis_reader *r, struct mg_pool *chunks,
                          const struct mg_redis_limits *limits)
{
    *r = (struct mg_redis_reader){.limits = *limits};
    mg_arena_init(&r->arena, chunks);
    r->_hiredis = redisReaderCreateWithFunctions(&functions);
    MG_BUG_ON(!r->_hiredis); /* out of memory */
    r->_hiredis->privdata = r;
}

void mg_redis_reader_release(struct mg_redis_reader *r)
{
    redisReaderFree(r->_hiredis);
    mg_arena_release(&r->arena);
}

void mg_redis_reader_feed(struct mg_redis_reader *r, const char *bytes, size_t n)
{
    r->_fed += n;
    redisReaderFeed(r->_hiredis, bytes, n); /* its failure stays, and the next call tells */
}

/* Is the reader at a line that does not end? Bulk strings may be long, but not what leads to them:
 * at those it has not begun to wait for the bytes while there is no line. */
static bool line_too_long(const struct mg_redis_reader *r)
{
    const redisReader *h = r->_hiredis;
    size_t n = h->len - h->pos;
    return n > LINE_MAX_BYTES && !memchr(h->buf + h->pos, '\n', LINE_MAX_BYTES);
}

static int bad(struct mg_redis_reader *r, const char *why)
{
    r->error = why;
    return -1;
}

int mg_redis_reader_next(struct mg_redis_reader *r, struct mg_redis_reply **reply)
{
    void *whole = NULL;
    if (r->_reply && r->_hiredis->ridx < 0) { /* the one before is done with */
        mg_arena_release(&r->arena);
        r->_reply = NULL;
        r->_items = 0;
    }
    if (r->error)
        return -1;
    if (redisReaderGetReply(r->_hiredis, &whole) != REDIS_OK)
        return bad(r, r->error ? r->error : r->_hiredis->errstr);
    if (whole) {
        *reply = whole;
        r->_fed = r->_hiredis->len - r->_hiredis->pos;
        return 1;
    }
    if (r->_fed > r->limits.reply_bytes)
        return bad(r, "the reply is too large");
    if (line_too_long(r))
        return bad(r, "a line without an end");
    return 0;
}

/* --- replies --- */

static void copy_into(struct mg_arena *arena, struct mg_redis_reply *to,
                      const struct mg_redis_reply *from)
{
    *to = *from;
    if (from->str.p)
        to->str = mg_arena_str(arena, from->str);
    if (from->type != MG_REDIS_ARRAY)
        return;
    to->items = mg_arena_alloc(arena, from->count * sizeof *to->items);
    for (size_t i = 0; i < from->count; i++)
        copy_into(arena, &to->items[i], &from->items[i]); /* no deeper than the reader goes */
}

struct mg_redis_reply *mg_redis_reply_copy(struct mg_arena *arena,
                                           const struct mg_redis_reply *reply)
{
    struct mg_redis_reply *copy = mg_arena_alloc(arena, sizeof *copy);
    copy_into(arena, copy, reply);
    return copy;
}

bool mg_redis_reply_is_error(const struct mg_redis_reply *reply, struct mg_str word)
{
    return reply->type == MG_REDIS_ERROR && mg_str_starts(reply->str, word) &&
           (reply->str.n == word.n || reply->str.p[word.n] == ' ');
}
