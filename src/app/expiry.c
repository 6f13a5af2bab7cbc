/* Certificates that end soon. */
#include "app/expiry.h"

#include "base/log.h"

#define DAY_SECONDS 86400
#define DAY_NS (DAY_SECONDS * MG_SECOND)

static void look_at(const struct mg_tls_certificate *c, double now)
{
    double left = c->expires - now;
    if (c->expires <= 0 || left >= MG_TLS_EXPIRY_WARNING)
        return;
    mg_log_warn(left > 0 ? "certificate expires soon" : "certificate has expired",
                MG_LOG_STR("certificate", c->cert_file), MG_LOG_STR("name", c->whose),
                MG_LOG_INT("days", (int64_t)(left / DAY_SECONDS)));
}

static void on_day(void *arg)
{
    struct mg_expiry *e = arg;
    for (uint32_t i = 0; i < e->gen->listen_count; i++) {
        const struct mg_tls_server_settings *tls = e->gen->listens[i].tls;
        for (size_t c = 0; tls && c < tls->certificate_count; c++)
            look_at(&tls->certificates[c], mg_loop_wall(e->loop));
    }
    mg_timer_set(&e->timer, mg_loop_now(e->loop) + DAY_NS);
}

void mg_expiry_start(struct mg_expiry *e, struct mg_loop *loop, const struct mg_generation *gen)
{
    e->loop = loop;
    e->gen = gen;
    mg_timer_init(&e->timer, loop, on_day, e);
    mg_timer_set(&e->timer, mg_loop_now(loop) + DAY_NS);
}

void mg_expiry_stop(struct mg_expiry *e)
{
    if (e->loop)
        mg_timer_release(&e->timer);
}
