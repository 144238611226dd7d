/* netlink_table.h: what netlink sockets have in common, for netlink*.c and rtnl_tell.c alone. In the segment,
 * under the shard's lock. */
#ifndef SHUNT_NETLINK_TABLE_H
#define SHUNT_NETLINK_TABLE_H

#include "filter.h"
#include "list.h"
#include "netlink.h"
#include "slab.h"

#define NL_PROTOCOLS   4
#define ATTR_MISS_TYPE 5 /* NLMSGERR_ATTR_MISS_TYPE, since Linux 6.1 */

struct netlink_table {
    struct slab pcbs;               /* struct netlinkcb */
    struct slab asks;               /* copies of requests for dumps */
    struct list all;                /* chain of pcb.hash */
    int32_t rover;                  /* the next automatic name but the process's number */
    uint64_t members[NL_PROTOCOLS]; /* by protocol: groups that somebody is a member of */
    uint8_t *in, *out;              /* the request, the answer */
    struct rtnl_told *told;         /* rtnl_tell.c's */
};

/* netlinkcb.opts */
enum nl_opt {
    NLO_PKTINFO = 1,
    NLO_NO_ENOBUFS = 2,
    NLO_CAP_ACK = 4,
    NLO_EXT_ACK = 8,
    NLO_STRICT = 16,
    NLO_BROADCAST_ERROR = 32,
    NLO_PASSCRED = 64, /* SO_PASSCRED */
};

const struct nl_protocol *netlink_protocol(const struct netlinkcb *nl);
/* Members of the protocol's groups were not told of something: they hear ENOBUFS. */
void netlink_lost(struct shard *sh, int protocol);
/* Some socket's groups changed. */
void netlink_count_members(struct shard *sh);

#endif
