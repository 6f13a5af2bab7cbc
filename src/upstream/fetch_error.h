/* Why a fetch failed. Pure. */
#ifndef MG_UPSTREAM_FETCH_ERROR_H
#define MG_UPSTREAM_FETCH_ERROR_H

/* As policies see them in res.error.code; mg_fetch_error_code gives the text. */
enum mg_fetch_error {
    MG_FETCH_OK,
    MG_FETCH_CONNECT_FAILED,
    MG_FETCH_CONNECT_TIMEOUT,
    MG_FETCH_FIRST_BYTE_TIMEOUT,
    MG_FETCH_IDLE_TIMEOUT,
    MG_FETCH_RESET,
    MG_FETCH_BAD_RESPONSE,
    MG_FETCH_NO_BACKEND,
    MG_FETCH_TLS,          /* the handshake failed; the detail says how */
    MG_FETCH_REQUEST_BODY, /* what the client sent broke: not the backend's fault */
    MG_FETCH_CIRCUIT_OPEN, /* no backend was asked */
    MG_FETCH_OVERLOADED,   /* nor here: too many requests are under way */
};

/* "connect_failed" and so on. */
const char *mg_fetch_error_code(enum mg_fetch_error e);

#endif
