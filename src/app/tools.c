/* One Lua file each, in the program. */
#include "app/tools.h"

#include <string.h>

#include "script/host.h"

static const struct tool {
    const char *name;
    const char *file;
    const char *chunk; /* busted takes its own name from it */
} tools[] = {
    {"test", "lua/moongate/test/run.lua", "@moongate test"},
    {"new", "lua/moongate/tool/new.lua", "@moongate new"},
    {"explain", "lua/moongate/tool/explain.lua", "@moongate explain"},
    {"plan", "lua/moongate/tool/plan.lua", "@moongate plan"},
    {"policy", "lua/moongate/tool/policy.lua", "@moongate policy"},
    {"convert", "lua/moongate/tool/convert.lua", "@moongate convert"},
    {"token", "lua/moongate/tool/token.lua", "@moongate token"},
};

bool mg_tools_run(int argc, char **argv, int *status)
{
    for (size_t i = 0; argc > 1 && i < sizeof tools / sizeof *tools; i++) {
        if (strcmp(argv[1], tools[i].name) != 0)
            continue;
        *status = mg_host_run(tools[i].file, tools[i].chunk, argc - 2, argv + 2);
        return true;
    }
    return false;
}
