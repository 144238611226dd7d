/* tcp_cc_dctcp.c: Data Center TCP (RFC 8257): the window is reduced in proportion to the share of bytes that
 * were marked, so that switches may mark early and queues stay short. How the receiver tells of each mark is
 * in tcp_ecn.c. Without ECN it is Reno, as on Linux. */
#include "tcp_cc.h"
#include "tcp_ecn.h"

#define ALPHA_ONE 1024u /* alpha 1 */
#define SHIFT_G   4     /* g = 1/16 */

struct dctcp {
    uint32_t acked; /* where Reno's growth counts (tcp_cc_reno.c): must be first */
    uint32_t alpha;
    uint32_t window_end;                  /* of the observation window */
    uint32_t delivered, delivered_marked; /* bytes in it */
    uint32_t loss_cwnd;                   /* before the last reduction */
};
_Static_assert(sizeof(struct dctcp) <= sizeof(((struct tcp_tx *)0)->cc_priv), "dctcp's state fits");

static struct dctcp *priv(const struct tcb *t)
{
    return (struct dctcp *)t->tx->cc_priv;
}

static void window_begin(const struct tcb *t, struct dctcp *d)
{
    d->window_end = t->snd_nxt;
    d->delivered = d->delivered_marked = 0;
}

static void dctcp_init(struct shard *sh, struct tcb *t)
{
    struct dctcp *d = priv(t);

    *d = (struct dctcp){.alpha = ALPHA_ONE}; /* section 4.2 */
    window_begin(t, d);
    if (t->flags & TF_ECN)
        return;
    t->cc = TCP_CC_DCTCP_RENO;
    t->ecn &= (uint8_t)~ECN_NEEDED;
    tcp_cc_reno.init(sh, t);
}

/* Section 3.3: alpha = alpha (1 - g) + g F, once a window. */
static void dctcp_on_ack(struct shard *sh, struct tcb *t, const struct tcp_rate_sample *rs)
{
    struct dctcp *d = priv(t);
    uint32_t fall;

    (void)sh;
    d->delivered += rs->acked_sacked;
    if (rs->is_ece)
        d->delivered_marked += rs->acked_sacked;
    if (seq_lt(t->snd_una, d->window_end))
        return;
    fall = d->alpha >> SHIFT_G;
    d->alpha -= fall ? fall : d->alpha; /* down to 0 */
    if (d->delivered_marked)
        d->alpha += (uint32_t)(((uint64_t)d->delivered_marked << (10 - SHIFT_G)) / d->delivered);
    if (d->alpha > ALPHA_ONE)
        d->alpha = ALPHA_ONE;
    window_begin(t, d);
}

/* Section 3.3 step 9: cwnd (1 - alpha / 2). */
static uint32_t dctcp_ssthresh(struct shard *sh, struct tcb *t)
{
    struct dctcp *d = priv(t);
    uint32_t s = t->cwnd - (uint32_t)(((uint64_t)t->cwnd * d->alpha) >> 11);

    (void)sh;
    d->loss_cwnd = t->cwnd;
    return s > 2u * t->mss ? s : 2u * t->mss;
}

/* Section 3.5: loss is answered as in RFC 5681. */
static void dctcp_set_state(struct shard *sh, struct tcb *t, uint8_t state)
{
    uint32_t half;

    (void)sh;
    if (state != CA_RECOVERY || t->ca_state == CA_RECOVERY)
        return;
    half = priv(t)->loss_cwnd / 2;
    t->ssthresh = half > 2u * t->mss ? half : 2u * t->mss;
}

static uint32_t dctcp_undo(struct shard *sh, struct tcb *t)
{
    (void)sh;
    return t->cwnd > priv(t)->loss_cwnd ? t->cwnd : priv(t)->loss_cwnd;
}

static void dctcp_avoid(struct shard *sh, struct tcb *t, uint32_t acked)
{
    tcp_cc_reno.avoid(sh, t, acked);
}

static uint32_t dctcp_info(const struct tcb *t, union tcp_cc_info *info)
{
    const struct dctcp *d = priv(t);

    info->dctcp = (struct tcp_dctcp_info){.dctcp_enabled = 1,
                                          .dctcp_ce_state = (t->ecn & ECN_WAS_CE) != 0,
                                          .dctcp_alpha = d->alpha,
                                          .dctcp_ab_ecn = d->delivered_marked,
                                          .dctcp_ab_tot = d->delivered};
    return sizeof info->dctcp;
}

/* Linux: dctcp's information, all zero. */
static uint32_t no_dctcp_info(const struct tcb *t, union tcp_cc_info *info)
{
    (void)t;
    info->dctcp = (struct tcp_dctcp_info){0};
    return sizeof info->dctcp;
}

static void reno_init(struct shard *sh, struct tcb *t)
{
    tcp_cc_reno.init(sh, t);
}

static uint32_t reno_ssthresh(struct shard *sh, struct tcb *t)
{
    return tcp_cc_reno.ssthresh(sh, t);
}

const struct tcp_cc tcp_cc_dctcp = {
    .name = "dctcp",
    .keeps = true,
    .needs_ecn = true,
    .init = dctcp_init,
    .avoid = dctcp_avoid,
    .ssthresh = dctcp_ssthresh,
    .on_ack = dctcp_on_ack,
    .undo_cwnd = dctcp_undo,
    .get_info = dctcp_info,
    .set_state = dctcp_set_state,
};

const struct tcp_cc tcp_cc_dctcp_reno = {
    .name = "dctcp-reno",
    .init = reno_init,
    .avoid = dctcp_avoid,
    .ssthresh = reno_ssthresh,
    .get_info = no_dctcp_info,
};
