/*
 * Messages between two processes of ours: texts that arrive whole and in order, each with a
 * descriptor or without (SOCK_SEQPACKET, SCM_RIGHTS). When one side ends, however it ends, the
 * other hears of it.
 */
#ifndef MG_NET_CHANNEL_H
#define MG_NET_CHANNEL_H

#include "base/error.h"
#include "base/str.h"
#include "net/loop.h"

struct mg_channel;

#define MG_CHANNEL_TEXT_MAX 2048 /* bytes of a message */

struct mg_channel_events {
    /* `text` is borrowed; takes `fd` (-1: none came). May free the channel, but not during
     * mg_channel_finish. */
    void (*on_message)(void *arg, struct mg_str text, int fd);
    /* The other side is gone: nothing comes any more. At most once; may free the channel. */
    void (*on_end)(void *arg);
    void *arg;
};

/* Two ends that are connected, closed on exec. */
enum mg_rc mg_channel_pair(int ends[2], struct mg_error *err) MG_MUST_CHECK;

/* Takes the descriptor. Calls back from later turns of the loop only. */
struct mg_channel *mg_channel_new(struct mg_loop *loop, int fd,
                                  const struct mg_channel_events *events);
/* The other side has ended: calls back for all that it had sent before. */
void mg_channel_finish(struct mg_channel *c);
/* NULL is fine. */
void mg_channel_free(struct mg_channel *c);
int mg_channel_fd(const struct mg_channel *c);

/* Borrows `fd` (-1: none). While the other side has not made room, waits up to `patience_ms`.
 * False: it was not sent, for the other side is gone or does not read. */
bool mg_channel_send(struct mg_channel *c, struct mg_str text, int fd, int patience_ms);

#endif
