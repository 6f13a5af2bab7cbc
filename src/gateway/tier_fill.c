/*
 * Fills in the second tier. Worker thread. Each lies in an arena of its own.
 *
 *     IDLE ─▶ SEEKING ─▶ IDLE     once more where what was found is refused, or another fetches
 *       └───▶ ENDING ─▶ (freed)   the last command is under way; nobody waits for it
 *
 * In Redis, of the cache NAME, DIGEST being that of the base and VARIANT that of a variant:
 *     moongate:NAME:{DIGEST}             what lies at the base (http/cache_wire.h)
 *     moongate:NAME:{DIGEST}:VARIANT     at a variant
 *     either, and ":lock"                the token of who fetches it; "-": not for sharing
 */
#include "gateway/tier_fill.h"

#include <inttypes.h>

#include "base/buf.h"
#include "crypto/digest.h"
#include "gateway/cache_gossip.h"
#include "gateway/cache_head.h"

#define LOCK_MS 2000
#define PROLONG_NS (LOCK_MS / 2 * MG_MILLISECOND)
#define LOOK_AGAIN_MIN_NS (20 * MG_MILLISECOND)
#define LOOK_AGAIN_MAX_NS (160 * MG_MILLISECOND)
#define REFUSALS_MAX 3
#define NEWS_AGAIN_NS (5 * MG_MILLISECOND)
/* What one worker has on its way there: a slow Redis is no reason to hold more memory. */
#define UNDER_WAY_MAX ((size_t)32 << 20)
#define NOTHING_WILL_DO MG_STR("-")   /* in place of a stamp */
#define FRONT_MAX ((size_t)128 << 10) /* all but the body: heads and keys have limits */

/* KEYS: place, lock. ARGV: the stamp that it must be newer than, token, the lock's time ("0": none
 * is wanted). What lies there; or 1: fetch it, you have the lock; 0: fetch it; 2: another one does.
 */
static const char seek_script[] =
    "if ARGV[1] ~= '-' and redis.call('GETRANGE', KEYS[1], 4, 19) > ARGV[1] then return "
    "redis.call('GET', KEYS[1]) "
    "end "
    "if ARGV[3] == '0' then return 0 end "
    "if redis.call('SET', KEYS[2], ARGV[2], 'NX', 'PX', ARGV[3]) then return 1 end "
    "if redis.call('GET', KEYS[2]) == '-' then return 0 end "
    "return 2";

/* KEYS: lock. ARGV: token, its time. */
static const char prolong_script[] = "if redis.call('GET', KEYS[1]) == ARGV[1] then "
                                     "  redis.call('PEXPIRE', KEYS[1], ARGV[2]) "
                                     "end "
                                     "return 0";

/* KEYS: lock. ARGV: token, for how long it is not for sharing ("0": not so). */
static const char release_script[] = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end "
                                     "if ARGV[2] == '0' then return redis.call('DEL', KEYS[1]) end "
                                     "redis.call('SET', KEYS[1], '-', 'PX', ARGV[2]) "
                                     "return 1";

/* KEYS: lock, place, and the base where the place is a variant. ARGV: token, time to live, what is
 * to lie there, and the note for the base, which lives as long as the longest of what it leads to.
 */
static const char publish_script[] =
    "redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2]) "
    "if KEYS[3] then "
    "  local left = redis.call('PTTL', KEYS[3]) "
    "  if left < tonumber(ARGV[2]) then left = ARGV[2] end "
    "  redis.call('SET', KEYS[3], ARGV[4], 'PX', left) "
    "end "
    "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end "
    "return 1";

struct mg_tier_fill {
    struct mg_link link; /* of the tier's */
    struct mg_cache_tier *tier;
    struct mg_arena arena;
    struct mg_cache_key base;
    struct mg_str base_key; /* in Redis */
    struct mg_str token;
    enum { IDLE, SEEKING, ENDING } state;
    uint64_t known; /* the newest purge, when it looked */
    uint64_t begun_ns, wait_ns, unshared_ns;
    bool asked;            /* Redis has answered: it is worth leaving something there */
    bool held;             /* the lock is ours */
    struct mg_timer timer; /* looks again, or prolongs the lock */
    /* Seeking. */
    uint64_t pause_ns; /* before it looked for the last time; 0: it has not waited yet */
    struct mg_cache_key place;
    struct mg_str place_key, lock_key;
    struct mg_str after; /* a stamp; n 0: anything will do */
    unsigned refusals;
    mg_tier_sought_fn on_sought;
    void *owner;
    /* One at a time; and one that may come beside it. */
    struct mg_cache_command command, prolonging;
    char number[24];
    /* Ending. */
    struct mg_soon publishing;
    struct mg_cache_entry *entry; /* a reference, until it is written */
    struct mg_str names;
    struct mg_buf bytes, note; /* to be left there */
    size_t under_way;          /* of the tier's bytes */
};

static uint64_t now_ns(const struct mg_tier_fill *f)
{
    return mg_loop_now(f->tier->wg->worker->loop);
}

static void count(atomic_uint_fast64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* --- keys --- */

#define DIGEST_BYTES 16 /* of SHA-256: enough that nobody makes two alike */

static struct mg_str digest_of(struct mg_arena *arena, const struct mg_cache_key *key)
{
    uint8_t digest[MG_SHA256_BYTES];
    char *hex = mg_arena_alloc(arena, 2 * DIGEST_BYTES);
    struct mg_str text = mg_arena_printf(arena, "%zu ", key->primary.n);
    char *all = mg_arena_alloc(arena, text.n + key->primary.n + key->variant.n);
    memcpy(all, text.p, text.n);
    memcpy(all + text.n, key->primary.p, key->primary.n);
    if (key->variant.n)
        memcpy(all + text.n + key->primary.n, key->variant.p, key->variant.n);
    mg_digest_sha256(mg_str(all, text.n + key->primary.n + key->variant.n), digest);
    for (unsigned i = 0; i < 2 * DIGEST_BYTES; i++)
        hex[i] = "0123456789abcdef"[digest[i / 2] >> (i % 2 ? 0 : 4) & 15];
    return mg_str(hex, 2 * DIGEST_BYTES);
}

static struct mg_cache_key copy_key(struct mg_arena *arena, const struct mg_cache_key *key)
{
    return (struct mg_cache_key){mg_arena_str(arena, key->primary),
                                 mg_arena_str(arena, key->variant)};
}

/* All keys of one base lie together in a cluster: it goes by what is in braces. */
static struct mg_str key_of(struct mg_tier_fill *f, const struct mg_cache_key *place)
{
    if (mg_str_eq(place->variant, f->base.variant))
        return f->base_key;
    return mg_arena_printf(&f->arena, "%.*s:%.*s", MG_STR_ARGS(f->base_key),
                           MG_STR_ARGS(digest_of(&f->arena, place)));
}

static struct mg_str lock_of(struct mg_tier_fill *f, struct mg_str key)
{
    return mg_arena_printf(&f->arena, "%.*s:lock", MG_STR_ARGS(key));
}

/* --- life --- */

static void on_timer(void *arg);
static void publish(void *arg);

struct mg_tier_fill *mg_tier_fill_new(struct mg_cache_tier *tier, const struct mg_cache_key *base,
                                      uint64_t wait_ns, uint64_t unshared_ns)
{
    struct mg_worker *w = tier->wg->worker;
    struct mg_arena arena;
    mg_arena_init(&arena, &w->chunks);
    struct mg_tier_fill *f = mg_arena_calloc(&arena, sizeof *f);
    f->arena = arena;
    f->tier = tier;
    f->base = copy_key(&f->arena, base);
    f->base_key = mg_arena_printf(&f->arena, "moongate:%.*s:{%.*s}", MG_STR_ARGS(tier->cache->name),
                                  MG_STR_ARGS(digest_of(&f->arena, base)));
    f->token = mg_arena_printf(&f->arena, "%016" PRIx64 "%016" PRIx64, mg_worker_random(w),
                               mg_worker_random(w));
    f->begun_ns = now_ns(f);
    f->wait_ns = wait_ns;
    f->unshared_ns = unshared_ns;
    mg_timer_init(&f->timer, w->loop, on_timer, f);
    mg_soon_init(&f->publishing, publish, f);
    mg_list_push_back(&tier->fills, &f->link);
    mg_buf_init(&f->bytes, tier->cache->tier_object_bytes + FRONT_MAX);
    mg_buf_init(&f->note, FRONT_MAX);
    return f;
}

bool mg_tier_fill_takes(const struct mg_tier_fill *f, int64_t length)
{
    return length < 0 || (uint64_t)length <= f->tier->cache->tier_object_bytes;
}

static void free_fill(struct mg_tier_fill *f)
{
    mg_list_remove(&f->link);
    mg_timer_release(&f->timer);
    mg_soon_cancel(&f->publishing);
    mg_cache_unref(f->tier->store, f->entry);
    mg_cache_command_cancel(&f->command);
    mg_cache_command_cancel(&f->prolonging);
    mg_buf_release(&f->bytes);
    mg_buf_release(&f->note);
    f->tier->bytes_under_way -= f->under_way;
    struct mg_arena arena = f->arena; /* it lies in there itself */
    mg_arena_release(&arena);
}

void mg_tier_fills_release(struct mg_cache_tier *tier)
{
    while (!mg_list_empty(&tier->fills))
        free_fill(MG_CONTAINER_OF(tier->fills.next, struct mg_tier_fill, link));
}

/* --- seeking --- */

static void look(struct mg_tier_fill *f);

static void end_seeking(struct mg_tier_fill *f, const struct mg_cache_wire *found, bool soft)
{
    mg_timer_stop(&f->timer);
    f->state = IDLE;
    if (f->held)
        mg_timer_set(&f->timer, now_ns(f) + PROLONG_NS);
    f->on_sought(f->owner, found, soft);
}

static void find_nothing(struct mg_tier_fill *f)
{
    count(&f->tier->counts->misses);
    end_seeking(f, NULL, false);
}

/* Another one fetches it. */
static void wait_for_other(struct mg_tier_fill *f)
{
    uint64_t until = f->begun_ns + f->wait_ns;
    if (now_ns(f) >= until) {
        find_nothing(f);
        return;
    }
    if (!f->pause_ns)
        count(&f->tier->counts->waits);
    f->pause_ns = f->pause_ns ? f->pause_ns * 2 : LOOK_AGAIN_MIN_NS;
    if (f->pause_ns > LOOK_AGAIN_MAX_NS)
        f->pause_ns = LOOK_AGAIN_MAX_NS;
    uint64_t next = now_ns(f) + f->pause_ns;
    mg_timer_set(&f->timer, next < until ? next : until);
}

/* What lies there is as good as nothing; what is newer may be better. */
static void refuse(struct mg_tier_fill *f, struct mg_str bytes)
{
    count(&f->tier->counts->refused);
    if (++f->refusals > REFUSALS_MAX) {
        find_nothing(f);
        return;
    }
    if (mg_cache_wire_stamp_of(bytes, &f->after))
        f->after = mg_arena_str(&f->arena, f->after);
    else
        f->after = NOTHING_WILL_DO;
    look(f);
}

static bool is_for_us(const struct mg_tier_fill *f, const struct mg_cache_wire *w)
{
    return mg_str_eq(w->primary, f->place.primary) && mg_str_eq(w->variant, f->place.variant);
}

static void take(struct mg_tier_fill *f, struct mg_str bytes)
{
    struct mg_cache_wire found;
    if (!mg_cache_wire_read(bytes, &f->arena, &found) || !is_for_us(f, &found)) {
        mg_cache_tier_failed(f->tier, MG_CACHE_TIER_READS, "bad_entry",
                             MG_STR("what lies there is no entry of ours"));
        refuse(f, bytes);
        return;
    }
    if (found.names.n) { /* by what responses vary is no secret of one of them, purged or not */
        end_seeking(f, &found, false);
        return;
    }
    enum mg_purge_verdict purged =
        mg_purge_log_judge(f->tier->log, found.primary, found.tags, found.known);
    if (purged == MG_PURGE_HARD) {
        refuse(f, bytes);
        return;
    }
    count(&f->tier->counts->hits);
    end_seeking(f, &found, purged == MG_PURGE_SOFT);
}

static void on_looked(struct mg_cache_command *c, const struct mg_redis_reply *reply)
{
    struct mg_tier_fill *f = MG_CONTAINER_OF(c, struct mg_tier_fill, command);
    f->asked = reply != NULL;
    if (!reply) {
        find_nothing(f);
    } else if (reply->type == MG_REDIS_STRING) {
        take(f, reply->str);
    } else if (reply->type == MG_REDIS_INTEGER && reply->integer == 2) {
        wait_for_other(f);
    } else {
        f->held = reply->type == MG_REDIS_INTEGER && reply->integer == 1;
        find_nothing(f);
    }
}

static struct mg_str number(struct mg_tier_fill *f, uint64_t n)
{
    return mg_str(f->number, mg_u64_to_dec(n, f->number));
}

static bool ask(struct mg_tier_fill *f)
{
    struct mg_cache_command *c = &f->command;
    mg_cache_command_init(c, seek_script, 2);
    mg_cache_command_add(c, f->place_key);
    mg_cache_command_add(c, f->lock_key);
    mg_cache_command_add(c, f->after);
    mg_cache_command_add(c, f->token);
    mg_cache_command_add(c, number(f, f->wait_ns ? LOCK_MS : 0));
    return mg_cache_command_start(c, f->tier, on_looked);
}

/* Before the purges are known, what lies there cannot be judged. False: it is in vain. */
static bool start_looking(struct mg_tier_fill *f)
{
    f->known = mg_purge_log_known(f->tier->log);
    if (f->known)
        return ask(f);
    if (!mg_cache_gossip_listen(f->tier->gossip))
        return false;
    mg_timer_set(&f->timer, now_ns(f) + NEWS_AGAIN_NS);
    return true;
}

/* Once more. One who does not wait for another gateway has no more time than a command may take. */
static void look(struct mg_tier_fill *f)
{
    bool late = !f->pause_ns && now_ns(f) >= f->begun_ns + f->tier->timeout_ns;
    if (late || !start_looking(f))
        find_nothing(f);
}

bool mg_tier_fill_seek(struct mg_tier_fill *f, const struct mg_cache_key *place, int64_t after,
                       mg_tier_sought_fn on_sought, void *owner)
{
    f->place = copy_key(&f->arena, place);
    f->place_key = key_of(f, place);
    f->lock_key = lock_of(f, f->place_key);
    f->after = MG_STR_NONE;
    if (after >= 0) {
        char *stamp = mg_arena_alloc(&f->arena, MG_CACHE_WIRE_STAMP);
        mg_cache_wire_stamp(after, stamp);
        f->after = mg_str(stamp, MG_CACHE_WIRE_STAMP);
    }
    f->on_sought = on_sought;
    f->owner = owner;
    f->state = SEEKING;
    if (start_looking(f))
        return true;
    f->state = IDLE;
    count(&f->tier->counts->misses);
    return false;
}

/* --- the lock --- */

static void on_prolonged(struct mg_cache_command *c, const struct mg_redis_reply *reply)
{
    (void)c; /* should it be lost, others fetch too */
    (void)reply;
}

static void prolong(struct mg_tier_fill *f)
{
    struct mg_cache_command *c = &f->prolonging;
    mg_timer_set(&f->timer, now_ns(f) + PROLONG_NS);
    if (c->tier)
        return;
    mg_cache_command_init(c, prolong_script, 1);
    mg_cache_command_add(c, f->lock_key);
    mg_cache_command_add(c, f->token);
    mg_cache_command_add(c, number(f, LOCK_MS));
    if (!mg_cache_command_start(c, f->tier, on_prolonged))
        f->held = false; /* it will be over before Redis is back, or soon after */
}

static void on_timer(void *arg)
{
    struct mg_tier_fill *f = arg;
    if (f->state == SEEKING)
        look(f);
    else if (f->held)
        prolong(f);
}

static void on_released(struct mg_cache_command *c, const struct mg_redis_reply *reply)
{
    (void)reply;
    free_fill(MG_CONTAINER_OF(c, struct mg_tier_fill, command));
}

static void release(struct mg_tier_fill *f, bool unshared)
{
    struct mg_cache_command *c = &f->command;
    mg_cache_command_init(c, release_script, 1);
    mg_cache_command_add(c, f->lock_key);
    mg_cache_command_add(c, f->token);
    mg_cache_command_add(c, number(f, unshared ? f->unshared_ns / MG_MILLISECOND : 0));
    if (!f->held || !mg_cache_command_start(c, f->tier, on_released))
        free_fill(f);
}

void mg_tier_fill_drop(struct mg_tier_fill *f, bool unshared)
{
    if (!f)
        return;
    f->state = ENDING;
    mg_timer_stop(&f->timer);
    mg_cache_command_cancel(&f->command);
    mg_cache_command_cancel(&f->prolonging);
    release(f, unshared);
}

/* --- publishing --- */

/* Milliseconds for which it will be of use; 0: it is of none. What can only be validated is not
 * kept there: that is what the store of each gateway does. */
static uint64_t useful_ms(const struct mg_tier_fill *f, const struct mg_cache_record *record)
{
    int64_t since = (int64_t)mg_loop_wall(f->tier->wg->worker->loop) - record->stored_at;
    uint64_t useful = mg_cache_useful_for(record), passed = since > 0 ? (uint64_t)since : 0;
    return useful > passed ? (useful - passed) * 1000 : 0;
}

static void add_body(struct mg_tier_fill *f)
{
    struct mg_cache_reader reader;
    struct mg_str bytes;
    if (!mg_cache_reader_init(&reader, f->tier->store, f->entry))
        return;
    /* Of a complete body: nobody has to wait. */
    while (mg_cache_read(&reader, &bytes, NULL) == MG_CACHE_READ_BYTES) {
        mg_buf_add_str(&f->bytes, bytes);
        mg_cache_consume(&reader, bytes.n);
    }
    mg_cache_reader_release(&reader);
}

/* False: it is too large. */
static bool write_entry(struct mg_tier_fill *f)
{
    struct mg_message head;
    uint64_t length;
    if (!mg_cache_is_complete(f->entry, &length) || !mg_tier_fill_takes(f, (int64_t)length))
        return false;
    mg_cache_head_read(f->entry->head, &f->arena, &head);
    const struct mg_cache_wire wire = {
        .record = *mg_cache_head_record(f->entry->head),
        .known = f->known,
        .primary = f->entry->key.primary,
        .variant = f->entry->key.variant,
        .tags = mg_cache_tags(f->entry),
        .status = head.status,
        .version = head.version,
        .phrase = mg_is_field_value(head.phrase) ? head.phrase : MG_STR_NONE,
        .fields = head.fields,
    };
    mg_buf_reserve(&f->bytes, (size_t)length);
    mg_cache_wire_begin(&f->bytes, &wire, length);
    add_body(f);
    return mg_cache_wire_seal(&f->bytes);
}

static bool write_note(struct mg_tier_fill *f)
{
    const struct mg_cache_wire wire = {.record = *mg_cache_head_record(f->entry->head),
                                       .known = f->known,
                                       .primary = f->base.primary,
                                       .variant = f->base.variant,
                                       .names = f->names};
    mg_cache_wire_begin(&f->note, &wire, 0);
    return mg_cache_wire_seal(&f->note);
}

static void on_published(struct mg_cache_command *c, const struct mg_redis_reply *reply)
{
    struct mg_tier_fill *f = MG_CONTAINER_OF(c, struct mg_tier_fill, command);
    if (!reply) {
        release(f, false);
        return;
    }
    count(&f->tier->counts->stores);
    free_fill(f);
}

static bool start_publishing(struct mg_tier_fill *f)
{
    struct mg_cache_command *c = &f->command;
    uint64_t ms = useful_ms(f, mg_cache_head_record(f->entry->head));
    bool varies = f->names.n > 0;
    if (!ms || !write_entry(f) || (varies && !write_note(f)))
        return false;
    f->under_way = f->bytes.n;
    f->tier->bytes_under_way += f->under_way;
    mg_cache_command_init(c, publish_script, varies ? 3 : 2);
    c->act = MG_CACHE_TIER_STORES;
    mg_cache_command_add(c, f->lock_key);
    mg_cache_command_add(c, key_of(f, &f->entry->key));
    if (varies)
        mg_cache_command_add(c, f->base_key);
    mg_cache_command_add(c, f->token);
    mg_cache_command_add(c, number(f, ms));
    mg_cache_command_add(c, mg_buf_str(&f->bytes));
    if (varies)
        mg_cache_command_add(c, mg_buf_str(&f->note));
    return mg_cache_command_start(c, f->tier, on_published);
}

static void publish(void *arg)
{
    struct mg_tier_fill *f = arg;
    bool busy = f->tier->bytes_under_way > UNDER_WAY_MAX;
    bool started = !busy && start_publishing(f);
    mg_cache_unref(f->tier->store, f->entry);
    f->entry = NULL;
    if (busy)
        mg_cache_tier_failed(f->tier, MG_CACHE_TIER_STORES, "busy",
                             MG_STR("too much is on its way there"));
    if (!started)
        release(f, !busy);
}

void mg_tier_fill_publish(struct mg_tier_fill *f, struct mg_cache_entry *entry, struct mg_str names)
{
    if (!f->asked || !f->known) {
        mg_tier_fill_drop(f, false);
        return;
    }
    f->state = ENDING;
    mg_timer_stop(&f->timer);
    mg_cache_command_cancel(&f->prolonging);
    f->entry = mg_cache_ref(entry);
    f->names = mg_arena_str(&f->arena, names);
    mg_soon_run(f->tier->wg->worker->loop, &f->publishing);
}
