/*
 * mg.url. Results are written into luaL_Buffers and arenas that the collector owns.
 *
 * A template is read each time: it is short, and a cache of them would cost as much.
 */
#include "script/lib_url.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "base/uri.h"
#include "script/fail.h"
#include "script/table.h"

#define FIELDS_MAX 1000 /* of a query */
#define ARENA "moongate.url.arena"
#define ARENA_CHUNK 4096

static struct mg_str string_at(lua_State *L, int index)
{
    struct mg_str s;
    s.p = lua_tolstring(L, index, &s.n);
    return s;
}

static struct mg_str check_string(lua_State *L, int arg)
{
    luaL_checktype(L, arg, LUA_TSTRING);
    return string_at(L, arg);
}

/* Pushes nil and the error "`what` `fault`". */
static int push_fault(lua_State *L, const char *code, const char *what, const char *fault)
{
    lua_pushnil(L);
    lua_pushfstring(L, "%s %s", what, fault);
    mg_fail_wrap(L, code);
    return 2;
}

/* Appends `text` encoded. The mg_buf stands on room that the luaL_Buffer has prepared and that is
 * enough, so it never allocates. */
static void add_encoded(luaL_Buffer *b, struct mg_str text, enum mg_uri_part part)
{
    size_t room = 3 * text.n;
    struct mg_buf out = {.p = luaL_prepbuffsize(b, room), .room = room, .limit = room};
    mg_uri_encode(&out, text, part);
    luaL_addsize(b, out.n);
}

/* Arenas
 * ---------------------------------------------------------------------------------------------- */

struct arena_box {
    struct mg_pool pool;
    struct mg_arena arena;
};

static int arena_gc(lua_State *L)
{
    struct arena_box *box = luaL_checkudata(L, 1, ARENA);
    mg_arena_release(&box->arena);
    mg_pool_release(&box->pool);
    return 0;
}

/* Pushes an arena for the caller, which may release it early. */
static struct mg_arena *push_arena(lua_State *L)
{
    struct arena_box *box = lua_newuserdatauv(L, sizeof *box, 0);
    mg_pool_init(&box->pool, ARENA_CHUNK);
    mg_arena_init(&box->arena, &box->pool);
    luaL_setmetatable(L, ARENA);
    return &box->arena;
}

/* mg.url(template, params)
 * ---------------------------------------------------------------------------------------------- */

/* Stack slots below those of the luaL_Buffer. */
enum { TEMPLATE = 1, PARAMS, VALUE };

struct expander {
    lua_State *L;
    struct mg_str text; /* the template */
    size_t path_from;   /* where the path begins, behind a scheme and a host */
    bool in_query;      /* or in a fragment */
    char last;          /* byte that was added last */
    luaL_Buffer b;
};

static void fail(struct expander *e, struct mg_str name, const char *fault)
{
    lua_pushlstring(e->L, name.p, name.n);
    luaL_error(e->L, "mg.url: '%s': {%s} %s", e->text.p, lua_tostring(e->L, -1), fault);
}

static bool is_dots(struct mg_str segment)
{
    return mg_str_eq(segment, MG_STR(".")) || mg_str_eq(segment, MG_STR(".."));
}

/* What keeps the value from being one segment of the path, or a part of one; NULL for nothing. */
static const char *segment_fault(struct mg_str value)
{
    if (value.n == 0)
        return "is empty";
    return is_dots(value) ? "is a dot segment" : NULL;
}

/* The same for several segments. `before` is the byte they follow. */
static const char *segments_fault(struct mg_str value, char before)
{
    struct mg_str rest = value, segment;
    while (mg_str_split(&rest, '/', &segment)) {
        /* In front, it would turn the path into "//host" (RFC 3986 4.2). */
        if (segment.n == 0 && before == '/')
            return "holds an empty segment";
        if (is_dots(segment))
            return "holds a dot segment";
        before = '/';
    }
    return NULL;
}

static void add_path_value(struct expander *e, struct mg_str name, struct mg_str value, bool tail)
{
    const char *fault = tail ? segments_fault(value, e->last) : segment_fault(value);
    if (mg_str_find(value, '\0') >= 0)
        fault = "holds a NUL";
    if (fault)
        fail(e, name, fault);
    add_encoded(&e->b, value, tail ? MG_URI_PATH : MG_URI_SEGMENT);
    if (value.n > 0)
        e->last = value.p[value.n - 1];
}

/* Reads params[name] into the VALUE slot. */
static struct mg_str read_param(struct expander *e, struct mg_str name)
{
    lua_State *L = e->L;
    lua_pushlstring(L, name.p, name.n);
    lua_gettable(L, PARAMS);
    lua_replace(L, VALUE);
    switch (lua_type(L, VALUE)) {
    case LUA_TSTRING:
    case LUA_TNUMBER:
        break;
    case LUA_TNIL:
        fail(e, name, "has no value");
        break;
    default:
        fail(e, name, "is neither a string nor a number");
    }
    return string_at(L, VALUE);
}

/* `name` is what stood between the braces at `at`. */
static void add_param(struct expander *e, struct mg_str name, size_t at)
{
    struct mg_str full = name;
    bool tail = name.n > 0 && name.p[name.n - 1] == '+';
    name.n -= tail;
    if (name.n == 0)
        fail(e, full, "has no name");
    if (at < e->path_from)
        fail(e, full, "stands in the host");
    struct mg_str value = read_param(e, name);
    if (e->in_query)
        add_encoded(&e->b, value, MG_URI_QUERY);
    else
        add_path_value(e, full, value, tail);
}

static void add_literal(struct expander *e, struct mg_str text)
{
    if (text.n == 0)
        return;
    luaL_addlstring(&e->b, text.p, text.n);
    e->last = text.p[text.n - 1];
    if (mg_str_find(text, '?') >= 0 || mg_str_find(text, '#') >= 0)
        e->in_query = true;
}

static void expand(struct expander *e)
{
    size_t at = 0;
    while (at < e->text.n) {
        const char *start = e->text.p + at;
        size_t n = strcspn(start, "{}");
        add_literal(e, mg_str(start, n));
        at += n;
        if (at == e->text.n)
            return;
        size_t length = strcspn(start + n, "}");
        if (start[n] == '}' || at + length == e->text.n)
            luaL_error(e->L, "mg.url: '%s': unmatched '%c'", e->text.p, start[n]);
        add_param(e, mg_str(start + n + 1, length - 1), at);
        at += length + 1;
    }
}

/* Where the path of the template begins. */
static size_t find_path(lua_State *L, struct mg_str text)
{
    static const struct mg_str prefixes[] = {{"https://", 8}, {"http://", 7}, {"//", 2}};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (mg_str_starts(text, prefixes[i]))
            return prefixes[i].n + strcspn(text.p + prefixes[i].n, "/?#");
    if (!mg_str_starts(text, MG_STR("/")))
        luaL_error(L, "mg.url: '%s' begins with neither '/' nor http:// or https://", text.p);
    return 0;
}

/* Called as a method of the table `mg.url`. */
static int l_expand(lua_State *L)
{
    struct expander e;
    lua_remove(L, 1);
    e.L = L;
    e.in_query = false;
    e.last = '\0';
    e.text = check_string(L, TEMPLATE);
    luaL_argcheck(L, strlen(e.text.p) == e.text.n, TEMPLATE, "holds a NUL");
    lua_settop(L, PARAMS);
    if (lua_isnil(L, PARAMS)) {
        lua_newtable(L);
        lua_replace(L, PARAMS);
    } else if (lua_type(L, PARAMS) != LUA_TUSERDATA) {
        luaL_checktype(L, PARAMS, LUA_TTABLE);
    }
    lua_settop(L, VALUE);
    e.path_from = find_path(L, e.text);
    luaL_buffinit(L, &e.b);
    expand(&e);
    luaL_pushresult(&e.b);
    return 1;
}

/* Pieces
 * ---------------------------------------------------------------------------------------------- */

static int l_encode(lua_State *L)
{
    luaL_Buffer b;
    struct mg_str text = check_string(L, 1);
    luaL_buffinit(L, &b);
    add_encoded(&b, text, MG_URI_QUERY);
    luaL_pushresult(&b);
    return 1;
}

static int l_decode(lua_State *L)
{
    struct mg_str text = check_string(L, 1);
    lua_settop(L, 1);
    if (mg_str_find(text, '%') < 0)
        return 1;
    struct mg_arena *arena = push_arena(L);
    enum mg_uri_rc rc = mg_uri_decode(arena, text, false, &text);
    if (!rc)
        lua_pushlstring(L, text.p, text.n);
    mg_arena_release(arena);
    return rc ? push_fault(L, "bad_escape", "text", mg_uri_rc_text(rc)) : 1;
}

static int l_parse(lua_State *L)
{
    struct mg_uri uri;
    enum mg_uri_rc rc = mg_uri_parse(check_string(L, 1), &uri);
    if (rc)
        return push_fault(L, "bad_url", "URL", mg_uri_rc_text(rc));
    lua_createtable(L, 0, 5);
    mg_table_set_text(L, "scheme", uri.https ? MG_STR("https") : MG_STR("http"));
    mg_table_set_text(L, "host", uri.at.host);
    lua_pushinteger(L, uri.at.port);
    lua_setfield(L, -2, "port");
    mg_table_set_text(L, "path", uri.path);
    if (uri.query.p)
        mg_table_set_text(L, "query", uri.query);
    return 1;
}

/* mg.url.parse_query
 * ---------------------------------------------------------------------------------------------- */

/* The table of results is at `table`, key and value on top; pops these. Keeps the first value. */
static void keep_first(lua_State *L, int table)
{
    lua_pushvalue(L, -2);
    if (lua_rawget(L, table) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_rawset(L, table);
    } else {
        lua_pop(L, 3);
    }
}

/* The same; keeps all. */
static void keep_all(lua_State *L, int table)
{
    lua_pushvalue(L, -2);
    if (lua_rawget(L, table) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_createtable(L, 1, 0);
        lua_pushvalue(L, -3);
        lua_pushvalue(L, -2);
        lua_rawset(L, table);
    }
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_pop(L, 3);
}

/* Adds all fields to the table at `table`. NULL, or what is wrong with the query. */
static const char *add_fields(lua_State *L, int table, struct mg_arena *arena, struct mg_str query,
                              bool all)
{
    struct mg_str key, value;
    size_t count = 0;
    while (mg_uri_query_next(&query, &key, &value)) {
        if (++count > FIELDS_MAX)
            return "has more than 1000 fields";
        enum mg_uri_rc rc = mg_uri_decode(arena, key, true, &key);
        if (!rc)
            rc = mg_uri_decode(arena, value, true, &value);
        if (rc)
            return mg_uri_rc_text(rc);
        lua_pushlstring(L, key.p, key.n);
        lua_pushlstring(L, value.p, value.n);
        (all ? keep_all : keep_first)(L, table);
    }
    return NULL;
}

static int l_parse_query(lua_State *L)
{
    struct mg_str query = check_string(L, 1);
    bool all = lua_toboolean(L, 2);
    lua_settop(L, 1);
    lua_newtable(L);
    struct mg_arena *arena = push_arena(L);
    const char *fault = add_fields(L, 2, arena, query, all);
    mg_arena_release(arena);
    if (fault)
        return push_fault(L, "bad_query", "query", fault);
    lua_settop(L, 2);
    return 1;
}

/* mg.url.query
 * ---------------------------------------------------------------------------------------------- */

struct field {
    struct mg_str name;
    int at; /* in the table of names */
};

static int compare_fields(const void *a, const void *b)
{
    struct mg_str x = ((const struct field *)a)->name, y = ((const struct field *)b)->name;
    size_t n = x.n < y.n ? x.n : y.n;
    int order = n ? memcmp(x.p, y.p, n) : 0;
    return order ? order : (x.n > y.n) - (x.n < y.n);
}

/* Stack slots below those of the luaL_Buffer. */
enum { FIELDS = 1, NAMES, SORTED, FIELD, ITEM };

/* Puts a list of the keys of FIELDS at NAMES, which keeps them alive, and their order at SORTED. */
static int sort_names(lua_State *L, struct field **sorted)
{
    int count = 0;
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, FIELDS)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "mg.url.query: names are strings, got %s", luaL_typename(L, -1));
        if (++count > FIELDS_MAX)
            luaL_error(L, "mg.url.query: more than 1000 fields");
        lua_pushvalue(L, -1);
        lua_rawseti(L, NAMES, count);
    }
    *sorted = lua_newuserdatauv(L, (size_t)count * sizeof **sorted + 1, 0);
    for (int i = 0; i < count; i++) {
        lua_rawgeti(L, NAMES, i + 1);
        (*sorted)[i] = (struct field){string_at(L, -1), i + 1};
        lua_pop(L, 1);
    }
    qsort(*sorted, (size_t)count, sizeof **sorted, compare_fields);
    return count;
}

/* Appends "name=value", with the value in the ITEM slot. */
static void add_item(lua_State *L, luaL_Buffer *b, struct mg_str name)
{
    add_encoded(b, name, MG_URI_QUERY);
    luaL_addchar(b, '=');
    switch (lua_type(L, ITEM)) {
    case LUA_TSTRING:
    case LUA_TNUMBER:
        add_encoded(b, string_at(L, ITEM), MG_URI_QUERY);
        break;
    case LUA_TBOOLEAN:
        luaL_addstring(b, lua_toboolean(L, ITEM) ? "true" : "false");
        break;
    default:
        luaL_error(L, "mg.url.query: '%s': expected string, number, boolean or a list, got %s",
                   name.p, luaL_typename(L, ITEM));
    }
    luaL_addchar(b, '&');
}

/* Appends the items of the FIELD slot, which is a list, or itself the item. */
static void add_field(lua_State *L, luaL_Buffer *b, struct mg_str name)
{
    if (lua_type(L, FIELD) != LUA_TTABLE) {
        lua_copy(L, FIELD, ITEM);
        add_item(L, b, name);
        return;
    }
    lua_Integer count = (lua_Integer)lua_rawlen(L, FIELD);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, FIELD, i);
        lua_replace(L, ITEM);
        add_item(L, b, name);
    }
}

static int l_query(lua_State *L)
{
    struct field *sorted;
    luaL_Buffer b;
    luaL_checktype(L, FIELDS, LUA_TTABLE);
    lua_settop(L, FIELDS);
    int count = sort_names(L, &sorted);
    lua_settop(L, ITEM);
    luaL_buffinit(L, &b);
    for (int i = 0; i < count; i++) {
        lua_rawgeti(L, NAMES, sorted[i].at);
        lua_rawget(L, FIELDS);
        lua_replace(L, FIELD);
        add_field(L, &b, sorted[i].name);
    }
    if (luaL_bufflen(&b) > 0)
        luaL_buffsub(&b, 1); /* the last '&' */
    luaL_pushresult(&b);
    return 1;
}

void mg_lib_url_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"encode", l_encode}, {"decode", l_decode},           {"parse", l_parse},
        {"query", l_query},   {"parse_query", l_parse_query}, {NULL, NULL},
    };
    if (luaL_newmetatable(L, ARENA)) {
        lua_pushcfunction(L, arena_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, l_expand);
    lua_setfield(L, -2, "__call");
    lua_setmetatable(L, -2);
    lua_setfield(L, -2, "url");
}
