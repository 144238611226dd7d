/* sock_if.h: interface ioctls on a socket. */
#ifndef SHUNT_SOCK_IF_H
#define SHUNT_SOCK_IF_H

#include "kinds.h"
#include "stack.h"

/* The i-th interface of those that the program sees (loopback is the host's in profile default). -ENODEV:
 * none is left. Context: the same. */
int sock_if_get(const struct stack *st, unsigned i, struct if_info *out);
/* IFF_* of an interface, with IFF_LOWER_UP, which an ioctl has no room for. */
unsigned sock_if_flags(const struct ifnet *ifn);
/* SIOCADDRT, SIOCDELRT, SIOCSARP, SIOCDARP, SIOCSIFADDR, SIOCSIFNETMASK, SIOCSIFFLAGS, SIOCSIFMTU, of IPv6
 * SIOCDIFADDR, SIOCSIFNAME, SIOCSIFTXQLEN: 0 or -errno as Linux gives it, -EPERM to others than the stack's
 * owner and root; 1: none of these. Context: shard 0's lock. */
int sock_if_set(struct shard *sh, int domain, unsigned long req, void *arg);
/* SIOCGIFCONF, SIOCGIFNAME, SIOCGIFINDEX, SIOCGIFADDR ... on a socket of the domain. 0, -ENODEV,
 * -EADDRNOTAVAIL, -EOPNOTSUPP (a device that does not know it), -EPERM (they change an interface, a route or
 * a neighbour: `shunt run` gave those), -ENOTTY (none of these). Context: shard 0's lock. */
int sock_if_ioctl(const struct stack *st, int domain, unsigned long req, void *arg);

#endif
