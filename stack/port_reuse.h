/* port_reuse.h: SO_ATTACH_REUSEPORT_CBPF: a classic BPF program says which socket of a group with
 * SO_REUSEPORT on one address and port gets a datagram or a connection.
 *
 * Theory of operation. Few groups have a program: a table of them, each with the socket that it was attached
 * to; when that one leaves, another of its group takes it over. shard.nreuse is 0 as long as there is none,
 * and whoever finds a socket for a packet asks only beyond that. The program sees the packet from the
 * transport's payload on and returns an index into the group, in the order of bind (UDP) or listen (TCP); a
 * number beyond it leaves the choice to the flow's hash. eBPF programs are refused.
 *
 * Context: the shard's lock.
 */
#ifndef SHUNT_PORT_REUSE_H
#define SHUNT_PORT_REUSE_H

#include "filter.h"
#include "pcb.h"

#define REUSE_MAX 64 /* groups with a program */

int reuse_init(struct shard *sh); /* 0 or -ENOMEM */
/* setsockopt of pcb; val is a struct sock_fprog. 0, -EINVAL (no SO_REUSEPORT, no such program), -EFAULT,
 * -EPERM, -ENOMEM. */
int reuse_attach(struct shard *sh, struct pcb *pcb, bool locked, const void *val, uint32_t len);
/* SO_DETACH_REUSEPORT_BPF. 0, -ENOENT, -EINVAL (no SO_REUSEPORT). */
int reuse_detach(struct shard *sh, const struct pcb *pcb);
/* What the program of pcb's group says to f; UINT32_MAX: there is none. */
uint32_t reuse_run(struct shard *sh, const struct pcb *pcb, const struct filter_pkt *f);
/* Are a and b of one group? */
bool reuse_same_group(const struct pcb *a, const struct pcb *b);
/* pcb leaves its port, whose owners are linked there by port_node, or goes unbound. */
void reuse_leave(struct shard *sh, struct pcb *pcb, const struct list *owners);
/* A process was killed in here: programs are given up. */
void reuse_mend(struct shard *sh);

#endif
