/*
 * Keys of session tickets (RFC 5077): shared by all workers, so that a client may come back to any
 * of them. A key makes tickets for one lifetime, and reads them for as long again.
 *
 * A ticket stands for a whole handshake, with the client's certificate in it. So a listener shares
 * them with nobody but itself before a reload, and only when neither asks for certificates.
 */
#ifndef MG_TLS_TICKETS_H
#define MG_TLS_TICKETS_H

#include <mbedtls/ssl_ticket.h>
#include <stdatomic.h>
#include <stdbool.h>

struct mg_tls_tickets {
    atomic_uint refs;
    /* The library's; it locks inside. */
    mbedtls_ssl_ticket_context context;
};

/* NULL: the library refuses. */
struct mg_tls_tickets *mg_tls_tickets_new(uint32_t lifetime_seconds);
struct mg_tls_tickets *mg_tls_tickets_ref(struct mg_tls_tickets *t);
void mg_tls_tickets_unref(struct mg_tls_tickets *t);

#endif
