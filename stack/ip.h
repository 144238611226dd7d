/* ip.h: the network layer as the transports see it. */
#ifndef SHUNT_IP_H
#define SHUNT_IP_H

#include <stdint.h>

#include "addr.h"
#include "stack.h"

/* What the layers below found out about a received packet. The mbuf starts at the transport header and ends
 * with the payload. */
struct rxinfo {
    struct ipaddr src, dst;
    uint8_t ifindex;
    uint8_t proto, ttl, tos;
    uint8_t l4_good;   /* 1: the transport checksum need not be verified */
    uint8_t bcast;     /* link-layer or IP broadcast or multicast */
    uint8_t fragments; /* IPv6: it came in fragments, or in an atomic one */
    uint16_t frag_max; /* bytes of the longest fragment that it came in; 0: it came in one piece */
    uint16_t l3_len;   /* bytes of the IP headers (options, extension headers), which stand before the mbuf's
                          data */
    uint32_t len;      /* bytes from the transport header to the end */
};

/* A flow's way out, cached in the pcb that owns it. gen says whether it still holds (routes or neighbours
 * changed). */
struct flow {
    struct ipaddr src, dst;
    uint8_t proto, ttl, tos; /* ttl 0: default */
    uint8_t df;              /* set don't-fragment */
    uint8_t ifindex;         /* out: chosen interface. In: 0 or the bound one */
    uint8_t bound_if;
    uint8_t allow_bcast; /* 1: SO_BROADCAST; FLOW_NO_LOOP, FLOW_TTL_0 */
    uint8_t caps;        /* the interface's; FLOW_GROUP */
    uint32_t gen;        /* 0: not resolved yet */
    uint32_t mtu;        /* path MTU in bytes (interface MTU, or learnt by ICMP) */
    uint16_t tso_max;    /* the interface's, 0: none */
    uint8_t mark;        /* SO_MARK's class (rule.h) */
    uint8_t hops;        /* the route's hop limit, where ttl is 0; 0: none */
    uint32_t label_be;   /* IPv6 flow label, FLOW_LABEL_SET with it; 0: as auto_flowlabels says */
    void *neigh;         /* neighbour entry, owned by the neighbour table */
};

#define FLOW_NO_LOOP  2u    /* of allow_bcast: IP_MULTICAST_LOOP is off */
#define FLOW_TTL_0    4u    /* of allow_bcast: to a group with TTL 0 */
#define FLOW_ONE_LOOK 8u    /* of allow_bcast: rules are not asked again once the source is known */
#define FLOW_GROUP    0x80u /* of caps: dst is a group or a broadcast */
#define FLOW_WITH_EXT 0x40u /* of caps: with what shard.exts says (ip_ext.h) */

#define FLOW_LABEL_SET  htonl(0x80000000u) /* of label_be: the label is the one given, be it 0 */
#define FLOW_LABEL_AUTO htonl(0x40000000u) /* one by hash, where the setting leaves it to the socket */
#define FLOW_LABEL_NONE htonl(0x20000000u) /* none, where it does */

/* Chooses interface, source address (when fl->src is any; RFC 6724 for IPv6), next hop. 0, -ENETUNREACH,
 * -EHOSTUNREACH, -EACCES (broadcast not allowed), -EINVAL, -ENODEV. Cheap when the cache holds. Context:
 * shard lock. A destination of "any" becomes this host's (fl->dst is set), as Linux has it; one that lacks
 * its zone (addr.h) gets that of the bound interface, or of the first. */
int flow_resolve(struct shard *sh, struct flow *fl);

/* A path MTU to dst learnt by an ICMP error that the transport found genuine (RFC 5927): flows to dst resolve
 * again and see it in mtu. 0 (an old router that names none): the next lower plateau of RFC 1191. Never
 * raises, never below 552 (as Linux's min_pmtu), 1280 for IPv6. */
void ip_learn_mtu(struct shard *sh, const struct ipaddr *dst, uint32_t mtu);
/* The transport saw forward progress on fl (new data acknowledged): its neighbour is reachable (RFC 4861
 * section 7.3.1). Cheap. */
void ip_confirm(struct shard *sh, const struct flow *fl);

/* Sends one transport packet: m starts at the transport header, l4_len and the transport's ol_flags are set
 * (netdev.h), headroom is free for the lower headers. Takes ownership in every case. Fragments when needed
 * and allowed. 0 or -errno: -EMSGSIZE (DF), -ENETUNREACH, -EHOSTUNREACH, -ENOBUFS. A packet that waits for
 * its neighbour counts as sent. The frame goes to shard->tx and leaves at shard_flush. */
int ip_output(struct shard *sh, struct flow *fl, struct rte_mbuf *m);

/* For ip4.c and ip6.c: a group's members on this host, and with a broadcast everybody, hear what it sends. A
 * copy of m, which starts at its transport header, or NULL: nobody does. With its IP header it is delivered.
 */
struct rte_mbuf *ip_group_copy(struct shard *sh, const struct flow *fl, const struct rte_mbuf *m);
void ip_group_deliver(struct shard *sh, const struct flow *fl, struct rte_mbuf *copy);

/* True if the address is one of the stack's own (any interface, loopback's 127/8 and ::1 in profile isolate).
 */
bool ip_is_local(const struct stack *st, const struct ipaddr *a);
/* True if the stack's routes or addresses cover a (design section 2): false sends the socket to the kernel.
 */
bool ip_covers(const struct stack *st, const struct ipaddr *a);
/* Broadcast address of one of the interfaces, or 255.255.255.255. */
bool ip_is_broadcast(const struct stack *st, const struct ipaddr *a);

/* An ICMP or ICMPv6 error (by the family of src) that names one of our packets; rx.c hands it to the
 * transport. */
struct icmp_error {
    struct ipaddr src, dst;    /* of our packet: src is ours */
    struct ipaddr from, to;    /* who reported, to which of our addresses */
    uint8_t proto, type, code; /* type and code: the family's own */
    uint8_t too_big;           /* "fragmentation needed", "packet too big" */
    uint32_t mtu;              /* next-hop MTU with too_big, host order, 0 if not given */
    uint32_t info; /* the 32 bits behind the checksum, host order (ee_info of Linux is made of it) */
    uint16_t sport_be, dport_be;
    uint32_t seq;        /* TCP: host order */
    int err;             /* the errno Linux gives for it (icmp_err_convert), positive */
    uint8_t fatal;       /* hard error in Linux's table */
    const uint8_t *data; /* our packet from its IP header on, as far as quoted */
    uint32_t data_len;
    uint8_t ttl, tos, ifindex; /* of the packet that reported */
};

/* What the network layer handles itself (ICMP), raw and ping sockets want to see too: a clone of the latest
 * such packet, m at the transport header, is left here for rx.c, which gives it to them and frees it. In the
 * segment, one a shard. */
struct icmp_copy {
    uint32_t wanted; /* sockets that want any */
    struct rte_mbuf *m;
    struct rxinfo ri;
};

static inline void ip_copy_icmp(struct shard *sh, struct rte_mbuf *m, const struct rxinfo *ri)
{
    struct icmp_copy *c = sh->icmp_copy;

    if (__builtin_expect(c && c->wanted && !c->m, 0)) {
        c->m = rte_pktmbuf_clone(m, sh->pool);
        c->ri = *ri;
    }
}

/* Sends an IPv4 or IPv6 packet whose header the program wrote (IP_HDRINCL): m starts there. What Linux fills
 * in is filled in: total length and checksum; source address and identification where they are 0. -EINVAL: no
 * header. Never fragments. Ownership and results as ip_output. */
int ip_output_hdrincl(struct shard *sh, struct flow *fl, struct rte_mbuf *m);

enum ip_verdict {
    IP_DONE,      /* consumed (and freed) */
    IP_TRANSPORT, /* *m is a transport packet for this stack, ri is filled in */
    IP_VLAN,      /* *m, at its Ethernet header, has an 802.1Q tag; it is still the caller's */
    IP_ICMP_ERROR /* *err is filled in; *m is still the caller's to free */
};

/* Ethernet input of one frame: ARP, IPv4, reassembly and ICMP are handled inside. Takes ownership unless the
 * verdict says otherwise; *m may be replaced (reassembly). Every drop is counted. */
enum ip_verdict eth_input(struct shard *sh, unsigned ifindex, struct rte_mbuf **m, struct rxinfo *ri,
                          struct icmp_error *err);

/* One packet (of IPv4, of IPv6), m starting at its IP header; l2_multicast: the frame was not for our address
 * alone. Verdict and ownership as eth_input. */
enum ip_verdict ip4_input(struct shard *sh, unsigned ifindex, bool l2_multicast, struct rte_mbuf **mp,
                          struct rxinfo *ri, struct icmp_error *err);
enum ip_verdict ip6_input(struct shard *sh, unsigned ifindex, bool l2_multicast, struct rte_mbuf **mp,
                          struct rxinfo *ri, struct icmp_error *err);

/* ICMP errors on behalf of a transport: m as the transport got it (its IP header stands before data). Does
 * not free m. Rate-limited; never about ICMP errors, broadcasts or non-first fragments (RFC 1122 3.2.2). Type
 * and code are ICMP's; for an IPv6 packet (by ri->src) its own of the same meaning are sent. */
void icmp_send_error(struct shard *sh, const struct rxinfo *ri, struct rte_mbuf *m, uint8_t type,
                     uint8_t code);

/* Counts the reason and frees m. */
void pkt_drop(struct shard *sh, struct rte_mbuf *m, enum count why);
/* An empty packet with headroom, from the shard's pool; NULL counts NOMEM_PKT. */
struct rte_mbuf *pkt_alloc(struct shard *sh);

/* Internet checksum of a whole transport packet (from m's data) with pseudo-header; 0 when it verifies. All
 * of a chain. */
uint16_t ip_l4_cksum(const struct rte_mbuf *m, const struct ipaddr *src, const struct ipaddr *dst,
                     uint8_t proto, uint32_t len);

/* Configuration (before the stack runs, or under shard 0's lock). 0 or -errno as rtnetlink would answer. */
int stack_add_if(struct stack *st, const struct netdev *dev); /* index, or -ENOSPC */
int stack_add_addr(struct stack *st, unsigned ifindex, const struct ipaddr *a, uint8_t prefix_len);
int route_add(struct stack *st, const struct ipaddr *net, uint8_t prefix_len,
              const struct ipaddr *via /* NULL: on link */, unsigned ifindex);
/* RFC 5227, RFC 4862 section 5.4: starts probing every tentative address; gratuitous ARP for the valid ones
 * follows. */
void arp_announce_start(struct shard *sh);
/* 0: all addresses valid, 1: still probing, -EADDRINUSE: conflict (mac of the other end in mac). Addresses
 * that the stack chose itself (IFADDR_AUTO) may fail; a warning has said so. */
int arp_announce_state(const struct stack *st, uint8_t mac[6]);

#endif
