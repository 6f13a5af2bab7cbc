/*
 * mg.jwt. A verifier is a userdata with the rules in an arena of its own and refs to keyrings and
 * the sets in force; the collector frees both.
 *
 * Tokens that were verified are remembered for all workers (shared/token_cache.h), under a number
 * made of the key sets and the rules: the same step of another worker has the same number, another
 * config's, and one with newer keys, has another one, so no verdict outlives the keys it came by.
 *
 * A token whose `kid` is of no key has the keys of its issuer fetched again, and waits a little for
 * them: right after a rotation it is the issuer who is ahead, and the token is good.
 */
#include "script/lib_jwt.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/hash.h"
#include "crypto/jwt.h"
#include "net/loop.h"
#include "script/fail.h"
#include "script/json.h"
#include "script/lib.h"
#include "script/state.h"
#include "script/task.h"
#include "shared/token_cache.h"

#define VERIFIER "moongate.JwtVerifier"
#define SIGNING "moongate.JwtSigning"
#define SETS_MAX 16
#define LIST_MAX 64
#define CHUNK 4096
#define PEM_BEGIN "-----BEGIN "
/* How long a token waits for newer keys, and how often it looks: it is not told, for no message of
 * another thread could be sure to find it. */
#define WAIT_NS (2 * MG_SECOND)
#define LOOK_NS (5 * MG_MILLISECOND)

/* The keys of one name. */
struct source {
    struct mg_keyring *ring; /* a ref */
    struct mg_jwk_set *set;  /* a ref; NULL: no keys are known yet */
    uint64_t version;        /* of the set */
};

struct verifier {
    struct source sources[SETS_MAX];
    size_t source_count;
    struct mg_jwt_options options;
    struct mg_jwt_rules rules;
    uint64_t realm;
    struct mg_token_cache *cache; /* NULL: none */
    struct mg_pool pool;
    struct mg_arena own;     /* of the rules */
    struct mg_arena scratch; /* of one verification */
};

/* --- options --- */

static const char *const verify_options[] = {
    "keys",   "algorithms", "issuer",  "audience",  "subject",   "typ", "required",
    "leeway", "profile",    "max_age", "max_bytes", "no_expiry", NULL};

static const char *const sign_options[] = {"key", "algorithm", "kid", "typ", NULL};

static void check_known(lua_State *L, int options, const char *const *known)
{
    lua_pushnil(L);
    while (lua_next(L, options)) {
        bool found = false;
        lua_pop(L, 1);
        for (int i = 0; known[i] && lua_type(L, -1) == LUA_TSTRING; i++)
            found = found || strcmp(known[i], lua_tostring(L, -1)) == 0;
        if (!found)
            luaL_error(L, "mg.jwt: unknown option '%s'", luaL_tolstring(L, -1, NULL));
    }
}

static struct mg_str text_at(lua_State *L, int index, const char *what)
{
    struct mg_str s;
    if (lua_type(L, index) != LUA_TSTRING)
        luaL_error(L, "mg.jwt: '%s' must be a string or a list of strings", what);
    s.p = lua_tolstring(L, index, &s.n);
    return s;
}

/* A string, or a list of them, in the arena. NULL: absent. */
static const struct mg_str *read_texts(lua_State *L, struct mg_arena *a, int options,
                                       const char *what, size_t *count)
{
    int type = lua_getfield(L, options, what);
    *count = type == LUA_TNIL ? 0 : type == LUA_TTABLE ? lua_rawlen(L, -1) : 1;
    if (*count > LIST_MAX)
        luaL_error(L, "mg.jwt: '%s' has more than %d items", what, LIST_MAX);
    struct mg_str *v = mg_arena_calloc(a, (*count + 1) * sizeof *v);
    for (size_t i = 0; i < *count; i++) {
        if (type == LUA_TTABLE)
            lua_rawgeti(L, -1, (lua_Integer)i + 1);
        v[i] = mg_arena_str(a, text_at(L, -1, what));
        if (type == LUA_TTABLE)
            lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return *count ? v : NULL;
}

static int64_t read_integer(lua_State *L, int options, const char *what, int64_t most)
{
    int is = 1;
    lua_getfield(L, options, what);
    lua_Integer n = lua_isnil(L, -1) ? 0 : lua_tointegerx(L, -1, &is);
    lua_pop(L, 1);
    if (!is || n < 0 || n > most)
        luaL_error(L, "mg.jwt: '%s' must be a whole number from 0 to %I", what, (LUAI_UACINT)most);
    return n;
}

static unsigned read_algorithms(lua_State *L, struct mg_arena *a, int options)
{
    size_t count;
    const struct mg_str *names = read_texts(L, a, options, "algorithms", &count);
    unsigned algs = 0;
    for (size_t i = 0; i < count; i++) {
        enum mg_jwa alg;
        if (!mg_jwa_from_name(names[i], &alg))
            luaL_error(L, "mg.jwt: there is no algorithm '%s'", names[i].p);
        algs |= MG_JWA_BIT(alg);
    }
    return algs;
}

static void read_keys(lua_State *L, struct verifier *v, int options)
{
    const struct mg_lib_env *env = mg_lib_env(L);
    size_t count;
    const struct mg_str *names = read_texts(L, &v->own, options, "keys", &count);
    if (count == 0 || count > SETS_MAX)
        luaL_error(L, "mg.jwt: 'keys' must name one to %d of the config's keys", SETS_MAX);
    for (size_t i = 0; i < count; i++) {
        struct mg_keyring *ring = env->keys ? env->keys(env->arg, names[i]) : NULL;
        if (!ring)
            luaL_error(L, "unknown keys '%s'", names[i].p);
        v->sources[v->source_count++].ring = mg_keyring_ref(ring);
    }
}

static uint64_t mix(uint64_t realm, struct mg_str text)
{
    uint8_t key[MG_HASH_KEY_BYTES] = "moongate.realm.";
    memcpy(key, &realm, sizeof realm);
    return mg_hash(key, text);
}

static uint64_t mix_all(uint64_t realm, const struct mg_str *texts, size_t count)
{
    realm = mix(realm, mg_str((const char *)&count, sizeof count));
    for (size_t i = 0; i < count; i++)
        realm = mix(realm, texts[i]);
    return realm;
}

/* The same for all verifiers that say yes to the same tokens. */
static uint64_t realm_of(const struct verifier *v)
{
    const struct mg_jwt_rules *r = &v->rules;
    const uint64_t numbers[] = {v->options.algs, v->options.bytes_max, r->profile, r->leeway_s,
                                r->without_expiry};
    uint64_t realm = mix(v->source_count, mg_str((const char *)numbers, sizeof numbers));
    for (size_t i = 0; i < v->source_count; i++) {
        uint64_t id = v->sources[i].set ? v->sources[i].set->id : 0;
        realm = mix(realm, mg_str((const char *)&id, sizeof id));
    }
    realm = mix_all(realm, r->issuers, r->issuer_count);
    realm = mix_all(realm, r->audiences, r->audience_count);
    realm = mix_all(realm, r->subjects, r->subject_count);
    realm = mix_all(realm, r->types, r->type_count);
    return mix_all(realm, r->required, r->required_count);
}

/* Takes over what is newer. */
static void renew(struct verifier *v)
{
    bool changed = false;
    for (size_t i = 0; i < v->source_count; i++) {
        struct source *s = &v->sources[i];
        if (mg_keyring_version(s->ring) == s->version)
            continue;
        mg_jwk_set_unref(s->set);
        s->set = mg_keyring_set(s->ring, &s->version);
        changed = true;
    }
    if (changed)
        v->realm = realm_of(v);
}

/* Grows with all that is heard of the keys. */
static uint64_t news(const struct verifier *v)
{
    uint64_t n = 0;
    for (size_t i = 0; i < v->source_count; i++)
        n += mg_keyring_version(v->sources[i].ring) + mg_keyring_tries(v->sources[i].ring);
    return n;
}

static void read_rules(lua_State *L, struct verifier *v, int options)
{
    static const char *const profiles[] = {"plain", "access-token", NULL};
    struct mg_jwt_rules *r = &v->rules;
    r->issuers = read_texts(L, &v->own, options, "issuer", &r->issuer_count);
    r->audiences = read_texts(L, &v->own, options, "audience", &r->audience_count);
    r->subjects = read_texts(L, &v->own, options, "subject", &r->subject_count);
    r->types = read_texts(L, &v->own, options, "typ", &r->type_count);
    r->required = read_texts(L, &v->own, options, "required", &r->required_count);
    luaL_argcheck(L, r->required_count <= MG_JWT_REQUIRED_MAX, options, "'required' is too long");
    r->leeway_s = (unsigned)read_integer(L, options, "leeway", MG_JWT_LEEWAY_MAX_S);
    r->max_age_s = read_integer(L, options, "max_age", INT32_MAX);
    v->options.bytes_max = (size_t)read_integer(L, options, "max_bytes", 65536);
    lua_getfield(L, options, "no_expiry");
    r->without_expiry = lua_toboolean(L, -1);
    if (lua_getfield(L, options, "profile") != LUA_TNIL)
        r->profile =
            luaL_checkoption(L, -1, NULL, profiles) == 1 ? MG_JWT_ACCESS_TOKEN : MG_JWT_PLAIN;
    lua_pop(L, 2);
}

/* --- verifying --- */

static double wall(lua_State *L)
{
    const struct mg_script *s = mg_script_of(L);
    struct timespec now;
    if (s && s->loop)
        return mg_loop_wall(s->loop);
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* In the cache the header goes before the payload, after its length. */
static struct mg_str join(struct mg_arena *a, const struct mg_jwt *t)
{
    uint32_t n = (uint32_t)t->header.n;
    char *p = mg_arena_alloc(a, sizeof n + t->header.n + t->payload.n);
    memcpy(p, &n, sizeof n);
    memcpy(p + sizeof n, t->header.p, t->header.n);
    memcpy(p + sizeof n + t->header.n, t->payload.p, t->payload.n);
    return mg_str(p, sizeof n + t->header.n + t->payload.n);
}

static void split(struct mg_str joined, struct mg_jwt *t)
{
    uint32_t n;
    memcpy(&n, joined.p, sizeof n);
    t->header = mg_str(joined.p + sizeof n, n);
    t->payload = mg_str(joined.p + sizeof n + n, joined.n - sizeof n - n);
}

/* With the first set that says yes, which `by` is then; or else the verdict of the one that came
 * furthest. */
static enum mg_jwt_reason verify_signature(struct verifier *v, struct mg_str token,
                                           struct mg_jwt *out, const struct source **by)
{
    enum mg_jwt_reason best = MG_JWT_OK;
    for (size_t i = 0; i < v->source_count; i++) {
        const struct source *s = &v->sources[i];
        if (!s->set)
            continue;
        enum mg_jwt_reason reason = mg_jwt_verify(token, s->set, &v->options, &v->scratch, out);
        if (reason == MG_JWT_OK) {
            *by = s;
            return reason;
        }
        if (best == MG_JWT_OK || reason == MG_JWT_SIGNATURE)
            best = reason;
    }
    return best == MG_JWT_OK ? MG_JWT_NO_KEY : best;
}

/* Keys of an issuer are for its own tokens, unless the step says otherwise. */
static enum mg_jwt_reason check_claims(const struct verifier *v, const struct source *by,
                                       const struct mg_jwt *token, double now,
                                       struct mg_jwt_facts *facts)
{
    struct mg_jwt_rules rules = v->rules;
    const struct mg_keyring_source *from = mg_keyring_source(by->ring);
    if (!rules.issuers && from && from->issuer.n) {
        rules.issuers = &from->issuer;
        rules.issuer_count = 1;
    }
    return mg_jwt_check_claims(token->payload, token->typ, &rules, (int64_t)(now * 1000), facts);
}

static int64_t cached_until(const struct verifier *v, const struct mg_jwt_facts *facts)
{
    if (facts->exp_ms == INT64_MAX)
        return INT64_MAX;
    return (facts->exp_ms + 999) / 1000 + v->rules.leeway_s;
}

static enum mg_jwt_reason verify(struct verifier *v, struct mg_str token, double now,
                                 struct mg_jwt *out, struct mg_jwt_facts *facts)
{
    struct mg_token_hit hit;
    int64_t now_s = (int64_t)now;
    /* An age changes with time, and is not what a token says. */
    bool cached = v->cache && v->rules.max_age_s == 0 && token.n <= MG_JWT_BYTES_MAX;
    if (cached && mg_token_cache_find(v->cache, v->realm, token, now_s, &v->scratch, &hit)) {
        split(hit.payload, out);
        return MG_JWT_OK;
    }
    const struct source *by = NULL;
    enum mg_jwt_reason reason = verify_signature(v, token, out, &by);
    if (reason == MG_JWT_OK)
        reason = check_claims(v, by, out, now, facts);
    if (reason == MG_JWT_OK && cached)
        mg_token_cache_put(v->cache, v->realm, token, join(&v->scratch, out),
                           cached_until(v, facts), now_s);
    return reason;
}

static int push_refusal(lua_State *L, enum mg_jwt_reason reason, const struct mg_jwt_facts *facts)
{
    char text[256];
    if (facts->claim.p)
        snprintf(text, sizeof text, "%s: %.*s", mg_jwt_reason_text(reason),
                 MG_STR_ARGS(facts->claim));
    else
        snprintf(text, sizeof text, "%s", mg_jwt_reason_text(reason));
    return mg_fail_push(L, mg_jwt_reason_word(reason), text);
}

/* --- waiting for keys --- */

/* One verification, by what it needs when it has to wait. */
struct inquiry {
    int at; /* stack index of the verifier; the token is behind it */
    bool with_header;
    uint64_t until_ns; /* it waits no longer; 0: it has not waited yet */
    /* While it waits, when it is a userdata. */
    const struct verifier *verifier;
    uint64_t seen; /* the news before the latest try */
    struct mg_task *task;
    struct mg_timer timer;
};

static int inquire(lua_State *L, struct inquiry *q);

static void undo_wait(void *arg)
{
    struct inquiry *q = arg;
    mg_timer_release(&q->timer);
}

static void on_look(void *arg)
{
    struct inquiry *q = arg;
    uint64_t now = mg_loop_now(q->task->script->loop);
    if (now < q->until_ns && news(q->verifier) == q->seen) {
        mg_timer_set(&q->timer, now + LOOK_NS);
        return;
    }
    undo_wait(q);
    mg_task_resume(q->task, 0);
}

static int go_on(lua_State *L, int status, lua_KContext k)
{
    (void)status;
    return inquire(L, (struct inquiry *)k);
}

static int wait_for_keys(lua_State *L, struct mg_task *t, struct inquiry *q)
{
    uint64_t now = mg_loop_now(t->script->loop);
    if (!q->until_ns) {
        struct inquiry *kept = lua_newuserdatauv(L, sizeof *kept, 0);
        *kept = *q;
        q = kept;
        q->until_ns = now + WAIT_NS;
        q->task = t;
    }
    mg_timer_init(&q->timer, t->script->loop, on_look, q);
    mg_timer_set(&q->timer, now + LOOK_NS);
    return mg_task_wait_k(t, undo_wait, q, (lua_KContext)q, go_on);
}

/* Its `kid` is of no key that an issuer had so far: has them fetched again. True: it is worth
 * trying again soon. */
static bool want_keys(const struct verifier *v, enum mg_jwt_reason reason, struct mg_str kid,
                      uint64_t now_ns)
{
    bool coming = false;
    if ((reason != MG_JWT_NO_KEY && reason != MG_JWT_SIGNATURE) || !kid.p)
        return false;
    for (size_t i = 0; i < v->source_count; i++) {
        const struct source *s = &v->sources[i];
        if (s->set && !mg_jwk_set_knows(s->set, kid))
            coming |= mg_keyring_want(s->ring, s->version, now_ns);
    }
    return coming;
}

/* It cannot be told, since not all keys are known yet. */
static bool is_open(const struct verifier *v, enum mg_jwt_reason reason)
{
    if (reason != MG_JWT_NO_KEY && reason != MG_JWT_SIGNATURE && reason != MG_JWT_ALGORITHM)
        return false;
    for (size_t i = 0; i < v->source_count; i++)
        if (!v->sources[i].set)
            return true;
    return false;
}

static int push_verdict(lua_State *L, const struct inquiry *q, const struct verifier *v,
                        enum mg_jwt_reason reason, const struct mg_jwt *token,
                        const struct mg_jwt_facts *facts)
{
    struct mg_error err;
    if (is_open(v, reason))
        return mg_fail_push(L, "unavailable", "the issuer's keys are not known yet");
    if (reason != MG_JWT_OK)
        return push_refusal(L, reason, facts);
    /* Few want the header, and it costs as much as the claims. */
    if (mg_json_push(L, token->payload, NULL, &err) != MG_OK ||
        (q->with_header && mg_json_push(L, token->header, NULL, &err) != MG_OK))
        return push_refusal(L, MG_JWT_PAYLOAD, facts);
    return q->with_header ? 2 : 1;
}

/* Tries until there is a verdict that newer keys will not change. */
static int inquire(lua_State *L, struct inquiry *q)
{
    struct verifier *v = lua_touserdata(L, q->at);
    struct mg_loop *loop = mg_script_of(L) ? mg_script_of(L)->loop : NULL;
    struct mg_str text;
    text.p = lua_tolstring(L, q->at + 1, &text.n);
    for (;;) {
        struct mg_jwt token = {.kid = MG_STR_NONE};
        struct mg_jwt_facts facts = {.claim = MG_STR_NONE};
        mg_arena_release(&v->scratch); /* of the last one, which an error may have left */
        mg_arena_init(&v->scratch, &v->pool);
        q->verifier = v;
        q->seen = news(v);
        renew(v);
        enum mg_jwt_reason reason = verify(v, text, wall(L), &token, &facts);
        bool again = loop && want_keys(v, reason, token.kid, mg_loop_now(loop));
        if (again && news(v) != q->seen)
            continue;
        struct mg_task *t = again ? mg_task_that_can_wait(L) : NULL;
        if (!t || (q->until_ns && mg_loop_now(loop) >= q->until_ns))
            return push_verdict(L, q, v, reason, &token, &facts);
        return wait_for_keys(L, t, q);
    }
}

/* (verifier, token) with the verifier at `index` and the token behind it. */
static int verify_at(lua_State *L, int index, bool with_header)
{
    struct inquiry q = {.at = index, .with_header = with_header};
    luaL_checkudata(L, index, VERIFIER);
    luaL_checktype(L, index + 1, LUA_TSTRING);
    return inquire(L, &q);
}

static int verifier_verify(lua_State *L)
{
    return verify_at(L, 1, lua_toboolean(L, 3));
}

static int collect(lua_State *L)
{
    struct verifier *v = luaL_checkudata(L, 1, VERIFIER);
    for (size_t i = 0; i < v->source_count; i++) {
        mg_jwk_set_unref(v->sources[i].set);
        mg_keyring_unref(v->sources[i].ring);
    }
    v->source_count = 0;
    mg_arena_release(&v->own);
    mg_arena_release(&v->scratch);
    mg_arena_init(&v->own, &v->pool);
    mg_arena_init(&v->scratch, &v->pool);
    mg_pool_release(&v->pool);
    return 0;
}

static void push_verifier(lua_State *L, int options)
{
    luaL_checktype(L, options, LUA_TTABLE);
    check_known(L, options, verify_options);
    struct verifier *v = lua_newuserdatauv(L, sizeof *v, 0);
    *v = (struct verifier){.cache = mg_lib_env(L)->tokens};
    mg_pool_init(&v->pool, CHUNK);
    mg_arena_init(&v->own, &v->pool);
    mg_arena_init(&v->scratch, &v->pool);
    luaL_setmetatable(L, VERIFIER);
    read_keys(L, v, options);
    v->options.algs = read_algorithms(L, &v->own, options);
    read_rules(L, v, options);
    v->realm = realm_of(v);
}

static int l_verifier(lua_State *L)
{
    lua_settop(L, 1);
    push_verifier(L, 1);
    return 1;
}

static int l_verify(lua_State *L)
{
    lua_settop(L, 2);
    luaL_checktype(L, 1, LUA_TSTRING);
    push_verifier(L, 2);
    lua_pushvalue(L, 1);
    return verify_at(L, 3, true);
}

/* --- signing --- */

static struct mg_str option_text(lua_State *L, int options, const char *what)
{
    struct mg_str s = MG_STR_NONE;
    if (lua_getfield(L, options, what) != LUA_TNIL)
        s = text_at(L, -1, what);
    lua_pop(L, 1); /* the table keeps it */
    return s;
}

/* A userdata while it lasts, for an error may end it anywhere. */
struct signing {
    struct mg_jwt_signer signer;
    struct mg_buf payload, token;
    struct mg_error err;
};

static int collect_signing(lua_State *L)
{
    struct signing *s = lua_touserdata(L, 1);
    mg_private_key_free(s->signer.private_key);
    s->signer.private_key = NULL;
    if (s->payload.n)
        explicit_bzero(s->payload.p, s->payload.n);
    mg_buf_release(&s->payload);
    mg_buf_release(&s->token);
    return 0;
}

static struct signing *push_signing(lua_State *L)
{
    struct signing *s = lua_newuserdatauv(L, sizeof *s, 0);
    *s = (struct signing){.signer = {.typ = MG_STR_NONE}};
    mg_buf_init(&s->payload, MG_JWT_BYTES_MAX);
    mg_buf_init(&s->token, 2 * MG_JWT_BYTES_MAX);
    if (luaL_newmetatable(L, SIGNING)) {
        lua_pushcfunction(L, collect_signing);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return s;
}

static bool is_pem(struct mg_str key)
{
    return memmem(key.p, key.n, PEM_BEGIN, sizeof PEM_BEGIN - 1) != NULL;
}

/* A private key is taken for a secret only when HS is asked for by name. */
static enum mg_rc read_key(struct signing *s, struct mg_str key, struct mg_str algorithm)
{
    if (algorithm.p && !mg_jwa_from_name(algorithm, &s->signer.alg))
        return mg_error_set(&s->err, "there is no algorithm '%s'", algorithm.p);
    bool secret = algorithm.p ? MG_JWA_BIT(s->signer.alg) & MG_JWA_ALL_HS : !is_pem(key);
    if (secret)
        s->signer.secret = key;
    else if (!(s->signer.private_key = mg_private_key_from_pem(key, NULL, &s->err)))
        return MG_FAIL;
    if (!algorithm.p)
        s->signer.alg = secret ? MG_JWA_HS256 : mg_jwt_algorithm_of(s->signer.private_key);
    return MG_OK;
}

static enum mg_rc sign(lua_State *L, struct signing *s)
{
    if (mg_json_encode(L, 1, &s->payload, NULL, &s->err) != MG_OK)
        return MG_FAIL;
    return mg_jwt_sign(&s->signer, mg_buf_str(&s->payload), &s->token, &s->err);
}

static int l_sign(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    check_known(L, 2, sign_options);
    struct mg_str algorithm = option_text(L, 2, "algorithm"), key = option_text(L, 2, "key");
    struct signing *s = push_signing(L);
    if (key.n == 0)
        return luaL_error(L, "mg.jwt.sign: 'key' must be a secret, or a private key as PEM");
    s->signer.kid = option_text(L, 2, "kid");
    s->signer.typ = option_text(L, 2, "typ");
    if (read_key(s, key, algorithm) != MG_OK || sign(L, s) != MG_OK)
        return luaL_error(L, "mg.jwt.sign: %s", s->err.text);
    lua_pushlstring(L, s->token.p, s->token.n);
    return 1;
}

/* --- the module --- */

void mg_lib_jwt_open(lua_State *L)
{
    static const luaL_Reg methods[] = {{"verify", verifier_verify}, {NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"verifier", l_verifier}, {"verify", l_verify}, {"sign", l_sign}, {NULL, NULL}};
    if (luaL_newmetatable(L, VERIFIER)) {
        lua_pushcfunction(L, collect);
        lua_setfield(L, -2, "__gc");
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
        lua_pushliteral(L, VERIFIER);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    lua_setfield(L, -2, "jwt");
}
