/* What is said of a ClientHello is said of every longer prefix of it, and never past 16 KiB not. */
#include "tls/hello.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static void check_prefix(const uint8_t *p, size_t n, enum mg_tls_hello_state whole,
                         const struct mg_tls_hello *wanted)
{
    struct mg_tls_hello out;
    enum mg_tls_hello_state state = mg_tls_hello_look(p, n, &out);
    if (state == MG_TLS_HELLO_MORE)
        MG_BUG_ON(n >= 16 * 1024);
    else
        MG_BUG_ON(state != whole || out.prefers_chacha20 != wanted->prefers_chacha20);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mg_tls_hello out;
    enum mg_tls_hello_state whole = mg_tls_hello_look(data, size, &out);
    MG_BUG_ON(whole == MG_TLS_HELLO_MORE && size >= 16 * 1024);
    MG_BUG_ON(whole != MG_TLS_HELLO_KNOWN && out.prefers_chacha20);
    for (size_t n = 0; n < size; n += n < 128 ? 1 : n / 8)
        check_prefix(data, n, whole, &out);
    if (size == 0)
        return 0;
    /* One in memory of its own size, so that a read past it is seen. */
    size_t n = (data[size - 1] * size) >> 8;
    uint8_t *piece = malloc(n ? n : 1);
    memcpy(piece, data, n);
    check_prefix(piece, n, whole, &out);
    free(piece);
    return 0;
}
