/* Reading small files whole. Waits for the disk: for the control thread and for starting, not for
 * workers that serve. */
#ifndef MG_BASE_FILE_H
#define MG_BASE_FILE_H

#include "base/buf.h"
#include "base/error.h"

/* Appends the file's bytes. MG_EOF when there is no such file; MG_FAIL when it cannot be read, or
 * is larger than the buffer's limit. `err` (may be NULL) is "path: why" in both cases. */
enum mg_rc mg_file_read(const char *path, struct mg_buf *out, struct mg_error *err) MG_MUST_CHECK;

#endif
