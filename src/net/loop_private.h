/* What the rest of net/ needs of a loop: its libevent base. Not for other folders. */
#ifndef MG_NET_LOOP_PRIVATE_H
#define MG_NET_LOOP_PRIVATE_H

struct event_base;
struct mg_loop;

/* NULL for a simulated loop. */
struct event_base *mg_loop_base(struct mg_loop *loop);
/* Every libevent callback calls this first, so that mg_loop_now is read once a turn. */
void mg_loop_event_begins(struct mg_loop *loop);

#endif
