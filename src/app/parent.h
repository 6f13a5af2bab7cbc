/*
 * The gateway process's side of the channel to its supervisor (supervisor.h). Control thread.
 *
 * Words go up: ready, reloading, reloaded, refused, stopping, alive, hold (with a socket), drop,
 * log. Orders come down. The process ends when its supervisor does.
 *
 * NULL stands for a gateway that nobody supervises; every function takes it.
 */
#ifndef MG_APP_PARENT_H
#define MG_APP_PARENT_H

#include "app/sockets.h"
#include "base/log.h"
#include "net/loop.h"

struct mg_parent;

enum mg_order {
    MG_ORDER_STOP,   /* finish what is under way, and end */
    MG_ORDER_CUT,    /* end at once */
    MG_ORDER_RETIRE, /* another process serves now: finish what clients have begun, and end */
    MG_ORDER_RELOAD,
    MG_ORDER_REOPEN, /* logs */
};

typedef void (*mg_order_fn)(void *arg, enum mg_order order);

/* Was this process started by a supervisor? */
bool mg_parent_is_there(void);
/* Finds the supervisor, and the sockets that it holds for us (all zero before). NULL: there is
 * none.
 */
struct mg_parent *mg_parent_find(struct mg_held *held);
/* Has the process killed when its supervisor ends. Again after a change of user, which undoes it.
 */
void mg_parent_bind(const struct mg_parent *p);
/* Orders come from now on. */
void mg_parent_listen(struct mg_parent *p, struct mg_loop *loop, mg_order_fn on_order, void *arg);
void mg_parent_free(struct mg_parent *p);
/* The file of upstream/key_memory.h, for the caller to close; -1: there is none. */
int mg_parent_take_keys(struct mg_parent *p);

/* How the config wants lines of the log. */
void mg_parent_log(struct mg_parent *p, enum mg_log_level least, enum mg_log_format format);
/* "ready", "reloading", "reloaded", "stopping"; "refused" with the reason. */
void mg_parent_say(struct mg_parent *p, const char *word, struct mg_str text);
/* Everything that is listened on now: the supervisor holds that, and nothing else. The admin
 * listener's name may be NULL. */
void mg_parent_hold(struct mg_parent *p, const struct mg_sockets *sockets,
                    const struct mg_sockets_one *admin);

#endif
