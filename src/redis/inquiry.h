/*
 * One question to servers that may know: a connection is made, greeted, asked and closed; where
 * that fails, or the answer will not do, another server is asked. So sentinels are asked for their
 * master, and servers of a cluster for its map. One thread.
 */
#ifndef MG_REDIS_INQUIRY_H
#define MG_REDIS_INQUIRY_H

#include "redis/node.h"

#define MG_REDIS_INQUIRY_WORDS 3

struct mg_redis_inquiry;

struct mg_redis_inquiry_options {
    struct mg_loop *loop;
    struct mg_pool *chunks;                    /* borrowed until it is over */
    const struct mg_redis_settings *settings;  /* borrowed until it is over */
    const struct mg_redis_dialer *dialer;      /* copied */
    const char *words[MG_REDIS_INQUIRY_WORDS]; /* the command; borrowed; NULL: no more */
    const char *address; /* who is asked first; borrowed for the call; NULL: whom the config names,
                            as all others that are asked */
    /* This came. True: it will do, and the inquiry is over. False: it will not, `*reason`
     * (borrowed) says why. */
    bool (*on_reply)(void *arg, const struct mg_redis_reply *reply, const char **reason);
    /* Nobody gave an answer that will do. It is over. */
    void (*on_failed)(void *arg, const char *reason);
    void *arg;
};

/* None of the callbacks comes before this returns. NULL: nobody can be asked, `*reason` says why.
 * It is freed when it is over. */
struct mg_redis_inquiry *mg_redis_inquiry_start(const struct mg_redis_inquiry_options *options,
                                                const char **reason);
/* No callback follows. Not after it is over, nor from within on_reply. */
void mg_redis_inquiry_cancel(struct mg_redis_inquiry *q);

#endif
