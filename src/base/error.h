/*
 * How functions fail.
 *
 * Codecs answer with numbers of their own (bytes used, 0 for more, negative for bad). Everything
 * else returns `enum mg_rc`; on cold paths the last argument is a `struct mg_error` that gets the
 * text. Text: lower case, subject in quotes, no full stop, cause last.
 */
#ifndef MG_BASE_ERROR_H
#define MG_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

enum mg_rc {
    MG_OK = 0,
    MG_AGAIN = 1,  /* not now; the callee will call back */
    MG_EOF = 2,    /* ended as it should */
    MG_FAIL = -1,  /* failed; the error text or reason says why */
    MG_NOMEM = -2, /* a limit on memory was met */
};

#define MG_MUST_CHECK __attribute__((warn_unused_result))

struct mg_error {
    char text[1024]; /* NUL-terminated; cut short when longer */
};

/* Sets the text, printf style. Returns MG_FAIL, so that `return mg_error_set(err, ...)` reads well.
 * `err` may be NULL. */
enum mg_rc mg_error_set(struct mg_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Puts context in front: "context: old text". `err` may be NULL. Returns MG_FAIL. */
enum mg_rc mg_error_prefix(struct mg_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "Cannot happen", when going on would do harm: says where, and aborts. */
#define MG_BUG_ON(condition)                                                                       \
    do {                                                                                           \
        if (__builtin_expect(!!(condition), 0))                                                    \
            mg_bug(__FILE__, __LINE__, #condition);                                                \
    } while (0)

/* "Cannot happen", when the caller can cope: logs once a call, yields the condition's truth. */
#define MG_EXPECT(condition)                                                                       \
    (__builtin_expect(!!(condition), 1) ||                                                         \
     (mg_expect_failed(__FILE__, __LINE__, #condition), false))

void mg_bug(const char *file, int line, const char *condition) __attribute__((noreturn));
void mg_expect_failed(const char *file, int line, const char *condition);

#endif
