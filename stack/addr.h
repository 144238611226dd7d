/* addr.h: IP addresses and the address pairs that name a flow.
 *
 * An address is always 16 bytes in network order. An IPv4 address is held as its IPv4-mapped IPv6 form
 * (::ffff:a.b.c.d, RFC 4291 section 2.5.5.2), so that one table serves both families and a dual-stack socket
 * needs no second look-up. The unspecified address is :: for both families ("any").
 *
 * Zones (RFC 4007). An address that means nothing without its link (fe80::/10, ff01::/16, ff02::/16) carries
 * the number of its zone, the interface's index and 1, in bytes 2 and 3, which are
 * zero on the wire. So two links may have neighbours of one address, and no table needs a second key. Who
 * reads an address from the wire or from a program puts the zone in (ipaddr_set_zone), who writes one there
 * leaves it out (ipaddr_unzoned). Zone 0: not said yet.
 */
#ifndef SHUNT_ADDR_H
#define SHUNT_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Two words at once, at any multiple of four: so a port behind an address makes 20 bytes, not 24. */
typedef uint64_t ipaddr_dword __attribute__((aligned(4)));

struct ipaddr {
    union {
        uint8_t b[16];
        uint32_t w[4]; /* network order */
        ipaddr_dword d[2];
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

static inline bool ipaddr_is_linklocal(const struct ipaddr *a) /* fe80::/10 */
{
    return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

/* True if the address means nothing without its link. */
static inline bool ipaddr_needs_zone(const struct ipaddr *a)
{
    return ipaddr_is_linklocal(a) || (a->b[0] == 0xff && ((a->b[1] & 0xf) == 1 || (a->b[1] & 0xf) == 2));
}

/* The interface's index and 1; 0: none, or no address that has one. */
static inline unsigned ipaddr_zone(const struct ipaddr *a)
{
    return ipaddr_needs_zone(a) ? (unsigned)a->b[2] << 8 | a->b[3] : 0;
}

static inline void ipaddr_set_zone(struct ipaddr *a, unsigned zone)
{
    if (!ipaddr_needs_zone(a))
        return;
    a->b[2] = (uint8_t)(zone >> 8);
    a->b[3] = (uint8_t)zone;
}

/* As it is on the wire and in a sockaddr. */
static inline struct ipaddr ipaddr_unzoned(const struct ipaddr *a)
{
    struct ipaddr w = *a;

    ipaddr_set_zone(&w, 0);
    return w;
}

/* 127.0.0.0/8 or ::1 */
static inline bool ipaddr_is_loopback(const struct ipaddr *a)
{
    if (ipaddr_is_v4(a))
        return a->b[12] == 127;
    return a->d[0] == 0 && a->w[2] == 0 && a->w[3] == htonl(1);
}

#endif
