/* What the running gateway tells of itself, and to whom. */
#include <stdio.h>

#include "crypto/digest.h"
#include "gateway/page.h"
#include "script/config_build.h"
#include "script/json.h"
#include "script/sandbox.h"
#include "script/task.h"

static void read_token(struct mg_config_build *b, int admin)
{
    struct mg_str name = mg_config_text(b, admin, "token");
    if (name.n)
        b->gen->admin.token = mg_config_secret(b, name);
}

static void read_publics(struct mg_config_build *b, int admin)
{
    struct mg_generation *g = b->gen;
    g->public_count = mg_config_list(b, admin, "public");
    g->publics = mg_arena_calloc(&g->arena, g->public_count * sizeof *g->publics);
    for (uint32_t i = 0; i < g->public_count; i++) {
        lua_rawgeti(b->L, -1, i + 1);
        int at = lua_gettop(b->L);
        g->publics[i].path = mg_config_text(b, at, "path");
        g->publics[i].page = mg_page_find(mg_config_text(b, at, "name"));
        lua_pop(b->L, 1);
    }
    lua_pop(b->L, 1);
}

static void hash_shown(struct mg_generation *g)
{
    uint8_t digest[MG_SHA256_BYTES];
    mg_digest_sha256(g->shown, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(g->hash + 2 * i, 3, "%02x", digest[i]);
}

/* The config as moongate.config.show has it. Its fields are sorted, so that equal configs have
 * equal hashes; no secret is in it, so the hash gives none away. */
static void show(struct mg_config_build *b)
{
    const struct mg_json_encode_options sorted = {.sort = true};
    struct mg_error err;
    int top = lua_gettop(b->L);
    if (mg_sandbox_require(b->L, "moongate.config.show") != MG_OK)
        lua_error(b->L);
    lua_getfield(b->L, -1, "show");
    lua_pushvalue(b->L, b->config);
    if (mg_task_call(b->L, 1, 1) != MG_OK)
        lua_error(b->L);
    mg_buf_reset(&b->scratch);
    if (mg_json_encode(b->L, -1, &b->scratch, &sorted, &err) == MG_OK) {
        b->gen->shown = mg_arena_str(&b->gen->arena, mg_buf_str(&b->scratch));
        hash_shown(b->gen);
    } else {
        struct mg_config_place place = {.path = MG_STR_NONE};
        mg_config_error(b, &place, "%s", err.text);
    }
    lua_settop(b->L, top);
}

void mg_config_build_admin(struct mg_config_build *b)
{
    int admin = lua_gettop(b->L) + 1;
    mg_config_list(b, b->config, "admin");
    b->gen->admin.address = mg_config_text(b, admin, "address");
    b->gen->admin.by_default = mg_config_flag(b, admin, "by_default");
    read_token(b, admin);
    read_publics(b, admin);
    lua_pop(b->L, 1);
    if (b->source->shown || (!b->source->check_only && !b->source->simulated))
        show(b);
}
