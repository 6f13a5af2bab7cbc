/*
 * Fetches the keys of issuers. Control thread.
 *
 * A watch is either fetching or its timer is set. One fetch is one call or two: the issuer's
 * document, where that has to be read, and the keys.
 */
#include "upstream/issuers.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "crypto/digest.h"
#include "crypto/json_strict.h"
#include "crypto/random.h"

#define CALL_NS (5 * MG_SECOND)
#define RETRY_MIN_NS MG_SECOND
#define RETRY_MAX_NS (30 * MG_SECOND)
#define WELL_KNOWN "/.well-known/openid-configuration"
#define URL_MAX 2048

struct mg_issuers {
    struct mg_loop *loop;
    struct mg_agent *agent;
    struct mg_key_memory *memory; /* NULL: none */
    struct mg_link watches;
    void (*on_settled)(void *arg);
    void *arg;
};

struct watch {
    struct mg_link link;
    struct mg_issuers *all;
    struct mg_keyring *ring; /* a ref */
    const struct mg_keyring_source *source;
    struct mg_tls_client *tls; /* of source->tls; NULL: the agent's own */
    unsigned users;
    bool settled;  /* a try has ended */
    bool failing;  /* the last one failed */
    bool answered; /* `digest` is of the text in force */
    uint8_t digest[MG_SHA256_BYTES];
    uint64_t retry_ns; /* the wait after the next failure */
    struct mg_agent_call *call;
    struct mg_timer timer;
    char *found; /* URL of the keys by the issuer's document; NULL: not known */
};

/* --- the end of a fetch --- */

static void settle(struct watch *w)
{
    struct mg_issuers *all = w->all;
    bool before = w->settled;
    w->settled = true;
    if (!before && all->on_settled && mg_issuers_are_settled(all))
        all->on_settled(all->arg);
}

/* Up to a tenth earlier, so that gateways that were started together do not ask together. */
static uint64_t with_jitter(uint64_t ns)
{
    uint32_t random;
    mg_random_bytes(&random, sizeof random);
    return ns - (uint64_t)((double)ns / 10 * ((double)random / UINT32_MAX));
}

/* `set` is taken; NULL: the text is the one that is in force. */
static void succeed(struct watch *w, struct mg_jwk_set *set)
{
    if (set)
        mg_log_info("keys of issuer changed", MG_LOG_STR("keys", w->source->name),
                    MG_LOG_INT("count", (int64_t)set->count),
                    MG_LOG_INT("skipped", (int64_t)set->skipped));
    else if (w->failing)
        mg_log_info("keys of issuer can be fetched again", MG_LOG_STR("keys", w->source->name));
    w->failing = false;
    w->retry_ns = RETRY_MIN_NS;
    mg_timer_set(&w->timer, mg_loop_now(w->all->loop) + with_jitter(w->source->refresh_ns));
    mg_keyring_end(w->ring, set);
    settle(w);
}

static void fail(struct watch *w, const char *what, const char *why)
{
    if (!w->failing)
        mg_log_warn(what, MG_LOG_STR("keys", w->source->name), MG_LOG_C("error", why),
                    MG_LOG_BOOL("old_keys_kept", mg_keyring_version(w->ring) != 0));
    w->failing = true;
    free(w->found); /* the issuer may have moved them */
    w->found = NULL;
    mg_timer_set(&w->timer, mg_loop_now(w->all->loop) + with_jitter(w->retry_ns));
    w->retry_ns = w->retry_ns * 2 < RETRY_MAX_NS ? w->retry_ns * 2 : RETRY_MAX_NS;
    mg_keyring_end(w->ring, NULL);
    settle(w);
}

static void fail_keys(struct watch *w, const char *why)
{
    fail(w, "cannot fetch keys of issuer", why);
}

static void fail_document(struct watch *w, const char *why)
{
    fail(w, "cannot read the issuer's document", why);
}

/* --- asking --- */

static void ask(struct watch *w, struct mg_str url, mg_agent_done_fn on_done)
{
    static const struct mg_agent_field fields[] = {
        {MG_STR("Accept"), MG_STR("application/json, application/jwk-set+json")}};
    const struct mg_agent_request request = {.url = url,
                                             .fields = fields,
                                             .field_count = 1,
                                             .tls = w->tls,
                                             .limit_ns = CALL_NS,
                                             .body_max = MG_JWK_TEXT_BYTES_MAX};
    w->call = mg_agent_start(w->all->agent, &request, on_done, w);
}

/* Why the answer is none; NULL: it is one. */
static const char *fault_of(const struct mg_agent_answer *answer, struct mg_error *err)
{
    if (answer->failure || answer->head->status == 200)
        return answer->failure;
    mg_error_set(err, "status %u", answer->head->status);
    return err->text;
}

/* --- the keys --- */

/* NULL, with why, when the text has no key that can be used. */
static struct mg_jwk_set *read_keys(const struct watch *w, struct mg_str text, struct mg_error *err)
{
    const struct mg_jwk_options options = {.algs = w->source->algs};
    struct mg_jwk_set *set = mg_jwk_set_parse(text, &options, err);
    if (!set || set->count)
        return set;
    mg_jwk_set_unref(set);
    mg_error_set(err, "none of the keys can be used");
    return NULL;
}

static void note_answer(struct watch *w, const uint8_t digest[MG_SHA256_BYTES])
{
    w->answered = true;
    memcpy(w->digest, digest, MG_SHA256_BYTES);
}

static void take_keys(struct watch *w, struct mg_str text)
{
    uint8_t digest[MG_SHA256_BYTES];
    struct mg_error err;
    mg_digest_sha256(text, digest);
    if (w->answered && memcmp(digest, w->digest, sizeof digest) == 0) {
        succeed(w, NULL);
        return;
    }
    struct mg_jwk_set *set = read_keys(w, text, &err);
    if (!set) {
        fail_keys(w, err.text);
        return;
    }
    note_answer(w, digest);
    if (w->all->memory)
        mg_key_memory_keep(w->all->memory, w->source, text);
    succeed(w, set);
}

/* Those that a process before this one was given; the issuer is asked all the same. */
static void recall(struct watch *w)
{
    uint8_t digest[MG_SHA256_BYTES];
    struct mg_jwk_set *set = NULL;
    struct mg_error err;
    struct mg_buf text;
    mg_buf_init(&text, MG_JWK_TEXT_BYTES_MAX);
    if (w->all->memory && mg_key_memory_recall(w->all->memory, w->source, &text))
        set = read_keys(w, mg_buf_str(&text), &err);
    if (set) {
        mg_digest_sha256(mg_buf_str(&text), digest);
        note_answer(w, digest);
        mg_keyring_begin(w->ring);
        mg_keyring_end(w->ring, set);
        w->settled = true;
    }
    mg_buf_release(&text);
}

static void on_keys(void *arg, const struct mg_agent_answer *answer)
{
    struct watch *w = arg;
    struct mg_error err;
    const char *fault = fault_of(answer, &err);
    w->call = NULL;
    if (fault)
        fail_keys(w, fault);
    else
        take_keys(w, answer->body);
}

/* --- the issuer's document (OpenID Connect Discovery 1.0, 3 and 4.3; RFC 8414) --- */

struct document {
    struct mg_buf issuer, jwks_uri;
};

/* Where the value of that key is to go; NULL: nowhere. */
static struct mg_buf *place_of(struct document *d, struct mg_str key)
{
    if (mg_str_eq(key, MG_STR("issuer")))
        return &d->issuer;
    return mg_str_eq(key, MG_STR("jwks_uri")) ? &d->jwks_uri : NULL;
}

static bool read_members(struct mg_json_strict *json, struct document *d)
{
    enum mg_json_token token;
    while ((token = mg_json_strict_next(json)) == MG_JSON_KEY) {
        struct mg_buf *to = place_of(d, json->in.text);
        token = mg_json_strict_next(json);
        if (to && token == MG_JSON_STRING)
            mg_buf_add_str(to, json->in.text);
        else if (!mg_json_strict_skip(json, token))
            return false;
    }
    return token == MG_JSON_OBJECT_END && mg_json_strict_next(json) == MG_JSON_END;
}

static enum mg_rc read_document(struct mg_str text, struct document *d, struct mg_error *err)
{
    struct mg_json_strict json;
    enum mg_rc rc = MG_OK;
    mg_json_strict_init(&json, text);
    if (mg_json_strict_next(&json) != MG_JSON_OBJECT || !read_members(&json, d))
        rc = json.in.fault ? mg_json_reader_error(&json.in, err)
                           : mg_error_set(err, "not a JSON object");
    mg_json_strict_release(&json);
    return rc;
}

static enum mg_rc judge(const struct watch *w, const struct document *d, struct mg_error *err)
{
    struct mg_str issuer = mg_buf_str(&d->issuer), uri = mg_buf_str(&d->jwks_uri);
    if (!mg_str_eq(issuer, w->source->issuer))
        return mg_error_set(err, "it is of another issuer: '%.*s'", MG_STR_ARGS(issuer));
    if (uri.n == 0)
        return mg_error_set(err, "it names no jwks_uri");
    return mg_keyring_check_url(uri, w->source->insecure, err);
}

/* The URL of the keys, to be freed; NULL with `err`. */
static char *find_keys(const struct watch *w, struct mg_str text, struct mg_error *err)
{
    struct document d;
    char *url = NULL;
    mg_buf_init(&d.issuer, URL_MAX);
    mg_buf_init(&d.jwks_uri, URL_MAX);
    if (read_document(text, &d, err) == MG_OK && judge(w, &d, err) == MG_OK)
        url = mg_strdup(mg_buf_str(&d.jwks_uri));
    mg_buf_release(&d.issuer);
    mg_buf_release(&d.jwks_uri);
    return url;
}

static void on_document(void *arg, const struct mg_agent_answer *answer)
{
    struct watch *w = arg;
    struct mg_error err;
    const char *fault = fault_of(answer, &err);
    w->call = NULL;
    free(w->found);
    w->found = fault ? NULL : find_keys(w, answer->body, &err);
    if (w->found)
        ask(w, mg_str_c(w->found), on_keys);
    else
        fail_document(w, fault ? fault : err.text);
}

static void ask_document(struct watch *w)
{
    struct mg_str issuer = w->source->issuer;
    struct mg_buf url;
    mg_buf_init(&url, URL_MAX + sizeof WELL_KNOWN);
    if (mg_str_ends(issuer, MG_STR("/")))
        issuer.n--;
    mg_buf_add_str(&url, issuer);
    mg_buf_add_c(&url, WELL_KNOWN);
    ask(w, mg_buf_str(&url), on_document);
    mg_buf_release(&url);
}

/* --- fetching --- */

static bool has_tls(struct watch *w, struct mg_error *err)
{
    if (w->source->tls && !w->tls)
        w->tls = mg_agent_tls(w->all->agent, w->source->tls, err);
    return w->tls || !w->source->tls;
}

/* `again`: the keys alone, when it is known where they are. */
static void fetch(struct watch *w, bool again)
{
    struct mg_error err;
    mg_timer_stop(&w->timer);
    mg_keyring_begin(w->ring);
    if (!has_tls(w, &err))
        fail_keys(w, err.text);
    else if (w->source->url.n)
        ask(w, w->source->url, on_keys);
    else if (again && w->found)
        ask(w, mg_str_c(w->found), on_keys);
    else
        ask_document(w);
}

static void on_timer(void *arg)
{
    fetch(arg, false);
}

/* A token names a key that nobody knows. Comes for any of the keyrings. */
static void on_wanted(void *arg)
{
    struct mg_issuers *all = arg;
    MG_LIST_FOREACH(it, &all->watches)
    {
        struct watch *w = MG_CONTAINER_OF(it, struct watch, link);
        if (!w->call && mg_keyring_is_wanted(w->ring))
            fetch(w, true);
    }
}

/* --- watching --- */

static struct watch *watch_of(struct mg_issuers *all, const struct mg_keyring *ring)
{
    MG_LIST_FOREACH(it, &all->watches)
    {
        struct watch *w = MG_CONTAINER_OF(it, struct watch, link);
        if (w->ring == ring)
            return w;
    }
    return NULL;
}

struct mg_keyring *mg_issuers_find(struct mg_issuers *all, const struct mg_keyring *ring)
{
    MG_LIST_FOREACH(it, &all->watches)
    {
        struct watch *w = MG_CONTAINER_OF(it, struct watch, link);
        if (mg_keyring_is_same(w->ring, ring))
            return w->ring;
    }
    return NULL;
}

void mg_issuers_watch(struct mg_issuers *all, struct mg_keyring *ring)
{
    struct watch *w = watch_of(all, ring);
    if (!mg_keyring_source(ring))
        return;
    if (w) {
        w->users++;
        return;
    }
    w = mg_calloc(1, sizeof *w);
    w->all = all;
    w->ring = mg_keyring_ref(ring);
    w->source = mg_keyring_source(ring);
    w->users = 1;
    w->retry_ns = RETRY_MIN_NS;
    mg_timer_init(&w->timer, all->loop, on_timer, w);
    mg_list_push_back(&all->watches, &w->link);
    mg_keyring_listen(ring, all->loop, on_wanted, all);
    if (mg_keyring_version(ring) == 0)
        recall(w);
    fetch(w, false);
}

static void free_watch(struct watch *w)
{
    mg_list_remove(&w->link);
    if (w->call)
        mg_agent_cancel(w->call);
    mg_keyring_listen(w->ring, NULL, NULL, NULL);
    if (w->call)
        mg_keyring_end(w->ring, NULL);
    mg_timer_release(&w->timer);
    mg_tls_client_unref(w->tls);
    mg_keyring_unref(w->ring);
    free(w->found);
    free(w);
}

void mg_issuers_unwatch(struct mg_issuers *all, struct mg_keyring *ring)
{
    struct watch *w = watch_of(all, ring);
    if (w && --w->users == 0)
        free_watch(w);
}

bool mg_issuers_are_settled(const struct mg_issuers *all)
{
    MG_LIST_FOREACH(it, &all->watches)
    {
        if (!MG_CONTAINER_OF(it, struct watch, link)->settled)
            return false;
    }
    return true;
}

void mg_issuers_on_settled(struct mg_issuers *all, void (*fn)(void *arg), void *arg)
{
    all->on_settled = fn;
    all->arg = arg;
}

/* --- life --- */

struct mg_issuers *mg_issuers_new(struct mg_loop *loop, struct mg_agent *agent)
{
    struct mg_issuers *all = mg_calloc(1, sizeof *all);
    all->loop = loop;
    all->agent = agent;
    mg_list_init(&all->watches);
    return all;
}

void mg_issuers_remember(struct mg_issuers *all, struct mg_key_memory *memory)
{
    all->memory = memory;
}

void mg_issuers_free(struct mg_issuers *all)
{
    if (!all)
        return;
    while (!mg_list_empty(&all->watches))
        free_watch(MG_CONTAINER_OF(all->watches.next, struct watch, link));
    free(all);
}
