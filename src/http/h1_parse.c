/*
 * HTTP/1.x heads: where one ends, its start line, and what its fields mean together (RFC 9112 2 to
 * 6, 9). Pure. The field lines themselves are read in h1_fields.c.
 */
#include "http/h1_parse.h"

#include "base/uri.h"
#include "http/chars.h"
#include "http/h1_fields.h"
#include "http/target.h"

#define METHOD_BYTES 32
#define BLANK_LINES 4
/* Around the target: method, two spaces, "HTTP/1.1", CRLF. */
#define LINE_EXTRA (METHOD_BYTES + 12)

/* ---- where a head ends ---- */

/* Empty lines before a request: 1 and `*skip` when what follows them is there, 0 for more, -1. */
static int skip_blank_lines(const char *p, size_t n, uint32_t *skip, struct mg_h1_fault *fault)
{
    size_t at = 0;
    while (at < n && p[at] == '\r') {
        if (at + 1 == n)
            return 0;
        if (p[at + 1] != '\n')
            return mg_h1_fail(fault, 400, "bare-cr");
        at += 2;
        if (at > 2 * BLANK_LINES)
            return mg_h1_fail(fault, 400, "blank-lines");
    }
    if (at == n)
        return 0;
    if (p[at] == '\n')
        return mg_h1_fail(fault, 400, "bare-lf");
    if (!mg_chars_is(p[at], MG_CHARS_TOKEN))
        return mg_h1_fail(fault, 400, "method");
    *skip = (uint32_t)at;
    return 1;
}

/* The request line has `n` bytes, or will have more. */
static int check_line_room(size_t n, const struct mg_h1_limits *limits, struct mg_h1_fault *fault)
{
    if (n > (size_t)limits->target_bytes + LINE_EXTRA)
        return mg_h1_fail(fault, 414, "target-too-long");
    return 0;
}

/* No end of head in the `n` bytes: is there still room for one? */
static int check_room(bool in_request_line, size_t n, const struct mg_h1_limits *limits,
                      struct mg_h1_fault *fault)
{
    if (in_request_line && (n >= limits->head_bytes || check_line_room(n, limits, fault)))
        return mg_h1_fail(fault, 414, "target-too-long");
    return n < limits->head_bytes ? 0 : mg_h1_fail(fault, 431, "head-too-large");
}

int mg_h1_head_end(struct mg_h1_scan *scan, const char *p, size_t n,
                   const struct mg_h1_limits *limits, bool is_request, uint32_t *skip,
                   struct mg_h1_fault *fault)
{
    *skip = 0;
    if (is_request) {
        int rc = skip_blank_lines(p, n, skip, fault);
        if (rc <= 0)
            return rc;
    }
    if (scan->line < *skip)
        scan->line = scan->seen = *skip;
    size_t most = (size_t)*skip + limits->head_bytes;
    size_t look = n < most ? n : most; /* what follows the head may be a long body */
    while (scan->seen < look) {
        const char *lf = memchr(p + scan->seen, '\n', look - scan->seen);
        if (!lf)
            break;
        uint32_t at = (uint32_t)(lf - p);
        /* First, for so it would be had the line come in pieces. */
        if (is_request && !scan->first_done && check_line_room(at - *skip, limits, fault))
            return -1;
        if (at == scan->line || lf[-1] != '\r')
            return mg_h1_fail(fault, 400, "bare-lf");
        if (at - scan->line == 1) {
            if (!scan->first_done)
                return mg_h1_fail(fault, 400, "status-line");
            return (int)(at + 1);
        }
        scan->first_done = true;
        scan->line = scan->seen = at + 1;
    }
    scan->seen = (uint32_t)look;
    return check_room(is_request && !scan->first_done, look - *skip, limits, fault);
}

/* ---- start lines ---- */

/* CRLF at `p`, which is followed by at least one byte. */
static int check_line_end(const char *p, const char *reason, struct mg_h1_fault *fault)
{
    if (*p == '\r')
        return p[1] == '\n' ? 0 : mg_h1_fail(fault, 400, "bare-cr");
    return mg_h1_fail(fault, 400, *p == '\n' ? "bare-lf" : reason);
}

static bool is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}

/* "HTTP/1.1" at `p`. A higher minor version is read as 1.1 (RFC 9110 2.5). */
static int read_version(const char *p, const char *end, uint8_t *version, struct mg_h1_fault *fault)
{
    if (end - p < 8 + 4 || memcmp(p, "HTTP/", 5) != 0 || !is_digit(p[5]) || p[6] != '.' ||
        !is_digit(p[7]) || p[5] == '0')
        return mg_h1_fail(fault, 400, "version");
    if (p[5] != '1')
        return mg_h1_fail(fault, 505, "version-unsupported");
    *version = p[7] == '0' ? 10 : 11;
    return 0;
}

static int bad_target(struct mg_str target, struct mg_h1_fault *fault)
{
    if (target.n == 0)
        return mg_h1_fail(fault, 400, "request-line");
    if (mg_str_find(target, '\r') >= 0 || mg_str_find(target, '\n') >= 0)
        return mg_h1_fail(fault, 400, "version"); /* the line ended early: HTTP/0.9 */
    return mg_h1_fail(fault, 400, mg_str_find(target, '#') >= 0 ? "target-fragment" : "target");
}

/* RFC 9112 3.2. Absolute-form leaves the authority in the message. */
static int read_target(struct mg_message *m, struct mg_str target, struct mg_h1_fault *fault)
{
    if (m->method_id == MG_METHOD_CONNECT)
        return mg_h1_fail(fault, 501, "connect");
    if (mg_target_split(target, &m->path, &m->query))
        return 0;
    bool options = m->method_id == MG_METHOD_OPTIONS;
    if (options && mg_str_eq(target, MG_STR("*"))) {
        m->path = target;
        m->query = MG_STR_NONE;
        return 0;
    }
    if (!mg_target_split_absolute(target, &m->scheme, &m->authority, &m->path, &m->query))
        return bad_target(target, fault);
    /* "OPTIONS http://host" asks about the server itself: RFC 9112 3.2.4. */
    if (m->path.n == 0)
        m->path = options && !m->query.p ? MG_STR("*") : MG_STR("/");
    return 0;
}

/* Returns where the field lines begin, or NULL. */
static const char *read_request_line(const char *p, const char *end,
                                     const struct mg_h1_limits *limits, struct mg_message *m,
                                     struct mg_h1_fault *fault)
{
    const char *from = p;
    while (mg_chars_is(*p, MG_CHARS_TOKEN))
        p++;
    m->method = mg_str(from, (size_t)(p - from));
    if (*p != ' ' || p == from) {
        mg_h1_fail(fault, 400, *p == '\r' && p > from ? "request-line" : "method");
        return NULL;
    }
    if (m->method.n > METHOD_BYTES) {
        mg_h1_fail(fault, 501, "method-too-long");
        return NULL;
    }
    m->method_id = mg_method_id(m->method);
    from = ++p;
    p = memchr(from, ' ', (size_t)(end - from));
    if (!p) {
        mg_h1_fail(fault, 400, "version");
        return NULL;
    }
    struct mg_str target = mg_str(from, (size_t)(p - from));
    if (read_target(m, target, fault))
        return NULL;
    if (target.n > limits->target_bytes) {
        mg_h1_fail(fault, 414, "target-too-long");
        return NULL;
    }
    p++;
    if (read_version(p, end, &m->version, fault) || check_line_end(p + 8, "version", fault))
        return NULL;
    return p + 10;
}

/* RFC 9112 4. The space before an empty phrase is often left out, and is not missed. */
static const char *read_status_line(const char *p, const char *end, struct mg_message *m,
                                    struct mg_h1_fault *fault)
{
    if (read_version(p, end, &m->version, fault))
        return NULL;
    p += 8;
    if (end - p < 4 + 4 || p[0] != ' ' || !is_digit(p[1]) || !is_digit(p[2]) || !is_digit(p[3])) {
        mg_h1_fail(fault, 400, "status-line");
        return NULL;
    }
    m->status = (uint16_t)((p[1] - '0') * 100 + (p[2] - '0') * 10 + (p[3] - '0'));
    if (m->status < 100 || m->status > 599) {
        mg_h1_fail(fault, 400, "status");
        return NULL;
    }
    p += 4;
    if (*p == ' ') {
        const char *from = ++p;
        p = mg_chars_text_end(p, end);
        m->phrase = mg_str(from, (size_t)(p - from));
    }
    return check_line_end(p, "status-line", fault) ? NULL : p + 2;
}

/* What the loops of this file and of h1_fields.c rely on. */
static int check_block(const char *head, size_t n, struct mg_h1_fault *fault)
{
    if (n <= UINT32_MAX && mg_str_ends(mg_str(head, n), MG_STR("\r\n\r\n")))
        return 0;
    return mg_h1_fail(fault, 400, "head-incomplete");
}

/* ---- what the fields mean together ---- */

/* RFC 9112 6.1 and 6.3, and where those leave a choice, the refusal. */
static int check_framing(const struct mg_h1_facts *facts, uint8_t version,
                         struct mg_h1_fault *fault)
{
    if (!facts->codings)
        return 0;
    if (version == 10)
        return mg_h1_fail(fault, 400, "transfer-encoding-in-1.0");
    if (facts->codings > 1)
        return mg_h1_fail(fault, 400, "transfer-encoding-twice");
    if (facts->lengths)
        return mg_h1_fail(fault, 400, "length-and-transfer-encoding");
    switch (mg_h1_coding(facts->coding)) {
    case MG_H1_CODING_CHUNKED:
        return 0;
    case MG_H1_CODING_UNKNOWN:
        return mg_h1_fail(fault, 501, "transfer-coding-unknown");
    case MG_H1_CODING_UNREGISTERED:
    case MG_H1_CODING_BAD:
        break;
    }
    return mg_h1_fail(fault, 400, "transfer-encoding");
}

/* RFC 9112 9.3. */
static bool keeps_alive(const struct mg_h1_facts *facts, uint8_t version)
{
    return !facts->close && (version > 10 || facts->keep_alive);
}

/* RFC 9110 7.8: it counts only with Connection: upgrade, and not in HTTP/1.0. */
static struct mg_str upgrade_of(const struct mg_h1_facts *facts, uint8_t version)
{
    bool counts = version > 10 && facts->upgrade_named && facts->upgrades == 1;
    return counts ? facts->upgrade : MG_STR_NONE;
}

/* RFC 9112 3.2. A Host beside an absolute-form target that says otherwise is refused: whoever looks
 * at the one and whoever looks at the other would route it differently. */
static int check_host(struct mg_message *m, const struct mg_h1_facts *facts,
                      struct mg_h1_fault *fault)
{
    if (facts->hosts > 1)
        return mg_h1_fail(fault, 400, "host-twice");
    if (!facts->hosts)
        return m->version > 10 ? mg_h1_fail(fault, 400, "host-missing") : 0;
    struct mg_uri_authority parts;
    if (facts->host.n && mg_uri_parse_authority(facts->host, false, &parts))
        return mg_h1_fail(fault, 400, "host");
    if (m->authority.n && !mg_str_ieq(m->authority, facts->host))
        return mg_h1_fail(fault, 400, "host-mismatch");
    m->authority = facts->host;
    return 0;
}

/* RFC 9110 10.1.1. HTTP/1.0 has no 100, and without content there is nothing to wait for. */
static int check_expect(struct mg_message *m, const struct mg_h1_facts *facts,
                        const struct mg_h1_framing *framing, struct mg_h1_fault *fault)
{
    if (facts->expect_other)
        return mg_h1_fail(fault, 417, "expectation");
    bool has_content = framing->kind == MG_H1_CHUNKED || framing->length > 0;
    m->expect_continue = facts->expect_continue && m->version > 10 && has_content;
    return 0;
}

/* "h2c" is gone from HTTP (RFC 9113 3.1), and passed on it would open a tunnel past every rule. */
static struct mg_str request_upgrade(const struct mg_h1_facts *facts, uint8_t version)
{
    struct mg_str asked = upgrade_of(facts, version);
    return mg_h1_list_has(asked, MG_STR("h2c")) ? MG_STR_NONE : asked;
}

static struct mg_h1_framing framing_of(const struct mg_h1_facts *facts, uint8_t version,
                                       enum mg_h1_framing_kind otherwise)
{
    return (struct mg_h1_framing){
        .kind = facts->codings   ? MG_H1_CHUNKED
                : facts->lengths ? MG_H1_LENGTH
                                 : otherwise,
        .length = facts->length,
        .keep_alive = keeps_alive(facts, version),
    };
}

int mg_h1_parse_request(const char *head, size_t n, const struct mg_h1_limits *limits,
                        struct mg_message *m, struct mg_h1_framing *framing,
                        struct mg_h1_fault *fault)
{
    const char *end = head + n;
    struct mg_h1_facts facts;
    if (check_block(head, n, fault))
        return -1;
    const char *p = read_request_line(head, end, limits, m, fault);
    if (!p || mg_h1_fields_parse(p, end, limits, m, &facts, fault))
        return -1;
    if (facts.odd_connection)
        return mg_h1_fail(fault, 400, "connection");
    if (check_host(m, &facts, fault) || check_framing(&facts, m->version, fault))
        return -1;
    *framing = framing_of(&facts, m->version, MG_H1_NO_BODY);
    if (facts.lengths)
        m->content_length = (int64_t)facts.length;
    m->te_trailers = m->version > 10 && facts.te_named && facts.trailers;
    m->upgrade = request_upgrade(&facts, m->version);
    return check_expect(m, &facts, framing, fault);
}

static int check_1xx(struct mg_message *m, const struct mg_h1_facts *facts,
                     struct mg_h1_fault *fault)
{
    if (facts->codings || facts->length > 0)
        return mg_h1_fail(fault, 400, "framing-in-1xx");
    if (m->status != 101)
        return 0;
    m->upgrade = upgrade_of(facts, m->version);
    return m->upgrade.n ? 0 : mg_h1_fail(fault, 400, "upgrade-missing");
}

/* RFC 9112 6.3. A 204 that frames a body all the same is read for what it is, but who knows what
 * follows on that connection. */
static struct mg_h1_framing response_framing(const struct mg_message *m,
                                             enum mg_method request_method,
                                             const struct mg_h1_facts *facts)
{
    bool bodiless =
        m->status < 200 || m->status == 204 || m->status == 304 || request_method == MG_METHOD_HEAD;
    struct mg_h1_framing f = framing_of(facts, m->version, MG_H1_UNTIL_CLOSE);
    if (bodiless) {
        f.kind = MG_H1_NO_BODY;
        f.length = 0;
    }
    bool unclear = m->status == 204 && (facts->codings || facts->length > 0);
    if (f.kind == MG_H1_UNTIL_CLOSE || unclear || facts->odd_connection)
        f.keep_alive = false;
    return f;
}

/* RFC 9112 6.3: where something else than chunked is around it, a response's body ends with the
 * connection, so that nothing behind it can be taken for another. What bears a name that no coding
 * has ("identity", long ago) is the content itself. That of a coding that exists would be garbled
 * without it, and stays refused. */
static void forget_empty_coding(struct mg_h1_facts *facts, const struct mg_message *m)
{
    if (m->status < 200 || m->version == 10 || facts->codings != 1 || facts->lengths ||
        mg_h1_coding(facts->coding) != MG_H1_CODING_UNREGISTERED)
        return;
    facts->codings = 0;
    facts->close = true;
}

static int parse_response(const char *head, size_t n, const struct mg_h1_limits *limits,
                          enum mg_method request_method, struct mg_message *m,
                          struct mg_h1_framing *framing, struct mg_h1_fault *fault)
{
    const char *end = head + n;
    struct mg_h1_facts facts;
    if (check_block(head, n, fault))
        return -1;
    const char *p = read_status_line(head, end, m, fault);
    if (!p || mg_h1_fields_parse(p, end, limits, m, &facts, fault))
        return -1;
    forget_empty_coding(&facts, m);
    if (check_framing(&facts, m->version, fault))
        return -1;
    *framing = response_framing(m, request_method, &facts);
    if (m->status < 200)
        return check_1xx(m, &facts, fault);
    if (facts.lengths && m->status != 204)
        m->content_length = (int64_t)facts.length;
    return 0;
}

int mg_h1_parse_response(const char *head, size_t n, const struct mg_h1_limits *limits,
                         enum mg_method request_method, struct mg_message *m,
                         struct mg_h1_framing *framing, struct mg_h1_fault *fault)
{
    int rc = parse_response(head, n, limits, request_method, m, framing, fault);
    if (rc)
        fault->status = 502; /* the client did nothing wrong */
    return rc;
}
