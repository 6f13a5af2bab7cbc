/* What changes while it is being read is found at the next look: the state to compare with is the
 * one before. */
#include "app/watch.h"

#define EVERY_NS (100 * MG_MILLISECOND)

static void look_again(struct mg_watch *w)
{
    if (w->loop && w->on)
        mg_timer_set(&w->timer, mg_loop_now(w->loop) + EVERY_NS);
    else if (w->loop)
        mg_timer_stop(&w->timer);
}

static void on_look(void *arg)
{
    struct mg_watch *w = arg;
    uint64_t now = mg_config_files_state(&w->files);
    bool settled = now == w->seen;
    w->seen = now;
    look_again(w);
    if (settled && now != w->read)
        w->on_change(w->arg);
}

struct mg_config_files *mg_watch_reading(struct mg_watch *w)
{
    if (w->on)
        w->read = w->seen = mg_config_files_state(&w->files);
    mg_config_files_reset(&w->_named);
    return &w->_named;
}

void mg_watch_has_read(struct mg_watch *w)
{
    struct mg_config_files named = w->_named;
    bool others = !mg_config_files_equal(&named, &w->files);
    w->_named = w->files;
    w->files = named;
    if (others && w->on)
        w->read = w->seen = mg_config_files_state(&w->files);
}

void mg_watch_turn(struct mg_watch *w, bool on)
{
    if (on == w->on)
        return;
    w->on = on;
    if (on)
        w->read = w->seen = mg_config_files_state(&w->files);
    look_again(w);
}

void mg_watch_init(struct mg_watch *w)
{
    *w = (struct mg_watch){0};
    mg_config_files_init(&w->files);
    mg_config_files_init(&w->_named);
}

void mg_watch_start(struct mg_watch *w, struct mg_loop *loop, void (*on_change)(void *arg),
                    void *arg)
{
    w->loop = loop;
    w->on_change = on_change;
    w->arg = arg;
    mg_timer_init(&w->timer, loop, on_look, w);
    look_again(w);
}

void mg_watch_release(struct mg_watch *w)
{
    if (w->loop)
        mg_timer_release(&w->timer);
    mg_config_files_release(&w->files);
    mg_config_files_release(&w->_named);
}
