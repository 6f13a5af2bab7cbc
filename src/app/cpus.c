/* CPUs, as the kernel and the cgroup allow. Any thread. */
#include "app/cpus.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

bool mg_cpus_parse_quota(struct mg_str cpu_max, unsigned *count)
{
    struct mg_str rest = cpu_max, quota, period;
    uint64_t q, p;
    while (rest.n && (rest.p[rest.n - 1] == '\n' || rest.p[rest.n - 1] == ' '))
        rest.n--;
    if (!mg_str_split(&rest, ' ', &quota) || !mg_str_split(&rest, ' ', &period) ||
        !mg_str_to_u64(quota, INT64_MAX, &q) || !mg_str_to_u64(period, INT32_MAX, &p) || p == 0)
        return false;
    uint64_t cpus = q / p + (q % p != 0);
    *count = cpus == 0 ? 1 : cpus < UINT_MAX ? (unsigned)cpus : UINT_MAX;
    return true;
}

static unsigned count_affine(void)
{
    cpu_set_t set;
    /* Fails where there are more CPUs than the set can tell. */
    long count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                             : sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (unsigned)count : 1;
}

/* The path of our cgroup, from a line "0::/path" of /proc/self/cgroup. */
static bool cgroup_path(struct mg_buf *out)
{
    struct mg_buf text;
    struct mg_str rest, line;
    bool found = false;
    mg_buf_init(&text, 65536);
    if (mg_file_read("/proc/self/cgroup", &text, NULL) == MG_OK) {
        rest = mg_buf_str(&text);
        while (!found && mg_str_split(&rest, '\n', &line)) {
            found = mg_str_starts(line, MG_STR("0::/"));
            if (found)
                mg_buf_add(out, line.p + 3, line.n - 3);
        }
    }
    mg_buf_release(&text);
    return found;
}

static bool quota_of(struct mg_str path, unsigned *count)
{
    char file[PATH_MAX];
    struct mg_buf text;
    bool bound = false;
    int n = snprintf(file, sizeof file, CGROUP_ROOT "%.*s/cpu.max", MG_STR_ARGS(path));
    mg_buf_init(&text, 256);
    if (n > 0 && (size_t)n < sizeof file && mg_file_read(file, &text, NULL) == MG_OK)
        bound = mg_cpus_parse_quota(mg_buf_str(&text), count);
    mg_buf_release(&text);
    return bound;
}

static struct mg_str parent_of(struct mg_str path)
{
    while (path.n && path.p[path.n - 1] != '/')
        path.n--;
    if (path.n)
        path.n--;
    return path;
}

unsigned mg_cpus_count(void)
{
    struct mg_buf path;
    unsigned least = count_affine(), quota;
    mg_buf_init(&path, PATH_MAX);
    if (cgroup_path(&path)) {
        struct mg_str at = mg_buf_str(&path);
        for (;;) {
            if (quota_of(at, &quota) && quota < least)
                least = quota;
            if (at.n == 0)
                break;
            at = parent_of(at);
        }
    }
    mg_buf_release(&path);
    return least;
}
