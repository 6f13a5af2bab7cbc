/*
 * By its name, not by what /proc says: where that is a link to a file of this version, it will be a
 * link to another one when the next version is there.
 */
#include "app/program.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

static bool is_ours(const char *path)
{
    struct stat file, own;
    return stat(path, &file) == 0 && stat(MG_PROGRAM_SELF, &own) == 0 &&
           file.st_dev == own.st_dev && file.st_ino == own.st_ino;
}

static bool find_in_folders(struct mg_str folders, const char *name, char path[PATH_MAX])
{
    struct mg_str folder;
    while (mg_str_split(&folders, ':', &folder)) {
        int n = snprintf(path, PATH_MAX, "%.*s/%s", MG_STR_ARGS(folder), name);
        if (folder.n && n < PATH_MAX && is_ours(path))
            return true;
    }
    return false;
}

char *mg_program_find(const char *name)
{
    char path[PATH_MAX];
    if (strchr(name, '/') && is_ours(name))
        return mg_strdup(mg_str_c(name));
    if (*name && !strchr(name, '/') && find_in_folders(mg_str_c(getenv("PATH")), name, path))
        return mg_strdup(mg_str_c(path));
    ssize_t n = readlink(MG_PROGRAM_SELF, path, sizeof path);
    return mg_strdup(n > 0 ? mg_str(path, (size_t)n) : mg_str_c(MG_PROGRAM_SELF));
}
