/* The words for what can go wrong. */
#include "upstream/fetch_error.h"

const char *mg_fetch_error_code(enum mg_fetch_error e)
{
    static const char *const codes[] = {
        [MG_FETCH_OK] = "",
        [MG_FETCH_CONNECT_FAILED] = "connect_failed",
        [MG_FETCH_CONNECT_TIMEOUT] = "connect_timeout",
        [MG_FETCH_FIRST_BYTE_TIMEOUT] = "first_byte_timeout",
        [MG_FETCH_IDLE_TIMEOUT] = "idle_timeout",
        [MG_FETCH_RESET] = "reset",
        [MG_FETCH_BAD_RESPONSE] = "bad_response",
        [MG_FETCH_NO_BACKEND] = "no_backend",
        [MG_FETCH_TLS] = "tls",
        [MG_FETCH_REQUEST_BODY] = "request_body",
        [MG_FETCH_CIRCUIT_OPEN] = "circuit_open",
        [MG_FETCH_OVERLOADED] = "overloaded",
    };
    return codes[e];
}
