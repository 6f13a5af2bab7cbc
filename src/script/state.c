/*
 * Making and ending a Lua state, and counting its memory. One thread.
 *
 * Always true: memory_used is the sum of the sizes that Lua believes to hold. The limit refuses
 * only growth, and only while policy code runs: a refusal there is a Lua error inside a protected
 * call. Elsewhere it would be a panic.
 */
#include "script/state.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "script/budget.h"
#include "script/guest.h"
#include "script/sandbox.h"
#include "script/task.h"

#define BACKGROUND_LIMIT 1000
#define WARNING_BYTES 512
/* A collection begins when the heap is this many times (in per cent) what the last one left. What a
 * policy keeps is small, what its requests leave is garbage at once: marking it less often costs
 * memory of no weight, and the default of 200 costs a microsecond a request. */
#define GC_PAUSE 600

static bool over_limit(const struct mg_script *s, size_t growth)
{
    return s->memory_limit && s->running && !s->memory_lenient &&
           (growth > s->memory_limit || s->memory_used > s->memory_limit - growth);
}

/* When the error comes nobody can tell any more where it was raised. Allocates nothing. */
static void note_refused(struct mg_script *s)
{
    lua_Debug ar;
    s->refused_at[0] = 0;
    for (int i = 0; !s->refused_at[0] && lua_getstack(s->running, i, &ar); i++) {
        lua_getinfo(s->running, "Sl", &ar);
        if (ar.currentline > 0)
            snprintf(s->refused_at, sizeof s->refused_at, "%s:%d: ", ar.short_src, ar.currentline);
    }
}

bool mg_script_may_grow(struct mg_script *s, size_t growth)
{
    if (!over_limit(s, growth))
        return true;
    note_refused(s);
    return false;
}

static void *allocate(void *arg, void *old, size_t old_size, size_t new_size)
{
    struct mg_script *s = arg;
    if (!old)
        old_size = 0; /* what Lua passes then is a type */
    if (new_size > old_size && !mg_script_may_grow(s, new_size - old_size))
        return NULL;
    void *p = mg_heap_resize(&s->heap, old, old_size, new_size);
    if (p || new_size == 0)
        s->memory_used += new_size - old_size;
    return p;
}

static int on_panic(lua_State *L)
{
    const char *text = lua_tostring(L, -1);
    mg_log_error("Lua error outside of any protection", MG_LOG_C("error", text ? text : "?"));
    return 0; /* Lua aborts the process */
}

/* A warning comes in pieces; each piece but the last has to_be_continued set. */
struct warning {
    size_t n;
    char text[WARNING_BYTES];
};

static void on_warning(void *arg, const char *piece, int to_be_continued)
{
    struct warning *w = arg;
    struct mg_str s = mg_str_c(piece);
    if (s.n > sizeof w->text - w->n)
        s.n = sizeof w->text - w->n;
    memcpy(w->text + w->n, s.p, s.n);
    w->n += s.n;
    if (to_be_continued)
        return;
    if (w->n && w->text[0] != '@') /* "@on" and "@off" are for the switch of the stock function */
        mg_log_warn("Lua warning", MG_LOG_STR("warning", mg_str(w->text, w->n)));
    w->n = 0;
}

uint64_t mg_script_random(struct mg_script *s)
{
    /* xorshift64* */
    s->random ^= s->random >> 12;
    s->random ^= s->random << 25;
    s->random ^= s->random >> 27;
    return s->random * UINT64_C(2685821657736338717);
}

static void seed_random(struct mg_script *s)
{
    uint8_t key[MG_HASH_KEY_BYTES] = {1};
    if (!s->loop || !mg_loop_is_simulated(s->loop))
        mg_hash_random_key(key);
    memcpy(&s->random, key, sizeof s->random);
    if (s->random == 0)
        s->random = 1;
}

static int open_state(lua_State *L)
{
    struct warning *w = lua_newuserdatauv(L, sizeof *w, 0);
    w->n = 0;
    luaL_ref(L, LUA_REGISTRYINDEX);
    lua_setwarnf(L, on_warning, w);
    mg_sandbox_open(L);
    return 0;
}

static enum mg_rc open_own_state(struct mg_script *s)
{
    s->L = lua_newstate(allocate, s);
    if (!s->L)
        return MG_FAIL;
    *(uintptr_t *)lua_getextraspace(s->L) = (uintptr_t)s;
    lua_atpanic(s->L, on_panic);
    lua_gc(s->L, LUA_GCINC, GC_PAUSE, 0, 0);
    lua_pushcfunction(s->L, open_state);
    return lua_pcall(s->L, 0, 0, 0) == LUA_OK ? MG_OK : MG_FAIL;
}

struct mg_script *mg_script_new(const struct mg_script_options *options)
{
    struct mg_guest *guest = options->guest;
    struct mg_script *s = guest ? mg_guest_new_script(guest) : mg_calloc(1, sizeof *s);
    s->loop = options->loop;
    s->owner = options->owner;
    s->memory_limit = options->memory_bytes;
    s->run_ns = options->run_ns;
    s->worker = options->worker;
    s->background_limit = options->background_limit ? options->background_limit : BACKGROUND_LIMIT;
    mg_list_init(&s->idle);
    mg_list_init(&s->tasks);
    seed_random(s);

    struct mg_error err;
    if (s->run_ns && !(s->budget = mg_budget_ref(&err))) {
        mg_log_error("cannot make a Lua state", MG_LOG_C("error", err.text));
        mg_script_free(s);
        return NULL;
    }
    if ((guest ? mg_guest_open(guest, s) : open_own_state(s)) == MG_OK)
        return s;
    mg_script_free(s);
    return NULL;
}

void mg_script_free(struct mg_script *s)
{
    if (!s)
        return;
    MG_BUG_ON(s->running != NULL);
    s->ending = true;
    mg_task_end_all(s);
    if (s->L && s->guest)
        mg_guest_close(s->guest);
    else if (s->L)
        lua_close(s->L);
    if (s->budget)
        mg_budget_unref(s->budget);
    s->budget = NULL;
    mg_heap_release(&s->heap);
    if (!s->guest)
        free(s);
}
