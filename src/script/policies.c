/*
 * Policy modules of one state. Modules and paths are kept in its registry. Its thread.
 */
#include "script/policies.h"

#include <dirent.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "script/embedded.h"
#include "script/sandbox.h"
#include "script/table.h"
#include "script/task.h"

#define FILE_MAX ((size_t)4 << 20)
#define MODULE_PREFIX "moongate.policies."

static const char modules_key, files_key, paths_key; /* their addresses are keys in the registry */

/* --- names --- */

static bool is_name(struct mg_str s)
{
    if (s.n == 0 || s.n > MG_POLICIES_NAME_MAX || s.p[0] == '-')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return false;
    }
    return true;
}

/* "x.lua", or "x/x.lua" when `nested`, below a folder. False when that is too long for a path. */
static bool file_name(char *out, size_t room, const char *folder, struct mg_str name, bool nested)
{
    int n = nested ? snprintf(out, room, "%s/%.*s/%.*s.lua", folder, MG_STR_ARGS(name),
                              MG_STR_ARGS(name))
                   : snprintf(out, room, "%s/%.*s.lua", folder, MG_STR_ARGS(name));
    return n > 0 && (size_t)n < room;
}

static int compare_embedded(const void *name, const void *file)
{
    return strcmp(name, ((const struct mg_embedded_file *)file)->name);
}

static const struct mg_embedded_file *find_built_in(struct mg_str name)
{
    char path[2 * MG_POLICIES_NAME_MAX + 32];
    for (int nested = 0; nested < 2; nested++) {
        const struct mg_embedded_file *f = NULL;
        if (file_name(path, sizeof path, "policies", name, nested))
            f = bsearch(path, mg_embedded_files, mg_embedded_file_count, sizeof *f,
                        compare_embedded);
        if (f)
            return f;
    }
    return NULL;
}

/* --- loading --- */

/* Takes the error text off the stack; its traceback is no help to whoever wrote the config. */
static enum mg_rc fail(lua_State *L, struct mg_error *err)
{
    const char *text = lua_tostring(L, -1);
    const char *traceback = text ? strstr(text, "\nstack traceback:") : NULL;
    if (traceback)
        mg_error_set(err, "%.*s", (int)(traceback - text), text);
    else
        mg_error_set(err, "%s", text ? text : "it raised a value that is no text");
    lua_pop(L, 1);
    return MG_FAIL;
}

/* Pushes what the function on top returns, or, when there is none, fails with the text there. */
static enum mg_rc run(lua_State *L, enum mg_rc loaded, const char *path, struct mg_error *err)
{
    if (loaded == MG_OK && mg_task_call(L, 0, 1) == MG_OK)
        return MG_OK;
    fail(L, err);
    /* An error value that is no text says nothing of its place. */
    return strstr(err->text, path) ? MG_FAIL : mg_error_prefix(err, "%s", path);
}

static bool raw_field(lua_State *L, const char *name)
{
    lua_pushstring(L, name);
    lua_rawget(L, -2);
    return !lua_isnil(L, -1);
}

/* Pushes the table under that key. */
static void push_table(lua_State *L, const void *key)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

static void note_file(lua_State *L, struct mg_str name, const char *where)
{
    push_table(L, &files_key);
    lua_pushlstring(L, name.p, name.n);
    lua_pushstring(L, where);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

/* Looks at the module on top; pops it when it is none. */
static enum mg_rc check_module(lua_State *L, struct mg_str name, const char *where,
                               struct mg_error *err)
{
    if (!lua_istable(L, -1)) {
        mg_error_set(err, "%s: must return a table, returned %s", where, luaL_typename(L, -1));
        lua_pop(L, 1);
        return MG_FAIL;
    }
    bool there = raw_field(L, "name");
    const char *own = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    bool same = own && mg_str_eq(mg_str_c(own), name);
    if (!there)
        mg_error_set(err, "%s: has no name, must have name = \"%.*s\"", where, MG_STR_ARGS(name));
    else if (!same)
        mg_error_set(err, "%s: is called '%s', its file '%.*s'", where, own ? own : "?",
                     MG_STR_ARGS(name));
    lua_pop(L, same ? 1 : 2);
    if (!same)
        return MG_FAIL;
    note_file(L, name, where);
    return MG_OK;
}

/* A file of the user's that stands where a built-in would be found. */
static enum mg_rc check_hiding(lua_State *L, const struct mg_embedded_file *hidden,
                               struct mg_str text, const char *path, struct mg_error *err)
{
    if (!hidden || mg_str_eq(text, mg_str(hidden->data, hidden->size)))
        return MG_OK;
    raw_field(L, "replace");
    bool meant = lua_isboolean(L, -1) && lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (meant)
        return MG_OK;
    lua_pop(L, 1);
    return mg_error_set(err,
                        "%s: hides the built-in policy of that name; if that is meant, say "
                        "replace = true in it",
                        path);
}

static enum mg_rc load_text(lua_State *L, struct mg_str text, const char *path)
{
    char chunk_name[PATH_MAX + 1];
    snprintf(chunk_name, sizeof chunk_name, "@%s", path);
    return mg_sandbox_load(L, text, chunk_name);
}

static enum mg_rc load_own_file(lua_State *L, const char *path, struct mg_str name,
                                struct mg_error *err)
{
    struct mg_buf text;
    mg_buf_init(&text, FILE_MAX);
    /* A file that cannot be read is a failure: another one must not stand in for it unnoticed. */
    enum mg_rc rc = mg_file_read(path, &text, err);
    if (rc == MG_OK)
        rc = run(L, load_text(L, mg_buf_str(&text), path), path, err);
    if (rc == MG_OK)
        rc = check_module(L, name, path, err);
    if (rc == MG_OK)
        rc = check_hiding(L, find_built_in(name), mg_buf_str(&text), path, err);
    mg_buf_release(&text);
    return rc;
}

static enum mg_rc load_own(lua_State *L, struct mg_str name, struct mg_error *err)
{
    char path[PATH_MAX];
    enum mg_rc rc = MG_EOF;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &paths_key);
    int paths = lua_gettop(L);
    lua_Integer count = lua_istable(L, paths) ? (lua_Integer)lua_rawlen(L, paths) : 0;
    for (lua_Integer i = 1; i <= count && rc == MG_EOF; i++) {
        lua_rawgeti(L, paths, i);
        for (int nested = 0; nested < 2 && rc == MG_EOF; nested++)
            if (file_name(path, sizeof path, lua_tostring(L, paths + 1), name, nested))
                rc = load_own_file(L, path, name, err);
        lua_remove(L, paths + 1);
    }
    lua_remove(L, paths);
    return rc;
}

static enum mg_rc load_built_in(lua_State *L, struct mg_str name, struct mg_error *err)
{
    const struct mg_embedded_file *f = find_built_in(name);
    if (!f)
        return MG_EOF;
    enum mg_rc rc = run(L, mg_sandbox_load_embedded(L, f), f->name, err);
    return rc == MG_OK ? check_module(L, name, f->name, err) : rc;
}

static enum mg_rc load_installed(lua_State *L, struct mg_str name, struct mg_error *err)
{
    char module[MG_POLICIES_NAME_MAX + sizeof MODULE_PREFIX];
    char missing[sizeof module + 32];
    snprintf(module, sizeof module, MODULE_PREFIX "%.*s", MG_STR_ARGS(name));
    if (mg_sandbox_require(L, module) == MG_OK)
        return check_module(L, name, module, err);
    snprintf(missing, sizeof missing, "module '%s' not found", module);
    const char *text = lua_tostring(L, -1);
    if (!text || !strstr(text, missing))
        return fail(L, err);
    lua_pop(L, 1);
    return MG_EOF;
}

static enum mg_rc load_new(lua_State *L, struct mg_str name, struct mg_error *err)
{
    enum mg_rc rc = load_own(L, name, err);
    if (rc == MG_EOF)
        rc = load_built_in(L, name, err);
    if (rc == MG_EOF)
        rc = load_installed(L, name, err);
    return rc;
}

static enum mg_rc unknown(struct mg_str name, struct mg_error *err)
{
    mg_error_set(err, "unknown policy '%.*s'", MG_STR_ARGS(name));
    return MG_EOF;
}

enum mg_rc mg_policies_load(lua_State *L, struct mg_str name, struct mg_error *err)
{
    luaL_checkstack(L, 8, "policies");
    if (!is_name(name))
        return unknown(name, err);
    push_table(L, &modules_key);
    lua_pushlstring(L, name.p, name.n);
    if (lua_rawget(L, -2) == LUA_TNIL) {
        lua_pop(L, 1);
        enum mg_rc rc = load_new(L, name, err);
        if (rc != MG_OK) {
            lua_pop(L, 1);
            return rc == MG_EOF ? unknown(name, err) : rc;
        }
        lua_pushlstring(L, name.p, name.n);
        lua_pushvalue(L, -2);
        lua_rawset(L, -4);
    }
    lua_remove(L, -2);
    return MG_OK;
}

bool mg_policies_is_built_in(struct mg_str name)
{
    return find_built_in(name) != NULL;
}

void mg_policies_push_file(lua_State *L, struct mg_str name)
{
    luaL_checkstack(L, 4, "policies");
    push_table(L, &files_key);
    lua_pushlstring(L, name.p, name.n);
    lua_rawget(L, -2);
    lua_remove(L, -2);
}

void mg_policies_set_paths(lua_State *L, const struct mg_str *paths, size_t count)
{
    luaL_checkstack(L, 4, "policies");
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushlstring(L, paths[i].p, paths[i].n);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_rawsetp(L, LUA_REGISTRYINDEX, &paths_key);
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &modules_key);
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &files_key);
    mg_sandbox_set_paths(
        L, &(struct mg_sandbox_paths){.paths = paths, .count = count, .allow_c = true});
}

/* --- names --- */

/* Adds `name` as a key to the set at the top of the stack, if it is one of a policy. */
static void add_name(lua_State *L, struct mg_str name)
{
    if (!is_name(name))
        return;
    lua_pushlstring(L, name.p, name.n);
    lua_pushboolean(L, true);
    lua_rawset(L, -3);
}

static void add_own(lua_State *L, const char *folder)
{
    char path[PATH_MAX];
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        struct mg_str name = mg_str_c(entry->d_name);
        if (mg_str_ends(name, MG_STR(".lua")))
            add_name(L, mg_str(name.p, name.n - 4));
        else if (is_name(name) && file_name(path, sizeof path, folder, name, true) &&
                 access(path, F_OK) == 0)
            add_name(L, name);
    }
    if (dir)
        closedir(dir);
}

static void add_built_in(lua_State *L)
{
    static const struct mg_str folder = {"policies/", 9};
    for (size_t i = 0; i < mg_embedded_file_count; i++) {
        struct mg_str path = mg_str_c(mg_embedded_files[i].name);
        if (!mg_str_starts(path, folder) || !mg_str_ends(path, MG_STR(".lua")))
            continue;
        struct mg_str rest = mg_str(path.p + folder.n, path.n - folder.n - 4), name;
        mg_str_split(&rest, '/', &name);
        /* policies/x.lua, or policies/x/x.lua: other files there are parts of a policy. */
        if (rest.n == 0 || mg_str_eq(name, rest))
            add_name(L, name);
    }
}

void mg_policies_names(lua_State *L)
{
    luaL_checkstack(L, 8, "policies");
    int top = lua_gettop(L), set = top + 2;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &paths_key) != LUA_TTABLE) {
        lua_newtable(L);
        lua_replace(L, -2);
    }
    lua_newtable(L);
    lua_Integer path_count = (lua_Integer)lua_rawlen(L, top + 1);
    for (lua_Integer i = 1; i <= path_count; i++) {
        lua_rawgeti(L, top + 1, i);
        const char *folder = lua_tostring(L, -1);
        lua_pushvalue(L, set);
        add_own(L, folder);
        lua_settop(L, set);
    }
    add_built_in(L);
    mg_table_push_keys(L, set);
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
}
