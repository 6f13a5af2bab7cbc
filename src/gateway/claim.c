/* Claims as text. Pure. */
#include "gateway/claim.h"

#include <string.h>

#include "http/message.h"

#define SEPARATOR ", "

/* --- names --- */

struct mg_claim_name mg_claim_name(struct mg_str text, struct mg_arena *arena)
{
    struct mg_str rest = text, part;
    size_t count = 0;
    while (mg_str_split(&rest, '.', &part))
        count += part.n > 0;
    struct mg_str *path = mg_arena_alloc(arena, count * sizeof *path);
    rest = text;
    for (size_t i = 0; mg_str_split(&rest, '.', &part);)
        if (part.n)
            path[i++] = part;
    return (struct mg_claim_name){.text = text, .path = path, .path_count = count};
}

/* --- values --- */

static bool is_item(struct mg_str text)
{
    return text.n > 0 && mg_is_field_value(text) && mg_str_find(text, ',') < 0;
}

static struct mg_str joined(const struct mg_claim *list, struct mg_arena *arena)
{
    size_t bytes = 0;
    for (size_t i = 0; i < list->count; i++)
        bytes += list->items[i].n + sizeof SEPARATOR - 1;
    char *text = mg_arena_alloc(arena, bytes), *at = text;
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0)
            at = (char *)memcpy(at, SEPARATOR, sizeof SEPARATOR - 1) + sizeof SEPARATOR - 1;
        at = (char *)memcpy(at, list->items[i].p, list->items[i].n) + list->items[i].n;
    }
    return mg_str(text, (size_t)(at - text));
}

static bool list_text(const struct mg_claim *list, struct mg_arena *arena, struct mg_str *text)
{
    for (size_t i = 0; i < list->count; i++)
        if (!is_item(list->items[i]))
            return false;
    *text = joined(list, arena);
    return true;
}

bool mg_claim_text(const struct mg_claim *claim, struct mg_arena *arena, struct mg_str *text)
{
    *text = MG_STR_NONE;
    switch (claim->kind) {
    case MG_CLAIM_NONE:
        return true;
    case MG_CLAIM_ONE:
        *text = claim->items[0];
        return mg_is_field_value(*text);
    case MG_CLAIM_LIST:
        return list_text(claim, arena, text);
    case MG_CLAIM_OTHER:
        break;
    }
    return false;
}
