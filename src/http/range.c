/* Ranges are resolved against the length first; what is left is sorted and joined. */
#include "http/range.h"

#include <inttypes.h>

enum spec {
    SPEC_BAD,
    SPEC_EMPTY, /* well-formed, but no byte of the representation is in it */
    SPEC_RANGE,
};

static bool read_position(struct mg_str digits, uint64_t *out)
{
    if (digits.n == 0)
        return false;
    for (size_t i = 0; i < digits.n; i++)
        if ((unsigned char)(digits.p[i] - '0') > 9)
            return false;
    if (!mg_str_to_u64(digits, MG_RANGE_END, out))
        *out = MG_RANGE_END;
    return true;
}

/* "first-", "first-last" or "-suffix" (14.1.1, 14.1.2). False: it is none of these. */
static bool read_asked(struct mg_str text, struct mg_range_asked *out)
{
    ptrdiff_t dash = mg_str_find(text, '-');
    if (dash < 0)
        return false;
    struct mg_str left = mg_str(text.p, (size_t)dash);
    struct mg_str right = mg_str(text.p + dash + 1, text.n - (size_t)dash - 1);
    *out = (struct mg_range_asked){.any = true, .last = MG_RANGE_END};
    if (left.n == 0) {
        out->suffix = true;
        return read_position(right, &out->last);
    }
    return read_position(left, &out->first) && (right.n == 0 || read_position(right, &out->last)) &&
           out->first <= out->last;
}

/* What is asked, of so many bytes. False: none of them. */
static bool resolve(const struct mg_range_asked *asked, uint64_t length, struct mg_range *out)
{
    if (length == 0)
        return false;
    if (asked->suffix)
        *out = (struct mg_range){asked->last < length ? length - asked->last : 0, length - 1};
    else
        *out = (struct mg_range){asked->first, asked->last < length ? asked->last : length - 1};
    return out->first <= out->last;
}

static enum spec read_spec(struct mg_str text, uint64_t length, struct mg_range *out)
{
    struct mg_range_asked asked;
    if (!read_asked(text, &asked))
        return SPEC_BAD;
    return resolve(&asked, length, out) ? SPEC_RANGE : SPEC_EMPTY;
}

/* Puts `r` at its place among `n` ranges sorted by their first byte. At most MG_RANGE_COUNT_MAX. */
static void insert(struct mg_range *sorted, unsigned n, struct mg_range r)
{
    for (; n > 0 && sorted[n - 1].first > r.first; n--)
        sorted[n] = sorted[n - 1];
    sorted[n] = r;
}

/* Do they leave no gap? Then `*out` is all of them. */
static bool join(const struct mg_range *sorted, unsigned n, struct mg_range *out)
{
    *out = sorted[0];
    for (unsigned i = 1; i < n; i++) {
        if (sorted[i].first > out->last + 1)
            return false;
        if (sorted[i].last > out->last)
            out->last = sorted[i].last;
    }
    return true;
}

/* What follows "bytes=", or false. The unit's name is a token without case (14.1). */
static bool take_unit(struct mg_str *field)
{
    static const struct mg_str UNIT = MG_STR("bytes=");
    if (field->n < UNIT.n || !mg_str_ieq(mg_str(field->p, UNIT.n), UNIT))
        return false;
    *field = mg_str(field->p + UNIT.n, field->n - UNIT.n);
    return true;
}

enum mg_range_verdict mg_range_choose(struct mg_str field, uint64_t length, struct mg_range *out)
{
    struct mg_range sorted[MG_RANGE_COUNT_MAX], r;
    struct mg_str item;
    unsigned n = 0, seen = 0;
    if (!take_unit(&field))
        return MG_RANGE_WHOLE;
    while (mg_str_split(&field, ',', &item)) {
        item = mg_str_trim(item);
        if (item.n == 0) /* an empty element of a list (5.6.1.2) */
            continue;
        enum spec spec = read_spec(item, length, &r);
        if (spec == SPEC_BAD || seen == MG_RANGE_COUNT_MAX)
            return MG_RANGE_WHOLE;
        seen++;
        if (spec == SPEC_RANGE)
            insert(sorted, n++, r);
    }
    if (seen == 0)
        return MG_RANGE_WHOLE;
    if (n == 0)
        return MG_RANGE_UNSATISFIABLE;
    if (!join(sorted, n, &r))
        return MG_RANGE_WHOLE;
    *out = r;
    return MG_RANGE_PART;
}

bool mg_range_read_one(struct mg_str field, struct mg_range_asked *out)
{
    struct mg_str item;
    bool found = false;
    if (!take_unit(&field))
        return false;
    while (mg_str_split(&field, ',', &item)) {
        item = mg_str_trim(item);
        if (item.n == 0)
            continue;
        if (found || !read_asked(item, out))
            return false;
        found = true;
    }
    return found;
}

struct mg_str mg_range_text(struct mg_arena *arena, const struct mg_range_asked *asked)
{
    if (asked->suffix)
        return mg_arena_printf(arena, "bytes=-%" PRIu64, asked->last);
    if (asked->last == MG_RANGE_END)
        return mg_arena_printf(arena, "bytes=%" PRIu64 "-", asked->first);
    return mg_arena_printf(arena, "bytes=%" PRIu64 "-%" PRIu64, asked->first, asked->last);
}

bool mg_range_within(const struct mg_range_asked *asked, struct mg_range part, uint64_t length,
                     struct mg_range *out)
{
    return resolve(asked, length, out) && out->first >= part.first && out->last <= part.last;
}

struct mg_str mg_range_content(struct mg_arena *arena, struct mg_range r, uint64_t length)
{
    return mg_arena_printf(arena, "bytes %llu-%llu/%llu", (unsigned long long)r.first,
                           (unsigned long long)r.last, (unsigned long long)length);
}

struct mg_str mg_range_content_unsatisfied(struct mg_arena *arena, uint64_t length)
{
    return mg_arena_printf(arena, "bytes */%llu", (unsigned long long)length);
}

/* "*": unknown. */
static bool read_length(struct mg_str text, uint64_t *out)
{
    *out = MG_RANGE_END;
    return mg_str_eq(text, MG_STR("*")) || mg_str_to_u64(text, MG_RANGE_END - 1, out);
}

bool mg_range_read_content(struct mg_str field, struct mg_range *out, uint64_t *length)
{
    static const struct mg_str UNIT = MG_STR("bytes ");
    if (field.n < UNIT.n || !mg_str_ieq(mg_str(field.p, UNIT.n), UNIT))
        return false;
    struct mg_str rest = mg_str(field.p + UNIT.n, field.n - UNIT.n), first, last;
    struct mg_range r;
    uint64_t whole;
    if (!mg_str_split(&rest, '-', &first) || !mg_str_split(&rest, '/', &last) ||
        !mg_str_to_u64(first, MG_RANGE_END, &r.first) ||
        !mg_str_to_u64(last, MG_RANGE_END, &r.last) || !read_length(rest, &whole) ||
        r.last < r.first || r.last >= whole)
        return false;
    *out = r;
    *length = whole;
    return true;
}
