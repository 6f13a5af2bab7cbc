/*
 * One run of a script: EVALSHA, and EVAL with the text where the server does not know it (it was
 * restarted, or never saw it). Both within one time-out; so may be several runs. One thread.
 *
 * Life: as that of a call. The caller owns the struct and what it points at, starts it, and leaves
 * it alone until on_done; or takes it back before that.
 */
#ifndef MG_REDIS_EVAL_H
#define MG_REDIS_EVAL_H

#include "net/loop.h"
#include "redis/client.h"

/* Arguments of the call, of which the run may change the first two. */
enum { MG_REDIS_EVAL_COMMAND, MG_REDIS_EVAL_SCRIPT, MG_REDIS_EVAL_KEY_COUNT, MG_REDIS_EVAL_KEYS };

struct mg_redis_eval {
    /* Set by the caller: argc, argv and lengths, with the digest as MG_REDIS_EVAL_SCRIPT and no
     * command yet. Its results are those of the run. */
    struct mg_redis_call call;
    struct mg_str text; /* of the script; borrowed */
    /* Loop time by which it is over. 0: the time-out of a command from its start, and stands here
     * from then on; leave it for a run that shall have what is left of this one's time. */
    uint64_t deadline_ns;
    void (*on_done)(struct mg_redis_eval *e);
    void *owner;

    /* Private. */
    struct mg_redis_client *_client;
    struct mg_timer _timer; /* of all commands but the first, whose own time is right */
};

/* As mg_redis_client_start. */
enum mg_redis_error mg_redis_eval_start(struct mg_redis_eval *e,
                                        struct mg_redis_client *client) MG_MUST_CHECK;
/* Takes it back: on_done does not come. Does nothing to one that is over. */
void mg_redis_eval_cancel(struct mg_redis_eval *e);

#endif
