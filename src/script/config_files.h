/*
 * What a config was read from, so that somebody can look whether it has changed: files, and
 * patterns of names, where one more file is a change too. Waits for the disk.
 */
#ifndef MG_SCRIPT_CONFIG_FILES_H
#define MG_SCRIPT_CONFIG_FILES_H

#include <stdint.h>

#include "base/buf.h"

struct mg_config_files {
    struct mg_buf _patterns; /* of glob(3), each with its NUL */
};

void mg_config_files_init(struct mg_config_files *f);
void mg_config_files_release(struct mg_config_files *f);
/* Forgets all names. */
void mg_config_files_reset(struct mg_config_files *f);

/* `f` NULL: nobody wants to know. Copies. One file; ... */
void mg_config_files_add(struct mg_config_files *f, struct mg_str path);
/* ... those whose names match; ... */
void mg_config_files_add_pattern(struct mg_config_files *f, const char *pattern);
/* ... Lua files in a folder and in the folders in it. */
void mg_config_files_add_folder(struct mg_config_files *f, struct mg_str folder);

bool mg_config_files_equal(const struct mg_config_files *a, const struct mg_config_files *b);
/* A number that is another one when a file was written, came, or went. */
uint64_t mg_config_files_state(const struct mg_config_files *f);

#endif
