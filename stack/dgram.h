/* dgram.h: what the datagram protocols (UDP, raw and ping sockets) have in common: the queue of received
 * packets, control messages both ways, the way to a destination, and the options that all of them know.
 *
 * Theory of operation. The control block of each such protocol begins with a struct dgram, which begins with
 * the struct pcb. The receive queue is the received mbufs themselves, linked by pkt_meta.link; data starts at
 * what the program is to read. The headers below still stand before it in the first mbuf, and sender,
 * destination, TTL and TOS are read from there when the program asks: nothing is copied on arrival.
 *
 * Memory. A queued packet is charged as Linux charges its truesize (dgram_truesize), so that SO_RCVBUF holds
 * as many datagrams as there, and a chain of small buffers (fragments) counts each of them. A packet is taken
 * into an empty queue whatever its size, as in Linux.
 *
 * Context of all functions: the shard's lock. 0 or a count, or -errno. Memory of the program (iovecs, names,
 * control) is touched through user.h alone.
 */
#ifndef SHUNT_DGRAM_H
#define SHUNT_DGRAM_H

#include <sys/socket.h>
#include <sys/types.h>

#include "ip.h"
#include "ip_ext.h"
#include "pcb.h"
#include "pkt.h"
#include "stamp.h"

enum dgram_flag {
    /* control messages with what is received; all of them are in DG_CTL */
    DG_PKTINFO = 1u << 0,   /* IP_PKTINFO */
    DG_RECVTTL = 1u << 1,   /* IP_RECVTTL */
    DG_RECVTOS = 1u << 2,   /* IP_RECVTOS */
    DG_RECVOPTS = 1u << 3,  /* IP_RECVOPTS */
    DG_EXT = 1u << 4,       /* extension headers, as dgram.ext says */
    DG_ORIGDST = 1u << 5,   /* IP_RECVORIGDSTADDR */
    DG_PKTINFO6 = 1u << 6,  /* IPV6_RECVPKTINFO */
    DG_HOPLIMIT6 = 1u << 7, /* IPV6_RECVHOPLIMIT */
    DG_TCLASS6 = 1u << 8,   /* IPV6_RECVTCLASS */
    DG_ORIGDST6 = 1u << 9,  /* IPV6_RECVORIGDSTADDR */
    DG_FLOWINFO6 = 1u << 10,
    DG_2292PKTINFO6 = 1u << 11,
    DG_2292HOPLIMIT6 = 1u << 12,
    DG_RXQ_OVFL = 1u << 13, /* SO_RXQ_OVFL */
    DG_STAMP = 1u << 14,    /* time stamps, as dgram.stamp says */
    DG_GRO = 1u << 15,      /* UDP_GRO */
    DG_CTL = (1u << 16) - 1,
    /* others */
    DG_NO_CHECK = 1u << 23,   /* SO_NO_CHECK: send without a checksum (IPv4) */
    DG_TXTIME = 1u << 24,     /* SO_TXTIME: control messages may name a time, which nothing waits for */
    DG_DONTFRAG6 = 1u << 16,  /* IPV6_DONTFRAG */
    DG_MC_LOOP = 1u << 17,    /* IP_MULTICAST_LOOP, on at first */
    DG_MC_LOOP6 = 1u << 18,   /* IPV6_MULTICAST_LOOP, on at first */
    DG_MC_ALL = 1u << 19,     /* IP_MULTICAST_ALL, on at first */
    DG_MC_ALL6 = 1u << 20,    /* IPV6_MULTICAST_ALL, on at first */
    DG_PEEK_MOVES = 1u << 21, /* SO_PEEK_OFF is not -1 */
    DG_ERRQ_PRI = 1u << 22,   /* SO_SELECT_ERR_QUEUE */
    DG_PLAIN_QUEUE =
        1u << 24, /* not UDP: a packet is taken while the buffer is not full (sock_queue_rcv_skb) */
    DG_NO_SPEC_DST = 1u << 25, /* IP_PKTINFO shows none (ping sockets: Linux's do not look for it) */
};

struct dgram {
    struct pcb pcb;                       /* first */
    struct rte_mbuf *rcv_head, *rcv_tail; /* linked by pkt_meta.link */
    uint32_t rcv_mem, rcvbuf, sndbuf;     /* bytes, as Linux counts them */
    uint32_t flags;                       /* enum dgram_flag */
    uint8_t shut;                         /* 1: no more reading, 2: no more writing */
    uint8_t pmtudisc, pmtudisc6;          /* IP_PMTUDISC_* */
    uint8_t mc_ttl;                       /* IP_MULTICAST_TTL */
    int16_t mc_hops6, hops6, tclass6;     /* IPV6_MULTICAST_HOPS, _UNICAST_HOPS, _TCLASS; -1: default */
    uint8_t uc_if, uc_if6;                /* IP_UNICAST_IF, IPV6_UNICAST_IF: the same for others */
    uint8_t mc_if, mc_if6;                /* interface + 1 for multicasts; 0: by route */
    struct stamp stamp;                   /* SO_TIMESTAMP and its like */
    struct ipaddr mc_addr;    /* IP_MULTICAST_IF: the source of multicasts; any: the flow's choice */
    struct mc_member *groups; /* joined (dgram_mc.h) */
    int32_t peek_off;         /* SO_PEEK_OFF, with DG_PEEK_MOVES */
    uint32_t drops;           /* packets the full queue refused */
    uint64_t last_ns;   /* when the datagram read last without SO_TIMESTAMP came, shard clock; 0: none */
    struct ip_ext *ext; /* header options and the like (ip_ext.h); NULL: none */
    struct flow flow;   /* the way to the last destination */
};

/* d->ext says something else than before. */
void dgram_ext_changed(struct dgram *d);

/* Defaults; list heads. The rest of the pcb (proto, flags, shard) is the caller's. */
void dgram_init(struct shard *sh, struct dgram *d);

/* ---- receiving (dgram.c) ---- */

/* What Linux would charge for a packet like m. */
uint32_t dgram_truesize(const struct rte_mbuf *m);
/* Queues m, whose data starts at what the program reads; back: bytes from there back to the IP header, which
 * stands in the same mbuf. Ports: what the sender's name and IP_ORIGDSTADDR show (0: none). Raises EV_IN.
 * False, and counted in d->drops: the buffer is full; m is still the caller's. */
bool dgram_queue(struct shard *sh, struct dgram *d, struct rte_mbuf *m, const struct rxinfo *ri,
                 uint32_t back, uint16_t sport_be, uint16_t dport_be);

/* What the headers of a queued packet say. */
struct dgram_info {
    struct endpoint from, to;
    uint32_t flowinfo_be; /* IPv6: traffic class and flow label */
    uint8_t v4, ttl, tos, ifindex;
    uint8_t bcast;         /* link-layer or IP broadcast or multicast */
    uint16_t gso;          /* UDP_GRO: bytes of each datagram but the last in one read; 0: it is one */
    uint16_t frag_max;     /* of the fragments it came in; 0: none */
    uint8_t is_error;      /* of a packet that reported an error: IP_PKTINFO has no spec_dst then */
    const uint8_t *ip;     /* the IP header */
    const uint8_t *l4, *e; /* v4: end of its header; end of contiguous data */
};
void dgram_info(const struct rte_mbuf *m, struct dgram_info *info);

/* One packet into msg: iov, name as sockaddr of the socket's family, control, msg_flags. flags: MSG_PEEK,
 * MSG_TRUNC, MSG_DONTWAIT, MSG_ERRQUEUE (the error queue's oldest instead). Bytes, -EAGAIN, -EFAULT, or the
 * pending error, taken. */
ssize_t dgram_recv(struct shard *sh, struct dgram *d, struct msghdr *msg, int flags);
/* Writes the name e as the socket's family has it, with the interface as scope of a link-local address;
 * msg_namelen becomes its full length. False: bad pointer. */
bool dgram_put_name(const struct shard *sh, const struct dgram *d, struct msghdr *msg,
                    const struct endpoint *e, unsigned ifindex);
/* Lets UDP_GRO's work be done: appends m, a datagram whose data starts at its payload, to the last queued one
 * when both came in the same poll, from and to the same, and all before m are of one size that m does not
 * exceed. False: it must be queued by itself. */
bool dgram_coalesce(struct shard *sh, struct dgram *d, struct rte_mbuf *m, const struct rxinfo *ri,
                    uint32_t back, uint16_t sport_be, uint16_t dport_be);
size_t dgram_next_len(const struct dgram *d); /* FIONREAD */
unsigned dgram_poll(const struct dgram *d);
/* Takes effect and raises events; -ENOTCONN without a peer, as in Linux. */
int dgram_shutdown(struct shard *sh, struct dgram *d, int how);
/* After a process was killed inside the stack: the receive queue is read forward and counted again. */
void dgram_mend(struct shard *sh, struct dgram *d);
/* The socket goes: frees what is queued and what the modules above hold for it. The pcb's names are the
 * caller's. */
void dgram_close(struct shard *sh, struct dgram *d);

/* An ICMP error about d's packet to port port_be: queued for who set IP_RECVERR, its payload what is quoted
 * from byte off on; else pending only when it is fatal and d has a peer (Linux: __udp4_lib_err, raw_err). */
void dgram_icmp(struct shard *sh, struct dgram *d, const struct icmp_error *e, uint16_t port_be,
                uint32_t off);

/* Takes the pending error: 0 or -errno. */
static inline int dgram_take_error(struct dgram *d)
{
    int err = d->pcb.so_error;

    d->pcb.so_error = 0;
    return -err;
}

#define DGRAM_KEEP_ERROR  (1 << 27) /* of recv's flags: a pending error is not taken, -ECANCELED */
#define DGRAM_UDP_GRO     104
#define DGRAM_UDP_SEGMENT 103 /* UDP_SEGMENT: <netinet/udp.h> and <linux/udp.h> exclude each other */
/* Linux's numbers that glibc 2.36 lacks. */
#define DGRAM_IPV6_FLOWINFO     11
#define DGRAM_IPV6_ORIGDSTADDR  74
#define DGRAM_IPV6_UNICAST_IF   76
#define DGRAM_IPV6_RECVFRAGSIZE 77
#define DGRAM_IP_RECVFRAGSIZE   25

/* ---- sending (dgram_send.c, dgram_cmsg.c) ---- */

/* What one send asks for, from its control messages or from the socket. */
struct dgram_tx {
    struct ipaddr from;         /* any: the flow's choice */
    unsigned ifindex;           /* 0: any */
    int ttl, tos;               /* -1: the socket's */
    int dontfrag;               /* IPV6_DONTFRAG; -1: the socket's */
    uint32_t stamps;            /* SOF_TIMESTAMPING_TX_* */
    uint32_t mark;              /* SO_MARK of this message: nothing routes by it, but by the socket's */
    uint32_t label_be;          /* of the flow */
    uint16_t gso;               /* UDP_SEGMENT; 0: none */
    uint16_t gso_set;           /* the message asked for it */
    const struct ip_exts *exts; /* options and extension headers; NULL: none */
};

/* *tx as the socket's options have it; then dgram_ctl_parse changes what msg's control messages ask for. v4:
 * the packet is to be IPv4 (messages of the other version's level are passed over then, but for IPV6_PKTINFO
 * on an AF_INET6 socket). -EINVAL, -ENODEV, -EFAULT; levels that are nobody's here are passed over, as in
 * Linux. */
void dgram_tx_init(const struct shard *sh, const struct dgram *d, struct dgram_tx *tx);
int dgram_ctl_parse(const struct shard *sh, const struct dgram *d, const struct msghdr *msg, bool v4,
                    struct dgram_tx *tx);
/* Makes d->flow the way to dst as tx asks, with TTL, TOS and don't-fragment. flow_resolve's errors. */
int dgram_flow(struct shard *sh, struct dgram *d, const struct ipaddr *dst, const struct dgram_tx *tx);
/* After a send with another source than the socket's own: the next one is resolved anew. */
void dgram_flow_done(struct dgram *d, const struct dgram_tx *tx);
/* The local address after a connect by tx: the chosen one, if there was none. Who is bound to a group goes on
 * receiving there alone, and sends from flow.src (__ip4_datagram_connect). */
static inline struct ipaddr dgram_name(const struct dgram *d, const struct dgram_tx *tx)
{
    return ipaddr_is_any(&tx->from) ? d->flow.src : tx->from;
}

/* Whether a packet of len bytes (with its IP header) to dst may go the way that dgram_flow found: sets
 * don't-fragment in d->flow. -EMSGSIZE: longer than the path and not to be fragmented, or than IP can say;
 * queued for who set IP_RECVERR. */
int dgram_fits(struct shard *sh, struct dgram *d, const struct dgram_tx *tx, uint32_t len,
               const struct ipaddr *dst);

/* Bytes of msg's iovecs; -EMSGSIZE above max. */
ssize_t dgram_iov_total(const struct msghdr *msg, size_t max);
/* How far a send has come in msg's iovecs. */
struct dgram_cursor {
    size_t i, off;
};
/* Appends the next len bytes of what the iovecs hold to *m and moves *at; *m NULL: starts a packet with hdr
 * empty bytes in front (the transport's header). -ENOBUFS or -EFAULT: *m is freed and NULL. */
int dgram_gather(struct shard *sh, const struct msghdr *msg, struct dgram_cursor *at, size_t len,
                 uint16_t hdr, struct rte_mbuf **m);

/* ---- options (dgram_opt.c) ---- */

/* Options of SOL_SOCKET, IPPROTO_IP and IPPROTO_IPV6 that all datagram sockets have. -ENOPROTOOPT: another.
 */
int dgram_setopt(struct shard *sh, struct dgram *d, int level, int name, const void *val, uint32_t len);
int dgram_getopt(struct shard *sh, struct dgram *d, int level, int name, void *val, uint32_t *len);

/* Of the control messages that the socket wants, those of IPPROTO_IP and IPPROTO_IPV6. */
void dgram_put_ip_ctl(struct shard *sh, const struct dgram *d, struct msghdr *msg, size_t *used,
                      const struct dgram_info *info);
/* All that the socket wants with packet m. Sets msg_controllen. */
void dgram_put_all_ctl(struct shard *sh, struct dgram *d, struct msghdr *msg, const struct rte_mbuf *m,
                       const struct dgram_info *info);

#endif
