/*
 * The admin listener: the running gateway tells of itself, and does what it is told. An HTTP server
 * of its own on the control thread, so that it answers also when all workers are busy.
 *
 *     GET  /health /ready /stats /routes /services /config    gateway/page.h
 *     GET  /cache                                             what the caches hold
 *     GET, POST /explain                                      admin_explain.h
 *     POST /cache/purge?cache=&key=|prefix=|tag=&soft=true    the first two are URLs; none: all
 *     POST /reload                                            answers when it is done
 *     POST /drain                                             as SIGTERM does
 *
 * With a token in the config all but /health and /ready ask for it. Without one, browsers are kept
 * out: a page of somebody else's must not reach it by way of its visitor's machine.
 */
#ifndef MG_APP_ADMIN_H
#define MG_APP_ADMIN_H

#include "app/reload.h"
#include "gateway/page.h"

struct mg_admin;

/* Borrowed for the admin's life. */
struct mg_admin_host {
    struct mg_loop *loop;
    const struct mg_serving *serving;
    const struct mg_stores *stores;
    struct mg_reload *reload; /* initialised before the first request */
    enum mg_page_state (*state)(void *arg);
    void (*drain)(void *arg);
    void *arg;
};

struct mg_admin *mg_admin_new(const struct mg_admin_host *host);
/* NULL is fine. Open requests are cut. */
void mg_admin_free(struct mg_admin *a);

/* Opens the socket that a generation wants, beside the one in use; none is needed when it stays
 * where it is. An address of the default that is taken is a warning: there are other gateways here.
 * MG_FAIL with `err`: it cannot be opened. */
enum mg_rc mg_admin_prepare(struct mg_admin *a, const struct mg_generation *gen,
                            struct mg_error *err) MG_MUST_CHECK;
/* That generation serves from now on: the admin moves. */
void mg_admin_adopt(struct mg_admin *a);
/* Or never will: closes the socket again, if there is one. */
void mg_admin_discard(struct mg_admin *a);
const struct mg_sockets_one *mg_admin_socket(const struct mg_admin *a);
/* Another process listens there now. Open connections go on. */
void mg_admin_retire(struct mg_admin *a);

/* A reload has ended: for those who wait for it. */
void mg_admin_reloaded(struct mg_admin *a, bool ok, struct mg_str said);

#endif
