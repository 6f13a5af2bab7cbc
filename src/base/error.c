/* Error texts and the two strengths of "cannot happen". Any thread. */
#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum mg_rc mg_error_set(struct mg_error *err, const char *format, ...)
{
    if (!err)
        return MG_FAIL;
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return MG_FAIL;
}

enum mg_rc mg_error_prefix(struct mg_error *err, const char *format, ...)
{
    if (!err)
        return MG_FAIL;
    struct mg_error old = *err;
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof err->text - used, ": %s", old.text);
    return MG_FAIL;
}

void mg_bug(const char *file, int line, const char *condition)
{
    fprintf(stderr, "moongate: bug at %s:%d: %s\n", file, line, condition);
    abort();
}

void mg_expect_failed(const char *file, int line, const char *condition)
{
    mg_log_error("unexpected state", MG_LOG_STR("file", mg_str_c(file)), MG_LOG_INT("line", line),
                 MG_LOG_STR("condition", mg_str_c(condition)));
}
