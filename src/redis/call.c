/* Taking calls back. One thread. */
#include "redis/call.h"

#include "redis/conn.h"

void mg_redis_call_cancel(struct mg_redis_call *call)
{
    if (call->_conn)
        mg_redis_conn_drop(call->_conn, call);
    call->_conn = NULL;
    if (call->_link.next)
        mg_list_remove(&call->_link);
}
