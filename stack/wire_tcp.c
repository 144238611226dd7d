/* wire_tcp.c: TCP headers and options (wire_tcp.h).
 *
 * Option layouts on Tx follow Linux, so that peers' fast paths see what they know: MSS, SACK-permitted and
 * timestamps sharing three words, window scale behind a NOP; on established connections NOP NOP before
 * timestamps and before SACK.
 */
#include "wire_tcp.h"

#include <arpa/inet.h>

#define FASTOPEN_MAGIC 0xf989

static inline uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t get32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, 4);
    return ntohl(v);
}

static inline uint8_t *put8(uint8_t *p, unsigned v)
{
    *p = (uint8_t)v;
    return p + 1;
}

static inline uint8_t *put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
    return p + 2;
}

static inline uint8_t *put32(uint8_t *p, uint32_t v)
{
    v = htonl(v);
    memcpy(p, &v, 4);
    return p + 4;
}

int wire_tcp_parse(const uint8_t *p, size_t avail, struct tcp_hdr_in *h)
{
    unsigned hlen;

    if (avail < TCP_HDR_LEN)
        return -1;
    hlen = (unsigned)(p[12] >> 4) * 4;
    if (hlen < TCP_HDR_LEN || hlen > avail)
        return -1;
    memcpy(&h->sport_be, p, 2);
    memcpy(&h->dport_be, p + 2, 2);
    h->seq = get32(p + 4);
    h->ack = get32(p + 8);
    h->hlen = (uint8_t)hlen;
    h->flags = p[13];
    h->ae = p[12] & 1;
    h->window = get16(p + 14);
    h->urgent = get16(p + 18);
    return (int)hlen;
}

/* RFC 7413 section 4.1.1: a cookie has 4 to 16 bytes, an even number; none asks for one. */
static void parse_fastopen(const uint8_t *p, size_t n, bool syn, bool exp, struct tcp_opts *o)
{
    if (!syn || (n != 0 && (n < 4 || n > 16 || n % 2 != 0)))
        return;
    o->fastopen = p;
    o->fastopen_len = (int8_t)n;
    o->fastopen_exp = exp;
}

/* One option with its body of n bytes at p. */
static void parse_opt(unsigned kind, const uint8_t *p, size_t n, bool syn, struct tcp_opts *o)
{
    switch (kind) {
    case TCP_OPT_MSS:
        if (n == 2 && syn)
            o->mss = get16(p);
        break;
    case TCP_OPT_WSCALE:
        if (n == 1 && syn) {
            o->has_wscale = 1;
            o->wscale = p[0] > TCP_WSCALE_MAX ? TCP_WSCALE_MAX : p[0];
        }
        break;
    case TCP_OPT_SACK_PERM:
        if (n == 0 && syn)
            o->sack_permitted = 1;
        break;
    case TCP_OPT_SACK:
        if (n < 8 || n % 8 != 0 || syn)
            break;
        o->nsack = 0;
        for (size_t i = 0; i < n && o->nsack < TCP_SACK_MAX; i += 8) {
            o->sack[o->nsack].left = get32(p + i);
            o->sack[o->nsack++].right = get32(p + i + 4);
        }
        break;
    case TCP_OPT_TS:
        if (n == 8) {
            o->has_ts = 1;
            o->tsval = get32(p);
            o->tsecr = get32(p + 4);
        }
        break;
    case TCP_OPT_MD5:
        if (n == 16)
            o->md5 = p;
        break;
    case TCP_OPT_FASTOPEN:
        parse_fastopen(p, n, syn, false, o);
        break;
    case TCP_OPT_EXP:
        if (n >= 2 && get16(p) == FASTOPEN_MAGIC)
            parse_fastopen(p + 2, n - 2, syn, true, o);
        break;
    default:
        break;
    }
}

void wire_tcp_parse_opts(const uint8_t *p, size_t len, bool syn, struct tcp_opts *o)
{
    const uint8_t *end = p + len;

    memset(o, 0, offsetof(struct tcp_opts, sack));
    o->fastopen_len = -1;
    if (wire_tcp_only_ts(p, len, &o->tsval, &o->tsecr)) {
        o->has_ts = 1;
        return;
    }
    while (p < end) {
        unsigned kind = *p++, opt_len;

        if (kind == TCP_OPT_EOL)
            return;
        if (kind == TCP_OPT_NOP)
            continue;
        if (p == end)
            return;
        opt_len = *p++;
        if (opt_len < 2 || opt_len - 2 > (size_t)(end - p))
            return;
        parse_opt(kind, p, opt_len - 2, syn, o);
        p += opt_len - 2;
    }
}

size_t wire_tcp_emit(uint8_t *p, const struct tcp_hdr_in *h)
{
    memcpy(p, &h->sport_be, 2);
    memcpy(p + 2, &h->dport_be, 2);
    put32(p + 4, h->seq);
    put32(p + 8, h->ack);
    p[12] = (uint8_t)(h->hlen / 4 << 4);
    p[13] = h->flags;
    put16(p + 14, h->window);
    put16(p + 16, 0);
    put16(p + 18, h->urgent);
    return TCP_HDR_LEN;
}

/* What precedes the timestamps fills their word: SACK-permitted when it is offered (only with SYN), else two
 * NOPs. */
static uint8_t *emit_sackperm_ts(uint8_t *p, const struct tcp_opts *o)
{
    if (!o->has_ts && !o->sack_permitted)
        return p;
    if (o->sack_permitted) {
        if (!o->has_ts)
            p = put16(p, TCP_OPT_NOP << 8 | TCP_OPT_NOP);
        p = put16(p, TCP_OPT_SACK_PERM << 8 | 2);
    } else {
        p = put16(p, TCP_OPT_NOP << 8 | TCP_OPT_NOP);
    }
    if (o->has_ts) {
        p = put16(p, TCP_OPT_TS << 8 | 10);
        p = put32(p, o->tsval);
        p = put32(p, o->tsecr);
    }
    return p;
}

static uint8_t *emit_sack(uint8_t *p, const struct tcp_opts *o, size_t room)
{
    unsigned n = o->nsack > TCP_SACK_MAX ? TCP_SACK_MAX : o->nsack;

    if (room < 12)
        return p;
    if (n > (room - 4) / 8)
        n = (unsigned)(room - 4) / 8;
    p = put16(p, TCP_OPT_NOP << 8 | TCP_OPT_NOP);
    p = put16(p, TCP_OPT_SACK << 8 | (2 + 8 * n));
    for (unsigned i = 0; i < n; i++) {
        p = put32(p, o->sack[i].left);
        p = put32(p, o->sack[i].right);
    }
    return p;
}

static uint8_t *emit_fastopen(uint8_t *p, const struct tcp_opts *o, size_t room)
{
    unsigned n = (unsigned)o->fastopen_len, head = o->fastopen_exp ? 4 : 2, len = (head + n + 3) & ~3u;

    if (len > room)
        return p;
    p = put16(p, (o->fastopen_exp ? TCP_OPT_EXP : TCP_OPT_FASTOPEN) << 8 | (head + n));
    if (o->fastopen_exp)
        p = put16(p, FASTOPEN_MAGIC);
    if (n)
        memcpy(p, o->fastopen, n);
    p += n;
    for (unsigned pad = len - (head + n); pad > 0; pad--)
        p = put8(p, TCP_OPT_NOP);
    return p;
}

size_t wire_tcp_emit_opts(uint8_t *p, const struct tcp_opts *o)
{
    uint8_t *start = p, *end = p + TCP_OPTS_MAX_LEN;

    if (o->md5) {
        p = put32(p, (uint32_t)TCP_OPT_NOP << 24 | TCP_OPT_NOP << 16 | TCP_OPT_MD5 << 8 | 18);
        memcpy(p, o->md5, 16);
        p += 16;
    }
    if (o->mss) {
        p = put16(p, TCP_OPT_MSS << 8 | 4);
        p = put16(p, o->mss);
    }
    p = emit_sackperm_ts(p, o);
    if (o->has_wscale)
        p = put32(p, (uint32_t)TCP_OPT_NOP << 24 | TCP_OPT_WSCALE << 16 | 3 << 8 | o->wscale);
    if (o->nsack)
        p = emit_sack(p, o, (size_t)(end - p));
    if (o->fastopen_len >= 0)
        p = emit_fastopen(p, o, (size_t)(end - p));
    return (size_t)(p - start);
}
