/* Error responses of our own. Worker thread. */
#include "gateway/problem.h"

#include "base/json.h"
#include "gateway/worker.h"

static const struct {
    const char *name;
    enum mg_problem_member member;
} member_names[] = {
    {"type", MG_PROBLEM_TYPE},     {"title", MG_PROBLEM_TITLE},
    {"status", MG_PROBLEM_STATUS}, {"detail", MG_PROBLEM_DETAIL},
    {"error", MG_PROBLEM_ERROR},   {"request_id", MG_PROBLEM_REQUEST_ID},
};

unsigned mg_problem_member_of(struct mg_str name)
{
    for (size_t i = 0; i < sizeof member_names / sizeof member_names[0]; i++)
        if (mg_str_eq(name, mg_str_c(member_names[i].name)))
            return member_names[i].member;
    return 0;
}

static void add_member(struct mg_buf *b, const char *key, struct mg_str value)
{
    size_t before = b->n;
    mg_buf_printf(b, "%s\"%s\":", b->n > 1 ? "," : "", key);
    if (!mg_json_write_string(b, value)) {
        b->n = before; /* not UTF-8: left out rather than garbled */
        b->failed = false;
    }
}

static struct mg_str type_of(struct mg_request *req, struct mg_str slug)
{
    struct mg_str base = req->wg->gen->problem_base;
    /* A slug that is a URI of its own (the IANA problem types) stays as it is. */
    if (slug.n > 8 && memcmp(slug.p, "https://", 8) == 0)
        return slug;
    if (base.n == 0 || slug.n == 0)
        return MG_STR("about:blank");
    return mg_arena_printf(req->arena, "%.*s%.*s", MG_STR_ARGS(base), MG_STR_ARGS(slug));
}

/* A status without a phrase of its own has the name of its class (RFC 9110 15). */
static struct mg_str title_of(unsigned status)
{
    struct mg_str phrase = mg_status_phrase(status);
    if (phrase.n)
        return phrase;
    return status < 500 ? MG_STR("Client Error") : MG_STR("Server Error");
}

/* A short word to branch on: of a slug that is a URI, its end. */
static struct mg_str word_of(struct mg_str slug)
{
    for (size_t i = slug.n; i > 0; i--)
        if (slug.p[i - 1] == '#' || slug.p[i - 1] == '/')
            return mg_str(slug.p + i, slug.n - i);
    return slug;
}

static void add_default(struct mg_message *m, struct mg_arena *arena, enum mg_field_id id,
                        struct mg_str value)
{
    if (!mg_fields_get(&m->fields, id))
        mg_fields_add_id(&m->fields, arena, id, value);
}

void mg_problem_add_fields(struct mg_request *req, struct mg_message *m)
{
    bool simple = req->wg->gen->errors_format == MG_ERRORS_SIMPLE;
    add_default(m, req->arena, MG_FIELD_CONTENT_TYPE,
                simple ? MG_STR("application/json") : MG_STR("application/problem+json"));
    if (simple)
        add_default(m, req->arena, MG_FIELD_X_REQUEST_ID, mg_request_id(req));
}

static void add_ours(struct mg_buf *b, struct mg_request *req, unsigned status, struct mg_str slug,
                     struct mg_str detail, unsigned given)
{
    struct mg_str title = title_of(status);
    if (!(given & MG_PROBLEM_TYPE))
        add_member(b, "type", type_of(req, slug));
    if (!(given & MG_PROBLEM_TITLE))
        add_member(b, "title", title);
    if (!(given & MG_PROBLEM_STATUS))
        mg_buf_printf(b, "%s\"status\":%u", b->n > 1 ? "," : "", status);
    if (detail.n && !(given & MG_PROBLEM_DETAIL))
        add_member(b, "detail", detail);
    if (!(given & MG_PROBLEM_ERROR))
        add_member(b, "error", slug.n ? word_of(slug) : title);
    if (!(given & MG_PROBLEM_REQUEST_ID))
        add_member(b, "request_id", mg_request_id(req));
}

struct mg_str mg_problem_body(struct mg_request *req, unsigned status, struct mg_str slug,
                              struct mg_str detail, struct mg_str members, unsigned given)
{
    struct mg_buf b;
    /* A byte may become six: \u001f. */
    mg_buf_init(&b, 4096 + members.n + 6 * (req->wg->gen->problem_base.n + 2 * slug.n + detail.n));
    mg_buf_add_char(&b, '{');
    if (req->wg->gen->errors_format != MG_ERRORS_SIMPLE)
        add_ours(&b, req, status, slug, detail, given);
    else if (!(given & MG_PROBLEM_ERROR))
        add_member(&b, "error", detail.n ? detail : title_of(status));
    if (b.n == 1 && members.n)
        members = mg_str(members.p + 1, members.n - 1);
    mg_buf_add_str(&b, members);
    mg_buf_add_c(&b, "}");
    struct mg_str body = mg_arena_str(req->arena, mg_buf_str(&b));
    mg_buf_release(&b);
    return body;
}

struct mg_response *mg_problem_with(struct mg_request *req, unsigned status, const char *slug,
                                    struct mg_str detail, struct mg_str members,
                                    const char *error_code)
{
    struct mg_response *res = mg_response_new(req->arena, status, MG_SOURCE_GATEWAY);
    res->error_code = error_code;
    mg_problem_add_fields(req, res->msg);
    mg_response_set_body(res, req->arena,
                         mg_problem_body(req, status, mg_str_c(slug), detail, members, 0));
    return res;
}

struct mg_response *mg_problem(struct mg_request *req, unsigned status, const char *slug,
                               struct mg_str detail, const char *error_code)
{
    return mg_problem_with(req, status, slug, detail, MG_STR_NONE, error_code);
}

struct mg_response *mg_problem_of_policy(struct mg_request *req, unsigned status,
                                         struct mg_str slug, struct mg_str detail)
{
    struct mg_response *res = mg_response_new(req->arena, status, MG_SOURCE_POLICY);
    mg_problem_add_fields(req, res->msg);
    mg_response_set_body(res, req->arena,
                         mg_problem_body(req, status, slug, detail, MG_STR_NONE, 0));
    return res;
}

struct mg_response *mg_problem_overloaded(struct mg_request *req, unsigned status,
                                          struct mg_str detail)
{
    struct mg_response *res = mg_problem_of_policy(
        req, status,
        MG_STR("https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"),
        detail);
    mg_fields_add_id(&res->msg->fields, req->arena, MG_FIELD_RETRY_AFTER, MG_STR("1"));
    return res;
}
