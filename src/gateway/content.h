/*
 * Content codings of requests and responses: taken off and put on while the body streams, with the
 * header fields that depend on the bytes put right. Worker thread.
 *
 * What is taken off for a step that works on the content is put on again when the message leaves;
 * what is taken off for good (mg_content_decode_*) is not.
 *
 * Both ways: Content-Length goes, and so do digests of the old bytes (Content-MD5, Digest,
 * Content-Digest, Repr-Digest) and Accept-Ranges; a strong entity-tag becomes weak (RFC 9110 8.8.1:
 * other bytes, the same meaning).
 */
#ifndef MG_GATEWAY_CONTENT_H
#define MG_GATEWAY_CONTENT_H

#include "gateway/exchange.h"
#include "http/coding.h"

/* How much larger than its code content may be, where nobody says otherwise. What people write is
 * seldom 20 times larger; bombs are 1000 times and more. */
#define MG_CONTENT_RATIO 200

enum mg_content_verdict {
    MG_CONTENT_PLAIN,   /* there is no coding, or nothing to decode: it was left as it is */
    MG_CONTENT_DECODED, /* the body gives the content as it is from now on */
    MG_CONTENT_UNKNOWN, /* a coding that is none of ours, or too many: left as it is */
};

/* A body that breaks has status 400, or 413 where a limit is met. */
enum mg_content_verdict mg_content_decode_request(struct mg_request *req,
                                                  const struct mg_decoder_limits *limits);
/* For the life of the arena. A part (206) is left as it is. A body that breaks has status 502. */
enum mg_content_verdict mg_content_decode_response(struct mg_response *res,
                                                   struct mg_worker *worker, struct mg_arena *arena,
                                                   const struct mg_decoder_limits *limits);

/* The same for those who are going to rewrite a request. The body of a request's copy, which may
 * outlive the worker, is left as it is. */
void mg_content_rewrite_request(struct mg_request *req);
/* The same for those who are going to read or rewrite a response, and have a limit of their own on
 * its length. One that is in memory already is left as it is. */
void mg_content_read_response(struct mg_response *res, struct mg_worker *worker,
                              struct mg_arena *arena);

/* The content of a request whose body is in memory, in `out`; the request stays as it was sent,
 * which may be signed. In the arena, or the body itself where it has no coding that is ours (or the
 * request is a copy). MG_COLLECT_TOO_LARGE: more than `limit` bytes. MG_COLLECT_BROKEN: it is not
 * in that coding. */
enum mg_collect_result mg_content_view(struct mg_request *req, size_t limit, struct mg_str *out);

/* The codings of a message that is about to get another body: those that it has, or that were taken
 * off before. */
struct mg_codings mg_content_codings(const struct mg_message *m, const struct mg_codings *again);

/* Puts on again what was taken off, where nobody has put on another coding since. A body in memory
 * stays there. */
void mg_content_recode_request(struct mg_request *req);
/* The same, as far as the request's client takes it. */
void mg_content_recode_response(struct mg_response *res, struct mg_request *req);

/* Encodes a response, which has no coding yet. One without a body (to HEAD) gets the fields. */
void mg_content_encode_response(struct mg_response *res, struct mg_request *req,
                                enum mg_coding coding, int level);

/* The fields of a message whose bytes are others than they tell of, but for its length. */
void mg_content_forget_bytes(struct mg_message *m);
/* Has it a coding (other than identity)? */
bool mg_content_is_coded(const struct mg_message *m);
/* Says that the response depends on Accept-Encoding, unless it does so already. */
void mg_content_vary(struct mg_response *res);
/* A strong entity-tag becomes weak. */
void mg_content_weaken_etag(struct mg_message *m);

#endif
