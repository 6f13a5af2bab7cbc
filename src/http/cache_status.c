/* One list member: the cache's name and its parameters, in the order of RFC 9211 2. */
#include "http/cache_status.h"

#include "http/sf.h"

struct mg_str mg_cache_forward_name(enum mg_cache_forward forward)
{
    static const struct mg_str NAMES[] = {
        [MG_CACHE_HIT] = MG_STR(""),
        [MG_CACHE_BYPASS] = MG_STR("bypass"),
        [MG_CACHE_METHOD] = MG_STR("method"),
        [MG_CACHE_URI_MISS] = MG_STR("uri-miss"),
        [MG_CACHE_VARY_MISS] = MG_STR("vary-miss"),
        [MG_CACHE_MISS] = MG_STR("miss"),
        [MG_CACHE_REQUEST] = MG_STR("request"),
        [MG_CACHE_STALE] = MG_STR("stale"),
        [MG_CACHE_PARTIAL] = MG_STR("partial"),
    };
    return NAMES[forward];
}

static void add_flag(struct mg_sf_writer *w, const char *key)
{
    struct mg_sf_bare yes = mg_sf_true();
    mg_sf_add_param(w, mg_str_c(key), &yes);
}

static void add_integer(struct mg_sf_writer *w, const char *key, int64_t n)
{
    struct mg_sf_bare value = mg_sf_integer(n);
    mg_sf_add_param(w, mg_str_c(key), &value);
}

static void add_text(struct mg_sf_writer *w, const char *key, enum mg_sf_type type,
                     struct mg_str text)
{
    struct mg_sf_bare value = mg_sf_text(type, text);
    mg_sf_add_param(w, mg_str_c(key), &value);
}

struct mg_str mg_cache_status_text(struct mg_arena *arena, const struct mg_cache_status *s)
{
    struct mg_sf_writer w;
    mg_sf_writer_init(&w, arena);
    struct mg_sf_bare cache =
        mg_sf_text(mg_sf_is_token(s->cache) ? MG_SF_TOKEN : MG_SF_STRING, s->cache);
    mg_sf_add_bare(&w, &cache);
    if (s->forward == MG_CACHE_HIT)
        add_flag(&w, "hit");
    else
        add_text(&w, "fwd", MG_SF_TOKEN, mg_cache_forward_name(s->forward));
    if (s->forward != MG_CACHE_HIT && s->forward_status)
        add_integer(&w, "fwd-status", s->forward_status);
    if (s->has_ttl)
        add_integer(&w, "ttl", s->ttl);
    if (s->stored)
        add_flag(&w, "stored");
    if (s->collapsed)
        add_flag(&w, "collapsed");
    if (s->key.n > 0 && mg_sf_is_string(s->key))
        add_text(&w, "key", MG_SF_STRING, s->key);
    if (s->detail.n > 0 && mg_sf_is_string(s->detail))
        add_text(&w, "detail", mg_sf_is_token(s->detail) ? MG_SF_TOKEN : MG_SF_STRING, s->detail);
    return mg_sf_writer_str(&w);
}
