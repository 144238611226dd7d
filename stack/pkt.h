/* pkt.h: packet buffers. A packet is an rte_mbuf; what the stack itself must remember of it is in the mbuf's
 * private area (struct pkt_meta), which pools made by pkt_pool_create reserve.
 */
#ifndef SHUNT_PKT_H
#define SHUNT_PKT_H

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Headroom of PKT_HEADROOM bytes takes the headers of every layer: 14 + 4 (VLAN) + 40 (IPv6) + 60 (TCP),
 * rounded. */
#define PKT_HEADROOM  RTE_PKTMBUF_HEADROOM
#define PKT_DATA_ROOM 2048 /* bytes a buffer, without headroom */

/* Private area of each mbuf, one cache line. On the receive side it is of the segment's first mbuf, on the
 * send side of a send-queue unit. */
struct pkt_meta {
    struct rte_mbuf *link; /* next in a socket's queue; mbuf->next stays the chain's */
    uint32_t seq;          /* TCP: sequence number of the first byte (host order) */
    uint32_t len;          /* TCP: payload bytes, all of the chain */
    uint32_t off;          /* bytes already consumed */
    uint8_t flags;         /* owner's: TCP send unit: SACKED, LOST, RETRANS; receive: FIN */
    uint8_t retrans;       /* times retransmitted */
    union {
        uint16_t aux;
        uint8_t rate_flags; /* TCP send unit */
    };
    uint64_t time_us; /* when last sent, or received */
    uint32_t
        delivered; /* TCP send unit: tcp_tx.delivered and delivered_us when it was last sent (tcp_rate.h) */
    uint32_t delivered_us;
    union {
        void *user;
        struct rte_mbuf *rtx_prev; /* TCP send unit sent again: tcp_tx.rtx_first's list (tcp_rack.h) */
        struct rte_mbuf *run_last; /* TCP send unit SACKed: one further up in the same run (tcp_sack.h) */
    };
    uint32_t truesize; /* TCP receive: bytes of buffers held, as accounted */
    uint32_t first_us; /* TCP send unit: tcp_tx.first_sent_us when it was last sent */
    union {
        uint64_t stamp_ns;         /* received: by the wall clock, 0: nobody wanted to know (stamp.h) */
        struct rte_mbuf *rtx_next; /* TCP send unit sent again */
    };
};

/* pkt_meta.rate_flags */
#define PKT_RATE_SENT        1u /* sent, and its delivery not known yet */
#define PKT_RATE_APP_LIMITED 2u /* sent while the application had no more to send */

static inline struct pkt_meta *pkt_meta(struct rte_mbuf *m)
{
    return (struct pkt_meta *)rte_mbuf_to_priv(m);
}

/* A buffer that stays in its process's own memory while the lock is free names the process, so that it is not
 * taken for one that a killed process left (sweep.h). owner: any even address. pkt_unhold before it goes
 * anywhere. */
static inline void pkt_hold(struct rte_mbuf *m, const void *owner)
{
    pkt_meta(m)->user = (void *)((uintptr_t)owner | 1);
}

static inline void pkt_unhold(struct rte_mbuf *m)
{
    pkt_meta(m)->user = NULL;
}

/* NULL: nobody. */
static inline const void *pkt_holder(struct rte_mbuf *m)
{
    uintptr_t owner = (uintptr_t)pkt_meta(m)->user;

    return owner & 1 ? (const void *)(owner - 1) : NULL;
}

/* Private bytes to give rte_pktmbuf_pool_create. */
#define PKT_PRIV_SIZE RTE_ALIGN_CEIL(sizeof(struct pkt_meta), RTE_MBUF_PRIV_ALIGN)

/* packet_type of a frame that this host sent to a group and hears itself (shard_loop); no port says this. */
#define PKT_LOOPED 0xf5a17e00u
/* Bit of packet_type of a frame on loopback that was routed there whatever its header says (IP_HDRINCL): the
 * route stays with it, as with Linux's packet, so that it is not looked at again. */
#define PKT_ROUTED 0x80000000u
/* Another: its transport checksum is the program's, and to be looked at. */
#define PKT_UNSUMMED 0x40000000u

struct iovec;

/* A pool of n packet buffers with PKT_PRIV_SIZE and PKT_HEADROOM, per-lcore cache of the given size (0:
 * none). NULL and rte_errno on failure. EAL is up. */
struct rte_mempool *pkt_pool_create(const char *name, unsigned n, unsigned cache, int socket_id);

/* The helpers below take whole chains, keep pkt_len right and never free or replace the first mbuf. */

/* Copies out up to len bytes from offset off of m to the iovecs, of which the first iov_off bytes are passed
 * over. Bytes copied. */
size_t pkt_copy_out(const struct rte_mbuf *m, uint32_t off, const struct iovec *iov, int iovcnt,
                    size_t iov_off, size_t len);
/* Copies out len bytes from offset off to buf; false when the packet is shorter. */
bool pkt_read(const struct rte_mbuf *m, uint32_t off, uint32_t len, void *buf);
/* Takes n bytes (at most pkt_len) off the front; later mbufs of the chain that become empty are freed. */
void pkt_trim_front(struct rte_mbuf *m, uint32_t n);
/* Shortens the packet to len bytes (no more than it has). */
void pkt_trim_to(struct rte_mbuf *m, uint32_t len);
/* Appends up to len bytes from the iovecs, of which the first iov_off bytes are passed over, to m's own
 * tailroom (m is a single mbuf). Bytes copied. */
size_t pkt_fill(struct rte_mbuf *m, const struct iovec *iov, int iovcnt, size_t iov_off, size_t len);
/* Makes the first n bytes contiguous in the first mbuf. False when the packet is shorter or they don't fit;
 * the packet is unchanged then. */
bool pkt_pull(struct rte_mbuf *m, uint32_t n);

#endif
