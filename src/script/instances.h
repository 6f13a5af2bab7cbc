/*
 * A worker's Lua side of a generation: its state, and the instance of every step. Worker thread.
 */
#ifndef MG_SCRIPT_INSTANCES_H
#define MG_SCRIPT_INSTANCES_H

#include "base/buf.h"
#include "gateway/worker.h"
#include "script/adhoc.h"
#include "script/plan.h"
#include "script/state.h"

struct mg_opened_cache;

/* What `new` returned for one step, as registry references; LUA_NOREF where it has no such
 * function. */
struct mg_instance {
    int request, response, finish, around, close;
    int when;                             /* the condition as a function, ... */
    const struct mg_condition *condition; /* ... or without Lua; NULL */
};

struct mg_instances {
    struct mg_script *script;
    const struct mg_plan *plan;
    struct mg_worker_generation *wg;
    struct mg_instance *v;          /* by step index */
    uint32_t next;                  /* the first that has not been built */
    const struct mg_step *building; /* NULL: none at present */
    struct mg_buf scratch;          /* for text that is built and copied on at once */
    struct mg_adhocs adhocs;
    struct mg_opened_cache *caches; /* of lib_cache.c */
    int module;                     /* reference of the `mg` table, for expressions */
    /* A trial: is told of each step that cannot be built, and the next is tried. NULL: the first
     * one fails it all. */
    void (*on_fault)(struct mg_instances *all, const struct mg_plan_step *step,
                     struct mg_str message);
    bool secret_missed; /* ... and has asked for a secret of which no value is there */
};

/* The hooks of mg_script_hooks: builds the state; builds steps and fills wg->step_flags, for about
 * slice_ns at a time. */
enum mg_rc mg_instances_build(struct mg_worker_generation *wg, struct mg_error *err);
enum mg_rc mg_instances_build_more(struct mg_worker_generation *wg, uint64_t slice_ns,
                                   struct mg_error *err);
void mg_instances_drop(struct mg_worker_generation *wg);
/* The first for a trial, whose code starts no tasks and writes no log. */
enum mg_rc mg_instances_try(struct mg_worker_generation *wg,
                            void (*on_fault)(struct mg_instances *all,
                                             const struct mg_plan_step *step,
                                             struct mg_str message),
                            struct mg_error *err);
/* The same for a trial that wants the steps of some outermost pipelines only. Nothing is told of
 * those that cannot be built: they have no functions. */
enum mg_rc mg_instances_open(struct mg_worker_generation *wg, struct mg_error *err);
enum mg_rc mg_instances_add(struct mg_worker_generation *wg, const struct mg_pipeline *pipeline,
                            struct mg_error *err);

static inline struct mg_script *mg_instances_script(const struct mg_instances *i)
{
    return i->script;
}

#endif
