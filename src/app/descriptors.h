/* The descriptors of this process. */
#ifndef MG_APP_DESCRIPTORS_H
#define MG_APP_DESCRIPTORS_H

/* As many as the system lets us. Each connection is one, and the usual soft limit of 1024 is for
 * programs that use select(2). */
void mg_descriptors_raise(void);

/* Standard input, output and error that are closed become /dev/null. Whatever were opened first
 * would take their numbers, and get what is printed. Before anything is opened. */
void mg_descriptors_fill_standard(void);

#endif
