/*
 * Servers on the other ends of pairs, for the tests of what dials more than one. The test plays
 * them: it hears what was said to a connection, and answers.
 */
#ifndef MG_TESTS_REDIS_SERVERS_H
#define MG_TESTS_REDIS_SERVERS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis/node.h"

#define SERVERS_CONNS 32
#define SERVERS_ROOM 65536
#define SERVERS_SAID 4096

struct servers_dial {
    struct servers *servers;
    struct mg_soon dialled;
    bool wanted;
    char address[64];
    mg_redis_dialled_fn on_done;
    void *arg;
};

struct servers {
    struct mg_loop *loop;
    struct mg_pool pool;
    const char *refusing; /* an address; "": those of the config; NULL: nobody refuses */
    int dials;            /* so far: the number of a connection, and its place below */
    struct servers_dial dial[SERVERS_CONNS];
    struct mg_stream *ends[SERVERS_CONNS]; /* ours */
    char said[SERVERS_CONNS][SERVERS_SAID];
};

static void servers_on_dialled(void *arg)
{
    struct servers_dial *d = arg;
    struct servers *s = d->servers;
    struct mg_stream *ends[2];
    d->wanted = false;
    if (s->refusing && strcmp(s->refusing, d->address) == 0) {
        d->on_done(d->arg, NULL, "refused");
        return;
    }
    mg_pair_stream_new(s->loop, SERVERS_ROOM, ends);
    s->ends[d - s->dial] = ends[1];
    d->on_done(d->arg, ends[0], NULL);
}

static void *servers_start(void *ctx, const char *address, mg_redis_dialled_fn on_done, void *arg,
                           const char **reason)
{
    struct servers *s = ctx;
    if (s->dials == SERVERS_CONNS) {
        *reason = "the test has no more connections";
        return NULL;
    }
    struct servers_dial *d = &s->dial[s->dials++];
    *d = (struct servers_dial){.servers = s, .wanted = true, .on_done = on_done, .arg = arg};
    snprintf(d->address, sizeof d->address, "%s", address ? address : "");
    mg_soon_init(&d->dialled, servers_on_dialled, d);
    mg_soon_run(s->loop, &d->dialled);
    return d;
}

static void servers_cancel(void *ctx, void *dial)
{
    struct servers_dial *d = dial;
    (void)ctx;
    mg_soon_cancel(&d->dialled);
    d->wanted = false;
}

static inline struct mg_redis_dialer servers_init(struct servers *s)
{
    *s = (struct servers){.loop = mg_loop_new_simulated(1)};
    mg_pool_init(&s->pool, 4096);
    return (struct mg_redis_dialer){servers_start, servers_cancel, s};
}

/* True: nothing is left over. */
static inline bool servers_release(struct servers *s)
{
    bool clean = true;
    for (int i = 0; i < s->dials; i++) {
        clean = clean && !s->dial[i].wanted;
        if (s->ends[i])
            mg_stream_close(s->ends[i]);
    }
    mg_loop_settle(s->loop);
    mg_loop_free(s->loop);
    clean = clean && s->pool.live == 0;
    mg_pool_release(&s->pool);
    return clean;
}

static inline void servers_run(struct servers *s, uint64_t ns)
{
    mg_loop_simulate(s->loop, mg_loop_now(s->loop) + ns, NULL);
}

/* What was said to a connection since the last time: "GET key;ECHO x;". */
static inline const char *servers_hear(struct servers *s, int conn)
{
    char bytes[SERVERS_SAID], *out = s->said[conn], *at = bytes;
    ssize_t got = s->ends[conn] ? mg_stream_read(s->ends[conn], bytes, sizeof bytes - 1) : 0;
    size_t n = 0;
    bytes[got > 0 ? got : 0] = 0;
    out[0] = 0;
    while (*at == '*') {
        unsigned long words = strtoul(at + 1, &at, 10);
        for (unsigned long i = 0; i < words; i++) {
            unsigned long bytes_of_word = strtoul(at + 3, &at, 10); /* after \r\n$ */
            n += (size_t)snprintf(out + n, SERVERS_SAID - n, "%s%.*s", i ? " " : "",
                                  (int)bytes_of_word, at + 2);
            at += 2 + bytes_of_word;
        }
        n += (size_t)snprintf(out + n, SERVERS_SAID - n, ";");
        at += 2;
    }
    return out;
}

static inline void servers_say(struct servers *s, int conn, const char *text)
{
    struct iovec v = {(void *)text, strlen(text)};
    mg_stream_writev(s->ends[conn], &v, 1);
    servers_run(s, 1);
}

/* Hears the greeting of a connection to that address, and lets it in. True: it was the greeting. */
static inline bool servers_welcome(struct servers *s, int conn, const char *address)
{
    if (conn >= s->dials || strcmp(s->dial[conn].address, address) != 0)
        return false;
    bool greeted = strcmp(servers_hear(s, conn), "CLIENT SETNAME moongate;PING;") == 0;
    servers_say(s, conn, "+OK\r\n+PONG\r\n");
    return greeted;
}

/* Has the client close it? */
static inline bool servers_is_closed(struct servers *s, int conn)
{
    char byte;
    return mg_stream_read(s->ends[conn], &byte, 1) == 0;
}

#endif
