/* packet.c: packets of a script to bytes and back, and to text (script.h). Written apart from the stack's own
 * wire_*.c, so that one checks the other.
 */
#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <stdarg.h>
#include <string.h>

#include "script.h"

#define V4_LEN  20
#define V6_LEN  40
#define TCP_LEN 20
#define L4_ECHO 8 /* bytes of the transport's header in an ICMP error (RFC 792) */

void put32(uint8_t *p, uint32_t v)
{
    v = htonl(v);
    memcpy(p, &v, 4);
}

static void put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

uint8_t pkt_pattern(uint32_t at)
{
    return (uint8_t)(at * 31 + (at >> 8) * 7 + 11);
}

int opt_next(const uint8_t *opts, size_t len, size_t at)
{
    if (at >= len || opts[at] == 0)
        return at < len ? 1 : 0;
    if (opts[at] == 1)
        return 1;
    if (at + 1 >= len || opts[at + 1] < 2 || at + opts[at + 1] > len)
        return -1;
    return opts[at + 1];
}

/* --- checksums (RFC 1071) --- */

static uint32_t sum(uint32_t s, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i + 1 < n; i += 2)
        s += get16(p + i);
    if (n % 2)
        s += (uint32_t)p[n - 1] << 8;
    return s;
}

static unsigned fold(uint32_t s)
{
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return s ^ 0xffff;
}

/* Of a transport's packet behind an IP header without options; 0: it is right. */
static unsigned l4_sum(const uint8_t *ip, size_t hlen, size_t len, uint8_t proto)
{
    uint32_t s = (uint32_t)(proto + len - hlen);

    if (ip[0] >> 4 == 4 && proto == PROTO_ICMP)
        s = 0; /* no pseudo-header */
    else if (ip[0] >> 4 == 4)
        s = sum(s, ip + 12, 8);
    else
        s = sum(s, ip + 8, 32);
    return fold(sum(s, ip + hlen, len - hlen));
}

/* --- to bytes --- */

static uint8_t wire_proto(uint8_t proto, bool v6)
{
    return proto == PROTO_ICMP && v6 ? IPPROTO_ICMPV6 : proto;
}

/* out: from the stack to the peer. */
static size_t put_ip(const struct script *s, uint8_t *b, bool out, uint8_t proto, size_t len, uint8_t tos,
                     uint8_t ttl, uint32_t label)
{
    memset(b, 0, s->v6 ? V6_LEN : V4_LEN);
    if (s->v6) {
        put32(b, 6u << 28 | (uint32_t)tos << 20 | label);
        put16(b + 4, (unsigned)len);
        b[6] = wire_proto(proto, true);
        b[7] = ttl ? ttl : 255;
        inet_pton(AF_INET6, out ? LOCAL_V6 : REMOTE_V6, b + 8);
        inet_pton(AF_INET6, out ? REMOTE_V6 : LOCAL_V6, b + 24);
        return V6_LEN;
    }
    b[0] = 0x45;
    b[1] = tos;
    put16(b + 2, (unsigned)(V4_LEN + len));
    b[8] = ttl ? ttl : 255;
    b[9] = proto;
    inet_pton(AF_INET, out ? LOCAL_V4 : REMOTE_V4, b + 12);
    inet_pton(AF_INET, out ? REMOTE_V4 : LOCAL_V4, b + 16);
    put16(b + 10, fold(sum(0, b, V4_LEN)));
    return V4_LEN;
}

static uint32_t wire_ts(const struct talk *f, uint32_t script)
{
    for (unsigned i = f->nts; i-- > 0;)
        if (f->ts[i].script == script)
            return f->ts[i].wire;
    return f->has_ts && script ? script + f->ts_off : script;
}

/* The peer's options: it acknowledges and echoes the stack's numbers. */
static void map_opts_in(const struct talk *f, uint8_t *o, size_t n)
{
    int len;

    for (size_t at = 0; (len = opt_next(o, n, at)) > 0; at += (size_t)len) {
        if (o[at] == 5)
            for (int i = 2; i + 4 <= len; i += 4)
                put32(o + at + i, get32(o + at + i) + f->local_off);
        if (o[at] == 8 && len == 10)
            put32(o + at + 6, wire_ts(f, get32(o + at + 6)));
    }
}

static size_t put_tcp(const struct spkt *p, const struct talk *f, uint8_t *b)
{
    size_t hlen = TCP_LEN + p->nopts;

    put16(b, f->rport);
    put16(b + 2, f->lport);
    put32(b + 4, p->seq);
    put32(b + 8, p->flags & 0x10 ? p->ack + f->local_off : p->ack);
    b[12] = (uint8_t)(hlen / 4 << 4 | p->flags >> 8);
    b[13] = (uint8_t)p->flags;
    put16(b + 14, (unsigned)p->window);
    put16(b + 16, 0);
    put16(b + 18, p->urg);
    memcpy(b + TCP_LEN, p->opts, p->nopts);
    map_opts_in(f, b + TCP_LEN, p->nopts);
    for (uint32_t i = 0; i < p->len; i++)
        b[hlen + i] = pkt_pattern(p->seq - f->remote_isn - !(p->flags & 2) + i);
    return hlen + p->len;
}

/* The error quotes a packet of the stack's. */
static size_t put_echoed(const struct script *s, const struct spkt *p, const struct talk *f, uint8_t *b)
{
    size_t hlen =
        put_ip(s, b, true, p->echoed, (p->echoed == PROTO_TCP ? TCP_LEN : 8) + p->echo_len, 0, 0, 0);

    put16(b + hlen, f->lport);
    put16(b + hlen + 2, f->rport);
    put32(b + hlen + 4, p->echoed == PROTO_TCP ? p->echo_seq + f->local_off : (p->echo_len + 8) << 16);
    return hlen + L4_ECHO;
}

static size_t put_icmp(const struct script *s, const struct spkt *p, const struct talk *f, uint8_t *b)
{
    size_t n = 8;
    bool echo = p->type == (s->v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO) ||
                p->type == (s->v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY);

    memset(b, 0, 8);
    b[0] = p->type;
    b[1] = p->code;
    if (p->has_mtu)
        put32(b + 4, p->mtu);
    if (echo) {
        put16(b + 4, p->id);
        for (; n < p->len; n++)
            b[n] = pkt_pattern((uint32_t)n);
    } else if (p->echoed) {
        n += put_echoed(s, p, f, b + n);
    }
    return n;
}

size_t pkt_build(const struct script *s, const struct spkt *p, struct talk *f, uint8_t *buf, size_t room)
{
    size_t hlen = s->v6 ? V6_LEN : V4_LEN, n, at;
    uint8_t *b = buf + hlen;

    if (hlen + TCP_LEN + OPTS_MAX + p->len > room)
        return 0;
    if (p->proto == PROTO_TCP) {
        n = put_tcp(p, f, b);
        at = 16;
    } else if (p->proto == PROTO_UDP) {
        n = 8 + p->len;
        put16(b, f->rport);
        put16(b + 2, f->lport);
        put16(b + 4, (unsigned)n);
        put16(b + 6, 0);
        for (uint32_t i = 0; i < p->len; i++)
            b[8 + i] = pkt_pattern(i);
        at = 6;
    } else {
        n = put_icmp(s, p, f, b);
        at = 2;
    }
    put_ip(s, buf, false, p->proto, n, p->tos, p->ttl, p->flowlabel);
    put16(b + at, l4_sum(buf, hlen, hlen + n, wire_proto(p->proto, s->v6)));
    if (p->proto == PROTO_UDP && get16(b + 6) == 0)
        put16(b + 6, 0xffff);
    return hlen + n;
}

/* --- from bytes --- */

static const char *read_tcp(const uint8_t *b, size_t n, struct spkt *p, uint16_t ports[2],
                            const uint8_t **data)
{
    size_t hlen = n >= TCP_LEN ? (size_t)(b[12] >> 4) * 4 : 0;

    if (hlen < TCP_LEN || hlen > n)
        return "a bad TCP header length";
    if (b[12] & 0x0e)
        return "reserved bits in the TCP header";
    ports[0] = (uint16_t)get16(b);
    ports[1] = (uint16_t)get16(b + 2);
    p->seq = get32(b + 4);
    p->ack = get32(b + 8);
    p->flags = (uint16_t)((b[12] & 1) << 8 | b[13]);
    p->window = (int)get16(b + 14);
    p->urg = (uint16_t)get16(b + 18);
    p->nopts = (uint8_t)(hlen - TCP_LEN);
    memcpy(p->opts, b + TCP_LEN, p->nopts);
    p->len = (uint32_t)(n - hlen);
    *data = b + hlen;
    return NULL;
}

static const char *read_icmp(const uint8_t *b, size_t n, struct spkt *p, uint16_t ports[2],
                             const uint8_t **data)
{
    bool v6 = p->echoed != 0;

    if (n < 8)
        return "a truncated ICMP packet";
    p->type = b[0];
    p->code = b[1];
    p->mtu = get32(b + 4);
    p->id = (uint16_t)get16(b + 4);
    p->len = (uint32_t)n;
    *data = b;
    ports[0] = ports[1] = 0;
    p->echoed = 0;
    if (v6 ? b[0] < 128 : (b[0] != ICMP_ECHO && b[0] != ICMP_ECHOREPLY)) { /* an error: what is it about? */
        size_t hlen = v6 ? V6_LEN : V4_LEN;

        if (n < 8 + hlen + L4_ECHO)
            return "an ICMP error that quotes too little (RFC 792, RFC 4443 section 2.4)";
        p->echoed = b[8 + (v6 ? 6 : 9)];
        ports[0] = (uint16_t)get16(b + 8 + hlen + 2); /* the error goes back */
        ports[1] = (uint16_t)get16(b + 8 + hlen);
    }
    return NULL;
}

const char *pkt_decode(const uint8_t *b, size_t len, struct spkt *p, uint16_t ports[2], const uint8_t **data)
{
    bool v6 = len > 0 && b[0] >> 4 == 6;
    size_t hlen = v6 ? V6_LEN : V4_LEN;

    memset(p, 0, sizeof *p);
    p->out = true;
    if (len < hlen || (!v6 && b[0] != 0x45))
        return "a bad IP header";
    if ((v6 ? get16(b + 4) + V6_LEN : get16(b + 2)) != len)
        return "a bad IP length";
    if (!v6 && fold(sum(0, b, V4_LEN)) != 0)
        return "a bad IP checksum";
    p->tos = v6 ? (uint8_t)(get16(b) >> 4) : b[1];
    p->flowlabel = v6 ? get32(b) & 0xfffff : 0;
    p->ttl = v6 ? b[7] : b[8];
    p->proto = v6 ? b[6] : b[9];
    if (l4_sum(b, hlen, len, p->proto) != 0)
        return "a bad checksum";
    if (p->proto == PROTO_TCP)
        return read_tcp(b + hlen, len - hlen, p, ports, data);
    if (p->proto == PROTO_UDP) {
        if (len < hlen + 8 || get16(b + hlen + 4) != len - hlen)
            return "a bad UDP length";
        ports[0] = (uint16_t)get16(b + hlen);
        ports[1] = (uint16_t)get16(b + hlen + 2);
        p->len = (uint32_t)(len - hlen - 8);
        *data = b + hlen + 8;
        return NULL;
    }
    if (p->proto != PROTO_ICMP && p->proto != IPPROTO_ICMPV6)
        return "an unexpected protocol";
    p->proto = PROTO_ICMP;
    p->echoed = v6;
    return read_icmp(b + hlen, len - hlen, p, ports, data);
}

/* --- to text --- */

struct out {
    char *at;
    size_t room;
};

static void say(struct out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct out *o, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(o->at, o->room, fmt, ap);
    va_end(ap);
    if (n > 0 && (size_t)n < o->room) {
        o->at += n;
        o->room -= (size_t)n;
    }
}

static void say_opt(struct out *o, const uint8_t *b, int len)
{
    if (b[0] == 0 || b[0] == 1) {
        say(o, b[0] ? "nop" : "eol");
    } else if (b[0] == 2 && len == 4) {
        say(o, "mss %u", get16(b + 2));
    } else if (b[0] == 3 && len == 3) {
        say(o, "wscale %u", b[2]);
    } else if (b[0] == 4 && len == 2) {
        say(o, "sackOK");
    } else if (b[0] == 5) {
        say(o, "sack");
        for (int i = 2; i + 8 <= len; i += 8)
            say(o, " %u:%u", get32(b + i), get32(b + i + 4));
    } else if (b[0] == 8 && len == 10) {
        say(o, "TS val %u ecr %u", get32(b + 2), get32(b + 6));
    } else {
        say(o, b[0] == 34 ? "FO " : b[0] == 19 ? "md5 " : b[0] == 254 ? "FOEXP " : "kind %u ", b[0]);
        for (int i = b[0] == 254 ? 4 : 2; i < len; i++)
            say(o, "%02x", b[i]);
    }
}

void pkt_print(const struct spkt *p, char *buf, size_t room)
{
    static const char letters[] = "FSRP.UEWA", *const ecn[] = {"noecn", "ect1", "ect0", "ce"};
    struct out o = {buf, room};
    int len;

    say(&o, "%c ", p->out ? '>' : '<');
    if (p->tos_check == TOS_ECN)
        say(&o, "[%s] ", ecn[p->tos & 3]);
    else if (p->tos_check != TOS_ANY)
        say(&o, "[tos 0x%x] ", p->tos);
    if (p->proto == PROTO_UDP) {
        say(&o, "udp (%u)", p->len);
        return;
    }
    if (p->proto == PROTO_ICMP) {
        say(&o, "icmp type_%u code_%u", p->type, p->code);
        if (p->has_mtu)
            say(&o, " mtu %u", p->mtu);
        return;
    }
    for (int i = 0; i < 9; i++)
        if (p->flags & 1 << i)
            say(&o, "%c", letters[i]);
    if (!p->flags)
        say(&o, "-");
    say(&o, " %u:%u(%u)", p->seq, p->seq + p->len, p->len);
    if (p->flags & 0x10)
        say(&o, " ack %u", p->ack);
    if (p->window >= 0)
        say(&o, " win %d", p->window);
    if (p->urg)
        say(&o, " urg %u", p->urg);
    if (p->any_opts)
        say(&o, " <...>");
    for (size_t at = 0; !p->any_opts && (len = opt_next(p->opts, p->nopts, at)) > 0; at += (size_t)len) {
        say(&o, at ? "," : " <");
        say_opt(&o, p->opts + at, len);
    }
    if (p->nopts && !p->any_opts)
        say(&o, ">");
}

void pkt_sum(uint8_t *ip, size_t len, size_t at)
{
    size_t hlen = ip[0] >> 4 == 6 ? V6_LEN : V4_LEN;
    unsigned s;

    if (at == SIZE_MAX) {
        put16(ip + 10, fold(sum(0, ip, V4_LEN)));
        return;
    }
    s = l4_sum(ip, hlen, len, ip[0] >> 4 == 6 ? ip[6] : ip[9]);
    put16(ip + hlen + at, s ? s : 0xffff);
}
