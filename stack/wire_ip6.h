/* wire_ip6.h: the IPv6 header and its extension headers (RFC 8200). Pure.
 *
 * The walk. What stands between the IPv6 header and the transport's is a chain that its sender made, of any
 * length and in any order. wire_ip6_walk goes along it once, within bounds (RFC 8504 section 5.3), stops at
 * the transport or at a fragment header, and says what RFC 8200 asks to be done about what it does not know.
 */
#ifndef SHUNT_WIRE_IP6_H
#define SHUNT_WIRE_IP6_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IP6_HDR_LEN  40
#define IP6_MIN_MTU  1280 /* RFC 8200 section 5 */
#define IP6_MAX_PLEN 65535
#define IP6_FRAG_LEN 8

#define IP6_EXT_MAX      8    /* extension headers before the transport */
#define IP6_EXT_BYTES    1024 /* all of them together */
#define IP6_OPTS_MAX     8    /* options in one header that are no padding (Linux: max_hbh_opts_number) */
#define IP6_PAD_MAX      7    /* bytes of padding in a row (RFC 8504 section 5.3; Linux) */
#define IP6_FLOW_MASK    0x000fffffu
#define IP6_FRAG_MORE    1u
#define IP6_FRAG_OFFMASK 0xfff8u

enum ip6_next {
    IP6_NEXT_HOPOPTS = 0,
    IP6_NEXT_ROUTING = 43,
    IP6_NEXT_FRAGMENT = 44,
    IP6_NEXT_ICMP = 58,
    IP6_NEXT_NONE = 59,
    IP6_NEXT_DSTOPTS = 60,
};

/* As it is on the wire; multi-byte fields in network order. */
struct ip6_head {
    uint32_t vcf_be; /* version 4 bits, traffic class 8, flow label 20 */
    uint16_t plen_be;
    uint8_t next, hops;
    uint8_t src[16], dst[16];
} __attribute__((packed));

struct ip6_frag_head {
    uint8_t next, reserved;
    uint16_t off_be; /* offset in the upper 13 bits, IP6_FRAG_MORE */
    uint32_t id_be;
} __attribute__((packed));

static inline uint8_t ip6_tclass(const struct ip6_head *h)
{
    return (uint8_t)(ntohl(h->vcf_be) >> 20);
}

enum ip6_bad {
    IP6_OK,
    IP6_BAD_HEADER, /* no version 6 */
    IP6_BAD_TRUNC   /* cut short: the packet says that it is longer than avail */
};

/* Checks version and length of the header at p. IP6_OK: header and payload lie within avail. */
enum ip6_bad wire_ip6_check(const uint8_t *p, size_t avail);

enum ip6_walk_verdict {
    IP6_WALK_OK,       /* proto and off are the transport's */
    IP6_WALK_FRAGMENT, /* off is the fragment header's */
    IP6_WALK_TRUNC,    /* the chain is longer than what there is */
    IP6_WALK_DISCARD,  /* drop without a word */
    IP6_WALK_PARAM,    /* drop; an ICMPv6 parameter problem with code and pointer (for a multicast only when
                          even_multicast) */
};

struct ip6_walk {
    uint8_t proto;
    uint8_t code;        /* of the parameter problem */
    bool even_multicast; /* RFC 8200 section 4.2: action 10 is reported for multicasts too */
    uint16_t off;        /* from the start of the IPv6 header */
    uint16_t next_at;    /* offset of the field that named proto */
    uint16_t pointer;
};

/* p: the IPv6 header (checked), of whose packet avail bytes are there to be read. past_fragment: a fragment
 * header is stepped over (that of a packet quoted in an error). */
enum ip6_walk_verdict wire_ip6_walk(const uint8_t *p, size_t avail, bool past_fragment, struct ip6_walk *w);

#endif
