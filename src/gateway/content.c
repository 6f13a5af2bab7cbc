/* Codings taken off messages and put on. Worker thread. */
#include "gateway/content.h"

#include "gateway/worker.h"
#include "http/accept.h"
#include "http/coded_body.h"

/* Of what is put on again: what policies/compress has where nobody says otherwise. */
#define RECODE_LEVEL 4

/* --- fields --- */

/* Identity is none. False when one is unknown, or there are too many. */
static bool read_codings(const struct mg_message *m, struct mg_codings *list)
{
    const struct mg_field *f = mg_fields_get(&m->fields, MG_FIELD_CONTENT_ENCODING);
    list->n = 0;
    for (; f; f = mg_fields_next(&m->fields, f)) {
        struct mg_str rest = mg_field_value(f), item;
        while (mg_str_split(&rest, ',', &item)) {
            item = mg_str_trim(item);
            enum mg_coding coding = item.n ? mg_coding_of(item) : MG_CODING_IDENTITY;
            if (coding == MG_CODING_IDENTITY)
                continue;
            if (coding == MG_CODING_OTHER || list->n == MG_CODINGS_MAX)
                return false;
            list->v[list->n++] = coding;
        }
    }
    return true;
}

bool mg_content_is_coded(const struct mg_message *m)
{
    struct mg_codings list;
    return !read_codings(m, &list) || list.n > 0;
}

struct mg_codings mg_content_codings(const struct mg_message *m, const struct mg_codings *again)
{
    struct mg_codings list;
    if (!read_codings(m, &list))
        list.n = 0;
    return list.n ? list : *again;
}

/* As `list` has them, in one field. */
static void name_codings(struct mg_message *m, const struct mg_codings *list)
{
    struct mg_str value = mg_coding_name(list->v[0]);
    for (unsigned i = 1; i < list->n; i++)
        value = mg_arena_printf(m->arena, "%.*s, %.*s", MG_STR_ARGS(value),
                                MG_STR_ARGS(mg_coding_name(list->v[i])));
    mg_fields_set_id(&m->fields, m->arena, MG_FIELD_CONTENT_ENCODING, value);
}

void mg_content_weaken_etag(struct mg_message *m)
{
    const struct mg_field *etag = mg_fields_get(&m->fields, MG_FIELD_ETAG);
    if (!etag || mg_str_starts(mg_field_value(etag), MG_STR("W/")))
        return;
    struct mg_str old = mg_field_value(etag);
    m->weakened = mg_arena_printf(m->arena, "W/%.*s", MG_STR_ARGS(old));
    mg_fields_set_id(&m->fields, m->arena, MG_FIELD_ETAG, m->weakened);
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
                               struct mg_arena *arena, const struct mg_codings *list,
                               const struct mg_decoder_limits *limits, int broken, int large)
{
    for (unsigned n = list->n; n > 0;) {
        struct mg_coded_options o = {
            .coder = mg_decoder_new(&worker->coding, list->v[--n], limits),
            .blocks = &worker->blocks,
            .broken_status = broken,
            .large_status = large,
        };
        body = mg_coded_body(arena, body, &o);
    }
    return body;
}

static struct mg_body *encoded(struct mg_body *body, struct mg_worker *worker,
                               struct mg_arena *arena, const struct mg_codings *list)
{
    int64_t length = body->length;
    for (unsigned i = 0; i < list->n; i++) {
        struct mg_coded_options o = {
            .coder = mg_encoder_new(&worker->coding, list->v[i], RECODE_LEVEL, length),
            .blocks = &worker->blocks,
        };
        body = mg_coded_body(arena, body, &o);
    }
    return body;
}

enum mg_content_verdict mg_content_decode_request(struct mg_request *req,
                                                  const struct mg_decoder_limits *limits)
{
    struct mg_codings list;
    req->again.n = 0;
    if (!read_codings(req->msg, &list))
        return MG_CONTENT_UNKNOWN;
    if (list.n == 0 || (req->body_taken && !req->is_buffered))
        return MG_CONTENT_PLAIN;
    struct mg_body *body = req->is_buffered ? mg_body_fixed(req->arena, req->buffered) : req->body;
    if (body->length == 0) {
        mg_fields_remove_id(&req->msg->fields, MG_FIELD_CONTENT_ENCODING);
        return MG_CONTENT_PLAIN;
    }
    expect_other_bytes(req->msg);
    req->is_buffered = req->body_taken = false;
    req->decoded = true;
    req->body = decoded(body, req->wg->worker, req->arena, &list, limits, 400, 413);
    return MG_CONTENT_DECODED;
}

void mg_content_rewrite_request(struct mg_request *req)
{
    if (!req->ex)
        return;
    struct mg_codings again = mg_content_codings(req->msg, &req->again);
    mg_content_decode_request(req, &reading);
    req->again = again;
}

enum mg_collect_result mg_content_view(struct mg_request *req, size_t limit, struct mg_str *out)
{
    struct mg_codings list;
    *out = req->buffered;
    if (!req->ex || !read_codings(req->msg, &list) || list.n == 0 || req->buffered.n == 0)
        return MG_COLLECT_DONE;
    if (req->content_of != req->buffered.p) {
        struct mg_body_collector c;
        enum mg_collect_result result;
        struct mg_body *body = decoded(mg_body_fixed(req->arena, req->buffered), req->wg->worker,
                                       req->arena, &list, &reading, 400, 413);
        MG_BUG_ON(!mg_body_collect(&c, body, req->arena, limit, NULL, NULL, &result));
        if (result != MG_COLLECT_DONE) {
            mg_body_cancel(body);
            return body->status == 413 ? MG_COLLECT_TOO_LARGE : result;
        }
        req->content = mg_str(c.bytes, c.n);
        req->content_of = req->buffered.p;
    }
    *out = req->content;
    return out->n > limit ? MG_COLLECT_TOO_LARGE : MG_COLLECT_DONE;
}

void mg_content_recode_request(struct mg_request *req)
{
    struct mg_codings list = req->again;
    req->again.n = 0;
    if (list.n == 0 || mg_content_is_coded(req->msg) || (req->body_taken && !req->is_buffered))
        return;
    name_codings(req->msg, &list);
    if (!req->is_buffered) {
        req->body = encoded(req->body, req->wg->worker, req->arena, &list);
        return;
    }
    struct mg_body_collector c;
    enum mg_collect_result result;
    struct mg_body *body =
        encoded(mg_body_fixed(req->arena, req->buffered), req->wg->worker, req->arena, &list);
    MG_BUG_ON(!mg_body_collect(&c, body, req->arena, SIZE_MAX, NULL, NULL, &result) ||
              result != MG_COLLECT_DONE);
    mg_request_set_body(req, mg_str(c.bytes, c.n));
}

enum mg_content_verdict mg_content_decode_response(struct mg_response *res,
                                                   struct mg_worker *worker, struct mg_arena *arena,
                                                   const struct mg_decoder_limits *limits)
{
    struct mg_codings list;
    res->again.n = 0;
    if (!read_codings(res->msg, &list))
        return MG_CONTENT_UNKNOWN;
    if (list.n == 0 || res->msg->status == 206 || res->msg->status == 304)
        return MG_CONTENT_PLAIN;
    expect_other_bytes(res->msg);
    if (!res->body || res->body->length == 0)
        return MG_CONTENT_PLAIN;
    res->is_buffered = false;
    res->body = decoded(res->body, worker, arena, &list, limits, 502, 502);
    return MG_CONTENT_DECODED;
}

void mg_content_read_response(struct mg_response *res, struct mg_worker *worker,
                              struct mg_arena *arena)
{
    struct mg_codings again = mg_content_codings(res->msg, &res->again);
    if (res->is_buffered)
        return;
    mg_content_decode_response(res, worker, arena, &reading);
    if (!mg_content_is_coded(res->msg))
        res->again = again;
}

/* Would the client take all of them? */
static bool takes(const struct mg_request *req, const struct mg_codings *list)
{
    struct mg_accepted_codings accepted;
    mg_accept_codings(&req->msg->fields, req->arena, &accepted);
    for (unsigned i = 0; i < list->n; i++)
        if (accepted.weight[list->v[i]] == 0)
            return false;
    return true;
}

void mg_content_recode_response(struct mg_response *res, struct mg_request *req)
{
    struct mg_codings list = res->again;
    res->again.n = 0;
    if (list.n == 0 || mg_content_is_coded(res->msg))
        return;
    mg_content_vary(res);
    if (!takes(req, &list))
        return;
    name_codings(res->msg, &list);
    res->msg->content_length = -1;
    res->is_buffered = false;
    if (res->body)
        res->body = encoded(res->body, req->wg->worker, req->arena, &list);
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
