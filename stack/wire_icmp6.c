/* wire_icmp6.c: see wire_icmp6.h. */
#include "wire_icmp6.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

struct icmp_errno wire_icmp6_errno(uint8_t type, uint8_t code)
{
    static const struct icmp_errno unreach[] = {
        [ICMP6_C_NO_ROUTE] = {ENETUNREACH, false}, [ICMP6_C_PROHIBITED] = {EACCES, true},
        [ICMP6_C_SCOPE] = {EHOSTUNREACH, false},   [ICMP6_C_ADDR] = {EHOSTUNREACH, false},
        [ICMP6_C_PORT] = {ECONNREFUSED, true},     [ICMP6_C_POLICY] = {EACCES, true},
        [ICMP6_C_REJECT] = {EACCES, true},
    };

    switch (type) {
    case ICMP6_T_UNREACH:
        return code < sizeof unreach / sizeof unreach[0] ? unreach[code] : (struct icmp_errno){EPROTO, true};
    case ICMP6_T_TOO_BIG:
        return (struct icmp_errno){EMSGSIZE, false};
    case ICMP6_T_PARAM:
        return (struct icmp_errno){EPROTO, true};
    case ICMP6_T_TIME_EXCEEDED:
        return (struct icmp_errno){EHOSTUNREACH, false};
    default:
        return (struct icmp_errno){EPROTO, false};
    }
}

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, 4);
    return ntohl(v);
}

static void add_prefix(const uint8_t *p, struct nd_opts *o)
{
    struct nd_prefix *x;

    if (o->nprefix == ND_PREFIX_MAX || p[2] > 128)
        return;
    x = &o->prefix[o->nprefix++];
    x->len = p[2];
    x->flags = p[3];
    x->valid_s = get32(p + 4);
    x->preferred_s = get32(p + 8);
    memcpy(x->prefix, p + 16, 16);
}

bool wire_nd_opts(const uint8_t *p, size_t len, struct nd_opts *o)
{
    memset(o, 0, sizeof *o);
    while (len > 0) {
        size_t n;

        if (len < 2 || (n = p[1] * 8u) == 0 || n > len)
            return false;
        /* Of a repeated option the first counts, as on Linux. */
        if (p[0] == ND_OPT_SLLA && n == 8 && !o->slla)
            o->slla = p + 2;
        else if (p[0] == ND_OPT_TLLA && n == 8 && !o->tlla)
            o->tlla = p + 2;
        else if (p[0] == ND_OPT_NONCE && n == 8 && !o->nonce)
            o->nonce = p + 2;
        else if (p[0] == ND_OPT_MTU && n == 8 && !o->mtu)
            o->mtu = get32(p + 4);
        else if (p[0] == ND_OPT_PREFIX && n == 32)
            add_prefix(p, o);
        p += n;
        len -= n;
    }
    return true;
}

static size_t emit_opt(uint8_t *p, enum nd_opt type, const uint8_t data[6])
{
    p[0] = (uint8_t)type;
    p[1] = 1;
    memcpy(p + 2, data, 6);
    return 8;
}

size_t wire_nd_emit_lla(uint8_t *p, enum nd_opt type, const uint8_t mac[6])
{
    return emit_opt(p, type, mac);
}

size_t wire_nd_emit_nonce(uint8_t *p, const uint8_t nonce[ND_NONCE_LEN])
{
    return emit_opt(p, ND_OPT_NONCE, nonce);
}
