/*
 * mg.file. Reads with blocking calls, and so only where no request waits: while steps are built.
 */
#include "script/lib_file.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "script/fail.h"
#include "script/lib.h"
#include "script/task.h"

#define FILE_BYTES_MAX ((off_t)1 << 20)

/* Relative, and never a step up. */
static bool stays_inside(struct mg_str name)
{
    struct mg_str rest = name, segment;
    if (name.n == 0 || name.p[0] == '/' || mg_str_find(name, '\0') >= 0)
        return false;
    while (mg_str_split(&rest, '/', &segment))
        if (mg_str_eq(segment, MG_STR("..")))
            return false;
    return true;
}

/* Reads all of the file, if it is one and is still as long as it was. */
static bool read_whole(int fd, char *out, size_t n)
{
    struct stat st;
    size_t used = 0;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (size_t)st.st_size != n)
        return false;
    while (used < n) {
        ssize_t got = read(fd, out + used, n - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        used += (size_t)got;
    }
    return true;
}

/* Nothing in here raises, so the descriptor is closed in any case. */
static bool read_file(const char *path, char *out, size_t n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    bool ok = read_whole(fd, out, n);
    close(fd);
    return ok;
}

static int push_failure(lua_State *L, const char *code, const char *name, const char *why)
{
    lua_pushnil(L);
    lua_pushfstring(L, "cannot read '%s': %s", name, why);
    mg_fail_wrap(L, code);
    return 2;
}

/* Whoever writes a config may name files of its folder in full. */
static bool is_below(struct mg_str name, const char *folder)
{
    char real_name[PATH_MAX], real_folder[PATH_MAX];
    if (name.n == 0 || name.p[0] != '/' || mg_str_find(name, '\0') >= 0 ||
        !realpath(name.p, real_name) || !realpath(folder, real_folder))
        return false;
    size_t n = strlen(real_folder);
    return strncmp(real_name, real_folder, n) == 0 && real_name[n] == '/';
}

/* Pushes the path of the file, and returns it. NULL, and nothing is pushed: not in the folder. */
static const char *push_path(lua_State *L, struct mg_str name)
{
    char folder[PATH_MAX];
    struct mg_str of = mg_lib_env(L)->folder;
    snprintf(folder, sizeof folder, "%.*s", of.n ? (int)of.n : 1, of.n ? of.p : ".");
    if (stays_inside(name))
        return lua_pushfstring(L, "%s/%s", folder, name.p);
    return is_below(name, folder) ? lua_pushstring(L, name.p) : NULL;
}

static int l_file(lua_State *L)
{
    struct mg_str name;
    struct stat st;
    luaL_Buffer b;
    luaL_checktype(L, 1, LUA_TSTRING);
    name.p = lua_tolstring(L, 1, &name.n);
    if (mg_script_of(L)->current)
        return luaL_error(L, "cannot read '%s' while requests wait: call mg.file in new", name.p);

    const char *path = push_path(L, name);
    if (!path)
        return push_failure(L, "bad_file", name.p, "it is not in the config's folder");
    if (stat(path, &st) != 0)
        return push_failure(L, "not_found", name.p, "no such file");
    if (!S_ISREG(st.st_mode) || st.st_size > FILE_BYTES_MAX)
        return push_failure(L, "bad_file", name.p, "not a file of at most 1 MiB");
    char *text = luaL_buffinitsize(L, &b, (size_t)st.st_size);
    if (!read_file(path, text, (size_t)st.st_size))
        return push_failure(L, "bad_file", name.p, "it cannot be opened or has changed");
    luaL_pushresultsize(&b, (size_t)st.st_size);
    return 1;
}

void mg_lib_file_open(lua_State *L)
{
    lua_pushcfunction(L, l_file);
    lua_setfield(L, -2, "file");
}
