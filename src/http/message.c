/* Messages and their fields. Pure; one thread at a time for each message. */
#include "http/message.h"

#include "base/error.h"
#include "http/chars.h"

#define FIRST_ROOM 16
/* More names than steps decide on; each trailer is compared with all. */
#define SETTLED_MAX 128

void mg_message_init(struct mg_message *m, struct mg_arena *arena)
{
    *m = (struct mg_message){.arena = arena, .content_length = -1};
}

bool mg_is_token(struct mg_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!mg_chars_is(s.p[i], MG_CHARS_TOKEN))
            return false;
    return s.n > 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool mg_is_field_value(struct mg_str s)
{
    if (s.n == 0)
        return true;
    return !is_blank(s.p[0]) && !is_blank(s.p[s.n - 1]) &&
           mg_chars_text_end(s.p, s.p + s.n) == s.p + s.n;
}

/* ---- looking up ---- */

static bool has_name(const struct mg_field *f, enum mg_field_id id, struct mg_str name)
{
    if (id != MG_FIELD_OTHER)
        return f->id == id;
    return f->id == MG_FIELD_OTHER && mg_str_ieq(mg_str(f->name, f->name_len), name);
}

static struct mg_field *find_from(const struct mg_fields *fields, unsigned i, enum mg_field_id id,
                                  struct mg_str name)
{
    for (; i < fields->n; i++)
        if (has_name(&fields->v[i], id, name))
            return &fields->v[i];
    return NULL;
}

struct mg_field *mg_fields_get(const struct mg_fields *fields, enum mg_field_id id)
{
    for (unsigned i = 0; i < fields->n; i++)
        if (fields->v[i].id == id)
            return &fields->v[i];
    return NULL;
}

struct mg_field *mg_fields_find(const struct mg_fields *fields, struct mg_str name)
{
    return find_from(fields, 0, mg_field_id(name), name);
}

struct mg_field *mg_fields_next(const struct mg_fields *fields, const struct mg_field *f)
{
    return find_from(fields, (unsigned)(f - fields->v) + 1, f->id, mg_str(f->name, f->name_len));
}

static char *append(char *at, struct mg_str s)
{
    return s.n ? (char *)memcpy(at, s.p, s.n) + s.n : at;
}

bool mg_fields_joined(const struct mg_fields *fields, struct mg_str name, struct mg_arena *arena,
                      struct mg_str *out)
{
    const struct mg_field *first = mg_fields_find(fields, name);
    if (!first)
        return false;
    *out = mg_field_value(first);
    size_t n = first->value_len;
    const struct mg_field *f = mg_fields_next(fields, first);
    if (!f)
        return true;
    for (; f; f = mg_fields_next(fields, f))
        n += 2 + f->value_len;
    char *text = mg_arena_alloc(arena, n);
    char *at = append(text, *out);
    for (f = mg_fields_next(fields, first); f; f = mg_fields_next(fields, f)) {
        at = append(at, MG_STR(", "));
        at = append(at, mg_field_value(f));
    }
    *out = mg_str(text, n);
    return true;
}

bool mg_message_field(const struct mg_message *m, struct mg_str name, struct mg_arena *arena,
                      struct mg_str *out)
{
    if (mg_fields_joined(&m->fields, name, arena, out))
        return true;
    if (m->authority.n && mg_str_ieq(name, MG_STR("host"))) {
        *out = m->authority;
        return true;
    }
    if (m->content_length < 0 || !mg_str_ieq(name, MG_STR("content-length")))
        return false;
    *out = mg_arena_printf(arena, "%lld", (long long)m->content_length);
    return true;
}

/* ---- changing ---- */

static void grow(struct mg_fields *fields, struct mg_arena *arena)
{
    unsigned room = fields->room ? fields->room * 2u : FIRST_ROOM;
    if (room > UINT16_MAX)
        room = UINT16_MAX;
    fields->v =
        mg_arena_grow(arena, fields->v, fields->room * sizeof *fields->v, room * sizeof *fields->v);
    fields->room = (uint16_t)room;
}

static void put(struct mg_field *f, enum mg_field_id id, struct mg_str name, struct mg_str value)
{
    *f = (struct mg_field){
        .name = name.p,
        .value = value.p,
        .value_len = (uint32_t)value.n,
        .name_len = (uint16_t)name.n,
        .id = (uint16_t)id,
    };
}

static bool fits(struct mg_str name, struct mg_str value)
{
    return MG_EXPECT(name.n <= UINT16_MAX && value.n <= UINT32_MAX);
}

void mg_fields_add_known(struct mg_fields *fields, struct mg_arena *arena, enum mg_field_id id,
                         struct mg_str name, struct mg_str value)
{
    if (!fits(name, value) || !MG_EXPECT(fields->n < UINT16_MAX))
        return;
    if (fields->n == fields->room)
        grow(fields, arena);
    put(&fields->v[fields->n++], id, name, value);
}

void mg_fields_add(struct mg_fields *fields, struct mg_arena *arena, struct mg_str name,
                   struct mg_str value)
{
    mg_fields_add_known(fields, arena, mg_field_id(name), name, value);
}

void mg_fields_add_id(struct mg_fields *fields, struct mg_arena *arena, enum mg_field_id id,
                      struct mg_str value)
{
    mg_fields_add_known(fields, arena, id, mg_field_name(id), value);
}

/* Removes all of that name from place `i` on, keeping the order. */
static unsigned remove_from(struct mg_fields *fields, unsigned i, enum mg_field_id id,
                            struct mg_str name)
{
    unsigned kept = i, n = fields->n;
    for (; i < n; i++) {
        if (has_name(&fields->v[i], id, name))
            continue;
        if (kept != i)
            fields->v[kept] = fields->v[i];
        kept++;
    }
    fields->n = (uint16_t)kept;
    return n - kept;
}

void mg_fields_set_known(struct mg_fields *fields, struct mg_arena *arena, enum mg_field_id id,
                         struct mg_str name, struct mg_str value)
{
    struct mg_field *f = find_from(fields, 0, id, name);
    if (!f) {
        mg_fields_add_known(fields, arena, id, name, value);
        return;
    }
    if (!fits(name, value))
        return;
    put(f, id, name, value);
    remove_from(fields, (unsigned)(f - fields->v) + 1, id, name);
}

void mg_fields_set(struct mg_fields *fields, struct mg_arena *arena, struct mg_str name,
                   struct mg_str value)
{
    mg_fields_set_known(fields, arena, mg_field_id(name), name, value);
}

void mg_fields_set_id(struct mg_fields *fields, struct mg_arena *arena, enum mg_field_id id,
                      struct mg_str value)
{
    mg_fields_set_known(fields, arena, id, mg_field_name(id), value);
}

unsigned mg_fields_remove(struct mg_fields *fields, struct mg_str name)
{
    return remove_from(fields, 0, mg_field_id(name), name);
}

unsigned mg_fields_remove_id(struct mg_fields *fields, enum mg_field_id id)
{
    return remove_from(fields, 0, id, mg_field_name(id));
}

static bool has_lookalikes(struct mg_str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!mg_chars_is(name.p[i], MG_CHARS_ALNUM))
            return true;
    return false;
}

static bool is_lookalike(const struct mg_field *f, struct mg_str name)
{
    struct mg_str other = mg_str(f->name, f->name_len);
    return mg_field_is_alike(other, name) && !mg_str_ieq(other, name);
}

unsigned mg_fields_remove_lookalikes(struct mg_fields *fields, struct mg_str name)
{
    if (!has_lookalikes(name))
        return 0;
    unsigned kept = 0, n = fields->n;
    for (unsigned i = 0; i < n; i++)
        if (!is_lookalike(&fields->v[i], name))
            fields->v[kept++] = fields->v[i];
    fields->n = (uint16_t)kept;
    return n - kept;
}

/* ---- what may come late ---- */

static bool is_settled(const struct mg_message *m, struct mg_str name)
{
    for (unsigned i = 0; i < m->settled.n; i++)
        if (mg_field_is_alike(mg_str(m->settled.v[i].name, m->settled.v[i].name_len), name))
            return true;
    return m->all_settled;
}

void mg_message_settle(struct mg_message *m, struct mg_str name)
{
    if (is_settled(m, name))
        return;
    if (m->settled.n < SETTLED_MAX)
        mg_fields_add_known(&m->settled, m->arena, MG_FIELD_OTHER, name, MG_STR_NONE);
    else
        m->all_settled = true;
}

bool mg_message_may_trail(const struct mg_message *m, const struct mg_field *f)
{
    return mg_field_may_trail(f) && !is_settled(m, mg_str(f->name, f->name_len));
}

/* ---- copying ---- */

/* The members that point at bytes, so that they are counted and moved alike. */
#define EACH_TEXT(m, x)                                                                            \
    do {                                                                                           \
        x((m)->method);                                                                            \
        x((m)->scheme);                                                                            \
        x((m)->authority);                                                                         \
        x((m)->path);                                                                              \
        x((m)->query);                                                                             \
        x((m)->phrase);                                                                            \
        x((m)->upgrade);                                                                           \
    } while (0)

static size_t text_bytes(const struct mg_message *m)
{
    size_t n = 0;
#define COUNT(s) n += (s).n
    EACH_TEXT(m, COUNT);
#undef COUNT
    for (unsigned i = 0; i < m->fields.n; i++)
        n += m->fields.v[i].name_len + (size_t)m->fields.v[i].value_len;
    return n;
}

/* Moves `*s` to `at`; what comes after it. An absent text (p NULL) stays absent. */
static char *move_text(char *at, struct mg_str *s)
{
    char *end = append(at, *s);
    if (s->p)
        s->p = at;
    return end;
}

void mg_message_copy(struct mg_message *to, struct mg_arena *arena, const struct mg_message *from)
{
    *to = *from;
    to->arena = arena;
    to->fields = to->settled = (struct mg_fields){0};
    to->all_settled = false;
    char *at = mg_arena_alloc(arena, text_bytes(from) + 1); /* never NULL: that would mean absent */
#define MOVE(s) at = move_text(at, &(s))
    EACH_TEXT(to, MOVE);
#undef MOVE
    unsigned n = from->fields.n;
    if (n == 0)
        return;
    to->fields.v = mg_arena_alloc(arena, n * sizeof *to->fields.v);
    to->fields.n = to->fields.room = (uint16_t)n;
    for (unsigned i = 0; i < n; i++) {
        const struct mg_field *f = &from->fields.v[i];
        struct mg_str name = mg_str(f->name, f->name_len), value = mg_field_value(f);
        at = move_text(at, &name);
        at = move_text(at, &value);
        put(&to->fields.v[i], f->id, name, value);
    }
}

/* ---- methods ---- */

enum mg_method mg_method_id(struct mg_str s)
{
    static const struct mg_str methods[] = {
        [MG_METHOD_GET] = {"GET", 3},         [MG_METHOD_HEAD] = {"HEAD", 4},
        [MG_METHOD_POST] = {"POST", 4},       [MG_METHOD_PUT] = {"PUT", 3},
        [MG_METHOD_DELETE] = {"DELETE", 6},   [MG_METHOD_PATCH] = {"PATCH", 5},
        [MG_METHOD_OPTIONS] = {"OPTIONS", 7}, [MG_METHOD_TRACE] = {"TRACE", 5},
        [MG_METHOD_CONNECT] = {"CONNECT", 7},
    };
    for (unsigned id = MG_METHOD_GET; id < sizeof methods / sizeof *methods; id++)
        if (mg_str_eq(s, methods[id]))
            return id;
    return MG_METHOD_OTHER;
}
