/* Names of algorithms. Pure. */
#include "crypto/jwa.h"

static const struct mg_str names[MG_JWA_COUNT] = {
    [MG_JWA_HS256] = {"HS256", 5}, [MG_JWA_HS384] = {"HS384", 5}, [MG_JWA_HS512] = {"HS512", 5},
    [MG_JWA_RS256] = {"RS256", 5}, [MG_JWA_RS384] = {"RS384", 5}, [MG_JWA_RS512] = {"RS512", 5},
    [MG_JWA_PS256] = {"PS256", 5}, [MG_JWA_PS384] = {"PS384", 5}, [MG_JWA_PS512] = {"PS512", 5},
    [MG_JWA_ES256] = {"ES256", 5}, [MG_JWA_ES384] = {"ES384", 5}, [MG_JWA_ES512] = {"ES512", 5},
    [MG_JWA_EDDSA] = {"EdDSA", 5},
};

struct mg_str mg_jwa_name(enum mg_jwa alg)
{
    return names[alg];
}

bool mg_jwa_from_name(struct mg_str name, enum mg_jwa *alg)
{
    for (enum mg_jwa i = 0; i < MG_JWA_COUNT; i++) {
        if (mg_str_eq(name, names[i])) {
            *alg = i;
            return true;
        }
    }
    return false;
}
