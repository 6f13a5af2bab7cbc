/* The limit of descriptors, and the first three. */
#include "app/descriptors.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

void mg_descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* open(2) gives the lowest number that is free. */
void mg_descriptors_fill_standard(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}
