/* Requests and responses as steps see them. Worker thread. */
#include "crypto/base64.h"
#include "crypto/random.h"
#include "gateway/content.h"
#include "gateway/exchange.h"
#include "gateway/forwarded.h"
#include "gateway/worker.h"

#define ID_BYTES 16
#define ID_LENGTH_MAX 128

bool mg_request_is_id(struct mg_str s)
{
    if (s.n == 0 || s.n > ID_LENGTH_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (unsigned char)(mg_lower(c) - 'a') < 26,
             digit = (unsigned char)(c - '0') < 10;
        if (!letter && !digit && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}

struct mg_str mg_request_id(struct mg_request *req)
{
    if (req->id.n)
        return req->id;
    const struct mg_field *theirs = mg_fields_get(&req->msg->fields, MG_FIELD_X_REQUEST_ID);
    if (theirs && mg_request_is_id(mg_field_value(theirs)) && mg_request_peer_trusted(req)) {
        req->id = mg_field_value(theirs);
        return req->id;
    }
    char bytes[ID_BYTES];
    char *text = mg_arena_alloc(req->arena, 2 * ID_BYTES);
    mg_random_bytes(bytes, sizeof bytes);
    mg_base64_hex_encode(mg_str(bytes, sizeof bytes), text);
    req->id = mg_str(text, 2 * ID_BYTES);
    return req->id;
}

const struct mg_addr *mg_request_client(struct mg_request *req)
{
    if (!req->client_known)
        mg_forwarded_find_client(req);
    return &req->client;
}

bool mg_request_peer_trusted(struct mg_request *req)
{
    if (!req->client_known)
        mg_forwarded_find_client(req);
    return req->peer_trusted;
}

struct mg_str mg_request_scheme(struct mg_request *req)
{
    if (!req->client_known)
        mg_forwarded_find_client(req);
    return req->scheme;
}

/* Other spellings go as well: the backend may take them for the same (`X_User_Id`), and believe
 * what a client has written. */
static void settle_field(struct mg_request *req, struct mg_str name)
{
    mg_fields_remove_lookalikes(&req->msg->fields, name);
    if (req->body->length != 0)
        mg_message_settle(req->msg, name);
}

void mg_request_remove_field(struct mg_request *req, struct mg_str name)
{
    mg_fields_remove(&req->msg->fields, name);
    settle_field(req, name);
}

void mg_request_set_field(struct mg_request *req, enum mg_field_id id, struct mg_str name,
                          struct mg_str value)
{
    mg_fields_set_known(&req->msg->fields, req->msg->arena, id, name, value);
    settle_field(req, name);
}

void mg_request_set_body(struct mg_request *req, struct mg_str bytes)
{
    req->buffered = bytes;
    req->is_buffered = true;
    req->body_taken = false;
    req->body = mg_body_fixed(req->arena, bytes);
    req->msg->content_length = (int64_t)bytes.n;
}

struct mg_body *mg_request_take_body(struct mg_request *req)
{
    if (req->is_buffered)
        return mg_body_fixed(req->arena, req->buffered);
    if (req->body_taken) /* where there is nothing to read, it can be read again */
        return req->body->length == 0 ? mg_body_fixed(req->arena, MG_STR_NONE) : NULL;
    if (mg_body_is_being_read(req->body))
        return NULL;
    req->body_taken = true;
    return req->body;
}

void mg_request_save(struct mg_exchange *ex, struct mg_request *req, struct mg_request_state *state)
{
    const struct mg_fields *fields = &req->msg->fields;
    size_t bytes = fields->n * sizeof *fields->v;
    const struct mg_script_hooks *hooks = req->wg->worker->hooks;
    state->req = *req;
    state->msg = *req->msg;
    state->fields = mg_arena_alloc(req->arena, bytes);
    if (bytes)
        memcpy(state->fields, fields->v, bytes);
    state->script = hooks ? hooks->request_saved(ex, req) : NULL;
}

/* An id that was made since then has been told, in a log if nowhere else. */
static void restore_id(struct mg_request *req, const struct mg_request *now)
{
    if (req->id.n == 0)
        req->id = now->id;
}

/* A body that came into memory since then has left its connection: it stays. */
static void restore_body(struct mg_request *req, const struct mg_request_state *state,
                         const struct mg_request *now, int64_t content_length)
{
    req->body = now->body;
    req->buffered = now->buffered;
    req->is_buffered = now->is_buffered;
    req->body_taken = now->body_taken;
    req->body_reader = now->body_reader;
    req->body_read_at = now->body_read_at;
    req->msg->content_length = content_length;
    req->decoded = now->decoded;
    req->again = now->again;
    if (state->req.is_buffered) {
        mg_request_set_body(req, state->req.buffered);
        req->decoded = state->req.decoded;
        req->again = state->req.again;
    } else if (now->decoded && !state->req.decoded) {
        mg_content_forget_bytes(req->msg);
    }
}

void mg_request_restore(struct mg_exchange *ex, struct mg_request *req,
                        struct mg_request_state *state)
{
    const struct mg_request now = *req;
    const struct mg_script_hooks *hooks = req->wg->worker->hooks;
    int64_t content_length = req->msg->content_length;
    *req = state->req;
    *req->msg = state->msg; /* whose array of fields may have been left for a larger one */
    if (state->msg.fields.n)
        memcpy(req->msg->fields.v, state->fields, state->msg.fields.n * sizeof *state->fields);
    restore_id(req, &now);
    restore_body(req, state, &now, content_length);
    if (hooks)
        hooks->request_restored(ex, req, state->script);
}

const char *mg_source_name(enum mg_source source)
{
    static const char *const names[] = {[MG_SOURCE_UPSTREAM] = "upstream",
                                        [MG_SOURCE_CACHE] = "cache",
                                        [MG_SOURCE_POLICY] = "policy",
                                        [MG_SOURCE_GATEWAY] = "gateway"};
    return names[source];
}

struct mg_response *mg_response_new(struct mg_arena *arena, unsigned status, enum mg_source source)
{
    struct {
        struct mg_response res;
        struct mg_message msg;
    } *both = mg_arena_calloc(arena, sizeof *both);
    both->res.msg = &both->msg;
    both->res.source = source;
    mg_message_init(&both->msg, arena);
    both->msg.status = (uint16_t)status;
    return &both->res;
}

void mg_response_set_body(struct mg_response *res, struct mg_arena *arena, struct mg_str bytes)
{
    res->buffered = bytes;
    res->is_buffered = true;
    res->is_json = false;
    res->body = mg_body_fixed(arena, bytes);
    res->msg->content_length = (int64_t)bytes.n;
}

void mg_response_hold_body(struct mg_response *res, struct mg_arena *arena, struct mg_str bytes)
{
    int64_t told = res->msg->content_length;
    mg_response_set_body(res, arena, bytes);
    if (bytes.n == 0)
        res->msg->content_length = told;
}

/* In HTTP/1 a body whose length is known has no trailers (RFC 9112 7.1.2). */
static bool may_have_trailers(const struct mg_response *res)
{
    if (!res->body || res->body->length == 0)
        return false;
    return res->body->length < 0 || res->msg->version > 11;
}

static void settle(struct mg_response *res, struct mg_str name)
{
    if (may_have_trailers(res))
        mg_message_settle(res->msg, name);
}

void mg_response_add_field(struct mg_response *res, struct mg_str name, struct mg_str value)
{
    struct mg_message *m = res->msg;
    mg_fields_add_known(&m->fields, m->arena, MG_FIELD_OTHER, name, value);
    settle(res, name);
}

void mg_response_set_field(struct mg_response *res, struct mg_str name, struct mg_str value)
{
    struct mg_message *m = res->msg;
    mg_fields_set_known(&m->fields, m->arena, MG_FIELD_OTHER, name, value);
    settle(res, name);
}
