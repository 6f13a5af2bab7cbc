/* Walking over PEM blocks. Pure. */
#include "tls/pem.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

#define LABEL_MAX 64

/* "-----BEGIN CERTIFICATE-----" */
static struct mg_str line_of(const char *begin_or_end, const char *label, char buf[LABEL_MAX])
{
    int n = snprintf(buf, LABEL_MAX, "-----%s %s-----", begin_or_end, label);
    return mg_str(buf, (size_t)n);
}

static const char *find(struct mg_str in, struct mg_str what)
{
    return in.n ? memmem(in.p, in.n, what.p, what.n) : NULL;
}

static struct mg_str after(struct mg_str s, const char *at)
{
    return mg_str(at, s.n - (size_t)(at - s.p));
}

bool mg_tls_pem_next(struct mg_str *rest, const char *label, struct mg_str *block)
{
    char buf[LABEL_MAX];
    struct mg_str line = line_of("BEGIN", label, buf);
    const char *begin = find(*rest, line);
    if (!begin)
        return false;
    *block = after(*rest, begin);
    struct mg_str inner = after(*block, begin + line.n);
    line = line_of("END", label, buf);
    const char *end = find(inner, line);
    if (end)
        block->n = (size_t)(end + line.n - begin);
    *rest = after(*rest, begin + block->n);
    return true;
}

bool mg_tls_pem_has(struct mg_str text, const char *label_end)
{
    char buf[LABEL_MAX];
    int n = snprintf(buf, sizeof buf, "%s-----", label_end);
    return find(text, mg_str(buf, (size_t)n)) != NULL;
}

int mg_tls_pem_read(struct mg_str text, const char *label, mg_tls_pem_parse_fn *parse, void *list,
                    bool lenient, size_t *count, size_t *bad)
{
    struct mg_str block;
    *count = *bad = 0;
    for (size_t number = 1; mg_tls_pem_next(&text, label, &block); number++) {
        char *copy = mg_strdup(block);
        int rc = parse(list, (const unsigned char *)copy, block.n + 1);
        free(copy);
        if (rc == 0) {
            (*count)++;
        } else if (!lenient) {
            *bad = number;
            return rc;
        }
    }
    return 0;
}
