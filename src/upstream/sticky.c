/* Cookies that name backends. Pure, but for the key that it makes when it needs one. */
#include "upstream/sticky.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "crypto/digest.h"
#include "crypto/random.h"

#define NS_PER_SECOND 1000000000u

static uint8_t process_key[32];

static void make_process_key(void)
{
    mg_random_bytes(process_key, sizeof process_key);
}

static struct mg_str key_of(const struct mg_sticky_config *config)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (config->secret.n)
        return config->secret;
    pthread_once(&once, make_process_key);
    return mg_str((const char *)process_key, sizeof process_key);
}

/* With the service's name before the key, no text of one service is one of another: HMAC keys the
 * name first, and the backend by what comes out. */
void mg_sticky_token(const struct mg_sticky_config *config, struct mg_str service,
                     const struct mg_backend *b, char out[MG_STICKY_TOKEN_CHARS])
{
    static const char hex[] = "0123456789abcdef";
    uint8_t key[MG_SHA256_BYTES], digest[MG_SHA256_BYTES];
    mg_digest_hmac_sha256(key_of(config), service, key);
    struct mg_str derived = mg_str((const char *)key, sizeof key);
    mg_digest_hmac_sha256(derived, mg_str_c(b->label), digest);
    for (size_t i = 0; i < MG_STICKY_TOKEN_CHARS / 2; i++) {
        out[2 * i] = hex[digest[i] >> 4];
        out[2 * i + 1] = hex[digest[i] & 15];
    }
}

struct mg_str mg_sticky_set_cookie(const struct mg_sticky_config *config, struct mg_str token,
                                   struct mg_arena *arena)
{
    char age[48] = "";
    if (config->ttl_ns)
        snprintf(age, sizeof age, "; Max-Age=%llu",
                 (unsigned long long)(config->ttl_ns / NS_PER_SECOND));
    return mg_arena_printf(arena, "%.*s=%.*s; Path=%.*s%s; HttpOnly; SameSite=Lax%s",
                           MG_STR_ARGS(config->cookie), MG_STR_ARGS(token),
                           MG_STR_ARGS(config->path), age, config->secure ? "; Secure" : "");
}
