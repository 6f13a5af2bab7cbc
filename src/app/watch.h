/*
 * dev: looks several times a second whether what the config was read from has changed, which works
 * on every file system, and says so once it has settled: editors write in several steps. Control
 * thread.
 */
#ifndef MG_APP_WATCH_H
#define MG_APP_WATCH_H

#include "net/loop.h"
#include "script/config_files.h"

struct mg_watch {
    struct mg_config_files files;  /* that are looked at */
    struct mg_config_files _named; /* by a reading under way */
    struct mg_loop *loop;
    struct mg_timer timer;
    bool on;
    uint64_t read, seen; /* states: that was read, at the last look */
    void (*on_change)(void *arg);
    void *arg;
};

void mg_watch_init(struct mg_watch *w);
/* Zeroed is fine. */
void mg_watch_release(struct mg_watch *w);
/* From now on changes are told. Once; there may have been a reading before. */
void mg_watch_start(struct mg_watch *w, struct mg_loop *loop, void (*on_change)(void *arg),
                    void *arg);

/* The config is about to be read; whoever does names here what from. */
struct mg_config_files *mg_watch_reading(struct mg_watch *w);
/* It has been, with success or not. */
void mg_watch_has_read(struct mg_watch *w);
/* Does anybody want to know? At first nobody does. */
void mg_watch_turn(struct mg_watch *w, bool on);

#endif
