/* Bodies as Lua sees them: whole, in pieces, replaced or rewritten. Worker thread. */
#ifndef MG_SCRIPT_LIB_BODY_H
#define MG_SCRIPT_LIB_BODY_H

#include "script/context.h"

/* Methods that requests and responses share. */
int mg_lib_body_text(lua_State *L);
int mg_lib_body_content(lua_State *L);
int mg_lib_body_json(lua_State *L);
int mg_lib_body_chunks(lua_State *L);
int mg_lib_body_set_body(lua_State *L);
int mg_lib_body_set_json(lua_State *L);
int mg_lib_body_transform(lua_State *L);

#define MG_LIB_BODY_METHODS                                                                        \
    {"text", mg_lib_body_text}, {"content", mg_lib_body_content}, {"json", mg_lib_body_json},      \
        {"chunks", mg_lib_body_chunks}, {"set_body", mg_lib_body_set_body},                        \
        {"set_json", mg_lib_body_set_json},                                                        \
    {                                                                                              \
        "transform", mg_lib_body_transform                                                         \
    }

/* The word for a body that broke, as err.code has it. */
const char *mg_lib_body_error_code(const struct mg_body *b, bool request);

/* Encodes the value at `index` as JSON into the arena; raises when it cannot be. In it a response
 * whose body is in memory stands for that body, which goes out as it came. */
struct mg_str mg_lib_body_encode_json(lua_State *L, int index, struct mg_context *ctx);
/* The same at the end of `out`, or MG_FAIL. Never raises. */
enum mg_rc mg_lib_body_add_json(lua_State *L, int index, struct mg_buf *out,
                                struct mg_error *err) MG_MUST_CHECK;

#endif
