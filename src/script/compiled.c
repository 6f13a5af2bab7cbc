/* Bytecode is kept for the life of the process: it is bounded by what the program has in it. */
#include "script/compiled.h"

#include <lauxlib.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/memory.h"

#define BYTECODE_MAX ((size_t)16 << 20)

struct bytecode {
    size_t n;
    char bytes[];
};

typedef _Atomic(struct bytecode *) place;

static place *places; /* by the file's number; NULL: not compiled yet */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_places(void)
{
    places = mg_calloc(mg_embedded_file_count, sizeof *places);
}

static place *place_of(const struct mg_embedded_file *file)
{
    pthread_once(&once, make_places);
    return &places[file - mg_embedded_files];
}

static int write_piece(lua_State *L, const void *p, size_t n, void *arg)
{
    struct mg_buf *out = arg;
    (void)L;
    mg_buf_add(out, p, n);
    return out->failed;
}

/* Keeps the function on top, unless another thread was quicker. */
static void keep(lua_State *L, place *at)
{
    struct mg_buf out;
    struct bytecode *none = NULL;
    mg_buf_init(&out, BYTECODE_MAX);
    if (lua_dump(L, write_piece, &out, 0) == 0) {
        struct bytecode *b = mg_malloc(sizeof *b + out.n);
        b->n = out.n;
        memcpy(b->bytes, out.p, out.n);
        if (!atomic_compare_exchange_strong_explicit(at, &none, b, memory_order_release,
                                                     memory_order_relaxed))
            free(b);
    }
    mg_buf_release(&out);
}

int mg_compiled_load(lua_State *L, const struct mg_embedded_file *file, const char *chunk_name)
{
    place *at = place_of(file);
    const struct bytecode *b = atomic_load_explicit(at, memory_order_acquire);
    if (b)
        return luaL_loadbufferx(L, b->bytes, b->n, chunk_name, "b");
    int status = luaL_loadbufferx(L, file->data, file->size, chunk_name, "t");
    if (status == LUA_OK)
        keep(L, at);
    return status;
}
