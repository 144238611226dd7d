/* tcp_lane.h: connections that may live on a shard above 0 (lane.h): which, and how they get there. */
#ifndef SHUNT_TCP_LANE_H
#define SHUNT_TCP_LANE_H

#include "tcp.h"

struct tcp_lane_name {
    struct endpoint local, remote;
    bool plain; /* data and ACK, nothing that a connection's end or beginning has */
};

/* The tables of a shard above 0: connections of its own, branches of what they need now and then. 0 or
 * -ENOMEM. */
int tcp_lane_init(struct shard *sh, uint32_t max_tcb);

/* Is everything that a plain segment, send or recv does with t its own or sh's? Established, with a socket,
 * nothing else going on, its way out known and its neighbour certain for so long that nobody need be told of
 * progress (flow.c, ip_confirm). Context: sh's lock; t is of sh, or all locks are held. */
bool tcp_is_plain(const struct shard *sh, const struct tcb *t);
/* The same of a connection on shard 0 that should go to a lane: it is no longer so young that it may be over
 * soon. */
bool tcp_is_settled(const struct shard *sh, const struct tcb *t);
/* Would t, plain, better live on shard home, whose thread uses it? We called the peer, by a link where the
 * peer's frames follow ours: it is for us to say. Now and then only, for the peer may not follow after all,
 * or not yet, and then its frames bring it back. */
bool tcp_wants_home(const struct tcb *t, const struct shard *home);
/* Whose segment is frame m of interface ifindex, as far as can be said at a glance? False: none of TCP, or
 * one of which more would have to be looked at. */
bool tcp_lane_name(const struct shard *sh, unsigned ifindex, const struct rte_mbuf *m,
                   struct tcp_lane_name *n);
/* Is frame m a plain segment of a plain connection of sh? */
bool tcp_lane_takes(const struct shard *sh, unsigned ifindex, const struct rte_mbuf *m);
/* A plain segment of n was processed on shard 0. The connection, if it should go to a lane; else NULL. */
struct tcb *tcp_lane_after(struct shard *first, const struct tcp_lane_name *n);
/* tcp_burst_end under a lane: false, and nothing done, when a connection is not plain any more. */
bool tcp_lane_burst_end(struct shard *sh);
/* The connection whose timer this is. */
struct tcb *tcp_timer_tcb(struct timer *t);
/* The first of those with something to do at the end of the burst that is not plain; NULL: there is none. */
struct tcb *tcp_lane_not_plain(struct shard *sh);

/* To another shard, with its timer and what is due for it. Context: all locks. */
void tcp_move(struct shard *from, struct shard *to, struct tcb *t);
/* After a process was killed: every connection of the others to shard 0, whose tables, lists and timers are
 * mended next but for the wheel, which is whole already, with a timer that looks at once. */
void tcp_lanes_mend(struct stack *st);

#endif
