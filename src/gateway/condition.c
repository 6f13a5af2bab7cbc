/* Conditions of steps without Lua: a parser of the common forms, and their answer. */
#include "gateway/condition.h"

#include <string.h>

#include "base/ip.h"
#include "gateway/cookie.h"
#include "gateway/expr.h"
#include "gateway/worker.h"

/* What is longer, has more or deeper brackets is left to Lua. */
#define DEPTH_MAX 16
#define NETWORKS_MAX 64
#define TEXT_MAX 1024

enum source { NIL, LITERAL, FIELD, HEADER, ARGUMENT, COOKIE };

/* What a request says, or a text: a text or nil. */
struct operand {
    enum source source;
    struct mg_str text; /* the literal, or a name */
    size_t cut;         /* only so many bytes of it count; 0: all */
};

enum op { AND, OR, NOT, EQUAL, IS_THERE, BEGINS, WITHIN };

struct mg_condition {
    enum op op;
    const struct mg_condition *a, *b; /* AND, OR; NOT: a */
    struct operand left, right;       /* EQUAL: both; the others: left */
    struct mg_str prefix;             /* BEGINS */
    const struct mg_cidr *networks;   /* WITHIN */
    size_t network_count;
};

/* --- reading --- */

struct parser {
    struct mg_arena *arena;
    struct mg_str rest;
    unsigned depth;
};

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static void skip(struct parser *p, size_t n)
{
    p->rest = mg_str(p->rest.p + n, p->rest.n - n);
}

static void skip_blanks(struct parser *p)
{
    while (p->rest.n && strchr(" \t\r\n", p->rest.p[0]) && p->rest.p[0])
        skip(p, 1);
}

/* A sign such as "==" or "(". */
static bool take(struct parser *p, const char *sign)
{
    struct mg_str wanted = mg_str_c(sign);
    skip_blanks(p);
    if (!mg_str_starts(p->rest, wanted))
        return false;
    skip(p, wanted.n);
    return true;
}

/* A name or keyword; empty: there is none. */
static struct mg_str take_word(struct parser *p)
{
    size_t n = 0;
    skip_blanks(p);
    while (n < p->rest.n && is_name_char(p->rest.p[n]))
        n++;
    struct mg_str word = mg_str(p->rest.p, n);
    skip(p, n);
    return word;
}

static bool take_keyword(struct parser *p, const char *keyword)
{
    struct mg_str before = p->rest;
    if (mg_str_eq(take_word(p), mg_str_c(keyword)))
        return true;
    p->rest = before;
    return false;
}

/* A text between quotes. One with escapes in it is left to Lua. */
static bool take_text(struct parser *p, struct mg_str *text)
{
    skip_blanks(p);
    if (p->rest.n == 0 || (p->rest.p[0] != '"' && p->rest.p[0] != '\''))
        return false;
    char quote = p->rest.p[0];
    for (size_t i = 1; i < p->rest.n; i++) {
        char c = p->rest.p[i];
        if (c == '\\' || c == '\n')
            return false;
        if (c != quote)
            continue;
        *text = mg_str(p->rest.p + 1, i - 1);
        skip(p, i + 1);
        return true;
    }
    return false;
}

/* The one argument of a call: ("text") or "text". */
static bool take_argument(struct parser *p, struct mg_str *text)
{
    if (take(p, "("))
        return take_text(p, text) && take(p, ")");
    return take_text(p, text);
}

/* `:sub(1, N)`, behind its name */
static bool take_cut(struct parser *p, size_t *cut)
{
    uint64_t n;
    if (!take(p, "(") || !mg_str_eq(take_word(p), MG_STR("1")) || !take(p, ",") ||
        !mg_str_to_u64(take_word(p), 4096, &n) || n == 0 || !take(p, ")"))
        return false;
    *cut = (size_t)n;
    return true;
}

/* A pattern that is an anchor and plain characters, as the text it stands for. */
static bool read_prefix(struct parser *p, struct mg_str pattern, struct mg_str *prefix)
{
    char *out = mg_arena_alloc(p->arena, pattern.n + 1);
    size_t n = 0;
    if (pattern.n == 0 || pattern.p[0] != '^')
        return false;
    for (size_t i = 1; i < pattern.n; i++) {
        char c = pattern.p[i];
        if (c == '%') {
            if (++i == pattern.n || is_name_char(pattern.p[i]))
                return false; /* a class, or no pattern at all */
            c = pattern.p[i];
        } else if (c == '\0' || strchr("^$()[].*+-?", c)) {
            return false;
        }
        out[n++] = c;
    }
    *prefix = mg_str(out, n);
    return true;
}

static struct mg_condition *node(struct parser *p, enum op op)
{
    struct mg_condition *c = mg_arena_calloc(p->arena, sizeof *c);
    c->op = op;
    return c;
}

static bool is_field(struct mg_str name)
{
    static const char *const fields[] = {"method",   "scheme", "host",     "path",
                                         "raw_path", "query",  "client_ip"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (mg_str_eq(name, mg_str_c(fields[i])))
            return true;
    return false;
}

/* Behind "req.". */
static bool take_field(struct parser *p, struct operand *out)
{
    out->source = FIELD;
    out->text = take_word(p);
    return is_field(out->text);
}

/* Behind "req:". */
static bool take_call(struct parser *p, struct operand *out)
{
    struct mg_str method = take_word(p);
    if (mg_str_eq(method, MG_STR("header")))
        out->source = HEADER;
    else if (mg_str_eq(method, MG_STR("arg")))
        out->source = ARGUMENT;
    else if (mg_str_eq(method, MG_STR("cookie")))
        out->source = COOKIE;
    else
        return false;
    return take_argument(p, &out->text);
}

static bool take_operand(struct parser *p, struct operand *out)
{
    *out = (struct operand){.source = LITERAL};
    if (take_text(p, &out->text))
        return true;
    struct mg_str word = take_word(p);
    if (mg_str_eq(word, MG_STR("nil"))) {
        out->source = NIL;
        return true;
    }
    if (!mg_str_eq(word, MG_STR("req")))
        return false;
    if (take(p, "."))
        return take_field(p, out);
    return take(p, ":") && take_call(p, out);
}

/* Of nil these would be an error, which only Lua can tell of. */
static bool is_never_nil(const struct operand *o)
{
    return o->source == FIELD && !mg_str_eq(o->text, MG_STR("query"));
}

/* Does the value end here? What goes on behind it would be a call, an index or another comparison.
 */
static bool ends(struct parser *p)
{
    skip_blanks(p);
    if (p->rest.n == 0 || p->rest.p[0] == ')')
        return true;
    struct parser ahead = *p;
    struct mg_str word = take_word(&ahead);
    return mg_str_eq(word, MG_STR("and")) || mg_str_eq(word, MG_STR("or"));
}

static const struct mg_condition *negation(struct parser *p, const struct mg_condition *of)
{
    struct mg_condition *c = node(p, NOT);
    c->a = of;
    return c;
}

static bool at_comparison(struct parser *p)
{
    skip_blanks(p);
    return mg_str_starts(p->rest, MG_STR("==")) || mg_str_starts(p->rest, MG_STR("~="));
}

static const struct mg_condition *parse_comparison(struct parser *p, const struct operand *left)
{
    bool differs = take(p, "~=");
    struct mg_condition *c = node(p, EQUAL);
    c->left = *left;
    if ((!differs && !take(p, "==")) || !take_operand(p, &c->right) || !ends(p))
        return NULL;
    return differs ? negation(p, c) : c;
}

/* `:sub(1, N)` before a comparison, `:find "^..."`, `:match "^..."`; behind the colon. */
static const struct mg_condition *parse_method(struct parser *p, struct operand *left,
                                               bool comparable)
{
    struct mg_str method = take_word(p), pattern;
    if (!is_never_nil(left))
        return NULL;
    if (mg_str_eq(method, MG_STR("sub")))
        return comparable && take_cut(p, &left->cut) ? parse_comparison(p, left) : NULL;
    if (!mg_str_eq(method, MG_STR("find")) && !mg_str_eq(method, MG_STR("match")))
        return NULL;
    struct mg_condition *c = node(p, BEGINS);
    c->left = *left;
    return take_argument(p, &pattern) && read_prefix(p, pattern, &c->prefix) && ends(p) ? c : NULL;
}

static bool take_network_list(struct parser *p, struct mg_condition *c)
{
    struct mg_cidr *networks = mg_arena_calloc(p->arena, NETWORKS_MAX * sizeof *networks);
    struct mg_error err;
    struct mg_str text;
    if (!take(p, "{"))
        return false;
    while (take_text(p, &text)) {
        if (c->network_count == NETWORKS_MAX ||
            mg_cidr_parse(text, &networks[c->network_count++], &err) != MG_OK)
            return false;
        if (!take(p, ","))
            break;
    }
    c->networks = networks;
    return take(p, "}");
}

/* { "10.0.0.0/8", ... }(req.client_ip), behind "mg.ip.matcher" */
static const struct mg_condition *parse_networks(struct parser *p)
{
    struct mg_condition *c = node(p, WITHIN);
    bool bracket = take(p, "(");
    if (!take_network_list(p, c) || (bracket && !take(p, ")")))
        return NULL;
    if (take(p, ":") && !take_keyword(p, "has"))
        return NULL;
    if (!take(p, "(") || !take_operand(p, &c->left) || !take(p, ")") || !ends(p))
        return NULL;
    return c->left.source == FIELD && mg_str_eq(c->left.text, MG_STR("client_ip")) ? c : NULL;
}

static bool take_matcher(struct parser *p)
{
    struct mg_str before = p->rest;
    if (take_keyword(p, "mg") && take(p, ".") && take_keyword(p, "ip") && take(p, ".") &&
        take_keyword(p, "matcher"))
        return true;
    p->rest = before;
    return false;
}

/* Behind `not`, which binds tighter than a comparison, there is none: `not a == b` compares a
 * boolean, and is left to Lua. */
static const struct mg_condition *parse_value(struct parser *p, bool comparable)
{
    struct operand left;
    if (take_matcher(p))
        return parse_networks(p);
    if (!take_operand(p, &left))
        return NULL;
    if (at_comparison(p))
        return comparable ? parse_comparison(p, &left) : NULL;
    if (take(p, ":"))
        return parse_method(p, &left, comparable);
    struct mg_condition *c = node(p, IS_THERE);
    c->left = left;
    return ends(p) ? c : NULL;
}

static const struct mg_condition *parse_or(struct parser *p);

static const struct mg_condition *parse_brackets(struct parser *p)
{
    const struct mg_condition *inner = parse_or(p);
    return inner && take(p, ")") && ends(p) ? inner : NULL;
}

static const struct mg_condition *parse_unary(struct parser *p)
{
    const struct mg_condition *c = NULL;
    bool negated = false, behind_not = false;
    if (p->depth == DEPTH_MAX)
        return NULL;
    p->depth++;
    for (; take_keyword(p, "not"); behind_not = true)
        negated = !negated;
    c = take(p, "(") ? parse_brackets(p) : parse_value(p, !behind_not);
    p->depth--;
    return c && negated ? negation(p, c) : c;
}

static const struct mg_condition *join(struct parser *p, enum op op, const struct mg_condition *a,
                                       const struct mg_condition *b)
{
    if (!a || !b)
        return NULL;
    struct mg_condition *c = node(p, op);
    c->a = a;
    c->b = b;
    return c;
}

static const struct mg_condition *parse_and(struct parser *p)
{
    const struct mg_condition *c = parse_unary(p);
    while (c && take_keyword(p, "and"))
        c = join(p, AND, c, parse_unary(p));
    return c;
}

static const struct mg_condition *parse_or(struct parser *p)
{
    const struct mg_condition *c = parse_and(p);
    while (c && take_keyword(p, "or"))
        c = join(p, OR, c, parse_and(p));
    return c;
}

const struct mg_condition *mg_condition_parse(struct mg_arena *arena, struct mg_str text)
{
    struct parser p = {.arena = arena, .rest = text};
    if (text.n > TEXT_MAX)
        return NULL;
    const struct mg_condition *c = parse_or(&p);
    skip_blanks(&p);
    return p.rest.n == 0 ? c : NULL;
}

/* --- answering --- */

/* As it may be empty without being nil. */
static struct mg_str present(struct mg_str value)
{
    return value.p ? value : MG_STR("");
}

static struct mg_str field_value(struct mg_request *req, struct mg_str name)
{
    struct mg_str value;
    if (mg_str_eq(name, MG_STR("query")))
        return req->msg->query;
    mg_expr_value(req, NULL, name, req->arena, &value);
    return present(value);
}

/* What it is now; p NULL: nil. */
static struct mg_str value_of(const struct operand *o, struct mg_request *req)
{
    struct mg_str value = MG_STR_NONE;
    switch (o->source) {
    case NIL:
        break;
    case LITERAL:
        return present(o->text);
    case FIELD:
        value = field_value(req, o->text);
        break;
    case HEADER:
        return mg_message_field(req->msg, o->text, req->arena, &value) ? present(value)
                                                                       : MG_STR_NONE;
    case ARGUMENT:
        return mg_cookie_arg(req, o->text, req->arena, &value) ? present(value) : MG_STR_NONE;
    case COOKIE:
        return mg_cookie_find(req->msg, o->text, &value) ? present(value) : MG_STR_NONE;
    }
    return o->cut && o->cut < value.n ? mg_str(value.p, o->cut) : value;
}

static bool equal(const struct mg_condition *c, struct mg_request *req)
{
    struct mg_str left = value_of(&c->left, req), right = value_of(&c->right, req);
    return !left.p == !right.p && mg_str_eq(left, right);
}

static bool within(const struct mg_condition *c, struct mg_request *req)
{
    for (size_t i = 0; i < c->network_count; i++)
        if (mg_cidr_has(&c->networks[i], mg_request_client(req)))
            return true;
    return false;
}

bool mg_condition_holds(const struct mg_condition *c, struct mg_request *req)
{
    switch (c->op) {
    case AND:
        return mg_condition_holds(c->a, req) && mg_condition_holds(c->b, req);
    case OR:
        return mg_condition_holds(c->a, req) || mg_condition_holds(c->b, req);
    case NOT:
        return !mg_condition_holds(c->a, req);
    case EQUAL:
        return equal(c, req);
    case IS_THERE:
        return value_of(&c->left, req).p != NULL;
    case BEGINS:
        return mg_str_starts(value_of(&c->left, req), c->prefix);
    case WITHIN:
        return within(c, req);
    }
    return false;
}
