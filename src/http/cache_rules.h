/*
 * The rules of a shared cache (RFC 9111, RFC 5861): which requests it may answer, which responses
 * it may keep, for how long, and what is to be done with one that it has. Pure: bytes and seconds
 * in, verdicts out; any thread.
 *
 * All times are seconds since 1970. What a later decision needs is kept as plain numbers beside the
 * stored bytes (struct mg_cache_record), so a hit parses nothing of the response.
 *
 * Choices where the RFC leaves one:
 *   - `Set-Cookie` is kept only when the origin itself said for how long, or `public`; never on the
 *     strength of a heuristic or of a time that the operator set.
 *   - `s-maxage` forbids stale answers, as RFC 9111 5.2.2.10 has it, but a stale-while-revalidate
 * or stale-if-error that the origin wrote beside it counts. `must-revalidate`, `proxy-revalidate`
 *     and `no-cache` always win. The operator's windows count only where nothing forbids it.
 *   - A part (206) is kept for requests that ask for that one, or for less of it: parts are not
 *     put together (RFC 9111 3.4). Pragma is not looked at (RFC 9111 5.4).
 *   - A request's `max-age=0` asks for validation even in the second of the answer.
 */
#ifndef MG_HTTP_CACHE_RULES_H
#define MG_HTTP_CACHE_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "http/cache_control.h"
#include "http/cache_status.h"
#include "http/message.h"
#include "http/range.h"

#define MG_CACHE_UNSET (-1)

/* A lifetime for statuses from `first` to `last`. */
struct mg_cache_ttl {
    uint16_t first, last;
    uint32_t seconds; /* 0: such responses are not kept */
};

/* What the operator says. Immutable while in use. */
struct mg_cache_settings {
    /* Targeted fields, the first that is there counts (RFC 9213). Borrowed. */
    const struct mg_str *targeted;
    size_t targeted_count;
    /* For responses whose origin names no lifetime: the first range that fits; else `ttl` for 200
     * to 299. MG_CACHE_UNSET: heuristics (4.2.2), for what may have them. */
    const struct mg_cache_ttl *ttl_by_status;
    size_t ttl_by_status_count;
    int64_t ttl;
    bool force_ttl; /* those times count even where the origin names one; no-store and its like stay
                     */
    uint32_t heuristic_max;         /* longest lifetime of a guess; 0: no guesses */
    int64_t stale_while_revalidate; /* where the origin names none; MG_CACHE_UNSET: none */
    int64_t stale_if_error;
    bool ignore_request_control; /* requests may not ask for fresher or staler than usual */
    bool share_authorized;       /* requests with Authorization share answers without further ado */
    bool strict_cookies;         /* Set-Cookie is kept only with `public` or s-maxage */
    struct mg_str vary;          /* names that responses vary by, whatever they say; may be empty */
};

/* ---- a request ---- */

struct mg_cache_request {
    struct mg_cache_control control; /* all zero where the settings ignore it */
    enum mg_method method;
    bool authorized;
    bool no_store;                 /* its own directive, which no setting overrules */
    bool may_look;                 /* a stored response may answer it */
    bool may_store;                /* its response may be kept, as far as the request goes */
    enum mg_cache_forward why_not; /* !may_look: MG_CACHE_METHOD or MG_CACHE_BYPASS */
    /* The part that it asks for, and that may be kept as one. The caller sets it, from
     * mg_cache_request_part: not all who keep responses keep parts. */
    struct mg_range_asked part;
};

/* `has_content`: the request has a body. A GET with one is passed on: no key covers its body; and
 * so is one that asks for another protocol. */
void mg_cache_request_read(const struct mg_cache_settings *settings,
                           const struct mg_message *request, bool has_content,
                           struct mg_cache_request *out);

/* The part that a request asks for (RFC 9111 3.3): of a GET with one range. Else `any` is false:
 * it wants the whole, or what is not kept. */
struct mg_range_asked mg_cache_request_part(const struct mg_message *request);

/* Nothing is stored: is the answer 504 (5.2.1.7)? */
static inline bool mg_cache_only_if_cached(const struct mg_cache_request *r)
{
    return mg_cache_control_has(&r->control, MG_CC_ONLY_IF_CACHED);
}

/* ---- a response that may be kept ---- */

enum mg_cache_record_flag {
    MG_CACHE_ALWAYS_VALIDATE = 1 << 0, /* no-cache */
    MG_CACHE_NEVER_STALE = 1 << 1,     /* a request's max-stale or stale-if-error is in vain */
    MG_CACHE_GUESSED = 1 << 2,         /* the lifetime is heuristic */
    MG_CACHE_CAN_VALIDATE = 1 << 3,    /* it has a validator */
};

/* Kept beside a stored response. */
struct mg_cache_record {
    int64_t stored_at;    /* when the response came */
    uint32_t initial_age; /* at that moment (4.2.3) */
    uint32_t lifetime;
    uint32_t stale_while_revalidate, stale_if_error; /* seconds after the lifetime */
    uint32_t flags;
};

/* Seconds for which the bytes may be of use: after that a store may forget them. */
uint64_t mg_cache_useful_for(const struct mg_cache_record *record);
/* Are they worth keeping longer? They can be validated, or stand in while the origin cannot be
 * reached (4.2.4). The caller adds what it likes. */
static inline bool mg_cache_is_of_use_stale(const struct mg_cache_record *record)
{
    return record->flags & MG_CACHE_CAN_VALIDATE ||
           !(record->flags & (MG_CACHE_NEVER_STALE | MG_CACHE_ALWAYS_VALIDATE));
}

enum mg_cache_storing {
    MG_CACHE_STORE,
    MG_CACHE_NOT_METHOD,
    MG_CACHE_NOT_STATUS, /* not final, another part than was asked for, or not understood though it
                            must be */
    MG_CACHE_NOT_NO_STORE,
    MG_CACHE_NOT_PRIVATE,
    MG_CACHE_NOT_AUTHORIZED, /* the request had Authorization */
    MG_CACHE_NOT_VARY,       /* it fits no other request */
    MG_CACHE_NOT_COOKIE,
    MG_CACHE_NOT_LIFETIME, /* nothing says how long, or it could not be used even once */
};

/* Why it is not stored, as a word for `detail` in Cache-Status: "set-cookie", "no-store", ...;
 * MG_CACHE_STORE: "no-room", for what might have been. */
struct mg_str mg_cache_storing_name(enum mg_cache_storing verdict);

struct mg_cache_answer {
    struct mg_cache_control control; /* what counted: the targeted field or Cache-Control */
    struct mg_cache_record record;
    struct mg_str vary; /* normalised names, in the arena: see mg_vary_key */
};

/* Is it one part of a representation, which says where it belongs (RFC 9110 15.3.7.1)? Not so what
 * has several. */
bool mg_cache_is_part(unsigned status, const struct mg_fields *fields);
/* ... and where it belongs: see mg_range_read_content. */
bool mg_cache_part_read(unsigned status, const struct mg_fields *fields, struct mg_range *out,
                        uint64_t *length);

/* May the response be kept (RFC 9111 3)? Fills `*out` for MG_CACHE_STORE. `sent` is when the
 * request went to the origin, `received` when the head of the response was here. Also for the
 * outcome of a validation, after mg_cache_update: a 304 may forbid what was allowed before. */
enum mg_cache_storing mg_cache_judge_response(const struct mg_cache_settings *settings,
                                              const struct mg_cache_request *request,
                                              const struct mg_message *response, int64_t sent,
                                              int64_t received, struct mg_arena *arena,
                                              struct mg_cache_answer *out);

/* ---- a stored response and a request ---- */

enum mg_cache_verdict {
    MG_CACHE_FRESH,
    MG_CACHE_STALE_ALLOWED,    /* the request takes it stale */
    MG_CACHE_STALE_REVALIDATE, /* answer with it now, and have it validated meanwhile */
    MG_CACHE_VALIDATE,         /* ask the origin first */
    MG_CACHE_UNAVAILABLE,      /* 504: it would have to be asked, and may not */
};

struct mg_cache_decision {
    enum mg_cache_verdict verdict;
    enum mg_cache_forward forward; /* VALIDATE: MG_CACHE_STALE or MG_CACHE_REQUEST; else a hit */
    uint32_t age;                  /* for the Age field */
    int64_t ttl;                   /* for Cache-Status; negative: stale since */
    bool stale_if_error;           /* should the origin fail now, this may be the answer */
};

void mg_cache_judge_stored(const struct mg_cache_record *record,
                           const struct mg_cache_request *request, int64_t now,
                           struct mg_cache_decision *out);

/* Is it an error in the sense of stale-if-error (RFC 5861 4)? A fetch without a response is one. */
static inline bool mg_cache_is_error(unsigned status)
{
    return status == 500 || status == 502 || status == 503 || status == 504;
}

#endif
