/* `moongate test`: busted has its own options, so ours are not looked for. */
#include "app/test.h"

#include "script/busted.h"

int mg_app_test(int argc, char **argv)
{
    return mg_busted_run(argc, argv);
}
