/* Events read and written. A line is looked at when it is whole: where it lies, if all of it came
 * with one call, else in a buffer. One thread. */
#include "http/sse.h"

#define BYTE_ORDER_MARK "\xef\xbb\xbf"
/* Of a time to wait; more is no time. */
#define RETRY_MAX ((uint64_t)1 << 53)

void mg_sse_reader_init(struct mg_sse_reader *r, size_t limit_bytes)
{
    *r = (struct mg_sse_reader){._limit = limit_bytes, ._retry_ms = -1};
    mg_buf_init(&r->_line, limit_bytes);
    mg_buf_init(&r->_data, limit_bytes + 1); /* the LF that is taken off at last */
    mg_buf_init(&r->_name, limit_bytes);
    mg_buf_init(&r->_id, limit_bytes);
}

void mg_sse_reader_release(struct mg_sse_reader *r)
{
    mg_buf_release(&r->_line);
    mg_buf_release(&r->_data);
    mg_buf_release(&r->_name);
    mg_buf_release(&r->_id);
}

/* --- fields --- */

static void set(struct mg_buf *b, struct mg_str value)
{
    mg_buf_reset(b);
    mg_buf_add_str(b, value);
}

static bool all_digits(struct mg_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0;
}

static void set_field(struct mg_sse_reader *r, struct mg_str name, struct mg_str value)
{
    uint64_t ms;
    if (mg_str_eq(name, MG_STR("data"))) {
        mg_buf_add_str(&r->_data, value);
        mg_buf_add_char(&r->_data, '\n');
    } else if (mg_str_eq(name, MG_STR("event"))) {
        set(&r->_name, value);
    } else if (mg_str_eq(name, MG_STR("id"))) {
        if (mg_str_find(value, '\0') >= 0)
            return;
        set(&r->_id, value);
        r->_has_id = r->_tells = true;
    } else if (mg_str_eq(name, MG_STR("retry"))) {
        if (!all_digits(value) || !mg_str_to_u64(value, RETRY_MAX, &ms))
            return;
        r->_retry_ms = (int64_t)ms;
        r->_tells = true;
    }
}

static void begin_block(struct mg_sse_reader *r)
{
    mg_buf_reset(&r->_data);
    mg_buf_reset(&r->_name);
    r->_retry_ms = -1;
    r->_tells = r->_told = false;
}

static enum mg_sse_state end_block(struct mg_sse_reader *r)
{
    bool has_data = r->_data.n > 0;
    r->_told = true;
    if (!has_data && !r->_tells)
        return MG_SSE_MORE;
    r->event = (struct mg_sse_event){
        .name = mg_buf_str(&r->_name),
        .data = mg_str(r->_data.p, has_data ? r->_data.n - 1 : 0),
        .id = mg_buf_str(&r->_id),
        .retry_ms = r->_retry_ms,
        .has_id = r->_has_id,
        .has_data = has_data,
    };
    return has_data ? MG_SSE_EVENT : MG_SSE_BARE;
}

/* --- lines --- */

static struct mg_str without_one_space(struct mg_str s)
{
    return s.n && s.p[0] == ' ' ? mg_str(s.p + 1, s.n - 1) : s;
}

static enum mg_sse_state read_line(struct mg_sse_reader *r, struct mg_str line)
{
    struct mg_str mark = MG_STR(BYTE_ORDER_MARK);
    if (!r->_any_line && mg_str_starts(line, mark))
        line = mg_str(line.p + mark.n, line.n - mark.n);
    r->_any_line = true;
    if (line.n == 0)
        return end_block(r);
    ptrdiff_t colon = mg_str_find(line, ':');
    if (colon == 0) {
        r->comment = without_one_space(mg_str(line.p + 1, line.n - 1));
        return MG_SSE_COMMENT;
    }
    size_t n = colon < 0 ? line.n : (size_t)colon;
    struct mg_str value = colon < 0 ? MG_STR_NONE : mg_str(line.p + n + 1, line.n - n - 1);
    set_field(r, mg_str(line.p, n), without_one_space(value));
    return MG_SSE_MORE;
}

/* What is held of the event, with `more` bytes of the line. */
static bool is_too_large(const struct mg_sse_reader *r, size_t more)
{
    size_t held = r->_line.n + r->_data.n + r->_name.n + r->_id.n;
    return held > r->_limit || more > r->_limit - held;
}

/* The bytes up to the next line break, or all of them. */
static size_t line_length(struct mg_str s)
{
    size_t n = 0;
    while (n < s.n && s.p[n] != '\n' && s.p[n] != '\r')
        n++;
    return n;
}

static void skip(struct mg_str *in, size_t n)
{
    *in = mg_str(in->p + n, in->n - n);
}

enum mg_sse_state mg_sse_read(struct mg_sse_reader *r, struct mg_str *in)
{
    while (in->n) {
        if (r->_told)
            begin_block(r);
        bool rest_of_crlf = r->_after_cr && in->p[0] == '\n';
        r->_after_cr = false;
        if (rest_of_crlf) {
            skip(in, 1);
            continue;
        }
        struct mg_str line = mg_str(in->p, line_length(*in));
        bool ends = line.n < in->n;
        if (is_too_large(r, line.n))
            return MG_SSE_TOO_LARGE;
        bool whole = r->_line.n == 0 && ends;
        if (!whole)
            mg_buf_add_str(&r->_line, line);
        r->_after_cr = ends && in->p[line.n] == '\r';
        skip(in, line.n + ends);
        if (!ends)
            return MG_SSE_MORE;
        enum mg_sse_state state = read_line(r, whole ? line : mg_buf_str(&r->_line));
        r->_line.n = 0; /* a comment in it is borrowed for a while yet */
        if (state != MG_SSE_MORE)
            return state;
    }
    return MG_SSE_MORE;
}

/* --- writing --- */

static bool has_break(struct mg_str s)
{
    return mg_str_find(s, '\n') >= 0 || mg_str_find(s, '\r') >= 0;
}

bool mg_sse_is_name(struct mg_str s)
{
    return !has_break(s);
}

bool mg_sse_is_id(struct mg_str s)
{
    return !has_break(s) && mg_str_find(s, '\0') < 0;
}

static void add_line(struct mg_buf *out, struct mg_str field, struct mg_str value)
{
    mg_buf_add_str(out, field);
    mg_buf_add(out, ": ", value.n ? 2 : 1);
    mg_buf_add_str(out, value);
    mg_buf_add_char(out, '\n');
}

/* A line of the field for each line of the text. */
static void add_lines(struct mg_buf *out, struct mg_str field, struct mg_str text)
{
    for (;;) {
        size_t n = line_length(text);
        add_line(out, field, mg_str(text.p, n));
        if (n == text.n)
            return;
        bool crlf = text.p[n] == '\r' && n + 1 < text.n && text.p[n + 1] == '\n';
        skip(&text, n + 1 + crlf);
    }
}

void mg_sse_write(struct mg_buf *out, const struct mg_sse_event *event)
{
    if (event->name.n && !mg_str_eq(event->name, MG_STR("message")))
        add_line(out, MG_STR("event"), event->name);
    if (event->has_id)
        add_line(out, MG_STR("id"), event->id);
    if (event->retry_ms >= 0)
        mg_buf_printf(out, "retry: %lld\n", (long long)event->retry_ms);
    if (event->has_data)
        add_lines(out, MG_STR("data"), event->data);
    mg_buf_add_char(out, '\n');
}

void mg_sse_write_comment(struct mg_buf *out, struct mg_str text)
{
    add_lines(out, MG_STR_NONE, text);
}
