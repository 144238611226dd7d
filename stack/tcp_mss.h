/* tcp_mss.h: the sizes a connection works with. */
#ifndef SHUNT_TCP_MSS_H
#define SHUNT_TCP_MSS_H

#include "tcp_io.h"

/* Recomputes mss and unit from the path MTU, the peer's MSS and the options in use. */
void tcp_mss_update(struct shard *sh, struct tcb *t);
/* MSS to put in our SYN: what our interface can take. */
uint16_t tcp_advertised_mss(uint32_t mtu, const struct ipaddr *dst, uint16_t user_mss);
static inline uint16_t tcp_own_mss(const struct tcb *t)
{
    return tcp_advertised_mss(tcp_mtu(t), &t->pcb.remote.addr, t->user_mss);
}
/* The same, and what fl's route allows (advmss). */
uint16_t tcp_syn_mss(const struct shard *sh, const struct flow *fl, uint16_t user_mss);
/* The window of a SYN on fl: what half the receive buffer of t (a listener: of its children) holds, in full
 * segments of mss, as Linux offers it, and what the route allows (window, initrwnd). */
uint16_t tcp_first_window(const struct shard *sh, const struct tcb *t, const struct flow *fl, uint32_t mss);

/* Options of the SYN we send, and window scale we want, from the tunables. */
void tcp_syn_opts(struct shard *sh, const struct flow *fl, uint16_t user_mss, struct tcp_opts *o);
uint8_t tcp_pick_wscale(const struct shard *sh, const struct tcb *t);

#endif
