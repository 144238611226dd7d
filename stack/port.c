/* port.c: local ports: Linux's bind rules (inet_csk_bind_conflict, udp_lib_lport_inuse) and RFC 6056's choice
 * of ephemeral ones.
 *
 * Theory of operation. For TCP and for UDP a table of 64 Ki entries, one a port, each a list of the pcbs on
 * it (pcb.port_node) and a count of TIME_WAIT entries. The tables are sparse: an entry is initialised when
 * its port is first used. bind's ephemeral ports are odd or even the other way than connect's, as on Linux,
 * so that the two compete late. A port that connect chose (PCB_PORT_SHARED) may serve any number of
 * connections with different peers.
 */
#include "port.h"

#include <errno.h>

#include "hash.h"
#include "port_reuse.h"
#include "rnd.h"
#include "tcp.h"
#include "tcp_cb.h"
#include "tcp_tw.h"

/* SO_REUSEADDR, SO_REUSEPORT or both, as TW_REUSEADDR and TW_REUSEPORT of tcp_tw.h lie side by side. */
enum { TW_KINDS = 4 };

struct port {
    struct list owners;    /* next NULL: never used */
    uint32_t tw[TW_KINDS]; /* TIME_WAIT entries, by what their sockets had: enum tw_reuse */
    struct ipaddr tw_addr; /* their address, as long as it is one and the same */
    bool tw_mixed;         /* it is not: any address is in the way, until all are gone */
};

struct port_table {
    struct port port[3][65536]; /* TCP, UDP, UDP-Lite */
    uint32_t step;              /* RFC 6056 algorithm 3's next_ephemeral */
};

int port_table_init(struct stack *st)
{
    st->ports = seg_alloc(st->seg, sizeof *st->ports, 4096);
    return st->ports ? 0 : -ENOMEM;
}

static struct port *port_at(struct stack *st, uint8_t proto, uint16_t port_be)
{
    struct port *p = &st->ports->port[(proto != IPPROTO_TCP) + (proto == IPPROTO_UDPLITE)][ntohs(port_be)];

    if (!p->owners.next)
        list_init(&p->owners);
    return p;
}

static unsigned tw_kind(unsigned tw_flags)
{
    return (tw_flags & (TW_REUSEADDR | TW_REUSEPORT)) / TW_REUSEADDR;
}

static bool tw_any(const struct port *p)
{
    return p->tw[0] | p->tw[1] | p->tw[2] | p->tw[3];
}

static bool is_free(const struct port *p)
{
    return list_empty(&p->owners) && !tw_any(p);
}

/* Does an address of family v6 take part in a wildcard of the other? any: the wildcard's owner. */
static bool wildcard_covers(const struct pcb *any, bool v6)
{
    if (any->flags & PCB_V6)
        return v6 || !(any->flags & PCB_V6ONLY);
    return !v6;
}

/* Would a and b, both with local addresses or wildcards, get the same packets (ipv6_rcv_saddr_equal)? */
static bool overlap(const struct pcb *a, const struct ipaddr *a_addr, const struct pcb *b)
{
    bool a_any = ipaddr_is_any(a_addr), b_any = ipaddr_is_any(&b->local.addr);

    if (a->ifindex && b->ifindex && a->ifindex != b->ifindex)
        return false;
    if (!a_any && !b_any)
        return ipaddr_eq(a_addr, &b->local.addr);
    if (a_any && b_any) {
        bool a6 = a->flags & PCB_V6, b6 = b->flags & PCB_V6;

        return a6 == b6 || !((a6 ? a : b)->flags & PCB_V6ONLY);
    }
    /* Linux: IPv4's wildcard meets every socket that took both, also when it has an IPv6 peer by now
     * (ipv4_rcv_saddr_equal). */
    if (a_any && !(a->flags & PCB_V6) && (b->flags & (PCB_V6 | PCB_V6ONLY | PCB_ADDR_LOCKED)) == PCB_V6)
        return true;
    return a_any ? wildcard_covers(a, !ipaddr_is_v4(&b->local.addr))
                 : wildcard_covers(b, !ipaddr_is_v4(a_addr));
}

static bool both(const struct pcb *a, const struct pcb *b, unsigned flag)
{
    return (a->flags & b->flags) & flag;
}

static bool is_listening(const struct pcb *p)
{
    return p->proto == IPPROTO_TCP && ((const struct tcb *)p)->state == TCPS_LISTEN;
}

static bool tw_conflicts(const struct port *p, const struct pcb *pcb, const struct ipaddr *addr, bool alone)
{
    bool v4 = ipaddr_is_v4(&p->tw_addr);
    struct pcb gone = {.local.addr = p->tw_addr, .flags = v4 ? 0 : PCB_V6 | PCB_V6ONLY};
    unsigned have =
        (pcb->flags & PCB_REUSEADDR ? TW_REUSEADDR : 0) | (pcb->flags & PCB_REUSEPORT ? TW_REUSEPORT : 0);

    for (unsigned i = 0; i < TW_KINDS; i++)
        if (p->tw[i] && (alone || !(have & i * TW_REUSEADDR)))
            return p->tw_mixed || overlap(pcb, addr, &gone);
    return false;
}

/* May pcb not be bound to addr beside the port's owners? picked: the port was not asked for; a stream gets
 * none then that it would share by SO_REUSEADDR or SO_REUSEPORT (inet_csk_bind_conflict, not relaxed). */
static bool conflicts(const struct port *p, const struct pcb *pcb, const struct ipaddr *addr, bool picked)
{
    bool alone = picked && pcb->proto == IPPROTO_TCP;

    if (tw_any(p) && tw_conflicts(p, pcb, addr, alone))
        return true;
    list_for_each(n, &p->owners)
    {
        const struct pcb *o = container_of(n, struct pcb, port_node);

        if (o == pcb || (!alone && both(pcb, o, PCB_REUSEPORT)))
            continue;
        if (!alone && both(pcb, o, PCB_REUSEADDR) && !is_listening(o))
            continue;
        if (overlap(pcb, addr, o))
            return true;
    }
    return false;
}

static void take(struct stack *st, struct pcb *pcb, uint16_t port_be)
{
    struct port *p = port_at(st, pcb->proto, port_be);

    pcb->local.port_be = port_be;
    pcb->flags |= PCB_BOUND;
    list_add_tail(&p->owners, &pcb->port_node);
}

static void range(const struct stack *st, uint32_t *low, uint32_t *n)
{
    uint32_t hi = (uint32_t)st->set.ip_local_port_max;

    *low = (uint32_t)st->set.ip_local_port_min;
    if (st->port_range) { /* inet_sk_get_local_port_range: as far as it lies within the other */
        uint32_t own_low = st->port_range & 0xffff, own_hi = st->port_range >> 16;

        if (own_low >= *low && own_low <= hi)
            *low = own_low;
        if (own_hi >= *low && own_hi <= hi)
            hi = own_hi;
    }
    if (hi < *low)
        hi = *low;
    *n = hi - *low + 1;
}

/* The i-th candidate of a range of n from offset on: first all of one parity, then the others. */
static uint16_t candidate(uint32_t low, uint32_t n, uint32_t offset, uint32_t i, unsigned parity)
{
    uint32_t half = (n + 1) / 2, k = i < half ? i : i - half;
    uint32_t p = i < half ? parity : parity ^ 1;

    return htons((uint16_t)(low + ((offset + k) % half * 2 + p) % n));
}

int port_bind(struct stack *st, struct shard *sh, struct pcb *pcb, const struct endpoint *local)
{
    uint32_t low, n, offset;

    if (pcb->flags & PCB_BOUND)
        return -EINVAL;
    if (local->port_be) {
        if (ntohs(local->port_be) < st->set.ip_unprivileged_port_start)
            return -EACCES;
        if (conflicts(port_at(st, pcb->proto, local->port_be), pcb, &local->addr, false))
            return -EADDRINUSE;
        pcb->local.addr = local->addr;
        take(st, pcb, local->port_be);
        return 0;
    }
    range(st, &low, &n);
    offset = rnd_u32(sh) % n;
    for (uint32_t i = 0; i < n + (n & 1); i++) {
        uint16_t port_be = candidate(low, n, offset, i, 1);
        struct port *p = port_at(st, pcb->proto, port_be);

        if (!is_free(p) && conflicts(p, pcb, &local->addr, true))
            continue;
        pcb->local.addr = local->addr;
        take(st, pcb, port_be);
        return 0;
    }
    return -EADDRINUSE;
}

/* All owners got the port by connect (or there are none). */
static bool is_shareable(const struct port *p)
{
    list_for_each(
        n, &p->owners) if (!(container_of(n, struct pcb, port_node)->flags & PCB_PORT_SHARED)) return false;
    return true;
}

int port_connect(struct stack *st, struct shard *sh, struct pcb *pcb,
                 bool (*in_use)(struct shard *sh, const struct endpoint *l, const struct endpoint *r))
{
    struct {
        struct ipaddr l, r;
        uint64_t rport_be;
    } in = {pcb->local.addr, pcb->remote.addr, pcb->remote.port_be};
    uint32_t low, n, offset;

    range(st, &low, &n);
    /* RFC 6056 algorithm 3: a peer sees ports that step, another peer other ones. */
    offset = (uint32_t)siphash(st->secret, &in, sizeof in) + st->ports->step;
    for (uint32_t i = 0; i < n + (n & 1); i++) {
        struct endpoint l = {pcb->local.addr, candidate(low, n, offset % n, i, 0)};
        struct port *p = port_at(st, pcb->proto, l.port_be);

        if (!is_shareable(p) || in_use(sh, &l, &pcb->remote))
            continue;
        st->ports->step += i + 1;
        take(st, pcb, l.port_be);
        pcb->flags |= PCB_PORT_SHARED;
        return 0;
    }
    return -EADDRNOTAVAIL;
}

void port_inherit(struct stack *st, struct pcb *child, const struct pcb *parent)
{
    take(st, child, parent->local.port_be);
}

void port_release(struct stack *st, struct pcb *pcb)
{
    if (__builtin_expect(st->shard[pcb->shard].nreuse != 0, 0))
        reuse_leave(&st->shard[pcb->shard], pcb,
                    pcb->flags & PCB_BOUND ? &port_at(st, pcb->proto, pcb->local.port_be)->owners : NULL);
    if (!(pcb->flags & PCB_BOUND))
        return;
    list_del(&pcb->port_node);
    pcb->flags &= (uint16_t) ~(PCB_BOUND | PCB_PORT_SHARED |
                               PCB_PORT_LOCKED); /* the number stays: getsockname still tells it */
}

int port_listen_check(struct stack *st, const struct pcb *pcb)
{
    /* As Linux (inet_csk_listen_start): what bind would say now. */
    return conflicts(port_at(st, pcb->proto, pcb->local.port_be), pcb, &pcb->local.addr, false) ? -EADDRINUSE
                                                                                                : 0;
}

void port_tw_hold(struct stack *st, const struct endpoint *local, unsigned tw_flags)
{
    struct port *p = port_at(st, IPPROTO_TCP, local->port_be);

    if (!tw_any(p)) {
        p->tw_addr = local->addr;
        p->tw_mixed = false;
    } else if (!ipaddr_eq(&p->tw_addr, &local->addr)) {
        p->tw_mixed = true;
    }
    p->tw[tw_kind(tw_flags)]++;
}

void port_tw_release(struct stack *st, uint16_t port_be, unsigned tw_flags)
{
    port_at(st, IPPROTO_TCP, port_be)->tw[tw_kind(tw_flags)]--;
}

void port_mend(struct stack *st, struct pcb *work)
{
    struct port *p;

    for (unsigned t = 0; t < 3; t++)
        for (unsigned i = 0; i < 65536; i++)
            if (st->ports->port[t][i].owners.next)
                list_repair(&st->ports->port[t][i].owners);
    if (!work || (work->proto != IPPROTO_TCP && work->proto != IPPROTO_UDP && work->proto != IPPROTO_UDPLITE))
        return;
    p = port_at(st, work->proto, work->local.port_be);
    list_settle(&p->owners, &work->port_node);
    if (list_empty(&work->port_node))
        work->flags &= (uint16_t) ~(PCB_BOUND | PCB_PORT_SHARED | PCB_PORT_LOCKED);
    else
        work->flags |= PCB_BOUND;
}
