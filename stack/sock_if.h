/* sock_if.h: interface ioctls on a socket. */
#ifndef SHUNT_SOCK_IF_H
#define SHUNT_SOCK_IF_H

#include "kinds.h"
#include "stack.h"

/* SIOCGIFCONF, SIOCGIFNAME, SIOCGIFINDEX, SIOCGIFADDR ... 0, -ENODEV, -EADDRNOTAVAIL, -ENOTTY (none of
 * these). Context: shard 0's lock. */
/* The i-th interface of those that the program sees (loopback is the host's in profile default). -ENODEV:
 * none is left. Context: the same. */
int sock_if_get(const struct stack *st, unsigned i, struct if_info *out);
int sock_if_ioctl(const struct stack *st, unsigned long req, void *arg);

#endif
