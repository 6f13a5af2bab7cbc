/* Who a client is, to those who count. Worker thread. */
#include "gateway/client_key.h"

#include "crypto/base64.h"
#include "crypto/digest.h"
#include "gateway/expr.h"

#define PLAIN_BYTES_MAX 128
#define HASHED "sha256:"
#define NETWORK "::/64"
#define NETWORK_GROUPS 4

/* A template that is but one name: that is looked up quicker. */
static struct mg_client_key_part template_part(struct mg_str template)
{
    struct mg_str literal, name, rest = template;
    if (mg_expr_next(&rest, &literal, &name) && literal.n == 0 && rest.n == 0 && name.p)
        return (struct mg_client_key_part){MG_CLIENT_KEY_NAME, name};
    return (struct mg_client_key_part){MG_CLIENT_KEY_TEMPLATE, template};
}

struct mg_client_key_part mg_client_key_part(struct mg_str by)
{
    if (mg_str_eq(by, MG_STR("ip")))
        return (struct mg_client_key_part){MG_CLIENT_KEY_IP, MG_STR_NONE};
    if (mg_str_eq(by, MG_STR("route")))
        return (struct mg_client_key_part){MG_CLIENT_KEY_ROUTE, MG_STR_NONE};
    if (mg_str_eq(by, MG_STR("subject")) || mg_str_eq(by, MG_STR("consumer")))
        return (struct mg_client_key_part){MG_CLIENT_KEY_SUBJECT, MG_STR_NONE};
    return template_part(by);
}

/* --- addresses --- */

/* Four groups of hex digits without zeros in front, and then nothing but zeros. */
static size_t write_network(const uint8_t bytes[16], char *out)
{
    size_t n = 0;
    for (int i = 0; i < NETWORK_GROUPS; i++) {
        unsigned group = (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1];
        if (i)
            out[n++] = ':';
        for (int shift = 12; shift >= 0; shift -= 4)
            if (group >> shift || shift == 0)
                out[n++] = "0123456789abcdef"[group >> shift & 15];
    }
    memcpy(out + n, NETWORK, sizeof NETWORK - 1);
    return n + sizeof NETWORK - 1;
}

static struct mg_str address(struct mg_request *req)
{
    const struct mg_addr *addr = mg_request_client(req);
    if (!addr->family)
        return MG_STR("unix");
    char *text = mg_arena_alloc(req->arena, MG_IP_TEXT_MAX);
    if (addr->family == 6)
        return mg_str(text, write_network(addr->bytes, text));
    return mg_str(text, mg_ip_format(addr, text));
}

/* --- what clients choose --- */

static bool may_be_in_address(char c)
{
    return (unsigned char)(c - '0') < 10 || (unsigned char)(mg_lower(c) - 'a') < 6 || c == ':' ||
           c == '.';
}

/* Most names are told apart from all that by their ends. */
static bool is_ambiguous(struct mg_str value)
{
    struct mg_addr addr;
    if (value.n > PLAIN_BYTES_MAX || mg_str_eq(value, MG_STR("unix")))
        return true;
    char first = value.p[0], last = value.p[value.n - 1];
    return mg_str_starts(value, MG_STR(HASHED)) || mg_str_ends(value, MG_STR("/64")) ||
           (may_be_in_address(first) && may_be_in_address(last) && mg_ip_parse(value, &addr));
}

static struct mg_str hashed(struct mg_str value, struct mg_arena *arena)
{
    uint8_t digest[MG_SHA256_BYTES];
    size_t head = sizeof HASHED - 1, n = head + 2 * sizeof digest;
    char *text = mg_arena_alloc(arena, n);
    mg_digest_sha256(value, digest);
    memcpy(text, HASHED, head);
    mg_base64_hex_encode(mg_str((const char *)digest, sizeof digest), text + head);
    return mg_str(text, n);
}

static struct mg_str chosen(struct mg_str value, struct mg_request *req)
{
    if (value.n == 0)
        return address(req);
    return is_ambiguous(value) ? hashed(value, req->arena) : value;
}

/* --- keys --- */

static struct mg_str part_text(const struct mg_client_key_part *part, struct mg_request *req)
{
    switch (part->kind) {
    case MG_CLIENT_KEY_IP:
        return address(req);
    case MG_CLIENT_KEY_ROUTE:
        return req->route ? req->route->name : MG_STR("-");
    case MG_CLIENT_KEY_SUBJECT:
        return chosen(mg_expr_subject(req), req);
    case MG_CLIENT_KEY_NAME:
        return chosen(mg_expr_named(req, part->text), req);
    case MG_CLIENT_KEY_TEMPLATE:
        break;
    }
    return chosen(mg_expr_text(req, part->text), req);
}

/* Each with its length in front, so that no two lists give the same text. */
static struct mg_str list_text(const struct mg_client_key *key, struct mg_request *req)
{
    struct mg_str *values = mg_arena_alloc(req->arena, key->count * sizeof *values);
    size_t room = 0, n = 0;
    for (uint32_t i = 0; i < key->count; i++) {
        values[i] = part_text(&key->parts[i], req);
        room += 24 + values[i].n;
    }
    char *text = mg_arena_alloc(req->arena, room);
    for (uint32_t i = 0; i < key->count; i++) {
        text[n++] = 's';
        n += mg_u64_to_dec(values[i].n, text + n);
        text[n++] = ':';
        if (values[i].n)
            memcpy(text + n, values[i].p, values[i].n);
        n += values[i].n;
    }
    return mg_str(text, n);
}

struct mg_str mg_client_key_text(const struct mg_client_key *key, struct mg_request *req)
{
    return key->count == 1 ? part_text(key->parts, req) : list_text(key, req);
}
