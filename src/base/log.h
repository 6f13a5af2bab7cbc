/*
 * Log lines: one event, one line, written by one write(2). JSON for machines, plain for people.
 *
 *     mg_log_warn("upstream timed out", MG_LOG_STR("service", name), MG_LOG_INT("after_ms", 2000));
 *
 * A client's mistake is not our error: it is logged at debug or info. Secrets are never passed in.
 * Any thread may log; the format and level are set once, before threads start, or under a lock-free
 * store on reload.
 */
#ifndef MG_BASE_LOG_H
#define MG_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum mg_log_level { MG_LOG_DEBUG, MG_LOG_INFO, MG_LOG_WARN, MG_LOG_ERROR };
enum mg_log_format { MG_LOG_JSON, MG_LOG_PLAIN };

struct mg_log_field {
    const char *key;
    enum { MG_LOG_IS_STR, MG_LOG_IS_INT, MG_LOG_IS_NUM, MG_LOG_IS_BOOL } kind;
    struct mg_str str;
    int64_t integer;
    double number;
};

#define MG_LOG_STR(k, v) ((struct mg_log_field){.key = (k), .kind = MG_LOG_IS_STR, .str = (v)})
#define MG_LOG_C(k, v) MG_LOG_STR(k, mg_str_c(v))
#define MG_LOG_INT(k, v) ((struct mg_log_field){.key = (k), .kind = MG_LOG_IS_INT, .integer = (v)})
#define MG_LOG_NUM(k, v) ((struct mg_log_field){.key = (k), .kind = MG_LOG_IS_NUM, .number = (v)})
#define MG_LOG_BOOL(k, v)                                                                          \
    ((struct mg_log_field){.key = (k), .kind = MG_LOG_IS_BOOL, .integer = (v)})

/* Where finished lines go; `line` ends in a newline. The default writes to standard error. A test
 * sets its own. Called on the logging thread. */
typedef void (*mg_log_sink_fn)(void *arg, enum mg_log_level level, struct mg_str line);

void mg_log_configure(enum mg_log_level least, enum mg_log_format format);
void mg_log_set_sink(mg_log_sink_fn sink, void *arg); /* NULL: standard error again */
/* Where the time of lines comes from, in seconds since 1970; NULL: the system again. For
 * simulations. */
typedef double (*mg_log_clock_fn)(void *arg);
void mg_log_set_clock(mg_log_clock_fn clock, void *arg);
bool mg_log_enabled(enum mg_log_level level);

/* Writes one line. `msg` and the fields are borrowed for the call. */
void mg_log_fields(enum mg_log_level level, struct mg_str msg, const struct mg_log_field *fields,
                   size_t count);

#define MG_LOG_AT(level, msg, ...)                                                                 \
    do {                                                                                           \
        if (mg_log_enabled(level)) {                                                               \
            const struct mg_log_field _fields[] = {{.key = NULL}, ##__VA_ARGS__};                  \
            mg_log_fields(level, mg_str_c(msg), _fields + 1,                                       \
                          sizeof _fields / sizeof _fields[0] - 1);                                 \
        }                                                                                          \
    } while (0)

#define mg_log_debug(msg, ...) MG_LOG_AT(MG_LOG_DEBUG, msg, ##__VA_ARGS__)
#define mg_log_info(msg, ...) MG_LOG_AT(MG_LOG_INFO, msg, ##__VA_ARGS__)
#define mg_log_warn(msg, ...) MG_LOG_AT(MG_LOG_WARN, msg, ##__VA_ARGS__)
#define mg_log_error(msg, ...) MG_LOG_AT(MG_LOG_ERROR, msg, ##__VA_ARGS__)

#endif
