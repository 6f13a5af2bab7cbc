/* Questions to servers, one after the other. Worker thread. */
#include "redis/inquiry.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* So many servers may be asked, each for its share of the time for a connection. */
#define ASKED_MAX 3

struct mg_redis_inquiry {
    struct mg_redis_inquiry_options options;
    struct mg_redis_dialer dialer;
    void *dial;
    struct mg_redis_conn *conn;
    struct mg_redis_call question;
    size_t lengths[MG_REDIS_INQUIRY_WORDS];
    struct mg_timer timer;
    int asked;
};

static bool ask_one(struct mg_redis_inquiry *q, const char *address, const char **reason);

static void close_conn(struct mg_redis_inquiry *q)
{
    struct mg_redis_conn *c = q->conn;
    mg_redis_call_cancel(&q->question);
    q->conn = NULL;
    if (c)
        mg_redis_conn_close(c, MG_REDIS_CLOSED, "done");
}

static void leave(struct mg_redis_inquiry *q)
{
    mg_timer_stop(&q->timer);
    if (q->dial)
        q->dialer.cancel(q->dialer.ctx, q->dial);
    q->dial = NULL;
    close_conn(q);
}

static void free_inquiry(struct mg_redis_inquiry *q)
{
    leave(q);
    mg_timer_release(&q->timer);
    free(q);
}

static void ask_another(struct mg_redis_inquiry *q, const char *reason)
{
    leave(q);
    if (q->asked < ASKED_MAX && ask_one(q, NULL, &reason))
        return;
    q->options.on_failed(q->options.arg, reason);
    free_inquiry(q);
}

static void on_timer(void *arg)
{
    ask_another(arg, "no answer in time");
}

/* --- one server --- */

static void on_answer_to_question(struct mg_redis_call *call)
{
    struct mg_redis_inquiry *q = call->owner;
    const char *reason = call->detail;
    if (!call->error && q->options.on_reply(q->options.arg, call->reply, &reason))
        free_inquiry(q);
    else
        ask_another(q, reason);
}

static void on_ready(void *owner, struct mg_redis_conn *c)
{
    struct mg_redis_inquiry *q = owner;
    const struct mg_redis_inquiry_options *o = &q->options;
    q->question = (struct mg_redis_call){.argv = q->options.words,
                                         .lengths = q->lengths,
                                         .on_done = on_answer_to_question,
                                         .owner = q};
    while (q->question.argc < MG_REDIS_INQUIRY_WORDS && o->words[q->question.argc]) {
        q->lengths[q->question.argc] = strlen(o->words[q->question.argc]);
        q->question.argc++;
    }
    q->question._deadline_ns = mg_loop_now(o->loop) + o->settings->timeout_ns;
    if (mg_redis_conn_send(c, &q->question, 1) != MG_REDIS_OK)
        ask_another(q, "it cannot be asked");
}

static void on_other_event(void *owner, struct mg_redis_conn *c)
{
    (void)owner;
    (void)c;
}

static void on_closed(void *owner, struct mg_redis_conn *c, const char *reason)
{
    struct mg_redis_inquiry *q = owner;
    if (c != q->conn)
        return; /* we have closed it */
    q->conn = NULL;
    ask_another(q, reason);
}

static const struct mg_redis_conn_events conn_events = {.on_ready = on_ready,
                                                        .on_answer = on_other_event,
                                                        .on_late = on_other_event,
                                                        .on_closed = on_closed};

static void on_dialled(void *arg, struct mg_stream *stream, const char *reason)
{
    struct mg_redis_inquiry *q = arg;
    const struct mg_redis_inquiry_options *o = &q->options;
    q->dial = NULL;
    if (stream)
        q->conn = mg_redis_conn_new(o->loop, stream, o->chunks, o->settings, &conn_events, q);
    else
        ask_another(q, reason);
}

static bool ask_one(struct mg_redis_inquiry *q, const char *address, const char **reason)
{
    const struct mg_redis_inquiry_options *o = &q->options;
    q->asked++;
    q->dial = q->dialer.start(q->dialer.ctx, address, on_dialled, q, reason);
    if (!q->dial)
        return false;
    mg_timer_set(&q->timer, mg_loop_now(o->loop) + o->settings->connect_timeout_ns / ASKED_MAX);
    return true;
}

/* --- life --- */

struct mg_redis_inquiry *mg_redis_inquiry_start(const struct mg_redis_inquiry_options *options,
                                                const char **reason)
{
    struct mg_redis_inquiry *q = mg_calloc(1, sizeof *q);
    q->options = *options;
    q->dialer = *options->dialer;
    mg_timer_init(&q->timer, options->loop, on_timer, q);
    if (ask_one(q, options->address, reason) || (options->address && ask_one(q, NULL, reason)))
        return q;
    free_inquiry(q);
    return NULL;
}

void mg_redis_inquiry_cancel(struct mg_redis_inquiry *q)
{
    free_inquiry(q);
}
