/* A socket is opened for each message: there are few. */
#include "app/notify.h"

#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MAX ((size_t)4096)

socklen_t mg_notify_address(const char *text, struct sockaddr_un *out)
{
    size_t n = text ? strlen(text) : 0;
    memset(out, 0, sizeof *out);
    if (n < 2 || n >= sizeof out->sun_path || (text[0] != '/' && text[0] != '@'))
        return 0;
    out->sun_family = AF_UNIX;
    memcpy(out->sun_path, text, n);
    if (text[0] == '@')
        out->sun_path[0] = 0;
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
}

uint64_t mg_notify_watchdog(const char *usec, const char *pid, pid_t own)
{
    uint64_t number;
    if (pid && (!mg_str_to_u64(mg_str_c(pid), INT_MAX, &number) || number != (uint64_t)own))
        return 0;
    return usec && mg_str_to_u64(mg_str_c(usec), INT64_MAX / 1000, &number) ? number * 1000 : 0;
}

void mg_notify_init(struct mg_notify *n)
{
    n->length = mg_notify_address(getenv("NOTIFY_SOCKET"), &n->to);
    n->watchdog_ns =
        n->length ? mg_notify_watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"), getpid())
                  : 0;
}

void mg_notify_hide(void)
{
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void mg_notify_add_status(struct mg_buf *out, struct mg_str status)
{
    mg_buf_add_c(out, "STATUS=");
    for (size_t i = 0; i < status.n; i++)
        mg_buf_add_char(out, (unsigned char)status.p[i] < ' ' ? ' ' : status.p[i]);
    mg_buf_add_char(out, '\n');
}

/* Should it get lost, nothing can be done about it. */
static void send_text(const struct mg_notify *n, struct mg_str text)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, text.p, text.n, MSG_NOSIGNAL, (const struct sockaddr *)&n->to, n->length);
    close(fd);
}

static void tell(const struct mg_notify *n, const char *lines, struct mg_str status)
{
    struct mg_buf text;
    if (!n->length)
        return;
    mg_buf_init(&text, TEXT_MAX);
    mg_buf_add_c(&text, lines);
    mg_notify_add_status(&text,
                         mg_str(status.p, status.n < TEXT_MAX / 2 ? status.n : TEXT_MAX / 2));
    send_text(n, mg_buf_str(&text));
    mg_buf_release(&text);
}

/* The process that it knows may be a wrapper that started us. */
static void tell_as_main(const struct mg_notify *n, const char *line, struct mg_str status)
{
    struct mg_buf lines;
    mg_buf_init(&lines, TEXT_MAX);
    mg_buf_printf(&lines, "%s\nMAINPID=%ld\n", line, (long)getpid());
    mg_buf_add_char(&lines, 0);
    tell(n, lines.p, status);
    mg_buf_release(&lines);
}

void mg_notify_ready(const struct mg_notify *n, struct mg_str status)
{
    tell_as_main(n, "READY=1", status);
}

/* Type=notify-reload compares the time with that of its own signal. */
void mg_notify_reloading(const struct mg_notify *n, struct mg_str status)
{
    struct mg_buf lines;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    mg_buf_init(&lines, TEXT_MAX);
    mg_buf_printf(&lines, "RELOADING=1\nMONOTONIC_USEC=%lld\n",
                  (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    mg_buf_add_char(&lines, 0);
    tell(n, lines.p, status);
    mg_buf_release(&lines);
}

void mg_notify_stopping(const struct mg_notify *n, struct mg_str status)
{
    tell(n, "STOPPING=1\n", status);
}

void mg_notify_status(const struct mg_notify *n, struct mg_str status)
{
    tell(n, "", status);
}

void mg_notify_alive(const struct mg_notify *n)
{
    if (n->length)
        send_text(n, MG_STR("WATCHDOG=1\n"));
}
