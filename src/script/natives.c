/* The policies that C runs, and how their options are read. Control thread. */
#include "script/natives.h"

#include "gateway/cache_step.h"
#include "gateway/claim_headers.h"
#include "gateway/compress.h"
#include "gateway/concurrency.h"
#include "gateway/group.h"
#include "gateway/rate_limit.h"
#include "script/native_cache.h"
#include "script/native_claim_headers.h"
#include "script/native_concurrency.h"
#include "script/native_rate_limit.h"
#include "script/steps.h"

static enum mg_coding coding_at(struct mg_config_build *b, int list, lua_Integer i)
{
    lua_rawgeti(b->L, list, i);
    enum mg_coding coding = mg_coding_of(mg_config_copy(b, -1));
    lua_pop(b->L, 1);
    return coding;
}

static const void *build_compress(struct mg_config_build *b, int conf,
                                  const struct mg_config_place *place)
{
    struct mg_compress *o = mg_arena_calloc(&b->gen->arena, sizeof *o);
    (void)place;
    o->types = mg_config_texts(b, conf, "types", &o->type_count);
    o->min_bytes = mg_config_integer(b, conf, "min_size");
    o->level = (int)mg_config_integer(b, conf, "level");
    o->coding_count = mg_config_list(b, conf, "codings"); /* the schema lets no more in */
    for (size_t i = 0; i < o->coding_count; i++)
        o->codings[i] = coding_at(b, lua_gettop(b->L), (lua_Integer)i + 1);
    lua_pop(b->L, 1);
    return o;
}

static const void *build_decompress(struct mg_config_build *b, int conf,
                                    const struct mg_config_place *place)
{
    struct mg_decompress *o = mg_arena_calloc(&b->gen->arena, sizeof *o);
    (void)place;
    o->request = mg_config_flag(b, conf, "request");
    o->response = mg_config_flag(b, conf, "response");
    o->always = mg_config_flag(b, conf, "always");
    o->limits.bytes = mg_config_integer(b, conf, "max_request");
    o->limits.ratio = (unsigned)mg_config_integer(b, conf, "max_ratio");
    o->response_bytes = mg_config_integer(b, conf, "max_response");
    return o;
}

static const struct mg_native natives[] = {
    {"any", MG_STEP_HAS_REQUEST, {.enter = mg_steps_enter_native, .request = mg_group_any}, NULL},
    {"cache",
     MG_STEP_HAS_REQUEST,
     {.enter = mg_steps_enter_native, .request = mg_cache_step_request},
     mg_native_cache},
    {"all", MG_STEP_HAS_REQUEST, {.enter = mg_steps_enter_native, .request = mg_group_all}, NULL},
    {"claim-to-header",
     MG_STEP_HAS_REQUEST,
     {.enter = mg_steps_enter_native, .request = mg_claim_headers_request},
     mg_native_claim_headers},
    {"compress",
     MG_STEP_HAS_REQUEST | MG_STEP_HAS_RESPONSE,
     {.enter = mg_compress_enter,
      .enter_response = mg_steps_enter_response_only,
      .response = mg_compress_response},
     build_compress},
    {"concurrency",
     MG_STEP_HAS_REQUEST,
     {.enter = mg_steps_enter_native, .request = mg_concurrency_request},
     mg_native_concurrency},
    {"decompress",
     MG_STEP_HAS_REQUEST | MG_STEP_HAS_RESPONSE,
     {.enter = mg_steps_enter_native,
      .enter_response = mg_steps_enter_native_response,
      .request = mg_decompress_request,
      .response = mg_decompress_response},
     build_decompress},
    {"rate-limit",
     MG_STEP_HAS_REQUEST | MG_STEP_HAS_RESPONSE,
     {.enter = mg_steps_enter_native,
      .enter_response = mg_steps_enter_native_response,
      .request = mg_rate_limit_request,
      .response = mg_rate_limit_response},
     mg_native_rate_limit},
};

const struct mg_native *mg_native_find(struct mg_str name)
{
    for (size_t i = 0; i < sizeof natives / sizeof natives[0]; i++)
        if (mg_str_eq(mg_str_c(natives[i].name), name))
            return &natives[i];
    return NULL;
}
