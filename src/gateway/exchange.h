/*
 * One request and its response, from the head to the last byte. Worker thread.
 *
 *     inbound -> route -> walk over the route's steps -> forward or answer -> steps back -> inbound
 *
 * All of it lies in the inbound's arena and goes with it.
 */
#ifndef MG_GATEWAY_EXCHANGE_H
#define MG_GATEWAY_EXCHANGE_H

#include "base/wait.h"
#include "gateway/generation.h"
#include "http/coding.h"
#include "http/inbound.h"
#include "upstream/fetch.h"

struct mg_worker;
struct mg_worker_generation;
struct mg_exchange;
struct mg_walk;

/* A request as steps see and change it: the client's own, or a copy of it. */
struct mg_request {
    struct mg_exchange *ex; /* NULL for a copy that outlives its exchange */
    /* In which steps see it: `ex`, or of a copy that whose step runs, or ran last; NULL: none, or
     * it is over. */
    struct mg_exchange *seen_in;
    struct mg_worker_generation *wg;
    struct mg_arena *arena;
    struct mg_message *msg;
    struct mg_body *body;   /* never NULL */
    struct mg_str buffered; /* the whole body, once it was collected */
    bool is_buffered;
    bool decoded;                      /* its content codings were taken off (content.h) */
    struct mg_codings again;           /* ... and are put on again when it is forwarded */
    struct mg_str content;             /* of the coded body `content_of`, once it was read */
    const char *content_of;            /* NULL: none was */
    bool body_taken;                   /* somebody read it as a stream: it cannot be sent again */
    const struct mg_step *body_reader; /* ... a step, for good; NULL: none */
    struct mg_str body_read_at;        /* "file:line: " where it did */
    bool path_set;                     /* a step chose the path: nothing is stripped or rewritten */
    const struct mg_route *route;      /* NULL: none was found */
    struct mg_route_found found;
    struct mg_str path;    /* normalised; what routes matched */
    int32_t service;       /* where it is forwarded to, or MG_NO_SERVICE */
    struct mg_str id;      /* made when first asked for; see mg_request_id */
    struct mg_addr client; /* the client's address, proxies that we trust left out */
    bool peer_trusted;     /* the other end of the connection is such a proxy */
    struct mg_str scheme;  /* what the client used, by those proxies; static */
    bool client_known;     /* the three above are set; see mg_request_client */
    struct mg_addr peer, local;
    uint32_t listener;
    bool secure;                  /* the connection, by TLS of ours or of a proxy that we trust */
    struct mg_security *security; /* net/security.h: of the connection, a ref; NULL: not our TLS */
};

enum mg_source { MG_SOURCE_UPSTREAM, MG_SOURCE_CACHE, MG_SOURCE_POLICY, MG_SOURCE_GATEWAY };

struct mg_response {
    struct mg_message *msg;
    struct mg_body *body; /* NULL: none */
    struct mg_str buffered;
    bool is_buffered;
    bool is_json;            /* `buffered` was read as JSON, and was */
    struct mg_codings again; /* were taken off (content.h), and are put on again for the client */
    bool fetched;            /* a step's own: it has asked a service for it */
    /* A cache gave it in place of all that lies behind, so whoever let the request get there has
     * let it in. */
    bool from_behind;
    bool read_in_pieces; /* a step has, or is at it: some of the body may be gone */
    enum mg_source source;
    bool error_handled;         /* the route's on_error steps have seen it */
    const char *error_code;     /* source gateway: "connect_timeout", "policy_error"...; static */
    struct mg_str error_policy; /* the step that failed; may be empty */
    struct mg_fetch *fetch; /* what the backend answered or failed to; NULL: no backend was asked */
    uint64_t told_left;     /* units left of the limit that its X-RateLimit-* tell of, and one more;
                               0: they are not ours */
};

/* --- the walk over a pipeline --- */

enum mg_step_result {
    MG_STEP_NEXT, /* done; go on */
    MG_STEP_STOP, /* request phase: w->res is the response, steps further in do not run; NULL in a
                     walk that may end without one: mg_walk_withdraw */
    MG_STEP_WAIT, /* mg_walk_resume comes later */
};

enum mg_step_entry { MG_STEP_ENTER, MG_STEP_SKIP, MG_STEP_FAILED };

/* How a kind of step runs. Row 6 fills this in for Lua. */
struct mg_step_ops {
    /* Before the request phase, and before a body is collected for it: does the step apply to this
     * request? MG_STEP_FAILED: w->res says why. */
    enum mg_step_entry (*enter)(const struct mg_step *step, struct mg_walk *w);
    /* The same before the response phase. */
    enum mg_step_entry (*enter_response)(const struct mg_step *step, struct mg_walk *w);
    enum mg_step_result (*request)(const struct mg_step *step, struct mg_walk *w);
    enum mg_step_result (*response)(const struct mg_step *step, struct mg_walk *w);
    /* After the last byte. MG_STEP_WAIT: mg_exchange_finish_resume comes later. */
    enum mg_step_result (*finish)(const struct mg_step *step, struct mg_exchange *ex);
};

/* Walks that can be cancelled apart from the rest of their exchange. Embedded; in the arena. */
struct mg_scope {
    struct mg_wait wait; /* parent of all that they wait for */
    bool cancelled;      /* they go no further */
};

/* One pass through a pipeline, or through the part of it behind an onion step. In the arena. */
struct mg_walk {
    struct mg_exchange *ex;
    struct mg_request *req;
    const struct mg_pipeline *pipeline;
    /* The outermost one: `pipeline`, or that of the step which holds it, and so on. */
    const struct mg_pipeline *root;
    uint32_t first, at; /* steps first .. at-1 have been entered */
    uint32_t depth;     /* of walks within walks */
    /* The walk whose rest lies behind the last step; NULL: what lies there the terminal knows. */
    struct mg_walk *outer;
    struct mg_response *res; /* once there is one */
    /* What comes behind the last step: calls mg_walk_answer, now or later. */
    void (*terminal)(struct mg_walk *w);
    void *terminal_arg; /* the terminal's own */
    /* The response has passed all steps. w->res is NULL only where mg_walk_withdraw was called. */
    void (*on_done)(struct mg_walk *w, void *arg);
    void *arg;
    void *script;           /* row 6's, NULL at first */
    void **kept;            /* by step; NULL at first; mg_walk_kept */
    struct mg_scope *scope; /* it belongs to, and walks within it; NULL: to the exchange's own */
    struct mg_wait wait;    /* of the terminal or of the step that waits */
    enum { MG_WALK_DOWN, MG_WALK_UP, MG_WALK_DONE } phase;
    bool running;
    bool acting; /* the step at `at` has not failed */
    bool acted;  /* the request phase of a step has run, and without failing */
    /* Within an alternative of a group: its errors may yet be nobody's, and on_error steps do not
     * see them here. */
    bool tentative;
};

/* Begins at step `first` of the pipeline. May call on_done before it returns. */
void mg_walk_start(struct mg_walk *w);
/* A step that waited has its result. */
void mg_walk_resume(struct mg_walk *w, enum mg_step_result result);
/* The terminal has its response. */
void mg_walk_answer(struct mg_walk *w, struct mg_response *res);
/* A walk over what lies behind step `from` of `w`, with another or the same request; for onions.
 * Not yet started; the caller sets on_done. NULL when walks nest too deeply. */
struct mg_walk *mg_walk_inner(struct mg_walk *w, struct mg_request *req);
/* A walk over a pipeline that the step at hand of `w` holds. The same, but for its terminal, which
 * the caller sets too. */
struct mg_walk *mg_walk_held(struct mg_walk *w, const struct mg_pipeline *pipeline,
                             struct mg_request *req);
/* Gives a walk, not yet started, a scope of its own within the one that it has. */
void mg_walk_open_scope(struct mg_walk *w, struct mg_scope *scope);
/* Ends the walks of a scope and of those within it where they are: what C code waits for in them is
 * given up, backends are let go, none of them calls on_done. Their tasks are for row 6 to cancel.
 * Responses that have come of them end, too. */
void mg_walk_cancel_scope(struct mg_scope *scope);
/* The parent of what a walk waits for. */
struct mg_wait *mg_walk_wait(struct mg_walk *w);
/* What lies behind the step at hand: the rest of its pipeline, then the rest of those that hold it.
 */
struct mg_way {
    const struct mg_pipeline *pipeline;
    uint32_t at;                /* the step */
    const struct mg_way *outer; /* NULL: the pipeline is outermost */
};
/* Can another exchange go that way? Not where somebody in this one takes the request off the
 * pipeline's end. */
bool mg_walk_is_repeatable(const struct mg_walk *w);
/* Of such a walk, in the arena. */
void mg_walk_way(const struct mg_walk *w, struct mg_arena *arena, struct mg_way *out);
/* Is it nested so deeply that neither of them is possible? */
bool mg_walk_is_deep(const struct mg_walk *w);
/* In place of mg_walk_answer: the walk ends here, without a way back and without a response. */
void mg_walk_withdraw(struct mg_walk *w);
/* What a step that C runs keeps from the request phase to the response phase: NULL at first. */
void **mg_walk_kept(struct mg_walk *w, const struct mg_step *step);
/* Steps that failed: w->res becomes the error, and it goes back from here. `message` goes to the
 * log. */
enum mg_step_result mg_walk_step_failed(struct mg_walk *w, const struct mg_step *step,
                                        const char *error_code, struct mg_str message);

/* --- the exchange --- */

/* Somebody who wants to see what the request is answered with; in the arena. */
struct mg_answer_watch {
    void (*on_answer)(struct mg_answer_watch *watch, struct mg_exchange *ex,
                      const struct mg_response *res);
    struct mg_answer_watch *next;
};

struct mg_exchange {
    struct mg_worker *worker;
    struct mg_worker_generation *wg;
    struct mg_inbound *in;
    struct mg_request req;
    struct mg_walk walk;
    struct mg_response *res; /* the one that was sent */
    struct mg_wait wait;     /* root of all that this exchange waits for */
    struct mg_link link;     /* in the worker generation's list */
    uint64_t deadline_ns;
    const char *reason; /* why it ended early; NULL: it did not */
    /* No route takes the request: makes what it is told instead, each time anew. */
    struct mg_response *(*refuse)(struct mg_request *req);
    uint32_t finish_at;
    bool *reached; /* steps of the pipeline and in them, by place; NULL: none has a finish */
    void *script;  /* row 6's, NULL at first */
    struct mg_answer_watch *watches; /* told just before the response goes out */
    bool answered, ended, out_of_time;
    /* The request line as it came: steps may change what is in `req`. */
    struct mg_str asked_method, asked_path, asked_query;
    bool uncounted; /* no client's request, or one that asks for the counts */
    bool detached;  /* what it is answered with goes to another exchange, not to a client */
};

extern const struct mg_inbound_handler mg_exchange_handler; /* its ctx is the worker */

/* An exchange on the generation and route of another one's request, which is borrowed (`of` is the
 * exchange that it is in): what steps have found out about it so far (identity, parameters, the
 * service) holds for this one, too. Its walk stands at a step and waits: mg_walk_inner goes on from
 * there, mg_walk_resume with MG_STEP_STOP answers. Takes `in`. For gateway/detached.h. */
struct mg_walk *mg_exchange_park(struct mg_inbound *in, struct mg_request *like,
                                 struct mg_exchange *of, const struct mg_way *way);

/* An exchange whose route is found, and that does not begin. `*refusal`: the gateway's own answer
 * where no route takes the request, else NULL. Takes `in`; ends with mg_exchange_abandon. For
 * gateway/look.h. */
struct mg_exchange *mg_exchange_look(struct mg_worker *worker, struct mg_inbound *in,
                                     struct mg_response **refusal);
/* What the router is asked about a request whose path is normalised. Borrows from it. */
struct mg_route_query mg_exchange_route_query(struct mg_request *req);
/* The page that the config has at the request's path, or NULL. */
const struct mg_page *mg_exchange_page(const struct mg_request *req);

/* From the head of the request to now. */
uint64_t mg_exchange_duration_ns(const struct mg_exchange *ex);

/* Might row 6 still be asked for something? Not when what it is answered with is on its way, no
 * code has seen it, and none will at its end. */
bool mg_exchange_needs_script(const struct mg_exchange *ex);

/* Ends one whose client is gone or served, without the rest of its finish steps. */
void mg_exchange_abandon(struct mg_exchange *ex);
/* A finish step that waited is done. */
void mg_exchange_finish_resume(struct mg_exchange *ex);

/* --- requests and responses --- */

/* 128 random bits in hex, or the client's own where it is trusted; the same for the life of the
 * request. */
struct mg_str mg_request_id(struct mg_request *req);
/* 1 to 128 of [A-Za-z0-9._-]. */
bool mg_request_is_id(struct mg_str s);
/* Who sent it, by the proxies that we trust (RFC 7239). */
const struct mg_addr *mg_request_client(struct mg_request *req);
bool mg_request_peer_trusted(struct mg_request *req);
/* "http" or "https": how the client sent it, by the connection and what trusted proxies say of
 * theirs. */
struct mg_str mg_request_scheme(struct mg_request *req);
/* A step's last word on a field: nothing of that name is left, in no spelling that some server
 * takes for the same (mg_field_is_alike), nor comes as a trailer any more. Takes no name that
 * mg_field_is_codec; the texts live as long as the message's arena. */
void mg_request_remove_field(struct mg_request *req, struct mg_str name);
void mg_request_set_field(struct mg_request *req, enum mg_field_id id, struct mg_str name,
                          struct mg_str value);
/* Gives the request a new body. Borrows the bytes. */
void mg_request_set_body(struct mg_request *req, struct mg_str bytes);
/* A body for one more reading: of a buffered one any number of times, of a stream once. NULL then,
 * and while somebody else reads it. */
struct mg_body *mg_request_take_body(struct mg_request *req);

/* A request as it was. */
struct mg_request_state {
    struct mg_request req;
    struct mg_message msg;
    struct mg_field *fields; /* a copy */
    void *script;            /* row 6's */
};

/* Remembers a request's head, where it goes, and who the client is; one of the exchange, or a copy.
 * In the request's arena. */
void mg_request_save(struct mg_exchange *ex, struct mg_request *req,
                     struct mg_request_state *state);
/* Makes it that again; any number of times. The body too, if it was in memory then. */
void mg_request_restore(struct mg_exchange *ex, struct mg_request *req,
                        struct mg_request_state *state);

/* "upstream", "cache", "policy" or "gateway". */
const char *mg_source_name(enum mg_source source);
/* A response of our own making, without a body; in the arena. */
struct mg_response *mg_response_new(struct mg_arena *arena, unsigned status, enum mg_source source);
void mg_response_set_body(struct mg_response *res, struct mg_arena *arena, struct mg_str bytes);
/* The same with what its own body was: an answer to HEAD goes on telling the length of what GET
 * would give, or none (RFC 9110 8.6). */
void mg_response_hold_body(struct mg_response *res, struct mg_arena *arena, struct mg_str bytes);
/* Adds a field, or puts it in the place of all of its name: the last word on that, so no trailer
 * says more. Borrows the texts, as mg_fields_add does; none of the names that http/message.h knows.
 */
void mg_response_add_field(struct mg_response *res, struct mg_str name, struct mg_str value);
void mg_response_set_field(struct mg_response *res, struct mg_str name, struct mg_str value);

#endif
