/* Random bytes from getrandom(2), buffered in each thread. Any thread. */
#include "crypto/random.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#include "base/error.h"
#include "crypto/base64.h"

/* 256 is what getrandom gives in one piece, unbroken by signals: sixteen UUIDs. */
#define BUFFER_BYTES 256

struct buffer {
    unsigned forks; /* value of `fork_count` when filled */
    size_t left;    /* unused bytes, at the end */
    uint8_t bytes[BUFFER_BYTES];
};

static _Thread_local struct buffer buffer;
static _Thread_local uint64_t *simulated; /* NULL: the kernel's */
static atomic_uint
    fork_count; /* 0 until the handler is in place, then 1 more in each forked child */
static pthread_once_t handler_once = PTHREAD_ONCE_INIT;

static void from_kernel(uint8_t *out, size_t n)
{
    while (n) {
        ssize_t got = getrandom(out, n, 0);
        MG_BUG_ON(got < 0 && errno != EINTR);
        if (got > 0) {
            out += got;
            n -= (size_t)got;
        }
    }
}

static void after_fork_in_child(void)
{
    atomic_fetch_add_explicit(&fork_count, 1, memory_order_relaxed);
}

static void install_handler(void)
{
    MG_BUG_ON(pthread_atfork(NULL, NULL, after_fork_in_child) != 0);
    after_fork_in_child();
}

static void refill(struct buffer *b)
{
    pthread_once(&handler_once, install_handler);
    from_kernel(b->bytes, BUFFER_BYTES);
    b->left = BUFFER_BYTES;
    b->forks = atomic_load_explicit(&fork_count, memory_order_relaxed);
}

void mg_random_simulate(uint64_t *state)
{
    simulated = state;
}

/* xorshift64*, one byte of each number: nobody's secrets depend on it. */
static void from_simulation(uint8_t *out, size_t n)
{
    uint64_t x = *simulated;
    for (size_t i = 0; i < n; i++) {
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        out[i] = (uint8_t)((x * UINT64_C(2685821657736338717)) >> 56);
    }
    *simulated = x;
}

void mg_random_bytes(void *out, size_t n)
{
    struct buffer *b = &buffer;
    if (simulated) {
        from_simulation(out, n);
        return;
    }
    if (n > BUFFER_BYTES / 4) { /* long-lived secrets do not pass through the buffer */
        from_kernel(out, n);
        return;
    }
    if (b->left < n || b->forks != atomic_load_explicit(&fork_count, memory_order_relaxed))
        refill(b);
    uint8_t *from = b->bytes + BUFFER_BYTES - b->left;
    memcpy(out, from, n);
    explicit_bzero(from, n);
    b->left -= n;
}

void mg_random_uuid(char out[MG_RANDOM_UUID_CHARS])
{
    uint8_t bytes[16];
    mg_random_bytes(bytes, sizeof bytes);
    bytes[6] = (uint8_t)(0x40 | (bytes[6] & 0x0f));
    bytes[8] = (uint8_t)(0x80 | (bytes[8] & 0x3f));
    const uint8_t *p = bytes;
    for (int group = 0; group < 5; group++) {
        static const size_t LENGTHS[5] = {4, 2, 2, 2, 6};
        if (group)
            *out++ = '-';
        mg_base64_hex_encode(mg_str((const char *)p, LENGTHS[group]), out);
        p += LENGTHS[group];
        out += 2 * LENGTHS[group];
    }
}
