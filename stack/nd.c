/* nd.c: see nd.h.
 *
 * Whom we believe. Every message must have a hop limit of 255, so none from beyond a router is heard. An
 * answer to a question of ours makes its sender reachable; a question about our address makes an entry for
 * its asker, if it is on the link; all else only corrects an entry that is there already.
 */
#include "nd.h"

#include <arpa/inet.h>
#include <errno.h>

#include "eth.h"
#include "ifnet.h"
#include "ip6_addr.h"
#include "log.h"
#include "pkt.h"
#include "ra.h"
#include "rnd.h"
#include "route.h"
#include "shard.h"
#include "wire_icmp6.h"
#include "wire_ip6.h"

/* In the order of the counters. */
void icmp6_count_type(struct shard *sh, enum count first, uint8_t type)
{
    unsigned i;

    if (type >= ICMP6_T_UNREACH && type <= ICMP6_T_PARAM)
        i = type - ICMP6_T_UNREACH;
    else if (type >= ICMP6_T_ECHO && type <= ICMP6_T_REDIRECT)
        i = type - ICMP6_T_ECHO + 4u;
    else if (type == ICMP6_T_MLD2_REPORT)
        i = 14;
    else
        return;
    sh->count[first + i]++;
}

/* ---- output ---- */

/* A message under construction: m at its IPv6 header, p where the ICMPv6 message begins. NULL: no buffer. */
static struct rte_mbuf *begin(struct shard *sh, uint16_t len, uint8_t **p)
{
    struct rte_mbuf *m = pkt_alloc(sh);
    uint8_t *at;

    if (!m)
        return NULL;
    at = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(IP6_HDR_LEN + len));
    if (!at) {
        pkt_drop(sh, m, COUNT_NOMEM_PKT);
        return NULL;
    }
    memset(at, 0, IP6_HDR_LEN + len);
    *p = at + IP6_HDR_LEN;
    return m;
}

/* Writes header and checksum and sends it by interface ifindex; a group's link address follows from the group
 * (RFC 2464 section 7), a host's from its entry. */
static void finish(struct shard *sh, unsigned ifindex, struct rte_mbuf *m, const struct ipaddr *src,
                   const struct ipaddr *dst)
{
    struct ipaddr s = ipaddr_unzoned(src), d = ipaddr_unzoned(dst);
    struct ip6_head *ip = rte_pktmbuf_mtod(m, struct ip6_head *);
    uint8_t mac[ETH_ADDR_LEN] = {0x33, 0x33, d.b[12], d.b[13], d.b[14], d.b[15]};
    struct neigh *n;
    uint16_t sum;

    ip->vcf_be = htonl(6u << 28);
    ip->plen_be = htons((uint16_t)(m->pkt_len - IP6_HDR_LEN));
    ip->next = IP6_NEXT_ICMP;
    ip->hops = ND_HOPS;
    memcpy(ip->src, s.b, 16);
    memcpy(ip->dst, d.b, 16);
    rte_pktmbuf_adj(m, IP6_HDR_LEN);
    sum = ip_l4_cksum(m, &s, &d, IP6_NEXT_ICMP, m->pkt_len);
    memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, 2), &sum, sizeof sum);
    rte_pktmbuf_prepend(m, IP6_HDR_LEN);
    m->l2_len = ETH_HDR_LEN;
    m->l3_len = IP6_HDR_LEN;
    sh->count[COUNT_ICMP6_OUT]++;
    sh->count[COUNT_IP6_OUT]++;
    sh->count[COUNT_IP6_OUT_OCTETS] += m->pkt_len;
    icmp6_count_type(sh, COUNT_ICMP6_OUT_DESTUNREACHS, rte_pktmbuf_mtod_offset(m, uint8_t *, IP6_HDR_LEN)[0]);
    if (ipaddr_is_multicast(dst)) {
        wire_eth_emit((uint8_t *)rte_pktmbuf_prepend(m, ETH_HDR_LEN), mac, sh->st->ifn[ifindex].mac,
                      ETH_TYPE_IP6);
        shard_tx(sh, ifindex, m);
        return;
    }
    n = neigh_get(sh, ifindex, dst);
    if (n)
        eth_output(sh, n, m);
    else
        pkt_drop(sh, m, COUNT_IP6_OUT_DISCARD);
}

static void put_target(uint8_t *p, const struct ipaddr *target)
{
    struct ipaddr t = ipaddr_unzoned(target);

    memcpy(p + 8, t.b, 16);
}

/* Our own packet that waits for n says which address its sender has (RFC 4861 section 7.2.2). */
static bool source_of_waiting(const struct shard *sh, const struct neigh *n, struct ipaddr *src)
{
    const struct ip6_head *ip;

    if (!n->q_head)
        return false;
    ip = rte_pktmbuf_mtod(n->q_head, const struct ip6_head *);
    memcpy(src->b, ip->src, 16);
    ipaddr_set_zone(src, n->ifindex + 1u);
    return ifnet_find_addr(&sh->st->ifn[n->ifindex], src) != NULL;
}

void nd_solicit(struct shard *sh, const struct neigh *n, bool unicast)
{
    struct ipaddr dst = unicast ? n->addr : ip6_solicited_node(&n->addr, n->ifindex), src;
    struct rte_mbuf *m;
    uint8_t *p;

    if (!source_of_waiting(sh, n, &src)) {
        const struct ifaddr *a = ip6_source(sh->st, n->ifindex, &n->addr, shard_ms(sh));

        if (!a)
            return;
        src = a->addr;
    }
    m = begin(sh, ND_NS_LEN + 8, &p);
    if (!m)
        return;
    wire_icmp_emit(p, ICMP6_T_NS, 0, 0);
    put_target(p, &n->addr);
    wire_nd_emit_lla(p + ND_NS_LEN, ND_OPT_SLLA, sh->st->ifn[n->ifindex].mac);
    finish(sh, n->ifindex, m, &src, &dst);
}

/* RFC 4862 section 5.4.2: from no address, about ours; the nonce tells our own question, looped back, from
 * another's (RFC 7527). */
static void send_probe(struct shard *sh, unsigned ifindex, struct ifaddr *a)
{
    struct ipaddr dst = ip6_solicited_node(&a->addr, ifindex), any = IPADDR_ANY;
    struct rte_mbuf *m;
    uint32_t r[2];
    uint8_t *p;

    m = begin(sh, ND_NS_LEN + 8, &p);
    if (!m)
        return;
    r[0] = rnd_u32(sh);
    r[1] = rnd_u32(sh);
    memcpy(a->nonce, r, sizeof a->nonce);
    wire_icmp_emit(p, ICMP6_T_NS, 0, 0);
    put_target(p, &a->addr);
    wire_nd_emit_nonce(p + ND_NS_LEN, a->nonce);
    finish(sh, ifindex, m, &any, &dst);
}

static void send_advert(struct shard *sh, unsigned ifindex, const struct ipaddr *target,
                        const struct ipaddr *dst, uint8_t flags)
{
    struct rte_mbuf *m;
    uint8_t *p;

    m = begin(sh, ND_NS_LEN + 8, &p);
    if (!m)
        return;
    wire_icmp_emit(p, ICMP6_T_NA, 0, (uint32_t)flags << 24);
    put_target(p, target);
    wire_nd_emit_lla(p + ND_NS_LEN, ND_OPT_TLLA, sh->st->ifn[ifindex].mac);
    finish(sh, ifindex, m, target, dst);
}

/* ---- our addresses ---- */

int nd_add_linklocals(struct stack *st)
{
    if (st->set.disable_ipv6)
        return 0;
    for (unsigned i = 0; i < st->nif; i++) {
        struct ifnet *ifn = &st->ifn[i];
        struct ipaddr a;
        int err;

        if ((ifn->caps & NETDEV_LOOPBACK) || ifn->mtu < IP6_MIN_MTU || ifn->except_of)
            continue;
        a = ip6_linklocal(ifn->mac, i);
        err = stack_add_addr(st, i, &a, 64);
        if (err == -EEXIST) /* the user's */
            continue;
        if (err)
            return err;
        ifn->addr[ifn->naddr - 1].flags |= IFADDR_AUTO;
    }
    return 0;
}

static struct ifaddr *find_target(struct ifnet *ifn, const struct ipaddr *a)
{
    for (uint32_t i = 0; i < ifn->naddr; i++)
        if (ipaddr_eq(&ifn->addr[i].addr, a))
            return &ifn->addr[i];
    return NULL;
}

/* Another node has our address a, or wants it (RFC 4862 section 5.4.5). */
static void conflict(struct shard *sh, unsigned ifindex, struct ifaddr *a, const uint8_t *mac)
{
    struct ipaddr w = ipaddr_unzoned(&a->addr);
    char text[INET6_ADDRSTRLEN];

    sh->count[COUNT_ND_CONFLICT]++;
    if (mac)
        memcpy(sh->st->neigh->arp.conflict_mac, mac, ETH_ADDR_LEN);
    inet_ntop(AF_INET6, w.b, text, sizeof text);
    if (a->state != IFADDR_TENTATIVE) {
        log_once(LOG_LEVEL_WARN, "%s is also used by another host on %s", text, sh->st->ifn[ifindex].name);
        return;
    }
    a->state = IFADDR_CONFLICT;
    ifnet_changed(sh->st, ifindex);
    if (a->flags & IFADDR_AUTO)
        log_warn("%s on %s is taken by another host: the stack goes without it", text,
                 sh->st->ifn[ifindex].name);
}

/* One step of all detections under way: the next probe, or the end. True: some go on. */
static bool dad_step(struct shard *sh)
{
    bool more = false;

    for (unsigned i = 0; i < sh->st->nif; i++) {
        struct ifnet *ifn = &sh->st->ifn[i];

        for (uint32_t k = 0; k < ifn->naddr; k++) {
            struct ifaddr *a = &ifn->addr[k];

            if (a->state != IFADDR_TENTATIVE || ipaddr_is_v4(&a->addr))
                continue;
            if (a->probes < sh->st->set.dad_transmits) {
                a->probes++;
                send_probe(sh, i, a);
                more = true;
            } else {
                a->state = IFADDR_VALID;
                ifnet_changed(sh->st, i);
            }
        }
    }
    return more;
}

/* RFC 4861 section 6.3.7. */
static void solicit_routers(struct shard *sh, unsigned ifindex)
{
    struct ipaddr dst = ip6_group(2, ifindex);
    const struct ifaddr *src = ip6_source(sh->st, ifindex, &dst, shard_ms(sh));
    struct rte_mbuf *m;
    uint8_t *p;

    if (!src)
        return;
    m = begin(sh, ND_RS_LEN + 8, &p);
    if (!m)
        return;
    wire_icmp_emit(p, ICMP6_T_RS, 0, 0);
    wire_nd_emit_lla(p + ND_RS_LEN, ND_OPT_SLLA, sh->st->ifn[ifindex].mac);
    finish(sh, ifindex, m, &src->addr, &dst);
}

/* All that is due now; arms the timer for what comes next. probing: the probes' turn, too. */
static void work(struct shard *sh, bool probing)
{
    struct nd_state *s = &sh->st->neigh->nd;
    uint64_t now = shard_ms(sh), next_ms;
    bool more = probing && dad_step(sh);
    unsigned ifindex = ra_step(sh, &next_ms);

    if (ifindex)
        solicit_routers(sh, ifindex);
    if (more)
        next_ms = RTE_MIN(next_ms, now + ND_DAD_INTERVAL_MS);
    if (next_ms != UINT64_MAX)
        timer_arm(&sh->wheel, &s->timer, next_ms);
    s->probing = more;
}

void nd_dad_start(struct shard *sh)
{
    if (!sh->st->neigh->nd.probing)
        work(sh, true);
}

void nd_timer(struct shard *sh, struct timer *t)
{
    (void)t;
    work(sh, true);
}

/* ---- input ---- */

/* What every message has in common (RFC 4861 sections 6.1, 7.1, 8.1): the options behind its first len bytes
 * go to *o. */
static bool check(struct rte_mbuf *m, const struct rxinfo *ri, uint32_t len, struct nd_opts *o)
{
    const uint8_t *p;

    /* RFC 6980: none may come in fragments; and what is longer than a buffer is none of ours. */
    if (ri->ttl != ND_HOPS || ri->fragments || m->pkt_len < len || !pkt_pull(m, m->pkt_len))
        return false;
    p = rte_pktmbuf_mtod(m, const uint8_t *);
    return p[1] == 0 && wire_nd_opts(p + len, m->data_len - len, o);
}

/* The address at p, which must be no group. */
static bool read_target(const uint8_t *p, unsigned ifindex, struct ipaddr *a)
{
    memcpy(a->b, p, 16);
    if (ipaddr_is_multicast(a) || ipaddr_is_v4(a) || (ipaddr_needs_zone(a) && (a->b[2] | a->b[3])))
        return false;
    ipaddr_set_zone(a, ifindex + 1);
    return true;
}

static bool mac_ok(const uint8_t *mac)
{
    return mac && !eth_addr_is_multicast(mac) && !eth_addr_is_zero(mac);
}

/* RFC 4861 section 7.2.3. */
static bool solicitation(struct shard *sh, unsigned ifindex, struct rte_mbuf *m, const struct rxinfo *ri)
{
    struct ipaddr target, all = ip6_group(1, ifindex);
    bool probe = ipaddr_is_any(&ri->src);
    struct nd_opts o;
    struct ifaddr *a;
    struct neigh *n;

    if (!check(m, ri, ND_NS_LEN, &o) ||
        !read_target(rte_pktmbuf_mtod_offset(m, const uint8_t *, 8), ifindex, &target) ||
        (probe && (o.slla || !ipaddr_is_multicast(&ri->dst))))
        return false;
    a = find_target(&sh->st->ifn[ifindex], &target);
    if (!a)
        return true;
    if (a->state == IFADDR_TENTATIVE) {
        /* Another asks for the same address at the same time: neither may have it. */
        if (probe && !(o.nonce && memcmp(o.nonce, a->nonce, ND_NONCE_LEN) == 0))
            conflict(sh, ifindex, a, NULL);
        return true;
    }
    if (a->state != IFADDR_VALID)
        return true;
    if (probe) { /* our defence */
        send_advert(sh, ifindex, &target, &all, ND_NA_OVERRIDE);
        return true;
    }
    n = neigh_find(sh->st, ifindex, &ri->src);
    if (!n && mac_ok(o.slla) && route_lookup(sh->st, &ri->src, ifindex))
        n = neigh_get(sh, ifindex, &ri->src);
    if (n && mac_ok(o.slla))
        neigh_update(sh, n, o.slla, false);
    if (n)
        send_advert(sh, ifindex, &target, &ri->src, ND_NA_SOLICITED | ND_NA_OVERRIDE);
    return true;
}

/* RFC 4861 section 7.2.5. */
static bool advertisement(struct shard *sh, unsigned ifindex, struct rte_mbuf *m, const struct rxinfo *ri)
{
    struct ipaddr target;
    struct nd_opts o;
    struct ifaddr *a;
    struct neigh *n;
    uint8_t flags;

    if (!check(m, ri, ND_NS_LEN, &o) ||
        !read_target(rte_pktmbuf_mtod_offset(m, const uint8_t *, 8), ifindex, &target))
        return false;
    flags = *rte_pktmbuf_mtod_offset(m, const uint8_t *, 4);
    if ((flags & ND_NA_SOLICITED) && ipaddr_is_multicast(&ri->dst))
        return false;
    a = find_target(&sh->st->ifn[ifindex], &target);
    if (a) {
        conflict(sh, ifindex, a, o.tlla);
        return true;
    }
    n = neigh_find(sh->st, ifindex, &target);
    if (n)
        neigh_advert(sh, n, mac_ok(o.tlla) ? o.tlla : NULL, flags & ND_NA_SOLICITED, flags & ND_NA_OVERRIDE);
    return true;
}

static bool from_router(struct shard *sh, unsigned ifindex, struct rte_mbuf *m, const struct rxinfo *ri,
                        uint8_t type)
{
    const uint8_t *msg;
    struct nd_opts o;
    struct neigh *n;
    bool good;

    if (!check(m, ri, type == ICMP6_T_RA ? ND_RA_LEN : ND_REDIRECT_LEN, &o))
        return false;
    msg = rte_pktmbuf_mtod(m, const uint8_t *);
    if (type == ICMP6_T_REDIRECT)
        return ra_redirect(sh, ifindex, ri, msg, &o);
    good = ra_input(sh, ifindex, ri, msg, &o);
    if (good && ra_accepts(sh->st, ifindex) && mac_ok(o.slla)) {
        n = neigh_get(sh, ifindex, &ri->src);
        if (n)
            neigh_update(sh, n, o.slla, false);
    }
    work(sh, !sh->st->neigh->nd.probing); /* new addresses are probed, lifetimes have an end */
    return good;
}

void nd_input(struct shard *sh, unsigned ifindex, struct rte_mbuf *m, const struct rxinfo *ri)
{
    uint8_t type = *rte_pktmbuf_mtod(m, const uint8_t *);
    bool good = true;

    if (sh->st->ifn[ifindex].caps & (NETDEV_LOOPBACK | NETDEV_NOARP)) { /* nobody there to discover */
        rte_pktmbuf_free(m);
        return;
    }
    if (type == ICMP6_T_NS)
        good = solicitation(sh, ifindex, m, ri);
    else if (type == ICMP6_T_NA)
        good = advertisement(sh, ifindex, m, ri);
    else if (type == ICMP6_T_RA || type == ICMP6_T_REDIRECT)
        good = from_router(sh, ifindex, m, ri, type);
    /* Router solicitations are for routers. */
    if (good)
        rte_pktmbuf_free(m);
    else
        pkt_drop(sh, m, COUNT_ND_BAD);
}
