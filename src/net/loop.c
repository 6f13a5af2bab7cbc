/*
 * One thread's event loop. Real loops wait in libevent; simulated ones step a clock of their own.
 *
 * Always true: a timer is in the heap at most once, and the heap is ordered by (_key, _seq). One
 * libevent timer stands for the whole heap, because a libevent timer for each request costs about 1
 * us.
 */
#include "net/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "net/loop_private.h"

/* 2026-01-01T00:00:00Z, the day on which every simulation begins. */
#define SIMULATED_EPOCH 1767225600.0
/* A simulated clock starts here, so that 0 can mean "no deadline". */
#define SIMULATED_START MG_SECOND

struct later_free {
    void *memory;
    void (*release)(void *memory);
};

struct message {
    struct message *next;
    void (*fn)(void *arg);
    void *arg;
};

struct mg_loop {
    struct event_base *base; /* NULL: simulated */
    uint64_t now_ns;
    double wall_offset;   /* wall clock minus monotonic, seconds */
    uint64_t wall_due_ns; /* when to look at the wall clock again */
    bool stopped;
    bool fresh; /* now_ns was read in this turn */

    struct mg_timer **heap; /* [1..heap_count] */
    uint32_t heap_count, heap_room;
    uint64_t timer_seq;
    struct event timer_event;
    uint64_t timer_armed; /* deadline that timer_event is set to; 0: none */

    struct mg_link soon;
    struct later_free *frees;
    uint32_t free_count, free_room;
    uint64_t random; /* simulation: state of the order's generator */
    uint64_t turns;  /* simulation */

    /* Under lock. */
    pthread_mutex_t post_lock;
    struct message *posted, **posted_tail;
    /* Set once. */
    int wake_fd;
    struct event wake_event;
};

static uint64_t read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * MG_SECOND + (uint64_t)t.tv_nsec;
}

/* The wall clock may be set while we run, or run on while the machine sleeps; once a second is
 * enough. */
static void read_clocks(struct mg_loop *loop)
{
    loop->now_ns = read_clock(CLOCK_MONOTONIC);
    if (loop->now_ns < loop->wall_due_ns)
        return;
    loop->wall_offset = ((double)read_clock(CLOCK_REALTIME) - (double)loop->now_ns) / 1e9;
    loop->wall_due_ns = loop->now_ns + MG_SECOND;
}

void mg_loop_event_begins(struct mg_loop *loop)
{
    if (loop->fresh)
        return;
    loop->fresh = true;
    read_clocks(loop);
}

struct event_base *mg_loop_base(struct mg_loop *loop)
{
    return loop->base;
}

uint64_t mg_loop_now(const struct mg_loop *loop)
{
    return loop->now_ns;
}

uint64_t mg_loop_clock(const struct mg_loop *loop)
{
    return loop->base ? read_clock(CLOCK_MONOTONIC) : loop->now_ns;
}

double mg_loop_wall(const struct mg_loop *loop)
{
    if (!loop->base)
        return SIMULATED_EPOCH + (double)(loop->now_ns - SIMULATED_START) / 1e9;
    return (double)loop->now_ns / 1e9 + loop->wall_offset;
}

bool mg_loop_is_simulated(const struct mg_loop *loop)
{
    return loop->base == NULL;
}

/* --- the heap --- */

static bool before(const struct mg_timer *a, const struct mg_timer *b)
{
    return a->_key < b->_key || (a->_key == b->_key && a->_seq < b->_seq);
}

static void place(struct mg_loop *loop, uint32_t i, struct mg_timer *t)
{
    loop->heap[i] = t;
    t->_index = i;
}

static void sift_up(struct mg_loop *loop, uint32_t i, struct mg_timer *t)
{
    for (; i > 1 && before(t, loop->heap[i / 2]); i /= 2)
        place(loop, i, loop->heap[i / 2]);
    place(loop, i, t);
}

static void sift_down(struct mg_loop *loop, uint32_t i, struct mg_timer *t)
{
    for (;;) {
        uint32_t child = i * 2;
        if (child > loop->heap_count)
            break;
        if (child < loop->heap_count && before(loop->heap[child + 1], loop->heap[child]))
            child++;
        if (!before(loop->heap[child], t))
            break;
        place(loop, i, loop->heap[child]);
        i = child;
    }
    place(loop, i, t);
}

static void heap_insert(struct mg_loop *loop, struct mg_timer *t, uint64_t key)
{
    if (loop->heap_count + 1 >= loop->heap_room) {
        loop->heap_room = loop->heap_room ? loop->heap_room * 2 : 64;
        loop->heap = mg_realloc(loop->heap, loop->heap_room * sizeof *loop->heap);
    }
    t->_key = key;
    t->_seq = ++loop->timer_seq;
    sift_up(loop, ++loop->heap_count, t);
}

static void heap_remove(struct mg_loop *loop, struct mg_timer *t)
{
    uint32_t i = t->_index;
    struct mg_timer *last = loop->heap[loop->heap_count--];
    t->_index = 0;
    if (last == t)
        return;
    if (i > 1 && before(last, loop->heap[i / 2]))
        sift_up(loop, i, last);
    else
        sift_down(loop, i, last);
}

/* Drops stopped timers from the top and puts postponed ones where they belong. */
static struct mg_timer *earliest(struct mg_loop *loop)
{
    while (loop->heap_count) {
        struct mg_timer *t = loop->heap[1];
        if (t->_deadline == t->_key)
            return t;
        heap_remove(loop, t);
        if (t->_deadline)
            heap_insert(loop, t, t->_deadline);
    }
    return NULL;
}

/* True when any fired, or is left for the next turn. */
static bool fire_due(struct mg_loop *loop)
{
    bool any = false;
    /* What a timer sets for "now" waits for the next turn, so that a loop of timers cannot starve
     * I/O. */
    uint64_t last_seq = loop->timer_seq;
    for (struct mg_timer *t; (t = earliest(loop)) && t->_key <= loop->now_ns;) {
        if (t->_seq > last_seq)
            return true;
        heap_remove(loop, t);
        t->_deadline = 0;
        t->_fn(t->_arg);
        any = true;
    }
    return any;
}

void mg_timer_init(struct mg_timer *t, struct mg_loop *loop, mg_timer_fn fn, void *arg)
{
    *t = (struct mg_timer){._loop = loop, ._fn = fn, ._arg = arg};
}

void mg_timer_set(struct mg_timer *t, uint64_t deadline_ns)
{
    t->_deadline = deadline_ns ? deadline_ns : 1;
    if (t->_index && t->_key <= t->_deadline)
        return;
    if (t->_index)
        heap_remove(t->_loop, t);
    heap_insert(t->_loop, t, t->_deadline);
}

void mg_timer_stop(struct mg_timer *t)
{
    t->_deadline = 0;
}

void mg_timer_release(struct mg_timer *t)
{
    t->_deadline = 0;
    if (t->_index)
        heap_remove(t->_loop, t);
}

/* --- later in this turn --- */

void mg_soon_init(struct mg_soon *s, void (*fn)(void *arg), void *arg)
{
    mg_list_init(&s->_link);
    s->_fn = fn;
    s->_arg = arg;
}

void mg_soon_run(struct mg_loop *loop, struct mg_soon *s)
{
    if (mg_list_empty(&s->_link))
        mg_list_push_back(&loop->soon, &s->_link);
}

void mg_soon_cancel(struct mg_soon *s)
{
    mg_list_remove(&s->_link);
}

bool mg_soon_is_waiting(const struct mg_soon *s)
{
    return !mg_list_empty(&s->_link);
}

/* xorshift64*: any order will do, as long as the same seed gives the same one. */
static uint64_t next_random(struct mg_loop *loop)
{
    uint64_t x = loop->random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    loop->random = x;
    return x * UINT64_C(2685821657736338717);
}

static struct mg_link *pick_soon(struct mg_loop *loop)
{
    struct mg_link *first = loop->soon.next;
    if (loop->base || first->next == &loop->soon)
        return first;
    uint64_t count = 0;
    MG_LIST_FOREACH(it, &loop->soon)
    count++;
    uint64_t at = next_random(loop) % count;
    while (at--)
        first = first->next;
    return first;
}

static void run_soon(struct mg_loop *loop)
{
    while (!mg_list_empty(&loop->soon)) {
        struct mg_soon *s = MG_CONTAINER_OF(pick_soon(loop), struct mg_soon, _link);
        mg_list_remove(&s->_link);
        s->_fn(s->_arg);
    }
}

void mg_loop_free_later(struct mg_loop *loop, void *memory, void (*release)(void *memory))
{
    if (loop->free_count == loop->free_room) {
        loop->free_room = loop->free_room ? loop->free_room * 2 : 16;
        loop->frees = mg_realloc(loop->frees, loop->free_room * sizeof *loop->frees);
    }
    loop->frees[loop->free_count++] = (struct later_free){memory, release ? release : free};
}

static void run_frees(struct mg_loop *loop)
{
    /* A release may put further work here; it is done in the same go. */
    for (uint32_t i = 0; i < loop->free_count; i++) {
        struct later_free f = loop->frees[i];
        f.release(f.memory);
    }
    loop->free_count = 0;
}

static void end_turn(struct mg_loop *loop)
{
    do {
        run_soon(loop);
        run_frees(loop);
    } while (!mg_list_empty(&loop->soon));
}

void mg_loop_settle(struct mg_loop *loop)
{
    end_turn(loop);
}

/* --- messages --- */

void mg_loop_post(struct mg_loop *loop, void (*fn)(void *arg), void *arg)
{
    struct message *m = mg_malloc(sizeof *m);
    *m = (struct message){NULL, fn, arg};
    pthread_mutex_lock(&loop->post_lock);
    bool was_empty = loop->posted == NULL;
    *loop->posted_tail = m;
    loop->posted_tail = &m->next;
    pthread_mutex_unlock(&loop->post_lock);
    if (was_empty && loop->wake_fd >= 0) {
        uint64_t one = 1;
        while (write(loop->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
            continue;
    }
}

static struct message *take_messages(struct mg_loop *loop)
{
    pthread_mutex_lock(&loop->post_lock);
    struct message *first = loop->posted;
    loop->posted = NULL;
    loop->posted_tail = &loop->posted;
    pthread_mutex_unlock(&loop->post_lock);
    return first;
}

static bool has_messages(struct mg_loop *loop)
{
    pthread_mutex_lock(&loop->post_lock);
    bool any = loop->posted != NULL;
    pthread_mutex_unlock(&loop->post_lock);
    return any;
}

static bool run_messages(struct mg_loop *loop)
{
    struct message *m = take_messages(loop);
    bool any = m != NULL;
    for (struct message *next; m; m = next) {
        next = m->next;
        m->fn(m->arg);
        free(m);
    }
    return any;
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct mg_loop *loop = arg;
    uint64_t count;
    (void)what;
    mg_loop_event_begins(loop);
    if (read((int)fd, &count, sizeof count) > 0 || errno == EAGAIN)
        run_messages(loop);
}

/* --- life --- */

static void on_timer_event(evutil_socket_t fd, short what, void *arg)
{
    struct mg_loop *loop = arg;
    (void)fd, (void)what;
    mg_loop_event_begins(loop);
    loop->timer_armed = 0;
}

static struct mg_loop *new_loop(void)
{
    struct mg_loop *loop = mg_calloc(1, sizeof *loop);
    mg_list_init(&loop->soon);
    pthread_mutex_init(&loop->post_lock, NULL);
    loop->posted_tail = &loop->posted;
    loop->wake_fd = -1;
    return loop;
}

static struct event_base *new_base(void)
{
    struct event_config *config = event_config_new();
    if (!config)
        return NULL;
    /* One thread uses the base, so libevent's locks would be for nothing; messages come by eventfd.
     */
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

struct mg_loop *mg_loop_new(struct mg_error *err)
{
    struct mg_loop *loop = new_loop();
    loop->base = new_base();
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!loop->base || loop->wake_fd < 0) {
        mg_error_set(err, "cannot make an event loop: %m");
        mg_loop_free(loop);
        return NULL;
    }
    evtimer_assign(&loop->timer_event, loop->base, on_timer_event, loop);
    event_assign(&loop->wake_event, loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
    event_add(&loop->wake_event, NULL);
    read_clocks(loop);
    return loop;
}

struct mg_loop *mg_loop_new_simulated(uint64_t seed)
{
    struct mg_loop *loop = new_loop();
    loop->now_ns = SIMULATED_START;
    loop->random = seed ? seed : UINT64_C(0x9E3779B97F4A7C15);
    return loop;
}

void mg_loop_free(struct mg_loop *loop)
{
    if (!loop)
        return;
    run_frees(loop);
    for (struct message *m = take_messages(loop), *next; m; m = next) {
        next = m->next;
        free(m);
    }
    if (loop->base) {
        if (loop->wake_fd >= 0) {
            event_del(&loop->wake_event);
            event_del(&loop->timer_event);
        }
        event_base_free(loop->base);
    }
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    pthread_mutex_destroy(&loop->post_lock);
    free(loop->heap);
    free(loop->frees);
    free(loop);
}

/* --- running --- */

static void arm_timer_event(struct mg_loop *loop)
{
    struct mg_timer *t = earliest(loop);
    if (!t || (loop->timer_armed && loop->timer_armed <= t->_key))
        return; /* an event that comes too early only makes an empty turn */
    uint64_t wait = t->_key > loop->now_ns ? t->_key - loop->now_ns : 0;
    /* Rounded up to libevent's microseconds: waking before the deadline would only spin. */
    struct timeval tv = {.tv_sec = (time_t)(wait / MG_SECOND),
                         .tv_usec = (suseconds_t)((wait % MG_SECOND + 999) / 1000)};
    if (tv.tv_usec >= 1000000)
        tv.tv_sec++, tv.tv_usec -= 1000000;
    evtimer_add(&loop->timer_event, &tv);
    loop->timer_armed = t->_key;
}

void mg_loop_run(struct mg_loop *loop)
{
    MG_BUG_ON(!loop->base);
    loop->stopped = false;
    read_clocks(loop);
    while (!loop->stopped) {
        end_turn(loop);
        if (loop->stopped)
            break;
        arm_timer_event(loop);
        loop->fresh = false;
        event_base_loop(loop->base, EVLOOP_ONCE);
        if (!loop->fresh)
            read_clocks(loop); /* woken by nothing but time */
        fire_due(loop);
    }
    end_turn(loop);
}

void mg_loop_stop(struct mg_loop *loop)
{
    loop->stopped = true;
    if (loop->base)
        event_base_loopbreak(loop->base);
}

/* Runs all that is ready at the present time, and what comes of it. True when it was told to stop.
 */
static bool run_ready(struct mg_loop *loop, const bool *stop)
{
    for (bool more = true; more;) {
        loop->turns++;
        more = run_messages(loop);
        end_turn(loop);
        if (stop && *stop)
            return true;
        more |= fire_due(loop);
        more |= has_messages(loop);
    }
    return false;
}

uint64_t mg_loop_next_timer(struct mg_loop *loop)
{
    const struct mg_timer *t = earliest(loop);
    return t ? t->_key : 0;
}

uint64_t mg_loop_turns(const struct mg_loop *loop)
{
    return loop->turns;
}

void mg_loop_simulate(struct mg_loop *loop, uint64_t until_ns, const bool *stop)
{
    MG_BUG_ON(loop->base != NULL);
    while (!run_ready(loop, stop)) {
        struct mg_timer *t = earliest(loop);
        if (!t || t->_key > until_ns) {
            if (until_ns != UINT64_MAX && until_ns > loop->now_ns)
                loop->now_ns = until_ns;
            return;
        }
        loop->now_ns = t->_key;
    }
}
