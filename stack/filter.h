/* filter.h: classic BPF programs on sockets (SO_ATTACH_FILTER and its like; Linux's
 * Documentation/networking/filter.rst).
 *
 * Theory of operation. A program is data: an array of struct sock_filter in the segment, run by an
 * interpreter of our own. The two ready-made ones don't fit: what rte_bpf loads is private memory with
 * pointers to functions, which no other process of the family could run, and its converter knows no ancillary
 * loads; libpcap's bpf_filter knows none either and wants the packet in one piece. A program is checked once,
 * when it is attached, as Linux checks it (bpf_check_classic): jumps go forward and stay inside, scratch
 * memory is written before it is read, constants don't divide by zero or shift too far, the last instruction
 * returns. So running it ends, after at most as many steps as it has instructions, and needs no look at the
 * program; each load from the packet is checked against its bounds when it happens.
 *
 * Memory. Programs lie in slabs of three sizes, counted by reference: a listener's program is its children's
 * too. What is attached to a socket is a number (0: no program), four bytes in the pcb.
 *
 * Context: the shard's lock.
 */
#ifndef SHUNT_FILTER_H
#define SHUNT_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

#include "stack.h"

#define FILTER_MAX_INSNS 4096 /* Linux: BPF_MAXINSNS */
#define FILTER_NOWHERE   INT32_MIN

/* A packet as a program sees it: byte 0 and the layers it may ask for. */
struct filter_pkt {
    const struct rte_mbuf *m;
    int32_t data;     /* byte 0, from the start of m's data; negative: a header that was taken off and stands
                         before it */
    int32_t net, mac; /* network and link header, from byte 0; FILTER_NOWHERE: there is none */
    uint16_t proto;   /* EtherType, host order */
    uint16_t hatype;  /* ARPHRD_* */
    uint16_t vlan_tci;
    uint8_t vlan;     /* vlan_tci means something */
    uint8_t type;     /* PACKET_HOST ... */
    uint32_t ifindex; /* as programs count: from 1; 0: none */
};

int filter_init(struct shard *sh); /* 0 or -ENOMEM */

/* Copies n instructions from the program's memory, checks and keeps them with one reference; *id names them.
 * 0, -EFAULT, -EINVAL (what Linux refuses, n 0 or too many), -ENOMEM. */
int filter_new(struct shard *sh, const struct sock_filter *insns, uint32_t n, uint32_t *id);
void filter_hold(struct shard *sh, uint32_t id); /* one more reference; id may be 0 */
void filter_put(struct shard *sh, uint32_t id);  /* one less; id may be 0 */
/* The instructions of id, *n of them; NULL and 0 for id 0. */
const struct sock_filter *filter_insns(const struct shard *sh, uint32_t id, uint32_t *n);

/* What the program returns: bytes to keep, 0: none (or the index of SO_ATTACH_REUSEPORT_CBPF). */
uint32_t filter_run(struct shard *sh, uint32_t id, const struct filter_pkt *p);

/* True when insns is a program that Linux takes. n in 1 ... FILTER_MAX_INSNS. */
bool filter_check(const struct sock_filter *insns, uint32_t n);

/* A transport packet (m at the transport header, the IP header of l3_len bytes and the link's stand before
 * it) as TCP's and UDP's filters see it: byte 0 is the transport's. */
void filter_pkt_l4(const struct shard *sh, struct filter_pkt *p, const struct rte_mbuf *m, unsigned l3_len,
                   bool v6, unsigned ifindex);

/* --- setsockopt and getsockopt of the filter that *slot holds --- */
/* SO_ATTACH_FILTER: val is a struct sock_fprog. 0, -EINVAL, -EFAULT, -ENOMEM, -EPERM (locked). */
int filter_attach(struct shard *sh, uint32_t *slot, bool locked, const void *val, uint32_t len);
/* SO_DETACH_FILTER. 0, -ENOENT, -EPERM. */
int filter_detach(struct shard *sh, uint32_t *slot, bool locked);
/* SO_GET_FILTER: *len counts instructions, in and out; 0: asks for their number alone. 0, -EINVAL, -EFAULT.
 */
int filter_get(const struct shard *sh, uint32_t slot, void *val, uint32_t *len);

#endif
