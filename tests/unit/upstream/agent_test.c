/* Requests of the control thread, on a simulated loop: the test is name server, network and server.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "upstream/agent.h"

#define ROOM 65536
#define DIALS_MAX 4

/* How a dial ends. */
enum reach { REACHED, REFUSED_AT_ONCE, REFUSED, SILENT };

struct scene {
    struct mg_loop *loop;
    struct mg_resolver *resolver;
    struct mg_agent *agent;
    enum reach reach[DIALS_MAX];
    char dialled[DIALS_MAX][MG_IP_TEXT_MAX + 64]; /* "10.0.0.1:80" or a path */
    int dials, cancelled;
    struct mg_soon soon; /* tells of the latest dial */
    mg_connect_fn on_done;
    void *arg;
    struct mg_stream *server; /* the latest connection's other end */
    char seen[ROOM];          /* what the server has read */
    size_t seen_n;
    int done;
    bool failed;
    char failure[256];
    unsigned status;
    char body[ROOM];
    size_t body_n;
};

/* --- the network --- */

static void on_dialled(void *arg)
{
    struct scene *s = arg;
    struct mg_stream *ends[2];
    if (s->reach[s->dials - 1] == REFUSED) {
        s->on_done(s->arg, NULL, ECONNREFUSED);
        return;
    }
    mg_pair_stream_new(s->loop, ROOM, ends);
    mg_stream_watch(ends[1], false, false);
    s->server = ends[1];
    s->on_done(s->arg, ends[0], 0);
}

static void *start_dial(void *ctx, struct mg_backend *b, mg_connect_fn on_done, void *arg,
                        int *error)
{
    struct scene *s = ctx;
    assert_true(s->dials < DIALS_MAX);
    char *text = s->dialled[s->dials];
    if (b->unix_path)
        snprintf(text, sizeof s->dialled[0], "%s", b->unix_path);
    else
        text[mg_ip_format_port(&b->addr, text)] = 0;
    enum reach reach = s->reach[s->dials++];
    if (reach == REFUSED_AT_ONCE) {
        *error = EHOSTUNREACH;
        return NULL;
    }
    s->on_done = on_done;
    s->arg = arg;
    if (reach != SILENT)
        mg_soon_run(s->loop, &s->soon);
    return s;
}

static void cancel_dial(void *ctx, void *dial)
{
    struct scene *s = ctx;
    assert_ptr_equal(dial, s);
    mg_soon_cancel(&s->soon);
    s->cancelled++;
}

/* --- the scene --- */

static void set_up(struct scene *s)
{
    memset(s, 0, sizeof *s);
    s->loop = mg_loop_new_simulated(1);
    s->resolver = mg_resolver_new(s->loop, NULL);
    s->agent = mg_agent_new(s->loop, s->resolver);
    mg_soon_init(&s->soon, on_dialled, s);
    mg_agent_set_dialer(s->agent,
                        &(struct mg_dialer){.start = start_dial, .cancel = cancel_dial, .ctx = s});
}

static void tear_down(struct scene *s)
{
    mg_agent_free(s->agent);
    if (s->server)
        mg_stream_close(s->server);
    mg_resolver_free(s->resolver);
    mg_loop_settle(s->loop);
    mg_loop_free(s->loop);
}

static void on_done(void *arg, const struct mg_agent_answer *answer)
{
    struct scene *s = arg;
    s->done++;
    s->failed = answer->failure != NULL;
    snprintf(s->failure, sizeof s->failure, "%s", answer->failure ? answer->failure : "");
    s->status = answer->head ? answer->head->status : 0;
    s->body_n = answer->body.n;
    if (answer->body.n)
        memcpy(s->body, answer->body.p, answer->body.n);
}

static struct mg_agent_call *start(struct scene *s, struct mg_agent_request r)
{
    r.limit_ns = r.limit_ns ? r.limit_ns : 10 * MG_SECOND;
    r.body_max = r.body_max ? r.body_max : 1024;
    struct mg_agent_call *c = mg_agent_start(s->agent, &r, on_done, s);
    assert_int_equal(s->done, 0);
    return c;
}

static struct mg_agent_call *get(struct scene *s, const char *url)
{
    return start(s, (struct mg_agent_request){.url = mg_str_c(url)});
}

static void advance(struct scene *s, uint64_t ns)
{
    mg_loop_simulate(s->loop, mg_loop_now(s->loop) + ns, NULL);
}

static void run(struct scene *s)
{
    advance(s, 1);
}

static void play_name(struct scene *s, const char *name, const char *first, const char *second)
{
    struct mg_addr addrs[2];
    assert_true(mg_ip_parse(mg_str_c(first), &addrs[0]));
    if (second)
        assert_true(mg_ip_parse(mg_str_c(second), &addrs[1]));
    mg_resolver_play(s->resolver, mg_str_c(name), addrs, second ? 2 : 1, MG_SECOND);
}

/* Reads the request, and answers. */
static void answer(struct scene *s, const char *text)
{
    run(s);
    assert_non_null(s->server);
    ssize_t n = mg_stream_read(s->server, s->seen + s->seen_n, sizeof s->seen - 1 - s->seen_n);
    if (n > 0)
        s->seen_n += (size_t)n;
    struct iovec iov = {(void *)text, strlen(text)};
    assert_int_equal(mg_stream_writev(s->server, &iov, 1), (ssize_t)strlen(text));
    run(s);
}

static void assert_failed(const struct scene *s, const char *failure)
{
    assert_int_equal(s->done, 1);
    assert_string_equal(s->failure, failure);
    assert_true(s->failed);
}

/* --- answers --- */

static void answer_is_whole(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s);
    get(&s, "http://10.0.0.1:81/keys?x=1");
    answer(&s, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nke");
    assert_int_equal(s.done, 0);
    answer(&s, "ys");
    assert_int_equal(s.done, 1);
    assert_false(s.failed);
    assert_int_equal(s.status, 200);
    assert_memory_equal(s.body, "keys", 4);
    assert_string_equal(s.dialled[0], "10.0.0.1:81");
    assert_string_equal(s.seen, "GET /keys?x=1 HTTP/1.1\r\nHost: 10.0.0.1:81\r\n"
                                "User-Agent: moongate\r\nConnection: close\r\n\r\n");
    tear_down(&s);
}

static void a_request_has_method_fields_host_and_body(void **state)
{
    static const struct mg_agent_field fields[] = {{MG_STR("X-A"), MG_STR("1")},
                                                   {MG_STR("user-agent"), MG_STR("probe")}};
    struct scene s;
    (void)state;
    set_up(&s);
    start(&s, (struct mg_agent_request){.url = MG_STR("http://10.0.0.1"),
                                        .method = MG_STR("POST"),
                                        .host = MG_STR("inner"),
                                        .fields = fields,
                                        .field_count = 2,
                                        .body = MG_STR("data")});
    answer(&s, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_int_equal(s.status, 204);
    assert_string_equal(s.seen, "POST / HTTP/1.1\r\nHost: inner\r\nX-A: 1\r\nuser-agent: probe\r\n"
                                "Content-Length: 4\r\nConnection: close\r\n\r\ndata");
    tear_down(&s);
}

static void a_redirect_is_an_answer(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s);
    get(&s, "http://10.0.0.1/");
    answer(&s, "HTTP/1.1 302 Found\r\nLocation: http://10.0.0.2/\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(s.status, 302);
    assert_int_equal(s.dials, 1);
    tear_down(&s);
}

static void a_body_may_last_until_the_end(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s);
    get(&s, "http://10.0.0.1/");
    answer(&s, "HTTP/1.1 200 OK\r\n\r\nall of it");
    assert_int_equal(s.done, 0);
    mg_stream_shutdown(s.server);
    run(&s);
    assert_int_equal(s.done, 1);
    assert_memory_equal(s.body, "all of it", 9);
    tear_down(&s);
}

static void bad_answers_fail(void **state)
{
    static const struct {
        const char *sent, *failure;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 1025\r\n\r\n", "the answer is longer than 1024 bytes"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
         "the answer broke off: upstream-closed"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf",
         "the answer broke off: upstream-closed"},
        {"HTTP/1.1 200", "no answer: upstream-closed"},
        {"", "no answer: upstream-closed"},
        {"SSH-2.0-OpenSSH\r\n\r\n", "no answer: version"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scene s;
        set_up(&s);
        get(&s, "http://10.0.0.1/");
        answer(&s, cases[i].sent);
        mg_stream_shutdown(s.server);
        run(&s);
        assert_failed(&s, cases[i].failure);
        tear_down(&s);
    }
}

static void a_long_chunked_body_is_cut_at_the_limit(void **state)
{
    struct scene s;
    char long_body[2200];
    (void)state;
    set_up(&s);
    get(&s, "http://10.0.0.1/");
    int n = snprintf(long_body, sizeof long_body,
                     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n");
    memset(long_body + n, 'x', 2048);
    long_body[n + 2048] = 0;
    answer(&s, long_body);
    assert_failed(&s, "the answer is longer than 1024 bytes");
    tear_down(&s);
}

/* --- addresses --- */

static void the_next_address_is_tried(void **state)
{
    static const enum reach reach[] = {REFUSED_AT_ONCE, REFUSED, SILENT};
    (void)state;
    for (size_t i = 0; i < sizeof reach / sizeof *reach; i++) {
        struct scene s;
        set_up(&s);
        s.reach[0] = reach[i];
        play_name(&s, "issuer", "10.0.0.1", "10.0.0.2");
        get(&s, "http://issuer:8080/");
        run(&s);
        if (reach[i] == SILENT)
            advance(&s, 3 * MG_SECOND);
        assert_string_equal(s.dialled[0], "10.0.0.1:8080");
        assert_string_equal(s.dialled[1], "10.0.0.2:8080");
        assert_int_equal(s.cancelled, reach[i] == SILENT);
        answer(&s, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        assert_int_equal(s.status, 200);
        tear_down(&s);
    }
}

static void failures_say_what_went_wrong(void **state)
{
    static const struct {
        const char *url, *failure;
        enum reach reach;
    } cases[] = {
        {"http://10.0.0.1/", "connection-refused", REFUSED},
        {"http://10.0.0.1/", "unreachable", REFUSED_AT_ONCE},
        {"http://nobody/", "cannot resolve 'nobody': no such name", REACHED},
        {"ftp://10.0.0.1/", "the URL does not begin with http:// or https://", REACHED},
        {"http://10.0.0.1:0/", "the URL has a bad port", REACHED},
        {"unix::/", "the URL has a bad path for a unix socket", REACHED},
        {"unix:/run/x.sock:path", "the URL has a bad path for a unix socket", REACHED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scene s;
        set_up(&s);
        s.reach[0] = cases[i].reach;
        get(&s, cases[i].url);
        run(&s);
        assert_failed(&s, cases[i].failure);
        tear_down(&s);
    }
}

static void a_unix_socket_has_a_path(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s);
    get(&s, "unix:/run/docker.sock:/v1/containers?all=1");
    answer(&s, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_string_equal(s.dialled[0], "/run/docker.sock");
    assert_memory_equal(s.seen, "GET /v1/containers?all=1 HTTP/1.1\r\nHost: localhost\r\n", 52);
    assert_int_equal(s.status, 200);
    tear_down(&s);
}

static void a_fixed_backend_is_asked_whatever_the_url_says(void **state)
{
    struct scene s;
    struct mg_backend b = {.authority = (char *)"b", .label = (char *)"b"};
    (void)state;
    set_up(&s);
    atomic_init(&b.refs, 1);
    assert_true(mg_ip_parse_port(MG_STR("10.9.9.9:99"), &b.addr));
    start(&s, (struct mg_agent_request){.url = MG_STR("http://users/health"), .backend = &b});
    answer(&s, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_string_equal(s.dialled[0], "10.9.9.9:99");
    assert_memory_equal(s.seen, "GET /health HTTP/1.1\r\nHost: users\r\n", 35);
    assert_int_equal(atomic_load(&b.refs), 1);
    tear_down(&s);
}

static void a_connection_may_be_all_that_is_wanted(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s);
    start(&s,
          (struct mg_agent_request){.url = MG_STR("http://10.0.0.1:5432"), .connect_only = true});
    run(&s);
    assert_int_equal(s.done, 1);
    assert_false(s.failed);
    tear_down(&s);
}

/* --- time --- */

static void everything_is_over_after_the_limit(void **state)
{
    static const struct {
        enum reach reach;
        const char *sent, *failure;
    } cases[] = {
        {SILENT, NULL, "no connection in time"},
        {REACHED, "", "no whole answer in time"},
        {REACHED, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nha", "no whole answer in time"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scene s;
        set_up(&s);
        s.reach[0] = cases[i].reach;
        get(&s, "http://10.0.0.1/");
        if (cases[i].sent)
            answer(&s, cases[i].sent);
        advance(&s, 9 * MG_SECOND);
        assert_int_equal(s.done, 0);
        advance(&s, 1 * MG_SECOND);
        assert_failed(&s, cases[i].failure);
        tear_down(&s);
    }
}

static void a_cancelled_call_is_silent(void **state)
{
    (void)state;
    for (int stage = 0; stage < 4; stage++) {
        struct scene s;
        set_up(&s);
        play_name(&s, "issuer", "10.0.0.1", NULL);
        s.reach[0] = stage == 1 ? SILENT : REACHED;
        struct mg_agent_call *c = get(&s, stage == 3 ? "ftp://issuer" : "http://issuer/");
        if (stage == 1)
            run(&s);
        if (stage == 2)
            answer(&s, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nha");
        mg_agent_cancel(c);
        advance(&s, 60 * MG_SECOND);
        assert_int_equal(s.done, 0);
        tear_down(&s);
    }
}

static void the_agent_may_go_with_calls_under_way(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s);
    get(&s, "http://10.0.0.1/");
    answer(&s, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nha");
    get(&s, "http://nobody/");
    tear_down(&s);
    assert_int_equal(s.done, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answer_is_whole),
        cmocka_unit_test(a_request_has_method_fields_host_and_body),
        cmocka_unit_test(a_redirect_is_an_answer),
        cmocka_unit_test(a_body_may_last_until_the_end),
        cmocka_unit_test(bad_answers_fail),
        cmocka_unit_test(a_long_chunked_body_is_cut_at_the_limit),
        cmocka_unit_test(the_next_address_is_tried),
        cmocka_unit_test(failures_say_what_went_wrong),
        cmocka_unit_test(a_unix_socket_has_a_path),
        cmocka_unit_test(a_fixed_backend_is_asked_whatever_the_url_says),
        cmocka_unit_test(a_connection_may_be_all_that_is_wanted),
        cmocka_unit_test(everything_is_over_after_the_limit),
        cmocka_unit_test(a_cancelled_call_is_silent),
        cmocka_unit_test(the_agent_may_go_with_calls_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
