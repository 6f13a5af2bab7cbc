/* Any bytes as YAML and as JSON, once with memory for all of it and once with too little: the first
 * byte says how little. Whatever comes out, the Lua stack holds what the header promises and
 * nothing is left behind. */
#include <lauxlib.h>
#include <stdint.h>
#include <stdlib.h>

#include "script/yaml.h"

struct budget {
    size_t left; /* bytes that Lua may still take */
};

static void *limited(void *ud, void *p, size_t old_size, size_t size)
{
    struct budget *budget = ud;
    size_t old = p ? old_size : 0;
    if (size > old && size - old > budget->left)
        return NULL;
    void *q = NULL;
    if (size == 0)
        free(p);
    else if (!(q = realloc(p, size)))
        return NULL;
    budget->left = budget->left + old - size;
    return q;
}

static int parse(lua_State *L)
{
    const struct mg_str *text = lua_touserdata(L, 1);
    const char *file = lua_touserdata(L, 2);
    struct mg_error err;
    int rc = mg_yaml_push(L, *text, file, &err);
    if (lua_gettop(L) != (rc == MG_OK ? 4 : 2))
        abort();
    if (rc == MG_OK && !lua_istable(L, -1))
        abort();
    return 0;
}

static void run(struct mg_str text, const char *file, size_t bytes)
{
    struct budget budget = {.left = bytes};
    lua_State *L = lua_newstate(limited, &budget);
    if (!L)
        return;
    if (lua_checkstack(L, 4)) {
        lua_pushcfunction(L, parse);
        lua_pushlightuserdata(L, &text);
        lua_pushlightuserdata(L, (void *)file);
        lua_pcall(L, 2, 0, 0);
    }
    lua_close(L);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t plenty = (size_t)256 << 20, base = 8192;
    size_t little = base + (size ? data[0] : 0) * 64u;
    struct mg_str text = mg_str((const char *)data, size);
    run(text, "fuzz.yaml", plenty);
    run(text, "fuzz.json", plenty);
    run(text, "fuzz.json", little);
    return 0;
}
