/*
 * What a request would take: fields whose members have weights (RFC 9110 12.4.2), and which content
 * coding fits one (12.5.3). Pure; any thread.
 */
#ifndef MG_HTTP_ACCEPT_H
#define MG_HTTP_ACCEPT_H

#include <stdbool.h>

#include "http/coding.h"
#include "http/message.h"

/* A list of more choices than this is not read. */
#define MG_CHOICES_MAX 32
#define MG_WEIGHT_ONE 1000

/* A member of Accept-Encoding, Accept-Language and their like. */
struct mg_choice {
    struct mg_str name; /* lower case */
    int weight;         /* thousandths */
};

/* All members of all lines from `f` on, the heaviest first, names in order among equals; each name
 * once, where it is heaviest. False when there are too many, or one is malformed. Names are in the
 * arena. */
bool mg_choices_read(const struct mg_fields *request, const struct mg_field *f,
                     struct mg_arena *arena, struct mg_choice list[MG_CHOICES_MAX], unsigned *n);

/* How much a client likes each coding, in thousandths; 0: not at all. */
struct mg_accepted_codings {
    int weight[MG_CODING_OTHER];
};

/* What Accept-Encoding says. One that is absent, or that nobody can read, asks for the content as
 * it is: a client that could take more would have said so. */
void mg_accept_codings(const struct mg_fields *request, struct mg_arena *arena,
                       struct mg_accepted_codings *out);

/* The best of what is offered, in the order of the offers among equals; an offer is as good as
 * identity where the client likes both alike. MG_CODING_IDENTITY where none of them will do, also
 * if that will not do either: content as it is helps more than an error (12.5.3 allows both). */
enum mg_coding mg_accept_choose(const struct mg_accepted_codings *accepted,
                                const enum mg_coding *offers, size_t count);

#endif
