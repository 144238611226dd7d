/* dgram_mc.h: the multicast groups of a socket (ip(7): IP_ADD_MEMBERSHIP and its like; RFC 3678). Context:
 * the shard's lock. */
#ifndef SHUNT_DGRAM_MC_H
#define SHUNT_DGRAM_MC_H

#include "dgram.h"

int dgram_mc_init(struct shard *sh); /* 0 or -ENOMEM */
/* The options about groups of IPPROTO_IP and IPPROTO_IPV6. 0; -EINVAL, -ENODEV, -EADDRINUSE, -EADDRNOTAVAIL,
 * -ENOBUFS as Linux; -ENOPROTOOPT: another option. */
int dgram_mc_setopt(struct shard *sh, struct dgram *d, int level, int name, const void *val, uint32_t len);
/* IP_MSFILTER, MCAST_MSFILTER, IP_MULTICAST_IF, IPV6_MULTICAST_IF. */
int dgram_mc_getopt(struct shard *sh, struct dgram *d, int level, int name, void *val, uint32_t *len);
/* May d have a packet from src to group that came by interface ifindex? (ip_mc_sf_allow) */
bool dgram_mc_allows(const struct dgram *d, const struct ipaddr *group, const struct ipaddr *src,
                     unsigned ifindex);
/* After a process was killed in here, when no interface is a member any more (mc_mend): a socket joins its
 * groups again; before the first and after the last of them. */
void dgram_mc_mend_begin(struct shard *sh);
void dgram_mc_mend(struct shard *sh, struct dgram *d);
void dgram_mc_mend_end(struct shard *sh);
void dgram_mc_close(struct shard *sh, struct dgram *d); /* leaves all */

#endif
