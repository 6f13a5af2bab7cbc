/*
 * Signals as events of a loop (signalfd): nothing runs inside a signal handler.
 */
#ifndef MG_NET_SIGNALS_H
#define MG_NET_SIGNALS_H

#include <stddef.h>

#include "base/error.h"
#include "net/loop.h"

struct mg_signals;

typedef void (*mg_signal_fn)(void *arg, int number);

/* One that comes before mg_signals_new is kept for it, instead of ending the process. */
void mg_signals_hold(int number);

/* Blocks these signals in the calling thread, and so in all threads that it starts afterwards, and
 * calls back on the loop when one comes. Before other threads start. NULL with `err` set when the
 * system refuses. */
struct mg_signals *mg_signals_new(struct mg_loop *loop, const int *numbers, size_t count,
                                  mg_signal_fn fn, void *arg, struct mg_error *err);
/* They stay blocked: what comes from now on is dropped or left pending. NULL is fine. */
void mg_signals_free(struct mg_signals *s);

#endif
