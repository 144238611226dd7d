/* except.h: the exception path: a card that stack and kernel share.
 *
 * Theory of operation. A card's driver gives all frames to the stack. Those that are not the stack's go to a
 * tap of the kernel's that has the card's link address, and what the kernel sends there leaves by the card:
 * so the kernel keeps its own IP addresses, its ARP and its programs (ssh) on the wire. Whose a frame is, its
 * destination says: the stack's addresses are its own, broadcasts and groups are for both, the rest is the
 * kernel's. The two reach each other the same way, without the wire.
 *
 * The tap is an interface of the stack's without addresses. Frames pass as they are; the kernel is asked for
 * finished ones (no offloads). With one shard alone.
 */
#ifndef SHUNT_EXCEPT_H
#define SHUNT_EXCEPT_H

#include "stack.h"

/* What of the card's is not the stack's goes to interface tap, and back. -EINVAL: one of the two has a part
 * in this already, is no device of its own, or the tap has an address; -EOPNOTSUPP: several shards. Context:
 * as stack_add_if. */
int except_add(struct stack *st, unsigned card, unsigned tap);

/* m was received by a card or its tap (ifnet.rx_odd). True: it is the stack's, received by *ifindex, the
 * card; false: it is gone. */
bool except_rx(struct shard *sh, unsigned *ifindex, struct rte_mbuf *m);
/* m is to leave by a card (ifnet.except_if). True: it does; false: it went to the kernel alone. */
bool except_tx(struct shard *sh, const struct ifnet *card, struct rte_mbuf *m);

#endif
