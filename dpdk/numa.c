/* numa.c: the few functions of libnuma that EAL and vhost call, for a process that has one kind of memory.
 *
 * Packet memory is one file mapped by all of the family, whose pages lie where they are touched first; there
 * is nothing to choose a node for. With these the engine does without libnuma, which reads the machine's
 * topology whenever it is loaded.
 */
#include <errno.h>
#include <numa.h>
#include <numaif.h>
#include <stdlib.h>

#include "sys.h"

int numa_available(void)
{
    return -1;
}

struct bitmask *numa_allocate_nodemask(void)
{
    return NULL; /* only asked for when numa_available() said yes */
}

void numa_bitmask_free(struct bitmask *mask) {}

void numa_set_localalloc(void) {}

void numa_set_preferred(int node) {}

static long result(long r)
{
    if (r >= 0)
        return r;
    errno = (int)-r;
    return -1;
}

long get_mempolicy(int *mode, unsigned long *nodes, unsigned long max_node, void *addr, unsigned flags)
{
    return result(sys5(SYS_get_mempolicy, mode, nodes, max_node, addr, flags));
}

long set_mempolicy(int mode, const unsigned long *nodes, unsigned long max_node)
{
    return result(sys3(SYS_set_mempolicy, mode, nodes, max_node));
}
