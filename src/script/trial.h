/*
 * Trying a generation out: one worker's Lua state is built for it beside everything else, and
 * dropped again, so that all steps which cannot be built are told at once, before any worker is
 * bothered. Control thread.
 */
#ifndef MG_SCRIPT_TRIAL_H
#define MG_SCRIPT_TRIAL_H

#include "gateway/worker.h"
#include "script/plan.h"

/* Calls on_fault for each step that cannot be built; with NULL when it is the state itself. The
 * code that runs (modules, `new`, `close`) sees a clock that stands; its tasks are not started, its
 * log lines not written. */
void mg_trial_run(struct mg_generation *gen,
                  void (*on_fault)(void *arg, const struct mg_plan_step *step,
                                   struct mg_str message),
                  void *arg);

/* Gives a worker to `look`, on the same terms, in whose Lua state is no step yet
 * (mg_instances_add). MG_FAIL: there could be none. */
enum mg_rc mg_trial_look(struct mg_generation *gen,
                         void (*look)(void *arg, struct mg_worker *worker), void *arg,
                         struct mg_error *err);

#endif
