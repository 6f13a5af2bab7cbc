/*
 * The listening sockets of a generation: at least one for each worker and address, opened before
 * any worker starts, so that whatever is wrong with them is told at once. Connections wait in the
 * kernel until the workers accept.
 *
 * A listener's sockets are its places. There are more of them than workers when a process with more
 * workers opened them: they cannot be closed, for connections may wait in each. Worker w accepts at
 * places w, w + workers and so on.
 */
#ifndef MG_APP_SOCKETS_H
#define MG_APP_SOCKETS_H

#include "app/held.h"
#include "base/error.h"
#include "gateway/generation.h"

struct mg_sockets;

#define MG_SOCKETS_NONE UINT32_MAX

/* NULL with `err` set when one cannot be opened, or when another process listens there already:
 * with SO_REUSEPORT the kernel would give us a part of its connections. With `old` (may be NULL),
 * the sockets in use, addresses that are there already are not opened again: both have their
 * descriptors until mg_sockets_take_over or mg_sockets_give_back, and mg_sockets_free before. When
 * `old` is empty, at the start, it waits for up to half a second until addresses are free. */
struct mg_sockets *mg_sockets_open(const struct mg_generation *gen, uint32_t workers,
                                   const struct mg_sockets *old,
                                   struct mg_error *err) MG_MUST_CHECK;
/* What another process has held for us, as sockets before ours: for mg_sockets_open, and whoever
 * else listens. Takes them all out of `held`. */
struct mg_sockets *mg_sockets_inherit(struct mg_held *held);

/* One socket alone, for the control thread. */
struct mg_sockets_one {
    char *address; /* as configured; NULL: not open */
    char *label;   /* "ROLE ADDRESS", by which a supervisor holds it */
    char *name;    /* as mg_sockets_name has it */
    int fd;
};

/* Takes the one for this address and role out of `inherited` (may be NULL), or opens it; with
 * patience, while starting, waits for up to half a second until the address is free. */
enum mg_sockets_patience { MG_SOCKETS_AT_ONCE, MG_SOCKETS_PATIENT };
enum mg_rc mg_sockets_open_one(const char *role, const char *address, struct mg_sockets *inherited,
                               enum mg_sockets_patience patience, struct mg_sockets_one *out,
                               struct mg_error *err) MG_MUST_CHECK;
/* One that is not open is fine. */
void mg_sockets_close_one(struct mg_sockets_one *one, bool leave_file);

/* Which of the old listeners this one is; MG_SOCKETS_NONE: a new one. */
uint32_t mg_sockets_before(const struct mg_sockets *s, uint32_t listener);
/* Descriptors of both are those of `s` alone from now on ... */
void mg_sockets_take_over(struct mg_sockets *s, struct mg_sockets *old);
/* ... or of the old ones. */
void mg_sockets_give_back(struct mg_sockets *s);
/* Does another process go on with the files of unix sockets? */
void mg_sockets_leave_files(struct mg_sockets *s, bool on);
/* Closes what is open, and removes the files of unix sockets. NULL is fine. */
void mg_sockets_free(struct mg_sockets *s);

uint32_t mg_sockets_count(const struct mg_sockets *s); /* of listeners */
/* As configured. */
const char *mg_sockets_address(const struct mg_sockets *s, uint32_t listener);
/* The bound address: "127.0.0.1:8080", with the port that a port of 0 became, or "unix:/path". */
const char *mg_sockets_name(const struct mg_sockets *s, uint32_t listener);

/* How many, and the descriptors; each is closed by the thread of the worker that accepts there. */
uint32_t mg_sockets_places(const struct mg_sockets *s, uint32_t listener);
int mg_sockets_fd(const struct mg_sockets *s, uint32_t listener, uint32_t place);
const int *mg_sockets_fds(const struct mg_sockets *s, uint32_t listener);
void mg_sockets_close(struct mg_sockets *s, uint32_t listener, uint32_t place);

#endif
