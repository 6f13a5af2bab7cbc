/*
 * A matcher for Lua patterns (reference manual, 6.4.1). Pure but for raising errors; one thread.
 *
 * It reads the pattern as it goes and keeps its choices on a list of its own: where an item could
 * have taken less or more, and what to undo about captures. Groups cannot be repeated in Lua
 * patterns, so each item of the pattern is on the list at most once or twice, and the list is as
 * short as the pattern.
 */
#include "script/pattern.h"

#include <ctype.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define CAPTURES 32
#define CHOICES 200
#define SPECIALS "^$*+?.([%-"

/* Lengths of captures that are no lengths. */
enum { UNFINISHED = -1, POSITION = -2 };

enum choice_kind {
    FEWER,   /* x* x+ took all it could: try one less */
    MORE,    /* x- took none: try one more */
    WITHOUT, /* x? took one: try none */
    OPENED,  /* a capture to be dropped */
    CLOSED,  /* a capture to be open again */
};

struct choice {
    enum choice_kind kind;
    int capture;       /* CLOSED */
    const char *s;     /* where the rest of the pattern was tried last */
    const char *least; /* FEWER: s can go back to here */
    const char *item;  /* MORE */
    const char *rest;  /* the pattern after the item */
};

struct capture {
    const char *at;
    ptrdiff_t n;
};

struct matcher {
    lua_State *L;
    const char *subject, *end;
    const char *pattern, *pattern_end;
    uint64_t steps; /* left */
    int captures;
    int choices;
    struct capture capture[CAPTURES];
    struct choice choice[CHOICES];
};

static inline int byte(const char *p)
{
    return (unsigned char)*p;
}

static void init(struct matcher *m, lua_State *L, const char *s, size_t n, const char *p, size_t pn)
{
    m->L = L;
    m->subject = s;
    m->end = s + n;
    m->pattern = p;
    m->pattern_end = p + pn;
    m->steps = MG_PATTERN_STEPS + (uint64_t)n * MG_PATTERN_STEPS_PER_BYTE;
}

static inline void spend(struct matcher *m, size_t n)
{
    if (__builtin_expect(m->steps < n, 0))
        luaL_error(m->L, "pattern takes too many steps for a subject of %I bytes",
                   (LUAI_UACINT)(m->end - m->subject));
    m->steps -= n;
}

/* --- one item at one place --- */

static bool in_class(int c, int class)
{
    bool is;
    switch (class | 0x20) { /* lower case; what is no letter does not become one */
    case 'a':
        is = isalpha(c);
        break;
    case 'c':
        is = iscntrl(c);
        break;
    case 'd':
        is = isdigit(c);
        break;
    case 'g':
        is = isgraph(c);
        break;
    case 'l':
        is = islower(c);
        break;
    case 'p':
        is = ispunct(c);
        break;
    case 's':
        is = isspace(c);
        break;
    case 'u':
        is = isupper(c);
        break;
    case 'w':
        is = isalnum(c);
        break;
    case 'x':
        is = isxdigit(c);
        break;
    case 'z': /* no longer in the manual, still in 5.4 */
        is = c == 0;
        break;
    default:
        return c == class;
    }
    return class & 0x20 ? is : !is;
}

/* Is c in the set whose '[' is at `p` and whose ']' is at `last`? */
static bool in_set(int c, const char *p, const char *last)
{
    bool found = true;
    p++;
    if (*p == '^') {
        found = false;
        p++;
    }
    for (; p < last; p++) {
        if (*p == '%' && p + 1 <= last) {
            p++;
            if (in_class(c, byte(p)))
                return found;
        } else if (last - p > 2 && p[1] == '-') {
            if (byte(p) <= c && c <= byte(p + 2))
                return found;
            p += 2;
        } else if (byte(p) == c) {
            return found;
        }
    }
    return !found;
}

/* The end of the set that begins at `p`. */
static const char *set_end(struct matcher *m, const char *p)
{
    p++;
    if (p < m->pattern_end && *p == '^')
        p++;
    do { /* a ']' that comes first stands for itself */
        if (p >= m->pattern_end)
            luaL_error(m->L, "malformed pattern (missing ']')");
        if (*p++ == '%' && p < m->pattern_end)
            p++;
    } while (p >= m->pattern_end || *p != ']');
    return p + 1;
}

static const char *item_end(struct matcher *m, const char *p)
{
    if (*p == '[')
        return set_end(m, p);
    if (*p != '%')
        return p + 1;
    if (p + 1 == m->pattern_end)
        luaL_error(m->L, "malformed pattern (ends with '%%')");
    return p + 2;
}

static inline bool single(const struct matcher *m, const char *s, const char *p, const char *after)
{
    if (s == m->end)
        return false;
    switch (*p) {
    case '.':
        return true;
    case '%':
        return in_class(byte(s), byte(p + 1));
    case '[':
        return in_set(byte(s), p, after - 1);
    default:
        return *p == *s;
    }
}

/* What single() costs for an item that long. */
static inline size_t cost(const char *p, const char *after)
{
    return 1 + (size_t)(after - p) / 8;
}

/* Where the longest run of the item from s ends. */
static const char *longest(struct matcher *m, const char *s, const char *p, const char *after)
{
    const char *at = s;
    if (*p == '.')
        return m->end;
    while (single(m, at, p, after))
        at++;
    spend(m, (size_t)(at - s) * cost(p, after));
    return at;
}

/* --- choices --- */

static struct choice *push(struct matcher *m, enum choice_kind kind)
{
    if (m->choices == CHOICES)
        luaL_error(m->L, "pattern too complex");
    struct choice *c = &m->choice[m->choices++];
    c->kind = kind;
    return c;
}

/* Goes back to the latest choice that has something left, and takes it. */
static bool retry(struct matcher *m, const char **s, const char **p)
{
    while (m->choices) {
        struct choice *c = &m->choice[m->choices - 1];
        switch (c->kind) {
        case FEWER:
            *s = --c->s;
            *p = c->rest;
            if (c->s == c->least)
                m->choices--;
            return true;
        case MORE:
            spend(m, cost(c->item, c->rest));
            if (!single(m, c->s, c->item, c->rest - 1))
                break;
            *s = ++c->s;
            *p = c->rest;
            return true;
        case WITHOUT:
            *s = c->s;
            *p = c->rest;
            m->choices--;
            return true;
        case OPENED:
            m->captures--;
            break;
        case CLOSED:
            m->capture[c->capture].n = UNFINISHED;
            break;
        }
        m->choices--;
    }
    return false;
}

/* --- captures --- */

static void open_capture(struct matcher *m, const char *s, ptrdiff_t n)
{
    if (m->captures == CAPTURES)
        luaL_error(m->L, "too many captures");
    m->capture[m->captures++] = (struct capture){s, n};
    push(m, OPENED);
}

static void close_capture(struct matcher *m, const char *s)
{
    int i = m->captures - 1;
    while (i >= 0 && m->capture[i].n != UNFINISHED)
        i--;
    if (i < 0)
        luaL_error(m->L, "invalid pattern capture");
    m->capture[i].n = s - m->capture[i].at;
    push(m, CLOSED)->capture = i;
}

/* --- the items that are more than one byte of the subject. They give the place after, or NULL. ---
 */

/* %1 */
static const char *again(struct matcher *m, const char *s, int digit)
{
    int i = digit - '1';
    if (i < 0 || i >= m->captures || m->capture[i].n == UNFINISHED)
        luaL_error(m->L, "invalid capture index %%%d", i + 1);
    size_t n = (size_t)m->capture[i].n; /* that of a position is larger than any subject */
    if ((size_t)(m->end - s) < n)
        return NULL;
    spend(m, n / 8);
    return memcmp(m->capture[i].at, s, n) == 0 ? s + n : NULL;
}

/* %bxy; `p` is at x */
static const char *balanced(struct matcher *m, const char *s, const char *p)
{
    if (m->pattern_end - p < 2)
        luaL_error(m->L, "malformed pattern (missing arguments to '%%b')");
    if (s == m->end || *s != p[0])
        return NULL;
    size_t depth = 1;
    const char *at = s + 1;
    for (; at < m->end; at++) {
        if (*at == p[1]) {
            if (--depth == 0)
                break;
        } else if (*at == p[0]) {
            depth++;
        }
    }
    spend(m, (size_t)(at - s));
    return at < m->end ? at + 1 : NULL;
}

/* %f[set]; `p` is at the set, `after` behind it */
static bool at_frontier(struct matcher *m, const char *s, const char *p, const char *after)
{
    int before = s == m->subject ? 0 : byte(s - 1);
    int here = s == m->end ? 0 : byte(s);
    spend(m, 2 * cost(p, after));
    return !in_set(before, p, after - 1) && in_set(here, p, after - 1);
}

/* Tries the special item at *p, if there is one; false: there is none. *s becomes NULL when it does
 * not match. */
static bool special(struct matcher *m, const char **s, const char **p)
{
    const char *at = *p;
    int next = at + 1 < m->pattern_end ? byte(at + 1) : 0;
    switch (*at) {
    case '(':
        open_capture(m, *s, next == ')' ? POSITION : UNFINISHED);
        *p += next == ')' ? 2 : 1;
        return true;
    case ')':
        close_capture(m, *s);
        *p += 1;
        return true;
    case '%':
        break;
    default:
        return false;
    }
    if (isdigit(next)) {
        *s = again(m, *s, next);
        *p += 2;
        return true;
    }
    if (next == 'b') {
        *s = balanced(m, *s, at + 2);
        *p += 4;
        return true;
    }
    if (next != 'f')
        return false;
    if (at + 2 >= m->pattern_end || at[2] != '[')
        luaL_error(m->L, "missing '[' after '%%f' in pattern");
    *p = set_end(m, at + 2);
    if (!at_frontier(m, *s, at + 2, *p))
        *s = NULL;
    return true;
}

/* A single-byte item with what may follow it. False: it does not match. */
static bool step(struct matcher *m, const char **s, const char **p)
{
    const char *item = *p, *after = item_end(m, item), *from = *s;
    int how = after < m->pattern_end ? *after : 0;
    struct choice *c;
    spend(m, cost(item, after) - 1); /* match_at has counted one */
    switch (how) {
    case '*':
    case '+':
        *s = longest(m, from, item, after);
        if (how == '+' && from++ == *s)
            return false;
        *p = after + 1;
        if (*s != from) {
            c = push(m, FEWER);
            c->s = *s;
            c->least = from;
            c->rest = *p;
        }
        return true;
    case '-':
        *p = after + 1;
        c = push(m, MORE);
        c->s = from;
        c->item = item;
        c->rest = *p;
        return true;
    case '?':
        *p = after + 1;
        if (single(m, from, item, after)) {
            c = push(m, WITHOUT);
            c->s = from;
            c->rest = *p;
            *s = from + 1;
        }
        return true;
    default:
        *p = after;
        *s = from + 1;
        return single(m, from, item, after);
    }
}

/* The end of the match of the pattern from `p` at exactly `s`, or NULL. Captures are in m. */
static const char *match_at(struct matcher *m, const char *s, const char *p)
{
    m->captures = 0;
    m->choices = 0;
    for (;;) {
        bool ok;
        spend(m, 1);
        if (p == m->pattern_end)
            return s;
        if (*p == '$' && p + 1 == m->pattern_end) {
            if (s == m->end)
                return s;
            ok = false;
        } else if (special(m, &s, &p)) {
            ok = s != NULL;
        } else {
            ok = step(m, &s, &p);
        }
        if (!ok && !retry(m, &s, &p))
            return NULL;
    }
}

/* The byte that every match of the pattern from `p` begins with, or -1. */
static int first_byte(const struct matcher *m, const char *p)
{
    if (p == m->pattern_end || strchr(SPECIALS ")", *p))
        return -1; /* strchr also finds a NUL */
    if (p + 1 < m->pattern_end && (p[1] == '*' || p[1] == '?' || p[1] == '-'))
        return -1;
    return byte(p);
}

/* The next place from `s` on where a match may begin; m->end + 1 when there is none. */
static const char *skip(struct matcher *m, const char *s, int first)
{
    if (first < 0 || s >= m->end)
        return s;
    const char *at = memchr(s, first, (size_t)(m->end - s));
    spend(m, (size_t)((at ? at : m->end) - s) / 16);
    return at ? at : m->end + 1;
}

/* --- captures as Lua values --- */

/* The i-th capture, from 0; the whole match where the pattern has none. */
static void push_capture(struct matcher *m, int i, const char *s, const char *e)
{
    if (i >= m->captures) {
        if (i != 0)
            luaL_error(m->L, "invalid capture index %%%d", i + 1);
        lua_pushlstring(m->L, s, (size_t)(e - s));
        return;
    }
    const struct capture *c = &m->capture[i];
    if (c->n == UNFINISHED)
        luaL_error(m->L, "unfinished capture");
    if (c->n == POSITION)
        lua_pushinteger(m->L, c->at - m->subject + 1);
    else
        lua_pushlstring(m->L, c->at, (size_t)c->n);
}

static int push_captures(struct matcher *m, const char *s, const char *e, int at_least)
{
    int n = m->captures > at_least ? m->captures : at_least;
    luaL_checkstack(m->L, n, "too many captures");
    for (int i = 0; i < n; i++)
        push_capture(m, i, s, e);
    return n;
}

/* --- the functions --- */

/* Argument `arg` as an offset into n bytes; more than n when it lies behind the end. */
static size_t check_start(lua_State *L, int arg, size_t n)
{
    lua_Integer i = luaL_optinteger(L, arg, 1);
    if (i > 0)
        return (lua_Unsigned)i - 1 > n ? n + 1 : (size_t)i - 1;
    if (i == 0 || i < -(lua_Integer)n)
        return 0;
    return n - (size_t)-i;
}

static bool is_plain(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] && strchr(SPECIALS, p[i]))
            return false;
    return true;
}

static int find_plain(lua_State *L, const char *s, size_t n, size_t start, const char *p, size_t pn)
{
    const char *at = pn ? memmem(s + start, n - start, p, pn) : s + start;
    if (!at) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, at - s + 1);
    lua_pushinteger(L, at - s + (lua_Integer)pn);
    return 2;
}

static int find_or_match(lua_State *L, bool find)
{
    size_t n, pn;
    const char *s = luaL_checklstring(L, 1, &n);
    const char *p = luaL_checklstring(L, 2, &pn);
    size_t start = check_start(L, 3, n);
    struct matcher m;
    if (start > n) {
        lua_pushnil(L);
        return 1;
    }
    if (find && (lua_toboolean(L, 4) || is_plain(p, pn)))
        return find_plain(L, s, n, start, p, pn);

    init(&m, L, s, n, p, pn);
    bool anchored = pn && *p == '^';
    p += anchored;
    int first = anchored ? -1 : first_byte(&m, p);
    for (const char *at = skip(&m, s + start, first); at <= m.end; at = skip(&m, at + 1, first)) {
        const char *e = match_at(&m, at, p);
        if (e && !find)
            return push_captures(&m, at, e, 1);
        if (e) {
            lua_pushinteger(L, at - s + 1);
            lua_pushinteger(L, e - s);
            return 2 + push_captures(&m, NULL, NULL, 0);
        }
        if (anchored)
            break;
    }
    lua_pushnil(L);
    return 1;
}

static int l_find(lua_State *L)
{
    return find_or_match(L, true);
}

static int l_match(lua_State *L)
{
    return find_or_match(L, false);
}

/* Upvalues: subject, pattern, offset to go on at, offset of the end of the last match or -1. */
static int l_gmatch_next(lua_State *L)
{
    size_t n, pn;
    const char *s = lua_tolstring(L, lua_upvalueindex(1), &n);
    const char *p = lua_tolstring(L, lua_upvalueindex(2), &pn);
    const char *at = s + lua_tointeger(L, lua_upvalueindex(3));
    lua_Integer last = lua_tointeger(L, lua_upvalueindex(4));
    struct matcher m;
    init(&m, L, s, n, p, pn);
    int first = first_byte(&m, p);
    for (; at <= m.end && (at = skip(&m, at, first)) <= m.end; at++) {
        const char *e = match_at(&m, at, p);
        if (!e || e - s == last)
            continue;
        lua_pushinteger(L, e - s);
        lua_copy(L, -1, lua_upvalueindex(3));
        lua_replace(L, lua_upvalueindex(4));
        return push_captures(&m, at, e, 1);
    }
    return 0;
}

static int l_gmatch(lua_State *L)
{
    size_t n;
    luaL_checklstring(L, 1, &n);
    luaL_checkstring(L, 2);
    size_t start = check_start(L, 3, n);
    lua_settop(L, 2);
    lua_pushinteger(L, (lua_Integer)start);
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, l_gmatch_next, 4);
    return 1;
}

/* Adds the replacement string at index 3 for the match [s, e). */
static void add_template(struct matcher *m, luaL_Buffer *b, const char *s, const char *e)
{
    size_t n;
    const char *t = lua_tolstring(m->L, 3, &n), *end = t + n;
    while (t < end) {
        const char *percent = memchr(t, '%', (size_t)(end - t));
        luaL_addlstring(b, t, (size_t)((percent ? percent : end) - t));
        if (!percent)
            return;
        int c = percent + 1 < end ? byte(percent + 1) : 0;
        t = percent + 2;
        if (c == '%') {
            luaL_addchar(b, '%');
        } else if (c == '0') {
            luaL_addlstring(b, s, (size_t)(e - s));
        } else if (isdigit(c)) {
            push_capture(m, c - '1', s, e);
            luaL_addvalue(b);
        } else {
            luaL_error(m->L, "invalid use of '%%' in replacement string");
        }
    }
}

/* Pushes what the table or function at index 3 has for the match. */
static void push_replacement(struct matcher *m, const char *s, const char *e)
{
    if (lua_type(m->L, 3) == LUA_TTABLE) {
        push_capture(m, 0, s, e);
        lua_gettable(m->L, 3);
        return;
    }
    lua_pushvalue(m->L, 3);
    lua_call(m->L, push_captures(m, s, e, 1), 1);
}

struct gsub {
    struct matcher m;
    luaL_Buffer out;
    const char *copied; /* the subject up to here is in `out`, or replaced there */
    int kind;           /* Lua type of the replacement */
};

static void copy_up_to(struct gsub *g, const char *s)
{
    luaL_addlstring(&g->out, g->copied, (size_t)(s - g->copied));
    g->copied = s;
}

static void replace(struct gsub *g, const char *s, const char *e)
{
    lua_State *L = g->m.L;
    copy_up_to(g, s);
    if (g->kind == LUA_TSTRING || g->kind == LUA_TNUMBER) {
        add_template(&g->m, &g->out, s, e);
        g->copied = e;
        return;
    }
    push_replacement(&g->m, s, e);
    if (!lua_toboolean(L, -1)) { /* keep the original */
        lua_pop(L, 1);
        return;
    }
    if (!lua_isstring(L, -1))
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    luaL_addvalue(&g->out);
    g->copied = e;
}

static int l_gsub(lua_State *L)
{
    size_t n, pn;
    const char *s = luaL_checklstring(L, 1, &n), *last = NULL;
    const char *p = luaL_checklstring(L, 2, &pn);
    struct gsub g;
    g.kind = lua_type(L, 3);
    luaL_argexpected(L,
                     g.kind == LUA_TNUMBER || g.kind == LUA_TSTRING || g.kind == LUA_TFUNCTION ||
                         g.kind == LUA_TTABLE,
                     3, "string/function/table");
    lua_Integer limit = luaL_optinteger(L, 4, (lua_Integer)n + 1), count = 0;

    init(&g.m, L, s, n, p, pn);
    g.copied = s;
    luaL_buffinit(L, &g.out);
    bool anchored = pn && *p == '^';
    p += anchored;
    int first = anchored ? -1 : first_byte(&g.m, p);
    for (const char *at = s; count < limit;) {
        at = skip(&g.m, at, first);
        if (at > g.m.end)
            break;
        const char *e = match_at(&g.m, at, p);
        if (e && e != last) {
            count++;
            replace(&g, at, e);
            at = last = e;
        } else {
            at++;
        }
        if (anchored)
            break;
    }
    copy_up_to(&g, g.m.end);
    luaL_pushresult(&g.out);
    lua_pushinteger(L, count);
    return 2;
}

void mg_pattern_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"find", l_find}, {"match", l_match}, {"gmatch", l_gmatch}, {"gsub", l_gsub}, {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
}
