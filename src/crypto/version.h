/* The libraries of this folder, for `moongate version`. */
#ifndef MG_CRYPTO_VERSION_H
#define MG_CRYPTO_VERSION_H

/* Of the library in use, such as "3.0.15"; static. */
const char *mg_version_openssl(void);

#endif
