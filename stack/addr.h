/* addr.h: IP addresses and the address pairs that name a flow.
 *
 * An address is always 16 bytes in network order. An IPv4 address is held as its IPv4-mapped IPv6 form
 * (::ffff:a.b.c.d, RFC 4291 section 2.5.5.2), so that one table serves both families and a dual-stack socket
 * needs no second look-up. The unspecified address is :: for both families ("any").
 */
#ifndef SHUNT_ADDR_H
#define SHUNT_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct ipaddr {
    union {
        uint8_t b[16];
        uint32_t w[4]; /* network order */
        uint64_t d[2];
    };
};

/* An end point: address and port, both in network order. */
struct endpoint {
    struct ipaddr addr;
    uint16_t port_be;
};

#define IPADDR_ANY ((struct ipaddr){.d = {0, 0}})

static inline struct ipaddr ipaddr_v4(uint32_t v4_be)
{
    struct ipaddr a = {.w = {0, 0, htonl(0xffff), v4_be}};
    return a;
}

static inline bool ipaddr_is_v4(const struct ipaddr *a)
{
    return a->d[0] == 0 && a->w[2] == htonl(0xffff);
}

/* The IPv4 address in network order; only meaningful when ipaddr_is_v4(). */
static inline uint32_t ipaddr_get_v4(const struct ipaddr *a)
{
    return a->w[3];
}

/* :: or ::ffff:0.0.0.0 */
static inline bool ipaddr_is_any(const struct ipaddr *a)
{
    return a->d[0] == 0 && (a->d[1] == 0 || (a->w[2] == htonl(0xffff) && a->w[3] == 0));
}

static inline bool ipaddr_eq(const struct ipaddr *a, const struct ipaddr *b)
{
    return a->d[0] == b->d[0] && a->d[1] == b->d[1];
}

static inline bool ipaddr_is_multicast(const struct ipaddr *a)
{
    return ipaddr_is_v4(a) ? (ntohl(a->w[3]) >> 28) == 0xe : a->b[0] == 0xff;
}

/* 127.0.0.0/8 or ::1 */
static inline bool ipaddr_is_loopback(const struct ipaddr *a)
{
    if (ipaddr_is_v4(a))
        return a->b[12] == 127;
    return a->d[0] == 0 && a->w[2] == 0 && a->w[3] == htonl(1);
}

#endif
