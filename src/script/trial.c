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
    struct mg_plan *plan = gen->script;
    if (plan->step_count == 0)
        return;
    struct mg_loop *loop = mg_loop_new_simulated(1);
    struct mg_dicts *dicts = plan->dicts ? NULL : mg_dicts_new();
    if (dicts)
        plan->dicts = dicts;
    try_worker(&t, loop, gen);
    if (dicts)
        plan->dicts = NULL;
    mg_dicts_free(dicts);
    mg_loop_free(loop);
}
