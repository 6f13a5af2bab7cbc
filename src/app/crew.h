/*
 * The workers as threads. The control thread starts them, tells them what to do by message, and
 * joins them.
 *
 *     new -> building -> on_built -> accept -> serving -> drain -> (cut) -> on_ended -> free
 *                                               prepare -> on_prepared -> adopt -> on_adopted
 */
#ifndef MG_APP_CREW_H
#define MG_APP_CREW_H

#include "app/sockets.h"
#include "gateway/worker.h"

struct mg_crew;

/* On the control loop; on_built and on_ended at most once. */
struct mg_crew_events {
    /* All workers have built the generation; or, with `failure`, some have not, and the others are
     * ending. */
    void (*on_built)(void *arg, const struct mg_error *failure);
    /* The last thread is done; from on_ended on mg_crew_free does not wait. */
    void (*on_ended)(void *arg);
    /* A reload: all have built the candidate; or some have not (`failure`, why), and all have
     * dropped it. */
    void (*on_prepared)(void *arg, const struct mg_error *failure);
    /* All serve by it, and nobody uses the sockets before it. */
    void (*on_adopted)(void *arg);
    void *arg;
};

/* Starts the threads. Keeps a ref to the generation; borrows the others for its life. NULL with
 * `err` set when the system refuses. */
struct mg_crew *mg_crew_new(struct mg_loop *control, uint32_t workers, struct mg_generation *gen,
                            struct mg_sockets *sockets, const struct mg_script_hooks *hooks,
                            const struct mg_crew_events *events,
                            struct mg_error *err) MG_MUST_CHECK;

void mg_crew_accept(struct mg_crew *c);
/* While serving, one at a time. Has all workers build `gen` (keeps a ref) beside what they serve
 * by.
 */
void mg_crew_prepare(struct mg_crew *c, struct mg_generation *gen);
/* After on_prepared without failure: it comes in force, on these sockets, which were opened with
 * the present ones as the old. Borrows them from now on. */
void mg_crew_adopt(struct mg_crew *c, struct mg_sockets *sockets);
/* Or not: drops it. */
void mg_crew_discard(struct mg_crew *c);
/* Closes the listeners, lets exchanges finish and connections close. */
void mg_crew_drain(struct mg_crew *c);
/* Closes the listeners, which another process has too, and ends when all connections have ended;
 * drain and cut may follow. */
void mg_crew_retire(struct mg_crew *c);
/* Ends at once, with whatever is open. */
void mg_crew_cut(struct mg_crew *c);
/* Cuts what still runs and joins the threads; no event follows. NULL is fine. */
void mg_crew_free(struct mg_crew *c);

#endif
