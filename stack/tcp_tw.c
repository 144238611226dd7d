/* tcp_tw.c: TIME_WAIT (RFC 9293 section 3.10.7.4, RFC 1337, RFC 6191). See tcp_tw.h. */
#include "tcp_tw.h"

#include "hash.h"
#include "ip.h"
#include "port.h"
#include "tcp_close.h"
#include "tcp_rst.h"
#include "tcp_table.h"
#include "tcp_timer.h"

static struct list *node_of(struct tw *w)
{
    return (struct list *)(void *)&w->hash_next;
}

static struct tw *tw_of(struct list *n)
{
    return (struct tw *)(void *)n;
}

static uint32_t tw_hash(const struct stack *st, const struct list *obj)
{
    const struct tw *w = (const struct tw *)(const void *)obj;
    struct endpoint l = {w->laddr, w->lport_be}, r = {w->raddr, w->rport_be};

    return hash_flow(st->secret, &l, &r);
}

struct tw *tcp_tw_lookup(struct shard *sh, const struct endpoint *local, const struct endpoint *remote)
{
    struct list *n;

    if (sh->tcp->timewait.count == 0)
        return NULL;
    for (n = tcp_hash_chain(&sh->tcp->timewait, hash_flow(sh->st->secret, local, remote)); n; n = n->next) {
        struct tw *w = tw_of(n);

        if (w->lport_be == local->port_be && w->rport_be == remote->port_be &&
            ipaddr_eq(&w->raddr, &remote->addr) && ipaddr_eq(&w->laddr, &local->addr))
            return w;
    }
    return NULL;
}

/* (Re)starts the entry's 2 MSL. */
static void restart(struct shard *sh, struct tw *w)
{
    struct tcp_table *tt = sh->tcp;

    w->expires_ms = tcp_now_ms(sh) + (uint32_t)sh->st->set.tcp_timewait * 1000;
    list_del(&w->fifo);
    list_add_tail(&tt->tw_fifo, &w->fifo);
    if (!tt->tw_timer.armed)
        timer_arm(&sh->wheel, &tt->tw_timer, shard_ms(sh) + (uint64_t)sh->st->set.tcp_timewait * 1000);
}

static void fill(struct shard *sh, struct tw *w, const struct tcb *t)
{
    w->laddr = t->pcb.local.addr;
    w->raddr = t->pcb.remote.addr;
    w->lport_be = t->pcb.local.port_be;
    w->rport_be = t->pcb.remote.port_be;
    w->snd_nxt = t->snd_nxt;
    w->rcv_nxt = t->rcv_nxt;
    w->ts_recent = t->ts_recent;
    w->ts_recent_s = t->ts_recent_s;
    w->ts_off = t->ts_off;
    w->window = (uint16_t)(t->rcv_wnd >> t->rcv_wscale);
    w->flags = (uint8_t)((t->flags & TF_TS ? TW_TS : 0) | (t->pcb.flags & PCB_REUSEADDR ? TW_REUSEADDR : 0) |
                         (t->pcb.flags & PCB_REUSEPORT ? TW_REUSEPORT : 0));
    w->tos = pcb_tos(&t->pcb, &t->pcb.remote.addr);
    list_init(&w->fifo);
    restart(sh, w);
}

void tcp_time_wait(struct shard *sh, struct tcb *t)
{
    struct tcp_table *tt = sh->tcp;
    struct tw *w = NULL;

    if (tt->tw.in_use < (uint64_t)sh->st->set.tcp_max_tw_buckets && sh->st->set.tcp_timewait)
        w = slab_alloc(&tt->tw);
    if (w) {
        fill(sh, w, t);
        tcp_conn_remove(sh, t);
        tcp_hash_insert(&tt->timewait, sh->st, node_of(w), tw_hash(sh->st, node_of(w)), tw_hash);
        port_tw_hold(sh->st, w->lport_be, w->flags & TW_REUSEADDR);
        tcp_count(sh, COUNT_TCP_TW);
    } else {
        tcp_count(sh, COUNT_TCP_TW_OVERFLOW);
    }
    tcp_done(sh, t);
}

void tcp_tw_free(struct shard *sh, struct tw *w)
{
    tcp_hash_remove(&sh->tcp->timewait, node_of(w), tw_hash(sh->st, node_of(w)));
    list_del(&w->fifo);
    port_tw_release(sh->st, w->lport_be, w->flags & TW_REUSEADDR);
    slab_free(&sh->tcp->tw, w);
}

static void send_ack(struct shard *sh, const struct tw *w, const struct tcp_seg *s)
{
    struct flow fl = tcp_reply_flow(s);
    struct tcp_hdr_in h = {.sport_be = w->lport_be,
                           .dport_be = w->rport_be,
                           .seq = w->snd_nxt,
                           .ack = w->rcv_nxt,
                           .flags = TCP_ACK,
                           .window = w->window};
    struct tcp_opts o = {.fastopen_len = -1};

    if (w->flags & TW_TS) {
        o.has_ts = 1;
        o.tsval = (uint32_t)shard_ms(sh) + w->ts_off;
        o.tsecr = w->ts_recent;
    }
    fl.tos = w->tos;
    tcp_bare_send(sh, &fl, &h, &o);
}

/* RFC 6191 section 2, RFC 1122 section 4.2.2.13: a SYN that can't be an old duplicate. */
static bool is_new_syn(const struct tw *w, const struct tcp_seg *s)
{
    if ((s->h.flags & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN)
        return false;
    if ((w->flags & TW_TS) && s->o.has_ts && (int32_t)(s->o.tsval - w->ts_recent) > 0)
        return true;
    return seq_gt(s->h.seq, w->rcv_nxt) && !((w->flags & TW_TS) && s->o.has_ts && s->o.tsval != w->ts_recent);
}

enum count tcp_tw_input(struct shard *sh, struct tw *w, struct tcp_seg *s)
{
    bool paws_bad = (w->flags & TW_TS) && s->o.has_ts && (int32_t)(s->o.tsval - w->ts_recent) < 0;

    if (is_new_syn(w, s)) {
        tcp_tw_free(sh, w);
        tcp_count(sh, COUNT_TCP_TW_RECYCLED);
        return COUNT_OK;
    }
    if (s->h.flags & TCP_RST) /* RFC 1337 fix F1: a reset doesn't end TIME_WAIT */
        return TCP_DONE;
    if ((s->h.flags & TCP_FIN) && s->end == w->rcv_nxt && !paws_bad) {
        restart(sh, w); /* the peer didn't get our ACK */
        send_ack(sh, w, s);
        return TCP_DONE;
    }
    if (paws_bad || s->h.seq != w->rcv_nxt || s->len || (s->h.flags & TCP_SYN)) {
        send_ack(sh, w, s);
        return paws_bad ? COUNT_TCP_PAWS : COUNT_TCP_SEQ;
    }
    return TCP_DONE;
}

bool tcp_tw_reusable(const struct shard *sh, const struct tw *w)
{
    int64_t reuse = sh->st->set.tcp_tw_reuse;

    if (reuse == 0 || (reuse == 2 && !ipaddr_is_loopback(&w->raddr)))
        return false;
    /* Timestamps make old duplicates recognisable once the peer's clock has ticked (RFC 6191; Linux: a
     * second). */
    return (w->flags & TW_TS) && tcp_now_ms(sh) / 1000 - w->ts_recent_s > 1;
}

void tcp_tw_expire(struct shard *sh)
{
    struct tcp_table *tt = sh->tcp;
    uint32_t now_ms = tcp_now_ms(sh);

    while (!list_empty(&tt->tw_fifo)) {
        struct tw *w = container_of(tt->tw_fifo.next, struct tw, fifo);
        int32_t left = (int32_t)(w->expires_ms - now_ms);

        if (left > 0) {
            timer_arm(&sh->wheel, &tt->tw_timer, shard_ms(sh) + (uint32_t)left);
            return;
        }
        tcp_tw_free(sh, w);
    }
}

uint32_t tcp_timewaits(const struct shard *sh)
{
    return sh->tcp->tw.in_use;
}

void tcp_drop_timewaits(struct shard *sh)
{
    while (!list_empty(&sh->tcp->tw_fifo))
        tcp_tw_free(sh, container_of(sh->tcp->tw_fifo.next, struct tw, fifo));
    timer_cancel(&sh->wheel, &sh->tcp->tw_timer);
}
