/* Runs of scripts. One thread. */
#include "redis/eval.h"

static void set_arg(struct mg_redis_eval *e, int i, struct mg_str text)
{
    e->call.argv[i] = text.p;
    e->call.lengths[i] = text.n;
}

static void finish(struct mg_redis_eval *e)
{
    mg_timer_release(&e->_timer);
    e->on_done(e);
}

/* A later call has a time-out of its own, which is too long by what those before it took. */
static void on_timer(void *arg)
{
    struct mg_redis_eval *e = arg;
    mg_redis_call_cancel(&e->call);
    e->call.error = MG_REDIS_TIMEOUT;
    e->call.detail = "no reply in time";
    e->call.reply = NULL;
    finish(e);
}

static void on_text_done(struct mg_redis_call *call)
{
    finish(call->owner);
}

static bool send_text(struct mg_redis_eval *e)
{
    set_arg(e, MG_REDIS_EVAL_COMMAND, MG_STR("EVAL"));
    set_arg(e, MG_REDIS_EVAL_SCRIPT, e->text);
    e->call.reply = NULL;
    e->call.on_done = on_text_done;
    if (mg_redis_client_start(e->_client, &e->call, 1) != MG_REDIS_OK)
        return false;
    mg_timer_set(&e->_timer, e->deadline_ns);
    return true;
}

static void on_digest_done(struct mg_redis_call *call)
{
    struct mg_redis_eval *e = call->owner;
    bool unknown = !call->error && mg_redis_reply_is_error(call->reply, MG_STR("NOSCRIPT"));
    if (!unknown || !send_text(e))
        finish(e);
}

enum mg_redis_error mg_redis_eval_start(struct mg_redis_eval *e, struct mg_redis_client *client)
{
    e->_client = client;
    e->call.on_done = on_digest_done;
    e->call.owner = e;
    mg_timer_init(&e->_timer, mg_redis_client_loop(client), on_timer, e);
    set_arg(e, MG_REDIS_EVAL_COMMAND, MG_STR("EVALSHA"));
    enum mg_redis_error error = mg_redis_client_start(client, &e->call, 1);
    if (error)
        return error;
    if (e->deadline_ns)
        mg_timer_set(&e->_timer, e->deadline_ns);
    else
        e->deadline_ns = e->call._deadline_ns;
    return MG_REDIS_OK;
}

void mg_redis_eval_cancel(struct mg_redis_eval *e)
{
    mg_redis_call_cancel(&e->call);
    mg_timer_release(&e->_timer);
}
