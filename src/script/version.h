/* The libraries of this folder, for `moongate version`. */
#ifndef MG_SCRIPT_VERSION_H
#define MG_SCRIPT_VERSION_H

/* "5.4.4"; static. */
const char *mg_version_lua(void);

#endif
