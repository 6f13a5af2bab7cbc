/*
 * Counting over a sliding window. Any thread.
 *
 * A slot is one word: whose turn of the window it belongs to (24 bits), the total and the marked
 * (20 each). So what is left from an earlier turn and the new counts cannot be mixed up, and a slot
 * is taken over in the same step in which it is counted up.
 */
#include "upstream/window.h"

#define COUNT_BITS 20
#define TURN_BITS 24

struct slot {
    uint32_t turn, total, marked;
};

static uint64_t pack(struct slot s)
{
    return (uint64_t)s.turn << (2 * COUNT_BITS) | (uint64_t)s.total << COUNT_BITS | s.marked;
}

static struct slot unpack(uint64_t word)
{
    return (struct slot){(uint32_t)(word >> (2 * COUNT_BITS)),
                         (uint32_t)(word >> COUNT_BITS) & MG_WINDOW_SLOT_MAX,
                         (uint32_t)word & MG_WINDOW_SLOT_MAX};
}

static uint32_t turn_at(const struct mg_window *w, uint64_t now_ns)
{
    return (uint32_t)(now_ns / w->slot_ns) & ((UINT32_C(1) << TURN_BITS) - 1);
}

/* How many turns `turn` is before `at`; 0 for one that another thread has begun already, whose
 * clock is a little ahead. */
static uint32_t age(uint32_t turn, uint32_t at)
{
    uint32_t turns = (at - turn) & ((UINT32_C(1) << TURN_BITS) - 1);
    return turns >> (TURN_BITS - 1) ? 0 : turns;
}

static atomic_uint_fast64_t *slot_at(struct mg_window *w, uint64_t now_ns)
{
    return &w->slots[now_ns / w->slot_ns % MG_WINDOW_SLOTS];
}

/* What a slot holds, as far as it is of the turn that begins or is under way. */
static struct slot current(uint64_t word, uint32_t turn)
{
    struct slot s = unpack(word);
    return age(s.turn, turn) == 0 ? s : (struct slot){.turn = turn};
}

void mg_window_init(struct mg_window *w, uint64_t window_ns)
{
    w->slot_ns = window_ns / MG_WINDOW_SLOTS ? window_ns / MG_WINDOW_SLOTS : 1;
    for (int i = 0; i < MG_WINDOW_SLOTS; i++)
        atomic_init(&w->slots[i], 0);
}

void mg_window_reset(struct mg_window *w)
{
    for (int i = 0; i < MG_WINDOW_SLOTS; i++)
        atomic_store_explicit(&w->slots[i], 0, memory_order_relaxed);
}

void mg_window_add(struct mg_window *w, bool marked, uint64_t now_ns)
{
    atomic_uint_fast64_t *slot = slot_at(w, now_ns);
    uint32_t turn = turn_at(w, now_ns);
    uint_fast64_t seen = atomic_load_explicit(slot, memory_order_relaxed);
    struct slot s;
    do {
        s = current(seen, turn);
        if (s.total == MG_WINDOW_SLOT_MAX)
            return; /* the share stays what it was */
        s.total++;
        s.marked += marked;
    } while (!atomic_compare_exchange_weak_explicit(slot, &seen, pack(s), memory_order_relaxed,
                                                    memory_order_relaxed));
}

struct mg_window_sum mg_window_sum(const struct mg_window *w, uint64_t now_ns)
{
    uint32_t turn = turn_at(w, now_ns);
    struct mg_window_sum sum = {0};
    for (int i = 0; i < MG_WINDOW_SLOTS; i++) {
        struct slot s = unpack(atomic_load_explicit(&w->slots[i], memory_order_relaxed));
        if (age(s.turn, turn) >= MG_WINDOW_SLOTS)
            continue;
        sum.total += s.total;
        sum.marked += s.marked;
    }
    return sum;
}

bool mg_window_mark(struct mg_window *w, uint32_t percent, uint32_t floor, uint64_t now_ns)
{
    atomic_uint_fast64_t *slot = slot_at(w, now_ns);
    uint32_t turn = turn_at(w, now_ns);
    uint_fast64_t seen = atomic_load_explicit(slot, memory_order_relaxed);
    struct slot s;
    do {
        /* The other slots change no more, so that this one did not either makes the sum true. */
        struct mg_window_sum sum = mg_window_sum(w, now_ns);
        s = current(seen, turn);
        uint64_t allowed = (uint64_t)sum.total * percent / 100 + floor;
        if (sum.marked >= allowed || s.marked == MG_WINDOW_SLOT_MAX)
            return false;
        s.marked++;
    } while (!atomic_compare_exchange_weak_explicit(slot, &seen, pack(s), memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}
