/* When responses are compressed, and messages decompressed. Worker thread. */
#include "gateway/compress.h"

#include "gateway/content.h"
#include "gateway/problem.h"
#include "gateway/worker.h"
#include "http/accept.h"

/* --- what the client would take --- */

static void note_accepted(const struct mg_step *step, struct mg_walk *w)
{
    struct mg_accepted_codings *accepted = mg_arena_alloc(w->req->arena, sizeof *accepted);
    mg_accept_codings(&w->req->msg->fields, w->req->arena, accepted);
    *mg_walk_kept(w, step) = accepted;
}

static const struct mg_accepted_codings *noted(const struct mg_step *step, struct mg_walk *w)
{
    return *mg_walk_kept(w, step);
}

/* --- compress --- */

/* "a/b", "a/" and anything for "a/...", anything and "+b" for "...+b". */
static bool type_matches(struct mg_str pattern, struct mg_str type)
{
    if (mg_str_ends(pattern, MG_STR("*"))) {
        pattern.n--;
        return type.n >= pattern.n && mg_str_ieq(mg_str(type.p, pattern.n), pattern);
    }
    if (mg_str_starts(pattern, MG_STR("*"))) {
        pattern = mg_str(pattern.p + 1, pattern.n - 1);
        return type.n >= pattern.n &&
               mg_str_ieq(mg_str(type.p + type.n - pattern.n, pattern.n), pattern);
    }
    return mg_str_ieq(pattern, type);
}

static bool has_type(const struct mg_compress *o, const struct mg_message *m)
{
    const struct mg_field *f = mg_fields_get(&m->fields, MG_FIELD_CONTENT_TYPE);
    if (!f)
        return false;
    struct mg_str rest = mg_field_value(f), type;
    mg_str_split(&rest, ';', &type);
    type = mg_str_trim(type);
    for (size_t i = 0; i < o->type_count; i++)
        if (type_matches(o->types[i], type))
            return true;
    return false;
}

/* RFC 9111 5.2.2.6. */
static bool forbids_transform(const struct mg_message *m)
{
    const struct mg_field *f = mg_fields_get(&m->fields, MG_FIELD_CACHE_CONTROL);
    for (; f; f = mg_fields_next(&m->fields, f)) {
        struct mg_str rest = mg_field_value(f), item;
        while (mg_str_split(&rest, ',', &item))
            if (mg_str_ieq(mg_str_trim(item), MG_STR("no-transform")))
                return true;
    }
    return false;
}

static bool may_encode(const struct mg_compress *o, const struct mg_message *m)
{
    switch (m->status) {
    case 204:
    case 205:
    case 206:
    case 304:
        return false;
    default:
        break;
    }
    return m->status >= 200 && !mg_fields_get(&m->fields, MG_FIELD_CONTENT_RANGE) &&
           !mg_content_is_coded(m) && !forbids_transform(m) && has_type(o, m);
}

/* One of unknown length may become long. */
static bool is_short(const struct mg_compress *o, const struct mg_response *res)
{
    int64_t length = res->msg->content_length;
    if (length < 0 && res->body)
        length = res->body->length;
    return length >= 0 && (uint64_t)length < o->min_bytes;
}

enum mg_step_entry mg_compress_enter(const struct mg_step *step, struct mg_walk *w)
{
    note_accepted(step, w);
    return MG_STEP_SKIP;
}

enum mg_step_result mg_compress_response(const struct mg_step *step, struct mg_walk *w)
{
    const struct mg_compress *o = step->options;
    const struct mg_accepted_codings *accepted = noted(step, w);
    struct mg_response *res = w->res;
    enum mg_coding coding = mg_accept_choose(accepted, o->codings, o->coding_count);
    /* What the client has may be encoded: a strong tag would not be that of its copy. */
    if (res->msg->status == 304 && coding != MG_CODING_IDENTITY)
        mg_content_weaken_etag(res->msg);
    if (!may_encode(o, res->msg))
        return MG_STEP_NEXT;
    bool must = accepted->weight[MG_CODING_IDENTITY] == 0;
    if (is_short(o, res) && !must)
        return MG_STEP_NEXT;
    mg_content_vary(res);
    if (coding != MG_CODING_IDENTITY)
        mg_content_encode_response(res, w->req, coding, o->level);
    return MG_STEP_NEXT;
}

/* --- decompress --- */

static void refuse_coding(struct mg_walk *w)
{
    w->res = mg_problem(w->req, 415, "unsupported-content-encoding",
                        MG_STR("the body's content coding is none that this route takes"),
                        "content_encoding");
    /* RFC 9110 12.5.3: what would have been right. */
    mg_fields_add_id(&w->res->msg->fields, w->res->msg->arena, MG_FIELD_ACCEPT_ENCODING,
                     MG_STR("gzip, br, deflate"));
}

enum mg_step_result mg_decompress_request(const struct mg_step *step, struct mg_walk *w)
{
    const struct mg_decompress *o = step->options;
    note_accepted(step, w);
    if (!o->request)
        return MG_STEP_NEXT;
    struct mg_decoder_limits limits = o->limits;
    if (limits.bytes == 0)
        limits.bytes = w->req->wg->gen->limits.body_bytes;
    if (mg_content_decode_request(w->req, &limits) != MG_CONTENT_UNKNOWN)
        return MG_STEP_NEXT;
    refuse_coding(w);
    return MG_STEP_STOP;
}

/* Would the client take all codings that the response has? */
static bool is_accepted(const struct mg_accepted_codings *accepted, const struct mg_message *m)
{
    const struct mg_field *f = mg_fields_get(&m->fields, MG_FIELD_CONTENT_ENCODING);
    for (; f; f = mg_fields_next(&m->fields, f)) {
        struct mg_str rest = mg_field_value(f), item;
        while (mg_str_split(&rest, ',', &item)) {
            enum mg_coding coding = mg_coding_of(mg_str_trim(item));
            if (coding != MG_CODING_OTHER && accepted->weight[coding] == 0)
                return false;
        }
    }
    return true;
}

enum mg_step_result mg_decompress_response(const struct mg_step *step, struct mg_walk *w)
{
    const struct mg_decompress *o = step->options;
    struct mg_message *m = w->res->msg;
    if (o->response && o->always)
        w->res->again.n = 0;
    if (!o->response || !mg_content_is_coded(m))
        return MG_STEP_NEXT;
    if (!o->always)
        mg_content_vary(w->res);
    if (!o->always && is_accepted(noted(step, w), m))
        return MG_STEP_NEXT;
    struct mg_decoder_limits limits = {.bytes = o->response_bytes, .ratio = o->limits.ratio};
    mg_content_decode_response(w->res, w->req->wg->worker, w->req->arena, &limits);
    return MG_STEP_NEXT;
}
