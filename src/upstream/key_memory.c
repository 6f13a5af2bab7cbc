/*
 * Keys of issuers in a file. It is a JSON array of [URL, issuer, JWK Set as a text], written anew
 * each time, which is as often as an issuer changes its keys.
 */
#include "upstream/key_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/memory.h"

struct mg_key_memory {
    int fd;
};

int mg_key_memory_file(void)
{
    return memfd_create("moongate-keys", MFD_CLOEXEC);
}

struct mg_key_memory *mg_key_memory_new(int fd)
{
    struct mg_key_memory *m = mg_calloc(1, sizeof *m);
    m->fd = fd;
    return m;
}

void mg_key_memory_free(struct mg_key_memory *m)
{
    if (m)
        close(m->fd);
    free(m);
}

/* --- the file --- */

/* By process, for all of them share one open file. */
static bool set_lock(const struct mg_key_memory *m, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET};
    int rc;
    do
        rc = fcntl(m->fd, F_SETLKW, &lock);
    while (rc != 0 && errno == EINTR);
    return rc == 0;
}

static bool read_all(const struct mg_key_memory *m, struct mg_buf *out)
{
    char piece[4096];
    for (off_t at = 0;;) {
        ssize_t n = pread(m->fd, piece, sizeof piece, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 && !out->failed;
        mg_buf_add(out, piece, (size_t)n);
        at += n;
    }
}

static bool write_all(const struct mg_key_memory *m, struct mg_str text)
{
    size_t done = 0;
    while (done < text.n) {
        ssize_t n = pwrite(m->fd, text.p + done, text.n - done, (off_t)done);
        if (n < 0 && errno != EINTR)
            return false;
        done += n > 0 ? (size_t)n : 0;
    }
    return ftruncate(m->fd, (off_t)text.n) == 0;
}

/* --- its records --- */

struct record {
    struct mg_buf url, issuer, keys;
};

static void init(struct record *r)
{
    mg_buf_init(&r->url, MG_KEY_MEMORY_MAX);
    mg_buf_init(&r->issuer, MG_KEY_MEMORY_MAX);
    mg_buf_init(&r->keys, MG_KEY_MEMORY_MAX);
}

static void release(struct record *r)
{
    mg_buf_release(&r->url);
    mg_buf_release(&r->issuer);
    mg_buf_release(&r->keys);
}

static bool read_text(struct mg_json_reader *json, struct mg_buf *to)
{
    mg_buf_reset(to);
    if (mg_json_next(json) != MG_JSON_STRING)
        return false;
    mg_buf_add_str(to, json->text);
    return true;
}

/* The next record of the array that has begun. False: there is none, or it cannot be read. */
static bool next(struct mg_json_reader *json, struct record *r)
{
    return mg_json_next(json) == MG_JSON_ARRAY && read_text(json, &r->url) &&
           read_text(json, &r->issuer) && read_text(json, &r->keys) &&
           mg_json_next(json) == MG_JSON_ARRAY_END;
}

static bool is_of(const struct record *r, const struct mg_keyring_source *source)
{
    return mg_str_eq(mg_buf_str(&r->url), source->url) &&
           mg_str_eq(mg_buf_str(&r->issuer), source->issuer);
}

/* Calls back for each record; until it says false. */
static void each(struct mg_str text, bool (*fn)(void *arg, const struct record *r), void *arg)
{
    struct mg_json_reader json;
    struct mg_buf scratch;
    struct record r;
    init(&r);
    mg_buf_init(&scratch, MG_KEY_MEMORY_MAX);
    mg_json_reader_init(&json, text, NULL, &scratch);
    if (mg_json_next(&json) == MG_JSON_ARRAY)
        while (next(&json, &r) && fn(arg, &r))
            continue;
    mg_buf_release(&scratch);
    release(&r);
}

/* --- recalling --- */

struct search {
    const struct mg_keyring_source *source;
    struct mg_buf *text;
    bool found;
};

static bool compare(void *arg, const struct record *r)
{
    struct search *s = arg;
    if (!is_of(r, s->source))
        return true;
    mg_buf_add_str(s->text, mg_buf_str(&r->keys));
    s->found = !s->text->failed;
    return false;
}

bool mg_key_memory_recall(struct mg_key_memory *m, const struct mg_keyring_source *source,
                          struct mg_buf *text)
{
    struct search s = {.source = source, .text = text};
    struct mg_buf all;
    mg_buf_init(&all, MG_KEY_MEMORY_MAX);
    if (set_lock(m, F_RDLCK)) {
        if (read_all(m, &all))
            each(mg_buf_str(&all), compare, &s);
        set_lock(m, F_UNLCK);
    }
    mg_buf_release(&all);
    return s.found;
}

/* --- keeping --- */

struct rewrite {
    const struct mg_keyring_source *source; /* whose record is replaced */
    struct mg_buf *out;
};

static bool write_record(struct mg_buf *out, struct mg_str url, struct mg_str issuer,
                         struct mg_str keys)
{
    mg_buf_add_char(out, '[');
    bool good = mg_json_write_string(out, url);
    mg_buf_add_char(out, ',');
    good = good && mg_json_write_string(out, issuer);
    mg_buf_add_char(out, ',');
    good = good && mg_json_write_string(out, keys);
    mg_buf_add_char(out, ']');
    return good && !out->failed;
}

static bool copy_other(void *arg, const struct record *r)
{
    struct rewrite *w = arg;
    if (is_of(r, w->source))
        return true;
    mg_buf_add_char(w->out, ',');
    return write_record(w->out, mg_buf_str(&r->url), mg_buf_str(&r->issuer), mg_buf_str(&r->keys));
}

/* All records or nothing: what does not fit leaves the file as it was. */
static void rewrite(struct mg_key_memory *m, const struct mg_keyring_source *source,
                    struct mg_str text)
{
    struct mg_buf before, after;
    struct rewrite w = {.source = source, .out = &after};
    mg_buf_init(&before, MG_KEY_MEMORY_MAX);
    mg_buf_init(&after, MG_KEY_MEMORY_MAX);
    mg_buf_add_char(&after, '[');
    if (read_all(m, &before) && write_record(&after, source->url, source->issuer, text)) {
        each(mg_buf_str(&before), copy_other, &w);
        mg_buf_add_char(&after, ']');
        if (!after.failed)
            (void)write_all(m, mg_buf_str(&after));
    }
    mg_buf_release(&before);
    mg_buf_release(&after);
}

void mg_key_memory_keep(struct mg_key_memory *m, const struct mg_keyring_source *source,
                        struct mg_str text)
{
    if (!set_lock(m, F_WRLCK))
        return;
    rewrite(m, source, text);
    set_lock(m, F_UNLCK);
}
