/* Routes messages by a generation's router. */
#include "app/ndjson_routes.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/uri.h"
#include "upstream/address.h"

#define PATH_MAX_BYTES 8192
#define BODY_MAX_BYTES ((size_t)64 << 10)
#define ID_DIGITS_MAX 15 /* an integer that every reader of JSON has exactly */
#define NOW_NS 1         /* time does not pass: no backend is ever ill */

/* --- routes --- */

void mg_ndjson_routes_init(struct mg_ndjson_routes *r, struct mg_arena *arena)
{
    static const struct mg_str path = {"~^/api/(v[0-9]+)/([^/]+)(?:/.*)?$", 33};
    struct mg_error err;
    *r = (struct mg_ndjson_routes){._arena = arena, ._rule = mg_router_new()};
    enum mg_rc rc = mg_router_add(
        r->_rule, &(struct mg_route_match){.paths = &path, .path_count = 1}, NULL, &err);
    MG_BUG_ON(rc != MG_OK);
    mg_router_finish(r->_rule, NULL, NULL);
}

static void drop_generation(struct mg_ndjson_routes *r)
{
    for (uint32_t i = 0; r->_gen && i < r->_gen->service_count; i++)
        mg_picker_release(&r->_pickers[i]);
    free(r->_pickers);
    mg_generation_unref(r->_gen);
    r->_pickers = NULL;
    r->_gen = NULL;
}

void mg_ndjson_routes_release(struct mg_ndjson_routes *r)
{
    drop_generation(r);
    mg_router_free(r->_rule);
}

/* Makes members of all backends. Nobody is called, so names need not be resolved: an address for
 * documentation (RFC 5737) stands for what they would be. */
static void publish(struct mg_service *service)
{
    static const uint8_t nowhere[4] = {192, 0, 2, 1};
    size_t count;
    const struct mg_addr addr = mg_ip_from_v4(nowhere);
    const struct mg_service_entry *entries = mg_service_entries(service, &count);
    struct mg_endpoint *v = mg_calloc(count + 1, sizeof *v);
    for (size_t i = 0; i < count; i++) {
        bool named = entries[i].address.kind == MG_ADDRESS_NAME;
        v[i] = mg_service_endpoint(&entries[i], named ? &addr : NULL);
    }
    mg_service_publish(service, v, count, NOW_NS);
    free(v);
}

enum mg_rc mg_ndjson_routes_load(struct mg_ndjson_routes *r, const struct mg_config_source *source,
                                 struct mg_buf *diagnostics)
{
    struct mg_generation *gen = mg_config_load(source, diagnostics, NULL, NULL);
    if (!gen)
        return MG_FAIL;
    drop_generation(r);
    r->_gen = gen;
    r->_pickers = mg_calloc(gen->service_count + 1, sizeof *r->_pickers);
    for (uint32_t i = 0; i < gen->service_count; i++) {
        publish(gen->services[i]);
        mg_picker_init(&r->_pickers[i], gen->services[i], i);
    }
    return MG_OK;
}

/* --- the route of a request --- */

static const struct mg_ndjson_header *find_header(const struct mg_ndjson_message *m,
                                                  struct mg_str name)
{
    for (size_t i = 0; i < m->header_count; i++)
        if (mg_str_ieq(m->headers[i].name, name))
            return &m->headers[i];
    return NULL;
}

static bool has_header(void *arg, struct mg_str name, const struct mg_str *value)
{
    const struct mg_ndjson_header *h = find_header(arg, name);
    return h && (!value || mg_str_eq(h->value, *value));
}

static struct mg_str host_of(const struct mg_ndjson_message *m)
{
    struct mg_uri_authority authority;
    const struct mg_ndjson_header *h = find_header(m, MG_STR("host"));
    if (!h || mg_uri_parse_authority(h->value, true, &authority) != MG_URI_OK)
        return MG_STR_NONE;
    return authority.host;
}

/* The path as routes see it, and the query. Gives 0, or the status of a refusal. */
static unsigned read_target(struct mg_ndjson_routes *r, const struct mg_ndjson_message *m,
                            struct mg_route_query *q)
{
    struct mg_str path = m->path;
    if (path.n > PATH_MAX_BYTES)
        return 414;
    ptrdiff_t mark = mg_str_find(path, '?');
    if (mark >= 0) {
        q->query = mg_str(path.p + mark + 1, path.n - (size_t)mark - 1);
        path.n = (size_t)mark;
    }
    if (!path.n || mg_uri_path_normalize(r->_arena, path, &q->path) != MG_URI_OK)
        return 400;
    return 0;
}

/* --- a played backend --- */

/* The item that the path names: the segment behind what is fixed in the route's pattern. */
static struct mg_str item_of(struct mg_str path, const struct mg_route_found *found)
{
    struct mg_str rest = mg_str(path.p + found->literal_bytes, path.n - found->literal_bytes), item;
    while (mg_str_split(&rest, '/', &item))
        if (item.n)
            return item;
    return MG_STR_NONE;
}

/* Users have names, and from version 2 on an address too. */
static void add_user(struct mg_buf *body, uint64_t id, struct mg_str version)
{
    static const struct {
        const char *name, *email;
    } people[] = {{"Alice", "alice"}, {"Bob", "bob"}, {"Carol", "carol"}};
    size_t i = id % (sizeof people / sizeof *people);
    uint64_t number = 1;
    if (version.n > 1 && version.p[0] == 'v')
        (void)!mg_str_to_u64(mg_str(version.p + 1, version.n - 1), UINT32_MAX, &number);
    mg_buf_printf(body, ", \"name\": \"%s\"", people[i].name);
    if (number > 1)
        mg_buf_printf(body, ", \"email\": \"%s@example.com\"", people[i].email);
}

/* What a backend of that service would say of the item; an empty list when there is none. */
static struct mg_str play(struct mg_ndjson_routes *r, struct mg_str service, struct mg_str version,
                          struct mg_str item)
{
    struct mg_buf body;
    uint64_t id;
    if (!item.n)
        return MG_STR("[]");
    mg_buf_init(&body, BODY_MAX_BYTES);
    mg_buf_add_c(&body, "{\"id\": ");
    if (item.n <= ID_DIGITS_MAX && mg_str_to_u64(item, UINT64_MAX, &id)) {
        mg_buf_printf(&body, "%llu", (unsigned long long)id);
        if (mg_str_starts(service, MG_STR("user")))
            add_user(&body, id, version);
    } else if (!mg_json_write_string(&body, item)) {
        mg_buf_reset(&body); /* percent-encoded bytes that are no text */
        mg_buf_add_c(&body, "{\"id\": null");
    }
    mg_buf_add_char(&body, '}');
    struct mg_str text = mg_arena_str(r->_arena, mg_buf_str(&body));
    mg_buf_release(&body);
    return text;
}

/* --- answers --- */

static int32_t choose_service(struct mg_ndjson_routes *r, const struct mg_route *route)
{
    if (route->split_count == 0)
        return route->service;
    uint64_t lot = mg_picker_random(&r->_pickers[route->split[0].service]) % route->split_weight;
    for (uint32_t i = 0; i < route->split_count; i++) {
        if (lot < route->split[i].weight)
            return (int32_t)route->split[i].service;
        lot -= route->split[i].weight;
    }
    return (int32_t)route->split[0].service;
}

static void answer_by_route(struct mg_ndjson_routes *r, const struct mg_route_query *q,
                            const struct mg_route_found *found, struct mg_ndjson_reply *reply)
{
    const struct mg_route *route = found->route;
    int32_t service = choose_service(r, route);
    if (service == MG_NO_SERVICE) {
        reply->status = 501; /* a step would answer */
        return;
    }
    const struct mg_service_config *config = mg_service_config(r->_gen->services[service]);
    const struct mg_backend *b =
        mg_picker_next(&r->_pickers[service], &(struct mg_pick){.now_ns = NOW_NS});
    reply->service = config->label;
    reply->version = route->version;
    if (!b) {
        reply->status = config->status_when_down;
        return;
    }
    reply->backend =
        b->unix_path ? mg_str_c(b->unix_path) : mg_address_host(mg_str_c(b->authority));
    reply->body = play(r, config->label, route->version, item_of(q->path, found));
}

/* By the rule for which no backends are known. */
static void answer_by_rule(struct mg_ndjson_routes *r, const struct mg_route_found *found,
                           struct mg_ndjson_reply *reply)
{
    reply->version = found->values[0];
    reply->service = mg_arena_printf(r->_arena, "%.*s-service", MG_STR_ARGS(found->values[1]));
}

static void answer_unrouted(const struct mg_ndjson_routes *r, struct mg_ndjson_reply *reply)
{
    bool told = r->_gen && r->_gen->default_response.status;
    reply->status = told ? r->_gen->default_response.status : 404;
    if (told)
        reply->body = r->_gen->default_response.body;
}

struct mg_ndjson_reply mg_ndjson_routes_answer(struct mg_ndjson_routes *r,
                                               const struct mg_ndjson_message *m)
{
    struct mg_ndjson_reply reply = {.type = MG_STR("api_response"), .status = 200};
    struct mg_route_query q = {
        .host = host_of(m),
        .method = m->method.n ? m->method : MG_STR("GET"),
        .listener = r->_gen && r->_gen->listen_count ? r->_gen->listens[0].name : MG_STR_NONE,
        .has_header = has_header,
        .header_arg = (void *)m,
    };
    struct mg_route_found found;
    unsigned refused = read_target(r, m, &q);
    if (refused) {
        reply.status = refused;
        return reply;
    }
    switch (mg_router_find(r->_gen ? r->_gen->router : r->_rule, &q, &found)) {
    case MG_ROUTER_FOUND:
        if (r->_gen)
            answer_by_route(r, &q, &found, &reply);
        else
            answer_by_rule(r, &found, &reply);
        break;
    case MG_ROUTER_NONE:
        answer_unrouted(r, &reply);
        break;
    case MG_ROUTER_WRONG_METHOD:
        reply.status = 405;
        break;
    case MG_ROUTER_GAVE_UP:
        reply.status = 400;
        break;
    }
    return reply;
}
