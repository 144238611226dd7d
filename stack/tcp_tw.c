/* tcp_tw.c: TIME_WAIT (RFC 9293 section 3.10.7.4, RFC 1337, RFC 6191). See tcp_tw.h. */
#include "tcp_tw.h"

#include "hash.h"
#include "ip.h"
#include "port.h"
#include "tcp_close.h"
#include "tcp_md5.h"
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

void tcp_tw_mend(struct shard *sh)
{
    struct tcp_table *tt = sh->tcp;

    tcp_hash_mend(&tt->timewait, sh->st, tw_hash);
    list_repair(&tt->tw_fifo);
    list_repair(&tt->fw2_fifo);
    tt->nfw2 = 0;
    list_for_each(n, &tt->fw2_fifo) tt->nfw2++;
}

/* What the entry waits: 2 MSL, or Linux's tcp_fin_timeout. */
static uint32_t wait_ms(const struct shard *sh, const struct tw *w)
{
    const struct tunables *set = &sh->st->set;

    return (uint32_t)(w->flags & TW_FIN_WAIT_2 ? set->tcp_fin_timeout : set->tcp_timewait) * 1000;
}

/* (Re)starts it. */
static void restart(struct shard *sh, struct tw *w)
{
    struct tcp_table *tt = sh->tcp;
    uint32_t ms = wait_ms(sh, w);

    w->expires_ms = tcp_now_ms(sh) + ms;
    list_del(&w->fifo);
    list_add_tail(w->flags & TW_FIN_WAIT_2 ? &tt->fw2_fifo : &tt->tw_fifo, &w->fifo);
    if (!tt->tw_timer.armed || tt->tw_timer.expires_ms > shard_ms(sh) + ms)
        timer_arm(&sh->wheel, &tt->tw_timer, shard_ms(sh) + ms);
}

static void fill(struct tw *w, const struct tcb *t)
{
    w->laddr = t->pcb.local.addr;
    w->raddr = t->pcb.remote.addr;
    w->lport_be = t->pcb.local.port_be;
    w->rport_be = t->pcb.remote.port_be;
    w->v6 = !!(t->pcb.flags & PCB_V6);
    w->snd_nxt = t->snd_nxt;
    w->rcv_nxt = t->rcv_nxt;
    w->ts_recent = t->ts_recent;
    w->ts_recent_s = t->ts_recent_s;
    w->ts_off = t->ts_off;
    w->window = (uint16_t)(t->rcv_wnd >> t->rcv_wscale);
    w->flags |=
        (uint8_t)((t->flags & TF_TS ? TW_TS : 0) | (t->pcb.flags & PCB_REUSEADDR ? TW_REUSEADDR : 0) |
                  (t->pcb.flags & PCB_REUSEPORT ? TW_REUSEPORT : 0) | t->rcv_wscale << TW_SCALE_SHIFT);
    w->tos = pcb_tos(&t->pcb, &t->pcb.remote.addr);
    list_init(&w->fifo);
}

static struct tcp_md5_key *key_of(const struct shard *sh, const struct tw *w)
{
    return w->md5 ? slab_at(&sh->tcp->md5, w->md5 - 1) : NULL;
}

static void keep_key(struct shard *sh, struct tw *w, const struct tcb *t)
{
    struct tcp_md5_key *k = tcp_md5_dup(sh, tcp_md5_find(t, &t->pcb.remote.addr));

    if (k)
        w->md5 = slab_index(&sh->tcp->md5, k) + 1;
}

/* An entry for t, which leaves the table of connections. NULL: no memory, or too many already. */
static struct tw *replace(struct shard *sh, struct tcb *t, uint8_t kind)
{
    struct tcp_table *tt = sh->tcp;
    struct tw *w = NULL;

    if (tt->tw.in_use < (uint64_t)sh->st->set.tcp_max_tw_buckets && (kind || sh->st->set.tcp_timewait))
        w = slab_alloc(&tt->tw);
    if (!w)
        return NULL;
    w->flags = kind;
    fill(w, t);
    if (t->flags & TF_MD5)
        keep_key(sh, w, t);
    restart(sh, w);
    tcp_conn_remove(sh, t);
    tcp_hash_insert(&tt->timewait, sh->st, node_of(w), tw_hash(sh->st, node_of(w)), tw_hash);
    port_tw_hold(sh->st, &t->pcb.local, w->flags);
    return w;
}

void tcp_time_wait(struct shard *sh, struct tcb *t)
{
    tcp_count(sh, replace(sh, t, 0) ? COUNT_TCP_TW : COUNT_TCP_TW_OVERFLOW);
    tcp_done(sh, t);
}

bool tcp_tw_fin_wait_2(struct shard *sh, struct tcb *t)
{
    if (!replace(sh, t, TW_FIN_WAIT_2))
        return false;
    sh->tcp->nfw2++;
    tcp_count(sh, COUNT_TCP_TW); /* once an entry, as Linux counts them */
    tcp_done(sh, t);
    return true;
}

void tcp_tw_free(struct shard *sh, struct tw *w)
{
    tcp_hash_remove(&sh->tcp->timewait, node_of(w), tw_hash(sh->st, node_of(w)));
    list_del(&w->fifo);
    if (w->flags & TW_FIN_WAIT_2)
        sh->tcp->nfw2--;
    port_tw_release(sh->st, w->lport_be, w->flags);
    tcp_md5_free(sh, key_of(sh, w));
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
    tcp_bare_send(sh, &fl, &h, &o, key_of(sh, w));
}

static enum count answer_oow(struct shard *sh, struct tw *w, const struct tcp_seg *s, enum count skip,
                             enum count why)
{
    if (!tcp_oow_limited(sh, s, &w->oow_ms, skip))
        send_ack(sh, w, s);
    return why;
}

static void take_ts(const struct shard *sh, struct tw *w, const struct tcp_seg *s)
{
    if ((w->flags & TW_TS) && s->o.has_ts) {
        w->ts_recent = s->o.tsval;
        w->ts_recent_s = tcp_now_ms(sh) / 1000;
    }
}

/* RFC 6191 section 2, RFC 1122 section 4.2.2.13: a SYN that can't be an old duplicate. */
static bool is_new_syn(const struct tw *w, const struct tcp_seg *s)
{
    if ((s->h.flags & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN)
        return false;
    return seq_gt(s->h.seq, w->rcv_nxt) ||
           ((w->flags & TW_TS) && s->o.has_ts && (int32_t)(s->o.tsval - w->ts_recent) > 0);
}

/* Its user closed without waiting for the peer's FIN: nothing but that FIN is good news. */
static enum count fin_wait_2(struct shard *sh, struct tw *w, struct tcp_seg *s, bool paws_bad)
{
    uint32_t right = w->rcv_nxt + ((uint32_t)w->window << (w->flags >> TW_SCALE_SHIFT));
    bool inside = s->h.seq == w->rcv_nxt || (seq_gt(s->end, w->rcv_nxt) && seq_lt(s->h.seq, right)) ||
                  (s->h.seq == right && s->end == right);

    if (paws_bad || !inside)
        return answer_oow(sh, w, s, COUNT_TCP_SKIP_FIN_WAIT_2, paws_bad ? COUNT_TCP_PAWS_TW : COUNT_TCP_SEQ);
    if (s->h.flags & TCP_RST) {
        tcp_tw_free(sh, w);
        return TCP_DONE;
    }
    if ((s->h.flags & TCP_SYN) && seq_geq(s->h.seq, w->rcv_nxt)) {
        tcp_reset_segment(sh, s);
        tcp_tw_free(sh, w);
        return COUNT_TCP_SYN_CHALLENGE;
    }
    if (!(s->h.flags & TCP_ACK) || !seq_gt(s->end, w->rcv_nxt) || s->end == s->h.seq)
        return TCP_DONE; /* an ACK once more */
    if (!(s->h.flags & TCP_FIN) ||
        s->end != w->rcv_nxt + 1) { /* text that nobody will read (RFC 2525 2.17) */
        tcp_reset_segment(sh, s);
        tcp_tw_free(sh, w);
        return COUNT_TCP_CLOSED_DATA;
    }
    take_ts(sh, w, s);
    w->flags &= (uint8_t)~TW_FIN_WAIT_2;
    sh->tcp->nfw2--;
    w->rcv_nxt = s->end;
    restart(sh, w);
    send_ack(sh, w, s);
    return TCP_DONE;
}

enum count tcp_tw_input(struct shard *sh, struct tw *w, struct tcp_seg *s)
{
    bool paws_bad = (w->flags & TW_TS) && s->o.has_ts && (int32_t)(s->o.tsval - w->ts_recent) < 0;
    enum count v = w->md5 || s->o.md5 ? tcp_md5_check(key_of(sh, w), s) : COUNT_OK;

    if (v != COUNT_OK)
        return v;
    if (w->flags & TW_FIN_WAIT_2)
        return fin_wait_2(sh, w, s, paws_bad);
    if (!paws_bad && s->h.seq == w->rcv_nxt && (s->h.seq == s->end || (s->h.flags & TCP_RST))) {
        /* In window it can only be a RST or a bare ACK. The RST: TIME-WAIT assassination (RFC 1337). */
        if ((s->h.flags & TCP_RST) && !sh->st->set.tcp_rfc1337) {
            tcp_tw_free(sh, w);
            return TCP_DONE;
        }
        take_ts(sh, w, s);
        if (!(s->h.flags & TCP_RST))
            restart(sh, w);
        return TCP_DONE;
    }
    if (is_new_syn(w, s) && !paws_bad && tcp_lookup_listen(sh, &s->local, &s->remote, s->ri->ifindex)) {
        s->isn = w->snd_nxt + 65535 + 2; /* beyond all that was used (RFC 1122) */
        if (!s->isn)
            s->isn = 1;
        tcp_tw_free(sh, w);
        tcp_count(sh, COUNT_TCP_TW_RECYCLED);
        return COUNT_OK;
    }
    if (s->h.flags & TCP_RST)
        return paws_bad ? COUNT_TCP_PAWS_TW : COUNT_TCP_SEQ;
    /* Out of window. A SYN without ACK may be a good one whose number is just low: it does not prolong. */
    if (paws_bad || (s->h.flags & TCP_ACK))
        restart(sh, w);
    if (!paws_bad && seq_leq(s->h.seq, w->rcv_nxt)) /* the FIN again: its time is echoed */
        take_ts(sh, w, s);
    return answer_oow(sh, w, s, COUNT_TCP_SKIP_TIME_WAIT, paws_bad ? COUNT_TCP_PAWS_TW : COUNT_TCP_SEQ);
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

/* Frees what is due at a FIFO's head. Milliseconds until the next, UINT32_MAX: it is empty. */
static uint32_t expire(struct shard *sh, struct list *fifo)
{
    uint32_t now_ms = tcp_now_ms(sh);

    while (!list_empty(fifo)) {
        struct tw *w = container_of(fifo->next, struct tw, fifo);
        int32_t left = (int32_t)(w->expires_ms - now_ms);

        if (left > 0)
            return (uint32_t)left;
        tcp_tw_free(sh, w);
    }
    return UINT32_MAX;
}

void tcp_tw_expire(struct shard *sh)
{
    uint32_t a = expire(sh, &sh->tcp->tw_fifo), b = expire(sh, &sh->tcp->fw2_fifo);
    uint32_t next = a < b ? a : b;

    if (next != UINT32_MAX)
        timer_arm(&sh->wheel, &sh->tcp->tw_timer, shard_ms(sh) + next);
}

uint32_t tcp_timewaits(const struct shard *sh)
{
    return sh->tcp->tw.in_use;
}

void tcp_drop_timewaits(struct shard *sh)
{
    while (!list_empty(&sh->tcp->tw_fifo))
        tcp_tw_free(sh, container_of(sh->tcp->tw_fifo.next, struct tw, fifo));
    while (!list_empty(&sh->tcp->fw2_fifo))
        tcp_tw_free(sh, container_of(sh->tcp->fw2_fifo.next, struct tw, fifo));
    timer_cancel(&sh->wheel, &sh->tcp->tw_timer);
}
