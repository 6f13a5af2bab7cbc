/* Entity-tags are compared as bytes, dates as seconds; what cannot be read holds for nothing. */
#include "http/conditional.h"

#include "http/date.h"

/* ---- entity-tags ---- */

static bool is_weak(struct mg_str etag)
{
    return mg_str_starts(etag, MG_STR("W/"));
}

/* With its quotes, without "W/". */
static struct mg_str opaque(struct mg_str etag)
{
    return is_weak(etag) ? mg_str(etag.p + 2, etag.n - 2) : etag;
}

static bool is_etag_char(unsigned char c)
{
    return c == 0x21 || (c >= 0x23 && c != 0x7f);
}

/* Takes one entity-tag off the front. */
static bool take_etag(struct mg_str *rest, struct mg_str *out)
{
    size_t i = is_weak(*rest) ? 2 : 0;
    if (i >= rest->n || rest->p[i] != '"')
        return false;
    for (i++; i < rest->n && is_etag_char((unsigned char)rest->p[i]);)
        i++;
    if (i == rest->n || rest->p[i] != '"')
        return false;
    *out = mg_str(rest->p, i + 1);
    *rest = mg_str(rest->p + i + 1, rest->n - i - 1);
    return true;
}

bool mg_etag_is_valid(struct mg_str etag)
{
    struct mg_str one;
    return take_etag(&etag, &one) && etag.n == 0;
}

bool mg_etag_equal_weak(struct mg_str a, struct mg_str b)
{
    return mg_str_eq(opaque(a), opaque(b));
}

bool mg_etag_equal_strong(struct mg_str a, struct mg_str b)
{
    return !is_weak(a) && !is_weak(b) && mg_str_eq(a, b);
}

/* Is the tag in the list "a, b", or the list "*"? What follows a malformed member is not read: the
 * tag is then not in it. */
static bool list_has(struct mg_str list, struct mg_str etag,
                     bool (*equal)(struct mg_str, struct mg_str))
{
    struct mg_str one;
    list = mg_str_trim(list);
    if (mg_str_eq(list, MG_STR("*")))
        return true;
    while (list.n > 0) {
        if (list.p[0] == ',' || list.p[0] == ' ' || list.p[0] == '\t') {
            list = mg_str(list.p + 1, list.n - 1);
            continue;
        }
        if (!take_etag(&list, &one))
            return false;
        if (etag.n > 0 && equal(one, etag))
            return true;
        list = mg_str_trim(list);
        if (list.n > 0 && list.p[0] != ',')
            return false;
    }
    return false;
}

/* Over all lines of the field `f` is the first of. */
static bool any_line_has(const struct mg_fields *fields, const struct mg_field *f,
                         struct mg_str etag, bool (*equal)(struct mg_str, struct mg_str))
{
    for (; f; f = mg_fields_next(fields, f))
        if (list_has(mg_field_value(f), etag, equal))
            return true;
    return false;
}

/* ---- dates ---- */

/* The field's date; MG_DATE_NONE when it is not there once, or is none. */
static int64_t read_date(const struct mg_fields *fields, enum mg_field_id id, int64_t now)
{
    const struct mg_field *f = mg_fields_get(fields, id);
    int64_t date;
    if (!f || mg_fields_next(fields, f) || !mg_http_date_parse(mg_field_value(f), now, &date))
        return MG_DATE_NONE;
    return date;
}

void mg_validators_read(const struct mg_fields *response, int64_t now, struct mg_validators *out)
{
    const struct mg_field *etag = mg_fields_get(response, MG_FIELD_ETAG);
    out->etag = MG_STR_NONE;
    if (etag && mg_etag_is_valid(mg_field_value(etag)))
        out->etag = mg_field_value(etag);
    out->last_modified = read_date(response, MG_FIELD_LAST_MODIFIED, now);
    out->date = read_date(response, MG_FIELD_DATE, now);
}

/* ---- conditions ---- */

static bool is_read(const struct mg_message *request)
{
    return request->method_id == MG_METHOD_GET || request->method_id == MG_METHOD_HEAD;
}

/* As If-Modified-Since asks. False when one of the dates is missing. */
static bool unchanged_since(const struct mg_fields *request, int64_t modified, int64_t now)
{
    int64_t since = read_date(request, MG_FIELD_IF_MODIFIED_SINCE, now);
    return since != MG_DATE_NONE && modified != MG_DATE_NONE && modified <= since;
}

bool mg_condition_not_modified(const struct mg_message *request, const struct mg_validators *stored,
                               int64_t now)
{
    const struct mg_fields *fields = &request->fields;
    const struct mg_field *none = mg_fields_get(fields, MG_FIELD_IF_NONE_MATCH);
    int64_t modified = stored->last_modified != MG_DATE_NONE ? stored->last_modified : stored->date;
    if (!is_read(request))
        return false;
    return none ? any_line_has(fields, none, stored->etag, mg_etag_equal_weak)
                : unchanged_since(fields, modified, now);
}

bool mg_condition_is_for_origin(const struct mg_fields *request)
{
    return mg_fields_get(request, MG_FIELD_IF_MATCH) ||
           mg_fields_get(request, MG_FIELD_IF_UNMODIFIED_SINCE);
}

bool mg_condition_if_range(const struct mg_fields *request, const struct mg_validators *selected,
                           int64_t now)
{
    const struct mg_field *f = mg_fields_get(request, MG_FIELD_IF_RANGE);
    if (!f)
        return true;
    if (mg_fields_next(request, f))
        return false;
    struct mg_str value = mg_field_value(f);
    if (mg_etag_is_valid(value))
        return selected->etag.n > 0 && mg_etag_equal_strong(value, selected->etag);
    /* A date is a strong validator only when the representation could not have changed twice in
     * that second (8.8.2.2), and it must be the same, not just as late. */
    int64_t date;
    return selected->last_modified != MG_DATE_NONE && selected->date != MG_DATE_NONE &&
           selected->date > selected->last_modified && mg_http_date_parse(value, now, &date) &&
           date == selected->last_modified;
}

/* ---- requests that we make ---- */

void mg_condition_remove(struct mg_fields *request)
{
    static const enum mg_field_id CONDITIONS[] = {MG_FIELD_IF_MATCH, MG_FIELD_IF_NONE_MATCH,
                                                  MG_FIELD_IF_MODIFIED_SINCE,
                                                  MG_FIELD_IF_UNMODIFIED_SINCE, MG_FIELD_IF_RANGE};
    for (size_t i = 0; i < sizeof CONDITIONS / sizeof CONDITIONS[0]; i++)
        mg_fields_remove_id(request, CONDITIONS[i]);
}

bool mg_condition_validate(struct mg_message *request, const struct mg_fields *stored, int64_t now)
{
    struct mg_validators v;
    mg_condition_remove(&request->fields);
    mg_fields_remove_id(&request->fields, MG_FIELD_RANGE);
    mg_validators_read(stored, now, &v);
    if (v.etag.n > 0)
        mg_fields_add_id(&request->fields, request->arena, MG_FIELD_IF_NONE_MATCH,
                         mg_arena_str(request->arena, v.etag));
    if (v.last_modified != MG_DATE_NONE) {
        struct mg_str date = mg_field_value(mg_fields_get(stored, MG_FIELD_LAST_MODIFIED));
        mg_fields_add_id(&request->fields, request->arena, MG_FIELD_IF_MODIFIED_SINCE,
                         mg_arena_str(request->arena, date));
    }
    return v.etag.n > 0 || v.last_modified != MG_DATE_NONE;
}
