/* What this process may do: less, and never more. Main thread, before others start. */
#ifndef MG_APP_PRIVILEGES_H
#define MG_APP_PRIVILEGES_H

#include "base/error.h"
#include "base/str.h"

/* No program that it might start may have rights that it has not itself (PR_SET_NO_NEW_PRIVS). */
void mg_privileges_freeze(void);

/* Becomes this user, with the groups that the user is in, or `group` in place of the first of them;
 * names or numbers, either may be empty. All capabilities go with it. Nobody but root may read its
 * memory then, or get a core of it. MG_OK as well where it is that user already. */
enum mg_rc mg_privileges_drop(struct mg_str user, struct mg_str group,
                              struct mg_error *err) MG_MUST_CHECK;

#endif
