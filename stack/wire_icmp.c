/* wire_icmp.c: ICMP headers and what errors mean (wire_icmp.h). */
#include "wire_icmp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

int wire_icmp_parse(const uint8_t *p, size_t avail, struct icmp_in *h)
{
    if (avail < ICMP_HDR_LEN)
        return -1;
    h->type = p[0];
    h->code = p[1];
    h->pointer = p[4];
    memcpy(&h->id_be, p + 4, 2);
    memcpy(&h->seq_be, p + 6, 2);
    h->mtu = ntohs(h->seq_be); /* RFC 1191 section 4: the low 16 bits of the second word */
    return 0;
}

size_t wire_icmp_emit(uint8_t *p, uint8_t type, uint8_t code, uint32_t rest)
{
    uint32_t rest_be = htonl(rest);

    p[0] = type;
    p[1] = code;
    p[2] = p[3] = 0;
    memcpy(p + 4, &rest_be, 4);
    return ICMP_HDR_LEN;
}

struct icmp_errno wire_icmp_errno(uint8_t type, uint8_t code)
{
    /* By code of destination unreachable (RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1). */
    static const struct icmp_errno unreach[] = {
        {ENETUNREACH, false},  /* net */
        {EHOSTUNREACH, false}, /* host */
        {ENOPROTOOPT, true},   /* protocol */
        {ECONNREFUSED, true},  /* port */
        {EMSGSIZE, false},     /* fragmentation needed */
        {EOPNOTSUPP, false},   /* source route failed */
        {ENETUNREACH, true},   /* net unknown */
        {EHOSTDOWN, true},     /* host unknown */
        {ENONET, true},        /* source host isolated */
        {ENETUNREACH, true},   /* net administratively prohibited */
        {EHOSTUNREACH, true},  /* host administratively prohibited */
        {ENETUNREACH, false},  /* net unreachable for type of service */
        {EHOSTUNREACH, false}, /* host unreachable for type of service */
        {EHOSTUNREACH, true},  /* communication administratively prohibited */
        {EHOSTUNREACH, true},  /* host precedence violation */
        {EHOSTUNREACH, true},  /* precedence cutoff */
    };
    static const struct icmp_errno none = {0, false};

    switch (type) {
    case ICMP_T_UNREACH:
        return code < sizeof unreach / sizeof unreach[0] ? unreach[code] : none;
    case ICMP_T_TIME_EXCEEDED:
        return (struct icmp_errno){EHOSTUNREACH, false};
    case ICMP_T_PARAM:
        return (struct icmp_errno){EPROTO, true};
    default: /* source quench among them: RFC 6633 section 3 has it ignored */
        return none;
    }
}
