/* Casts of scalars and of names, on their JSON text. Any thread. */
#include "base/json_cast.h"

#include "base/json_lexer.h"

/* --- scalars --- */

static bool is_string(struct mg_str s)
{
    return s.n >= 2 && s.p[0] == '"';
}

static struct mg_str unquoted(struct mg_str s)
{
    return is_string(s) ? mg_str(s.p + 1, s.n - 2) : s;
}

/* The whole number that is written with a fraction of zeros; MG_STR_NONE when it is none. One with
 * an exponent counts as none: its digits stand elsewhere. */
static struct mg_str whole_part(struct mg_str number)
{
    ptrdiff_t point = mg_str_find(number, '.');
    if (mg_str_find(number, 'e') >= 0 || mg_str_find(number, 'E') >= 0)
        return MG_STR_NONE;
    if (point < 0)
        return number;
    for (size_t i = (size_t)point + 1; i < number.n; i++)
        if (number.p[i] != '0')
            return MG_STR_NONE;
    return mg_str(number.p, (size_t)point);
}

static struct mg_str cast_number(struct mg_str scalar, bool integer)
{
    if (mg_str_eq(scalar, MG_STR("true")))
        return MG_STR("1");
    if (mg_str_eq(scalar, MG_STR("false")))
        return MG_STR("0");
    struct mg_str text = unquoted(scalar);
    if (!mg_json_is_number(text))
        return MG_STR_NONE;
    return integer ? whole_part(text) : text;
}

static struct mg_str cast_boolean(struct mg_str scalar)
{
    struct mg_str text = unquoted(scalar);
    if (mg_str_eq(text, MG_STR("true")) || mg_str_eq(text, MG_STR("1")))
        return MG_STR("true");
    if (mg_str_eq(text, MG_STR("false")) || mg_str_eq(text, MG_STR("0")))
        return MG_STR("false");
    return MG_STR_NONE;
}

void mg_json_cast(enum mg_json_cast cast, struct mg_str scalar, struct mg_buf *out)
{
    struct mg_str result = MG_STR_NONE;
    if (cast == MG_JSON_CAST_STRING && !is_string(scalar) && !mg_str_eq(scalar, MG_STR("null"))) {
        mg_buf_add_char(out, '"');
        mg_buf_add_str(out, scalar);
        mg_buf_add_char(out, '"');
        return;
    }
    if (cast == MG_JSON_CAST_NUMBER || cast == MG_JSON_CAST_INTEGER)
        result = cast_number(scalar, cast == MG_JSON_CAST_INTEGER);
    else if (cast == MG_JSON_CAST_BOOLEAN)
        result = cast_boolean(scalar);
    mg_buf_add_str(out, result.n ? result : scalar);
}

/* --- names --- */

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_separator(char c)
{
    return c == '_' || c == '-';
}

/* Does a word begin at byte `i` of the name? A capital begins one after anything but a capital, and
 * the last of several does before a small letter. */
static bool begins_word(struct mg_str s, size_t i)
{
    if (i == 0 || !is_upper(s.p[i]))
        return false;
    if (!is_upper(s.p[i - 1]))
        return !is_separator(s.p[i - 1]);
    return i + 1 < s.n && is_lower(s.p[i + 1]);
}

static char upper(char c)
{
    return is_lower(c) ? (char)(c & ~0x20) : c;
}

/* Separators at both ends are no separators: "_id", "__typename". */
static struct mg_str core_of(struct mg_str s)
{
    while (s.n && is_separator(s.p[0]))
        s = mg_str(s.p + 1, s.n - 1);
    while (s.n && is_separator(s.p[s.n - 1]))
        s.n--;
    return s;
}

void mg_json_write_case(enum mg_json_case to, struct mg_str name, struct mg_buf *out)
{
    struct mg_str core = core_of(name);
    if (!core.n) {
        mg_buf_add_str(out, name);
        return;
    }
    bool next = false; /* the byte at hand begins a word that is not the first */
    mg_buf_add(out, name.p, (size_t)(core.p - name.p));
    for (size_t i = 0; i < core.n; i++) {
        char c = core.p[i];
        if (is_separator(c)) {
            next = true;
            continue;
        }
        next = next || begins_word(core, i);
        if (next && to != MG_JSON_CASE_CAMEL)
            mg_buf_add_char(out, to == MG_JSON_CASE_SNAKE ? '_' : '-');
        mg_buf_add_char(out, next && to == MG_JSON_CASE_CAMEL ? upper(c) : mg_lower(c));
        next = false;
    }
    mg_buf_add(out, core.p + core.n, (size_t)(name.p + name.n - core.p) - core.n);
}
