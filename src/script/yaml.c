/*
 * libyaml's events made into Lua values. Control thread, and command line.
 *
 * Lua may raise a memory error at nearly every line here, so all that libyaml owns lives in one
 * userdata, whose __gc frees it. Two sorts of faults: a broken text ends the parse, a wrong node
 * (duplicate key, foreign tag, number out of range) is noted, null stands in for it, and the parse
 * goes on.
 *
 * Stack while parsing: what reader_new() left at its four fixed places, then for each open
 * container its anchor's name or nil, value, positions of values, positions of keys.
 */
#include "script/yaml.h"

#include <lauxlib.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <yaml.h>

#define READER_TYPE "moongate.yaml.reader"
#define CORE_TAG "tag:yaml.org,2002:"
#define LUA_SLOTS_PER_LEVEL 12

struct reader {
    lua_State *L;
    yaml_parser_t parser;
    yaml_event_t event; /* the one at hand; zeroed when none */
    struct mg_str text; /* borrowed from the Lua stack */
    bool live;          /* parser needs yaml_parser_delete */
    unsigned nodes;     /* so far, aliases' contents included */
    unsigned errors;
    int positions, anchors, errors_at; /* stack indexes */
};

/* What a finished node costs whoever names it again. */
struct extent {
    unsigned nodes;
    unsigned height; /* levels of containers, 0 for a scalar */
};

static int reader_gc(lua_State *L)
{
    struct reader *r = lua_touserdata(L, 1);
    if (r->live) {
        yaml_event_delete(&r->event);
        yaml_parser_delete(&r->parser);
        r->live = false;
    }
    return 0;
}

static lua_Integer pack(size_t line, size_t column)
{
    const size_t column_max = 0xFFFFF;
    return (lua_Integer)((line + 1) << 20 | (column < column_max ? column + 1 : column_max));
}

static lua_Integer pack_mark(const yaml_mark_t *mark)
{
    return pack(mark->line, mark->column);
}

/* Notes a fault. Always false, for `return fault(...)`. */
static bool fault(struct reader *r, lua_Integer where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool fault(struct reader *r, lua_Integer where, const char *format, ...)
{
    if (r->errors == MG_YAML_MAX_ERRORS)
        return false;
    /* lua_pushfstring knows too few formats, and a key may be long. */
    char message[256];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);

    lua_State *L = r->L;
    lua_createtable(L, 0, 3);
    lua_pushstring(L, message);
    lua_setfield(L, -2, "message");
    lua_pushinteger(L, where >> 20);
    lua_setfield(L, -2, "line");
    lua_pushinteger(L, where & 0xFFFFF);
    lua_setfield(L, -2, "col");
    lua_rawseti(L, r->errors_at, ++r->errors);
    return false;
}

/* The reader (bytes to characters) fails at an offset, not at a mark. */
static lua_Integer offset_position(struct mg_str text, size_t offset)
{
    size_t line = 0, column = 0;
    for (size_t i = 0; i < offset && i < text.n; i++) {
        if (text.p[i] == '\n') {
            line++;
            column = 0;
        } else if ((text.p[i] & 0xC0) != 0x80) {
            column++;
        }
    }
    return pack(line, column);
}

static bool syntax_fault(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    const char *problem = p->problem ? p->problem : "out of memory";
    if (p->error == YAML_READER_ERROR)
        return fault(r, offset_position(r->text, p->problem_offset), "%s", problem);
    lua_Integer where = pack_mark(&p->problem_mark);
    if (!p->context)
        return fault(r, where, "%s", problem);
    if (p->context_mark.line == p->problem_mark.line)
        return fault(r, where, "%s %s", problem, p->context);
    return fault(r, where, "%s %s that began at line %zu", problem, p->context,
                 p->context_mark.line + 1);
}

static bool next_event(struct reader *r)
{
    yaml_event_delete(&r->event);
    return yaml_parser_parse(&r->parser, &r->event) || syntax_fault(r);
}

/* --- scalars
 * ------------------------------------------------------------------------------------------- */

static void push_null(lua_State *L)
{
    lua_pushlightuserdata(L, NULL);
}

static bool is_one_of(const char *s, const char *const words[3])
{
    return strcmp(s, words[0]) == 0 || strcmp(s, words[1]) == 0 || strcmp(s, words[2]) == 0;
}

static bool is_null(const char *s)
{
    static const char *const words[3] = {"null", "Null", "NULL"};
    return *s == 0 || strcmp(s, "~") == 0 || is_one_of(s, words);
}

static bool is_true(const char *s)
{
    static const char *const words[3] = {"true", "True", "TRUE"};
    return is_one_of(s, words);
}

static bool is_false(const char *s)
{
    static const char *const words[3] = {"false", "False", "FALSE"};
    return is_one_of(s, words);
}

static const char *skip(const char *s, const char *set)
{
    return s + strspn(s, set);
}

static const char DIGITS[] = "0123456789";

static bool is_sign(char c)
{
    return c == '+' || c == '-';
}

static bool is_decimal(const char *s)
{
    s += is_sign(*s);
    return *s && !*skip(s, DIGITS);
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?  (YAML 1.2.2, 10.3.2) */
static bool is_float(const char *s)
{
    s += is_sign(*s);
    const char *whole = s, *fraction;
    s = fraction = skip(s, DIGITS);
    if (*s == '.') {
        s = skip(++fraction, DIGITS);
        if (s == fraction && fraction - whole == 1)
            return false;
    } else if (s == whole) {
        return false;
    }
    if (*s == 'e' || *s == 'E') {
        s++;
        s += is_sign(*s);
        if (!strchr(DIGITS, *s) || !*s)
            return false;
        s = skip(s, DIGITS);
    }
    return *s == 0;
}

/* Digits of a base that is a power of two. False when 63 bits are too few. */
static bool digits_value(const char *s, unsigned bits, lua_Integer *out)
{
    lua_Unsigned v = 0;
    for (; *s; s++) {
        if (v >> (63 - bits))
            return false;
        unsigned digit = *s <= '9' ? (unsigned)(*s - '0') : (unsigned)(mg_lower(*s) - 'a') + 10;
        v = v << bits | digit;
    }
    *out = (lua_Integer)v;
    return true;
}

static bool too_large(struct reader *r, const char *s)
{
    fault(r, pack_mark(&r->event.start_mark),
          "number %.40s is out of range, quote it if it is text", s);
    push_null(r->L);
    return true;
}

/* Pushes the number that `s` writes, or pushes nothing and returns false. */
static bool push_number(struct reader *r, const char *s)
{
    static const char *const inf[3] = {".inf", ".Inf", ".INF"};
    static const char *const nan[3] = {".nan", ".NaN", ".NAN"};
    lua_State *L = r->L;
    bool octal = s[0] == '0' && s[1] == 'o' && s[2] && !*skip(s + 2, "01234567");
    bool hex = s[0] == '0' && s[1] == 'x' && s[2] && !*skip(s + 2, "0123456789abcdefABCDEF");
    if (octal || hex) {
        lua_Integer v;
        if (!digits_value(s + 2, octal ? 3 : 4, &v))
            return too_large(r, s);
        lua_pushinteger(L, v);
    } else if (is_decimal(s)) {
        /* Lua reads what overflows as a float; an id that loses its last digits helps nobody. */
        lua_stringtonumber(L, s);
        if (!lua_isinteger(L, -1)) {
            lua_pop(L, 1);
            return too_large(r, s);
        }
    } else if (is_float(s)) {
        lua_stringtonumber(L, s);
    } else if (is_one_of(s + is_sign(*s), inf)) {
        lua_pushnumber(L, *s == '-' ? -(lua_Number)HUGE_VAL : (lua_Number)HUGE_VAL);
    } else if (is_one_of(s, nan)) {
        lua_pushnumber(L, (lua_Number)NAN);
    } else {
        return false;
    }
    return true;
}

/* Pushes what the core schema makes of a plain scalar; false, with nothing pushed, for a string. */
static bool push_resolved(struct reader *r, const char *s)
{
    if (is_null(s))
        push_null(r->L);
    else if (is_true(s))
        lua_pushboolean(r->L, 1);
    else if (is_false(s))
        lua_pushboolean(r->L, 0);
    else
        return push_number(r, s);
    return true;
}

/* The part of `tag` after the core prefix, or NULL. */
static const char *core_tag(const char *tag)
{
    size_t n = sizeof CORE_TAG - 1;
    return strncmp(tag, CORE_TAG, n) == 0 ? tag + n : NULL;
}

static void tag_fault(struct reader *r, const char *tag)
{
    const char *name = core_tag(tag);
    fault(r, pack_mark(&r->event.start_mark), "tag '%s%.60s' is not known", name ? "!!" : "",
          name ? name : tag);
}

static void push_tagged(struct reader *r, const char *tag, const char *s, size_t n)
{
    lua_State *L = r->L;
    const char *name = core_tag(tag);
    if (name && strcmp(name, "str") == 0) {
        lua_pushlstring(L, s, n);
        return;
    }
    bool fits = false;
    if (name && strcmp(name, "null") == 0)
        fits = is_null(s);
    else if (name && strcmp(name, "bool") == 0)
        fits = is_true(s) || is_false(s);
    else if (name && strcmp(name, "int") == 0)
        fits = is_decimal(s) || (s[0] == '0' && (s[1] == 'o' || s[1] == 'x'));
    else if (name && strcmp(name, "float") == 0)
        fits = !is_null(s) && !is_true(s) && !is_false(s);
    else {
        tag_fault(r, tag);
        push_null(L);
        return;
    }
    if (fits && push_resolved(r, s))
        return;
    fault(r, pack_mark(&r->event.start_mark), "'%.40s' is no %s", s, name);
    push_null(L);
}

static void push_scalar(struct reader *r)
{
    const char *s = (const char *)r->event.data.scalar.value;
    const char *tag = (const char *)r->event.data.scalar.tag;
    size_t n = r->event.data.scalar.length;
    if (memchr(s, 0, n)) {
        fault(r, pack_mark(&r->event.start_mark), "a string must not hold a NUL character");
        push_null(r->L);
    } else if (tag) {
        push_tagged(r, tag, s, n);
    } else if (r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE || !push_resolved(r, s)) {
        lua_pushlstring(r->L, s, n);
    }
}

/* --- nodes
 * --------------------------------------------------------------------------------------------- */

static bool push_node(struct reader *r, unsigned depth, struct extent *extent);

static bool count_nodes(struct reader *r, unsigned n)
{
    r->nodes += n;
    return r->nodes <= MG_YAML_MAX_NODES ||
           fault(r, pack_mark(&r->event.start_mark), "more than %u values", MG_YAML_MAX_NODES);
}

static bool check_depth(struct reader *r, unsigned depth)
{
    return depth <= MG_YAML_MAX_DEPTH || fault(r, pack_mark(&r->event.start_mark),
                                               "nested deeper than %u levels", MG_YAML_MAX_DEPTH);
}

/* anchors[name] = { value, nodes, height }; a container is entered when it is complete, so none can
 * hold itself. */
static void remember_anchor(struct reader *r, int name, int value, struct extent extent)
{
    lua_State *L = r->L;
    lua_createtable(L, 3, 0);
    lua_pushvalue(L, value);
    lua_rawseti(L, -2, 1);
    lua_pushinteger(L, extent.nodes);
    lua_rawseti(L, -2, 2);
    lua_pushinteger(L, extent.height);
    lua_rawseti(L, -2, 3);
    lua_pushvalue(L, name);
    lua_insert(L, -2);
    lua_rawset(L, r->anchors);
}

static bool push_alias(struct reader *r, unsigned depth, struct extent *extent)
{
    lua_State *L = r->L;
    const char *name = (const char *)r->event.data.alias.anchor;
    lua_pushstring(L, name);
    if (lua_rawget(L, r->anchors) == LUA_TNIL) {
        fault(r, pack_mark(&r->event.start_mark), "no anchor '%.60s' before this alias", name);
        lua_pop(L, 1);
        push_null(L);
        *extent = (struct extent){1, 0};
        return true;
    }
    lua_rawgeti(L, -1, 2);
    lua_rawgeti(L, -2, 3);
    extent->nodes = (unsigned)lua_tointeger(L, -2);
    extent->height = (unsigned)lua_tointeger(L, -1);
    lua_pop(L, 2);
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
    return count_nodes(r, extent->nodes) && check_depth(r, depth + extent->height);
}

/* Pushes value, positions of values, positions of keys, and enters them in the positions. */
static void open_container(struct reader *r, bool list)
{
    lua_State *L = r->L;
    lua_newtable(L);
    lua_newtable(L);
    lua_newtable(L);
    lua_pushvalue(L, -3);
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, pack_mark(&r->event.start_mark));
    lua_setfield(L, -2, "self");
    if (list) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, "list");
    }
    lua_pushvalue(L, -4);
    lua_setfield(L, -2, "value");
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "key");
    lua_rawset(L, r->positions);
}

static void grow(struct extent *whole, struct extent part)
{
    whole->nodes += part.nodes;
    if (whole->height < part.height + 1)
        whole->height = part.height + 1;
}

static bool fill_list(struct reader *r, unsigned depth, struct extent *extent)
{
    lua_State *L = r->L;
    const int value = lua_gettop(L) - 2, at = value + 1;
    for (lua_Integer i = 1;; i++) {
        if (!next_event(r))
            return false;
        if (r->event.type == YAML_SEQUENCE_END_EVENT)
            return true;
        lua_pushinteger(L, pack_mark(&r->event.start_mark));
        lua_rawseti(L, at, i);
        struct extent part;
        if (!push_node(r, depth, &part))
            return false;
        lua_rawseti(L, value, i);
        grow(extent, part);
    }
}

/* Pushes the key at hand, or nil with its fault noted. False when the text is broken. */
static bool push_key(struct reader *r, unsigned depth, int value, int key_at)
{
    lua_State *L = r->L;
    lua_Integer where = pack_mark(&r->event.start_mark);
    if (r->event.type != YAML_SCALAR_EVENT) {
        struct extent ignored;
        fault(r, where, "a key must be a plain text");
        if (!push_node(r, depth, &ignored))
            return false;
        lua_pop(L, 1);
        lua_pushnil(L);
        return true;
    }
    const char *key = (const char *)r->event.data.scalar.value;
    size_t n = r->event.data.scalar.length;
    if (!count_nodes(r, 1))
        return false;
    if (memchr(key, 0, n)) {
        fault(r, where, "a key must not hold a NUL character");
        lua_pushnil(L);
        return true;
    }
    lua_pushlstring(L, key, n);
    lua_pushvalue(L, -1);
    bool duplicate = lua_rawget(L, value) != LUA_TNIL;
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    if (duplicate) {
        lua_rawget(L, key_at);
        fault(r, where, "duplicate key '%.60s', first at line %lld", key,
              (long long)(lua_tointeger(L, -1) >> 20));
        lua_pop(L, 2);
        lua_pushnil(L);
    } else {
        lua_pushinteger(L, where);
        lua_rawset(L, key_at);
    }
    return true;
}

static bool fill_map(struct reader *r, unsigned depth, struct extent *extent)
{
    lua_State *L = r->L;
    const int value = lua_gettop(L) - 2, at = value + 1, key_at = value + 2;
    for (;;) {
        if (!next_event(r))
            return false;
        if (r->event.type == YAML_MAPPING_END_EVENT)
            return true;
        if (!push_key(r, depth, value, key_at) || !next_event(r))
            return false;
        if (!lua_isnil(L, -1)) {
            lua_pushvalue(L, -1);
            lua_pushinteger(L, pack_mark(&r->event.start_mark));
            lua_rawset(L, at);
        }
        struct extent part;
        if (!push_node(r, depth, &part))
            return false;
        grow(extent, part);
        extent->nodes++;
        if (lua_isnil(L, -2))
            lua_pop(L, 2);
        else
            lua_rawset(L, value);
    }
}

static bool push_container(struct reader *r, unsigned depth, struct extent *extent)
{
    const bool list = r->event.type == YAML_SEQUENCE_START_EVENT;
    const char *tag =
        (const char *)(list ? r->event.data.sequence_start.tag : r->event.data.mapping_start.tag);
    if (tag && strcmp(tag, list ? CORE_TAG "seq" : CORE_TAG "map") != 0)
        tag_fault(r, tag);
    if (!check_depth(r, depth + 1))
        return false;
    luaL_checkstack(r->L, LUA_SLOTS_PER_LEVEL, "configuration");
    open_container(r, list);
    if (!(list ? fill_list(r, depth + 1, extent) : fill_map(r, depth + 1, extent)))
        return false;
    lua_pop(r->L, 2);
    return true;
}

static const char *event_anchor(const yaml_event_t *e)
{
    if (e->type == YAML_SCALAR_EVENT)
        return (const char *)e->data.scalar.anchor;
    if (e->type == YAML_SEQUENCE_START_EVENT)
        return (const char *)e->data.sequence_start.anchor;
    return (const char *)e->data.mapping_start.anchor;
}

/* Pushes the value that begins with the event at hand; `depth` containers are open around it. On
 * false the stack is anyone's guess and the parse is over. */
static bool push_node(struct reader *r, unsigned depth, struct extent *extent)
{
    lua_State *L = r->L;
    if (r->event.type == YAML_ALIAS_EVENT)
        return push_alias(r, depth, extent);
    if (!count_nodes(r, 1))
        return false;
    *extent = (struct extent){1, 0};
    lua_pushstring(L, event_anchor(&r->event)); /* nil when there is none */
    const int name = lua_gettop(L);
    if (r->event.type == YAML_SCALAR_EVENT)
        push_scalar(r);
    else if (!push_container(r, depth, extent))
        return false;
    if (!lua_isnil(L, name))
        remember_anchor(r, name, name + 1, *extent);
    lua_remove(L, name);
    return true;
}

/* Pushes the one document's value; null for a text without any. */
static bool push_document(struct reader *r)
{
    struct extent ignored;
    if (!next_event(r) || !next_event(r)) /* stream start; document start or stream end */
        return false;
    if (r->event.type == YAML_STREAM_END_EVENT) {
        push_null(r->L);
        return true;
    }
    if (!next_event(r) || !push_node(r, 0, &ignored) || !next_event(r) || !next_event(r))
        return false;
    if (r->event.type != YAML_STREAM_END_EVENT)
        return fault(r, pack_mark(&r->event.start_mark), "a second document, only one is allowed");
    return true;
}

/* --- JSON
 * ---------------------------------------------------------------------------------------------- */

static bool hex4(const char *s, unsigned *out)
{
    unsigned v = 0;
    for (int i = 0; i < 4; i++) {
        char c = mg_lower(s[i]);
        if (c >= '0' && c <= '9')
            v = v << 4 | (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v << 4 | (unsigned)(c - 'a' + 10);
        else
            return false;
    }
    *out = v;
    return true;
}

/* The code point of a surrogate pair written as 12 characters at `s`, or 0. */
static unsigned surrogate_pair(const char *s, size_t n)
{
    unsigned high, low;
    if (n < 12 || memcmp(s, "\\u", 2) != 0 || memcmp(s + 6, "\\u", 2) != 0 || !hex4(s + 2, &high) ||
        !hex4(s + 8, &low) || high >> 10 != 0xD800 >> 10 || low >> 10 != 0xDC00 >> 10)
        return 0;
    return 0x10000 + ((high & 0x3FF) << 10 | (low & 0x3FF));
}

/* JSON is YAML but for two things: a tab may indent the outermost level, and a character beyond the
 * 16-bit plane is two \u escapes, which YAML forbids and writes as one \U. This rewrites both in
 * place, with nothing moved: the two columns that a \U saves become blanks behind the string's
 * closing quote. */
static void json_to_yaml(char *p, size_t n)
{
    size_t out = 0, saved = 0;
    bool in_string = false;
    for (size_t i = 0; i < n;) {
        unsigned point = in_string ? surrogate_pair(p + i, n - i) : 0;
        if (point) {
            char escape[11];
            snprintf(escape, sizeof escape, "\\U%08X", point);
            memcpy(p + out, escape, 10);
            i += 12;
            out += 10;
            saved += 2;
        } else if (in_string && p[i] == '\\' && i + 1 < n) {
            p[out++] = p[i++];
            p[out++] = p[i++];
        } else {
            char c = p[i++];
            p[out++] = c == '\t' && !in_string ? ' ' : c;
            in_string ^= c == '"';
            if (!in_string && saved) {
                memset(p + out, ' ', saved);
                out += saved;
                saved = 0;
            }
        }
    }
    memset(p + out, ' ', n - out); /* only when the last string never ended */
}

/* --- the parse as a whole
 * ------------------------------------------------------------------------------ */

/* Leaves text, positions, anchors, errors and the reader on the stack. */
static struct reader *reader_new(lua_State *L, struct mg_str text, bool json)
{
    luaL_checkstack(L, 3 * LUA_SLOTS_PER_LEVEL, "configuration");
    if (json) {
        char *copy = lua_newuserdatauv(L, text.n + 1, 0);
        if (text.n)
            memcpy(copy, text.p, text.n);
        json_to_yaml(copy, text.n);
        text.p = copy;
    } else {
        lua_pushnil(L);
    }
    lua_newtable(L);
    lua_newtable(L);
    lua_newtable(L);
    struct reader *r = lua_newuserdatauv(L, sizeof *r, 0);
    *r = (struct reader){.L = L, .text = text};
    r->errors_at = lua_gettop(L) - 1;
    r->anchors = r->errors_at - 1;
    r->positions = r->errors_at - 2;
    /* Each time, not only when it is new: memory may once have ended between these lines. */
    luaL_newmetatable(L, READER_TYPE);
    lua_pushcfunction(L, reader_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    if (yaml_parser_initialize(&r->parser)) {
        r->live = true;
        yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&r->parser, (const unsigned char *)text.p, text.n);
    }
    return r;
}

static struct mg_str without_bom(struct mg_str text)
{
    if (mg_str_starts(text, MG_STR("\xEF\xBB\xBF")))
        return mg_str(text.p + 3, text.n - 3);
    return text;
}

/* Pushes value and positions, or the list of errors and returns false. */
static bool parse(lua_State *L, struct mg_str text, const char *file)
{
    const int top = lua_gettop(L);
    const bool json = mg_str_ends(mg_str_c(file), MG_STR(".json"));
    const bool fits = text.n <= MG_YAML_MAX_BYTES;
    struct reader *r = reader_new(L, fits ? without_bom(text) : MG_STR(""), json);
    const int reader = lua_gettop(L);
    bool ok = false;
    if (!fits)
        fault(r, pack(0, 0), "longer than %u MiB", MG_YAML_MAX_BYTES >> 20);
    else if (!r->live)
        fault(r, pack(0, 0), "out of memory");
    else
        ok = push_document(r) && r->errors == 0;
    lua_pushvalue(L, ok ? -1 : r->errors_at);
    lua_replace(L, top + 1);
    lua_pushcfunction(L, reader_gc); /* libyaml's buffers go now, not at some collection */
    lua_pushvalue(L, reader);
    lua_call(L, 1, 0);
    lua_settop(L, top + (ok ? 2 : 1));
    return ok;
}

static long long error_field(lua_State *L, const char *name)
{
    lua_getfield(L, -1, name);
    long long v = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return v;
}

int mg_yaml_push(lua_State *L, struct mg_str text, const char *file, struct mg_error *err)
{
    if (parse(L, text, file))
        return MG_OK;
    lua_rawgeti(L, -1, 1);
    long long line = error_field(L, "line"), col = error_field(L, "col");
    lua_getfield(L, -1, "message");
    mg_error_set(err, "%s:%lld:%lld: %s", file, line, col, lua_tostring(L, -1));
    lua_pop(L, 3);
    return MG_FAIL;
}

static int lua_parse(lua_State *L)
{
    struct mg_str text;
    text.p = luaL_checklstring(L, 1, &text.n);
    const char *file = luaL_optstring(L, 2, "");
    if (parse(L, text, file))
        return 2;
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

int mg_yaml_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"parse", lua_parse}, {NULL, NULL}};
    luaL_newlib(L, functions);
    push_null(L);
    lua_setfield(L, -2, "null");
    return 1;
}
