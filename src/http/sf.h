/*
 * Structured fields (RFC 9651): lists, dictionaries and items, read strictly and written in their
 * one canonical form. Pure; any thread.
 *
 * What is read lies in the arena or borrows the text; nothing of it is changed afterwards.
 */
#ifndef MG_HTTP_SF_H
#define MG_HTTP_SF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

/* What RFC 9651 asks every reader to take; more is refused. */
#define MG_SF_MEMBERS_MAX 1024
#define MG_SF_INNER_ITEMS_MAX 256
#define MG_SF_PARAMS_MAX 256
#define MG_SF_INTEGER_MAX INT64_C(999999999999999)

enum mg_sf_type {
    MG_SF_INTEGER,
    MG_SF_DECIMAL,
    MG_SF_STRING,
    MG_SF_TOKEN,
    MG_SF_BYTES,
    MG_SF_BOOLEAN,
    MG_SF_DATE,
    MG_SF_DISPLAY, /* a display string: UTF-8 */
    MG_SF_INNER_LIST,
};

struct mg_sf_bare {
    enum mg_sf_type type; /* not MG_SF_INNER_LIST, but for the value of a member */
    bool boolean;
    int64_t number;     /* INTEGER; DATE: seconds since 1970; DECIMAL: thousandths */
    struct mg_str text; /* STRING, TOKEN, BYTES, DISPLAY: decoded */
};

struct mg_sf_param {
    struct mg_str key;
    struct mg_sf_bare value; /* BOOLEAN true when there was only the key */
};

struct mg_sf_item {
    struct mg_sf_bare bare;
    struct mg_sf_param *params; /* each key once: the last value of several */
    struct mg_sf_item *inner;   /* INNER_LIST: its items, which are no inner lists themselves */
    uint16_t param_count, inner_count;
};

struct mg_sf_member {
    struct mg_str key; /* of a dictionary; empty in a list */
    struct mg_sf_item value;
};

struct mg_sf_members {
    struct mg_sf_member *v;
    uint16_t n; /* 0: the field is to be taken as absent */
};

/* Read one whole value, or return false and leave `*out` undefined. A field of several lines is
 * joined with mg_fields_joined before. Of a key that comes more than once the last value counts, at
 * the first place. Base64 has its padding. Work is bounded by the limits above: a dictionary of the
 * greatest size costs half a million comparisons of short keys. */
bool mg_sf_read_item(struct mg_arena *arena, struct mg_str text, struct mg_sf_item *out);
bool mg_sf_read_list(struct mg_arena *arena, struct mg_str text, struct mg_sf_members *out);
bool mg_sf_read_dictionary(struct mg_arena *arena, struct mg_str text, struct mg_sf_members *out);

/* Member or parameter of that key, or NULL. */
const struct mg_sf_item *mg_sf_get(const struct mg_sf_members *dictionary, struct mg_str key);
const struct mg_sf_bare *mg_sf_param(const struct mg_sf_item *item, struct mg_str key);

/* Text that grows in an arena. Whoever writes pieces of it himself uses the same `add` functions.
 */
struct mg_sf_writer {
    struct mg_arena *arena;
    char *p;
    size_t n, room;
    bool failed; /* something could not be written as a structured field */
};

void mg_sf_writer_init(struct mg_sf_writer *w, struct mg_arena *arena);
/* Append; each sets `failed` for what the grammar cannot hold: a number out of range, a string with
 * bytes beyond ASCII or controls, a bad token or key, text that is not UTF-8. */
void mg_sf_add_raw(struct mg_sf_writer *w, struct mg_str text);
void mg_sf_add_key(struct mg_sf_writer *w, struct mg_str key);
void mg_sf_add_bare(struct mg_sf_writer *w, const struct mg_sf_bare *bare);
void mg_sf_add_param(struct mg_sf_writer *w, struct mg_str key, const struct mg_sf_bare *value);
void mg_sf_add_item(struct mg_sf_writer *w, const struct mg_sf_item *item);
void mg_sf_add_list(struct mg_sf_writer *w, const struct mg_sf_members *list);
void mg_sf_add_dictionary(struct mg_sf_writer *w, const struct mg_sf_members *dictionary);

static inline struct mg_str mg_sf_writer_str(const struct mg_sf_writer *w)
{
    return mg_str(w->p, w->n);
}

/* May these bytes be written so? */
bool mg_sf_is_token(struct mg_str s);
bool mg_sf_is_key(struct mg_str s);
bool mg_sf_is_string(struct mg_str s);

static inline struct mg_sf_bare mg_sf_integer(int64_t n)
{
    return (struct mg_sf_bare){.type = MG_SF_INTEGER, .number = n};
}

static inline struct mg_sf_bare mg_sf_text(enum mg_sf_type type, struct mg_str text)
{
    return (struct mg_sf_bare){.type = type, .text = text};
}

static inline struct mg_sf_bare mg_sf_true(void)
{
    return (struct mg_sf_bare){.type = MG_SF_BOOLEAN, .boolean = true};
}

#endif
