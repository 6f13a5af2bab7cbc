/* The deadline tree. One thread. */
#include "base/wait.h"

#include <stddef.h>

void mg_wait_begin(struct mg_wait *w, struct mg_wait *parent, void (*cancel)(void *arg), void *arg)
{
    *w = (struct mg_wait){.parent = parent, .cancel = cancel, .arg = arg};
    mg_list_init(&w->children);
    mg_list_init(&w->_link);
    if (parent)
        mg_list_push_front(&parent->children, &w->_link);
}

void mg_wait_cancel_children(struct mg_wait *w)
{
    while (!mg_list_empty(&w->children)) {
        struct mg_wait *child = MG_CONTAINER_OF(w->children.next, struct mg_wait, _link);
        mg_wait_end(child);
        child->cancel(child->arg);
    }
}

void mg_wait_end(struct mg_wait *w)
{
    if (!w->_link.next)
        return;
    mg_wait_cancel_children(w);
    mg_list_remove(&w->_link);
}

uint64_t mg_wait_deadline(const struct mg_wait *w)
{
    uint64_t first = 0;
    for (; w; w = w->parent)
        if (w->deadline_ns && (!first || w->deadline_ns < first))
            first = w->deadline_ns;
    return first;
}
