/* memif_intr.h: Rx interrupts of memif links, which DPDK's driver has in its rings but not in its interface.
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

#endif
