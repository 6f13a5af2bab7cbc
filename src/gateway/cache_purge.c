/* Purging. Worker thread. */
#include "gateway/cache_purge.h"

#include "base/log.h"
#include "gateway/cache_key.h"
#include "gateway/expr.h"
#include "gateway/problem.h"

void mg_cache_invalidate(struct mg_cache *store, enum mg_method method,
                         const struct mg_cache_target *target, struct mg_str primary,
                         const struct mg_message *res, struct mg_arena *arena)
{
    struct mg_cache_target others[MG_CACHE_INVALID_MAX];
    if (!mg_cache_invalidates(method, res->status))
        return;
    mg_cache_purge(store, MG_CACHE_BY_KEY, primary, false);
    unsigned count = mg_cache_invalid_targets(target, &res->fields, arena, others);
    for (unsigned i = 0; i < count; i++)
        mg_cache_purge(store, MG_CACHE_BY_KEY, mg_cache_key_text(&others[i], arena), false);
}

/* --- requests to purge --- */

static bool may_purge(const struct mg_cache_purging *p, struct mg_request *req)
{
    if (p->allowed && !mg_cidr_set_has(p->allowed, mg_request_client(req)))
        return false;
    return !p->when_count || mg_expr_any(req, p->when, p->when_count);
}

/* Fastly's name for it, and the one without. */
static bool is_soft(const struct mg_fields *fields)
{
    static const struct mg_str names[] = {MG_STR("Fastly-Soft-Purge"), MG_STR("Soft-Purge")};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct mg_field *f = mg_fields_find(fields, names[i]);
        if (f && mg_str_eq(mg_str_trim(mg_field_value(f)), MG_STR("1")))
            return true;
    }
    return false;
}

static size_t purge_tags(struct mg_cache *store, struct mg_str list, bool soft)
{
    size_t count = 0;
    while (list.n) {
        size_t n = 0;
        while (n < list.n && list.p[n] != ' ' && list.p[n] != ',' && list.p[n] != '\t')
            n++;
        if (n)
            count += mg_cache_purge(store, MG_CACHE_BY_TAG, mg_str(list.p, n), soft);
        n += n < list.n;
        list = mg_str(list.p + n, list.n - n);
    }
    return count;
}

/* By the tags that the request names; false: it names none. */
static bool purge_by_tags(const struct mg_cache_options *o, const struct mg_fields *fields,
                          bool soft, size_t *count)
{
    bool any = false;
    *count = 0;
    for (size_t i = 0; i < o->tag_count; i++) {
        const struct mg_field *f = mg_fields_find(fields, o->tags[i]);
        for (; f; f = mg_fields_next(fields, f)) {
            any = true;
            *count += purge_tags(o->store, mg_field_value(f), soft);
        }
    }
    return any;
}

static struct mg_response *answer(struct mg_request *req, bool by_tags, bool soft, size_t count)
{
    struct mg_response *res = mg_response_new(req->arena, 200, MG_SOURCE_POLICY);
    mg_fields_add_id(&res->msg->fields, req->arena, MG_FIELD_CONTENT_TYPE,
                     MG_STR("application/json"));
    mg_response_set_body(res, req->arena,
                         mg_arena_printf(req->arena, "{\"purged\":%zu,\"by\":\"%s\",\"soft\":%s}",
                                         count, by_tags ? "tag" : "url", soft ? "true" : "false"));
    return res;
}

struct mg_response *mg_cache_purge_request(const struct mg_cache_options *o, struct mg_request *req,
                                           struct mg_str primary)
{
    const struct mg_cache_purging *p = o->purging;
    const struct mg_fields *fields = &req->msg->fields;
    size_t count;
    if (!p || !mg_str_eq(req->msg->method, p->method))
        return NULL;
    if (!may_purge(p, req))
        return mg_problem(req, 403, "purge-forbidden", MG_STR("this client may not purge"),
                          "purge_forbidden");
    bool soft = is_soft(fields);
    bool by_tags = purge_by_tags(o, fields, soft, &count);
    if (!by_tags)
        count = mg_cache_purge(o->store, MG_CACHE_BY_KEY, primary, soft);
    mg_log_info("cache purged", MG_LOG_C("by", by_tags ? "tag" : "url"),
                MG_LOG_INT("entries", (int64_t)count), MG_LOG_BOOL("soft", soft),
                MG_LOG_STR("request_id", mg_request_id(req)));
    return answer(req, by_tags, soft, count);
}
