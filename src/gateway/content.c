/* Codings taken off messages and put on. Worker thread. */
#include "gateway/content.h"

#include "gateway/worker.h"
#include "http/coded_body.h"

/* More codings around each other are nobody's need. */
#define CODINGS_MAX 3

/* --- fields --- */

/* In the order in which they were put on; identity is none. False when one is unknown, or there are
 * too many. */
static bool read_codings(const struct mg_message *m, enum mg_coding list[CODINGS_MAX], unsigned *n)
{
    const struct mg_field *f = mg_fields_get(&m->fields, MG_FIELD_CONTENT_ENCODING);
    *n = 0;
    for (; f; f = mg_fields_next(&m->fields, f)) {
        struct mg_str rest = mg_field_value(f), item;
        while (mg_str_split(&rest, ',', &item)) {
            item = mg_str_trim(item);
            enum mg_coding coding = item.n ? mg_coding_of(item) : MG_CODING_IDENTITY;
            if (coding == MG_CODING_IDENTITY)
                continue;
            if (coding == MG_CODING_OTHER || *n == CODINGS_MAX)
                return false;
            list[(*n)++] = coding;
        }
    }
    return true;
}

bool mg_content_is_coded(const struct mg_message *m)
{
    enum mg_coding list[CODINGS_MAX];
    unsigned n;
    return !read_codings(m, list, &n) || n > 0;
}

void mg_content_weaken_etag(struct mg_message *m)
{
    const struct mg_field *etag = mg_fields_get(&m->fields, MG_FIELD_ETAG);
    if (!etag || mg_str_starts(mg_field_value(etag), MG_STR("W/")))
        return;
    struct mg_str old = mg_field_value(etag);
    mg_fields_set_id(&m->fields, m->arena, MG_FIELD_ETAG,
                     mg_arena_printf(m->arena, "W/%.*s", MG_STR_ARGS(old)));
}

void mg_content_forget_bytes(struct mg_message *m)
{
    struct mg_fields *fields = &m->fields;
    mg_fields_remove_id(fields, MG_FIELD_CONTENT_ENCODING);
    mg_fields_remove_id(fields, MG_FIELD_CONTENT_DIGEST);
    mg_fields_remove_id(fields, MG_FIELD_REPR_DIGEST);
    mg_fields_remove_id(fields, MG_FIELD_DIGEST);
    mg_fields_remove_id(fields, MG_FIELD_CONTENT_MD5);
    mg_fields_remove(fields, MG_STR("Accept-Ranges"));
    mg_content_weaken_etag(m);
}

/* Other bytes come, nobody knows how many. */
static void expect_other_bytes(struct mg_message *m)
{
    mg_content_forget_bytes(m);
    m->content_length = -1;
}

static bool names_encoding(struct mg_str list)
{
    struct mg_str item;
    while (mg_str_split(&list, ',', &item)) {
        item = mg_str_trim(item);
        if (mg_str_eq(item, MG_STR("*")) || mg_str_ieq(item, MG_STR("Accept-Encoding")))
            return true;
    }
    return false;
}

void mg_content_vary(struct mg_response *res)
{
    struct mg_fields *fields = &res->msg->fields;
    const struct mg_field *f = mg_fields_get(fields, MG_FIELD_VARY);
    for (; f; f = mg_fields_next(fields, f))
        if (names_encoding(mg_field_value(f)))
            return;
    mg_fields_add_id(fields, res->msg->arena, MG_FIELD_VARY, MG_STR("Accept-Encoding"));
}

/* --- bodies --- */

/* Of someone who reads. */
static const struct mg_decoder_limits reading = {.ratio = MG_CONTENT_RATIO};

static struct mg_body *decoded(struct mg_body *body, struct mg_worker *worker,
                               struct mg_arena *arena, const enum mg_coding *list, unsigned n,
                               const struct mg_decoder_limits *limits, int broken, int large)
{
    while (n > 0) {
        struct mg_coded_options o = {
            .coder = mg_decoder_new(&worker->coding, list[--n], limits),
            .blocks = &worker->blocks,
            .broken_status = broken,
            .large_status = large,
        };
        body = mg_coded_body(arena, body, &o);
    }
    return body;
}

enum mg_content_verdict mg_content_decode_request(struct mg_request *req,
                                                  const struct mg_decoder_limits *limits)
{
    enum mg_coding list[CODINGS_MAX];
    unsigned n;
    if (!read_codings(req->msg, list, &n))
        return MG_CONTENT_UNKNOWN;
    if (n == 0 || (req->body_taken && !req->is_buffered))
        return MG_CONTENT_PLAIN;
    struct mg_body *body = req->is_buffered ? mg_body_fixed(req->arena, req->buffered) : req->body;
    if (body->length == 0) {
        mg_fields_remove_id(&req->msg->fields, MG_FIELD_CONTENT_ENCODING);
        return MG_CONTENT_PLAIN;
    }
    expect_other_bytes(req->msg);
    req->is_buffered = req->body_taken = false;
    req->decoded = true;
    req->body = decoded(body, req->wg->worker, req->arena, list, n, limits, 400, 413);
    return MG_CONTENT_DECODED;
}

void mg_content_read_request(struct mg_request *req)
{
    if (req->ex)
        mg_content_decode_request(req, &reading);
}

enum mg_content_verdict mg_content_decode_response(struct mg_response *res,
                                                   struct mg_worker *worker, struct mg_arena *arena,
                                                   const struct mg_decoder_limits *limits)
{
    enum mg_coding list[CODINGS_MAX];
    unsigned n;
    if (!read_codings(res->msg, list, &n))
        return MG_CONTENT_UNKNOWN;
    if (n == 0 || res->msg->status == 206 || res->msg->status == 304)
        return MG_CONTENT_PLAIN;
    expect_other_bytes(res->msg);
    if (!res->body || res->body->length == 0)
        return MG_CONTENT_PLAIN;
    res->is_buffered = false;
    res->body = decoded(res->body, worker, arena, list, n, limits, 502, 502);
    return MG_CONTENT_DECODED;
}

void mg_content_read_response(struct mg_response *res, struct mg_worker *worker,
                              struct mg_arena *arena)
{
    if (res->body && !res->is_buffered)
        mg_content_decode_response(res, worker, arena, &reading);
}

void mg_content_encode_response(struct mg_response *res, struct mg_request *req,
                                enum mg_coding coding, int level)
{
    struct mg_worker *worker = req->wg->worker;
    int64_t length = res->body ? res->body->length : -1;
    expect_other_bytes(res->msg);
    mg_fields_add_id(&res->msg->fields, res->msg->arena, MG_FIELD_CONTENT_ENCODING,
                     mg_coding_name(coding));
    if (!res->body)
        return;
    struct mg_coded_options o = {
        .coder = mg_encoder_new(&worker->coding, coding, level, length),
        .blocks = &worker->blocks,
    };
    res->is_buffered = false;
    res->body = mg_coded_body(req->arena, res->body, &o);
}
