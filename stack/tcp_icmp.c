/* tcp_icmp.c: ICMP errors about our segments (RFC 1122 section 4.2.3.9, RFC 5927), and the path MTU (RFC
 * 1191). */
#include <errno.h>
#include <linux/icmp.h>

#include "errq.h"
#include "ip.h"
#include "tcp_close.h"
#include "tcp_ext.h"
#include "tcp_mss.h"
#include "tcp_output.h"
#include "tcp_recover.h"
#include "tcp_sack.h"
#include "tcp_sndq.h"
#include "tcp_synq.h"
#include "tcp_table.h"
#include "tcp_timer.h"
#include "wire_ip6.h"

#define PMTU_MIN 552 /* Linux: min_pmtu */

/* The path takes less than we sent: shorter segments, and what was too long again. No sign of congestion, so
 * cwnd stays (RFC 1191 section 6.5). */
static void lower_mtu(struct shard *sh, struct tcb *t, uint32_t mtu)
{
    uint32_t mtu_now = tcp_mtu(t), have = t->pmtu && t->pmtu < mtu_now ? t->pmtu : mtu_now;
    uint32_t least = ipaddr_is_v4(&t->pcb.remote.addr) ? PMTU_MIN : IP6_MIN_MTU;

    if (mtu < least)
        mtu = least;
    if (mtu >= have)
        return;
    t->pmtu = (uint16_t)mtu;
    if (tcp_ext_get(sh, t)) /* else it stays for good */
        t->ext->pmtu_ms = tcp_now_ms(sh);
    tcp_mss_update(sh, t);
    tcp_recover_too_long(sh, t);
    tcp_output(sh, t);
}

/* It does not even take the SYN with its data (RFC 7413 section 4.2.1): at once again, without, and with the
 * MSS that the path has now (Linux: tcp_simple_retransmit). */
static void lower_syn_mtu(struct shard *sh, struct tcb *t, const struct icmp_error *e)
{
    uint16_t was = t->io->flow.mtu;

    ip_learn_mtu(sh, &e->dst, e->mtu);
    if (flow_resolve(sh, &t->io->flow) != 0 || t->io->flow.mtu >= was)
        return;
    tcp_mss_update(sh, t);
    if (!t->ext || !t->ext->tfo.syn_data || t->snd_nxt == t->tx->iss + 1)
        return;
    tcp_count(sh, COUNT_TCP_RETRANS);
    tcp_note_retrans(sh, t, 1, 0);
    t->flags |= TF_SYN_RETRANS;
    tcp_send_syn(sh, t);
}

/* Where the quoted TCP header begins. */
static uint32_t quoted_hdr(const struct icmp_error *e)
{
    return ipaddr_is_v4(&e->src) && e->data_len ? (e->data[0] & 0xfu) * 4 : 40;
}

/* The peer of a half-open connection is not to be reached: its request is dropped (Linux: tcp_req_err). */
static void request_error(struct shard *sh, const struct icmp_error *e, struct synreq *r)
{
    bool hard = ipaddr_is_v4(&e->src) ? (e->type == ICMP_DEST_UNREACH && e->code <= ICMP_HOST_UNREACH) ||
                                            e->type == ICMP_PARAMETERPROB || e->type == ICMP_TIME_EXCEEDED
                                      : e->fatal;

    if (e->too_big || e->seq != r->iss || !hard)
        return;
    tcp_count(sh, COUNT_TCP_LISTEN_DROP);
    tcp_synq_free(sh, r);
}

void tcp_icmp(struct shard *sh, const struct icmp_error *e)
{
    struct endpoint local = {e->src, e->sport_be}, remote = {e->dst, e->dport_be};
    struct tcb *t = tcp_lookup(sh, &local, &remote);
    bool recverr = t && (t->pcb.flags & (ipaddr_is_v4(&e->src) ? PCB_RECVERR : PCB_RECVERR6));

    if (t && !tcp_io_get(sh, t))
        return;
    if (!t || t->state == TCPS_LISTEN) {
        struct synreq *r = tcp_synq_lookup(sh, &local, &remote);

        if (r)
            request_error(sh, e, r);
        return;
    }
    /* RFC 5927 section 4.1: only an error about something in flight is believed. */
    if (seq_lt(e->seq, t->snd_una) || seq_gt(e->seq, t->snd_nxt)) {
        tcp_count(sh, COUNT_TCP_OOW_ICMP);
        return;
    }
    if (e->too_big) {
        if (t->state == TCPS_SYN_SENT)
            lower_syn_mtu(sh, t, e);
        else if (!state_in(t, TCPF(SYN_SENT) | TCPF(SYN_RECEIVED) | TCPF(CLOSE))) {
            ip_learn_mtu(sh, &e->dst, e->mtu); /* for the other and the next connections to there */
            lower_mtu(sh, t, e->mtu ? e->mtu : 576);
        }
        return;
    }
    if (e->err == 0)
        return;
    /* Of IPv4 and IPv6 alike: no route, host unreachable. */
    if (e->seq == t->snd_una && (e->err == ENETUNREACH || e->err == EHOSTUNREACH))
        tcp_rtx_revert(sh, t);
    if (state_in(t, TCPF(SYN_SENT) | TCPF(SYN_RECEIVED))) { /* as Linux: an open fails at once */
        if (recverr)
            errq_icmp(sh, &t->pcb, e, t->pcb.remote.port_be, quoted_hdr(e), t->rcvbuf);
        tcp_end(sh, t, e->err);
    } else if (recverr) { /* ip(7): told at once, and the connection goes on */
        t->pcb.so_error = (uint8_t)e->err;
        pcb_event(sh, &t->pcb, EV_ERR);
    } else {
        t->pcb.soft_error = (uint8_t)e->err; /* told if the connection times out */
    }
}
