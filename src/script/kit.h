/*
 * The test kit's core: a whole gateway in simulation, inside the Lua state of a spec. One real
 * worker on a simulated loop; its clients and backends are the other ends of pair streams.
 * lua/moongate/test.lua makes the kit of it that specs see.
 *
 *     spec -> kit_client.c -> pair -> worker (http, gateway, script, upstream)
 *          <- kit_upstream.c <- pair <-
 *
 * Several gateways may be there; one runs at a time. One thread: the spec's.
 */
#ifndef MG_SCRIPT_KIT_H
#define MG_SCRIPT_KIT_H

#include <lua.h>

#include "base/buf.h"
#include "gateway/worker.h"
#include "script/guest.h"
#include "shared/stores.h"
#include "upstream/checker.h"
#include "upstream/issuers.h"

#define MG_KIT_TYPE "moongate.Kit"
/* Room of each in-memory connection and direction: small, so that back-pressure is soon felt. */
#define MG_KIT_PAIR_BYTES 16384
/* No simulation waits longer than this for anything. */
#define MG_KIT_PATIENCE_NS (1000000 * MG_SECOND)

/* What all gateways of one Lua state share. A userdata of it. */
struct mg_kit_home {
    /* Where configs are checked, and what spec code finds when it calls `mg` itself. */
    struct mg_guest base;
    struct mg_kit *active; /* the one that is built, runs or closes; NULL: none */
    lua_State *main;
};

enum mg_kit_reach { MG_KIT_REACHED, MG_KIT_REFUSED, MG_KIT_SILENT };

/* An upstream that the spec plays. */
struct mg_kit_stub {
    struct mg_str name; /* of the service, or an origin: "login.example.com:80" */
    enum mg_kit_reach reach;
};

/* A gateway. A userdata. */
struct mg_kit {
    struct mg_kit_home *home;
    struct mg_guest guest;
    struct mg_loop *loop;
    struct mg_stores stores;
    struct mg_generation *gen;
    struct mg_worker worker;
    bool worker_up;         /* `worker` is initialised */
    struct mg_agent *agent; /* the control thread's, with the same upstreams */
    struct mg_issuers *issuers;
    struct mg_checker *checker;
    bool settled; /* the keys of issuers are there, or failed to come */
    bool closing;

    struct mg_pool chunks, blocks; /* for both sides of the gateway, which are not the gateway's */
    struct mg_server upstream;     /* plays all backends; the listener's number is the stub's */
    struct mg_kit_stub *stubs;     /* in the generation's arena */
    uint32_t stub_count;
    struct mg_link plays; /* of kit_upstream.c: requests that stubs have got */
    struct mg_link dials; /* of kit_upstream.c */
    struct mg_kit_accepted
        *accepted; /* of kit_upstream.c: latest first, in the generation's arena */
    uint32_t accepted_count;
    struct mg_link redises;     /* of kit_redis.c: connections */
    uint32_t redis_connections; /* so far */
    int play_redis;             /* reference: the Lua function that plays a Redis */
    int play;                   /* reference: the Lua function that plays a stub */
    int failure; /* reference: what went wrong in the spec's own part; LUA_NOREF: nothing */

    struct mg_link calls; /* of kit_client.c: requests under way, connections */
    uint16_t last_port;   /* of a client; tells them apart */
    uint64_t random;      /* state of all that is random in it */
    struct mg_buf log;    /* all lines */
};

/* The gateway at `arg`, which is not closed. Raises. */
struct mg_kit *mg_kit_check(lua_State *L, int arg);

/* Lua functions.
 *
 * check(config, file, identity) -> checked table | nil, text: `config` is a table or a text; with
 * `identity` no step needs to provide one. new(checked, file, { seed=, play=, play_redis=, stubs =
 * { [name] = "reached" | "refused" | "silent" }, functions= }) -> gateway: `play` is called as
 * play(stub, name, request) for each request to an upstream; `functions` is a table like the
 * config, with the functions in it that are steps. Raises with the config's errors. */
int mg_kit_check_config(lua_State *L);
int mg_kit_new(lua_State *L);
void mg_kit_close(struct mg_kit *kit);

/* Runs until `*stop` (may be NULL) is true, or the clock is at `until_ns`, or nothing is left to
 * do. */
void mg_kit_run(struct mg_kit *kit, lua_State *L, uint64_t until_ns, const bool *stop);
/* Runs all that can be done without waiting. */
void mg_kit_run_present(struct mg_kit *kit, lua_State *L);
/* Runs until no request, play or background task is under way any more. */
void mg_kit_settle(struct mg_kit *kit, lua_State *L);

/* Takes the error value on top of `L` as the spec's own failure: what runs the gateway raises it.
 */
void mg_kit_fail(struct mg_kit *kit, lua_State *L);
/* Raises it, if there is one. */
void mg_kit_raise_failure(struct mg_kit *kit, lua_State *L);

/* A message as plain data: method, path, query or status; version; fields = { name, value, ... };
 * body. Unprotected callers must not mind a memory error. */
void mg_kit_push_message(lua_State *L, const struct mg_message *m, struct mg_str body);
/* The flat list { name, value, ... }; empty for NULL. */
void mg_kit_push_fields(lua_State *L, const struct mg_fields *fields);

/* The module `moongate.core`. A lua_CFunction. */
int mg_kit_open(lua_State *L);

/* --- kit_step.c: a step in front of every pipeline --- */

/* Puts it there. Before the worker is built. */
void mg_kit_step_insert(struct mg_generation *gen);
extern const struct mg_script_hooks mg_kit_step_hooks;

/* --- kit_client.c --- */

/* A request of the spec. A userdata; `refs` hold what goes with it. */
struct mg_kit_call;
/* The one whose connection has this client port, or NULL. */
struct mg_kit_call *mg_kit_client_find(struct mg_kit *kit, uint16_t port);
/* Pushes the table { auth=, params=, tls= } of what is to be set on its request handle; nil:
 * nothing. */
void mg_kit_client_push_inject(lua_State *L, const struct mg_kit_call *call);
/* Takes the value on top as what the gateway made of the request. */
void mg_kit_client_set_view(lua_State *L, struct mg_kit_call *call);
void mg_kit_client_set_touched(struct mg_kit_call *call, bool touched);
/* Cuts all of them. */
void mg_kit_client_release(struct mg_kit *kit);
/* Lua functions. */
int mg_kit_client_start(lua_State *L);
int mg_kit_client_wait(lua_State *L);
int mg_kit_client_connect(lua_State *L);
void mg_kit_client_open(lua_State *L);

/* --- kit_upstream.c --- */

/* Makes the worker's pools reach the stubs; `kit->stubs` is set. After the worker is up. */
void mg_kit_upstream_init(struct mg_kit *kit);
/* After the worker has gone. */
void mg_kit_upstream_release(struct mg_kit *kit);
/* Gives backends with names an address, as a discovery would. */
void mg_kit_upstream_publish(struct mg_generation *gen);
void mg_kit_upstream_open(lua_State *L);

/* --- kit_redis.c --- */

/* How stubs that play a Redis are called, before its name: as the services are that say where the
 * Redises of a config are. */
#define MG_KIT_REDIS "redis:"
bool mg_kit_redis_is(const struct mg_kit *kit, uint32_t stub);
/* Takes the Redis' end of a connection. */
void mg_kit_redis_accept(struct mg_kit *kit, uint32_t stub, struct mg_stream *stream);
/* Ends all. */
void mg_kit_redis_release(struct mg_kit *kit);
/* A Lua function. */
int mg_kit_redis_reach(lua_State *L);

/* --- kit_sources.c: for coverage and mutation --- */

/* Adds functions to the table on top.
 *
 * on_source(fn): from now on fn(chunk name, text) is called for each text that the sandbox
 * compiles, and may return another text to be compiled in its place.
 * built_in(name) -> the text of a Lua file that is in the program, or nil.
 * count_lines(): begins to count, in the main thread, the present one, and coroutines made from now
 * on.
 * line_counts() -> { [chunk name] = { [line] = times it ran, [-line] = calls of functions that
 * begin there; those of the chunk itself under 0 } }. Ends the counting. */
void mg_kit_sources_open(lua_State *L);

#endif
