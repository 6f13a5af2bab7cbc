/*
 * One question after the other, on a loop of its own:
 *
 *     status: /ready, /stats, /services
 *     reload: POST /reload
 *     stop:   POST /drain, then /ready until nobody answers
 */
#include "app/remote.h"

#include <stdio.h>

#include "base/json.h"
#include "net/resolver.h"
#include "script/config.h"
#include "upstream/agent.h"

#define DIAGNOSTICS_MAX ((size_t)2 << 20)
#define ANSWER_MAX ((size_t)64 << 20)
#define URL_MAX 512
#define ASK_NS (60 * MG_SECOND)
#define LOOK_NS (50 * MG_MILLISECOND)

struct remote {
    const struct mg_options *options;
    struct mg_generation *gen; /* NULL: the config could not be read */
    const char *address;
    struct mg_loop *loop;
    struct mg_resolver *resolver;
    struct mg_agent *agent;
    struct mg_timer look;
    int status;
};

/* --- asking --- */

/* The address that is connected to for one that is listened on. */
static struct mg_str reachable(const char *address)
{
    static const struct {
        struct mg_str any, own;
    } places[] = {{MG_STR("0.0.0.0:"), MG_STR("127.0.0.1:")}, {MG_STR("[::]:"), MG_STR("[::1]:")}};
    static char text[URL_MAX];
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (!mg_str_starts(mg_str_c(address), places[i].any))
            continue;
        int n = snprintf(text, sizeof text, "%s%s", places[i].own.p, address + places[i].any.n);
        return mg_str(text, (size_t)n);
    }
    return mg_str_c(address);
}

static void ask(struct remote *r, const char *method, const char *path, mg_agent_done_fn on_done)
{
    char url[URL_MAX], bearer[URL_MAX];
    struct mg_str at = reachable(r->address);
    bool is_unix = mg_str_starts(at, MG_STR("unix:"));
    struct mg_str token = r->gen ? r->gen->admin.token : MG_STR_NONE;
    struct mg_agent_field field = {.name = MG_STR("Authorization")};
    snprintf(url, sizeof url, is_unix ? "%.*s:%s" : "http://%.*s%s", MG_STR_ARGS(at), path);
    snprintf(bearer, sizeof bearer, "Bearer %.*s", MG_STR_ARGS(token));
    field.value = mg_str_c(bearer);
    const struct mg_agent_request request = {
        .url = mg_str_c(url),
        .method = mg_str_c(method),
        .fields = &field,
        .field_count = token.n ? 1 : 0,
        .limit_ns = ASK_NS,
        .body_max = ANSWER_MAX,
    };
    mg_agent_start(r->agent, &request, on_done, r);
}

static void end(struct remote *r, int status)
{
    r->status = status;
    mg_loop_stop(r->loop);
}

/* Nobody there, or none who listens to us: true, and it was told. */
static bool failed(struct remote *r, const struct mg_agent_answer *a)
{
    if (a->failure) {
        fprintf(stderr, "moongate: no gateway answers at %s: %s\n", r->address, a->failure);
    } else if (a->head->status == 401 || a->head->status == 403 || a->head->status == 404) {
        fprintf(stderr, "moongate: the gateway at %s answers with status %u: %.*s\n", r->address,
                a->head->status, MG_STR_ARGS(a->body));
    } else {
        return false;
    }
    end(r, 1);
    return true;
}

/* --- showing --- */

/* Where a value stands: "services", then its index or the name of the item, then its field. */
struct place {
    char text[256];
    size_t n[MG_JSON_DEPTH + 1]; /* length at each depth */
    unsigned depth;
};

static void set_key(struct place *p, struct mg_str key)
{
    size_t at = p->depth ? p->n[p->depth - 1] : 0;
    int n = snprintf(p->text + at, sizeof p->text - at, at ? ".%.*s" : "%.*s", MG_STR_ARGS(key));
    at += n > 0 ? (size_t)n : 0;
    p->n[p->depth] = at < sizeof p->text ? at : sizeof p->text - 1;
}

static void print_value(const struct place *p, struct mg_str value)
{
    printf("%-32.*s %.*s\n", (int)p->n[p->depth], p->text, MG_STR_ARGS(value));
}

static void print_scalar(const struct mg_json_reader *r, enum mg_json_token token,
                         const struct place *p)
{
    char text[64];
    int n = 0;
    switch (token) {
    case MG_JSON_STRING:
        print_value(p, r->text);
        return;
    case MG_JSON_INTEGER:
        n = snprintf(text, sizeof text, "%lld", (long long)r->integer);
        break;
    case MG_JSON_FLOAT:
        n = snprintf(text, sizeof text, "%.3f", r->number);
        break;
    default:
        n = snprintf(text, sizeof text, "%s", token == MG_JSON_TRUE ? "yes" : "no");
        break;
    }
    print_value(p, mg_str(text, (size_t)n));
}

/* Each value on a line of its own, behind the names that lead to it. Arrays do not show in them:
 * their items have names. */
static void print_json(struct mg_str json)
{
    struct mg_json_reader r;
    struct mg_buf scratch;
    struct place p = {.n = {0}};
    enum mg_json_token token;
    mg_buf_init(&scratch, ANSWER_MAX);
    mg_json_reader_init(&r, json, NULL, &scratch);
    while ((token = mg_json_next(&r)) > MG_JSON_END) {
        if (token == MG_JSON_OBJECT || token == MG_JSON_ARRAY) {
            if (p.depth < MG_JSON_DEPTH)
                p.n[p.depth + 1] = p.n[p.depth];
            p.depth++;
        } else if (token == MG_JSON_OBJECT_END || token == MG_JSON_ARRAY_END) {
            p.depth--;
        } else if (token == MG_JSON_KEY) {
            set_key(&p, r.text);
        } else {
            print_scalar(&r, token, &p);
        }
    }
    mg_buf_release(&scratch);
}

/* What is wrong, as `check` would print it; an answer that does not say so as it is. */
static void print_fault(struct mg_str json)
{
    struct mg_json_reader r;
    struct mg_buf scratch;
    enum mg_json_token token;
    bool told = false;
    mg_buf_init(&scratch, ANSWER_MAX);
    mg_json_reader_init(&r, json, NULL, &scratch);
    while (!told && (token = mg_json_next(&r)) > MG_JSON_END) {
        if (token != MG_JSON_KEY || !mg_str_eq(r.text, MG_STR("error")))
            continue;
        told = mg_json_next(&r) == MG_JSON_STRING;
        if (told)
            fprintf(stderr, "%.*s%s", MG_STR_ARGS(r.text),
                    r.text.n && r.text.p[r.text.n - 1] == '\n' ? "" : "\n");
    }
    if (!told)
        fprintf(stderr, "%.*s\n", MG_STR_ARGS(json));
    mg_buf_release(&scratch);
}

/* --- status --- */

static void on_services(void *arg, const struct mg_agent_answer *a)
{
    struct remote *r = arg;
    if (failed(r, a))
        return;
    print_json(a->body);
    end(r, r->status);
}

static void on_stats(void *arg, const struct mg_agent_answer *a)
{
    struct remote *r = arg;
    if (failed(r, a))
        return;
    print_json(a->body);
    ask(r, "GET", "/services", on_services);
}

static void on_ready(void *arg, const struct mg_agent_answer *a)
{
    struct remote *r = arg;
    if (failed(r, a))
        return;
    const struct mg_field *hash = mg_fields_find(&a->head->fields, MG_STR("X-Config-Hash"));
    r->status = a->head->status == 200 ? 0 : 1;
    print_json(a->body);
    if (hash)
        printf("%-32s %.*s\n", "config", MG_STR_ARGS(mg_field_value(hash)));
    ask(r, "GET", "/stats", on_stats);
}

/* --- reload, stop --- */

static void on_reloaded(void *arg, const struct mg_agent_answer *a)
{
    struct remote *r = arg;
    if (failed(r, a))
        return;
    if (a->head->status == 200)
        print_json(a->body);
    else
        print_fault(a->body);
    end(r, a->head->status == 200 ? 0 : 1);
}

static void on_still_there(void *arg, const struct mg_agent_answer *a)
{
    struct remote *r = arg;
    if (a->failure)
        end(r, 0);
    else
        mg_timer_set(&r->look, mg_loop_now(r->loop) + LOOK_NS);
}

static void on_look(void *arg)
{
    ask(arg, "GET", "/ready", on_still_there);
}

static void on_draining(void *arg, const struct mg_agent_answer *a)
{
    struct remote *r = arg;
    if (failed(r, a))
        return;
    print_json(a->body);
    fflush(stdout);
    mg_timer_set(&r->look, mg_loop_now(r->loop) + LOOK_NS);
}

/* --- the whole --- */

/* What is wrong with the rest of the config is for the gateway to say: it has the environment. */
static bool read_config(struct remote *r)
{
    struct mg_buf diagnostics;
    const struct mg_config_source source = {.file = r->options->config, .admin_only = true};
    mg_buf_init(&diagnostics, DIAGNOSTICS_MAX);
    r->gen = mg_config_load(&source, &diagnostics, NULL, NULL);
    r->address = r->options->admin;
    if (!r->gen && !r->address)
        fwrite(diagnostics.p, 1, diagnostics.n, stderr);
    mg_buf_release(&diagnostics);
    if (r->address || !r->gen)
        return r->address != NULL;
    if (r->gen->admin.address.n)
        r->address = r->gen->admin.address.p;
    else
        fprintf(stderr, "moongate: the config has no admin listener; SIGHUP and SIGTERM work\n");
    return r->address != NULL;
}

static bool start(struct remote *r, struct mg_error *err)
{
    if (!(r->loop = mg_loop_new(err)) || !(r->resolver = mg_resolver_new(r->loop, err)))
        return false;
    r->agent = mg_agent_new(r->loop, r->resolver);
    mg_timer_init(&r->look, r->loop, on_look, r);
    return true;
}

static void run(struct remote *r)
{
    if (r->options->command == MG_COMMAND_STATUS)
        ask(r, "GET", "/ready", on_ready);
    else if (r->options->command == MG_COMMAND_RELOAD)
        ask(r, "POST", "/reload", on_reloaded);
    else
        ask(r, "POST", "/drain", on_draining);
    mg_loop_run(r->loop);
    mg_timer_release(&r->look);
}

int mg_remote(const struct mg_options *options)
{
    struct remote r = {.options = options, .status = 1};
    struct mg_error err;
    if (read_config(&r)) {
        if (start(&r, &err))
            run(&r);
        else
            fprintf(stderr, "moongate: %s\n", err.text);
    }
    mg_agent_free(r.agent);
    mg_resolver_free(r.resolver);
    mg_loop_free(r.loop);
    mg_generation_unref(r.gen);
    return r.status;
}
