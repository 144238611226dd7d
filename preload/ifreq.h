/* ifreq.h: the ioctl requests that are about interfaces (netdevice(7)), which any socket takes: one of
 * AF_UNIX too, as libc's own is for the name behind the % of an address. */
#ifndef SHUNT_IFREQ_H
#define SHUNT_IFREQ_H

#include <linux/sockios.h>
#include <stdbool.h>

/* Names an interface, or asks for all; no route and no ARP entry. */
static inline bool ifreq_is(unsigned req)
{
    return (req >= SIOCGIFNAME && req <= SIOCETHTOOL) || req == SIOCGIFMAP || req == SIOCSIFMAP;
}

#endif
