/* The libraries of this folder, for `moongate version`. */
#ifndef MG_NET_VERSION_H
#define MG_NET_VERSION_H

/* Of the library in use; static. */
const char *mg_version_libevent(void);

#endif
