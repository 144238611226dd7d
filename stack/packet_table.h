/* packet_table.h: what packet sockets have in common, for packet*.c alone. In the segment, under the shard's
 * lock. */
#ifndef SHUNT_PACKET_TABLE_H
#define SHUNT_PACKET_TABLE_H

#include "list.h"
#include "region.h"
#include "slab.h"

struct packet_table {
    struct slab pcbs;     /* struct packetcb */
    struct slab rings;    /* struct packet_rings */
    struct slab fanouts;  /* struct packet_fanout */
    struct list all;      /* chain of pcb.hash */
    struct list groups;   /* struct packet_fanout.node */
    struct region region; /* the rings themselves */
};

#endif
