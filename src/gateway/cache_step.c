/*
 * One request at a cache. Worker thread.
 *
 *     may it look? no ──▶ pass: the rest of the pipeline, as without a cache
 *       │
 *     find ──▶ good enough ──▶ answer from the store (and perhaps a refresh for nobody)
 *       │
 *     lead ──▶ lead: a job asks the origin ──▶ outcome: from the store, or the response as it is
 *       │
 *       └───▶ wait for the one that leads ──▶ find again; or pass, when that takes too long
 *
 * The step always ends with a response. All of a visit lies in the exchange's arena.
 */
#include "gateway/cache_step.h"

#include "gateway/cache_answer.h"
#include "gateway/cache_head.h"
#include "gateway/cache_job.h"
#include "gateway/cache_key.h"
#include "gateway/expr.h"
#include "gateway/problem.h"
#include "gateway/worker.h"
#include "net/bell.h"

/* Others may replace an entry as often as we look; at some point it is quicker to ask. */
#define LOOKS_MAX 8

struct visit {
    struct mg_walk *walk;
    const struct mg_cache_options *o;
    struct mg_cache_request request;
    struct mg_cache_target target;
    struct mg_cache_key key;      /* by URL and template */
    struct mg_cache_key place;    /* where an entry was looked for: the same, or with Vary */
    struct mg_cache_entry *entry; /* found there; a reference, or NULL */
    /* The note found in its place, that responses were not for sharing: nobody waits for one. What
     * is stored is put over it. A reference, or NULL. */
    struct mg_cache_entry *unshared;
    unsigned looks;
    struct mg_cache_decision decision;
    struct mg_cache_status status; /* what Cache-Status will tell */
    struct mg_cache_leader leader; /* with a job while it leads */
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
    mg_cache_unref(v->o->store, v->entry);
    mg_cache_unref(v->o->store, v->unshared);
    v->entry = v->unshared = NULL;
}

static void stop_waiting(struct visit *v)
{
    if (!v->bell)
        return;
    mg_timer_release(&v->patience);
    mg_cache_waiter_cancel(v->o->store, &v->place, &v->waiter);
    mg_bell_free(v->bell);
    v->bell = NULL;
}

/* The exchange ends, or was given up. */
static void leave(void *arg)
{
    struct visit *v = arg;
    stop_waiting(v);
    mg_cache_job_release(&v->leader);
    drop_entry(v);
}

static void finish(struct visit *v, struct mg_response *res)
{
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

static void answer_from_store(struct visit *v)
{
    bool hit = v->status.forward == MG_CACHE_HIT;
    struct mg_cache_answering a = {.req = v->walk->req,
                                   .request = &v->request,
                                   .arena = arena_of(v),
                                   .loop = v->walk->ex->worker->loop,
                                   .store = v->o->store,
                                   .entry = v->entry,
                                   .forwarded = !hit};
    struct mg_response *res = mg_cache_answer(&a);
    if (a.body && v->leader.job)
        mg_cache_job_follow(v->leader.job, a.body);
    v->status.has_ttl = hit;
    v->status.ttl = a.ttl;
    add_status(v, res->msg);
    finish(v, res);
}

/* --- passing --- */

static void invalidate(struct visit *v, const struct mg_message *res)
{
    struct mg_cache_target others[MG_CACHE_INVALID_MAX];
    if (!mg_cache_invalidates(v->request.method, res->status))
        return;
    mg_cache_purge(v->o->store, MG_CACHE_BY_KEY, v->key.primary, false);
    unsigned count = mg_cache_invalid_targets(&v->target, &res->fields, arena_of(v), others);
    for (unsigned i = 0; i < count; i++)
        mg_cache_purge(v->o->store, MG_CACHE_BY_KEY, mg_cache_key_text(&others[i], arena_of(v)),
                       false);
}

static void on_passed(struct mg_walk *inner, void *arg)
{
    struct visit *v = arg;
    struct mg_response *res = inner->res;
    invalidate(v, res->msg);
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

static void on_outcome(struct mg_cache_leader *leader, const struct mg_cache_outcome *outcome)
{
    struct visit *v = MG_CONTAINER_OF(leader, struct visit, leader);
    if (!outcome->entry) {
        answer_as_it_is(v, outcome);
        return;
    }
    drop_entry(v);
    v->entry = outcome->entry;
    v->status.forward_status = (uint16_t)outcome->status;
    v->status.stored = !outcome->failed;
    answer_from_store(v);
}

static struct mg_cache_asking asking_of(struct visit *v)
{
    return (struct mg_cache_asking){.options = v->o,
                                    .request = v->request,
                                    .like = v->walk->req,
                                    .key = v->key,
                                    .pipeline = v->walk->pipeline,
                                    .first = v->walk->at + 1,
                                    .old = v->entry,
                                    .old_covers_errors = v->decision.stale_if_error};
}

static void lead(struct visit *v, struct mg_cache_fill *fill)
{
    const struct mg_cache_asking asking = asking_of(v);
    v->leader.on_outcome = on_outcome;
    mg_cache_job_start(&asking, fill, &v->leader);
}

/* Whatever the request wants of the representation, what is stored is the whole of it. */
static void ask_for_whole(struct mg_cache_asking *asking)
{
    asking->request.method = MG_METHOD_GET;
    asking->request.may_store = !asking->request.no_store;
}

/* For nobody in particular, unless somebody is at it already. */
static void refresh(struct visit *v)
{
    struct mg_cache_fill *fill;
    struct mg_cache_entry *newer;
    switch (mg_cache_lead(v->o->store, &v->place, v->entry, now_ns(v), NULL, &fill, &newer)) {
    case MG_CACHE_LEAD: {
        struct mg_cache_asking asking = asking_of(v);
        ask_for_whole(&asking);
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

static void look(struct visit *v);

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
    bool may_wait = v->o->wait_ns && !v->unshared;
    if (may_wait)
        prepare_to_wait(v);
    switch (mg_cache_lead(v->o->store, &v->place, v->entry ? v->entry : v->unshared, now_ns(v),
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

static struct mg_cache_entry *find(struct visit *v, const struct mg_cache_key *key)
{
    return mg_cache_find(v->o->store, key, now_ns(v));
}

/* At the key by URL lies a response, or a note that says where to look. */
static void find_entry(struct visit *v)
{
    drop_entry(v);
    v->place = v->key;
    v->status.forward = MG_CACHE_URI_MISS;
    v->entry = find(v, &v->key);
    if (!v->entry || mg_cache_head_kind(v->entry->head) == MG_CACHE_HEAD_RESPONSE)
        return;
    if (mg_cache_head_kind(v->entry->head) == MG_CACHE_HEAD_VARIES) {
        v->place.variant = mg_cache_key_vary(v->key.variant, mg_cache_head_names(v->entry->head),
                                             &v->walk->req->msg->fields, arena_of(v));
        v->status.forward = MG_CACHE_VARY_MISS;
        drop_entry(v);
        v->entry = find(v, &v->place);
        return;
    }
    v->unshared = v->entry;
    v->entry = NULL;
}

static void unavailable(struct visit *v)
{
    struct mg_response *res = mg_problem(v->walk->req, 504, "gateway-timeout",
                                         MG_STR("it is not in the cache"), "not_cached");
    add_status(v, res->msg);
    finish(v, res);
}

static void miss(struct visit *v)
{
    if (mg_cache_only_if_cached(&v->request))
        unavailable(v);
    else if (!is_get(v) || !v->request.may_store ||
             mg_fields_get(&v->walk->req->msg->fields, MG_FIELD_RANGE))
        pass(v);
    else
        lead_or_wait(v);
}

/* A soft purge takes the freshness, and nothing else. */
static enum mg_cache_verdict judge(struct visit *v)
{
    mg_cache_judge_stored(mg_cache_head_record(v->entry->head), &v->request, now_s(v),
                          &v->decision);
    bool purged = atomic_load_explicit(&v->entry->stale, memory_order_relaxed);
    if (purged && v->decision.verdict == MG_CACHE_FRESH) {
        v->decision.forward = MG_CACHE_STALE;
        return MG_CACHE_VALIDATE;
    }
    return v->decision.verdict;
}

static void look(struct visit *v)
{
    if (++v->looks > LOOKS_MAX) {
        pass(v);
        return;
    }
    find_entry(v);
    if (!v->entry) {
        miss(v);
        return;
    }
    switch (judge(v)) {
    case MG_CACHE_FRESH:
    case MG_CACHE_STALE_ALLOWED:
        v->status.forward = MG_CACHE_HIT;
        answer_from_store(v);
        return;
    case MG_CACHE_STALE_REVALIDATE:
        v->status.forward = MG_CACHE_HIT;
        refresh(v);
        answer_from_store(v);
        return;
    case MG_CACHE_VALIDATE:
        v->status.forward = v->decision.forward;
        miss(v);
        return;
    case MG_CACHE_UNAVAILABLE:
        unavailable(v);
        return;
    }
}

/* --- the request --- */

static bool bypasses(struct visit *v)
{
    for (size_t i = 0; i < v->o->bypass_count; i++) {
        struct mg_str text = mg_expr_text(v->walk->req, v->o->bypass[i]);
        if (text.n && !mg_str_eq(text, MG_STR("0")))
            return true;
    }
    return false;
}

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
    if (!v->request.may_look) {
        v->status.forward = v->request.why_not;
        pass(v);
    } else if (!(is_get(v) || v->o->answer_head) || is_long(v) || bypasses(v)) {
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
    mg_wait_begin(&v->wait, mg_walk_wait(w), leave, v);
    v->running = true;
    start(v);
    v->running = false;
    return v->done ? MG_STEP_STOP : MG_STEP_WAIT;
}
