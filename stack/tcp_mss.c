/* tcp_mss.c: the sizes a connection works with: segments, units of the send queue, the window of a SYN and
 * its scale.
 */
#include "tcp_mss.h"

#include "tcp_md5.h"
#include "tcp_metrics.h"
#include "tcp_mtup.h"

static uint32_t ip_hdr_len(const struct ipaddr *dst)
{
    return ipaddr_is_v4(dst) ? 20 : 40;
}

uint16_t tcp_advertised_mss(uint32_t mtu, const struct ipaddr *dst, uint16_t user_mss)
{
    uint32_t hdr = ip_hdr_len(dst) + TCP_HDR_LEN, mss = mtu > hdr + TCP_MSS_MIN ? mtu - hdr : TCP_MSS_MIN;

    if (mss > 65495)
        mss = 65495;
    return (uint16_t)(user_mss && user_mss < mss ? user_mss : mss);
}

void tcp_mss_update(struct shard *sh, struct tcb *t)
{
    uint32_t mtu = tcp_mtu(t), mss, parts;

    (void)sh;
    t->mss_mtu = (uint16_t)mtu;
    if (t->pmtu && t->pmtu < mtu)
        mtu = t->pmtu;
    if (t->flags & TF_MTUP)
        mtu = tcp_mtup_cap(t, mtu);
    mss = mtu - ip_hdr_len(&t->pcb.remote.addr) - TCP_HDR_LEN;
    if (t->peer_mss < mss)
        mss = t->peer_mss;
    if (t->user_mss && t->user_mss < mss)
        mss = t->user_mss;
    if (mss < TCP_MSS_MIN) /* a peer that asks for less gets this (Linux: tcp_min_snd_mss) */
        mss = TCP_MSS_MIN;
    if (t->flags & TF_TS)
        mss -= TCP_TS_OPT_LEN;
    if (t->flags & TF_MD5)
        mss -= TCP_MD5_OPT_LEN;
    /* A peer with a window of few segments gets smaller ones, so that two can be on the way (Linux:
     * tcp_bound_to_half_wnd). */
    if (t->max_wnd && mss > (t->max_wnd > TCP_MSS_DEFAULT ? t->max_wnd / 2 : t->max_wnd))
        mss = t->max_wnd > TCP_MSS_DEFAULT ? t->max_wnd / 2 : t->max_wnd;
    if (mss < TCP_MSS_MIN - TCP_TS_OPT_LEN)
        mss = TCP_MSS_MIN - TCP_TS_OPT_LEN;
    /* Units that fill a segment evenly: none has to be split to make a full one. */
    parts = (mss + TCP_UNIT_MAX - 1) / TCP_UNIT_MAX;
    t->unit = (uint16_t)(mss / parts);
    t->mss = (uint16_t)(t->unit * parts);
}

uint8_t tcp_pick_wscale(const struct shard *sh, const struct tcb *t)
{
    uint64_t space = (uint64_t)sh->st->set.tcp_rmem_max;
    uint8_t scale = 0;

    if (t->rcvbuf > space)
        space = t->rcvbuf;
    if ((t->opts & TO_RCVBUF_LOCK) && space > t->rcvbuf / 2) /* it will not grow */
        space = t->rcvbuf / 2;
    if (t->window_clamp && space > t->window_clamp)
        space = t->window_clamp;
    while (space > 65535 && scale < TCP_WSCALE_MAX) {
        space >>= 1;
        scale++;
    }
    return scale;
}

uint16_t tcp_syn_mss(const struct shard *sh, const struct flow *fl, uint16_t user_mss)
{
    uint32_t most = tcp_metric(sh, fl, RTAX_ADVMSS);
    uint16_t mss = tcp_advertised_mss(fl->mtu, &fl->dst, user_mss);

    return most && most < mss ? (uint16_t)RTE_MAX(most, (uint32_t)TCP_MSS_MIN) : mss;
}

uint16_t tcp_first_window(const struct shard *sh, const struct tcb *t, const struct flow *fl, uint32_t mss)
{
    uint32_t clamp = t->window_clamp ? t->window_clamp : tcp_metric(sh, fl, RTAX_WINDOW);
    uint32_t segments = tcp_metric(sh, fl, RTAX_INITRWND), wnd = t->rcvbuf / 2;

    if (clamp && wnd > clamp)
        wnd = clamp;
    if (wnd > mss)
        wnd -= wnd % mss;
    if (segments && wnd / mss > segments) /* tcp_select_initial_window */
        wnd = segments * mss;
    return (uint16_t)(wnd < 65535 ? wnd : 65535);
}

void tcp_syn_opts(struct shard *sh, const struct flow *fl, uint16_t user_mss, struct tcp_opts *o)
{
    const struct tunables *set = &sh->st->set;

    *o = (struct tcp_opts){.fastopen_len = -1};
    o->mss = tcp_syn_mss(sh, fl, user_mss);
    o->has_ts = set->tcp_timestamps != 0;
    o->sack_permitted = set->tcp_sack != 0;
    o->has_wscale = set->tcp_window_scaling != 0;
}
