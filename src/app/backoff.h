/* How long to wait before what fell is started again. Pure. */
#ifndef MG_APP_BACKOFF_H
#define MG_APP_BACKOFF_H

#include <stdint.h>

#define MG_BACKOFF_FIRST_MS 50  /* doubles from one fall to the next, */
#define MG_BACKOFF_MOST_MS 5000 /* up to this */
#define MG_BACKOFF_STEADY_MS                                                                       \
    10000 /* whoever lived that long has nothing to do with the fall before */

struct mg_backoff {
    uint32_t falls; /* in a row; begins as 0 */
};

/* It has fallen after `lived_ms`. Milliseconds to wait: 0 for the first of a row. */
uint32_t mg_backoff_next_ms(struct mg_backoff *b, uint64_t lived_ms);

#endif
