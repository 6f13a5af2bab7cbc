/*
 * Log lines. Any thread; each line is built on the caller's stack and written at once.
 *
 * Atomic: level, format. Set once, before threads start: the sink, the clock.
 */
#include "base/log.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"

/* A line is never longer than this; a longer value is cut, so that a hostile one cannot flood the
 * log. */
#define LINE_BYTES 16384

static atomic_int least = MG_LOG_INFO;
static atomic_int style = MG_LOG_JSON;
static mg_log_sink_fn sink_fn;
static void *sink_arg;
static mg_log_clock_fn clock_fn;
static void *clock_arg;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

struct line {
    char text[LINE_BYTES];
    size_t n;
};

static void put(struct line *l, const char *p, size_t n)
{
    size_t room = sizeof l->text - 64 - l->n; /* what closes the line always fits */
    if (n > room)
        n = room;
    memcpy(l->text + l->n, p, n);
    l->n += n;
}

static void put_c(struct line *l, const char *text)
{
    put(l, text, strlen(text));
}

/* Control bytes, quotes and backslashes are escaped in both formats: no value can forge a line.
 * Bytes from 0x80 on pass as they are when they look like UTF-8 in plain text, and are escaped in
 * JSON only when they could not be: readers of logs cope with the rest. */
static void put_escaped(struct line *l, struct mg_str s)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\') {
            put(l, (char[]){'\\', (char)c}, 2);
        } else if (c == '\n') {
            put(l, "\\n", 2);
        } else if (c == '\t') {
            put(l, "\\t", 2);
        } else if (c < 0x20 || c == 0x7f) {
            put(l, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
        } else {
            put(l, (char *)&c, 1);
        }
    }
}

static void read_clock(struct timespec *now)
{
    if (!clock_fn) {
        clock_gettime(CLOCK_REALTIME, now);
        return;
    }
    double seconds = clock_fn(clock_arg);
    now->tv_sec = (time_t)seconds;
    now->tv_nsec = (long)((seconds - (double)now->tv_sec) * 1e9);
}

static void put_time(struct line *l)
{
    struct timespec now;
    struct tm utc;
    char text[40];
    read_clock(&now);
    gmtime_r(&now.tv_sec, &utc);
    size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    n += (size_t)snprintf(text + n, sizeof text - n, ".%03ldZ", now.tv_nsec / 1000000);
    put(l, text, n);
}

static void put_number(struct line *l, const struct mg_log_field *f)
{
    char text[40];
    int n;
    if (f->kind == MG_LOG_IS_BOOL)
        n = snprintf(text, sizeof text, "%s", f->integer ? "true" : "false");
    else if (f->kind == MG_LOG_IS_INT)
        n = snprintf(text, sizeof text, "%lld", (long long)f->integer);
    else if (isfinite(f->number))
        n = snprintf(text, sizeof text, "%.9g", f->number);
    else
        n = snprintf(text, sizeof text, "null");
    put(l, text, (size_t)n);
}

static void put_json_field(struct line *l, const struct mg_log_field *f)
{
    put_c(l, ",\"");
    put_c(l, f->key);
    put_c(l, "\":");
    if (f->kind == MG_LOG_IS_STR) {
        put_c(l, "\"");
        put_escaped(l, f->str);
        put_c(l, "\"");
    } else {
        put_number(l, f);
    }
}

static bool needs_quotes(struct mg_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == '"' || s.p[i] == '=' || s.p[i] == '\\')
            return true;
    return s.n == 0;
}

static void put_plain_field(struct line *l, const struct mg_log_field *f)
{
    put_c(l, " ");
    put_c(l, f->key);
    put_c(l, "=");
    if (f->kind != MG_LOG_IS_STR) {
        put_number(l, f);
    } else if (needs_quotes(f->str)) {
        put_c(l, "\"");
        put_escaped(l, f->str);
        put_c(l, "\"");
    } else {
        put(l, f->str.p, f->str.n);
    }
}

static void write_line(enum mg_log_level level, struct line *l)
{
    if (sink_fn) {
        sink_fn(sink_arg, level, mg_str(l->text, l->n));
        return;
    }
    const char *p = l->text;
    for (size_t left = l->n; left;) {
        ssize_t n = write(STDERR_FILENO, p, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nowhere left to complain */
        p += n;
        left -= (size_t)n;
    }
}

void mg_log_configure(enum mg_log_level level, enum mg_log_format format)
{
    atomic_store_explicit(&least, (int)level, memory_order_relaxed);
    atomic_store_explicit(&style, (int)format, memory_order_relaxed);
}

void mg_log_set_sink(mg_log_sink_fn fn, void *arg)
{
    sink_fn = fn;
    sink_arg = arg;
}

void mg_log_set_clock(mg_log_clock_fn clock, void *arg)
{
    clock_fn = clock;
    clock_arg = arg;
}

bool mg_log_enabled(enum mg_log_level level)
{
    return (int)level >= atomic_load_explicit(&least, memory_order_relaxed);
}

void mg_log_fields(enum mg_log_level level, struct mg_str msg, const struct mg_log_field *fields,
                   size_t count)
{
    struct line l;
    l.n = 0;
    if (atomic_load_explicit(&style, memory_order_relaxed) == MG_LOG_JSON) {
        put_c(&l, "{\"time\":\"");
        put_time(&l);
        put_c(&l, "\",\"level\":\"");
        put_c(&l, level_names[level]);
        put_c(&l, "\",\"msg\":\"");
        put_escaped(&l, msg);
        put_c(&l, "\"");
        for (size_t i = 0; i < count; i++)
            put_json_field(&l, &fields[i]);
        memcpy(l.text + l.n, "}\n", 2);
        l.n += 2;
    } else {
        put_time(&l);
        put_c(&l, " ");
        put_c(&l, level_names[level]);
        put_c(&l, " ");
        put_escaped(&l, msg);
        for (size_t i = 0; i < count; i++)
            put_plain_field(&l, &fields[i]);
        l.text[l.n++] = '\n';
    }
    write_line(level, &l);
}
