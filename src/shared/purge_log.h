/*
 * What gateways that share a second tier tell each other of purges, as one of them sees it. Bytes
 * and numbers: how they travel is for others (gateway/cache_gossip.h).
 *
 * Purges have numbers, which the place where they meet gives out in order. A response is kept there
 * with the number of the newest purge that was known when it was asked for; it may be used by whom
 * no later purge is known that concerns it. For that a table of fixed size holds, for each bucket
 * of keys, of tags and of paths, the newest purge that fell into it: two that share a bucket cost a
 * miss, and never the other way round. A prefix falls into the bucket of the folder that it ends
 * in.
 *
 * A purge of our own counts from the moment it is made, though it has no number yet: it waits in
 * the outbox until it has been told. When the others cannot be told for long and too many wait,
 * they become one purge of all.
 *
 * Each number names the one before it, so who has missed some notices; all that this gateway holds
 * is purged then, and the table is read anew.
 *
 * Any thread; one lock.
 */
#ifndef MG_SHARED_PURGE_LOG_H
#define MG_SHARED_PURGE_LOG_H

#include "shared/cache.h"

#define MG_PURGE_BUCKETS 4096
#define MG_PURGE_FIELDS (2 * (MG_PURGE_BUCKETS + 1)) /* hard and soft, each with one for all */
#define MG_PURGE_BATCH 64
#define MG_PURGE_OUTBOX_MAX 1000
#define MG_PURGE_TEXT_MAX (MG_CACHE_KEY_MAX + 32)

struct mg_purge {
    enum mg_cache_purge_by by;
    struct mg_str what; /* empty for MG_CACHE_ALL */
    bool soft;
};

struct mg_purge_log *mg_purge_log_new(void);
void mg_purge_log_free(struct mg_purge_log *log); /* NULL is fine */

/* --- our own --- */

/* This gateway purges that: others are to be told. */
void mg_purge_log_add(struct mg_purge_log *log, const struct mg_purge *purge);
/* `wake` is called after each, on its thread and under the lock: it may do no more than post to a
 * loop. One at a time: the last one that asked. */
void mg_purge_log_on_add(struct mg_purge_log *log, void (*wake)(void *arg), void *arg);
/* No more calls of it, if it is still the one. */
void mg_purge_log_off_add(struct mg_purge_log *log, void *arg);

/* What is to be told of one: the field of the table, and what others hear (mg_purge_log_hear)
 * behind the two numbers. */
struct mg_purge_telling {
    unsigned field;     /* below MG_PURGE_FIELDS */
    struct mg_str text; /* borrowed from the outbox */
};

/* The oldest of the outbox, at most MG_PURGE_BATCH; they stay there until mg_purge_log_told. None
 * while others are being told. */
size_t mg_purge_log_tell(struct mg_purge_log *log, struct mg_purge_telling *out);
/* They have been told, and have these numbers; or (count 0) they have not, and wait again. */
void mg_purge_log_told(struct mg_purge_log *log, const uint64_t *numbers, size_t count);

/* --- those of all --- */

/* The newest that is known. 0: the table has to be read (mg_purge_log_read). */
uint64_t mg_purge_log_known(struct mg_purge_log *log);

enum mg_purge_heard {
    MG_PURGE_OLD,    /* known, or our own: nothing is to be done */
    MG_PURGE_NEW,    /* `*out`, whose text is borrowed, is to be done here */
    MG_PURGE_MISSED, /* there was one before it that we do not know: nothing is known any more */
    MG_PURGE_BAD,    /* that is none: as if missed */
};

/* One of them, in their order: "NUMBER BEFORE TEXT". */
enum mg_purge_heard mg_purge_log_hear(struct mg_purge_log *log, struct mg_str said,
                                      struct mg_purge *out);
/* The newest has this number, and none came after `known`, which we asked with: is that so? If not,
 * nothing is known any more. */
void mg_purge_log_newest(struct mg_purge_log *log, uint64_t known, uint64_t newest);

/* The whole table: `born` is the number that it began with, what is older was kept before anybody
 * counted. True: purges were missed before it was read, so this gateway has to purge all that it
 * holds. Does nothing when the newest is known already. */
struct mg_purge_row {
    unsigned field;
    uint64_t number;
};
bool mg_purge_log_read(struct mg_purge_log *log, uint64_t newest, uint64_t born,
                       const struct mg_purge_row *rows, size_t count);

enum mg_purge_verdict { MG_PURGE_NOT, MG_PURGE_SOFT, MG_PURGE_HARD };

/* What became of a response of that key with those tags (separated by blanks), which was asked for
 * when `known` was the newest? MG_PURGE_HARD also while nothing is known. */
enum mg_purge_verdict mg_purge_log_judge(struct mg_purge_log *log, struct mg_str primary,
                                         struct mg_str tags, uint64_t known);

#endif
