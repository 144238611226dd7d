/* vlan.h: 802.1Q: several networks on one port, each an interface of its own (`--link vlan:PARENT.ID`).
 *
 * Theory of operation. A VLAN interface has a parent and an id, no device. What it sends gets a tag and goes
 * out by the parent (shard_tx); what the parent receives with that tag loses it and is the VLAN interface's
 * (rx.c). A tag of id 0 says only a priority: the frame is the parent's. Frames of ids without an interface
 * and frames with a second tag inside (802.1ad) are dropped and counted. Tags are put in and taken off here,
 * in the packet: ports are not asked to. The tag takes nothing from the MTU, as in Linux: Ethernet allows for
 * it.
 */
#ifndef SHUNT_VLAN_H
#define SHUNT_VLAN_H

#include "stack.h"

#define VLAN_TAG_LEN 4
#define VLAN_ID_MAX  4094

/* Makes interface "PARENT.ID" on parent. Its index, -EINVAL (id, a parent that can't), -EEXIST, -ENOSPC.
 * Context: as stack_add_if. */
int vlan_add(struct stack *st, unsigned parent, unsigned id);

/* Takes the tag off m, received by *ifindex, which becomes the interface that the tag names. COUNT_OK, or why
 * it is to be dropped. */
enum count vlan_untag(struct stack *st, unsigned *ifindex, struct rte_mbuf *m);
/* Puts ifn's tag into m, a frame. False: no headroom. */
bool vlan_tag(const struct ifnet *ifn, struct rte_mbuf *m);

#endif
