/* Routes, their pipelines and the router, from the checked table. */
#include <lauxlib.h>
#include <stdlib.h>

#include "base/uri.h"
#include "gateway/condition.h"
#include "script/config_build.h"
#include "script/module.h"
#include "script/natives.h"
#include "script/pack.h"
#include "script/shadows.h"

/* --- steps --- */

/* Of the step or route at `step`. */
static struct mg_config_place step_place(struct mg_config_build *b, int step)
{
    struct mg_config_place place = {
        .file = mg_config_text(b, step, "file"),
        .line = (lua_Integer)mg_config_integer(b, step, "line"),
        .col = (lua_Integer)mg_config_integer(b, step, "col"),
        .path = mg_config_text(b, step, "path"),
    };
    return place;
}

/* A field of the step, packed; n 0: it is not there. */
static struct mg_str pack_field(struct mg_config_build *b, int step, const char *key)
{
    struct mg_error err;
    struct mg_str packed = MG_STR_NONE;
    if (lua_getfield(b->L, step, key) != LUA_TNIL) {
        mg_buf_reset(&b->scratch);
        if (mg_pack(b->L, -1, &b->scratch, &err)) {
            packed = mg_arena_str(&b->gen->arena, mg_buf_str(&b->scratch));
        } else {
            struct mg_config_place place = step_place(b, step);
            mg_config_error(b, &place, "%s", err.text);
        }
    }
    lua_pop(b->L, 1);
    return packed;
}

/* Workers find a function by its path in the main file. */
static void check_function(struct mg_config_build *b, int step)
{
    struct mg_config_place place = step_place(b, step);
    if (!mg_str_eq(place.file, mg_str_c(b->source->file)))
        mg_config_error(b, &place, "a function as a step may only stand in the main file");
}

static void read_native(struct mg_config_build *b, int from, struct mg_plan_step *out,
                        struct mg_step *step)
{
    struct mg_config_place place = step_place(b, from);
    struct mg_str name = mg_config_text(b, from, "native"),
                  policy = mg_config_text(b, from, "name");
    const struct mg_native *native = mg_native_find(name);
    out->kind = MG_PLAN_NATIVE;
    place.path = mg_arena_printf(&b->gen->arena, "%s.%s", place.path.p, policy.p);
    if (!native) {
        mg_config_error(b, &place, "the gateway has no policy '%.*s' of its own",
                        MG_STR_ARGS(name));
        return;
    }
    out->native_flags = native->flags;
    step->ops = &native->ops;
    if (!native->build)
        return;
    if (lua_getfield(b->L, from, "native_conf") == LUA_TNIL) {
        lua_pop(b->L, 1);
        mg_config_list(b, from, "conf");
    }
    step->options = native->build(b, lua_gettop(b->L), &place);
    lua_pop(b->L, 1);
}

static void read_kind(struct mg_config_build *b, int step, struct mg_plan_step *out,
                      struct mg_step *built)
{
    built->ops = &mg_script_step_ops;
    if (mg_config_is(b, step, "kind", "lua")) {
        out->kind = MG_PLAN_LUA;
        out->source = mg_config_text(b, step, "source");
        out->line = (uint32_t)mg_config_integer(b, step, "source_line");
    } else if (mg_config_is(b, step, "kind", "function")) {
        out->kind = MG_PLAN_FUNCTION;
        check_function(b, step);
    } else if (mg_config_is(b, step, "kind", "native")) {
        read_native(b, step, out, built);
    } else {
        out->kind = MG_PLAN_POLICY;
        out->conf = pack_field(b, step, "conf");
        out->mounts = pack_field(b, step, "mounts");
    }
    out->chunk_name = mg_arena_printf(&b->gen->arena, "@%.*s", MG_STR_ARGS(out->file));
}

/* The module's own `body`: "buffer" or "stream" for what it reads. Steps that are no modules say
 * nothing, and may read all. */
static void read_body(struct mg_config_build *b, int step, struct mg_step *out)
{
    out->declares_bodies = mg_config_is(b, step, "kind", "policy");
    if (lua_getfield(b->L, step, "body") == LUA_TTABLE) {
        int body = lua_gettop(b->L);
        out->buffer_request = mg_config_is(b, body, "request", "buffer");
        out->buffer_response = mg_config_is(b, body, "response", "buffer");
        out->reads_request = out->buffer_request || mg_config_is(b, body, "request", "stream");
        out->reads_response = out->buffer_response || mg_config_is(b, body, "response", "stream");
    }
    lua_pop(b->L, 1);
}

static void build_pipeline(struct mg_config_build *b, int table, const char *key,
                           const struct mg_plan_step *common, struct mg_pipeline *out);

/* The pipelines that the config of the step at `from` holds. */
static void build_inner(struct mg_config_build *b, int from, const struct mg_plan_step *common,
                        struct mg_step *step)
{
    step->inner_count = mg_config_list(b, from, "inner");
    int list = lua_gettop(b->L);
    step->inner = mg_arena_calloc(&b->gen->arena, step->inner_count * sizeof *step->inner);
    for (uint32_t i = 0; i < step->inner_count; i++) {
        lua_rawgeti(b->L, list, (lua_Integer)i + 1);
        build_pipeline(b, list + 1, "steps", common, &step->inner[i]);
        lua_pop(b->L, 1);
    }
    lua_pop(b->L, 1);
}

/* The step on top of the stack. */
static void build_step(struct mg_config_build *b, const struct mg_plan_step *common,
                       struct mg_step *step)
{
    int from = lua_gettop(b->L);
    step->index = b->gen->step_count++;
    struct mg_plan_step *planned = &b->plan->steps[step->index];
    *planned = *common;
    step->policy = mg_config_text(b, from, "name");
    step->id = mg_config_text(b, from, "id");
    step->path = mg_config_text(b, from, "path");
    step->on_error_continue = mg_config_is(b, from, "on_error", "continue");
    read_body(b, from, step);
    planned->step = step;
    planned->file = mg_config_text(b, from, "file");
    planned->at_line = (uint32_t)mg_config_integer(b, from, "line");
    planned->at_col = (uint32_t)mg_config_integer(b, from, "col");
    planned->via = mg_config_text(b, from, "via");
    planned->policy = step->policy;
    planned->when = mg_config_text(b, from, "when");
    if (planned->when.n)
        planned->condition = mg_condition_parse(&b->gen->arena, planned->when);
    read_kind(b, from, planned, step);
    build_inner(b, from, common, step);
}

/* The list of that name in the table at `table`. */
static void build_pipeline(struct mg_config_build *b, int table, const char *key,
                           const struct mg_plan_step *common, struct mg_pipeline *out)
{
    out->count = mg_config_list(b, table, key);
    out->steps = mg_arena_calloc(&b->gen->arena, out->count * sizeof *out->steps);
    luaL_checkstack(b->L, 8, "steps in steps");
    for (uint32_t i = 0; i < out->count; i++) {
        lua_rawgeti(b->L, -1, (lua_Integer)i + 1);
        build_step(b, common, &out->steps[i]);
        lua_pop(b->L, 1);
    }
    lua_pop(b->L, 1);
}

/* A pipeline that no step holds. */
static void build_outermost(struct mg_config_build *b, int table, const char *key,
                            const struct mg_plan_step *common, struct mg_pipeline *out)
{
    build_pipeline(b, table, key, common, out);
    mg_generation_number(b->gen, out);
}

/* Of the list of that name in the table at `table`, with those inside of them. */
static uint32_t count_list(struct mg_config_build *b, int table, const char *key)
{
    luaL_checkstack(b->L, 8, "steps in steps");
    uint32_t count = mg_config_list(b, table, key), total = count;
    int list = lua_gettop(b->L);
    for (uint32_t i = 1; i <= count; i++) {
        lua_rawgeti(b->L, list, i);
        uint32_t inner = mg_config_list(b, list + 1, "inner");
        for (uint32_t n = 1; n <= inner; n++) {
            lua_rawgeti(b->L, list + 2, n);
            total += count_list(b, list + 3, "steps");
            lua_pop(b->L, 1);
        }
        lua_settop(b->L, list);
    }
    lua_pop(b->L, 1);
    return total;
}

static uint32_t count_steps(struct mg_config_build *b, int routes, uint32_t route_count)
{
    uint32_t count = count_list(b, b->config, "fallback");
    for (uint32_t i = 1; i <= route_count; i++) {
        lua_rawgeti(b->L, routes, i);
        int route = lua_gettop(b->L);
        count += count_list(b, route, "steps");
        count += count_list(b, route, "on_error");
        lua_settop(b->L, route - 1);
    }
    return count;
}

/* --- routes --- */

/* Pushes a table from the names of services to their indices. */
static void push_service_indices(struct mg_config_build *b)
{
    lua_createtable(b->L, 0, (int)b->gen->service_count);
    for (uint32_t i = 0; i < b->gen->service_count; i++) {
        struct mg_str name = mg_service_config(b->gen->services[i])->name;
        lua_pushlstring(b->L, name.p, name.n);
        lua_pushinteger(b->L, (lua_Integer)i);
        lua_rawset(b->L, -3);
    }
}

static int32_t service_index(struct mg_config_build *b, int services, int table)
{
    int32_t index = MG_NO_SERVICE;
    if (lua_getfield(b->L, table, "service") == LUA_TSTRING) {
        lua_rawget(b->L, services);
        index = (int32_t)lua_tointeger(b->L, -1);
    }
    lua_pop(b->L, 1);
    return index;
}

static void build_split(struct mg_config_build *b, int services, int table, struct mg_route *route)
{
    route->split_count = mg_config_list(b, table, "split");
    int list = lua_gettop(b->L);
    route->split = mg_arena_calloc(&b->gen->arena, route->split_count * sizeof *route->split);
    for (uint32_t i = 0; i < route->split_count; i++) {
        struct mg_split *split = &route->split[i];
        lua_rawgeti(b->L, list, i + 1);
        split->service = (uint32_t)service_index(b, services, list + 1);
        split->weight = (uint32_t)mg_config_integer(b, list + 1, "weight");
        route->split_weight += split->weight;
        lua_pop(b->L, 1);
    }
    lua_pop(b->L, 1);
}

/* The prefix as normalised paths have it, behind the base path, which goes with it. */
static struct mg_str decode_prefix(struct mg_config_build *b, struct mg_str prefix)
{
    struct mg_str base = mg_config_text(b, b->config, "base_path");
    struct mg_str raw = mg_arena_printf(&b->gen->arena, "%s%s", base.p, prefix.p);
    char *out = mg_arena_alloc(&b->gen->arena, raw.n + 1);
    size_t n;
    if (mg_uri_path_decode(raw, out, &n) != MG_URI_OK)
        return raw;
    while (n > 1 && out[n - 1] == '/')
        n--;
    return mg_str(out, n);
}

static void build_strip(struct mg_config_build *b, int table, struct mg_route *route)
{
    struct mg_str prefix = mg_config_text(b, table, "strip_prefix");
    if (prefix.n) {
        route->strip = MG_STRIP_PREFIX;
        route->strip_prefix = decode_prefix(b, prefix);
    } else if (mg_config_flag(b, table, "strip_prefix")) {
        route->strip = MG_STRIP_LITERAL;
    }
}

static void note_place(struct mg_config_build *b, int table, const struct mg_route *route)
{
    const struct mg_config_place place = step_place(b, table);
    b->plan->route_places[route->index] = (struct mg_plan_place){.file = place.file,
                                                                 .path = place.path,
                                                                 .line = (uint32_t)place.line,
                                                                 .col = (uint32_t)place.col};
}

static void build_route(struct mg_config_build *b, int services, int table, struct mg_route *route)
{
    note_place(b, table, route);
    route->name = mg_config_text(b, table, "name");
    route->version = mg_config_text(b, table, "version");
    route->service = service_index(b, services, table);
    build_split(b, services, table, route);
    build_strip(b, table, route);
    route->rewrite = mg_config_text(b, table, "rewrite");
    route->timeout_ns = mg_config_ns(b, table, "timeout");
    struct mg_plan_step common = {.route = route->name,
                                  .service = mg_config_text(b, table, "service")};
    build_outermost(b, table, "steps", &common, &route->pipeline);
    common.in_on_error = true;
    build_outermost(b, table, "on_error", &common, &route->on_error);
}

/* --- the router --- */

static const struct mg_route_pair *read_pairs(struct mg_config_build *b, int match, const char *key,
                                              size_t *count)
{
    *count = mg_config_list(b, match, key);
    struct mg_route_pair *v = mg_arena_calloc(&b->gen->arena, *count * sizeof *v);
    for (size_t i = 0; i < *count; i++) {
        lua_rawgeti(b->L, -1, (lua_Integer)i + 1);
        int pair = lua_gettop(b->L);
        v[i].name = mg_config_text(b, pair, "name");
        v[i].value = MG_STR("*");
        if (lua_getfield(b->L, pair, "value") == LUA_TSTRING)
            v[i].value = mg_config_copy(b, -1);
        lua_settop(b->L, pair - 1);
    }
    lua_pop(b->L, 1);
    return v;
}

static struct mg_config_place route_place(struct mg_config_build *b, uint32_t index)
{
    const struct mg_plan_place *place = &b->plan->route_places[index];
    return (struct mg_config_place){.file = place->file,
                                    .line = (lua_Integer)place->line,
                                    .col = (lua_Integer)place->col,
                                    .path = place->path};
}

static bool add_to_router(struct mg_config_build *b, int table, const struct mg_route *route)
{
    struct mg_route_match m = {0};
    struct mg_error err;
    mg_config_list(b, table, "match");
    int match = lua_gettop(b->L);
    m.paths = mg_config_texts(b, match, "paths", &m.path_count);
    m.hosts = mg_config_texts(b, match, "hosts", &m.host_count);
    m.methods = mg_config_texts(b, match, "methods", &m.method_count);
    m.headers = read_pairs(b, match, "headers", &m.header_count);
    m.query = read_pairs(b, match, "query", &m.query_count);
    m.listener = mg_config_text(b, match, "listener");
    m.base_path = mg_config_text(b, b->config, "base_path");
    lua_pop(b->L, 1);
    if (mg_router_add(b->gen->router, &m, route, &err) == MG_OK)
        return true;
    struct mg_config_place place = route_place(b, route->index);
    mg_config_error(b, &place, "%s", err.text);
    return false;
}

/* The Lua side tells of routes that can never match as far as it sees, in a line of its own. */
static bool is_told(struct mg_config_build *b, const struct mg_config_place *place)
{
    struct mg_str rest = mg_buf_str(&b->report->warnings_text), line;
    struct mg_str at =
        place->line
            ? mg_arena_printf(&b->gen->arena, "%s:%lld:", place->file.p, (long long)place->line)
            : mg_arena_printf(&b->gen->arena, "%s: %s: ", place->file.p, place->path.p);
    while (mg_str_split(&rest, '\n', &line))
        if (mg_str_starts(line, at) && memmem(line.p, line.n, "can never match", 15))
            return true;
    return false;
}

static void tell_shadow(struct mg_config_build *b, const struct mg_route_shadow *shadow)
{
    const struct mg_route *route = shadow->route, *by = shadow->by;
    struct mg_config_place place = route_place(b, route->index);
    if (is_told(b, &place))
        return;
    struct mg_config_place first = route_place(b, by->index);
    mg_config_warning(b, &place, "'%.*s%.*s' can never match: '%.*s' (%.*s) comes first",
                      MG_STR_ARGS(shadow->host), MG_STR_ARGS(shadow->pattern),
                      MG_STR_ARGS(by->name), MG_STR_ARGS(first.path));
}

static void finish_router(struct mg_config_build *b)
{
    struct mg_shadows s = {.arena = &b->gen->arena};
    mg_router_finish(b->gen->router, mg_shadows_note, &s);
    for (size_t i = 0; i < s.count; i++)
        tell_shadow(b, &s.v[i]);
}

void mg_config_build_routes(struct mg_config_build *b)
{
    struct mg_generation *g = b->gen;
    g->route_count = mg_config_list(b, b->config, "routes");
    int routes = lua_gettop(b->L), services = routes + 1;
    bool ok = true;
    push_service_indices(b);
    g->routes = mg_arena_calloc(&g->arena, g->route_count * sizeof *g->routes);
    b->plan->step_count = count_steps(b, routes, g->route_count);
    b->plan->steps = mg_arena_calloc(&g->arena, b->plan->step_count * sizeof *b->plan->steps);
    b->plan->route_places =
        mg_arena_calloc(&g->arena, g->route_count * sizeof *b->plan->route_places);
    g->router = mg_router_new();
    for (uint32_t i = 0; i < g->route_count && ok; i++) {
        lua_rawgeti(b->L, routes, (lua_Integer)i + 1);
        g->routes[i].index = i;
        build_route(b, services, services + 1, &g->routes[i]);
        ok = add_to_router(b, services + 1, &g->routes[i]);
        lua_pop(b->L, 1);
    }
    build_outermost(b, b->config, "fallback", &(struct mg_plan_step){0}, &g->fallback);
    if (ok)
        finish_router(b);
    lua_pop(b->L, 2);
}
