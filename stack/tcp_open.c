/* tcp_open.c: the active open: SYN_SENT (RFC 9293 sections 3.10.1, 3.10.7.3), simultaneous open, and the step
 * into ESTABLISHED that every open takes. */
#include <errno.h>

#include "ip.h"
#include "port.h"
#include "tcp_cc.h"
#include "tcp_close.h"
#include "tcp_ecn.h"
#include "tcp_info.h"
#include "tcp_input.h"
#include "tcp_isn.h"
#include "tcp_md5.h"
#include "tcp_metrics.h"
#include "tcp_mtup.h"
#include "tcp_mss.h"
#include "tcp_output.h"
#include "tcp_rate.h"
#include "tcp_rcvq.h"
#include "tcp_recover.h"
#include "tcp_rst.h"
#include "tcp_rtt.h"
#include "tcp_sack.h"
#include "tcp_sndq.h"
#include "tcp_table.h"
#include "tcp_tfo.h"
#include "tcp_zerocopy.h"
#include "tcp_timer.h"
#include "tcp_tw.h"

struct tcb *tcp_open(struct shard *sh, uint16_t pcb_flags)
{
    const struct tunables *set = &sh->st->set;
    struct tcb *t = tcb_alloc(sh);

    if (!t)
        return NULL;
    t->pcb.flags = pcb_flags;
    t->sndbuf = (uint32_t)set->tcp_wmem_default;
    t->rcvbuf = (uint32_t)set->tcp_rmem_default;
    t->cc = (uint8_t)set->tcp_congestion_control;
    t->notsent_lowat = tcp_default_lowat(set);
    return t;
}

/* The way to remote, and with it our address when none is bound. */
static int connect_route(struct shard *sh, struct tcb *t, const struct endpoint *remote)
{
    struct pcb *p = &t->pcb;
    int err;

    if (ipaddr_is_multicast(&remote->addr) || ip_is_broadcast(sh->st, &remote->addr))
        return -ENETUNREACH;
    p->remote = *remote;
    t->io->flow = tcp_flow(t);
    err = flow_resolve(sh, &t->io->flow);
    if (err)
        return err;
    p->local.addr = t->io->flow.src;
    tcp_take_metrics(sh, t);
    return 0;
}

/* A port, so that the four-tuple is nobody else's. */
static int connect_port(struct shard *sh, struct tcb *t)
{
    if (!(t->pcb.flags & PCB_BOUND))
        return port_connect(sh->st, sh, &t->pcb, tcp_tuple_in_use);
    return tcp_tuple_in_use(sh, &t->pcb.local, &t->pcb.remote) ? -EADDRNOTAVAIL : 0;
}

/* ISN and timestamps; those of a TIME_WAIT entry that is taken over go on from there (RFC 6191, RFC 1122
 * section 4.2.2.13). */
static void choose_iss(struct shard *sh, struct tcb *t)
{
    struct tw *w = tcp_tw_lookup(sh, &t->pcb.local, &t->pcb.remote);

    t->tx->iss = tcp_isn(sh, &t->pcb.local, &t->pcb.remote);
    t->ts_off = tcp_ts_offset(sh, &t->pcb.local.addr, &t->pcb.remote.addr);
    if (!w)
        return;
    t->tx->iss = w->snd_nxt + 65535 + 2;
    t->ts_recent = w->ts_recent;
    t->ts_recent_s = w->ts_recent_s;
    tcp_tw_free(sh, w);
}

/* Into SYN_SENT. True: the SYN is to leave now (not with TCP_FASTOPEN_CONNECT and a cookie at hand). */
static bool syn_sent(struct shard *sh, struct tcb *t, bool with_data)
{
    struct tcp_tx *x = t->tx;
    bool deferred;

    choose_iss(sh, t);
    t->snd_una = x->iss;
    t->snd_nxt = t->write_seq = x->iss + 1;
    x->snd_sml = t->snd_una;
    x->pushed_seq = t->write_seq;
    t->rcv_ratio = 128;
    t->peer_mss = TCP_MSS_DEFAULT;
    t->rcv_wscale = sh->st->set.tcp_window_scaling ? tcp_pick_wscale(sh, t) : 0;
    t->rcv_wnd = tcp_first_window(sh, t, &t->io->flow, tcp_syn_mss(sh, &t->io->flow, t->user_mss));
    x->retries = 0;
    t->syn_ms = tcp_now_ms(sh);
    tcp_rtt_init(sh, t);
    t->io->drs_us = tcp_now_us(sh); /* when the SYN left, until ESTABLISHED */
    t->state = TCPS_SYN_SENT;
    tcp_mss_update(sh, t);
    tcp_md5_attach(t);
    deferred = tcp_tfo_prepare(sh, t, with_data);
    tcp_conn_insert(sh, t);
    tcp_count(sh, COUNT_TCP_ACTIVE_OPEN);
    return !deferred && !with_data;
}

static int do_connect(struct shard *sh, struct tcb *t, const struct endpoint *remote, bool with_data)
{
    struct ipaddr bound = t->pcb.local.addr;
    uint8_t shut = t->pcb.remote.port_be ? 0 : t->shut;
    int err;

    if (t->state == TCPS_SYN_SENT || t->state == TCPS_SYN_RECEIVED)
        return -EALREADY;
    if (t->state != TCPS_CLOSE)
        return -EISCONN;
    tcp_reset_state(sh, t);
    t->shut = shut; /* that of a socket without a peer was for the next one (Linux: tcp_v4_connect) */
    err = tcp_tx_get(sh, t) ? connect_route(sh, t, remote) : -ENOBUFS;
    if (!err)
        err = connect_port(sh, t);
    if (err) {
        t->pcb.local.addr = bound;
        t->pcb.remote = (struct endpoint){0};
        return err;
    }
    if (syn_sent(sh, t, with_data))
        tcp_send_syn(sh, t);
    return tcp_tfo_is_deferred(t) ? 0 : -EINPROGRESS;
}

int tcp_connect(struct shard *sh, struct tcb *t, const struct endpoint *remote)
{
    return do_connect(sh, t, remote, false);
}

int tcp_connect_quiet(struct shard *sh, struct tcb *t, const struct endpoint *remote)
{
    return do_connect(sh, t, remote, true);
}

/* The SYN (or SYN,ACK) was sent again. Without need, if the first copy's timestamp comes back. Otherwise, and
 * if it was sent more than twice, cwnd begins at one segment (RFC 6928 section 2, RFC 5681 section 3.1; as
 * Linux from the second retransmission on); and without an RTT the RTO is more careful (RFC 6298 section
 * 5.7). */
static void judge_syn_retrans(struct shard *sh, struct tcb *t, const struct tcp_seg *s)
{
    bool echo = (t->flags & TF_TS) && s->o.has_ts && s->o.tsecr;
    uint32_t sent_ms = s->o.tsecr - t->ts_off, age = tcp_now_ms(sh) - sent_ms;

    if (tcp_total_retrans(t) <= 1 || (echo && sent_ms == t->syn_ms))
        t->flags &= ~(uint32_t)TF_SYN_RETRANS;
    if (t->srtt_us8)
        return;
    if (echo && age < TCP_RTO_MAX_MS)
        tcp_rtt_sample(sh, t, age ? age * 1000 : 1000);
    else
        t->rto_ms = 3 * TCP_RTO_INIT_MS;
}

void tcp_established(struct shard *sh, struct tcb *t, const struct tcp_seg *s)
{
    bool syn = s->h.flags & TCP_SYN;

    t->state = TCPS_ESTABLISHED;
    tcp_deadline_clear(t, DL_RTX);
    if (t->flags & TF_SYN_RETRANS)
        judge_syn_retrans(sh, t, s);
    tcp_recover_init(sh, t);
    t->flags &= ~(uint32_t)TF_MTUP;
    t->snd_wnd = syn ? s->h.window : (uint32_t)s->h.window << t->snd_wscale; /* RFC 7323 section 2.2 */
    t->max_wnd = t->snd_wnd;
    t->snd_wl1 = s->h.seq;
    t->snd_wl2 = s->h.ack;
    t->last_ack_ms = t->last_snd_ms = t->last_rcv_ms =
        tcp_now_ms(sh); /* as Linux counts: tcp_finish_connect */
    tcp_info_timeouts_end(sh, t);
    tcp_mss_update(sh, t);
    tcp_mtup_init(sh, t);
    tcp_cc_start(sh, t);
    tcp_rcvq_init(sh, t);
    tcp_sndbuf_expand(sh, t);
    t->quick = TCP_QUICK_ACKS;
    tcp_keep_arm(sh, t);
    tcp_deadline_set(sh, t, DL_IDLE, TX_IDLE_MS);
    if (t->flags & TF_FIN_QUEUED) /* shut down before it was open */
        t->state = TCPS_FIN_WAIT_1;
    if (t->write_seq != t->snd_nxt || (t->flags & TF_FIN_QUEUED))
        tcp_at_burst_end(sh, t, TF_OUTPUT);
}

/* What the peer's SYN says and agrees to. */
static void take_syn(struct shard *sh, struct tcb *t, const struct tcp_seg *s)
{
    const struct tunables *set = &sh->st->set;

    t->tx->irs = s->h.seq;
    t->rcv_nxt = t->rcv_wup = t->copied_seq = s->h.seq + 1;
    if (s->o.mss)
        t->peer_mss = s->o.mss;
    tcp_ecn_take_syn(sh, t, s);
    if (s->o.has_ts && set->tcp_timestamps) {
        t->flags |= TF_TS;
        t->ts_recent = s->o.tsval;
        t->ts_recent_s = tcp_now_ms(sh) / 1000;
    }
    if (s->o.sack_permitted && set->tcp_sack)
        t->flags |= TF_SACK;
    if (s->o.has_wscale && set->tcp_window_scaling) {
        t->flags |= TF_WSCALE;
        t->snd_wscale = s->o.wscale;
    } else {
        t->snd_wscale = t->rcv_wscale = 0;
    }
}

/* Both sides opened at once: our SYN again, now with the ACK of theirs (RFC 9293 section 3.5, figure 7). */
static void simultaneous(struct shard *sh, struct tcb *t, const struct tcp_seg *s)
{
    t->state = TCPS_SYN_RECEIVED;
    t->snd_wnd = t->max_wnd = s->h.window;
    t->snd_wl1 = s->h.seq;
    t->snd_wl2 = 0;
    tcp_mss_update(sh, t);
    tcp_send_syn(sh, t);
}

/* The data of our SYN was not taken: again, at once, with the ACK (RFC 7413 section 4.2.1). */
static void resend_syn_data(struct shard *sh, struct tcb *t)
{
    struct tcp_tx *x = t->tx;

    for (struct rte_mbuf *u = x->snd_head; u && u != x->snd_next; u = pkt_meta(u)->link)
        tcp_mark_lost(sh, t, u);
    x->rtx_hint = NULL;
    tcp_output(sh, t);
}

/* The SYN,ACK: the way is open. */
static enum count syn_acked(struct shard *sh, struct tcb *t, struct tcp_seg *s)
{
    struct tcp_tx *x = t->tx;
    bool tfo = t->ext && t->ext->tfo.asked, again = false;
    struct tcp_ack_info a = {.ack = s->h.ack, .prior_una = x->iss + 1};

    t->snd_una = x->iss + 1;
    if (seq_gt(s->h.ack, t->snd_una)) { /* data that the SYN carried */
        tcp_sndq_ack(sh, t, s->h.ack, &a);
        t->snd_una = s->h.ack;
        t->bytes_acked += s->h.ack - x->iss - 1;
        if (t->flags & TF_TXSTAMP)
            tcp_zerocopy_acked(sh, t);
    }
    if (tfo)
        again = tcp_tfo_syn_acked(sh, t, s);
    if (!(t->flags & TF_SYN_RETRANS))
        tcp_rtt_sample(sh, t, tcp_now_us(sh) - t->io->drs_us);
    tcp_established(sh, t, s);
    if (tfo && (s->len || (s->h.flags & TCP_FIN))) { /* the server's first data may come with its SYN,ACK */
        s->h.flags &= (uint8_t)~TCP_SYN;
        s->h.seq++;
        if (s->len)
            tcp_take_text(sh, t, s);
        if (s->h.flags & TCP_FIN)
            tcp_step_fin(sh, t, s);
    }
    pcb_event(sh, &t->pcb, EV_OUT);
    if (again)
        resend_syn_data(sh, t);
    else if (tfo && t->ext->tfo.more) /* the rest of the write comes at once, and bears the ACK */
        tcp_owe_ack(sh, t);
    else
        tcp_send_ack(sh, t);
    if (again && tcp_flight(t))
        tcp_rtx_arm(sh, t);
    return TCP_DONE;
}

/* A timestamp comes back that no SYN of ours bore: an answer to an earlier connection (Linux:
 * tcp_rcv_synsent_state_process). */
static bool echoes_another(const struct shard *sh, const struct tcb *t, const struct tcp_seg *s)
{
    uint32_t since_ms = s->o.tsecr - t->ts_off - t->syn_ms;

    return sh->st->set.tcp_timestamps && s->o.has_ts && s->o.tsecr && since_ms > tcp_now_ms(sh) - t->syn_ms;
}

enum count tcp_syn_sent_input(struct shard *sh, struct tcb *t, struct tcp_seg *s)
{
    bool ack = s->h.flags & TCP_ACK;

    /* First, check the ACK bit. */
    if (ack && (seq_leq(s->h.ack, t->tx->iss) || seq_gt(s->h.ack, t->snd_nxt))) {
        if (t->tx->retries ==
            0) /* what the peer thinks of is gone now: ask it again at once, as Linux does */
            tcp_deadline_set(sh, t, DL_RTX, TCP_TIMEOUT_MIN_MS);
        if (s->h.flags & TCP_RST)
            return COUNT_TCP_RST_SEQ;
        tcp_reset_segment(sh, s);
        return COUNT_TCP_ACK_UNSENT;
    }
    if (ack && echoes_another(sh, t, s)) {
        if (!(s->h.flags & TCP_RST))
            tcp_reset_segment(sh, s);
        return COUNT_TCP_PAWS_ACTIVE;
    }
    /* Second, the RST bit: believed only when it acknowledges our SYN. */
    if (s->h.flags & TCP_RST) {
        if (!ack)
            return COUNT_TCP_RST_SEQ;
        tcp_peer_reset(sh, t);
        return TCP_DONE;
    }
    /* Fourth, the SYN bit. */
    if (!(s->h.flags & TCP_SYN))
        return COUNT_TCP_NOACK;
    take_syn(sh, t, s);
    if (!ack) {
        simultaneous(sh, t, s);
        return TCP_DONE;
    }
    return syn_acked(sh, t, s);
}
