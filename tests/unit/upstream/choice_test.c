/* Who is chosen: by load, latency, key and session; health, pools, panic and slow start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "upstream/picker.h"

#define MAX 12
#define SECOND UINT64_C(1000000000)

struct scene {
    struct mg_service *service;
    struct mg_picker picker;
    struct mg_backend *b[MAX]; /* in the order of the configuration */
    size_t count;
    uint64_t now_ns;
};

static const struct mg_service_config plain = {.name = MG_STR("s"), .panic_percent = 50};

/* Names a backend of the form "weight" or "weight:priority" or "weight:priority:zone". */
static struct mg_backend_config backend_of(const char *text, char address[32], size_t i)
{
    unsigned weight = 1, priority = 0;
    static char zones[MAX][16];
    zones[i][0] = 0;
    sscanf(text, "%u:%u:%15s", &weight, &priority, zones[i]);
    snprintf(address, 32, "10.0.0.%zu:80", i);
    return (struct mg_backend_config){.address = mg_str_c(address),
                                      .weight = weight,
                                      .zone = mg_str_c(zones[i]),
                                      .priority = (uint8_t)priority};
}

static void find_backends(struct scene *s)
{
    uint64_t version;
    struct mg_members *m = mg_service_members(s->service, &version);
    for (uint32_t i = 0; i < m->count; i++)
        s->b[m->v[i].backend->addr.bytes[3]] = m->v[i].backend;
    mg_members_unref(m);
}

static void begin(struct scene *s, const struct mg_service_config *like,
                  const char *const *backends)
{
    struct mg_service_config config = *like;
    struct mg_backend_config v[MAX];
    char addresses[MAX][32];
    *s = (struct scene){.now_ns = 100 * SECOND};
    for (; backends[s->count]; s->count++)
        v[s->count] = backend_of(backends[s->count], addresses[s->count], s->count);
    config.backends = v;
    config.backend_count = s->count;
    s->service = mg_service_new(&config, NULL);
    assert_non_null(s->service);
    mg_picker_init(&s->picker, s->service, 42);
    find_backends(s);
}

static void end(struct scene *s)
{
    mg_picker_release(&s->picker);
    mg_service_unref(s->service);
}

static int place(const struct mg_backend *b)
{
    return b ? b->addr.bytes[3] : -1;
}

static struct mg_backend *pick(struct scene *s)
{
    const struct mg_pick p = {.now_ns = s->now_ns};
    return mg_picker_next(&s->picker, &p);
}

static struct mg_backend *pick_by(struct scene *s, unsigned key)
{
    char text[24];
    struct mg_pick p = {.now_ns = s->now_ns};
    p.key = mg_str(text, (size_t)snprintf(text, sizeof text, "user-%u", key));
    return mg_picker_next(&s->picker, &p);
}

/* Share of each in so many picks, in percent. */
static void shares(struct scene *s, unsigned picks, unsigned out[MAX])
{
    unsigned seen[MAX] = {0};
    for (unsigned i = 0; i < picks; i++) {
        struct mg_backend *b = pick(s);
        assert_non_null(b);
        seen[place(b)]++;
    }
    for (size_t i = 0; i < MAX; i++)
        out[i] = (seen[i] * 100 + picks / 2) / picks;
}

static void assert_shares(struct scene *s, const unsigned want[MAX], unsigned tolerance)
{
    unsigned got[MAX];
    shares(s, 6000, got);
    for (size_t i = 0; i < MAX; i++)
        assert_in_range(got[i] + tolerance, want[i], want[i] + 2 * tolerance);
}

static void set_down(struct scene *s, size_t i, bool down)
{
    atomic_store(&s->b[i]->health.down, down);
}

static void set_load(struct scene *s, size_t i, unsigned in_flight)
{
    atomic_store(&s->b[i]->in_flight, in_flight);
}

static const enum mg_balance all_ways[] = {MG_BALANCE_ROUND_ROBIN,    MG_BALANCE_RANDOM,
                                           MG_BALANCE_LEAST_REQUESTS, MG_BALANCE_TWO_CHOICES,
                                           MG_BALANCE_LATENCY,        MG_BALANCE_HASH};
#define WAYS (sizeof all_ways / sizeof all_ways[0])

/* --- health --- */

static void the_unusable_are_left_out(void **state)
{
    (void)state;
    for (size_t way = 0; way < WAYS; way++) {
        struct mg_service_config config = plain;
        struct scene s;
        config.balance = all_ways[way];
        begin(&s, &config, (const char *[]){"1", "1", "1", "1", NULL});
        set_down(&s, 1, true);
        atomic_store(&s.b[2]->health.ejected_until_ns, s.now_ns + SECOND);
        assert_shares(&s, (unsigned[MAX]){50, 0, 0, 50}, 3);
        for (unsigned key = 0; key < 100; key++)
            assert_int_not_equal(place(pick_by(&s, key)), 1);
        s.now_ns += SECOND; /* the ejection is over */
        assert_shares(&s, (unsigned[MAX]){33, 0, 33, 33}, 3);
        set_down(&s, 1, false);
        assert_shares(&s, (unsigned[MAX]){25, 25, 25, 25}, 3);
        end(&s);
    }
}

/* It is no neighbour who gets all that another one cannot take. */
static void turns_of_the_unusable_go_to_all(void **state)
{
    struct scene s;
    (void)state;
    begin(&s, &plain, (const char *[]){"1", "1", "1", "1", "1", NULL});
    set_down(&s, 2, true);
    assert_shares(&s, (unsigned[MAX]){25, 25, 0, 25, 25}, 1);
    end(&s);
}

static void panic_uses_all_again(void **state)
{
    struct scene s;
    (void)state;
    begin(&s, &plain, (const char *[]){"1", "1", "1", NULL});
    set_down(&s, 0, true);
    assert_shares(&s, (unsigned[MAX]){0, 50, 50}, 2);
    set_down(&s, 1, true); /* a third is less than half */
    s.now_ns++;
    assert_shares(&s, (unsigned[MAX]){33, 33, 33}, 2);
    set_down(&s, 2, true);
    s.now_ns++;
    assert_shares(&s, (unsigned[MAX]){33, 33, 33}, 2);
    set_down(&s, 0, false);
    set_down(&s, 1, false);
    s.now_ns++;
    assert_shares(&s, (unsigned[MAX]){50, 50, 0}, 2);
    end(&s);
}

static void without_panic_nobody_is_left(void **state)
{
    struct mg_service_config config = plain;
    struct scene s;
    (void)state;
    config.panic_percent = 0;
    begin(&s, &config, (const char *[]){"1", "1", "1", NULL});
    set_down(&s, 0, true);
    set_down(&s, 1, true);
    assert_shares(&s, (unsigned[MAX]){0, 0, 100}, 0);
    set_down(&s, 2, true);
    assert_null(pick(&s));
    set_down(&s, 2, false);
    assert_int_equal(place(pick(&s)), 2); /* at the same time even */
    end(&s);
}

/* --- priorities and zones --- */

static void the_next_priority_is_for_when_the_first_is_down(void **state)
{
    struct scene s;
    (void)state;
    begin(&s, &plain, (const char *[]){"1:1", "1:0", "1:0", "1:2", NULL});
    assert_shares(&s, (unsigned[MAX]){0, 50, 50, 0}, 1);
    set_down(&s, 1, true);
    assert_shares(&s, (unsigned[MAX]){0, 0, 100, 0}, 0);
    set_down(&s, 2, true);
    s.now_ns++;
    assert_shares(&s, (unsigned[MAX]){100, 0, 0, 0}, 0);
    set_down(&s, 0, true);
    s.now_ns++;
    assert_shares(&s, (unsigned[MAX]){0, 0, 0, 100}, 0);
    set_down(&s, 1, false);
    s.now_ns++;
    assert_shares(&s, (unsigned[MAX]){0, 100, 0, 0}, 0);
    end(&s);
}

/* When no priority is up, the one that lost the least carries on. */
static void panic_is_where_most_are_left(void **state)
{
    struct scene s;
    (void)state;
    begin(&s, &plain, (const char *[]){"1:0", "1:0", "1:1", "1:1", "1:1", NULL});
    for (size_t i = 0; i < 4; i++)
        set_down(&s, i, true);
    assert_shares(&s, (unsigned[MAX]){0, 0, 33, 33, 33}, 2);
    set_down(&s, 4, true);
    s.now_ns++;
    assert_shares(&s, (unsigned[MAX]){50, 50, 0, 0, 0}, 2);
    end(&s);
}

static void a_retry_may_leave_its_priority(void **state)
{
    struct scene s;
    struct mg_backend *tried[2];
    struct mg_pick p = {.tried = tried};
    (void)state;
    begin(&s, &plain, (const char *[]){"1:0", "1:1", NULL});
    p.now_ns = s.now_ns;
    for (; p.tried_count < 2; p.tried_count++) {
        tried[p.tried_count] = mg_picker_next(&s.picker, &p);
        assert_int_equal(place(tried[p.tried_count]), p.tried_count);
    }
    assert_null(mg_picker_next(&s.picker, &p));
    end(&s);
}

/* To those that are usable first, then to whoever is left. */
static void a_retry_in_a_panic_may_go_everywhere(void **state)
{
    struct scene s;
    struct mg_backend *tried[6];
    struct mg_pick p = {.tried = tried};
    (void)state;
    begin(&s, &plain,
          (const char *[]){"1:0", "1:1", "1:1", "1:1", "1:2", "1:2", "1:2", "1:2", NULL});
    for (size_t i = 0; i < 7; i++)
        set_down(&s, i, i != 3);
    p.now_ns = s.now_ns;
    for (; p.tried_count < 6; p.tried_count++) {
        static const int first[] = {1, 1, 1, 7, 0, 4}, last[] = {3, 3, 3, 7, 0, 6};
        tried[p.tried_count] = mg_picker_next(&s.picker, &p);
        assert_in_range(place(tried[p.tried_count]), first[p.tried_count], last[p.tried_count]);
    }
    end(&s);
}

static void ones_own_zone_comes_first(void **state)
{
    struct mg_service_config config = plain;
    struct scene s;
    (void)state;
    config.zone = MG_STR("eu");
    begin(&s, &config, (const char *[]){"1:0:us", "1:0:eu", "1:1:eu", "1", NULL});
    assert_shares(&s, (unsigned[MAX]){0, 100, 0, 0}, 0);
    set_down(&s, 1, true);
    assert_shares(&s, (unsigned[MAX]){50, 0, 0, 50}, 2);
    set_down(&s, 0, true);
    set_down(&s, 3, true);
    s.now_ns++;
    assert_shares(&s, (unsigned[MAX]){0, 0, 100, 0}, 0);
    end(&s);
}

static void a_required_zone_is_never_left(void **state)
{
    struct mg_service_config config = plain;
    struct scene s;
    struct mg_backend *tried[1];
    (void)state;
    config.zone = MG_STR("eu");
    config.require_zone = true;
    begin(&s, &config, (const char *[]){"1:0:us", "1:0:eu", "1", NULL});
    assert_shares(&s, (unsigned[MAX]){0, 100, 0}, 0);
    set_down(&s, 1, true);
    s.now_ns++;
    assert_shares(&s, (unsigned[MAX]){0, 100, 0}, 0); /* panic, within the zone */
    tried[0] = s.b[1];
    assert_null(mg_picker_next(&s.picker, &(struct mg_pick){.tried = tried, .tried_count = 1}));
    end(&s);
}

/* --- load --- */

static void the_least_loaded_for_its_weight_is_next(void **state)
{
    struct mg_service_config config = plain;
    struct scene s;
    (void)state;
    config.balance = MG_BALANCE_LEAST_REQUESTS;
    begin(&s, &config, (const char *[]){"1", "4", "1", NULL});
    assert_shares(&s, (unsigned[MAX]){17, 67, 17}, 2); /* idle: by weight */
    set_load(&s, 0, 2);
    set_load(&s, 1, 7);
    set_load(&s, 2, 3);
    assert_shares(&s, (unsigned[MAX]){0, 100, 0}, 0); /* 7/4 < 2 */
    set_load(&s, 1, 9);
    assert_shares(&s, (unsigned[MAX]){100, 0, 0}, 0);
    set_load(&s, 1, 8);
    assert_shares(&s, (unsigned[MAX]){20, 80, 0}, 2);
    end(&s);
}

static void of_two_the_less_loaded_is_taken(void **state)
{
    struct mg_service_config config = plain;
    struct scene s;
    (void)state;
    config.balance = MG_BALANCE_TWO_CHOICES;
    begin(&s, &config, (const char *[]){"1", "1", "1", "1", NULL});
    assert_shares(&s, (unsigned[MAX]){25, 25, 25, 25}, 2);
    set_load(&s, 0, 3);
    set_load(&s, 1, 2);
    set_load(&s, 2, 1);
    /* Of the six pairs the busiest wins none, the next one, two, three. */
    assert_shares(&s, (unsigned[MAX]){0, 17, 33, 50}, 2);
    end(&s);
}

static void requests_even_out_under_load(void **state)
{
    static const enum mg_balance ways[] = {MG_BALANCE_LEAST_REQUESTS, MG_BALANCE_TWO_CHOICES};
    (void)state;
    for (size_t way = 0; way < 2; way++) {
        struct mg_service_config config = plain;
        struct scene s;
        config.balance = ways[way];
        begin(&s, &config, (const char *[]){"1", "2", "1", NULL});
        for (int i = 0; i < 4000; i++)
            atomic_fetch_add(&pick(&s)->in_flight, 1);
        assert_in_range(atomic_load(&s.b[0]->in_flight), 950, 1050);
        assert_in_range(atomic_load(&s.b[1]->in_flight), 1950, 2050);
        end(&s);
    }
}

/* --- latency --- */

static void the_quicker_gets_more(void **state)
{
    struct mg_service_config config = plain;
    struct scene s;
    unsigned got[MAX];
    (void)state;
    config.balance = MG_BALANCE_LATENCY;
    begin(&s, &config, (const char *[]){"1", "1", "1", NULL});
    mg_backend_saw_latency(s.b[0], SECOND / 10, s.now_ns);
    mg_backend_saw_latency(s.b[1], SECOND / 100, s.now_ns);
    mg_backend_saw_latency(s.b[2], SECOND / 50, s.now_ns);
    shares(&s, 6000, got);
    assert_int_equal(got[0], 0);
    assert_in_range(got[1], 64, 69); /* of three pairs, two */
    set_load(&s, 1, 19);             /* twenty times 10 ms are more than 100 ms */
    shares(&s, 6000, got);
    assert_int_equal(got[1], 0);
    end(&s);
}

static void latency_follows_peaks_and_fades(void **state)
{
    struct scene s;
    (void)state;
    begin(&s, &plain, (const char *[]){"1", NULL});
    struct mg_backend *b = s.b[0];
    assert_int_equal(mg_backend_latency(b, s.now_ns), 0);
    mg_backend_saw_latency(b, SECOND / 100, s.now_ns);
    mg_backend_saw_latency(b, SECOND, s.now_ns + 1);
    assert_in_range(mg_backend_latency(b, s.now_ns + 1), SECOND - 10, SECOND + 10);
    mg_backend_saw_latency(b, SECOND / 100, s.now_ns + SECOND / 10);
    assert_in_range(mg_backend_latency(b, s.now_ns + SECOND / 10), SECOND * 97 / 100, SECOND);
    assert_in_range(mg_backend_latency(b, s.now_ns + 10 * SECOND), SECOND / 3, SECOND / 2);
    assert_in_range(mg_backend_latency(b, s.now_ns + 200 * SECOND), 0, 1000);
    end(&s);
}

/* Who has no latency yet is asked once, and no more until it has answered. */
static void the_unknown_gets_one_request(void **state)
{
    struct mg_service_config config = plain;
    struct scene s;
    (void)state;
    config.balance = MG_BALANCE_LATENCY;
    begin(&s, &config, (const char *[]){"1", "1", NULL});
    mg_backend_saw_latency(s.b[0], SECOND, s.now_ns);
    assert_int_equal(place(pick(&s)), 1);
    set_load(&s, 1, 1);
    assert_shares(&s, (unsigned[MAX]){100, 0}, 0);
    end(&s);
}

/* --- keys --- */

static void a_key_stays_where_it_is(void **state)
{
    struct mg_service_config config = plain;
    struct scene s;
    (void)state;
    config.balance = MG_BALANCE_HASH;
    begin(&s, &config, (const char *[]){"1", "1", "1", "1", "1", NULL});
    for (unsigned key = 0; key < 200; key++) {
        struct mg_backend *owner = pick_by(&s, key);
        assert_ptr_equal(pick_by(&s, key), owner);
        set_down(&s, (size_t)place(owner), true);
        struct mg_backend *other = pick_by(&s, key);
        assert_ptr_not_equal(other, owner);
        assert_ptr_equal(pick_by(&s, key), other);
        set_down(&s, (size_t)place(owner), false);
        s.now_ns++;
        assert_ptr_equal(pick_by(&s, key), owner);
    }
    assert_shares(&s, (unsigned[MAX]){20, 20, 20, 20, 20}, 1); /* without a key, in turn */
    end(&s);
}

static void one_key_cannot_overload_its_owner(void **state)
{
    struct mg_service_config config = plain;
    struct scene s;
    (void)state;
    config.balance = MG_BALANCE_HASH;
    begin(&s, &config, (const char *[]){"1", "1", "1", "1", "4", NULL});
    for (unsigned i = 1; i <= 800; i++) {
        atomic_fetch_add(&pick_by(&s, 1)->in_flight, 1);
        for (size_t k = 0; k < 5; k++) {
            unsigned weight = k == 4 ? 4 : 1, share = (5 * i * weight + 31) / 32;
            assert_in_range(atomic_load(&s.b[k]->in_flight), 0, share > 4 ? share : 4);
        }
    }
    end(&s);
}

/* The last answer may have reached its client before it is over here. */
static void a_key_stays_while_little_is_under_way(void **state)
{
    struct mg_service_config config = plain;
    struct scene s;
    (void)state;
    config.balance = MG_BALANCE_HASH;
    begin(&s, &config, (const char *[]){"1", "1", "1", NULL});
    struct mg_backend *owner = pick_by(&s, 1);
    for (int i = 0; i < 4; i++) {
        assert_ptr_equal(pick_by(&s, 1), owner);
        atomic_fetch_add(&owner->in_flight, 1);
    }
    assert_ptr_not_equal(pick_by(&s, 1), owner);
    end(&s);
}

/* --- sessions --- */

static void a_session_goes_where_it_was(void **state)
{
    struct mg_service_config config = plain;
    struct scene s;
    char token[MG_STICKY_TOKEN_CHARS];
    struct mg_pick p = {.token = mg_str(token, sizeof token)};
    (void)state;
    config.sticky = (struct mg_sticky_config){.cookie = MG_STR("at"), .secret = MG_STR("k")};
    begin(&s, &config, (const char *[]){"1", "1", "1", NULL});
    p.now_ns = s.now_ns;
    memcpy(token, mg_picker_token(&s.picker, s.b[1]).p, sizeof token);
    for (int i = 0; i < 10; i++)
        assert_int_equal(place(mg_picker_next(&s.picker, &p)), 1);
    set_down(&s, 1, true);
    assert_int_not_equal(place(mg_picker_next(&s.picker, &p)), 1);
    set_down(&s, 1, false);
    assert_int_equal(place(mg_picker_next(&s.picker, &p)), 1);
    p.tried = &s.b[1];
    p.tried_count = 1;
    assert_int_not_equal(place(mg_picker_next(&s.picker, &p)), 1);
    p.tried_count = 0;
    memset(token, 'f', sizeof token); /* nobody's */
    assert_non_null(mg_picker_next(&s.picker, &p));
    p.token = mg_str("x", 1);
    assert_non_null(mg_picker_next(&s.picker, &p));
    end(&s);
}

static void tokens_tell_services_and_secrets_apart(void **state)
{
    struct mg_sticky_config one = {.secret = MG_STR("k")}, other = {.secret = MG_STR("l")},
                            own = {.secret = MG_STR_NONE};
    struct scene s;
    char t[5][MG_STICKY_TOKEN_CHARS], again[MG_STICKY_TOKEN_CHARS];
    (void)state;
    begin(&s, &plain, (const char *[]){"1", "1", NULL});
    mg_sticky_token(&one, MG_STR("a"), s.b[0], t[0]);
    mg_sticky_token(&one, MG_STR("a"), s.b[1], t[1]);
    mg_sticky_token(&one, MG_STR("b"), s.b[0], t[2]);
    mg_sticky_token(&other, MG_STR("a"), s.b[0], t[3]);
    mg_sticky_token(&own, MG_STR("a"), s.b[0], t[4]);
    for (size_t i = 0; i < 5; i++)
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(t[i], t[k], sizeof t[0]);
    mg_sticky_token(&one, MG_STR("a"), s.b[0], again);
    assert_memory_equal(again, t[0], sizeof again);
    end(&s);
}

/* --- slow start --- */

static void who_recovered_gets_a_growing_share(void **state)
{
    static const enum mg_balance ways[] = {MG_BALANCE_ROUND_ROBIN, MG_BALANCE_RANDOM,
                                           MG_BALANCE_LEAST_REQUESTS};
    (void)state;
    for (size_t way = 0; way < 3; way++) {
        struct mg_service_config config = plain;
        struct scene s;
        config.balance = ways[way];
        config.slow_start_ns = 40 * SECOND;
        begin(&s, &config, (const char *[]){"1", "1", "1", NULL});
        atomic_store(&s.b[2]->health.recovered_since_ns, s.now_ns);
        assert_shares(&s, (unsigned[MAX]){48, 48, 5}, 2); /* a tenth of a member */
        s.now_ns += 20 * SECOND;
        assert_shares(&s, (unsigned[MAX]){40, 40, 20}, 2);
        s.now_ns += 20 * SECOND;
        assert_shares(&s, (unsigned[MAX]){33, 33, 33}, 2);
        end(&s);
    }
}

static void who_joins_others_is_new(void **state)
{
    struct mg_service_config config = plain;
    struct mg_endpoint v[2] = {
        {.addr = {.family = 4, .bytes = {10, 0, 0, 0}, .port = 80},
         .authority = MG_STR("10.0.0.0:80")},
        {.addr = {.family = 4, .bytes = {10, 0, 0, 1}, .port = 80}, .authority = MG_STR("b")},
    };
    struct scene s;
    (void)state;
    config.slow_start_ns = 10 * SECOND;
    begin(&s, &config, (const char *[]){"1", NULL});
    assert_int_equal(atomic_load(&s.b[0]->health.recovered_since_ns), 0);
    mg_service_publish(s.service, v, 2, s.now_ns);
    find_backends(&s);
    assert_int_equal(atomic_load(&s.b[0]->health.recovered_since_ns), 0);
    assert_int_equal(atomic_load(&s.b[1]->health.recovered_since_ns), s.now_ns);
    s.now_ns += 5 * SECOND;
    assert_shares(&s, (unsigned[MAX]){67, 33}, 2);
    end(&s);
}

static void who_left_is_not_listed(void **state)
{
    struct mg_endpoint v = {.addr = {.family = 4, .bytes = {10, 0, 0, 9}, .port = 80}};
    struct scene s;
    (void)state;
    begin(&s, &plain, (const char *[]){"1", NULL});
    struct mg_backend *b = s.b[0];
    mg_backend_ref(b);
    assert_true(mg_backend_is_listed(b));
    mg_service_publish(s.service, &v, 1, s.now_ns);
    assert_false(mg_backend_is_listed(b));
    mg_backend_unref(b);
    b = pick(&s);
    mg_backend_ref(b);
    end(&s);
    assert_false(mg_backend_is_listed(b)); /* nor is who has no service */
    mg_backend_unref(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_unusable_are_left_out),
        cmocka_unit_test(turns_of_the_unusable_go_to_all),
        cmocka_unit_test(panic_uses_all_again),
        cmocka_unit_test(without_panic_nobody_is_left),
        cmocka_unit_test(the_next_priority_is_for_when_the_first_is_down),
        cmocka_unit_test(panic_is_where_most_are_left),
        cmocka_unit_test(a_retry_may_leave_its_priority),
        cmocka_unit_test(a_retry_in_a_panic_may_go_everywhere),
        cmocka_unit_test(ones_own_zone_comes_first),
        cmocka_unit_test(a_required_zone_is_never_left),
        cmocka_unit_test(the_least_loaded_for_its_weight_is_next),
        cmocka_unit_test(of_two_the_less_loaded_is_taken),
        cmocka_unit_test(requests_even_out_under_load),
        cmocka_unit_test(the_quicker_gets_more),
        cmocka_unit_test(latency_follows_peaks_and_fades),
        cmocka_unit_test(the_unknown_gets_one_request),
        cmocka_unit_test(a_key_stays_where_it_is),
        cmocka_unit_test(one_key_cannot_overload_its_owner),
        cmocka_unit_test(a_key_stays_while_little_is_under_way),
        cmocka_unit_test(a_session_goes_where_it_was),
        cmocka_unit_test(tokens_tell_services_and_secrets_apart),
        cmocka_unit_test(who_recovered_gets_a_growing_share),
        cmocka_unit_test(who_joins_others_is_new),
        cmocka_unit_test(who_left_is_not_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
