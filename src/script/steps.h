/* How Lua steps run in a walk. Worker thread. */
#ifndef MG_SCRIPT_STEPS_H
#define MG_SCRIPT_STEPS_H

#include "base/log.h"
#include "script/context.h"

/* Fields for log lines of a task: request id, route, step; for mg_script.log_fields. */
size_t mg_steps_log_fields(const struct mg_task *t, struct mg_log_field *out, size_t room);

/* The list of the tasks that end with a context; for mg_script.tasks_of. */
struct mg_link *mg_steps_tasks_of(void *context);

#endif
