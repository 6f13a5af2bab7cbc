/* What a hostile certificate's texts can be: no control bytes, not much memory, and the PEM is the
 * certificate again. */
#include "tls/peer.h"

#include <mbedtls/x509_crt.h>

#include "tls/names.h"

static void check_text(struct mg_str s)
{
    for (size_t i = 0; i < s.n; i++)
        MG_BUG_ON((uint8_t)s.p[i] < 0x20 || s.p[i] == 0x7f);
}

static void check_sans(const struct mg_tls_peer_info *info, const mbedtls_x509_crt *crt)
{
    for (size_t i = 0; i < info->san_count; i++) {
        const struct mg_tls_san *san = &info->sans[i];
        struct mg_addr addr;
        MG_BUG_ON(san->value.n == 0);
        check_text(san->value);
        if (san->kind == MG_TLS_SAN_IP)
            MG_BUG_ON(!mg_ip_parse(san->value, &addr) || !mg_tls_san_answers_for(crt, san->value));
        else if (san->kind == MG_TLS_SAN_DNS && !mg_ip_parse(san->value, &addr))
            MG_BUG_ON(mg_tls_name_matches(san->value, san->value) &&
                      !mg_tls_san_answers_for(crt, san->value));
    }
}

static void check(struct mg_str der, const struct mg_tls_peer_info *info)
{
    mbedtls_x509_crt crt;
    mbedtls_x509_crt_init(&crt);
    MG_BUG_ON(mbedtls_x509_crt_parse(&crt, (const unsigned char *)info->pem.p, info->pem.n + 1));
    MG_BUG_ON(!mg_str_eq(mg_str((const char *)crt.raw.p, crt.raw.len), der));
    check_text(info->subject);
    check_text(info->issuer);
    check_text(info->common_name);
    check_text(info->serial);
    MG_BUG_ON(info->fingerprint.n != 64 || info->serial.n > 2 * der.n);
    check_sans(info, &crt);
    mbedtls_x509_crt_free(&crt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mg_pool pool;
    struct mg_arena arena;
    struct mg_error err;
    struct mg_tls_peer_info info;
    struct mg_str der = mg_str((const char *)data, size);
    mg_pool_init(&pool, 4096);
    mg_arena_init(&arena, &pool);
    if (mg_tls_peer_describe(der, &arena, &info, &err) == MG_OK)
        check(der, &info);
    MG_BUG_ON(arena.bytes > 64 * size + 8192);
    mg_arena_release(&arena);
    mg_pool_release(&pool);
    return 0;
}
