/*
 * Policies that C runs. Their module in Lua has name, schema and papers like any other, and says
 * `native = NAME` in place of `new`; what they do is in row 5, and a pipeline of them never enters
 * Lua but for a `when`. A module may say more: `native` may be a function of the conf, which gives
 * the name or nil (then `new` is called), and `native_conf(conf, env)` makes what C reads of it.
 *
 * To add one: its functions and options in src/gateway/, a row in the table of natives.c, and a
 * function there that reads the options from the checked conf.
 */
#ifndef MG_SCRIPT_NATIVES_H
#define MG_SCRIPT_NATIVES_H

#include "gateway/worker.h"
#include "script/config_build.h"

struct mg_native {
    const char *name;
    uint8_t flags; /* MG_STEP_HAS_... */
    struct mg_step_ops ops;
    /* Control thread, while the config is built: what the step runs by (mg_step.options), in the
     * generation's arena, from its checked conf (or what its native_conf made of that) at that
     * stack index. What is wrong is told to the report, with the step's place. NULL: it has no
     * options. */
    const void *(*build)(struct mg_config_build *b, int conf, const struct mg_config_place *place);
};

/* NULL: there is none of that name. */
const struct mg_native *mg_native_find(struct mg_str name);

#endif
