/* Reading what is to be explained, from a query or from JSON. */
#include "app/admin_explain.h"

#include "base/json.h"
#include "base/json_out.h"
#include "base/uri.h"
#include "gateway/page.h"
#include "script/explain.h"

#define BODY_MAX 65536
#define FIELDS_MAX 200
#define ANSWER_MAX ((size_t)64 << 20)

struct asking {
    struct mg_inbound *in;
    const struct mg_serving *serving;
    struct mg_body_collector collector;
    struct mg_look_request asked;
    struct mg_look_field fields[FIELDS_MAX];
};

/* --- answering --- */

static void respond(struct mg_inbound *in, unsigned status, struct mg_str json)
{
    struct mg_response *res = mg_page_json(&in->arena, status, json);
    mg_inbound_respond(in, res->msg, res->body);
}

static void refuse(struct mg_inbound *in, unsigned status, const char *error)
{
    struct mg_buf json;
    mg_buf_init(&json, ANSWER_MAX);
    mg_buf_add_char(&json, '{');
    mg_json_out_text(&json, "error", mg_str_c(error));
    mg_buf_add_char(&json, '}');
    respond(in, status, mg_buf_str(&json));
    mg_buf_release(&json);
}

static void answer(struct asking *a)
{
    struct mg_buf json;
    struct mg_error err;
    bool found;
    if (a->asked.url.n == 0) {
        refuse(a->in, 400, "needs a url, such as /explain?method=GET&url=/api/users/1");
        return;
    }
    mg_buf_init(&json, ANSWER_MAX);
    if (mg_explain(a->serving->gen, &a->asked, &json, &found, &err) == MG_OK)
        respond(a->in, 200, mg_buf_str(&json));
    else
        refuse(a->in, 400, err.text);
    mg_buf_release(&json);
}

static struct asking *new_asking(struct mg_inbound *in, const struct mg_serving *serving)
{
    struct asking *a = mg_arena_calloc(&in->arena, sizeof *a);
    a->in = in;
    a->serving = serving;
    a->asked.method = MG_STR("GET");
    a->asked.fields = a->fields;
    return a;
}

/* --- what is asked --- */

static enum mg_rc add_field(struct asking *a, struct mg_str name, struct mg_str value,
                            struct mg_error *err)
{
    if (a->asked.field_count == FIELDS_MAX)
        return mg_error_set(err, "more than %d headers", FIELDS_MAX);
    a->fields[a->asked.field_count++] = (struct mg_look_field){name, value};
    return MG_OK;
}

static enum mg_rc set_text(struct asking *a, struct mg_str name, struct mg_str value,
                           struct mg_error *err)
{
    const struct {
        struct mg_str name;
        struct mg_str *out;
    } members[] = {{MG_STR("method"), &a->asked.method},
                   {MG_STR("url"), &a->asked.url},
                   {MG_STR("listener"), &a->asked.listener},
                   {MG_STR("client"), &a->asked.client}};
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        if (!mg_str_eq(members[i].name, name))
            continue;
        *members[i].out = value;
        return MG_OK;
    }
    return mg_error_set(err, "unknown '%.*s'; known are method, url, header(s), listener, client",
                        MG_STR_ARGS(name));
}

/* "NAME: VALUE" */
static enum mg_rc add_line(struct asking *a, struct mg_str line, struct mg_error *err)
{
    struct mg_str name;
    if (mg_str_find(line, ':') < 1)
        return mg_error_set(err, "'%.*s' is no header (NAME:VALUE)", MG_STR_ARGS(line));
    mg_str_split(&line, ':', &name);
    return add_field(a, mg_str_trim(name), mg_str_trim(line), err);
}

static enum mg_rc read_query(struct asking *a, struct mg_error *err)
{
    struct mg_str rest = a->in->request.query, key, value;
    while (mg_uri_query_next(&rest, &key, &value)) {
        if (mg_uri_decode(&a->in->arena, value, true, &value) != MG_URI_OK)
            return mg_error_set(err, "the query is not encoded well");
        enum mg_rc rc = mg_str_eq(key, MG_STR("header")) ? add_line(a, value, err)
                                                         : set_text(a, key, value, err);
        if (rc != MG_OK)
            return rc;
    }
    return MG_OK;
}

/* The object's members, each a text; the reader stands behind its beginning. */
static enum mg_rc read_members(struct asking *a, struct mg_json_reader *r,
                               enum mg_rc (*take)(struct asking *a, struct mg_str name,
                                                  struct mg_str value, struct mg_error *err),
                               struct mg_error *err);

static enum mg_rc read_member(struct asking *a, struct mg_json_reader *r, struct mg_str name,
                              enum mg_rc (*take)(struct asking *a, struct mg_str name,
                                                 struct mg_str value, struct mg_error *err),
                              struct mg_error *err)
{
    enum mg_json_token token = mg_json_next(r);
    if (token == MG_JSON_STRING)
        return take(a, name, mg_arena_str(&a->in->arena, r->text), err);
    if (token == MG_JSON_OBJECT && take == set_text && mg_str_eq(name, MG_STR("headers")))
        return read_members(a, r, add_field, err);
    return mg_error_set(err, "'%.*s' must be a string", MG_STR_ARGS(name));
}

static enum mg_rc read_members(struct asking *a, struct mg_json_reader *r,
                               enum mg_rc (*take)(struct asking *a, struct mg_str name,
                                                  struct mg_str value, struct mg_error *err),
                               struct mg_error *err)
{
    enum mg_json_token token;
    while ((token = mg_json_next(r)) == MG_JSON_KEY) {
        struct mg_str name = mg_arena_str(&a->in->arena, r->text);
        if (read_member(a, r, name, take, err) != MG_OK)
            return MG_FAIL;
    }
    return token == MG_JSON_OBJECT_END ? MG_OK : mg_error_set(err, "the body is no JSON");
}

static enum mg_rc read_json(struct asking *a, struct mg_str text, struct mg_error *err)
{
    struct mg_json_reader r;
    struct mg_buf scratch;
    mg_buf_init(&scratch, BODY_MAX);
    mg_json_reader_init(&r, text, NULL, &scratch);
    enum mg_rc rc = mg_json_next(&r) == MG_JSON_OBJECT
                        ? read_members(a, &r, set_text, err)
                        : mg_error_set(err, "the body is no JSON object");
    if (rc == MG_OK && mg_json_next(&r) != MG_JSON_END)
        rc = mg_error_set(err, "the body is no JSON");
    mg_buf_release(&scratch);
    return rc;
}

/* --- the two ways --- */

void mg_admin_explain_get(struct mg_inbound *in, const struct mg_serving *serving)
{
    struct asking *a = new_asking(in, serving);
    struct mg_error err;
    if (read_query(a, &err) == MG_OK)
        answer(a);
    else
        refuse(in, 400, err.text);
}

static void on_collected(void *arg, enum mg_collect_result result)
{
    struct asking *a = arg;
    struct mg_error err;
    if (result != MG_COLLECT_DONE)
        refuse(a->in, result == MG_COLLECT_TOO_LARGE ? 413 : 400, "the body cannot be read");
    else if (read_json(a, mg_str(a->collector.bytes, a->collector.n), &err) == MG_OK)
        answer(a);
    else
        refuse(a->in, 400, err.text);
}

void mg_admin_explain_post(struct mg_inbound *in, const struct mg_serving *serving)
{
    struct asking *a = new_asking(in, serving);
    enum mg_collect_result result;
    if (mg_body_collect(&a->collector, in->body, &in->arena, BODY_MAX, on_collected, a, &result))
        on_collected(a, result);
}
