/* The rules of a shared cache, row by row: what is kept (RFC 9111 3), for how long (4.2), and what
 * is done with it (4, 5.2.1; RFC 5861, 9213). */
#include "http/cache_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/date.h"

#define NOW 1700000000

static const struct mg_str targeted = MG_STR("CDN-Cache-Control");
static const struct mg_cache_ttl ttl_by_status[] = {{404, 404, 10}, {200, 200, 60}, {500, 599, 0}};

/* What the rows name. */
static const struct mg_cache_settings usual = {
    .targeted = &targeted,
    .targeted_count = 1,
    .ttl = MG_CACHE_UNSET,
    .heuristic_max = 86400,
    .stale_while_revalidate = MG_CACHE_UNSET,
    .stale_if_error = MG_CACHE_UNSET,
};
static struct mg_cache_settings no_guess, timed, by_status, forced, strict, sharing, windows, deaf;

static struct mg_pool pool;
static struct mg_arena arena;

static int setup(void **state)
{
    (void)state;
    mg_pool_init(&pool, 4096);
    mg_arena_init(&arena, &pool);
    no_guess = timed = by_status = forced = strict = sharing = windows = deaf = usual;
    no_guess.heuristic_max = 0;
    timed.ttl = 300;
    by_status.ttl_by_status = ttl_by_status;
    by_status.ttl_by_status_count = 3;
    forced = by_status;
    forced.force_ttl = true;
    strict.strict_cookies = true;
    sharing.share_authorized = true;
    windows.stale_while_revalidate = 30;
    windows.stale_if_error = 90;
    deaf.ignore_request_control = true;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mg_arena_release(&arena);
    int leaked = pool.live != 0;
    mg_pool_release(&pool);
    return leaked;
}

/* "Age: 3|Expires: @60": '@' and seconds is the date that far from now. */
static void fill(struct mg_message *m, const char *lines)
{
    struct mg_str rest = mg_str_c(lines), line;
    mg_message_init(m, &arena);
    while (mg_str_split(&rest, '|', &line)) {
        size_t colon = (size_t)mg_str_find(line, ':');
        struct mg_str value = mg_str_trim(mg_str(line.p + colon + 1, line.n - colon - 1));
        if (value.n > 0 && value.p[0] == '@')
            value = mg_http_date(NOW + strtod(value.p + 1, NULL));
        mg_fields_add(&m->fields, &arena, mg_str(line.p, colon), mg_arena_str(&arena, value));
    }
}

/* "GET", and fields after the first '|'. A '+' after the method: with content. */
static void fill_request(const struct mg_cache_settings *settings, const char *text,
                         struct mg_cache_request *out)
{
    struct mg_message m;
    struct mg_str rest = mg_str_c(text), method;
    mg_str_split(&rest, '|', &method);
    bool content = mg_str_ends(method, MG_STR("+"));
    method.n -= content;
    fill(&m, rest.n ? rest.p : "");
    m.method = method;
    m.method_id = mg_method_id(method);
    mg_cache_request_read(settings, &m, content, out);
    out->part = mg_cache_request_part(&m);
}

static enum mg_cache_storing judge(const struct mg_cache_settings *settings, const char *request,
                                   unsigned status, const char *response,
                                   struct mg_cache_answer *out)
{
    struct mg_cache_request r;
    struct mg_message m;
    fill_request(settings, request, &r);
    fill(&m, response);
    m.status = (uint16_t)status;
    return mg_cache_judge_response(settings, &r, &m, NOW - 1, NOW, &arena, out);
}

/* ---- storing ---- */

#define STORE MG_CACHE_STORE
#define NO(why) MG_CACHE_NOT_##why
#define FRESH_CC "Cache-Control: max-age=60"
#define PART "GET|Range: bytes=0-4"

static const struct {
    const struct mg_cache_settings *settings;
    const char *request;
    unsigned status;
    const char *response;
    enum mg_cache_storing want;
} storing[] = {
    {&usual, "GET", 200, FRESH_CC, STORE},
    /* 3: methods; a body no key covers */
    {&usual, "HEAD", 200, FRESH_CC, NO(METHOD)},
    {&usual, "PUT", 200, FRESH_CC, NO(METHOD)},
    {&usual, "POST", 200, FRESH_CC, NO(METHOD)},
    {&usual, "M-SEARCH", 200, FRESH_CC, NO(METHOD)},
    {&usual, "GET+", 200, FRESH_CC, NO(METHOD)},
    {&usual, "GET|If-Match: \"a\"", 200, FRESH_CC, NO(METHOD)},
    /* 3: statuses; parts */
    {&usual, "GET", 103, FRESH_CC, NO(STATUS)},
    {&usual, "GET", 206, FRESH_CC "|Content-Range: bytes 0-4/10", NO(STATUS)},
    {&usual, PART, 206, FRESH_CC "|Content-Range: bytes 0-4/10", STORE},
    {&usual, PART, 206, FRESH_CC "|Content-Range: bytes 0-4/*", STORE},
    {&usual, PART, 206, FRESH_CC "|Content-Range: bytes 5-9/10|Content-Type: a/b", STORE},
    {&usual, PART, 206, FRESH_CC, NO(STATUS)},
    {&usual, PART, 206, FRESH_CC "|Content-Range: bytes */10", NO(STATUS)},
    {&usual, PART, 206, FRESH_CC "|Content-Range: bytes 4-0/10", NO(STATUS)},
    {&usual, PART, 206, FRESH_CC "|Content-Range: lines 0-4/10", NO(STATUS)},
    {&usual, PART, 206, FRESH_CC "|Content-Range: bytes 0-4/10|Content-Range: bytes 0-4/10",
     NO(STATUS)},
    {&usual, PART, 206,
     FRESH_CC "|Content-Range: bytes 0-4/10|Content-Type: Multipart/ByteRanges; boundary=x",
     NO(STATUS)},
    {&usual, "GET|Range: bytes=0-1,4-5", 206, FRESH_CC "|Content-Range: bytes 0-4/10", NO(STATUS)},
    {&usual, "GET|Range: lines=0-1", 206, FRESH_CC "|Content-Range: bytes 0-4/10", NO(STATUS)},
    {&usual, PART, 206, "Cache-Control: private|Content-Range: bytes 0-4/10", NO(PRIVATE)},
    {&usual, PART, 206, "Content-Range: bytes 0-4/10", NO(LIFETIME)},
    {&usual, PART, 206, "Last-Modified: @-9000|Content-Range: bytes 0-4/10", STORE},
    {&usual, PART, 206,
     "Cache-Control: max-age=60, no-store, must-understand|Content-Range: bytes 0-4/10", STORE},
    /* Who asks for a part may get the whole; what else comes may be due to the range. */
    {&usual, PART, 200, FRESH_CC, STORE},
    {&usual, PART, 200, FRESH_CC "|Content-Range: bytes 0-4/10", NO(STATUS)},
    {&usual, PART, 404, FRESH_CC, NO(STATUS)},
    {&usual, PART, 500, FRESH_CC, NO(STATUS)},
    {&usual, PART, 416, FRESH_CC "|Content-Range: bytes */10", NO(STATUS)},
    {&usual, "GET", 304, FRESH_CC, NO(STATUS)},
    {&usual, "GET", 299, FRESH_CC, STORE},
    {&usual, "GET", 302, FRESH_CC, STORE},
    {&usual, "GET", 404, FRESH_CC, STORE},
    {&usual, "GET", 500, FRESH_CC, STORE},
    {&usual, "GET", 599, FRESH_CC, STORE},
    /* RFC 6585: never */
    {&usual, "GET", 428, FRESH_CC, NO(STATUS)},
    {&usual, "GET", 429, FRESH_CC ", public", NO(STATUS)},
    {&forced, "GET", 431, FRESH_CC, NO(STATUS)},
    {&usual, "GET", 511, "Cache-Control: max-age=60, must-understand", NO(STATUS)},
    /* 5.2.2.3 must-understand */
    {&usual, "GET", 200, "Cache-Control: max-age=60, no-store, must-understand", STORE},
    {&usual, "GET", 599, "Cache-Control: max-age=60, no-store, must-understand", NO(STATUS)},
    {&usual, "GET", 599, "Cache-Control: max-age=60, must-understand", NO(STATUS)},
    /* 5.2.1.5, 5.2.2.5 no-store */
    {&usual, "GET|Cache-Control: no-store", 200, FRESH_CC, NO(NO_STORE)},
    {&deaf, "GET|Cache-Control: no-store", 200, FRESH_CC, NO(NO_STORE)},
    {&usual, "GET", 200, "Cache-Control: max-age=60, No-StOrE", NO(NO_STORE)},
    {&usual, "GET", 200, "Cache-Control: max-age=60|Cache-Control: no-store", NO(NO_STORE)},
    {&forced, "GET", 200, "Cache-Control: no-store", NO(NO_STORE)},
    /* 5.2.2.7 private */
    {&usual, "GET", 200, "Cache-Control: private, max-age=60", NO(PRIVATE)},
    {&forced, "GET", 200, "Cache-Control: private", NO(PRIVATE)},
    {&usual, "GET", 200, "Cache-Control: private=\"X\", max-age=60", STORE},
    /* 3.5 */
    {&usual, "GET|Authorization: x", 200, FRESH_CC, NO(AUTHORIZED)},
    {&usual, "GET|Authorization: x", 200, "Expires: @60|Date: @0", NO(AUTHORIZED)},
    {&usual, "GET|Authorization: x", 200, FRESH_CC ", public", STORE},
    {&usual, "GET|Authorization: x", 200, FRESH_CC ", must-revalidate", STORE},
    {&usual, "GET|Authorization: x", 200, "Cache-Control: s-maxage=60", STORE},
    {&timed, "GET|Authorization: x", 200, "", NO(AUTHORIZED)},
    {&sharing, "GET|Authorization: x", 200, FRESH_CC, STORE},
    {&sharing, "GET|Authorization: x", 200, "Cache-Control: private", NO(PRIVATE)},
    /* 4.1 */
    {&usual, "GET", 200, FRESH_CC "|Vary: *", NO(VARY)},
    {&usual, "GET", 200, FRESH_CC "|Vary: Foo", STORE},
    /* Set-Cookie (7.3) */
    {&usual, "GET", 200, FRESH_CC "|Set-Cookie: a=b", STORE},
    {&usual, "GET", 200, "Expires: @60|Set-Cookie: a=b", STORE},
    {&usual, "GET", 200, "Last-Modified: @-9000|Set-Cookie: a=b", NO(COOKIE)},
    {&usual, "GET", 200, "Last-Modified: @-9000|Cache-Control: public|Set-Cookie: a=b", STORE},
    {&timed, "GET", 200, "Set-Cookie: a=b", NO(COOKIE)},
    {&timed, "GET", 200, "Cache-Control: no-cache=\"set-cookie\"|Set-Cookie: a=b", STORE},
    {&forced, "GET", 200, "Set-Cookie: a=b", NO(COOKIE)},
    {&strict, "GET", 200, FRESH_CC "|Set-Cookie: a=b", NO(COOKIE)},
    {&strict, "GET", 200, FRESH_CC ", public|Set-Cookie: a=b", STORE},
    {&strict, "GET", 200, "Cache-Control: s-maxage=5|Set-Cookie: a=b", STORE},
    /* 3: something says for how long, or it can be validated and is meant to be */
    {&usual, "GET", 200, "", NO(LIFETIME)},
    {&usual, "GET", 200, "ETag: \"a\"", NO(LIFETIME)},
    {&usual, "GET", 200, "Cache-Control: no-cache|ETag: \"a\"", STORE},
    {&usual, "GET", 200, "Cache-Control: no-cache", NO(LIFETIME)},
    {&usual, "GET", 200, "Cache-Control: max-age=60, no-cache", NO(LIFETIME)},
    {&usual, "GET", 200, "Cache-Control: max-age=0", NO(LIFETIME)},
    {&usual, "GET", 200, "Cache-Control: max-age=0|Last-Modified: @-9000", STORE},
    {&usual, "GET", 200, "Cache-Control: max-age=0, stale-while-revalidate=9", STORE},
    {&usual, "GET", 200, "Cache-Control: max-age=60|Age: 60", NO(LIFETIME)},
    {&usual, "GET", 200, "Expires: 0", NO(LIFETIME)},
    {&no_guess, "GET", 200, "Last-Modified: @-9000", NO(LIFETIME)},
    /* 4.2.2: which statuses may be guessed at */
    {&usual, "GET", 200, "Last-Modified: @-9000", STORE},
    {&usual, "GET", 204, "Last-Modified: @-9000", STORE},
    {&usual, "GET", 404, "Last-Modified: @-9000", STORE},
    {&usual, "GET", 501, "Last-Modified: @-9000", STORE},
    {&usual, "GET", 201, "Last-Modified: @-9000", NO(LIFETIME)},
    {&usual, "GET", 403, "Last-Modified: @-9000", NO(LIFETIME)},
    {&usual, "GET", 503, "Last-Modified: @-9000", NO(LIFETIME)},
    {&usual, "GET", 599, "Last-Modified: @-9000", NO(LIFETIME)},
    {&usual, "GET", 599, "Last-Modified: @-9000|Cache-Control: public", STORE},
    /* The operator's times */
    {&timed, "GET", 200, "", STORE},
    {&timed, "GET", 404, "", NO(LIFETIME)},
    {&by_status, "GET", 404, "", STORE},
    {&by_status, "GET", 201, "", NO(LIFETIME)},
    {&by_status, "GET", 503, "", NO(LIFETIME)},
    {&by_status, "GET", 503, FRESH_CC, STORE},
    {&forced, "GET", 503, FRESH_CC, NO(LIFETIME)},
    /* RFC 9213 */
    {&usual, "GET", 200, "Cache-Control: no-store|CDN-Cache-Control: max-age=60", STORE},
    {&usual, "GET", 200, FRESH_CC "|CDN-Cache-Control: no-store", NO(NO_STORE)},
    {&usual, "GET", 200, FRESH_CC "|CDN-Cache-Control: private", NO(PRIVATE)},
    {&usual, "GET", 200, "Expires: @60|CDN-Cache-Control: foo", NO(LIFETIME)},
    {&usual, "GET", 200, "Cache-Control: no-store|CDN-Cache-Control: max-age=60, &&", NO(NO_STORE)},
};

static void test_storing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof storing / sizeof storing[0]; i++) {
        struct mg_cache_answer answer;
        enum mg_cache_storing got = judge(storing[i].settings, storing[i].request,
                                          storing[i].status, storing[i].response, &answer);
        if (got != storing[i].want)
            fail_msg("%s / %u %s: got '%.*s', want '%.*s'", storing[i].request, storing[i].status,
                     storing[i].response, MG_STR_ARGS(mg_cache_storing_name(got)),
                     MG_STR_ARGS(mg_cache_storing_name(storing[i].want)));
    }
}

/* RFC 9110 9.3.3 */
static void test_post(void **state)
{
    (void)state;
    struct mg_cache_request r;
    struct mg_cache_answer answer;
    struct mg_message m;
    fill_request(&timed, "POST", &r);
    assert_false(r.may_look);
    assert_int_equal(r.why_not, MG_CACHE_METHOD);
    fill(&m, FRESH_CC);
    m.status = 200;
    assert_int_equal(mg_cache_judge_response(&timed, &r, &m, NOW, NOW, &arena, &answer),
                     NO(METHOD));
}

/* ---- lifetimes and ages ---- */

static const struct {
    const struct mg_cache_settings *settings;
    unsigned status;
    const char *response;
    uint32_t lifetime, age; /* the response took one second */
} numbers[] = {
    /* 4.2.1 */
    {&usual, 200, "Cache-Control: max-age=60", 60, 1},
    {&usual, 200, "Cache-Control: max-age=60, s-maxage=90", 90, 1},
    {&usual, 200, "Cache-Control: s-maxage=30|Cache-Control: max-age=60", 30, 1},
    {&usual, 200, "Cache-Control: max-age=60|Expires: @-7200|Date: @0", 60, 1},
    {&usual, 200, "Cache-Control: max-age=60|Expires: 0", 60, 1},
    {&usual, 200, "Cache-Control: max-age=99999999999", MG_CACHE_SECONDS_MAX, 1},
    {&usual, 200, "Expires: @60|Date: @0", 60, 1},
    {&usual, 200, "Expires: @60", 60, 1},
    {&usual, 200, "Expires: @60|Date: foo", 60, 1},
    {&usual, 200, "Expires: @60|Expires: @30|Date: @0", 30, 1},
    {&usual, 200, "Expires: @20|Date: @10", 10, 1},
    {&usual, 200, "Expires: @10|Date: @-10", 20, 10},
    {&usual, 200, "Expires: Sun, 21 Nov 2286 04:46:39 GMT", MG_CACHE_SECONDS_MAX, 1},
    {&usual, 200, "CDN-Cache-Control: max-age=60|Cache-Control: max-age=1|Expires: @2", 60, 1},
    /* 4.2.2 */
    {&usual, 200, "Last-Modified: @-1000|Date: @0", 100, 1},
    {&usual, 200, "Last-Modified: @-1000", 100, 1},
    {&usual, 200, "Last-Modified: @-1000|Date: @-500", 50, 500},
    {&usual, 200, "Last-Modified: @-9000000", 86400, 1},
    {&usual, 200, "ETag: \"a\"|Cache-Control: public|Last-Modified: @500", 0, 1},
    /* The operator's */
    {&timed, 200, "Last-Modified: @-1000", 300, 1},
    {&timed, 200, "Cache-Control: max-age=7", 7, 1},
    {&by_status, 404, "", 10, 1},
    {&forced, 200, "Cache-Control: max-age=7", 60, 1},
    /* 4.2.3, 5.1 */
    {&usual, 200, "Cache-Control: max-age=60|Age: 30", 60, 31},
    {&usual, 200, "Cache-Control: max-age=60|Age: 30, 0", 60, 31},
    {&usual, 200, "Cache-Control: max-age=60|Age: 0|Age: 30", 60, 1},
    {&usual, 200, "Cache-Control: max-age=60|Age: abc", 60, 1},
    {&usual, 200, "Cache-Control: max-age=60|Age: -30", 60, 1},
    {&usual, 200, "Cache-Control: max-age=60|Age: 30.0", 60, 1},
    {&usual, 200, "Cache-Control: max-age=60|Age: 30;a=b", 60, 1},
    {&usual, 200, "Cache-Control: max-age=60|Date: @-20", 60, 20},
    {&usual, 200, "Cache-Control: max-age=60|Date: @-20|Age: 25", 60, 26},
    {&usual, 200, "Cache-Control: max-age=60|Date: @500", 60, 1},
    {&usual, 200, "ETag: \"a\"|Cache-Control: max-age=60|Age: 2147483649", 60,
     MG_CACHE_SECONDS_MAX},
};

static void test_numbers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct mg_cache_answer a;
        enum mg_cache_storing got =
            judge(numbers[i].settings, "GET", numbers[i].status, numbers[i].response, &a);
        if (got != STORE)
            fail_msg("%s: not kept: %.*s", numbers[i].response,
                     MG_STR_ARGS(mg_cache_storing_name(got)));
        if (a.record.lifetime != numbers[i].lifetime || a.record.initial_age != numbers[i].age)
            fail_msg("%s: lifetime %u, age %u", numbers[i].response, a.record.lifetime,
                     a.record.initial_age);
    }
}

/* ---- using ---- */

#define SERVE MG_CACHE_FRESH
#define STALE_OK MG_CACHE_STALE_ALLOWED
#define SWR MG_CACHE_STALE_REVALIDATE
#define VALIDATE MG_CACHE_VALIDATE
#define GONE MG_CACHE_UNAVAILABLE
#define MUST_REVALIDATE "Cache-Control: max-age=10, must-revalidate, "

static const struct {
    const struct mg_cache_settings *settings;
    const char *response;
    int after; /* seconds */
    const char *request;
    enum mg_cache_verdict want;
    enum mg_cache_forward forward;
    bool covers_error;
} using[] = {
    /* 4.2: fresh while the lifetime is greater than the age, which begins with 1 here */
    {&usual, "Cache-Control: max-age=10", 0, "GET", SERVE, MG_CACHE_HIT, true},
    {&usual, "Cache-Control: max-age=10", 8, "GET", SERVE, MG_CACHE_HIT, true},
    {&usual, "Cache-Control: max-age=10", 9, "GET", VALIDATE, MG_CACHE_STALE, false},
    {&usual, "Cache-Control: max-age=10, immutable", 9, "GET", VALIDATE, MG_CACHE_STALE, false},
    {&usual, "Cache-Control: max-age=10", 8, "HEAD", SERVE, MG_CACHE_HIT, true},
    {&usual, "Cache-Control: max-age=10", -90, "GET", SERVE, MG_CACHE_HIT, true},
    /* 5.2.2.4 */
    {&usual, "Cache-Control: max-age=60, no-cache|ETag: \"a\"", 0, "GET", VALIDATE, MG_CACHE_STALE,
     false},
    {&usual, "Cache-Control: max-age=60, no-cache=\"x\"", 0, "GET", SERVE, MG_CACHE_HIT, true},
    /* 5.2.1: requests */
    {&usual, "Cache-Control: max-age=60", 0, "GET|Cache-Control: no-cache", VALIDATE,
     MG_CACHE_REQUEST, true},
    {&deaf, "Cache-Control: max-age=60", 0, "GET|Cache-Control: no-cache", SERVE, MG_CACHE_HIT,
     true},
    {&usual, "Cache-Control: max-age=60", 0, "GET|Pragma: no-cache", SERVE, MG_CACHE_HIT, true},
    {&usual, "Cache-Control: max-age=60", 0, "GET|Cache-Control: max-age=0", VALIDATE,
     MG_CACHE_REQUEST, true},
    {&usual, "Cache-Control: max-age=60", 4, "GET|Cache-Control: max-age=5", SERVE, MG_CACHE_HIT,
     true},
    {&usual, "Cache-Control: max-age=60", 5, "GET|Cache-Control: max-age=5", VALIDATE,
     MG_CACHE_REQUEST, true},
    {&usual, "Cache-Control: max-age=60", 0, "GET|Cache-Control: min-fresh=59", SERVE, MG_CACHE_HIT,
     true},
    {&usual, "Cache-Control: max-age=60", 0, "GET|Cache-Control: min-fresh=60", VALIDATE,
     MG_CACHE_REQUEST, true},
    {&usual, "Cache-Control: max-age=60", 0, "GET|Cache-Control: no-store", SERVE, MG_CACHE_HIT,
     true},
    {&usual, "Cache-Control: max-age=10", 19, "GET|Cache-Control: max-stale=10", STALE_OK,
     MG_CACHE_HIT, false},
    {&usual, "Cache-Control: max-age=10", 20, "GET|Cache-Control: max-stale=10", VALIDATE,
     MG_CACHE_STALE, false},
    {&usual, "Cache-Control: max-age=10", 9999, "GET|Cache-Control: max-stale", STALE_OK,
     MG_CACHE_HIT, false},
    {&usual, "Cache-Control: max-age=10", 19, "GET|Cache-Control: max-stale=10, max-age=5",
     VALIDATE, MG_CACHE_REQUEST, false},
    {&usual, MUST_REVALIDATE, 19, "GET|Cache-Control: max-stale", VALIDATE, MG_CACHE_STALE, false},
    {&usual, "Cache-Control: max-age=10, proxy-revalidate", 19, "GET|Cache-Control: max-stale",
     VALIDATE, MG_CACHE_STALE, false},
    {&usual, "Cache-Control: s-maxage=10", 19, "GET|Cache-Control: max-stale", VALIDATE,
     MG_CACHE_STALE, false},
    {&usual, "Cache-Control: max-age=10", 8, "GET|Cache-Control: only-if-cached", SERVE,
     MG_CACHE_HIT, true},
    {&usual, "Cache-Control: max-age=10", 9, "GET|Cache-Control: only-if-cached", GONE,
     MG_CACHE_STALE, false},
    {&usual, "Cache-Control: max-age=10", 9, "GET|Cache-Control: only-if-cached, max-stale",
     STALE_OK, MG_CACHE_HIT, false},
    {&usual, "Cache-Control: max-age=10", 0, "GET|Cache-Control: only-if-cached, no-cache", GONE,
     MG_CACHE_REQUEST, true},
    /* RFC 5861 3 */
    {&usual, "Cache-Control: max-age=10, stale-while-revalidate=5", 13, "GET", SWR, MG_CACHE_HIT,
     false},
    {&usual, "Cache-Control: max-age=10, stale-while-revalidate=5", 14, "GET", VALIDATE,
     MG_CACHE_STALE, false},
    {&usual, "Cache-Control: s-maxage=10, stale-while-revalidate=5", 13, "GET", SWR, MG_CACHE_HIT,
     false},
    {&usual, MUST_REVALIDATE "stale-while-revalidate=5", 13, "GET", VALIDATE, MG_CACHE_STALE,
     false},
    {&usual, "Cache-Control: max-age=10, stale-while-revalidate=5", 13,
     "GET|Cache-Control: max-age=3", VALIDATE, MG_CACHE_REQUEST, false},
    {&windows, "Cache-Control: max-age=10", 38, "GET", SWR, MG_CACHE_HIT, true},
    {&windows, "Cache-Control: max-age=10", 39, "GET", VALIDATE, MG_CACHE_STALE, true},
    {&windows, "Cache-Control: max-age=10, stale-while-revalidate=0", 9, "GET", VALIDATE,
     MG_CACHE_STALE, true},
    {&windows, "Cache-Control: s-maxage=10", 9, "GET", VALIDATE, MG_CACHE_STALE, false},
    {&windows, MUST_REVALIDATE, 9, "GET", VALIDATE, MG_CACHE_STALE, false},
    /* RFC 5861 4 */
    {&usual, "Cache-Control: max-age=10, stale-if-error=60", 68, "GET", VALIDATE, MG_CACHE_STALE,
     true},
    {&usual, "Cache-Control: max-age=10, stale-if-error=60", 69, "GET", VALIDATE, MG_CACHE_STALE,
     false},
    {&usual, "Cache-Control: max-age=10", 50, "GET|Cache-Control: stale-if-error=60", VALIDATE,
     MG_CACHE_STALE, true},
    {&usual, MUST_REVALIDATE, 50, "GET|Cache-Control: stale-if-error=60", VALIDATE, MG_CACHE_STALE,
     false},
    {&usual, "Cache-Control: max-age=10, no-cache, stale-if-error=60|ETag: \"a\"", 0, "GET",
     VALIDATE, MG_CACHE_STALE, false},
};

static void test_using(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof using / sizeof using[0]; i++) {
        struct mg_cache_answer a;
        struct mg_cache_request r;
        struct mg_cache_decision d;
        assert_int_equal(judge(using[i].settings, "GET", 200, using[i].response, &a), STORE);
        fill_request(using[i].settings, using[i].request, &r);
        assert_true(r.may_look);
        mg_cache_judge_stored(&a.record, &r, NOW + using[i].after, &d);
        if (d.verdict != using[i].want || d.forward != using[i].forward ||
            d.stale_if_error != using[i].covers_error)
            fail_msg("%s / %s after %d: verdict %d, forward '%.*s', covers %d", using[i].response,
                     using[i].request, using[i].after, (int)d.verdict,
                     MG_STR_ARGS(mg_cache_forward_name(d.forward)), d.stale_if_error);
        assert_int_equal(d.ttl, (int64_t)a.record.lifetime - d.age);
    }
}

/* ---- requests ---- */

static const struct {
    const char *request;
    bool look, store;
    enum mg_cache_forward why_not;
} requests[] = {
    {"GET", true, true, MG_CACHE_BYPASS},
    {"HEAD", true, false, MG_CACHE_BYPASS},
    {"GET|Range: bytes=0-1", true, true, MG_CACHE_BYPASS},
    {"GET|If-None-Match: \"a\"", true, true, MG_CACHE_BYPASS},
    {"GET|If-Unmodified-Since: x", false, false, MG_CACHE_BYPASS},
    {"GET+", false, false, MG_CACHE_BYPASS},
    {"POST+", false, false, MG_CACHE_METHOD},
    {"DELETE", false, false, MG_CACHE_METHOD},
    {"OPTIONS", false, false, MG_CACHE_METHOD},
    {"get", false, false, MG_CACHE_METHOD},
};

static void test_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct mg_cache_request r;
        fill_request(&usual, requests[i].request, &r);
        if (r.may_look != requests[i].look || r.may_store != requests[i].store ||
            r.why_not != requests[i].why_not)
            fail_msg("%s: look %d, store %d", requests[i].request, r.may_look, r.may_store);
    }
}

static void test_part_asked(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        bool any;
    } cases[] = {
        {"GET|Range: bytes=0-1", true},
        {"GET|Range: bytes=-5", true},
        {"GET", false},
        {"HEAD|Range: bytes=0-1", false},
        {"POST|Range: bytes=0-1", false},
        {"GET|Range: bytes=0-1, 4-5", false},
        {"GET|Range: bytes=0-1|Range: bytes=0-1", false},
        {"GET|Range: bytes=1-0", false},
        {"GET|Range: lines=0-1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mg_cache_request r;
        fill_request(&usual, cases[i].request, &r);
        if (r.part.any != cases[i].any)
            fail_msg("%s: %d", cases[i].request, r.part.any);
    }
}

/* A request's max-age=0 is a wish for validation, even of what came this second. */
static void test_zero_age(void **state)
{
    (void)state;
    struct mg_cache_record e = {.stored_at = NOW, .lifetime = 60};
    struct mg_cache_request r;
    struct mg_cache_decision d;
    fill_request(&usual, "GET|Cache-Control: max-age=0", &r);
    mg_cache_judge_stored(&e, &r, NOW, &d);
    assert_int_equal(d.verdict, VALIDATE);
    assert_int_equal(d.forward, MG_CACHE_REQUEST);
    fill_request(&usual, "GET|Cache-Control: max-age=1", &r);
    mg_cache_judge_stored(&e, &r, NOW, &d);
    assert_int_equal(d.verdict, SERVE);
}

/* A model that knows nothing of the code's cases: max-age alone, at random. */
static void test_model(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252;
    for (int i = 0; i < 20000; i++) {
        uint32_t v[5];
        for (int k = 0; k < 5; k++) {
            seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
            v[k] = (uint32_t)(seed >> 20) % 40;
        }
        struct mg_cache_record e = {.stored_at = NOW,
                                    .initial_age = v[0],
                                    .lifetime = v[1],
                                    .stale_while_revalidate = v[2],
                                    .stale_if_error = v[3]};
        struct mg_cache_request r = {.may_look = true};
        struct mg_cache_decision d;
        mg_cache_judge_stored(&e, &r, NOW + v[4], &d);
        uint32_t age = v[0] + v[4];
        int want = age < v[1] ? SERVE : age < v[1] + v[2] ? SWR : VALIDATE;
        assert_int_equal(d.verdict, want);
        assert_int_equal(d.age, age);
        assert_int_equal(d.stale_if_error, age < v[1] || age < v[1] + v[3]);
        /* What a store may forget is of no more use, and what it must keep is. */
        bool useful = d.verdict != VALIDATE || d.stale_if_error;
        assert_int_equal(useful, v[4] < mg_cache_useful_for(&e));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_storing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_post, setup, teardown),
        cmocka_unit_test_setup_teardown(test_numbers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_using, setup, teardown),
        cmocka_unit_test_setup_teardown(test_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(test_part_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_zero_age, setup, teardown),
        cmocka_unit_test_setup_teardown(test_model, setup, teardown),
    };
    return cmocka_run_group_tests_name("http/cache_rules", tests, NULL, NULL);
}
