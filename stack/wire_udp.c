/* wire_udp.c: UDP headers (wire_udp.h). */
#include "wire_udp.h"

#include <arpa/inet.h>
#include <string.h>

int wire_udp_parse(const uint8_t *p, size_t avail, struct udp_hdr_in *h)
{
    if (avail < UDP_HDR_LEN)
        return -1;
    memcpy(&h->sport_be, p, 2);
    memcpy(&h->dport_be, p + 2, 2);
    h->len = (uint16_t)(p[4] << 8 | p[5]);
    memcpy(&h->cksum_be, p + 6, 2);
    return h->len < UDP_HDR_LEN || h->len > avail ? -1 : 0;
}

size_t wire_udp_emit(uint8_t *p, uint16_t sport_be, uint16_t dport_be, size_t len)
{
    uint16_t len_be = htons((uint16_t)(UDP_HDR_LEN + len));

    memcpy(p, &sport_be, 2);
    memcpy(p + 2, &dport_be, 2);
    memcpy(p + 4, &len_be, 2);
    memset(p + 6, 0, 2);
    return UDP_HDR_LEN;
}
