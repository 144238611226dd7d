/* sock_if.h: interface ioctls on a socket. */
#ifndef SHUNT_SOCK_IF_H
#define SHUNT_SOCK_IF_H

#include "stack.h"

/* SIOCGIFCONF, SIOCGIFNAME, SIOCGIFINDEX, SIOCGIFADDR ... 0, -ENODEV, -EADDRNOTAVAIL, -ENOTTY (none of
 * these). Context: shard 0's lock. */
int sock_if_ioctl(const struct stack *st, unsigned long req, void *arg);

#endif
