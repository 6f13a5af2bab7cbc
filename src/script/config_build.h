/*
 * The second half of loading a config: from the table that the Lua module moongate.config has
 * checked (its shape is in lua/moongate/config/init.lua) to a generation. The table is trusted.
 */
#ifndef MG_SCRIPT_CONFIG_BUILD_H
#define MG_SCRIPT_CONFIG_BUILD_H

#include <lua.h>

#include "script/config.h"
#include "script/plan.h"

/* A C function: makes the modules that the first half needs known to the state's sandbox. */
int mg_config_open(lua_State *L);
/* The first half: has the text or table at `value` checked. Pushes the module moongate.config and
 * what its `load` gives: the checked table or nil, errors, warnings, notes. `policy` (may be NULL)
 * is asked for policies instead of mg_policies_load. May raise. */
void mg_config_check(lua_State *L, int value, const struct mg_config_source *source,
                     lua_CFunction policy);

/* What is said of a config, rendered. */
struct mg_config_report {
    struct mg_buf errors_text, warnings_text, notes_text;
    unsigned errors, warnings;
};

void mg_config_report_init(struct mg_config_report *r);
void mg_config_report_release(struct mg_config_report *r);

/* Where something stands. `file` empty: the main file; `line` 0: not known; `col` 0: where the
 * line's text begins. */
struct mg_config_place {
    struct mg_str file;
    lua_Integer line, col;
    struct mg_str path; /* "routes[0]" */
};

/* Adds "FILE:LINE:COL: PATH: MESSAGE" and the line with a mark below that column. */
void mg_config_report_error(struct mg_config_report *r, const struct mg_config_source *source,
                            const struct mg_config_place *place, struct mg_str message);
void mg_config_report_warning(struct mg_config_report *r, const struct mg_config_source *source,
                              const struct mg_config_place *place, struct mg_str message);

/* Builds from the checked table at `index`, in any state. NULL when something was added to the
 * report's errors. Never raises. */
struct mg_generation *mg_config_build(lua_State *L, int index,
                                      const struct mg_config_source *source,
                                      struct mg_config_report *report);

/* --- for the parts of it: config_build.c, config_balance.c, config_guards.c, config_routes.c,
 * config_plan.c --- */

struct mg_config_build {
    lua_State *L;
    int config; /* stack index of the checked table */
    const struct mg_config_source *source;
    struct mg_config_report *report;
    struct mg_generation *gen;
    struct mg_plan *plan;
    struct mg_buf scratch; /* for packing */
};

/* Where the line is not known it is looked for by the path. */
void mg_config_error(struct mg_config_build *b, const struct mg_config_place *place,
                     const char *format, ...) __attribute__((format(printf, 3, 4)));
void mg_config_warning(struct mg_config_build *b, const struct mg_config_place *place,
                       const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Fields of the table at `table`, copied to the generation's arena. */
struct mg_str mg_config_text(struct mg_config_build *b, int table, const char *key); /* "" : none */
uint64_t mg_config_integer(struct mg_config_build *b, int table, const char *key);   /* 0: none */
uint64_t mg_config_ns(struct mg_config_build *b, int table, const char *key); /* of seconds */
bool mg_config_flag(struct mg_config_build *b, int table, const char *key);
bool mg_config_is(struct mg_config_build *b, int table, const char *key, const char *value);
/* Pushes a table and returns how many items it has; an empty table when there is none. */
uint32_t mg_config_list(struct mg_config_build *b, int table, const char *key);
/* A list of texts as an array in the arena. */
struct mg_str *mg_config_texts(struct mg_config_build *b, int table, const char *key,
                               size_t *count);
/* What no log line shows, of the config's `log` at that stack index. In the arena. */
struct mg_redact mg_config_redact(struct mg_config_build *b, int log);
/* The text at `index` of the stack, copied; "" when it is none. */
struct mg_str mg_config_copy(struct mg_config_build *b, int index);

/* A path of the config, put below the folder of its main file unless it is absolute. In the arena.
 */
struct mg_str mg_config_path(struct mg_config_build *b, struct mg_str path);

/* Reads a file that the config names into `out`; MG_FAIL when it told the report what is wrong with
 * it, as of the path `at` of the config ("keys.main"). An empty file is wrong, too. Either way
 * `out` is the caller's, for mg_config_drop_file. */
enum mg_rc mg_config_read_file(struct mg_config_build *b, const char *at, struct mg_str file,
                               size_t max, struct mg_buf *out);
/* Wipes it: it may be a key. */
void mg_config_drop_file(struct mg_buf *text);

/* The secret of that name; n 0: it could not be read, or is not read at present. */
struct mg_str mg_config_secret(const struct mg_config_build *b, struct mg_str name);
/* Secrets of the plan. Before all that needs them. */
void mg_config_build_secrets(struct mg_config_build *b);

/* How the running gateway is talked to, and what it shows. After the secrets. */
void mg_config_build_admin(struct mg_config_build *b);
/* Sets what the generation made of the checked table at `config` has to show: `shown`, as
 * moongate.config.show has it, and `hash`. Fields are sorted, so that equal configs have equal
 * hashes; no secret is in it, so the hash gives none away. MG_FAIL: there is something in it that
 * JSON has not. May raise: the buffer must survive that. */
enum mg_rc mg_config_show(lua_State *L, int config, struct mg_generation *g, struct mg_buf *scratch,
                          struct mg_error *err) MG_MUST_CHECK;

/* The access log. */
void mg_config_build_access(struct mg_config_build *b);

/* Keys of the plan. After the secrets. */
void mg_config_build_keys(struct mg_config_build *b);

/* TLS of the listener, or of the service or other peer at `path`, at that stack index; with a
 * reference for the caller; NULL: it has none. What is wrong goes to the report. */
struct mg_tls_server_settings *mg_config_build_listen_tls(struct mg_config_build *b, int listen,
                                                          uint32_t i);
struct mg_tls_client_settings *mg_config_build_client_tls(struct mg_config_build *b, int table,
                                                          struct mg_str path);

/* Redises, and the services where they are. After those for requests, whose array has room. */
void mg_config_build_redises(struct mg_config_build *b);

/* What protects the service at that stack index. */
void mg_config_build_guards(struct mg_config_build *b, int service, struct mg_guards_config *c);
/* How the service at that stack index chooses among its backends. Texts are in the arena. */
void mg_config_build_balance(struct mg_config_build *b, int service, struct mg_service_config *c);

/* Of the service at that stack index, in the arena; NULL: it has none. */
const struct mg_check *mg_config_build_check(struct mg_config_build *b, int service);

/* Definitions of the caches; those that steps use are opened when the steps are built. Before the
 * routes. */
void mg_config_build_caches(struct mg_config_build *b);
/* Routes with their pipelines, the router, and plan->steps. The services are there. */
void mg_config_build_routes(struct mg_config_build *b);
/* The rest of the plan. */
void mg_config_build_plan(struct mg_config_build *b);

#endif
