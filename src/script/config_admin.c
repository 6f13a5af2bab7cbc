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

enum mg_rc mg_config_show(lua_State *L, int config, struct mg_generation *g, struct mg_buf *scratch,
                          struct mg_error *err)
{
    const struct mg_json_encode_options sorted = {.sort = true};
    int top = lua_gettop(L);
    if (mg_sandbox_require(L, "moongate.config.show") != MG_OK)
        lua_error(L);
    lua_getfield(L, -1, "show");
    lua_pushvalue(L, config);
    if (mg_task_call(L, 1, 1) != MG_OK)
        lua_error(L);
    mg_buf_reset(scratch);
    enum mg_rc rc = mg_json_encode(L, -1, scratch, &sorted, err);
    if (rc == MG_OK) {
        g->shown = mg_arena_str(&g->arena, mg_buf_str(scratch));
        hash_shown(g);
    }
    lua_settop(L, top);
    return rc;
}

static void show(struct mg_config_build *b)
{
    struct mg_error err;
    struct mg_config_place place = {.path = MG_STR_NONE};
    if (mg_config_show(b->L, b->config, b->gen, &b->scratch, &err) != MG_OK)
        mg_config_error(b, &place, "%s", err.text);
}

/* Workers have pages of their own to answer: there is nobody to wait for. */
static bool is_shown_now(const struct mg_config_build *b)
{
    const struct mg_config_source *source = b->source;
    bool serves = !source->check_only && !source->simulated;
    return source->shown || (serves && (!source->show_later || b->gen->public_count > 0));
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
    if (is_shown_now(b))
        show(b);
}
