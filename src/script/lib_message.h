/* What requests and responses share in Lua: header fields. Worker thread. */
#ifndef MG_SCRIPT_LIB_MESSAGE_H
#define MG_SCRIPT_LIB_MESSAGE_H

#include "script/context.h"

/* header, header_values, set_header, add_header, del_header, headers: for a handle's list of
 * methods. */
int mg_lib_message_header(lua_State *L);
int mg_lib_message_header_values(lua_State *L);
int mg_lib_message_set_header(lua_State *L);
int mg_lib_message_add_header(lua_State *L);
int mg_lib_message_del_header(lua_State *L);
int mg_lib_message_headers(lua_State *L);

#define MG_LIB_MESSAGE_METHODS                                                                     \
    {"header", mg_lib_message_header}, {"header_values", mg_lib_message_header_values},            \
        {"set_header", mg_lib_message_set_header}, {"add_header", mg_lib_message_add_header},      \
        {"del_header", mg_lib_message_del_header},                                                 \
    {                                                                                              \
        "headers", mg_lib_message_headers                                                          \
    }

/* Adds the fields of the Lua table at `index` (values: string, number, boolean or a list of them)
 * to a message that is being made; nil and none add nothing. Raises for what is no header. */
void mg_lib_message_add_table(lua_State *L, int index, struct mg_context *ctx,
                              struct mg_message *m);

/* Is its content type application/json, text/json, or something that ends in +json (RFC 6839 3.1)?
 */
bool mg_lib_message_is_json(const struct mg_message *m);

/* The message behind a handle. */
struct mg_message *mg_lib_message_of(const struct mg_handle *h);

#endif
