/*
 * Commands to a cluster. Worker thread.
 *
 * Always true: a call that does not go the straight way (it waits for the map, or was sent on) is
 * in `detours`, ordered by deadline, until it is over; so it ends in time, however often it is
 * sent.
 */
#include "redis/cluster.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "redis/cluster_map.h"
#include "redis/inquiry.h"

/* While a slot changes hands its two servers may each name the other one, until both have heard. So
 * often a call is sent on at once; then it waits as after TRYAGAIN. */
#define REDIRECTIONS_MAX 5
/* The map is not asked for more often. */
#define REFRESH_NS (200 * MG_MILLISECOND)
/* While there is none, and nobody tells it: longer and longer. */
#define RETRY_MIN_NS (100 * MG_MILLISECOND)
#define RETRY_MAX_NS (5 * MG_SECOND)
/* After TRYAGAIN (some keys of a command have moved, and others not yet), and the like. */
#define TRY_AGAIN_NS (10 * MG_MILLISECOND)

struct mg_redis_cluster {
    const char *name;
    struct mg_loop *loop;
    struct mg_pool *chunks;
    const struct mg_redis_settings *settings;
    struct mg_redis_dialer dialer;
    struct mg_redis_cluster_map map;
    struct mg_redis_inquiry *inquiry; /* for the map */
    struct mg_timer refresh;          /* it will be asked for */
    uint64_t refresh_from_ns;         /* not before */
    uint64_t retry_ns;
    struct mg_link for_map; /* calls that wait for the first */
    struct mg_link again;   /* calls that wait to be tried again */
    struct mg_timer again_timer;
    struct mg_link refused; /* calls that could not be sent with others that were */
    struct mg_soon refusing;
    struct mg_link detours;
    struct mg_timer detour_timer;
    bool down; /* there is no map, and nobody to tell it */
    char reason[192];
};

static uint64_t now(const struct mg_redis_cluster *c)
{
    return mg_loop_now(c->loop);
}

static struct mg_redis_call *of_link(struct mg_link *l)
{
    return MG_CONTAINER_OF(l, struct mg_redis_call, _link);
}

static struct mg_redis_call *of_detour(struct mg_link *l)
{
    return MG_CONTAINER_OF(l, struct mg_redis_call, _detour);
}

static void end_call(struct mg_redis_call *call, enum mg_redis_error error, const char *detail)
{
    call->_cluster = NULL;
    mg_redis_call_cancel(call);
    mg_redis_call_finish(call, error, detail, NULL);
}

/* All of a list in one of their own: those who start anew meanwhile are not among them. */
static void take_all(struct mg_link *list, struct mg_link *taken)
{
    mg_list_init(taken);
    if (mg_list_empty(list))
        return;
    mg_list_insert(list->prev, taken);
    mg_list_remove(list);
}

static void end_all(struct mg_link *list, enum mg_redis_error error, const char *detail)
{
    struct mg_link ended;
    take_all(list, &ended);
    while (!mg_list_empty(&ended))
        end_call(of_link(ended.next), error, detail);
}

/* --- time --- */

static void on_detour_timer(void *arg)
{
    struct mg_redis_cluster *c = arg;
    while (!mg_list_empty(&c->detours) && of_detour(c->detours.next)->_deadline_ns <= now(c))
        end_call(of_detour(c->detours.next), MG_REDIS_TIMEOUT, "no reply in time");
    if (!mg_list_empty(&c->detours))
        mg_timer_set(&c->detour_timer, of_detour(c->detours.next)->_deadline_ns);
}

static void watch_time(struct mg_redis_cluster *c, struct mg_redis_call *call)
{
    struct mg_link *after = c->detours.prev;
    if (!mg_list_empty(&call->_detour))
        return;
    while (after != &c->detours && of_detour(after)->_deadline_ns > call->_deadline_ns)
        after = after->prev;
    mg_list_insert(after, &call->_detour);
    if (c->detours.next == &call->_detour)
        mg_timer_set(&c->detour_timer, call->_deadline_ns);
}

/* --- sending --- */

static enum mg_redis_error refuse(struct mg_redis_call *calls, uint32_t count,
                                  enum mg_redis_error error, const char *detail)
{
    for (uint32_t i = 0; i < count; i++) {
        calls[i].error = error;
        calls[i].detail = detail;
    }
    return error;
}

static void ask_for_map(struct mg_redis_cluster *c);

static enum mg_redis_error send_to(struct mg_redis_cluster *c, struct mg_redis_node *node,
                                   struct mg_redis_call *calls, uint32_t count)
{
    if (!node) {
        ask_for_map(c);
        return refuse(calls, count, MG_REDIS_ROUTE, "no server has the slot of the keys");
    }
    enum mg_redis_error error = mg_redis_node_send(node, calls, count);
    if (error == MG_REDIS_DOWN)
        ask_for_map(c); /* another may have taken its slots */
    return error;
}

static void on_refusing(void *arg)
{
    struct mg_redis_cluster *c = arg;
    struct mg_link over;
    take_all(&c->refused, &over);
    while (!mg_list_empty(&over)) {
        struct mg_redis_call *call = of_link(over.next);
        end_call(call, call->error, call->detail);
    }
}

/* Others of the same array were sent already: these hear of it later. */
static void refuse_later(struct mg_redis_cluster *c, struct mg_redis_call *calls, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        mg_list_push_back(&c->refused, &calls[i]._link);
    mg_soon_run(c->loop, &c->refusing);
}

static struct mg_redis_node *node_of(struct mg_redis_cluster *c, const struct mg_redis_call *call)
{
    return mg_redis_cluster_map_find(&c->map, call->_slot);
}

/* What follows each other and is for one server goes there together. */
static void send_all(struct mg_redis_cluster *c, struct mg_redis_call *calls, uint32_t count)
{
    uint32_t n;
    for (uint32_t i = 0; i < count; i += n) {
        struct mg_redis_node *node = node_of(c, &calls[i]);
        n = 1;
        while (i + n < count && node_of(c, &calls[i + n]) == node)
            n++;
        if (send_to(c, node, calls + i, n) != MG_REDIS_OK)
            refuse_later(c, calls + i, n);
    }
}

/* --- the map --- */

/* The calls that waited for it. Those of a transaction follow each other in memory, as they were
 * given; what was given together was taken back together or not at all, so a link's neighbour is
 * the next call of its array exactly when it lies there. */
static void send_waiting(struct mg_redis_cluster *c)
{
    struct mg_link waiting;
    take_all(&c->for_map, &waiting);
    while (!mg_list_empty(&waiting)) {
        struct mg_redis_call *first = of_link(waiting.next);
        uint32_t count = 0;
        while (!mg_list_empty(&waiting) && of_link(waiting.next) == first + count) {
            mg_list_remove(waiting.next);
            count++;
        }
        send_all(c, first, count);
    }
}

static void go_down(struct mg_redis_cluster *c, const char *reason)
{
    if (!c->down || !mg_str_eq(mg_str_c(c->reason), mg_str_c(reason)))
        mg_log_warn("redis is down", MG_LOG_C("redis", c->name), MG_LOG_C("reason", reason));
    snprintf(c->reason, sizeof c->reason, "%s", reason);
    c->down = true;
    mg_timer_set(&c->refresh, now(c) + c->retry_ns);
    c->retry_ns = c->retry_ns * 2 < RETRY_MAX_NS ? c->retry_ns * 2 : RETRY_MAX_NS;
    end_all(&c->for_map, MG_REDIS_DOWN, c->reason);
}

static bool on_map(void *arg, const struct mg_redis_reply *reply, const char **reason)
{
    struct mg_redis_cluster *c = arg;
    if (!mg_redis_cluster_map_read(&c->map, reply, reason))
        return false;
    c->inquiry = NULL;
    if (c->down)
        mg_log_info("redis is up again", MG_LOG_C("redis", c->name));
    c->down = false;
    c->retry_ns = RETRY_MIN_NS;
    c->refresh_from_ns = now(c) + REFRESH_NS;
    if (mg_redis_cluster_map_sweep(&c->map))
        mg_timer_set(&c->refresh, now(c) + MG_SECOND);
    send_waiting(c);
    return true;
}

static void on_no_map(void *arg, const char *reason)
{
    struct mg_redis_cluster *c = arg;
    c->inquiry = NULL;
    c->refresh_from_ns = now(c) + REFRESH_NS;
    if (!c->map.known)
        go_down(c, reason);
}

static void start_inquiry(void *arg)
{
    struct mg_redis_cluster *c = arg;
    const char *reason = "";
    const struct mg_redis_inquiry_options options = {
        .loop = c->loop,
        .chunks = c->chunks,
        .settings = c->settings,
        .dialer = &c->dialer,
        .words = {"CLUSTER", "SLOTS"},
        .address = mg_redis_cluster_map_address(&c->map),
        .on_reply = on_map,
        .on_failed = on_no_map,
        .arg = c,
    };
    if (c->inquiry)
        return;
    c->inquiry = mg_redis_inquiry_start(&options, &reason);
    if (!c->inquiry)
        on_no_map(c, reason);
}

/* Once at a time, and not too often; but it will be. */
static void ask_for_map(struct mg_redis_cluster *c)
{
    if (!c->inquiry && !c->down)
        mg_timer_set(&c->refresh, c->refresh_from_ns > now(c) ? c->refresh_from_ns : now(c));
}

/* --- redirections --- */

/* The node that "MOVED 3999 127.0.0.1:6381" or "ASK ..." names, and the slot. */
static struct mg_redis_node *named(struct mg_redis_cluster *c, struct mg_str text, uint16_t *slot)
{
    struct mg_str word;
    uint64_t number;
    if (!mg_str_split(&text, ' ', &word) || !mg_str_split(&text, ' ', &word) ||
        !mg_str_to_u64(word, MG_REDIS_SLOTS - 1, &number))
        return NULL;
    *slot = (uint16_t)number;
    return mg_redis_cluster_map_node(&c->map, text);
}

static bool over(struct mg_redis_call *call, enum mg_redis_error error, const char *detail)
{
    refuse(call, 1, error, detail);
    call->reply = NULL;
    return false;
}

static void on_again(void *arg)
{
    struct mg_redis_cluster *c = arg;
    struct mg_link calls;
    take_all(&c->again, &calls);
    while (!mg_list_empty(&calls)) {
        struct mg_redis_call *call = of_link(calls.next);
        mg_list_remove(&call->_link);
        call->_asking = false;
        if (send_to(c, node_of(c, call), call, 1) != MG_REDIS_OK)
            end_call(call, call->error, call->detail);
    }
}

/* Bounded by the call's time alone: the slot is on its way. */
static bool try_again(struct mg_redis_cluster *c, struct mg_redis_call *call)
{
    call->reply = NULL;
    call->_redirections = 0;
    watch_time(c, call);
    mg_list_push_back(&c->again, &call->_link);
    if (!mg_timer_is_set(&c->again_timer))
        mg_timer_set(&c->again_timer, now(c) + TRY_AGAIN_NS);
    return true;
}

static bool send_on(struct mg_redis_cluster *c, struct mg_redis_call *call,
                    struct mg_redis_node *node, bool asking)
{
    if (!node)
        return over(call, MG_REDIS_ROUTE, "the server names no other that can be reached");
    if (call->_redirections++ == REDIRECTIONS_MAX)
        return try_again(c, call);
    call->reply = NULL;
    call->_asking = asking;
    watch_time(c, call);
    return send_to(c, node, call, 1) == MG_REDIS_OK;
}

static bool moved(struct mg_redis_cluster *c, struct mg_redis_call *call)
{
    uint16_t slot = 0;
    struct mg_redis_node *node = named(c, call->reply->str, &slot);
    if (node)
        mg_redis_cluster_map_move(&c->map, slot, node);
    ask_for_map(c);
    return !call->_bound && send_on(c, call, node, false);
}

bool mg_redis_cluster_redirect(struct mg_redis_cluster *c, struct mg_redis_call *call)
{
    const struct mg_redis_reply *r = call->reply;
    uint16_t slot;
    if (call->error)
        ask_for_map(c);
    if (call->error || r->type != MG_REDIS_ERROR)
        return false;
    if (mg_redis_reply_is_error(r, MG_STR("MOVED")))
        return moved(c, call);
    if (mg_redis_reply_is_error(r, MG_STR("CLUSTERDOWN")))
        ask_for_map(c);
    if (call->_bound)
        return false;
    if (mg_redis_reply_is_error(r, MG_STR("ASK")))
        return send_on(c, call, named(c, r->str, &slot), true);
    return mg_redis_reply_is_error(r, MG_STR("TRYAGAIN")) && try_again(c, call);
}

/* --- commands --- */

static int slot_of(const struct mg_redis_call *call)
{
    return mg_redis_slot_of_command(call->argc, call->argv, call->lengths);
}

static bool is_command(const struct mg_redis_call *call, struct mg_str name)
{
    return mg_str_ieq(mg_str(call->argv[0], call->lengths[0]), name);
}

/* How many of the calls belong together: a transaction, or the first alone. `*slot`: of all of
 * them. */
static uint32_t unit(const struct mg_redis_call *calls, uint32_t count, int *slot)
{
    uint32_t n = 1;
    *slot = slot_of(calls);
    if (count == 1 || !is_command(calls, MG_STR("MULTI")))
        return n;
    while (n < count) {
        const struct mg_redis_call *call = &calls[n++];
        int one = slot_of(call);
        if (*slot == MG_REDIS_SLOT_ANY)
            *slot = one;
        else if (one != MG_REDIS_SLOT_ANY && one != *slot)
            *slot = MG_REDIS_SLOT_CROSS;
        if (is_command(call, MG_STR("EXEC")) || is_command(call, MG_STR("DISCARD")))
            break;
    }
    return n;
}

/* Makes them ready; false: keys that must lie together do not. */
static bool prepare(struct mg_redis_cluster *c, struct mg_redis_call *calls, uint32_t count)
{
    uint64_t deadline_ns = now(c) + c->settings->timeout_ns;
    uint32_t n;
    for (uint32_t i = 0; i < count; i += n) {
        int slot;
        n = unit(calls + i, count - i, &slot);
        if (slot == MG_REDIS_SLOT_CROSS)
            return false;
        for (uint32_t k = i; k < i + n; k++) {
            mg_redis_call_init(&calls[k], deadline_ns);
            calls[k]._cluster = c;
            calls[k]._slot = slot;
            calls[k]._bound = n > 1;
        }
    }
    return true;
}

static void wait_for_map(struct mg_redis_cluster *c, struct mg_redis_call *calls, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        mg_list_push_back(&c->for_map, &calls[i]._link);
        watch_time(c, &calls[i]);
    }
    ask_for_map(c);
}

enum mg_redis_error mg_redis_cluster_start(struct mg_redis_cluster *c, struct mg_redis_call *calls,
                                           uint32_t count)
{
    if (!prepare(c, calls, count))
        return refuse(calls, count, MG_REDIS_ROUTE, "the keys lie in more than one slot");
    if (c->down)
        return refuse(calls, count, MG_REDIS_DOWN, c->reason);
    if (!c->map.known)
        wait_for_map(c, calls, count);
    else if (count == 1)
        return send_to(c, node_of(c, calls), calls, 1);
    else
        send_all(c, calls, count);
    return MG_REDIS_OK;
}

/* --- life --- */

struct mg_redis_cluster *mg_redis_cluster_new(const char *name, struct mg_loop *loop,
                                              struct mg_pool *chunks,
                                              const struct mg_redis_settings *settings,
                                              const struct mg_redis_dialer *dialer, uint64_t seed)
{
    struct mg_redis_cluster *c = mg_calloc(1, sizeof *c);
    c->name = name;
    c->loop = loop;
    c->chunks = chunks;
    c->settings = settings;
    c->dialer = *dialer;
    c->retry_ns = RETRY_MIN_NS;
    mg_redis_cluster_map_init(&c->map, name, loop, chunks, settings, dialer, seed);
    mg_list_init(&c->for_map);
    mg_list_init(&c->again);
    mg_list_init(&c->refused);
    mg_list_init(&c->detours);
    mg_timer_init(&c->refresh, loop, start_inquiry, c);
    mg_timer_init(&c->again_timer, loop, on_again, c);
    mg_timer_init(&c->detour_timer, loop, on_detour_timer, c);
    mg_soon_init(&c->refusing, on_refusing, c);
    return c;
}

void mg_redis_cluster_free(struct mg_redis_cluster *c)
{
    if (!c)
        return;
    c->down = true; /* who hears of a failure now cannot start anew */
    snprintf(c->reason, sizeof c->reason, "the gateway ends");
    if (c->inquiry)
        mg_redis_inquiry_cancel(c->inquiry);
    mg_soon_cancel(&c->refusing);
    on_refusing(c);
    end_all(&c->for_map, MG_REDIS_DOWN, c->reason);
    end_all(&c->again, MG_REDIS_DOWN, c->reason);
    mg_redis_cluster_map_release(&c->map);
    mg_timer_release(&c->refresh);
    mg_timer_release(&c->again_timer);
    mg_timer_release(&c->detour_timer);
    free(c);
}
