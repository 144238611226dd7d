/* mcast.h: which multicast groups each interface is a member of, with their source filters, for both IP
 * versions; and the host's side of the protocols that tell routers (IGMPv3, RFC 3376; MLDv2, RFC 3810).
 *
 * Theory of operation. Sockets (and the stack itself) join a group on an interface with a filter: INCLUDE or
 * EXCLUDE a list of sources. The interface's own filter follows from all of them by counting (RFC 3376
 * section 3.2): EXCLUDE when anybody excludes, then of the sources that all excluders name and nobody
 * includes; else INCLUDE of all that are included. A change of it is reported at once and robustness - 1
 * times more at random within a second (section 5.1); a query is answered after a random delay (section 5.2).
 * What is due lies in the group and its sources: change_left, left, asked. While an older querier is heard
 * (section 7.2.1) whole groups are reported as it knows them.
 *
 * Everything is bounded: groups and sources come from slabs. Context: shard 0's lock.
 */
#ifndef SHUNT_MCAST_H
#define SHUNT_MCAST_H

#include "ip.h"

/* As <netinet/in.h> has MCAST_EXCLUDE and MCAST_INCLUDE. */
enum mc_mode { MC_EXCLUDE = 0, MC_INCLUDE = 1 };

struct mc_source {
    struct list node; /* in mc_group.sources */
    struct ipaddr addr;
    uint32_t n[2];  /* users that exclude it, that include it */
    uint8_t active; /* in the interface's filter */
    uint8_t left;   /* reports of its change still to be sent */
    uint8_t asked;  /* by a group-and-source query not answered yet */
};

struct mc_group {
    struct list hash;  /* in its bucket */
    struct list of_if; /* in mc_if.groups */
    struct list sources;
    struct timer timer; /* answer to a query about this group */
    struct ipaddr addr;
    uint32_t users, n[2]; /* in all; that exclude, that include */
    uint8_t ifindex;
    uint8_t mode;        /* enum mc_mode of the interface's filter */
    uint8_t change_left; /* reports of a change of mode still to be sent */
    uint8_t by_source;   /* the query asked for sources */
    uint8_t reporter;    /* IGMPv2: this host sent the last report */
};

/* One interface and IP version. */
struct mc_if {
    struct list groups;
    struct timer change, query;        /* state changes; answer to a general query */
    uint64_t v1_until_ms, v2_until_ms; /* an older querier is there; MLDv1 counts as v2 */
    uint32_t interval_s;               /* the querier's interval */
    uint8_t robustness, ifindex, v4;
};

int mc_init(struct shard *sh); /* 0 or -ENOMEM */

/* One more user of group on interface ifindex, with this filter; one fewer (the same filter as it joined
 * with); one with another filter from now on. 0, -ENOBUFS. */
int mc_join(struct shard *sh, unsigned ifindex, const struct ipaddr *group, enum mc_mode mode,
            const struct ipaddr *src, unsigned nsrc);
void mc_leave(struct shard *sh, unsigned ifindex, const struct ipaddr *group, enum mc_mode mode,
              const struct ipaddr *src, unsigned nsrc);
int mc_change(struct shard *sh, unsigned ifindex, const struct ipaddr *group, enum mc_mode old_mode,
              const struct ipaddr *old, unsigned nold, enum mc_mode mode, const struct ipaddr *src,
              unsigned nsrc);
/* After a process was killed in here: nobody is a member of anything. The sockets join again (dgram_mc.h). */
void mc_mend(struct shard *sh);
/* Is a packet from src to group taken on that interface? (all hosts' group: always) */
bool mc_takes(const struct shard *sh, unsigned ifindex, const struct ipaddr *group, const struct ipaddr *src);
/* Is anybody on this host a member? */
bool mc_member(const struct shard *sh, unsigned ifindex, const struct ipaddr *group);
/* The timers TIMER_MC_CHANGE, TIMER_MC_QUERY, TIMER_MC_GROUP. */
void mc_timer(struct shard *sh, struct timer *t);

/* A query, as igmp.c and mld.c read it. group any: general. */
struct mc_query {
    struct ipaddr group;
    uint32_t max_delay_ms, interval_s;
    uint8_t v4, version; /* 1, 2, 3 as IGMP; MLDv1 2, MLDv2 3 */
    uint8_t robustness;  /* 0: not said */
    uint16_t nsrc;
    const uint8_t *src; /* nsrc addresses of the version's width */
};
void mc_heard_query(struct shard *sh, unsigned ifindex, const struct mc_query *q);
/* Somebody else reported the group in a version without suppression's end (IGMPv1, v2, MLDv1). */
void mc_heard_report(struct shard *sh, unsigned ifindex, const struct ipaddr *group);

/* Record types of RFC 3376 section 4.2.12, RFC 3810 section 5.2.12. */
enum mc_record { MC_IS_IN = 1, MC_IS_EX, MC_TO_IN, MC_TO_EX, MC_ALLOW, MC_BLOCK };

#endif
