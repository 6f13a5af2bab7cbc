/* Keys as all workers see them. */
#include "upstream/keyring.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/ip.h"
#include "base/memory.h"
#include "base/uri.h"

/* Who sends tokens with made-up key ids must not make us ask the issuer for each. */
#define COOL_DOWN_NS (10 * MG_SECOND)

struct listener {
    struct mg_loop *loop;
    void (*on_wanted)(void *arg);
    void *arg;
};

struct mg_keyring {
    /* Set once. */
    struct mg_keyring_source source;
    bool fixed;
    /* Under lock. */
    pthread_mutex_t lock;
    struct mg_jwk_set *set; /* a ref; NULL: none yet */
    struct listener listener;
    uint64_t cool_until_ns;
    bool wanted, busy;
    /* Atomic. */
    atomic_uint refs;
    atomic_uint_fast64_t version; /* of the set; written under the lock */
    atomic_uint_fast64_t tries;
};

/* --- where they may come from --- */

static bool is_this_host(struct mg_str host)
{
    struct mg_addr addr;
    if (!mg_ip_parse(host, &addr))
        return mg_str_ieq(host, MG_STR("localhost"));
    static const uint8_t v6[16] = {[15] = 1};
    return addr.family == 4 ? addr.bytes[0] == 127 : memcmp(addr.bytes, v6, sizeof v6) == 0;
}

enum mg_rc mg_keyring_check_url(struct mg_str url, bool insecure, struct mg_error *err)
{
    struct mg_uri uri;
    enum mg_uri_rc rc = mg_uri_parse(url, &uri);
    if (rc != MG_URI_OK)
        return mg_error_set(err, "the URL '%.*s' %s", MG_STR_ARGS(url), mg_uri_rc_text(rc));
    if (uri.https || insecure || is_this_host(uri.at.host))
        return MG_OK;
    return mg_error_set(err, "the URL '%.*s' must begin with https://", MG_STR_ARGS(url));
}

/* --- life --- */

static struct mg_keyring *new_keyring(void)
{
    struct mg_keyring *r = mg_calloc(1, sizeof *r);
    pthread_mutex_init(&r->lock, NULL);
    atomic_init(&r->refs, 1);
    return r;
}

static struct mg_str copy(struct mg_str s)
{
    return mg_str(mg_strdup(s), s.n);
}

struct mg_keyring *mg_keyring_new(const struct mg_keyring_source *source)
{
    struct mg_keyring *r = new_keyring();
    r->source = *source;
    r->source.name = copy(source->name);
    r->source.url = copy(source->url);
    r->source.issuer = copy(source->issuer);
    if (source->tls)
        mg_tls_client_settings_ref(source->tls);
    return r;
}

struct mg_keyring *mg_keyring_of(struct mg_jwk_set *set)
{
    struct mg_keyring *r = new_keyring();
    r->fixed = true;
    r->set = set;
    atomic_init(&r->version, 1);
    return r;
}

struct mg_keyring *mg_keyring_ref(struct mg_keyring *r)
{
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void mg_keyring_unref(struct mg_keyring *r)
{
    if (!r || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
        return;
    mg_jwk_set_unref(r->set);
    mg_tls_client_settings_unref(r->source.tls);
    free((char *)r->source.name.p);
    free((char *)r->source.url.p);
    free((char *)r->source.issuer.p);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

const struct mg_keyring_source *mg_keyring_source(const struct mg_keyring *r)
{
    return r->fixed ? NULL : &r->source;
}

bool mg_keyring_is_same(const struct mg_keyring *a, const struct mg_keyring *b)
{
    const struct mg_keyring_source *x = &a->source, *y = &b->source;
    return !a->fixed && !b->fixed && mg_str_eq(x->name, y->name) && mg_str_eq(x->url, y->url) &&
           mg_str_eq(x->issuer, y->issuer) && x->refresh_ns == y->refresh_ns &&
           x->algs == y->algs && x->insecure == y->insecure &&
           mg_tls_client_settings_equal(x->tls, y->tls);
}

/* --- for those who verify --- */

uint64_t mg_keyring_version(const struct mg_keyring *r)
{
    return atomic_load_explicit(&r->version, memory_order_acquire);
}

struct mg_jwk_set *mg_keyring_set(struct mg_keyring *r, uint64_t *version)
{
    pthread_mutex_lock(&r->lock);
    struct mg_jwk_set *set = r->set ? mg_jwk_set_ref(r->set) : NULL;
    *version = atomic_load_explicit(&r->version, memory_order_relaxed);
    pthread_mutex_unlock(&r->lock);
    return set;
}

uint64_t mg_keyring_tries(const struct mg_keyring *r)
{
    return atomic_load_explicit(&r->tries, memory_order_acquire);
}

/* Under the lock. */
static bool ask(struct mg_keyring *r, uint64_t now_ns)
{
    if (r->busy || r->wanted)
        return true;
    if (now_ns < r->cool_until_ns || !r->listener.loop)
        return false;
    r->wanted = true;
    r->cool_until_ns = now_ns + COOL_DOWN_NS;
    mg_loop_post(r->listener.loop, r->listener.on_wanted, r->listener.arg);
    return true;
}

bool mg_keyring_want(struct mg_keyring *r, uint64_t seen, uint64_t now_ns)
{
    if (r->fixed)
        return false;
    pthread_mutex_lock(&r->lock);
    bool worthwhile = mg_keyring_version(r) != seen || ask(r, now_ns);
    pthread_mutex_unlock(&r->lock);
    return worthwhile;
}

/* --- for who fetches them --- */

void mg_keyring_listen(struct mg_keyring *r, struct mg_loop *loop, void (*on_wanted)(void *arg),
                       void *arg)
{
    pthread_mutex_lock(&r->lock);
    r->listener = (struct listener){loop, on_wanted, arg};
    pthread_mutex_unlock(&r->lock);
}

bool mg_keyring_is_wanted(struct mg_keyring *r)
{
    pthread_mutex_lock(&r->lock);
    bool wanted = r->wanted;
    pthread_mutex_unlock(&r->lock);
    return wanted;
}

void mg_keyring_begin(struct mg_keyring *r)
{
    pthread_mutex_lock(&r->lock);
    r->busy = true;
    r->wanted = false;
    pthread_mutex_unlock(&r->lock);
}

void mg_keyring_end(struct mg_keyring *r, struct mg_jwk_set *set)
{
    struct mg_jwk_set *old = NULL;
    pthread_mutex_lock(&r->lock);
    r->busy = false;
    if (set) {
        old = r->set;
        r->set = set;
        atomic_fetch_add_explicit(&r->version, 1, memory_order_release);
    }
    pthread_mutex_unlock(&r->lock);
    mg_jwk_set_unref(old);
    /* Last: who sees it finds the new set. */
    atomic_fetch_add_explicit(&r->tries, 1, memory_order_release);
}
