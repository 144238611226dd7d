/* netdev.c: the process-private table of devices (netdev.h). */
#include "netdev.h"

#include <stddef.h>

static struct netdev *devs[NETDEV_MAX];

void netdev_register(unsigned index, struct netdev *dev)
{
    if (index < NETDEV_MAX)
        devs[index] = dev;
}

struct netdev *netdev_get(unsigned index)
{
    return index < NETDEV_MAX ? devs[index] : NULL;
}
