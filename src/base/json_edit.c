/*
 * The editor of JSON text. Any thread; all state is the caller's.
 *
 * Bytes go to one sink at a time: out as they are, or held until it is known what becomes of them
 * (the gap before a name, a name, a scalar to cast), or nowhere. From `_from` on the bytes of the
 * piece at hand have not been given to a sink yet: when a name turns out to have no rule, the gap
 * before it and all before that are still one run, and fields that no rule touches are copied at
 * once.
 *
 *     ... :1 , "name" : ...
 *     ^     ^  ^     ^
 *     _from |  |     p
 *     _gap_at  _name_at          (NULL: not in this run)
 */
#include "base/json_edit.h"

#include <stdlib.h>

#include "base/memory.h"

enum sink {
    COPY,
    GAP,     /* before a name of an object that has a rule: comma and space */
    NAME,    /* a name, its colon, and the space around it */
    COLLECT, /* a scalar to cast */
    SKIP,
};

#define GAP_MAX 1024    /* more of it is space, which goes */
#define NAME_MAX 8192   /* longer ones have no rule */
#define SCALAR_MAX 1024 /* longer ones have no other type */

/* --- sinks --- */

static void write_str(struct mg_json_edit *e, struct mg_str s)
{
    if (e->_out)
        mg_buf_add_str(e->_out, s);
}

static struct mg_json_frame *top_frame(struct mg_json_edit *e)
{
    return e->_frame_count ? &e->_frames[e->_frame_count - 1] : NULL;
}

/* Are names at this depth those of an object with a rule? */
static bool at_fields(struct mg_json_edit *e)
{
    const struct mg_json_frame *f = top_frame(e);
    return f && f->object && f->depth == e->_lexer.depth;
}

/* The first bytes of it, and always its comma: the same wherever the text is cut. */
static void hold_gap(struct mg_json_edit *e, struct mg_str s)
{
    size_t room = e->_gap.n < GAP_MAX ? GAP_MAX - e->_gap.n : 0;
    size_t n = s.n < room ? s.n : room;
    struct mg_str rest = mg_str(s.p + n, s.n - n);
    mg_buf_add(&e->_gap, s.p, n);
    if (mg_str_find(rest, ',') >= 0)
        mg_buf_add_char(&e->_gap, ',');
}

/* Writes the gap before a field. When all fields before it went, so does the comma. */
static void write_gap(struct mg_json_edit *e, struct mg_json_frame *f)
{
    struct mg_str gap = mg_buf_str(&e->_gap);
    ptrdiff_t comma = mg_str_find(gap, ',');
    if (!f->wrote && comma >= 0)
        gap = mg_str(gap.p + comma + 1, gap.n - (size_t)comma - 1);
    write_str(e, gap);
    mg_buf_reset(&e->_gap);
    f->wrote = true;
}

/* The field whose name was held goes. */
static void skip_field(struct mg_json_edit *e, struct mg_json_frame *f)
{
    mg_buf_reset(&e->_gap);
    f->dropped = true;
    e->_sink = SKIP;
}

/* A name that is longer than any rule's. */
static void give_up_name(struct mg_json_edit *e, struct mg_str rest)
{
    struct mg_json_frame *f = top_frame(e);
    bool fields = at_fields(e);
    if (fields)
        f->field = NULL;
    if (fields && f->rule->only) {
        skip_field(e, f);
        return;
    }
    if (fields)
        write_gap(e, f);
    write_str(e, mg_buf_str(&e->_key));
    write_str(e, rest);
    e->_sink = COPY;
}

static void hold_name(struct mg_json_edit *e, struct mg_str s)
{
    if (e->_key.n + s.n <= NAME_MAX)
        mg_buf_add_str(&e->_key, s);
    else if (!e->_key_n)
        give_up_name(e, s);
    else if (mg_str_find(s, ':') >= 0)
        mg_buf_add_char(&e->_key, ':'); /* and of the space enough is there */
}

static void hold_scalar(struct mg_json_edit *e, struct mg_str s)
{
    if (e->_scalar.n + s.n <= SCALAR_MAX) {
        mg_buf_add_str(&e->_scalar, s);
        return;
    }
    write_str(e, mg_buf_str(&e->_scalar));
    write_str(e, s);
    e->_sink = COPY;
}

/* Gives the sink all from `_from` up to `p`. */
static void give(struct mg_json_edit *e, enum sink sink, const unsigned char *p)
{
    struct mg_str s = mg_str((const char *)e->_from, (size_t)(p - e->_from));
    e->_from = p;
    if (!s.n)
        return;
    switch (sink) {
    case COPY:
        write_str(e, s);
        break;
    case GAP:
        hold_gap(e, s);
        break;
    case NAME:
        hold_name(e, s);
        break;
    case COLLECT:
        hold_scalar(e, s);
        break;
    case SKIP:
        break;
    }
}

/* Gives the sinks all up to `p`. */
static void flush(struct mg_json_edit *e, const unsigned char *p)
{
    if (e->_gap_at)
        give(e, COPY, e->_gap_at);
    if (e->_name_at)
        give(e, GAP, e->_name_at);
    e->_gap_at = e->_name_at = NULL;
    give(e, (enum sink)e->_sink, p);
}

static void turn_to(struct mg_json_edit *e, enum sink sink, const unsigned char *p)
{
    flush(e, p);
    e->_sink = (unsigned char)sink;
}

/* --- names --- */

static int compare_names(struct mg_str a, struct mg_str b)
{
    if (a.n != b.n)
        return a.n < b.n ? -1 : 1;
    return a.n ? memcmp(a.p, b.p, a.n) : 0;
}

static int compare_fields(const void *a, const void *b)
{
    return compare_names(((const struct mg_json_field *)a)->name,
                         ((const struct mg_json_field *)b)->name);
}

void mg_json_rule_sort(struct mg_json_field *fields, size_t n)
{
    if (n)
        qsort(fields, n, sizeof *fields, compare_fields);
}

static const struct mg_json_rule *find_field(const struct mg_json_rule *r, struct mg_str name)
{
    size_t low = 0, high = r->field_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = compare_names(name, r->fields[middle].name);
        if (order == 0)
            return r->fields[middle].rule;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* The rule for a name with its quotes, which may have escapes. */
static const struct mg_json_rule *find_quoted(struct mg_json_edit *e, const struct mg_json_rule *r,
                                              struct mg_str quoted)
{
    struct mg_str inner = mg_str(quoted.p + 1, quoted.n - 2);
    struct mg_json_reader reader;
    if (mg_str_find(inner, '\\') < 0)
        return find_field(r, inner);
    mg_buf_reset(&e->_scalar);
    mg_json_reader_init(&reader, quoted, NULL, &e->_scalar);
    /* Half a surrogate pair is in no rule's name. */
    return mg_json_next(&reader) == MG_JSON_STRING ? find_field(r, reader.text) : NULL;
}

static void write_name(struct mg_json_edit *e, const struct mg_json_rule *rule)
{
    struct mg_str held = mg_buf_str(&e->_key), name = mg_str(held.p, e->_key_n);
    enum mg_json_case to = e->_to_case;
    if (rule && rule->name.n) {
        write_str(e, rule->name);
    } else if (to != MG_JSON_CASE_NONE && e->_out && mg_str_find(name, '\\') < 0) {
        mg_buf_add_char(e->_out, '"');
        mg_json_write_case(to, mg_str(name.p + 1, name.n - 2), e->_out);
        mg_buf_add_char(e->_out, '"');
    } else {
        write_str(e, name);
    }
    write_str(e, mg_str(held.p + name.n, held.n - name.n));
}

/* --- what rules write --- */

static void write_part(struct mg_json_edit *e, const struct mg_json_part *part)
{
    struct mg_str s = part->text;
    if (part->slot != MG_JSON_EDIT_NO_SLOT) {
        s = e->_values[part->slot];
        if (!s.n || s.p[0] == '{' || s.p[0] == '[' || mg_str_eq(s, MG_STR("null")))
            return;
        if (s.p[0] == '"')
            s = mg_str(s.p + 1, s.n - 2);
    }
    write_str(e, s);
}

static bool is_slot(const struct mg_json_value *v)
{
    return v->part_count == 1 && v->parts[0].slot != MG_JSON_EDIT_NO_SLOT;
}

/* A slot that has nothing gives nothing. */
static bool has_value(const struct mg_json_edit *e, const struct mg_json_value *v)
{
    return !is_slot(v) || e->_values[v->parts[0].slot].n > 0;
}

static void write_value(struct mg_json_edit *e, const struct mg_json_value *v)
{
    if (is_slot(v)) {
        write_str(e, e->_values[v->parts[0].slot]);
        return;
    }
    if (!v->part_count) {
        write_str(e, v->text);
        return;
    }
    write_str(e, MG_STR("\""));
    for (size_t i = 0; i < v->part_count; i++)
        write_part(e, &v->parts[i]);
    write_str(e, MG_STR("\""));
}

/* Is there anything to write where this rule's value is absent? */
static bool adds(const struct mg_json_edit *e, const struct mg_json_rule *r)
{
    if (r->set)
        return has_value(e, r->set);
    for (size_t i = 0; i < r->added_count; i++)
        if (adds(e, r->added[i]))
            return true;
    return false;
}

static void write_absent(struct mg_json_edit *e, const struct mg_json_rule *r)
{
    if (r->set) {
        write_value(e, r->set);
        return;
    }
    bool first = true;
    write_str(e, MG_STR("{"));
    for (size_t i = 0; i < r->added_count; i++) {
        if (!adds(e, r->added[i]))
            continue;
        write_str(e, first ? MG_STR("") : MG_STR(","));
        write_str(e, r->added[i]->name);
        write_str(e, MG_STR(":"));
        write_absent(e, r->added[i]);
        first = false;
    }
    write_str(e, MG_STR("}"));
}

static uint8_t *seen_byte(struct mg_json_edit *e, const struct mg_json_frame *f, unsigned index)
{
    return &e->_seen[f->seen_at + index / 8];
}

static bool was_seen(struct mg_json_edit *e, const struct mg_json_frame *f,
                     const struct mg_json_rule *r)
{
    return *seen_byte(e, f, r->index) >> r->index % 8 & 1;
}

/* The end of an object with a rule: what it should have, and has not. */
static void write_added(struct mg_json_edit *e, struct mg_json_frame *f)
{
    for (size_t i = 0; i < f->rule->added_count; i++) {
        const struct mg_json_rule *r = f->rule->added[i];
        if (was_seen(e, f, r) || !adds(e, r))
            continue;
        write_str(e, f->wrote ? MG_STR(",") : MG_STR(""));
        write_str(e, r->name);
        write_str(e, MG_STR(":"));
        write_absent(e, r);
        f->wrote = true;
    }
}

/* --- frames --- */

static void push_frame(struct mg_json_edit *e, const struct mg_json_rule *rule, bool object)
{
    const struct mg_json_frame *below = top_frame(e);
    struct mg_json_frame *f = &e->_frames[e->_frame_count++];
    size_t at =
        below ? below->seen_at + (below->object ? (below->rule->rule_count + 7) / 8 : 0) : 0;
    *f = (struct mg_json_frame){rule, NULL, e->_lexer.depth, at, object, false, false};
    if (object && rule->rule_count)
        memset(e->_seen + at, 0, (rule->rule_count + 7) / 8);
}

static bool has_fields(const struct mg_json_rule *r)
{
    return r->field_count || r->only;
}

/* The rule for a value at this depth (before it is entered). */
static const struct mg_json_rule *rule_here(struct mg_json_edit *e, unsigned depth)
{
    const struct mg_json_frame *f = top_frame(e);
    if (!f)
        return depth == 0 ? e->_root : NULL;
    if (f->depth != depth)
        return NULL;
    return f->object ? f->field : f->rule->items;
}

/* --- looking ahead --- */

static size_t run(struct mg_json_edit *e, struct mg_str piece, size_t soft_limit);

static void restart(struct mg_json_edit *e, const struct mg_json_rule *root,
                    enum mg_json_case to_case)
{
    e->_root = root;
    e->_to_case = to_case;
    e->_out = NULL;
    mg_json_lexer_init(&e->_lexer);
    mg_buf_reset(&e->_gap);
    mg_buf_reset(&e->_key);
    mg_buf_reset(&e->_scalar);
    e->_key_n = 0;
    e->_gap_at = e->_name_at = NULL;
    e->_captures_left = 0;
    e->_frame_count = 0;
    e->_sink = COPY;
    e->_failed = false;
}

/* Allocates what a run needs; restart() does the rest. */
static void prepare(struct mg_json_edit *e, size_t seen_bytes, struct mg_str *values)
{
    mg_buf_init(&e->_gap, GAP_MAX + 1);
    mg_buf_init(&e->_key, NAME_MAX + 1);
    mg_buf_init(&e->_scalar, NAME_MAX);
    e->_values = values;
    e->_seen_bytes = seen_bytes;
    e->_seen = seen_bytes ? mg_malloc(seen_bytes) : NULL;
    e->_looker = NULL;
}

static void look(struct mg_json_edit *e, const struct mg_json_rule *rule, const unsigned char *from)
{
    for (size_t i = 0; i < rule->look_slot_count; i++)
        e->_values[rule->look_slots[i]] = MG_STR_NONE;
    if (!e->_looker) {
        e->_looker = mg_malloc(sizeof *e->_looker);
        prepare(e->_looker, e->_seen_bytes, e->_values);
    }
    restart(e->_looker, rule->look, MG_JSON_CASE_NONE);
    e->_looker->_captures_left = rule->look_slot_count;
    run(e->_looker, mg_str((const char *)from, (size_t)(e->_end - from)), SIZE_MAX);
}

/* --- values --- */

/* Does this field go? Marks what stays as seen. */
static bool drops(struct mg_json_edit *e, const struct mg_json_frame *f,
                  const struct mg_json_rule *r)
{
    if (!r)
        return f->rule->only;
    if (r->drop || was_seen(e, f, r))
        return true;
    *seen_byte(e, f, r->index) |= (uint8_t)(1 << r->index % 8);
    return false;
}

/* A name was held, and its value begins at `p`. False when the field goes. */
static bool begin_field(struct mg_json_edit *e, const struct mg_json_rule *rule, bool fields,
                        const unsigned char *p)
{
    struct mg_json_frame *f = top_frame(e);
    flush(e, p);
    if (fields && drops(e, f, rule)) {
        skip_field(e, f);
        return false;
    }
    if (fields)
        write_gap(e, f);
    write_name(e, rule);
    e->_sink = COPY;
    return true;
}

/* A value begins at `p`, inside of `depth` objects and arrays. Returns the rule for what is in it.
 */
static const struct mg_json_rule *begin_value(struct mg_json_edit *e, const unsigned char *p,
                                              unsigned depth, enum mg_json_event event)
{
    if (e->_sink == SKIP)
        return NULL;
    const struct mg_json_rule *rule = rule_here(e, depth);
    const struct mg_json_frame *f = top_frame(e);
    bool fields = f && f->object && f->depth == depth;
    if (e->_sink == NAME && !begin_field(e, rule, fields, p))
        return NULL;
    if (!rule)
        return NULL;
    if (rule->capture != MG_JSON_EDIT_NO_SLOT)
        e->_values[rule->capture] = mg_str((const char *)p, 0);
    if (rule->set && !rule->if_absent && has_value(e, rule->set)) {
        flush(e, p);
        write_value(e, rule->set);
        e->_sink = SKIP;
        return NULL;
    }
    if (rule->cast && event == MG_JSON_LEX_SCALAR) {
        turn_to(e, COLLECT, p);
        mg_buf_reset(&e->_scalar);
    }
    if (rule->look && event == MG_JSON_LEX_OBJECT)
        look(e, rule, p);
    return rule;
}

/* A value ends at `p`. */
static void end_value(struct mg_json_edit *e, const unsigned char *p)
{
    const struct mg_json_frame *f = top_frame(e);
    if (!f || f->depth != e->_lexer.depth)
        return;
    const struct mg_json_rule *rule = rule_here(e, f->depth);
    if (e->_sink == COLLECT) {
        flush(e, p);
        if (e->_sink == COLLECT && e->_out)
            mg_json_cast(rule->cast, mg_buf_str(&e->_scalar), e->_out);
    }
    if (rule && rule->capture != MG_JSON_EDIT_NO_SLOT && e->_sink != SKIP) {
        struct mg_str *slot = &e->_values[rule->capture];
        slot->n = (size_t)((const char *)p - slot->p);
        e->_captures_left--;
    }
    if (!f->object) {
        if (e->_sink != COPY)
            turn_to(e, COPY, p);
    } else if (e->_sink == COPY) {
        e->_gap_at = p;
        e->_sink = GAP;
    } else {
        turn_to(e, GAP, p);
    }
}

static void open_value(struct mg_json_edit *e, const unsigned char *p, enum mg_json_event event)
{
    bool object = event == MG_JSON_LEX_OBJECT;
    const struct mg_json_rule *rule = begin_value(e, p - 1, e->_lexer.depth - 1, event);
    if (!rule || !(object ? has_fields(rule) : rule->items != NULL))
        return;
    push_frame(e, rule, object);
    if (object)
        turn_to(e, GAP, p);
}

static void close_value(struct mg_json_edit *e, const unsigned char *p)
{
    struct mg_json_frame *f = top_frame(e);
    if (f && f->depth == e->_lexer.depth + 1 && e->_sink != SKIP) {
        if (f->object) {
            turn_to(e, COPY, p - 1);
            write_added(e, f);
            /* Of all that was there, nothing but the space may be left. */
            write_str(e, mg_buf_str(&e->_gap));
            mg_buf_reset(&e->_gap);
        }
        e->_frame_count--;
    }
    end_value(e, p);
}

static void begin_name(struct mg_json_edit *e, const unsigned char *p)
{
    if (e->_sink == SKIP || (e->_sink == COPY && e->_to_case == MG_JSON_CASE_NONE))
        return;
    mg_buf_reset(&e->_key);
    e->_key_n = 0;
    if (e->_gap_at) {
        e->_name_at = p - 1;
        e->_sink = NAME;
    } else {
        turn_to(e, NAME, p - 1);
    }
}

/* The name up to `p` has no rule and stays: does all before it, too? */
static bool stays(const struct mg_json_edit *e, const struct mg_json_frame *f)
{
    return e->_name_at - e->_gap_at <= GAP_MAX && !f->field && !f->rule->only &&
           e->_to_case == MG_JSON_CASE_NONE && (f->wrote || !f->dropped);
}

static void end_name(struct mg_json_edit *e, const unsigned char *p)
{
    struct mg_json_frame *f = at_fields(e) ? top_frame(e) : NULL;
    if (e->_sink != NAME)
        return;
    if (e->_name_at) {
        f->field =
            find_quoted(e, f->rule, mg_str((const char *)e->_name_at, (size_t)(p - e->_name_at)));
        if (stays(e, f)) {
            e->_gap_at = e->_name_at = NULL;
            e->_sink = COPY;
            f->wrote = true;
            return;
        }
        flush(e, p);
        e->_key_n = e->_sink == NAME ? e->_key.n : 0;
        return;
    }
    flush(e, p);
    if (e->_sink != NAME)
        return;
    e->_key_n = e->_key.n;
    if (f)
        f->field = find_quoted(e, f->rule, mg_buf_str(&e->_key));
}

/* --- the run --- */

/* All that was held goes out, and from here on everything. */
static void fail(struct mg_json_edit *e, const unsigned char *p)
{
    flush(e, p);
    if (e->_sink == GAP || (e->_sink == NAME && at_fields(e)))
        write_str(e, mg_buf_str(&e->_gap));
    if (e->_sink == NAME)
        write_str(e, mg_buf_str(&e->_key));
    if (e->_sink == COLLECT)
        write_str(e, mg_buf_str(&e->_scalar));
    e->_sink = COPY;
    e->_failed = true;
}

static void on_event(struct mg_json_edit *e, const unsigned char *p, enum mg_json_event event)
{
    switch (event) {
    case MG_JSON_LEX_OBJECT:
    case MG_JSON_LEX_ARRAY:
        open_value(e, p, event);
        break;
    case MG_JSON_LEX_CLOSE:
        close_value(e, p);
        break;
    case MG_JSON_LEX_KEY:
        begin_name(e, p);
        break;
    case MG_JSON_LEX_KEY_END:
        end_name(e, p);
        break;
    case MG_JSON_LEX_SCALAR:
        begin_value(e, p - 1, e->_lexer.depth, event);
        break;
    case MG_JSON_LEX_SCALAR_END:
        end_value(e, p);
        break;
    case MG_JSON_LEX_BAD:
        fail(e, p);
        break;
    case MG_JSON_LEX_MORE:
        break;
    }
}

/* A looker ends when it has found all; or with its value, as what comes then is not its own. */
static bool stops(const struct mg_json_edit *e)
{
    return e->_failed || (!e->_out && (!e->_captures_left || mg_json_lexer_is_done(&e->_lexer)));
}

static size_t run(struct mg_json_edit *e, struct mg_str piece, size_t soft_limit)
{
    const unsigned char *start = (const unsigned char *)piece.p, *p = start, *end = start + piece.n;
    enum mg_json_event event;
    e->_from = p;
    e->_end = end;
    while (p < end && !stops(e) && !(e->_out && e->_out->n >= soft_limit)) {
        p = mg_json_lex(&e->_lexer, p, end, &event);
        on_event(e, p, event);
    }
    if (e->_failed)
        p = end;
    flush(e, p);
    return (size_t)(p - start);
}

static size_t measure(const struct mg_json_rule *r, unsigned depth, struct mg_json_rules *rules,
                      bool *too_deep)
{
    size_t most = 0;
    if (!r || *too_deep)
        return 0;
    if (depth > MG_JSON_EDIT_DEPTH) {
        *too_deep = true;
        return 0;
    }
    rules->whole = rules->whole || r->look;
    for (size_t i = 0; i < r->field_count; i++) {
        size_t n = measure(r->fields[i].rule, depth + 1, rules, too_deep);
        most = n > most ? n : most;
    }
    size_t n = measure(r->items, depth + 1, rules, too_deep);
    most = n > most ? n : most;
    size_t ahead = measure(r->look, depth + 1, rules, too_deep);
    most += (r->rule_count + 7) / 8;
    return ahead > most ? ahead : most;
}

bool mg_json_rules_finish(struct mg_json_rules *rules)
{
    bool too_deep = false;
    rules->whole = false;
    rules->seen_bytes = measure(rules->root, 0, rules, &too_deep);
    return !too_deep;
}

void mg_json_edit_init(struct mg_json_edit *e, const struct mg_json_rules *rules,
                       struct mg_str *values)
{
    prepare(e, rules->seen_bytes, values);
    restart(e, rules->root, rules->to_case);
}

void mg_json_edit_release(struct mg_json_edit *e)
{
    mg_buf_release(&e->_gap);
    mg_buf_release(&e->_key);
    mg_buf_release(&e->_scalar);
    free(e->_seen);
    if (e->_looker) {
        mg_json_edit_release(e->_looker);
        free(e->_looker);
    }
    e->_seen = NULL;
    e->_looker = NULL;
}

size_t mg_json_edit_feed(struct mg_json_edit *e, struct mg_str piece, size_t soft_limit,
                         struct mg_buf *out)
{
    e->_out = out;
    return run(e, piece, soft_limit);
}

void mg_json_edit_end(struct mg_json_edit *e, struct mg_buf *out)
{
    static const unsigned char nothing[1];
    e->_out = out;
    e->_from = nothing;
    if (!e->_failed)
        on_event(e, nothing, mg_json_lex_end(&e->_lexer));
}

bool mg_json_edit_text(const struct mg_json_rules *rules, struct mg_str *values, struct mg_str text,
                       struct mg_buf *out)
{
    struct mg_json_edit e;
    mg_json_edit_init(&e, rules, values);
    mg_json_edit_feed(&e, text, SIZE_MAX, out);
    mg_json_edit_end(&e, out);
    bool ok = !e._failed && !out->failed;
    mg_json_edit_release(&e);
    return ok;
}
