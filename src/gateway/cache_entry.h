/*
 * From a response to an entry of the store: may it be kept, at which variant, with which tags, for
 * how long. For all who store: jobs, and those who let a response pass. Worker thread.
 */
#ifndef MG_GATEWAY_CACHE_ENTRY_H
#define MG_GATEWAY_CACHE_ENTRY_H

#include "gateway/cache_options.h"
#include "gateway/exchange.h"
#include "http/cache_wire.h"

/* What a response answers, and where it belongs. */
struct mg_cache_keeping {
    const struct mg_cache_options *options; /* borrowed */
    struct mg_loop *loop;
    struct mg_cache_request request;
    struct mg_message asked; /* the request as it came to the cache */
    struct mg_cache_key key; /* the primary one, and the variant: by the template, or that of the
                                part that is asked for */
    struct mg_str whole;     /* of a part: the variant where the whole belongs */
    int64_t sent;            /* when it went to the origin; seconds since 1970 */
    struct mg_str tags;      /* beside those in its fields; with blanks between */
};

/* All of `from` copied into the arena. */
void mg_cache_keeping_copy(struct mg_cache_keeping *out, struct mg_arena *arena,
                           const struct mg_cache_keeping *from);

/* The response as all may have it: without the cookie by which its client stays with a backend. In
 * the arena, where it is not the response's own message. */
const struct mg_message *mg_cache_entry_shared(const struct mg_response *res,
                                               struct mg_arena *arena);
/* Adds to `own` what its client alone gets: that cookie, and what the response says is for it
 * (mg_cache_fields_own). In the arena. */
void mg_cache_entry_own(const struct mg_response *res, const struct mg_cache_control *control,
                        struct mg_arena *arena, struct mg_fields *own);

/* May it be kept? Fills `*answer` for MG_CACHE_STORE. */
enum mg_cache_storing mg_cache_entry_judge(const struct mg_cache_keeping *k,
                                           const struct mg_response *res, struct mg_arena *arena,
                                           struct mg_cache_answer *answer);

/* Is a response with that status more than was asked for, the whole in place of a part? It belongs
 * at the whole's key then. */
bool mg_cache_entry_is_more(const struct mg_cache_keeping *k, unsigned status);

/* When others find it: see mg_cache_new.quiet. */
enum mg_cache_showing { MG_CACHE_SHOWN, MG_CACHE_QUIET };

/* Begins the entry for a response that was judged so, as all may have it: see mg_cache_fill_begin.
 */
struct mg_cache_entry *mg_cache_entry_begin(const struct mg_cache_keeping *k,
                                            struct mg_cache_fill *fill,
                                            const struct mg_message *res,
                                            const struct mg_cache_answer *answer,
                                            enum mg_cache_showing showing, struct mg_arena *arena);

/* The old entry with the renewed head `res`, which was judged again: see mg_cache_fill_renew. Takes
 * the fill. */
struct mg_cache_entry *mg_cache_entry_renew(const struct mg_cache_keeping *k,
                                            struct mg_cache_fill *fill, struct mg_cache_entry *old,
                                            const struct mg_message *res,
                                            const struct mg_cache_answer *answer,
                                            struct mg_arena *arena);

/* What another gateway has found out: that responses vary by `names`. Leaves the note at the key,
 * and gives the variant of the request. In the arena. */
struct mg_str mg_cache_entry_vary(const struct mg_cache_keeping *k, struct mg_str names,
                                  struct mg_arena *arena);
/* An entry of another gateway (no note): see mg_cache_fill_whole; NULL also for what is no answer
 * to the request. `soft`: to be validated before it is used. */
struct mg_cache_entry *mg_cache_entry_import(const struct mg_cache_keeping *k,
                                             struct mg_cache_fill *fill,
                                             const struct mg_cache_wire *found, bool soft,
                                             struct mg_arena *arena);

/* It was not for sharing, for that reason: for a while nobody waits for the next one. False: that
 * is no such reason. */
bool mg_cache_entry_note_unshared(const struct mg_cache_keeping *k, enum mg_cache_storing storing,
                                  struct mg_arena *arena);

#endif
