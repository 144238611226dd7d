/* tcp_stamp.c: see tcp_stamp.h. */
#include "tcp_stamp.h"

#include <errno.h>

#include "errq.h"
#include "msg.h"
#include "tcp_rcvq.h"
#include "tcp_tx.h"
#include "tcp_zerocopy.h"

enum { TSTAMP_SND, TSTAMP_SCHED, TSTAMP_ACK }; /* SCM_TSTAMP_*, ee_info */

void tcp_stamp_flags(struct tcb *t)
{
    const struct tcp_ext *x = t->ext;

    t->flags &= ~(uint32_t)(TF_CTL | TF_TXSTAMP);
    if (x->inq || stamp_wants_rx(&x->stamp))
        t->flags |= TF_CTL;
    if ((x->stamp.flags & STAMP_TX_RECORD) || !list_empty(&x->txstamps) || !list_empty(&x->zcopies))
        t->flags |= TF_TXSTAMP;
}

/* SOF_TIMESTAMPING_OPT_ID numbers bytes from a known one on: there must be one. */
static int check_opt_id(const struct tcb *t, const struct stamp *s, uint32_t v)
{
    bool begins = (v & SOF_TIMESTAMPING_OPT_ID) && !(s->flags & SOF_TIMESTAMPING_OPT_ID);

    return begins && state_in(t, TCPF(CLOSE) | TCPF(LISTEN)) ? -EINVAL : 0;
}

int tcp_stamp_setopt(struct shard *sh, struct tcb *t, int name, const void *val, uint32_t len)
{
    bool ing = stamp_is_ing(name), had_id;
    struct stamp probe = {0};
    struct tcp_ext *x;
    uint32_t v;
    int r;

    if (!stamp_is_option(name))
        return -ENOPROTOOPT;
    if (len < sizeof v)
        return -EINVAL;
    memcpy(&v, val, sizeof v);
    r = ing ? check_opt_id(t, t->ext ? &t->ext->stamp : &probe, v) : 0;
    if (r)
        return r;
    x = tcp_ext_get(sh, t);
    if (!x)
        return -ENOBUFS;
    had_id = x->stamp.flags & SOF_TIMESTAMPING_OPT_ID;
    r = stamp_setopt(sh, &x->stamp, name, val, len);
    if (r == 0 && ing && (v & SOF_TIMESTAMPING_OPT_ID) && !had_id)
        x->stamp.key = v & STAMP_OPT_ID_TCP ? t->write_seq : t->snd_una;
    tcp_stamp_flags(t);
    return r;
}

int tcp_stamp_getopt(const struct tcb *t, int name, void *val, uint32_t *len)
{
    static const struct stamp none;

    return stamp_getopt(t->ext ? &t->ext->stamp : &none, name, val, len);
}

void tcp_stamp_inherit(struct shard *sh, struct tcb *c, const struct tcb *l)
{
    const struct tcp_ext *from = l->ext;
    struct tcp_ext *to;

    if (!from || (!from->inq && !from->stamp.rx && !from->stamp.flags))
        return;
    to = tcp_ext_get(sh, c);
    if (!to)
        return;
    to->inq = from->inq;
    stamp_copy(sh, &to->stamp, &from->stamp);
    tcp_stamp_flags(c);
}

/* --- what is sent --- */

/* Another reference to the bytes of m. NULL: out of memory. */
static struct rte_mbuf *data_ref(struct shard *sh, struct rte_mbuf *m)
{
    struct rte_mbuf *ref = rte_pktmbuf_alloc(sh->pool);

    if (ref)
        rte_pktmbuf_attach(ref, m);
    return ref;
}

static void report(struct shard *sh, struct tcb *t, const struct txstamp *s, uint32_t what)
{
    const struct stamp *st = &t->ext->stamp;
    struct errq_entry e = {
        .ee = {.ee_errno = ENOMSG,
               .ee_origin = SO_EE_ORIGIN_TIMESTAMPING,
               .ee_info = what,
               .ee_data = st->flags & SOF_TIMESTAMPING_OPT_ID ? s->seq - st->key : 0},
        .v4 = 1,
        .stamp_ns = stamp_now_ns(sh),
    };

    if (!t->pcb.user)
        return;
    if (s->m)
        e.m = data_ref(sh, s->m);
    errq_add(sh, &t->pcb, &e, t->rcvbuf);
}

void tcp_stamp_request(struct shard *sh, struct tcb *t)
{
    struct tcp_ext *x = t->ext;
    uint32_t want = x->stamp.flags;
    struct txstamp *s;

    if (x->tx_once) { /* SO_TIMESTAMPING as a control message of this call */
        want = x->tx_once;
        x->tx_once = 0;
    }
    if (!(want & STAMP_TX_RECORD))
        return;
    s = slab_alloc(&sh->tcp->txstamp);
    if (!s)
        return;
    s->seq = t->write_seq - 1;
    s->sched = !!(want & SOF_TIMESTAMPING_TX_SCHED);
    s->snd = !!(want & SOF_TIMESTAMPING_TX_SOFTWARE);
    s->ack = !!(want & SOF_TIMESTAMPING_TX_ACK);
    s->m = x->stamp.flags & SOF_TIMESTAMPING_OPT_TSONLY ? NULL : data_ref(sh, t->tx->snd_tail);
    list_add_tail(&x->txstamps, &s->node);
    t->flags |= TF_TXSTAMP;
}

static void txstamp_free(struct shard *sh, struct txstamp *s)
{
    list_del(&s->node);
    rte_pktmbuf_free(s->m);
    slab_free(&sh->tcp->txstamp, s);
}

static void drop_if_done(struct shard *sh, struct tcb *t, struct txstamp *s)
{
    if (s->sched || s->snd || s->ack)
        return;
    txstamp_free(sh, s);
    if (list_empty(&t->ext->txstamps))
        tcp_stamp_flags(t);
}

void tcp_stamp_sent(struct shard *sh, struct tcb *t, uint32_t from, uint32_t to)
{
    list_for_each_safe(n, &t->ext->txstamps)
    {
        struct txstamp *s = container_of(n, struct txstamp, node);

        if (seq_geq(s->seq, to))
            break;
        if (seq_lt(s->seq, from))
            continue;
        if (s->sched)
            report(sh, t, s, TSTAMP_SCHED);
        if (s->snd)
            report(sh, t, s, TSTAMP_SND);
        s->sched = s->snd = 0;
        drop_if_done(sh, t, s);
    }
}

void tcp_stamp_acked(struct shard *sh, struct tcb *t)
{
    list_for_each_safe(n, &t->ext->txstamps)
    {
        struct txstamp *s = container_of(n, struct txstamp, node);

        if (seq_geq(s->seq, t->snd_una))
            break;
        if (s->ack)
            report(sh, t, s, TSTAMP_ACK);
        s->sched = s->snd = s->ack = 0;
        drop_if_done(sh, t, s);
    }
    if (!list_empty(&t->ext->zcopies))
        tcp_zerocopy_acked(sh, t);
}

void tcp_stamp_drop(struct shard *sh, struct tcb *t)
{
    if (!t->ext)
        return;
    list_for_each_safe(n, &t->ext->txstamps)
    {
        txstamp_free(sh, container_of(n, struct txstamp, node));
    }
}

void tcp_stamp_close(struct shard *sh, struct tcb *t)
{
    tcp_stamp_drop(sh, t);
    stamp_close(sh, &t->ext->stamp);
}

/* --- recvmsg --- */

int tcp_stamp_once(struct shard *sh, struct tcb *t, uint32_t flags)
{
    struct tcp_ext *x;

    if (flags & ~STAMP_TX_RECORD)
        return -EINVAL;
    x = tcp_ext_get(sh, t);
    if (!x)
        return -ENOBUFS;
    x->tx_once = flags;
    t->flags |= TF_TXSTAMP;
    return 0;
}

ssize_t tcp_recv_err(struct shard *sh, struct tcb *t, struct msghdr *msg)
{
    return errq_recv(sh, &t->pcb, msg, t->ext ? &t->ext->stamp : NULL, NULL);
}

size_t tcp_put_ctl(struct shard *sh, struct tcb *t, struct msghdr *msg)
{
    struct tcp_ext *x = t->ext;
    size_t used = 0;

    if (!(t->flags & TF_CTL))
        return 0;
    if (x->rx_stamp_ns)
        stamp_put_rx(sh, &x->stamp, msg, &used, x->rx_stamp_ns);
    x->rx_stamp_ns = 0;
    if (x->inq) { /* the FIN counts as a byte: something is still to be read (tcp_inq_hint) */
        int inq = (int)(t->rcv_nxt - t->copied_seq);

        if (inq == 0 && (t->flags & TF_FIN_RCVD))
            inq = 1;
        msg_put_ctl(msg, &used, IPPROTO_TCP, TCP_CM_INQ, &inq, sizeof inq);
    }
    return used;
}
