/* memif_intr.h: what memif links can beyond the interface of DPDK's driver: Rx interrupts, which are in its
 * rings, and frames without checksums between two stacks.
 * Internal to dpdk/. Context: the shard's lock, after port_sync. */
#ifndef SHUNT_MEMIF_INTR_H
#define SHUNT_MEMIF_INTR_H

#include <stdbool.h>

struct port;

/* Notes the port's device; before any fork. */
void memif_intr_init(struct port *p, const char *dev_name);
/* The event counter that the peer writes to when it sent something and interrupts are on; -1: none. */
int memif_intr_fd(const struct port *p);
void memif_intr_set(const struct port *p, bool on);
/* Tells the peer that p takes partial checksums (memif_intr.c). Whether it does. */
bool memif_takes_partial(const struct port *p);
extern bool memif_partial_off; /* tests: it does not */
/* Whether the peer said so. */
bool memif_peer_takes_partial(const struct port *p);

#endif
