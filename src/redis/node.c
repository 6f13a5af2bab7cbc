/*
 * Connections to one server, and its breaker. Worker thread.
 *
 * Always true: calls wait only while a connection is being made and none is ready; while the node
 * is down there is no ready connection and nothing waits.
 */
#include "redis/node.h"

#include <stdio.h>

#include "base/log.h"

/* A ready connection takes so many commands before another one is made. */
#define PENDING_GOOD 32
/* Late commands in a row, of whatever connection, that make it down. */
#define LATE_MAX 5
#define RETRY_MIN_NS (100 * MG_MILLISECOND)
#define RETRY_MAX_NS (5 * MG_SECOND)
/* After another connection could not be made beside those there. */
#define GROW_AGAIN_NS MG_SECOND

static const char too_busy[] = "too many commands are under way";

static void connect_one(struct mg_redis_node *n);

static uint64_t now(const struct mg_redis_node *n)
{
    return mg_loop_now(n->_loop);
}

static struct mg_redis_conn *conn_of(struct mg_link *l)
{
    return MG_CONTAINER_OF(l, struct mg_redis_conn, link);
}

static struct mg_redis_call *first_waiting(struct mg_redis_node *n)
{
    return MG_CONTAINER_OF(n->_waiting.next, struct mg_redis_call, _link);
}

/* --- calls that wait --- */

static struct mg_redis_call *take_waiting(struct mg_redis_node *n)
{
    struct mg_redis_call *call = first_waiting(n);
    mg_list_remove(&call->_link);
    return call;
}

static void fail_waiting(struct mg_redis_node *n, enum mg_redis_error error, const char *detail)
{
    struct mg_link failed;
    mg_list_init(&failed);
    while (!mg_list_empty(&n->_waiting)) /* those who start anew meanwhile are not among them */
        mg_list_push_back(&failed, &take_waiting(n)->_link);
    mg_timer_stop(&n->_waiting_timer);
    while (!mg_list_empty(&failed)) {
        struct mg_redis_call *call = MG_CONTAINER_OF(failed.next, struct mg_redis_call, _link);
        mg_list_remove(&call->_link);
        mg_redis_call_finish(call, error, detail, NULL);
    }
}

static void on_waiting_timer(void *arg)
{
    struct mg_redis_node *n = arg;
    while (!mg_list_empty(&n->_waiting) && first_waiting(n)->_deadline_ns <= now(n))
        mg_redis_call_finish(take_waiting(n), MG_REDIS_TIMEOUT, "no connection in time", NULL);
    if (!mg_list_empty(&n->_waiting))
        mg_timer_set(&n->_waiting_timer, first_waiting(n)->_deadline_ns);
}

/* Some of them may belong together, as a transaction does: when they do not all fit, the connection
 * is of no use to others. */
static void send_waiting(struct mg_redis_node *n, struct mg_redis_conn *c)
{
    bool fits = true;
    mg_timer_stop(&n->_waiting_timer);
    while (fits && !mg_list_empty(&n->_waiting)) {
        struct mg_redis_call *call = take_waiting(n);
        fits = mg_redis_conn_send(c, call, 1) == MG_REDIS_OK;
        if (!fits)
            mg_redis_call_finish(call, MG_REDIS_BUSY, too_busy, NULL);
    }
    if (fits)
        return;
    mg_redis_conn_close(c, MG_REDIS_BUSY, too_busy);
    fail_waiting(n, MG_REDIS_BUSY, too_busy);
}

/* --- up and down --- */

static uint64_t next_random(struct mg_redis_node *n)
{
    uint64_t x = n->_random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return n->_random = x;
}

/* Between half and all of the wait, so that workers and gateways do not come all at once. */
static void retry_later(struct mg_redis_node *n)
{
    uint64_t half = n->_retry_ns / 2;
    mg_timer_set(&n->_retry, now(n) + half + next_random(n) % half);
    n->_retry_ns = n->_retry_ns * 2 < RETRY_MAX_NS ? n->_retry_ns * 2 : RETRY_MAX_NS;
}

static void stop_connecting(struct mg_redis_node *n)
{
    struct mg_redis_conn *greeting = n->_greeting;
    mg_timer_stop(&n->_connect_timer);
    if (n->_dial)
        n->_dialer.cancel(n->_dialer.ctx, n->_dial);
    n->_dial = NULL;
    n->_greeting = NULL;
    if (greeting)
        mg_redis_conn_close(greeting, MG_REDIS_DOWN, "given up");
}

static void close_ready(struct mg_redis_node *n, enum mg_redis_error error)
{
    while (!mg_list_empty(&n->_conns))
        mg_redis_conn_close(conn_of(n->_conns.next), error, n->_reason);
}

static void go_down(struct mg_redis_node *n, enum mg_redis_error error, const char *reason)
{
    if (!n->_down || !mg_str_eq(mg_str_c(n->_reason), mg_str_c(reason)))
        mg_log_warn("redis is down", MG_LOG_C("redis", n->name), MG_LOG_C("reason", reason));
    snprintf(n->_reason, sizeof n->_reason, "%s", reason);
    n->_down = true;
    retry_later(n);
    close_ready(n, error);
    fail_waiting(n, MG_REDIS_DOWN, n->_reason);
}

/* The first command after it was down is a trial: when that is late too, it is down again. */
static void come_up(struct mg_redis_node *n)
{
    if (n->_down) {
        mg_log_info("redis is up again", MG_LOG_C("redis", n->name));
        n->_late = LATE_MAX - 1;
    }
    n->_down = false;
    mg_timer_stop(&n->_retry);
}

/* What was ready goes on being used: only the attempt at one more has failed. */
static void connect_failed(struct mg_redis_node *n, const char *reason)
{
    stop_connecting(n);
    n->_grow_ns = now(n) + GROW_AGAIN_NS;
    if (n->_count == 0)
        go_down(n, MG_REDIS_DOWN, reason);
}

static void on_connect_timeout(void *arg)
{
    connect_failed(arg, "no connection in time");
}

static void on_retry(void *arg)
{
    connect_one(arg);
}

/* --- connections --- */

static void on_ready(void *owner, struct mg_redis_conn *c)
{
    struct mg_redis_node *n = owner;
    n->_greeting = NULL;
    mg_timer_stop(&n->_connect_timer);
    mg_list_push_back(&n->_conns, &c->link);
    n->_count++;
    come_up(n);
    send_waiting(n, c);
}

static void on_answer(void *owner, struct mg_redis_conn *c)
{
    struct mg_redis_node *n = owner;
    if (c == n->_greeting)
        return; /* good manners are no proof of work */
    n->_late = 0;
    n->_retry_ns = RETRY_MIN_NS;
}

static void on_late(void *owner, struct mg_redis_conn *c)
{
    struct mg_redis_node *n = owner;
    if (c != n->_greeting && ++n->_late >= LATE_MAX && !n->_down)
        go_down(n, MG_REDIS_TIMEOUT, "it does not answer in time");
}

static void on_closed(void *owner, struct mg_redis_conn *c, const char *reason)
{
    struct mg_redis_node *n = owner;
    if (c == n->_greeting) {
        n->_greeting = NULL;
        connect_failed(n, reason);
    } else if (!mg_list_empty(&c->link)) {
        mg_list_remove(&c->link);
        n->_count--;
    }
}

static const struct mg_redis_conn_events conn_events = {
    .on_ready = on_ready, .on_answer = on_answer, .on_late = on_late, .on_closed = on_closed};

static void on_dialled(void *arg, struct mg_stream *stream, const char *reason)
{
    struct mg_redis_node *n = arg;
    n->_dial = NULL;
    if (stream)
        n->_greeting =
            mg_redis_conn_new(n->_loop, stream, n->_chunks, n->_settings, &conn_events, n);
    else
        connect_failed(n, reason);
}

static bool is_connecting(const struct mg_redis_node *n)
{
    return n->_dial || n->_greeting;
}

static void connect_one(struct mg_redis_node *n)
{
    const char *reason = "";
    if (is_connecting(n))
        return;
    n->_dial = n->_dialer.start(n->_dialer.ctx, n->_address, on_dialled, n, &reason);
    if (n->_dial)
        mg_timer_set(&n->_connect_timer, now(n) + n->_settings->connect_timeout_ns);
    else
        connect_failed(n, reason);
}

/* --- commands --- */

/* The first that has not much to do; else the one that has least. */
static struct mg_redis_conn *choose(struct mg_redis_node *n)
{
    struct mg_redis_conn *least = NULL;
    MG_LIST_FOREACH(it, &n->_conns)
    {
        struct mg_redis_conn *c = conn_of(it);
        if (!c->late && c->pending < PENDING_GOOD)
            return c;
        if (!least || (least->late && !c->late) ||
            (least->late == c->late && c->pending < least->pending))
            least = c;
    }
    if (n->_count < n->_settings->pool && (n->_count == 0 || n->_grow_ns <= now(n)))
        connect_one(n);
    return least;
}

static enum mg_redis_error refuse(struct mg_redis_call *calls, uint32_t count,
                                  enum mg_redis_error error, const char *detail)
{
    for (uint32_t i = 0; i < count; i++) {
        calls[i].error = error;
        calls[i].detail = detail;
    }
    return error;
}

static void wait_for_connection(struct mg_redis_node *n, struct mg_redis_call *calls,
                                uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        mg_list_push_back(&n->_waiting, &calls[i]._link);
    if (!mg_timer_is_set(&n->_waiting_timer))
        mg_timer_set(&n->_waiting_timer, calls[0]._deadline_ns);
}

enum mg_redis_error mg_redis_node_send(struct mg_redis_node *n, struct mg_redis_call *calls,
                                       uint32_t count)
{
    struct mg_redis_conn *c = n->_down ? NULL : choose(n);
    if (n->_down)
        return refuse(calls, count, MG_REDIS_DOWN, n->_reason);
    if (!c)
        wait_for_connection(n, calls, count);
    else if (mg_redis_conn_send(c, calls, count) != MG_REDIS_OK)
        return refuse(calls, count, MG_REDIS_BUSY, too_busy);
    return MG_REDIS_OK;
}

enum mg_redis_error mg_redis_node_start(struct mg_redis_node *n, struct mg_redis_call *calls,
                                        uint32_t count)
{
    uint64_t deadline_ns = now(n) + n->_settings->timeout_ns;
    for (uint32_t i = 0; i < count; i++)
        mg_redis_call_init(&calls[i], deadline_ns);
    return mg_redis_node_send(n, calls, count);
}

bool mg_redis_node_is_down(const struct mg_redis_node *n)
{
    return n->_down;
}

bool mg_redis_node_is_idle(const struct mg_redis_node *n)
{
    if (!mg_list_empty(&n->_waiting))
        return false;
    MG_LIST_FOREACH(it, &n->_conns)
    {
        if (conn_of(it)->pending)
            return false;
    }
    return true;
}

/* --- life --- */

void mg_redis_node_init(struct mg_redis_node *n, const char *name, const char *address,
                        struct mg_loop *loop, struct mg_pool *chunks,
                        const struct mg_redis_settings *settings,
                        const struct mg_redis_dialer *dialer, uint64_t seed)
{
    *n = (struct mg_redis_node){.name = name,
                                ._address = address,
                                ._loop = loop,
                                ._chunks = chunks,
                                ._settings = settings,
                                ._dialer = *dialer,
                                ._retry_ns = RETRY_MIN_NS,
                                ._random = seed};
    mg_list_init(&n->_conns);
    mg_list_init(&n->_waiting);
    mg_timer_init(&n->_waiting_timer, loop, on_waiting_timer, n);
    mg_timer_init(&n->_connect_timer, loop, on_connect_timeout, n);
    mg_timer_init(&n->_retry, loop, on_retry, n);
}

void mg_redis_node_release(struct mg_redis_node *n)
{
    n->_down = true; /* who hears of a failure now cannot start anew */
    snprintf(n->_reason, sizeof n->_reason, "the gateway ends");
    stop_connecting(n);
    close_ready(n, MG_REDIS_CLOSED);
    fail_waiting(n, MG_REDIS_DOWN, n->_reason);
    mg_timer_release(&n->_waiting_timer);
    mg_timer_release(&n->_connect_timer);
    mg_timer_release(&n->_retry);
}
