/* Options of the policy `concurrency`. Control thread. */
#include "script/native_concurrency.h"

#include "gateway/concurrency.h"
#include "script/native_options.h"

const void *mg_native_concurrency(struct mg_config_build *b, int conf,
                                  const struct mg_config_place *place)
{
    struct mg_concurrency *o = mg_arena_calloc(&b->gen->arena, sizeof *o);
    (void)place;
    o->dict = mg_native_dict(b, conf);
    mg_native_client_key(b, conf, &o->by);
    o->prefix = mg_config_text(b, conf, "prefix");
    o->max = (int64_t)mg_config_integer(b, conf, "max");
    o->queue = (int64_t)mg_config_integer(b, conf, "queue");
    o->timeout_ns = mg_config_ns(b, conf, "timeout");
    o->status = (uint16_t)mg_config_integer(b, conf, "status");
    return o;
}
