/* How Lua steps run in a walk. Worker thread. */
#ifndef MG_SCRIPT_STEPS_H
#define MG_SCRIPT_STEPS_H

#include "base/log.h"
#include "script/context.h"

/* Fields for log lines of a task's context: request id, route, step. */
size_t mg_steps_log_fields(void *context, struct mg_log_field *out, size_t room);

/* The list of the tasks that end with a context; for mg_script.tasks_of. */
struct mg_link *mg_steps_tasks_of(void *context);

#endif
