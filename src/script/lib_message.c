/* Header fields as Lua sees them. Names and values are checked here, so that nothing can split a
 * message. */
#include "script/lib_message.h"

#include "base/uri.h"

/* Fields that one message may hold, so that a loop in a policy cannot fill the memory. */
#define FIELDS_MAX 1000
/* Fields of a table that are put in order. */
#define SORTED_MAX 32

struct mg_message *mg_lib_message_of(const struct mg_handle *h)
{
    return h->kind == MG_HANDLE_REQUEST ? ((struct mg_request *)h->object)->msg
                                        : ((struct mg_response *)h->object)->msg;
}

bool mg_lib_message_is_json(const struct mg_message *m)
{
    const struct mg_field *f = mg_fields_get(&m->fields, MG_FIELD_CONTENT_TYPE);
    struct mg_str type = f ? mg_field_value(f) : MG_STR_NONE, plus = MG_STR("+json");
    ptrdiff_t end = mg_str_find(type, ';');
    if (end >= 0)
        type.n = (size_t)end;
    type = mg_str_trim(type);
    return mg_str_ieq(type, MG_STR("application/json")) || mg_str_ieq(type, MG_STR("text/json")) ||
           (type.n > plus.n && mg_str_ieq(mg_str(type.p + type.n - plus.n, plus.n), plus));
}

static struct mg_str check_str(lua_State *L, int arg)
{
    size_t n;
    const char *p = luaL_checklstring(L, arg, &n);
    return mg_str(p, n);
}

/* Fields that belong to the connection are the gateway's own business. */
static bool is_ours(enum mg_field_id id)
{
    switch (id) {
    case MG_FIELD_CONNECTION:
    case MG_FIELD_CONTENT_LENGTH:
    case MG_FIELD_HTTP2_SETTINGS:
    case MG_FIELD_KEEP_ALIVE:
    case MG_FIELD_PROXY_CONNECTION:
    case MG_FIELD_TE:
    case MG_FIELD_TRANSFER_ENCODING:
    case MG_FIELD_UPGRADE:
        return true;
    default:
        return false;
    }
}

/* A name of a header that policies may set, and its id. */
struct name {
    struct mg_str text;
    enum mg_field_id id;
};

static struct name check_name(lua_State *L, int arg)
{
    struct name name = {.text = check_str(L, arg)};
    name.id = mg_field_id(name.text);
    /* A known name is a token. */
    if (name.id == MG_FIELD_OTHER && (name.text.n > 1024 || !mg_is_token(name.text)))
        luaL_error(L, "not a header name: '%s'", name.text.n > 64 ? "..." : name.text.p);
    if (is_ours(name.id))
        luaL_error(L, "header '%s' is set by the gateway itself", name.text.p);
    return name;
}

/* The value at `index` as text, for a field of that name; numbers as Lua writes them, whole floats
 * without ".0". */
static struct mg_str check_value(lua_State *L, int index, struct mg_str name)
{
    lua_Integer whole;
    switch (lua_type(L, index)) {
    case LUA_TNUMBER:
        if (!lua_isinteger(L, index) && lua_numbertointeger(lua_tonumber(L, index), &whole) &&
            (lua_Number)whole == lua_tonumber(L, index)) {
            lua_pushinteger(L, whole);
            lua_replace(L, index);
        }
        break;
    case LUA_TSTRING:
        break;
    case LUA_TBOOLEAN:
        lua_pushstring(L, lua_toboolean(L, index) ? "true" : "false");
        lua_replace(L, index);
        break;
    default:
        luaL_error(L, "%s: header value: expected string or number, got %s", name.p,
                   luaL_typename(L, index));
    }
    size_t n;
    const char *p = lua_tolstring(L, index, &n);
    struct mg_str value = mg_str_trim(mg_str(p, n));
    if (!mg_is_field_value(value))
        luaL_error(L,
                   "%s: header value has a line break, NUL or another control character; take it "
                   "out, or encode the value (mg.url.encode)",
                   name.p);
    return value;
}

/* --- reading --- */

static bool push_field(lua_State *L, const struct mg_handle *h, struct mg_str name)
{
    struct mg_str value;
    if (!mg_message_field(mg_lib_message_of(h), name, h->ctx->arena, &value))
        return false;
    lua_pushlstring(L, value.p, value.n);
    return true;
}

int mg_lib_message_header(lua_State *L)
{
    struct mg_handle *h = mg_handle_check_any(L, 1);
    if (!push_field(L, h, check_str(L, 2)))
        lua_pushnil(L);
    return 1;
}

int mg_lib_message_header_values(lua_State *L)
{
    struct mg_handle *h = mg_handle_check_any(L, 1);
    struct mg_str name = check_str(L, 2);
    const struct mg_fields *fields = &mg_lib_message_of(h)->fields;
    lua_Integer n = 0;
    lua_newtable(L);
    for (struct mg_field *f = mg_fields_find(fields, name); f; f = mg_fields_next(fields, f)) {
        lua_pushlstring(L, f->value, f->value_len);
        lua_rawseti(L, -2, ++n);
    }
    if (n == 0 && push_field(L, h, name)) /* Host or Content-Length */
        lua_rawseti(L, -2, 1);
    return 1;
}

/* for name, value in req:headers() */
static int next_header(lua_State *L)
{
    struct mg_handle *h = mg_handle_check_any(L, lua_upvalueindex(1));
    lua_Integer at = lua_tointeger(L, lua_upvalueindex(2));
    const struct mg_message *m = mg_lib_message_of(h);
    lua_pushinteger(L, at + 1);
    lua_replace(L, lua_upvalueindex(2));
    if (at == 0) {
        if (h->kind == MG_HANDLE_REQUEST && m->authority.n) {
            lua_pushliteral(L, "Host");
            lua_pushlstring(L, m->authority.p, m->authority.n);
            return 2;
        }
        lua_pushinteger(L, ++at + 1);
        lua_replace(L, lua_upvalueindex(2));
    }
    if (at - 1 >= m->fields.n)
        return 0;
    const struct mg_field *f = &m->fields.v[at - 1];
    lua_pushlstring(L, f->name, f->name_len);
    lua_pushlstring(L, f->value, f->value_len);
    return 2;
}

int mg_lib_message_headers(lua_State *L)
{
    mg_handle_check_any(L, 1);
    lua_pushvalue(L, 1);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, next_header, 2);
    return 1;
}

/* --- writing --- */

static struct mg_message *check_writable(lua_State *L, const struct mg_handle *h)
{
    struct mg_message *m = mg_lib_message_of(h);
    if (h->kind == MG_HANDLE_RESPONSE && h->ctx->ex && h->ctx->ex->answered)
        luaL_error(L, "the response's headers have left already");
    if (m->fields.n >= FIELDS_MAX)
        luaL_error(L, "too many header fields");
    return m;
}

/* Known names are static, others are copied. */
static struct mg_str lasting_name(const struct mg_handle *h, struct name name)
{
    return name.id != MG_FIELD_OTHER ? mg_field_name(name.id)
                                     : mg_arena_str(h->ctx->arena, name.text);
}

static bool may_have_trailers(const struct mg_handle *h)
{
    const struct mg_body *body = h->kind == MG_HANDLE_REQUEST
                                     ? ((struct mg_request *)h->object)->body
                                     : ((struct mg_response *)h->object)->body;
    return body && body->length != 0;
}

/* A step has the last word on what it writes: nothing of it comes as a trailer any more. */
static void settle(const struct mg_handle *h, struct mg_message *m, struct name name)
{
    if (may_have_trailers(h))
        mg_message_settle(m, lasting_name(h, name));
}

/* The same where it puts something in place of what was there. */
static void replace(const struct mg_handle *h, struct mg_message *m, struct name name,
                    struct mg_str value)
{
    struct mg_str lasting = lasting_name(h, name);
    if (h->kind == MG_HANDLE_REQUEST) {
        mg_request_set_field(h->object, name.id, lasting, value);
    } else {
        mg_fields_set_known(&m->fields, h->ctx->arena, name.id, lasting, value);
        settle(h, m, name);
    }
}

static void set_host(lua_State *L, struct mg_message *m, struct mg_str value)
{
    struct mg_uri_authority at;
    if (mg_uri_parse_authority(value, false, &at) != MG_URI_OK)
        luaL_error(L, "header Host: not a host name");
    m->authority = value;
}

/* Adds or sets one value at `index`. */
static void put(lua_State *L, struct mg_handle *h, struct name name, int index, bool in_place)
{
    struct mg_message *m = check_writable(L, h);
    struct mg_arena *arena = h->ctx->arena;
    struct mg_str value = mg_arena_str(arena, check_value(L, index, name.text));
    if (name.id == MG_FIELD_HOST && h->kind == MG_HANDLE_REQUEST) {
        set_host(L, m, value);
    } else if (in_place) {
        replace(h, m, name, value);
    } else {
        mg_fields_add_known(&m->fields, arena, name.id, lasting_name(h, name), value);
        settle(h, m, name);
    }
}

static void put_list(lua_State *L, struct mg_handle *h, struct name name, int index)
{
    lua_Integer n = luaL_len(L, index);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_geti(L, index, i);
        put(L, h, name, lua_gettop(L), false);
        lua_pop(L, 1);
    }
}

static void remove_field(lua_State *L, struct mg_handle *h, struct name name)
{
    struct mg_message *m = check_writable(L, h);
    if (h->kind == MG_HANDLE_REQUEST) {
        mg_request_remove_field(h->object, lasting_name(h, name));
    } else {
        mg_fields_remove(&m->fields, name.text);
        settle(h, m, name);
    }
}

int mg_lib_message_set_header(lua_State *L)
{
    struct mg_handle *h = mg_handle_check_any(L, 1);
    struct name name = check_name(L, 2);
    lua_settop(L, 3);
    if (lua_isnil(L, 3)) {
        remove_field(L, h, name);
    } else if (lua_istable(L, 3)) {
        remove_field(L, h, name);
        put_list(L, h, name, 3);
    } else {
        put(L, h, name, 3, true);
    }
    return 0;
}

int mg_lib_message_add_header(lua_State *L)
{
    struct mg_handle *h = mg_handle_check_any(L, 1);
    struct name name = check_name(L, 2);
    lua_settop(L, 3);
    if (lua_istable(L, 3))
        put_list(L, h, name, 3);
    else
        put(L, h, name, 3, false);
    return 0;
}

int mg_lib_message_del_header(lua_State *L)
{
    struct mg_handle *h = mg_handle_check_any(L, 1);
    remove_field(L, h, check_name(L, 2));
    return 0;
}

static void add_one(lua_State *L, struct mg_context *ctx, struct mg_message *m, struct mg_str name)
{
    struct mg_str value = mg_arena_str(ctx->arena, check_value(L, lua_gettop(L), name));
    if (mg_str_ieq(name, MG_STR("host")))
        m->authority = value;
    else
        mg_fields_add(&m->fields, ctx->arena, mg_arena_str(ctx->arena, name), value);
}

static bool comes_before(const struct mg_field *a, const struct mg_field *b)
{
    uint16_t n = a->name_len < b->name_len ? a->name_len : b->name_len;
    int order = memcmp(a->name, b->name, n);
    return order < 0 || (order == 0 && a->name_len < b->name_len);
}

/* Fields from `first` on came out of a table, which has no order of its own; a response should look
 * the same each time, unless sorting were work. Values of one name stay as they are. */
static void sort_fields(struct mg_fields *fields, uint16_t first)
{
    if (fields->n - first > SORTED_MAX)
        return;
    for (uint16_t i = first; i < fields->n; i++) {
        struct mg_field field = fields->v[i];
        uint16_t at = i;
        for (; at > first && comes_before(&field, &fields->v[at - 1]); at--)
            fields->v[at] = fields->v[at - 1];
        fields->v[at] = field;
    }
}

void mg_lib_message_add_table(lua_State *L, int index, struct mg_context *ctx, struct mg_message *m)
{
    if (lua_isnoneornil(L, index))
        return;
    luaL_checktype(L, index, LUA_TTABLE);
    index = lua_absindex(L, index);
    uint16_t first = m->fields.n;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "headers: expected names as keys, got a %s", luaL_typename(L, -2));
        struct mg_str name = check_name(L, lua_gettop(L) - 1).text;
        if (!lua_istable(L, -1)) {
            add_one(L, ctx, m, name);
            continue;
        }
        lua_Integer n = luaL_len(L, -1);
        for (lua_Integer i = 1; i <= n; i++) {
            lua_geti(L, -1, i);
            add_one(L, ctx, m, name);
            lua_pop(L, 1);
        }
    }
    sort_fields(&m->fields, first);
}
