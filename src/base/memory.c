/* Small allocation fails: we die, loudly. Any thread. */
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static void *or_die(void *p, size_t n)
{
    if (!p && n) {
        fprintf(stderr, "moongate: out of memory for %zu bytes\n", n);
        abort();
    }
    return p;
}

void *mg_malloc(size_t n)
{
    return or_die(malloc(n ? n : 1), 1);
}

void *mg_calloc(size_t count, size_t n)
{
    return or_die(calloc(count ? count : 1, n ? n : 1), 1);
}

void *mg_realloc(void *p, size_t n)
{
    return or_die(realloc(p, n ? n : 1), 1);
}

char *mg_strdup(struct mg_str s)
{
    char *copy = mg_malloc(s.n + 1);
    if (s.n)
        memcpy(copy, s.p, s.n);
    copy[s.n] = 0;
    return copy;
}

#ifdef MG_ASAN

void *mg_pages_new(size_t n)
{
    return mg_malloc(n);
}

void mg_pages_free(void *p, size_t n)
{
    (void)n;
    free(p);
}

#else

void *mg_pages_new(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return or_die(p == MAP_FAILED ? NULL : p, n);
}

void mg_pages_free(void *p, size_t n)
{
    /* A hole in a mapping makes two of it, and there may be too many already. Then the pages go,
     * but not their addresses. */
    if (munmap(p, n) != 0)
        madvise(p, n, MADV_DONTNEED);
}

#endif
