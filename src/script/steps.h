/* How Lua steps run in a walk. Worker thread. */
#ifndef MG_SCRIPT_STEPS_H
#define MG_SCRIPT_STEPS_H

#include "base/log.h"
#include "script/context.h"

/* Fields for log lines of a task: request id, route, step; for mg_script.log_fields. */
size_t mg_steps_log_fields(const struct mg_task *t, struct mg_log_field *out, size_t room);

/* For the ops of policies that C runs (natives.h): asks the step's `when` before the request phase,
 * and remembers the answer for the way back. Lua is entered only where there is a `when`. */
enum mg_step_entry mg_steps_enter_native(const struct mg_step *step, struct mg_walk *w);
enum mg_step_entry mg_steps_enter_native_response(const struct mg_step *step, struct mg_walk *w);
/* For those without a request phase: their `when` is asked on the way back, and sees the response.
 */
enum mg_step_entry mg_steps_enter_response_only(const struct mg_step *step, struct mg_walk *w);

/* Calls the function under the `nargs` arguments on top, as code of the step that runs, but for a
 * request of its own: a copy of the one that the step has, without a client, on which `next` goes
 * on even when the client has left. Pops them. False, and nothing popped: no step runs, or what
 * lies behind it is not to be reached that way. May raise a memory error. */
bool mg_steps_detach(lua_State *L, int nargs);

/* The list of the tasks that end with a context; for mg_script.tasks_of. */
struct mg_link *mg_steps_tasks_of(void *context);

#endif
