/* tcp_mtup.h: packetisation layer path MTU discovery (RFC 4821). */
#ifndef SHUNT_TCP_MTUP_H
#define SHUNT_TCP_MTUP_H

#include "tcp_cb.h"

static inline bool tcp_mtup_probing(const struct tcb *t)
{
    (void)t;
    return false;
}
static inline bool tcp_mtup_lost(struct shard *sh, struct tcb *t)
{
    (void)sh;
    (void)t;
    return false;
}
static inline void tcp_mtup_black_hole(struct shard *sh, struct tcb *t)
{
    (void)sh;
    (void)t;
}

#endif
