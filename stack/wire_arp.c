/* wire_arp.c: ARP packets (wire_arp.h). */
#include "wire_arp.h"

#include <arpa/inet.h>
#include <string.h>

/* ar$hrd Ethernet, ar$pro IPv4, ar$hln 6, ar$pln 4 (RFC 826) */
static const uint8_t arp_head[6] = {0, 1, 0x08, 0x00, 6, 4};

int wire_arp_parse(const uint8_t *p, size_t avail, struct arp_pkt *a)
{
    if (avail < ARP_LEN || memcmp(p, arp_head, sizeof arp_head) != 0)
        return -1;
    a->op = (uint16_t)(p[6] << 8 | p[7]);
    memcpy(a->sha, p + 8, 6);
    memcpy(&a->spa_be, p + 14, 4);
    memcpy(a->tha, p + 18, 6);
    memcpy(&a->tpa_be, p + 24, 4);
    return 0;
}

size_t wire_arp_emit(uint8_t *p, const struct arp_pkt *a)
{
    uint16_t op_be = htons(a->op);

    memcpy(p, arp_head, sizeof arp_head);
    memcpy(p + 6, &op_be, 2);
    memcpy(p + 8, a->sha, 6);
    memcpy(p + 14, &a->spa_be, 4);
    memcpy(p + 18, a->tha, 6);
    memcpy(p + 24, &a->tpa_be, 4);
    return ARP_LEN;
}
