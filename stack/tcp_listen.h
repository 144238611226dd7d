/* tcp_listen.h: listeners: the accept queue and its bound. */
#ifndef SHUNT_TCP_LISTEN_H
#define SHUNT_TCP_LISTEN_H

#include "tcp_cb.h"

/* Linux: full when longer than the backlog, so that backlog + 1 fit. */
static inline bool tcp_accept_full(const struct tcb *l)
{
    return l->acc_len > l->backlog;
}

/* Queues a child and tells the listener's socket. */
void tcp_accept_add(struct shard *sh, struct tcb *l, struct tcb *child);
/* Ends listening: resets the children nobody accepted; half-open connections find out by themselves. l
 * becomes TCPS_CLOSE and keeps its port. */
void tcp_listen_stop(struct shard *sh, struct tcb *l);
/* What a child takes over from its listener's options. */
void tcp_inherit(struct shard *sh, struct tcb *c, const struct tcb *l);

#endif
