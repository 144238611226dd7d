/* mld.h: MLD for hosts (MLDv2, RFC 3810, with MLDv1 queriers, RFC 2710): messages in and out. What is said
 * when is mcast_host.c's. Context: the shard's lock. */
#ifndef SHUNT_MLD_H
#define SHUNT_MLD_H

#include "ip.h"

#define MLD_T_QUERY     130
#define MLD_T_REPORT_V1 131
#define MLD_T_DONE_V1   132
#define MLD_T_REPORT_V2 143

/* An ICMPv6 message of one of these types whose checksum is right, m at its header; does not free it. Ignored
 * unless it came from a link-local address with hop limit 1 (RFC 3810 section 6.2). */
void mld_input(struct shard *sh, struct rte_mbuf *m, const struct rxinfo *ri);
/* An MLDv2 report: len bytes of n address records. */
void mld_send_report(struct shard *sh, unsigned ifindex, const uint8_t *records, uint32_t len, uint16_t n);
/* A report (or the leaving) of group in MLDv1. */
void mld_send_old(struct shard *sh, unsigned ifindex, const struct ipaddr *group, bool leave);

#endif
