/* Ticket keys. Any thread. */
#include "tls/tickets.h"

#include <stdlib.h>

#include "base/memory.h"
#include "tls/library.h"

struct mg_tls_tickets *mg_tls_tickets_new(uint32_t lifetime_seconds)
{
    struct mg_tls_tickets *t = mg_calloc(1, sizeof *t);
    atomic_init(&t->refs, 1);
    mbedtls_ssl_ticket_init(&t->context);
    if (mbedtls_ssl_ticket_setup(&t->context, mg_tls_random, NULL, MBEDTLS_CIPHER_AES_256_GCM,
                                 lifetime_seconds) == 0)
        return t;
    mg_tls_tickets_unref(t);
    return NULL;
}

struct mg_tls_tickets *mg_tls_tickets_ref(struct mg_tls_tickets *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void mg_tls_tickets_unref(struct mg_tls_tickets *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    mbedtls_ssl_ticket_free(&t->context);
    free(t);
}
