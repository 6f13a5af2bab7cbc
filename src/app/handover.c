/* Lines of a handover: each is its kind, a blank, and the rest. */
#include "app/handover.h"

#include <fcntl.h>
#include <limits.h>

static bool take_int(struct mg_str *rest, char sep, int *out)
{
    struct mg_str word;
    uint64_t number;
    if (!mg_str_split(rest, sep, &word) || !mg_str_to_u64(word, INT_MAX, &number))
        return false;
    *out = (int)number;
    return true;
}

static bool take_process(struct mg_str *rest, struct mg_handover_line *out)
{
    int pid;
    if (!take_int(rest, ' ', &pid) || pid == 0)
        return false;
    out->pid = pid;
    return take_int(rest, ' ', &out->fd);
}

static bool read_child(struct mg_str rest, struct mg_handover_line *out)
{
    if (!take_process(&rest, out))
        return false;
    out->retiring = mg_str_eq(rest, MG_STR("retiring"));
    return out->retiring || mg_str_eq(rest, MG_STR("serving"));
}

static bool take_count(struct mg_str *rest, uint32_t *out)
{
    int number;
    if (!take_int(rest, ' ', &number))
        return false;
    *out = (uint32_t)number;
    return true;
}

static bool read_socket(struct mg_str rest, struct mg_handover_line *out)
{
    if (!mg_str_split(&rest, ' ', &out->fds))
        return false;
    out->label = rest;
    return out->fds.n > 0 && rest.n > 0;
}

static bool read_line(struct mg_str line, struct mg_handover_line *out)
{
    struct mg_str kind;
    *out = (struct mg_handover_line){.fd = -1};
    if (!mg_str_split(&line, ' ', &kind))
        return false;
    if (mg_str_eq(kind, MG_STR("parent"))) {
        out->kind = MG_HANDOVER_PARENT;
        return take_process(&line, out);
    }
    if (mg_str_eq(kind, MG_STR("child"))) {
        out->kind = MG_HANDOVER_CHILD;
        return read_child(line, out);
    }
    if (mg_str_eq(kind, MG_STR("crashes"))) {
        out->kind = MG_HANDOVER_CRASHES;
        return take_count(&line, &out->crashes);
    }
    if (mg_str_eq(kind, MG_STR("log"))) {
        out->kind = MG_HANDOVER_LOG;
        return take_count(&line, &out->log_level) && take_count(&line, &out->log_format);
    }
    if (mg_str_eq(kind, MG_STR("keys"))) {
        out->kind = MG_HANDOVER_KEYS;
        return take_int(&line, ' ', &out->fd);
    }
    out->kind = MG_HANDOVER_SOCKET;
    return mg_str_eq(kind, MG_STR("socket")) && read_socket(line, out);
}

bool mg_handover_next(struct mg_str *rest, struct mg_handover_line *out)
{
    struct mg_str line;
    while (mg_str_split(rest, '\n', &line))
        if (read_line(line, out))
            return true;
    return false;
}

bool mg_handover_fd(struct mg_str *fds, int *out)
{
    return take_int(fds, ',', out);
}

int mg_handover_take(int fd)
{
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? fd : -1;
}

void mg_handover_add_parent(struct mg_buf *out, pid_t pid, int fd)
{
    mg_buf_printf(out, "parent %ld %d\n", (long)pid, fd);
}

void mg_handover_add_child(struct mg_buf *out, pid_t pid, int fd, bool retiring)
{
    mg_buf_printf(out, "child %ld %d %s\n", (long)pid, fd, retiring ? "retiring" : "serving");
}

void mg_handover_add_crashes(struct mg_buf *out, uint32_t crashes)
{
    mg_buf_printf(out, "crashes %u\n", crashes);
}

void mg_handover_add_log(struct mg_buf *out, unsigned level, unsigned format)
{
    mg_buf_printf(out, "log %u %u\n", level, format);
}

void mg_handover_add_keys(struct mg_buf *out, int fd)
{
    mg_buf_printf(out, "keys %d\n", fd);
}

void mg_handover_add_socket(struct mg_buf *out, const int *fds, uint32_t count, const char *label)
{
    mg_buf_add_c(out, "socket ");
    for (uint32_t i = 0; i < count; i++)
        mg_buf_printf(out, i ? ",%d" : "%d", fds[i]);
    mg_buf_printf(out, " %s\n", label);
}
