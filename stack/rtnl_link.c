/* rtnl_link.c: interfaces by rtnetlink: RTM_GETLINK (Linux: rtnl_fill_ifinfo and its callers). */
#include <errno.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>

#include "ifnet.h"
#include "rtnl.h"
#include "sock_if.h"
#include "wire_eth.h"
#include "wire_ip6.h"

#define MTU_LEAST     68 /* RFC 791 */
#define GSO_SEGS_MOST 65535
#define GSO_MOST      65536
#define SKIP_STATS    8 /* RTEXT_FILTER_SKIP_STATS */
#define REACHABLE_MS  30000
#define INET6_READY   0x80000000u /* IF_READY, of IFLA_INET6_FLAGS */

enum { CURSOR_IF, CURSOR_SKIP, CURSOR_KIND }; /* of a dump: next interface; ext mask; what is left out */
enum { LIST_ALL, LIST_VLANS, LIST_NONE };

static const struct nla_policy policy[IFLA_MAX + 1] = {
    [IFLA_IFNAME] = NLA_STR(IFNAMSIZ - 1),
    [IFLA_ALT_IFNAME] = NLA_STR(127),
    [IFLA_EXT_MASK] = NLA_U32,
    [IFLA_MASTER] = NLA_U32,
    [IFLA_LINKINFO] = NLA_ATTRS,
    [IFLA_TARGET_NETNSID] = NLA_U32,
};

/* What a message about a link is for. */
struct about {
    uint16_t type, flags;
    uint32_t seq, portid, ext_mask, change;
};

static void put_stats(struct nl_out *o, const struct ifnet *ifn)
{
    struct rtnl_link_stats64 s = {.rx_packets = ifn->rx_packets,
                                  .tx_packets = ifn->tx_packets,
                                  .rx_bytes = ifn->rx_bytes,
                                  .tx_bytes = ifn->tx_bytes,
                                  .rx_dropped = ifn->rx_dropped,
                                  .tx_dropped = ifn->tx_dropped};
    struct rtnl_link_stats old = {0};
    const uint64_t *from = (const uint64_t *)&s;
    uint32_t *to = (uint32_t *)&old;

    nla_put(o, IFLA_STATS64, &s, sizeof s);
    for (unsigned i = 0; i < sizeof old / sizeof *to; i++) /* the same in 32 bits (copy_rtnl_link_stats) */
        to[i] = (uint32_t)from[i];
    nla_put(o, IFLA_STATS, &old, sizeof old);
}

static void put_vlan(const struct stack *st, struct nl_out *o, const struct ifnet *ifn)
{
    struct ifla_vlan_flags flags = {.flags = 1 /* VLAN_FLAG_REORDER_HDR */, .mask = ~0u};
    uint32_t info, data;

    if (!ifn->vlan_id)
        return;
    nla_put_u32(o, IFLA_LINK, (uint32_t)stack_if_shown(st, ifn->vlan_parent));
    info = nla_nest(o, IFLA_LINKINFO);
    nla_put_str(o, IFLA_INFO_KIND, "vlan");
    data = nla_nest(o, IFLA_INFO_DATA);
    nla_put_u16(o, IFLA_VLAN_PROTOCOL, htons(ETH_TYPE_VLAN));
    nla_put_u16(o, IFLA_VLAN_ID, ifn->vlan_id);
    nla_put(o, IFLA_VLAN_FLAGS, &flags, sizeof flags);
    nla_nest_end(o, data);
    nla_nest_end(o, info);
}

/* What IPv6 has of an interface; IPv4 has nothing that is not shown elsewhere. */
static void put_families(const struct stack *st, struct nl_out *o, const struct ifnet *ifn)
{
    struct ifla_cacheinfo ci = {.max_reasm_len = 65535,
                                .reachable_time = REACHABLE_MS,
                                .retrans_time = (uint32_t)st->set.neigh_retrans};
    uint32_t all = nla_nest(o, IFLA_AF_SPEC), one;

    if (!st->set.disable_ipv6 && ifn->mtu >= IP6_MIN_MTU) {
        one = nla_nest(o, AF_INET6);
        nla_put_u32(o, IFLA_INET6_FLAGS, ifn->up ? INET6_READY : 0);
        nla_put(o, IFLA_INET6_CACHEINFO, &ci, sizeof ci);
        nla_put_u8(o, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_EUI64);
        nla_nest_end(o, one);
    }
    nla_nest_end(o, all);
}

static bool put_link(const struct stack *st, struct nl_out *o, const struct ifnet *ifn, const struct about *a)
{
    static const uint8_t bcast[ETH_ADDR_LEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, none[ETH_ADDR_LEN];
    bool lo = ifn->caps & NETDEV_LOOPBACK;
    uint32_t gso = ifn->tso_max ? ifn->tso_max : GSO_MOST;
    struct ifinfomsg *m = nlmsg_begin(o, a->type, a->flags, a->seq, a->portid, sizeof *m);

    if (!m)
        return false;
    m->ifi_type = lo ? ARPHRD_LOOPBACK : ARPHRD_ETHER;
    m->ifi_index = stack_if_shown(st, ifn->index);
    m->ifi_flags = sock_if_flags(ifn);
    m->ifi_change = a->change;
    nla_put_str(o, IFLA_IFNAME, ifn->name);
    nla_put_u32(o, IFLA_TXQLEN, ifn->txqlen);
    nla_put_u8(o, IFLA_OPERSTATE, lo ? IF_OPER_UNKNOWN : ifn->up ? IF_OPER_UP : IF_OPER_DOWN);
    nla_put_u8(o, IFLA_LINKMODE, IF_LINK_MODE_DEFAULT);
    nla_put_u32(o, IFLA_MTU, ifn->mtu);
    nla_put_u32(o, IFLA_MIN_MTU, lo ? 0 : MTU_LEAST);
    nla_put_u32(o, IFLA_MAX_MTU, lo ? 0 : ifn->mtu_max);
    nla_put_u32(o, IFLA_GROUP, 0);
    nla_put_u32(o, IFLA_PROMISCUITY, !!(ifn->flipped & IFF_PROMISC));
    if (ifn->alias[0])
        nla_put_str(o, IFLA_IFALIAS, ifn->alias);
    nla_put_u32(o, IFLA_NUM_TX_QUEUES, 1);
    nla_put_u32(o, IFLA_GSO_MAX_SEGS, GSO_SEGS_MOST);
    nla_put_u32(o, IFLA_GSO_MAX_SIZE, gso);
    nla_put_u32(o, IFLA_NUM_RX_QUEUES, 1);
    nla_put_u8(o, IFLA_CARRIER, 1);
    nla_put_str(o, IFLA_QDISC, "noqueue");
    nla_put_u32(o, IFLA_CARRIER_CHANGES, 0);
    nla_put_u8(o, IFLA_PROTO_DOWN, 0);
    nla_put(o, IFLA_ADDRESS, lo ? none : ifn->mac, ETH_ADDR_LEN);
    nla_put(o, IFLA_BROADCAST, lo ? none : bcast, ETH_ADDR_LEN);
    if (!(a->ext_mask & SKIP_STATS))
        put_stats(o, ifn);
    put_vlan(st, o, ifn);
    put_families(st, o, ifn);
    return nlmsg_end(o, m);
}

/* Is the kind of link that a filter names ours? */
static int kinds_wanted(struct nl_req *rq, const struct nlattr *linkinfo)
{
    static const struct nla_policy kind_policy[IFLA_INFO_KIND + 1] = {[IFLA_INFO_KIND] = NLA_STR(15)};
    const struct nlattr *tb[IFLA_INFO_KIND + 1];
    char kind[16];

    if (!linkinfo)
        return LIST_ALL;
    if (nla_parse(tb, IFLA_INFO_KIND, nla_data(linkinfo), nla_len(linkinfo), kind_policy, false, &rq->why) ||
        !tb[IFLA_INFO_KIND] || !nla_str(tb[IFLA_INFO_KIND], kind, sizeof kind))
        return LIST_ALL;
    return strcmp(kind, "vlan") ? LIST_NONE : LIST_VLANS;
}

/* rtnl_valid_dump_ifinfo_req, rtnl_dump_ifinfo. */
int rtnl_link_dump_start(struct nl_req *rq, struct nl_dump *d)
{
    const struct ifinfomsg *m = rtnl_header(rq, sizeof *m);
    const struct nlattr *tb[IFLA_MAX + 1];
    int err;

    d->cursor[CURSOR_IF] = rtnl_first_if(rq->sh->st);
    if (!m && rq->strict)
        return nl_refuse(rq, -EINVAL, "Invalid header for link dump", NULL);
    if (!m) /* struct rtgenmsg alone */
        return 0;
    if (rq->strict && (m->__ifi_pad || m->ifi_type || m->ifi_flags || m->ifi_change))
        return nl_refuse(rq, -EINVAL, "Invalid values in header for link dump request", NULL);
    if (rq->strict && m->ifi_index)
        return nl_refuse(rq, -EINVAL, "Filter by device index not supported for link dumps", NULL);
    err = rtnl_attrs(rq, sizeof *m, tb, IFLA_MAX, policy, rq->strict);
    if (err)
        return rq->strict ? err : (rq->why.msg = NULL, 0);
    if (tb[IFLA_TARGET_NETNSID])
        return nl_refuse(rq, -EINVAL, "Invalid target network namespace id", tb[IFLA_TARGET_NETNSID]);
    if (tb[IFLA_EXT_MASK])
        d->cursor[CURSOR_SKIP] = nla_u32(tb[IFLA_EXT_MASK]);
    d->cursor[CURSOR_KIND] = (uint64_t)kinds_wanted(rq, tb[IFLA_LINKINFO]);
    /* No bridges or the like, and none is part of one. */
    if ((tb[IFLA_MASTER] && nla_u32(tb[IFLA_MASTER])) || m->ifi_family == AF_BRIDGE)
        d->cursor[CURSOR_KIND] = LIST_NONE;
    return 0;
}

bool rtnl_link_put(const struct stack *st, struct nl_out *o, const struct ifnet *ifn,
                   const struct nlmsghdr *as, uint32_t change)
{
    struct about a = {.type = as->nlmsg_type,
                      .flags = as->nlmsg_flags,
                      .seq = as->nlmsg_seq,
                      .portid = as->nlmsg_pid,
                      .change = change};

    return put_link(st, o, ifn, &a);
}

int rtnl_link_dump(struct shard *sh, struct nl_dump *d, struct nl_out *o)
{
    const struct stack *st = sh->st;
    struct about a = {.type = RTM_NEWLINK,
                      .seq = d->seq,
                      .portid = d->portid,
                      .ext_mask = (uint32_t)d->cursor[CURSOR_SKIP]};

    d->gen = st->if_gen;
    a.flags = nl_dump_flags(d);
    for (; d->cursor[CURSOR_IF] < st->nif; d->cursor[CURSOR_IF]++) {
        const struct ifnet *ifn = &st->ifn[d->cursor[CURSOR_IF]];

        if (d->cursor[CURSOR_KIND] == LIST_NONE || (d->cursor[CURSOR_KIND] == LIST_VLANS && !ifn->vlan_id))
            continue;
        if (!put_link(st, o, ifn, &a))
            return 1;
    }
    return 0;
}

/* The interface that a request names by its number or its name. Its index, or -errno (rtnl_getlink). */
static int named(struct nl_req *rq, const struct ifinfomsg *m, const struct nlattr *tb[])
{
    char name[128] = "";
    int i = -1;

    if (m->ifi_index > 0) {
        i = rtnl_if(rq->sh->st, m->ifi_index);
    } else if (tb[IFLA_IFNAME] || tb[IFLA_ALT_IFNAME]) {
        if (nla_str(tb[IFLA_IFNAME] ? tb[IFLA_IFNAME] : tb[IFLA_ALT_IFNAME], name, sizeof name))
            i = rtnl_if_by_name(rq->sh->st, name);
    } else {
        return -EINVAL;
    }
    return i < 0 ? -ENODEV : i;
}

int rtnl_link_get(struct nl_req *rq)
{
    const struct ifinfomsg *m = rtnl_header(rq, sizeof *m);
    struct nl_out o = nl_answer(rq->sh);
    const struct nlattr *tb[IFLA_MAX + 1];
    struct about a = {.type = RTM_NEWLINK, .seq = rq->nlh->nlmsg_seq, .portid = rq->nl->portid};
    int i, err;

    if (!m)
        return rq->strict ? nl_refuse(rq, -EINVAL, "Invalid header for get link", NULL) : -EINVAL;
    if (rq->strict && (m->__ifi_pad || m->ifi_type || m->ifi_flags || m->ifi_change))
        return nl_refuse(rq, -EINVAL, "Invalid values in header for get link request", NULL);
    err = rtnl_attrs(rq, sizeof *m, tb, IFLA_MAX, policy, rq->strict);
    if (err)
        return err;
    if (tb[IFLA_TARGET_NETNSID])
        return nl_refuse(rq, -EINVAL, "Invalid target network namespace id", tb[IFLA_TARGET_NETNSID]);
    if (tb[IFLA_EXT_MASK])
        a.ext_mask = nla_u32(tb[IFLA_EXT_MASK]);
    i = named(rq, m, tb);
    if (i < 0)
        return i;
    return put_link(rq->sh->st, &o, &rq->sh->st->ifn[i], &a) ? nl_reply(rq, &o) : -EMSGSIZE;
}
