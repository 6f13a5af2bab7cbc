/*
 * The parts of a generation that are neither routes nor the workers' plan, and what all parts
 * share.
 *
 * Everything runs inside one protected call, so that reading the table may raise; what is not in
 * the generation's arena hangs on the generation at once, and goes with it.
 */
#include "script/config_build.h"

#include <lauxlib.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "script/sandbox.h"
#include "script/table.h"
#include "script/task.h"

/* Longer lines are not quoted. */
#define LINE_SHOWN_MAX 200
#define REPORT_MAX ((size_t)1 << 20)
#define PACK_MAX ((size_t)64 << 20)
/* Longer than anybody waits, and far from overflowing when a deadline is reckoned. */
#define SECONDS_MAX 1e9

/* --- telling --- */

void mg_config_report_init(struct mg_config_report *r)
{
    *r = (struct mg_config_report){0};
    mg_buf_init(&r->errors_text, REPORT_MAX);
    mg_buf_init(&r->warnings_text, REPORT_MAX);
    mg_buf_init(&r->notes_text, REPORT_MAX);
}

void mg_config_report_release(struct mg_config_report *r)
{
    mg_buf_release(&r->errors_text);
    mg_buf_release(&r->warnings_text);
    mg_buf_release(&r->notes_text);
}

/* Where a file of the config lies; false when that is too long. */
static bool file_path(char out[PATH_MAX], const struct mg_config_source *source, struct mg_str file)
{
    const char *slash = strrchr(source->file, '/');
    bool below = slash && file.n && file.p[0] != '/' && !mg_str_eq(file, mg_str_c(source->file));
    int n = snprintf(out, PATH_MAX, "%.*s%.*s", below ? (int)(slash - source->file) + 1 : 0,
                     source->file, MG_STR_ARGS(file));
    return n > 0 && n < PATH_MAX;
}

/* The n-th line of a file of the config; empty when it cannot be had. Read again, for most configs
 * are right. */
static struct mg_str find_line(const struct mg_config_source *source, struct mg_str file,
                               lua_Integer n, struct mg_buf *text)
{
    struct mg_str rest = MG_STR_NONE, line = MG_STR_NONE;
    char path[PATH_MAX];
    if (source->text && mg_str_eq(file, mg_str_c(source->file)))
        rest = *source->text;
    else if (file_path(path, source, file) && mg_file_read(path, text, NULL) == MG_OK)
        rest = mg_buf_str(text);
    while (n > 0 && mg_str_split(&rest, '\n', &line))
        n--;
    return n == 0 && line.n <= LINE_SHOWN_MAX ? line : MG_STR_NONE;
}

static lua_Integer first_column(struct mg_str line)
{
    lua_Integer col = 1;
    for (size_t i = 0; i < line.n && (line.p[i] == ' ' || line.p[i] == '\t'); i++)
        col++;
    return col;
}

/* The line, and below it a mark. Columns count characters; tabs stay tabs, so that the mark keeps
 * its place. */
static void quote_line(struct mg_buf *out, struct mg_str line, lua_Integer col)
{
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    if (line.n == 0)
        return;
    mg_buf_printf(out, "%.*s\n", MG_STR_ARGS(line));
    for (size_t i = 0; i < line.n && col > 1; i++) {
        if (((unsigned char)line.p[i] & 0xc0) == 0x80)
            continue;
        mg_buf_add_char(out, line.p[i] == '\t' ? '\t' : ' ');
        col--;
    }
    mg_buf_add_c(out, "^\n");
}

static void add_line(const struct mg_config_source *source, struct mg_buf *out,
                     const struct mg_config_place *place, const char *kind, struct mg_str message)
{
    struct mg_str file = place->file.n ? place->file : mg_str_c(source->file), line = MG_STR_NONE;
    struct mg_buf text;
    lua_Integer col = place->col;
    mg_buf_init(&text, MG_CONFIG_FILE_MAX);
    mg_buf_add_str(out, file);
    if (place->line) {
        line = find_line(source, file, place->line, &text);
        col = col ? col : first_column(line);
        mg_buf_printf(out, ":%lld:%lld", (long long)place->line, (long long)col);
    }
    mg_buf_add_c(out, ": ");
    if (place->path.n)
        mg_buf_printf(out, "%.*s: ", MG_STR_ARGS(place->path));
    mg_buf_printf(out, "%s%.*s\n", kind, MG_STR_ARGS(message));
    quote_line(out, line, col);
    mg_buf_release(&text);
}

void mg_config_report_error(struct mg_config_report *r, const struct mg_config_source *source,
                            const struct mg_config_place *place, struct mg_str message)
{
    add_line(source, &r->errors_text, place, "", message);
    r->errors++;
}

void mg_config_report_warning(struct mg_config_report *r, const struct mg_config_source *source,
                              const struct mg_config_place *place, struct mg_str message)
{
    add_line(source, &r->warnings_text, place, "warning: ", message);
    r->warnings++;
}

/* Calls moongate.config.locate: leaves file, line and column. Whoever simulates builds in a state
 * of his own, which does not have the module. */
static bool ask_place(struct mg_config_build *b, struct mg_str path)
{
    if (b->source->simulated || mg_sandbox_require(b->L, "moongate.config") != MG_OK)
        return false;
    lua_getfield(b->L, -1, "locate");
    lua_pushvalue(b->L, b->config);
    lua_pushlstring(b->L, path.p, path.n);
    return mg_task_call(b->L, 2, 3) == MG_OK;
}

/* What is known by its path alone gets the line where the files have that path, if they have any.
 */
static struct mg_config_place locate(struct mg_config_build *b, const struct mg_config_place *place)
{
    struct mg_config_place found = *place;
    int top = lua_gettop(b->L);
    if (!found.line && found.path.n && ask_place(b, found.path)) {
        found.file = mg_config_copy(b, -3);
        found.line = lua_tointeger(b->L, -2);
        found.col = lua_tointeger(b->L, -1);
    }
    lua_settop(b->L, top);
    return found;
}

void mg_config_error(struct mg_config_build *b, const struct mg_config_place *place,
                     const char *format, ...)
{
    struct mg_config_place found = locate(b, place);
    struct mg_error text;
    va_list args;
    va_start(args, format);
    vsnprintf(text.text, sizeof text.text, format, args);
    va_end(args);
    mg_config_report_error(b->report, b->source, &found, mg_str_c(text.text));
}

void mg_config_warning(struct mg_config_build *b, const struct mg_config_place *place,
                       const char *format, ...)
{
    struct mg_config_place found = locate(b, place);
    struct mg_error text;
    va_list args;
    va_start(args, format);
    vsnprintf(text.text, sizeof text.text, format, args);
    va_end(args);
    mg_config_report_warning(b->report, b->source, &found, mg_str_c(text.text));
}

/* An error at a path of the config. */
static void fail_at(struct mg_config_build *b, struct mg_str path, const char *message)
{
    mg_config_error(b, &(struct mg_config_place){.path = path}, "%s", message);
}

/* --- reading --- */

struct mg_str mg_config_copy(struct mg_config_build *b, int index)
{
    struct mg_str s = MG_STR_NONE;
    if (lua_type(b->L, index) == LUA_TSTRING)
        s.p = lua_tolstring(b->L, index, &s.n);
    return mg_arena_str(&b->gen->arena, s);
}

struct mg_str mg_config_text(struct mg_config_build *b, int table, const char *key)
{
    lua_getfield(b->L, table, key);
    struct mg_str s = mg_config_copy(b, -1);
    lua_pop(b->L, 1);
    return s;
}

uint64_t mg_config_integer(struct mg_config_build *b, int table, const char *key)
{
    lua_getfield(b->L, table, key);
    lua_Integer i = lua_tointeger(b->L, -1);
    lua_pop(b->L, 1);
    return i > 0 ? (uint64_t)i : 0;
}

uint64_t mg_config_ns(struct mg_config_build *b, int table, const char *key)
{
    lua_getfield(b->L, table, key);
    double seconds = lua_tonumber(b->L, -1);
    lua_pop(b->L, 1);
    if (!(seconds > 0))
        return 0;
    /* What was more than nothing stays more than nothing. */
    uint64_t ns = (uint64_t)llround((seconds < SECONDS_MAX ? seconds : SECONDS_MAX) * 1e9);
    return ns ? ns : 1;
}

bool mg_config_flag(struct mg_config_build *b, int table, const char *key)
{
    lua_getfield(b->L, table, key);
    bool set = lua_toboolean(b->L, -1);
    lua_pop(b->L, 1);
    return set;
}

bool mg_config_is(struct mg_config_build *b, int table, const char *key, const char *value)
{
    lua_getfield(b->L, table, key);
    bool is = lua_type(b->L, -1) == LUA_TSTRING && strcmp(lua_tostring(b->L, -1), value) == 0;
    lua_pop(b->L, 1);
    return is;
}

uint32_t mg_config_list(struct mg_config_build *b, int table, const char *key)
{
    luaL_checkstack(b->L, 8, "config");
    if (lua_getfield(b->L, table, key) != LUA_TTABLE) {
        lua_pop(b->L, 1);
        lua_newtable(b->L);
    }
    return (uint32_t)lua_rawlen(b->L, -1);
}

struct mg_str *mg_config_texts(struct mg_config_build *b, int table, const char *key, size_t *count)
{
    *count = mg_config_list(b, table, key);
    struct mg_str *v = mg_arena_calloc(&b->gen->arena, *count * sizeof *v);
    for (size_t i = 0; i < *count; i++) {
        lua_rawgeti(b->L, -1, (lua_Integer)i + 1);
        v[i] = mg_config_copy(b, -1);
        lua_pop(b->L, 1);
    }
    lua_pop(b->L, 1);
    return v;
}

struct mg_str mg_config_path(struct mg_config_build *b, struct mg_str path)
{
    const char *slash = strrchr(b->source->file, '/');
    if (!slash || (path.n && path.p[0] == '/'))
        return path;
    return mg_arena_printf(&b->gen->arena, "%.*s%.*s", (int)(slash - b->source->file) + 1,
                           b->source->file, MG_STR_ARGS(path));
}

enum mg_rc mg_config_read_file(struct mg_config_build *b, const char *at, struct mg_str file,
                               size_t max, struct mg_buf *out)
{
    struct mg_config_place place = {.path = mg_arena_str(&b->gen->arena, mg_str_c(at))};
    struct mg_error err;
    mg_buf_init(out, max);
    mg_config_files_add(b->source->files, mg_config_path(b, file));
    if (mg_file_read(mg_config_path(b, file).p, out, &err) != MG_OK)
        mg_config_error(b, &place, "%s", err.text);
    else if (out->n == 0)
        mg_config_error(b, &place, "the file is empty");
    else
        return MG_OK;
    return MG_FAIL;
}

void mg_config_drop_file(struct mg_buf *text)
{
    if (text->n)
        explicit_bzero(text->p, text->n);
    mg_buf_release(text);
}

/* --- listeners --- */

/* The listener's address with the port of the command line. */
static struct mg_str with_port(struct mg_config_build *b, int listen)
{
    struct mg_str host = mg_config_text(b, listen, "host");
    if (!host.n) {
        fail_at(b, MG_STR("listen[0]"), "is a unix socket, so -p cannot give it a port");
        return host;
    }
    return mg_arena_printf(&b->gen->arena, memchr(host.p, ':', host.n) ? "[%s]:%s" : "%s:%s",
                           host.p, b->source->port_override);
}

static void check_twice(struct mg_config_build *b)
{
    const struct mg_listen *first = b->gen->listens;
    for (uint32_t i = 1; i < b->gen->listen_count; i++)
        if (mg_str_eq(first->address, b->gen->listens[i].address) &&
            !mg_str_ends(first->address, MG_STR(":0")))
            fail_at(b, mg_arena_printf(&b->gen->arena, "listen[%u]", i),
                    "is what -p makes of the first listener too");
}

static void build_listens(struct mg_config_build *b)
{
    struct mg_generation *g = b->gen;
    g->listen_count = mg_config_list(b, b->config, "listen");
    g->listens = mg_arena_calloc(&g->arena, g->listen_count * sizeof *g->listens);
    for (uint32_t i = 0; i < g->listen_count; i++) {
        lua_rawgeti(b->L, -1, i + 1);
        int listen = lua_gettop(b->L);
        bool moved = i == 0 && b->source->port_override;
        g->listens[i].name = mg_config_text(b, listen, "name");
        g->listens[i].proxy_protocol = mg_config_flag(b, listen, "proxy_protocol");
        g->listens[i].tls = mg_config_build_listen_tls(b, listen, i);
        g->listens[i].address = moved ? with_port(b, listen) : mg_config_text(b, listen, "address");
        lua_pop(b->L, 1);
    }
    lua_pop(b->L, 1);
    if (b->source->port_override && g->listen_count)
        check_twice(b);
}

/* --- services --- */

static void read_backends(struct mg_config_build *b, int service, struct mg_service_config *c)
{
    c->backend_count = mg_config_list(b, service, "backends");
    struct mg_backend_config *v = mg_arena_calloc(&b->gen->arena, c->backend_count * sizeof *v);
    for (size_t i = 0; i < c->backend_count; i++) {
        lua_rawgeti(b->L, -1, (lua_Integer)i + 1);
        v[i].address = mg_config_text(b, lua_gettop(b->L), "address");
        v[i].weight = (uint32_t)mg_config_integer(b, lua_gettop(b->L), "weight");
        v[i].zone = mg_config_text(b, lua_gettop(b->L), "zone");
        v[i].priority = (uint8_t)mg_config_integer(b, lua_gettop(b->L), "priority");
        lua_pop(b->L, 1);
    }
    lua_pop(b->L, 1);
    c->backends = v;
}

static void read_host(struct mg_config_build *b, int service, struct mg_service_config *c)
{
    if (mg_config_is(b, service, "host", "keep")) {
        c->host = MG_HOST_KEEP;
    } else if (mg_config_is(b, service, "host", "backend")) {
        c->host = MG_HOST_BACKEND;
    } else {
        c->host = MG_HOST_NAME;
        c->host_name = mg_config_text(b, service, "host");
    }
}

static struct mg_service *build_service(struct mg_config_build *b, struct mg_str name)
{
    struct mg_str path = mg_arena_printf(&b->gen->arena, "services.%s", name.p);
    struct mg_service_config c = {.name = name};
    struct mg_error err;
    int service = lua_gettop(b->L);
    read_backends(b, service, &c);
    read_host(b, service, &c);
    c.base_path = mg_config_text(b, service, "path");
    mg_config_build_balance(b, service, &c);
    c.status_when_down = (uint16_t)mg_config_integer(b, service, "status_when_down");
    c.label = mg_config_text(b, service, "label");
    mg_config_list(b, service, "dns");
    c.dns_name = mg_config_text(b, service + 1, "name");
    c.dns_port = (uint16_t)mg_config_integer(b, service + 1, "port");
    lua_pop(b->L, 1);
    mg_config_list(b, service, "timeouts");
    c.connect_ns = mg_config_ns(b, service + 1, "connect");
    c.first_byte_ns = mg_config_ns(b, service + 1, "first_byte");
    c.idle_ns = mg_config_ns(b, service + 1, "idle");
    c.per_try_ns = mg_config_ns(b, service + 1, "per_try");
    lua_pop(b->L, 1);
    mg_config_list(b, service, "keepalive");
    c.keepalive_max = (uint32_t)mg_config_integer(b, service + 1, "max");
    c.keepalive_idle_ns = mg_config_ns(b, service + 1, "idle");
    lua_pop(b->L, 1);
    c.deadline_header = mg_config_text(b, service, "deadline_header");
    mg_config_build_guards(b, service, &c.guards);
    c.check = mg_config_build_check(b, service);
    c.tls = mg_config_build_client_tls(b, service, path);
    struct mg_service *s = mg_service_new(&c, &err);
    mg_tls_client_settings_unref(c.tls);
    if (!s)
        fail_at(b, path, err.text);
    return s;
}

static void build_services(struct mg_config_build *b)
{
    struct mg_generation *g = b->gen;
    lua_getfield(b->L, b->config, "services");
    mg_table_push_keys(b->L, -1);
    uint32_t count = (uint32_t)lua_rawlen(b->L, -1);
    g->services = mg_arena_calloc(&g->arena, count * sizeof(struct mg_service *));
    for (uint32_t i = 0; i < count; i++) {
        lua_rawgeti(b->L, -1, i + 1);
        struct mg_str name = mg_config_copy(b, -1);
        lua_rawget(b->L, -3);
        g->services[g->service_count] = build_service(b, name);
        g->service_count += g->services[g->service_count] != NULL;
        lua_pop(b->L, 1);
    }
    lua_pop(b->L, 2);
}

/* --- the rest --- */

static uint32_t bounded_u32(uint64_t v)
{
    return v < UINT32_MAX ? (uint32_t)v : UINT32_MAX;
}

static void build_limits(struct mg_config_build *b)
{
    struct mg_generation *g = b->gen;
    int limits = lua_gettop(b->L) + 1;
    mg_config_list(b, b->config, "limits");
    uint32_t header_bytes = bounded_u32(mg_config_integer(b, limits, "header_bytes"));
    g->limits = (struct mg_server_limits){
        /* One number for the whole head; a target may fill it. */
        .head = {.head_bytes = header_bytes,
                 .target_bytes = header_bytes,
                 .field_count = bounded_u32(mg_config_integer(b, limits, "headers"))},
        .body_bytes = mg_config_integer(b, limits, "body_bytes"),
        .header_time_ns = mg_config_ns(b, limits, "header_time"),
        .request_time_ns = mg_config_ns(b, limits, "request_time"),
        .idle_time_ns = mg_config_ns(b, limits, "idle_time"),
        .connections = bounded_u32(mg_config_integer(b, limits, "connections")),
    };
    g->request_time_ns = g->limits.request_time_ns;
    g->buffered_body_bytes = mg_config_integer(b, limits, "buffered_body_bytes");
    g->lua_run_ns = mg_config_ns(b, limits, "lua_run");
    g->lua_memory_bytes = mg_config_integer(b, limits, "lua_memory");
    lua_pop(b->L, 1);
}

static void build_trusted(struct mg_config_build *b)
{
    size_t count;
    struct mg_error err;
    struct mg_str *items = mg_config_texts(b, b->config, "trusted_proxies", &count);
    if (count && !(b->gen->trusted = mg_cidr_set_new(items, count, &err)))
        fail_at(b, MG_STR("trusted_proxies"), err.text);
}

static void add_default_header(struct mg_config_build *b, struct mg_str name, struct mg_str value)
{
    struct mg_arena *arena = &b->gen->arena;
    if (mg_field_is_codec(mg_field_id(name)))
        fail_at(b, mg_arena_printf(arena, "default_response.headers.%s", name.p),
                "is set by the gateway itself");
    else
        mg_fields_add(&b->gen->default_response.headers, arena, name, value);
}

static void build_default_response(struct mg_config_build *b)
{
    struct mg_default_response *d = &b->gen->default_response;
    int response = lua_gettop(b->L) + 1;
    mg_config_list(b, b->config, "default_response");
    d->status = (uint16_t)mg_config_integer(b, response, "status_code");
    d->body = mg_config_text(b, response, "body");
    mg_config_list(b, response, "headers");
    mg_table_push_keys(b->L, -1);
    for (lua_Integer i = 1; lua_rawgeti(b->L, -1, i) != LUA_TNIL; i++) {
        struct mg_str name = mg_config_copy(b, -1);
        add_default_header(b, name, mg_config_text(b, response + 1, name.p));
        lua_pop(b->L, 1);
    }
    lua_settop(b->L, response - 1);
}

static void build_errors_and_log(struct mg_config_build *b)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    struct mg_generation *g = b->gen;
    int section = lua_gettop(b->L) + 1;
    mg_config_list(b, b->config, "errors");
    g->errors_format =
        mg_config_is(b, section, "format", "simple") ? MG_ERRORS_SIMPLE : MG_ERRORS_PROBLEM;
    g->problem_base = mg_config_text(b, section, "problem_base");
    lua_pop(b->L, 1);
    mg_config_list(b, b->config, "log");
    g->log_format = mg_config_is(b, section, "format", "plain") ? MG_LOG_PLAIN : MG_LOG_JSON;
    g->log_level = MG_LOG_INFO;
    for (int i = 0; i < 4; i++)
        if (mg_config_is(b, section, "level", levels[i]))
            g->log_level = (enum mg_log_level)(MG_LOG_DEBUG + i);
    lua_pop(b->L, 1);
}

static int build(lua_State *L)
{
    struct mg_config_build *b = lua_touserdata(L, 2);
    uint64_t workers;
    b->L = L;
    b->config = 1;
    mg_config_build_secrets(b);
    mg_config_build_keys(b);
    mg_config_build_admin(b);
    build_listens(b);
    build_services(b);
    mg_config_build_redises(b);
    build_limits(b);
    build_trusted(b);
    build_default_response(b);
    build_errors_and_log(b);
    mg_config_build_access(b);
    b->gen->user = mg_config_text(b, b->config, "user");
    b->gen->group = mg_config_text(b, b->config, "group");
    b->gen->dev = mg_config_flag(b, b->config, "dev");
    workers = mg_config_integer(b, b->config, "workers");
    b->gen->workers = b->source->workers_override ? b->source->workers_override : (uint32_t)workers;
    mg_config_build_caches(b);
    if (b->report->errors == 0) /* routes name services */
        mg_config_build_routes(b);
    mg_config_build_plan(b);
    if (b->report->errors == 0 && b->source->stores)
        mg_generation_open_tallies(b->gen, b->source->stores->tallies);
    return 0;
}

static void run(lua_State *L, int index, struct mg_config_build *b)
{
    if (!lua_checkstack(L, 8)) {
        fail_at(b, MG_STR_NONE, "not enough Lua stack");
        return;
    }
    lua_pushcfunction(L, build);
    lua_pushvalue(L, index);
    lua_pushlightuserdata(L, b);
    if (lua_pcall(L, 2, 0, 0) == LUA_OK)
        return;
    const char *text = lua_tostring(L, -1);
    fail_at(b, MG_STR_NONE, text ? text : "cannot be built");
    lua_pop(L, 1);
}

/* The plan lies in the arena with all it has; secrets do not stay in freed memory. */
static void forget_secrets(void *script)
{
    struct mg_plan *plan = script;
    for (uint32_t i = 0; i < plan->key_count; i++)
        mg_keyring_unref(plan->keys[i].ring);
    for (uint32_t i = 0; i < plan->secret_count; i++)
        if (plan->secrets[i].value.n)
            explicit_bzero((char *)plan->secrets[i].value.p, plan->secrets[i].value.n);
}

struct mg_generation *mg_config_build(lua_State *L, int index,
                                      const struct mg_config_source *source,
                                      struct mg_config_report *report)
{
    unsigned errors = report->errors;
    struct mg_generation *gen = mg_generation_new();
    struct mg_plan *plan = mg_arena_calloc(&gen->arena, sizeof *plan);
    gen->script = plan;
    gen->script_free = forget_secrets;
    if (source->stores) {
        plan->dicts = gen->dict_registry = source->stores->dicts;
        plan->tokens = source->stores->tokens;
    }
    struct mg_config_build b = {.source = source, .report = report, .gen = gen, .plan = plan};
    mg_buf_init(&b.scratch, PACK_MAX);
    run(L, lua_absindex(L, index), &b);
    mg_buf_release(&b.scratch);
    if (report->errors == errors)
        return gen;
    mg_generation_unref(gen);
    return NULL;
}
