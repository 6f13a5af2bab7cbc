/* How many descriptors this process may have. */
#ifndef MG_APP_DESCRIPTORS_H
#define MG_APP_DESCRIPTORS_H

/* As many as the system lets us. Each connection is one, and the usual soft limit of 1024 is for
 * programs that use select(2). */
void mg_descriptors_raise(void);

#endif
