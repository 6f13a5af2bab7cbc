/*
 * Globals, compiling and `require` for policy code. One thread.
 *
 * The table of globals that policy code sees stays empty for ever: reads fall through to the safe
 * library and from there to an error, writes are errors.
 */
#include "script/sandbox.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script/compiled.h"
#include "script/embedded.h"
#include "script/stdlib.h"
#include "script/task.h"

#define FILE_MAX (16 << 20)

/* Keys in the registry, by their addresses. */
static const char globals_key, safe_key, silent_os_key, loaded_key, paths_key, system_key,
    loading_key;

/* --- globals --- */

/* What policies do not have, and what to do instead. */
struct withheld {
    const char *name;
    const char *instead;
};

static const struct withheld no_globals[] = {
    {"io", "read a file with mg.file, in `new`"},
    {"debug", "log with mg.log; errors have their traceback in the log"},
    {"package", "use require"},
    {"dofile", "use require"},
    {"loadfile", "use require"},
    {"module", "return a table"},
};

static const struct withheld not_in_os[] = {
    {"execute", "a process would hold up all requests"},
    {"exit", "return a response to end a request"},
    {"getenv", "use mg.secret, or write ${NAME} in the config"},
    {"remove", "a policy changes no files"},
    {"rename", "a policy changes no files"},
    {"setlocale", "it would change the whole process"},
    {"tmpname", "a policy changes no files"},
};

/* Raises when the name is in the list. */
static void refuse(lua_State *L, const struct withheld *list, size_t count, const char *library,
                   const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0)
            luaL_error(L, "'%s%s' is not available to policies; %s", library, name,
                       list[i].instead);
}

static int l_undeclared_read(lua_State *L)
{
    const char *name = luaL_tolstring(L, 2, NULL);
    refuse(L, no_globals, sizeof no_globals / sizeof *no_globals, "", name);
    return luaL_error(L, "undeclared global '%s'; is it misspelt?", name);
}

/* Upvalue 1 is the library as it is. */
static int l_os_read(lua_State *L)
{
    lua_pushvalue(L, 2);
    if (lua_gettable(L, lua_upvalueindex(1)) == LUA_TNIL)
        refuse(L, not_in_os, sizeof not_in_os / sizeof *not_in_os, "os.",
               luaL_tolstring(L, 2, NULL));
    lua_settop(L, 3);
    return 1;
}

/* Puts another `os` into the table on top, which tells policies why something is not there; the one
 * that stays silent is for files that were not written for us. */
static void open_telling_os(lua_State *L)
{
    lua_newtable(L);
    lua_createtable(L, 0, 3);
    lua_getfield(L, -3, LUA_OSLIBNAME);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &silent_os_key);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__newindex"); /* which raises */
    lua_pushcclosure(L, l_os_read, 1);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_setfield(L, -2, LUA_OSLIBNAME);
}

static int l_global_write(lua_State *L)
{
    const char *name = luaL_tolstring(L, 2, NULL);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &safe_key);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, -2) != LUA_TNIL)
        return luaL_error(L, "assignment to '%s', which is part of Lua's library", name);
    return luaL_error(L, "assignment to undeclared global '%s'; declare it local", name);
}

static void open_globals(lua_State *L)
{
    lua_newtable(L); /* the globals */
    mg_stdlib_open(L);
    open_telling_os(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &safe_key);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, LUA_GNAME);

    lua_createtable(L, 0, 2); /* metatable of the safe library */
    lua_pushcfunction(L, l_undeclared_read);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);

    lua_createtable(L, 0, 3); /* metatable of the globals */
    lua_insert(L, -2);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, l_global_write);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &globals_key);
}

/* --- compiling --- */

/* Text as lua_load reads it: empty lines, so that errors show the line in the text's file;
 * something in front; the text. */
struct source {
    uint32_t empty_lines;
    struct mg_str head, text;
};

static const char *read_piece(lua_State *L, void *arg, size_t *n)
{
    static const char newlines[] = "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n";
    struct source *s = arg;
    struct mg_str piece;
    (void)L;
    if (s->empty_lines) {
        piece = MG_STR(newlines);
        if (piece.n > s->empty_lines)
            piece.n = s->empty_lines;
        s->empty_lines -= (uint32_t)piece.n;
    } else if (s->head.n) {
        piece = s->head;
        s->head.n = 0;
    } else {
        piece = s->text;
        s->text.n = 0;
    }
    *n = piece.n;
    return piece.p;
}

/* Gives the function on top, if the status says that there is one, the globals. */
static int with_globals(lua_State *L, int status)
{
    if (status != LUA_OK)
        return status;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &globals_key);
    lua_setupvalue(L, -2, 1);
    return LUA_OK;
}

static int load_source(lua_State *L, struct source *s, const char *chunk_name)
{
    return with_globals(L, lua_load(L, read_piece, s, chunk_name, "t"));
}

static mg_sandbox_filter_fn text_filter;

void mg_sandbox_set_filter(mg_sandbox_filter_fn filter)
{
    text_filter = filter;
}

static int load_text(lua_State *L, struct mg_str text, const char *chunk_name)
{
    struct source s = {.text = text};
    bool replaced = text_filter && text_filter(L, chunk_name, &s.text);
    int status = load_source(L, &s, chunk_name);
    if (replaced)
        lua_remove(L, -2); /* what kept the other text alive */
    return status;
}

static int load_embedded(lua_State *L, const struct mg_embedded_file *f)
{
    const char *chunk_name = lua_pushfstring(L, "@%s", f->name);
    int status = text_filter ? load_text(L, mg_str(f->data, f->size), chunk_name)
                             : with_globals(L, mg_compiled_load(L, f, chunk_name));
    lua_remove(L, -2);
    return status;
}

static enum mg_rc load_rc(int status)
{
    return status == LUA_OK ? MG_OK : status == LUA_ERRMEM ? MG_NOMEM : MG_FAIL;
}

enum mg_rc mg_sandbox_load(lua_State *L, struct mg_str text, const char *chunk_name)
{
    return load_rc(load_text(L, text, chunk_name));
}

enum mg_rc mg_sandbox_load_embedded(lua_State *L, const struct mg_embedded_file *file)
{
    return load_rc(load_embedded(L, file));
}

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static enum mg_rc load_with_head(lua_State *L, struct mg_str head, struct mg_str text,
                                 const char *chunk_name, uint32_t line)
{
    struct source s = {.empty_lines = line ? line - 1 : 0, .head = head, .text = text};
    return load_rc(load_source(L, &s, chunk_name));
}

enum mg_rc mg_sandbox_load_expression(lua_State *L, struct mg_str text, const char *chunk_name,
                                      uint32_t line)
{
    return load_with_head(L, MG_STR("local req, res, mg = ...; return "), text, chunk_name, line);
}

enum mg_rc mg_sandbox_load_function(lua_State *L, struct mg_str text, const char *chunk_name,
                                    uint32_t line)
{
    return load_with_head(L, MG_STR("local mg = ...; "), text, chunk_name, line);
}

/* --- load --- */

/* Puts the text that the function at index 1 gives piece by piece in its place. */
static void collect_pieces(lua_State *L)
{
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (;;) {
        size_t n;
        lua_pushvalue(L, 1);
        lua_call(L, 0, 1);
        if (lua_isnil(L, -1))
            break;
        if (!lua_tolstring(L, -1, &n))
            luaL_error(L, "reader function must return a string");
        if (n == 0)
            break;
        luaL_addvalue(&b);
    }
    lua_pop(L, 1);
    luaL_pushresult(&b);
    lua_replace(L, 1);
}

/* load(text | function, name, mode, env). The mode is always "t". */
static int l_load(lua_State *L)
{
    bool own_globals = !lua_isnone(L, 4);
    size_t n;
    if (lua_type(L, 1) != LUA_TSTRING) {
        luaL_checktype(L, 1, LUA_TFUNCTION);
        lua_settop(L, 4);
        collect_pieces(L);
        lua_settop(L, 4);
    }
    const char *text = luaL_checklstring(L, 1, &n);
    const char *name = luaL_optstring(L, 2, text);
    int status = load_text(L, mg_str(text, n), name);
    if (status != LUA_OK) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    if (own_globals) {
        lua_pushvalue(L, 4);
        lua_setupvalue(L, -2, 1);
    }
    return 1;
}

/* --- require --- */

/* Compiles a file. LUA_ERRFILE and nothing pushed: there is none that can be read. */
static int load_file(lua_State *L, const char *name)
{
    const char *chunk_name = lua_pushfstring(L, "@%s", name);
    FILE *file = fopen(name, "rb");
    char *text = file ? malloc(FILE_MAX + 1) : NULL;
    size_t n = text ? fread(text, 1, FILE_MAX + 1, file) : 0;
    bool ok = text && !ferror(file);
    if (file)
        fclose(file);
    int status = LUA_ERRFILE;
    if (ok && n > FILE_MAX) {
        lua_pushfstring(L, "%s: larger than %d bytes", name, FILE_MAX);
        status = LUA_ERRSYNTAX;
    } else if (ok) {
        status = load_text(L, mg_str(text, n), chunk_name);
    }
    free(text);
    lua_remove(L, status == LUA_ERRFILE ? -1 : -2);
    return status;
}

static int compare_names(const void *name, const void *file)
{
    return strcmp(name, ((const struct mg_embedded_file *)file)->name);
}

static int load_built_in(lua_State *L, const char *name)
{
    const struct mg_embedded_file *f =
        bsearch(name, mg_embedded_files, mg_embedded_file_count, sizeof *f, compare_names);
    return f ? load_embedded(L, f) : LUA_ERRFILE;
}

/* The stack of l_require, from the bottom. */
enum { NAME = 1, LOADED, TRIED };

/* Adds a line to the list of names that were tried; takes it off the top. */
static void note_tried(lua_State *L)
{
    lua_pushvalue(L, TRIED);
    lua_insert(L, -2);
    lua_concat(L, 2);
    lua_replace(L, TRIED);
}

/* Tries the file whose name `format` makes of `file`; in `folder`, or built in when that is NULL.
 * On success the compiled text and the file's name are on top. */
static bool try_name(lua_State *L, const char *folder, const char *format, const char *file)
{
    lua_pushstring(L, folder ? folder : "");
    lua_pushstring(L, folder && *folder ? "/" : "");
    luaL_gsub(L, format, "?", file);
    lua_concat(L, 3);
    const char *name = lua_tostring(L, -1);
    int status = folder ? load_file(L, name) : load_built_in(L, name);
    if (status == LUA_ERRFILE) {
        lua_pushfstring(L, "\n\tno %s '%s'", folder ? "file" : "built-in file", name);
        lua_remove(L, -2);
        note_tried(L);
        return false;
    }
    if (status != LUA_OK) /* a syntax error, with the file's name in it */
        lua_error(L);
    lua_insert(L, -2);
    return true;
}

static bool find_in_paths(lua_State *L, const char *file)
{
    static const char *const formats[] = {"?.lua", "?/?.lua", "?/init.lua", NULL};
    lua_rawgetp(L, LUA_REGISTRYINDEX, &paths_key);
    int paths = lua_gettop(L);
    for (lua_Integer i = 1; lua_rawgeti(L, paths, i) == LUA_TSTRING; i++) {
        for (const char *const *f = formats; *f; f++)
            if (try_name(L, lua_tostring(L, paths + 1), *f, file))
                return true;
        lua_pop(L, 1);
    }
    return false;
}

static bool find_built_in(lua_State *L, const char *file)
{
    static const char *const formats[] = {"lua/?.lua", "lua/?/init.lua", "policies/?.lua",
                                          "policies/?/?.lua", NULL};
    for (const char *const *f = formats; *f; f++)
        if (try_name(L, NULL, *f, file))
            return true;
    return false;
}

/* The safe library without its errors, for files that were not written for us. */
static int l_plain_read(lua_State *L)
{
    lua_pushliteral(L, LUA_OSLIBNAME);
    if (lua_rawequal(L, 2, -1)) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &silent_os_key);
        return 1;
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, &safe_key);
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
    return 1;
}

/* Gives the compiled text on top globals of its own. */
static void set_plain_globals(lua_State *L)
{
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, l_plain_read);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_setupvalue(L, -2, 1);
}

/* Looks along one of package's paths. On success the file's name is on top. */
static bool search_system(lua_State *L, int package, const char *path)
{
    lua_getfield(L, package, "searchpath");
    lua_pushvalue(L, NAME);
    lua_getfield(L, package, path);
    lua_call(L, 2, 2);
    if (lua_isstring(L, -2)) {
        lua_pop(L, 1);
        return true;
    }
    lua_pushliteral(L, "\n\t");
    lua_insert(L, -2);
    lua_concat(L, 2);
    note_tried(L);
    lua_pop(L, 1);
    return false;
}

/* Pushes the function luaopen_NAME of the library whose file's name is on top, under that. */
static void load_library(lua_State *L, int package)
{
    const char *name = lua_tostring(L, NAME), *hyphen = strchr(name, '-');
    lua_getfield(L, package, "loadlib");
    lua_pushvalue(L, -2);
    lua_pushliteral(L, "luaopen_");
    luaL_gsub(L, hyphen ? hyphen + 1 : name, ".", "_");
    lua_concat(L, 2);
    lua_call(L, 2, 2);
    if (lua_isnil(L, -2))
        lua_error(L); /* the linker's text */
    lua_pop(L, 1);
    lua_insert(L, -2);
}

/* Our own modules come from the program alone: what is installed of them is for specs, another
 * version maybe, and its core would take this state for its own. Policies may be installed. */
static bool is_own(const char *name)
{
    return strncmp(name, "moongate.", 9) == 0 && strncmp(name + 9, "policies.", 9) != 0;
}

static bool find_in_system(lua_State *L)
{
    if (is_own(lua_tostring(L, NAME)) ||
        lua_rawgetp(L, LUA_REGISTRYINDEX, &system_key) != LUA_TTABLE)
        return false;
    int package = lua_gettop(L);
    if (search_system(L, package, "path")) {
        int status = load_file(L, lua_tostring(L, -1));
        if (status == LUA_ERRFILE)
            return false;
        if (status != LUA_OK)
            lua_error(L);
        set_plain_globals(L);
        lua_insert(L, -2);
        return true;
    }
    if (!search_system(L, package, "cpath"))
        return false;
    load_library(L, package);
    return true;
}

static void check_module_name(lua_State *L)
{
    size_t n;
    const char *name = luaL_checklstring(L, NAME, &n);
    bool good = n > 0 && *name != '.';
    for (size_t i = 0; i < n; i++)
        good = good && (is_word_char(name[i]) || name[i] == '-' || name[i] == '.');
    if (!good)
        luaL_error(L, "bad module name '%s': letters, digits, '_', '-' and '.' only", name);
}

static int l_require(lua_State *L)
{
    lua_settop(L, NAME);
    check_module_name(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &loaded_key);
    lua_pushvalue(L, NAME);
    if (lua_rawget(L, LOADED) != LUA_TNIL) {
        if (lua_touserdata(L, -1) == (void *)&loading_key)
            return luaL_error(L, "module '%s' requires itself, or failed before",
                              lua_tostring(L, NAME));
        return 1;
    }
    lua_settop(L, LOADED);
    lua_pushliteral(L, "");
    const char *file = luaL_gsub(L, lua_tostring(L, NAME), ".", "/");
    if (!find_in_paths(L, file) && !find_built_in(L, file) && !find_in_system(L))
        return luaL_error(L,
                          "module '%s' not found: put it beside the policies, or install it for "
                          "Lua 5.4; there is%s",
                          lua_tostring(L, NAME), lua_tostring(L, TRIED));

    int found = lua_gettop(L); /* the file's name, above the function */
    lua_pushvalue(L, NAME);
    lua_pushlightuserdata(L, (void *)&loading_key);
    lua_rawset(L, LOADED);
    lua_pushvalue(L, found - 1);
    lua_pushvalue(L, NAME);
    lua_pushvalue(L, found);
    lua_call(L, 2, 1);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushboolean(L, true);
    }
    lua_pushvalue(L, NAME);
    lua_pushvalue(L, -2);
    lua_rawset(L, LOADED);
    lua_pushvalue(L, found);
    return 2;
}

void mg_sandbox_preload(lua_State *L, const char *name)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &loaded_key);
    lua_insert(L, -2);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

enum mg_rc mg_sandbox_require(lua_State *L, const char *name)
{
    lua_pushcfunction(L, l_require);
    lua_pushstring(L, name);
    return mg_task_call(L, 1, 1);
}

void mg_sandbox_set_paths(lua_State *L, const struct mg_sandbox_paths *paths)
{
    lua_createtable(L, (int)paths->count, 0);
    for (size_t i = 0; i < paths->count; i++) {
        lua_pushlstring(L, paths->paths[i].p, paths->paths[i].n);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_rawsetp(L, LUA_REGISTRYINDEX, &paths_key);
    if (paths->allow_c) {
        luaL_requiref(L, LUA_LOADLIBNAME, luaopen_package, 0);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &system_key);
    }
}

/* --- opening --- */

/* Modules of the standard library, as `require` gives them. */
static void preload_libraries(lua_State *L)
{
    static const char *const names[] = {LUA_STRLIBNAME,  LUA_TABLIBNAME, LUA_MATHLIBNAME,
                                        LUA_UTF8LIBNAME, LUA_COLIBNAME,  LUA_OSLIBNAME};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        lua_getfield(L, -1, names[i]);
        mg_sandbox_preload(L, names[i]);
    }
}

void mg_sandbox_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"load", l_load}, {"require", l_require}, {NULL, NULL}};
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &loaded_key);
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &paths_key);
    open_globals(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &safe_key);
    luaL_setfuncs(L, functions, 0);
    preload_libraries(L);
    lua_pop(L, 1);
}
