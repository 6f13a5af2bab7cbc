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

/* Sorted. */
static const struct shape shapes[] = {
    {"acl", NONE, 0, 0, 0},
    {"bgrewriteaof", NONE, 0, 0, 0},
    {"bgsave", NONE, 0, 0, 0},
    {"bitop", POSITIONS, 2, -1, 1},
    {"cluster", NONE, 0, 0, 0},
    {"command", NONE, 0, 0, 0},
    {"config", NONE, 0, 0, 0},
    {"copy", POSITIONS, 1, 2, 1},
    {"dbsize", NONE, 0, 0, 0},
    {"debug", NONE, 0, 0, 0},
    {"del", POSITIONS, 1, -1, 1},
    {"discard", NONE, 0, 0, 0},
    {"echo", NONE, 0, 0, 0},
    {"eval", COUNTED, 2, 0, 0},
    {"eval_ro", COUNTED, 2, 0, 0},
    {"evalsha", COUNTED, 2, 0, 0},
    {"evalsha_ro", COUNTED, 2, 0, 0},
    {"exec", NONE, 0, 0, 0},
    {"exists", POSITIONS, 1, -1, 1},
    {"failover", NONE, 0, 0, 0},
    {"fcall", COUNTED, 2, 0, 0},
    {"fcall_ro", COUNTED, 2, 0, 0},
    {"flushall", NONE, 0, 0, 0},
    {"flushdb", NONE, 0, 0, 0},
    {"function", NONE, 0, 0, 0},
    {"geosearchstore", POSITIONS, 1, 2, 1},
    {"info", NONE, 0, 0, 0},
    {"keys", NONE, 0, 0, 0},
    {"lastsave", NONE, 0, 0, 0},
    {"latency", NONE, 0, 0, 0},
    {"lcs", POSITIONS, 1, 2, 1},
    {"lmove", POSITIONS, 1, 2, 1},
    {"lmpop", COUNTED, 1, 0, 0},
    {"lolwut", NONE, 0, 0, 0},
    {"memory", POSITIONS, 2, 2, 1},
    {"mget", POSITIONS, 1, -1, 1},
    {"module", NONE, 0, 0, 0},
    {"mset", POSITIONS, 1, -1, 2},
    {"msetnx", POSITIONS, 1, -1, 2},
    {"multi", NONE, 0, 0, 0},
    {"object", POSITIONS, 2, 2, 1},
    {"pfcount", POSITIONS, 1, -1, 1},
    {"pfmerge", POSITIONS, 1, -1, 1},
    {"ping", NONE, 0, 0, 0},
    {"publish", NONE, 0, 0, 0},
    {"pubsub", NONE, 0, 0, 0},
    {"randomkey", NONE, 0, 0, 0},
    {"rename", POSITIONS, 1, 2, 1},
    {"renamenx", POSITIONS, 1, 2, 1},
    {"role", NONE, 0, 0, 0},
    {"rpoplpush", POSITIONS, 1, 2, 1},
    {"save", NONE, 0, 0, 0},
    {"scan", NONE, 0, 0, 0},
    {"script", NONE, 0, 0, 0},
    {"sdiff", POSITIONS, 1, -1, 1},
    {"sdiffstore", POSITIONS, 1, -1, 1},
    {"shutdown", NONE, 0, 0, 0},
    {"sinter", POSITIONS, 1, -1, 1},
    {"sintercard", COUNTED, 1, 0, 0},
    {"sinterstore", POSITIONS, 1, -1, 1},
    {"slowlog", NONE, 0, 0, 0},
    {"smove", POSITIONS, 1, 2, 1},
    {"sunion", POSITIONS, 1, -1, 1},
    {"sunionstore", POSITIONS, 1, -1, 1},
    {"swapdb", NONE, 0, 0, 0},
    {"time", NONE, 0, 0, 0},
    {"touch", POSITIONS, 1, -1, 1},
    {"unlink", POSITIONS, 1, -1, 1},
    {"xgroup", POSITIONS, 2, 2, 1},
    {"xinfo", POSITIONS, 2, 2, 1},
    {"xread", STREAMS, 0, 0, 0},
    {"xreadgroup", STREAMS, 0, 0, 0},
    {"zdiff", COUNTED, 1, 0, 0},
    {"zdiffstore", COUNTED_TO, 2, 0, 0},
    {"zinter", COUNTED, 1, 0, 0},
    {"zintercard", COUNTED, 1, 0, 0},
    {"zinterstore", COUNTED_TO, 2, 0, 0},
    {"zmpop", COUNTED, 1, 0, 0},
    {"zrangestore", POSITIONS, 1, 2, 1},
    {"zunion", COUNTED, 1, 0, 0},
    {"zunionstore", COUNTED_TO, 2, 0, 0},
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
