/* Keeping responses that go by. Worker thread. */
#include "gateway/cache_keep.h"

#include "gateway/cache_pump.h"

struct keep {
    struct mg_cache_keep pub;
    struct mg_cache_pump pump;
    struct mg_stored_body *reader;
    struct mg_wait wait;
    bool broken;
};

/* The reader is told by the source itself what is wrong with it. */
static void show_source(struct keep *k)
{
    if (k->broken && k->reader)
        mg_stored_body_continue(k->reader, k->pump.source);
}

static void on_pumped(struct mg_cache_pump *pump, enum mg_cache_pump_end how)
{
    struct keep *k = MG_CONTAINER_OF(pump, struct keep, pump);
    k->pub.filling = false;
    k->pub.stored = how == MG_CACHE_PUMP_STORED;
    k->broken = how == MG_CACHE_PUMP_BROKEN;
    show_source(k);
    mg_wait_end(&k->wait);
    if (k->pub.on_end)
        k->pub.on_end(k->pub.arg);
}

static void stop(void *arg)
{
    struct keep *k = arg;
    mg_wait_end(&k->wait);
    mg_cache_pump_stop(&k->pump);
    k->pub.filling = false;
}

/* The whole of it is in memory: it is stored at once, and stays what it is. */
static void store_bytes(struct keep *k, struct mg_cache_fill *fill, struct mg_str bytes,
                        uint64_t now_ns)
{
    k->pub.stored = mg_cache_fill_add(fill, bytes, now_ns) == bytes.n;
    if (k->pub.stored)
        mg_cache_fill_end(fill);
    else
        mg_cache_fill_fail(fill, MG_CACHE_PASS);
}

static bool in_memory(const struct mg_response *res, struct mg_str *bytes)
{
    *bytes = res->buffered;
    return !res->body || res->is_buffered || mg_body_is_fixed(res->body, bytes);
}

static void pump(struct keep *k, const struct mg_cache_keeping *keeping, struct mg_cache_fill *fill,
                 struct mg_cache_entry *entry, struct mg_response *res, struct mg_arena *arena,
                 struct mg_wait *parent)
{
    k->pub.filling = true;
    mg_wait_begin(&k->wait, parent, stop, k);
    mg_arena_on_release(arena, stop, k);
    mg_cache_pump_start(&k->pump, keeping->loop, fill, res->body, true, on_pumped);
    res->body =
        mg_stored_body_new(arena, keeping->loop, keeping->options->store, entry, &k->reader);
    mg_cache_pump_follow(&k->pump, k->reader);
    show_source(k);
}

struct mg_cache_keep *mg_cache_keep_new(const struct mg_cache_keeping *keeping,
                                        struct mg_cache_fill *fill, struct mg_response *res,
                                        struct mg_arena *arena, struct mg_wait *parent)
{
    struct keep *k = mg_arena_calloc(arena, sizeof *k);
    struct mg_cache_answer answer;
    struct mg_str bytes;
    k->pub.storing = mg_cache_entry_judge(keeping, res, arena, &answer);
    struct mg_cache_entry *entry =
        k->pub.storing == MG_CACHE_STORE
            ? mg_cache_entry_begin(keeping, fill, mg_cache_entry_shared(res, arena), &answer,
                                   MG_CACHE_QUIET, arena)
            : NULL;
    if (!entry)
        mg_cache_fill_fail(fill, MG_CACHE_PASS);
    else if (in_memory(res, &bytes))
        store_bytes(k, fill, bytes, mg_loop_now(keeping->loop));
    else
        pump(k, keeping, fill, entry, res, arena, parent);
    mg_cache_unref(keeping->options->store, entry);
    return &k->pub;
}
