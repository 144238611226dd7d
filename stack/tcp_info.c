/* tcp_info.c: TCP_INFO as Linux's tcp_get_info gives it. Counts of segments are bytes divided by the MSS,
 * because windows and scoreboard are kept in bytes. */
#include "tcp_cb.h"
#include "tcp_ecn.h"
#include "tcp_ext.h"
#include "tcp_output.h"
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

static void info_sender(const struct tcb *t, struct tcp_info *o)
{
    o->tcpi_unacked = segments(t, tcp_flight(t));
    o->tcpi_sacked = segments(t, t->sacked);
    o->tcpi_lost = segments(t, t->lost);
    o->tcpi_retrans = segments(t, t->retrans);
    o->tcpi_snd_cwnd = t->cwnd / t->mss ? t->cwnd / t->mss : 1; /* parts of one count for nothing yet */
    o->tcpi_snd_ssthresh = t->ssthresh == UINT32_MAX ? INT32_MAX : t->ssthresh / t->mss;
    o->tcpi_notsent_bytes = t->snd_next ? t->write_seq - t->snd_nxt : 0;
    o->tcpi_snd_wnd = t->snd_wnd;
    o->tcpi_total_retrans = t->total_retrans;
    o->tcpi_bytes_acked = t->bytes_acked;
    o->tcpi_bytes_sent = t->bytes_acked + tcp_flight(t) + t->bytes_retrans;
    o->tcpi_bytes_retrans = t->bytes_retrans;
    o->tcpi_dsack_dups = t->dsack_dups;
    o->tcpi_delivered_ce = t->ext ? segments(t, t->ext->delivered_ce) : 0;
    o->tcpi_delivered = segments(t, (uint32_t)t->bytes_acked + t->sacked);
}

static void info_receiver(const struct tcb *t, struct tcp_info *o)
{
    o->tcpi_rcv_mss = t->rcv_mss;
    o->tcpi_rcv_ssthresh = tcp_win_from_space(t, t->rcvbuf);
    o->tcpi_rcv_rtt = t->rcv_rtt_us;
    o->tcpi_rcv_space = t->drs_space;
    o->tcpi_bytes_received = t->bytes_received;
    o->tcpi_rcv_ooopack = t->ofo_segs;
}

static void info_times(const struct shard *sh, const struct tcb *t, struct tcp_info *o)
{
    o->tcpi_rto = t->rto_ms * 1000;
    o->tcpi_ato = t->flags & TF_ACK_DELAYED ? (uint32_t)sh->st->set.tcp_delack_min * 1000 : 0;
    o->tcpi_rtt = t->srtt_us8 >> 3;
    o->tcpi_rttvar = t->rttvar_us4 >> 2;
    o->tcpi_min_rtt = t->min_rtt_us;
    o->tcpi_last_data_sent = since_ms(sh, t->last_snd_ms);
    o->tcpi_last_data_recv = since_ms(sh, t->last_rcv_ms);
    o->tcpi_last_ack_recv = since_ms(sh, t->last_ack_ms);
}

void tcp_get_info(const struct shard *sh, const struct tcb *t, struct tcp_info *o)
{
    *o = (struct tcp_info){0};
    o->tcpi_state = t->state;
    if (t->state == TCPS_LISTEN) { /* as Linux: the accept queue's length and bound */
        o->tcpi_unacked = t->acc_len;
        o->tcpi_sacked = t->backlog;
        return;
    }
    o->tcpi_ca_state = t->ca_state;
    o->tcpi_retransmits = t->flags & TF_PROBING ? 0 : t->retries;
    o->tcpi_probes = t->keep_probes;
    o->tcpi_backoff = t->flags & TF_PROBING ? t->retries : t->backoff;
    o->tcpi_options =
        (uint8_t)((t->flags & TF_TS ? TCPI_OPT_TIMESTAMPS : 0) | (t->flags & TF_SACK ? TCPI_OPT_SACK : 0) |
                  (t->flags & TF_WSCALE ? TCPI_OPT_WSCALE : 0) | (t->flags & TF_ECN ? TCPI_OPT_ECN : 0) |
                  (t->ecn & ECN_SEEN ? TCPI_OPT_ECN_SEEN : 0) |
                  (t->ext && t->ext->tfo.syn_data_acked ? TCPI_OPT_SYN_DATA : 0));
    o->tcpi_fastopen_client_fail = t->ext ? t->ext->tfo.fail & 3u : 0;
    o->tcpi_snd_wscale = t->snd_wscale;
    o->tcpi_rcv_wscale = t->rcv_wscale;
    o->tcpi_snd_mss = t->mss ? t->mss : TCP_MSS_DEFAULT;
    o->tcpi_reordering = t->reordering;
    o->tcpi_segs_out = t->segs_out;
    o->tcpi_segs_in = t->segs_in;
    o->tcpi_data_segs_in = t->data_segs_in;
    o->tcpi_data_segs_out = t->data_segs_out;
    o->tcpi_pacing_rate = UINT64_MAX;
    o->tcpi_max_pacing_rate = UINT64_MAX;
    info_times(sh, t, o);
    if (t->mss == 0)
        return;
    o->tcpi_pmtu = t->pmtu && t->pmtu < t->flow.mtu ? t->pmtu : t->flow.mtu;
    o->tcpi_advmss = tcp_advertised_mss(&t->flow, t->user_mss);
    info_sender(t, o);
    info_receiver(t, o);
}
