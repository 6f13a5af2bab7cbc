/*
 * Name resolution against a name server of our own on 127.0.0.1: a thread-free one, whose socket is
 * watched by the same loop, so each test decides what is answered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <event2/event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/loop_private.h"
#include "net/resolver.h"
#include "net/sockaddr.h"

enum { TYPE_A = 1, TYPE_CNAME = 5, TYPE_AAAA = 28 };
enum { RCODE_OK = 0, RCODE_SERVFAIL = 2, RCODE_NXDOMAIN = 3, RCODE_REFUSED = 5 };

enum server_does {
    ANSWER,
    STAY_SILENT,
    CUT_SHORT, /* the count of answers says more than there is */
};

struct record {
    int type;
    uint32_t ttl;
    const char *data; /* an address, or a name of one label for a CNAME */
};

struct scene {
    struct mg_loop *loop;
    struct mg_resolver *resolver;
    int fd;
    struct event *event;
    struct mg_timer give_up;
    /* What the server does. */
    enum server_does does;
    int rcode;
    const struct record *records;
    size_t record_count;
    int asked;
    /* What came of it. */
    int calls;
    char addrs[256];
    size_t count;
    uint64_t ttl_ns;
    const char *error;
};

/* --- the server --- */

static size_t put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
    return 2;
}

static size_t put_data(uint8_t *p, const struct record *r)
{
    size_t n = strlen(r->data);
    struct mg_addr addr;
    if (r->type == TYPE_CNAME) {
        put16(p, (unsigned)n + 2);
        p[2] = (uint8_t)n;
        memcpy(p + 3, r->data, n);
        p[3 + n] = 0;
        return n + 4;
    }
    assert_true(mg_ip_parse(mg_str_c(r->data), &addr));
    n = addr.family == 4 ? 4 : 16;
    put16(p, (unsigned)n);
    memcpy(p + 2, addr.bytes, n);
    return n + 2;
}

/* The records belong to the name in the question, or to that of the CNAME before them. */
static size_t put_record(uint8_t *p, const struct record *r, size_t name_at)
{
    size_t n = put16(p, 0xc000 | (unsigned)name_at);
    n += put16(p + n, (unsigned)r->type);
    n += put16(p + n, 1); /* class IN */
    n += put16(p + n, r->ttl >> 16);
    n += put16(p + n, r->ttl & 0xffff);
    return n + put_data(p + n, r);
}

/* Turns the question into the answer, in place. Returns its length. */
static size_t make_answer(struct scene *s, uint8_t *p, size_t n)
{
    unsigned type = (unsigned)p[n - 4] << 8 | p[n - 3], count = 0;
    size_t name_at = 12;
    p[2] |= 0x80; /* a response */
    p[3] = (uint8_t)(0x80 | s->rcode);
    for (size_t i = 0; i < s->record_count; i++) {
        const struct record *r = &s->records[i];
        if (r->type != TYPE_CNAME && (unsigned)r->type != type)
            continue;
        size_t start = n;
        n += put_record(p + n, r, name_at);
        if (r->type == TYPE_CNAME)
            name_at = start + 12;
        count++;
    }
    if (s->does == CUT_SHORT && count) {
        count += 3;
        n -= 2;
    }
    put16(p + 6, count);
    return n;
}

static void on_question(evutil_socket_t fd, short what, void *arg)
{
    struct scene *s = arg;
    uint8_t p[2048] = {0};
    struct sockaddr_storage from;
    socklen_t from_len = sizeof from;
    (void)what;
    ssize_t n = recvfrom(fd, p, 512, 0, (struct sockaddr *)&from, &from_len);
    if (n < 17)
        return;
    s->asked++;
    /* The first label may say it too. */
    if (s->does == STAY_SILENT || memcmp(p + 13, "silent", 6) == 0 ||
        (memcmp(p + 13, "no-ipv6", 7) == 0 && p[n - 3] == TYPE_AAAA))
        return;
    size_t length = (size_t)n;
    if (memcmp(p + 13, "garbage", 7) == 0)
        memset(p + 2, 0xff, length - 2); /* the id is right, all else is not */
    else
        length = make_answer(s, p, length);
    assert_int_equal(sendto(fd, p, length, 0, (struct sockaddr *)&from, from_len), length);
}

/* --- scenes --- */

static void on_give_up(void *arg)
{
    mg_loop_stop(((struct scene *)arg)->loop);
}

static void set_up(struct scene *s)
{
    struct mg_addr here = {.family = 4, .bytes = {127, 0, 0, 1}};
    struct sockaddr_storage ss;
    socklen_t len = mg_sockaddr_from(&here, &ss);
    char servers[MG_IP_TEXT_MAX];
    struct mg_error err = {{0}};
    *s = (struct scene){.loop = mg_loop_new(NULL)};
    s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&ss, len), 0);
    len = sizeof ss;
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&ss, &len), 0);
    mg_sockaddr_to(&ss, &here);
    mg_ip_format_port(&here, servers);
    s->event = event_new(mg_loop_base(s->loop), s->fd, EV_READ | EV_PERSIST, on_question, s);
    event_add(s->event, NULL);
    mg_timer_init(&s->give_up, s->loop, on_give_up, s);
    s->resolver = mg_resolver_new(s->loop, &err);
    assert_non_null(s->resolver);
    assert_int_equal(mg_resolver_set_servers(s->resolver, servers, &err), MG_OK);
}

static void tear_down(struct scene *s)
{
    mg_resolver_free(s->resolver);
    mg_timer_release(&s->give_up);
    event_free(s->event);
    close(s->fd);
    mg_loop_free(s->loop);
}

static void run_for(struct scene *s, double seconds)
{
    mg_timer_set(&s->give_up, mg_loop_now(s->loop) + (uint64_t)(seconds * 1e9));
    mg_loop_run(s->loop);
}

static void on_done(void *arg, const struct mg_resolved *r)
{
    struct scene *s = arg;
    int n = 0;
    s->calls++;
    s->count = r->count;
    s->ttl_ns = r->ttl_ns;
    s->error = r->error;
    s->addrs[0] = 0;
    for (size_t i = 0; i < r->count && i < 4; i++) {
        char text[MG_IP_TEXT_MAX];
        assert_int_equal(r->addrs[i].port, 0);
        mg_ip_format(&r->addrs[i], text);
        n += snprintf(s->addrs + n, sizeof s->addrs - (size_t)n, "%s%s", n ? " " : "", text);
    }
    mg_loop_stop(s->loop);
}

/* A trailing dot keeps search domains of this host out of it. */
static void look_up(struct scene *s, const char *name)
{
    s->calls = 0;
    mg_resolver_lookup(s->resolver, mg_str_c(name), on_done, s);
    assert_int_equal(s->calls, 0); /* never inside the call */
    run_for(s, 60);
    assert_int_equal(s->calls, 1);
    assert_true((s->count == 0) == (s->error != NULL));
}

/* --- tests --- */

static void addresses_and_their_time_to_live(void **state)
{
    static const struct {
        struct record records[4];
        const char *addrs;
        uint64_t ttl_s;
    } cases[] = {
        {{{TYPE_A, 60, "192.0.2.1"}}, "192.0.2.1", 60},
        {{{TYPE_A, 60, "192.0.2.1"}, {TYPE_A, 20, "192.0.2.2"}}, "192.0.2.1 192.0.2.2", 20},
        {{{TYPE_A, 0, "192.0.2.1"}}, "192.0.2.1", 1},
        {{{TYPE_A, 86400, "192.0.2.1"}}, "192.0.2.1", 3600},
        {{{TYPE_A, 0x80000001, "192.0.2.1"}}, "192.0.2.1", 1},
        {{{TYPE_CNAME, 5, "other"}, {TYPE_A, 300, "192.0.2.7"}}, "192.0.2.7", 5},
        /* Nothing can be reached there without a scope; alone it is given all the same. */
        {{{TYPE_A, 60, "192.0.2.1"}, {TYPE_AAAA, 60, "fe80::1"}}, "192.0.2.1", 60},
        {{{TYPE_AAAA, 7, "fe80::1"}}, "fe80::1", 7},
    };
    struct scene s;
    (void)state;
    set_up(&s);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        s.records = cases[i].records;
        for (s.record_count = 0; s.record_count < 4 && s.records[s.record_count].data;)
            s.record_count++;
        look_up(&s, "backend.test.");
        if (s.error)
            fail_msg("case %zu: %s", i, s.error);
        assert_string_equal(s.addrs, cases[i].addrs);
        assert_int_equal(s.ttl_ns, cases[i].ttl_s * MG_SECOND);
    }
    assert_true(s.asked > 0);
    tear_down(&s);
}

static void failures_have_their_words(void **state)
{
    static const struct {
        enum server_does does;
        int rcode;
        const char *error;
    } cases[] = {
        {ANSWER, RCODE_NXDOMAIN, "no such name"},
        {ANSWER, RCODE_OK, "the name has no address"},
        {ANSWER, RCODE_SERVFAIL, "no name server could answer"},
        {ANSWER, RCODE_REFUSED, "no name server could answer"},
        {CUT_SHORT, RCODE_OK, "the name server's answer makes no sense"},
    };
    static const struct record both[] = {{TYPE_A, 60, "192.0.2.1"}, {TYPE_AAAA, 60, "2001:db8::1"}};
    struct scene s;
    (void)state;
    set_up(&s);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        s.does = cases[i].does;
        s.rcode = cases[i].rcode;
        s.records = both;
        s.record_count = s.does == CUT_SHORT ? 2 : 0;
        look_up(&s, "backend.test.");
        assert_int_equal(s.count, 0);
        if (!s.error || strcmp(s.error, cases[i].error) != 0)
            fail_msg("case %zu: got '%s'", i, s.error ? s.error : s.addrs);
    }
    tear_down(&s);
}

/* Names whose server is slow, all at once so that the test waits once. */
static void slow_servers_are_waited_for(void **state)
{
    static const struct record one = {TYPE_A, 60, "192.0.2.1"};
    static const struct {
        struct mg_str name;
        const char *addrs;
    } cases[] = {
        {MG_STR("silent.test."), ""},
        {MG_STR("garbage.test."), ""},
        {MG_STR("no-ipv6.test."), "192.0.2.1"}, /* half an answer will do */
    };
    struct scene s, results[3] = {0};
    (void)state;
    set_up(&s);
    s.records = &one;
    s.record_count = 1;
    uint64_t start = mg_loop_now(s.loop);
    for (size_t i = 0; i < 3; i++) {
        results[i].loop = s.loop;
        mg_resolver_lookup(s.resolver, cases[i].name, on_done, &results[i]);
    }
    for (int turn = 0; turn < 400 && !(results[0].calls && results[1].calls && results[2].calls);
         turn++)
        run_for(&s, 0.25);
    assert_true(mg_loop_now(s.loop) - start >= MG_SECOND);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(results[i].calls, 1);
        assert_string_equal(results[i].addrs, cases[i].addrs);
    }
    assert_string_equal(results[0].error, "no answer from the name servers in time");
    assert_true(s.asked >= 12); /* three names, two types, more than once */
    tear_down(&s);
}

static void the_hosts_file_comes_first(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s);
    look_up(&s, "localhost");
    assert_null(s.error);
    assert_true(strstr(s.addrs, "127.0.0.1") || strstr(s.addrs, "::1"));
    assert_int_equal(s.asked, 0);
    assert_in_range(s.ttl_ns, MG_SECOND, 60 * MG_SECOND);
    look_up(&s, "192.0.2.5");
    assert_string_equal(s.addrs, "192.0.2.5");
    tear_down(&s);
}

static void bad_names_are_refused(void **state)
{
    char endless[300];
    struct scene s;
    (void)state;
    set_up(&s);
    memset(endless, 'a', sizeof endless);
    const struct mg_str names[] = {MG_STR_NONE, mg_str(endless, sizeof endless), MG_STR("a\0b")};
    for (size_t i = 0; i < 3; i++) {
        s.calls = 0;
        mg_resolver_lookup(s.resolver, names[i], on_done, &s);
        assert_int_equal(s.calls, 0);
        run_for(&s, 5);
        assert_int_equal(s.calls, 1);
        assert_string_equal(s.error, "not a host name");
    }
    look_up(&s, "a..b");
    assert_string_equal(s.error, "not a host name");
    assert_int_equal(s.asked, 0);
    tear_down(&s);
}

static void all_addresses_are_given(void **state)
{
    struct record records[20];
    struct scene s;
    (void)state;
    set_up(&s);
    for (size_t i = 0; i < 20; i++)
        records[i] = (struct record){TYPE_A, 60, "192.0.2.1"};
    s.records = records;
    s.record_count = 20;
    look_up(&s, "backend.test.");
    assert_int_equal(s.count, 20);
    tear_down(&s);
}

static void cancel_means_no_call(void **state)
{
    static const struct record one = {TYPE_A, 60, "192.0.2.1"};
    struct scene s;
    (void)state;
    set_up(&s);
    s.records = &one;
    s.record_count = 1;
    /* Under way, and already there but not yet told. */
    mg_resolver_cancel(mg_resolver_lookup(s.resolver, MG_STR("backend.test."), on_done, &s));
    mg_resolver_cancel(mg_resolver_lookup(s.resolver, MG_STR("localhost"), on_done, &s));
    run_for(&s, 0.2);
    assert_int_equal(s.calls, 0);
    assert_true(s.asked > 0);
    /* The answer to a lookup that was cancelled does not disturb another one. */
    look_up(&s, "backend.test.");
    assert_string_equal(s.addrs, "192.0.2.1");
    tear_down(&s);
}

static void free_in_the_midst_means_no_call(void **state)
{
    struct scene s;
    (void)state;
    set_up(&s);
    s.does = STAY_SILENT;
    mg_resolver_lookup(s.resolver, MG_STR("backend.test."), on_done, &s);
    mg_resolver_lookup(s.resolver, MG_STR("localhost"), on_done, &s);
    run_for(&s, 0);
    s.calls = 0;
    mg_resolver_lookup(s.resolver, MG_STR("localhost"), on_done, &s);
    mg_resolver_free(s.resolver);
    s.resolver = NULL;
    run_for(&s, 0.1);
    assert_int_equal(s.calls, 0);
    tear_down(&s);
}

static void free_resolver(void *arg, const struct mg_resolved *r)
{
    struct scene *s = arg;
    (void)r;
    s->calls++;
    mg_resolver_free(s->resolver);
    s->resolver = NULL;
    mg_loop_stop(s->loop);
}

static void the_callee_may_free_the_resolver(void **state)
{
    static const char *const names[] = {"localhost", "backend.test."};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct scene s;
        set_up(&s);
        s.rcode = RCODE_NXDOMAIN;
        mg_resolver_lookup(s.resolver, mg_str_c(names[i]), free_resolver, &s);
        mg_resolver_lookup(s.resolver, mg_str_c(names[i]), on_done, &s);
        run_for(&s, 5);
        run_for(&s, 0.05);
        assert_null(s.resolver);
        assert_int_equal(s.calls, 1);
        tear_down(&s);
    }
}

static void servers_are_checked(void **state)
{
    struct scene s;
    struct mg_error err;
    (void)state;
    set_up(&s);
    assert_int_equal(mg_resolver_set_servers(s.resolver, "nonsense", &err), MG_FAIL);
    assert_string_equal(err.text, "cannot use name servers 'nonsense': not an address");
    tear_down(&s);
}

static void a_simulated_loop_plays_names(void **state)
{
    struct scene s = {.loop = mg_loop_new_simulated(1)};
    struct mg_addr addr, many[MG_RESOLVER_ADDRS_MAX + 1] = {0};
    (void)state;
    s.resolver = mg_resolver_new(s.loop, NULL);
    assert_int_equal(mg_resolver_set_servers(s.resolver, "127.0.0.1", NULL), MG_FAIL);
    assert_true(mg_ip_parse(MG_STR("192.0.2.1"), &addr));
    mg_resolver_play(s.resolver, MG_STR("users"), &addr, 1, 0);
    mg_resolver_lookup(s.resolver, MG_STR("Users"), on_done, &s);
    assert_int_equal(s.calls, 0);
    mg_loop_simulate(s.loop, UINT64_MAX, NULL);
    assert_string_equal(s.addrs, "192.0.2.1");
    assert_int_equal(s.ttl_ns, MG_SECOND);
    mg_resolver_play(s.resolver, MG_STR("users"), NULL, 0, 0);
    mg_resolver_lookup(s.resolver, MG_STR("users"), on_done, &s);
    mg_loop_simulate(s.loop, UINT64_MAX, NULL);
    assert_string_equal(s.error, "no such name");
    for (size_t i = 0; i <= MG_RESOLVER_ADDRS_MAX; i++)
        many[i] = (struct mg_addr){.family = 4, .bytes = {10, 0, (uint8_t)(i >> 8), (uint8_t)i}};
    mg_resolver_play(s.resolver, MG_STR("many"), many, MG_RESOLVER_ADDRS_MAX + 1, 0);
    mg_resolver_lookup(s.resolver, MG_STR("many"), on_done, &s);
    mg_loop_simulate(s.loop, UINT64_MAX, NULL);
    assert_int_equal(s.count, MG_RESOLVER_ADDRS_MAX);
    mg_resolver_lookup(s.resolver, MG_STR("users"), on_done, &s);
    mg_resolver_free(s.resolver);
    mg_loop_simulate(s.loop, UINT64_MAX, NULL);
    assert_int_equal(s.calls, 3);
    mg_loop_free(s.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_and_their_time_to_live),
        cmocka_unit_test(failures_have_their_words),
        cmocka_unit_test(slow_servers_are_waited_for),
        cmocka_unit_test(the_hosts_file_comes_first),
        cmocka_unit_test(bad_names_are_refused),
        cmocka_unit_test(all_addresses_are_given),
        cmocka_unit_test(cancel_means_no_call),
        cmocka_unit_test(free_in_the_midst_means_no_call),
        cmocka_unit_test(the_callee_may_free_the_resolver),
        cmocka_unit_test(servers_are_checked),
        cmocka_unit_test(a_simulated_loop_plays_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
