/* Whole files. Any thread. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define PIECE_BYTES 16384

static enum mg_rc read_all(int fd, struct mg_buf *out)
{
    for (;;) {
        /* A byte more than the limit is asked for, so that a file just as large fits. */
        size_t room = out->limit - out->n < PIECE_BYTES ? out->limit - out->n : PIECE_BYTES;
        char probe;
        if (room && !mg_buf_reserve(out, room))
            return MG_NOMEM;
        ssize_t n = room ? read(fd, out->p + out->n, room) : read(fd, &probe, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 ? MG_OK : MG_FAIL;
        if (room == 0)
            return MG_NOMEM;
        out->n += (size_t)n;
    }
}

enum mg_rc mg_file_read(const char *path, struct mg_buf *out, struct mg_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        enum mg_rc rc = errno == ENOENT || errno == ENOTDIR ? MG_EOF : MG_FAIL;
        mg_error_set(err, "%s: %m", path);
        return rc;
    }
    enum mg_rc rc = read_all(fd, out);
    if (rc == MG_NOMEM)
        mg_error_set(err, "%s: larger than %zu bytes", path, out->limit);
    else if (rc != MG_OK)
        mg_error_set(err, "%s: %m", path);
    close(fd);
    return rc == MG_OK ? MG_OK : MG_FAIL;
}
