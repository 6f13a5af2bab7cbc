/* The policies that C runs, and how their options are read. Control thread. */
#include "script/natives.h"

#include "gateway/group.h"
#include "script/steps.h"

static const struct mg_native natives[] = {
    {"any", MG_STEP_HAS_REQUEST, {.enter = mg_steps_enter_native, .request = mg_group_any}, NULL},
    {"all", MG_STEP_HAS_REQUEST, {.enter = mg_steps_enter_native, .request = mg_group_all}, NULL},
};

const struct mg_native *mg_native_find(struct mg_str name)
{
    for (size_t i = 0; i < sizeof natives / sizeof natives[0]; i++)
        if (mg_str_eq(mg_str_c(natives[i].name), name))
            return &natives[i];
    return NULL;
}
