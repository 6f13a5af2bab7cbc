/* Taking calls back, and ending them. One thread. */
#include "redis/call.h"

#include "redis/cluster.h"
#include "redis/conn.h"

void mg_redis_call_cancel(struct mg_redis_call *call)
{
    if (call->_conn)
        mg_redis_conn_drop(call->_conn, call);
    call->_conn = NULL;
    if (call->_link.next)
        mg_list_remove(&call->_link);
    if (call->_detour.next)
        mg_list_remove(&call->_detour);
}

void mg_redis_call_init(struct mg_redis_call *call, uint64_t deadline_ns)
{
    mg_list_init(&call->_link);
    mg_list_init(&call->_detour);
    call->_conn = NULL;
    call->_deadline_ns = deadline_ns;
    call->_cluster = NULL;
    call->_redirections = 0;
    call->_asking = call->_bound = false;
}

void mg_redis_call_finish(struct mg_redis_call *call, enum mg_redis_error error, const char *detail,
                          const struct mg_redis_reply *reply)
{
    call->_conn = NULL;
    call->error = error;
    call->detail = detail;
    call->reply = reply;
    if (call->_cluster && mg_redis_cluster_redirect(call->_cluster, call))
        return;
    if (call->_detour.next)
        mg_list_remove(&call->_detour);
    call->on_done(call);
}
