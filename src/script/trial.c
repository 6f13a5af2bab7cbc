/* Trials of generations. Control thread. */
#include "script/trial.h"

#include "script/instances.h"
#include "script/module.h"

struct trial {
    struct mg_worker worker;
    void (*on_fault)(void *arg, const struct mg_plan_step *step, struct mg_str message);
    void *arg;
};

static struct trial *trial_of(const struct mg_worker_generation *wg)
{
    return MG_CONTAINER_OF(wg->worker, struct trial, worker);
}

static void on_fault(struct mg_instances *all, const struct mg_plan_step *step,
                     struct mg_str message)
{
    struct trial *t = trial_of(all->wg);
    t->on_fault(t->arg, step, message);
}

static enum mg_rc build(struct mg_worker_generation *wg, struct mg_error *err)
{
    return mg_instances_try(wg, on_fault, err);
}

/* --- the surroundings --- */

/* A worker on a loop and with dictionaries of its own, where the plan has none. */
struct stage {
    struct mg_loop *loop;
    struct mg_plan *plan;
    struct mg_dicts *dicts; /* NULL: there are some */
};

static void set_stage(struct stage *s, const struct mg_generation *gen)
{
    s->plan = gen->script;
    s->loop = mg_loop_new_simulated(1);
    s->dicts = s->plan->dicts ? NULL : mg_dicts_new();
    if (s->dicts)
        s->plan->dicts = s->dicts;
}

static void clear_stage(struct stage *s)
{
    if (s->dicts)
        s->plan->dicts = NULL;
    mg_dicts_free(s->dicts);
    mg_loop_free(s->loop);
}

/* --- all steps --- */

static void try_worker(struct trial *t, struct mg_loop *loop, struct mg_generation *gen)
{
    struct mg_script_hooks hooks = mg_script_hooks;
    struct mg_error err;
    hooks.build = build;
    if (mg_worker_init(&t->worker, 0, loop, gen, &hooks, &err) == MG_OK)
        mg_worker_release(&t->worker);
    else
        t->on_fault(t->arg, NULL, mg_str_c(err.text));
}

void mg_trial_run(struct mg_generation *gen,
                  void (*on_fault_fn)(void *arg, const struct mg_plan_step *step,
                                      struct mg_str message),
                  void *arg)
{
    struct trial t = {.on_fault = on_fault_fn, .arg = arg};
    const struct mg_plan *plan = gen->script;
    struct stage stage;
    if (plan->step_count == 0)
        return;
    set_stage(&stage, gen);
    try_worker(&t, stage.loop, gen);
    clear_stage(&stage);
}

/* --- some --- */

enum mg_rc mg_trial_look(struct mg_generation *gen,
                         void (*look)(void *arg, struct mg_worker *worker), void *arg,
                         struct mg_error *err)
{
    struct mg_script_hooks hooks = mg_script_hooks;
    struct mg_worker worker = {.random = 1};
    struct stage stage;
    hooks.build = mg_instances_open;
    set_stage(&stage, gen);
    enum mg_rc rc = mg_worker_init(&worker, 0, stage.loop, gen, &hooks, err);
    if (rc == MG_OK) {
        look(arg, &worker);
        mg_worker_release(&worker);
    }
    clear_stage(&stage);
    return rc;
}
