/*
 * The blocks of a PEM text (RFC 7468), one by one, so that a message can say which of them is bad.
 * What lies between them is skipped. Pure.
 */
#ifndef MG_TLS_PEM_H
#define MG_TLS_PEM_H

#include <stdbool.h>

#include "base/str.h"

/* Takes everything up to the end of the next block with this label ("CERTIFICATE") off `*rest`;
 * `*block` is the block with its first and last line, borrowed. A block without a last line goes to
 * the end of the text. False: there is none. */
bool mg_tls_pem_next(struct mg_str *rest, const char *label, struct mg_str *block);

/* Is there a block whose label ends so ("PRIVATE KEY")? */
bool mg_tls_pem_has(struct mg_str text, const char *label_end);

/* Reads all blocks with the label into `list`, with the library's parser for it, which wants a NUL
 * at the end. When a block is bad: the library's error, and its number from 1 in `*bad`; when there
 * are `lenient` readers it is left out instead. Otherwise 0, and how many were read in `*count`. */
typedef int mg_tls_pem_parse_fn(void *list, const unsigned char *pem, size_t bytes_with_nul);
int mg_tls_pem_read(struct mg_str text, const char *label, mg_tls_pem_parse_fn *parse, void *list,
                    bool lenient, size_t *count, size_t *bad);

#endif
