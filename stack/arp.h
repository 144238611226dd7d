/* arp.h: ARP (RFC 826) and address conflict detection (RFC 5227; arp_announce_start and arp_announce_state
 * are in ip.h).
 */
#ifndef SHUNT_ARP_H
#define SHUNT_ARP_H

#include "neigh.h"

#define ARP_PROBE_NUM                                                                                        \
    2 /* Differs: RFC 5227 section 1.1 has 3 probes 1 to 2 s apart, and 2 s of wait: no program waits 7 s    \
         for its start */
#define ARP_PROBE_INTERVAL_MS    50
#define ARP_ANNOUNCE_NUM         2 /* RFC 5227 section 1.1 */
#define ARP_ANNOUNCE_INTERVAL_MS 2000
#define ARP_DEFEND_INTERVAL_MS   10000

/* Takes ownership of m, which starts at its Ethernet header (contiguous). */
void arp_input(struct shard *sh, unsigned ifindex, struct rte_mbuf *m);
/* Asks who has n's address: by broadcast, or of n's own link address when unicast. Counted as sent even if no
 * packet buffer was free. */
void arp_solicit(struct shard *sh, const struct neigh *n, bool unicast);
/* arp_announce_start for IPv4 alone, of an address that came later. */
void arp_probe_start(struct shard *sh);
/* TIMER_STACK fired: the next probe or announcement. */
void arp_timer(struct shard *sh, struct timer *t);

#endif
