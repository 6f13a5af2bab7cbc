/* Names are kept as patterns, all alike. */
#include "script/config_files.h"

#include <glob.h>
#include <string.h>
#include <sys/stat.h>

#define PATTERNS_MAX ((size_t)4 << 20)

void mg_config_files_init(struct mg_config_files *f)
{
    mg_buf_init(&f->_patterns, PATTERNS_MAX);
}

void mg_config_files_release(struct mg_config_files *f)
{
    mg_buf_release(&f->_patterns);
}

void mg_config_files_reset(struct mg_config_files *f)
{
    mg_buf_reset(&f->_patterns);
}

/* With a backslash before what glob(3) would take for more than itself. */
static void add_escaped(struct mg_buf *out, struct mg_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (strchr("*?[\\", s.p[i]))
            mg_buf_add_char(out, '\\');
        mg_buf_add_char(out, s.p[i]);
    }
}

void mg_config_files_add(struct mg_config_files *f, struct mg_str path)
{
    if (!f)
        return;
    add_escaped(&f->_patterns, path);
    mg_buf_add_char(&f->_patterns, 0);
}

void mg_config_files_add_pattern(struct mg_config_files *f, const char *pattern)
{
    if (f)
        mg_buf_add(&f->_patterns, pattern, strlen(pattern) + 1);
}

static void add_below(struct mg_config_files *f, struct mg_str folder, const char *pattern)
{
    add_escaped(&f->_patterns, folder);
    mg_config_files_add_pattern(f, pattern);
}

void mg_config_files_add_folder(struct mg_config_files *f, struct mg_str folder)
{
    if (!f)
        return;
    add_below(f, folder, "/*.lua");
    add_below(f, folder, "/*/*.lua");
}

bool mg_config_files_equal(const struct mg_config_files *a, const struct mg_config_files *b)
{
    return mg_str_eq(mg_buf_str(&a->_patterns), mg_buf_str(&b->_patterns));
}

/* FNV-1a: names of files are no one's attack. */
static uint64_t mix(uint64_t state, const void *p, size_t n)
{
    const unsigned char *bytes = p;
    for (size_t i = 0; i < n; i++)
        state = (state ^ bytes[i]) * UINT64_C(0x100000001b3);
    return state;
}

static uint64_t mix_file(uint64_t state, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return state;
    const uint64_t facts[] = {(uint64_t)st.st_mtim.tv_sec, (uint64_t)st.st_mtim.tv_nsec,
                              (uint64_t)st.st_size, (uint64_t)st.st_ino};
    return mix(mix(state, path, strlen(path)), facts, sizeof facts);
}

uint64_t mg_config_files_state(const struct mg_config_files *f)
{
    uint64_t state = UINT64_C(0xcbf29ce484222325);
    for (size_t at = 0; at < f->_patterns.n; at += strlen(f->_patterns.p + at) + 1) {
        glob_t found;
        int rc = glob(f->_patterns.p + at, 0, NULL, &found);
        for (size_t i = 0; rc == 0 && i < found.gl_pathc; i++)
            state = mix_file(state, found.gl_pathv[i]);
        if (rc == 0)
            globfree(&found);
    }
    return state;
}
