/* They are numbered from 3 on, and their names stand in the same order. */
#include "app/activation.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

#define FIRST_FD 3
#define FDS_MAX 4096

uint32_t mg_activation_count(const char *pid, const char *fds, pid_t own)
{
    uint64_t number;
    if (!pid || !mg_str_to_u64(mg_str_c(pid), INT_MAX, &number) || number != (uint64_t)own)
        return 0; /* they are for another process */
    return fds && mg_str_to_u64(mg_str_c(fds), FDS_MAX, &number) ? (uint32_t)number : 0;
}

static void take(struct mg_held *held, struct mg_str name, int fd)
{
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    if (mg_held_add(held, name, fd) != MG_OK)
        mg_log_warn("a socket that systemd passed is no listening stream socket",
                    MG_LOG_STR("name", name));
}

void mg_activation_take(struct mg_held *held)
{
    struct mg_str names = mg_str_c(getenv("LISTEN_FDNAMES")), name;
    uint32_t count = mg_activation_count(getenv("LISTEN_PID"), getenv("LISTEN_FDS"), getpid());
    for (uint32_t i = 0; i < count; i++) {
        if (!mg_str_split(&names, ':', &name) || name.n == 0)
            name = MG_STR("unknown");
        take(held, name, FIRST_FD + (int)i);
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}
