/* Idle connections: how many are kept, and that the count is right however they end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "upstream/picker.h"
#include "upstream/pools.h"

#define KEPT 3
#define CONNS 5

struct scene {
    struct mg_loop *loop;
    struct mg_pool chunks, blocks;
    struct mg_arena arena;
    struct mg_service *service;
    struct mg_picker picker;
    struct mg_backend *backend;
    struct mg_pools pools;
    struct mg_stream *ends[CONNS]; /* the backend's */
};

static void set_up(struct scene *s)
{
    struct mg_backend_config backend = {.address = MG_STR("10.0.0.1:80"), .weight = 1};
    struct mg_service_config config = {
        .name = MG_STR("s"),
        .backends = &backend,
        .backend_count = 1,
        .keepalive_max = KEPT,
        .keepalive_idle_ns = 10 * MG_SECOND,
    };
    static const struct mg_h1_limits limits = {1024, 20, 512};
    *s = (struct scene){.loop = mg_loop_new_simulated(1)};
    mg_pool_init(&s->chunks, 4096);
    mg_pool_init(&s->blocks, 2048);
    mg_arena_init(&s->arena, &s->chunks);
    s->service = mg_service_new(&config, NULL);
    mg_picker_init(&s->picker, s->service, 1);
    s->backend = mg_picker_next(&s->picker, &(struct mg_pick){0});
    mg_pools_init(&s->pools, s->loop, &s->blocks, &limits);
}

static void tear_down(struct scene *s)
{
    mg_pools_release(&s->pools);
    mg_picker_release(&s->picker);
    mg_service_unref(s->service);
    for (int i = 0; i < CONNS; i++)
        if (s->ends[i])
            mg_stream_close(s->ends[i]);
    mg_loop_settle(s->loop);
    mg_loop_free(s->loop);
    mg_arena_release(&s->arena);
    assert_int_equal(s->blocks.live, 0);
    mg_pool_release(&s->chunks);
    mg_pool_release(&s->blocks);
}

static void run(struct scene *s)
{
    mg_loop_simulate(s->loop, mg_loop_now(s->loop) + 1, NULL);
}

static void on_response(struct mg_outbound *o)
{
    mg_outbound_end(o);
}

static void on_failed(struct mg_outbound *o, enum mg_outbound_failure failure, const char *reason)
{
    (void)failure, (void)reason;
    mg_outbound_end(o);
    fail();
}

/* A request and its response on each of the first `count` connections; then all are idle. */
static void use(struct scene *s, int count)
{
    const struct mg_service_config *config = mg_service_config(s->service);
    struct mg_message *request = mg_arena_calloc(&s->arena, sizeof *request);
    mg_message_init(request, &s->arena);
    request->method = MG_STR("GET");
    request->method_id = MG_METHOD_GET;
    request->path = MG_STR("/");
    for (int i = 0; i < count; i++) {
        struct mg_stream *ends[2];
        mg_pair_stream_new(s->loop, 4096, ends);
        s->ends[i] = ends[0];
        mg_stream_watch(ends[0], false, false);
        struct mg_outbound *o = mg_arena_calloc(&s->arena, sizeof *o);
        *o = (struct mg_outbound){
            .request = request,
            .arena = &s->arena,
            .first_byte_ns = MG_SECOND,
            .idle_ns = MG_SECOND,
            .on_response = on_response,
            .on_failed = on_failed,
        };
        mg_client_conn_send(mg_pools_adopt(&s->pools, s->backend, config, ends[1]), o);
    }
    for (int i = 0; i < count; i++) {
        struct iovec iov = {(void *)"HTTP/1.1 204 No Content\r\n\r\n", 27};
        assert_int_equal(mg_stream_writev(s->ends[i], &iov, 1), 27);
        run(s);
    }
}

static int take_all(struct scene *s)
{
    int n = 0;
    struct mg_client_conn *c;
    while ((c = mg_pools_take(&s->pools, s->backend, mg_service_config(s->service)))) {
        mg_client_conn_discard(c);
        n++;
    }
    return n;
}

static void no_more_than_the_limit_are_kept(void **state)
{
    static const struct {
        int used, kept;
    } cases[] = {{0, 0}, {1, 1}, {KEPT, KEPT}, {CONNS, KEPT}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scene s;
        set_up(&s);
        use(&s, cases[i].used);
        assert_int_equal(s.pools.idle_count, cases[i].kept);
        assert_int_equal(take_all(&s), cases[i].kept);
        assert_int_equal(s.pools.idle_count, 0);
        tear_down(&s);
    }
}

/* Else the pool would believe itself full one day, and keep none. */
static void what_the_backend_closes_is_not_counted(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s);
    for (int round = 0; round < 3; round++) {
        use(&s, KEPT);
        assert_int_equal(s.pools.idle_count, KEPT);
        for (int i = 0; i < KEPT; i++) {
            mg_stream_close(s.ends[i]);
            s.ends[i] = NULL;
            run(&s);
            assert_int_equal(s.pools.idle_count, KEPT - 1 - i);
        }
        assert_int_equal(take_all(&s), 0);
    }
    tear_down(&s);
}

/* Bytes that nobody asked for would be taken for the next response. */
static void one_that_says_something_unasked_is_closed(void **state)
{
    struct scene s;
    struct iovec iov = {(void *)"HTTP/1.1 408 Request Timeout\r\n\r\n", 32};
    (void)state;
    set_up(&s);
    use(&s, 1);
    assert_int_equal(mg_stream_writev(s.ends[0], &iov, 1), 32);
    run(&s);
    assert_int_equal(s.pools.idle_count, 0);
    assert_int_equal(take_all(&s), 0);
    tear_down(&s);
}

static void old_ones_are_not_taken(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s);
    use(&s, 2);
    mg_loop_simulate(s.loop, mg_loop_now(s.loop) + 11 * MG_SECOND, NULL);
    assert_int_equal(take_all(&s), 0);
    assert_int_equal(s.pools.idle_count, 0);
    tear_down(&s);
}

static void remove_backend(struct scene *s)
{
    struct mg_endpoint other = {.addr = {.family = 4, .bytes = {10, 0, 0, 2}, .port = 80}};
    mg_service_publish(s->service, &other, 1, 0);
}

static void those_to_a_removed_backend_are_closed(void **state)
{
    (void)state;
    for (int removed_first = 0; removed_first < 2; removed_first++) {
        struct scene s;
        set_up(&s);
        mg_backend_ref(s.backend);
        if (removed_first)
            remove_backend(&s);
        use(&s, 2); /* they were under way when it was removed, or idle */
        assert_int_equal(s.pools.idle_count, removed_first ? 0 : 2);
        if (!removed_first)
            remove_backend(&s);
        assert_int_equal(take_all(&s), 0);
        mg_backend_unref(s.backend);
        tear_down(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_more_than_the_limit_are_kept),
        cmocka_unit_test(what_the_backend_closes_is_not_counted),
        cmocka_unit_test(one_that_says_something_unasked_is_closed),
        cmocka_unit_test(old_ones_are_not_taken),
        cmocka_unit_test(those_to_a_removed_backend_are_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
