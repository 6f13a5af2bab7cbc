/*
 * Responses that the gateway itself makes: problem details (RFC 9457), or the simple form of the
 * config. Never a stack or an address to the client; always the request id.
 */
#ifndef MG_GATEWAY_PROBLEM_H
#define MG_GATEWAY_PROBLEM_H

#include "gateway/exchange.h"

/* `slug` becomes the problem type under problem_base, or is a whole https URI; `detail` (may be
 * empty) is for the client. The response has source "gateway" and that error code. In the request's
 * arena. */
struct mg_response *mg_problem(struct mg_request *req, unsigned status, const char *slug,
                               struct mg_str detail, const char *error_code);

/* The same with further JSON members in the body, ",\"a\":1". */
struct mg_response *mg_problem_with(struct mg_request *req, unsigned status, const char *slug,
                                    struct mg_str detail, struct mg_str members,
                                    const char *error_code);

/* The same as a policy's own answer: source "policy", no error code, so not for on_error steps. */
struct mg_response *mg_problem_of_policy(struct mg_request *req, unsigned status,
                                         struct mg_str slug, struct mg_str detail);
/* Such a one of a gateway that cannot take more now, whoever asks; to be tried again in a second.
 */
struct mg_response *mg_problem_overloaded(struct mg_request *req, unsigned status,
                                          struct mg_str detail);

/* Members that a problem has by itself. */
enum mg_problem_member {
    MG_PROBLEM_TYPE = 1 << 0,
    MG_PROBLEM_TITLE = 1 << 1,
    MG_PROBLEM_STATUS = 1 << 2,
    MG_PROBLEM_DETAIL = 1 << 3,
    MG_PROBLEM_ERROR = 1 << 4,
    MG_PROBLEM_REQUEST_ID = 1 << 5,
};
/* The one of that name, or 0. */
unsigned mg_problem_member_of(struct mg_str name);

/* The body alone, for responses that policies make: `members` (may be empty) is further JSON
 * members, ",\"a\":1"; `given` says which of those above are among them, so that none comes twice.
 * In the arena. */
struct mg_str mg_problem_body(struct mg_request *req, unsigned status, struct mg_str slug,
                              struct mg_str detail, struct mg_str members, unsigned given);
/* The fields that go with such a body, where `m` has none of that name: Content-Type
 * ("application/problem+json", or "application/json" for the simple form), and X-Request-ID with
 * the simple form, which has no room for it. In the request's arena. */
void mg_problem_add_fields(struct mg_request *req, struct mg_message *m);

#endif
