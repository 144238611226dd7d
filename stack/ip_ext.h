/* ip_ext.h: what of the IP layers few sockets use: options of the IPv4 header (IP_OPTIONS, RFC 791),
 * extension headers of IPv6 (RFC 8200 section 4; sticky or by control message, RFC 3542), preferences of
 * source addresses (RFC 5014), and options that are kept alone.
 *
 * Theory of operation. Such a socket has a struct ip_ext, made when the first of these options is set. What
 * goes into packets is a struct ip_exts of it, or one that a control message made for a single send. The send
 * (dgram_flow) leaves a pointer to it in shard.exts and marks the flow FLOW_WITH_EXT, a bit of flow.caps that
 * ip_output tests together with FLOW_GROUP: who has none pays nothing. Packets with such headers have their
 * checksums made here, whatever the port could do, and are not fragmented by hop-by-hop options (Differs:
 * -EMSGSIZE instead of headers in each fragment).
 *
 * A record route or time stamp option gets this host's own entry first, as in Linux (ip_options_build).
 * Differs: source routes are refused (-EINVAL), by set as by receipt; so are all routing headers.
 *
 * Context: the shard's lock.
 */
#ifndef SHUNT_IP_EXT_H
#define SHUNT_IP_EXT_H

#include <stdbool.h>
#include <stdint.h>

#include "ip.h"

#define IP4_OPTS_MAX   40
#define IP6_STICKY_MAX 512 /* bytes of one extension header. Differs: Linux takes 2048 */
#define IP_EXT_KEPT    48  /* options kept by number (sock_opt_ip.c) */

enum ip6_ext { IP6_EXT_HOP, IP6_EXT_DST, IP6_EXTS };

struct ip_exts {
    uint8_t v4_len; /* a multiple of 4; checked */
    uint8_t v4[IP4_OPTS_MAX];
    uint16_t len[IP6_EXTS]; /* multiples of 8; 0: none */
    uint8_t v6[IP6_EXTS][IP6_STICKY_MAX];
};

/* What a socket wants to be told of received headers, as control messages. */
enum ip_ext_recv {
    EXT_RECV_HOP = 1u << 0,  /* IPV6_RECVHOPOPTS */
    EXT_RECV_DST = 1u << 1,  /* IPV6_RECVDSTOPTS */
    EXT_RECV_RT = 1u << 2,   /* IPV6_RECVRTHDR */
    EXT_RECV_OHOP = 1u << 3, /* the same by RFC 2292 */
    EXT_RECV_ODST = 1u << 4,
    EXT_RECV_ORT = 1u << 5,
    EXT_RECV_FRAGSIZE4 = 1u << 6, /* IP_RECVFRAGSIZE */
    EXT_RECV_FRAGSIZE6 = 1u << 7, /* IPV6_RECVFRAGSIZE */
};

struct ip_ext {
    struct ip_exts tx; /* first: dgram_tx_init */
    uint32_t recv;     /* enum ip_ext_recv */
    uint8_t in_use;
    uint16_t dst0_len; /* IPV6_RTHDRDSTOPTS: goes before a routing header, which there is none of: kept */
    uint8_t dst0[IP6_STICKY_MAX];
    uint16_t srcprefs;      /* IPV6_PREFER_SRC_* */
    uint32_t unicast_if[2]; /* IP_UNICAST_IF, IPV6_UNICAST_IF of a stream, network order */
    uint32_t port_range;    /* IP_LOCAL_PORT_RANGE: low in the low half */
    uint32_t pktinfo_if;    /* IPV6_PKTINFO, sticky: an interface as the program knows it, 0: any */
    struct ipaddr pktinfo;  /* and a source */
    /* Flow labels, as flow.label_be has them: the socket's, and that of the send that goes on (0: the
     * socket's). flowinfo_send: names given to connect and send say the label (IPV6_FLOWINFO_SEND). */
    uint32_t label_be, once_label_be;
    uint8_t flowinfo_send;
    uint32_t frag_size; /* IPV6_MTU: the longest packet, 0: the path's MTU */
    int32_t kept[IP_EXT_KEPT];
};

int ip_ext_init(struct shard *sh);  /* 0 or -ENOMEM */
void ip_ext_mend(struct shard *sh); /* a process was killed in here (shard.c) */
/* All zero. NULL: there is no more memory. */
struct ip_ext *ip_ext_new(struct shard *sh);
void ip_ext_free(struct shard *sh, struct ip_ext *x); /* x may be NULL */

/* Room for what a control message asks of the send that goes on. */
struct ip_exts *ip_exts_scratch(const struct shard *sh);

/* IP_OPTIONS: checks opts of *len bytes and pads them to a multiple of four. -EINVAL: malformed
 * (ip_options_compile), too long, or a source route. */
int ip4_opts_check(uint8_t opts[IP4_OPTS_MAX], uint32_t *len);

/* Bytes that exts adds to a packet of that version. */
static inline uint32_t ip_exts_len(const struct ip_exts *x, bool v4)
{
    return v4 ? x->v4_len : (uint32_t)x->len[IP6_EXT_HOP] + x->len[IP6_EXT_DST];
}

/* ip_output of a flow with FLOW_WITH_EXT, resolved: m at the transport header. Ownership and results as
 * there. */
int ip_ext_output(struct shard *sh, struct flow *fl, struct rte_mbuf *m);

#endif
