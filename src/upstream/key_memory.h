/*
 * The last good keys of issuers, kept beyond the life of a gateway process: one that is started
 * again while an issuer is down verifies tokens all the same.
 *
 * They lie in a file that has no name and is in memory only (memfd_create), which the supervisor
 * holds and hands to each gateway process. So nobody else can write keys there, as somebody might
 * in a file on disk, and they are gone with the supervisor. What is read is held to the same rules
 * as what comes from the issuer.
 *
 * Two processes may have it open while one takes over from the other; a lock keeps their writing
 * apart. Control thread.
 */
#ifndef MG_UPSTREAM_KEY_MEMORY_H
#define MG_UPSTREAM_KEY_MEMORY_H

#include "base/buf.h"
#include "upstream/keyring.h"

/* What is too much for it is not kept. */
#define MG_KEY_MEMORY_MAX ((size_t)8 << 20)

struct mg_key_memory;

/* A file for it, closed on exec; -1: the system has none. */
int mg_key_memory_file(void);

/* Takes the descriptor. */
struct mg_key_memory *mg_key_memory_new(int fd);
void mg_key_memory_free(struct mg_key_memory *m); /* NULL is fine */

/* Appends the JWK Set that this source gave last. False: none is kept. */
bool mg_key_memory_recall(struct mg_key_memory *m, const struct mg_keyring_source *source,
                          struct mg_buf *text) MG_MUST_CHECK;
/* In place of the one before. A failure is nobody's: it is as if it had not been called. */
void mg_key_memory_keep(struct mg_key_memory *m, const struct mg_keyring_source *source,
                        struct mg_str text);

#endif
