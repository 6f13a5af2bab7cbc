/* A ring of points, sorted by hash. Pure. */
#include "upstream/ring.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/memory.h"

/* Points of a member of average weight: shares then differ by about a tenth. */
#define POINTS_EACH 160
/* Beyond that all get fewer. */
#define POINTS_MAX ((uint64_t)1 << 18)

struct point {
    uint64_t hash;
    uint32_t owner;
};

struct mg_ring {
    uint32_t count;
    struct point v[];
};

uint64_t mg_ring_hash(struct mg_str s)
{
    static const uint8_t no_secret[MG_HASH_KEY_BYTES];
    return mg_hash(no_secret, s);
}

/* The i-th point of a member, the same whoever else is there (splitmix64). */
static uint64_t point_hash(uint64_t identity, uint32_t i)
{
    uint64_t x = identity + (i + 1) * UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

static uint32_t points_of(uint32_t weight, uint32_t count, uint64_t total_weight)
{
    uint64_t all = (uint64_t)count * POINTS_EACH;
    if (all > POINTS_MAX)
        all = POINTS_MAX;
    uint64_t n = (weight * all + total_weight / 2) / total_weight;
    return n ? (uint32_t)n : 1;
}

static int compare_points(const void *left, const void *right)
{
    const struct point *a = left, *b = right;
    return a->hash < b->hash ? -1 : a->hash > b->hash;
}

struct mg_ring *mg_ring_new(const struct mg_ring_member *v, uint32_t count)
{
    uint64_t total_weight = 0, points = 0;
    for (uint32_t i = 0; i < count; i++)
        total_weight += v[i].weight;
    for (uint32_t i = 0; i < count; i++)
        points += points_of(v[i].weight, count, total_weight);
    if (points == 0)
        return NULL;
    struct mg_ring *r = mg_malloc(sizeof *r + points * sizeof r->v[0]);
    r->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t n = points_of(v[i].weight, count, total_weight);
        for (uint32_t k = 0; k < n; k++)
            r->v[r->count++] = (struct point){point_hash(v[i].identity, k), i};
    }
    qsort(r->v, r->count, sizeof r->v[0], compare_points);
    return r;
}

uint32_t mg_ring_points(const struct mg_ring *r)
{
    return r->count;
}

uint32_t mg_ring_find(const struct mg_ring *r, uint64_t hash)
{
    uint32_t low = 0, high = r->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (r->v[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t mg_ring_owner(const struct mg_ring *r, uint32_t point)
{
    return r->v[point % r->count].owner;
}
