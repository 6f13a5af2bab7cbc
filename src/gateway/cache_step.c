/*
 * One request at a cache. Worker thread.
 *
 *     may it look? no ──▶ pass: the rest of the pipeline, as without a cache
 *       │
 *     find ──▶ good enough ──▶ answer from the store (and perhaps a refresh for nobody)
 *       │      (the whole; for one who asks for a part, then that part, or one that has it)
 *       │
 *     lead ──▶ lead: a job asks the origin ──▶ outcome: from the store, or the response as it is
 *       │      (or this request does, where no job can go the rest of the way)
 *       │
 *       └────▶ wait for the one that leads ──▶ find again; or pass, when that takes too long
 *
 * The step always ends with a response. All of a visit lies in the exchange's arena.
 */
#include "gateway/cache_step.h"

#include "gateway/cache_answer.h"
#include "gateway/cache_job.h"
#include "gateway/cache_keep.h"
#include "gateway/cache_key.h"
#include "gateway/cache_lookup.h"
#include "gateway/cache_purge.h"
#include "gateway/expr.h"
#include "gateway/problem.h"
#include "gateway/worker.h"
#include "http/conditional.h"
#include "net/bell.h"

/* Others may replace an entry as often as we look; at some point it is quicker to ask. */
#define LOOKS_MAX 8

struct visit {
    struct mg_walk *walk;
    const struct mg_cache_options *o;
    struct mg_cache_request request;
    struct mg_cache_target target;
    struct mg_cache_key key; /* by URL and template: that of the whole */
    bool at_part;            /* what was looked for last, and may be stored, is the part: */
    struct mg_range_asked part;
    bool wider; /* ... found is one that has it, and more */
    struct mg_cache_found found;
    unsigned looks;
    int64_t began; /* seconds since 1970 */
    struct mg_cache_decision decision;
    struct mg_cache_status status; /* what Cache-Status will tell */
    /* What came from the store has just been made by him, and fetched so; NULL: by nobody. */
    enum mg_source made_by;
    struct mg_fetch *fetch;
    struct mg_cache_leader leader; /* with a job while it leads */
    /* While it leads without a job. */
    struct mg_cache_fill *fill; /* NULL: none, or it is kept already */
    struct mg_cache_keeping keeping;
    struct mg_cache_waiter waiter;
    struct mg_bell *bell;
    struct mg_timer patience;
    struct mg_wait wait;
    bool running; /* mg_cache_step_request is on the stack */
    bool done;
};

static uint64_t now_ns(const struct visit *v)
{
    return mg_loop_now(v->walk->ex->worker->loop);
}

static int64_t now_s(const struct visit *v)
{
    return (int64_t)mg_loop_wall(v->walk->ex->worker->loop);
}

static struct mg_arena *arena_of(const struct visit *v)
{
    return v->walk->req->arena;
}

static bool is_get(const struct visit *v)
{
    return v->request.method == MG_METHOD_GET;
}

/* --- the end --- */

static void drop_entry(struct visit *v)
{
    mg_cache_found_release(v->o->store, &v->found);
}

static struct mg_cache_fill *take_fill(struct visit *v)
{
    struct mg_cache_fill *fill = v->fill;
    v->fill = NULL;
    return fill;
}

static void stop_waiting(struct visit *v)
{
    if (!v->bell)
        return;
    mg_timer_release(&v->patience);
    mg_cache_waiter_cancel(v->o->store, &v->found.place, &v->waiter);
    mg_bell_free(v->bell);
    v->bell = NULL;
}

/* The exchange ends, or was given up. */
static void leave(void *arg)
{
    struct visit *v = arg;
    stop_waiting(v);
    mg_cache_job_release(&v->leader);
    if (v->fill)
        mg_cache_fill_fail(take_fill(v), MG_CACHE_FAILED);
    drop_entry(v);
}

static void finish(struct visit *v, struct mg_response *res)
{
    res->from_behind = true;
    v->walk->res = res;
    v->done = true;
    if (!v->running)
        mg_walk_resume(v->walk, MG_STEP_STOP);
}

/* --- what is told of it --- */

static void add_status(struct visit *v, struct mg_message *res)
{
    const struct mg_cache_options *o = v->o;
    if (o->status_header)
        mg_fields_add(&res->fields, res->arena, MG_STR("Cache-Status"),
                      mg_cache_status_text(res->arena, &v->status));
    if (o->legacy_headers && is_get(v))
        mg_fields_set(&res->fields, res->arena, MG_STR("X-Cache"),
                      v->status.forward == MG_CACHE_HIT ? MG_STR("HIT") : MG_STR("MISS"));
}

/* --- answering from the store --- */

static void look(struct visit *v);

/* What came with it for this client alone. */
static void add_own(struct visit *v, struct mg_message *res)
{
    for (unsigned i = 0; i < v->leader.own.n; i++) {
        const struct mg_field *f = &v->leader.own.v[i];
        mg_fields_add_known(&res->fields, arena_of(v), f->id, mg_str(f->name, f->name_len),
                            mg_field_value(f));
    }
}

static void answer_from_store(struct visit *v)
{
    bool hit = v->status.forward == MG_CACHE_HIT;
    struct mg_cache_answering a = {.req = v->walk->req,
                                   .request = &v->request,
                                   .arena = arena_of(v),
                                   .loop = v->walk->ex->worker->loop,
                                   .store = v->o->store,
                                   .entry = v->found.entry,
                                   .part = v->wider ? &v->part : NULL,
                                   .forwarded = !hit};
    struct mg_response *res = mg_cache_answer(&a);
    if (v->leader.job)
        mg_cache_job_follow(v->leader.job, a.body);
    if (!res) {
        look(v);
        return;
    }
    if (!hit) {
        res->source = v->made_by;
        res->fetch = v->fetch;
    }
    add_own(v, res->msg);
    v->status.has_ttl = hit;
    v->status.ttl = a.ttl;
    add_status(v, res->msg);
    finish(v, res);
}

/* --- passing --- */

static void on_passed(struct mg_walk *inner, void *arg)
{
    struct visit *v = arg;
    struct mg_response *res = inner->res;
    mg_cache_invalidate(v->o->store, v->request.method, &v->target, v->key.primary, res->msg,
                        arena_of(v));
    v->status.forward_status = res->msg->status;
    add_status(v, res->msg);
    finish(v, res);
}

/* The rest of the pipeline, as if there were no cache. */
static void pass(struct visit *v)
{
    struct mg_walk *inner = mg_walk_inner(v->walk, v->walk->req);
    if (!inner) {
        finish(v, mg_problem(v->walk->req, 500, "internal-error", MG_STR_NONE, "too_deep"));
        return;
    }
    drop_entry(v);
    inner->on_done = on_passed;
    inner->arg = v;
    mg_walk_start(inner);
}

/* --- leading --- */

static void answer_as_it_is(struct visit *v, const struct mg_cache_outcome *outcome)
{
    struct mg_response *res = mg_arena_alloc(arena_of(v), sizeof *res);
    *res = *outcome->response;
    v->status.forward_status = (uint16_t)outcome->status;
    v->status.detail = mg_cache_storing_name(outcome->storing);
    add_status(v, res->msg);
    finish(v, res);
}

static void look(struct visit *v);

static void on_outcome(struct mg_cache_leader *leader, const struct mg_cache_outcome *outcome)
{
    struct visit *v = MG_CONTAINER_OF(leader, struct visit, leader);
    if (outcome->elsewhere) {
        v->status.detail = MG_STR("redis");
        look(v);
        return;
    }
    if (!outcome->entry) {
        answer_as_it_is(v, outcome);
        return;
    }
    drop_entry(v);
    v->found.entry = outcome->entry;
    v->status.forward_status = (uint16_t)outcome->status;
    v->status.stored = !outcome->failed;
    v->fetch = outcome->fetch;
    if (!outcome->validated && !outcome->failed)
        v->made_by = outcome->source;
    answer_from_store(v);
}

static void on_inform(struct mg_cache_leader *leader, struct mg_message *res)
{
    const struct visit *v = MG_CONTAINER_OF(leader, struct visit, leader);
    mg_inbound_inform(v->walk->ex->in, res);
}

/* Where it looked last. */
static struct mg_cache_key key_of(const struct visit *v)
{
    struct mg_str variant = v->key.variant;
    if (v->at_part)
        variant = mg_cache_key_part(variant, &v->part, arena_of(v));
    return (struct mg_cache_key){v->key.primary, variant};
}

/* The request as what is fetched for it is judged. */
static struct mg_cache_request request_of(const struct visit *v)
{
    struct mg_cache_request request = v->request;
    if (v->at_part)
        request.part = v->part;
    return request;
}

static struct mg_cache_asking asking_of(struct visit *v)
{
    return (struct mg_cache_asking){.options = v->o,
                                    .request = request_of(v),
                                    .walk = v->walk,
                                    .key = key_of(v),
                                    .whole = v->key.variant,
                                    .place = v->found.place,
                                    .alone = v->found.unshared != NULL,
                                    .old = v->found.entry,
                                    .old_covers_errors = v->decision.stale_if_error};
}

/* The old one, for an origin that fails. */
static bool old_stands_in(const struct visit *v, const struct mg_response *res)
{
    return v->found.entry && v->decision.stale_if_error && mg_cache_is_error(res->msg->status);
}

static void on_fetched_here(struct mg_walk *inner, void *arg)
{
    struct visit *v = arg;
    struct mg_response *res = inner->res;
    v->status.forward_status = res->msg->status;
    if (old_stands_in(v, res)) {
        if (res->body)
            mg_body_cancel(res->body);
        mg_cache_fill_fail(take_fill(v), MG_CACHE_FAILED);
        v->fetch = res->fetch;
        answer_from_store(v);
        return;
    }
    const struct mg_cache_keep *kept =
        mg_cache_keep_new(&v->keeping, take_fill(v), res, arena_of(v), mg_walk_wait(v->walk));
    v->status.stored = kept->stored || kept->filling;
    if (!v->status.stored) {
        mg_cache_entry_note_unshared(&v->keeping, kept->storing, arena_of(v));
        v->status.detail = mg_cache_storing_name(kept->storing);
    }
    add_status(v, res->msg);
    finish(v, res);
}

/* The request itself goes on, and what comes back is kept. */
static void fetch_here(struct visit *v, struct mg_cache_fill *fill)
{
    const struct mg_cache_keeping now = {.options = v->o,
                                         .loop = v->walk->ex->worker->loop,
                                         .request = request_of(v),
                                         .asked = *v->walk->req->msg,
                                         .key = key_of(v),
                                         .whole = v->key.variant,
                                         .sent = now_s(v)};
    struct mg_walk *inner = mg_walk_inner(v->walk, v->walk->req);
    if (!inner) {
        mg_cache_fill_fail(fill, MG_CACHE_FAILED);
        pass(v);
        return;
    }
    v->fill = fill;
    mg_cache_keeping_copy(&v->keeping, arena_of(v), &now);
    inner->on_done = on_fetched_here;
    inner->arg = v;
    mg_walk_start(inner);
}

static void lead(struct visit *v, struct mg_cache_fill *fill)
{
    if (!mg_walk_is_repeatable(v->walk)) {
        fetch_here(v, fill);
        return;
    }
    const struct mg_cache_asking asking = asking_of(v);
    v->leader = (struct mg_cache_leader){
        .on_outcome = on_outcome, .on_inform = on_inform, .arena = arena_of(v)};
    v->status.detail = MG_STR_NONE;
    mg_cache_job_start(&asking, fill, &v->leader);
}

/* Whatever the request wants of the representation, it is refreshed as it is stored. */
static void ask_as_stored(struct mg_cache_asking *asking)
{
    asking->request.method = MG_METHOD_GET;
    asking->request.may_store = !asking->request.no_store;
}

/* For nobody in particular, unless somebody is at it already. */
static void refresh(struct visit *v)
{
    struct mg_cache_fill *fill;
    struct mg_cache_entry *newer;
    switch (mg_cache_lead(v->o->store, &v->found.place, v->found.entry, now_ns(v), NULL, &fill,
                          &newer)) {
    case MG_CACHE_LEAD: {
        struct mg_cache_asking asking = asking_of(v);
        ask_as_stored(&asking);
        mg_cache_job_start(&asking, fill, NULL);
        return;
    }
    case MG_CACHE_FOUND:
        mg_cache_unref(v->o->store, newer);
        return;
    case MG_CACHE_WAIT:
        return;
    }
}

/* --- waiting --- */

static void on_word(void *arg)
{
    struct visit *v = arg;
    enum mg_cache_word word = v->waiter.word;
    if (word == MG_CACHE_PENDING)
        return;
    stop_waiting(v);
    if (word == MG_CACHE_BEGUN)
        look(v);
    else
        pass(v);
}

static void ring(void *arg)
{
    mg_bell_ring(((struct visit *)arg)->bell);
}

static void on_impatient(void *arg)
{
    struct visit *v = arg;
    stop_waiting(v);
    v->status.detail = MG_STR("waited-too-long");
    pass(v);
}

static void prepare_to_wait(struct visit *v)
{
    struct mg_loop *loop = v->walk->ex->worker->loop;
    v->bell = mg_bell_new(loop, on_word, v);
    mg_cache_waiter_init(&v->waiter, ring, v);
    mg_timer_init(&v->patience, loop, on_impatient, v);
}

static void wait_for_other(struct visit *v)
{
    v->status.collapsed = true;
    mg_timer_set(&v->patience, now_ns(v) + v->o->wait_ns);
}

static void lead_or_wait(struct visit *v)
{
    struct mg_cache_fill *fill;
    struct mg_cache_entry *newer;
    bool may_wait = v->o->wait_ns && !v->found.unshared;
    if (may_wait)
        prepare_to_wait(v);
    switch (mg_cache_lead(v->o->store, &v->found.place,
                          v->found.entry ? v->found.entry : v->found.unshared, now_ns(v),
                          may_wait ? &v->waiter : NULL, &fill, &newer)) {
    case MG_CACHE_LEAD:
        stop_waiting(v);
        lead(v, fill);
        return;
    case MG_CACHE_FOUND:
        stop_waiting(v);
        mg_cache_unref(v->o->store, newer);
        look(v);
        return;
    case MG_CACHE_WAIT:
        if (may_wait)
            wait_for_other(v);
        else
            pass(v);
        return;
    }
}

/* --- finding --- */

static void find_at_key(struct visit *v)
{
    const struct mg_cache_key key = key_of(v);
    drop_entry(v);
    mg_cache_lookup(v->o->store, &key, &v->walk->req->msg->fields, now_ns(v), arena_of(v),
                    &v->found);
    if (v->found.entry)
        mg_cache_lookup_judge(v->found.entry, &v->request, now_s(v), &v->decision);
}

/* It came while this request waited for it. */
static bool is_new(const struct visit *v)
{
    return v->looks > 1 && mg_cache_head_record(v->found.entry->head)->stored_at >= v->began;
}

/* Can it be the answer, without a word from the origin? */
static bool will_do(const struct visit *v)
{
    if (!v->found.entry)
        return false;
    switch (v->decision.verdict) {
    case MG_CACHE_FRESH:
    case MG_CACHE_STALE_ALLOWED:
    case MG_CACHE_STALE_REVALIDATE:
        return true;
    case MG_CACHE_VALIDATE:
    case MG_CACHE_UNAVAILABLE:
        break;
    }
    return is_new(v);
}

/* Is it fresh, and has it all that is asked for? */
static bool has_part(struct visit *v, const struct mg_cache_entry *e, struct mg_cache_decision *d)
{
    struct mg_range has, range;
    uint64_t length;
    mg_cache_lookup_judge(e, &v->request, now_s(v), d);
    return d->verdict == MG_CACHE_FRESH && mg_cache_lookup_extent(e, arena_of(v), &has, &length) &&
           mg_range_within(&v->part, has, length, &range);
}

/* The widest part, in place of the very one, if it has all that is asked for. */
static void find_wider(struct visit *v)
{
    struct mg_range_asked widest;
    struct mg_cache_found found;
    struct mg_cache_decision decision;
    if (!mg_cache_lookup_widest(v->o->store, &v->key, now_ns(v), arena_of(v), &widest))
        return;
    const struct mg_cache_key key = {v->key.primary,
                                     mg_cache_key_part(v->key.variant, &widest, arena_of(v))};
    mg_cache_lookup(v->o->store, &key, &v->walk->req->msg->fields, now_ns(v), arena_of(v), &found);
    v->wider = found.entry && has_part(v, found.entry, &decision);
    if (!v->wider) {
        mg_cache_found_release(v->o->store, &found);
        return;
    }
    drop_entry(v);
    v->found = found;
    v->decision = decision;
}

/* The whole; then the part, for one who wants no more, where the whole will not do; then one that
 * has it. */
static void find_entry(struct visit *v)
{
    v->at_part = v->wider = false;
    find_at_key(v);
    v->status.forward = v->found.varies ? MG_CACHE_VARY_MISS : MG_CACHE_URI_MISS;
    if (will_do(v))
        return;
    v->part = mg_cache_request_part(v->walk->req->msg);
    if (!v->part.any)
        return;
    if (v->found.entry)
        v->status.forward = v->decision.forward;
    v->at_part = true;
    find_at_key(v);
    if (!will_do(v))
        find_wider(v);
}

static void unavailable(struct visit *v)
{
    struct mg_response *res = mg_problem(v->walk->req, 504, "gateway-timeout",
                                         MG_STR("it is not in the cache"), "not_cached");
    add_status(v, res->msg);
    finish(v, res);
}

/* May what comes from the origin be the answer, and be stored? If-Range may make the whole of a
 * part, for this client alone; and what asks for several parts is not kept. */
static bool may_fetch(const struct visit *v)
{
    const struct mg_fields *fields = &v->walk->req->msg->fields;
    if (!is_get(v) || !v->request.may_store)
        return false;
    return v->at_part ? !mg_fields_get(fields, MG_FIELD_IF_RANGE)
                      : !mg_fields_get(fields, MG_FIELD_RANGE);
}

static void miss(struct visit *v)
{
    if (mg_cache_only_if_cached(&v->request))
        unavailable(v);
    else if (!may_fetch(v))
        pass(v);
    else
        lead_or_wait(v);
}

/* With If-Range a part is the answer only when it is of the representation that the client has;
 * else the whole is, which is not here (RFC 9110 13.1.5). */
static bool is_other_than_asked(struct visit *v)
{
    const struct mg_fields *asked = &v->walk->req->msg->fields;
    struct mg_validators own;
    struct mg_message part;
    if (!v->at_part || !mg_fields_get(asked, MG_FIELD_IF_RANGE))
        return false;
    mg_cache_head_read(v->found.entry->head, arena_of(v), &part);
    mg_validators_read(&part.fields, now_s(v), &own);
    return !mg_condition_if_range(asked, &own, now_s(v));
}

static void hit(struct visit *v)
{
    if (is_other_than_asked(v)) {
        v->status.forward = MG_CACHE_PARTIAL;
        miss(v);
        return;
    }
    v->status.forward = MG_CACHE_HIT;
    answer_from_store(v);
}

/* What came while the request waited is as fresh as it wants it. If it must be validated for each
 * request all the same, waiting for the next one is in vain. */
static void validate(struct visit *v)
{
    if (is_new(v) && v->decision.forward == MG_CACHE_REQUEST) {
        hit(v);
        return;
    }
    v->status.forward = v->decision.forward;
    if (is_new(v) && !mg_cache_only_if_cached(&v->request))
        pass(v);
    else
        miss(v);
}

static void look(struct visit *v)
{
    if (++v->looks > LOOKS_MAX) {
        pass(v);
        return;
    }
    find_entry(v);
    if (!v->found.entry) {
        miss(v);
        return;
    }
    switch (v->decision.verdict) {
    case MG_CACHE_FRESH:
    case MG_CACHE_STALE_ALLOWED:
        hit(v);
        return;
    case MG_CACHE_STALE_REVALIDATE:
        if (!mg_walk_is_repeatable(v->walk)) {
            v->status.forward = MG_CACHE_STALE; /* nobody can refresh it behind the client's back */
            miss(v);
            return;
        }
        refresh(v);
        hit(v);
        return;
    case MG_CACHE_VALIDATE:
        validate(v);
        return;
    case MG_CACHE_UNAVAILABLE:
        unavailable(v);
        return;
    }
}

/* --- the request --- */

static void make_key(struct visit *v)
{
    mg_cache_key_target(v->walk->req, &v->target);
    struct mg_str extra = v->o->key.n ? mg_expr_text(v->walk->req, v->o->key) : MG_STR_NONE;
    mg_cache_key_of_request(v->walk->req, &v->target, extra, &v->key);
}

/* No key holds it. */
static bool is_long(const struct visit *v)
{
    return v->key.primary.n + v->key.variant.n > MG_CACHE_KEY_MAX / 2;
}

static void start(struct visit *v)
{
    const struct mg_request *req = v->walk->req;
    mg_cache_request_read(&v->o->rules, req->msg, req->body->length != 0, &v->request);
    make_key(v);
    struct mg_response *purged = mg_cache_purge_request(v->o, v->walk->req, v->key.primary);
    if (purged) {
        finish(v, purged);
    } else if (!v->request.may_look) {
        v->status.forward = v->request.why_not;
        pass(v);
    } else if (!(is_get(v) || v->o->answer_head) || is_long(v) ||
               mg_expr_any(v->walk->req, v->o->bypass, v->o->bypass_count)) {
        v->status.forward = MG_CACHE_BYPASS;
        pass(v);
    } else {
        look(v);
    }
}

enum mg_step_result mg_cache_step_request(const struct mg_step *step, struct mg_walk *w)
{
    struct visit *v = mg_arena_calloc(w->req->arena, sizeof *v);
    v->walk = w;
    v->o = step->options;
    v->status.cache = MG_STR("moongate");
    v->made_by = MG_SOURCE_CACHE;
    v->began = now_s(v);
    mg_wait_begin(&v->wait, mg_walk_wait(w), leave, v);
    v->running = true;
    start(v);
    v->running = false;
    return v->done ? MG_STEP_STOP : MG_STEP_WAIT;
}
