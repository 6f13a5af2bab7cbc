/* Internet addresses and networks. Pure; sets are immutable once built; any thread. */
#include "base/ip.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

/* Addresses as numbers, so that networks are ranges. IPv4 uses the low half alone. */
struct number {
    uint64_t high, low;
};

struct range {
    struct number first, last;
};

struct ranges {
    struct range *at; /* sorted, disjoint, not adjacent */
    size_t count;
};

struct mg_cidr_set {
    struct ranges v4, v6; /* set once */
};

static const uint8_t MAPPED_PREFIX[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* ---- reading ---- */

/* Four decimal octets without leading zeros: "010" is 8 to some and 10 to others. */
static bool read_v4(struct mg_str text, uint8_t out[4])
{
    size_t at = 0;
    for (int i = 0; i < 4; i++) {
        if (i && (at >= text.n || text.p[at++] != '.'))
            return false;
        unsigned value = 0;
        size_t start = at;
        while (at < text.n && at - start < 3 && (unsigned char)(text.p[at] - '0') < 10)
            value = value * 10 + (unsigned)(text.p[at++] - '0');
        if (at == start || value > 255 || (text.p[start] == '0' && at - start > 1))
            return false;
        out[i] = (uint8_t)value;
    }
    return at == text.n;
}

static int hex_digit(char c)
{
    if ((unsigned char)(c - '0') < 10)
        return c - '0';
    c = mg_lower(c);
    return (unsigned char)(c - 'a') < 6 ? c - 'a' + 10 : -1;
}

/* One to four hex digits at `*at`; moves past them. */
static bool read_group(struct mg_str text, size_t *at, uint8_t out[2])
{
    unsigned value = 0;
    size_t start = *at;
    for (int digit; *at < text.n && (digit = hex_digit(text.p[*at])) >= 0; (*at)++) {
        if (*at - start == 4)
            return false;
        value = value << 4 | (unsigned)digit;
    }
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
    return *at > start;
}

/* Moves what stands after "::" to the end. */
static bool close_gap(uint8_t out[16], size_t gap, size_t n)
{
    if (n > 14)
        return false; /* "::" stands for one group at least */
    size_t tail = n - gap;
    memmove(out + 16 - tail, out + gap, tail);
    memset(out + gap, 0, 16 - n);
    return true;
}

/* RFC 4291 2.2: groups, at most one "::", perhaps IPv4 notation in the last 32 bits. */
static bool read_v6(struct mg_str text, uint8_t out[16])
{
    size_t at = 0, n = 0, gap = SIZE_MAX;
    if (text.n >= 2 && text.p[0] == ':' && text.p[1] == ':') {
        gap = 0;
        at = 2;
    }
    while (at < text.n) {
        size_t start = at;
        if (n > 14 || !read_group(text, &at, out + n))
            return false;
        if (at < text.n && text.p[at] == '.') {
            if (n > 12 || !read_v4(mg_str(text.p + start, text.n - start), out + n))
                return false;
            n += 4;
            break;
        }
        n += 2;
        if (at == text.n)
            break;
        if (text.p[at++] != ':' || at == text.n)
            return false;
        if (text.p[at] == ':') {
            if (gap != SIZE_MAX)
                return false;
            gap = n;
            at++;
        }
    }
    return gap == SIZE_MAX ? n == 16 : close_gap(out, gap, n);
}

struct mg_addr mg_ip_from_v4(const uint8_t bytes[4])
{
    struct mg_addr addr = {.family = 4};
    memcpy(addr.bytes, bytes, 4);
    return addr;
}

struct mg_addr mg_ip_from_v6(const uint8_t bytes[16])
{
    if (memcmp(bytes, MAPPED_PREFIX, sizeof MAPPED_PREFIX) == 0)
        return mg_ip_from_v4(bytes + sizeof MAPPED_PREFIX);
    struct mg_addr addr = {.family = 6};
    memcpy(addr.bytes, bytes, 16);
    return addr;
}

bool mg_ip_parse(struct mg_str text, struct mg_addr *out)
{
    uint8_t bytes[16];
    if (mg_str_find(text, ':') < 0) {
        if (!read_v4(text, bytes))
            return false;
        *out = mg_ip_from_v4(bytes);
        return true;
    }
    if (!read_v6(text, bytes))
        return false;
    *out = mg_ip_from_v6(bytes);
    return true;
}

/* Splits "host:port" and "[host]:port"; the port is empty when there is none. */
static bool split_port(struct mg_str text, struct mg_str *host, struct mg_str *port)
{
    ptrdiff_t end = mg_str_find(text, text.n && text.p[0] == '[' ? ']' : ':');
    *port = MG_STR_NONE;
    if (text.n && text.p[0] == '[') {
        if (end < 0)
            return false;
        *host = mg_str(text.p + 1, (size_t)end - 1);
        if (mg_str_find(*host, ':') < 0)
            return false; /* brackets are for IPv6 (RFC 3986 3.2.2) */
        end++;
        if ((size_t)end == text.n)
            return true;
        if (text.p[end] != ':')
            return false;
    } else {
        *host = end < 0 ? text : mg_str(text.p, (size_t)end);
        if (end < 0)
            return true;
    }
    *port = mg_str(text.p + end + 1, text.n - (size_t)end - 1);
    return port->n > 0;
}

bool mg_ip_parse_port(struct mg_str text, struct mg_addr *out)
{
    struct mg_str host, port;
    uint64_t number = 0;
    if (mg_ip_parse(text, out))
        return true;
    if (!split_port(text, &host, &port) || port.n > 5 ||
        (port.n && !mg_str_to_u64(port, UINT16_MAX, &number)))
        return false;
    struct mg_addr addr;
    if (!mg_ip_parse(host, &addr))
        return false;
    addr.port = (uint16_t)number;
    *out = addr;
    return true;
}

/* ---- writing ---- */

static size_t write_v4(const uint8_t bytes[4], char *out)
{
    size_t n = 0;
    for (int i = 0; i < 4; i++) {
        if (i)
            out[n++] = '.';
        n += mg_u64_to_dec(bytes[i], out + n);
    }
    return n;
}

static size_t write_group(unsigned value, char *out)
{
    size_t n = 0;
    for (int shift = 12; shift >= 0; shift -= 4)
        if (n || value >> shift || shift == 0)
            out[n++] = "0123456789abcdef"[value >> shift & 15];
    return n;
}

/* RFC 5952 4.2: the longest run of zero groups, the first of equals, never a single group. */
static int longest_zero_run(const unsigned groups[8], int *length)
{
    int best = -1;
    *length = 1;
    for (int i = 0, run = 0; i < 8; i++) {
        run = groups[i] ? 0 : run + 1;
        if (run > *length) {
            *length = run;
            best = i + 1 - run;
        }
    }
    return best;
}

static size_t write_v6(const uint8_t bytes[16], char *out)
{
    unsigned groups[8];
    for (int i = 0; i < 8; i++)
        groups[i] = (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1];
    int length, gap = longest_zero_run(groups, &length);
    size_t n = 0;
    for (int i = 0; i < 8;) {
        if (i == gap) {
            out[n++] = ':';
            i += length;
            if (i == 8)
                out[n++] = ':';
            continue;
        }
        if (i)
            out[n++] = ':';
        n += write_group(groups[i++], out + n);
    }
    return n;
}

size_t mg_ip_format(const struct mg_addr *addr, char out[MG_IP_TEXT_MAX])
{
    size_t n = 0;
    if (addr->family == 4)
        n = write_v4(addr->bytes, out);
    else if (addr->family == 6)
        n = write_v6(addr->bytes, out);
    out[n] = 0;
    return n;
}

size_t mg_ip_format_port(const struct mg_addr *addr, char out[MG_IP_TEXT_MAX])
{
    size_t n = 0;
    if (addr->family == 6)
        out[n++] = '[';
    n += addr->family == 6 ? write_v6(addr->bytes, out + n) : mg_ip_format(addr, out + n);
    if (n == 0)
        return 0;
    if (addr->family == 6)
        out[n++] = ']';
    out[n++] = ':';
    n += mg_u64_to_dec(addr->port, out + n);
    out[n] = 0;
    return n;
}

bool mg_ip_eq(const struct mg_addr *a, const struct mg_addr *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

/* ---- networks ---- */

static unsigned family_bits(const struct mg_addr *addr)
{
    return addr->family == 4 ? 32 : 128;
}

/* Zeroes what lies after the prefix; true when there was nothing to zero. */
static bool mask(struct mg_addr *addr, unsigned bits)
{
    bool clean = true;
    for (unsigned i = 0; i < 16; i++) {
        unsigned keep = bits > 8 * i ? bits - 8 * i : 0;
        uint8_t m = keep >= 8 ? 0xff : (uint8_t)(0xff00 >> keep);
        clean &= !(addr->bytes[i] & ~m);
        addr->bytes[i] &= m;
    }
    return clean;
}

static enum mg_rc bad_item(struct mg_error *err, struct mg_str text, const char *cause)
{
    int shown = text.n > 64 ? 64 : (int)text.n;
    return mg_error_set(err, "cannot use '%.*s' as an address or network: %s", shown,
                        text.n ? text.p : "", cause);
}

/* The number after '/', counted within the family that the address has become. */
static const char *read_bits(struct mg_str text, bool was_v6, struct mg_cidr *cidr)
{
    uint64_t bits;
    unsigned most = was_v6 ? 128 : 32;
    if ((text.n > 1 && text.p[0] == '0') || !mg_str_to_u64(text, most, &bits))
        return was_v6 ? "the prefix length is not a number from 0 to 128"
                      : "the prefix length is not a number from 0 to 32";
    if (was_v6 && cidr->net.family == 4) {
        if (bits < 96)
            return "a prefix of less than 96 bits would reach beyond IPv4-mapped addresses";
        bits -= 96;
    }
    cidr->bits = (uint8_t)bits;
    return NULL;
}

enum mg_rc mg_cidr_parse(struct mg_str text, struct mg_cidr *out, struct mg_error *err)
{
    ptrdiff_t slash = mg_str_find(text, '/');
    struct mg_str host = slash < 0 ? text : mg_str(text.p, (size_t)slash);
    struct mg_cidr cidr;
    if (!mg_ip_parse(host, &cidr.net))
        return bad_item(err, text, "not an IPv4 or IPv6 address");
    cidr.bits = (uint8_t)family_bits(&cidr.net);
    if (slash >= 0) {
        struct mg_str number = mg_str(text.p + slash + 1, text.n - (size_t)slash - 1);
        const char *cause = read_bits(number, mg_str_find(host, ':') >= 0, &cidr);
        if (cause)
            return bad_item(err, text, cause);
    }
    if (!mask(&cidr.net, cidr.bits)) {
        char net[MG_IP_TEXT_MAX], cause[128];
        mg_ip_format(&cidr.net, net);
        snprintf(cause, sizeof cause, "bits are set after the prefix, did you mean '%s/%u'", net,
                 cidr.bits);
        return bad_item(err, text, cause);
    }
    *out = cidr;
    return MG_OK;
}

bool mg_cidr_has(const struct mg_cidr *cidr, const struct mg_addr *addr)
{
    if (addr->family != cidr->net.family)
        return false;
    struct mg_addr masked = *addr;
    mask(&masked, cidr->bits);
    return mg_ip_eq(&masked, &cidr->net);
}

/* ---- sets ---- */

static uint64_t load_be(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

static struct number number_of(const struct mg_addr *addr)
{
    if (addr->family == 4)
        return (struct number){0, load_be(addr->bytes) >> 32};
    return (struct number){load_be(addr->bytes), load_be(addr->bytes + 8)};
}

static int compare(struct number a, struct number b)
{
    if (a.high != b.high)
        return a.high < b.high ? -1 : 1;
    return a.low < b.low ? -1 : a.low > b.low;
}

static int compare_ranges(const void *a, const void *b)
{
    return compare(((const struct range *)a)->first, ((const struct range *)b)->first);
}

static struct range range_of(const struct mg_cidr *cidr)
{
    struct range range = {number_of(&cidr->net), number_of(&cidr->net)};
    unsigned host = family_bits(&cidr->net) - cidr->bits;
    range.last.low |= host >= 64 ? UINT64_MAX : (UINT64_C(1) << host) - 1;
    if (host > 64)
        range.last.high |= host == 128 ? UINT64_MAX : (UINT64_C(1) << (host - 64)) - 1;
    return range;
}

/* Whether `next` begins within `range` or right after it. */
static bool joins(const struct range *range, const struct range *next)
{
    struct number after = range->last;
    if (++after.low == 0 && ++after.high == 0)
        return true; /* the range ends at the last address of all */
    return compare(next->first, after) <= 0;
}

static void sort_and_join(struct ranges *ranges)
{
    if (ranges->count == 0)
        return;
    qsort(ranges->at, ranges->count, sizeof *ranges->at, compare_ranges);
    size_t kept = 0;
    for (size_t i = 1; i < ranges->count; i++) {
        struct range *last = &ranges->at[kept], *next = &ranges->at[i];
        if (!joins(last, next))
            ranges->at[++kept] = *next;
        else if (compare(next->last, last->last) > 0)
            last->last = next->last;
    }
    ranges->count = kept + 1;
}

static bool ranges_have(const struct ranges *ranges, struct number x)
{
    size_t low = 0, high = ranges->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(ranges->at[middle].last, x) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < ranges->count && compare(ranges->at[low].first, x) <= 0;
}

struct mg_cidr_set *mg_cidr_set_new(const struct mg_str *items, size_t count, struct mg_error *err)
{
    struct mg_cidr_set *set = mg_calloc(1, sizeof *set);
    set->v4.at = mg_calloc(count, sizeof *set->v4.at);
    set->v6.at = mg_calloc(count, sizeof *set->v6.at);
    for (size_t i = 0; i < count; i++) {
        struct mg_cidr cidr;
        if (mg_cidr_parse(items[i], &cidr, err) != MG_OK) {
            mg_cidr_set_free(set);
            return NULL;
        }
        struct ranges *ranges = cidr.net.family == 4 ? &set->v4 : &set->v6;
        ranges->at[ranges->count++] = range_of(&cidr);
    }
    sort_and_join(&set->v4);
    sort_and_join(&set->v6);
    return set;
}

void mg_cidr_set_free(struct mg_cidr_set *set)
{
    if (!set)
        return;
    free(set->v4.at);
    free(set->v6.at);
    free(set);
}

bool mg_cidr_set_has(const struct mg_cidr_set *set, const struct mg_addr *addr)
{
    if (addr->family != 4 && addr->family != 6)
        return false;
    return ranges_have(addr->family == 4 ? &set->v4 : &set->v6, number_of(addr));
}
