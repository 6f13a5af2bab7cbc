/* Doubly linked lists of structs that carry their own links. No allocation, no lock. */
#ifndef MG_BASE_LIST_H
#define MG_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct mg_link {
    struct mg_link *next, *prev;
};

#define MG_CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* An empty list, or an element in no list, points at itself. */
static inline void mg_list_init(struct mg_link *l)
{
    l->next = l->prev = l;
}

static inline bool mg_list_empty(const struct mg_link *l)
{
    return l->next == l;
}

static inline void mg_list_insert(struct mg_link *after, struct mg_link *l)
{
    l->prev = after;
    l->next = after->next;
    after->next->prev = l;
    after->next = l;
}

static inline void mg_list_push_front(struct mg_link *list, struct mg_link *l)
{
    mg_list_insert(list, l);
}

static inline void mg_list_push_back(struct mg_link *list, struct mg_link *l)
{
    mg_list_insert(list->prev, l);
}

/* Safe to call twice. */
static inline void mg_list_remove(struct mg_link *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    mg_list_init(l);
}

#define MG_LIST_FOREACH(it, list)                                                                  \
    for (struct mg_link *it = (list)->next; it != (list); it = it->next)
/* The body may remove `it`. */
#define MG_LIST_FOREACH_SAFE(it, list)                                                             \
    for (struct mg_link *it = (list)->next, *it##_next = it->next; it != (list);                   \
         it = it##_next, it##_next = it->next)

#endif
