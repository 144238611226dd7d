/* wire_icmp.h: ICMP for IPv4 (RFC 792, RFC 1191). Pure.
 */
#ifndef SHUNT_WIRE_ICMP_H
#define SHUNT_WIRE_ICMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ICMP_HDR_LEN 8

enum icmp_type {
    ICMP_T_ECHO_REPLY = 0,
    ICMP_T_UNREACH = 3,
    ICMP_T_SOURCE_QUENCH = 4,
    ICMP_T_REDIRECT = 5,
    ICMP_T_ECHO = 8,
    ICMP_T_TIME_EXCEEDED = 11,
    ICMP_T_PARAM = 12,
    ICMP_T_TIMESTAMP = 13,
    ICMP_T_TIMESTAMP_REPLY = 14,
};

enum icmp_unreach_code {
    ICMP_C_NET = 0,
    ICMP_C_HOST = 1,
    ICMP_C_PROTO = 2,
    ICMP_C_PORT = 3,
    ICMP_C_FRAG_NEEDED = 4,
    ICMP_C_SR_FAILED = 5,
};

enum icmp_exceeded_code { ICMP_C_TTL = 0, ICMP_C_FRAG_TIME = 1 };

struct icmp_in {
    uint8_t type, code;
    uint16_t id_be, seq_be; /* echo */
    uint16_t mtu;           /* next-hop MTU of "fragmentation needed", host order */
    uint8_t pointer;        /* of a parameter problem */
};

/* Reads the 8-byte header. 0, or -1 when it is cut short. */
int wire_icmp_parse(const uint8_t *p, size_t avail, struct icmp_in *h);
/* Writes the 8-byte header of an ICMP or ICMPv6 message (RFC 4443 section 2.1 has the same), checksum zero.
 * rest: what the type puts in bytes 4 to 7, host order (0; the MTU; pointer << 24). */
size_t wire_icmp_emit(uint8_t *p, uint8_t type, uint8_t code, uint32_t rest);

/* A message that reports an error: none may be sent about such a one (RFC 1122 section 3.2.2). Types unknown
 * to RFC 1122 count as errors: silence is safe. */
static inline bool icmp_type_is_error(uint8_t type)
{
    return !(type == ICMP_T_ECHO || type == ICMP_T_ECHO_REPLY || (type >= 13 && type <= 18) || type == 9 ||
             type == 10);
}

/* What Linux makes of an error message (its icmp_err_convert table and icmp_unreach, IPv4). */
struct icmp_errno {
    int err;    /* positive errno */
    bool fatal; /* reported even to a socket that did not ask */
};

/* For type UNREACH, TIME_EXCEEDED, PARAM, SOURCE_QUENCH. err 0: not an error that sockets see. */
struct icmp_errno wire_icmp_errno(uint8_t type, uint8_t code);

#endif
