/*
 * Where a Redis Cluster keeps a key, and which arguments of a command are keys. Bytes in, numbers
 * out. Any thread.
 */
#ifndef MG_REDIS_SLOTS_H
#define MG_REDIS_SLOTS_H

#include <stdint.h>

#include "base/str.h"

#define MG_REDIS_SLOTS 16384
/* In place of a slot. */
#define MG_REDIS_SLOT_ANY (-1)   /* the command has no key: any server will do */
#define MG_REDIS_SLOT_CROSS (-2) /* its keys lie in several slots: no server takes it */

/* By CRC16 of the key, or of its tag: what stands in its first braces, unless that is nothing. */
uint16_t mg_redis_slot_of_key(struct mg_str key);

/* Commands that are not known have one key, their first argument, as most do. Keys that an option
 * names (SORT ... STORE key) are left to the server, which refuses what it does not have. */
int mg_redis_slot_of_command(int argc, const char *const *argv, const size_t *lengths);

#endif
