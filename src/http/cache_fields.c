/* Lists are copied field by field past a predicate; the lists are short (limits of the codecs). */
#include "http/cache_fields.h"

#include "http/conditional.h"
#include "http/date.h"

static bool is_named(const struct mg_field *f, struct mg_str name)
{
    return mg_str_ieq(mg_str(f->name, f->name_len), name);
}

/* 3.1; those of the connection are in no message. */
static bool is_hop(const struct mg_field *f)
{
    return mg_field_is_codec(f->id) || f->id == MG_FIELD_PROXY_AUTHENTICATE ||
           f->id == MG_FIELD_PROXY_AUTHORIZATION ||
           (f->id == MG_FIELD_OTHER && is_named(f, MG_STR("Proxy-Authentication-Info")));
}

static void add(struct mg_fields *to, struct mg_arena *arena, const struct mg_field *f)
{
    mg_fields_add_known(to, arena, f->id, mg_str(f->name, f->name_len), mg_field_value(f));
}

static bool is_own(const struct mg_field *f, const struct mg_cache_control *control)
{
    struct mg_str name = mg_str(f->name, f->name_len);
    return mg_cache_control_names(control->no_cache_fields, name) ||
           mg_cache_control_names(control->private_fields, name);
}

void mg_cache_fields_own(const struct mg_fields *response, const struct mg_cache_control *control,
                         struct mg_arena *arena, struct mg_fields *own)
{
    for (unsigned i = 0; i < response->n; i++) {
        const struct mg_field *f = &response->v[i];
        if (!is_own(f, control))
            continue;
        mg_fields_add_known(own, arena, f->id, mg_arena_str(arena, mg_str(f->name, f->name_len)),
                            mg_arena_str(arena, mg_field_value(f)));
    }
}

void mg_cache_fields_keep(const struct mg_fields *response, const struct mg_cache_control *control,
                          int64_t received, struct mg_arena *arena, struct mg_fields *kept)
{
    *kept = (struct mg_fields){0};
    for (unsigned i = 0; i < response->n; i++) {
        const struct mg_field *f = &response->v[i];
        if (!is_hop(f) && f->id != MG_FIELD_AGE && !is_own(f, control))
            add(kept, arena, f);
    }
    if (!mg_fields_get(kept, MG_FIELD_DATE))
        mg_fields_add_id(kept, arena, MG_FIELD_DATE,
                         mg_arena_str(arena, mg_http_date((double)received)));
}

/* ---- validation ---- */

static bool is_strong(struct mg_str etag)
{
    return etag.n > 0 && etag.p[0] == '"';
}

bool mg_cache_fields_confirmed(const struct mg_fields *stored, const struct mg_fields *not_modified,
                               int64_t now)
{
    struct mg_validators old, new;
    mg_validators_read(stored, now, &old);
    mg_validators_read(not_modified, now, &new);
    if (is_strong(new.etag))
        return mg_etag_equal_strong(new.etag, old.etag);
    if (new.etag.n > 0 && old.etag.n > 0)
        return mg_etag_equal_weak(new.etag, old.etag);
    if (new.last_modified != MG_DATE_NONE && old.last_modified != MG_DATE_NONE)
        return new.last_modified == old.last_modified;
    return true;
}

/* Does a newer message say this of the stored response? */
static bool renews(const struct mg_field *f)
{
    return !is_hop(f) && f->id != MG_FIELD_CONTENT_ENCODING && f->id != MG_FIELD_CONTENT_RANGE;
}

static bool is_renewed(const struct mg_field *old, const struct mg_fields *newer)
{
    if (old->id != MG_FIELD_OTHER)
        return mg_fields_get(newer, old->id) && renews(old);
    return mg_fields_find(newer, mg_str(old->name, old->name_len)) && renews(old);
}

void mg_cache_fields_update(const struct mg_fields *stored, const struct mg_fields *newer,
                            struct mg_arena *arena, struct mg_fields *out)
{
    *out = (struct mg_fields){0};
    for (unsigned i = 0; i < stored->n; i++)
        if (stored->v[i].id != MG_FIELD_AGE && !is_renewed(&stored->v[i], newer))
            add(out, arena, &stored->v[i]);
    for (unsigned i = 0; i < newer->n; i++)
        if (renews(&newer->v[i]))
            add(out, arena, &newer->v[i]);
}

/* ---- sending ---- */

/* Without an ETag, Last-Modified is all that a 304 can be told apart by. */
static bool is_in_not_modified(const struct mg_field *f, bool has_etag)
{
    switch (f->id) {
    case MG_FIELD_LAST_MODIFIED:
        return !has_etag;
    case MG_FIELD_CONTENT_TYPE:
    case MG_FIELD_CONTENT_ENCODING:
    case MG_FIELD_CONTENT_RANGE:
    case MG_FIELD_CONTENT_MD5:
    case MG_FIELD_CONTENT_DIGEST:
        return false;
    default:
        /* Content-Security-Policy and the like speak of the page, not of the bytes. */
        return !is_named(f, MG_STR("Content-Language"));
    }
}

void mg_cache_fields_not_modified(struct mg_message *response)
{
    struct mg_fields *fields = &response->fields;
    bool has_etag = mg_fields_get(fields, MG_FIELD_ETAG) != NULL;
    uint16_t n = 0;
    for (uint16_t i = 0; i < fields->n; i++)
        if (is_in_not_modified(&fields->v[i], has_etag))
            fields->v[n++] = fields->v[i];
    fields->n = n;
    response->status = 304;
    response->phrase = MG_STR_NONE;
    response->content_length = -1;
}

void mg_cache_fields_set_age(struct mg_message *response, uint32_t seconds)
{
    char digits[20];
    size_t n = mg_u64_to_dec(seconds, digits);
    mg_fields_set_id(&response->fields, response->arena, MG_FIELD_AGE,
                     mg_arena_str(response->arena, mg_str(digits, n)));
}
