/*
 * Loading a config: the control state, what the Lua side may ask for, and what it said. Control
 * thread.
 *
 * The state lives only for the call, or until the config is shown. What the workers need of it is
 * in the generation.
 */
#include "script/config.h"

#include <glob.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/log.h"
#include "base/regex.h"
#include "script/config_build.h"
#include "script/module.h"
#include "script/policies.h"
#include "script/sandbox.h"
#include "script/task.h"
#include "script/trial.h"
#include "script/yaml.h"

#define SHOWN_MAX ((size_t)64 << 20)

struct load {
    struct mg_config_source source;
    struct mg_str text; /* of the main file */
    struct mg_config_report report;
    struct mg_generation *gen;
    int checked; /* reference of the checked table; LUA_NOREF: it is needed no more */
};

/* --- what the Lua side may ask for --- */

/* The main file's folder with its slash; "" for the working directory. */
static struct mg_str folder_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    return mg_str(file, slash ? (size_t)(slash - file) + 1 : 0);
}

static struct mg_str folder(lua_State *L)
{
    const struct mg_config_source *source = lua_touserdata(L, lua_upvalueindex(1));
    return folder_of(source->file);
}

/* Pushes the path at index 1 below the main file's folder. */
static const char *push_path(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct mg_str dir = folder(L);
    lua_pushlstring(L, dir.p, *path == '/' ? 0 : dir.n);
    lua_pushvalue(L, 1);
    lua_concat(L, 2);
    return lua_tostring(L, -1);
}

static int give_failure(lua_State *L, const char *why)
{
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
}

/* read(path) -> text | nil, why */
static int l_read(lua_State *L)
{
    struct mg_buf text;
    struct mg_error err;
    const struct mg_config_source *source = lua_touserdata(L, lua_upvalueindex(1));
    const char *path = push_path(L);
    mg_config_files_add(source->files, mg_str_c(path));
    mg_buf_init(&text, MG_CONFIG_FILE_MAX);
    enum mg_rc rc = mg_file_read(path, &text, &err);
    if (rc == MG_OK)
        lua_pushlstring(L, text.p, text.n);
    mg_buf_release(&text);
    if (rc == MG_OK)
        return 1;
    size_t known = strlen(path) + 2; /* the caller's message begins with the path itself */
    return give_failure(L, strlen(err.text) > known ? err.text + known : err.text);
}

/* Puts a backslash before what glob(3) would take for more than itself. */
static void add_escaped(luaL_Buffer *b, struct mg_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (strchr("*?[\\", s.p[i]))
            luaL_addchar(b, '\\');
        luaL_addchar(b, s.p[i]);
    }
}

/* glob(pattern) -> list of paths, sorted, in the form of the pattern | nil, why */
static int l_glob(lua_State *L)
{
    const struct mg_config_source *source = lua_touserdata(L, lua_upvalueindex(1));
    const char *pattern = luaL_checkstring(L, 1);
    struct mg_str dir = *pattern == '/' ? MG_STR_NONE : folder(L);
    luaL_Buffer b;
    glob_t found;
    luaL_buffinit(L, &b);
    add_escaped(&b, dir);
    luaL_addstring(&b, pattern);
    luaL_pushresult(&b);
    mg_config_files_add_pattern(source->files, lua_tostring(L, -1));
    int rc = glob(lua_tostring(L, -1), 0, NULL, &found);
    if (rc != 0 && rc != GLOB_NOMATCH)
        return give_failure(L, rc == GLOB_NOSPACE ? "out of memory" : "a folder cannot be read");
    size_t count = rc == 0 ? found.gl_pathc : 0;
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushstring(L, found.gl_pathv[i] + dir.n);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    globfree(&found);
    return 1;
}

/* getenv(name) -> string | nil */
static int l_getenv(lua_State *L)
{
    lua_pushstring(L, getenv(luaL_checkstring(L, 1)));
    return 1;
}

/* policy(name) -> module, file, whether a built-in has that name | nil | nil, why */
static int l_policy(lua_State *L)
{
    struct mg_str name;
    struct mg_error err;
    name.p = luaL_checklstring(L, 1, &name.n);
    enum mg_rc rc = mg_policies_load(L, name, &err);
    if (rc == MG_OK) {
        mg_policies_push_file(L, name);
        lua_pushboolean(L, mg_policies_is_built_in(name));
        return 3;
    }
    if (rc != MG_EOF)
        return give_failure(L, err.text);
    lua_pushnil(L);
    return 1;
}

/* policy_names() -> list */
static int l_policy_names(lua_State *L)
{
    mg_policies_names(L);
    return 1;
}

/* regex(text) -> true | nil, why */
static int l_regex(lua_State *L)
{
    struct mg_str text;
    struct mg_error err;
    text.p = luaL_checklstring(L, 1, &text.n);
    struct mg_regex *regex = mg_regex_new(text, 0, NULL, &err);
    if (!regex)
        return give_failure(L, err.text);
    mg_regex_free(regex);
    lua_pushboolean(L, true);
    return 1;
}

/* policy_paths(paths): where policies are looked up from now on. It is what the config says, before
 * anybody has checked it: a text, or a list with texts in it. */
static int l_policy_paths(lua_State *L)
{
    const struct mg_config_source *source = lua_touserdata(L, lua_upvalueindex(1));
    struct mg_str dir = folder(L);
    size_t count = 0;
    lua_settop(L, 1);
    if (!lua_istable(L, 1)) {
        lua_createtable(L, 1, 0);
        lua_insert(L, 1);
        lua_rawseti(L, 1, 1);
    }
    size_t n = lua_rawlen(L, 1);
    struct mg_str *paths = lua_newuserdatauv(L, (n + 1) * sizeof *paths, 0);
    lua_newtable(L); /* keeps the texts alive */
    for (size_t i = 1; i <= n; i++) {
        if (lua_rawgeti(L, 1, (lua_Integer)i) != LUA_TSTRING) {
            lua_pop(L, 1);
            continue;
        }
        lua_pushlstring(L, dir.p, *lua_tostring(L, -1) == '/' ? 0 : dir.n);
        lua_insert(L, -2);
        lua_concat(L, 2);
        paths[count].p = lua_tolstring(L, -1, &paths[count].n);
        mg_config_files_add_folder(source->files, paths[count]);
        lua_rawseti(L, -2, (lua_Integer)++count);
    }
    mg_policies_set_paths(L, paths, count);
    return 0;
}

static void push_options(lua_State *L, const struct mg_config_source *source)
{
    static const luaL_Reg functions[] = {
        {"read", l_read},
        {"glob", l_glob},
        {"getenv", l_getenv},
        {"policy", l_policy},
        {"policy_names", l_policy_names},
        {"policy_paths", l_policy_paths},
        {"regex", l_regex},
        {NULL, NULL},
    };
    luaL_newlibtable(L, functions);
    lua_pushlightuserdata(L, (void *)source);
    luaL_setfuncs(L, functions, 1);
    lua_pushboolean(L, source->dev);
    lua_setfield(L, -2, "dev");
    lua_pushboolean(L, source->notes);
    lua_setfield(L, -2, "notes");
    lua_pushboolean(L, source->admin_only);
    lua_setfield(L, -2, "admin_only");
}

/* --- the state --- */

/* What has gone wrong that is no fault of the config's text. */
static void fail(struct load *load, const char *what)
{
    mg_buf_printf(&load->report.errors_text, "%s: %s\n", load->source.file, what);
    load->report.errors++;
}

static void require(lua_State *L, const char *module)
{
    if (mg_sandbox_require(L, module) != MG_OK)
        lua_error(L);
}

/* Calls the function below its arguments; what it raises goes on to the caller's caller. */
static void call(lua_State *L, int nargs, int nresults)
{
    if (mg_task_call(L, nargs, nresults) != MG_OK)
        lua_error(L);
}

void mg_config_check(lua_State *L, int value, const struct mg_config_source *source,
                     lua_CFunction policy)
{
    value = lua_absindex(L, value);
    push_options(L, source);
    int options = lua_gettop(L);
    if (policy) {
        lua_pushcfunction(L, policy);
        lua_setfield(L, options, "policy");
    }
    require(L, "moongate.config");
    lua_getfield(L, -1, "load");
    lua_pushvalue(L, value);
    lua_pushstring(L, source->file);
    lua_pushvalue(L, options);
    call(L, 3, 4);
    lua_remove(L, options);
}

/* Renders the list of errors on top and pops it; `config` is the module. */
static void render(lua_State *L, int config, struct mg_buf *out, unsigned *count)
{
    size_t n;
    *count += (unsigned)lua_rawlen(L, -1);
    lua_getfield(L, config, "render");
    lua_insert(L, -2);
    call(L, 1, 1);
    const char *text = luaL_checklstring(L, -1, &n);
    mg_buf_add(out, text, n);
    lua_pop(L, 1);
}

/* Cuts "FILE:12: " off the front of the message; false when it does not begin so. */
static bool take_position(struct mg_str *message, struct mg_str file, lua_Integer *line)
{
    uint64_t number;
    if (!mg_str_starts(*message, file) || message->n == file.n || message->p[file.n] != ':')
        return false;
    struct mg_str rest = mg_str(message->p + file.n + 1, message->n - file.n - 1), digits;
    if (!mg_str_split(&rest, ':', &digits) || !mg_str_to_u64(digits, INT32_MAX, &number))
        return false;
    *line = (lua_Integer)number;
    *message = mg_str_trim(rest);
    return true;
}

/* Puts the word before each message of the list on top. */
static void mark(lua_State *L, const char *word)
{
    lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, i);
        lua_pushstring(L, word);
        lua_getfield(L, -2, "message");
        lua_concat(L, 2);
        lua_setfield(L, -2, "message");
        lua_pop(L, 1);
    }
}

/* Steps of a pipeline and of the file are built once for each route, and fail as often: takes back
 * what was added at `from` when it stands there already. */
static void forget_repeated(struct mg_config_report *r, size_t from)
{
    struct mg_buf *all = &r->errors_text;
    if (!memmem(all->p, from, all->p + from, all->n - from))
        return;
    all->n = from;
    r->errors--;
}

/* A step that cannot be built. What inline text raises names a line of the config: that is where to
 * look. */
static void on_fault(void *arg, const struct mg_plan_step *step, struct mg_str message)
{
    struct load *load = arg;
    struct mg_config_place place = {.path = MG_STR_NONE};
    char path[512];
    if (step) {
        int n = snprintf(path, sizeof path, "%s.%s", step->step->path.p, step->step->policy.p);
        place.file = step->file;
        place.line = step->at_line;
        place.col = step->at_col;
        place.path = mg_str(path, (size_t)n < sizeof path ? (size_t)n : sizeof path - 1);
        if (step->kind == MG_PLAN_LUA && take_position(&message, step->file, &place.line))
            place.col = 0;
    }
    size_t before = load->report.errors_text.n;
    mg_config_report_error(&load->report, &load->source, &place, message);
    forget_repeated(&load->report, before);
}

/* Whether workers will be able to build its steps. */
static void try_generation(struct load *load)
{
    if (!load->gen)
        return;
    mg_trial_run(load->gen, on_fault, load);
    if (load->report.errors == 0)
        return;
    mg_generation_unref(load->gen);
    load->gen = NULL;
}

static int run_load(lua_State *L)
{
    struct load *load = lua_touserdata(L, 1);
    lua_pushlstring(L, load->text.p, load->text.n);
    int config = lua_gettop(L) + 1;
    unsigned notes = 0;
    mg_config_check(L, -1, &load->source, NULL);
    mark(L, "note: ");
    render(L, config, &load->report.notes_text, &notes);
    mark(L, "warning: ");
    render(L, config, &load->report.warnings_text, &load->report.warnings);
    if (!lua_toboolean(L, -2)) {
        render(L, config, &load->report.errors_text, &load->report.errors);
        return 0;
    }
    load->gen = mg_config_build(L, -2, &load->source, &load->report);
    if (load->gen && load->source.show_later && !load->gen->shown.n) {
        lua_pushvalue(L, -2);
        load->checked = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    return 0;
}

static void preload(lua_State *L, int (*open)(lua_State *L), const char *name)
{
    open(L);
    mg_sandbox_preload(L, name);
}

static int open_module(lua_State *L)
{
    mg_lua_module_open(L);
    return 1;
}

int mg_config_open(lua_State *L)
{
    preload(L, open_module, "moongate");
    preload(L, mg_yaml_open, "moongate.yaml");
    return 0;
}

static void run_protected(lua_State *L, lua_CFunction fn, struct load *load)
{
    if (load->report.errors)
        return;
    lua_pushcfunction(L, fn);
    lua_pushlightuserdata(L, load);
    if (lua_pcall(L, 1, 0, 0) == LUA_OK)
        return;
    const char *text = lua_tostring(L, -1);
    fail(load, text ? text : "cannot be loaded");
}

/* --- what is shown later --- */

/* What that takes; in the generation's arena. */
struct showing {
    struct mg_script *script; /* NULL: it is done */
    int checked;
    struct mg_generation *gen;
    struct mg_buf scratch;
};

static void forget_checked(void *arg)
{
    struct showing *s = arg;
    mg_script_free(s->script);
    s->script = NULL;
}

static int run_show(lua_State *L)
{
    struct showing *s = lua_touserdata(L, 1);
    struct mg_error err;
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->checked);
    if (mg_config_show(L, lua_gettop(L), s->gen, &s->scratch, &err) != MG_OK)
        return luaL_error(L, "%s", err.text);
    return 0;
}

static void show(struct mg_generation *gen)
{
    struct showing *s = gen->show_arg;
    lua_State *L = s->script->L;
    mg_buf_init(&s->scratch, SHOWN_MAX);
    lua_pushcfunction(L, run_show);
    lua_pushlightuserdata(L, s);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        const char *why = lua_tostring(L, -1);
        mg_log_warn("the config cannot be shown", MG_LOG_C("error", why ? why : "unknown"));
    }
    mg_buf_release(&s->scratch);
    forget_checked(s);
}

/* Takes the state. */
static void show_later(struct load *load, struct mg_script *script)
{
    struct mg_generation *gen = load->gen;
    struct showing *s = mg_arena_calloc(&gen->arena, sizeof *s);
    *s = (struct showing){.script = script, .checked = load->checked, .gen = gen};
    mg_arena_on_release(&gen->arena, forget_checked, s);
    gen->show_arg = s;
    gen->show = show;
}

/* --- the whole --- */

static void load_text(struct load *load)
{
    struct mg_script *script =
        mg_script_new(&(struct mg_script_options){.run_ns = MG_SCRIPT_LOAD_RUN_NS});
    if (!script) {
        fail(load, "no memory for a Lua state");
        return;
    }
    run_protected(script->L, mg_config_open, load);
    run_protected(script->L, run_load, load);
    if (load->checked == LUA_NOREF)
        mg_script_free(script);
    else
        show_later(load, script);
    try_generation(load);
}

static void load_file(struct load *load)
{
    struct mg_buf text;
    struct mg_error err;
    mg_buf_init(&text, MG_CONFIG_FILE_MAX);
    mg_config_files_add(load->source.files, mg_str_c(load->source.file));
    if (mg_file_read(load->source.file, &text, &err) == MG_OK) {
        load->text = mg_buf_str(&text);
        load->source.text = &load->text;
        load_text(load);
    } else {
        mg_buf_printf(&load->report.errors_text, "%s\n", err.text);
        load->report.errors++;
    }
    mg_buf_release(&text);
}

struct mg_generation *mg_config_load(const struct mg_config_source *source,
                                     struct mg_buf *diagnostics, unsigned *errors,
                                     unsigned *warnings)
{
    struct load load = {.source = *source, .checked = LUA_NOREF};
    struct mg_config_report *r = &load.report;
    mg_config_report_init(r);
    if (source->text) {
        load.text = *source->text;
        load_text(&load);
    } else {
        load_file(&load);
    }
    mg_buf_add_str(diagnostics, mg_buf_str(r->errors ? &r->errors_text : &r->warnings_text));
    if (!r->errors)
        mg_buf_add_str(diagnostics, mg_buf_str(&r->notes_text));
    if (errors)
        *errors = r->errors;
    if (warnings)
        *warnings = r->errors ? 0 : r->warnings;
    mg_config_report_release(r);
    return load.gen;
}
