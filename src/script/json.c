/*
 * The JSON codec of policies: builds Lua values while it reads, and writes while it walks them.
 * Runs in the thread of its Lua state.
 *
 * Nothing from malloc is held in a local while Lua may raise: buffers live in a scratch userdata,
 * one for each state, kept in the registry. A finalizer that runs in the middle may call the codec
 * again; it then finds the scratch busy and makes another, which takes the place in the registry.
 * The same happens after an error has jumped out: the busy one is left to the collector.
 */
#include "script/json.h"

#include <lauxlib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "script/fail.h"

#define BATCH 32 /* items or fields held on the Lua stack before there is a table */
#define SCRATCH_KEEP ((size_t)256 << 10) /* a scratch that grew beyond gives its memory back */
#define SHOWN_KEY 40                     /* bytes of a key in an error text */

struct scratch {
    struct mg_buf buf;
    bool busy;
    bool closed; /* its finalizer ran: the state is about to go */
};

/* Keys in the registry, by address. */
static char scratch_key, null_key, array_key;

static int scratch_gc(lua_State *L)
{
    struct scratch *s = lua_touserdata(L, 1);
    s->closed = true;
    mg_buf_release(&s->buf);
    return 0;
}

static struct scratch *new_scratch(lua_State *L)
{
    struct scratch *s = lua_newuserdatauv(L, sizeof *s, 0);
    *s = (struct scratch){.busy = false};
    if (luaL_newmetatable(L, "moongate.json.scratch")) {
        lua_pushcfunction(L, scratch_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &scratch_key);
    return s;
}

/* Pushes a scratch for the caller alone, with an empty buffer. */
static struct scratch *take_scratch(lua_State *L, size_t limit)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &scratch_key);
    struct scratch *s = lua_touserdata(L, -1);
    if (s && s->closed)
        luaL_error(L, "the Lua state is closing");
    if (!s || s->busy) {
        lua_pop(L, 1);
        s = new_scratch(L);
    }
    s->busy = true;
    s->buf.limit = limit;
    mg_buf_reset(&s->buf);
    return s;
}

static void give_scratch(struct scratch *s)
{
    s->busy = false;
    if (s->buf.room > SCRATCH_KEEP)
        mg_buf_release(&s->buf);
}

/* `key` for an error text: cut short, and with '?' for what is not printable ASCII. */
static const char *shown(struct mg_str key, char out[SHOWN_KEY + 4])
{
    size_t n = key.n < SHOWN_KEY ? key.n : SHOWN_KEY;
    for (size_t i = 0; i < n; i++)
        out[i] = key.p[i] >= ' ' && key.p[i] <= '~' ? key.p[i] : '?';
    memcpy(out + n, key.n > n ? "..." : "", key.n > n ? 4 : 1);
    return out;
}

static struct mg_str string_at(lua_State *L, int index)
{
    size_t n;
    const char *p = lua_tolstring(L, index, &n);
    return mg_str(p, n);
}

/* Decode ------------------------------------------------------------ */

struct decoder {
    lua_State *L;
    int null, array_mark; /* their places on the stack */
    struct mg_json_reader r;
    char fault[SHOWN_KEY + 24]; /* for duplicate_key() */
};

static bool push_token(struct decoder *d, enum mg_json_token token);

/* Moves the `held` values on top into the array at `table` (nil as long as there is none) as the
 * items after the first `count`. Each time but the last `count + held` is a multiple of BATCH, so
 * the table's array part is full and grows by doubling even though items go in from the back. */
static void flush_items(lua_State *L, int table, lua_Integer count, int held)
{
    if (count == 0) {
        lua_createtable(L, held, 0);
        lua_replace(L, table);
    }
    for (int i = held; i > 0; i--)
        lua_rawseti(L, table, count + i);
}

static bool push_array(struct decoder *d)
{
    lua_State *L = d->L;
    luaL_checkstack(L, BATCH + 4, "json");
    lua_pushnil(L);
    int table = lua_gettop(L), held = 0;
    lua_Integer count = 0;

    enum mg_json_token token;
    while ((token = mg_json_next(&d->r)) != MG_JSON_ARRAY_END) {
        if (!push_token(d, token))
            return false;
        if (++held == BATCH) {
            flush_items(L, table, count, held);
            count += held;
            held = 0;
        }
    }
    flush_items(L, table, count, held);
    lua_pushvalue(L, d->array_mark);
    lua_setmetatable(L, table);
    return true;
}

/* Remembers keys, a bit for each, so that most can be told to be new without a look-up. */
struct key_filter {
    uint64_t bits[4];
};

/* Whether a key like this may have been there already; it now is. */
static inline bool maybe_seen(struct key_filter *f, struct mg_str key)
{
    unsigned h = (unsigned)key.n;
    if (key.n) {
        h = h * 31 + (unsigned char)key.p[0];
        h = h * 31 + (unsigned char)key.p[key.n / 2];
        h = h * 31 + (unsigned char)key.p[key.n - 1];
    }
    uint64_t bit = UINT64_C(1) << h % 64, *word = &f->bits[h / 64 % 4];
    bool seen = *word & bit;
    *word |= bit;
    return seen;
}

/* Is the key on top among the `held` pairs that begin at `first`? */
static bool is_held(lua_State *L, int first, int held)
{
    for (int i = 0; i < held; i++)
        if (lua_rawequal(L, first + 2 * i, -1))
            return true;
    return false;
}

static bool is_field(lua_State *L, int table)
{
    lua_pushvalue(L, -1);
    bool there = lua_rawget(L, table) != LUA_TNIL;
    lua_pop(L, 1);
    return there;
}

static bool duplicate_key(struct decoder *d)
{
    char key[SHOWN_KEY + 4];
    snprintf(d->fault, sizeof d->fault, "duplicate key '%s'", shown(d->r.text, key));
    mg_json_reader_refuse(&d->r, d->fault);
    return false;
}

/* Fields that come when the table is there already. */
static bool push_more_fields(struct decoder *d, int table)
{
    lua_State *L = d->L;
    enum mg_json_token token;
    while ((token = mg_json_next(&d->r)) == MG_JSON_KEY) {
        lua_pushlstring(L, d->r.text.p, d->r.text.n);
        if (is_field(L, table))
            return duplicate_key(d);
        if (!push_token(d, mg_json_next(&d->r)))
            return false;
        lua_rawset(L, table);
    }
    return token == MG_JSON_OBJECT_END;
}

/* Most objects are small: the fields wait on the stack, then the table is made in its size. */
static bool push_object(struct decoder *d)
{
    lua_State *L = d->L;
    struct key_filter seen = {{0}};
    luaL_checkstack(L, 2 * BATCH + 4, "json");
    lua_pushnil(L);
    int table = lua_gettop(L), held = 0;

    enum mg_json_token token = MG_JSON_KEY;
    while (held < BATCH && (token = mg_json_next(&d->r)) == MG_JSON_KEY) {
        bool maybe = maybe_seen(&seen, d->r.text);
        lua_pushlstring(L, d->r.text.p, d->r.text.n);
        if (maybe && is_held(L, table + 1, held))
            return duplicate_key(d);
        if (!push_token(d, mg_json_next(&d->r)))
            return false;
        held++;
    }
    if (token == MG_JSON_ERROR)
        return false;
    lua_createtable(L, 0, held);
    lua_replace(L, table);
    for (int i = 0; i < held; i++)
        lua_rawset(L, table);
    return token == MG_JSON_OBJECT_END || push_more_fields(d, table);
}

static bool push_token(struct decoder *d, enum mg_json_token token)
{
    lua_State *L = d->L;
    switch (token) {
    case MG_JSON_STRING:
        lua_pushlstring(L, d->r.text.p, d->r.text.n);
        return true;
    case MG_JSON_INTEGER:
        lua_pushinteger(L, d->r.integer);
        return true;
    case MG_JSON_FLOAT:
        lua_pushnumber(L, d->r.number);
        return true;
    case MG_JSON_TRUE:
    case MG_JSON_FALSE:
        lua_pushboolean(L, token == MG_JSON_TRUE);
        return true;
    case MG_JSON_NULL:
        lua_pushvalue(L, d->null);
        return true;
    case MG_JSON_OBJECT:
        return push_object(d);
    case MG_JSON_ARRAY:
        return push_array(d);
    default:
        return false;
    }
}

enum mg_rc mg_json_push(lua_State *L, struct mg_str text, const struct mg_json_options *o,
                        struct mg_error *err)
{
    int top = lua_gettop(L);
    luaL_checkstack(L, 8, "json");
    /* A string is not longer than its escaped form; the reader asks for four bytes more. */
    struct scratch *scratch = take_scratch(L, text.n + 4);
    struct decoder d = {.L = L, .null = top + 2, .array_mark = top + 3};
    lua_rawgetp(L, LUA_REGISTRYINDEX, &null_key);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);

    mg_json_reader_init(&d.r, text, o, &scratch->buf);
    bool ok = push_token(&d, mg_json_next(&d.r)) && mg_json_next(&d.r) == MG_JSON_END;
    give_scratch(scratch);
    if (!ok) {
        lua_settop(L, top);
        return mg_json_reader_error(&d.r, err);
    }
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
    return MG_OK;
}

/* Encode ------------------------------------------------------------ */

struct encoder {
    lua_State *L;
    struct mg_buf *out;
    const void *null, *array_mark;
    unsigned depth, depth_limit;
    bool sort, pretty;
    bool (*stands_for)(lua_State *L, int index, struct mg_json_text *out);
    struct mg_error *err;
    char path[200]; /* where it failed, from the inside out: ends at the end, begins at path_at */
    size_t path_at;
};

static bool encode_value(struct encoder *e);

static inline void put(struct mg_buf *out, char c)
{
    if (out->n < out->room)
        out->p[out->n++] = c;
    else
        mg_buf_add_char(out, c);
}

/* Puts a step in front of the path of a failure. What has no room is left out. */
static bool fail_in(struct encoder *e, const char *step)
{
    size_t n = strlen(step);
    size_t cut = n < e->path_at ? n : e->path_at;
    e->path_at -= cut;
    memcpy(e->path + e->path_at, step + n - cut, cut);
    return false;
}

static bool fail_in_item(struct encoder *e, lua_Integer i)
{
    char step[32];
    snprintf(step, sizeof step, "[%lld]", (long long)i);
    return fail_in(e, step);
}

static bool fail_in_field(struct encoder *e, struct mg_str name)
{
    char step[SHOWN_KEY + 5] = ".";
    shown(name, step + 1);
    return fail_in(e, step);
}

#define fail(e, ...) ((void)mg_error_set((e)->err, __VA_ARGS__), false)

/* The break before an item, a field or the closing bracket. */
static inline void new_line(struct encoder *e)
{
    if (!e->pretty)
        return;
    size_t indent = 2 * (size_t)e->depth;
    if (!mg_buf_reserve(e->out, indent + 1))
        return;
    e->out->p[e->out->n] = '\n';
    memset(e->out->p + e->out->n + 1, ' ', indent);
    e->out->n += indent + 1;
}

static bool encode_string(struct encoder *e, int index)
{
    if (mg_json_write_string(e->out, string_at(e->L, index)))
        return true;
    return fail(e, "string is not UTF-8");
}

static bool encode_number(struct encoder *e)
{
    lua_State *L = e->L;
    if (lua_isinteger(L, -1))
        mg_json_write_integer(e->out, lua_tointeger(L, -1));
    else if (!mg_json_write_float(e->out, lua_tonumber(L, -1)))
        return fail(e, "cannot encode a number that is not finite");
    return true;
}

/* A key that does not fit the kind of table which its first key announced. */
static bool wrong_key(struct encoder *e, int key)
{
    lua_State *L = e->L;
    char text[SHOWN_KEY + 4];
    if (lua_type(L, key) == LUA_TSTRING)
        return fail(e, "array has the field '%s'", shown(string_at(L, key), text));
    if (lua_isinteger(L, key))
        return fail(e, "object has the item %lld", (long long)lua_tointeger(L, key));
    return fail(e, "cannot encode a key of type %s", luaL_typename(L, key));
}

/* The item on top. */
static bool encode_item(struct encoder *e, lua_Integer i)
{
    if (i > 1)
        put(e->out, ',');
    new_line(e);
    return encode_value(e) || fail_in_item(e, i);
}

/* Are the keys of the table on top 1 to n? Gives n, or false after fail(). */
static bool count_items(struct encoder *e, lua_Integer *n)
{
    lua_State *L = e->L;
    lua_Integer count = 0, highest = 0;
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        if (!lua_isinteger(L, -2))
            return wrong_key(e, -2);
        lua_Integer key = lua_tointeger(L, -2);
        if (key < 1)
            return fail(e, "array has the item %lld", (long long)key);
        highest = key > highest ? key : highest;
        count++;
    }
    *n = count;
    if (count == highest)
        return true;
    lua_Integer hole = 1;
    while (lua_rawgeti(L, -1, hole) != LUA_TNIL) {
        lua_pop(L, 1);
        hole++;
    }
    return fail(e, "array has no item %lld", (long long)hole);
}

/* The items after the first `done` of the table on top, whose keys are not in order. */
static bool encode_unordered_items(struct encoder *e, lua_Integer done)
{
    lua_Integer count = 0;
    if (!count_items(e, &count))
        return false;
    for (lua_Integer i = done + 1; i <= count; i++) {
        lua_rawgeti(e->L, -1, i);
        if (!encode_item(e, i))
            return false;
        lua_pop(e->L, 1);
    }
    return true;
}

/* The table below its first key and value. Lua walks the array part of a table in order, so mostly
 * one walk both writes the items and shows that there are no other keys. */
static bool encode_items(struct encoder *e)
{
    lua_State *L = e->L;
    lua_Integer i = 0;
    do {
        if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) != i + 1) {
            lua_pop(L, 2);
            return encode_unordered_items(e, i);
        }
        if (!encode_item(e, ++i))
            return false;
        lua_pop(L, 1);
    } while (lua_next(L, -2));
    return true;
}

/* The field with its name and value on top. */
static bool encode_field(struct encoder *e, bool first)
{
    if (!first)
        put(e->out, ',');
    new_line(e);
    if (!encode_string(e, -2))
        return fail_in_field(e, string_at(e->L, -2));
    put(e->out, ':');
    if (e->pretty)
        put(e->out, ' ');
    return encode_value(e) || fail_in_field(e, string_at(e->L, -2));
}

/* The table below its first key and value. */
static bool encode_fields(struct encoder *e)
{
    lua_State *L = e->L;
    bool first = true;
    do {
        if (lua_type(L, -2) != LUA_TSTRING)
            return wrong_key(e, -2);
        if (!encode_field(e, first))
            return false;
        first = false;
        lua_pop(L, 1);
    } while (lua_next(L, -2));
    return true;
}

struct sorted_name {
    struct mg_str name; /* in the table of names */
    lua_Integer slot;   /* there */
};

static int compare_names(const void *a, const void *b)
{
    struct mg_str x = ((const struct sorted_name *)a)->name;
    struct mg_str y = ((const struct sorted_name *)b)->name;
    size_t n = x.n < y.n ? x.n : y.n;
    int order = n ? memcmp(x.p, y.p, n) : 0;
    return order ? order : (x.n > y.n) - (x.n < y.n);
}

/* Pushes a table of the names in the table on top, and a userdata with them in order; false after
 * fail(). The names stay alive in their table whatever a finalizer does to the one that they are
 * from; for the same reason that one may have got more fields than were counted. */
static bool push_names(struct encoder *e, struct sorted_name **names, size_t *count)
{
    lua_State *L = e->L;
    int table = lua_gettop(L);
    size_t room = 0, n = 0;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1))
        room++;
    lua_createtable(L, room < INT32_MAX ? (int)room : 0, 0);
    *names = lua_newuserdatauv(L, room * sizeof **names, 0);
    for (lua_pushnil(L); n < room && lua_next(L, table); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            return wrong_key(e, -2);
        (*names)[n] = (struct sorted_name){string_at(L, -2), (lua_Integer)n + 1};
        lua_pushvalue(L, -2);
        lua_rawseti(L, table + 1, (lua_Integer)++n);
    }
    lua_settop(L, table + 2);
    qsort(*names, n, sizeof **names, compare_names);
    *count = n;
    return true;
}

/* The table on top. */
static bool encode_sorted_fields(struct encoder *e)
{
    lua_State *L = e->L;
    int table = lua_gettop(L);
    struct sorted_name *names;
    size_t n = 0;
    if (!push_names(e, &names, &n))
        return false;
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, table + 1, names[i].slot);
        lua_pushvalue(L, -1);
        lua_rawget(L, table);
        if (!encode_field(e, i == 0))
            return false;
        lua_pop(L, 2);
    }
    lua_settop(L, table);
    return true;
}

static bool is_marked(lua_State *L, int index, const void *array_mark)
{
    if (!array_mark || !lua_getmetatable(L, index))
        return false;
    bool marked = lua_topointer(L, -1) == array_mark;
    lua_pop(L, 1);
    return marked;
}

/* The table on top. */
static bool encode_table(struct encoder *e)
{
    lua_State *L = e->L;
    int top = lua_gettop(L);
    /* A table reached by very many ways costs text each time, so this bounds the time as well. */
    if (e->out->failed)
        return fail(e, "text too long");
    if (e->depth == e->depth_limit)
        return fail(e, "nested deeper than %u tables", e->depth_limit);
    if (!lua_checkstack(L, 10))
        return fail(e, "not enough stack");

    bool array = is_marked(L, top, e->array_mark);
    lua_pushnil(L);
    if (!lua_next(L, top)) {
        mg_buf_add(e->out, array ? "[]" : "{}", 2);
        return true;
    }
    array = array || lua_type(L, -2) != LUA_TSTRING;
    put(e->out, array ? '[' : '{');
    e->depth++;
    bool ok;
    if (array) {
        ok = encode_items(e);
    } else if (e->sort) {
        lua_pop(L, 2);
        ok = encode_sorted_fields(e);
    } else {
        ok = encode_fields(e);
    }
    e->depth--;
    lua_settop(L, top);
    new_line(e);
    put(e->out, array ? ']' : '}');
    return ok;
}

/* Without the blanks around it, such as the line end that many programs write. */
static struct mg_str trimmed(struct mg_str s)
{
    while (s.n && (unsigned char)s.p[s.n - 1] <= ' ')
        s.n--;
    while (s.n && (unsigned char)*s.p <= ' ')
        s = mg_str(s.p + 1, s.n - 1);
    return s;
}

/* The userdata on top, which has a JSON text. It goes out without a value in between. */
static bool encode_text(struct encoder *e, const struct mg_json_text *t)
{
    struct mg_error why;
    if (!t->checked && mg_json_check(t->text, &why) != MG_OK)
        return fail(e, "not JSON: %s", why.text);
    mg_buf_add_str(e->out, trimmed(t->text));
    return true;
}

/* The value on top, which stays there. */
static bool encode_value(struct encoder *e)
{
    lua_State *L = e->L;
    struct mg_json_text text;
    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
        return encode_string(e, -1);
    case LUA_TNUMBER:
        return encode_number(e);
    case LUA_TTABLE:
        return encode_table(e);
    case LUA_TBOOLEAN:
        mg_buf_add_str(e->out, lua_toboolean(L, -1) ? MG_STR("true") : MG_STR("false"));
        return true;
    case LUA_TUSERDATA:
        if (e->stands_for && e->stands_for(L, -1, &text))
            return encode_text(e, &text);
        if (lua_touserdata(L, -1) != e->null)
            break;
        mg_buf_add_str(e->out, MG_STR("null"));
        return true;
    default:
        break;
    }
    return fail(e, "cannot encode a value of type %s", luaL_typename(L, -1));
}

enum mg_rc mg_json_encode(lua_State *L, int index, struct mg_buf *out,
                          const struct mg_json_encode_options *o, struct mg_error *err)
{
    static const struct mg_json_encode_options defaults;
    int top = lua_gettop(L);
    if (!o)
        o = &defaults;
    if (!lua_checkstack(L, 4))
        return mg_error_set(err, "not enough stack");
    unsigned limit = o->depth_limit ? o->depth_limit : MG_JSON_DEPTH;
    struct encoder e = {.L = L, .out = out, .sort = o->sort, .pretty = o->pretty, .err = err};
    e.stands_for = o->stands_for;
    e.depth_limit = limit < MG_JSON_DEPTH_MAX ? limit : MG_JSON_DEPTH_MAX;
    e.path_at = sizeof e.path;

    lua_pushvalue(L, index);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &null_key);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
    e.null = lua_touserdata(L, -2);
    e.array_mark = lua_topointer(L, -1);
    lua_settop(L, top + 1);
    bool ok = encode_value(&e);
    lua_settop(L, top);
    if (!ok) {
        size_t skip = e.path_at < sizeof e.path && e.path[e.path_at] == '.';
        int n = (int)(sizeof e.path - e.path_at - skip);
        return n ? mg_error_prefix(err, "%.*s", n, e.path + e.path_at + skip) : MG_FAIL;
    }
    return out->failed ? mg_error_set(err, "text too long") : MG_OK;
}

/* The module ------------------------------------------------------------ */

void mg_json_push_null(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &null_key);
}

bool mg_json_is_null(lua_State *L, int index)
{
    index = lua_absindex(L, index);
    mg_json_push_null(L);
    bool is = lua_rawequal(L, index, -1);
    lua_pop(L, 1);
    return is;
}

bool mg_json_is_array(lua_State *L, int index)
{
    index = lua_absindex(L, index);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
    const void *array_mark = lua_topointer(L, -1);
    lua_pop(L, 1);
    return lua_type(L, index) == LUA_TTABLE && is_marked(L, index, array_mark);
}

void mg_json_mark_array(lua_State *L, int index)
{
    index = lua_absindex(L, index);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
    lua_setmetatable(L, index);
}

static bool bool_option(lua_State *L, const char *name)
{
    if (lua_type(L, -1) != LUA_TBOOLEAN)
        luaL_error(L, "option '%s': expected boolean, got %s", name, luaL_typename(L, -1));
    return lua_toboolean(L, -1);
}

static unsigned depth_option(lua_State *L)
{
    lua_Integer depth = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : 0;
    if (depth < 1 || depth > MG_JSON_DEPTH_MAX)
        luaL_error(L, "option 'depth': expected integer from 1 to %d", MG_JSON_DEPTH_MAX);
    return (unsigned)depth;
}

/* Calls `read` for each option in the table at `index`, if there is one, with its value on top. */
static void each_option(lua_State *L, int index, bool (*read)(lua_State *, const char *, void *),
                        void *options)
{
    if (lua_isnoneornil(L, index))
        return;
    luaL_checktype(L, index, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
        if (!name || !read(L, name, options))
            luaL_error(L, "unknown option '%s'", name ? name : luaL_tolstring(L, -2, NULL));
    }
}

static bool read_decode_option(lua_State *L, const char *name, void *options)
{
    struct mg_json_options *o = options;
    if (strcmp(name, "depth") == 0) {
        o->depth_limit = depth_option(L);
        return true;
    }
    if (strcmp(name, "big") != 0)
        return false;
    const char *big = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    o->big_numbers_as_float = strcmp(big, "float") == 0;
    if (!o->big_numbers_as_float && strcmp(big, "error") != 0)
        luaL_error(L, "option 'big': expected \"float\" or \"error\"");
    return true;
}

static bool read_encode_option(lua_State *L, const char *name, void *options)
{
    struct mg_json_encode_options *o = options;
    if (strcmp(name, "sort") == 0)
        o->sort = bool_option(L, name);
    else if (strcmp(name, "pretty") == 0)
        o->pretty = bool_option(L, name);
    else if (strcmp(name, "depth") == 0)
        o->depth_limit = depth_option(L);
    else
        return false;
    return true;
}

void mg_json_check_options(lua_State *L, int index, struct mg_json_options *out)
{
    *out = (struct mg_json_options){0};
    each_option(L, index, read_decode_option, out);
}

/* json.decode(text [, {big = "float"|"error", depth = integer}]) -> value | nil, error */
static int lua_decode(lua_State *L)
{
    struct mg_json_options options;
    struct mg_error err;
    luaL_checktype(L, 1, LUA_TSTRING);
    mg_json_check_options(L, 2, &options);
    if (mg_json_push(L, string_at(L, 1), &options, &err) != MG_OK)
        return mg_fail_push(L, MG_JSON_BAD, err.text);
    return 1;
}

/* json.encode(value [, {sort = boolean, pretty = boolean, depth = integer}]) -> string | nil,
 * error */
static int lua_encode(lua_State *L)
{
    struct mg_json_encode_options options = {0};
    struct mg_error err;
    luaL_checkany(L, 1);
    each_option(L, 2, read_encode_option, &options);
    struct scratch *scratch = take_scratch(L, MG_JSON_TEXT_MAX);
    bool ok = mg_json_encode(L, 1, &scratch->buf, &options, &err) == MG_OK;
    if (ok)
        lua_pushlstring(L, scratch->buf.p, scratch->buf.n);
    give_scratch(scratch);
    return ok ? 1 : mg_fail_push(L, MG_JSON_BAD_VALUE, err.text);
}

/* json.array([table]) -> table: marks it, or a new one. A table with a metatable of its own is
 * refused. */
static int lua_array(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
    if (lua_getmetatable(L, 1) && !lua_rawequal(L, -1, 2))
        luaL_argerror(L, 1, "table has a metatable already");
    mg_json_mark_array(L, 1);
    lua_settop(L, 1);
    return 1;
}

/* json.is_array(value) -> boolean: whether it carries the mark */
static int lua_is_array(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, mg_json_is_array(L, 1));
    return 1;
}

static int null_tostring(lua_State *L)
{
    lua_pushliteral(L, "null");
    return 1;
}

/* Makes `null` and the array mark, unless the state has them. */
static void make_singletons(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &null_key) == LUA_TNIL) {
        lua_newuserdatauv(L, 0, 0);
        lua_createtable(L, 0, 2);
        lua_pushcfunction(L, null_tostring);
        lua_setfield(L, -2, "__tostring");
        lua_pushliteral(L, "moongate.json.null");
        lua_setfield(L, -2, "__name");
        lua_setmetatable(L, -2);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &null_key);
    }
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key) == LUA_TNIL) {
        lua_createtable(L, 0, 1);
        lua_pushliteral(L, "moongate.json.array");
        lua_setfield(L, -2, "__name");
        lua_rawsetp(L, LUA_REGISTRYINDEX, &array_key);
    }
    lua_pop(L, 2);
}

void mg_json_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"decode", lua_decode},     {"encode", lua_encode}, {"array", lua_array},
        {"is_array", lua_is_array}, {NULL, NULL},
    };
    luaL_checkstack(L, 8, "json");
    make_singletons(L);
    luaL_newlib(L, functions);
    mg_json_push_null(L);
    lua_setfield(L, -2, "null");
}
