/* Versions of libraries. Any thread. */
#include "net/version.h"

#include <event2/event.h>

const char *mg_version_libevent(void)
{
    return event_get_version();
}
