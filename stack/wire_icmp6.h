/* wire_icmp6.h: ICMPv6 (RFC 4443) and the messages of neighbour discovery (RFC 4861). Pure.
 */
#ifndef SHUNT_WIRE_ICMP6_H
#define SHUNT_WIRE_ICMP6_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire_icmp.h"

#define ICMP6_HDR_LEN 8

enum icmp6_type {
    ICMP6_T_UNREACH = 1,
    ICMP6_T_TOO_BIG = 2,
    ICMP6_T_TIME_EXCEEDED = 3,
    ICMP6_T_PARAM = 4,
    ICMP6_T_ECHO = 128,
    ICMP6_T_ECHO_REPLY = 129,
    ICMP6_T_MLD_QUERY = 130,
    ICMP6_T_MLD_REPORT = 131,
    ICMP6_T_MLD_DONE = 132,
    ICMP6_T_RS = 133,
    ICMP6_T_RA = 134,
    ICMP6_T_NS = 135,
    ICMP6_T_NA = 136,
    ICMP6_T_REDIRECT = 137,
    ICMP6_T_MLD2_REPORT = 143,
};

enum icmp6_unreach_code {
    ICMP6_C_NO_ROUTE = 0,
    ICMP6_C_PROHIBITED = 1,
    ICMP6_C_SCOPE = 2,
    ICMP6_C_ADDR = 3,
    ICMP6_C_PORT = 4,
    ICMP6_C_POLICY = 5,
    ICMP6_C_REJECT = 6,
};

enum icmp6_exceeded_code { ICMP6_C_HOPS = 0, ICMP6_C_FRAG_TIME = 1 };
enum icmp6_param_code {
    ICMP6_C_HEADER = 0,
    ICMP6_C_NEXT = 1,
    ICMP6_C_OPTION = 2,
    ICMP6_C_INCOMPLETE = 3, /* RFC 7112: the first fragment does not hold all headers */
};

/* RFC 4443 section 2.1: errors are the types below 128. */
static inline bool icmp6_type_is_error(uint8_t type)
{
    return type < 128;
}

/* What Linux makes of an error message (its icmpv6_err_convert). */
struct icmp_errno wire_icmp6_errno(uint8_t type, uint8_t code);

/* --- neighbour discovery --- */

#define ND_NS_LEN       24 /* solicitation and advertisement, without options */
#define ND_RA_LEN       16
#define ND_RS_LEN       8
#define ND_REDIRECT_LEN 40
#define ND_HOPS         255 /* every message's hop limit: it has crossed no router (RFC 4861 section 3.1) */
#define ND_NONCE_LEN    6
#define ND_PREFIX_MAX   8 /* prefix options taken from one advertisement */

enum nd_opt {
    ND_OPT_SLLA = 1,
    ND_OPT_TLLA = 2,
    ND_OPT_PREFIX = 3,
    ND_OPT_REDIRECTED = 4,
    ND_OPT_MTU = 5,
    ND_OPT_NONCE = 14, /* RFC 3971; RFC 7527 */
    ND_OPT_ROUTE = 24, /* RFC 4191 */
};

enum nd_na_flag { ND_NA_ROUTER = 0x80, ND_NA_SOLICITED = 0x40, ND_NA_OVERRIDE = 0x20 };
enum nd_prefix_flag { ND_PREFIX_ONLINK = 0x80, ND_PREFIX_AUTO = 0x40 };

struct nd_prefix {
    uint8_t len, flags; /* enum nd_prefix_flag */
    uint32_t valid_s, preferred_s;
    uint8_t prefix[16];
};

/* Options of a message; pointers into it. */
struct nd_opts {
    const uint8_t *slla, *tlla; /* 6 bytes, or NULL */
    const uint8_t *nonce;       /* ND_NONCE_LEN bytes, or NULL */
    uint32_t mtu;               /* 0: none */
    unsigned nprefix;
    struct nd_prefix prefix[ND_PREFIX_MAX];
};

/* Reads the options in len bytes at p. False: the message is to be dropped (RFC 4861 section 4.6: an option
 * of length 0, or cut short). Unknown options, and known ones of an odd length, are passed over. */
bool wire_nd_opts(const uint8_t *p, size_t len, struct nd_opts *o);
/* Writes a link address option (8 bytes). */
size_t wire_nd_emit_lla(uint8_t *p, enum nd_opt type, const uint8_t mac[6]);
/* Writes a nonce option (8 bytes). */
size_t wire_nd_emit_nonce(uint8_t *p, const uint8_t nonce[ND_NONCE_LEN]);

#endif
