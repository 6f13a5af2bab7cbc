/* The file that this program is started from. */
#ifndef MG_APP_PROGRAM_H
#define MG_APP_PROGRAM_H

/* What this process runs, to be started once more: the same, even when its file is gone. */
#define MG_PROGRAM_SELF "/proc/self/exe"

/* The path by which it was found, for `name` (argv[0]): a new program will be put there. The caller
 * frees it. */
char *mg_program_find(const char *name);

#endif
