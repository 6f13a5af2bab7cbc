/* Making files and folders for commands. The main thread. */
#include "script/files.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int l_make_folder(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    for (const char *end = path; *end;) {
        end += 1 + strcspn(end + 1, "/");
        const char *prefix = lua_pushlstring(L, path, (size_t)(end - path));
        if (mkdir(prefix, 0777) < 0 && errno != EEXIST)
            return luaL_fileresult(L, 0, prefix);
        lua_pop(L, 1);
    }
    lua_pushboolean(L, true);
    return 1;
}

/* False with errno set. */
static bool write_all(int fd, const char *text, size_t n)
{
    while (n > 0) {
        ssize_t written = write(fd, text, n);
        if (written < 0 && errno != EINTR)
            return false;
        if (written > 0) {
            text += written;
            n -= (size_t)written;
        }
    }
    return true;
}

static int l_create(lua_State *L)
{
    size_t n;
    const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &n);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return luaL_fileresult(L, 0, path);
    int fault = write_all(fd, text, n) ? 0 : errno;
    if (close(fd) < 0 && !fault)
        fault = errno;
    if (fault)
        unlink(path);
    errno = fault;
    return luaL_fileresult(L, fault == 0, path);
}

int mg_files_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"make_folder", l_make_folder}, {"create", l_create}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
