/* packet_fanout.h: PACKET_FANOUT: packet sockets that share what they see (packet(7)).
 *
 * Theory of operation. The sockets of a group are bound to the same interface and protocol; a frame that one
 * of them wants goes to one of them alone, chosen by the group's way: by flow (both directions alike), in
 * turn, at random, by CPU or queue (there is one of each here: the first socket), to the first with room
 * (ROLLOVER), or as a classic BPF program says. A group is there as long as it has a socket. eBPF programs
 * are refused, as on sockets.
 *
 * Context: the shard's lock.
 */
#ifndef SHUNT_PACKET_FANOUT_H
#define SHUNT_PACKET_FANOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "filter.h"
#include "list.h"
#include "stack.h"

#define FANOUT_GROUPS  64
#define FANOUT_MEMBERS 256

struct packetcb;

struct packet_fanout {
    struct list node; /* in packet_table.groups */
    uint16_t id, proto_be;
    uint8_t type, bound, ifindex;
    uint8_t flags; /* PACKET_FANOUT_FLAG_* >> 8 */
    uint32_t max, n, turn;
    uint64_t rolled, rolled_failed; /* PACKET_ROLLOVER_STATS */
    uint32_t filter;                /* of PACKET_FANOUT_CBPF; 0: none */
    struct packetcb *member[FANOUT_MEMBERS];
};

/* Who of p's group gets the frame: p's group was found to want it by its first member p. net: byte of the
 * network header in f->m. */
struct packetcb *packet_fanout_pick(struct shard *sh, struct packetcb *p, const struct filter_pkt *f);
/* PACKET_FANOUT and its like; 1: another option. */
int packet_fanout_setopt(struct shard *sh, struct packetcb *p, int name, const void *val, uint32_t len,
                         bool locked);
int packet_fanout_getopt(const struct packetcb *p, int name, void *val, uint32_t *len);
/* A process was killed in here: groups anew, of the sockets that say that they are in one. */
void packet_fanout_mend(struct shard *sh);
/* The socket goes, or is bound anew: it leaves its group. */
void packet_fanout_leave(struct shard *sh, struct packetcb *p);

#endif
