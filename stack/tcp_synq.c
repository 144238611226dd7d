/* tcp_synq.c: half-open connections, and how one becomes a tcb in its listener's accept queue. See
 * tcp_synq.h. The rules are Linux's (tcp_conn_request, tcp_check_req, reqsk_timer_handler), where RFC 9293
 * leaves them open. */
#include "tcp_synq.h"

#include "filter.h"
#include "hash.h"
#include "ip.h"
#include "port.h"
#include "tcp_cc.h"
#include "tcp_close.h"
#include "tcp_cookie.h"
#include "tcp_ecn.h"
#include "tcp_ext.h"
#include "tcp_isn.h"
#include "tcp_listen.h"
#include "tcp_md5.h"
#include "tcp_metrics.h"
#include "tcp_mss.h"
#include "tcp_rcvq.h"
#include "tcp_rst.h"
#include "tcp_rtt.h"
#include "tcp_table.h"
#include "tcp_tfo.h"
#include "tcp_timer.h"
#include "wire_eth.h"

static struct list *node_of(struct synreq *r)
{
    return (struct list *)(void *)&r->hash_next;
}

static struct synreq *synreq_of(struct list *n)
{
    return (struct synreq *)(void *)n;
}

static uint32_t synreq_hash(const struct stack *st, const struct list *obj)
{
    const struct synreq *r = (const struct synreq *)(const void *)obj;
    struct endpoint l = {r->laddr, r->lport_be}, m = {r->raddr, r->rport_be};

    return hash_flow(st->secret, &l, &m);
}

struct synreq *tcp_synq_lookup(struct shard *sh, const struct endpoint *local, const struct endpoint *remote)
{
    struct list *n;

    if (sh->tcp->half.count == 0)
        return NULL;
    for (n = tcp_hash_chain(&sh->tcp->half, hash_flow(sh->st->secret, local, remote)); n; n = n->next) {
        struct synreq *r = synreq_of(n);

        if (r->lport_be == local->port_be && r->rport_be == remote->port_be &&
            ipaddr_eq(&r->raddr, &remote->addr) && ipaddr_eq(&r->laddr, &local->addr))
            return r;
    }
    return NULL;
}

/* The listener, if it still is the one that took the SYN. */
static struct tcb *listener_of(const struct synreq *r)
{
    struct tcb *l = r->listener;

    return l->state == TCPS_LISTEN && l->listen_id == r->listen_id ? l : NULL;
}

void tcp_synq_free(struct shard *sh, struct synreq *r)
{
    struct tcb *l = listener_of(r);
    struct tcp_saved_syn *saved = r->saved;

    if (l)
        l->synq_len--;
    timer_cancel(&sh->wheel, &r->timer);
    tcp_hash_remove(&sh->tcp->half, node_of(r), synreq_hash(sh->st, node_of(r)));
    list_step(); /* nothing points at them any more */
    slab_free(&sh->tcp->synreq, r);
    if (saved)
        slab_free(&sh->tcp->saved_syn, saved);
}

void tcp_synq_mend(struct shard *sh)
{
    const struct tcp_hash *h = &sh->tcp->half;

    tcp_hash_mend(&sh->tcp->half, sh->st, synreq_hash);
    for (uint32_t i = 0; i < h->mask + 1 + h->split; i++) {
        for (struct list *n = h->bucket[i]; n; n = n->next) {
            struct tcb *l = listener_of(synreq_of(n));

            if (l)
                l->synq_len++;
        }
    }
}

/* --- what is sent --- */

static struct flow flow_of(const struct synreq *r, const struct tcb *l)
{
    return (struct flow){.src = r->laddr,
                         .dst = r->raddr,
                         .proto = IPPROTO_TCP,
                         .ttl = pcb_ttl(&l->pcb, &r->raddr),
                         .tos = pcb_tos(&l->pcb, &r->raddr),
                         .df = 1,
                         .bound_if = l->pcb.ifindex,
                         .mark = l->ext ? l->ext->mark : 0,
                         .label_be = l->ext ? l->ext->label_be : 0};
}

/* Our options, and the window we offer with them. False: there is no way back. */
static bool our_offer(struct shard *sh, struct synreq *r, const struct tcb *l, struct flow *fl,
                      struct tcp_opts *o)
{
    if (flow_resolve(sh, fl))
        return false;
    tcp_syn_opts(sh, fl, l->user_mss, o);
    o->has_ts = (r->flags & SYNREQ_TS) != 0;
    o->sack_permitted = (r->flags & SYNREQ_SACK) != 0;
    o->has_wscale = (r->flags & SYNREQ_WSCALE) != 0;
    o->wscale = r->rcv_wscale;
    r->rcv_wnd = tcp_first_window(sh, l, fl, o->mss - (o->has_ts ? TCP_TS_OPT_LEN : 0));
    return true;
}

/* tfo: NULL, or the options with the Fast Open cookie to give. */
static void send_syn_ack(struct shard *sh, struct synreq *r, struct tcb *l, const struct tcp_opts *tfo)
{
    struct flow fl = flow_of(r, l);
    struct tcp_hdr_in h = {.sport_be = r->lport_be,
                           .dport_be = r->rport_be,
                           .seq = r->iss,
                           .ack = r->irs + 1,
                           .flags = TCP_SYN | TCP_ACK};
    struct tcp_cookie_opts c = {r->flags & SYNREQ_WSCALE, r->flags & SYNREQ_SACK, r->flags & SYNREQ_ECN,
                                r->snd_wscale};
    struct tcp_opts o;

    if (r->flags & SYNREQ_ECN)
        h.flags |= TCP_ECE;
    if (tcp_cc_table[l->cc]->needs_ecn)
        fl.tos |= ECT0;
    if (!our_offer(sh, r, l, &fl, &o))
        return;
    r->resent_ms = (uint32_t)shard_ms(sh);
    o.tsval = (r->flags & SYNREQ_COOKIE ? tcp_cookie_ts(r->resent_ms, &c) : r->resent_ms) + r->ts_off;
    o.tsecr = r->ts_recent;
    if (tfo) {
        o.fastopen = tfo->fastopen;
        o.fastopen_len = tfo->fastopen_len;
        o.fastopen_exp = tfo->fastopen_exp;
    }
    h.window = r->rcv_wnd;
    tcp_bare_send(sh, &fl, &h, &o, tcp_md5_find(l, &r->raddr));
}

/* The SYN,ACK once more. */
static void resend_syn_ack(struct shard *sh, struct synreq *r, struct tcb *l)
{
    tcp_count(sh, COUNT_TCP_RETRANS);
    tcp_count(sh, COUNT_TCP_SYN_RETRANS);
    send_syn_ack(sh, r, l, NULL);
}

/* Where we stand, to a peer that seems not to know (RFC 9293 section 3.10.7.4, first). */
static void send_ack(struct shard *sh, const struct synreq *r, const struct tcb *l)
{
    struct flow fl = flow_of(r, l);
    struct tcp_hdr_in h = {.sport_be = r->lport_be,
                           .dport_be = r->rport_be,
                           .seq = r->iss + 1,
                           .ack = r->irs + 1,
                           .flags = TCP_ACK,
                           .window = (uint16_t)(r->rcv_wnd >> r->rcv_wscale)};
    struct tcp_opts o = {.fastopen_len = -1};

    if (r->flags & SYNREQ_TS) {
        o.has_ts = 1;
        o.tsval = (uint32_t)shard_ms(sh) + r->ts_off;
        o.tsecr = r->ts_recent;
    }
    tcp_bare_send(sh, &fl, &h, &o, tcp_md5_find(l, &r->raddr));
}

/* --- a SYN --- */

/* Options are agreed on when both the SYN and we offer them. */
static void agree(struct shard *sh, struct synreq *r, const struct tcb *l, const struct tcp_opts *o)
{
    const struct tunables *set = &sh->st->set;

    r->peer_mss = o->mss ? o->mss : TCP_MSS_DEFAULT;
    if (o->has_ts && set->tcp_timestamps) {
        r->flags |= SYNREQ_TS;
        r->ts_recent = o->tsval;
    }
    if ((r->flags & SYNREQ_COOKIE) && !(r->flags & SYNREQ_TS)) /* nowhere to keep the rest */
        return;
    if (o->sack_permitted && set->tcp_sack)
        r->flags |= SYNREQ_SACK;
    if ((r->flags & SYNREQ_SACK) && (l->flags & TF_MD5) && tcp_md5_find(l, &r->raddr))
        r->flags &= (uint8_t)~SYNREQ_TS; /* no room for both beside the signature */
    if (o->has_wscale && set->tcp_window_scaling) {
        r->flags |= SYNREQ_WSCALE;
        r->snd_wscale = o->wscale;
        r->rcv_wscale = tcp_pick_wscale(sh, l);
    }
}

/* What a SYN, or the ACK of a cookie, says of who wants to talk to whom. */
static void request_fill(struct shard *sh, struct synreq *r, struct tcb *l, const struct tcp_seg *s)
{
    r->listener = l;
    r->listen_id = l->listen_id;
    r->laddr = s->local.addr;
    r->raddr = s->remote.addr;
    r->lport_be = s->local.port_be;
    r->rport_be = s->remote.port_be;
    r->irs = s->h.seq;
    r->ts_off = tcp_ts_offset(sh, &r->laddr, &r->raddr);
    r->sent_ms = tcp_now_ms(sh);
}

/* TCP_SAVE_SYN: 1, from the IP header on; 2, from the link layer's. */
static struct tcp_saved_syn *save_syn(struct shard *sh, const struct tcb *l, const struct tcp_seg *s)
{
    uint32_t mac = l->ext && l->ext->save_syn == 2 ? sizeof(struct eth_hdr) : 0;
    uint32_t len = mac + s->ri->l3_len + s->h.hlen;
    struct tcp_saved_syn *v;

    if (!l->ext || !l->ext->save_syn || len > sizeof v->bytes ||
        rte_pktmbuf_headroom(s->m) < mac + s->ri->l3_len)
        return NULL;
    v = slab_alloc(&sh->tcp->saved_syn);
    if (!v)
        return NULL;
    v->len = (uint8_t)len;
    memcpy(v->bytes, rte_pktmbuf_mtod(s->m, uint8_t *) - s->ri->l3_len - mac, mac + s->ri->l3_len);
    memcpy(v->bytes + mac + s->ri->l3_len, s->opts - TCP_HDR_LEN, s->h.hlen);
    return v;
}

/* The child's numbers and options from the request. */
static void child_fill(struct shard *sh, struct tcb *c, const struct synreq *r, const struct tcb *l)
{
    tcp_inherit(sh, c, l);
    c->pcb.local = (struct endpoint){r->laddr, r->lport_be};
    c->pcb.remote = (struct endpoint){r->raddr, r->rport_be};
    c->io->flow = tcp_flow(c);
    c->snd_una = c->snd_nxt = c->write_seq = r->iss + 1;
    c->rcv_nxt = c->rcv_wup = c->copied_seq = r->irs + 1;
    c->rcv_wnd = r->rcv_wnd;
    c->peer_mss = r->peer_mss;
    c->ts_recent = r->ts_recent;
    c->ts_recent_s = tcp_now_ms(sh) / 1000;
    c->ts_off = r->ts_off;
    c->snd_wscale = r->snd_wscale;
    c->rcv_wscale = r->rcv_wscale;
    c->syn_ms = r->sent_ms;
    if (r->retries)
        tcp_note_retrans(sh, c, r->retries, 0);
    c->flags |= TF_PASSIVE | (r->flags & SYNREQ_TS ? TF_TS : 0) | (r->flags & SYNREQ_SACK ? TF_SACK : 0) |
                (r->flags & SYNREQ_WSCALE ? TF_WSCALE : 0) | (r->retries ? TF_SYN_RETRANS : 0) |
                (r->flags & SYNREQ_ECN ? TF_ECN : 0);
}

/* The headers of the SYN go to the child, if it has memory for them. */
static void child_saved_syn(struct shard *sh, struct tcb *c, struct synreq *r)
{
    if (!r->saved || !tcp_ext_get(sh, c))
        return;
    c->ext->saved_syn = r->saved;
    r->saved = NULL;
}

/* A tcb in the request's place. NULL: out of memory, or no way back. */
static struct tcb *make_child(struct shard *sh, struct synreq *r, struct tcb *l)
{
    struct tcb *c = tcb_alloc(sh);

    if (!c)
        return NULL;
    if (!tcp_io_get(sh, c)) {
        tcb_free(sh, c);
        return NULL;
    }
    child_fill(sh, c, r, l);
    c->pcb.filter = l->pcb.filter;
    filter_hold(sh, c->pcb.filter);
    if (flow_resolve(sh, &c->io->flow)) {
        c->pcb.remote.port_be = 0;
        tcb_free(sh, c);
        return NULL;
    }
    tcp_take_metrics(sh, c);
    c->ecn = tcp_cc_table[c->cc]->needs_ecn ? ECN_NEEDED : 0;
    child_saved_syn(sh, c, r);
    if (l->flags & TF_MD5)
        tcp_md5_inherit(sh, c, l);
    port_inherit(sh->st, &c->pcb, &l->pcb);
    tcp_conn_insert(sh, c);
    tcp_rtt_init(sh, c);
    tcp_count(sh, COUNT_TCP_PASSIVE_OPEN);
    return c;
}

/* There is no room to remember the SYN: the answer does. */
static enum count answer_by_cookie(struct shard *sh, struct tcb *l, const struct tcp_seg *s)
{
    struct synreq r = {.flags = SYNREQ_COOKIE};

    request_fill(sh, &r, l, s);
    agree(sh, &r, l, &s->o);
    if ((r.flags & SYNREQ_TS) && tcp_ecn_request(sh, l, s))
        r.flags |= SYNREQ_ECN;
    r.iss = tcp_cookie_make(sh, &s->local, &s->remote, r.irs, &r.peer_mss);
    l->cookie_ms = tcp_now_ms(sh);
    tcp_count(sh, COUNT_TCP_COOKIE_SENT);
    send_syn_ack(sh, &r, l, NULL);
    return TCP_DONE;
}

/* Fast Open: the connection is made now, in SYN_RECEIVED. NULL: it could not be. */
static struct tcb *open_at_once(struct shard *sh, struct synreq *r, struct tcb *l)
{
    struct flow fl = flow_of(r, l);
    struct tcp_opts o;
    struct tcb *c = our_offer(sh, r, l, &fl, &o) ? make_child(sh, r, l) : NULL;

    if (c && !(tcp_ext_get(sh, c) && tcp_tx_get(sh, c))) {
        tcb_free(sh, c);
        c = NULL;
    }
    if (!c) {
        tcp_count(sh, COUNT_TFO_PASSIVE_FAIL);
        return NULL;
    }
    c->tx->iss = r->iss;
    c->tx->irs = r->irs;
    if (r->saved)
        slab_free(&sh->tcp->saved_syn, r->saved);
    slab_free(&sh->tcp->synreq, r);
    return c;
}

/* r, just allocated, becomes the request of SYN s, or its child does. */
static enum count answer(struct shard *sh, struct tcb *l, struct tcp_seg *s, struct synreq *r)
{
    uint8_t cookie[TFO_COOKIE_MAX];
    struct tcp_opts tfo = {.fastopen = cookie, .fastopen_len = -1, .fastopen_exp = s->o.fastopen_exp};
    struct tcb *c = NULL;

    request_fill(sh, r, l, s);
    r->iss = s->isn ? s->isn : tcp_isn(sh, &s->local, &s->remote);
    r->saved = save_syn(sh, l, s);
    agree(sh, r, l, &s->o);
    if (tcp_ecn_request(sh, l, s))
        r->flags |= SYNREQ_ECN;
    if ((s->o.fastopen_len >= 0 || s->len) && tcp_tfo_try(sh, l, s, cookie, &tfo.fastopen_len))
        c = open_at_once(sh, r, l);
    if (c) {
        c->ext->tfo.cookie_len = tfo.fastopen_len;
        memcpy(c->ext->tfo.cookie, cookie, sizeof cookie);
        c->ext->tfo.exp = tfo.fastopen_exp;
        return tcp_tfo_child(sh, l, c, s);
    }
    timer_init(&r->timer, TIMER_SYNREQ);
    timer_arm(&sh->wheel, &r->timer, shard_ms(sh) + TCP_RTO_INIT_MS);
    tcp_hash_insert(&sh->tcp->half, sh->st, node_of(r), synreq_hash(sh->st, node_of(r)), synreq_hash);
    l->synq_len++;
    send_syn_ack(sh, r, l, &tfo);
    return TCP_DONE;
}

enum count tcp_synq_syn(struct shard *sh, struct tcb *l, struct tcp_seg *s)
{
    const struct tunables *set = &sh->st->set;
    bool full = l->synq_len > l->backlog;
    int64_t max = set->tcp_max_syn_backlog;
    struct synreq *r;

    if (full)
        tcp_count(sh, set->tcp_syncookies ? COUNT_TCP_REQQ_COOKIES : COUNT_TCP_REQQ_DROP);
    if (full && !set->tcp_syncookies)
        return COUNT_TCP_LISTEN_DROP;
    if (tcp_accept_full(l)) {
        tcp_count(sh, COUNT_TCP_LISTEN_OVERFLOW);
        return COUNT_TCP_LISTEN_DROP;
    }
    if (full || set->tcp_syncookies == 2)
        return answer_by_cookie(sh, l, s);
    /* Without cookies to fall back to, the last quarter is kept for peers known to be good; Differs: none is
     * remembered as such here. */
    if (!set->tcp_syncookies && max - l->synq_len < max >> 2)
        return COUNT_TCP_LISTEN_DROP;
    r = slab_alloc(&sh->tcp->synreq);
    if (r)
        return answer(sh, l, s, r);
    tcp_count(sh, COUNT_NOMEM_PCB);
    return set->tcp_syncookies ? answer_by_cookie(sh, l, s) : COUNT_TCP_LISTEN_DROP;
}

/* --- time --- */

void tcp_synq_timer(struct shard *sh, struct timer *timer)
{
    struct synreq *r = container_of(timer, struct synreq, timer);
    struct tcb *l = listener_of(r);
    unsigned max, defer;
    bool acked = r->flags & SYNREQ_ACKED;

    if (!l) {
        tcp_synq_free(sh, r);
        return;
    }
    max = l->syn_cnt ? l->syn_cnt : (unsigned)sh->st->set.tcp_synack_retries;
    defer = l->defer_accept;
    tcp_count(sh, COUNT_TCP_TIMEOUT);
    if (r->retries >= max && !(defer && acked && r->retries < defer)) {
        tcp_synq_free(sh, r);
        return;
    }
    /* Who has acknowledged and is waited on for data (TCP_DEFER_ACCEPT) is not asked again, but once at the
     * end. */
    if (!(defer && acked && r->retries + 1u < defer))
        resend_syn_ack(sh, r, l);
    r->retries++;
    timer_arm(&sh->wheel, &r->timer, shard_ms(sh) + tcp_syn_rto_ms(r->retries));
}

/* --- the handshake's end --- */

/* The handshake is through: c is established, and its listener's. What came with the last ACK is its own to
 * look at. */
static enum count child_ready(struct shard *sh, const struct synreq *r, struct tcb *l, struct tcb *c,
                              struct tcp_seg *s)
{
    uint32_t rtt_ms = tcp_now_ms(sh) - r->sent_ms;

    if (!r->retries && !(r->flags & SYNREQ_COOKIE))
        tcp_rtt_sample(sh, c, rtt_ms ? rtt_ms * 1000 : 100);
    tcp_established(sh, c, s);
    tcp_accept_add(sh, l, c);
    c->segs_in = 1; /* the SYN */
    if (s->len || (s->h.flags & TCP_FIN))
        return tcp_segment_arrives(sh, c, s);
    c->segs_in++;
    return TCP_DONE;
}

/* The ACK that ends the handshake. */
static enum count last_ack(struct shard *sh, struct synreq *r, struct tcb *l, struct tcp_seg *s)
{
    struct tcb *c = NULL;

    if (r->retries < l->defer_accept && s->end == r->irs + 1) { /* TCP_DEFER_ACCEPT: data is waited for */
        r->flags |= SYNREQ_ACKED;
        return COUNT_TCP_DEFER_ACCEPT;
    }
    if (tcp_accept_full(l))
        tcp_count(sh, COUNT_TCP_LISTEN_OVERFLOW);
    else
        c = make_child(sh, r, l);
    if (c) {
        enum count v = child_ready(sh, r, l, c, s);

        tcp_synq_free(sh, r);
        return v;
    }
    if (sh->st->set.tcp_abort_on_overflow) {
        tcp_reset_segment(sh, s);
        tcp_count(sh, COUNT_TCP_EMBRYONIC_RST);
        tcp_synq_free(sh, r);
    } else {
        r->flags |= SYNREQ_ACKED; /* the SYN,ACK's retransmission asks the peer again */
    }
    return COUNT_TCP_LISTEN_DROP;
}

/* An echoed timestamp that none of our SYN,ACKs had. */
static bool tsecr_bad(const struct synreq *r, const struct tcp_seg *s)
{
    uint32_t ms = s->o.tsecr - r->ts_off;

    return (r->flags & SYNREQ_TS) && s->o.has_ts && s->o.tsecr &&
           ((int32_t)(ms - r->sent_ms) < -1 || (int32_t)(r->resent_ms - ms) < 0);
}

/* RFC 9293 section 3.10.7.4, first; the right edge itself is good for an empty segment (as Linux). */
static bool in_window(const struct tcp_seg *s, uint32_t left, uint32_t right)
{
    return s->h.seq == left || (seq_gt(s->end, left) && seq_lt(s->h.seq, right)) ||
           (s->h.seq == right && s->end == right);
}

/* Something that doesn't belong to this handshake: where we stand, not too often. */
static enum count out_of_place(struct shard *sh, struct synreq *r, struct tcb *l, const struct tcp_seg *s,
                               enum count why)
{
    if (!(s->h.flags & TCP_RST) && !tcp_oow_limited(sh, s, &r->oow_ms, COUNT_TCP_SKIP_SYN_RECV))
        send_ack(sh, r, l);
    return why;
}

/* Second and fourth: a RST, or a SYN that is not the one we know, ends it. Differs from RFC 5961 section 4.2,
 * as Linux: nothing but a half-open connection is at stake. */
static enum count embryo_ends(struct shard *sh, struct synreq *r, struct tcp_seg *s)
{
    tcp_count(sh, COUNT_TCP_ATTEMPT_FAIL);
    tcp_count(sh, COUNT_TCP_EMBRYONIC_RST);
    if (!(s->h.flags & TCP_RST))
        tcp_reset_segment(sh, s);
    tcp_synq_free(sh, r);
    return TCP_DONE;
}

enum count tcp_synq_input(struct shard *sh, struct synreq *r, struct tcp_seg *s)
{
    struct tcb *l = listener_of(r);
    bool has_ts = (r->flags & SYNREQ_TS) && s->o.has_ts;
    bool paws = has_ts && (int32_t)(s->o.tsval - r->ts_recent) < 0 && !(s->h.flags & TCP_RST);

    if (!l) {
        tcp_synq_free(sh, r);
        return tcp_closed_input(sh, s);
    }
    if (!tcp_filter_ok(sh, l, s))
        return COUNT_SOCK_FILTER;
    if ((l->flags & TF_MD5) || s->o.md5) {
        enum count v = tcp_md5_check(tcp_md5_find(l, &s->remote.addr), s);

        if (v != COUNT_OK)
            return v;
    }
    /* The SYN again: so is the answer (RFC 9293 section 3.10.7.4, first check). */
    if ((s->h.flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN && s->h.seq == r->irs && !paws) {
        if (!tcp_oow_limited(sh, s, &r->oow_ms, COUNT_TCP_SKIP_SYN_RECV)) {
            resend_syn_ack(sh, r, l);
            timer_arm(&sh->wheel, &r->timer, shard_ms(sh) + tcp_syn_rto_ms(r->retries));
        }
        return TCP_DONE;
    }
    if ((s->h.flags & TCP_ACK) && s->h.ack != r->iss + 1) {
        tcp_reset_segment(sh, s);
        return COUNT_TCP_ACK_UNSENT;
    }
    if (paws)
        return out_of_place(sh, r, l, s, COUNT_TCP_PAWS);
    if (tsecr_bad(r, s))
        return out_of_place(sh, r, l, s, COUNT_TCP_TSECR);
    if (!in_window(s, r->irs + 1, r->irs + 1 + r->rcv_wnd))
        return out_of_place(sh, r, l, s, COUNT_TCP_SEQ);
    if ((s->h.flags & TCP_RST) || ((s->h.flags & TCP_SYN) && s->h.seq != r->irs))
        return embryo_ends(sh, r, s);
    if (!(s->h.flags & TCP_ACK))
        return COUNT_TCP_NOACK;
    if (has_ts && seq_leq(s->h.seq, r->irs + 1))
        r->ts_recent = s->o.tsval;
    return last_ack(sh, r, l, s);
}

enum count tcp_synq_cookie(struct shard *sh, struct tcb *l, struct tcp_seg *s)
{
    struct synreq r = {.flags = SYNREQ_COOKIE};
    struct tcp_cookie_opts c = {0};
    struct tcp_opts o;
    struct tcb *child;
    struct flow fl;

    if (!sh->st->set.tcp_syncookies || (s->h.flags & TCP_SYN) || !l->cookie_ms ||
        tcp_now_ms(sh) - l->cookie_ms > TCP_COOKIE_VALID_MS)
        return COUNT_OK;
    r.peer_mss = tcp_cookie_check(sh, &s->local, &s->remote, s->h.seq - 1, s->h.ack - 1);
    if (!r.peer_mss) {
        tcp_count(sh, COUNT_TCP_COOKIE_FAILED);
        return COUNT_OK;
    }
    tcp_count(sh, COUNT_TCP_COOKIE_RECV);
    request_fill(sh, &r, l, s);
    r.irs = s->h.seq - 1;
    r.iss = s->h.ack - 1;
    if (s->o.has_ts) {
        if (!tcp_cookie_ts_read(&sh->st->set, s->o.tsecr - r.ts_off, &c))
            return COUNT_OK;
        r.ts_recent = s->o.tsval;
        r.snd_wscale = c.wscale;
        r.rcv_wscale = c.wscale_ok ? tcp_pick_wscale(sh, l) : 0;
        r.flags |= (uint8_t)(SYNREQ_TS | (c.sack ? SYNREQ_SACK : 0) | (c.wscale_ok ? SYNREQ_WSCALE : 0) |
                             (c.ecn && sh->st->set.tcp_ecn ? SYNREQ_ECN : 0));
    }
    if (tcp_accept_full(l)) {
        tcp_count(sh, COUNT_TCP_LISTEN_OVERFLOW);
        return COUNT_TCP_LISTEN_DROP;
    }
    fl = flow_of(&r, l);
    if (!our_offer(sh, &r, l, &fl, &o))
        return COUNT_TCP_LISTEN_DROP;
    child = make_child(sh, &r, l);
    return child ? child_ready(sh, &r, l, child, s) : COUNT_TCP_LISTEN_DROP;
}
