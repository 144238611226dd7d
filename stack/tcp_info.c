/* tcp_info.c: TCP_INFO as Linux's tcp_get_info gives it. Windows are kept in bytes: shown in segments of the
 * MSS. Packets in flight are counted in the send queue; what is delivered are those sent less those in
 * flight.
 */
#include "tcp_info.h"

#include "tcp_cb.h"
#include "tcp_ecn.h"
#include "tcp_ext.h"
#include "tcp_mss.h"
#include "tcp_output.h"
#include "tcp_pace.h"
#include "tcp_rcvq.h"
#include "tcp_rtt.h"
#include "tcp_sndq.h"

static uint32_t segments(const struct tcb *t, uint32_t bytes)
{
    return (bytes + t->mss - 1) / t->mss;
}

/* Milliseconds since at; 0 when it never was, as with a socket that never sent. */
static uint32_t since_ms(const struct shard *sh, uint32_t at)
{
    return at ? tcp_now_ms(sh) - at : 0;
}

/* Packets of the send queue, as Linux counts them: a packet for the link to cut is as many as it will be. */
struct packets {
    uint32_t out, sacked, lost, retrans;
};

static void count_packet(const struct tcb *t, struct packets *p, uint32_t len, uint8_t flags)
{
    uint32_t n = len > t->mss ? segments(t, len) : 1;

    if (!len)
        return;
    p->out += n;
    if (flags & UNIT_SACKED)
        p->sacked += n;
    if (flags & UNIT_LOST)
        p->lost += n;
    if (flags & UNIT_RETRANS)
        p->retrans += n;
}

static struct packets count_packets(const struct tcb *t)
{
    struct packets p = {0};
    uint32_t len = 0;
    uint8_t flags = 0;

    for (struct rte_mbuf *u = tcp_oldest_sent(t); u && u != t->tx->snd_next; u = pkt_meta(u)->link) {
        const struct pkt_meta *pm = pkt_meta(u);

        if (pm->flags & UNIT_START) {
            count_packet(t, &p, len, flags);
            len = 0;
        }
        if (!len)
            flags = pm->flags;
        len += pm->len;
    }
    count_packet(t, &p, len, flags);
    if (t->tx && !(t->flags & TF_SACK)) /* duplicate ACKs */
        p.sacked = segments(t, t->tx->sacked);
    return p;
}

/* SYN and FIN have numbers of their own, which Linux counts with the bytes. */
static bool syn_acked(const struct tcb *t)
{
    return !(t->flags & TF_PASSIVE) && !state_in(t, TCPF(SYN_SENT) | TCPF(SYN_RECEIVED));
}

static bool fin_acked(const struct tcb *t)
{
    return tcp_fin_sent(t) && t->snd_una == t->snd_nxt;
}

static void info_sender(const struct tcb *t, struct tcp_info *o)
{
    struct packets p = count_packets(t);
    uint32_t flight = tcp_flight(t), extra = 0; /* the FIN, or the SYN */
    uint64_t again = t->ext ? t->ext->bytes_retrans : 0;
    uint32_t syn_retrans = t->ext ? t->ext->tfo.syn_retrans : 0;
    bool syn_data =
        t->ext && t->ext->tfo.syn_data_acked && !(t->flags & TF_PASSIVE); /* one packet, not two */

    if (flight && (tcp_fin_sent(t) || state_in(t, TCPF(SYN_SENT) | TCPF(SYN_RECEIVED))))
        extra = 1;
    o->tcpi_unacked = p.out + extra;
    o->tcpi_sacked = p.sacked;
    o->tcpi_lost = p.lost;
    o->tcpi_retrans = p.retrans;
    o->tcpi_snd_cwnd = t->cwnd / t->mss ? t->cwnd / t->mss : 1; /* parts of one count for nothing yet */
    o->tcpi_snd_ssthresh = t->ssthresh == UINT32_MAX ? INT32_MAX : t->ssthresh / t->mss;
    o->tcpi_notsent_bytes = tcp_has_unsent(t) ? t->write_seq - t->snd_nxt : 0;
    o->tcpi_snd_wnd = t->snd_wnd;
    o->tcpi_total_retrans = tcp_total_retrans(t);
    o->tcpi_bytes_acked = t->bytes_acked + syn_acked(t) + fin_acked(t);
    o->tcpi_bytes_sent = t->bytes_acked + (flight - extra) + again;
    o->tcpi_bytes_retrans = again;
    o->tcpi_dsack_dups = t->ext ? t->ext->dsack_dups : 0;
    o->tcpi_reord_seen = t->ext ? t->ext->reord_seen : t->reord_seen;
    o->tcpi_delivered_ce = t->ext ? segments(t, t->ext->delivered_ce) : 0;
    /* Every packet, sent for the first time, that is in flight no more; the SYN, and the FIN. */
    o->tcpi_delivered = t->data_segs_out - (again ? tcp_total_retrans(t) - syn_retrans : 0) -
                        (p.out - p.sacked) + !state_in(t, TCPF(SYN_SENT) | TCPF(SYN_RECEIVED)) +
                        fin_acked(t) - syn_data;
    if (t->rate_interval_us)
        o->tcpi_delivery_rate = (uint64_t)t->rate_delivered * 1000000 / t->rate_interval_us;
    o->tcpi_delivery_rate_app_limited = !t->rate_interval_us || t->rate_app_limited;
}

/* Microseconds, up to now. */
static void info_chrono(const struct shard *sh, const struct tcb *t, struct tcp_info *o)
{
    uint64_t us[4], all = 0;

    for (int c = CHRONO_BUSY; c <= CHRONO_SNDBUF; c++) {
        us[c] = c == CHRONO_BUSY ? t->busy_ms : t->ext ? t->ext->limited_ms[c - CHRONO_RWND] : 0;
        if (t->chrono == c && t->tx)
            us[c] += tcp_now_ms(sh) - t->tx->chrono_start_ms;
        us[c] *= 1000;
        all += us[c];
    }
    o->tcpi_busy_time = all;
    o->tcpi_rwnd_limited = us[CHRONO_RWND];
    o->tcpi_sndbuf_limited = us[CHRONO_SNDBUF];
}

void tcp_chrono_switch(struct shard *sh, struct tcb *t, enum tcp_chrono c)
{
    struct tcp_tx *x = t->tx;
    uint32_t now_ms = tcp_now_ms(sh), ran_ms = now_ms - x->chrono_start_ms;

    x->chrono_start_ms = now_ms;
    if (t->chrono == CHRONO_BUSY)
        t->busy_ms += ran_ms;
    else if (t->chrono && ran_ms && tcp_ext_get(sh, t))
        t->ext->limited_ms[t->chrono - CHRONO_RWND] += ran_ms;
    t->chrono = (uint8_t)c;
}

void tcp_info_timeout(struct shard *sh, struct tcb *t)
{
    struct tcp_ext *x = tcp_ext_get(sh, t);

    if (!x)
        return;
    if (!tcp_retries(t)) {
        x->rto_series++;
        x->rto_since_ms = tcp_now_ms(sh);
    }
    x->rto_total++;
}

void tcp_info_timeouts_end(const struct shard *sh, struct tcb *t)
{
    struct tcp_ext *x = t->ext;

    if (!x || !x->rto_since_ms)
        return;
    x->rto_time_ms += tcp_now_ms(sh) - x->rto_since_ms;
    x->rto_since_ms = 0;
}

static void info_receiver(const struct tcb *t, struct tcp_info *o)
{
    o->tcpi_rcv_mss = t->rcv_mss;
    o->tcpi_rcv_ssthresh = t->rcv_ssthresh;
    o->tcpi_rcv_rtt = t->rcv_rtt_us;
    if ((t->flags & TF_PASSIVE) || !state_in(t, TCPF(SYN_SENT) | TCPF(SYN_RECEIVED)))
        o->tcpi_rcv_space = t->drs_space;
    o->tcpi_bytes_received = t->bytes_received + !!(t->flags & TF_FIN_RCVD);
    o->tcpi_rcv_ooopack = t->ext ? t->ext->ofo_segs : 0;
}

static void info_times(const struct shard *sh, const struct tcb *t, struct tcp_info *o)
{
    o->tcpi_rto = (t->rto_ms ? tcp_rto_backed_off(t) : TCP_RTO_INIT_MS) * 1000;
    o->tcpi_ato = t->data_segs_in ? (uint32_t)sh->st->set.tcp_delack_min * 1000 : 0;
    o->tcpi_rtt = t->srtt_us8 >> 3;
    o->tcpi_rttvar = t->rto_ms ? t->mdev_us4 >> 2 : 250000;
    o->tcpi_min_rtt = t->min_rtt_us ? t->min_rtt_us : UINT32_MAX;
    o->tcpi_last_data_sent = since_ms(sh, t->last_snd_ms);
    o->tcpi_last_data_recv = since_ms(sh, t->last_rcv_ms);
    o->tcpi_last_ack_recv = since_ms(sh, t->last_ack_ms);
}

/* What there is to tell of a socket in any state. */
static void info_any(const struct shard *sh, const struct tcb *t, struct tcp_info *o)
{
    o->tcpi_state = t->state;
    o->tcpi_pacing_rate = t->mss ? tcp_pace_rate(t) : UINT64_MAX;
    o->tcpi_max_pacing_rate = tcp_pace_max(t);
    o->tcpi_reordering = t->reordering ? t->reordering : TCP_DUPTHRESH;
    o->tcpi_snd_cwnd = (uint32_t)sh->st->set.tcp_init_cwnd;
}

static void info_options(const struct tcb *t, struct tcp_info *o)
{
    o->tcpi_options =
        (uint8_t)((t->flags & TF_TS ? TCPI_OPT_TIMESTAMPS : 0) | (t->flags & TF_SACK ? TCPI_OPT_SACK : 0) |
                  (t->flags & TF_WSCALE ? TCPI_OPT_WSCALE : 0) | (t->flags & TF_ECN ? TCPI_OPT_ECN : 0) |
                  (t->ecn & ECN_SEEN ? TCPI_OPT_ECN_SEEN : 0) |
                  (t->ext && t->ext->tfo.syn_data_acked ? TCPI_OPT_SYN_DATA : 0));
    o->tcpi_fastopen_client_fail = t->ext ? t->ext->tfo.fail & 3u : 0;
    o->tcpi_snd_wscale = t->flags & TF_WSCALE ? t->snd_wscale : 0;
    o->tcpi_rcv_wscale = t->flags & TF_WSCALE ? t->rcv_wscale : 0;
}

void tcp_get_info(const struct shard *sh, const struct tcb *t, struct tcp_info *o)
{
    uint32_t mtu = tcp_mtu(t);

    *o = (struct tcp_info){0};
    info_any(sh, t, o);
    if (t->state == TCPS_LISTEN) { /* as Linux: the accept queue's length and bound */
        o->tcpi_pacing_rate = UINT64_MAX;
        o->tcpi_unacked = t->acc_len;
        o->tcpi_sacked = t->backlog;
        return;
    }
    o->tcpi_ca_state = t->ca_state;
    o->tcpi_retransmits = t->flags & TF_PROBING ? 0 : tcp_retries(t);
    o->tcpi_probes = t->keep_probes;
    o->tcpi_backoff = t->flags & TF_PROBING ? tcp_retries(t) : t->backoff;
    info_options(t, o);
    o->tcpi_snd_mss = t->mss ? t->mss : TCP_MSS_DEFAULT;
    o->tcpi_segs_out = t->segs_out;
    o->tcpi_segs_in = t->segs_in;
    o->tcpi_data_segs_in = t->data_segs_in;
    o->tcpi_data_segs_out = t->data_segs_out;
    o->tcpi_snd_ssthresh = INT32_MAX;
    o->tcpi_delivery_rate_app_limited = 1;
    info_times(sh, t, o);
    if (t->mss == 0)
        return;
    o->tcpi_pmtu = t->pmtu && t->pmtu < mtu ? t->pmtu : mtu;
    o->tcpi_advmss = (t->io ? tcp_syn_mss(sh, &t->io->flow, t->user_mss) : tcp_own_mss(t)) -
                     (t->flags & TF_TS ? TCP_TS_OPT_LEN : 0u);
    info_sender(t, o);
    info_receiver(t, o);
    info_chrono(sh, t, o);
}

void tcp_get_info_full(const struct shard *sh, const struct tcb *t, struct tcp_info_full *o)
{
    *o = (struct tcp_info_full){0};
    tcp_get_info(sh, t, &o->base);
    if (t->state == TCPS_LISTEN)
        return;
    o->rcv_wnd = t->rcv_wnd;
    if (!t->ext)
        return;
    o->total_rto = t->ext->rto_total;
    o->total_rto_recoveries = t->ext->rto_series;
    o->total_rto_time_ms = t->ext->rto_time_ms;
}
