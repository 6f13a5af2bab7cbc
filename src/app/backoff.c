/* Exponential back-off. */
#include "app/backoff.h"

uint32_t mg_backoff_next_ms(struct mg_backoff *b, uint64_t lived_ms)
{
    uint32_t wait = MG_BACKOFF_FIRST_MS;
    if (lived_ms >= MG_BACKOFF_STEADY_MS)
        b->falls = 0;
    uint32_t before = b->falls;
    if (before < UINT32_MAX)
        b->falls++;
    if (before == 0)
        return 0;
    for (uint32_t i = 1; i < before && wait < MG_BACKOFF_MOST_MS; i++)
        wait *= 2;
    return wait < MG_BACKOFF_MOST_MS ? wait : MG_BACKOFF_MOST_MS;
}
