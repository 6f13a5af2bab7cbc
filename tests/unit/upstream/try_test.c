/* What a try means to its backend: it is one of the requests in flight from the pick to its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "upstream/fetch.h"

#define BACKENDS 2
#define FETCHES 6
#define ROOM 65536

struct scene {
    struct mg_loop *loop;
    struct mg_pool chunks, blocks;
    struct mg_arena arena;
    struct mg_service *service;
    struct mg_picker picker;
    struct mg_pools pools;
    struct mg_message request;
    struct mg_fetch fetches[FETCHES];
    struct {
        mg_connect_fn on_done;
        void *arg;
    } dials[FETCHES]; /* none is answered but by the test */
    int dial_count, failed, answered;
    struct mg_stream *server; /* the other end of the latest connection */
};

static void *start_dial(void *ctx, struct mg_backend *b, mg_connect_fn on_done, void *arg,
                        int *error)
{
    struct scene *s = ctx;
    (void)b, (void)error;
    assert_true(s->dial_count < FETCHES);
    s->dials[s->dial_count].on_done = on_done;
    s->dials[s->dial_count].arg = arg;
    return &s->dials[s->dial_count++];
}

static void cancel_dial(void *ctx, void *dial)
{
    (void)ctx, (void)dial;
}

static int set_up(void **state)
{
    static const struct mg_h1_limits limits = {1024, 20, 512};
    static const struct mg_backend_config backends[BACKENDS] = {
        {.address = MG_STR("10.0.0.1:80"), .weight = 1},
        {.address = MG_STR("10.0.0.2:80"), .weight = 1}};
    const struct mg_service_config config = {
        .name = MG_STR("s"),
        .backends = backends,
        .backend_count = BACKENDS,
        .balance = MG_BALANCE_LEAST_REQUESTS,
        .connect_ns = 5 * MG_SECOND,
        .first_byte_ns = 5 * MG_SECOND,
        .idle_ns = 5 * MG_SECOND,
        .keepalive_max = 4,
        .keepalive_idle_ns = 60 * MG_SECOND,
    };
    struct scene *s = *state = calloc(1, sizeof *s);
    s->loop = mg_loop_new_simulated(1);
    mg_pool_init(&s->chunks, 4096);
    mg_pool_init(&s->blocks, 4096);
    mg_arena_init(&s->arena, &s->chunks);
    s->service = mg_service_new(&config, NULL);
    mg_picker_init(&s->picker, s->service, 1);
    mg_pools_init(&s->pools, s->loop, &s->blocks, &limits);
    s->pools.dialer = (struct mg_dialer){.start = start_dial, .cancel = cancel_dial, .ctx = s};
    mg_message_init(&s->request, &s->arena);
    s->request.method = MG_STR("GET");
    s->request.method_id = MG_METHOD_GET;
    s->request.path = MG_STR("/");
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    mg_pools_release(&s->pools);
    mg_picker_release(&s->picker);
    mg_service_unref(s->service);
    if (s->server)
        mg_stream_close(s->server);
    mg_loop_settle(s->loop);
    mg_loop_free(s->loop);
    mg_arena_release(&s->arena);
    mg_pool_release(&s->chunks);
    mg_pool_release(&s->blocks);
    free(s);
    return 0;
}

static void on_response(struct mg_fetch *f)
{
    ((struct scene *)f->owner)->answered++;
}

static void on_failed(struct mg_fetch *f)
{
    ((struct scene *)f->owner)->failed++;
}

static struct mg_fetch *start(struct scene *s, int i)
{
    struct mg_fetch *f = &s->fetches[i];
    *f = (struct mg_fetch){.pools = &s->pools,
                           .picker = &s->picker,
                           .request = &s->request,
                           .arena = &s->arena,
                           .on_response = on_response,
                           .on_failed = on_failed,
                           .owner = s};
    mg_fetch_start(f);
    return f;
}

static unsigned in_flight(const struct mg_fetch *f)
{
    return atomic_load(&f->backend->in_flight);
}

/* The dial of that number gets a connection, to a server that says `answer`. */
static void connect_to(struct scene *s, int dial, const char *answer)
{
    struct mg_stream *ends[2];
    struct iovec v = {(void *)answer, strlen(answer)};
    if (s->server)
        mg_stream_close(s->server);
    mg_pair_stream_new(s->loop, ROOM, ends);
    mg_stream_watch(ends[1], false, false);
    s->server = ends[1];
    s->dials[dial].on_done(s->dials[dial].arg, ends[0], 0);
    mg_stream_writev(s->server, &v, 1);
    mg_loop_simulate(s->loop, mg_loop_now(s->loop) + MG_MILLISECOND, NULL);
}

static void requests_that_still_connect_are_seen_by_the_next_pick(void **state)
{
    struct scene *s = *state;
    for (int i = 0; i < FETCHES; i++)
        start(s, i);
    assert_int_equal(s->dial_count, FETCHES);
    assert_ptr_not_equal(s->fetches[0].backend, s->fetches[1].backend);
    assert_int_equal(in_flight(&s->fetches[0]), FETCHES / BACKENDS);
    assert_int_equal(in_flight(&s->fetches[1]), FETCHES / BACKENDS);
    struct mg_backend *b = s->fetches[0].backend;
    mg_backend_ref(b);
    for (int i = 0; i < FETCHES; i++)
        mg_fetch_end(&s->fetches[i]);
    assert_int_equal(atomic_load(&b->in_flight), 0);
    mg_backend_unref(b);
}

static void one_that_cannot_connect_is_over(void **state)
{
    struct scene *s = *state;
    struct mg_fetch *f = start(s, 0);
    struct mg_backend *first = f->backend;
    mg_backend_ref(first);
    s->dials[0].on_done(s->dials[0].arg, NULL, ECONNREFUSED);
    assert_int_equal(atomic_load(&first->in_flight), 0);
    assert_ptr_not_equal(f->backend, first); /* the other one's turn */
    assert_int_equal(in_flight(f), 1);
    mg_loop_simulate(s->loop, mg_loop_now(s->loop) + 60 * MG_SECOND, NULL);
    assert_int_equal(s->failed, 1);
    assert_int_equal(in_flight(f), 0);
    mg_fetch_end(f);
    mg_backend_unref(first);
}

static void one_that_is_answered_counts_until_it_ends(void **state)
{
    struct scene *s = *state;
    struct mg_fetch *f = start(s, 0);
    connect_to(s, 0, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
    assert_int_equal(s->answered, 1);
    assert_int_equal(in_flight(f), 1);
    struct mg_backend *b = f->backend;
    mg_backend_ref(b);
    mg_fetch_end(f);
    assert_int_equal(atomic_load(&b->in_flight), 0);
    mg_backend_unref(b);
}

/* A kept connection that is found closed is followed by a new one to the same backend. */
static void one_that_is_sent_again_counts_once(void **state)
{
    struct scene *s = *state;
    struct mg_fetch *f = start(s, 0);
    struct mg_backend *b = f->backend;
    mg_backend_ref(b);
    connect_to(s, 0, "HTTP/1.1 204 No Content\r\n\r\n");
    mg_fetch_end(f);
    assert_int_equal(s->pools.idle_count, 1);
    mg_stream_close(s->server); /* not yet noticed */
    s->server = NULL;
    int last = 0;
    do
        f = start(s, ++last);
    while (f->backend != b);
    mg_loop_simulate(s->loop, mg_loop_now(s->loop) + MG_MILLISECOND, NULL);
    assert_int_equal(s->dial_count, last + 1);
    assert_int_equal(in_flight(f), 1);
    for (int i = 1; i <= last; i++)
        mg_fetch_end(&s->fetches[i]);
    assert_int_equal(atomic_load(&b->in_flight), 0);
    mg_backend_unref(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(requests_that_still_connect_are_seen_by_the_next_pick,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_cannot_connect_is_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_is_answered_counts_until_it_ends, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(one_that_is_sent_again_counts_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
