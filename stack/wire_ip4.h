/* wire_ip4.h: the IPv4 header (RFC 791) and its options. Pure; the header checksum is left to the caller
 * (cksum.h).
 */
#ifndef SHUNT_WIRE_IP4_H
#define SHUNT_WIRE_IP4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IP4_HDR_LEN     20
#define IP4_HDR_MAX_LEN 60
#define IP4_DF          0x4000
#define IP4_MF          0x2000
#define IP4_OFFSET_MASK 0x1fff

enum ip4_opt {
    IP4_OPT_EOL = 0,
    IP4_OPT_NOP = 1,
    IP4_OPT_RR = 7,
    IP4_OPT_TS = 68,
    IP4_OPT_LSRR = 131,
    IP4_OPT_SSRR = 137,
    IP4_OPT_RA = 148,
};
#define IP4_OPT_COPIED 0x80 /* of an option's type: it goes into every fragment */

/* As it is on the wire; multi-byte fields in network order. */
struct ip4_hdr {
    uint8_t ver_ihl, tos;
    uint16_t len_be, id_be, off_be;
    uint8_t ttl, proto;
    uint16_t cksum;
    uint32_t src_be, dst_be;
} __attribute__((packed));

static inline unsigned ip4_hlen(const struct ip4_hdr *h)
{
    return (h->ver_ihl & 0xf) * 4u;
}

enum ip4_bad {
    IP4_OK,
    IP4_BAD_HEADER, /* version, header length, or total length below it */
    IP4_BAD_TRUNC   /* cut short: the packet says that it is longer than avail */
};

/* Checks version and lengths of the header at p; nothing else is read. IP4_OK: the header with its options
 * lies within avail, and so does the total length. */
enum ip4_bad wire_ip4_check(const uint8_t *p, size_t avail);

enum ip4_opts_verdict {
    IP4_OPTS_OK,
    IP4_OPTS_SOURCE_ROUTE, /* LSRR or SSRR present */
    IP4_OPTS_BAD           /* malformed; *at is the offending offset in the IP header */
};

/* Walks the options of a checked header (RFC 1122 section 3.2.1.8: unknown ones are passed over). */
enum ip4_opts_verdict wire_ip4_opts(const uint8_t *hdr, size_t hlen, uint8_t *at);

#endif
