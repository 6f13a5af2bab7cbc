/* A format is a list of pieces, cut once; a line walks over them. */
#include "gateway/access_log.h"

#include <stdio.h>
#include <time.h>

#include "base/json.h"
#include "gateway/expr.h"
#include "gateway/worker.h"

/* A value; empty when it is not there. */
typedef struct mg_str (*value_fn)(struct mg_exchange *ex);

struct piece {
    struct mg_str literal; /* in front of the value; JSON: the field's name */
    struct mg_str name;    /* p NULL: no value */
    value_fn own;          /* NULL: gateway/expr.h has it, or (JSON) the name is a template */
    bool number;
};

struct mg_access_format {
    bool json;
    size_t count;
    struct piece v[];
};

const struct mg_str mg_access_combined =
    MG_STR("${client_ip} - ${user} [${time.clf}] \"${method} ${url} HTTP/${version}\" ${status} "
           "${bytes} \"${header.referer}\" \"${header.user-agent}\"");

/* --- values --- */

static const struct mg_fetch *fetch_of(const struct mg_exchange *ex)
{
    return ex->answered ? ex->res->fetch : NULL;
}

/* When the request came; gives the milliseconds of it. */
static int time_of(const struct mg_exchange *ex, struct tm *utc)
{
    const struct mg_loop *loop = ex->worker->loop;
    double wall = mg_loop_wall(loop) - (double)(mg_loop_now(loop) - ex->in->started_ns) / 1e9;
    time_t seconds = (time_t)wall;
    gmtime_r(&seconds, utc);
    return (int)((wall - (double)seconds) * 1000);
}

static struct mg_str value_time(struct mg_exchange *ex)
{
    struct tm utc;
    char text[48];
    int ms = time_of(ex, &utc);
    size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    return mg_arena_printf(ex->req.arena, "%.*s.%03dZ", (int)n, text, ms);
}

static struct mg_str value_time_clf(struct mg_exchange *ex)
{
    struct tm utc;
    char text[48];
    time_of(ex, &utc);
    size_t n = strftime(text, sizeof text, "%d/%b/%Y:%H:%M:%S +0000", &utc);
    return mg_arena_str(ex->req.arena, mg_str(text, n));
}

static struct mg_str value_url(struct mg_exchange *ex)
{
    struct mg_str path = ex->asked_path, query = ex->asked_query;
    if (!query.p)
        return path;
    return mg_arena_printf(ex->req.arena, "%.*s?%.*s", MG_STR_ARGS(path), MG_STR_ARGS(query));
}

static struct mg_str value_method(struct mg_exchange *ex)
{
    return ex->asked_method;
}

static struct mg_str value_user(struct mg_exchange *ex)
{
    struct mg_str user = mg_expr_text(&ex->req, MG_STR("${auth.subject}"));
    return user.n ? user : mg_expr_text(&ex->req, MG_STR("${auth.consumer}"));
}

static struct mg_str decimal(const struct mg_exchange *ex, uint64_t v)
{
    return mg_arena_printf(ex->req.arena, "%llu", (unsigned long long)v);
}

static struct mg_str value_bytes(struct mg_exchange *ex)
{
    return decimal(ex, ex->in->sent_bytes);
}

static struct mg_str ms(const struct mg_exchange *ex, uint64_t ns)
{
    return mg_arena_printf(ex->req.arena, "%.3f", (double)ns / 1e6);
}

static struct mg_str value_duration(struct mg_exchange *ex)
{
    return ms(ex, mg_exchange_duration_ns(ex));
}

static struct mg_str value_status(struct mg_exchange *ex)
{
    return ex->answered ? decimal(ex, ex->res->msg->status) : MG_STR_NONE;
}

static struct mg_str value_backend(struct mg_exchange *ex)
{
    const struct mg_fetch *f = fetch_of(ex);
    return f && f->backend ? mg_str_c(f->backend->label) : MG_STR_NONE;
}

static struct mg_str value_attempts(struct mg_exchange *ex)
{
    const struct mg_fetch *f = fetch_of(ex);
    return f ? decimal(ex, f->attempts) : MG_STR_NONE;
}

static struct mg_str since_start(struct mg_exchange *ex, uint64_t at_ns)
{
    const struct mg_fetch *f = fetch_of(ex);
    return at_ns ? ms(ex, at_ns - f->started_ns) : MG_STR_NONE;
}

static struct mg_str value_connect(struct mg_exchange *ex)
{
    const struct mg_fetch *f = fetch_of(ex);
    return since_start(ex, f && f->connected_ns > f->started_ns ? f->connected_ns : 0);
}

static struct mg_str value_first_byte(struct mg_exchange *ex)
{
    const struct mg_fetch *f = fetch_of(ex);
    return since_start(ex, f ? f->first_byte_ns : 0);
}

static struct mg_str value_reason(struct mg_exchange *ex)
{
    return mg_str_c(ex->reason);
}

static struct mg_str value_error(struct mg_exchange *ex)
{
    return ex->answered ? mg_str_c(ex->res->error_code) : MG_STR_NONE;
}

static struct mg_str value_source(struct mg_exchange *ex)
{
    return ex->answered ? mg_str_c(mg_source_name(ex->res->source)) : MG_STR_NONE;
}

/* --- formats --- */

/* Beside, or in place of, those of gateway/expr.h. */
static const struct {
    struct mg_str name;
    value_fn value;
    bool number;
} own[] = {
    {MG_STR("time"), value_time, false},         {MG_STR("time.clf"), value_time_clf, false},
    {MG_STR("method"), value_method, false},     {MG_STR("url"), value_url, false},
    {MG_STR("user"), value_user, false},         {MG_STR("status"), value_status, true},
    {MG_STR("bytes"), value_bytes, true},        {MG_STR("duration_ms"), value_duration, true},
    {MG_STR("backend"), value_backend, false},   {MG_STR("attempts"), value_attempts, true},
    {MG_STR("connect_ms"), value_connect, true}, {MG_STR("first_byte_ms"), value_first_byte, true},
    {MG_STR("reason"), value_reason, false},     {MG_STR("error"), value_error, false},
    {MG_STR("source"), value_source, false},
};

/* Fields of a JSON line: their names, and what they stand for. */
static const struct mg_access_field json_fields[] = {
    {MG_STR("time"), MG_STR("time")},
    {MG_STR("client_ip"), MG_STR("client_ip")},
    {MG_STR("user"), MG_STR("user")},
    {MG_STR("method"), MG_STR("method")},
    {MG_STR("scheme"), MG_STR("scheme")},
    {MG_STR("host"), MG_STR("host")},
    {MG_STR("url"), MG_STR("url")},
    {MG_STR("version"), MG_STR("version")},
    {MG_STR("status"), MG_STR("status")},
    {MG_STR("bytes"), MG_STR("bytes")},
    {MG_STR("duration_ms"), MG_STR("duration_ms")},
    {MG_STR("route"), MG_STR("route")},
    {MG_STR("service"), MG_STR("service")},
    {MG_STR("backend"), MG_STR("backend")},
    {MG_STR("attempts"), MG_STR("attempts")},
    {MG_STR("connect_ms"), MG_STR("connect_ms")},
    {MG_STR("first_byte_ms"), MG_STR("first_byte_ms")},
    {MG_STR("source"), MG_STR("source")},
    {MG_STR("error"), MG_STR("error")},
    {MG_STR("reason"), MG_STR("reason")},
    {MG_STR("referer"), MG_STR("header.referer")},
    {MG_STR("user_agent"), MG_STR("header.user-agent")},
    {MG_STR("request_id"), MG_STR("id")},
};
#define JSON_FIELDS (sizeof json_fields / sizeof json_fields[0])

/* Does it stand for a header field that is not shown? */
static bool is_hidden(const struct mg_redact *redact, struct mg_str name)
{
    static const struct mg_str kinds[] = {MG_STR("header."), MG_STR("res.header.")};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (mg_str_starts(name, kinds[i]))
            return mg_redact_has(redact, mg_str(name.p + kinds[i].n, name.n - kinds[i].n));
    return false;
}

/* "[redacted]" in place of what is not shown, whether it is there or not. No name is so short that
 * the text would grow. */
static struct mg_str without_hidden(struct mg_arena *arena, struct mg_str text,
                                    const struct mg_redact *redact)
{
    struct mg_str rest = text, literal, name;
    struct mg_buf b;
    mg_buf_init(&b, text.n);
    while (mg_expr_next(&rest, &literal, &name)) {
        mg_buf_add_str(&b, literal);
        if (name.p && is_hidden(redact, name))
            mg_buf_add_c(&b, MG_REDACTED);
        else if (name.p)
            mg_buf_printf(&b, "${%.*s}", MG_STR_ARGS(name));
    }
    text = mg_arena_str(arena, mg_buf_str(&b));
    mg_buf_release(&b);
    return text;
}

static struct mg_str value_hidden(struct mg_exchange *ex)
{
    (void)ex;
    return MG_STR(MG_REDACTED);
}

static struct piece make_piece(struct mg_str literal, struct mg_str name)
{
    struct piece p = {.literal = literal, .name = name};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (!mg_str_eq(own[i].name, name))
            continue;
        p.own = own[i].value;
        p.number = own[i].number;
    }
    return p;
}

static struct mg_access_format *new_format(struct mg_arena *arena, bool json, size_t room)
{
    struct mg_access_format *f = mg_arena_alloc(arena, sizeof *f + room * sizeof f->v[0]);
    f->json = json;
    f->count = 0;
    return f;
}

struct mg_access_format *mg_access_format_template(struct mg_arena *arena, struct mg_str text,
                                                   const struct mg_redact *redact)
{
    struct mg_str rest, literal, name;
    size_t count = 0;
    rest = text = without_hidden(arena, text, redact);
    while (mg_expr_next(&rest, &literal, &name))
        count++;
    struct mg_access_format *f = new_format(arena, false, count);
    for (rest = text; mg_expr_next(&rest, &literal, &name);)
        f->v[f->count++] = make_piece(literal, name);
    return f;
}

struct mg_access_format *mg_access_format_json(struct mg_arena *arena,
                                               const struct mg_access_field *fields, size_t count,
                                               const struct mg_redact *redact)
{
    struct mg_access_format *f = new_format(arena, true, JSON_FIELDS + count);
    for (size_t i = 0; i < JSON_FIELDS; i++) {
        struct piece *p = &f->v[f->count++];
        *p = make_piece(json_fields[i].name, json_fields[i].text);
        if (is_hidden(redact, p->name))
            p->own = value_hidden;
    }
    for (size_t i = 0; i < count; i++)
        f->v[f->count++] = (struct piece){.literal = fields[i].name,
                                          .name = without_hidden(arena, fields[i].text, redact)};
    return f;
}

/* --- lines --- */

static struct mg_str value_of(const struct piece *p, struct mg_exchange *ex)
{
    struct mg_str value;
    if (p->own)
        return p->own(ex);
    if (mg_expr_value(&ex->req, ex->answered ? ex->res : NULL, p->name, ex->req.arena, &value))
        return value;
    return mg_expr_text(&ex->req, mg_arena_printf(ex->req.arena, "${%.*s}", MG_STR_ARGS(p->name)));
}

static void add_escaped(struct mg_buf *out, struct mg_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c == 0x7f || c == '"' || c == '\\')
            mg_buf_printf(out, "\\x%02x", c);
        else
            mg_buf_add_char(out, (char)c);
    }
}

static void write_text(const struct mg_access_format *f, struct mg_exchange *ex, struct mg_buf *out)
{
    for (size_t i = 0; i < f->count; i++) {
        const struct piece *p = &f->v[i];
        mg_buf_add_str(out, p->literal);
        if (!p->name.p)
            continue;
        struct mg_str value = value_of(p, ex);
        add_escaped(out, value.n ? value : MG_STR("-"));
    }
}

/* What is not UTF-8 is shown byte by byte. */
static void add_json_string(struct mg_buf *out, struct mg_str s)
{
    size_t before = out->n;
    if (mg_json_write_string(out, s))
        return;
    out->n = before;
    mg_buf_add_char(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
            mg_buf_printf(out, "\\u%04x", c);
        else
            mg_buf_add_char(out, (char)c);
    }
    mg_buf_add_char(out, '"');
}

static void write_json(const struct mg_access_format *f, struct mg_exchange *ex, struct mg_buf *out)
{
    mg_buf_add_char(out, '{');
    for (size_t i = 0; i < f->count; i++) {
        const struct piece *p = &f->v[i];
        struct mg_str value = i < JSON_FIELDS ? value_of(p, ex) : mg_expr_text(&ex->req, p->name);
        if (value.n == 0)
            continue;
        if (out->p[out->n - 1] != '{')
            mg_buf_add_char(out, ',');
        add_json_string(out, p->literal);
        mg_buf_add_char(out, ':');
        if (p->number)
            mg_buf_add_str(out, value);
        else
            add_json_string(out, value);
    }
    mg_buf_add_char(out, '}');
}

void mg_access_write(const struct mg_access_format *f, struct mg_exchange *ex, struct mg_buf *out)
{
    if (f->json)
        write_json(f, ex, out);
    else
        write_text(f, ex, out);
    mg_buf_add_char(out, '\n');
}

void mg_access_log(struct mg_exchange *ex)
{
    struct mg_worker *w = ex->worker;
    const struct mg_access_settings *s = &ex->wg->gen->access;
    if (!s->format || !s->log)
        return;
    if (!w->lines) {
        w->lines = mg_line_log_ring(s->log, w->number);
        mg_buf_init(&w->line, MG_LINE_RING_BYTES / 4);
    }
    mg_buf_reset(&w->line);
    mg_access_write(s->format, ex, &w->line);
    if (!w->line.failed)
        mg_line_ring_put(w->lines, mg_buf_str(&w->line));
}
