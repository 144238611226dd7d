/* packet.h: packet sockets (packet(7)) on the stack's links: frames as they come and go.
 *
 * Theory of operation. A packet socket sees what an interface receives before any protocol does, and, with
 * ETH_P_ALL, what is sent (PACKET_OUTGOING) as it is handed to the link. It gets a copy of its own, cut to
 * what its filter returns. rx.c and shard.c call packet_tap while there is a packet socket at all
 * (shard.npacket), so that nobody else pays. SOCK_RAW reads from the link header on and writes whole frames;
 * SOCK_DGRAM reads behind it and has it made from the address. Sums and segmentation left to the port are not
 * done yet in what is seen of sent frames, as in Linux.
 *
 * Where it is served (design section 2, "AF_PACKET on the stack's links"): in profile isolate every packet
 * socket is the stack's. In profile default it is undecided until it names an interface (bind, send to,
 * SIOCGIFINDEX and its like, membership): a stack's interface, known by number or name, makes it the stack's,
 * any other the kernel's. Undecided it sees nothing.
 *
 * Rings: packet_ring.h. PACKET_FANOUT: packet_fanout.h. PACKET_VNET_HDR is refused as by a kernel that lacks
 * it.
 *
 * Context and results as in udp.h.
 */
#ifndef SHUNT_PACKET_H
#define SHUNT_PACKET_H

#include <linux/if_packet.h>

#include "dgram.h"
#include "packet_fanout.h"
#include "packet_ring.h"

#define PACKET_MREQ_MAX 8 /* memberships a socket */

struct packetcb {
    struct dgram d;       /* d.pcb.hash: in the list of all; d.pcb.ifindex: the interface, with `bound` */
    uint16_t proto_be;    /* what is wanted; 0: nothing */
    uint16_t tx_proto_be; /* of the frame that is being sent, as its address says */
    uint8_t in_use;
    uint8_t cooked; /* SOCK_DGRAM */
    uint8_t bound;  /* to d.pcb.ifindex */
    uint8_t auxdata, origdev, ignore_outgoing;
    uint8_t closed;               /* not decided to be the stack's: sees nothing yet */
    uint32_t packets, drops;      /* PACKET_STATISTICS, since last asked */
    struct packet_rings *rings;   /* NULL: no option of rings was set */
    struct packet_fanout *fanout; /* NULL: in no group */
    uint32_t nmreq;
    struct {
        uint8_t ifindex, alen;
        uint16_t type;
        uint8_t addr[8];
    } mreq[PACKET_MREQ_MAX];
};

int packet_init(struct shard *sh, uint32_t max_pcb);
struct packetcb *packet_open(struct shard *sh, bool cooked, uint16_t proto_be, bool undecided);
void packet_close(struct shard *sh, struct packetcb *p);
/* The socket is the stack's from now on. */
void packet_decided(struct packetcb *p);

/* -EINVAL, -ENODEV (no interface of the stack). */
int packet_bind(struct shard *sh, struct packetcb *p, const struct sockaddr_ll *sa, socklen_t len);
int packet_getname(const struct shard *sh, const struct packetcb *p, struct sockaddr *sa, socklen_t *len);
ssize_t packet_send(struct shard *sh, struct packetcb *p, const struct msghdr *msg, int flags);
ssize_t packet_recv(struct shard *sh, struct packetcb *p, struct msghdr *msg, int flags);
int packet_setopt(struct shard *sh, struct packetcb *p, int level, int name, const void *val, uint32_t len);
int packet_getopt(struct shard *sh, struct packetcb *p, int level, int name, void *val, uint32_t *len);
unsigned packet_poll(const struct packetcb *p);

/* A frame that interface ifindex received (out false) or that is handed to it: to all who want it, but for
 * the socket that is sending it (shard.packet_from). m is only read. */
void packet_tap(struct shard *sh, unsigned ifindex, const struct rte_mbuf *m, bool out);
static inline bool packet_wanted(const struct shard *sh)
{
    return sh->npacket != 0;
}
/* As tcp_mend. */
void packet_mend(struct shard *sh);

#endif
