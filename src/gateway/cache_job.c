/*
 * Jobs of a cache. Worker thread. A job lies in the arena of its detached request, and goes with
 * it.
 *
 *     SEEKING ─▶ (end)                    another gateway had it (gateway/tier_fill.h)
 *        │
 *     ASKING ─▶ FILLING ─▶ (end)          the store takes the body, or lets it pass
 *        │         └─▶ HANDED ─▶ (end)    the store had to give up, the leader reads on
 *        └─▶ LENT ─▶ (end)                not for the store: the leader has the response
 */
#include "gateway/cache_job.h"

#include "gateway/cache_entry.h"
#include "gateway/cache_head.h"
#include "gateway/cache_pump.h"
#include "gateway/tier_fill.h"
#include "gateway/worker.h"
#include "http/cache_fields.h"
#include "http/conditional.h"

struct mg_cache_job {
    struct mg_detached *detached;
    struct mg_cache_keeping keeping;
    struct mg_cache_fill *fill; /* before the pump has it; NULL: it has ended, or the pump has it */
    struct mg_cache_pump pump;
    struct mg_cache_entry *old; /* a reference */
    bool validating, old_covers_errors;
    struct mg_cache_leader *leader; /* NULL: none, or gone */
    struct mg_str path;             /* as the request had these when it came */
    bool path_set;
    int32_t service;
    enum { SEEKING, ASKING, FILLING, HANDED, LENT, ENDED } state;
    /* The second tier. */
    struct mg_tier_fill *remote;       /* NULL: there is none, or it has ended */
    struct mg_cache_key place;         /* where it is looked for */
    struct mg_cache_entry *for_others; /* a reference, until it is complete */
    struct mg_str names;               /* of Vary, that it was stored by */
};

static struct mg_cache *store_of(const struct mg_cache_job *job)
{
    return job->keeping.options->store;
}

static struct mg_arena *arena_of(struct mg_cache_job *job)
{
    return &job->detached->in.arena;
}

static int64_t now_s(const struct mg_cache_job *job)
{
    return (int64_t)mg_loop_wall(job->keeping.loop);
}

static void drop_remote(struct mg_cache_job *job, bool unshared)
{
    struct mg_tier_fill *remote = job->remote;
    job->remote = NULL;
    mg_tier_fill_drop(remote, unshared);
}

/* The last thing that is done with a job. */
static void end(struct mg_cache_job *job, const char *reason)
{
    job->state = ENDED;
    if (job->leader)
        job->leader->job = NULL;
    mg_cache_pump_stop(&job->pump);
    drop_remote(job, false);
    mg_cache_unref(store_of(job), job->old);
    mg_cache_unref(store_of(job), job->for_others);
    mg_detached_end(job->detached, reason);
}

static void fail_fill(struct mg_cache_job *job, enum mg_cache_word word)
{
    struct mg_cache_fill *fill = job->fill;
    job->fill = NULL;
    if (fill)
        mg_cache_fill_fail(fill, word);
}

/* --- for other gateways --- */

/* They get it when it is complete. What they do not get they need not wait for. */
static void promise(struct mg_cache_job *job, struct mg_cache_entry *entry, int64_t length,
                    struct mg_str names)
{
    if (!job->remote)
        return;
    if (!mg_tier_fill_takes(job->remote, length)) {
        drop_remote(job, true);
        return;
    }
    job->for_others = mg_cache_ref(entry);
    job->names = names;
}

static void publish(struct mg_cache_job *job, struct mg_cache_entry *entry, struct mg_str names)
{
    struct mg_tier_fill *remote = job->remote;
    job->remote = NULL;
    if (remote)
        mg_tier_fill_publish(remote, entry, names);
}

/* --- the body --- */

static void on_pumped(struct mg_cache_pump *pump, enum mg_cache_pump_end how)
{
    struct mg_cache_job *job = MG_CONTAINER_OF(pump, struct mg_cache_job, pump);
    switch (how) {
    case MG_CACHE_PUMP_STORED:
        publish(job, job->for_others, job->names);
        end(job, NULL);
        return;
    case MG_CACHE_PUMP_PASSED:
        drop_remote(job, true);
        end(job, NULL);
        return;
    case MG_CACHE_PUMP_BROKEN:
        end(job, pump->source->reason);
        return;
    case MG_CACHE_PUMP_GAVE_UP:
        job->state = HANDED;
        drop_remote(job, true);
        if (!job->leader)
            end(job, "too-large-for-the-cache");
        return;
    }
}

static void start_pump(struct mg_cache_job *job)
{
    struct mg_cache_fill *fill = job->fill;
    job->fill = NULL;
    job->state = FILLING;
    mg_cache_pump_start(&job->pump, job->keeping.loop, fill, job->detached->body,
                        job->leader != NULL, on_pumped);
}

/* --- outcomes --- */

static void tell(struct mg_cache_leader *leader, struct mg_cache *store,
                 const struct mg_cache_outcome *outcome)
{
    if (leader)
        leader->on_outcome(leader, outcome);
    else
        mg_cache_unref(store, outcome->entry);
}

static void collect_own(struct mg_cache_job *job, const struct mg_cache_answer *answer)
{
    if (job->leader)
        mg_cache_entry_own(mg_detached_response(job->detached), &answer->control,
                           job->leader->arena, &job->leader->own);
}

/* That an entry is there, while the job still knows how that came. */
static struct mg_cache_outcome outcome_of(const struct mg_cache_job *job,
                                          struct mg_cache_entry *entry, unsigned status)
{
    const struct mg_response *res = mg_detached_response(job->detached);
    return (struct mg_cache_outcome){.entry = entry,
                                     .status = status,
                                     .source = res->source,
                                     .fetch = job->leader && res->fetch
                                                  ? mg_fetch_account(res->fetch, job->leader->arena)
                                                  : NULL};
}

static void stored(struct mg_cache_job *job, struct mg_cache_entry *entry, unsigned status)
{
    struct mg_cache *store = store_of(job);
    struct mg_cache_leader *leader = job->leader;
    const struct mg_cache_outcome outcome = outcome_of(job, entry, status);
    /* First, so that what is there already is read in one go: then the length is known. */
    start_pump(job);
    tell(leader, store, &outcome);
}

/* Not for the store: the leader gets it as it is. */
static void lend(struct mg_cache_job *job, enum mg_cache_storing storing)
{
    const struct mg_response *res = mg_detached_response(job->detached);
    const struct mg_cache_outcome outcome = {
        .response = res, .storing = storing, .status = res->msg->status};
    fail_fill(job, MG_CACHE_PASS);
    job->state = LENT;
    if (job->leader)
        job->leader->on_outcome(job->leader, &outcome);
    else
        end(job, "nobody-wants-it");
}

/* The old entry stands in, as it is. */
static void keep_old(struct mg_cache_job *job, bool validated, unsigned status)
{
    struct mg_cache *store = store_of(job);
    struct mg_cache_leader *leader = job->leader;
    struct mg_cache_outcome outcome = outcome_of(job, mg_cache_ref(job->old), status);
    outcome.validated = validated;
    outcome.failed = !validated;
    fail_fill(job, MG_CACHE_FAILED);
    end(job, validated ? NULL : "stale-if-error");
    tell(leader, store, &outcome);
}

/* --- the head --- */

static void ask(struct mg_cache_job *job);
static void on_release(void *arg);
static void want(struct mg_cache_job *job, struct mg_message *request);
static void on_head(struct mg_detached *d);

/* The 304 is about something else than we have (RFC 9111 4.3.4): ask without a condition. */
static void ask_again(struct mg_cache_job *job)
{
    /* Steps may have changed where it goes, and do so again. */
    struct mg_request *req = job->detached->at->req;
    req->path = job->path;
    req->path_set = job->path_set;
    req->service = job->service;
    struct mg_detached *d = mg_detached_new(job->detached->at);
    struct mg_cache_job *again = mg_arena_alloc(&d->in.arena, sizeof *again);
    *again = *job;
    again->detached = d;
    again->validating = false;
    mg_cache_keeping_copy(&again->keeping, &d->in.arena, &job->keeping);
    mg_message_copy(&d->in.request, &d->in.arena, &job->keeping.asked);
    want(again, &d->in.request);
    if (again->leader)
        again->leader->job = again;
    mg_arena_on_release(&d->in.arena, on_release, again);
    job->state = ENDED; /* all that it held is the other one's now */
    struct mg_detached *before = job->detached;
    ask(again);
    mg_detached_end(before, NULL);
}

static void renew(struct mg_cache_job *job, const struct mg_message *updated,
                  const struct mg_cache_answer *answer)
{
    struct mg_cache *store = store_of(job);
    struct mg_cache_leader *leader = job->leader;
    struct mg_cache_entry *entry =
        mg_cache_entry_renew(&job->keeping, job->fill, job->old, updated, answer, arena_of(job));
    job->fill = NULL;
    if (entry)
        publish(job, entry, answer->vary);
    else
        entry = mg_cache_ref(job->old);
    struct mg_cache_outcome outcome = outcome_of(job, entry, 304);
    outcome.validated = true;
    end(job, NULL);
    tell(leader, store, &outcome);
}

static void on_not_modified(struct mg_cache_job *job)
{
    struct mg_message old;
    const struct mg_message *res =
        mg_cache_entry_shared(mg_detached_response(job->detached), arena_of(job));
    struct mg_cache_answer answer;
    mg_cache_head_read(job->old->head, arena_of(job), &old);
    if (!mg_cache_fields_confirmed(&old.fields, &res->fields, now_s(job))) {
        ask_again(job);
        return;
    }
    struct mg_fields updated;
    mg_cache_fields_update(&old.fields, &res->fields, arena_of(job), &updated);
    old.fields = updated;
    const struct mg_response renewed = {.msg = &old, .source = MG_SOURCE_CACHE};
    if (mg_cache_entry_judge(&job->keeping, &renewed, arena_of(job), &answer) == MG_CACHE_STORE) {
        collect_own(job, &answer);
        renew(job, &old, &answer);
        return;
    }
    mg_cache_purge(store_of(job), MG_CACHE_BY_KEY, job->keeping.key.primary, false);
    keep_old(job, true, 304);
}

/* May the old entry stand in? For errors where somebody said so. When there is no answer at all, we
 * are cut off, and what is stale is better than nothing (RFC 9111 4.2.4), unless its origin forbade
 * that. */
static bool old_stands_in(const struct mg_cache_job *job)
{
    const struct mg_detached *d = job->detached;
    if (!job->old || !mg_cache_is_error(d->res->status))
        return false;
    const struct mg_cache_record *record = mg_cache_head_record(job->old->head);
    bool cut_off = mg_detached_response(d)->source == MG_SOURCE_GATEWAY;
    return job->old_covers_errors ||
           (cut_off && !(record->flags & (MG_CACHE_NEVER_STALE | MG_CACHE_ALWAYS_VALIDATE)));
}

static void on_head(struct mg_detached *d)
{
    struct mg_cache_job *job = d->owner;
    struct mg_cache_answer answer;
    const struct mg_message *res = d->res;
    if (job->validating && res->status == 304) {
        on_not_modified(job);
        return;
    }
    if (old_stands_in(job)) {
        keep_old(job, false, res->status);
        return;
    }
    enum mg_cache_storing storing =
        mg_cache_entry_judge(&job->keeping, mg_detached_response(d), arena_of(job), &answer);
    struct mg_cache_entry *entry =
        storing == MG_CACHE_STORE
            ? mg_cache_entry_begin(&job->keeping, job->fill,
                                   mg_cache_entry_shared(mg_detached_response(d), arena_of(job)),
                                   &answer, MG_CACHE_SHOWN, arena_of(job))
            : NULL;
    if (entry) {
        collect_own(job, &answer);
        if (mg_cache_entry_is_more(&job->keeping, res->status))
            drop_remote(job, false); /* others look for it at another place */
        promise(job, entry, res->content_length, answer.vary);
        stored(job, entry, res->status);
        return;
    }
    /* What is in the way there is of no use any more: the origin has said something else. */
    bool unshared =
        !job->old && mg_cache_entry_note_unshared(&job->keeping, storing, arena_of(job));
    drop_remote(job, unshared);
    lend(job, storing);
}

/* --- asking the origin --- */

/* What is stored is the whole representation, or the part that was asked for, whatever its first
 * client knows of it already. */
static void want(struct mg_cache_job *job, struct mg_message *request)
{
    const struct mg_range_asked *part = &job->keeping.request.part;
    struct mg_message old;
    request->method = MG_STR("GET");
    request->method_id = MG_METHOD_GET;
    mg_condition_remove(&request->fields);
    mg_fields_remove_id(&request->fields, MG_FIELD_RANGE);
    if (job->validating) {
        mg_cache_head_read(job->old->head, request->arena, &old);
        job->validating = mg_condition_validate(request, &old.fields, now_s(job));
    }
    if (part->any)
        mg_fields_add_id(&request->fields, request->arena, MG_FIELD_RANGE,
                         mg_range_text(request->arena, part));
}

static void on_inform(struct mg_detached *d, struct mg_message *res)
{
    const struct mg_cache_job *job = d->owner;
    if (job->leader)
        job->leader->on_inform(job->leader, res);
}

static void ask(struct mg_cache_job *job)
{
    job->detached->on_inform = on_inform;
    job->state = ASKING;
    job->keeping.sent = now_s(job);
    if (job->detached->at)
        mg_detached_go(job->detached);
    else
        mg_detached_start(job->detached, on_head, job);
}

/* --- what other gateways have --- */

static void seek(struct mg_cache_job *job);

static void found_elsewhere(struct mg_cache_job *job, struct mg_cache_entry *entry)
{
    static const struct mg_cache_outcome outcome = {.elsewhere = true};
    struct mg_cache_leader *leader = job->leader;
    job->fill = NULL;
    mg_cache_unref(store_of(job), entry);
    end(job, "found-elsewhere");
    if (leader)
        leader->on_outcome(leader, &outcome);
}

static void on_sought(void *arg, const struct mg_cache_wire *found, bool soft)
{
    struct mg_cache_job *job = arg;
    bool at_base = mg_str_eq(job->place.variant, job->keeping.key.variant);
    if (found && found->names.n && at_base) {
        struct mg_str names = mg_arena_str(arena_of(job), found->names);
        job->place.variant = mg_cache_entry_vary(&job->keeping, names, arena_of(job));
        seek(job);
        return;
    }
    struct mg_cache_entry *entry = NULL;
    if (found && !found->names.n)
        entry = mg_cache_entry_import(&job->keeping, job->fill, found, soft, arena_of(job));
    if (entry)
        found_elsewhere(job, entry);
    else
        ask(job);
}

/* What is not newer than what is here is no better. */
static void seek(struct mg_cache_job *job)
{
    int64_t after = job->old ? mg_cache_head_record(job->old->head)->stored_at : -1;
    if (!mg_tier_fill_seek(job->remote, &job->place, after, on_sought, job))
        ask(job);
}

static void start_seeking(struct mg_cache_job *job, struct mg_cache_tier *tier,
                          const struct mg_cache_key *place)
{
    const struct mg_cache_options *o = job->keeping.options;
    job->place.primary = mg_arena_str(arena_of(job), place->primary);
    job->place.variant = mg_arena_str(arena_of(job), place->variant);
    job->remote = mg_tier_fill_new(tier, &job->keeping.key, o->wait_ns, o->unshared_ns);
    mg_detached_park(job->detached, on_head, job);
    seek(job);
}

/* --- its life --- */

/* The exchange goes, for whatever reason: nobody is left waiting for what will not come. */
static void on_release(void *arg)
{
    struct mg_cache_job *job = arg;
    if (job->state == ENDED)
        return;
    fail_fill(job, MG_CACHE_FAILED);
    job->pump.source = NULL; /* it may be gone already */
    mg_cache_pump_stop(&job->pump);
    drop_remote(job, false);
    mg_cache_unref(store_of(job), job->old);
    mg_cache_unref(store_of(job), job->for_others);
}

void mg_cache_job_start(const struct mg_cache_asking *asking, struct mg_cache_fill *fill,
                        struct mg_cache_leader *leader)
{
    struct mg_detached *d = mg_detached_new(asking->walk);
    struct mg_cache_job *job = mg_arena_calloc(&d->in.arena, sizeof *job);
    job->detached = d;
    mg_cache_keeping_copy(&job->keeping, &d->in.arena,
                          &(struct mg_cache_keeping){.options = asking->options,
                                                     .loop = asking->walk->ex->worker->loop,
                                                     .request = asking->request,
                                                     .asked = *asking->walk->req->msg,
                                                     .key = asking->key,
                                                     .whole = asking->whole});
    job->fill = fill;
    job->path = mg_arena_str(&d->in.arena, asking->walk->req->path);
    job->path_set = asking->walk->req->path_set;
    job->service = asking->walk->req->service;
    /* A body that is still on its way may break, and is nothing to fall back on. */
    uint64_t length;
    if (asking->old && mg_cache_is_complete(asking->old, &length))
        job->old = mg_cache_ref(asking->old);
    job->old_covers_errors = job->old && asking->old_covers_errors;
    job->leader = leader;
    if (leader)
        leader->job = job;
    job->validating = job->old != NULL;
    want(job, &d->in.request);
    mg_arena_on_release(&d->in.arena, on_release, job);
    struct mg_cache_tier *tier =
        asking->alone ? NULL : mg_cache_tier_of(asking->walk->req->wg, store_of(job));
    if (tier)
        start_seeking(job, tier, &asking->place);
    else
        ask(job);
}

void mg_cache_job_follow(struct mg_cache_job *job, struct mg_stored_body *body)
{
    mg_cache_pump_follow(&job->pump, body);
}

void mg_cache_job_release(struct mg_cache_leader *leader)
{
    struct mg_cache_job *job = leader->job;
    leader->job = NULL;
    if (!job)
        return;
    job->leader = NULL;
    if (job->state == HANDED || job->state == LENT) {
        struct mg_str bytes;
        struct mg_body *body = job->detached->body;
        bool read = !body || mg_body_peek(body, &bytes) == MG_BODY_END;
        end(job, read ? NULL : "client-gone");
    } else {
        mg_cache_pump_follow(&job->pump, NULL); /* which may end it */
    }
}
