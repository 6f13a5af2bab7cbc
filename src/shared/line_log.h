/*
 * Lines of text from many threads to one place, such as an access log, without making them wait.
 *
 * Each writer has a ring of bytes of its own, which one thread of the log's empties: it may wait
 * for a disk or for whoever reads a pipe, and nobody else has to. A line that finds no room is
 * dropped and counted. The thread sleeps while there is nothing; it is woken once for many lines.
 *
 *     writers ─▶ rings ─▶ thread ─▶ file, standard output, syslog
 */
#ifndef MG_SHARED_LINE_LOG_H
#define MG_SHARED_LINE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

#define MG_LINE_RING_BYTES ((size_t)1 << 20)

enum mg_line_to {
    MG_LINE_TO_NOWHERE,
    MG_LINE_TO_STDOUT,
    MG_LINE_TO_STDERR,
    MG_LINE_TO_FILE,
    MG_LINE_TO_SYSLOG
};

struct mg_line_target {
    enum mg_line_to to;
    struct mg_str file; /* MG_LINE_TO_FILE: NUL-terminated */
};

struct mg_line_log;
struct mg_line_ring;

/* Starts no thread yet. */
struct mg_line_log *mg_line_log_new(void);
/* Writes what is there, unless that takes longer than a second, and ends. Nobody puts any more.
 * NULL is fine. */
void mg_line_log_free(struct mg_line_log *l);

/* Opens where lines shall go; copies. A file is made when it is not there, and will be appended to.
 * MG_FAIL with `err`: it cannot be opened. These three: control thread. */
enum mg_rc mg_line_log_prepare(struct mg_line_log *l, const struct mg_line_target *target,
                               struct mg_error *err) MG_MUST_CHECK;
/* They go there from now on, but for a few of this moment. */
void mg_line_log_adopt(struct mg_line_log *l);
/* Or all stays as it is. */
void mg_line_log_discard(struct mg_line_log *l);
/* Opens a file anew, after somebody has moved the old one away. Control thread. */
void mg_line_log_reopen(struct mg_line_log *l);
/* How many lines were dropped since the start. Any thread. */
uint64_t mg_line_log_dropped(struct mg_line_log *l);

/* The ring of the writer of that number, valid as long as the log. At most one thread is that
 * writer at a time. */
struct mg_line_ring *mg_line_log_ring(struct mg_line_log *l, uint32_t writer);
/* By its writer. The line ends in a newline, and has no other. False: it was dropped. */
bool mg_line_ring_put(struct mg_line_ring *r, struct mg_str line);

#endif
