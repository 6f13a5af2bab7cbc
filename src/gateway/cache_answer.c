/* Answers out of the store. Worker thread. */
#include "gateway/cache_answer.h"

#include "gateway/cache_head.h"
#include "gateway/cache_lookup.h"
#include "http/cache_fields.h"
#include "http/conditional.h"
#include "http/range.h"

static int64_t now_s(const struct mg_cache_answering *a)
{
    return (int64_t)mg_loop_wall(a->loop);
}

static bool is_get(const struct mg_cache_answering *a)
{
    return a->request->method == MG_METHOD_GET;
}

static void add_age(struct mg_cache_answering *a, struct mg_message *res)
{
    struct mg_cache_decision d;
    mg_cache_judge_stored(mg_cache_head_record(a->entry->head), a->request, now_s(a), &d);
    if (!a->forwarded || d.age)
        mg_cache_fields_set_age(res, d.age);
    a->ttl = d.ttl;
}

static struct mg_body *new_body(struct mg_cache_answering *a, struct mg_stored_body **self)
{
    return mg_stored_body_new(a->arena, a->loop, a->store, a->entry, self);
}

static int64_t length_of(const struct mg_cache_entry *e)
{
    uint64_t length;
    return mg_cache_is_complete(e, &length) ? (int64_t)length : e->length;
}

/* Bytes of a complete body; the entry has those from `at` on. A digest of its content is none of
 * these (RFC 9530 2). */
static void send_range(struct mg_cache_answering *a, struct mg_response *res, struct mg_range range,
                       uint64_t at, uint64_t length)
{
    struct mg_stored_body *body;
    res->msg->status = 206;
    mg_fields_remove_id(&res->msg->fields, MG_FIELD_CONTENT_DIGEST);
    mg_fields_remove_id(&res->msg->fields, MG_FIELD_CONTENT_MD5);
    mg_fields_set(&res->msg->fields, a->arena, MG_STR("Content-Range"),
                  mg_range_content(a->arena, range, length));
    res->body = new_body(a, &body);
    mg_stored_body_range(body, range.first - at, mg_range_length(range));
    res->msg->content_length = (int64_t)mg_range_length(range);
}

/* A part of a part; false: all of it is sent. */
static bool answer_within(struct mg_cache_answering *a, struct mg_response *res)
{
    struct mg_range has, range;
    uint64_t length;
    if (!a->part || !mg_cache_lookup_extent(a->entry, a->arena, &has, &length) ||
        !mg_range_within(a->part, has, length, &range))
        return false;
    send_range(a, res, range, has.first, length);
    return true;
}

/* A part of a complete body; false: the whole is sent. */
static bool answer_part(struct mg_cache_answering *a, struct mg_response *res,
                        const struct mg_validators *own)
{
    const struct mg_message *asked = a->req->msg;
    const struct mg_field *field = mg_fields_get(&asked->fields, MG_FIELD_RANGE);
    struct mg_range range;
    uint64_t length;
    if (!field || mg_fields_next(&asked->fields, field) || !is_get(a) || res->msg->status != 200 ||
        !mg_cache_is_complete(a->entry, &length) ||
        !mg_condition_if_range(&asked->fields, own, now_s(a)))
        return false;
    switch (mg_range_choose(mg_field_value(field), length, &range)) {
    case MG_RANGE_WHOLE:
        return false;
    case MG_RANGE_UNSATISFIABLE:
        res->msg->status = 416;
        mg_fields_set(&res->msg->fields, a->arena, MG_STR("Content-Range"),
                      mg_range_content_unsatisfied(a->arena, length));
        res->msg->content_length = 0;
        break;
    case MG_RANGE_PART:
        send_range(a, res, range, 0, length);
        break;
    }
    res->msg->phrase = MG_STR_NONE;
    return true;
}

/* False: it has gone. */
static bool add_body(struct mg_cache_answering *a, struct mg_response *res)
{
    if (is_get(a)) {
        res->body = new_body(a, &a->body);
        if (!res->body)
            return false;
        res->msg->content_length = res->body->length;
    } else {
        res->msg->content_length = length_of(a->entry);
    }
    return true;
}

struct mg_response *mg_cache_answer(struct mg_cache_answering *a)
{
    struct mg_response *res = mg_response_new(a->arena, 200, MG_SOURCE_CACHE);
    struct mg_validators own;
    a->body = NULL;
    mg_cache_head_read(a->entry->head, a->arena, res->msg);
    add_age(a, res->msg);
    mg_validators_read(&res->msg->fields, now_s(a), &own);
    /* Conditions are about representations, and not about errors and the like (RFC 9110 13.2.1). */
    if ((res->msg->status == 200 || res->msg->status == 206) &&
        mg_condition_not_modified(a->req->msg, &own, now_s(a)))
        mg_cache_fields_not_modified(res->msg);
    else if (!answer_within(a, res) && !answer_part(a, res, &own) && !add_body(a, res))
        return NULL;
    return res;
}
