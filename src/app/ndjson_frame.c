/* Finds the ends of JSON texts in a stream. */
#include "app/ndjson_frame.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* --- containers --- */

static bool in_object(const struct mg_ndjson_frame *f)
{
    uint32_t i = f->_depth - 1;
    return f->_objects[i / 64] >> (i % 64) & 1;
}

static bool open(struct mg_ndjson_frame *f, char c)
{
    if (f->_depth == MG_NDJSON_DEPTH)
        return false;
    uint64_t bit = UINT64_C(1) << (f->_depth % 64);
    uint64_t *word = &f->_objects[f->_depth++ / 64];
    *word = c == '{' ? *word | bit : *word & ~bit;
    return true;
}

/* May a container begin here? In an object behind a colon, in an array also behind a comma and as
 * its first item. */
static bool may_open(const struct mg_ndjson_frame *f)
{
    if (in_object(f))
        return f->_last == ':';
    return f->_last == ',' || f->_last == '[';
}

/* --- one text --- */

static enum mg_ndjson_frame_result done(struct mg_ndjson_frame *f,
                                        enum mg_ndjson_frame_result result, bool remains)
{
    *f = (struct mg_ndjson_frame){._remains = remains};
    return result;
}

/* A string up to its end, or that of the input. False at a byte that no string may hold. */
static bool pass_string(struct mg_ndjson_frame *f, struct mg_str input)
{
    for (; f->_at < input.n; f->_at++) {
        unsigned char c = (unsigned char)input.p[f->_at];
        if (c < ' ')
            return false;
        if (f->_escape) {
            f->_escape = false;
        } else if (c == '\\') {
            f->_escape = true;
        } else if (c == '"') {
            f->_string = false;
            f->_at++;
            return true;
        }
    }
    return true;
}

/* One byte outside of strings. False: it cannot stand here. */
static bool pass_byte(struct mg_ndjson_frame *f, char c)
{
    if (is_space(c)) {
        f->_fresh |= c == '\n';
        f->_lines |= c == '\n';
        f->_at++;
        return true;
    }
    if (c == '{' || c == '[') {
        if (!may_open(f) || !open(f, c))
            return false;
    } else if (c == '}' || c == ']') {
        if (in_object(f) != (c == '}'))
            return false;
        f->_depth--;
    }
    f->_string = c == '"';
    f->_fresh = false;
    f->_last = c == ',' || c == ':' || c == '[' || c == '{' ? c : 'x';
    f->_at++;
    return true;
}

/* The rest of a line that is broken from its start or from somewhere in it. */
static enum mg_ndjson_frame_result skip_line(struct mg_ndjson_frame *f, struct mg_str input,
                                             bool at_end, struct mg_str *text, size_t *used)
{
    const char *from = input.p + f->_at;
    const char *newline = input.n > f->_at ? memchr(from, '\n', input.n - f->_at) : NULL;
    if (!newline && !at_end) {
        f->_skip = true;
        f->_at = input.n;
        return MG_NDJSON_MORE;
    }
    size_t end = newline ? (size_t)(newline - input.p) : input.n;
    *text = mg_str(input.p, end);
    *used = newline ? end + 1 : end;
    return done(f, MG_NDJSON_BROKEN, f->_lines);
}

/* A byte that cannot stand where it does. */
static enum mg_ndjson_frame_result broken(struct mg_ndjson_frame *f, struct mg_str input,
                                          bool at_end, struct mg_str *text, size_t *used)
{
    if (f->_string || input.p[f->_at] != '{' || !f->_fresh)
        return skip_line(f, input, at_end, text, used);
    *text = mg_str(input.p, f->_at);
    *used = f->_at;
    return done(f, MG_NDJSON_BROKEN, false);
}

/* A text from its first bracket to its last. */
static enum mg_ndjson_frame_result pass_text(struct mg_ndjson_frame *f, struct mg_str input,
                                             bool at_end, struct mg_str *text, size_t *used)
{
    while (f->_at < input.n) {
        if (!(f->_string ? pass_string(f, input) : pass_byte(f, input.p[f->_at])))
            return broken(f, input, at_end, text, used);
        if (f->_depth == 0) {
            *text = mg_str(input.p, f->_at);
            *used = f->_at;
            return done(f, MG_NDJSON_TEXT, false);
        }
    }
    return at_end ? skip_line(f, input, at_end, text, used) : MG_NDJSON_MORE;
}

/* Between texts: passes over space, and over lines that are left of what was broken. True at the
 * first byte of what comes next. */
static bool find_start(struct mg_ndjson_frame *f, struct mg_str input, size_t *used)
{
    size_t at = 0;
    for (;;) {
        if (f->_drop) {
            const char *newline = memchr(input.p + at, '\n', input.n - at);
            *used = newline ? (size_t)(newline - input.p) + 1 : input.n;
            if (!newline)
                return false;
            f->_drop = false;
            at = *used;
        }
        while (at < input.n && is_space(input.p[at]))
            at++;
        *used = at;
        if (at == input.n)
            return false;
        if (!f->_remains || input.p[at] == '{')
            return true;
        f->_drop = true;
    }
}

static enum mg_ndjson_frame_result start_text(struct mg_ndjson_frame *f, struct mg_str input,
                                              bool at_end, struct mg_str *text, size_t *used)
{
    char c = *input.p;
    if (c != '{' && c != '[')
        return skip_line(f, input, at_end, text, used);
    *f = (struct mg_ndjson_frame){._last = c, ._at = 1};
    open(f, c);
    return pass_text(f, input, at_end, text, used);
}

enum mg_ndjson_frame_result mg_ndjson_frame_next(struct mg_ndjson_frame *f, struct mg_str input,
                                                 bool at_end, struct mg_str *text, size_t *used)
{
    size_t start = 0;
    *used = 0;
    if (f->_skip)
        return skip_line(f, input, at_end, text, used);
    if (f->_depth)
        return pass_text(f, input, at_end, text, used);
    if (input.n == 0 || !find_start(f, input, &start)) {
        *used = start;
        return MG_NDJSON_MORE;
    }
    enum mg_ndjson_frame_result result =
        start_text(f, mg_str(input.p + start, input.n - start), at_end, text, used);
    *used += start;
    return result;
}

void mg_ndjson_frame_skip(struct mg_ndjson_frame *f)
{
    *f = (struct mg_ndjson_frame){._drop = true};
}
