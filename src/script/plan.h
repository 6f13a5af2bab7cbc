/*
 * What every worker needs of a config to build its Lua state: the steps with their checked configs,
 * where policies lie, secrets, dictionaries. Made once by the control thread (config.c), immutable,
 * part of the generation (mg_generation.script).
 */
#ifndef MG_SCRIPT_PLAN_H
#define MG_SCRIPT_PLAN_H

#include "base/redact.h"
#include "base/str.h"
#include "gateway/generation.h"
#include "shared/dicts.h"
#include "shared/token_cache.h"
#include "upstream/keyring.h"

enum mg_plan_kind {
    MG_PLAN_POLICY,   /* a module: `policy` names it, `conf` is its packed config */
    MG_PLAN_LUA,      /* inline text: `source` returns what `new` returns */
    MG_PLAN_FUNCTION, /* a function in a .lua config file: found again by running that file */
    MG_PLAN_NATIVE,   /* C runs it: Lua only asks its `when` */
};

struct mg_plan_step {
    const struct mg_step *step; /* name, id, path */
    enum mg_plan_kind kind;
    struct mg_str policy;
    uint8_t native_flags;     /* MG_PLAN_NATIVE: MG_STEP_HAS_... */
    struct mg_str conf;       /* packed by mg_pack; n 0: none */
    struct mg_str mounts;     /* packed: where in conf each of step->inner stands; n 0: none */
    struct mg_str source;     /* MG_PLAN_LUA: text */
    struct mg_str chunk_name; /* MG_PLAN_LUA: NUL-terminated, such as "@moongate.yaml" */
    uint32_t line;            /* MG_PLAN_LUA: where the text begins in that file; 0: unknown */
    struct mg_str when;       /* expression; n 0: always */
    const struct mg_condition *condition; /* the same without Lua; NULL: that is needed */
    struct mg_str route;                  /* name; empty for none */
    struct mg_str service;                /* name; empty for none */
    bool in_on_error;                     /* the step stands in a route's on_error */
    struct mg_str file;                   /* where the step stands: for messages */
    uint32_t at_line, at_col;             /* of its name in that file; 0: unknown */
    struct mg_str via; /* the path of the `use` that brought it here; empty: none did */
};

/* Where a route stands: for messages. */
struct mg_plan_place {
    struct mg_str file, path;
    uint32_t line, col; /* 0: unknown */
};

struct mg_plan_secret {
    struct mg_str name, value;
    bool limited; /* mg.secret gives it only to steps of these policies, or with these ids */
    const struct mg_str *policies;
    size_t policy_count;
};

struct mg_plan_keys {
    struct mg_str name;
    struct mg_keyring *ring; /* a ref; NULL: not read, since nothing is going to run */
};

struct mg_plan_dict {
    struct mg_str name;
    size_t bytes;
};

/* All strings in the generation's arena. */
struct mg_plan {
    struct mg_plan_step *steps; /* by step index */
    uint32_t step_count;
    struct mg_plan_place *route_places; /* by route index */
    struct mg_str *paths; /* lua.path, absolute or relative to the working directory */
    uint32_t path_count;
    struct mg_plan_secret *secrets;
    uint32_t secret_count;
    bool secrets_optional; /* values may be missing (n 0), since nothing is going to run */
    struct mg_plan_keys *keys;
    uint32_t key_count;
    struct mg_token_cache *tokens; /* of the process; borrowed; NULL: none */
    struct mg_str consumers;       /* packed by mg_pack: the list of the config; n 0: none */
    struct mg_plan_dict *dict_sizes;
    uint32_t dict_count;
    struct mg_redact redact;   /* log.redact */
    struct mg_dicts *dicts;    /* of the process; borrowed */
    struct mg_str config_file; /* a .lua config: its name and text, to find functions in */
    struct mg_str config_text;
    struct mg_guest *guest; /* simulation: where the Lua state is a guest; NULL: it has its own */
};

#endif
