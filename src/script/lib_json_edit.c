/* mg.json.editor. An editor owns the rules that its tree became; the collector frees both. */
#include "script/lib_json_edit.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "script/fail.h"
#include "script/json.h"

#define EDITOR "moongate.JsonEditor"
#define RULES_MAX 10000
#define OUT_KEPT ((size_t)256 << 10) /* bytes of room that an editor keeps between its runs */

struct editor {
    struct mg_pool pool;
    struct mg_arena arena; /* of the rules */
    struct mg_arena run;   /* of the values of one run */
    struct mg_buf out;
    struct mg_json_rules rules;
    size_t rule_count;
};

/* --- values --- */

static struct mg_str string_at(lua_State *L, int index)
{
    struct mg_str s;
    s.p = lua_tolstring(L, index, &s.n);
    return s;
}

/* The string as JSON, with its quotes. */
static struct mg_str quoted(struct editor *e, lua_State *L, struct mg_str s)
{
    mg_buf_reset(&e->out);
    if (!mg_json_write_string(&e->out, s))
        luaL_error(L, "mg.json.editor: string is not UTF-8");
    return mg_arena_str(&e->arena, mg_buf_str(&e->out));
}

static uint16_t check_slot(struct editor *e, lua_State *L, int index)
{
    lua_Integer slot = lua_isinteger(L, index) ? lua_tointeger(L, index) : 0;
    if (slot < 1 || slot > MG_JSON_EDIT_SLOTS)
        luaL_error(L, "mg.json.editor: a slot is an integer from 1 to %d", MG_JSON_EDIT_SLOTS);
    if ((size_t)slot > e->rules.slot_count)
        e->rules.slot_count = (size_t)slot;
    return (uint16_t)(slot - 1);
}

/* The value on top, as it will be written. */
static const struct mg_json_value *read_constant(struct editor *e, lua_State *L)
{
    struct mg_json_value *v = mg_arena_calloc(&e->arena, sizeof *v);
    struct mg_error err;
    mg_buf_reset(&e->out);
    const struct mg_json_encode_options sorted = {.sort = true};
    if (mg_json_encode(L, -1, &e->out, &sorted, &err) != MG_OK)
        luaL_error(L, "mg.json.editor: set: %s", err.text);
    v->text = mg_arena_str(&e->arena, mg_buf_str(&e->out));
    return v;
}

/* The list of texts and slots on top. */
static const struct mg_json_value *read_parts(struct editor *e, lua_State *L)
{
    luaL_argcheck(L, lua_istable(L, -1), 1, "fill: expected a list of strings and slots");
    struct mg_json_value *v = mg_arena_calloc(&e->arena, sizeof *v);
    size_t n = lua_rawlen(L, -1);
    struct mg_json_part *parts = mg_arena_calloc(&e->arena, (n + 1) * sizeof *parts);
    for (size_t i = 0; i < n; i++) {
        parts[i].slot = MG_JSON_EDIT_NO_SLOT;
        if (lua_rawgeti(L, -1, (lua_Integer)i + 1) == LUA_TSTRING) {
            struct mg_str text = quoted(e, L, string_at(L, -1));
            parts[i].text = mg_str(text.p + 1, text.n - 2);
        } else {
            parts[i].slot = check_slot(e, L, -1);
        }
        lua_pop(L, 1);
    }
    v->parts = parts;
    v->part_count = n;
    if (!n)
        v->text = MG_STR("\"\"");
    return v;
}

/* --- the tree --- */

static struct mg_json_rule *read_rule(struct editor *e, lua_State *L, unsigned depth);

static bool writes(const struct mg_json_rule *r)
{
    return r->set || r->added_count;
}

static int compare_added(const void *a, const void *b)
{
    struct mg_str x = (*(const struct mg_json_rule *const *)a)->name;
    struct mg_str y = (*(const struct mg_json_rule *const *)b)->name;
    int order = memcmp(x.p, y.p, x.n < y.n ? x.n : y.n);
    return order ? order : (x.n > y.n) - (x.n < y.n);
}

/* The rule of the node on top; several names of one object may share a node. `seen` is the index of
 * a table that knows those of this object. */
static struct mg_json_rule *read_shared(struct editor *e, lua_State *L, int seen, unsigned depth,
                                        bool *is_new)
{
    lua_pushvalue(L, -1);
    *is_new = lua_rawget(L, seen) == LUA_TNIL;
    struct mg_json_rule *rule = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (!*is_new)
        return rule;
    rule = read_rule(e, L, depth);
    lua_pushvalue(L, -1);
    lua_pushlightuserdata(L, rule);
    lua_rawset(L, seen);
    return rule;
}

static size_t count_fields(lua_State *L, int table)
{
    size_t n = 0;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1), n++)
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "mg.json.editor: fields: expected names, got a %s", luaL_typename(L, -2));
    if (n > MG_JSON_EDIT_FIELDS)
        luaL_error(L, "mg.json.editor: fields: at most %d", MG_JSON_EDIT_FIELDS);
    return n;
}

/* The table of nodes by name on top. */
static void read_fields(struct editor *e, lua_State *L, struct mg_json_rule *r, unsigned depth)
{
    int table = lua_gettop(L);
    luaL_argcheck(L, lua_istable(L, table), 1, "fields: expected a table");
    size_t n = count_fields(L, table), at = 0;
    struct mg_json_field *fields = mg_arena_calloc(&e->arena, (n + 1) * sizeof *fields);
    const struct mg_json_rule **added = mg_arena_calloc(&e->arena, (n + 1) * sizeof *added);
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        struct mg_str name = string_at(L, -2);
        bool is_new;
        struct mg_json_rule *child = read_shared(e, L, table + 1, depth + 1, &is_new);
        fields[at++] = (struct mg_json_field){mg_arena_str(&e->arena, name), child};
        if (!is_new)
            continue;
        child->index = (uint16_t)r->rule_count++;
        if (!writes(child))
            continue;
        if (!child->name.n)
            child->name = quoted(e, L, name);
        added[r->added_count++] = child;
    }
    lua_pop(L, 1);
    mg_json_rule_sort(fields, n);
    qsort(added, r->added_count, sizeof *added, compare_added);
    r->fields = fields;
    r->field_count = n;
    r->added = added;
}

/* Notes the slots that the rule and those in it capture. */
static void add_captures(const struct mg_json_rule *r, uint16_t *slots, size_t *n)
{
    if (r->capture != MG_JSON_EDIT_NO_SLOT && *n < MG_JSON_EDIT_SLOTS)
        slots[(*n)++] = r->capture;
    for (size_t i = 0; i < r->field_count; i++)
        add_captures(r->fields[i].rule, slots, n);
}

/* The node on top, which is looked at beforehand. */
static void read_look(struct editor *e, lua_State *L, struct mg_json_rule *r, unsigned depth)
{
    uint16_t slots[MG_JSON_EDIT_SLOTS];
    size_t n = 0;
    r->look = read_rule(e, L, depth + 1);
    add_captures(r->look, slots, &n);
    uint16_t *copy = mg_arena_alloc(&e->arena, (n + 1) * sizeof *copy);
    memcpy(copy, slots, n * sizeof *copy);
    r->look_slots = copy;
    r->look_slot_count = n;
}

static int check_word(lua_State *L, const char *key, const char *const *words)
{
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    for (int i = 1; words[i]; i++)
        if (strcmp(text, words[i]) == 0)
            return i;
    return luaL_error(L, "mg.json.editor: %s: unknown word", key);
}

static const char *const casts[] = {
    "",
    [MG_JSON_CAST_NUMBER] = "number",
    [MG_JSON_CAST_INTEGER] = "integer",
    [MG_JSON_CAST_STRING] = "string",
    [MG_JSON_CAST_BOOLEAN] = "boolean",
    NULL,
};

static const char *const cases[] = {
    "",
    [MG_JSON_CASE_SNAKE] = "snake",
    [MG_JSON_CASE_CAMEL] = "camel",
    [MG_JSON_CASE_KEBAB] = "kebab",
    NULL,
};

/* The entry of a node with its key and its value on top. */
static void read_entry(struct editor *e, lua_State *L, struct mg_json_rule *r, const char *key,
                       unsigned depth)
{
    if (strcmp(key, "name") == 0 && lua_type(L, -1) == LUA_TSTRING)
        r->name = quoted(e, L, string_at(L, -1));
    else if (strcmp(key, "drop") == 0)
        r->drop = lua_toboolean(L, -1);
    else if (strcmp(key, "only") == 0)
        r->only = lua_toboolean(L, -1);
    else if (strcmp(key, "absent") == 0)
        r->if_absent = lua_toboolean(L, -1);
    else if (strcmp(key, "set") == 0)
        r->set = read_constant(e, L);
    else if (strcmp(key, "fill") == 0)
        r->set = read_parts(e, L);
    else if (strcmp(key, "cast") == 0)
        r->cast = (enum mg_json_cast)check_word(L, key, casts);
    else if (strcmp(key, "capture") == 0)
        r->capture = check_slot(e, L, -1);
    else if (strcmp(key, "fields") == 0)
        read_fields(e, L, r, depth);
    else if (strcmp(key, "items") == 0)
        r->items = read_rule(e, L, depth + 1);
    else if (strcmp(key, "look") == 0)
        read_look(e, L, r, depth);
    else if (strcmp(key, "case") == 0 && depth == 0)
        e->rules.to_case = (enum mg_json_case)check_word(L, key, cases);
    else
        luaL_error(L, "mg.json.editor: wrong field '%s' in a node", key);
}

/* The node on top of the stack. In the arena. */
static struct mg_json_rule *read_rule(struct editor *e, lua_State *L, unsigned depth)
{
    int node = lua_gettop(L);
    luaL_checkstack(L, 8, "mg.json.editor");
    if (!lua_istable(L, node))
        luaL_error(L, "mg.json.editor: expected a node (a table), got a %s",
                   luaL_typename(L, node));
    if (depth > MG_JSON_EDIT_DEPTH || ++e->rule_count > RULES_MAX)
        luaL_error(L, "mg.json.editor: the tree is too %s",
                   depth > MG_JSON_EDIT_DEPTH ? "deep" : "large");
    struct mg_json_rule *r = mg_arena_calloc(&e->arena, sizeof *r);
    r->capture = MG_JSON_EDIT_NO_SLOT;
    for (lua_pushnil(L); lua_next(L, node); lua_pop(L, 1)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        read_entry(e, L, r, key, depth);
    }
    return r;
}

/* --- editors --- */

static int collect(lua_State *L)
{
    struct editor *e = luaL_checkudata(L, 1, EDITOR);
    mg_arena_release(&e->arena);
    mg_arena_release(&e->run);
    mg_buf_release(&e->out);
    mg_pool_release(&e->pool);
    return 0;
}

static int l_editor(lua_State *L)
{
    lua_settop(L, 1);
    struct editor *e = lua_newuserdatauv(L, sizeof *e, 0);
    *e = (struct editor){0};
    mg_pool_init(&e->pool, 4096);
    mg_arena_init(&e->arena, &e->pool);
    mg_arena_init(&e->run, &e->pool);
    mg_buf_init(&e->out, MG_JSON_TEXT_MAX);
    luaL_setmetatable(L, EDITOR);
    lua_pushvalue(L, 1);
    struct mg_json_rule *root = read_rule(e, L, 0);
    lua_pop(L, 1);
    if (root->drop || root->set || root->cast || root->name.n ||
        root->capture != MG_JSON_EDIT_NO_SLOT)
        return luaL_error(L,
                          "mg.json.editor: the root can have only, case, fields, items and look");
    e->rules.root = root;
    if (!mg_json_rules_finish(&e->rules))
        return luaL_error(L, "mg.json.editor: the tree is too deep");
    return 1;
}

const struct mg_json_rules *mg_lib_json_edit_rules(lua_State *L, int index)
{
    const struct editor *e = luaL_testudata(L, index, EDITOR);
    return e ? &e->rules : NULL;
}

struct mg_str *mg_lib_json_edit_values(lua_State *L, int index, const struct mg_json_rules *rules,
                                       struct mg_arena *arena)
{
    if (!lua_isnoneornil(L, index))
        luaL_checktype(L, index, LUA_TTABLE);
    if (!rules->slot_count)
        return NULL;
    struct mg_str *values = mg_arena_calloc(arena, rules->slot_count * sizeof *values);
    for (size_t i = 0; i < rules->slot_count && lua_istable(L, index); i++) {
        int type = lua_rawgeti(L, index, (lua_Integer)i + 1);
        if (type != LUA_TNIL && type != LUA_TSTRING)
            luaL_error(L, "value %d: expected string, got %s", (int)i + 1, luaL_typename(L, -1));
        if (type == LUA_TSTRING) {
            struct mg_buf text;
            mg_buf_init(&text, MG_JSON_TEXT_MAX);
            /* What is no UTF-8 cannot stand in JSON, and counts as nothing. */
            if (mg_json_write_string(&text, string_at(L, -1)) && !text.failed)
                values[i] = mg_arena_str(arena, mg_buf_str(&text));
            mg_buf_release(&text);
        }
        lua_pop(L, 1);
    }
    return values;
}

/* editor(text, values?) -> text | nil, err */
static int edit(lua_State *L)
{
    struct editor *e = luaL_checkudata(L, 1, EDITOR);
    luaL_checktype(L, 2, LUA_TSTRING);
    lua_settop(L, 3);
    mg_arena_release(&e->run); /* what a run left behind that raised */
    struct mg_str *values = mg_lib_json_edit_values(L, 3, &e->rules, &e->run);
    mg_buf_reset(&e->out);
    bool ok = mg_json_edit_text(&e->rules, values, string_at(L, 2), &e->out);
    mg_arena_release(&e->run);
    if (!ok)
        return mg_fail_push(L, MG_JSON_BAD,
                            e->out.failed ? "text too long" : "the text is no JSON");
    lua_pushlstring(L, e->out.p ? e->out.p : "", e->out.n);
    if (e->out.room > OUT_KEPT) {
        mg_buf_release(&e->out);
        mg_buf_init(&e->out, MG_JSON_TEXT_MAX);
    }
    return 1;
}

/* editor:streams() -> boolean: whether it needs no more than the bytes at hand */
static int streams(lua_State *L)
{
    const struct editor *e = luaL_checkudata(L, 1, EDITOR);
    lua_pushboolean(L, !e->rules.whole);
    return 1;
}

static void make_metatable(lua_State *L)
{
    static const luaL_Reg meta[] = {{"__call", edit}, {"__gc", collect}, {NULL, NULL}};
    if (luaL_newmetatable(L, EDITOR)) {
        luaL_setfuncs(L, meta, 0);
        lua_createtable(L, 0, 1);
        lua_pushcfunction(L, streams);
        lua_setfield(L, -2, "streams");
        lua_setfield(L, -2, "__index");
        lua_pushliteral(L, EDITOR);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
}

void mg_lib_json_edit_open(lua_State *L)
{
    make_metatable(L);
    lua_pushcfunction(L, l_editor);
    lua_setfield(L, -2, "editor");
}
