/* The library of this folder, for `moongate version`. */
#ifndef MG_TLS_VERSION_H
#define MG_TLS_VERSION_H

/* Of the library in use, such as "2.28.3"; static. */
const char *mg_version_mbedtls(void);

#endif
