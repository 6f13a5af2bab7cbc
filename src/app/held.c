/* The items stand in the order of the config. One thread. */
#include "app/held.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "net/listener.h"

static struct mg_held_item *find(const struct mg_held *h, struct mg_str name)
{
    for (uint32_t i = 0; i < h->count; i++)
        if (mg_str_eq(mg_str_c(h->items[i].name), name))
            return &h->items[i];
    return NULL;
}

static struct mg_held_item *append(struct mg_held *h, struct mg_str label, const char *name)
{
    h->items = mg_realloc(h->items, (h->count + 1) * sizeof h->items[0]);
    struct mg_held_item *item = &h->items[h->count++];
    *item = (struct mg_held_item){.label = mg_strdup(label), .name = mg_strdup(mg_str_c(name))};
    return item;
}

static void release_item(struct mg_held_item *item)
{
    for (uint32_t i = 0; i < item->count; i++)
        close(item->fds[i]);
    free(item->fds);
    free(item->label);
    free(item->name);
}

enum mg_rc mg_held_add(struct mg_held *h, struct mg_str label, int fd)
{
    char name[MG_LISTENER_NAME_MAX];
    if (!mg_listener_bound(fd, name)) {
        close(fd);
        return MG_FAIL;
    }
    struct mg_held_item *item = find(h, mg_str_c(name));
    if (!item)
        item = append(h, label, name);
    item->fds = mg_realloc(item->fds, (item->count + 1) * sizeof item->fds[0]);
    item->fds[item->count++] = fd;
    return MG_OK;
}

void mg_held_drop(struct mg_held *h, struct mg_str name)
{
    struct mg_held_item *item = find(h, name);
    if (!item)
        return;
    release_item(item);
    size_t behind = (size_t)(h->items + --h->count - item);
    memmove(item, item + 1, behind * sizeof *item);
}

void mg_held_release(struct mg_held *h)
{
    for (uint32_t i = 0; i < h->count; i++)
        release_item(&h->items[i]);
    free(h->items);
    *h = (struct mg_held){0};
}

void mg_held_list(const struct mg_held *h, struct mg_buf *out)
{
    for (uint32_t i = 0; i < h->count; i++)
        mg_buf_printf(out, "%s%s", i ? ", " : "", h->items[i].name);
}

void mg_held_write(const struct mg_held *h, struct mg_buf *out)
{
    for (uint32_t i = 0; i < h->count; i++)
        mg_handover_add_socket(out, h->items[i].fds, h->items[i].count, h->items[i].label);
}

void mg_held_read(struct mg_held *h, const struct mg_handover_line *line)
{
    struct mg_str fds = line->fds;
    int fd;
    while (mg_handover_fd(&fds, &fd)) {
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        (void)mg_held_add(h, line->label, fd);
    }
}

void mg_held_set_inheritable(const struct mg_held *h, bool on)
{
    for (uint32_t i = 0; i < h->count; i++)
        for (uint32_t j = 0; j < h->items[i].count; j++)
            fcntl(h->items[i].fds[j], F_SETFD, on ? 0 : FD_CLOEXEC);
}
