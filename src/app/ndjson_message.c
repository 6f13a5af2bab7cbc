/* Reads messages, writes replies. */
#include "app/ndjson_message.h"

#include "base/json.h"

struct parse {
    struct mg_json_reader r;
    struct mg_arena *arena;
    struct mg_str text;
    struct mg_ndjson_header *headers;
    size_t header_count, header_room;
};

/* --- values that are passed on --- */

static struct mg_str view(const struct parse *p, size_t from, size_t to)
{
    return mg_str(p->text.p + from, to - from);
}

static size_t pass_digits(struct mg_str text, size_t at)
{
    while (at < text.n && text.p[at] >= '0' && text.p[at] <= '9')
        at++;
    return at;
}

/* A number as it is written: nothing of its precision is lost. The reader has taken it, so digits
 * follow where there must be some (RFC 8259 6). */
static struct mg_str number_text(const struct parse *p)
{
    struct mg_str text = p->text;
    size_t end = p->r.at;
    end = pass_digits(text, end + (text.p[end] == '-'));
    if (end < text.n && text.p[end] == '.')
        end = pass_digits(text, end + 1);
    if (end < text.n && (text.p[end] | 0x20) == 'e') {
        end++;
        end = pass_digits(text, end + (text.p[end] == '+' || text.p[end] == '-'));
    }
    return view(p, p->r.at, end);
}

static void write_string(struct mg_buf *out, struct mg_str s)
{
    bool utf8 = mg_json_write_string(out, s);
    MG_BUG_ON(!utf8 && !out->failed); /* the reader has looked */
}

/* Writes the value whose first token was read, on one line. False after MG_JSON_ERROR. */
static bool write_value(struct parse *p, enum mg_json_token token, struct mg_buf *out)
{
    unsigned depth = 0;
    bool first = true; /* in its container, or behind its key */
    for (;; token = mg_json_next(&p->r)) {
        bool ends = token == MG_JSON_OBJECT_END || token == MG_JSON_ARRAY_END;
        if (!first && !ends)
            mg_buf_add_c(out, ", ");
        first = false;
        switch (token) {
        case MG_JSON_OBJECT:
        case MG_JSON_ARRAY:
            mg_buf_add_char(out, token == MG_JSON_OBJECT ? '{' : '[');
            depth++;
            first = true;
            break;
        case MG_JSON_OBJECT_END:
        case MG_JSON_ARRAY_END:
            mg_buf_add_char(out, token == MG_JSON_OBJECT_END ? '}' : ']');
            depth--;
            break;
        case MG_JSON_KEY:
            write_string(out, p->r.text);
            mg_buf_add_c(out, ": ");
            first = true;
            break;
        case MG_JSON_STRING:
            write_string(out, p->r.text);
            break;
        case MG_JSON_INTEGER:
        case MG_JSON_FLOAT:
            mg_buf_add_str(out, number_text(p));
            break;
        case MG_JSON_TRUE:
            mg_buf_add_c(out, "true");
            break;
        case MG_JSON_FALSE:
            mg_buf_add_c(out, "false");
            break;
        case MG_JSON_NULL:
            mg_buf_add_c(out, "null");
            break;
        case MG_JSON_ERROR:
        case MG_JSON_END:
            return false;
        }
        if (depth == 0)
            return true;
    }
}

/* The value whose first token was read, as JSON. Empty after MG_JSON_ERROR. */
static struct mg_str take_json(struct parse *p, enum mg_json_token token)
{
    struct mg_buf out;
    struct mg_str json = MG_STR_NONE;
    if (token == MG_JSON_INTEGER)
        return number_text(p);
    mg_buf_init(&out, 8 * p->text.n + 16);
    if (write_value(p, token, &out))
        json = mg_arena_str(p->arena, mg_buf_str(&out));
    mg_buf_release(&out);
    return json;
}

/* Passes over the rest of the value whose first token was read. */
static void skip_value(struct parse *p, enum mg_json_token token)
{
    unsigned depth = 0;
    for (;; token = mg_json_next(&p->r)) {
        if (token == MG_JSON_OBJECT || token == MG_JSON_ARRAY)
            depth++;
        else if (token == MG_JSON_OBJECT_END || token == MG_JSON_ARRAY_END)
            depth--;
        if (token <= MG_JSON_END || depth == 0)
            return;
    }
}

static struct mg_str take_string(struct parse *p, enum mg_json_token token)
{
    if (token == MG_JSON_STRING)
        return mg_arena_str(p->arena, p->r.text);
    skip_value(p, token);
    return MG_STR_NONE;
}

/* --- messages --- */

static void add_header(struct parse *p, struct mg_str name, struct mg_str value)
{
    if (p->header_count == MG_NDJSON_HEADERS_MAX)
        return;
    if (p->header_count == p->header_room) {
        size_t room = p->header_room ? p->header_room * 2 : 8, one = sizeof *p->headers;
        p->headers = mg_arena_grow(p->arena, p->headers, p->header_room * one, room * one);
        p->header_room = room;
    }
    p->headers[p->header_count++] = (struct mg_ndjson_header){name, value};
}

static void read_headers(struct parse *p, enum mg_json_token token)
{
    if (token != MG_JSON_OBJECT) {
        skip_value(p, token);
        return;
    }
    p->header_count = 0;
    while (mg_json_next(&p->r) == MG_JSON_KEY) {
        struct mg_str name = mg_arena_str(p->arena, p->r.text);
        struct mg_str value = take_string(p, mg_json_next(&p->r));
        if (value.p)
            add_header(p, name, value);
    }
}

static void read_routes(struct parse *p, enum mg_json_token token, struct mg_ndjson_message *m)
{
    size_t from = p->r.at;
    skip_value(p, token);
    m->routes = view(p, from, token == MG_JSON_ARRAY ? p->r.at + 1 : from);
    if (token != MG_JSON_ARRAY)
        m->routes = MG_STR("null"); /* there, but no list */
}

static bool is(const struct parse *p, const char *key)
{
    return mg_str_eq(p->r.text, mg_str_c(key));
}

/* Members of a message's body, up to the end of the object. */
static void read_body_member(struct parse *p, struct mg_ndjson_message *m)
{
    enum { TYPE, MSG_ID, METHOD, PATH, HEADERS, ROUTES, OTHER } which = OTHER;
    static const char *const keys[] = {"type", "msg_id", "method", "path", "headers", "routes"};
    for (int i = 0; i < OTHER && which == OTHER; i++)
        if (is(p, keys[i]))
            which = i;
    enum mg_json_token token = mg_json_next(&p->r);
    switch (which) {
    case TYPE:
        m->type = take_string(p, token);
        break;
    case MSG_ID:
        m->msg_id = take_json(p, token);
        break;
    case METHOD:
        m->method = take_string(p, token);
        break;
    case PATH:
        m->path = take_string(p, token);
        break;
    case HEADERS:
        read_headers(p, token);
        break;
    case ROUTES:
        read_routes(p, token, m);
        break;
    case OTHER:
        skip_value(p, token);
        break;
    }
}

/* The body in an envelope; what stood beside it is not the message's. */
static void read_body(struct parse *p, struct mg_ndjson_message *m)
{
    *m = (struct mg_ndjson_message){.enveloped = true, .src = m->src, .dest = m->dest};
    p->header_count = 0;
    while (mg_json_next(&p->r) == MG_JSON_KEY)
        read_body_member(p, m);
}

static void read_member(struct parse *p, struct mg_ndjson_message *m)
{
    if (is(p, "src")) {
        m->src = take_json(p, mg_json_next(&p->r));
    } else if (is(p, "dest")) {
        m->dest = take_json(p, mg_json_next(&p->r));
    } else if (is(p, "body")) {
        enum mg_json_token token = mg_json_next(&p->r);
        if (token == MG_JSON_OBJECT)
            read_body(p, m);
        else
            skip_value(p, token);
    } else if (m->enveloped) {
        skip_value(p, mg_json_next(&p->r));
    } else {
        read_body_member(p, m);
    }
}

enum mg_rc mg_ndjson_message_read(struct mg_arena *arena, struct mg_str text,
                                  struct mg_buf *scratch, struct mg_ndjson_message *out,
                                  struct mg_error *err)
{
    static const struct mg_json_options options = {.big_numbers_as_float = true};
    struct parse p = {.arena = arena, .text = text};
    *out = (struct mg_ndjson_message){.method = MG_STR_NONE};
    mg_json_reader_init(&p.r, text, &options, scratch);
    enum mg_json_token token = mg_json_next(&p.r);
    if (token != MG_JSON_OBJECT && token != MG_JSON_ERROR)
        return mg_error_set(err, "expected an object");
    while (token != MG_JSON_ERROR && (token = mg_json_next(&p.r)) == MG_JSON_KEY)
        read_member(&p, out);
    out->headers = p.headers;
    out->header_count = p.header_count;
    if (token != MG_JSON_OBJECT_END || mg_json_next(&p.r) != MG_JSON_END)
        return mg_json_reader_error(&p.r, err);
    return MG_OK;
}

/* --- replies --- */

/* `"key": `, with a comma before all but the first. */
static void add_key(struct mg_buf *out, const char *key)
{
    if (out->p[out->n - 1] != '{')
        mg_buf_add_c(out, ", ");
    mg_buf_add_char(out, '"');
    mg_buf_add_c(out, key);
    mg_buf_add_c(out, "\": ");
}

static void add_json(struct mg_buf *out, const char *key, struct mg_str json)
{
    if (!json.n)
        return;
    add_key(out, key);
    mg_buf_add_str(out, json);
}

static void add_string(struct mg_buf *out, const char *key, struct mg_str s)
{
    if (!s.n)
        return;
    add_key(out, key);
    size_t before = out->n;
    if (mg_json_write_string(out, s))
        return;
    out->n = before; /* no text: a path may be any bytes, percent-encoded */
    mg_buf_add_c(out, "null");
}

void mg_ndjson_reply_write(struct mg_buf *out, const struct mg_ndjson_message *m,
                           const struct mg_ndjson_reply *reply)
{
    mg_buf_add_char(out, '{');
    if (m->enveloped) {
        add_json(out, "src", m->dest);
        add_json(out, "dest", m->src);
        add_key(out, "body");
        mg_buf_add_char(out, '{');
    }
    add_string(out, "type", reply->type);
    add_json(out, "in_reply_to", m->msg_id);
    if (reply->status) {
        add_key(out, "status");
        mg_buf_printf(out, "%u", reply->status);
    }
    add_string(out, "service", reply->service);
    add_string(out, "version", reply->version);
    add_string(out, "backend", reply->backend);
    add_string(out, "body", reply->body);
    add_string(out, "text", reply->text);
    mg_buf_add_c(out, m->enveloped ? "}}\n" : "}\n");
}
