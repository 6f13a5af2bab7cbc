/* Options of mg.fetch and its kin. Worker thread. */
#include "script/call_options.h"

#include "base/uri.h"
#include "http/target.h"
#include "script/lib_body.h"
#include "script/lib_message.h"
#include "script/table.h"

#define RETRIES_MAX 15

/* --- single options --- */

uint64_t mg_call_seconds(lua_State *L, int index, const char *what, const char *name)
{
    int is_number;
    lua_Number s = lua_tonumberx(L, index, &is_number);
    if (!is_number || !(s > 0) || s > 86400.0 * 365)
        luaL_error(L, "%s: %s must be a number of seconds above 0", what, name);
    return (uint64_t)(s * 1e9);
}

static struct mg_str text_option(lua_State *L, struct mg_context *ctx, const char *what,
                                 const char *name)
{
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "%s: %s: expected string, got %s", what, name, luaL_typename(L, -1));
    return mg_context_copy(ctx, L, -1);
}

/* What policies put into a path often comes from clients: nothing in it may change what is asked,
 * or whom. */
static void check_path(lua_State *L, const char *what, struct mg_str path)
{
    struct mg_str rest, query, segment;
    if (path.n == 0 || path.p[0] != '/')
        luaL_error(L, "%s: path must begin with '/'", what);
    if (!mg_target_split(path, &rest, &query))
        luaL_error(L, "%s: path must be percent-encoded (mg.url escapes values)", what);
    while (mg_str_split(&rest, '/', &segment)) {
        struct mg_str plain = segment;
        char decoded[8];
        size_t n = 0;
        if (segment.n <= 6 && mg_uri_path_decode(segment, decoded, &n) == MG_URI_OK)
            plain = mg_str(decoded, n);
        if (mg_str_eq(plain, MG_STR("..")) || mg_str_eq(plain, MG_STR(".")))
            luaL_error(L, "%s: path must not have '.' or '..' segments", what);
    }
}

static void set_path(lua_State *L, struct mg_context *ctx, const char *what,
                     struct mg_call_options *o)
{
    struct mg_str path = text_option(L, ctx, what, "path");
    check_path(L, what, path);
    ptrdiff_t query = mg_str_find(path, '?');
    o->request.path = query < 0 ? path : mg_str(path.p, (size_t)query);
    if (query >= 0)
        o->request.query = mg_str(path.p + query + 1, path.n - (size_t)query - 1);
}

static void set_method(lua_State *L, struct mg_context *ctx, const char *what,
                       struct mg_call_options *o)
{
    o->request.method = text_option(L, ctx, what, "method");
    if (!mg_is_token(o->request.method))
        luaL_error(L, "%s: method: not a method", what);
    o->request.method_id = mg_method_id(o->request.method);
    if (o->request.method_id == MG_METHOD_CONNECT) /* it asks for a tunnel, and names no path */
        luaL_error(L, "%s: method cannot be CONNECT", what);
}

/* `name=value` for the value on top, which is taken off. */
static void add_query_value(lua_State *L, struct mg_context *ctx, const char *what,
                            struct mg_buf *all, struct mg_str name)
{
    if (!lua_isstring(L, -1))
        luaL_error(L, "%s: query: expected strings or numbers, or lists of them", what);
    struct mg_str value =
        mg_uri_encode_arena(ctx->arena, mg_context_copy(ctx, L, -1), MG_URI_QUERY);
    mg_buf_printf(all, "%s%.*s=%.*s", all->n ? "&" : "", MG_STR_ARGS(name), MG_STR_ARGS(value));
    lua_pop(L, 1);
}

/* The value on top, or each of its items. */
static void add_query_values(lua_State *L, struct mg_context *ctx, const char *what,
                             struct mg_buf *all, struct mg_str name)
{
    if (!lua_istable(L, -1)) {
        add_query_value(L, ctx, what, all, name);
        return;
    }
    for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++)
        add_query_value(L, ctx, what, all, name);
    lua_pop(L, 2);
}

/* A string as it is, or a table of names and values. */
static void set_query(lua_State *L, struct mg_context *ctx, const char *what,
                      struct mg_call_options *o)
{
    struct mg_arena *arena = ctx->arena;
    if (!lua_istable(L, -1)) {
        o->request.query = text_option(L, ctx, what, "query");
        if (!mg_target_is_query(o->request.query))
            luaL_error(L, "%s: query must be percent-encoded; or give a table", what);
        return;
    }
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "%s: query: expected names as keys, got a %s", what,
                       luaL_typename(L, -2));
    struct mg_instances *instances = ctx->wg->script;
    struct mg_buf *all = &instances->scratch;
    mg_buf_reset(all);
    mg_table_push_keys(L, -1); /* in order: a backend, or its cache, sees the same text each time */
    for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
        struct mg_str k = mg_uri_encode_arena(arena, mg_context_copy(ctx, L, -1), MG_URI_QUERY);
        lua_rawget(L, -3);
        add_query_values(L, ctx, what, all, k);
    }
    lua_pop(L, 2);
    if (all->failed)
        luaL_error(L, "%s: query is too large", what);
    o->request.query = all->n ? mg_arena_str(arena, mg_buf_str(all)) : MG_STR_NONE;
}

static void set_body(lua_State *L, struct mg_context *ctx, const char *what,
                     struct mg_call_options *o)
{
    o->body = text_option(L, ctx, what, "body");
    o->has_body = true;
}

static void set_json(lua_State *L, struct mg_context *ctx, struct mg_call_options *o)
{
    o->body = mg_lib_body_encode_json(L, -1, ctx);
    o->has_body = true;
    if (!mg_fields_get(&o->request.fields, MG_FIELD_CONTENT_TYPE))
        mg_fields_add_id(&o->request.fields, ctx->arena, MG_FIELD_CONTENT_TYPE,
                         MG_STR("application/json"));
}

static void set_headers(lua_State *L, struct mg_context *ctx, const char *what,
                        struct mg_call_options *o)
{
    if (!lua_istable(L, -1))
        luaL_error(L, "%s: headers: expected table, got %s", what, luaL_typename(L, -1));
    mg_lib_message_add_table(L, -1, ctx, &o->request);
}

/* Copies fields of the client's request. */
static void pass_headers(lua_State *L, struct mg_context *ctx, const char *what,
                         struct mg_call_options *o)
{
    if (!lua_istable(L, -1))
        luaL_error(L, "%s: pass: expected a list of header names", what);
    lua_Integer n = luaL_len(L, -1);
    for (lua_Integer i = 1; i <= n && ctx->req; i++) {
        size_t len;
        lua_geti(L, -1, i);
        const char *p = luaL_checklstring(L, -1, &len);
        struct mg_str name = mg_str(p, len);
        const struct mg_fields *theirs = &ctx->req->msg->fields;
        for (struct mg_field *f = mg_fields_find(theirs, name); f; f = mg_fields_next(theirs, f))
            mg_fields_add(&o->request.fields, ctx->arena, mg_str(f->name, f->name_len),
                          mg_field_value(f));
        lua_pop(L, 1);
    }
}

static uint32_t read_retries(lua_State *L, const char *what)
{
    int is_integer;
    lua_Integer n = lua_tointegerx(L, -1, &is_integer);
    if (!is_integer || n < 0 || n > RETRIES_MAX)
        luaL_error(L, "%s: retries must be an integer from 0 to %d", what, RETRIES_MAX);
    return (uint32_t)n;
}

/* --- accept --- */

/* 404, or a range such as 200-299; false: neither. */
static bool parse_statuses(struct mg_str text, uint64_t *first, uint64_t *last)
{
    ptrdiff_t dash = mg_str_find(text, '-');
    struct mg_str from = dash < 0 ? text : mg_str(text.p, (size_t)dash);
    struct mg_str to = dash < 0 ? text : mg_str(text.p + dash + 1, text.n - (size_t)dash - 1);
    return mg_str_to_u64(from, 599, first) && mg_str_to_u64(to, 599, last) && *first >= 100 &&
           *first <= *last;
}

/* Word by word: this is read for each call. */
static void add_statuses(struct mg_call_options *o, unsigned first, unsigned last)
{
    for (unsigned word = first / 64; word <= last / 64; word++) {
        uint64_t bits = UINT64_MAX;
        if (word == first / 64)
            bits &= UINT64_MAX << first % 64;
        if (word == last / 64)
            bits &= UINT64_MAX >> (63 - last % 64);
        o->statuses[word] |= bits;
    }
}

static void check_accept(lua_State *L, const char *what, bool ok)
{
    if (!ok)
        luaL_error(L, "%s: accept: expected \"any\" or statuses such as \"200-299, 404\"", what);
}

/* "any", or statuses and ranges of them: "200-299, 404". */
static void set_accept(lua_State *L, const char *what, struct mg_call_options *o)
{
    struct mg_str rest = MG_STR_NONE, item;
    check_accept(L, what, lua_type(L, -1) == LUA_TSTRING);
    rest.p = lua_tolstring(L, -1, &rest.n);
    if (mg_str_eq(rest, MG_STR("any"))) {
        o->accept = MG_CALL_ACCEPT_ANY;
        return;
    }
    check_accept(L, what, rest.n > 0);
    o->accept = MG_CALL_ACCEPT_LISTED;
    while (mg_str_split(&rest, ',', &item)) {
        uint64_t first = 0, last = 0;
        check_accept(L, what, parse_statuses(mg_str_trim(item), &first, &last));
        add_statuses(o, (unsigned)first, (unsigned)last);
    }
}

bool mg_call_refuses(const struct mg_call_options *o, unsigned status, bool strict)
{
    if (o->accept == MG_CALL_ACCEPT_LISTED)
        return status > 599 || !(o->statuses[status / 64] >> status % 64 & 1);
    return strict && o->accept == MG_CALL_ACCEPT_DEFAULT && status >= 500;
}

static void read_option(lua_State *L, struct mg_context *ctx, const char *what, const char *key,
                        struct mg_call_options *o)
{
    if (strcmp(key, "path") == 0)
        set_path(L, ctx, what, o);
    else if (strcmp(key, "method") == 0)
        set_method(L, ctx, what, o);
    else if (strcmp(key, "headers") == 0)
        set_headers(L, ctx, what, o);
    else if (strcmp(key, "body") == 0)
        set_body(L, ctx, what, o);
    else if (strcmp(key, "timeout") == 0)
        o->timeout_ns = mg_call_seconds(L, -1, what, "timeout");
    else if (strcmp(key, "retries") == 0)
        o->retries = read_retries(L, what);
    else if (strcmp(key, "stream") == 0)
        o->stream = lua_toboolean(L, -1);
    else if (strcmp(key, "optional") == 0)
        o->optional = lua_toboolean(L, -1);
    else if (strcmp(key, "accept") == 0)
        set_accept(L, what, o);
    else if (strcmp(key, "query") != 0 && strcmp(key, "json") != 0 && strcmp(key, "pass") != 0)
        luaL_error(L, "%s: unknown option '%s'", what, key);
}

static void read_options(lua_State *L, int index, struct mg_context *ctx, const char *what,
                         struct mg_call_options *o)
{
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
        if (lua_type(L, -2) == LUA_TSTRING)
            read_option(L, ctx, what, lua_tostring(L, -2), o);
        else if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) != 1)
            luaL_error(L, "%s: expected { service, path = ... }", what);
    /* After the others: a query given apart wins over one in the path, a content type over JSON's;
     * what is passed on stands behind what the step has set. */
    if (lua_getfield(L, index, "query") != LUA_TNIL)
        set_query(L, ctx, what, o);
    lua_pop(L, 1);
    if (lua_getfield(L, index, "json") != LUA_TNIL)
        set_json(L, ctx, o);
    lua_pop(L, 1);
    if (lua_getfield(L, index, "pass") != LUA_TNIL)
        pass_headers(L, ctx, what, o);
    lua_pop(L, 1);
}

/* --- whom --- */

static void read_target(lua_State *L, int index, struct mg_context *ctx, const char *what,
                        struct mg_call_options *o)
{
    if (lua_type(L, index) != LUA_TSTRING)
        luaL_error(L, "%s: expected the name of a service or a URL, got %s", what,
                   luaL_typename(L, index));
    struct mg_str name = mg_context_copy(ctx, L, index);
    int32_t service = mg_generation_service(ctx->wg->gen, name);
    if (service != MG_NO_SERVICE) {
        o->picker = &ctx->wg->pickers[service];
        return;
    }
    struct mg_uri uri;
    enum mg_uri_rc rc = mg_uri_parse(name, &uri);
    if (rc == MG_URI_BAD_SCHEME || rc == MG_URI_NOT_ABSOLUTE)
        luaL_error(L, "%s: there is no service '%s'", what, name.p);
    if (rc != MG_URI_OK)
        luaL_error(L, "%s: bad URL: %s", what, mg_uri_rc_text(rc));
    struct mg_str path, query;
    if (!mg_target_split(uri.path, &path, &query) || !mg_target_is_query(uri.query))
        luaL_error(L, "%s: bad URL: %s", what, mg_uri_rc_text(MG_URI_BAD_BYTE));
    struct mg_error err;
    struct mg_instances *all = ctx->wg->script;
    o->adhoc = mg_adhoc_get(&all->adhocs, &uri, &err);
    if (!o->adhoc)
        luaL_error(L, "%s: %s", what, err.text);
    o->picker = &o->adhoc->picker;
    o->request.authority = uri.authority;
    o->request.path = uri.path;
    o->request.query = uri.query;
}

void mg_call_options_read(lua_State *L, int service_index, int options_index,
                          struct mg_context *ctx, const char *what, struct mg_call_options *o)
{
    mg_message_init(&o->request, ctx->arena);
    o->request.method = MG_STR("GET");
    o->request.method_id = MG_METHOD_GET;
    o->request.scheme = MG_STR("http");
    o->request.path = MG_STR("/");
    o->request.version = 11;
    read_target(L, service_index, ctx, what, o);
    if (lua_isnil(L, options_index))
        return;
    luaL_checktype(L, options_index, LUA_TTABLE);
    luaL_checkstack(L, 12, NULL);
    read_options(L, options_index, ctx, what, o);
}

struct mg_str mg_call_options_target(const struct mg_call_options *o, struct mg_arena *arena)
{
    struct mg_str base = mg_service_config(o->picker->service)->base_path;
    const struct mg_message *m = &o->request;
    if (base.n == 0)
        return MG_STR_NONE;
    return mg_arena_printf(arena, "%.*s%.*s%s%.*s", MG_STR_ARGS(base), MG_STR_ARGS(m->path),
                           m->query.p ? "?" : "", MG_STR_ARGS(m->query));
}
