/* packet_ring.h: rings of frames that a packet socket shares with its program (packet_mmap: PACKET_RX_RING,
 * PACKET_TX_RING, TPACKET_V1 to V3; Linux's Documentation/networking/packet_mmap.rst).
 *
 * Theory of operation. A ring lies in the segment (region.h), where every process of the family can fill it;
 * the program's mmap maps the same pages a second time. Frames (V1, V2, and V3 for sending) belong to the
 * side that their status word names. TPACKET_V3 receives into blocks instead: a block is filled frame behind
 * frame and handed over when the next one doesn't fit or its time is up (a timer of the wheel). What the
 * program can write is never believed: lengths, offsets and indexes are kept on this side, and of the ring
 * only status words are read, and the length of what is to be sent, which is checked.
 *
 * Differs: a ring goes with its socket although the program may have it mapped still, and PACKET_RX_RING is
 * not refused (EBUSY) while it has; such a mapping reads as zero then. Offloads of PACKET_VNET_HDR are not
 * there.
 *
 * Context: the shard's lock.
 */
#ifndef SHUNT_PACKET_RING_H
#define SHUNT_PACKET_RING_H

#include <linux/if_packet.h>
#include <sys/socket.h>
#include <stdbool.h>
#include <stdint.h>

#include "stack.h"
#include "timer.h"

#define PACKET_RINGS_BYTES (1ull << 30) /* of all rings together; memory comes with use */

struct packetcb;

struct packet_ring {
    uint8_t *mem; /* in the segment; NULL: no ring */
    uint32_t block_size, block_nr, frame_size, per_block;
    uint32_t frames, head; /* frames in all, the next one */
};

/* Receiving in blocks. */
struct packet_blocks {
    uint64_t seq;        /* of the next block to be opened */
    uint32_t active;     /* block that is being filled */
    uint32_t priv;       /* bytes behind its header that are the program's */
    uint32_t tov_ms;     /* how long a block with frames may wait */
    uint32_t features;   /* TP_FT_REQ_* */
    uint32_t next, prev; /* in the active block: where the next frame goes, where the last one is */
    uint32_t npkts;      /* in the active block */
    uint32_t freezes;    /* PACKET_STATISTICS */
    uint8_t frozen;      /* the program has all blocks */
};

struct packet_rings {
    struct timer timer; /* of blocks */
    struct packet_ring rx, tx;
    struct packet_blocks b;
    struct packetcb *owner;
    uint32_t reserve, copy_thresh, tstamp;
    uint16_t hdrlen;  /* Linux's tp_hdrlen: header and address */
    uint8_t version;  /* TPACKET_V1 ... */
    uint8_t loss;     /* PACKET_LOSS */
    uint8_t has_off;  /* PACKET_TX_HAS_OFF */
    uint8_t stamping; /* counted in stack.stamps: every frame has its time */
};

/* A frame for a ring. */
struct ring_frame {
    const struct rte_mbuf *m;
    uint32_t skip, len, keep; /* where it begins in m, its length from there, bytes that the filter keeps */
    uint32_t net;             /* the network header, from where it begins */
    uint32_t status;          /* TP_STATUS_* of checksums */
    uint64_t stamp_ns;
    struct sockaddr_ll from;
};
enum ring_verdict { RING_TAKEN, RING_COPY, RING_FULL }; /* RING_COPY: cut; its rest is wanted in the queue */

/* Into p's receive ring, which it has. queue_room: the receive queue
 * could take a copy. Raises EV_IN. */
enum ring_verdict packet_ring_put(struct shard *sh, struct packetcb *p, const struct ring_frame *f,
                                  bool queue_room);
/* The next frame would be taken. */
bool packet_ring_room(const struct packetcb *p);
/* There is a frame or block that the program has not given back yet. */
bool packet_ring_readable(const struct packetcb *p);
/* The frame to be sent now, and its payload of *len bytes; NULL: there is none. *err: -EMSGSIZE, -EINVAL: the
 * frame is not to be sent. max: the longest. */
uint8_t *packet_ring_to_send(const struct packetcb *p, uint32_t max, uint8_t **data, uint32_t *len, int *err);
/* It was sent, or passed over: its status becomes that and the next one is looked at. */
void packet_ring_sent(struct packetcb *p, uint8_t *frame, uint32_t status, bool next);

/* The options of SOL_PACKET that belong to rings; 1: another. 0 or -errno. */
int packet_ring_setopt(struct shard *sh, struct packetcb *p, int name, const void *val, uint32_t len);
int packet_ring_getopt(const struct packetcb *p, int name, void *val, uint32_t *len);

/* What mmap of len bytes of p maps: two pieces, one behind the other. 0 or -EINVAL. */
struct ring_piece {
    void *p;
    size_t bytes;
};
int packet_ring_pieces(const struct packetcb *p, size_t len, struct ring_piece piece[2]);

void packet_ring_timer(struct shard *sh, struct timer *t);
/* A process was killed in here (shard.c): objects and memory anew, from the sockets that are there. */
void packet_ring_mend(struct shard *sh);
/* The socket goes. */
void packet_ring_close(struct shard *sh, struct packetcb *p);

/* packet_block.c: TPACKET_V3. All but put: for packet_ring.c. */
#define BLOCK_HDR ((uint32_t)((sizeof(struct tpacket_block_desc) + 7) & ~7ul))
static inline uint32_t block_front(uint32_t priv)
{
    return BLOCK_HDR + ((priv + 7) & ~7u);
}
void packet_block_start(struct shard *sh, struct packet_rings *r, const struct tpacket_req3 *req);
/* Room for len bytes in the active block, or NULL. */
uint8_t *packet_block_room(struct shard *sh, struct packetcb *p, uint32_t len);

#endif
