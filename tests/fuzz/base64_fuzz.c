/* Whatever is read as base64 is what encoding makes of the result, and nothing is read past its
 * end. */
#include "crypto/base64.h"

#include <stdlib.h>

#include "base/error.h"

typedef bool (*decode_fn)(struct mg_str text, void *out, size_t *n);
typedef size_t (*encode_fn)(struct mg_str data, char *out);

static void read_and_write(struct mg_str text, decode_fn decode, encode_fn encode)
{
    uint8_t *data = malloc(MG_BASE64_DECODED_MAX(text.n) + 1);
    char *again = malloc(text.n + 4);
    size_t n;
    MG_BUG_ON(!data || !again);
    if (decode(text, data, &n)) {
        MG_BUG_ON(n > MG_BASE64_DECODED_MAX(text.n));
        size_t length = encode(mg_str((const char *)data, n), again);
        MG_BUG_ON(!mg_str_eq(mg_str(again, length), text));
    }
    free(data);
    free(again);
}

static void write_and_read(struct mg_str data, decode_fn decode, encode_fn encode)
{
    char *text = malloc(MG_BASE64_ENCODED_MAX(data.n) + 1);
    size_t n;
    MG_BUG_ON(!text);
    size_t length = encode(data, text);
    MG_BUG_ON(length > MG_BASE64_ENCODED_MAX(data.n));
    MG_BUG_ON(!decode(mg_str(text, length), text, &n) || !mg_str_eq(mg_str(text, n), data));
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mg_str input = mg_str((const char *)data, size);
    read_and_write(input, mg_base64_decode, mg_base64_encode);
    read_and_write(input, mg_base64_url_decode, mg_base64_url_encode);
    write_and_read(input, mg_base64_decode, mg_base64_encode);
    write_and_read(input, mg_base64_url_decode, mg_base64_url_encode);
    return 0;
}
