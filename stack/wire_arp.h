/* wire_arp.h: ARP packets for IPv4 over Ethernet (RFC 826). Pure.
 */
#ifndef SHUNT_WIRE_ARP_H
#define SHUNT_WIRE_ARP_H

#include <stddef.h>
#include <stdint.h>

#define ARP_LEN 28

enum arp_op { ARP_REQUEST = 1, ARP_REPLY = 2 };

struct arp_pkt {
    uint16_t op; /* host order */
    uint8_t sha[6], tha[6];
    uint32_t spa_be, tpa_be;
};

/* Reads the packet at p (behind the Ethernet header). 0, or -1 when it is cut short or not IPv4 over
 * Ethernet. */
int wire_arp_parse(const uint8_t *p, size_t avail, struct arp_pkt *a);
/* Writes ARP_LEN bytes; returns ARP_LEN. */
size_t wire_arp_emit(uint8_t *p, const struct arp_pkt *a);

#endif
