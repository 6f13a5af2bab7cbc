/*
 * The listening sockets of a generation: one for each worker and address, opened before any worker
 * starts, so that whatever is wrong with them is told at once. Connections wait in the kernel until
 * the workers accept.
 */
#ifndef MG_APP_SOCKETS_H
#define MG_APP_SOCKETS_H

#include "base/error.h"
#include "gateway/generation.h"

struct mg_sockets;

#define MG_SOCKETS_NONE UINT32_MAX

/* NULL with `err` set when one cannot be opened, or when another process listens there already:
 * with SO_REUSEPORT the kernel would give us a part of its connections. With `old` (may be NULL),
 * the sockets in use, addresses that are there already are not opened again: both have their
 * descriptors until mg_sockets_take_over or mg_sockets_give_back, and mg_sockets_free before. */
struct mg_sockets *mg_sockets_open(const struct mg_generation *gen, uint32_t workers,
                                   const struct mg_sockets *old,
                                   struct mg_error *err) MG_MUST_CHECK;
/* One socket alone, for the control thread: returns its descriptor and sets *name as below (the
 * caller frees it), or -1 with `err` set. */
int mg_sockets_open_one(const char *address, char **name, struct mg_error *err);
/* Which of the old listeners this one is; MG_SOCKETS_NONE: a new one. */
uint32_t mg_sockets_before(const struct mg_sockets *s, uint32_t listener);
/* Descriptors of both are those of `s` alone from now on ... */
void mg_sockets_take_over(struct mg_sockets *s, struct mg_sockets *old);
/* ... or of the old ones. */
void mg_sockets_give_back(struct mg_sockets *s);
/* Closes what is open, and removes the files of unix sockets. NULL is fine. */
void mg_sockets_free(struct mg_sockets *s);

uint32_t mg_sockets_count(const struct mg_sockets *s); /* of listeners */
/* The bound address: "127.0.0.1:8080", with the port that a port of 0 became, or "unix:/path". */
const char *mg_sockets_name(const struct mg_sockets *s, uint32_t listener);

/* A worker's own descriptor; and its end, by that worker's thread. */
int mg_sockets_fd(const struct mg_sockets *s, uint32_t listener, uint32_t worker);
void mg_sockets_close(struct mg_sockets *s, uint32_t listener, uint32_t worker);

#endif
