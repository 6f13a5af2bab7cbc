/*
 * Lines of those who wait, in a table by key. Worker thread.
 *
 * There is a line while somebody stands in it. Those with another maximum stand in another one: one
 * who could go is not held up by one who cannot.
 */
#include "gateway/concurrency_queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "shared/limiter.h"

#define CHAINS_MIN 16

struct mg_concurrency_line {
    struct mg_concurrency_line *next; /* in its chain */
    struct mg_concurrency_queue *queue;
    uint64_t hash;
    struct mg_concurrency_ask ask; /* its key is behind this struct */
    struct mg_link waits;          /* the one who waits longest first */
    struct mg_timer look;
};

static int64_t now_ms(const struct mg_concurrency_queue *q)
{
    return (int64_t)(mg_loop_now(q->_loop) / MG_MILLISECOND);
}

static enum mg_dict_rc acquire(const struct mg_concurrency_queue *q,
                               const struct mg_concurrency_ask *ask)
{
    struct mg_limiter_result result;
    enum mg_dict_rc rc = mg_limiter_acquire(ask->dict, ask->key, ask->max, now_ms(q), &result);
    return rc == MG_DICT_OK && !result.ok ? MG_DICT_ABSENT : rc;
}

static struct mg_concurrency_wait *wait_of(struct mg_link *l)
{
    return MG_CONTAINER_OF(l, struct mg_concurrency_wait, _link);
}

/* --- the table --- */

static struct mg_concurrency_line **chain_of(const struct mg_concurrency_queue *q, uint64_t hash)
{
    return &q->_chains[hash & (q->_chain_count - 1)];
}

static void put(struct mg_concurrency_queue *q, struct mg_concurrency_line *line)
{
    struct mg_concurrency_line **chain = chain_of(q, line->hash);
    line->next = *chain;
    *chain = line;
}

/* As many chains as lines, or more. */
static void make_room(struct mg_concurrency_queue *q)
{
    struct mg_concurrency_line **old = q->_chains;
    size_t count = q->_chain_count;
    if (q->_line_count < count)
        return;
    q->_chain_count = count ? 2 * count : CHAINS_MIN;
    q->_chains = mg_calloc(q->_chain_count, sizeof *q->_chains);
    for (size_t i = 0; i < count; i++) {
        for (struct mg_concurrency_line *line = old[i], *next; line; line = next) {
            next = line->next;
            put(q, line);
        }
    }
    free(old);
}

static void remove_line(struct mg_concurrency_line *line)
{
    struct mg_concurrency_queue *q = line->queue;
    struct mg_concurrency_line **at = chain_of(q, line->hash);
    while (*at != line)
        at = &(*at)->next;
    *at = line->next;
    q->_line_count--;
    mg_timer_release(&line->look);
    free(line);
}

static bool is_of(const struct mg_concurrency_line *line, uint64_t hash, const struct mg_dict *dict,
                  struct mg_str key)
{
    return line->hash == hash && line->ask.dict == dict && mg_str_eq(line->ask.key, key);
}

static struct mg_concurrency_line *find(const struct mg_concurrency_queue *q, uint64_t hash,
                                        const struct mg_concurrency_ask *ask)
{
    struct mg_concurrency_line *line = q->_line_count ? *chain_of(q, hash) : NULL;
    while (line && !(is_of(line, hash, ask->dict, ask->key) && line->ask.max == ask->max))
        line = line->next;
    return line;
}

/* --- passing places on --- */

/* It has a place; whoever gave that back is not to run into what it does next. */
static void call(struct mg_concurrency_wait *w)
{
    struct mg_concurrency_queue *q = w->_queue;
    w->_line = NULL;
    mg_timer_stop(&w->_timer);
    mg_list_remove(&w->_link);
    mg_list_push_back(&q->_called, &w->_link);
    mg_soon_run(q->_loop, &q->_tell);
}

/* Gives what places there are to those who wait longest. The line goes when it is empty. What the
 * dictionary says in the end: OK when it is. */
static enum mg_dict_rc serve(struct mg_concurrency_line *line)
{
    enum mg_dict_rc rc = MG_DICT_OK;
    while (!mg_list_empty(&line->waits)) {
        rc = acquire(line->queue, &line->ask);
        if (rc != MG_DICT_OK)
            return rc;
        call(wait_of(line->waits.next));
    }
    remove_line(line);
    return rc;
}

static void serve_key(struct mg_concurrency_queue *q, const struct mg_dict *dict, struct mg_str key)
{
    if (q->_line_count == 0)
        return;
    uint64_t hash = mg_hash(q->_hash_key, key);
    for (struct mg_concurrency_line *line = *chain_of(q, hash), *next; line; line = next) {
        next = line->next;
        if (is_of(line, hash, dict, key))
            serve(line);
    }
}

static void on_tell(void *arg)
{
    struct mg_concurrency_queue *q = arg;
    while (!mg_list_empty(&q->_called)) {
        struct mg_concurrency_wait *w = wait_of(q->_called.next);
        mg_list_remove(&w->_link);
        mg_timer_release(&w->_timer);
        w->on_done(w, MG_DICT_OK);
    }
}

static void on_look(void *arg)
{
    struct mg_concurrency_line *line = arg;
    mg_timer_set(&line->look, mg_loop_now(line->queue->_loop) + MG_CONCURRENCY_LOOK_NS);
    serve(line);
}

/* --- lines --- */

static struct mg_concurrency_line *new_line(struct mg_concurrency_queue *q, uint64_t hash,
                                            const struct mg_concurrency_ask *ask)
{
    struct mg_concurrency_line *line = mg_calloc(1, sizeof *line + ask->key.n);
    char *key = (char *)(line + 1);
    memcpy(key, ask->key.p, ask->key.n);
    line->queue = q;
    line->hash = hash;
    line->ask = (struct mg_concurrency_ask){ask->dict, mg_str(key, ask->key.n), ask->max};
    mg_list_init(&line->waits);
    mg_timer_init(&line->look, q->_loop, on_look, line);
    mg_timer_set(&line->look, mg_loop_now(q->_loop) + MG_CONCURRENCY_LOOK_NS);
    make_room(q);
    put(q, line);
    q->_line_count++;
    return line;
}

static void leave_line(struct mg_concurrency_wait *w)
{
    mg_list_remove(&w->_link);
    mg_timer_release(&w->_timer);
    if (mg_list_empty(&w->_line->waits))
        remove_line(w->_line);
}

/* Its time is over: looks once more. */
static void on_timeout(void *arg)
{
    struct mg_concurrency_wait *w = arg;
    enum mg_dict_rc rc = serve(w->_line);
    if (!w->_line)
        return; /* called */
    leave_line(w);
    w->on_done(w, rc);
}

/* --- for the step --- */

void mg_concurrency_queue_init(struct mg_concurrency_queue *q, struct mg_loop *loop)
{
    *q = (struct mg_concurrency_queue){._loop = loop};
    mg_hash_random_key(q->_hash_key);
    mg_list_init(&q->_called);
    mg_soon_init(&q->_tell, on_tell, q);
}

void mg_concurrency_queue_release(struct mg_concurrency_queue *q)
{
    mg_soon_cancel(&q->_tell);
    free(q->_chains);
}

enum mg_dict_rc mg_concurrency_take(struct mg_concurrency_queue *q,
                                    const struct mg_concurrency_ask *ask)
{
    struct mg_concurrency_line *line =
        q->_line_count ? find(q, mg_hash(q->_hash_key, ask->key), ask) : NULL;
    enum mg_dict_rc rc = line ? serve(line) : MG_DICT_OK;
    return rc == MG_DICT_OK ? acquire(q, ask) : rc;
}

void mg_concurrency_give_back(struct mg_concurrency_queue *q, struct mg_dict *dict,
                              struct mg_str key)
{
    (void)mg_limiter_release(dict, key, now_ms(q));
    serve_key(q, dict, key);
}

void mg_concurrency_queue_wait(struct mg_concurrency_queue *q, struct mg_concurrency_wait *w)
{
    uint64_t hash = mg_hash(q->_hash_key, w->ask.key);
    w->_queue = q;
    w->_line = find(q, hash, &w->ask);
    if (!w->_line)
        w->_line = new_line(q, hash, &w->ask);
    mg_list_push_back(&w->_line->waits, &w->_link);
    mg_timer_init(&w->_timer, q->_loop, on_timeout, w);
    mg_timer_set(&w->_timer, w->until_ns);
}

void mg_concurrency_queue_leave(struct mg_concurrency_wait *w)
{
    if (w->_line) {
        leave_line(w);
        return;
    }
    mg_list_remove(&w->_link);
    mg_timer_release(&w->_timer);
    mg_concurrency_give_back(w->_queue, w->ask.dict, w->ask.key);
}
