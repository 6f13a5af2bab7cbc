/*
 * JSON Web Tokens. Any thread.
 *
 * An attacker chooses every byte of a token until its signature is good. So what comes before that
 * is linear in the length and allocates in the arena only, and dear operations are few: at most
 * MG_JWT_TRIES_MAX, of an algorithm that the keys chose.
 */
#include "crypto/jwt.h"

#include <math.h>
#include <openssl/crypto.h>

#include "crypto/base64.h"
#include "crypto/curve.h"
#include "crypto/digest.h"
#include "crypto/json_strict.h"

#define NAME_BYTES_MAX 256                                   /* of kid and typ */
#define SIGNATURE_BYTES_MAX (MG_PUBLIC_KEY_RSA_BITS_MAX / 8) /* no kind's is longer */
#define NUMERIC_DATE_MAX (INT64_C(1) << 53)

static const struct {
    const char *word, *text;
} reasons[MG_JWT_REASON_COUNT] = {
    [MG_JWT_OK] = {"ok", "the token is valid"},
    [MG_JWT_TOO_LONG] = {"too_long", "the token is too long"},
    [MG_JWT_MALFORMED] = {"malformed", "the token is malformed"},
    [MG_JWT_CRITICAL] = {"critical", "the token has a critical extension that is not supported"},
    [MG_JWT_NESTED] = {"nested", "the token is nested"},
    [MG_JWT_ALGORITHM] = {"algorithm", "the token's algorithm is not accepted"},
    [MG_JWT_NO_KEY] = {"no_key", "the token's key is unknown"},
    [MG_JWT_SIGNATURE] = {"signature", "the token's signature is invalid"},
    [MG_JWT_PAYLOAD] = {"payload", "the token's claims cannot be read"},
    [MG_JWT_CLAIM_FORM] = {"claim_form", "a claim of the token has a wrong form"},
    [MG_JWT_CLAIM_MISSING] = {"claim_missing", "a required claim is missing"},
    [MG_JWT_EXPIRED] = {"expired", "the token has expired"},
    [MG_JWT_NOT_YET] = {"not_yet", "the token is not valid yet"},
    [MG_JWT_TOO_OLD] = {"too_old", "the token is too old"},
    [MG_JWT_ISSUER] = {"issuer", "the token's issuer is not accepted"},
    [MG_JWT_AUDIENCE] = {"audience", "the token is meant for another audience"},
    [MG_JWT_SUBJECT] = {"subject", "the token's subject is not accepted"},
    [MG_JWT_TYP] = {"typ", "the token is of a wrong type"},
};

const char *mg_jwt_reason_word(enum mg_jwt_reason reason)
{
    return reasons[reason].word;
}

const char *mg_jwt_reason_text(enum mg_jwt_reason reason)
{
    return reasons[reason].text;
}

/* "application/" in front of a media type may be left out, and case does not count (RFC 7515
 * 4.1.9). */
static bool type_equal(struct mg_str a, struct mg_str b)
{
    struct mg_str *both[] = {&a, &b}, prefix = MG_STR("application/");
    for (size_t i = 0; i < 2; i++)
        if (both[i]->n > prefix.n && mg_str_ieq(mg_str(both[i]->p, prefix.n), prefix))
            *both[i] = mg_str(both[i]->p + prefix.n, both[i]->n - prefix.n);
    return mg_str_ieq(a, b);
}

/* Verifying ------------------------------------------------------------------------------------ */

struct parts {
    struct mg_str header, payload, signature;
    struct mg_str signed_text; /* header and payload, with the dot between them */
};

static bool split(struct mg_str token, struct parts *parts)
{
    ptrdiff_t first = mg_str_find(token, '.');
    if (first <= 0)
        return false;
    struct mg_str rest = mg_str(token.p + first + 1, token.n - (size_t)first - 1);
    ptrdiff_t second = mg_str_find(rest, '.');
    if (second < 0)
        return false;
    parts->header = mg_str(token.p, (size_t)first);
    parts->payload = mg_str(rest.p, (size_t)second);
    parts->signature = mg_str(rest.p + second + 1, rest.n - (size_t)second - 1);
    parts->signed_text = mg_str(token.p, (size_t)first + 1 + (size_t)second);
    return parts->signature.n > 0 && mg_str_find(parts->signature, '.') < 0;
}

static bool decode(struct mg_str text, struct mg_arena *arena, struct mg_str *out)
{
    char *p = mg_arena_alloc(arena, MG_BASE64_DECODED_MAX(text.n) + 1);
    size_t n;
    if (!mg_base64_url_decode(text, p, &n))
        return false;
    *out = mg_str(p, n);
    return true;
}

struct header {
    struct mg_jwt *to;
    struct mg_arena *arena;
    bool has_alg, known_alg, critical, nested;
};

static bool read_name(struct header *h, struct mg_str v, struct mg_str *to)
{
    if (v.n > NAME_BYTES_MAX)
        return false;
    *to = mg_arena_str(h->arena, v);
    return true;
}

/* The value of a member that we look at. False: it has a wrong form. */
static bool read_parameter(struct header *h, struct mg_str value, char which)
{
    switch (which) {
    case 'a':
        h->has_alg = true;
        h->known_alg = mg_jwa_from_name(value, &h->to->alg);
        return true;
    case 'k':
        return read_name(h, value, &h->to->kid);
    case 't':
        return read_name(h, value, &h->to->typ);
    default:
        h->nested = type_equal(value, MG_STR("JWT"));
        return true;
    }
}

/* 'a', 'k', 't', 'c' for parameters that must be strings, '!' for those that we do not do, 0 for
 * those that mean nothing to us. */
static char parameter_of(struct mg_str name)
{
    static const struct {
        struct mg_str name;
        char which;
    } known[] = {{{"alg", 3}, 'a'}, {{"kid", 3}, 'k'},  {{"typ", 3}, 't'},
                 {{"cty", 3}, 'c'}, {{"crit", 4}, '!'}, {{"b64", 3}, '!'}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (mg_str_eq(name, known[i].name))
            return known[i].which;
    return 0;
}

/* False: not an object, or a parameter has a wrong form. */
static bool read_header(struct mg_json_strict *json, struct header *h)
{
    enum mg_json_token token = mg_json_strict_next(json);
    if (token != MG_JSON_OBJECT)
        return false;
    while ((token = mg_json_strict_next(json)) == MG_JSON_KEY) {
        char which = parameter_of(json->in.text);
        token = mg_json_strict_next(json);
        h->critical |= which == '!';
        bool string = which && which != '!';
        if (string && (token != MG_JSON_STRING || !read_parameter(h, json->in.text, which)))
            return false;
        if (!mg_json_strict_skip(json, token))
            return false;
    }
    return token == MG_JSON_OBJECT_END && mg_json_strict_next(json) == MG_JSON_END;
}

static enum mg_jwt_reason check_header(struct mg_str text, const struct mg_jwt_options *o,
                                       struct mg_arena *arena, struct mg_jwt *out)
{
    struct header h = {.to = out, .arena = arena};
    if (!decode(text, arena, &out->header))
        return MG_JWT_MALFORMED;
    struct mg_json_strict json;
    mg_json_strict_init(&json, out->header);
    bool good = read_header(&json, &h);
    mg_json_strict_release(&json);
    if (!good || !h.has_alg)
        return MG_JWT_MALFORMED;
    if (h.critical)
        return MG_JWT_CRITICAL;
    if (!h.known_alg || (o->algs && !(o->algs & MG_JWA_BIT(out->alg))))
        return MG_JWT_ALGORITHM;
    return h.nested && !o->nested ? MG_JWT_NESTED : MG_JWT_OK;
}

/* The keys that `kid` and `alg` leave. RFC 7515 4.1.4: `kid` is a hint, so a key without one is
 * meant by any. */
static enum mg_jwt_reason choose_keys(const struct mg_jwk_set *keys, const struct mg_jwt *token,
                                      const struct mg_jwk *chosen[MG_JWT_TRIES_MAX], size_t *n)
{
    bool known = false;
    *n = 0;
    for (size_t i = 0; i < keys->count; i++) {
        const struct mg_jwk *key = &keys->keys[i];
        if (token->kid.p && key->kid.p && !mg_str_eq(token->kid, key->kid))
            continue;
        known = true;
        if (!(key->algs & MG_JWA_BIT(token->alg)))
            continue;
        if (*n == MG_JWT_TRIES_MAX)
            return MG_JWT_NO_KEY;
        chosen[(*n)++] = key;
    }
    return *n ? MG_JWT_OK : known ? MG_JWT_ALGORITHM : MG_JWT_NO_KEY;
}

static enum mg_jwt_reason check_signature(const struct parts *parts, const struct mg_jwk_set *keys,
                                          struct mg_jwt *out)
{
    const struct mg_jwk *chosen[MG_JWT_TRIES_MAX];
    uint8_t bytes[MG_BASE64_DECODED_MAX(MG_BASE64_ENCODED_MAX(SIGNATURE_BYTES_MAX))];
    size_t n, count;
    enum mg_jwt_reason reason = choose_keys(keys, out, chosen, &count);
    if (reason != MG_JWT_OK)
        return reason;
    if (parts->signature.n > MG_BASE64_ENCODED_MAX(SIGNATURE_BYTES_MAX))
        return MG_JWT_SIGNATURE;
    if (!mg_base64_url_decode(parts->signature, bytes, &n))
        return MG_JWT_MALFORMED;
    struct mg_str signature = mg_str((const char *)bytes, n);
    for (size_t i = 0; i < count; i++) {
        if (mg_public_key_verify(chosen[i]->key, out->alg, parts->signed_text, signature)) {
            out->key = chosen[i];
            return MG_JWT_OK;
        }
    }
    return MG_JWT_SIGNATURE;
}

enum mg_jwt_reason mg_jwt_verify(struct mg_str token, const struct mg_jwk_set *keys,
                                 const struct mg_jwt_options *options, struct mg_arena *arena,
                                 struct mg_jwt *out)
{
    static const struct mg_jwt_options plain = {.bytes_max = MG_JWT_BYTES_MAX};
    const struct mg_jwt_options *o = options ? options : &plain;
    struct parts parts;
    memset(out, 0, sizeof *out);
    if (token.n > (o->bytes_max ? o->bytes_max : MG_JWT_BYTES_MAX))
        return MG_JWT_TOO_LONG;
    if (!split(token, &parts))
        return MG_JWT_MALFORMED;
    enum mg_jwt_reason reason = check_header(parts.header, o, arena, out);
    if (reason == MG_JWT_OK)
        reason = check_signature(&parts, keys, out);
    if (reason == MG_JWT_OK && !decode(parts.payload, arena, &out->payload)) {
        out->key = NULL;
        reason = MG_JWT_MALFORMED;
    }
    return reason;
}

/* Claims --------------------------------------------------------------------------------------- */

enum claim {
    CLAIM_EXP,
    CLAIM_NBF,
    CLAIM_IAT,
    CLAIM_ISS,
    CLAIM_SUB,
    CLAIM_AUD,
    CLAIM_JTI,
    CLAIM_CLIENT_ID,
    CLAIMS
};

#define CLAIM_BIT(claim) (1u << (claim))

static const struct mg_str claim_names[CLAIMS] = {
    [CLAIM_EXP] = {"exp", 3}, [CLAIM_NBF] = {"nbf", 3},
    [CLAIM_IAT] = {"iat", 3}, [CLAIM_ISS] = {"iss", 3},
    [CLAIM_SUB] = {"sub", 3}, [CLAIM_AUD] = {"aud", 3},
    [CLAIM_JTI] = {"jti", 3}, [CLAIM_CLIENT_ID] = {"client_id", 9},
};

/* RFC 9068 2.2. */
#define ACCESS_TOKEN_CLAIMS                                                                        \
    (CLAIM_BIT(CLAIM_ISS) | CLAIM_BIT(CLAIM_EXP) | CLAIM_BIT(CLAIM_AUD) | CLAIM_BIT(CLAIM_SUB) |   \
     CLAIM_BIT(CLAIM_CLIENT_ID) | CLAIM_BIT(CLAIM_IAT) | CLAIM_BIT(CLAIM_JTI))

/* What the claims say, before anything follows from it. */
struct claims {
    const struct mg_jwt_rules *rules;
    unsigned present;               /* CLAIM_BITs */
    uint32_t required_present;      /* a bit for each of rules->required */
    int64_t ms[CLAIM_IAT + 1];      /* exp, nbf, iat */
    bool issuer, audience, subject; /* is one that the rules name */
};

static bool is_one_of(struct mg_str v, const struct mg_str *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (mg_str_eq(v, list[i]))
            return true;
    return false;
}

/* A NumericDate (RFC 7519 2), whose range keeps it exact and its milliseconds within int64. */
static bool read_date(const struct mg_json_reader *in, enum mg_json_token token, int64_t *ms)
{
    if (token == MG_JSON_INTEGER && in->integer >= -NUMERIC_DATE_MAX &&
        in->integer <= NUMERIC_DATE_MAX) {
        *ms = in->integer * 1000;
        return true;
    }
    if (token != MG_JSON_FLOAT || !(fabs(in->number) <= (double)NUMERIC_DATE_MAX))
        return false;
    *ms = (int64_t)floor(in->number * 1000);
    return true;
}

static bool read_audience(struct mg_json_strict *json, enum mg_json_token token, struct claims *c)
{
    const struct mg_jwt_rules *rules = c->rules;
    bool array = token == MG_JSON_ARRAY;
    if (array)
        token = mg_json_strict_next(json);
    for (; !array || token != MG_JSON_ARRAY_END; token = mg_json_strict_next(json)) {
        if (token != MG_JSON_STRING)
            return false;
        c->audience |= is_one_of(json->in.text, rules->audiences, rules->audience_count);
        if (!array)
            break;
    }
    return true;
}

/* The value of one of our claims, whose first token is `token`. False: it has a wrong form. */
static bool read_claim(struct mg_json_strict *json, enum mg_json_token token, enum claim claim,
                       struct claims *c)
{
    const struct mg_jwt_rules *rules = c->rules;
    if (claim <= CLAIM_IAT)
        return read_date(&json->in, token, &c->ms[claim]);
    if (claim == CLAIM_AUD)
        return read_audience(json, token, c);
    if (token != MG_JSON_STRING)
        return false;
    if (claim == CLAIM_ISS)
        c->issuer = is_one_of(json->in.text, rules->issuers, rules->issuer_count);
    if (claim == CLAIM_SUB)
        c->subject = is_one_of(json->in.text, rules->subjects, rules->subject_count);
    return true;
}

static uint32_t required_bits(const struct mg_jwt_rules *rules, struct mg_str name)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < rules->required_count; i++)
        if (mg_str_eq(name, rules->required[i]))
            bits |= UINT32_C(1) << i;
    return bits;
}

static enum claim claim_of(struct mg_str name)
{
    enum claim claim = 0;
    while (claim < CLAIMS && !mg_str_eq(name, claim_names[claim]))
        claim++;
    return claim;
}

static enum mg_jwt_reason read_claims(struct mg_json_strict *json, struct claims *c,
                                      struct mg_jwt_facts *facts)
{
    enum mg_json_token token = mg_json_strict_next(json);
    if (token != MG_JSON_OBJECT)
        return MG_JWT_PAYLOAD;
    while ((token = mg_json_strict_next(json)) == MG_JSON_KEY) {
        enum claim claim = claim_of(json->in.text);
        uint32_t required = required_bits(c->rules, json->in.text);
        token = mg_json_strict_next(json);
        if (token == MG_JSON_ERROR)
            return MG_JWT_PAYLOAD;
        if (token != MG_JSON_NULL)
            c->required_present |= required;
        if (claim == CLAIMS) {
            if (!mg_json_strict_skip(json, token))
                return MG_JWT_PAYLOAD;
        } else if (read_claim(json, token, claim, c)) {
            c->present |= CLAIM_BIT(claim);
        } else {
            facts->claim = claim_names[claim];
            return MG_JWT_CLAIM_FORM;
        }
    }
    if (token != MG_JSON_OBJECT_END || mg_json_strict_next(json) != MG_JSON_END)
        return MG_JWT_PAYLOAD;
    return MG_JWT_OK;
}

static bool type_is_right(struct mg_str typ, const struct mg_jwt_rules *rules)
{
    if (rules->profile == MG_JWT_ACCESS_TOKEN && !type_equal(typ, MG_STR("at+jwt")))
        return false;
    for (size_t i = 0; i < rules->type_count; i++)
        if (typ.p && type_equal(typ, rules->types[i]))
            return true;
    return rules->type_count == 0;
}

/* False, with the claim in `facts`, when one is missing. */
static bool all_present(const struct claims *c, struct mg_jwt_facts *facts)
{
    const struct mg_jwt_rules *rules = c->rules;
    unsigned wanted = (rules->without_expiry ? 0 : CLAIM_BIT(CLAIM_EXP)) |
                      (rules->max_age_s > 0 ? CLAIM_BIT(CLAIM_IAT) : 0) |
                      (rules->issuer_count ? CLAIM_BIT(CLAIM_ISS) : 0) |
                      (rules->audience_count ? CLAIM_BIT(CLAIM_AUD) : 0) |
                      (rules->subject_count ? CLAIM_BIT(CLAIM_SUB) : 0) |
                      (rules->profile == MG_JWT_ACCESS_TOKEN ? ACCESS_TOKEN_CLAIMS : 0);
    for (enum claim claim = 0; claim < CLAIMS; claim++) {
        if (wanted & ~c->present & CLAIM_BIT(claim)) {
            facts->claim = claim_names[claim];
            return false;
        }
    }
    for (size_t i = 0; i < rules->required_count; i++) {
        if (!(c->required_present >> i & 1)) {
            facts->claim = rules->required[i];
            return false;
        }
    }
    return true;
}

static enum mg_jwt_reason check_dates(const struct claims *c, int64_t now_ms,
                                      struct mg_jwt_facts *facts)
{
    const struct mg_jwt_rules *rules = c->rules;
    int64_t leeway_ms =
        1000 *
        (int64_t)(rules->leeway_s < MG_JWT_LEEWAY_MAX_S ? rules->leeway_s : MG_JWT_LEEWAY_MAX_S);
    int64_t max_age_s = rules->max_age_s < INT32_MAX ? rules->max_age_s : INT32_MAX;
    bool has_iat = c->present & CLAIM_BIT(CLAIM_IAT);
    /* "on or after" (RFC 7519 4.1.4) */
    facts->claim = claim_names[CLAIM_EXP];
    if (c->present & CLAIM_BIT(CLAIM_EXP) && now_ms >= c->ms[CLAIM_EXP] + leeway_ms)
        return MG_JWT_EXPIRED;
    facts->claim = claim_names[CLAIM_NBF];
    if (c->present & CLAIM_BIT(CLAIM_NBF) && now_ms < c->ms[CLAIM_NBF] - leeway_ms)
        return MG_JWT_NOT_YET;
    facts->claim = claim_names[CLAIM_IAT];
    if (has_iat && now_ms < c->ms[CLAIM_IAT] - 1000 * MG_JWT_LEEWAY_MAX_S)
        return MG_JWT_NOT_YET;
    if (max_age_s > 0 && now_ms - leeway_ms > c->ms[CLAIM_IAT] + max_age_s * 1000)
        return MG_JWT_TOO_OLD;
    facts->claim = MG_STR_NONE;
    return MG_JWT_OK;
}

static enum mg_jwt_reason check_rules(const struct claims *c, struct mg_str typ, int64_t now_ms,
                                      struct mg_jwt_facts *facts)
{
    const struct mg_jwt_rules *rules = c->rules;
    if (!type_is_right(typ, rules))
        return MG_JWT_TYP;
    if (!all_present(c, facts))
        return MG_JWT_CLAIM_MISSING;
    if (rules->issuer_count && !c->issuer) {
        facts->claim = claim_names[CLAIM_ISS];
        return MG_JWT_ISSUER;
    }
    if (rules->audience_count && !c->audience) {
        facts->claim = claim_names[CLAIM_AUD];
        return MG_JWT_AUDIENCE;
    }
    if (rules->subject_count && !c->subject) {
        facts->claim = claim_names[CLAIM_SUB];
        return MG_JWT_SUBJECT;
    }
    return check_dates(c, now_ms, facts);
}

enum mg_jwt_reason mg_jwt_check_claims(struct mg_str payload, struct mg_str typ,
                                       const struct mg_jwt_rules *rules, int64_t now_ms,
                                       struct mg_jwt_facts *facts)
{
    struct claims c = {.rules = rules};
    struct mg_json_strict json;
    *facts = (struct mg_jwt_facts){.exp_ms = INT64_MAX, .iat_ms = INT64_MIN};
    if (rules->required_count > MG_JWT_REQUIRED_MAX)
        return MG_JWT_CLAIM_MISSING;
    mg_json_strict_init(&json, payload);
    enum mg_jwt_reason reason = read_claims(&json, &c, facts);
    mg_json_strict_release(&json);
    if (reason != MG_JWT_OK)
        return reason;
    if (c.present & CLAIM_BIT(CLAIM_EXP))
        facts->exp_ms = c.ms[CLAIM_EXP];
    if (c.present & CLAIM_BIT(CLAIM_IAT))
        facts->iat_ms = c.ms[CLAIM_IAT];
    return check_rules(&c, typ, now_ms, facts);
}

/* Signing -------------------------------------------------------------------------------------- */

static bool is_object(struct mg_str text, struct mg_error *err)
{
    struct mg_json_strict json;
    mg_json_strict_init(&json, text);
    enum mg_json_token token = mg_json_strict_next(&json);
    bool object = token == MG_JSON_OBJECT;
    bool good = mg_json_strict_skip(&json, token) && mg_json_strict_next(&json) == MG_JSON_END;
    if (!good)
        mg_json_reader_error(&json.in, err);
    else if (!object)
        mg_error_set(err, "not an object");
    mg_json_strict_release(&json);
    if (!good || !object)
        mg_error_prefix(err, "cannot sign payload");
    return good && object;
}

/* How `alg` signs with a private key, and which kind of key fits. */
struct method {
    enum mg_key_scheme scheme;
    enum mg_key_hash hash;
    enum mg_key_kind kind;
};

static const struct method methods[MG_JWA_COUNT] = {
    [MG_JWA_RS256] = {MG_KEY_PKCS1, MG_KEY_SHA256, MG_KEY_RSA},
    [MG_JWA_RS384] = {MG_KEY_PKCS1, MG_KEY_SHA384, MG_KEY_RSA},
    [MG_JWA_RS512] = {MG_KEY_PKCS1, MG_KEY_SHA512, MG_KEY_RSA},
    [MG_JWA_PS256] = {MG_KEY_PSS, MG_KEY_SHA256, MG_KEY_RSA},
    [MG_JWA_PS384] = {MG_KEY_PSS, MG_KEY_SHA384, MG_KEY_RSA},
    [MG_JWA_PS512] = {MG_KEY_PSS, MG_KEY_SHA512, MG_KEY_RSA},
    [MG_JWA_ES256] = {MG_KEY_ECDSA, MG_KEY_SHA256, MG_KEY_EC_P256},
    [MG_JWA_ES384] = {MG_KEY_ECDSA, MG_KEY_SHA384, MG_KEY_EC_P384},
    [MG_JWA_ES512] = {MG_KEY_ECDSA, MG_KEY_SHA512, MG_KEY_EC_P521},
};

static bool signer_fits(const struct mg_jwt_signer *s)
{
    if (MG_JWA_BIT(s->alg) & MG_JWA_ALL_HS)
        return s->secret.n > 0 && s->secret.n <= MG_PUBLIC_KEY_SECRET_BYTES_MAX && !s->private_key;
    if (!s->private_key || s->secret.n || s->alg == MG_JWA_EDDSA)
        return false;
    return mg_private_key_kind(s->private_key) == methods[s->alg].kind &&
           (methods[s->alg].kind != MG_KEY_RSA ||
            mg_private_key_bits(s->private_key) >= MG_PUBLIC_KEY_RSA_BITS_MIN);
}

static size_t digest_of(enum mg_key_hash hash, struct mg_str data, uint8_t out[MG_SHA512_BYTES])
{
    switch (hash) {
    case MG_KEY_SHA256:
        mg_digest_sha256(data, out);
        return MG_SHA256_BYTES;
    case MG_KEY_SHA384:
        mg_digest_sha384(data, out);
        return MG_SHA384_BYTES;
    default:
        mg_digest_sha512(data, out);
        return MG_SHA512_BYTES;
    }
}

static size_t hmac_of(const struct mg_jwt_signer *s, struct mg_str data,
                      uint8_t out[MG_SHA512_BYTES])
{
    switch (s->alg) {
    case MG_JWA_HS256:
        mg_digest_hmac_sha256(s->secret, data, out);
        return MG_SHA256_BYTES;
    case MG_JWA_HS384:
        mg_digest_hmac_sha384(s->secret, data, out);
        return MG_SHA384_BYTES;
    default:
        mg_digest_hmac_sha512(s->secret, data, out);
        return MG_SHA512_BYTES;
    }
}

/* The next INTEGER of a DER signature at `*p`, `half` bytes at `out`. libcrypto wrote it. */
static const uint8_t *take_integer(const uint8_t *p, size_t half, uint8_t *out)
{
    size_t n = p[1];
    p += 2;
    for (; n > half; n--)
        p++; /* the zero that keeps it from being negative */
    memset(out, 0, half - n);
    memcpy(out + half - n, p, n);
    return p + n;
}

/* DER to r || s (RFC 7518 3.4). */
static size_t raw_of(const uint8_t *der, enum mg_key_kind kind, uint8_t *out)
{
    size_t half = kind == MG_KEY_EC_P256 ? 32 : kind == MG_KEY_EC_P384 ? 48 : 66;
    const uint8_t *p = der + (der[1] & 0x80 ? 3 : 2);
    take_integer(take_integer(p, half, out), half, out + half);
    return 2 * half;
}

/* False: libcrypto fails. */
static bool make_signature(const struct mg_jwt_signer *s, struct mg_str data,
                           uint8_t out[SIGNATURE_BYTES_MAX], size_t *n)
{
    uint8_t digest[MG_SHA512_BYTES], der[SIGNATURE_BYTES_MAX];
    if (MG_JWA_BIT(s->alg) & MG_JWA_ALL_HS) {
        *n = hmac_of(s, data, out);
        return true;
    }
    const struct method *method = &methods[s->alg];
    struct mg_str hashed = mg_str((char *)digest, digest_of(method->hash, data, digest));
    bool ecdsa = method->scheme == MG_KEY_ECDSA;
    if (mg_private_key_sign(s->private_key, method->scheme, method->hash, hashed, ecdsa ? der : out,
                            n) != MG_OK)
        return false;
    if (ecdsa)
        *n = raw_of(der, method->kind, out);
    return true;
}

static bool write_header(const struct mg_jwt_signer *s, struct mg_buf *out)
{
    bool good = true;
    mg_buf_add_c(out, "{\"alg\":\"");
    mg_buf_add_str(out, mg_jwa_name(s->alg));
    mg_buf_add_char(out, '"');
    if (s->typ.p) {
        mg_buf_add_c(out, ",\"typ\":");
        good = mg_json_write_string(out, s->typ);
    }
    if (s->kid.p) {
        mg_buf_add_c(out, ",\"kid\":");
        good = good && mg_json_write_string(out, s->kid);
    }
    mg_buf_add_char(out, '}');
    return good && !out->failed;
}

static void add_encoded(struct mg_buf *out, struct mg_str bytes)
{
    if (mg_buf_reserve(out, MG_BASE64_ENCODED_MAX(bytes.n)))
        out->n += mg_base64_url_encode(bytes, out->p + out->n);
}

/* False, with a text, when it cannot be done; what was appended is worth nothing then. */
static bool write_token(const struct mg_jwt_signer *s, struct mg_str header, struct mg_str payload,
                        struct mg_buf *out, struct mg_error *err)
{
    uint8_t signature[SIGNATURE_BYTES_MAX];
    size_t start = out->n, n;
    add_encoded(out, header);
    mg_buf_add_char(out, '.');
    add_encoded(out, payload);
    if (out->failed) {
        mg_error_set(err, "cannot sign token: it gets too long");
        return false;
    }
    if (!make_signature(s, mg_str(out->p + start, out->n - start), signature, &n)) {
        mg_error_set(err, "cannot sign token: libcrypto fails");
        return false;
    }
    mg_buf_add_char(out, '.');
    add_encoded(out, mg_str((const char *)signature, n));
    if (out->failed)
        mg_error_set(err, "cannot sign token: it gets too long");
    return !out->failed;
}

enum mg_jwa mg_jwt_algorithm_of(const struct mg_private_key *key)
{
    enum mg_jwa alg = MG_JWA_RS256; /* the first of those for RSA */
    while (methods[alg].kind != mg_private_key_kind(key))
        alg++;
    return alg;
}

enum mg_rc mg_jwt_sign(const struct mg_jwt_signer *signer, struct mg_str payload,
                       struct mg_buf *out, struct mg_error *err)
{
    struct mg_buf header;
    size_t start = out->n;
    if (!signer_fits(signer))
        return mg_error_set(err, "cannot sign token: key does not fit \"%s\"",
                            mg_jwa_name(signer->alg).p);
    if (!is_object(payload, err))
        return MG_FAIL;
    mg_buf_init(&header, 4096);
    bool good = write_header(signer, &header);
    if (!good)
        mg_error_set(err, "cannot sign token: kid or typ is too long or not UTF-8");
    else
        good = write_token(signer, mg_buf_str(&header), payload, out, err);
    mg_buf_release(&header);
    if (!good)
        out->n = start;
    return good ? MG_OK : MG_FAIL;
}
