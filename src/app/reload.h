/*
 * Reload: reads the config again and puts it in force while serving, in all workers or in none.
 *
 *     idle -> settling     names of new backends, keys of new issuers
 *          -> preparing    workers build
 *          -> adopting -> idle
 *
 * Whatever is wrong leaves the config before it in force, and is said in the log. Control thread.
 */
#ifndef MG_APP_RELOAD_H
#define MG_APP_RELOAD_H

#include "app/crew.h"
#include "app/options.h"
#include "app/watch.h"
#include "base/buf.h"
#include "shared/stores.h"
#include "upstream/checker.h"
#include "upstream/discovery.h"
#include "upstream/issuers.h"

/* What serves at present. */
struct mg_serving {
    struct mg_generation *gen; /* a ref */
    struct mg_sockets *sockets;
    struct mg_sockets *inherited; /* while starting: what nobody has taken yet; may be NULL */
};

struct mg_reload {
    /* Set once; borrowed. */
    const struct mg_options *options;
    const struct mg_stores *stores;
    struct mg_watch *watch;
    struct mg_loop *loop;
    struct mg_discovery *discovery;
    struct mg_issuers *issuers;
    struct mg_checker *checker;
    struct mg_crew *crew;
    struct mg_serving *serving; /* changed here */
    void (*on_begin)(void *arg);
    /* Gets ready whatever else of the process the generation needs; on_done tells what becomes of
     * it. MG_FAIL with `err`: it cannot be, and the reload is given up. */
    enum mg_rc (*on_prepare)(void *arg, const struct mg_generation *gen, struct mg_error *err);
    /* After each, also before mg_reload_start returns. `said`: why not, or warnings; borrowed. */
    void (*on_done)(void *arg, bool ok, struct mg_str said);
    void *arg;
    /* The one under way. */
    enum mg_reload_state {
        MG_RELOAD_IDLE,
        MG_RELOAD_SETTLING,
        MG_RELOAD_PREPARING,
        MG_RELOAD_ADOPTING
    } state;
    size_t head_max; /* of responses, in the buffers that workers have */
    uint64_t number; /* of this one, or of the last; the first is 1 */
    struct mg_buf said;
    bool again;    /* asked for once more meanwhile */
    bool stopping; /* the process ends */
    uint64_t started_ns;
    struct mg_generation *gen;
    struct mg_sockets *sockets;
    bool names_settled;
    struct mg_timer patience; /* with names and keys */
};

void mg_reload_init(struct mg_reload *r);
/* Asked for during another: that one is done first. */
void mg_reload_start(struct mg_reload *r);
/* The process ends: what is not in force yet will not be. */
void mg_reload_stop(struct mg_reload *r);
/* After the crew has ended. */
void mg_reload_release(struct mg_reload *r);

/* The keys of all issuers are there, or have failed to come. */
void mg_reload_settled(struct mg_reload *r);

/* For the crew's events. */
void mg_reload_prepared(struct mg_reload *r, const struct mg_error *failure);
void mg_reload_adopted(struct mg_reload *r);

/* Reads the config that the command line names, with what it says besides. From now on its files
 * are watched, if it wants that. `show_later`: who serves by it calls mg_generation_show. NULL:
 * `diagnostics` has the errors; otherwise it may have warnings. */
struct mg_generation *mg_reload_read(const struct mg_options *options,
                                     const struct mg_stores *stores, struct mg_watch *watch,
                                     bool show_later, struct mg_buf *diagnostics);

#endif
