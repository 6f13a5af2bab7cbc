/* Versions of libraries. Any thread. */
#include "script/version.h"

#include <lua.h>

const char *mg_version_lua(void)
{
    return LUA_VERSION_MAJOR "." LUA_VERSION_MINOR "." LUA_VERSION_RELEASE;
}
