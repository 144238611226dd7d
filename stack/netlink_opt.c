/* netlink_opt.c: options of netlink sockets (man 7 netlink; Linux: netlink_setsockopt, netlink_getsockopt).
 */
#include <errno.h>
#include <sys/socket.h>

#include "netlink_table.h"

/* Linux's number that the headers in use may lack. */
#define OPT_LISTEN_ALL_NSID 8

static uint8_t bit_of(int name)
{
    switch (name) {
    case NETLINK_PKTINFO:
        return NLO_PKTINFO;
    case NETLINK_BROADCAST_ERROR:
        return NLO_BROADCAST_ERROR;
    case NETLINK_NO_ENOBUFS:
        return NLO_NO_ENOBUFS;
    case NETLINK_CAP_ACK:
        return NLO_CAP_ACK;
    case NETLINK_EXT_ACK:
        return NLO_EXT_ACK;
    case NETLINK_GET_STRICT_CHK:
        return NLO_STRICT;
    default:
        return 0;
    }
}

static int set_membership(struct shard *sh, struct netlinkcb *nl, bool join, uint32_t group)
{
    uint64_t bit = (uint64_t)1 << ((group - 1) % NL_GROUPS);

    if (group - 1 >= netlink_protocol(nl)->ngroups)
        return -EINVAL;
    nl->groups = join ? nl->groups | bit : nl->groups & ~bit;
    netlink_count_members(sh);
    return 0;
}

static void set_bit(struct netlinkcb *nl, uint8_t bit, bool on)
{
    nl->opts = (uint8_t)(on ? nl->opts | bit : nl->opts & ~bit);
}

int netlink_setopt(struct shard *sh, struct netlinkcb *nl, int level, int name, const void *val, uint32_t len)
{
    uint32_t v = 0;
    uint8_t bit;

    if (level == SOL_SOCKET && name == SO_PASSCRED && len >= sizeof v) {
        memcpy(&v, val, sizeof v);
        set_bit(nl, NLO_PASSCRED, v);
        return 0;
    }
    if (level != SOL_NETLINK)
        return level == SOL_SOCKET ? dgram_setopt(sh, &nl->d, level, name, val, len) : -ENOPROTOOPT;
    if (len >= sizeof v)
        memcpy(&v, val, sizeof v);
    if (name == NETLINK_ADD_MEMBERSHIP || name == NETLINK_DROP_MEMBERSHIP)
        return set_membership(sh, nl, name == NETLINK_ADD_MEMBERSHIP, v);
    if (name == OPT_LISTEN_ALL_NSID) /* other namespaces are the kernel's (CAP_NET_BROADCAST) */
        return -EPERM;
    bit = bit_of(name);
    if (!bit)
        return -ENOPROTOOPT;
    set_bit(nl, bit, v);
    if (bit == NLO_NO_ENOBUFS && v)
        nl->congested = 0;
    return 0;
}

/* NETLINK_LIST_MEMBERSHIPS: as many words as there is room for; *len: what all of them need. */
static int list_memberships(const struct netlinkcb *nl, void *val, uint32_t *len)
{
    uint32_t words[NL_GROUPS / 32] = {(uint32_t)nl->groups, (uint32_t)(nl->groups >> 32)};
    uint32_t need = (netlink_protocol(nl)->ngroups + 31) / 32 * 4;

    memcpy(val, words, RTE_MIN(*len / 4 * 4, need));
    *len = need;
    return 0;
}

int netlink_getopt(struct shard *sh, struct netlinkcb *nl, int level, int name, void *val, uint32_t *len)
{
    int v;

    if (level == SOL_SOCKET && name == SO_PASSCRED) {
        v = !!(nl->opts & NLO_PASSCRED);
        *len = RTE_MIN(*len, (uint32_t)sizeof v);
        memcpy(val, &v, *len);
        return 0;
    }
    if (level != SOL_NETLINK)
        return level == SOL_SOCKET ? dgram_getopt(sh, &nl->d, level, name, val, len) : -ENOPROTOOPT;
    if (name == NETLINK_LIST_MEMBERSHIPS)
        return list_memberships(nl, val, len);
    if (!bit_of(name))
        return -ENOPROTOOPT;
    if (*len < sizeof v)
        return -EINVAL;
    v = !!(nl->opts & bit_of(name));
    memcpy(val, &v, sizeof v);
    *len = sizeof v;
    return 0;
}
