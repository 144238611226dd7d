/* mcast_int.h: what mcast.c and mcast_host.c share. */
#ifndef SHUNT_MCAST_INT_H
#define SHUNT_MCAST_INT_H

#include "mcast.h"

#define MC_BUCKETS 256

struct mc_table {
    struct slab groups, sources;
    struct list bucket[MC_BUCKETS];
    struct mc_if ifs[NETDEV_MAX][2]; /* by interface and version: 1: IPv4 */
};

static inline struct mc_if *mc_if_of(const struct shard *sh, const struct mc_group *g)
{
    return &sh->st->mcast->ifs[g->ifindex][ipaddr_is_v4(&g->addr)];
}

/* 224.0.0.1, ff02::1 and what is of the host alone (RFC 3376 section 6, RFC 3810 section 6): every host is a
 * member, nobody reports it. */
static inline bool mc_all_hosts(const struct ipaddr *a)
{
    if (ipaddr_is_v4(a))
        return a->w[3] == htonl(0xe0000001);
    return a->b[0] == 0xff && (a->b[1] & 0xf) <= 2 && a->w[1] == 0 && a->w[2] == 0 && a->w[3] == htonl(1);
}

struct mc_group *mc_find(const struct shard *sh, unsigned ifindex, const struct ipaddr *group);
struct mc_source *mc_source_find(const struct mc_group *g, const struct ipaddr *addr);
struct mc_source *mc_source_make(struct shard *sh, struct mc_group *g, const struct ipaddr *addr);
/* Frees the sources, and the group, that nobody uses and nothing is to be said about. */
void mc_tidy(struct shard *sh, struct mc_group *g);
/* Something of g is to be reported now. */
void mc_report_change(struct shard *sh, struct mc_group *g);

#endif
