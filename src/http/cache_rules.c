/*
 * Each rule is a small predicate that names its section; the verdicts ask them in turn.
 */
#include "http/cache_rules.h"

#include "http/conditional.h"
#include "http/date.h"
#include "http/vary.h"

/* ---- requests ---- */

static bool has(const struct mg_cache_control *cc, uint32_t any_of)
{
    return cc->present & any_of;
}

void mg_cache_request_read(const struct mg_cache_settings *settings,
                           const struct mg_message *request, bool has_content,
                           struct mg_cache_request *out)
{
    bool reads = request->method_id == MG_METHOD_GET || request->method_id == MG_METHOD_HEAD;
    *out = (struct mg_cache_request){
        .method = request->method_id,
        .authorized = mg_fields_get(&request->fields, MG_FIELD_AUTHORIZATION) != NULL,
        .why_not = reads ? MG_CACHE_BYPASS : MG_CACHE_METHOD,
    };
    mg_cache_control_read(&request->fields, request->arena, &out->control);
    out->no_store = has(&out->control, MG_CC_NO_STORE);
    if (settings->ignore_request_control)
        out->control = (struct mg_cache_control){0};
    out->may_look = reads && !has_content && request->upgrade.n == 0 &&
                    !mg_condition_is_for_origin(&request->fields);
    /* That of a POST could answer later GETs (RFC 9110 9.3.3), which next to nobody says of one. */
    out->may_store = !out->no_store && out->may_look && request->method_id != MG_METHOD_HEAD;
}

struct mg_range_asked mg_cache_request_part(const struct mg_message *request)
{
    const struct mg_field *f = mg_fields_get(&request->fields, MG_FIELD_RANGE);
    struct mg_range_asked out;
    if (!f || request->method_id != MG_METHOD_GET || mg_fields_next(&request->fields, f) ||
        !mg_range_read_one(mg_field_value(f), &out))
        return (struct mg_range_asked){0};
    return out;
}

/* ---- statuses ---- */

/* RFC 9110 15.1 */
static bool is_guessable(unsigned status)
{
    switch (status) {
    case 200:
    case 203:
    case 204:
    case 206:
    case 300:
    case 301:
    case 308:
    case 404:
    case 405:
    case 410:
    case 414:
    case 501:
        return true;
    default:
        return false;
    }
}

/* Statuses whose rules for caches are implemented here (3, must-understand). */
static bool is_understood(unsigned status)
{
    switch (status) {
    case 201:
    case 202:
    case 302:
    case 303:
    case 307:
    case 400:
    case 401:
    case 403:
    case 406:
    case 409:
    case 415:
    case 421:
    case 422:
    case 451:
    case 500:
    case 502:
    case 503:
    case 504:
        return true;
    default:
        return is_guessable(status);
    }
}

/* They tell one client about its own request: no cache may keep them (RFC 6585 3 to 6). */
static bool is_personal(unsigned status)
{
    return status == 428 || status == 429 || status == 431 || status == 511;
}

/* Neither the news that something stored is good, nor what else a condition or a range was answered
 * with, can be kept as an answer to a request without. */
static bool is_about_condition(unsigned status)
{
    return status == 304 || status == 412 || status == 416;
}

static bool has_several_parts(const struct mg_fields *fields)
{
    static const struct mg_str TYPE = MG_STR("multipart/byteranges");
    const struct mg_field *f = mg_fields_get(fields, MG_FIELD_CONTENT_TYPE);
    return f && f->value_len >= TYPE.n && mg_str_ieq(mg_str(f->value, TYPE.n), TYPE);
}

bool mg_cache_part_read(unsigned status, const struct mg_fields *fields, struct mg_range *out,
                        uint64_t *length)
{
    const struct mg_field *f = mg_fields_get(fields, MG_FIELD_CONTENT_RANGE);
    return status == 206 && f && !mg_fields_next(fields, f) && !has_several_parts(fields) &&
           mg_range_read_content(mg_field_value(f), out, length);
}

bool mg_cache_is_part(unsigned status, const struct mg_fields *fields)
{
    struct mg_range range;
    uint64_t length;
    return mg_cache_part_read(status, fields, &range, &length);
}

/* Who asks for a part gets that, or the whole (RFC 9110 14.2). Anything else may be due to the
 * range, and nobody else shall get it; nor a 200 that says it is a part after all. */
static bool is_what_was_asked(const struct mg_range_asked *part, const struct mg_message *response)
{
    if (response->status == 206)
        return part->any && mg_cache_is_part(206, &response->fields);
    return !part->any ||
           (response->status == 200 && !mg_fields_get(&response->fields, MG_FIELD_CONTENT_RANGE));
}

static bool is_storable_status(const struct mg_range_asked *part, const struct mg_message *response,
                               const struct mg_cache_control *cc)
{
    unsigned status = response->status;
    if (status < 200 || is_about_condition(status) || is_personal(status) ||
        !is_what_was_asked(part, response))
        return false;
    return !has(cc, MG_CC_MUST_UNDERSTAND) || is_understood(status);
}

/* ---- lifetimes (4.2.1, 4.2.2) ---- */

struct lifetime {
    bool known;
    bool by_origin; /* max-age and its like, or Expires */
    bool guessed;
    uint32_t seconds;
};

struct clock {
    int64_t sent, received;
    int64_t date; /* of the response; when it came, if it does not say */
};

static uint32_t clamp(int64_t seconds)
{
    if (seconds < 0)
        return 0;
    return seconds > MG_CACHE_SECONDS_MAX ? MG_CACHE_SECONDS_MAX : (uint32_t)seconds;
}

/* The earliest of several; what is no date has passed (5.3). False when there is none. */
static bool read_expires(const struct mg_fields *fields, const struct clock *clock, int64_t *out)
{
    const struct mg_field *f = mg_fields_get(fields, MG_FIELD_EXPIRES);
    if (!f)
        return false;
    *out = INT64_MAX;
    for (; f; f = mg_fields_next(fields, f)) {
        int64_t at;
        if (!mg_http_date_parse(mg_field_value(f), clock->received, &at))
            at = clock->date;
        if (at < *out)
            *out = at;
    }
    return true;
}

static struct lifetime by_origin(const struct mg_message *response,
                                 const struct mg_cache_control *cc, bool targeted,
                                 const struct clock *clock)
{
    struct lifetime out = {.known = true, .by_origin = true};
    int64_t expires;
    if (has(cc, MG_CC_S_MAXAGE))
        out.seconds = cc->s_maxage;
    else if (has(cc, MG_CC_MAX_AGE))
        out.seconds = cc->max_age;
    else if (!targeted && read_expires(&response->fields, clock, &expires))
        out.seconds = clamp(expires - clock->date);
    else
        return (struct lifetime){0};
    return out;
}

static struct lifetime by_operator(const struct mg_cache_settings *settings, unsigned status)
{
    for (size_t i = 0; i < settings->ttl_by_status_count; i++) {
        const struct mg_cache_ttl *t = &settings->ttl_by_status[i];
        if (status >= t->first && status <= t->last)
            return (struct lifetime){.known = true, .seconds = t->seconds};
    }
    if (settings->ttl < 0 || status < 200 || status > 299)
        return (struct lifetime){0};
    return (struct lifetime){.known = true, .seconds = clamp(settings->ttl)};
}

/* A tenth of the time for which it had not changed (4.2.2). */
static struct lifetime by_guess(const struct mg_cache_settings *settings, unsigned status,
                                const struct mg_cache_control *cc, int64_t modified,
                                const struct clock *clock)
{
    bool allowed = is_guessable(status) || has(cc, MG_CC_PUBLIC);
    if (!allowed || settings->heuristic_max == 0 || modified == MG_DATE_NONE)
        return (struct lifetime){0};
    uint32_t seconds = clamp((clock->date - modified) / 10);
    if (seconds > settings->heuristic_max)
        seconds = settings->heuristic_max;
    return (struct lifetime){.known = true, .guessed = true, .seconds = seconds};
}

static struct lifetime find_lifetime(const struct mg_cache_settings *settings,
                                     const struct mg_message *response,
                                     const struct mg_cache_control *cc, bool targeted,
                                     int64_t modified, const struct clock *clock)
{
    struct lifetime origin = by_origin(response, cc, targeted, clock);
    struct lifetime ours = by_operator(settings, response->status);
    if (ours.known && settings->force_ttl) {
        ours.by_origin = origin.known;
        return ours;
    }
    if (origin.known)
        return origin;
    if (ours.known)
        return ours;
    return by_guess(settings, response->status, cc, modified, clock);
}

/* ---- age (4.2.3) ---- */

/* The first member of the first line (5.1); anything but digits is as good as none. */
static uint32_t read_age(const struct mg_fields *fields)
{
    const struct mg_field *f = mg_fields_get(fields, MG_FIELD_AGE);
    struct mg_str rest, first;
    uint32_t age;
    if (!f)
        return 0;
    rest = mg_field_value(f);
    if (!mg_str_split(&rest, ',', &first) || !mg_cache_seconds(mg_str_trim(first), &age))
        return 0;
    return age;
}

static uint32_t initial_age(const struct mg_fields *fields, const struct clock *clock)
{
    int64_t delay = clock->received > clock->sent ? clock->received - clock->sent : 0;
    int64_t corrected = read_age(fields) + delay;
    int64_t apparent = clock->received - clock->date;
    return clamp(apparent > corrected ? apparent : corrected);
}

static uint32_t current_age(const struct mg_cache_record *e, int64_t now)
{
    return clamp((now > e->stored_at ? now - e->stored_at : 0) + e->initial_age);
}

/* ---- storing (3) ---- */

/* 3.5 */
static bool may_share_authorized(const struct mg_cache_control *cc)
{
    return has(cc, MG_CC_PUBLIC | MG_CC_S_MAXAGE | MG_CC_MUST_REVALIDATE);
}

/* Named by no-cache="..." or private="...", so it is left out of what is kept. */
static bool is_left_out(const struct mg_cache_control *cc, struct mg_str name)
{
    return mg_cache_control_names(cc->no_cache_fields, name) ||
           mg_cache_control_names(cc->private_fields, name);
}

static bool may_keep_cookies(const struct mg_cache_settings *settings,
                             const struct mg_message *response, const struct mg_cache_control *cc,
                             const struct lifetime *lifetime)
{
    if (!mg_fields_get(&response->fields, MG_FIELD_SET_COOKIE) ||
        is_left_out(cc, MG_STR("Set-Cookie")))
        return true;
    if (settings->strict_cookies)
        return has(cc, MG_CC_PUBLIC | MG_CC_S_MAXAGE);
    return lifetime->by_origin || has(cc, MG_CC_PUBLIC | MG_CC_NO_CACHE);
}

/* 3: what the two Cache-Controls and Authorization say. */
static enum mg_cache_storing judge_permission(const struct mg_cache_settings *settings,
                                              const struct mg_cache_request *request,
                                              const struct mg_message *response,
                                              const struct mg_cache_control *cc)
{
    if (!request->may_store)
        return request->no_store ? MG_CACHE_NOT_NO_STORE : MG_CACHE_NOT_METHOD;
    if (!is_storable_status(&request->part, response, cc))
        return MG_CACHE_NOT_STATUS;
    if (has(cc, MG_CC_NO_STORE) && !has(cc, MG_CC_MUST_UNDERSTAND))
        return MG_CACHE_NOT_NO_STORE;
    if (has(cc, MG_CC_PRIVATE))
        return MG_CACHE_NOT_PRIVATE;
    if (request->authorized && !settings->share_authorized && !may_share_authorized(cc))
        return MG_CACHE_NOT_AUTHORIZED;
    return MG_CACHE_STORE;
}

/* A window that the origin names counts even beside s-maxage; the operator's does not. */
static uint32_t stale_window(const struct mg_cache_control *cc, enum mg_cache_directive directive,
                             uint32_t named, int64_t usual)
{
    if (has(cc, MG_CC_MUST_REVALIDATE | MG_CC_PROXY_REVALIDATE | MG_CC_NO_CACHE))
        return 0;
    if (has(cc, directive))
        return named;
    return has(cc, MG_CC_S_MAXAGE) ? 0 : clamp(usual);
}

static void fill_record(const struct mg_cache_settings *settings, const struct mg_message *response,
                        const struct mg_cache_control *cc, const struct lifetime *lifetime,
                        const struct mg_validators *validators, const struct clock *clock,
                        struct mg_cache_record *e)
{
    *e = (struct mg_cache_record){
        .stored_at = clock->received,
        .initial_age = initial_age(&response->fields, clock),
        .lifetime = lifetime->seconds,
        .stale_while_revalidate =
            stale_window(cc, MG_CC_STALE_WHILE_REVALIDATE, cc->stale_while_revalidate,
                         settings->stale_while_revalidate),
        .stale_if_error =
            stale_window(cc, MG_CC_STALE_IF_ERROR, cc->stale_if_error, settings->stale_if_error),
    };
    if (has(cc, MG_CC_NO_CACHE))
        e->flags |= MG_CACHE_ALWAYS_VALIDATE;
    if (has(cc, MG_CC_MUST_REVALIDATE | MG_CC_PROXY_REVALIDATE | MG_CC_NO_CACHE | MG_CC_S_MAXAGE))
        e->flags |= MG_CACHE_NEVER_STALE;
    if (lifetime->guessed)
        e->flags |= MG_CACHE_GUESSED;
    if (validators->etag.n > 0 || validators->last_modified != MG_DATE_NONE)
        e->flags |= MG_CACHE_CAN_VALIDATE;
}

/* Fresh for a moment, stale and still of use, or good for a validation. */
static bool is_useful(const struct mg_cache_record *e)
{
    if (e->flags & MG_CACHE_CAN_VALIDATE)
        return true;
    return !(e->flags & MG_CACHE_ALWAYS_VALIDATE) && mg_cache_useful_for(e) > 0;
}

uint64_t mg_cache_useful_for(const struct mg_cache_record *e)
{
    uint32_t window = e->stale_while_revalidate > e->stale_if_error ? e->stale_while_revalidate
                                                                    : e->stale_if_error;
    uint64_t end = (uint64_t)e->lifetime + window;
    return end > e->initial_age ? end - e->initial_age : 0;
}

enum mg_cache_storing mg_cache_judge_response(const struct mg_cache_settings *settings,
                                              const struct mg_cache_request *request,
                                              const struct mg_message *response, int64_t sent,
                                              int64_t received, struct mg_arena *arena,
                                              struct mg_cache_answer *out)
{
    struct mg_cache_control *cc = &out->control;
    struct mg_validators validators;
    bool targeted = mg_cache_control_read_targeted(&response->fields, settings->targeted,
                                                   settings->targeted_count, arena, cc);
    if (!targeted)
        mg_cache_control_read(&response->fields, arena, cc);
    enum mg_cache_storing verdict = judge_permission(settings, request, response, cc);
    if (verdict != MG_CACHE_STORE)
        return verdict;
    if (!mg_vary_read(&response->fields, settings->vary, arena, &out->vary))
        return MG_CACHE_NOT_VARY;
    mg_validators_read(&response->fields, received, &validators);
    struct clock clock = {sent, received, validators.date};
    if (clock.date == MG_DATE_NONE)
        clock.date = received;
    struct lifetime lifetime =
        find_lifetime(settings, response, cc, targeted, validators.last_modified, &clock);
    if (!may_keep_cookies(settings, response, cc, &lifetime))
        return MG_CACHE_NOT_COOKIE;
    /* A POST answers later GETs only for a time that its origin names (RFC 9110 9.3.3). */
    if (request->method == MG_METHOD_POST && !lifetime.by_origin)
        return MG_CACHE_NOT_LIFETIME;
    if (!lifetime.known && !has(cc, MG_CC_NO_CACHE | MG_CC_PUBLIC | MG_CC_MUST_REVALIDATE))
        return MG_CACHE_NOT_LIFETIME;
    if (lifetime.known && !lifetime.by_origin && !lifetime.guessed && lifetime.seconds == 0)
        return MG_CACHE_NOT_LIFETIME; /* the operator wants none of these */
    fill_record(settings, response, cc, &lifetime, &validators, &clock, &out->record);
    return is_useful(&out->record) ? MG_CACHE_STORE : MG_CACHE_NOT_LIFETIME;
}

struct mg_str mg_cache_storing_name(enum mg_cache_storing verdict)
{
    static const struct mg_str NAMES[] = {
        [MG_CACHE_STORE] = MG_STR("no-room"),
        [MG_CACHE_NOT_METHOD] = MG_STR("method"),
        [MG_CACHE_NOT_STATUS] = MG_STR("status"),
        [MG_CACHE_NOT_NO_STORE] = MG_STR("no-store"),
        [MG_CACHE_NOT_PRIVATE] = MG_STR("private"),
        [MG_CACHE_NOT_AUTHORIZED] = MG_STR("authorization"),
        [MG_CACHE_NOT_VARY] = MG_STR("vary"),
        [MG_CACHE_NOT_COOKIE] = MG_STR("set-cookie"),
        [MG_CACHE_NOT_LIFETIME] = MG_STR("no-lifetime"),
    };
    return NAMES[verdict];
}

/* ---- using (4) ---- */

/* 5.2.1: is the response too old for this request, or will it be too soon? */
static bool request_wants_newer(const struct mg_cache_control *cc, uint32_t age, int64_t ttl)
{
    if (has(cc, MG_CC_NO_CACHE))
        return true;
    if (has(cc, MG_CC_MAX_AGE) && (age > cc->max_age || cc->max_age == 0))
        return true;
    return has(cc, MG_CC_MIN_FRESH) && ttl < cc->min_fresh;
}

/* What a request that is content with usual answers gets. */
static enum mg_cache_verdict judge_age(const struct mg_cache_record *e,
                                       const struct mg_cache_control *cc, int64_t ttl)
{
    if (e->flags & MG_CACHE_ALWAYS_VALIDATE)
        return MG_CACHE_VALIDATE;
    if (ttl > 0)
        return MG_CACHE_FRESH;
    if (-ttl < e->stale_while_revalidate)
        return MG_CACHE_STALE_REVALIDATE;
    if (has(cc, MG_CC_MAX_STALE) && !(e->flags & MG_CACHE_NEVER_STALE) && -ttl <= cc->max_stale)
        return MG_CACHE_STALE_ALLOWED;
    return MG_CACHE_VALIDATE;
}

/* RFC 5861 4: the directive of either side. */
static bool may_cover_error(const struct mg_cache_record *e, const struct mg_cache_control *cc,
                            int64_t ttl)
{
    uint32_t window = e->stale_if_error;
    if (e->flags & MG_CACHE_ALWAYS_VALIDATE)
        return false;
    if (ttl > 0)
        return true;
    if (!(e->flags & MG_CACHE_NEVER_STALE) && cc->stale_if_error > window)
        window = cc->stale_if_error;
    return -ttl < window;
}

void mg_cache_judge_stored(const struct mg_cache_record *record,
                           const struct mg_cache_request *request, int64_t now,
                           struct mg_cache_decision *out)
{
    const struct mg_cache_control *cc = &request->control;
    uint32_t age = current_age(record, now);
    int64_t ttl = (int64_t)record->lifetime - age;
    *out = (struct mg_cache_decision){
        .verdict = judge_age(record, cc, ttl),
        .age = age,
        .ttl = ttl,
        .stale_if_error = may_cover_error(record, cc, ttl),
    };
    if (out->verdict == MG_CACHE_VALIDATE)
        out->forward = MG_CACHE_STALE;
    else if (request_wants_newer(cc, age, ttl))
        out->forward = MG_CACHE_REQUEST;
    else
        return;
    out->verdict = has(cc, MG_CC_ONLY_IF_CACHED) ? MG_CACHE_UNAVAILABLE : MG_CACHE_VALIDATE;
}
