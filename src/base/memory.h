/* Allocation that dies instead of failing, for small sizes that we choose ourselves; and ASan
 * hints. Sizes that a peer chooses have a limit, and use plain malloc with its failure handled. */
#ifndef MG_BASE_MEMORY_H
#define MG_BASE_MEMORY_H

#include <stddef.h>

#include "base/str.h"

void *mg_malloc(size_t n) __attribute__((malloc, returns_nonnull));
void *mg_calloc(size_t count, size_t n) __attribute__((malloc, returns_nonnull));
void *mg_realloc(void *p, size_t n) __attribute__((returns_nonnull));
char *mg_strdup(struct mg_str s); /* NUL-terminated; free() it */

/* Whole pages, straight from the system and straight back to it. Under ASan from malloc, which
 * knows where they end. */
void *mg_pages_new(size_t n) __attribute__((malloc, returns_nonnull));
void mg_pages_free(void *p, size_t n);

#if defined(__SANITIZE_ADDRESS__)
#define MG_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MG_ASAN 1
#endif
#endif
#ifdef MG_ASAN
#include <sanitizer/asan_interface.h>
#define MG_POISON(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define MG_UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define MG_POISON(p, n) ((void)(p), (void)(n))
#define MG_UNPOISON(p, n) ((void)(p), (void)(n))
#endif

#endif
