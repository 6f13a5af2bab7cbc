/* Lines are purges as others tell them. What is taken for one has a form that can be told again,
 * and what was heard is known. */
#include "shared/purge_log.h"

#include "base/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mg_purge_log *log = mg_purge_log_new();
    struct mg_str rest = mg_str((const char *)data, size), line;
    struct mg_purge purge;
    mg_purge_log_read(log, 1, 1, NULL, 0);
    while (mg_str_split(&rest, '\n', &line)) {
        uint64_t before = mg_purge_log_known(log);
        switch (mg_purge_log_hear(log, line, &purge)) {
        case MG_PURGE_NEW:
            MG_BUG_ON(mg_purge_log_known(log) <= before);
            MG_BUG_ON(purge.what.n > MG_CACHE_KEY_MAX + 32);
            MG_BUG_ON(purge.by == MG_CACHE_BY_KEY &&
                      mg_purge_log_judge(log, purge.what, MG_STR_NONE, before) == MG_PURGE_NOT);
            break;
        case MG_PURGE_OLD:
            break;
        case MG_PURGE_MISSED:
        case MG_PURGE_BAD:
            MG_BUG_ON(mg_purge_log_known(log) != 0);
            mg_purge_log_read(log, before ? before : 1, 1, NULL, 0);
            break;
        }
    }
    mg_purge_log_free(log);
    return 0;
}
