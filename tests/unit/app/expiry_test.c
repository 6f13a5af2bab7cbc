/* The daily look at certificates, in simulated time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "app/expiry.h"
#include "base/buf.h"
#include "base/log.h"

#define DAY (86400 * MG_SECOND)

static struct mg_buf lines;

static void collect(void *arg, enum mg_log_level level, struct mg_str line)
{
    (void)arg, (void)level;
    mg_buf_add_str(&lines, line);
}

static unsigned count(const char *text)
{
    unsigned n = 0;
    mg_buf_add_char(&lines, 0);
    for (const char *at = lines.p; (at = strstr(at, text)); at++)
        n++;
    lines.n--;
    return n;
}

static void certificates_are_looked_at_each_day(void **state)
{
    struct mg_loop *loop = mg_loop_new_simulated(1);
    double now = mg_loop_wall(loop);
    struct mg_tls_certificate certs[] = {
        {.cert_file = MG_STR("soon.pem"), .expires = now + 40 * 86400.0},
        {.cert_file = MG_STR("late.pem"), .expires = now + 400 * 86400.0},
        {.cert_file = MG_STR("unknown.pem")},
    };
    struct mg_tls_server_settings tls = {.certificates = certs, .certificate_count = 3};
    struct mg_listen listens[] = {{.tls = NULL}, {.tls = &tls}};
    struct mg_generation gen = {.listens = listens, .listen_count = 2};
    struct mg_expiry expiry;
    (void)state;
    mg_buf_init(&lines, 1 << 20);
    mg_log_set_sink(collect, NULL);
    mg_expiry_start(&expiry, loop, &gen);
    mg_loop_simulate(loop, mg_loop_now(loop) + 9 * DAY + DAY / 2, NULL);
    assert_int_equal(count("expires soon"), 0);
    mg_loop_simulate(loop, mg_loop_now(loop) + 5 * DAY, NULL);
    assert_int_equal(count("expires soon"), 4);
    assert_int_equal(count("soon.pem"), 4);
    mg_loop_simulate(loop, mg_loop_now(loop) + 30 * DAY, NULL);
    assert_true(count("has expired") > 0);
    assert_int_equal(count("late.pem") + count("unknown.pem"), 0);
    mg_expiry_stop(&expiry);
    mg_log_set_sink(NULL, NULL);
    mg_buf_release(&lines);
    mg_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(certificates_are_looked_at_each_day)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
