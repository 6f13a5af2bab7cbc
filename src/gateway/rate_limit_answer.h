/*
 * What clients are told of limits: RateLimit-Policy and RateLimit
 * (draft-ietf-httpapi-ratelimit-headers-11), the older X-RateLimit-*, and the answer to one that is
 * over its limit. Worker thread.
 */
#ifndef MG_GATEWAY_RATE_LIMIT_ANSWER_H
#define MG_GATEWAY_RATE_LIMIT_ANSWER_H

#include "gateway/rate_limit_options.h"

/* What came of one request. In its arena. */
struct mg_rate_limit_word {
    const struct mg_rate_limit_set *set;
    struct mg_str field; /* the value of RateLimit; n 0: it is not sent */
    /* Of the limit that the answer is about. */
    const struct mg_rate_limit *limit;
    uint64_t left;
    double reset_s;       /* seconds until it is as new */
    double retry_after_s; /* of a refusal */
    double wall_s;        /* when that was so, in seconds since 1970 */
};

/* `results` are those of the set's limits, and `which` is what the answer is about. */
struct mg_rate_limit_word *mg_rate_limit_word_new(const struct mg_rate_limit_options *o,
                                                  const struct mg_rate_limit_set *set,
                                                  const struct mg_limiter_result *results,
                                                  size_t which, struct mg_request *req);

/* Adds to a response what the options want there. Of several limits of one request, X-RateLimit-*
 * are those of the one with the fewest units left. */
void mg_rate_limit_tell(const struct mg_rate_limit_options *o,
                        const struct mg_rate_limit_word *word, struct mg_response *res,
                        bool refused);

/* The answer to one that is over its limit, with all that is told of that. */
struct mg_response *mg_rate_limit_refusal(const struct mg_rate_limit_options *o,
                                          const struct mg_rate_limit_word *word,
                                          struct mg_request *req);
/* The answer when nobody can count. */
struct mg_response *mg_rate_limit_uncounted(struct mg_request *req);

#endif
