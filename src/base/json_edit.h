/*
 * Edits of JSON text by rules, without values in between: what no rule touches is copied byte by
 * byte, so its order, its numbers and its escapes stay as they were written.
 *
 * Rules make a tree of the same shape as the text: one for each name in an object that matters, one
 * for all items of an array. A text that comes in pieces, cut anywhere, is edited as it comes, in
 * memory that does not depend on its length; only rules that look ahead need all of it.
 *
 *     mg_json_edit_init(e, rules, values);
 *     while (there are bytes) used = mg_json_edit_feed(e, bytes, soft_limit, out);   // may be
 * fewer mg_json_edit_end(e, out); mg_json_edit_release(e);
 *
 * In an object each name that a rule writes is written once: what comes first stays. So when "a"
 * becomes "b" and "b" is there as well, the text gets no two of them.
 */
#ifndef MG_BASE_JSON_EDIT_H
#define MG_BASE_JSON_EDIT_H

#include "base/json_cast.h"
#include "base/json_lexer.h"

#define MG_JSON_EDIT_DEPTH 32    /* of rules */
#define MG_JSON_EDIT_FIELDS 1000 /* that one rule has */
#define MG_JSON_EDIT_SLOTS 1000
#define MG_JSON_EDIT_NO_SLOT UINT16_MAX

/* A piece of a text: what stands there, or what a slot has. */
struct mg_json_part {
    struct mg_str text; /* as it stands in a JSON string, escaped; when there is no slot */
    uint16_t slot;      /* or MG_JSON_EDIT_NO_SLOT */
};

/* What a rule writes. */
struct mg_json_value {
    struct mg_str text;               /* JSON; when there are no parts */
    const struct mg_json_part *parts; /* one slot alone: its value as it is; else a string */
    size_t part_count;
};

struct mg_json_rule;

struct mg_json_field {
    struct mg_str name; /* as it comes; unescaped */
    const struct mg_json_rule *rule;
};

/* What is done with a value, and with the name before it. Immutable once made. */
struct mg_json_rule {
    struct mg_str name; /* JSON, with quotes, in place of the one that comes; or empty */
    bool drop;          /* the field goes, with its name */
    bool only;          /* of an object: fields without a rule go */
    const struct mg_json_value *set; /* in place of the value, and where there is none; or NULL */
    bool if_absent;                  /* `set` is only for where there is none */
    enum mg_json_cast cast;
    uint16_t capture; /* the slot that gets this value; or MG_JSON_EDIT_NO_SLOT */
    uint16_t index;   /* among the rules of the object around it: its place in `seen` */
    const struct mg_json_field *fields; /* of an object; sorted by mg_json_rule_sort */
    size_t field_count;
    const struct mg_json_rule *const *added; /* of an object: those that may write what is not
                                                there, in this order */
    size_t added_count;
    size_t rule_count;                /* of different rules in `fields` */
    const struct mg_json_rule *items; /* of an array; or NULL */
    /* Of an object: captures by this tree before anything of it is written. */
    const struct mg_json_rule *look;
    const uint16_t *look_slots; /* those that `look` captures */
    size_t look_slot_count;
};

struct mg_json_rules {
    const struct mg_json_rule *root;
    enum mg_json_case to_case; /* of names that no rule writes */
    size_t slot_count;
    size_t seen_bytes; /* mg_json_rules_finish sets it */
    bool whole;        /* the same: rules look ahead, so the text must be fed in one piece */
};

/* Puts fields into the order in which they are looked for. */
void mg_json_rule_sort(struct mg_json_field *fields, size_t n);
/* Fills in what follows from the root. False: it is deeper than MG_JSON_EDIT_DEPTH. */
bool mg_json_rules_finish(struct mg_json_rules *rules) MG_MUST_CHECK;

/* An object or array with a rule, that is open. */
struct mg_json_frame {
    const struct mg_json_rule *rule;
    const struct mg_json_rule *field; /* of the name that was read last, or NULL */
    unsigned depth;                   /* of its members */
    size_t seen_at;
    bool object;
    bool wrote, dropped; /* a field, so far */
};

struct mg_json_edit {
    const struct mg_json_rule *_root;
    enum mg_json_case _to_case;
    struct mg_str *_values; /* by slot; p NULL: nothing */
    struct mg_buf *_out;    /* NULL: only looks */
    const unsigned char *_from, *_gap_at, *_name_at, *_end;
    struct mg_json_lexer _lexer;
    struct mg_buf _gap, _key, _scalar;
    size_t _key_n; /* of it the name; then come the colon and its space */
    uint8_t *_seen;
    size_t _seen_bytes;
    size_t _captures_left;        /* of a looker */
    struct mg_json_edit *_looker; /* made when first needed */
    struct mg_json_frame _frames[MG_JSON_EDIT_DEPTH + 2];
    unsigned _frame_count;
    unsigned char _sink;
    bool _failed;
};

/* Borrows the rules, and the values by slot (JSON texts; NULL when there are no slots), as long as
 * it is in use. Captures are written to `values`: views into the text. */
void mg_json_edit_init(struct mg_json_edit *e, const struct mg_json_rules *rules,
                       struct mg_str *values);
void mg_json_edit_release(struct mg_json_edit *e);

/* Appends what becomes of `piece` to `out`; returns how many bytes of it were used. Those are fewer
 * when `out` is past its soft limit: call again with the rest when it is empty. From where the text
 * is no JSON on, all passes as it is. */
size_t mg_json_edit_feed(struct mg_json_edit *e, struct mg_str piece, size_t soft_limit,
                         struct mg_buf *out);

/* The text is at its end. Appends what was held. */
void mg_json_edit_end(struct mg_json_edit *e, struct mg_buf *out);

/* All in one: the edited text is appended to `out`. False when `text` is no JSON, or `out` failed;
 * it then holds a part. */
bool mg_json_edit_text(const struct mg_json_rules *rules, struct mg_str *values, struct mg_str text,
                       struct mg_buf *out) MG_MUST_CHECK;

#endif
