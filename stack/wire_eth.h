/* wire_eth.h: the Ethernet header. Pure.
 */
#ifndef SHUNT_WIRE_ETH_H
#define SHUNT_WIRE_ETH_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ETH_HDR_LEN  14
#define ETH_ADDR_LEN 6

enum eth_type {
    ETH_TYPE_IP4 = 0x0800,
    ETH_TYPE_ARP = 0x0806,
    ETH_TYPE_VLAN = 0x8100,
    ETH_TYPE_IP6 = 0x86dd,
};

/* As it is on the wire. */
struct eth_hdr {
    uint8_t dst[ETH_ADDR_LEN], src[ETH_ADDR_LEN];
    uint16_t type_be;
} __attribute__((packed));

static inline bool eth_addr_eq(const uint8_t a[6], const uint8_t b[6])
{
    return memcmp(a, b, ETH_ADDR_LEN) == 0;
}

static inline bool eth_addr_is_multicast(const uint8_t a[6]) /* broadcast included */
{
    return a[0] & 1;
}

static inline bool eth_addr_is_zero(const uint8_t a[6])
{
    return (a[0] | a[1] | a[2] | a[3] | a[4] | a[5]) == 0;
}

static inline size_t wire_eth_emit(uint8_t *p, const uint8_t dst[6], const uint8_t src[6], uint16_t type)
{
    uint16_t type_be = htons(type);

    memcpy(p, dst, ETH_ADDR_LEN);
    memcpy(p + 6, src, ETH_ADDR_LEN);
    memcpy(p + 12, &type_be, 2);
    return ETH_HDR_LEN;
}

#endif
