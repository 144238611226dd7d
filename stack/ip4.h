/* ip4.h: what the files of layers 3 and 4 share about IPv4; transports see ip.h.
 */
#ifndef SHUNT_IP4_H
#define SHUNT_IP4_H

#include "ip.h"

/* One packet, m starting at its IP header; l2_multicast: the frame was not for our address alone. Verdict and
 * ownership as eth_input. */
enum ip_verdict ip4_input(struct shard *sh, unsigned ifindex, bool l2_multicast, struct rte_mbuf **mp,
                          struct rxinfo *ri, struct icmp_error *err);

#endif
