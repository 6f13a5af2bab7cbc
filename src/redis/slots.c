/* Slots of keys, and keys of commands. Any thread. */
#include "redis/slots.h"

#include <stdlib.h>
#include <string.h>

/* --- keys --- */

/* CRC-16/XMODEM: polynomial 0x1021, from 0, nothing reflected; four bits at a time. */
static uint16_t crc16(struct mg_str s)
{
    static const uint16_t table[16] = {
        0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
        0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef,
    };
    uint16_t crc = 0;
    for (size_t i = 0; i < s.n; i++) {
        uint8_t byte = (uint8_t)s.p[i];
        crc = (uint16_t)(crc << 4) ^ table[(crc >> 12) ^ (byte >> 4)];
        crc = (uint16_t)(crc << 4) ^ table[(crc >> 12) ^ (byte & 15)];
    }
    return crc;
}

static struct mg_str tag_of(struct mg_str key)
{
    ptrdiff_t open = mg_str_find(key, '{');
    if (open < 0)
        return key;
    struct mg_str inside = mg_str(key.p + open + 1, key.n - (size_t)open - 1);
    ptrdiff_t close = mg_str_find(inside, '}');
    return close > 0 ? mg_str(inside.p, (size_t)close) : key;
}

uint16_t mg_redis_slot_of_key(struct mg_str key)
{
    return crc16(tag_of(key)) % MG_REDIS_SLOTS;
}

/* --- commands --- */

enum kind {
    POSITIONS,  /* keys from `first` to `last` (from the end when negative), each `step`-th */
    NONE,       /* no keys */
    COUNTED,    /* the argument at `first` says how many keys follow it */
    COUNTED_TO, /* the same, and the first argument is one too: where the result goes */
    STREAMS,    /* the first half of what follows the word STREAMS */
};

struct shape {
    const char *name; /* in lower case */
    enum kind kind;
    int8_t first, last, step;
};

#define KEYLESS NONE, 0, 0, 0
#define KEYS(first, last, step) POSITIONS, first, last, step
#define COUNT_AT(place) COUNTED, place, 0, 0
#define RESULT_AND_COUNT_AT(place) COUNTED_TO, place, 0, 0
#define STREAM_KEYS STREAMS, 0, 0, 0

/* Sorted. */
static const struct shape shapes[] = {
    {"acl", KEYLESS},
    {"bgrewriteaof", KEYLESS},
    {"bgsave", KEYLESS},
    {"bitop", KEYS(2, -1, 1)},
    {"cluster", KEYLESS},
    {"command", KEYLESS},
    {"config", KEYLESS},
    {"copy", KEYS(1, 2, 1)},
    {"dbsize", KEYLESS},
    {"debug", KEYLESS},
    {"del", KEYS(1, -1, 1)},
    {"discard", KEYLESS},
    {"echo", KEYLESS},
    {"eval", COUNT_AT(2)},
    {"eval_ro", COUNT_AT(2)},
    {"evalsha", COUNT_AT(2)},
    {"evalsha_ro", COUNT_AT(2)},
    {"exec", KEYLESS},
    {"exists", KEYS(1, -1, 1)},
    {"failover", KEYLESS},
    {"fcall", COUNT_AT(2)},
    {"fcall_ro", COUNT_AT(2)},
    {"flushall", KEYLESS},
    {"flushdb", KEYLESS},
    {"function", KEYLESS},
    {"geosearchstore", KEYS(1, 2, 1)},
    {"info", KEYLESS},
    {"keys", KEYLESS},
    {"lastsave", KEYLESS},
    {"latency", KEYLESS},
    {"lcs", KEYS(1, 2, 1)},
    {"lmove", KEYS(1, 2, 1)},
    {"lmpop", COUNT_AT(1)},
    {"lolwut", KEYLESS},
    {"memory", KEYS(2, 2, 1)},
    {"mget", KEYS(1, -1, 1)},
    {"module", KEYLESS},
    {"mset", KEYS(1, -1, 2)},
    {"msetnx", KEYS(1, -1, 2)},
    {"multi", KEYLESS},
    {"object", KEYS(2, 2, 1)},
    {"pfcount", KEYS(1, -1, 1)},
    {"pfmerge", KEYS(1, -1, 1)},
    {"ping", KEYLESS},
    {"publish", KEYLESS},
    {"pubsub", KEYLESS},
    {"randomkey", KEYLESS},
    {"rename", KEYS(1, 2, 1)},
    {"renamenx", KEYS(1, 2, 1)},
    {"role", KEYLESS},
    {"rpoplpush", KEYS(1, 2, 1)},
    {"save", KEYLESS},
    {"scan", KEYLESS},
    {"script", KEYLESS},
    {"sdiff", KEYS(1, -1, 1)},
    {"sdiffstore", KEYS(1, -1, 1)},
    {"shutdown", KEYLESS},
    {"sinter", KEYS(1, -1, 1)},
    {"sintercard", COUNT_AT(1)},
    {"sinterstore", KEYS(1, -1, 1)},
    {"slowlog", KEYLESS},
    {"smove", KEYS(1, 2, 1)},
    {"sunion", KEYS(1, -1, 1)},
    {"sunionstore", KEYS(1, -1, 1)},
    {"swapdb", KEYLESS},
    {"time", KEYLESS},
    {"touch", KEYS(1, -1, 1)},
    {"unlink", KEYS(1, -1, 1)},
    {"xgroup", KEYS(2, 2, 1)},
    {"xinfo", KEYS(2, 2, 1)},
    {"xread", STREAM_KEYS},
    {"xreadgroup", STREAM_KEYS},
    {"zdiff", COUNT_AT(1)},
    {"zdiffstore", RESULT_AND_COUNT_AT(2)},
    {"zinter", COUNT_AT(1)},
    {"zintercard", COUNT_AT(1)},
    {"zinterstore", RESULT_AND_COUNT_AT(2)},
    {"zmpop", COUNT_AT(1)},
    {"zrangestore", KEYS(1, 2, 1)},
    {"zunion", COUNT_AT(1)},
    {"zunionstore", RESULT_AND_COUNT_AT(2)},
};

#define NAME_MAX_BYTES 16 /* more than the longest above */

struct command {
    int argc;
    const char *const *argv;
    const size_t *lengths;
};

static struct mg_str word(const struct command *c, int i)
{
    return mg_str(c->argv[i], c->lengths[i]);
}

static int compare_names(const void *name, const void *shape)
{
    return strcmp(name, ((const struct shape *)shape)->name);
}

static const struct shape *shape_of(struct mg_str name)
{
    static const struct shape usual = {"", POSITIONS, 1, 1, 1};
    char lower[NAME_MAX_BYTES];
    if (name.n >= sizeof lower)
        return &usual;
    for (size_t i = 0; i < name.n; i++)
        lower[i] = mg_lower(name.p[i]);
    lower[name.n] = 0;
    const struct shape *s =
        bsearch(lower, shapes, sizeof shapes / sizeof *shapes, sizeof *shapes, compare_names);
    return s ? s : &usual;
}

/* The slot of what was looked at so far, and of these arguments. */
static int slot_of_all(const struct command *c, int slot, int first, int last, int step)
{
    for (int i = first; i <= last && i < c->argc; i += step) {
        int other = mg_redis_slot_of_key(word(c, i));
        if (slot != MG_REDIS_SLOT_ANY && slot != other)
            return MG_REDIS_SLOT_CROSS;
        slot = other;
    }
    return slot;
}

/* A count that is none is for the server to refuse. */
static int last_counted(const struct command *c, int at)
{
    uint64_t count;
    if (at >= c->argc || !mg_str_to_u64(word(c, at), (uint64_t)c->argc, &count))
        return at;
    return at + (int)count;
}

static int slot_of_streams(const struct command *c)
{
    for (int i = 1; i < c->argc; i++)
        if (mg_str_ieq(word(c, i), MG_STR("STREAMS")))
            return slot_of_all(c, MG_REDIS_SLOT_ANY, i + 1, i + (c->argc - 1 - i) / 2, 1);
    return MG_REDIS_SLOT_ANY;
}

int mg_redis_slot_of_command(int argc, const char *const *argv, const size_t *lengths)
{
    const struct command c = {argc, argv, lengths};
    const struct shape *s = shape_of(word(&c, 0));
    int slot = MG_REDIS_SLOT_ANY;
    switch (s->kind) {
    case NONE:
        return slot;
    case POSITIONS:
        return slot_of_all(&c, slot, s->first, s->last < 0 ? argc + s->last : s->last, s->step);
    case COUNTED_TO:
        slot = slot_of_all(&c, slot, 1, 1, 1);
        return slot_of_all(&c, slot, s->first + 1, last_counted(&c, s->first), 1);
    case COUNTED:
        return slot_of_all(&c, slot, s->first + 1, last_counted(&c, s->first), 1);
    case STREAMS:
        return slot_of_streams(&c);
    }
    return slot;
}
