/*
 * Field lines of HTTP/1.x (RFC 9112 5), for heads and trailers. Pure.
 *
 * The loops have no bounds checks. A block is known to be one CRLF, or to end in two: CR and LF are
 * in no class of bytes and end every loop, a line is left only after CRLF, and so the empty line is
 * met at the latest where the block ends.
 */
#include "http/h1_fields.h"

#include <stddef.h>

#include "http/chars.h"

struct line {
    enum mg_field_id id;
    struct mg_str name, value;
};

/* ---- one line ---- */

static int bad_line_end(const char *p, struct mg_h1_fault *fault)
{
    if (*p == '\r')
        return mg_h1_fail(fault, 400, "bare-cr");
    if (*p == '\n')
        return mg_h1_fail(fault, 400, "bare-lf");
    return mg_h1_fail(fault, 400, "field-value");
}

/* There is no colon, or what stands before it is no token. */
static int bad_name(const char *name, struct mg_h1_fault *fault)
{
    const char *p = name;
    while (mg_chars_is(*p, MG_CHARS_TOKEN))
        p++;
    bool blank = *p == ' ' || *p == '\t';
    if (p == name)
        return mg_h1_fail(fault, 400, blank ? "line-folding" : "field-name");
    if (blank)
        return mg_h1_fail(fault, 400, "space-before-colon");
    if (*p == '\n')
        return mg_h1_fail(fault, 400, "bare-lf");
    if (*p == '\r' && p[1] != '\n')
        return mg_h1_fail(fault, 400, "bare-cr");
    return mg_h1_fail(fault, 400, "field-name");
}

/* Reads the name at `p`; returns where its colon is, or NULL. Most names are known, and so need no
 * look at their bytes one by one. */
static inline const char *read_name(const char *p, const char *end, struct line *line,
                                    struct mg_h1_fault *fault)
{
    const char *colon = memchr(p, ':', (size_t)(end - p));
    line->name = mg_str(p, colon ? (size_t)(colon - p) : 0);
    line->id = mg_field_id(line->name);
    if (line->id == MG_FIELD_OTHER && !mg_is_token(line->name)) {
        bad_name(p, fault);
        return NULL;
    }
    if (line->name.n > UINT16_MAX) {
        mg_h1_fail(fault, 431, "field-name-too-long");
        return NULL;
    }
    return colon;
}

/* Reads the line at `p`; returns where the next one begins, or NULL. */
static inline const char *read_line(const char *p, const char *end, struct line *line,
                                    struct mg_h1_fault *fault)
{
    p = read_name(p, end, line, fault);
    if (!p)
        return NULL;
    do
        p++;
    while (*p == ' ' || *p == '\t');
    const char *value = p;
    p = mg_chars_text_end(p, end);
    if (*p != '\r' || p[1] != '\n') {
        bad_line_end(p, fault);
        return NULL;
    }
    const char *last = p;
    while (last > value && (last[-1] == ' ' || last[-1] == '\t'))
        last--;
    line->value = mg_str(value, (size_t)(last - value));
    return p + 2;
}

/* The empty line: it must be there, and be the last. */
static int read_end(const char *p, const char *end, struct mg_h1_fault *fault)
{
    if (p[1] != '\n')
        return mg_h1_fail(fault, 400, "bare-cr");
    return p + 2 == end ? 0 : mg_h1_fail(fault, 400, "head-incomplete");
}

/* ---- lists ---- */

/* Takes the next item of a comma-separated list; blanks around it go, empty items are passed over
 * (RFC 9110 5.6.1.2). */
static bool next_item(struct mg_str *rest, struct mg_str *item)
{
    while (rest->n) {
        ptrdiff_t comma = mg_str_find(*rest, ',');
        size_t n = comma < 0 ? rest->n : (size_t)comma;
        size_t taken = comma < 0 ? n : n + 1;
        *item = mg_str_trim(mg_str(rest->p, n));
        *rest = mg_str(rest->p + taken, rest->n - taken);
        if (item->n)
            return true;
    }
    return false;
}

static struct mg_str without_parameters(struct mg_str item)
{
    ptrdiff_t semicolon = mg_str_find(item, ';');
    return semicolon < 0 ? item : mg_str_trim(mg_str(item.p, (size_t)semicolon));
}

bool mg_h1_list_has(struct mg_str value, struct mg_str token)
{
    struct mg_str item;
    while (next_item(&value, &item))
        if (mg_str_ieq(without_parameters(item), token))
            return true;
    return false;
}

/* Those of the registry (RFC 9112 7.2), with the names that they had before. */
static bool is_registered_coding(struct mg_str name)
{
    static const char *const names[] = {"chunked",  "compress",   "deflate", "gzip",
                                        "trailers", "x-compress", "x-gzip"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (mg_str_ieq(name, mg_str_c(names[i])))
            return true;
    return false;
}

enum mg_h1_coding mg_h1_coding(struct mg_str value)
{
    const struct mg_str chunked = MG_STR("chunked");
    if (mg_str_ieq(value, chunked))
        return MG_H1_CODING_CHUNKED;
    if (mg_is_token(value) && !is_registered_coding(value))
        return MG_H1_CODING_UNREGISTERED;
    struct mg_str item;
    bool others = false, ended = false;
    while (next_item(&value, &item)) {
        if (ended || !mg_is_token(without_parameters(item)))
            return MG_H1_CODING_BAD;
        ended = mg_str_ieq(item, chunked);
        others |= !ended;
    }
    return ended && others ? MG_H1_CODING_UNKNOWN : MG_H1_CODING_BAD;
}

/* ---- what a line says ---- */

static void read_connection(struct mg_h1_facts *facts, struct mg_str value)
{
    struct mg_str item;
    while (next_item(&value, &item)) {
        if (mg_str_ieq(item, MG_STR("keep-alive")))
            facts->keep_alive = true;
        else if (mg_str_ieq(item, MG_STR("close")))
            facts->close = true;
        else if (mg_str_ieq(item, MG_STR("upgrade")))
            facts->upgrade_named = true;
        else if (mg_str_ieq(item, MG_STR("te")))
            facts->te_named = true;
        else if (!mg_is_token(item) || facts->nominee_count == MG_H1_NOMINEES)
            facts->odd_connection = true;
        else
            facts->nominees[facts->nominee_count++] = item;
    }
}

static void read_expect(struct mg_h1_facts *facts, struct mg_str value)
{
    struct mg_str item;
    while (next_item(&value, &item)) {
        if (mg_str_ieq(item, MG_STR("100-continue")))
            facts->expect_continue = true;
        else
            facts->expect_other = true;
    }
}

static int read_length(struct mg_h1_facts *facts, struct mg_str value, struct mg_h1_fault *fault)
{
    if (facts->lengths++)
        return mg_h1_fail(fault, 400, "content-length-twice");
    if (value.n > 19 || !mg_str_to_u64(value, INT64_MAX, &facts->length))
        return mg_h1_fail(fault, 400, "content-length");
    return 0;
}

/*
 * "Transfer_Encoding", "Content--Length" and the like: tokens, and so allowed, but a backend that
 * maps names to variables or skips odd bytes takes them for the real thing. True when the name's
 * letters are those of a framing field.
 */
static bool is_lookalike(struct mg_str name)
{
    const char *p = name.p, *end = name.p + name.n;
    while (p < end && (unsigned char)((*p | 0x20) - 'a') >= 26)
        p++;
    if (p == end || ((*p | 0x20) != 't' && (*p | 0x20) != 'c'))
        return false;
    const char *want = (*p | 0x20) == 't' ? "transferencoding" : "contentlength";
    for (; p < end; p++) {
        unsigned char c = (unsigned char)(*p | 0x20);
        if ((unsigned char)(c - 'a') >= 26)
            continue;
        if (c != (unsigned char)*want)
            return false;
        want++;
    }
    return *want == 0;
}

static void keep_first(uint32_t *count, struct mg_str *first, struct mg_str value)
{
    if ((*count)++ == 0)
        *first = value;
}

/* A field that belongs to the codec. */
static int take_fact(struct mg_h1_facts *facts, enum mg_field_id id, struct mg_str value,
                     struct mg_h1_fault *fault)
{
    switch (id) {
    case MG_FIELD_HOST:
        keep_first(&facts->hosts, &facts->host, value);
        break;
    case MG_FIELD_CONTENT_LENGTH:
        return read_length(facts, value, fault);
    case MG_FIELD_TRANSFER_ENCODING:
        keep_first(&facts->codings, &facts->coding, value);
        break;
    case MG_FIELD_CONNECTION:
        read_connection(facts, value);
        break;
    case MG_FIELD_UPGRADE:
        keep_first(&facts->upgrades, &facts->upgrade, value);
        break;
    case MG_FIELD_TE:
        facts->trailers |= mg_h1_list_has(value, MG_STR("trailers"));
        break;
    case MG_FIELD_EXPECT:
        read_expect(facts, value);
        break;
    default: /* Keep-Alive, Proxy-Connection, HTTP2-Settings: nothing in them concerns us */
        break;
    }
    return 0;
}

/* RFC 9110 7.6.1: neither as header nor as trailer. What the codec keeps as members cannot be named
 * away. */
static void remove_nominees(struct mg_message *m, const struct mg_h1_facts *facts)
{
    for (unsigned i = 0; i < facts->nominee_count; i++) {
        mg_fields_remove(&m->fields, facts->nominees[i]);
        mg_message_settle(m, facts->nominees[i]);
    }
}

int mg_h1_fields_parse(const char *p, const char *end, const struct mg_h1_limits *limits,
                       struct mg_message *m, struct mg_h1_facts *facts, struct mg_h1_fault *fault)
{
    uint32_t most = limits->field_count < UINT16_MAX ? limits->field_count : UINT16_MAX;
    memset(facts, 0, offsetof(struct mg_h1_facts, nominees));
    while (*p != '\r') {
        struct line line;
        p = read_line(p, end, &line, fault);
        if (!p)
            return -1;
        if (++facts->lines > most)
            return mg_h1_fail(fault, 431, "too-many-fields");
        if (line.id == MG_FIELD_OTHER && is_lookalike(line.name))
            return mg_h1_fail(fault, 400, "framing-lookalike");
        if (!mg_field_is_codec(line.id))
            mg_fields_add_known(&m->fields, m->arena, line.id, line.name, line.value);
        else if (take_fact(facts, line.id, line.value, fault))
            return -1;
    }
    if (read_end(p, end, fault))
        return -1;
    remove_nominees(m, facts);
    return 0;
}

/* ---- trailers ---- */

static int parse_trailers(const char *p, const char *end, const struct mg_h1_limits *limits,
                          struct mg_fields *fields, struct mg_arena *arena,
                          struct mg_h1_fault *fault)
{
    uint32_t most = limits->field_count < UINT16_MAX ? limits->field_count : UINT16_MAX;
    uint32_t lines = 0;
    while (*p != '\r') {
        struct line line;
        p = read_line(p, end, &line, fault);
        if (!p)
            return -1;
        if (++lines > most)
            return mg_h1_fail(fault, 431, "too-many-fields");
        struct mg_field f = {
            .name = line.name.p,
            .name_len = (uint16_t)line.name.n,
            .id = (uint16_t)line.id,
        };
        if (fields && mg_field_may_trail(&f) && !is_lookalike(line.name))
            mg_fields_add_known(fields, arena, line.id, line.name, line.value);
    }
    return read_end(p, end, fault);
}

int mg_h1_parse_trailers(const char *block, size_t n, const struct mg_h1_limits *limits,
                         struct mg_fields *fields, struct mg_arena *arena,
                         struct mg_h1_fault *fault)
{
    struct mg_str all = mg_str(block, n);
    if (!mg_str_eq(all, MG_STR("\r\n")) && !mg_str_ends(all, MG_STR("\r\n\r\n")))
        return mg_h1_fail(fault, 400, "trailers-incomplete");
    if (fields && n > 2)
        block = mg_arena_str(arena, all).p;
    return parse_trailers(block, block + n, limits, fields, arena, fault);
}
