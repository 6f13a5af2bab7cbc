/*
 * PCRE2 behind a narrow door. Compiled code is immutable; scratch memory is per thread, in a
 * thread-local that a pthread key frees.
 */
#include "base/regex.h"

#include <pthread.h>
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/memory.h"

/* A start position may take this many steps. PCRE2 counts anew at each position where a match may
 * begin, so a search that tries all of them gets less for each, the longer the subject is. */
#define STEPS_ANCHORED 100000u
#define STEPS_SEARCH 4000000u
#define STEPS_LEAST 2000u
#define DEPTH_MAX 1000u /* without JIT only, as is the heap */
#define HEAP_KIB 1024u
#define JIT_STACK_BYTES (256u * 1024)

struct mg_regex {
    pcre2_code *code;
    size_t group_count;
    bool anchored;
};

struct scratch {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;
static pthread_key_t scratch_key;
static __thread struct scratch *thread_scratch;

static void scratch_free(void *arg)
{
    struct scratch *s = arg;
    pcre2_match_data_free(s->data);
    pcre2_match_context_free(s->context);
    if (s->stack)
        pcre2_jit_stack_free(s->stack);
    free(s);
    thread_scratch = NULL;
}

static void make_scratch_key(void)
{
    MG_BUG_ON(pthread_key_create(&scratch_key, scratch_free) != 0);
}

static struct scratch *scratch_new(void)
{
    pthread_once(&scratch_once, make_scratch_key);
    struct scratch *s = mg_calloc(1, sizeof *s);
    s->data = pcre2_match_data_create(MG_REGEX_GROUPS_MAX, NULL);
    s->context = pcre2_match_context_create(NULL);
    MG_BUG_ON(!s->data || !s->context);
    pcre2_set_depth_limit(s->context, DEPTH_MAX);
    pcre2_set_heap_limit(s->context, HEAP_KIB);
    /* NULL where this PCRE2 has no JIT; then nothing asks for it. */
    s->stack = pcre2_jit_stack_create(32 * 1024, JIT_STACK_BYTES, NULL);
    if (s->stack)
        pcre2_jit_stack_assign(s->context, NULL, s->stack);
    pthread_setspecific(scratch_key, s);
    thread_scratch = s;
    return s;
}

static uint32_t compile_options(unsigned flags)
{
    uint32_t options = PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C;
    if (flags & MG_REGEX_ICASE)
        options |= PCRE2_CASELESS;
    if (flags & MG_REGEX_ANCHORED)
        options |= PCRE2_ANCHORED;
    /* NEVER_UTF: "(*UTF)" in a pattern would make bad UTF-8 in a subject an error of its own. */
    options |= flags & MG_REGEX_UTF ? PCRE2_UTF | PCRE2_MATCH_INVALID_UTF : PCRE2_NEVER_UTF;
    return options;
}

static pcre2_code *compile(struct mg_str pattern, unsigned flags, size_t *error_at,
                           struct mg_error *err)
{
    int code;
    PCRE2_UCHAR text[200];
    *error_at = 0;
    if (pattern.n > MG_REGEX_PATTERN_MAX) {
        mg_error_set(err, "regular expression is longer than %d bytes", MG_REGEX_PATTERN_MAX);
        return NULL;
    }
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)(pattern.n ? pattern.p : ""), pattern.n,
                                         compile_options(flags), &code, error_at, NULL);
    if (compiled)
        return compiled;
    pcre2_get_error_message(code, text, sizeof text);
    mg_error_set(err, "bad regular expression at byte %zu: %s", *error_at, (char *)text);
    return NULL;
}

struct mg_regex *mg_regex_new(struct mg_str pattern, unsigned flags, size_t *error_at,
                              struct mg_error *err)
{
    size_t at;
    pcre2_code *code = compile(pattern, flags, error_at ? error_at : &at, err);
    if (!code)
        return NULL;
    uint32_t groups = 0, options = 0;
    pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &groups);
    pcre2_pattern_info(code, PCRE2_INFO_ALLOPTIONS, &options);
    if (groups >= MG_REGEX_GROUPS_MAX) {
        mg_error_set(err, "regular expression has more than %d groups", MG_REGEX_GROUPS_MAX - 1);
        pcre2_code_free(code);
        return NULL;
    }
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* on failure the interpreter serves */
    struct mg_regex *regex = mg_malloc(sizeof *regex);
    regex->code = code;
    regex->group_count = groups + 1;
    regex->anchored = options & PCRE2_ANCHORED;
    return regex;
}

void mg_regex_free(struct mg_regex *regex)
{
    if (!regex)
        return;
    pcre2_code_free(regex->code);
    free(regex);
}

size_t mg_regex_group_count(const struct mg_regex *regex)
{
    return regex->group_count;
}

struct mg_str mg_regex_group_name(const struct mg_regex *regex, size_t group)
{
    uint32_t count = 0, entry_bytes = 0;
    PCRE2_SPTR entry = NULL; /* two bytes of number, high first, then the name and a NUL */
    pcre2_pattern_info(regex->code, PCRE2_INFO_NAMECOUNT, &count);
    pcre2_pattern_info(regex->code, PCRE2_INFO_NAMEENTRYSIZE, &entry_bytes);
    pcre2_pattern_info(regex->code, PCRE2_INFO_NAMETABLE, &entry);
    for (; count > 0; count--, entry += entry_bytes)
        if (((size_t)entry[0] << 8 | entry[1]) == group)
            return mg_str_c((const char *)entry + 2);
    return MG_STR("");
}

static uint32_t steps_for(const struct mg_regex *regex, size_t n)
{
    if (regex->anchored || n <= STEPS_SEARCH / STEPS_ANCHORED)
        return STEPS_ANCHORED;
    uint32_t steps = STEPS_SEARCH / (uint32_t)n;
    return steps > STEPS_LEAST ? steps : STEPS_LEAST;
}

/* `set` pairs of offsets were written; groups after them took no part, nor did those marked so. */
static void copy_groups(const pcre2_match_data *data, size_t set, struct mg_str subject,
                        struct mg_str *groups, size_t n)
{
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer((pcre2_match_data *)data);
    for (size_t i = 0; i < n; i++) {
        PCRE2_SIZE start = at[2 * i], end = at[2 * i + 1];
        bool took_part = i < set && start != PCRE2_UNSET;
        /* \K in a look-ahead can put the start behind the end. */
        groups[i] =
            took_part ? mg_str(subject.p + start, end > start ? end - start : 0) : MG_STR_NONE;
    }
}

int mg_regex_match(const struct mg_regex *regex, struct mg_str subject, size_t from,
                   struct mg_str *groups, size_t room)
{
    if (subject.n > MG_REGEX_SUBJECT_MAX)
        return MG_REGEX_TOO_LONG;
    if (from > subject.n)
        return MG_REGEX_NONE;
    if (!subject.p)
        subject = MG_STR("");
    struct scratch *s = thread_scratch ? thread_scratch : scratch_new();
    pcre2_set_match_limit(s->context, steps_for(regex, subject.n - from));
    int rc =
        pcre2_match(regex->code, (PCRE2_SPTR)subject.p, subject.n, from, 0, s->data, s->context);
    if (rc == PCRE2_ERROR_NOMATCH)
        return MG_REGEX_NONE;
    if (rc < 0)
        return MG_REGEX_TOO_HARD;
    size_t n = room < regex->group_count ? room : regex->group_count;
    copy_groups(s->data, (size_t)rc, subject, groups, n);
    return (int)regex->group_count;
}
