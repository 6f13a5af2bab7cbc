/*
 * mg.log. A line is laid out here before base/log writes it: names are made safe, values are cut to
 * what one line can hold.
 */
#include "script/lib_log.h"

#include <lauxlib.h>
#include <stdio.h>

#include "script/lib.h"
#include "script/task.h"

#define OWN_FIELDS 16                 /* of the caller */
#define ENV_FIELDS MG_TASK_LOG_FIELDS /* of the running request */
#define KEY_MAX 64
#define VALUE_MAX 2048
/* All texts of a line, counted as they are written. The frame of the line and the names fit beside
 * it in what base/log takes. */
#define TEXT_BUDGET 12000

struct line {
    const struct mg_lib_env *env;
    struct mg_log_field fields[ENV_FIELDS + OWN_FIELDS + 1]; /* and one for fields_left_out */
    size_t count;
    char keys[OWN_FIELDS][KEY_MAX + 2];
    size_t own;
    lua_Integer left_out;
    size_t budget;
};

/* --- one line --- */

/* Whether a name stands in the line already; the first three are base/log's own. */
static bool is_taken(const struct line *line, const char *key)
{
    static const char *const fixed[] = {"time", "level", "msg", "fields_left_out"};
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        if (strcmp(key, fixed[i]) == 0)
            return true;
    for (size_t i = 0; i < line->count; i++)
        if (strcmp(key, line->fields[i].key) == 0)
            return true;
    return false;
}

static bool is_key_char(char c)
{
    return (unsigned char)(mg_lower(c) - 'a') < 26 || (unsigned char)(c - '0') < 10 || c == '_' ||
           c == '-' || c == '.';
}

/* base/log writes names as they are, so that nothing may be in them that could forge a line. */
static void copy_key(char *out, struct mg_str key)
{
    size_t n = key.n < KEY_MAX ? key.n : KEY_MAX;
    for (size_t i = 0; i < n; i++)
        out[i] = is_key_char(key.p[i]) ? key.p[i] : '_';
    out[n] = '\0';
}

/* Bytes that one takes in the line; base/log escapes controls, quotes and backslashes. */
static size_t written_size(char c)
{
    unsigned char byte = (unsigned char)c;
    if (byte == '"' || byte == '\\' || byte == '\n' || byte == '\t')
        return 2;
    return byte < 0x20 || byte == 0x7f ? 6 : 1;
}

/* As much of the text as there is room for, not cut within a character. */
static struct mg_str cut(struct line *line, struct mg_str text)
{
    size_t n = 0;
    for (; n < text.n && n < VALUE_MAX; n++) {
        size_t size = written_size(text.p[n]);
        if (size > line->budget)
            break;
        line->budget -= size;
    }
    if (n < text.n)
        while (n > 0 && ((unsigned char)text.p[n] & 0xc0) == 0x80)
            n--;
    return mg_str(text.p, n);
}

/* The value at -1 as a field of that name. Texts are views into Lua's string. */
static struct mg_log_field read_value(lua_State *L, struct line *line, const char *key)
{
    switch (lua_type(L, -1)) {
    case LUA_TBOOLEAN:
        return MG_LOG_BOOL(key, lua_toboolean(L, -1));
    case LUA_TNUMBER:
        if (lua_isinteger(L, -1))
            return MG_LOG_INT(key, lua_tointeger(L, -1));
        return MG_LOG_NUM(key, lua_tonumber(L, -1));
    }
    struct mg_str text;
    text.p = lua_tolstring(L, -1, &text.n);
    return MG_LOG_STR(key, cut(line, text));
}

/* Takes the key at -2 and the value at -1 into the line. */
static void add_field(lua_State *L, struct line *line)
{
    struct mg_str name;
    if (line->own == OWN_FIELDS) {
        line->left_out++;
        return;
    }
    name.p = lua_tolstring(L, -2, &name.n);
    char *key = line->keys[line->own++];
    copy_key(key, name);
    if (is_taken(line, key))
        memcpy(key + strlen(key), "_", 2);
    line->fields[line->count++] = mg_redact_has(&line->env->redact, name)
                                      ? MG_LOG_C(key, MG_REDACTED)
                                      : read_value(L, line, key);
}

/* Reads the table at 2. Leaves one value a field on the stack, which keeps its text alive. */
static void add_own_fields(lua_State *L, struct line *line)
{
    luaL_checkstack(L, OWN_FIELDS + 6, "mg.log");
    lua_pushnil(L);
    while (lua_next(L, 2)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "mg.log: field names are strings, got %s", luaL_typename(L, -2));
        int type = lua_type(L, -1);
        if (type != LUA_TSTRING && type != LUA_TNUMBER && type != LUA_TBOOLEAN) {
            luaL_tolstring(L, -1, NULL); /* may run a __tostring */
            lua_replace(L, -2);
        }
        bool keep = line->own < OWN_FIELDS;
        add_field(L, line);
        if (keep)
            lua_insert(L, -2);
        else
            lua_pop(L, 1);
    }
}

/* Tables have no order; a reader of many lines wants one. */
static void sort_fields(struct mg_log_field *fields, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct mg_log_field field = fields[i];
        size_t at = i;
        for (; at > 0 && strcmp(fields[at - 1].key, field.key) > 0; at--)
            fields[at] = fields[at - 1];
        fields[at] = field;
    }
}

static void add_request_fields(lua_State *L, struct line *line)
{
    const struct mg_task *t = mg_script_of(L)->current;
    if (t && t->context)
        line->count = mg_task_log_fields(t, line->fields);
}

/* The stack holds the message and the fields or nil. */
static void write_line(lua_State *L, enum mg_log_level level)
{
    struct line line;
    struct mg_str msg;
    line.env = mg_lib_env(L);
    line.count = line.own = 0;
    line.left_out = 0;
    line.budget = TEXT_BUDGET;

    msg.p = lua_tolstring(L, 1, &msg.n);
    msg = cut(&line, msg);
    add_request_fields(L, &line);
    size_t own_from = line.count;
    if (!lua_isnil(L, 2))
        add_own_fields(L, &line);
    sort_fields(line.fields + own_from, line.own);
    if (line.left_out)
        line.fields[line.count++] = MG_LOG_INT("fields_left_out", line.left_out);
    mg_log_fields(level, msg, line.fields, line.count);
}

static int log_at(lua_State *L, enum mg_log_level level)
{
    luaL_checktype(L, 1, LUA_TSTRING);
    lua_settop(L, 2);
    if (!lua_isnil(L, 2))
        luaL_checktype(L, 2, LUA_TTABLE);
    if (mg_log_enabled(level) && !mg_script_of(L)->trial)
        write_line(L, level);
    return 0;
}

static int l_debug(lua_State *L)
{
    return log_at(L, MG_LOG_DEBUG);
}

static int l_info(lua_State *L)
{
    return log_at(L, MG_LOG_INFO);
}

static int l_warn(lua_State *L)
{
    return log_at(L, MG_LOG_WARN);
}

static int l_error(lua_State *L)
{
    return log_at(L, MG_LOG_ERROR);
}

void mg_lib_log_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"debug", l_debug}, {"info", l_info}, {"warn", l_warn}, {"error", l_error}, {NULL, NULL},
    };
    luaL_newlib(L, functions);
    lua_setfield(L, -2, "log");
}
