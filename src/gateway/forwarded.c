/*
 * Client addresses behind proxies. Worker thread.
 *
 * Only what a trusted proxy says is believed, and only as far as the chain of trusted proxies
 * reaches: the list is read from its end, and the first address that is not trusted is the client.
 */
#include "gateway/forwarded.h"

#include "gateway/worker.h"

/* The family, in the order of their ids. */
_Static_assert(MG_FIELD_X_FORWARDED_FOR + 5 == MG_FIELD_X_REAL_IP, "nothing stands between them");

/* A list longer than this is not a chain of proxies any more. */
#define HOPS_MAX 64

static bool is_trusted(const struct mg_request *req, const struct mg_addr *addr)
{
    const struct mg_cidr_set *trusted = req->wg->gen->trusted;
    return trusted && addr->family && mg_cidr_set_has(trusted, addr);
}

/* Not what the client wrote into its target: anybody can write "https://" there. */
static struct mg_str connection_scheme(const struct mg_request *req)
{
    return req->secure ? MG_STR("https") : MG_STR("http");
}

/* The last element of a comma-separated list; shortens the list. Quoted commas do not occur in what
 * we take for an address, so a quoted string with one only ends the search. */
static bool last_element(struct mg_str *list, struct mg_str *element)
{
    if (list->n == 0)
        return false;
    size_t at = list->n;
    while (at > 0 && list->p[at - 1] != ',')
        at--;
    *element = mg_str_trim(mg_str(list->p + at, list->n - at));
    list->n = at ? at - 1 : 0;
    return true;
}

static struct mg_str unquote(struct mg_str s)
{
    if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
        return mg_str(s.p + 1, s.n - 2);
    return s;
}

/* "for=" or "proto=" of one forwarded-element (RFC 7239 4). */
static struct mg_str parameter(struct mg_str element, struct mg_str name)
{
    struct mg_str pair;
    while (mg_str_split(&element, ';', &pair)) {
        pair = mg_str_trim(pair);
        if (pair.n > name.n && mg_str_ieq(mg_str(pair.p, name.n), name))
            return unquote(mg_str(pair.p + name.n, pair.n - name.n));
    }
    return MG_STR_NONE;
}

static void take_scheme(struct mg_request *req, struct mg_str text)
{
    if (mg_str_ieq(text, MG_STR("https")))
        req->scheme = MG_STR("https");
    else if (mg_str_ieq(text, MG_STR("http")))
        req->scheme = MG_STR("http");
}

/* Each element was written by the one after it, the last by the peer. */
static void walk_forwarded(struct mg_request *req, struct mg_str list)
{
    struct mg_str element;
    struct mg_addr addr;
    for (int hops = 0; hops < HOPS_MAX && last_element(&list, &element); hops++) {
        take_scheme(req, parameter(element, MG_STR("proto=")));
        if (!mg_ip_parse_port(parameter(element, MG_STR("for=")), &addr))
            return; /* "unknown", an obfuscated name, or garbage: no further than here */
        addr.port = 0;
        req->client = addr;
        if (!is_trusted(req, &addr))
            return;
    }
}

/* X-Forwarded-For and -Proto are lists of the same kind, but proxies often replace the latter: what
 * stands first in a short one holds for all hops before. */
static void walk_x_forwarded(struct mg_request *req, struct mg_str list, struct mg_str schemes)
{
    struct mg_str element, scheme;
    struct mg_addr addr;
    if (last_element(&schemes, &scheme))
        take_scheme(req, scheme);
    for (int hops = 0; hops < HOPS_MAX && last_element(&list, &element); hops++) {
        if (hops && last_element(&schemes, &scheme))
            take_scheme(req, scheme);
        if (!mg_ip_parse_port(element, &addr))
            return;
        addr.port = 0;
        req->client = addr;
        if (!is_trusted(req, &addr))
            return;
    }
}

void mg_forwarded_find_client(struct mg_request *req)
{
    const struct mg_fields *fields = &req->msg->fields;
    struct mg_str list = MG_STR_NONE, schemes = MG_STR_NONE;
    req->client_known = true;
    req->client = req->peer;
    req->scheme = connection_scheme(req);
    /* A unix socket has no address; who may open it is a matter of its file's mode. */
    req->peer_trusted = is_trusted(req, &req->peer);
    if (!req->peer_trusted)
        return;
    if (mg_fields_joined(fields, MG_STR("forwarded"), req->arena, &list)) {
        walk_forwarded(req, list);
        return;
    }
    mg_fields_joined(fields, MG_STR("x-forwarded-for"), req->arena, &list);
    mg_fields_joined(fields, MG_STR("x-forwarded-proto"), req->arena, &schemes);
    walk_x_forwarded(req, list, schemes);
}

/* --- towards the backend --- */

/* Names with hyphens are written otherwise as well ("X_Forwarded_For"), and some backends cannot
 * tell. */
static bool is_lookalike(struct mg_str name)
{
    if (name.n < sizeof "x-real-ip" - 1 || mg_lower(name.p[0]) != 'x')
        return false;
    for (unsigned id = MG_FIELD_X_FORWARDED_FOR; id <= MG_FIELD_X_REAL_IP; id++)
        if (mg_field_is_alike(name, mg_field_name(id)))
            return true;
    return false;
}

static bool is_forwarding_field(const struct mg_field *f)
{
    if (f->id == MG_FIELD_OTHER)
        return is_lookalike(mg_str(f->name, f->name_len));
    return f->id == MG_FIELD_FORWARDED ||
           (f->id >= MG_FIELD_X_FORWARDED_FOR && f->id <= MG_FIELD_X_REAL_IP);
}

static void remove_forwarding_fields(struct mg_fields *fields)
{
    uint16_t kept = 0;
    for (uint16_t i = 0; i < fields->n; i++)
        if (!is_forwarding_field(&fields->v[i]))
            fields->v[kept++] = fields->v[i];
    fields->n = kept;
}

static struct mg_str known_value(struct mg_request *req, enum mg_field_id id)
{
    const struct mg_field *f = mg_fields_get(&req->msg->fields, id);
    return f ? mg_field_value(f) : MG_STR_NONE;
}

/* What came from a trusted proxy and is to be kept or extended. */
struct before {
    struct mg_str forwarded, for_, proto, host, port, prefix, via;
};

static struct before take_before(struct mg_request *req)
{
    struct before b = {0};
    struct mg_fields *fields = &req->msg->fields;
    mg_fields_joined(fields, MG_STR("via"), req->arena, &b.via);
    mg_fields_remove_id(fields, MG_FIELD_VIA);
    if (mg_request_peer_trusted(req)) {
        mg_fields_joined(fields, MG_STR("forwarded"), req->arena, &b.forwarded);
        mg_fields_joined(fields, MG_STR("x-forwarded-for"), req->arena, &b.for_);
        b.proto = known_value(req, MG_FIELD_X_FORWARDED_PROTO);
        b.host = known_value(req, MG_FIELD_X_FORWARDED_HOST);
        b.port = known_value(req, MG_FIELD_X_FORWARDED_PORT);
        b.prefix = known_value(req, MG_FIELD_X_FORWARDED_PREFIX);
    }
    remove_forwarding_fields(fields);
    return b;
}

/* A growing text in a buffer whose size was summed up before. */
struct writer {
    char *p;
    size_t n;
};

static void put(struct writer *w, struct mg_str s)
{
    if (s.n)
        memcpy(w->p + w->n, s.p, s.n);
    w->n += s.n;
}

static void put_line(struct writer *w, struct mg_str name, struct mg_str before,
                     struct mg_str value)
{
    put(w, name);
    put(w, before);
    if (before.n && value.n)
        put(w, MG_STR(", "));
    put(w, value);
    put(w, MG_STR("\r\n"));
}

static bool needs_quotes(struct mg_str s)
{
    return !mg_is_token(s);
}

/* for=192.0.2.60;proto=https;host="api.example.com:8080";by=_gw */
static struct mg_str forwarded_element(struct mg_request *req, struct mg_str client, bool v6)
{
    struct mg_str host = req->msg->authority;
    struct writer w = {mg_arena_alloc(req->arena, client.n + host.n + 64), 0};
    put(&w, MG_STR("for="));
    put(&w, v6 ? MG_STR("\"[") : MG_STR_NONE);
    put(&w, client.n ? client : MG_STR("unknown"));
    put(&w, v6 ? MG_STR("]\"") : MG_STR_NONE);
    put(&w, MG_STR(";proto="));
    put(&w, connection_scheme(req));
    if (host.n) {
        bool quote = needs_quotes(host);
        put(&w, MG_STR(";host="));
        put(&w, quote ? MG_STR("\"") : MG_STR_NONE);
        put(&w, host);
        put(&w, quote ? MG_STR("\"") : MG_STR_NONE);
    }
    put(&w, MG_STR(";by=_gw"));
    return mg_str(w.p, w.n);
}

struct mg_str mg_forwarded_lines(struct mg_request *req)
{
    char ip[MG_IP_TEXT_MAX], port[20];
    struct before b = take_before(req);
    /* The peer's address, not the client's: each proxy adds whom it heard from. */
    struct mg_str peer = mg_str(ip, req->peer.family ? mg_ip_format(&req->peer, ip) : 0);
    struct mg_str local_port = mg_str(port, mg_u64_to_dec(req->local.port, port));
    if (req->local.port == 0)
        local_port = req->secure ? MG_STR("443") : MG_STR("80");
    struct mg_str element = forwarded_element(req, peer, req->peer.family == 6);
    struct mg_str protocol =
        req->msg->version == 10 ? MG_STR("1.0 moongate") : MG_STR("1.1 moongate");

    size_t room = 320 + element.n + b.forwarded.n + b.for_.n + peer.n + b.proto.n + b.host.n +
                  req->msg->authority.n + b.port.n + b.prefix.n + b.via.n;
    struct writer w = {mg_arena_alloc(req->arena, room), 0};
    put_line(&w, MG_STR("X-Forwarded-For: "), b.for_, peer.n ? peer : MG_STR("unknown"));
    put_line(&w, MG_STR("X-Forwarded-Proto: "), MG_STR_NONE,
             b.proto.n ? b.proto : connection_scheme(req));
    put_line(&w, MG_STR("X-Forwarded-Host: "), MG_STR_NONE,
             b.host.n ? b.host : req->msg->authority);
    put_line(&w, MG_STR("X-Forwarded-Port: "), MG_STR_NONE, b.port.n ? b.port : local_port);
    if (b.prefix.n)
        put_line(&w, MG_STR("X-Forwarded-Prefix: "), MG_STR_NONE, b.prefix);
    put_line(&w, MG_STR("Forwarded: "), b.forwarded, element);
    put_line(&w, MG_STR("Via: "), b.via, protocol);
    return mg_str(w.p, w.n);
}

/* --- for keys --- */

static const enum mg_field_id relayed[] = {MG_FIELD_X_FORWARDED_PROTO, MG_FIELD_X_FORWARDED_HOST,
                                           MG_FIELD_X_FORWARDED_PORT, MG_FIELD_X_FORWARDED_PREFIX};
#define RELAYED (sizeof relayed / sizeof *relayed)

/* Takes the next "name=value" off a Forwarded field, with the ',' or ';' behind it. */
static struct mg_str next_pair(struct mg_str *rest)
{
    bool quoted = false;
    size_t n = 0;
    for (; n < rest->n; n++) {
        if (rest->p[n] == '"')
            quoted = !quoted;
        else if (!quoted && (rest->p[n] == ',' || rest->p[n] == ';'))
            break;
    }
    n += n < rest->n;
    struct mg_str pair = mg_str(rest->p, n);
    *rest = mg_str(rest->p + n, rest->n - n);
    return pair;
}

static bool is_address(struct mg_str pair)
{
    pair = mg_str_trim(pair);
    return (pair.n > 4 && mg_str_ieq(mg_str(pair.p, 4), MG_STR("for="))) ||
           (pair.n > 3 && mg_str_ieq(mg_str(pair.p, 3), MG_STR("by=")));
}

static void put_value(struct writer *w, struct mg_str value)
{
    put(w, value);
    put(w, MG_STR("\n")); /* is in no field */
}

struct mg_str mg_forwarded_relayed(struct mg_request *req)
{
    struct mg_str list = MG_STR_NONE, values[RELAYED];
    size_t room = RELAYED;
    if (!mg_request_peer_trusted(req))
        return MG_STR_NONE;
    for (unsigned i = 0; i < RELAYED; i++) {
        values[i] = known_value(req, relayed[i]);
        room += values[i].n;
    }
    mg_fields_joined(&req->msg->fields, MG_STR("forwarded"), req->arena, &list);
    struct writer w = {mg_arena_alloc(req->arena, room + list.n), 0};
    for (unsigned i = 0; i < RELAYED; i++)
        put_value(&w, values[i]);
    while (list.n) {
        struct mg_str pair = next_pair(&list);
        if (!is_address(pair))
            put(&w, pair);
    }
    return mg_str(w.p, w.n);
}
