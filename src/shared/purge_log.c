/*
 * Purges of all gateways. Any thread.
 *
 * Always true: `table` holds every purge up to `known` that anybody told; the first `telling` notes
 * of the outbox are on their way, and none of them goes before it is told.
 */
#include "shared/purge_log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/memory.h"

#define ALL MG_PURGE_BUCKETS /* the bucket behind the others */
#define ROW (MG_PURGE_BUCKETS + 1)
#define FOLDERS_MAX 16 /* deeper ones count as that deep */
#define ORIGIN_HEX 16
#define TEXT_FRONT (ORIGIN_HEX + 4) /* "0123456789abcdef ks " */

/* A purge in the outbox. */
struct note {
    struct mg_link link;
    unsigned field;
    size_t text_n;
    char text[];
};

struct mg_purge_log {
    /* Set once. */
    char origin[ORIGIN_HEX + 1]; /* this gateway, in what it tells */
    /* Under lock. */
    pthread_mutex_t lock;
    uint64_t known, born;
    bool missed; /* some are not known, and what we hold may be among what they purged */
    uint64_t table[MG_PURGE_FIELDS];
    struct mg_link outbox;
    size_t waiting, telling; /* notes in it; of these, on their way */
    void (*wake)(void *arg);
    void *wake_arg;
};

/* Buckets
 * ---------------------------------------------------------------------------------------------- */

/* The same in all gateways. Who chooses names that share a bucket makes them miss together. */
static unsigned bucket_of(char kind, struct mg_str what)
{
    uint8_t key[MG_HASH_KEY_BYTES] = "purge bucket";
    key[MG_HASH_KEY_BYTES - 1] = (uint8_t)kind;
    return (unsigned)(mg_hash(key, what) % MG_PURGE_BUCKETS);
}

/* Where the next folder of a key ends, behind its '/' or the NUL between parts; 0: there is none.
 */
static size_t folder_end(struct mg_str key, size_t from)
{
    for (size_t i = from; i < key.n; i++)
        if (key.p[i] == '/' || key.p[i] == '\0')
            return i + 1;
    return 0;
}

/* The folder that a prefix ends in: all keys below the prefix are in it. n 0: there is none. */
static struct mg_str folder_of(struct mg_str prefix)
{
    size_t end = 0, next;
    for (unsigned depth = 0; depth < FOLDERS_MAX && (next = folder_end(prefix, end)); depth++)
        end = next;
    return mg_str(prefix.p, end);
}

static unsigned bucket_of_purge(const struct mg_purge *p)
{
    struct mg_str folder;
    switch (p->by) {
    case MG_CACHE_BY_KEY:
        return bucket_of('k', p->what);
    case MG_CACHE_BY_TAG:
        return bucket_of('t', p->what);
    case MG_CACHE_BY_PREFIX:
        folder = folder_of(p->what);
        return folder.n ? bucket_of('p', folder) : ALL;
    case MG_CACHE_ALL:
        break;
    }
    return ALL;
}

static unsigned field_of(const struct mg_purge *p)
{
    return bucket_of_purge(p) + (p->soft ? ROW : 0);
}

/* Life
 * ---------------------------------------------------------------------------------------------- */

struct mg_purge_log *mg_purge_log_new(void)
{
    struct mg_purge_log *log = mg_calloc(1, sizeof *log);
    uint8_t random[MG_HASH_KEY_BYTES];
    mg_hash_random_key(random);
    for (unsigned i = 0; i < ORIGIN_HEX; i++)
        log->origin[i] = "0123456789abcdef"[random[i] & 15];
    pthread_mutex_init(&log->lock, NULL);
    mg_list_init(&log->outbox);
    return log;
}

static struct note *note_of(struct mg_link *l)
{
    return MG_CONTAINER_OF(l, struct note, link);
}

static void drop(struct mg_purge_log *log, struct note *note)
{
    mg_list_remove(&note->link);
    log->waiting--;
    free(note);
}

void mg_purge_log_free(struct mg_purge_log *log)
{
    if (!log)
        return;
    while (!mg_list_empty(&log->outbox))
        drop(log, note_of(log->outbox.next));
    pthread_mutex_destroy(&log->lock);
    free(log);
}

/* Our own
 * ---------------------------------------------------------------------------------------------- */

static void put(struct mg_purge_log *log, const struct mg_purge *p)
{
    static const char kinds[] = {[MG_CACHE_BY_KEY] = 'k',
                                 [MG_CACHE_BY_PREFIX] = 'p',
                                 [MG_CACHE_BY_TAG] = 't',
                                 [MG_CACHE_ALL] = 'a'};
    struct note *note = mg_malloc(sizeof *note + TEXT_FRONT + 1 + p->what.n);
    *note = (struct note){.field = field_of(p), .text_n = TEXT_FRONT + p->what.n};
    snprintf(note->text, TEXT_FRONT + 1, "%s %c%c ", log->origin, kinds[p->by],
             p->soft ? 's' : 'h');
    if (p->what.n)
        memcpy(note->text + TEXT_FRONT, p->what.p, p->what.n);
    mg_list_push_back(&log->outbox, &note->link);
    log->waiting++;
}

static void drop_those_not_on_their_way(struct mg_purge_log *log)
{
    while (log->waiting > log->telling)
        drop(log, note_of(log->outbox.prev));
}

void mg_purge_log_add(struct mg_purge_log *log, const struct mg_purge *purge)
{
    static const struct mg_purge everything = {.by = MG_CACHE_ALL};
    pthread_mutex_lock(&log->lock);
    bool too_many = log->waiting - log->telling >= MG_PURGE_OUTBOX_MAX;
    if (too_many)
        drop_those_not_on_their_way(log);
    /* No key is that long; a tag could be. */
    put(log, too_many || purge->what.n > MG_CACHE_KEY_MAX ? &everything : purge);
    if (log->wake)
        log->wake(log->wake_arg);
    pthread_mutex_unlock(&log->lock);
}

void mg_purge_log_on_add(struct mg_purge_log *log, void (*wake)(void *arg), void *arg)
{
    pthread_mutex_lock(&log->lock);
    log->wake = wake;
    log->wake_arg = arg;
    pthread_mutex_unlock(&log->lock);
}

void mg_purge_log_off_add(struct mg_purge_log *log, void *arg)
{
    pthread_mutex_lock(&log->lock);
    if (log->wake_arg == arg)
        log->wake = NULL;
    pthread_mutex_unlock(&log->lock);
}

size_t mg_purge_log_tell(struct mg_purge_log *log, struct mg_purge_telling *out)
{
    pthread_mutex_lock(&log->lock);
    size_t count = 0;
    if (log->telling == 0) {
        MG_LIST_FOREACH(it, &log->outbox)
        {
            if (count == MG_PURGE_BATCH)
                break;
            struct note *note = note_of(it);
            out[count++] = (struct mg_purge_telling){.field = note->field,
                                                     .text = mg_str(note->text, note->text_n)};
        }
    }
    if (count)
        log->telling = count;
    pthread_mutex_unlock(&log->lock);
    return count;
}

void mg_purge_log_told(struct mg_purge_log *log, const uint64_t *numbers, size_t count)
{
    pthread_mutex_lock(&log->lock);
    for (size_t i = 0; i < count && i < log->telling; i++) {
        struct note *note = note_of(log->outbox.next);
        if (log->table[note->field] < numbers[i])
            log->table[note->field] = numbers[i];
        drop(log, note);
    }
    log->telling = 0;
    pthread_mutex_unlock(&log->lock);
}

/* Those of all
 * ---------------------------------------------------------------------------------------------- */

uint64_t mg_purge_log_known(struct mg_purge_log *log)
{
    pthread_mutex_lock(&log->lock);
    uint64_t known = log->known;
    pthread_mutex_unlock(&log->lock);
    return known;
}

static void forget(struct mg_purge_log *log)
{
    log->missed |= log->known != 0;
    log->known = 0;
}

struct said {
    uint64_t number, before;
    bool ours;
    struct mg_purge purge;
};

static bool read_number(struct mg_str *rest, uint64_t *out)
{
    struct mg_str word;
    return mg_str_split(rest, ' ', &word) && mg_str_to_u64(word, UINT64_MAX, out);
}

static bool read_kind(char kind, enum mg_cache_purge_by *by)
{
    switch (kind) {
    case 'k':
        *by = MG_CACHE_BY_KEY;
        return true;
    case 'p':
        *by = MG_CACHE_BY_PREFIX;
        return true;
    case 't':
        *by = MG_CACHE_BY_TAG;
        return true;
    case 'a':
        *by = MG_CACHE_ALL;
        return true;
    default:
        return false;
    }
}

static bool read_said(const struct mg_purge_log *log, struct mg_str text, struct said *out)
{
    if (!read_number(&text, &out->number) || !read_number(&text, &out->before) ||
        text.n < TEXT_FRONT || text.n > MG_PURGE_TEXT_MAX)
        return false;
    const char *flags = text.p + ORIGIN_HEX;
    if (flags[0] != ' ' || flags[3] != ' ' || (flags[2] != 'h' && flags[2] != 's') ||
        !read_kind(flags[1], &out->purge.by))
        return false;
    out->ours = memcmp(text.p, log->origin, ORIGIN_HEX) == 0;
    out->purge.soft = flags[2] == 's';
    out->purge.what = mg_str(text.p + TEXT_FRONT, text.n - TEXT_FRONT);
    return out->number > 0;
}

static enum mg_purge_heard hear(struct mg_purge_log *log, const struct said *s)
{
    if (s->number <= log->known)
        return MG_PURGE_OLD;
    if (log->known == 0 || s->before != log->known) {
        forget(log);
        return MG_PURGE_MISSED;
    }
    unsigned field = field_of(&s->purge);
    log->known = s->number;
    if (log->table[field] < s->number)
        log->table[field] = s->number;
    return s->ours ? MG_PURGE_OLD : MG_PURGE_NEW;
}

enum mg_purge_heard mg_purge_log_hear(struct mg_purge_log *log, struct mg_str text,
                                      struct mg_purge *out)
{
    struct said s;
    bool good = read_said(log, text, &s);
    pthread_mutex_lock(&log->lock);
    enum mg_purge_heard heard = MG_PURGE_BAD;
    if (good)
        heard = hear(log, &s);
    else
        forget(log);
    pthread_mutex_unlock(&log->lock);
    if (heard == MG_PURGE_NEW)
        *out = s.purge;
    return heard;
}

void mg_purge_log_newest(struct mg_purge_log *log, uint64_t known, uint64_t newest)
{
    pthread_mutex_lock(&log->lock);
    if (log->known == known && newest != known)
        forget(log);
    pthread_mutex_unlock(&log->lock);
}

bool mg_purge_log_read(struct mg_purge_log *log, uint64_t newest, uint64_t born,
                       const struct mg_purge_row *rows, size_t count)
{
    pthread_mutex_lock(&log->lock);
    bool missed = false;
    if (log->known == 0 && newest > 0) {
        memset(log->table, 0, sizeof log->table);
        for (size_t i = 0; i < count; i++)
            if (rows[i].field < MG_PURGE_FIELDS)
                log->table[rows[i].field] = rows[i].number;
        log->known = newest;
        log->born = born;
        missed = log->missed;
        log->missed = false;
    }
    pthread_mutex_unlock(&log->lock);
    return missed;
}

/* Judging
 * ---------------------------------------------------------------------------------------------- */

static bool waits_in_outbox(const struct mg_purge_log *log, unsigned field)
{
    MG_LIST_FOREACH(it, &log->outbox)
    {
        if (note_of(it)->field == field)
            return true;
    }
    return false;
}

/* Looks at one bucket more. */
static enum mg_purge_verdict worse(const struct mg_purge_log *log, unsigned bucket, uint64_t known,
                                   enum mg_purge_verdict verdict)
{
    if (log->table[bucket] > known || waits_in_outbox(log, bucket))
        return MG_PURGE_HARD;
    if (log->table[bucket + ROW] > known || waits_in_outbox(log, bucket + ROW))
        return verdict > MG_PURGE_SOFT ? verdict : MG_PURGE_SOFT;
    return verdict;
}

static enum mg_purge_verdict judge(const struct mg_purge_log *log, struct mg_str primary,
                                   struct mg_str tags, uint64_t known)
{
    struct mg_str tag;
    if (log->known == 0 || known < log->born)
        return MG_PURGE_HARD;
    enum mg_purge_verdict verdict = worse(log, ALL, known, MG_PURGE_NOT);
    verdict = worse(log, bucket_of('k', primary), known, verdict);
    size_t end = 0;
    for (unsigned depth = 0; depth < FOLDERS_MAX && (end = folder_end(primary, end)); depth++)
        verdict = worse(log, bucket_of('p', mg_str(primary.p, end)), known, verdict);
    while (mg_str_split(&tags, ' ', &tag))
        if (tag.n)
            verdict = worse(log, bucket_of('t', tag), known, verdict);
    return verdict;
}

enum mg_purge_verdict mg_purge_log_judge(struct mg_purge_log *log, struct mg_str primary,
                                         struct mg_str tags, uint64_t known)
{
    pthread_mutex_lock(&log->lock);
    enum mg_purge_verdict verdict = judge(log, primary, tags, known);
    pthread_mutex_unlock(&log->lock);
    return verdict;
}
