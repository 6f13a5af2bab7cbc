/*
 * Nodes and slots. Worker thread.
 *
 * Always true: a slot's owner is a node that is there. Places of nodes do not change, so a node
 * that has gone leaves a free one.
 */
#include "redis/cluster_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define NOBODY MG_REDIS_NODES_MAX
#define HOST_MAX 255

static const char no_map[] = "what it says of its slots is not understood";
static const char no_slots[] = "no server of the cluster has slots";

/* --- nodes --- */

/* HOST:PORT as a dialer takes it; NULL: it is no address. Allocated. */
static char *address_of(struct mg_str host, struct mg_str port)
{
    uint64_t number;
    if (host.n == 0 || host.n > HOST_MAX || !mg_str_to_u64(port, 65535, &number) || number == 0)
        return NULL;
    for (size_t i = 0; i < host.n; i++)
        if (host.p[i] <= ' ' || host.p[i] == 0x7f)
            return NULL;
    char text[HOST_MAX + 16];
    bool bare_v6 = mg_str_find(host, ':') >= 0 && host.p[0] != '[';
    snprintf(text, sizeof text, bare_v6 ? "[%.*s]:%d" : "%.*s:%d", MG_STR_ARGS(host), (int)number);
    return mg_strdup(mg_str_c(text));
}

static bool is_at(const struct mg_redis_cluster_node *n, const char *address)
{
    return address && n->address ? strcmp(n->address, address) == 0 : address == n->address;
}

static struct mg_redis_cluster_node *make_node(struct mg_redis_cluster_map *m, char *address)
{
    struct mg_redis_cluster_node *n = mg_calloc(1, sizeof *n);
    char name[HOST_MAX + 160];
    snprintf(name, sizeof name, "%s%s%s", m->_name, address ? " " : "", address ? address : "");
    n->name = mg_strdup(mg_str_c(name));
    n->address = address;
    m->_seed = (m->_seed * 6364136223846793005u + 1442695040888963407u) | 1;
    mg_redis_node_init(&n->node, n->name, n->address, m->_loop, m->_chunks, m->_settings,
                       &m->_dialer, m->_seed);
    return n;
}

static void free_node(struct mg_redis_cluster_node *n)
{
    mg_redis_node_release(&n->node);
    free(n->name);
    free(n->address);
    free(n);
}

/* Takes the address. The node's place; NOBODY: there are too many. */
static uint16_t place_at(struct mg_redis_cluster_map *m, char *address)
{
    uint32_t empty = m->count;
    for (uint32_t i = 0; i < m->count; i++) {
        if (!m->nodes[i]) {
            empty = i;
        } else if (is_at(m->nodes[i], address)) {
            free(address);
            return (uint16_t)i;
        }
    }
    if (empty == MG_REDIS_NODES_MAX) {
        free(address);
        return NOBODY;
    }
    m->nodes[empty] = make_node(m, address);
    m->count += empty == m->count;
    return (uint16_t)empty;
}

struct mg_redis_node *mg_redis_cluster_map_node(struct mg_redis_cluster_map *m,
                                                struct mg_str address)
{
    size_t colon = address.n;
    while (colon > 0 && address.p[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return NULL;
    char *text =
        address_of(mg_str(address.p, colon - 1), mg_str(address.p + colon, address.n - colon));
    uint16_t place = text ? place_at(m, text) : NOBODY;
    return place == NOBODY ? NULL : &m->nodes[place]->node;
}

/* --- the map --- */

struct range {
    uint16_t first, last;
    const struct mg_redis_reply *host; /* of the master; or it does not know its own */
    char port[20];
};

static bool read_range(const struct mg_redis_reply *r, struct range *range)
{
    if (r->type != MG_REDIS_ARRAY || r->count < 3)
        return false;
    const struct mg_redis_reply *first = &r->items[0], *last = &r->items[1], *node = &r->items[2];
    if (first->type != MG_REDIS_INTEGER || last->type != MG_REDIS_INTEGER || first->integer < 0 ||
        last->integer < first->integer || last->integer >= MG_REDIS_SLOTS)
        return false;
    if (node->type != MG_REDIS_ARRAY || node->count < 2 ||
        node->items[1].type != MG_REDIS_INTEGER || node->items[1].integer < 0)
        return false;
    *range = (struct range){(uint16_t)first->integer, (uint16_t)last->integer, &node->items[0], ""};
    range->port[mg_u64_to_dec((uint64_t)node->items[1].integer, range->port)] = 0;
    return range->host->type == MG_REDIS_STRING || range->host->type == MG_REDIS_NIL;
}

static uint16_t place_of(struct mg_redis_cluster_map *m, const struct range *range)
{
    struct mg_str host = range->host->type == MG_REDIS_STRING ? range->host->str : MG_STR_NONE;
    char *address = NULL;
    if (host.n && !(address = address_of(host, mg_str_c(range->port))))
        return NOBODY;
    return place_at(m, address);
}

/* Ranges do not overlap: together they have no more slots than there are. */
static bool read_all(struct mg_redis_cluster_map *m, const struct mg_redis_reply *reply,
                     uint16_t *owner)
{
    struct range range;
    uint32_t slots = 0;
    for (size_t i = 0; i < reply->count; i++) {
        if (!read_range(&reply->items[i], &range))
            return false;
        slots += 1u + range.last - range.first;
        uint16_t place = slots > MG_REDIS_SLOTS ? NOBODY : place_of(m, &range);
        if (place == NOBODY)
            return false;
        for (uint32_t slot = range.first; slot <= range.last; slot++)
            owner[slot] = place;
    }
    return reply->count > 0;
}

static void mark_owners(struct mg_redis_cluster_map *m)
{
    for (uint32_t i = 0; i < m->count; i++)
        if (m->nodes[i])
            m->nodes[i]->has_slots = false;
    for (uint32_t slot = 0; slot < MG_REDIS_SLOTS; slot++)
        if (m->owner[slot] != NOBODY)
            m->nodes[m->owner[slot]]->has_slots = true;
}

static void clear(uint16_t *owner)
{
    for (uint32_t slot = 0; slot < MG_REDIS_SLOTS; slot++)
        owner[slot] = NOBODY;
}

bool mg_redis_cluster_map_read(struct mg_redis_cluster_map *m, const struct mg_redis_reply *reply,
                               const char **reason)
{
    uint16_t *owner = mg_malloc(sizeof m->owner);
    clear(owner);
    bool ok = reply->type == MG_REDIS_ARRAY && read_all(m, reply, owner);
    if (ok) {
        memcpy(m->owner, owner, sizeof m->owner);
        m->known = true;
        mark_owners(m);
    } else {
        *reason = reply->type == MG_REDIS_ERROR                        ? reply->str.p
                  : reply->type == MG_REDIS_ARRAY && reply->count == 0 ? no_slots
                                                                       : no_map;
    }
    free(owner);
    return ok;
}

bool mg_redis_cluster_map_sweep(struct mg_redis_cluster_map *m)
{
    bool more = false;
    for (uint32_t i = 0; i < m->count; i++) {
        struct mg_redis_cluster_node *n = m->nodes[i];
        if (!n || n->has_slots)
            continue;
        if (!mg_redis_node_is_idle(&n->node)) {
            more = true;
            continue;
        }
        m->nodes[i] = NULL;
        free_node(n);
    }
    return more;
}

void mg_redis_cluster_map_move(struct mg_redis_cluster_map *m, uint16_t slot,
                               const struct mg_redis_node *node)
{
    for (uint32_t i = 0; i < m->count; i++) {
        if (!m->nodes[i] || &m->nodes[i]->node != node)
            continue;
        m->nodes[i]->has_slots = true;
        m->owner[slot] = (uint16_t)i;
    }
}

static struct mg_redis_cluster_node *any_node(const struct mg_redis_cluster_map *m)
{
    struct mg_redis_cluster_node *found = NULL;
    for (uint32_t i = 0; i < m->count; i++) {
        struct mg_redis_cluster_node *n = m->nodes[i];
        if (!n || !n->has_slots)
            continue;
        found = n;
        if (!mg_redis_node_is_down(&n->node))
            break;
    }
    return found;
}

struct mg_redis_node *mg_redis_cluster_map_find(struct mg_redis_cluster_map *m, int slot)
{
    struct mg_redis_cluster_node *n = slot == MG_REDIS_SLOT_ANY  ? any_node(m)
                                      : m->owner[slot] == NOBODY ? NULL
                                                                 : m->nodes[m->owner[slot]];
    return n ? &n->node : NULL;
}

const char *mg_redis_cluster_map_address(const struct mg_redis_cluster_map *m)
{
    const struct mg_redis_cluster_node *n = any_node(m);
    return n && !mg_redis_node_is_down(&n->node) ? n->address : NULL;
}

/* --- life --- */

void mg_redis_cluster_map_init(struct mg_redis_cluster_map *m, const char *name,
                               struct mg_loop *loop, struct mg_pool *chunks,
                               const struct mg_redis_settings *settings,
                               const struct mg_redis_dialer *dialer, uint64_t seed)
{
    m->known = false;
    m->count = 0;
    m->_name = name;
    m->_loop = loop;
    m->_chunks = chunks;
    m->_settings = settings;
    m->_dialer = *dialer;
    m->_seed = seed;
    clear(m->owner);
}

void mg_redis_cluster_map_release(struct mg_redis_cluster_map *m)
{
    for (uint32_t i = 0; i < m->count; i++)
        if (m->nodes[i])
            free_node(m->nodes[i]);
    m->count = 0;
}
