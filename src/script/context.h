/*
 * What Lua code works for: one exchange, or one background task. And the handles by which Lua sees
 * C objects of it: userdata that go dead with the context, so that a handle kept too long raises
 * "request has ended" instead of reading freed memory. Worker thread.
 */
#ifndef MG_SCRIPT_CONTEXT_H
#define MG_SCRIPT_CONTEXT_H

#include <lauxlib.h>
#include <lua.h>

#include "gateway/exchange.h"
#include "gateway/worker.h"
#include "script/instances.h"
#include "script/task.h"

struct mg_context {
    struct mg_script *script;
    struct mg_worker_generation *wg;
    struct mg_exchange *ex; /* NULL: a background task, or a copied request */
    double started;         /* of a copied request: when it came, in seconds since 1970 */
    struct mg_request *req; /* of the exchange; NULL: none */
    struct mg_arena *arena;
    struct mg_link tasks; /* of mg_task.owned: they end with the context */
    struct mg_link handles;
    struct mg_wait wait; /* cancels the tasks when the exchange is cancelled */
    uint8_t *
        conditions; /* what `when` gave, by place in the exchange's pipeline; NULL: not asked yet */
    /* A way of its own that a step's code has begun: what `next` of that step goes on from
     * (steps.c); NULL: it is the client's request. */
    void *onion;
    bool over; /* handles are dead */
};

/* NEXT is an onion's way inward, STREAM a body that Lua writes: they have no methods, but stand
 * behind a function. */
enum mg_handle_kind {
    MG_HANDLE_REQUEST,
    MG_HANDLE_RESPONSE,
    MG_HANDLE_NEXT,
    MG_HANDLE_STREAM,
    MG_HANDLE_HIT, /* of a cache (lib_cache.c) */
    MG_HANDLE_KINDS
};

/* User values of a handle. */
enum {
    MG_HANDLE_CTX = 1,
    MG_HANDLE_AUTH,
    MG_HANDLE_PARAMS,
    MG_HANDLE_TLS,
    MG_HANDLE_BOX,
    MG_HANDLE_VALUES = MG_HANDLE_BOX
};

struct mg_handle {
    struct mg_link link; /* in context->handles */
    struct mg_context *ctx;
    void *object; /* struct mg_request, mg_response, or what the kind is of; NULL: dead */
    int ref;      /* keeps it while the context lives */
    struct mg_body_reading *reading; /* a task is reading its body (lib_body.c); NULL: none is */
    enum mg_handle_kind kind;
};

/* The context of an exchange, made when Lua first sees it. */
struct mg_context *mg_context_of(struct mg_exchange *ex);
/* Who the client of a request is (`req.auth`), to be put back later; NULL: nobody. In the request's
 * arena. */
void *mg_context_save_identity(struct mg_exchange *ex, struct mg_request *req);
void mg_context_restore_identity(struct mg_exchange *ex, struct mg_request *req, void *saved);
/* The request at `arg`, for a walk over it. When it is a copy, it stays until the context's end:
 * the walk, and the response that comes of it, lie in the copy's memory. Steps in the walk see what
 * the caller's handle of it holds: the identity above all. Raises when it is none. */
struct mg_request *mg_context_keep_request(lua_State *L, struct mg_context *ctx, int arg);
/* What Lua knows of a request (auth, tls, the fields of ctx) holds for one that began as a copy of
 * it; see mg_script_hooks.exchange_follows. */
void mg_context_follow(struct mg_exchange *ex, struct mg_request *like, struct mg_exchange *of);
/* Ends the walks of a scope (mg_walk_cancel_scope), and the tasks that run for them. A task whose
 * code is running now goes on until it waits. */
void mg_context_cancel_scope(struct mg_context *ctx, struct mg_scope *scope);
/* Kills the handles, cancels the tasks. */
void mg_context_end(struct mg_context *ctx);

/* The context of the running task; raises outside of one, with `what` in the message. */
struct mg_context *mg_context_check(lua_State *L, const char *what);

/* The step whose code runs now; NULL: code that belongs to none. */
const struct mg_step *mg_context_step(lua_State *L);

/* Pushes the handle of an object, the same one each time. May raise a memory error. */
void mg_handle_push(lua_State *L, struct mg_context *ctx, enum mg_handle_kind kind, void *object);
/* A handle that nobody but Lua keeps: for an object in memory that goes when the value at `box` is
 * collected. Pushes it. */
struct mg_handle *mg_handle_push_loose(lua_State *L, struct mg_context *ctx,
                                       enum mg_handle_kind kind, void *object, int box);
/* The handle of an object, or NULL. */
struct mg_handle *mg_handle_find(struct mg_context *ctx, const void *object);

/* The live handle at `arg`, or an error: wrong type, or "request has ended". */
struct mg_handle *mg_handle_check(lua_State *L, int arg, enum mg_handle_kind kind);
/* The same for a request or a response. */
struct mg_handle *mg_handle_check_any(lua_State *L, int arg);
/* NULL when the value is no live handle of that kind. Never raises. */
struct mg_handle *mg_handle_peek(lua_State *L, int index, enum mg_handle_kind kind);
/* NULL when the value is no handle of that kind. Dead ones raise. */
struct mg_handle *mg_handle_test(lua_State *L, int arg, enum mg_handle_kind kind);

static inline struct mg_request *mg_handle_request(lua_State *L, int arg)
{
    return mg_handle_check(L, arg, MG_HANDLE_REQUEST)->object;
}

static inline struct mg_response *mg_handle_response(lua_State *L, int arg)
{
    return mg_handle_check(L, arg, MG_HANDLE_RESPONSE)->object;
}

/* Registers the metatables: `methods[kind]` is a list ended by {NULL, NULL}; `index` and `newindex`
 * are the field functions, called with the handle, and the field's name. Called once a state. */
struct mg_handle_type {
    const char *name; /* "moongate.Request" */
    const luaL_Reg *methods;
    const char *const *fields; /* names, NULL at the end; position is the id given to get and set */
    /* Pushes the field's value. */
    void (*get)(lua_State *L, struct mg_handle *h, int field);
    /* Sets it to the value at index 3; raises when it cannot be. */
    void (*set)(lua_State *L, struct mg_handle *h, int field);
};
void mg_handle_register(lua_State *L, enum mg_handle_kind kind, const struct mg_handle_type *type);

/* The same for those that have neither methods nor fields. */
void mg_handle_register_bare(lua_State *L);

/* Text of a string or number argument copied into the context's arena. */
struct mg_str mg_context_copy(struct mg_context *ctx, lua_State *L, int index);

#endif
