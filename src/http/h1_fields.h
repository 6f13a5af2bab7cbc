/*
 * The field section of an HTTP/1.x head: reads the lines, puts what is end to end into the message,
 * and keeps apart what is said about the connection and the framing, for the caller to judge once
 * all of it is known. Private to the HTTP/1 codec. Pure.
 */
#ifndef MG_HTTP_H1_FIELDS_H
#define MG_HTTP_H1_FIELDS_H

#include "http/h1_parse.h"

/* Names that one message may take out by naming them in Connection. Real ones name one or two; a
 * limit keeps their number times the number of fields small. */
#define MG_H1_NOMINEES 32

/* Counts tell doubled fields. */
struct mg_h1_facts {
    uint32_t lines;
    uint32_t hosts, lengths, codings, upgrades;
    struct mg_str host;   /* of several the first; so the next two */
    struct mg_str coding; /* Transfer-Encoding */
    struct mg_str upgrade;
    uint64_t length;      /* Content-Length, checked */
    bool close;           /* Connection: close */
    bool keep_alive;      /* Connection: keep-alive */
    bool upgrade_named;   /* Connection: upgrade */
    bool te_named;        /* Connection: TE */
    bool odd_connection;  /* a Connection value that is no list of tokens, or too many of them */
    bool trailers;        /* TE: trailers */
    bool expect_continue; /* Expect: 100-continue */
    bool expect_other;    /* any other expectation */
    uint8_t nominee_count;
    struct mg_str nominees[MG_H1_NOMINEES];
};

static inline int mg_h1_fail(struct mg_h1_fault *fault, int status, const char *reason)
{
    *fault = (struct mg_h1_fault){status, reason};
    return -1;
}

/*
 * Reads field lines from p up to the empty line, which must be all that is left before `end`. The
 * caller has seen that [p, end) is one CRLF, or ends in two. `facts` is filled from scratch. What
 * Connection names is removed from `m->fields` in the end. Returns 0, or -1 with `fault` set.
 */
int mg_h1_fields_parse(const char *p, const char *end, const struct mg_h1_limits *limits,
                       struct mg_message *m, struct mg_h1_facts *facts, struct mg_h1_fault *fault);

/* What a Transfer-Encoding asks for. */
enum mg_h1_coding {
    MG_H1_CODING_CHUNKED,      /* exactly "chunked" */
    MG_H1_CODING_UNKNOWN,      /* a proper list that ends in chunked, with other codings before */
    MG_H1_CODING_UNREGISTERED, /* one name, of no coding that there is */
    MG_H1_CODING_BAD,          /* everything else: the body's end is not known */
};
enum mg_h1_coding mg_h1_coding(struct mg_str value);

/* True when `value` holds the token, as an item of a comma-separated list; parameters after ';' are
 * not looked at. */
bool mg_h1_list_has(struct mg_str value, struct mg_str token);

#endif
