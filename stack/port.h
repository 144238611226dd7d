/* port.h: which local ports are taken, by whom, and the choice of ephemeral ones (RFC 6056 algorithm 3). One
 * table for TCP and one for UDP, with Linux's bind rules: wildcard against specific, SO_REUSEADDR,
 * SO_REUSEPORT, V6ONLY, listening or not. */
#ifndef SHUNT_PORT_H
#define SHUNT_PORT_H

#include "pcb.h"
#include "stack.h"

int port_table_init(struct stack *st); /* allocates st->ports from the segment. 0 or -ENOMEM */
/* Takes local for pcb (port 0: chooses one). 0, -EADDRINUSE, -EACCES. Sets pcb->local and PCB_BOUND.
 * listening(pcb) tells the conflict rule whether another TCP pcb listens. Context: shard 0's lock. */
int port_bind(struct stack *st, struct shard *sh, struct pcb *pcb, const struct endpoint *local);
/* Port for an active open to remote: may share a port with other connections as long as the 4-tuple is unique
 * (in_use answers). */
int port_connect(struct stack *st, struct shard *sh, struct pcb *pcb,
                 bool (*in_use)(struct shard *sh, const struct endpoint *l, const struct endpoint *r));
/* A child of a listener shares its parent's port. */
void port_inherit(struct stack *st, struct pcb *child, const struct pcb *parent);
void port_release(struct stack *st, struct pcb *pcb);
/* May pcb, bound, begin to listen? 0, or -EADDRINUSE: SO_REUSEADDR lets two sockets bind, not two listen. */
int port_listen_check(struct stack *st, const struct pcb *pcb);
/* A TIME_WAIT entry keeps its port and address from being bound without SO_REUSEADDR, or SO_REUSEPORT, on
 * both (tw_flags: TW_REUSEADDR, TW_REUSEPORT: its connection had it). */
void port_tw_hold(struct stack *st, const struct endpoint *local, unsigned tw_flags);
void port_tw_release(struct stack *st, uint16_t port_be, unsigned tw_flags);
/* After a process was killed inside the stack: the lists of all ports are made whole. work: the pcb that was
 * being changed, or NULL; it is bound to its port now, or to none. */
void port_mend(struct stack *st, struct pcb *work);

#endif
