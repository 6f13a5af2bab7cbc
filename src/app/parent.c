/* What the supervisor holds is known here, too: it is told of changes only. */
#include "app/parent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "net/channel.h"
#include "net/listener.h"

/* The supervisor does nothing but wait for messages. One that was stopped is not waited for. */
#define PATIENCE_MS 5000

/* An address whose sockets the supervisor holds. */
struct known {
    char *name;
    uint32_t count;
    bool used; /* we listen there now */
};

struct mg_parent {
    pid_t pid;
    int fd;   /* until there is a channel */
    int keys; /* until it is taken; -1 */
    struct mg_channel *channel;
    mg_order_fn on_order;
    void *arg;
    struct known *known;
    uint32_t known_count;
};

static void send_text(struct mg_parent *p, int fd, const char *word, struct mg_str rest)
{
    char text[MG_CHANNEL_TEXT_MAX];
    int n = snprintf(text, sizeof text, rest.n ? "%s %.*s" : "%s", word, MG_STR_ARGS(rest));
    size_t length = (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    if (!mg_channel_send(p->channel, mg_str(text, length), fd, PATIENCE_MS))
        mg_log_warn("the supervisor does not hear us", MG_LOG_C("word", word));
}

/* --- orders --- */

static void on_message(void *arg, struct mg_str text, int fd)
{
    static const struct {
        struct mg_str word;
        enum mg_order order;
    } orders[] = {{MG_STR("stop"), MG_ORDER_STOP},
                  {MG_STR("cut"), MG_ORDER_CUT},
                  {MG_STR("retire"), MG_ORDER_RETIRE},
                  {MG_STR("reload"), MG_ORDER_RELOAD},
                  {MG_STR("reopen"), MG_ORDER_REOPEN}};
    struct mg_parent *p = arg;
    if (fd >= 0)
        close(fd);
    if (mg_str_eq(text, MG_STR("ping"))) {
        send_text(p, -1, "alive", MG_STR_NONE);
        return;
    }
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++)
        if (mg_str_eq(text, orders[i].word))
            p->on_order(p->arg, orders[i].order);
}

/* The kernel kills us, too; it may not have come to that yet. */
static void on_end(void *arg)
{
    struct mg_parent *p = arg;
    p->on_order(p->arg, MG_ORDER_CUT);
}

/* --- sockets --- */

static struct known *know(struct mg_parent *p, const char *name)
{
    for (uint32_t i = 0; i < p->known_count; i++)
        if (strcmp(p->known[i].name, name) == 0)
            return &p->known[i];
    p->known = mg_realloc(p->known, (p->known_count + 1) * sizeof p->known[0]);
    struct known *k = &p->known[p->known_count++];
    *k = (struct known){.name = mg_strdup(mg_str_c(name))};
    return k;
}

static void hold(struct mg_parent *p, const char *name, const char *label, const int *fds,
                 uint32_t count)
{
    struct known *k = know(p, name);
    k->used = true;
    for (; k->count < count; k->count++)
        send_text(p, fds[k->count], "hold", mg_str_c(label));
}

static void hold_listener(struct mg_parent *p, const struct mg_sockets *s, uint32_t i)
{
    uint32_t count = mg_sockets_places(s, i);
    const int *fds = mg_sockets_fds(s, i);
    bool single = mg_listener_is_single(fds[0]);
    hold(p, mg_sockets_name(s, i), mg_sockets_address(s, i), fds, single ? 1 : count);
}

static void drop_unused(struct mg_parent *p)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < p->known_count; i++) {
        struct known k = p->known[i];
        if (k.used) {
            p->known[kept++] = k;
            continue;
        }
        send_text(p, -1, "drop", mg_str_c(k.name));
        free(k.name);
    }
    p->known_count = kept;
}

void mg_parent_hold(struct mg_parent *p, const struct mg_sockets *sockets,
                    const struct mg_sockets_one *admin)
{
    if (!p)
        return;
    for (uint32_t i = 0; i < p->known_count; i++)
        p->known[i].used = false;
    for (uint32_t i = 0; i < mg_sockets_count(sockets); i++)
        hold_listener(p, sockets, i);
    if (admin->name)
        hold(p, admin->name, admin->label, &admin->fd, 1);
    drop_unused(p);
}

void mg_parent_say(struct mg_parent *p, const char *word, struct mg_str text)
{
    if (p)
        send_text(p, -1, word, text);
}

void mg_parent_log(struct mg_parent *p, enum mg_log_level least, enum mg_log_format format)
{
    char text[] = {(char)('0' + least), ' ', (char)('0' + format), 0};
    mg_parent_say(p, "log", mg_str_c(text));
}

/* --- life --- */

bool mg_parent_is_there(void)
{
    struct mg_str rest = mg_str_c(getenv(MG_HANDOVER_VARIABLE));
    struct mg_handover_line line;
    while (mg_handover_next(&rest, &line))
        if (line.kind == MG_HANDOVER_PARENT)
            return true;
    return false;
}

static struct mg_parent *new_parent(const struct mg_handover_line *line)
{
    struct mg_parent *p = mg_calloc(1, sizeof *p);
    *p = (struct mg_parent){.pid = line->pid, .fd = line->fd, .keys = -1};
    fcntl(p->fd, F_SETFD, FD_CLOEXEC);
    return p;
}

int mg_parent_take_keys(struct mg_parent *p)
{
    int fd = p ? p->keys : -1;
    if (p)
        p->keys = -1;
    return fd;
}

struct mg_parent *mg_parent_find(struct mg_held *held)
{
    struct mg_str rest = mg_str_c(getenv(MG_HANDOVER_VARIABLE));
    struct mg_handover_line line;
    struct mg_parent *p = NULL;
    while (mg_handover_next(&rest, &line)) {
        if (line.kind == MG_HANDOVER_PARENT && !p)
            p = new_parent(&line);
        else if (line.kind == MG_HANDOVER_KEYS && p && p->keys < 0)
            p->keys = mg_handover_take(line.fd);
        else if (line.kind == MG_HANDOVER_SOCKET)
            mg_held_read(held, &line);
    }
    unsetenv(MG_HANDOVER_VARIABLE);
    if (p)
        prctl(PR_SET_NAME, program_invocation_short_name); /* it is "exe", by how we were started */
    for (uint32_t i = 0; p && i < held->count; i++)
        know(p, held->items[i].name)->count = held->items[i].count;
    mg_parent_bind(p);
    return p;
}

void mg_parent_bind(const struct mg_parent *p)
{
    if (!p)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != p->pid)
        _exit(1); /* it ended before that */
}

void mg_parent_listen(struct mg_parent *p, struct mg_loop *loop, mg_order_fn on_order, void *arg)
{
    if (!p)
        return;
    const struct mg_channel_events events = {.on_message = on_message, .on_end = on_end, .arg = p};
    p->on_order = on_order;
    p->arg = arg;
    p->channel = mg_channel_new(loop, p->fd, &events);
}

void mg_parent_free(struct mg_parent *p)
{
    if (!p)
        return;
    if (p->channel)
        mg_channel_free(p->channel);
    else
        close(p->fd);
    if (p->keys >= 0)
        close(p->keys);
    for (uint32_t i = 0; i < p->known_count; i++)
        free(p->known[i].name);
    free(p->known);
    free(p);
}
