/* igmp.h: IGMP for hosts (RFC 3376, with RFC 2236 and RFC 1112 queriers): messages in and out. What is said
 * when is mcast_host.c's. Context: the shard's lock. */
#ifndef SHUNT_IGMP_H
#define SHUNT_IGMP_H

#include "ip.h"

/* m at the IGMP header; does not free it. */
void igmp_input(struct shard *sh, struct rte_mbuf *m, const struct rxinfo *ri);
/* An IGMPv3 report: len bytes of n group records. */
void igmp_send_report(struct shard *sh, unsigned ifindex, const uint8_t *records, uint32_t len, uint16_t n);
/* A report (or the leaving) of group in version 1 or 2. */
void igmp_send_old(struct shard *sh, unsigned ifindex, int version, const struct ipaddr *group, bool leave);

#endif
