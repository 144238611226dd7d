/* tcp_info.h: TCP_INFO and what is counted for it alone.
 *
 * Chronographs (Linux: tcp_chrono): milliseconds in which the connection had something to send, split by what
 * kept it from sending more. At any time at most one of them runs, and then there is a tcb.tx. What few
 * connections know, to have waited for the peer's window or for room in the send buffer, is in tcb.ext.
 */
#ifndef SHUNT_TCP_INFO_H
#define SHUNT_TCP_INFO_H

#include "tcp_cb.h"

/* struct tcp_info of Linux 6.18, longer than that of the headers in use. */
struct tcp_info_full {
    struct tcp_info base;
    uint32_t rcv_wnd, rehash;
    uint16_t total_rto, total_rto_recoveries;
    uint32_t total_rto_time_ms;
    uint32_t received_ce;
    /* AccECN's, which is not spoken here */
    uint32_t delivered_bytes[3], received_bytes[3];
    uint16_t accecn_fail_mode, accecn_opt_seen;
};
_Static_assert(sizeof(struct tcp_info) == 232 && sizeof(struct tcp_info_full) == 280, "as Linux 6.18");

void tcp_get_info_full(const struct shard *sh, const struct tcb *t, struct tcp_info_full *out);

enum tcp_chrono { CHRONO_NONE, CHRONO_BUSY, CHRONO_RWND, CHRONO_SNDBUF };

/* From now on it is c that holds the connection up. */
void tcp_chrono_switch(struct shard *sh, struct tcb *t, enum tcp_chrono c);
static inline void tcp_chrono_set(struct shard *sh, struct tcb *t, enum tcp_chrono c)
{
    if (t->chrono != c)
        tcp_chrono_switch(sh, t, c);
}

/* A retransmission timeout has come; the series that it belongs to has ended by an ACK. */
void tcp_info_timeout(struct shard *sh, struct tcb *t);
void tcp_info_timeouts_end(const struct shard *sh, struct tcb *t);

#endif
