/* wire_udp.h: the UDP header (RFC 768). Pure.
 */
#ifndef SHUNT_WIRE_UDP_H
#define SHUNT_WIRE_UDP_H

#include <stddef.h>
#include <stdint.h>

#define UDP_HDR_LEN 8

struct udp_hdr_in {
    uint16_t sport_be, dport_be;
    uint16_t len;      /* host order, header included */
    uint16_t cksum_be; /* 0: the sender computed none */
};

/* Reads the header. 0, or -1 when it is cut short or its length is below 8 or beyond avail (bytes from p to
 * the packet's end). */
int wire_udp_parse(const uint8_t *p, size_t avail, struct udp_hdr_in *h);
/* Writes the header with a zero checksum; len: payload bytes, at most 65527. Returns UDP_HDR_LEN. */
size_t wire_udp_emit(uint8_t *p, uint16_t sport_be, uint16_t dport_be, size_t len);

#endif
