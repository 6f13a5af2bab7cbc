/*
 * Regular expressions (PCRE2 with JIT) that a hostile subject cannot stall.
 *
 * A compiled expression is immutable and shared by all threads; each thread keeps its own scratch
 * memory for matching, freed when the thread ends. The pattern comes from whoever configures us,
 * the subject from anyone: so every match has a bounded number of steps, and a match that meets the
 * bound is an answer of its own. Treat it as a refusal, not as "does not match", wherever a match
 * guards something.
 *
 * Perl syntax on bytes; '$' means the very end, not before a last newline; \C is refused.
 */
#ifndef MG_BASE_REGEX_H
#define MG_BASE_REGEX_H

#include <stddef.h>

#include "base/error.h"
#include "base/str.h"

#define MG_REGEX_PATTERN_MAX 8192
#define MG_REGEX_SUBJECT_MAX 16384
#define MG_REGEX_GROUPS_MAX 32 /* the whole match, group 0, counted */

enum mg_regex_flag {
    MG_REGEX_ICASE = 1,
    MG_REGEX_ANCHORED = 2, /* matches only where the search begins */
    MG_REGEX_UTF = 4,      /* characters are UTF-8; what is not never matches */
};

enum {
    MG_REGEX_NONE = 0,
    MG_REGEX_TOO_HARD = -1, /* gave up: steps or stack */
    MG_REGEX_TOO_LONG = -2, /* subject over MG_REGEX_SUBJECT_MAX */
};

struct mg_regex;

/* Borrows the pattern for the call. NULL with the error set when it is bad or too long, or has too
 * many groups; `*error_at` (may be NULL) is then the byte of the pattern where it went wrong. */
struct mg_regex *mg_regex_new(struct mg_str pattern, unsigned flags, size_t *error_at,
                              struct mg_error *err) MG_MUST_CHECK;
void mg_regex_free(struct mg_regex *regex); /* NULL is fine */

/* How many groups a match gives, the whole match counted; and the name of one, "" when it has none
 * (a view into the regex). */
size_t mg_regex_group_count(const struct mg_regex *regex);
struct mg_str mg_regex_group_name(const struct mg_regex *regex, size_t group);

/*
 * Searches `subject` from byte `from`. Returns the number of groups, or one of the values above.
 * The first `room` groups go to `groups`: views into the subject, `p` NULL for a group that took no
 * part. `groups` may be NULL when `room` is 0.
 */
int mg_regex_match(const struct mg_regex *regex, struct mg_str subject, size_t from,
                   struct mg_str *groups, size_t room);

#endif
