/*
 * Lua data as bytes. One Lua state, its thread.
 *
 * A value is a tag and what belongs to it. A table is the count of its array and the items, then
 * the count of the other entries with key and value each. Numbers are in the machine's own form.
 */
#include "script/pack.h"

#include <lauxlib.h>
#include <limits.h>

#include "script/json.h"

enum tag {
    TAG_NIL = 1,
    TAG_FALSE,
    TAG_TRUE,
    TAG_INTEGER,
    TAG_FLOAT,
    TAG_STRING,
    TAG_TABLE,
    TAG_NULL,
    TAG_ARRAY, /* a table with the mark of an array */
};

#define STACK_PER_LEVEL 4

/* --- packing --- */

struct packer {
    lua_State *L;
    struct mg_buf *out;
    struct mg_error *err;
    unsigned depth;
};

static bool pack_value(struct packer *p, int index);

static void put_u32(struct mg_buf *out, uint32_t v)
{
    mg_buf_add(out, &v, sizeof v);
}

static bool pack_string(struct packer *p, int index)
{
    size_t n;
    const char *s = lua_tolstring(p->L, index, &n);
    if (n > INT_MAX) {
        mg_error_set(p->err, "string too long");
        return false;
    }
    mg_buf_add_char(p->out, TAG_STRING);
    put_u32(p->out, (uint32_t)n);
    mg_buf_add(p->out, s, n);
    return true;
}

static void pack_number(struct packer *p, int index)
{
    if (lua_isinteger(p->L, index)) {
        lua_Integer i = lua_tointeger(p->L, index);
        mg_buf_add_char(p->out, TAG_INTEGER);
        mg_buf_add(p->out, &i, sizeof i);
    } else {
        lua_Number n = lua_tonumber(p->L, index);
        mg_buf_add_char(p->out, TAG_FLOAT);
        mg_buf_add(p->out, &n, sizeof n);
    }
}

/* Puts the key on top of the stack in front of the error: "[3]", ".name". */
static void blame(struct packer *p)
{
    if (!p->err)
        return;
    struct mg_error old = *p->err;
    const char *joint = old.text[0] == '.' || old.text[0] == '[' ? "" : ": ";
    if (lua_type(p->L, -1) == LUA_TSTRING)
        mg_error_set(p->err, ".%s%s%s", lua_tostring(p->L, -1), joint, old.text);
    else if (lua_isinteger(p->L, -1))
        mg_error_set(p->err, "[%lld]%s%s", (long long)lua_tointeger(p->L, -1), joint, old.text);
}

static bool pack_array(struct packer *p, int table, lua_Integer count)
{
    put_u32(p->out, (uint32_t)count);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(p->L, table, i);
        bool ok = pack_value(p, -1);
        lua_pop(p->L, 1);
        if (!ok) {
            lua_pushinteger(p->L, i - 1); /* as configs count */
            blame(p);
            lua_pop(p->L, 1);
            return false;
        }
    }
    return true;
}

/* Is the key on the stack one of the array part's, which ends at `count`? */
static bool in_array(lua_State *L, int key, lua_Integer count)
{
    return lua_isinteger(L, key) && lua_tointeger(L, key) >= 1 && lua_tointeger(L, key) <= count;
}

static bool pack_map(struct packer *p, int table, lua_Integer array_count)
{
    uint32_t count = 0;
    size_t count_at = p->out->n;
    put_u32(p->out, 0);
    lua_pushnil(p->L);
    while (lua_next(p->L, table)) {
        if (!in_array(p->L, -2, array_count)) {
            count++;
            if (!pack_value(p, -2) || !pack_value(p, -1)) {
                lua_pop(p->L, 1);
                blame(p);
                lua_pop(p->L, 1);
                return false;
            }
        }
        lua_pop(p->L, 1);
    }
    if (!p->out->failed)
        memcpy(p->out->p + count_at, &count, sizeof count);
    return true;
}

static bool pack_table(struct packer *p, int index)
{
    int table = lua_absindex(p->L, index);
    lua_Unsigned count = lua_rawlen(p->L, table);
    if (p->depth == MG_PACK_DEPTH_MAX || !lua_checkstack(p->L, STACK_PER_LEVEL)) {
        mg_error_set(p->err, "nested deeper than %d levels", MG_PACK_DEPTH_MAX);
        return false;
    }
    if (count > INT_MAX) {
        mg_error_set(p->err, "too many items");
        return false;
    }
    p->depth++;
    mg_buf_add_char(p->out, mg_json_is_array(p->L, table) ? TAG_ARRAY : TAG_TABLE);
    bool ok = pack_array(p, table, (lua_Integer)count) && pack_map(p, table, (lua_Integer)count);
    p->depth--;
    return ok;
}

static bool is_null(lua_State *L, int index)
{
    return lua_touserdata(L, index) == NULL || mg_json_is_null(L, index);
}

static bool pack_value(struct packer *p, int index)
{
    if (p->out->failed)
        return false;
    switch (lua_type(p->L, index)) {
    case LUA_TNIL:
        mg_buf_add_char(p->out, TAG_NIL);
        return true;
    case LUA_TBOOLEAN:
        mg_buf_add_char(p->out, lua_toboolean(p->L, index) ? TAG_TRUE : TAG_FALSE);
        return true;
    case LUA_TNUMBER:
        pack_number(p, index);
        return true;
    case LUA_TSTRING:
        return pack_string(p, index);
    case LUA_TTABLE:
        return pack_table(p, index);
    default:
        if (lua_isuserdata(p->L, index) && is_null(p->L, index)) {
            mg_buf_add_char(p->out, TAG_NULL);
            return true;
        }
        mg_error_set(p->err, "cannot hold a %s", luaL_typename(p->L, index));
        return false;
    }
}

bool mg_pack(lua_State *L, int index, struct mg_buf *out, struct mg_error *err)
{
    struct packer p = {.L = L, .out = out, .err = err};
    int top = lua_gettop(L);
    mg_error_set(err, "larger than %zu bytes", out->limit);
    if (!lua_checkstack(L, STACK_PER_LEVEL)) {
        mg_error_set(err, "not enough stack");
        return false;
    }
    bool ok = pack_value(&p, lua_absindex(L, index)) && !out->failed;
    lua_settop(L, top);
    if (!ok && err && err->text[0] == '.')
        memmove(err->text, err->text + 1, strlen(err->text));
    return ok;
}

/* --- unpacking --- */

struct unpacker {
    lua_State *L;
    struct mg_str left;
    unsigned depth;
};

static bool unpack_value(struct unpacker *u);

static bool take(struct unpacker *u, void *out, size_t n)
{
    if (u->left.n < n)
        return false;
    memcpy(out, u->left.p, n);
    u->left = mg_str(u->left.p + n, u->left.n - n);
    return true;
}

/* A count of things that take at least a byte each. */
static bool take_count(struct unpacker *u, uint32_t *out)
{
    return take(u, out, sizeof *out) && *out <= u->left.n && *out <= INT_MAX;
}

static bool unpack_string(struct unpacker *u)
{
    uint32_t n;
    if (!take_count(u, &n))
        return false;
    lua_pushlstring(u->L, u->left.p, n);
    u->left = mg_str(u->left.p + n, u->left.n - n);
    return true;
}

static bool unpack_entries(struct unpacker *u, uint32_t count)
{
    while (count--) {
        if (!unpack_value(u))
            return false;
        /* NaN is no key either. */
        if (lua_isnil(u->L, -1) ||
            (lua_type(u->L, -1) == LUA_TNUMBER && !lua_rawequal(u->L, -1, -1)))
            return false;
        if (!unpack_value(u))
            return false;
        lua_rawset(u->L, -3);
    }
    return true;
}

static bool unpack_table(struct unpacker *u)
{
    uint32_t items, entries;
    if (u->depth == MG_PACK_DEPTH_MAX || !take_count(u, &items))
        return false;
    luaL_checkstack(u->L, STACK_PER_LEVEL, "config");
    u->depth++;
    lua_createtable(u->L, (int)items, 0);
    for (uint32_t i = 1; i <= items; i++) {
        if (!unpack_value(u))
            return false;
        lua_rawseti(u->L, -2, i);
    }
    if (!take_count(u, &entries) || !unpack_entries(u, entries))
        return false;
    u->depth--;
    return true;
}

static bool unpack_array(struct unpacker *u)
{
    if (!unpack_table(u))
        return false;
    mg_json_mark_array(u->L, -1);
    return true;
}

static void push_null(lua_State *L)
{
    mg_json_push_null(L);
    if (!lua_isnil(L, -1))
        return;
    lua_pop(L, 1);
    lua_pushlightuserdata(L, NULL);
}

static bool unpack_number(struct unpacker *u, enum tag tag)
{
    lua_Integer i;
    lua_Number n;
    if (tag == TAG_INTEGER) {
        if (!take(u, &i, sizeof i))
            return false;
        lua_pushinteger(u->L, i);
    } else {
        if (!take(u, &n, sizeof n))
            return false;
        lua_pushnumber(u->L, n);
    }
    return true;
}

static bool unpack_value(struct unpacker *u)
{
    char tag;
    if (!take(u, &tag, 1))
        return false;
    switch (tag) {
    case TAG_NIL:
        lua_pushnil(u->L);
        return true;
    case TAG_FALSE:
    case TAG_TRUE:
        lua_pushboolean(u->L, tag == TAG_TRUE);
        return true;
    case TAG_NULL:
        push_null(u->L);
        return true;
    case TAG_INTEGER:
    case TAG_FLOAT:
        return unpack_number(u, (enum tag)tag);
    case TAG_STRING:
        return unpack_string(u);
    case TAG_TABLE:
        return unpack_table(u);
    case TAG_ARRAY:
        return unpack_array(u);
    default:
        return false;
    }
}

enum mg_rc mg_unpack(lua_State *L, struct mg_str bytes)
{
    struct unpacker u = {.L = L, .left = bytes};
    int top = lua_gettop(L);
    luaL_checkstack(L, STACK_PER_LEVEL, "config");
    if (unpack_value(&u) && u.left.n == 0)
        return MG_OK;
    lua_settop(L, top);
    return MG_FAIL;
}
