/* The steps that a request would go through, and what they need of bodies. */
#include <lauxlib.h>

#include "base/json_out.h"
#include "gateway/compress.h"
#include "script/context.h"
#include "script/explain.h"
#include "script/plan.h"
#include "script/sandbox.h"
#include "script/task.h"

#define CONDITION "moongate.tool.condition"

/* What is known of a step's `when`. */
enum answer { ALWAYS, HOLDS, HOLDS_NOT, UNKNOWN };

struct telling {
    struct mg_buf *out;
    struct mg_look *look;
    const struct mg_plan *plan;
    struct mg_instances *all;
    enum answer *answers; /* by place in the pipeline */
};

static const struct mg_plan_step *planned(const struct telling *t, const struct mg_step *step)
{
    return &t->plan->steps[step->index];
}

static const struct mg_instance *instance(const struct telling *t, const struct mg_step *step)
{
    return &t->all->v[step->index];
}

/* --- conditions --- */

/* (telling, step): asks the condition, and writes what it says. */
static int l_ask(lua_State *L)
{
    struct telling *t = lua_touserdata(L, 1);
    const struct mg_step *step = lua_touserdata(L, 2);
    struct mg_exchange *ex = t->look->ex;
    if (mg_sandbox_require(L, CONDITION) != MG_OK)
        return lua_error(L);
    lua_getfield(L, -1, "ask");
    if (mg_sandbox_load_expression(L, planned(t, step)->when, "=when", 0) != MG_OK)
        return lua_error(L);
    mg_handle_push(L, mg_context_of(ex), MG_HANDLE_REQUEST, &ex->req);
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->all->module);
    if (mg_task_call(L, 3, 3) != MG_OK)
        return lua_error(L);
    return 3;
}

static void add_answer(struct telling *t, lua_State *L, int first)
{
    struct mg_str why = MG_STR_NONE;
    if (lua_isstring(L, first + 2))
        why.p = lua_tolstring(L, first + 2, &why.n);
    mg_json_out_name(t->out, "holds");
    mg_buf_add_c(t->out, lua_isnil(L, first) ? "null" : lua_toboolean(L, first) ? "true" : "false");
    mg_json_out_begin(t->out, "reads", '[');
    for (lua_Integer i = 1; lua_istable(L, first + 1); i++) {
        if (lua_rawgeti(L, first + 1, i) != LUA_TSTRING)
            break;
        mg_json_out_text(t->out, NULL, mg_str_c(lua_tostring(L, -1)));
        lua_pop(L, 1);
    }
    mg_buf_add_char(t->out, ']');
    mg_json_out_text_or_null(t->out, "why", why);
}

static enum answer answer_at(lua_State *L, int index)
{
    if (lua_isnil(L, index))
        return UNKNOWN;
    return lua_toboolean(L, index) ? HOLDS : HOLDS_NOT;
}

/* Conditions that the gateway answers without Lua (gateway/condition.h) have Lua's meaning, and
 * only Lua tells what they look at. */
static enum answer ask(struct telling *t, const struct mg_step *step)
{
    lua_State *L = t->all->script->L;
    int top = lua_gettop(L);
    lua_pushcfunction(L, l_ask);
    lua_pushlightuserdata(L, t);
    lua_pushlightuserdata(L, (void *)step);
    if (lua_pcall(L, 2, 3, 0) != LUA_OK) {
        lua_pushnil(L);
        lua_insert(L, top + 1);
        lua_newtable(L);
        lua_insert(L, top + 2);
    }
    enum answer answer = answer_at(L, top + 1);
    add_answer(t, L, top + 1);
    lua_settop(L, top);
    return answer;
}

static enum answer add_when(struct telling *t, const struct mg_step *step)
{
    const struct mg_plan_step *p = planned(t, step);
    if (p->when.n == 0) {
        mg_json_out_null(t->out, "when");
        return ALWAYS;
    }
    mg_json_out_begin(t->out, "when", '{');
    mg_json_out_text(t->out, "expression", p->when);
    enum answer answer = ask(t, step);
    mg_buf_add_char(t->out, '}');
    return answer;
}

/* --- one step --- */

static const char *const kinds[] = {[MG_PLAN_POLICY] = "lua",
                                    [MG_PLAN_LUA] = "inline",
                                    [MG_PLAN_FUNCTION] = "function",
                                    [MG_PLAN_NATIVE] = "native"};

static bool is_pipeline_path(struct mg_str path, struct mg_str *name)
{
    ptrdiff_t end;
    if (!mg_str_starts(path, MG_STR("pipelines.")))
        return false;
    *name = mg_str(path.p + 10, path.n - 10);
    end = mg_str_find(*name, '[');
    if (end > 0)
        name->n = (size_t)end;
    return true;
}

/* Which list of the config it stands in. */
static void add_origin(struct mg_buf *out, const struct mg_step *step, const struct mg_plan_step *p)
{
    struct mg_str pipeline = MG_STR_NONE, via = p->via.n ? p->via : step->path;
    bool of_file = mg_str_starts(via, MG_STR("policies"));
    is_pipeline_path(step->path, &pipeline);
    mg_json_out_text(out, "from", of_file ? MG_STR("file") : MG_STR("route"));
    mg_json_out_text_or_null(out, "pipeline", pipeline);
    mg_json_out_text(out, "path", step->path);
    mg_json_out_text_or_null(out, "via", p->via);
    mg_json_out_text(out, "file", p->file);
    mg_json_out_integer(out, "line", p->at_line);
    mg_json_out_integer(out, "col", p->at_col);
}

static bool is_built(const struct mg_instance *i)
{
    return i->request != LUA_NOREF || i->response != LUA_NOREF || i->finish != LUA_NOREF ||
           i->around != LUA_NOREF;
}

static void add_lua_phases(struct mg_buf *out, const struct mg_instance *i)
{
    const struct {
        int function;
        const char *name;
    } phases[] = {{i->request, "request"},
                  {i->around, "around"},
                  {i->response, "response"},
                  {i->finish, "finish"}};
    for (size_t n = 0; n < sizeof phases / sizeof phases[0]; n++)
        if (phases[n].function != LUA_NOREF)
            mg_json_out_text(out, NULL, mg_str_c(phases[n].name));
}

static void add_native_phases(struct mg_buf *out, const struct mg_step_ops *ops)
{
    if (ops->request)
        mg_json_out_text(out, NULL, MG_STR("request"));
    if (ops->response)
        mg_json_out_text(out, NULL, MG_STR("response"));
    if (ops->finish)
        mg_json_out_text(out, NULL, MG_STR("finish"));
}

/* Null where nobody can tell: its policy needs a secret that is not there. */
static void add_phases(const struct telling *t, const struct mg_step *step)
{
    const struct mg_plan_step *p = planned(t, step);
    if (p->kind != MG_PLAN_NATIVE && !is_built(instance(t, step))) {
        mg_json_out_null(t->out, "phases");
        return;
    }
    mg_json_out_begin(t->out, "phases", '[');
    if (p->kind == MG_PLAN_NATIVE)
        add_native_phases(t->out, step->ops);
    else
        add_lua_phases(t->out, instance(t, step));
    mg_buf_add_char(t->out, ']');
}

static void add_steps(struct telling *t, const struct mg_pipeline *p);

static void add_step(struct telling *t, const struct mg_step *step)
{
    const struct mg_plan_step *p = planned(t, step);
    mg_json_out_begin(t->out, NULL, '{');
    mg_json_out_text(t->out, "id", step->id);
    mg_json_out_text(t->out, "policy", step->policy);
    mg_json_out_text(t->out, "kind", mg_str_c(kinds[p->kind]));
    add_origin(t->out, step, p);
    add_phases(t, step);
    t->answers[step->place] = add_when(t, step);
    mg_json_out_text(t->out, "on_error",
                     step->on_error_continue ? MG_STR("continue") : MG_STR("fail"));
    mg_json_out_begin(t->out, "inner", '[');
    for (uint32_t i = 0; i < step->inner_count; i++) {
        mg_json_out_begin(t->out, NULL, '[');
        add_steps(t, &step->inner[i]);
        mg_buf_add_char(t->out, ']');
    }
    mg_buf_add_c(t->out, "]}");
}

static void add_steps(struct telling *t, const struct mg_pipeline *p)
{
    for (uint32_t i = 0; i < p->count; i++)
        add_step(t, &p->steps[i]);
}

/* --- bodies --- */

/* What a step does with the body of one side. */
struct body_use {
    bool buffers, reads, decodes, encodes;
    bool may_read; /* it says nothing, so it may */
};

static struct body_use use_of(const struct telling *t, const struct mg_step *step, bool request)
{
    struct body_use u = {.buffers = request ? step->buffer_request : step->buffer_response,
                         .reads = request ? step->reads_request : step->reads_response};
    bool native = planned(t, step)->kind == MG_PLAN_NATIVE;
    const struct mg_decompress *d =
        step->ops->request == mg_decompress_request ? step->options : NULL;
    u.decodes = u.reads || (d && (request ? d->request : d->response));
    u.encodes = !request && step->ops->enter == mg_compress_enter;
    u.may_read = !native && !step->declares_bodies;
    return u;
}

static void add_users(const struct telling *t, const struct mg_pipeline *p, bool request,
                      const char *name, bool (*counts)(const struct body_use *use))
{
    mg_json_out_begin(t->out, name, '[');
    for (uint32_t i = 0; i < p->all_count; i++) {
        struct body_use use = use_of(t, p->all[i], request);
        if (t->answers[i] != HOLDS_NOT && counts(&use))
            mg_json_out_text(t->out, NULL, p->all[i]->id);
    }
    mg_buf_add_char(t->out, ']');
}

static bool buffers(const struct body_use *use)
{
    return use->buffers;
}

static bool streams(const struct body_use *use)
{
    return use->reads && !use->buffers;
}

static bool decodes(const struct body_use *use)
{
    return use->decodes;
}

static bool encodes(const struct body_use *use)
{
    return use->encodes;
}

static bool may_read(const struct body_use *use)
{
    return use->may_read;
}

static void add_side(const struct telling *t, const struct mg_pipeline *p, bool request)
{
    mg_json_out_begin(t->out, request ? "request" : "response", '{');
    add_users(t, p, request, "buffered_by", buffers);
    add_users(t, p, request, "streamed_by", streams);
    add_users(t, p, request, "decoded_by", decodes);
    add_users(t, p, request, "encoded_by", encodes);
    add_users(t, p, request, "may_be_read_by", may_read);
    mg_buf_add_char(t->out, '}');
}

/* --- all of it --- */

static bool needs_lua(const struct mg_plan_step *p)
{
    return p->when.n && !p->condition;
}

static bool enters_lua(const struct telling *t, const struct mg_pipeline *p)
{
    for (uint32_t i = 0; i < p->all_count; i++)
        if (planned(t, p->all[i])->kind != MG_PLAN_NATIVE || needs_lua(planned(t, p->all[i])))
            return true;
    return false;
}

void mg_explain_steps(struct mg_buf *out, struct mg_look *look, const struct mg_pipeline *pipeline)
{
    struct telling t = {
        .out = out,
        .look = look,
        .plan = look->ex->wg->gen->script,
        .all = look->ex->wg->script,
        .answers = mg_arena_calloc(&look->in.arena, pipeline->all_count * sizeof(enum answer)),
    };
    mg_json_out_begin(out, "steps", '[');
    add_steps(&t, pipeline);
    mg_buf_add_char(out, ']');
    mg_json_out_flag(out, "lua", enters_lua(&t, pipeline));
    mg_json_out_begin(out, "bodies", '{');
    add_side(&t, pipeline, true);
    add_side(&t, pipeline, false);
    mg_buf_add_char(out, '}');
}
