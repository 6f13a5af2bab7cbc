/* A Redis as commands see it. Worker thread. */
#include "redis/client.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "redis/cluster.h"

struct mg_redis_client {
    uint32_t refs;
    char *name;
    char *texts; /* of the settings */
    struct mg_redis_settings settings;
    struct mg_redis_cluster *cluster; /* or NULL, and then */
    struct mg_redis_node node;        /* the only one */
};

static struct mg_str copy_text(char **at, struct mg_str s)
{
    char *copy = *at;
    if (s.n)
        memcpy(copy, s.p, s.n);
    *at += s.n;
    return mg_str(copy, s.n);
}

static void copy_settings(struct mg_redis_client *c, const struct mg_redis_settings *settings)
{
    c->settings = *settings;
    char *at = c->texts = mg_malloc(settings->username.n + settings->password.n + 1);
    c->settings.username = copy_text(&at, settings->username);
    c->settings.password = copy_text(&at, settings->password);
}

struct mg_redis_client *mg_redis_client_new(struct mg_str name, struct mg_loop *loop,
                                            struct mg_pool *chunks,
                                            const struct mg_redis_settings *settings,
                                            const struct mg_redis_dialer *dialer, uint64_t seed)
{
    struct mg_redis_client *c = mg_calloc(1, sizeof *c);
    c->refs = 1;
    c->name = mg_strdup(name);
    copy_settings(c, settings);
    if (settings->cluster)
        c->cluster = mg_redis_cluster_new(c->name, loop, chunks, &c->settings, dialer, seed);
    mg_redis_node_init(&c->node, c->name, NULL, loop, chunks, &c->settings, dialer, seed);
    return c;
}

struct mg_redis_client *mg_redis_client_ref(struct mg_redis_client *c)
{
    c->refs++;
    return c;
}

bool mg_redis_client_unref(struct mg_redis_client *c)
{
    if (!c || --c->refs)
        return false;
    mg_redis_cluster_free(c->cluster);
    mg_redis_node_release(&c->node);
    explicit_bzero((char *)c->settings.password.p, c->settings.password.n);
    free(c->texts);
    free(c->name);
    free(c);
    return true;
}

struct mg_loop *mg_redis_client_loop(const struct mg_redis_client *c)
{
    return c->node._loop;
}

enum mg_redis_error mg_redis_client_start(struct mg_redis_client *c, struct mg_redis_call *calls,
                                          uint32_t count)
{
    if (c->cluster)
        return mg_redis_cluster_start(c->cluster, calls, count);
    return mg_redis_node_start(&c->node, calls, count);
}

const char *mg_redis_error_code(enum mg_redis_error e)
{
    static const char *const codes[] = {
        [MG_REDIS_OK] = "",           [MG_REDIS_DOWN] = "down", [MG_REDIS_TIMEOUT] = "timeout",
        [MG_REDIS_CLOSED] = "closed", [MG_REDIS_BUSY] = "busy", [MG_REDIS_BAD] = "bad_reply",
        [MG_REDIS_ROUTE] = "route",
    };
    return codes[e];
}
