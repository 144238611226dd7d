/* memif_intr.h: what memif links can beyond the interface of DPDK's driver: Rx interrupts, which are in its
 * rings, and frames without checksums between two stacks.
 * Internal to dpdk/. Context: the lock of the shard that uses ring r, after port_sync. */
#ifndef SHUNT_MEMIF_INTR_H
#define SHUNT_MEMIF_INTR_H

#include <stdbool.h>

struct port;

/* Notes the port's device; before any fork. */
void memif_intr_init(struct port *p, const char *dev_name);
/* How many pairs of rings are connected, from the first on. */
unsigned memif_live(const struct port *p);
/* The event counter that the peer writes to when it sent something and interrupts are on; -1: none. */
int memif_intr_fd(const struct port *p, unsigned r);
void memif_intr_set(const struct port *p, unsigned r, bool on);
/* Tells the peer that p takes partial checksums on ring r (memif_intr.c). Whether it does. */
bool memif_takes_partial(const struct port *p, unsigned r);
extern bool memif_partial_off; /* tests: it does not */
/* Whether the peer said so. */
bool memif_peer_takes_partial(const struct port *p, unsigned r);

#endif
