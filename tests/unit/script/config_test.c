/* From a config's text to a generation: mg_config_load. */
#include "script/config.h"

#include "base/log.h"
#include "files_test.h"
#include "script/pack.h"
#include "script/plan.h"
#include "script/state.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

struct fixture {
    struct files_test files;
    struct mg_buf said;
    unsigned errors, warnings;
    struct mg_generation *gen;
};

static unsigned log_lines;

static void count_line(void *arg, enum mg_log_level level, struct mg_str line)
{
    (void)arg, (void)level, (void)line;
    log_lines++;
}

static int set_up(void **state)
{
    log_lines = 0;
    mg_log_set_sink(count_line, NULL);
    struct fixture *f = calloc(1, sizeof *f);
    files_test_start(&f->files);
    mg_buf_init(&f->said, 1 << 20);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    mg_generation_unref(f->gen);
    mg_buf_release(&f->said);
    files_test_end(&f->files);
    free(f);
    return 0;
}

static struct mg_generation *load_source(struct fixture *f, struct mg_config_source source)
{
    mg_generation_unref(f->gen);
    mg_buf_reset(&f->said);
    f->gen = mg_config_load(&source, &f->said, &f->errors, &f->warnings);
    mg_buf_add_char(&f->said, 0);
    assert_int_equal(f->gen == NULL, f->errors > 0);
    return f->gen;
}

static struct mg_generation *load_text(struct fixture *f, const char *name, const char *text)
{
    struct mg_str s = mg_str_c(text);
    char file[PATH_MAX];
    snprintf(file, sizeof file, "%s", files_test_path(&f->files, name));
    return load_source(f, (struct mg_config_source){.file = file, .text = &s});
}

static struct mg_generation *load(struct fixture *f, const char *text)
{
    struct mg_generation *gen = load_text(f, "moongate.yaml", text);
    if (!gen)
        fail_msg("%s", f->said.p);
    return gen;
}

static void check_error(struct fixture *f, const char *text, const char *error)
{
    assert_null(load_text(f, "moongate.yaml", text));
    if (!strstr(f->said.p, error))
        fail_msg("want: %s\ngot:  %s", error, f->said.p);
}

#define ASSERT_STR(s, text) assert_true(mg_str_eq(s, mg_str_c(text)))

#define SMALL                                                                                      \
    "services: { a: { backends: ['127.0.0.1:3000'] } }\n"                                          \
    "routes: [{ match: /*, service: a }]\n"

static void test_small(void **state)
{
    struct mg_generation *g = load(*state, SMALL);
    assert_int_equal(((struct fixture *)*state)->said.n, 1);
    assert_int_equal(g->listen_count, 1);
    assert_string_equal(g->listens[0].address.p, "0.0.0.0:8080");
    assert_int_equal(g->listens[0].name.n, 0);
    assert_int_equal(g->service_count, 1);
    assert_int_equal(g->route_count, 1);
    assert_int_equal(g->step_count, 0);
    assert_int_equal(g->routes[0].service, 0);
    assert_int_equal(g->routes[0].split_count, 0);
    assert_int_equal(g->routes[0].strip, MG_STRIP_NONE);
    ASSERT_STR(g->routes[0].name, "/*");
    assert_null(g->trusted);
    assert_int_equal(g->default_response.status, 0);
    assert_int_equal(g->errors_format, MG_ERRORS_PROBLEM);
    assert_int_equal(g->log_level, MG_LOG_INFO);
    assert_int_equal(g->log_format, MG_LOG_JSON);
    assert_int_equal(g->workers, 0);
    assert_false(g->dev);
    assert_int_equal(g->limits.head.head_bytes, 32768);
    assert_int_equal(g->limits.head.target_bytes, 32768);
    assert_int_equal(g->limits.head.field_count, 100);
    assert_int_equal(g->limits.body_bytes, 10 << 20);
    assert_int_equal(g->limits.header_time_ns, 10 * MG_SECOND);
    assert_int_equal(g->limits.idle_time_ns, 75 * MG_SECOND);
    assert_int_equal(g->limits.connections, 50000);
    assert_int_equal(g->request_time_ns, 60 * MG_SECOND);
    assert_int_equal(g->buffered_body_bytes, 1 << 20);
    assert_int_equal(g->lua_run_ns, 50 * MG_MILLISECOND);
    assert_int_equal(g->lua_memory_bytes, 256 << 20);
    const struct mg_service_config *c = mg_service_config(g->services[0]);
    ASSERT_STR(c->name, "a");
    assert_int_equal(c->host, MG_HOST_KEEP);
    assert_int_equal(c->balance, MG_BALANCE_ROUND_ROBIN);
    assert_int_equal(c->connect_ns, MG_SECOND);
    assert_int_equal(c->first_byte_ns, 10 * MG_SECOND);
    assert_int_equal(c->idle_ns, 60 * MG_SECOND);
    assert_int_equal(c->keepalive_max, 64);
    assert_int_equal(c->keepalive_idle_ns, 60 * MG_SECOND);
    assert_int_equal(c->status_when_down, 503);
    const struct mg_plan *plan = g->script;
    assert_int_equal(plan->step_count, 0);
    assert_int_equal(plan->path_count, 1);
    assert_true(mg_str_ends(plan->paths[0], MG_STR("/policies")));
    assert_int_equal(plan->config_text.n, 0);
}

static void test_every_part(void **state)
{
    struct mg_generation *g = load(
        *state,
        "listen: [{ name: inside, address: '127.0.0.1:1' }, '[::1]:2', 'unix:/x']\n"
        "workers: 3\n"
        "dev: true\n"
        "trusted_proxies: [10.0.0.0/8, '::1']\n"
        "limits: { header_time: 1500ms, connections: 7, lua_memory: 2MiB }\n"
        "default_response: { status_code: 418, body: tea, headers: { x-b: '1', X-A: '2' } }\n"
        "errors: { format: simple, problem_base: 'https://e.example/' }\n"
        "log: { format: plain, level: warn }\n"
        "shared: { small: 128KiB, big: 1MiB }\n"
        "lua: { path: [mine, /abs] }\n"
        "services:\n"
        "  b: { url: 'http://h:81/base/', host: backend }\n"
        "  a: { backends: [x, { address: 'y:1', weight: 3 }], balance: random, host: h.test }\n"
        "  c: { dns: { name: n.svc, port: 9 }, keepalive: { max: 0 }, status_when_down: 502 }\n"
        "routes: [{ match: /a, service: c }, { match: /b, service: a }, { match: /c, service: b "
        "}]\n");
    assert_int_equal(g->listen_count, 3);
    ASSERT_STR(g->listens[0].name, "inside");
    assert_string_equal(g->listens[1].address.p, "[::1]:2");
    assert_string_equal(g->listens[2].address.p, "unix:/x");
    assert_int_equal(g->workers, 3);
    assert_true(g->dev);
    struct mg_addr addr;
    assert_true(mg_ip_parse(MG_STR("10.1.2.3"), &addr));
    assert_true(mg_cidr_set_has(g->trusted, &addr));
    assert_true(mg_ip_parse(MG_STR("::2"), &addr));
    assert_false(mg_cidr_set_has(g->trusted, &addr));
    assert_int_equal(g->limits.header_time_ns, 1500 * MG_MILLISECOND);
    assert_int_equal(g->limits.connections, 7);
    assert_int_equal(g->lua_memory_bytes, 2 << 20);
    assert_int_equal(g->default_response.status, 418);
    ASSERT_STR(g->default_response.body, "tea");
    assert_int_equal(g->default_response.headers.n, 2);
    ASSERT_STR(mg_field_value(mg_fields_find(&g->default_response.headers, MG_STR("x-b"))), "1");
    assert_int_equal(g->errors_format, MG_ERRORS_SIMPLE);
    ASSERT_STR(g->problem_base, "https://e.example/");
    assert_int_equal(g->log_level, MG_LOG_WARN);
    assert_int_equal(g->log_format, MG_LOG_PLAIN);

    assert_int_equal(g->service_count, 3); /* by name */
    const struct mg_service_config *a = mg_service_config(g->services[0]);
    const struct mg_service_config *b = mg_service_config(g->services[1]);
    const struct mg_service_config *c = mg_service_config(g->services[2]);
    assert_int_equal(a->backend_count, 2);
    ASSERT_STR(a->backends[0].address, "x:80");
    assert_int_equal(a->backends[0].weight, 1);
    ASSERT_STR(a->backends[1].address, "y:1");
    assert_int_equal(a->backends[1].weight, 3);
    assert_int_equal(a->balance, MG_BALANCE_RANDOM);
    assert_int_equal(a->host, MG_HOST_NAME);
    ASSERT_STR(a->host_name, "h.test");
    ASSERT_STR(b->base_path, "/base");
    ASSERT_STR(b->backends[0].address, "h:81");
    assert_int_equal(b->host, MG_HOST_BACKEND);
    ASSERT_STR(c->dns_name, "n.svc");
    assert_int_equal(c->dns_port, 9);
    assert_int_equal(c->keepalive_max, 0);
    assert_int_equal(c->status_when_down, 502);
    assert_int_equal(g->routes[0].service, 2);
    assert_int_equal(g->routes[1].service, 0);
    assert_int_equal(g->routes[2].service, 1);

    const struct mg_plan *plan = g->script;
    assert_int_equal(plan->dict_count, 2);
    ASSERT_STR(plan->dict_sizes[0].name, "big");
    assert_int_equal(plan->dict_sizes[0].bytes, 1 << 20);
    assert_int_equal(plan->dict_sizes[1].bytes, 128 << 10);
    assert_true(mg_str_ends(plan->paths[0], MG_STR("/mine")));
    assert_int_equal(plan->paths[0].p[0], '/');
    ASSERT_STR(plan->paths[1], "/abs");
}

/* --- routes --- */

static const struct mg_route *find(struct mg_generation *g, const char *method, const char *host,
                                   const char *path)
{
    struct mg_route_query query = {.host = mg_str_c(host),
                                   .path = mg_str_c(path),
                                   .method = mg_str_c(method),
                                   .listener = MG_STR("inside")};
    struct mg_route_found found;
    return mg_router_find(g->router, &query, &found) == MG_ROUTER_FOUND ? found.route : NULL;
}

static void test_routes(void **state)
{
    static const struct {
        const char *method, *host, *path;
        int route; /* -1: none */
    } cases[] = {
        {"GET", "x", "/p/a/1", 0},         {"POST", "x", "/p/a/1", -1},
        {"GET", "x", "/a/1", -1},          {"GET", "api.test", "/p/b", 1},
        {"GET", "other.test", "/p/b", -1}, {"GET", "x", "/p/pre", 2},
        {"GET", "x", "/p/pre/deep/er", 2}, {"GET", "x", "/p/prefix", -1},
        {"GET", "x", "/p/v12/x", 3},       {"GET", "x", "/p/in", 4},
        {"GET", "x", "/p/out", -1},        {"GET", "x", "/p/cond", -1},
    };
    struct mg_generation *g = load(
        *state,
        "base_path: /p/\n"
        "listen: [{ name: inside, address: 1 }, { name: outside, address: 2 }]\n"
        "services: { a: { backends: [x] }, b: { backends: [y] } }\n"
        "routes:\n"
        "  - { match: { path: '/a/{id}', methods: GET }, service: a, strip_prefix: true,\n"
        "      version: v1, timeout: 250ms }\n"
        "  - { match: { path: /b, host: api.test }, service: b, rewrite: /x }\n"
        "  - { path_prefix: /pre, service: a, strip_prefix: true }\n"
        "  - { match: '~^/v\\d+/', split: [{ service: a, weight: 90 }, { service: b, weight: 10 }] "
        "}\n"
        "  - { match: { path: /in, listener: inside }, service: a, strip_prefix: /o%6Ed/ }\n"
        "  - { match: { path: /out, listener: outside }, service: a }\n"
        "  - { match: { path: /cond, headers: { X-Y: '*' }, query: { q: '1' } }, service: a }\n");
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct mg_route *r = find(g, cases[i].method, cases[i].host, cases[i].path);
        if ((r ? (int)r->index : -1) != cases[i].route)
            fail_msg("%s: %d", cases[i].path, r ? (int)r->index : -1);
    }
    const struct mg_route *r = g->routes;
    assert_int_equal(r[0].strip, MG_STRIP_LITERAL);
    ASSERT_STR(r[0].version, "v1");
    assert_int_equal(r[0].timeout_ns, 250 * MG_MILLISECOND);
    ASSERT_STR(r[1].rewrite, "/x");
    assert_int_equal(r[2].strip, MG_STRIP_PREFIX);
    ASSERT_STR(r[2].strip_prefix, "/p/pre");
    assert_int_equal(r[3].service, MG_NO_SERVICE);
    assert_int_equal(r[3].split_count, 2);
    assert_int_equal(r[3].split_weight, 100);
    assert_int_equal(r[3].split[1].service, 1);
    assert_int_equal(r[3].split[1].weight, 10);
    ASSERT_STR(r[4].strip_prefix, "/p/ond");
}

static void test_shadowed_routes(void **state)
{
    struct fixture *f = *state;
    load(f, "services: { a: { backends: [x] } }\n"
            "routes:\n"
            "  - { match: '/a/{x}', service: a }\n"
            "  - { match: '/a/{y}', service: a }\n"
            "  - { match: { path: ['/b', '/a/{z}'] }, service: a }\n");
    assert_int_equal(f->warnings, 2);
    assert_non_null(strstr(f->said.p, "moongate.yaml:4:5: routes[1]: warning: can never match"));
    assert_non_null(strstr(f->said.p, "moongate.yaml:5:5: routes[2]: warning: '/a/{z}' can never "
                                      "match: '/a/{x}' (routes[0]) comes first"));
}

/* --- steps --- */

static const char stamp[] =
    "local s = require 'moongate.schema'\n"
    "require 'moongate'\n"
    "return { name = 'stamp', body = { response = 'buffer' },\n"
    "  schema = s.record { n = s.integer { default = 7 }, any = s.any() },\n"
    "  new = function() return { request = function() end } end }\n";

/* What a packed config is, unpacked in a state of its own. */
static void check_conf(struct mg_str packed, const char *field, lua_Integer value)
{
    struct mg_script *script = mg_script_new(&(struct mg_script_options){0});
    assert_int_equal(mg_unpack(script->L, packed), MG_OK);
    lua_getfield(script->L, -1, field);
    assert_int_equal(lua_tointeger(script->L, -1), value);
    mg_script_free(script);
}

static void test_steps(void **state)
{
    struct fixture *f = *state;
    files_test_write(&f->files, "mine/stamp.lua", stamp);
    struct mg_generation *g = load(
        f, "lua: { path: mine }\n"
           "services: { a: { backends: [x] } }\n"
           "pipelines: { p: [{ stamp: { n: 1 }, id: first }] }\n"
           "policies: [{ use: p }]\n"
           "routes:\n"
           "  - name: one\n"
           "    match: /1\n"
           "    service: a\n"
           "    policies:\n"
           "      - stamp\n"
           "      - lua: |\n"
           "          return function() end\n"
           "        on_error: continue\n"
           "        when: req.method == 'GET'\n"
           "    on_error: [{ stamp: { n: 3 } }]\n"
           "  - { match: /2, service: a, policies: [{ stamp: { n: 4, any: [~, { x: 1 }] } }] }\n");
    const struct mg_plan *plan = g->script;
    assert_int_equal(g->step_count, 7);
    assert_int_equal(plan->step_count, 7);
    assert_int_equal(g->fallback.count, 1); /* the file's own once more, without a route */
    ASSERT_STR(plan->steps[6].route, "");
    assert_ptr_equal(plan->steps[6].step, g->fallback.steps);
    const struct mg_route *one = &g->routes[0], *two = &g->routes[1];
    assert_int_equal(one->pipeline.count, 3);
    assert_int_equal(one->on_error.count, 1);
    assert_int_equal(two->pipeline.count, 2);
    for (uint32_t i = 0; i < 6; i++) {
        const struct mg_plan_step *p = &plan->steps[i];
        assert_int_equal(p->step->index, i);
        assert_non_null(p->step->ops);
        assert_int_equal(p->in_on_error, i == 3);
        assert_true(mg_str_eq(p->route, i < 4 ? one->name : two->name));
        ASSERT_STR(p->service, "a");
    }
    const struct mg_step *s = one->pipeline.steps;
    ASSERT_STR(s[0].policy, "stamp");
    ASSERT_STR(s[0].id, "first");
    ASSERT_STR(s[0].path, "pipelines.p[0]");
    assert_true(s[0].buffer_response);
    assert_false(s[0].buffer_request);
    assert_false(s[0].on_error_continue);
    check_conf(plan->steps[0].conf, "n", 1);
    ASSERT_STR(s[1].id, "stamp");
    ASSERT_STR(s[1].path, "routes[0].policies[0]");
    check_conf(plan->steps[1].conf, "n", 7);
    assert_int_equal(plan->steps[2].kind, MG_PLAN_LUA);
    ASSERT_STR(plan->steps[2].source, "return function() end\n");
    ASSERT_STR(plan->steps[2].when, "req.method == 'GET'");
    assert_int_equal(plan->steps[2].line, 12);
    assert_true(mg_str_ends(plan->steps[2].chunk_name, MG_STR("/moongate.yaml")));
    assert_int_equal(plan->steps[2].chunk_name.p[0], '@');
    assert_true(s[2].on_error_continue);
    assert_false(s[2].buffer_response);
    check_conf(plan->steps[3].conf, "n", 3);
    ASSERT_STR(plan->steps[3].step->path, "routes[0].on_error[0]");
    check_conf(plan->steps[5].conf, "n", 4);
}

static void test_functions(void **state)
{
    struct fixture *f = *state;
    static const char text[] =
        "local function hello() end\n"
        "return { services = { a = { backends = { 'x' } } },\n"
        "  routes = { { match = '/', service = 'a', policies = { hello } } } }\n";
    struct mg_generation *g = load_text(f, "moongate.lua", text);
    if (!g)
        fail_msg("%s", f->said.p);
    const struct mg_plan *plan = g->script;
    assert_int_equal(plan->steps[0].kind, MG_PLAN_FUNCTION);
    ASSERT_STR(plan->steps[0].step->path, "routes[0].policies[0]");
    ASSERT_STR(plan->config_text, text);
    assert_true(mg_str_ends(plan->config_file, MG_STR("/moongate.lua")));

    files_test_write(&f->files, "more.lua",
                     "return { routes = { { match = '/', policies = { function() end } } } }");
    check_error(
        f, "include: more.lua\n",
        "more.lua: routes[0].policies[0]: a function as a step may only stand in the main file");
}

/* --- files around it --- */

static void test_includes(void **state)
{
    struct fixture *f = *state;
    files_test_write(&f->files, "routes.d/b.yaml", "routes: [{ match: /b, service: a }]\n");
    files_test_write(&f->files, "routes.d/a.yaml", "routes: [{ match: /a, service: a }]\n");
    files_test_write(&f->files, "one.yaml", "services: { a: { backends: [x] } }\n");
    struct mg_generation *g = load(f, "include: [one.yaml, 'routes.d/*.yaml', 'none/*.yaml']\n");
    assert_int_equal(g->route_count, 2);
    ASSERT_STR(g->routes[0].name, "/a");
    ASSERT_STR(g->routes[1].name, "/b");
    check_error(f, "include: nothing.yaml\n",
                "cannot read 'nothing.yaml': No such file or directory");
    files_test_write(&f->files, "routes.d/c.yaml", "routes: [{ match: /c, service: d }]\n");
    check_error(f, "include: ['routes.d/*.yaml', one.yaml]\n",
                "routes.d/c.yaml:1:32: routes[0].service: unknown service 'd'");
}

static void test_from_disk(void **state)
{
    struct fixture *f = *state;
    char path[PATH_MAX];
    files_test_write(&f->files, "conf.d/moongate.yaml", SMALL "include: more.yaml\n");
    files_test_write(&f->files, "conf.d/more.yaml", "routes: [{ match: /m, service: a }]\n");
    snprintf(path, sizeof path, "%s", files_test_path(&f->files, "conf.d/moongate.yaml"));
    assert_non_null(load_source(f, (struct mg_config_source){.file = path}));
    assert_int_equal(f->gen->route_count, 2);
    snprintf(path, sizeof path, "%s", files_test_path(&f->files, "nothing.yaml"));
    assert_null(load_source(f, (struct mg_config_source){.file = path}));
    assert_non_null(strstr(f->said.p, "/nothing.yaml: No such file or directory\n"));
    assert_int_equal(f->errors, 1);
}

static void test_secrets(void **state)
{
    struct fixture *f = *state;
    const struct {
        const char *text, *error; /* NULL: fine */
    } cases[] = {
        {"secrets: { s: { env: MOONGATE_TEST_SECRET } }\n", NULL},
        {"secrets: { s: { file: secret } }\n", NULL},
        {"secrets: { s: { env: MOONGATE_TEST_NOTHING } }\n",
         "moongate.yaml:3:15: secrets.s: environment variable 'MOONGATE_TEST_NOTHING' is not "
         "set\n"},
        {"secrets: { s: { env: MOONGATE_TEST_EMPTY } }\n",
         "secrets.s: environment variable 'MOONGATE_TEST_EMPTY' is empty\n"},
        /* A key that is one says nothing more about it. */
        {"secrets: { s: { env: MOONGATE_TEST_NOTHING } }\nkeys: { k: { secret: s } }\n",
         "'MOONGATE_TEST_NOTHING' is not set\n"},
        {"secrets: { s: { file: nothing } }\n", "/nothing: No such file or directory\n"},
        {"secrets: { s: { file: empty } }\n", "secrets.s: the file is empty\n"},
    };
    setenv("MOONGATE_TEST_SECRET", "hush", 1);
    setenv("MOONGATE_TEST_EMPTY", "", 1);
    files_test_write(&f->files, "secret", "hush\r\n");
    files_test_write(&f->files, "empty", "\n");
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[400];
        snprintf(text, sizeof text, SMALL "%s", cases[i].text);
        if (cases[i].error) {
            check_error(f, text, cases[i].error);
            assert_int_equal(f->errors, 1);
            /* Only those who serve need secrets. */
            struct mg_str s = mg_str_c(text);
            assert_non_null(load_source(
                f, (struct mg_config_source){.file = "x.yaml", .text = &s, .check_only = true}));
            continue;
        }
        const struct mg_plan *plan = load(f, text)->script;
        assert_int_equal(plan->secret_count, 1);
        ASSERT_STR(plan->secrets[0].name, "s");
        ASSERT_STR(plan->secrets[0].value, "hush");
    }
    unsetenv("MOONGATE_TEST_SECRET");
    unsetenv("MOONGATE_TEST_EMPTY");
}

/* The newline of a text is no part of it; one among random bytes is. */
static void test_line_ends_of_secrets(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *file, *value;
    } cases[] = {
        {"a b\tc\n", "a b\tc"},     {"hush\r\n", "hush"},     {"hush\n\n", "hush\n"},
        {"hush\r", "hush\r"},       {"h\xfcsh\n", "h\xfcsh"}, {"\x01hush\n", "\x01hush\n"},
        {"h\x1f\r\n", "h\x1f\r\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        files_test_write(&f->files, "secret", cases[i].file);
        const struct mg_plan *plan = load(f, SMALL "secrets: { s: { file: secret } }\n")->script;
        ASSERT_STR(plan->secrets[0].value, cases[i].value);
    }
}

#define STRONG "0123456789abcdef0123456789abcdef"

static void test_weak_keys(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *keys, *error; /* NULL: fine */
    } cases[] = {
        {"{ secret: " STRONG " }", NULL},
        {"{ secret: 0123456789abcdef0123456789abcde }",
         "keys.k: its secret has fewer than 32 bytes"},
        {"{ secret: your-secret-key }", "keys.k: its secret is one that everybody knows"},
        {"{ secret: a-string-secret-at-least-256-bits-long }",
         "keys.k: its secret is one that everybody knows"},
        {"{ jwks_file: strong.json }", NULL},
        {"{ jwks_file: weak.json }", "keys.k: one of its secrets has fewer than 32 bytes"},
    };
    files_test_write(&f->files, "strong.json",
                     "{\"keys\":[{\"kty\":\"oct\",\"alg\":\"HS256\","
                     "\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"}]}");
    files_test_write(&f->files, "weak.json",
                     "{\"keys\":[{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"YWJj\"}]}");
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[400];
        snprintf(text, sizeof text, SMALL "keys: { k: %s }\n", cases[i].keys);
        if (cases[i].error)
            check_error(f, text, cases[i].error);
        else
            load(f, text);
        snprintf(text, sizeof text, SMALL "dev: true\nkeys: { k: %s }\n", cases[i].keys);
        load(f, text);
    }
    /* One that is not there is no weak one. */
    check_error(f, SMALL "secrets: { s: { file: nothing } }\nkeys: { k: { secret: s } }\n",
                "secrets.s: ");
    assert_int_equal(f->errors, 1);
}

/* What a check says of secrets: those that are there are judged, and of others it warns. */
static void test_check_tries_secrets(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *file, *said; /* file NULL: there is none */
        unsigned errors, warnings;
    } cases[] = {
        {NULL, "x.yaml:3:15: secrets.s: warning: ", 0, 1},
        {"\n", "x.yaml:3:15: secrets.s: warning: the file is empty\n", 0, 1},
        {STRONG, "", 0, 0},
        {"short", "x.yaml:4:12: keys.k: its secret has fewer than 32 bytes; only `dev` takes it\n",
         1, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[PATH_MAX + 400];
        snprintf(text, sizeof text,
                 "services: { a: { backends: ['127.0.0.1:3000'] } }\n"
                 "routes: [{ match: /*, service: a, policies: [{ jwt: { keys: k } }] }]\n"
                 "secrets: { s: { file: %s } }\nkeys: { k: { secret: s } }\n",
                 files_test_path(&f->files, "secret"));
        if (cases[i].file)
            files_test_write(&f->files, "secret", cases[i].file);
        struct mg_str s = mg_str_c(text);
        load_source(f,
                    (struct mg_config_source){
                        .file = "x.yaml", .text = &s, .check_only = true, .tries_secrets = true});
        assert_int_equal(f->errors, cases[i].errors);
        assert_int_equal(f->warnings, cases[i].warnings);
        if (strncmp(f->said.p, cases[i].said, strlen(cases[i].said)) != 0)
            fail_msg("want: %s\ngot:  %s", cases[i].said, f->said.p);
    }
}

/* --- what is shown --- */

static struct mg_generation *load_for_later(struct fixture *f, const char *text)
{
    struct mg_str s = mg_str_c(text);
    return load_source(f,
                       (struct mg_config_source){.file = "x.yaml", .text = &s, .show_later = true});
}

static void test_shown_later(void **state)
{
    static const char text[] = SMALL "listen: 1234\n",
                      with_page[] = SMALL "admin: { public: { health: /h } }\n";
    struct fixture *f = *state;
    char hash[65];
    struct mg_str s = mg_str_c(text);
    load_source(f, (struct mg_config_source){.file = "x.yaml", .text = &s});
    memcpy(hash, f->gen->hash, sizeof hash);
    assert_int_equal(strlen(hash), 64);

    assert_non_null(load_for_later(f, text));
    assert_string_equal(f->gen->hash, "");
    assert_int_equal(f->gen->shown.n, 0);
    for (int i = 0; i < 2; i++) {
        mg_generation_show(f->gen);
        assert_string_equal(f->gen->hash, hash);
        assert_true(mg_str_starts(f->gen->shown, MG_STR("{")));
    }

    load_for_later(f, text); /* and nobody ever looks */
    load_for_later(f, with_page);
    assert_int_equal(strlen(f->gen->hash), 64); /* other threads do */
    assert_null(load_for_later(f, SMALL "listen: x\n"));
    assert_null(load_for_later(f, SMALL "policies: [{ lua: 'error \"no\"' }]\n")); /* on trial */
}

/* --- the command line's word --- */

static void test_overrides(void **state)
{
    static const struct {
        const char *listen, *port, *address, *error;
    } cases[] = {
        {"listen: 8080\n", "9", "0.0.0.0:9", NULL},
        {"listen: ['127.0.0.1:1', 9]\n", "0", "127.0.0.1:0", NULL},
        {"listen: '[::1]:1'\n", "9", "[::1]:9", NULL},
        {"listen: ['127.0.0.1:1', '127.0.0.1:9']\n", "9", NULL, "listen[1]: is what -p makes"},
        {"listen: 'unix:/x'\n", "9", NULL, "listen[0]: is a unix socket"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[400];
        struct mg_str s;
        snprintf(text, sizeof text, SMALL "%s", cases[i].listen);
        s = mg_str_c(text);
        load_source(f, (struct mg_config_source){.file = "m.yaml",
                                                 .text = &s,
                                                 .port_override = cases[i].port,
                                                 .workers_override = 5,
                                                 .dev = true});
        if (cases[i].error) {
            assert_non_null(strstr(f->said.p, cases[i].error));
            continue;
        }
        assert_non_null(f->gen);
        assert_string_equal(f->gen->listens[0].address.p, cases[i].address);
        assert_int_equal(f->gen->workers, 5);
        assert_true(f->gen->dev);
    }
}

/* --- what only shows when things are built --- */

static void test_errors(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"routes: 1\n", "moongate.yaml:1:9: routes: expected list, got number 1\n"},
        {"a: [\n", "moongate.yaml:"},
        {SMALL "trusted_proxies: [10.0.0.1/8]\n", "moongate.yaml:3:18: trusted_proxies: "},
        {SMALL "shared: { x: 64KiB }\n", "moongate.yaml:3:14: shared.x: must be >= 131072\n"},
        {SMALL "default_response: { headers: { Content-Length: '3' } }\n",
         "default_response.headers.Content-Length: is set by the gateway itself\n"},
        {"routes: [{ match: '~(', service: a }]\nservices: { a: { backends: [x] } }\n",
         "bad regular expression"},
        {"routes: [{ match: /, policies: [no-such] }]\n", "unknown policy 'no-such'"},
        {"routes: [{ match: /, policies: [no/such] }]\n", "unknown policy 'no/such'"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check_error(*state, cases[i].text, cases[i].error);
}

static void test_broken_policies(void **state)
{
    struct fixture *f = *state;
    files_test_write(&f->files, "policies/broken.lua", "return {\n");
    check_error(f, "routes: [{ match: /, policies: [broken] }]\n", "/policies/broken.lua:");
    files_test_write(&f->files, "policies/stamp.lua", stamp);
    check_error(f, "routes: [{ match: /, policies: [stomp] }]\n", "did you mean 'stamp'?");
    check_error(f, "routes: [{ match: /, policies: [{ stamp: { n: x } }] }]\n",
                "routes[0].policies[0].stamp.n: expected integer, got string \"x\"");
    check_error(f, "lua: { path: [1] }\nroutes: [{ match: /, policies: [stamp] }]\n",
                "lua.path[0]");
}

/* What only shows when a worker's state is built. */
static void test_steps_that_cannot_be_built(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"routes: [{ match: /, policies: [{ picky: { n: 0 } }] }]\n",
         "moongate.yaml:1:35: routes[0].policies[0].picky: policies/picky.lua:3: n is 0\n"
         "routes: [{ match: /, policies: [{ picky: { n: 0 } }] }]\n"
         "                                  ^\n"},
        {"policies: [picky]\nroutes: [{ match: /, policies: [picky] }, { match: /b, policies: "
         "[cors] }]\n",
         "moongate.yaml:1:12: policies[0].picky: policies/picky.lua:3: n is nil\n"
         "policies: [picky]\n"
         "           ^\n"
         "moongate.yaml:2:33: routes[0].policies[0].picky: policies/picky.lua:3: n is nil\n"
         "routes: [{ match: /, policies: [picky] }, { match: /b, policies: [cors] }]\n"
         "                                ^\n"},
        {"routes:\n- match: /\n  policies:\n  - lua: |\n      local a = {}\n      return a.b.c\n",
         "moongate.yaml:6:7: routes[0].policies[0].lua: attempt to index a nil value (field 'b')\n"
         "      return a.b.c\n"
         "      ^\n"},
        {"routes:\n- match: /\n  policies:\n  - lua: return 7\n",
         "moongate.yaml:4:5: routes[0].policies[0].lua: 'new' must return a table or a function, "
         "not a number\n"},
        {"routes:\n- match: /\n  policies:\n  - lua: 'return { request = 1 }'\n",
         "moongate.yaml:4:5: routes[0].policies[0].lua: 'request' must be a function, not a "
         "number\n"},
    };
    files_test_write(&f->files, "policies/picky.lua",
                     "local M = { name = 'picky' }\n"
                     "function M.new(conf)\n"
                     "  if conf.n ~= 1 then error('n is ' .. tostring(conf.n)) end\n"
                     "  return { request = function() end }\n"
                     "end\n"
                     "return M\n");
    for (size_t i = 0; i < COUNT(cases); i++) {
        char said[4096];
        size_t n = 0;
        assert_null(load_text(f, "moongate.yaml", cases[i].text));
        /* Without the folder, which has another name each time. */
        for (const char *p = f->said.p, *folder = f->files.folder; *p && n < sizeof said - 1;) {
            if (strncmp(p, folder, strlen(folder)) == 0)
                p += strlen(folder) + 1;
            else
                said[n++] = *p++;
        }
        said[n] = '\0';
        if (strncmp(said, cases[i].said, strlen(cases[i].said)) != 0 || strstr(said, "traceback"))
            fail_msg("want: %s\ngot:  %s", cases[i].said, said);
    }
    load(f, "routes: [{ match: /, policies: [{ picky: { n: 1 } }] }]\n");
}

/* A trial has no effect beside what it tells. */
static void test_trial_is_quiet(void **state)
{
    struct fixture *f = *state;
    setenv("MOONGATE_TEST_SECRET", "hush", 1);
    static const char text[] = "secrets: { s: { env: MOONGATE_TEST_SECRET } }\n"
                               "services: { a: { backends: ['127.0.0.1:1'] } }\n"
                               "routes:\n- match: /\n  policies:\n  - lua: |\n"
                               "      mg.log.error('not shown')\n"
                               "      print('not shown')\n"
                               "      mg.background(function() error('not run') end)\n"
                               "      mg.every(1, function() error('not run') end)\n"
                               "      assert(mg.shared('d'):set('k', 1))\n"
                               "      if mg.secret('s') ~= 'hush' then error('no secret') end\n"
                               "      return { request = function() end, close = function() "
                               "mg.log.error('not shown') end }\n";
    load(f, text);
    /* A check without secrets cannot say what a step makes of one. */
    unsetenv("MOONGATE_TEST_SECRET");
    struct mg_str s = mg_str_c(text);
    assert_non_null(load_source(
        f, (struct mg_config_source){.file = "x.yaml", .text = &s, .check_only = true}));
    assert_int_equal(log_lines, 0);
}

static void test_warnings(void **state)
{
    struct fixture *f = *state;
    load(f, "services: { a: { backends: [x] }, b: { backends: [x] } }\n"
            "routes: [{ match: /, service: a }]\n");
    assert_int_equal(f->warnings, 1);
    assert_non_null(
        strstr(f->said.p, "moongate.yaml:1:38: services.b: warning: no route or policy uses this"));
    /* Beside errors nobody wants to read them. */
    check_error(f,
                "services: { a: { backends: [x] }, b: { backends: [x] } }\n"
                "routes: [{ match: /, service: c }]\n",
                "unknown service 'c'");
    assert_int_equal(f->warnings, 0);
    assert_null(strstr(f->said.p, "warning"));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_small),
        TEST(test_every_part),
        TEST(test_routes),
        TEST(test_shadowed_routes),
        TEST(test_steps),
        TEST(test_functions),
        TEST(test_includes),
        TEST(test_from_disk),
        TEST(test_secrets),
        TEST(test_line_ends_of_secrets),
        TEST(test_weak_keys),
        TEST(test_check_tries_secrets),
        TEST(test_overrides),
        TEST(test_errors),
        TEST(test_broken_policies),
        TEST(test_warnings),
        TEST(test_steps_that_cannot_be_built),
        TEST(test_trial_is_quiet),
        TEST(test_shown_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
