/*
 * A request or response, free of HTTP version.
 *
 * A message holds what is meant end to end. What belongs to one connection (Connection, Keep-Alive,
 * Proxy-Connection, TE, Transfer-Encoding, Upgrade, and every field that Connection names: RFC 9110
 * 7.6.1) never gets in here: the codec that reads it takes it out, the codec that writes the
 * message puts its own. Host and Content-Length are members, not fields; so is the expectation of a
 * 100.
 *
 * All bytes are borrowed from, or copied to, the message's arena.
 */
#ifndef MG_HTTP_MESSAGE_H
#define MG_HTTP_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

enum mg_method {
    MG_METHOD_OTHER,
    MG_METHOD_GET,
    MG_METHOD_HEAD,
    MG_METHOD_POST,
    MG_METHOD_PUT,
    MG_METHOD_DELETE,
    MG_METHOD_PATCH,
    MG_METHOD_OPTIONS,
    MG_METHOD_TRACE,
    MG_METHOD_CONNECT,
};

/* Fields that some rule of ours looks at; all others are MG_FIELD_OTHER. */
enum mg_field_id {
    MG_FIELD_OTHER,
    MG_FIELD_ACCEPT,
    MG_FIELD_ACCEPT_ENCODING,
    MG_FIELD_AGE,
    MG_FIELD_AUTHORIZATION,
    MG_FIELD_CACHE_CONTROL,
    MG_FIELD_CONNECTION,
    MG_FIELD_CONTENT_DIGEST,
    MG_FIELD_CONTENT_ENCODING,
    MG_FIELD_CONTENT_LENGTH,
    MG_FIELD_CONTENT_LOCATION,
    MG_FIELD_CONTENT_MD5,
    MG_FIELD_CONTENT_RANGE,
    MG_FIELD_CONTENT_TYPE,
    MG_FIELD_COOKIE,
    MG_FIELD_DATE,
    MG_FIELD_DIGEST,
    MG_FIELD_ETAG,
    MG_FIELD_EXPECT,
    MG_FIELD_EXPIRES,
    MG_FIELD_FORWARDED,
    MG_FIELD_HOST,
    MG_FIELD_HTTP2_SETTINGS,
    MG_FIELD_IF_MATCH,
    MG_FIELD_IF_MODIFIED_SINCE,
    MG_FIELD_IF_NONE_MATCH,
    MG_FIELD_IF_RANGE,
    MG_FIELD_IF_UNMODIFIED_SINCE,
    MG_FIELD_KEEP_ALIVE,
    MG_FIELD_LAST_MODIFIED,
    MG_FIELD_LOCATION,
    MG_FIELD_MAX_FORWARDS,
    MG_FIELD_ORIGIN,
    MG_FIELD_PROXY_AUTHENTICATE,
    MG_FIELD_PROXY_AUTHORIZATION,
    MG_FIELD_PROXY_CONNECTION,
    MG_FIELD_RANGE,
    MG_FIELD_REPR_DIGEST,
    MG_FIELD_RETRY_AFTER,
    MG_FIELD_SERVER,
    MG_FIELD_SET_COOKIE,
    MG_FIELD_TE,
    MG_FIELD_TRAILER,
    MG_FIELD_TRANSFER_ENCODING,
    MG_FIELD_UPGRADE,
    MG_FIELD_USER_AGENT,
    MG_FIELD_VARY,
    MG_FIELD_VIA,
    MG_FIELD_X_FORWARDED_FOR,
    MG_FIELD_X_FORWARDED_HOST,
    MG_FIELD_X_FORWARDED_PORT,
    MG_FIELD_X_FORWARDED_PREFIX,
    MG_FIELD_X_FORWARDED_PROTO,
    MG_FIELD_X_REAL_IP,
    MG_FIELD_X_REQUEST_ID,
    MG_FIELD_COUNT
};

struct mg_field {
    const char *name; /* as it was written; compare without case */
    const char *value;
    uint32_t value_len;
    uint16_t name_len;
    uint16_t id; /* enum mg_field_id */
};

/* In wire order. */
struct mg_fields {
    struct mg_field *v; /* in the arena */
    uint16_t n, room;
};

struct mg_message {
    struct mg_arena *arena; /* borrowed; all bytes below live there or are static */
    struct mg_fields fields;

    /* Request. */
    struct mg_str method;     /* a token; case matters */
    enum mg_method method_id; /* of `method` */
    struct mg_str scheme;     /* "http", "https", or empty: HTTP/1 seldom says, the driver knows */
    struct mg_str authority;  /* host[:port] as the client wrote it; may be empty */
    struct mg_str path;       /* raw, begins with '/', or is "*" (OPTIONS) */
    struct mg_str query;      /* raw, without '?'; p is NULL when there was no '?' */

    /* Response. */
    uint16_t status;      /* 100-599 */
    struct mg_str phrase; /* reason phrase as received; empty: the usual one is written */

    /* Both. */
    uint8_t version;        /* of the wire it came by: 10, 11, 20 */
    int64_t content_length; /* as declared by Content-Length, or -1 when not declared */
    bool expect_continue;   /* request: Expect: 100-continue */
    struct mg_str upgrade;  /* protocols asked for (request) or switched to (101); empty: none */
    bool te_trailers;       /* request: the sender takes trailers */
    struct mg_str weakened; /* the ETag that stands in place of a strong one; empty: none does */

    /* Names alone, of which nothing comes late any more; see mg_message_settle. */
    struct mg_fields settled;
    bool all_settled; /* they were too many to keep: no trailers at all */
};

/* A fresh, empty message without a declared length; nothing is allocated. */
void mg_message_init(struct mg_message *m, struct mg_arena *arena);

/* Known id of a field name, without case; MG_FIELD_OTHER else. */
enum mg_field_id mg_field_id(struct mg_str name);
/* The usual spelling of a known field, such as "Content-Type"; "" for MG_FIELD_OTHER. */
struct mg_str mg_field_name(enum mg_field_id id);
/* True for the fields that no message holds: those of one connection (RFC 9110 7.6.1), and those
 * that are members here (Host, Content-Length, Expect). Codecs neither put them in nor write
 * them. */
bool mg_field_is_codec(enum mg_field_id id);
/* False for fields that must not come in trailers (RFC 9110 6.5.1: framing, routing, request
 * modifiers, authentication, response controls, what says how to read the content), whose late
 * arrival could change a decision; in any spelling (mg_field_is_alike). */
bool mg_field_may_trail(const struct mg_field *f);
/* Whether some server takes both names for the same: CGI, WSGI and their kin make HTTP_X_USER_ID
 * of X-User-Id, x_user_id and X.User-Id. So case does not count, nor which other character stands
 * where one is that is neither letter nor digit. */
bool mg_field_is_alike(struct mg_str a, struct mg_str b);
enum mg_method mg_method_id(struct mg_str method);
/* The usual reason phrase ("Not Found"), or "" for a status that has none. */
struct mg_str mg_status_phrase(unsigned status);

/* RFC 9110 5.6.2 token; 5.5 field value: no control but tab, no blanks around it; may be empty. */
bool mg_is_token(struct mg_str s);
bool mg_is_field_value(struct mg_str s);

static inline struct mg_str mg_field_value(const struct mg_field *f)
{
    return mg_str(f->value, f->value_len);
}

/* First field with that id or name, or NULL. `mg_fields_find` takes any name, known or not. */
struct mg_field *mg_fields_get(const struct mg_fields *fields, enum mg_field_id id);
struct mg_field *mg_fields_find(const struct mg_fields *fields, struct mg_str name);
/* The next one with the same name after `f`, or NULL. */
struct mg_field *mg_fields_next(const struct mg_fields *fields, const struct mg_field *f);

/* Values of all fields of that name joined with ", " (RFC 9110 5.3). One value: borrowed as it is;
 * more: joined in the arena. False when there is none. */
bool mg_fields_joined(const struct mg_fields *fields, struct mg_str name, struct mg_arena *arena,
                      struct mg_str *out);

/* What stands under that name: its fields, joined as above; or Host or Content-Length, which are
 * members of a message. False when there is none; an empty value may have p NULL. */
bool mg_message_field(const struct mg_message *m, struct mg_str name, struct mg_arena *arena,
                      struct mg_str *out);

/* Bytes of name and value are borrowed: they must live as long as the arena. The caller has checked
 * that they are a token of at most 65535 bytes and a field value. A list holds at most 65535
 * fields; what goes beyond either is a bug of the caller, and is left out. */
void mg_fields_add(struct mg_fields *fields, struct mg_arena *arena, struct mg_str name,
                   struct mg_str value);
/* The same for a name whose id is known already: `id` must be mg_field_id(name). */
void mg_fields_add_known(struct mg_fields *fields, struct mg_arena *arena, enum mg_field_id id,
                         struct mg_str name, struct mg_str value);
/* The same with the usual spelling of a known field. */
void mg_fields_add_id(struct mg_fields *fields, struct mg_arena *arena, enum mg_field_id id,
                      struct mg_str value);
/* Replaces the first field of that name where it stands and removes the others; adds when none. The
 * name takes the new spelling. */
void mg_fields_set(struct mg_fields *fields, struct mg_arena *arena, struct mg_str name,
                   struct mg_str value);
void mg_fields_set_id(struct mg_fields *fields, struct mg_arena *arena, enum mg_field_id id,
                      struct mg_str value);
/* The same for a name whose id is known already. */
void mg_fields_set_known(struct mg_fields *fields, struct mg_arena *arena, enum mg_field_id id,
                         struct mg_str name, struct mg_str value);
/* Removes all of that name; returns how many there were. */
unsigned mg_fields_remove(struct mg_fields *fields, struct mg_str name);
unsigned mg_fields_remove_id(struct mg_fields *fields, enum mg_field_id id);

/* Removes all that are alike (mg_field_is_alike) without being of that very name; returns how many
 * there were. */
unsigned mg_fields_remove_lookalikes(struct mg_fields *fields, struct mg_str name);

/* What the message says under this name is decided: whoever wrote the body cannot say it again in
 * a trailer, which many servers take for a header, in no spelling. The name is borrowed and must
 * live as long as the arena. */
void mg_message_settle(struct mg_message *m, struct mg_str name);
/* Whether `f` may follow the message's body. */
bool mg_message_may_trail(const struct mg_message *m, const struct mg_field *f);

/* Deep copy into another arena (name, value and all members). `to` need not be initialised. What
 * is settled is not copied: trailers belong to a body, and that stays where it is. */
void mg_message_copy(struct mg_message *to, struct mg_arena *arena, const struct mg_message *from);

#endif
