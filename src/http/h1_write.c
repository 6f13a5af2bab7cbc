/*
 * HTTP/1.1 heads and chunk framing, written: sizes are summed up first, so that there is one
 * allocation and then nothing but copying. Pure.
 */
#include "http/h1_write.h"

/* Room for all that is written besides the message's own bytes and those of mg_h1_write: the
 * longest start line's fixed parts, every field of ours at once, and the empty line. */
#define FIXED_BYTES 192

static inline char *put(char *at, struct mg_str s)
{
    return s.n ? (char *)memcpy(at, s.p, s.n) + s.n : at;
}

#define PUT_LITERAL(at, text) ((char *)memcpy(at, text, sizeof(text) - 1) + sizeof(text) - 1)

static char *put_length(char *at, uint64_t length)
{
    at = PUT_LITERAL(at, "Content-Length: ");
    at += mg_u64_to_dec(length, at);
    return PUT_LITERAL(at, "\r\n");
}

/* ---- what the codec says itself ---- */

struct option {
    bool on;
    struct mg_str name;
};

/* Connection, with all its options in one field, and Upgrade. */
static char *put_connection(char *at, const struct mg_h1_write *w)
{
    const struct option options[] = {
        {w->upgrade.n > 0, MG_STR("upgrade")},
        {!w->keep_alive && w->upgrade.n == 0, MG_STR("close")},
        {w->keep_alive && w->say_keep_alive, MG_STR("keep-alive")},
        {w->te_trailers, MG_STR("TE")},
    };
    struct mg_str before = MG_STR("Connection: ");
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        if (!options[i].on)
            continue;
        at = put(at, before);
        at = put(at, options[i].name);
        before = MG_STR(", ");
    }
    if (before.n == 2)
        at = PUT_LITERAL(at, "\r\n");
    if (w->upgrade.n) {
        at = PUT_LITERAL(at, "Upgrade: ");
        at = put(at, w->upgrade);
        at = PUT_LITERAL(at, "\r\n");
    }
    return at;
}

static char *put_framing(char *at, const struct mg_h1_write *w)
{
    if (w->framing == MG_H1_LENGTH)
        return put_length(at, w->length);
    if (w->framing == MG_H1_CHUNKED)
        return PUT_LITERAL(at, "Transfer-Encoding: chunked\r\n");
    return at;
}

/* ---- the message's fields ---- */

/* An upper bound. */
static size_t fields_bytes(const struct mg_fields *fields)
{
    size_t n = 0;
    for (unsigned i = 0; i < fields->n; i++)
        n += fields->v[i].name_len + (size_t)fields->v[i].value_len + 4;
    return n;
}

static char *put_field(char *at, const struct mg_field *f)
{
    at = (char *)memcpy(at, f->name, f->name_len) + f->name_len;
    at = PUT_LITERAL(at, ": ");
    at = put(at, mg_field_value(f));
    return PUT_LITERAL(at, "\r\n");
}

/* Sets the bits of `*seen` for the ids that were written; there are fewer than 64 ids. */
static char *put_fields(char *at, const struct mg_fields *fields, uint64_t *seen)
{
    for (unsigned i = 0; i < fields->n; i++) {
        const struct mg_field *f = &fields->v[i];
        if (mg_field_is_codec(f->id))
            continue;
        *seen |= UINT64_C(1) << f->id;
        at = put_field(at, f);
    }
    return at;
}

/* ---- heads ---- */

static char *put_target(char *at, const struct mg_message *m, const struct mg_h1_write *w)
{
    if (w->target.n)
        return put(at, w->target);
    at = put(at, m->path.n ? m->path : MG_STR("/"));
    if (!m->query.p)
        return at;
    *at++ = '?';
    return put(at, m->query);
}

struct mg_str mg_h1_write_request(const struct mg_message *m, const struct mg_h1_write *w)
{
    struct mg_str authority = w->authority.p ? w->authority : m->authority;
    size_t room = FIXED_BYTES + m->method.n + m->path.n + m->query.n + w->target.n + authority.n +
                  w->upgrade.n + w->extra.n + fields_bytes(&m->fields);
    char *head = mg_arena_alloc(m->arena, room);
    char *at = put(head, m->method);
    *at++ = ' ';
    at = put_target(at, m, w);
    at = PUT_LITERAL(at, " HTTP/1.1\r\nHost: ");
    at = put(at, authority);
    at = PUT_LITERAL(at, "\r\n");
    uint64_t seen = 0;
    at = put_fields(at, &m->fields, &seen);
    at = put_framing(at, w);
    at = put_connection(at, w);
    if (w->te_trailers)
        at = PUT_LITERAL(at, "TE: trailers\r\n");
    if (w->expect_continue)
        at = PUT_LITERAL(at, "Expect: 100-continue\r\n");
    at = put(at, w->extra);
    at = PUT_LITERAL(at, "\r\n");
    return mg_str(head, (size_t)(at - head));
}

static char *put_status_line(char *at, const struct mg_message *m, struct mg_str phrase)
{
    at = PUT_LITERAL(at, "HTTP/1.1 ");
    at[0] = (char)('0' + m->status / 100 % 10);
    at[1] = (char)('0' + m->status / 10 % 10);
    at[2] = (char)('0' + m->status % 10);
    at[3] = ' ';
    at = put(at + 4, phrase);
    return PUT_LITERAL(at, "\r\n");
}

static char *put_response_framing(char *at, const struct mg_message *m, const struct mg_h1_write *w)
{
    if (m->status < 200 || m->status == 204)
        return at;
    if (w->framing == MG_H1_NO_BODY)
        return m->status != 304 && m->content_length >= 0
                   ? put_length(at, (uint64_t)m->content_length)
                   : at;
    return put_framing(at, w);
}

static char *put_missing(char *at, uint64_t seen, enum mg_field_id id, struct mg_str value)
{
    if (value.n == 0 || seen >> id & 1)
        return at;
    at = put(at, mg_field_name(id));
    at = PUT_LITERAL(at, ": ");
    at = put(at, value);
    return PUT_LITERAL(at, "\r\n");
}

struct mg_str mg_h1_write_response(const struct mg_message *m, const struct mg_h1_write *w)
{
    struct mg_str phrase = m->phrase.n ? m->phrase : mg_status_phrase(m->status);
    size_t room = FIXED_BYTES + phrase.n + w->date.n + w->server.n + w->upgrade.n + w->extra.n +
                  fields_bytes(&m->fields);
    char *head = mg_arena_alloc(m->arena, room);
    char *at = put_status_line(head, m, phrase);
    uint64_t seen = 0;
    at = put_fields(at, &m->fields, &seen);
    at = put_missing(at, seen, MG_FIELD_DATE, w->date);
    at = put_missing(at, seen, MG_FIELD_SERVER, w->server);
    at = put_response_framing(at, m, w);
    at = put_connection(at, w);
    at = put(at, w->extra);
    at = PUT_LITERAL(at, "\r\n");
    return mg_str(head, (size_t)(at - head));
}

/* ---- chunks ---- */

size_t mg_h1_write_chunk_size(char *out, uint64_t n)
{
    char digits[16];
    size_t first = sizeof digits;
    do
        digits[--first] = "0123456789abcdef"[n & 15];
    while (n >>= 4);
    size_t count = sizeof digits - first;
    memcpy(out, digits + first, count);
    memcpy(out + count, "\r\n", 2);
    return count + 2;
}

struct mg_str mg_h1_write_last_chunk(struct mg_arena *arena, const struct mg_message *m,
                                     const struct mg_fields *trailers)
{
    if (!trailers || trailers->n == 0)
        return MG_STR("0\r\n\r\n");
    char *text = mg_arena_alloc(arena, 5 + fields_bytes(trailers));
    char *at = PUT_LITERAL(text, "0\r\n");
    for (unsigned i = 0; i < trailers->n; i++)
        if (mg_message_may_trail(m, &trailers->v[i]))
            at = put_field(at, &trailers->v[i]);
    at = PUT_LITERAL(at, "\r\n");
    return mg_str(text, (size_t)(at - text));
}
