/* wire_dhcp.h: DHCP messages (RFC 2131, options of RFC 2132, RFC 3442 classless routes). Pure.
 */
#ifndef SHUNT_WIRE_DHCP_H
#define SHUNT_WIRE_DHCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DHCP_SERVER_PORT 67
#define DHCP_CLIENT_PORT 68
#define DHCP_FIXED_LEN   240 /* with the magic cookie */
#define DHCP_EMIT_MAX    320 /* bytes that wire_dhcp_emit writes at most */
#define DHCP_BROADCAST   0x8000
#define DHCP_ROUTES      16
#define DHCP_DNS         4
#define DHCP_FOREVER_S   0xffffffffu

enum dhcp_op { DHCP_BOOTREQUEST = 1, DHCP_BOOTREPLY = 2 };
enum dhcp_type {
    DHCP_DISCOVER = 1,
    DHCP_OFFER,
    DHCP_REQUEST,
    DHCP_DECLINE,
    DHCP_ACK,
    DHCP_NAK,
    DHCP_RELEASE,
    DHCP_INFORM,
};

/* net_be has no bits behind plen. via_be 0: on the link. */
struct dhcp_route {
    uint32_t net_be, via_be;
    uint8_t plen;
};

/* What a message says; an option that is not there is 0. Times in seconds, host order. */
struct dhcp_msg {
    uint8_t op, type;
    uint8_t chaddr[6];
    uint16_t secs, flags;
    uint32_t xid;
    uint32_t ciaddr_be, yiaddr_be;
    uint32_t requested_be, server_be; /* options 50, 54 */
    uint32_t mask_be, router_be;      /* options 1, 3 (the first) */
    uint32_t lease_s, t1_s, t2_s;     /* options 51, 58, 59 */
    uint16_t mtu;                     /* option 26; written: option 57, what we can take */
    bool classless;                   /* option 121 was there: option 3 does not count (RFC 3442) */
    uint8_t nroutes, ndns;
    struct dhcp_route route[DHCP_ROUTES]; /* more are passed over */
    uint32_t dns_be[DHCP_DNS];            /* option 6, as many */
};

/* Reads a message of len bytes (the UDP payload) with its options, those in the fields file and sname too
 * (option 52). 0, or -1: cut short, no DHCP, not for Ethernet, an option beyond its end or of a wrong length,
 * or no message type. */
int wire_dhcp_parse(const uint8_t *p, size_t len, struct dhcp_msg *m);
/* Writes a client's message: the fixed fields, client identifier, and those options of type, requested_be,
 * server_be, mtu that are not 0; a parameter request list with DISCOVER and REQUEST. p has DHCP_EMIT_MAX
 * bytes. Returns its length (300 at least: BOOTP servers and relays drop shorter ones, RFC 1542 section 2.1).
 */
size_t wire_dhcp_emit(uint8_t *p, const struct dhcp_msg *m);
/* Length of a netmask's prefix, or -1 when its ones are not together. */
int wire_dhcp_mask_len(uint32_t mask_be);

#endif
