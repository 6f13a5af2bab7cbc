/*
 * Jobs of a cache. Worker thread. A job lies in the arena of its detached request, and goes with
 * it.
 *
 *     ASKING ─▶ FILLING ─▶ (end)          the store takes the body
 *        │         └─▶ HANDED ─▶ (end)    the store had to give up, the leader reads on
 *        └─▶ LENT ─▶ (end)                not for the store: the leader has the response
 */
#include "gateway/cache_job.h"

#include "gateway/cache_head.h"
#include "gateway/worker.h"
#include "http/cache_fields.h"
#include "http/conditional.h"
#include "http/vary.h"

struct mg_cache_job {
    struct mg_detached *detached;
    struct mg_loop *loop;
    const struct mg_cache_options *options;
    struct mg_cache_request request;
    struct mg_message asked;    /* the request as it came to the cache */
    struct mg_cache_key key;    /* the variant is that of the template */
    struct mg_cache_fill *fill; /* NULL: it has ended */
    struct mg_cache_entry *old; /* a reference */
    bool validating, old_covers_errors;
    const struct mg_pipeline *pipeline;
    uint32_t first;
    int64_t sent;                   /* seconds since 1970 */
    struct mg_cache_leader *leader; /* NULL: none, or gone */
    struct mg_stored_body *body;    /* by which the leader reads; NULL: none */
    enum { ASKING, FILLING, HANDED, LENT } state;
};

static struct mg_cache *store_of(const struct mg_cache_job *job)
{
    return job->options->store;
}

static struct mg_arena *arena_of(struct mg_cache_job *job)
{
    return &job->detached->in.arena;
}

static uint64_t now_ns(const struct mg_cache_job *job)
{
    return mg_loop_now(job->loop);
}

static int64_t now_s(const struct mg_cache_job *job)
{
    return (int64_t)mg_loop_wall(job->loop);
}

/* The last thing that is done with a job. */
static void end(struct mg_cache_job *job, const char *reason)
{
    if (job->leader)
        job->leader->job = NULL;
    if (job->body)
        mg_stored_body_continue(job->body, NULL);
    mg_cache_unref(store_of(job), job->old);
    mg_detached_end(job->detached, reason);
}

static void fail_fill(struct mg_cache_job *job, enum mg_cache_word word)
{
    struct mg_cache_fill *fill = job->fill;
    job->fill = NULL;
    if (fill)
        mg_cache_fill_fail(fill, word);
}

/* --- the body --- */

/* The store had no room. Who leads gets the rest from the source; others have lost theirs. */
static bool hand_over(struct mg_cache_job *job)
{
    job->state = HANDED;
    job->detached->body->on_ready = NULL;
    if (job->body)
        mg_stored_body_continue(job->body, job->detached->body);
    fail_fill(job, MG_CACHE_PASS);
    if (job->leader)
        return true;
    end(job, "too-large-for-the-cache");
    return false;
}

/* Moves what there is. False: the job has ended. */
static bool pump(struct mg_cache_job *job)
{
    struct mg_body *body = job->detached->body;
    struct mg_str bytes;
    for (;;) {
        switch (body ? mg_body_peek(body, &bytes) : MG_BODY_END) {
        case MG_BODY_BYTES:
            if (!mg_cache_fill_add(job->fill, bytes, now_ns(job)))
                return hand_over(job);
            mg_body_consume(body, bytes.n);
            break;
        case MG_BODY_WAIT:
            return true;
        case MG_BODY_END:
            mg_cache_fill_end(job->fill);
            job->fill = NULL;
            end(job, NULL);
            return false;
        case MG_BODY_BROKEN:
            fail_fill(job, MG_CACHE_FAILED);
            end(job, body->reason);
            return false;
        }
    }
}

static void on_body_ready(void *arg)
{
    pump(arg);
}

static bool start_pump(struct mg_cache_job *job)
{
    job->state = FILLING;
    if (job->detached->body) {
        job->detached->body->on_ready = on_body_ready;
        job->detached->body->reader = job;
    }
    return pump(job);
}

/* --- what is stored --- */

static void collect_tags(struct mg_cache_job *job, const struct mg_fields *fields,
                         struct mg_buf *out)
{
    for (size_t i = 0; i < job->options->tag_count; i++) {
        const struct mg_field *f = mg_fields_find(fields, job->options->tags[i]);
        for (; f; f = mg_fields_next(fields, f)) {
            mg_buf_add_str(out, mg_field_value(f));
            mg_buf_add_char(out, ' ');
        }
    }
    for (size_t i = 0; i < out->n; i++)
        if (out->p[i] == ',' || out->p[i] == '\t')
            out->p[i] = ' ';
}

static uint64_t expiry(const struct mg_cache_job *job, const struct mg_cache_record *record)
{
    uint64_t useful = mg_cache_useful_for(record) * MG_SECOND;
    if (record->flags & MG_CACHE_CAN_VALIDATE)
        useful += job->options->keep_ns;
    return now_ns(job) + useful;
}

/* The variant by the template and by Vary; leaves a note at the key where others look first. */
static struct mg_str variant_of(struct mg_cache_job *job, struct mg_str names)
{
    if (!names.n)
        return job->key.variant;
    mg_cache_mark(store_of(job), &job->key,
                  mg_cache_head_note(MG_CACHE_HEAD_VARIES, names, arena_of(job)), UINT64_MAX,
                  now_ns(job));
    struct mg_str values = mg_vary_key(names, &job->asked.fields, arena_of(job));
    return mg_arena_printf(arena_of(job), "%.*s\n%.*s", MG_STR_ARGS(job->key.variant),
                           MG_STR_ARGS(values));
}

/* Fills in what the store gets. `tags` holds memory for it. */
static struct mg_cache_new new_entry(struct mg_cache_job *job, const struct mg_message *res,
                                     const struct mg_cache_answer *answer, struct mg_buf *tags)
{
    struct mg_fields kept;
    mg_cache_fields_keep(&res->fields, &answer->control, now_s(job), arena_of(job), &kept);
    collect_tags(job, &kept, tags);
    return (struct mg_cache_new){.variant = variant_of(job, answer->vary),
                                 .head =
                                     mg_cache_head_pack(res, &kept, &answer->record, arena_of(job)),
                                 .tags = tags->failed ? MG_STR_NONE : mg_buf_str(tags),
                                 .length = res->content_length,
                                 .expires_ns = expiry(job, &answer->record)};
}

#define TAGS_MAX ((size_t)16 << 10)

static struct mg_cache_entry *begin(struct mg_cache_job *job, const struct mg_message *res,
                                    const struct mg_cache_answer *answer)
{
    struct mg_buf tags;
    mg_buf_init(&tags, TAGS_MAX);
    struct mg_cache_new what = new_entry(job, res, answer, &tags);
    struct mg_cache_entry *entry = mg_cache_fill_begin(job->fill, &what, now_ns(job));
    mg_buf_release(&tags);
    return entry;
}

/* Who comes next need not wait for what will not be for sharing either. What is in the way there is
 * of no use any more: the origin has said something else. */
static void note_unshared(struct mg_cache_job *job, enum mg_cache_storing storing)
{
    bool says_so = storing == MG_CACHE_NOT_NO_STORE || storing == MG_CACHE_NOT_PRIVATE ||
                   storing == MG_CACHE_NOT_COOKIE || storing == MG_CACHE_NOT_VARY ||
                   storing == MG_CACHE_NOT_LIFETIME;
    if (!says_so || job->old || !job->options->unshared_ns)
        return;
    mg_cache_mark(store_of(job), &job->key,
                  mg_cache_head_note(MG_CACHE_HEAD_UNSHARED, MG_STR_NONE, arena_of(job)),
                  now_ns(job) + job->options->unshared_ns, now_ns(job));
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

static void stored(struct mg_cache_job *job, struct mg_cache_entry *entry, unsigned status)
{
    struct mg_cache *store = store_of(job);
    struct mg_cache_leader *leader = job->leader;
    const struct mg_cache_outcome outcome = {.entry = entry, .status = status};
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
    const struct mg_cache_outcome outcome = {.entry = mg_cache_ref(job->old),
                                             .validated = validated,
                                             .failed = !validated,
                                             .status = status};
    fail_fill(job, MG_CACHE_FAILED);
    end(job, validated ? NULL : "stale-if-error");
    tell(leader, store, &outcome);
}

/* --- the head --- */

static void ask(struct mg_cache_job *job);
static void on_head(struct mg_detached *d);

/* The 304 is about something else than we have (RFC 9111 4.3.4): ask for the whole. */
static void ask_again(struct mg_cache_job *job)
{
    struct mg_exchange *ex = job->detached->in.exchange;
    struct mg_detached *d = mg_detached_new(&ex->req);
    struct mg_cache_job *again = mg_arena_alloc(&d->in.arena, sizeof *again);
    *again = *job;
    again->detached = d;
    again->validating = false;
    again->key.primary = mg_arena_str(&d->in.arena, job->key.primary);
    again->key.variant = mg_arena_str(&d->in.arena, job->key.variant);
    mg_message_copy(&again->asked, &d->in.arena, &job->asked);
    mg_message_copy(&d->in.request, &d->in.arena, &job->asked);
    mg_condition_remove(&d->in.request.fields);
    if (again->leader)
        again->leader->job = again;
    job->leader = NULL;
    job->old = NULL; /* the other one's now */
    struct mg_detached *before = job->detached;
    ask(again);
    mg_detached_end(before, NULL);
}

static void renew(struct mg_cache_job *job, const struct mg_message *updated,
                  const struct mg_cache_answer *answer)
{
    struct mg_cache *store = store_of(job);
    struct mg_cache_leader *leader = job->leader;
    struct mg_buf tags;
    mg_buf_init(&tags, TAGS_MAX);
    struct mg_cache_new what = new_entry(job, updated, answer, &tags);
    uint64_t length;
    if (mg_cache_is_complete(job->old, &length))
        what.length = (int64_t)length;
    struct mg_cache_entry *entry = mg_cache_fill_renew(job->fill, job->old, &what, now_ns(job));
    job->fill = NULL;
    mg_buf_release(&tags);
    if (!entry)
        entry = mg_cache_ref(job->old);
    const struct mg_cache_outcome outcome = {.entry = entry, .validated = true, .status = 304};
    end(job, NULL);
    tell(leader, store, &outcome);
}

static void on_not_modified(struct mg_cache_job *job)
{
    struct mg_message old, *res = job->detached->res;
    struct mg_cache_answer answer;
    mg_cache_head_read(job->old->head, arena_of(job), &old);
    if (!mg_cache_fields_confirmed(&old.fields, &res->fields, now_s(job))) {
        ask_again(job);
        return;
    }
    struct mg_fields updated;
    mg_cache_fields_update(&old.fields, &res->fields, arena_of(job), &updated);
    old.fields = updated;
    enum mg_cache_storing storing = mg_cache_judge_response(
        &job->options->rules, &job->request, &old, job->sent, now_s(job), arena_of(job), &answer);
    if (storing == MG_CACHE_STORE) {
        renew(job, &old, &answer);
        return;
    }
    mg_cache_purge(store_of(job), MG_CACHE_BY_KEY, job->key.primary, false);
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
    enum mg_cache_storing storing = mg_cache_judge_response(
        &job->options->rules, &job->request, res, job->sent, now_s(job), arena_of(job), &answer);
    if (mg_detached_response(d)->source == MG_SOURCE_GATEWAY)
        storing = MG_CACHE_NOT_STATUS; /* our own errors are nobody's content */
    struct mg_cache_entry *entry = storing == MG_CACHE_STORE ? begin(job, res, &answer) : NULL;
    if (entry) {
        stored(job, entry, res->status);
        return;
    }
    note_unshared(job, storing);
    lend(job, storing);
}

/* --- its life --- */

static void ask(struct mg_cache_job *job)
{
    job->sent = now_s(job);
    mg_detached_start(job->detached, job->pipeline, job->first, on_head, job);
}

void mg_cache_job_start(const struct mg_cache_asking *asking, struct mg_cache_fill *fill,
                        struct mg_cache_leader *leader)
{
    struct mg_detached *d = mg_detached_new(asking->like);
    struct mg_cache_job *job = mg_arena_calloc(&d->in.arena, sizeof *job);
    job->detached = d;
    job->loop = asking->like->wg->worker->loop;
    job->options = asking->options;
    job->request = asking->request;
    job->pipeline = asking->pipeline;
    job->first = asking->first;
    job->fill = fill;
    job->key.primary = mg_arena_str(&d->in.arena, asking->key.primary);
    job->key.variant = mg_arena_str(&d->in.arena, asking->key.variant);
    job->old = asking->old ? mg_cache_ref(asking->old) : NULL;
    job->old_covers_errors = asking->old_covers_errors;
    job->leader = leader;
    if (leader)
        leader->job = job;
    mg_message_copy(&job->asked, &d->in.arena, asking->like->msg);
    if (job->old) {
        struct mg_message old;
        mg_cache_head_read(job->old->head, &d->in.arena, &old);
        job->validating = mg_condition_validate(&d->in.request, &old.fields, now_s(job));
    } else {
        mg_condition_remove(&d->in.request.fields);
    }
    ask(job);
}

void mg_cache_job_follow(struct mg_cache_job *job, struct mg_stored_body *body)
{
    job->body = body;
    if (job->state == HANDED)
        mg_stored_body_continue(body, job->detached->body);
}

void mg_cache_job_release(struct mg_cache_leader *leader)
{
    struct mg_cache_job *job = leader->job;
    leader->job = NULL;
    if (!job)
        return;
    job->leader = NULL;
    job->body = NULL;
    if (job->state == HANDED || job->state == LENT) {
        struct mg_str bytes;
        struct mg_body *body = job->detached->body;
        bool read = !body || mg_body_peek(body, &bytes) == MG_BODY_END;
        end(job, read ? NULL : "client-gone");
    }
}
