/* dhcp.c: see dhcp.h. Differs: the first usable offer is taken (section 4.4.1 lets a client collect several),
 * no random wait of 1 to 10 s before the first message, no INIT-REBOOT: a stack remembers nothing.
 */
#include "dhcp.h"

#include <errno.h>

#include "arp.h"
#include "cksum.h"
#include "ifnet.h"
#include "log.h"
#include "pkt.h"
#include "rnd.h"
#include "route.h"
#include "shard.h"
#include "wire_eth.h"
#include "wire_ip4.h"

#define TICK_MS 3600000 /* the wheel reaches less far than a lease may */
#define MSG_MAX 1500    /* a longer message is not read */
#define QUAD    "%u.%u.%u.%u"
#define QUADS(a)                                                                                             \
    ((const uint8_t *)&(a))[0], ((const uint8_t *)&(a))[1], ((const uint8_t *)&(a))[2],                      \
        ((const uint8_t *)&(a))[3]

static struct ifnet *ifnet_of(struct shard *sh, const struct dhcp_client *c)
{
    return &sh->st->ifn[c->ifindex];
}

static void arm(struct shard *sh, struct dhcp_client *c, uint64_t due_ms)
{
    uint64_t now = shard_ms(sh);

    c->due_ms = due_ms;
    timer_arm(&sh->wheel, &c->timer, due_ms > now + TICK_MS ? now + TICK_MS : due_ms);
}

static void enter_init(struct shard *sh, struct dhcp_client *c, uint32_t wait_ms)
{
    c->state = DHCP_INIT;
    arm(sh, c, shard_ms(sh) + wait_ms);
}

/* ---- messages out ---- */

/* One message as a UDP datagram from src to dst, with its checksum. NULL: no buffer. */
static struct rte_mbuf *datagram(struct shard *sh, const struct dhcp_msg *msg, const struct ipaddr *src,
                                 const struct ipaddr *dst)
{
    struct rte_mbuf *m = pkt_alloc(sh);
    uint8_t body[DHCP_EMIT_MAX], *p;
    size_t len = wire_dhcp_emit(body, msg);
    uint16_t sum;

    if (!m)
        return NULL;
    p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(UDP_HDR_LEN + len));
    if (!p) {
        pkt_drop(sh, m, COUNT_NOMEM_PKT);
        return NULL;
    }
    wire_udp_emit(p, htons(DHCP_CLIENT_PORT), htons(DHCP_SERVER_PORT), len);
    memcpy(p + UDP_HDR_LEN, body, len);
    sum = ip_l4_cksum(m, src, dst, IPPROTO_UDP, m->pkt_len);
    if (sum == 0) /* RFC 768: zero means "none" */
        sum = 0xffff;
    memcpy(p + 6, &sum, 2);
    sh->count[COUNT_UDP_OUT]++;
    return m;
}

/* Sends one message from src to dst, on the link to all. */
static void send_frame(struct shard *sh, const struct dhcp_client *c, const struct dhcp_msg *msg,
                       uint32_t src_be, uint32_t dst_be)
{
    static const uint8_t to_all[ETH_ADDR_LEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct ipaddr src = ipaddr_v4(src_be), dst = ipaddr_v4(dst_be);
    struct ip4_hdr ip = {.ver_ihl = 0x45, .ttl = 64, .proto = IPPROTO_UDP};
    struct rte_mbuf *m = datagram(sh, msg, &src, &dst);

    if (!m)
        return;
    ip.len_be = htons((uint16_t)(m->pkt_len + IP4_HDR_LEN));
    ip.off_be = htons(IP4_DF); /* atomic: the identification means nothing (RFC 6864) */
    ip.src_be = src_be;
    ip.dst_be = dst_be;
    ip.cksum = cksum(&ip, sizeof ip);
    memcpy(rte_pktmbuf_prepend(m, IP4_HDR_LEN), &ip, sizeof ip);
    wire_eth_emit((uint8_t *)rte_pktmbuf_prepend(m, ETH_HDR_LEN), to_all, sh->st->ifn[c->ifindex].mac,
                  ETH_TYPE_IP4);
    m->l2_len = ETH_HDR_LEN;
    m->l3_len = IP4_HDR_LEN;
    sh->count[COUNT_IP_OUT]++;
    shard_tx(sh, c->ifindex, m);
}

/* To the server, as any datagram. */
static void send_unicast(struct shard *sh, const struct dhcp_client *c, const struct dhcp_msg *msg)
{
    struct flow fl = {.src = ipaddr_v4(c->lease.yiaddr_be),
                      .dst = ipaddr_v4(c->lease.server_be),
                      .proto = IPPROTO_UDP,
                      .bound_if = c->ifindex,
                      .ifindex = c->ifindex};
    struct rte_mbuf *m = datagram(sh, msg, &fl.src, &fl.dst);

    if (!m)
        return;
    m->l4_len = UDP_HDR_LEN;
    ip_output(sh, &fl, m);
}

/* The message of section 4.4.1, table 5, that the state wants; or DECLINE, or RELEASE. */
static void send_msg(struct shard *sh, struct dhcp_client *c, enum dhcp_type type)
{
    struct ifnet *ifn = ifnet_of(sh, c);
    uint64_t secs = (shard_ms(sh) - c->begin_ms) / 1000;
    bool renewing = c->state == DHCP_RENEWING || c->state == DHCP_REBINDING;
    struct dhcp_msg m = {.op = DHCP_BOOTREQUEST, .type = (uint8_t)type, .xid = c->xid};

    memcpy(m.chaddr, ifn->mac, sizeof m.chaddr);
    if (type == DHCP_DISCOVER || type == DHCP_REQUEST) {
        m.mtu = (uint16_t)RTE_MIN(ifn->mtu, (uint32_t)MSG_MAX);
        m.secs = (uint16_t)RTE_MIN(secs, (uint64_t)UINT16_MAX);
    }
    if (type == DHCP_REQUEST && renewing) {
        m.ciaddr_be = c->lease.yiaddr_be;
        if (c->state == DHCP_RENEWING)
            send_unicast(sh, c, &m);
        else
            send_frame(sh, c, &m, m.ciaddr_be, INADDR_BROADCAST);
        return;
    }
    if (type != DHCP_DISCOVER)
        m.server_be = c->lease.server_be;
    if (type == DHCP_RELEASE) {
        /* On the link to all: nobody is there any more to wait for an answer of ARP. */
        m.ciaddr_be = c->lease.yiaddr_be;
        send_frame(sh, c, &m, m.ciaddr_be, m.server_be);
        return;
    }
    m.flags = type == DHCP_DECLINE ? 0 : DHCP_BROADCAST;
    if (type != DHCP_DISCOVER)
        m.requested_be = c->lease.yiaddr_be;
    send_frame(sh, c, &m, 0, INADDR_BROADCAST);
}

/* Sends, and says when again: twice as late as the last time, give or take a quarter, at most a second
 * (section 4.1). */
static void send_again(struct shard *sh, struct dhcp_client *c, enum dhcp_type type)
{
    uint32_t spread;

    c->wait_ms = c->tries ? RTE_MIN(c->wait_ms * 2, (uint32_t)DHCP_MAX_MS) : DHCP_FIRST_MS;
    spread = RTE_MIN(c->wait_ms / 4, 1000u);
    if (c->tries < UINT8_MAX)
        c->tries++;
    send_msg(sh, c, type);
    arm(sh, c, shard_ms(sh) + c->wait_ms - spread + rnd_below(sh, 2 * spread + 1));
}

static void begin_selecting(struct shard *sh, struct dhcp_client *c)
{
    c->state = DHCP_SELECTING;
    c->xid = rnd_u32(sh);
    c->tries = 0;
    c->begin_ms = shard_ms(sh);
    send_again(sh, c, DHCP_DISCOVER);
}

/* ---- what a lease brings, and takes away ---- */

static bool add_route(struct shard *sh, struct dhcp_client *c, const struct dhcp_route *r)
{
    struct ipaddr net = ipaddr_v4(r->net_be), via = ipaddr_v4(r->via_be);
    int err = route_add_by(sh->st, &net, r->plen, r->via_be ? &via : NULL, c->ifindex, ROUTE_BY_DHCP);

    if (err == 0 && c->nroutes < sizeof c->route / sizeof c->route[0])
        c->route[c->nroutes++] = *r;
    return err != -ENETUNREACH;
}

static void add_routes(struct shard *sh, struct dhcp_client *c)
{
    const struct dhcp_msg *l = &c->lease;
    struct dhcp_route router = {.via_be = l->router_be};
    const struct dhcp_route *from = l->classless ? l->route : &router;
    unsigned n = l->classless ? l->nroutes : l->router_be != 0;

    for (unsigned i = 0; i < n; i++) {
        uint32_t top = ntohl(from[i].net_be) >> 24;
        struct dhcp_route on_link = {.net_be = from[i].via_be, .plen = 32};

        /* Ours, or nobody's. */
        if (from[i].via_be == l->yiaddr_be || (from[i].plen && (top == 127 || top >= 0xe0)))
            continue;
        /* A router outside of the prefix (a lease of /32, say): it is a neighbour all the same. */
        if (!add_route(sh, c, &from[i]) && add_route(sh, c, &on_link))
            add_route(sh, c, &from[i]);
    }
}

static void del_routes(struct shard *sh, struct dhcp_client *c)
{
    while (c->nroutes > 0) {
        const struct dhcp_route *r = &c->route[--c->nroutes];
        struct ipaddr net = ipaddr_v4(r->net_be), via = ipaddr_v4(r->via_be);

        route_del(sh->st, &net, r->plen, r->via_be ? &via : NULL, c->ifindex);
    }
}

static void set_mtu(struct shard *sh, struct dhcp_client *c, uint32_t mtu)
{
    struct ifnet *ifn = ifnet_of(sh, c);

    mtu = mtu >= DHCP_MTU_MIN ? RTE_MIN(mtu, c->link_mtu) : c->link_mtu;
    if (ifn->mtu == mtu)
        return;
    ifn->mtu = mtu;
    ifnet_changed(sh->st, c->ifindex);
}

static void drop_lease(struct shard *sh, struct dhcp_client *c)
{
    struct ipaddr a = ipaddr_v4(c->lease.yiaddr_be);

    del_routes(sh, c);
    if (c->held)
        stack_del_addr(sh->st, c->ifindex, &a);
    c->held = false;
    set_mtu(sh, c, 0);
}

static struct ifaddr *held_addr(struct shard *sh, const struct dhcp_client *c)
{
    struct ifnet *ifn = ifnet_of(sh, c);
    struct ipaddr a = ipaddr_v4(c->lease.yiaddr_be);

    for (uint32_t i = 0; c->held && i < ifn->naddr; i++)
        if (ipaddr_eq(&ifn->addr[i].addr, &a))
            return &ifn->addr[i];
    return NULL;
}

/* Prefix length of an offer, -1: none that can be. RFC 2132 section 3.3 makes the mask an option: without it
 * the address's class says. */
static int prefix_of(const struct dhcp_msg *m)
{
    uint32_t top = ntohl(m->yiaddr_be) >> 24;

    if (!m->mask_be)
        return top < 128 ? 8 : top < 192 ? 16 : 24;
    return wire_dhcp_mask_len(m->mask_be);
}

/* True if m offers, or gives, what a host can use. */
static bool is_usable(const struct shard *sh, const struct dhcp_client *c, const struct dhcp_msg *m)
{
    uint32_t a = ntohl(m->yiaddr_be), server = ntohl(m->server_be), host;
    int plen = prefix_of(m);
    struct ipaddr own = ipaddr_v4(m->yiaddr_be);

    if (a >> 24 == 0 || a >> 24 == 127 || a >> 28 >= 0xe || plen < 1 || m->lease_s < DHCP_LEASE_MIN_S)
        return false;
    if (server >> 24 == 0 || server >> 24 == 127 || server >> 28 >= 0xe || m->server_be == m->yiaddr_be)
        return false;
    if (!(c->held && c->lease.yiaddr_be == m->yiaddr_be) && ip_is_local(sh->st, &own))
        return false; /* the user gave it to us already */
    host = plen < 32 ? 0xffffffffu >> plen : 0;
    return plen > 30 || ((a & host) != 0 && (a & host) != host);
}

static uint64_t after(const struct dhcp_client *c, uint64_t seconds)
{
    return c->asked_ms + seconds * 1000;
}

static void set_times(struct dhcp_client *c)
{
    uint64_t lease = c->lease.lease_s, t1 = c->lease.t1_s, t2 = c->lease.t2_s;

    if (lease == DHCP_FOREVER_S) {
        c->t1_ms = c->t2_ms = c->expires_ms = UINT64_MAX;
        return;
    }
    /* Section 4.4.5: 0.5 and 0.875 of the lease where the server names none that make sense. */
    if (t2 == 0 || t2 >= lease)
        t2 = lease * 7 / 8;
    if (t1 == 0 || t1 >= t2)
        t1 = RTE_MIN(lease / 2, t2);
    c->t1_ms = after(c, t1);
    c->t2_ms = after(c, t2);
    c->expires_ms = after(c, lease);
}

static void be_bound(struct shard *sh, struct dhcp_client *c)
{
    const struct dhcp_msg *l = &c->lease;

    c->state = DHCP_BOUND;
    del_routes(sh, c);
    add_routes(sh, c);
    set_mtu(sh, c, l->mtu);
    if (c->t1_ms == UINT64_MAX)
        timer_cancel(&sh->wheel, &c->timer);
    else
        arm(sh, c, c->t1_ms);
}

/* The address of an ACK becomes the interface's, to be probed. */
static void take_addr(struct shard *sh, struct dhcp_client *c)
{
    struct ipaddr a = ipaddr_v4(c->lease.yiaddr_be);
    int err = stack_add_addr(sh->st, c->ifindex, &a, c->plen);

    if (err) {
        log_warn("%s: cannot use " QUAD "/%u by DHCP: error %d", ifnet_of(sh, c)->name,
                 QUADS(c->lease.yiaddr_be), c->plen, -err);
        enter_init(sh, c, DHCP_DECLINED_MS);
        return;
    }
    c->held = true;
    held_addr(sh, c)->flags |= IFADDR_AUTO;
    c->state = DHCP_PROBING;
    arp_probe_start(sh);
    arm(sh, c, shard_ms(sh) + DHCP_PROBE_MS);
}

/* Looks for ARP's verdict. */
static void probe_step(struct shard *sh, struct dhcp_client *c)
{
    const struct ifaddr *a = held_addr(sh, c);

    if (a && a->state == IFADDR_TENTATIVE) {
        arm(sh, c, shard_ms(sh) + DHCP_PROBE_MS);
        return;
    }
    if (a && a->state == IFADDR_VALID) {
        be_bound(sh, c);
        return;
    }
    log_warn("%s: " QUAD ", given by DHCP, is another host's: declined", ifnet_of(sh, c)->name,
             QUADS(c->lease.yiaddr_be));
    drop_lease(sh, c);
    send_msg(sh, c, DHCP_DECLINE);
    enter_init(sh, c, DHCP_DECLINED_MS);
}

/* ---- messages in ---- */

static void got_offer(struct shard *sh, struct dhcp_client *c, const struct dhcp_msg *m)
{
    if (!is_usable(sh, c, m))
        return;
    c->lease = *m;
    c->state = DHCP_REQUESTING;
    c->tries = 0;
    c->asked_ms = shard_ms(sh);
    send_again(sh, c, DHCP_REQUEST);
}

static void got_ack(struct shard *sh, struct dhcp_client *c, const struct dhcp_msg *m)
{
    bool same = c->held && c->lease.yiaddr_be == m->yiaddr_be && c->plen == prefix_of(m);

    if (!is_usable(sh, c, m))
        return;
    if (c->held && !same)
        drop_lease(sh, c);
    c->lease = *m;
    c->plen = (uint8_t)prefix_of(m);
    set_times(c);
    if (same)
        be_bound(sh, c);
    else
        take_addr(sh, c);
}

static void got_nak(struct shard *sh, struct dhcp_client *c)
{
    log_info("%s: the DHCP server refuses " QUAD, ifnet_of(sh, c)->name, QUADS(c->lease.yiaddr_be));
    drop_lease(sh, c);
    enter_init(sh, c, DHCP_NAK_MS);
}

static void got_msg(struct shard *sh, struct dhcp_client *c, const struct dhcp_msg *m)
{
    bool asking = c->state == DHCP_REQUESTING || c->state == DHCP_RENEWING || c->state == DHCP_REBINDING;

    c->heard = true;
    if (c->state == DHCP_SELECTING && m->type == DHCP_OFFER)
        got_offer(sh, c, m);
    /* While the address is rebound any server may answer (section 4.4.5). */
    if (!asking || (c->state != DHCP_REBINDING && m->server_be != c->lease.server_be))
        return;
    if (m->type == DHCP_ACK)
        got_ack(sh, c, m);
    else if (m->type == DHCP_NAK)
        got_nak(sh, c);
}

bool dhcp_input(struct shard *sh, struct rte_mbuf *m, const struct rxinfo *ri, const struct udp_hdr_in *h)
{
    struct dhcp_client *c = &sh->dhcp->client[ri->ifindex];
    uint32_t len = m->pkt_len - UDP_HDR_LEN;
    uint8_t body[MSG_MAX];
    struct dhcp_msg msg;

    if (c->state == DHCP_OFF || h->sport_be != htons(DHCP_SERVER_PORT) || len > sizeof body ||
        !pkt_read(m, UDP_HDR_LEN, len, body) || wire_dhcp_parse(body, len, &msg) ||
        msg.op != DHCP_BOOTREPLY || msg.xid != c->xid || !eth_addr_eq(msg.chaddr, ifnet_of(sh, c)->mac))
        return false;
    rte_pktmbuf_free(m);
    sh->count[COUNT_UDP_IN]++;
    got_msg(sh, c, &msg);
    return true;
}

/* ---- time ---- */

/* Section 4.4.5: half of what is left till end_ms, at least a minute; end_ms then is the next step. */
static void ask_again(struct shard *sh, struct dhcp_client *c, uint64_t end_ms)
{
    uint64_t now = shard_ms(sh), half = (end_ms - now) / 2;

    c->asked_ms = now;
    send_msg(sh, c, DHCP_REQUEST);
    arm(sh, c, RTE_MIN(now + RTE_MAX(half, (uint64_t)DHCP_RENEW_MIN_MS), end_ms));
}

/* BOUND, RENEWING or REBINDING, and something is due. */
static void lease_step(struct shard *sh, struct dhcp_client *c)
{
    uint64_t now = shard_ms(sh);

    if (now >= c->expires_ms) {
        log_warn("%s: the lease of " QUAD " is over and no DHCP server answers: the address is gone",
                 ifnet_of(sh, c)->name, QUADS(c->lease.yiaddr_be));
        drop_lease(sh, c);
        begin_selecting(sh, c);
        return;
    }
    if (c->state == DHCP_BOUND) {
        c->state = DHCP_RENEWING;
        c->xid = rnd_u32(sh);
        c->begin_ms = now;
    }
    if (now >= c->t2_ms)
        c->state = DHCP_REBINDING;
    ask_again(sh, c, c->state == DHCP_RENEWING ? c->t2_ms : c->expires_ms);
}

void dhcp_timer(struct shard *sh, struct timer *t)
{
    struct dhcp_client *c = container_of(t, struct dhcp_client, timer);

    if (shard_ms(sh) < c->due_ms) {
        arm(sh, c, c->due_ms);
        return;
    }
    switch ((enum dhcp_state)c->state) {
    case DHCP_OFF:
        break;
    case DHCP_INIT:
        begin_selecting(sh, c);
        break;
    case DHCP_SELECTING:
        send_again(sh, c, DHCP_DISCOVER);
        break;
    case DHCP_REQUESTING:
        if (c->tries >= DHCP_REQUEST_TRIES)
            begin_selecting(sh, c);
        else
            send_again(sh, c, DHCP_REQUEST);
        break;
    case DHCP_PROBING:
        probe_step(sh, c);
        break;
    case DHCP_BOUND:
    case DHCP_RENEWING:
    case DHCP_REBINDING:
        lease_step(sh, c);
        break;
    }
}

/* ---- beginning and end ---- */

int dhcp_start(struct shard *sh, unsigned ifindex)
{
    struct dhcp_client *c;

    if (ifindex >= sh->st->nif || (sh->st->ifn[ifindex].caps & (NETDEV_LOOPBACK | NETDEV_NOARP)))
        return -ENODEV;
    if (!sh->dhcp)
        sh->dhcp = seg_alloc(sh->st->seg, sizeof *sh->dhcp, 64);
    if (!sh->dhcp)
        return -ENOMEM;
    c = &sh->dhcp->client[ifindex];
    if (c->state != DHCP_OFF)
        return -EALREADY;
    c->ifindex = (uint8_t)ifindex;
    c->link_mtu = sh->st->ifn[ifindex].mtu;
    timer_init(&c->timer, TIMER_DHCP);
    begin_selecting(sh, c);
    return 0;
}

bool dhcp_release(struct shard *sh)
{
    bool any = false;

    for (unsigned i = 0; sh->dhcp && i < sh->st->nif; i++) {
        struct dhcp_client *c = &sh->dhcp->client[i];

        if (dhcp_is_bound(c)) {
            c->xid = rnd_u32(sh);
            send_msg(sh, c, DHCP_RELEASE);
            drop_lease(sh, c);
            any = true;
        }
        if (c->state != DHCP_OFF)
            timer_cancel(&sh->wheel, &c->timer);
        c->state = DHCP_OFF;
    }
    return any;
}

const struct dhcp_client *dhcp_client(const struct shard *sh, unsigned ifindex)
{
    const struct dhcp_client *c = sh->dhcp ? &sh->dhcp->client[ifindex] : NULL;

    return c && c->state != DHCP_OFF ? c : NULL;
}

void dhcp_log(const struct shard *sh, const struct dhcp_client *c)
{
    const struct dhcp_msg *l = &c->lease;
    const char *name = sh->st->ifn[c->ifindex].name;

    log_info("%s: " QUAD "/%u by DHCP from " QUAD " for %u s", name, QUADS(l->yiaddr_be), c->plen,
             QUADS(l->server_be), l->lease_s);
    for (unsigned i = 0; i < l->ndns; i++)
        log_info("%s: name server " QUAD, name, QUADS(l->dns_be[i]));
}

bool dhcp_is_bound(const struct dhcp_client *c)
{
    return c->state == DHCP_BOUND || c->state == DHCP_RENEWING || c->state == DHCP_REBINDING;
}
