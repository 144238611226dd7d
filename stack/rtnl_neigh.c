/* rtnl_neigh.c: neighbours by rtnetlink: lists, one, changes, and the tables' settings (Linux:
 * net/core/neighbour.c: neigh_fill_info, neigh_add, neigh_delete, neightbl_fill_info). */
#include <errno.h>
#include <linux/neighbour.h>

#include "neigh.h"
#include "rtnl_neigh.h"
#include "shard.h"

#define CLOCK_HZ 100 /* of nda_cacheinfo: USER_HZ */
#define TABLES   2   /* arp_cache, ndisc_cache */

/* Of a dump: bucket; entries of it that were told; family; interface that was asked for and 1; all are left
 * out.
 */
enum { CURSOR_BUCKET, CURSOR_SKIP, CURSOR_FAMILY, CURSOR_ONLY, CURSOR_NONE };

static const struct nla_policy policy[NDA_MAX + 1] = {
    [NDA_DST] = NLA_BYTES(4), [NDA_LLADDR] = NLA_BYTES(0), [NDA_IFINDEX] = NLA_U32,
    [NDA_MASTER] = NLA_U32,   [NDA_PROTOCOL] = NLA_U8,
};

static uint16_t nud_of(const struct neigh *n)
{
    static const uint16_t nud[] = {
        [NEIGH_NONE] = NUD_NONE,     [NEIGH_INCOMPLETE] = NUD_INCOMPLETE, [NEIGH_REACHABLE] = NUD_REACHABLE,
        [NEIGH_STALE] = NUD_STALE,   [NEIGH_DELAY] = NUD_DELAY,           [NEIGH_PROBE] = NUD_PROBE,
        [NEIGH_FAILED] = NUD_FAILED, [NEIGH_NOARP] = NUD_NOARP,           [NEIGH_PERMANENT] = NUD_PERMANENT};

    return nud[n->state];
}

/* The other way; -1: no single state. */
static int state_of(uint16_t nud)
{
    for (int i = NEIGH_NONE; i <= NEIGH_PERMANENT; i++)
        if (nud_of(&(struct neigh){.state = (uint8_t)i}) == nud)
            return i;
    return -1;
}

/* How a neighbour looks now: REACHABLE ends without a timer (neigh.h). */
static uint16_t nud_now(const struct shard *sh, const struct neigh *n)
{
    return n->state == NEIGH_REACHABLE && n->fresh_until_ns < sh->now_ns ? NUD_STALE : nud_of(n);
}

static uint8_t type_of(const struct stack *st, const struct ipaddr *a)
{
    if (ipaddr_is_multicast(a))
        return RTN_MULTICAST;
    if (ip_is_broadcast(st, a))
        return RTN_BROADCAST;
    return ip_is_local(st, a) ? RTN_LOCAL : RTN_UNICAST;
}

static uint32_t ticks_since(const struct shard *sh, uint64_t ms)
{
    return (uint32_t)((shard_ms(sh) - ms) * CLOCK_HZ / 1000);
}

bool rtnl_neigh_put(const struct shard *sh, struct nl_out *o, const struct neigh *n,
                    const struct nlmsghdr *as)
{
    struct nda_cacheinfo ci = {.ndm_confirmed = ticks_since(sh, n->confirmed_ms),
                               .ndm_used = ticks_since(sh, n->used_ms),
                               .ndm_updated = ticks_since(sh, n->updated_ms)};
    struct ndmsg *m =
        nlmsg_begin(o, as->nlmsg_type, as->nlmsg_flags, as->nlmsg_seq, as->nlmsg_pid, sizeof *m);

    if (!m)
        return false;
    m->ndm_family = ipaddr_is_v4(&n->addr) ? AF_INET : AF_INET6;
    m->ndm_ifindex = stack_if_shown(sh->st, n->ifindex);
    m->ndm_state = nud_now(sh, n);
    m->ndm_type = type_of(sh->st, &n->addr);
    rtnl_addr_put(o, NDA_DST, &n->addr);
    if (neigh_has_mac(n))
        nla_put(o, NDA_LLADDR, n->hdr, ETH_ADDR_LEN);
    nla_put_u32(o, NDA_PROBES, n->probes);
    nla_put(o, NDA_CACHEINFO, &ci, sizeof ci);
    return nlmsg_end(o, m);
}

/* ---- lists ---- */

/* neigh_valid_dump_req. */
int rtnl_neigh_dump_start(struct nl_req *rq, struct nl_dump *d)
{
    const struct rtgenmsg *g = rtnl_header(rq, sizeof *g);
    const struct ndmsg *m = rtnl_header(rq, sizeof *m);
    const struct nlattr *tb[NDA_MAX + 1];
    int err, i;

    d->cursor[CURSOR_FAMILY] =
        g->rtgen_family == AF_INET || g->rtgen_family == AF_INET6 ? g->rtgen_family : 0;
    if (!m)
        return rq->strict ? nl_refuse(rq, -EINVAL, "Invalid header for neighbor dump request", NULL) : 0;
    if (rq->strict && (m->ndm_pad1 || m->ndm_pad2 || m->ndm_ifindex || m->ndm_state || m->ndm_type ||
                       (m->ndm_flags & ~NTF_PROXY)))
        return nl_refuse(rq, -EINVAL, "Invalid values in header for neighbor dump request", NULL);
    err = rtnl_attrs(rq, sizeof *m, tb, NDA_MAX, policy, rq->strict);
    if (err)
        return rq->strict ? err : (rq->why.msg = NULL, 0);
    for (i = 1; rq->strict && i <= NDA_MAX; i++)
        if (tb[i] && i != NDA_IFINDEX && i != NDA_MASTER)
            return nl_refuse(rq, -EINVAL, "Unsupported attribute in neighbor dump request", tb[i]);
    if (tb[NDA_IFINDEX] && nla_u32(tb[NDA_IFINDEX])) {
        i = rtnl_if(rq->sh->st, (int)nla_u32(tb[NDA_IFINDEX]));
        d->cursor[CURSOR_ONLY] = (uint64_t)i + 1;
        d->cursor[CURSOR_NONE] = i < 0;
    }
    if ((m->ndm_flags & NTF_PROXY) || (tb[NDA_MASTER] && nla_u32(tb[NDA_MASTER])))
        d->cursor[CURSOR_NONE] = 1; /* no proxies, no bridges */
    return 0;
}

static bool is_wanted(const struct stack *st, const struct nl_dump *d, const struct neigh *n)
{
    int family = ipaddr_is_v4(&n->addr) ? AF_INET : AF_INET6;

    return n->state != NEIGH_NONE && n->ifindex >= rtnl_first_if(st) &&
           (!d->cursor[CURSOR_FAMILY] || (int)d->cursor[CURSOR_FAMILY] == family) &&
           (!d->cursor[CURSOR_ONLY] || d->cursor[CURSOR_ONLY] == n->ifindex + 1u);
}

int rtnl_neigh_dump(struct shard *sh, struct nl_dump *d, struct nl_out *o)
{
    struct nlmsghdr as = {.nlmsg_type = RTM_NEWNEIGH,
                          .nlmsg_seq = d->seq,
                          .nlmsg_pid = d->portid,
                          .nlmsg_flags = NLM_F_MULTI | (d->cursor[CURSOR_ONLY] ? NLM_F_DUMP_FILTERED : 0)};

    if (d->cursor[CURSOR_NONE])
        return 0;
    for (; d->cursor[CURSOR_BUCKET] < NEIGH_BUCKETS; d->cursor[CURSOR_BUCKET]++) {
        uint64_t i = 0;

        list_for_each(at, &sh->st->neigh->bucket[d->cursor[CURSOR_BUCKET]])
        {
            const struct neigh *n = container_of(at, struct neigh, hash);

            if (i++ < d->cursor[CURSOR_SKIP])
                continue;
            if (is_wanted(sh->st, d, n) && !rtnl_neigh_put(sh, o, n, &as))
                return 1;
            d->cursor[CURSOR_SKIP] = i;
        }
        d->cursor[CURSOR_SKIP] = 0;
    }
    return 0;
}

/* ---- one ---- */

/* Which neighbour a request is about. */
struct about {
    struct ipaddr addr;
    unsigned ifindex;
    const struct nlattr *lladdr;
    uint16_t state;
    uint8_t flags;
};

static int take(struct nl_req *rq, struct about *a)
{
    const struct ndmsg *m = rtnl_header(rq, sizeof *m);
    const struct nlattr *tb[NDA_MAX + 1];
    int err, i;

    if (!m)
        return -EINVAL;
    err = rtnl_attrs(rq, sizeof *m, tb, NDA_MAX, policy, false);
    if (err)
        return err;
    if (!tb[NDA_DST])
        return nl_refuse(rq, -EINVAL, "Network address not specified", NULL);
    if (m->ndm_ifindex == 0)
        return nl_refuse(rq, -EINVAL, "No device specified", NULL);
    i = rtnl_if(rq->sh->st, m->ndm_ifindex);
    if (i < 0)
        return nl_refuse(rq, -ENODEV, "Unknown device ifindex", NULL);
    if (m->ndm_family != AF_INET && m->ndm_family != AF_INET6)
        return -EAFNOSUPPORT;
    if (rtnl_addr_get(tb[NDA_DST], m->ndm_family, &a->addr))
        return nl_refuse(rq, -EINVAL, "Invalid network address", tb[NDA_DST]);
    if (m->ndm_flags & (NTF_PROXY | NTF_SELF | NTF_MASTER))
        return nl_refuse(rq, -EOPNOTSUPP, "shunt: no proxies and no forwarding tables", NULL);
    if (tb[NDA_LLADDR] && nla_len(tb[NDA_LLADDR]) != ETH_ADDR_LEN)
        return nl_refuse(rq, -EINVAL, "Invalid link address", tb[NDA_LLADDR]);
    ipaddr_set_zone(&a->addr, (unsigned)i + 1);
    a->ifindex = (unsigned)i;
    a->lladdr = tb[NDA_LLADDR];
    a->state = m->ndm_state;
    a->flags = m->ndm_flags;
    return 0;
}

/* NULL: not there, or made by a flow that has sent nothing yet. */
static struct neigh *known(const struct stack *st, const struct about *a)
{
    struct neigh *n = neigh_find(st, a->ifindex, &a->addr);

    return n && n->state != NEIGH_NONE ? n : NULL;
}

int rtnl_neigh_get(struct nl_req *rq)
{
    struct nlmsghdr as = {
        .nlmsg_type = RTM_NEWNEIGH, .nlmsg_seq = rq->nlh->nlmsg_seq, .nlmsg_pid = rq->nl->portid};
    struct nl_out o = nl_answer(rq->sh);
    const struct neigh *n;
    struct about a;
    int err = take(rq, &a);

    if (err)
        return err;
    n = known(rq->sh->st, &a);
    if (!n)
        return nl_refuse(rq, -ENOENT, "Neighbour entry not found", NULL);
    return rtnl_neigh_put(rq->sh, &o, n, &as) ? nl_reply(rq, &o) : -EMSGSIZE;
}

int rtnl_neigh_new(struct nl_req *rq)
{
    uint16_t flags = rq->nlh->nlmsg_flags;
    struct neigh *n;
    struct about a;
    int err = take(rq, &a), state;

    if (err)
        return err;
    n = known(rq->sh->st, &a);
    if (!n && !(flags & NLM_F_CREATE))
        return -ENOENT;
    if (n && (flags & NLM_F_EXCL))
        return -EEXIST;
    state = a.state ? state_of(a.state) : NEIGH_STALE; /* none named: Linux takes NUD_NONE for "as it is" */
    if (state < 0)
        return nl_refuse(rq, -EINVAL, "shunt: not one state", NULL);
    if (!a.lladdr && !(n && neigh_has_mac(n)) && state != NEIGH_INCOMPLETE && state != NEIGH_FAILED &&
        state != NEIGH_NOARP)
        return nl_refuse(rq, -EINVAL, "No link layer address given", NULL);
    if (!n)
        n = neigh_get(rq->sh, a.ifindex, &a.addr);
    if (!n)
        return -ENOBUFS;
    /* An address that is there already stays, unless it is to be replaced (NEIGH_UPDATE_F_OVERRIDE). */
    neigh_set(rq->sh, n,
              a.lladdr && (!neigh_has_mac(n) || (flags & (NLM_F_REPLACE | NLM_F_CREATE))) ? nla_data(a.lladdr)
                                                                                          : NULL,
              (enum neigh_state)state);
    return 0;
}

int rtnl_neigh_del(struct nl_req *rq)
{
    struct neigh *n;
    struct about a;
    int err = take(rq, &a);

    if (err)
        return err;
    n = known(rq->sh->st, &a);
    if (!n)
        return -ENOENT;
    neigh_forget(rq->sh, n);
    return 0;
}

/* ---- the tables' settings ---- */

static void put_parms(const struct stack *st, struct nl_out *o)
{
    uint32_t nest = nla_nest(o, NDTA_PARMS);

    nla_put_u32(o, NDTPA_REFCNT, 1);
    nla_put_u32(o, NDTPA_QUEUE_LEN, (uint32_t)st->set.neigh_unres_qlen);
    nla_put_u32(o, NDTPA_APP_PROBES, 0);
    nla_put_u32(o, NDTPA_UCAST_PROBES, (uint32_t)st->set.neigh_probes);
    nla_put_u32(o, NDTPA_MCAST_PROBES, (uint32_t)st->set.neigh_probes);
    nla_put_u64(o, NDTPA_BASE_REACHABLE_TIME, (uint64_t)st->set.neigh_base_reachable * 1000);
    nla_put_u64(o, NDTPA_GC_STALETIME, NEIGH_GC_STALE_MS);
    nla_put_u64(o, NDTPA_DELAY_PROBE_TIME, NEIGH_DELAY_MS);
    nla_put_u64(o, NDTPA_RETRANS_TIME, (uint64_t)st->set.neigh_retrans);
    nla_nest_end(o, nest);
}

/* cursor[0]: the next table; cursor[1]: the family that was asked for. */
int rtnl_neightbl_dump_start(struct nl_req *rq, struct nl_dump *d)
{
    const struct rtgenmsg *g = rtnl_header(rq, sizeof *g);

    d->cursor[1] = g->rtgen_family;
    return 0;
}

int rtnl_neightbl_dump(struct shard *sh, struct nl_dump *d, struct nl_out *o)
{
    for (; d->cursor[0] < TABLES; d->cursor[0]++) {
        uint8_t family = d->cursor[0] ? AF_INET6 : AF_INET;
        struct ndt_config c = {.ndtc_key_len = family == AF_INET ? 4 : 16,
                               .ndtc_entries = sh->st->neigh->slab.in_use,
                               .ndtc_hash_mask = NEIGH_BUCKETS - 1};
        struct ndtmsg *m;

        if (d->cursor[1] && d->cursor[1] != family)
            continue;
        m = nlmsg_begin(o, RTM_NEWNEIGHTBL, NLM_F_MULTI, d->seq, d->portid, sizeof *m);
        if (!m)
            return 1;
        m->ndtm_family = family;
        nla_put_str(o, NDTA_NAME, family == AF_INET ? "arp_cache" : "ndisc_cache");
        nla_put_u32(o, NDTA_THRESH3, sh->st->neigh->slab.max); /* both share one table */
        nla_put(o, NDTA_CONFIG, &c, sizeof c);
        put_parms(sh->st, o);
        if (!nlmsg_end(o, m))
            return 1;
    }
    return 0;
}
