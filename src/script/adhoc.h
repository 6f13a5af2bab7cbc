/* Services that policies name by URL: made when first used, one for each origin. Worker thread. */
#ifndef MG_SCRIPT_ADHOC_H
#define MG_SCRIPT_ADHOC_H

#include "base/uri.h"
#include "upstream/discovery.h"
#include "upstream/picker.h"

/* All of one worker's generation. */
struct mg_adhocs {
    struct mg_loop *loop;
    struct mg_tls_desk *desk;
    struct mg_tls_client_settings *tls; /* for https: the system's authorities; made when needed */
    struct mg_link list;
    uint32_t count;
    struct mg_resolver *resolver; /* made for the first origin */
    struct mg_discovery *discovery;
};

struct mg_adhoc {
    struct mg_link link;
    struct mg_str origin; /* "host:port" */
    bool https;
    struct mg_picker picker;
    bool settled;           /* its name was looked up, with success or not */
    struct mg_link waiting; /* of struct mg_adhoc_wait */
};

/* Whoever waits for the first look-up. */
struct mg_adhoc_wait {
    struct mg_link link;
    void (*on_settled)(void *arg);
    void *arg;
};

void mg_adhocs_init(struct mg_adhocs *all, struct mg_loop *loop, struct mg_tls_desk *desk);
void mg_adhocs_release(struct mg_adhocs *all);

/* The service of that origin; borrowed. NULL with `err`: too many origins, no resolver, or for
 * https no authorities to trust. */
struct mg_adhoc *mg_adhoc_get(struct mg_adhocs *all, const struct mg_uri *uri,
                              struct mg_error *err);

/* Calls on_settled later, once; only while it is not settled. Taken back by
 * mg_list_remove(&w->link). */
void mg_adhoc_when_settled(struct mg_adhoc *a, struct mg_adhoc_wait *w,
                           void (*on_settled)(void *arg), void *arg);

#endif
