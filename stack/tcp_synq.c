/* tcp_synq.c: half-open connections, and how one becomes a tcb in its listener's accept queue. See
 * tcp_synq.h. */
#include "tcp_synq.h"

#include "filter.h"
#include "hash.h"
#include "ip.h"
#include "port.h"
#include "tcp_cc.h"
#include "tcp_close.h"
#include "tcp_ecn.h"
#include "tcp_isn.h"
#include "tcp_listen.h"
#include "tcp_output.h"
#include "tcp_rcvq.h"
#include "tcp_rst.h"
#include "tcp_rtt.h"
#include "tcp_table.h"

static uint32_t synreq_hash(const struct stack *st, const struct list *obj)
{
    const struct synreq *r = container_of(obj, struct synreq, hash);
    struct endpoint l = {r->laddr, r->lport_be}, m = {r->raddr, r->rport_be};

    return hash_flow(st->secret, &l, &m);
}

struct synreq *tcp_synq_lookup(struct shard *sh, const struct endpoint *local, const struct endpoint *remote)
{
    struct list *n;

    if (sh->tcp->half.count == 0)
        return NULL;
    for (n = tcp_hash_chain(&sh->tcp->half, hash_flow(sh->st->secret, local, remote)); n; n = n->next) {
        struct synreq *r = container_of(n, struct synreq, hash);

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

    if (l)
        l->synq_len--;
    timer_cancel(&sh->wheel, &r->timer);
    tcp_hash_remove(&sh->tcp->half, &r->hash, synreq_hash(sh->st, &r->hash));
    slab_free(&sh->tcp->synreq, r);
}

static struct flow flow_of(const struct synreq *r, const struct tcb *l)
{
    return (struct flow){.src = r->laddr,
                         .dst = r->raddr,
                         .proto = IPPROTO_TCP,
                         .ttl = l->pcb.ttl,
                         .tos = l->pcb.tos,
                         .df = 1,
                         .bound_if = l->pcb.ifindex};
}

static void send_syn_ack(struct shard *sh, struct synreq *r, struct tcb *l)
{
    struct flow fl = flow_of(r, l);
    struct tcp_hdr_in h = {.sport_be = r->lport_be,
                           .dport_be = r->rport_be,
                           .seq = r->iss,
                           .ack = r->irs + 1,
                           .flags = TCP_SYN | TCP_ACK};
    struct tcp_opts o;

    if (r->flags & SYNREQ_ECN)
        h.flags |= TCP_ECE;
    if (tcp_cc_table[l->cc]->needs_ecn)
        fl.tos |= ECT0;
    if (flow_resolve(sh, &fl))
        return;
    tcp_syn_opts(sh, &fl, l->user_mss, &o);
    o.has_ts = (r->flags & SYNREQ_TS) != 0;
    o.tsval = (uint32_t)shard_ms(sh) + r->ts_off;
    o.tsecr = r->ts_recent;
    o.sack_permitted = (r->flags & SYNREQ_SACK) != 0;
    o.has_wscale = (r->flags & SYNREQ_WSCALE) != 0;
    r->rcv_wnd = h.window = tcp_first_window(l, o.mss - (o.has_ts ? TCP_TS_OPT_LEN : 0));
    o.wscale = r->rcv_wscale;
    tcp_bare_send(sh, &fl, &h, &o);
}

/* Options are agreed on when both the SYN and we offer them. */
static void agree(struct shard *sh, struct synreq *r, const struct tcb *l, const struct tcp_opts *o)
{
    const struct tunables *set = &sh->st->set;

    r->peer_mss = o->mss ? o->mss : TCP_MSS_DEFAULT;
    if (o->has_ts && set->tcp_timestamps) {
        r->flags |= SYNREQ_TS;
        r->ts_recent = o->tsval;
    }
    if (o->sack_permitted && set->tcp_sack)
        r->flags |= SYNREQ_SACK;
    if (o->has_wscale && set->tcp_window_scaling) {
        r->flags |= SYNREQ_WSCALE;
        r->snd_wscale = o->wscale;
        r->rcv_wscale = tcp_pick_wscale(sh, l->rcvbuf);
    }
}

enum count tcp_synq_add(struct shard *sh, struct tcb *l, const struct tcp_seg *s)
{
    struct synreq *r = slab_alloc(&sh->tcp->synreq);

    if (!r)
        return COUNT_NOMEM_PCB;
    r->listener = l;
    r->listen_id = l->listen_id;
    r->laddr = s->local.addr;
    r->raddr = s->remote.addr;
    r->lport_be = s->local.port_be;
    r->rport_be = s->remote.port_be;
    r->irs = s->h.seq;
    r->iss = tcp_isn(sh, &s->local, &s->remote);
    r->ts_off = tcp_ts_offset(sh, &r->laddr, &r->raddr);
    r->window = s->h.window;
    r->sent_ms = tcp_now_ms(sh);
    agree(sh, r, l, &s->o);
    if (tcp_ecn_request(sh, l, s))
        r->flags |= SYNREQ_ECN;
    timer_init(&r->timer, TIMER_SYNREQ);
    timer_arm(&sh->wheel, &r->timer, shard_ms(sh) + TCP_RTO_INIT_MS);
    tcp_hash_insert(&sh->tcp->half, sh->st, &r->hash, synreq_hash(sh->st, &r->hash), synreq_hash);
    l->synq_len++;
    send_syn_ack(sh, r, l);
    return COUNT_OK;
}

void tcp_synq_timer(struct shard *sh, struct timer *timer)
{
    struct synreq *r = container_of(timer, struct synreq, timer);
    struct tcb *l = listener_of(r);
    unsigned max = l && l->syn_cnt ? l->syn_cnt : (unsigned)sh->st->set.tcp_synack_retries;

    if (!l || r->retries >= max) {
        tcp_synq_free(sh, r);
        return;
    }
    r->retries++;
    timer_arm(&sh->wheel, &r->timer,
              shard_ms(sh) + ((uint64_t)TCP_RTO_INIT_MS << (r->retries < 7 ? r->retries : 7)));
    tcp_count(sh, COUNT_TCP_RETRANS);
    tcp_count(sh, COUNT_TCP_TIMEOUT);
    send_syn_ack(sh, r, l);
}

/* The child's numbers and options from the request. */
static void child_fill(struct shard *sh, struct tcb *c, const struct synreq *r, const struct tcb *l)
{
    tcp_inherit(sh, c, l);
    c->pcb.local = (struct endpoint){r->laddr, r->lport_be};
    c->pcb.remote = (struct endpoint){r->raddr, r->rport_be};
    c->flow = flow_of(r, l);
    c->iss = r->iss;
    c->irs = r->irs;
    c->snd_una = c->snd_nxt = c->write_seq = r->iss + 1;
    c->snd_sml = c->snd_una;
    c->rcv_nxt = c->rcv_wup = c->copied_seq = r->irs + 1;
    c->rcv_wnd = r->rcv_wnd;
    c->peer_mss = r->peer_mss;
    c->ts_recent = r->ts_recent;
    c->ts_recent_s = tcp_now_ms(sh) / 1000;
    c->ts_off = r->ts_off;
    c->snd_wscale = r->snd_wscale;
    c->rcv_wscale = r->rcv_wscale;
    c->flags |= TF_PASSIVE | (r->flags & SYNREQ_TS ? TF_TS : 0) | (r->flags & SYNREQ_SACK ? TF_SACK : 0) |
                (r->flags & SYNREQ_WSCALE ? TF_WSCALE : 0) | (r->retries ? TF_SYN_RETRANS : 0) |
                (r->flags & SYNREQ_ECN ? TF_ECN : 0);
    c->ecn = tcp_cc_table[c->cc]->needs_ecn ? ECN_NEEDED : 0;
}

/* The handshake is through: a tcb takes the request's place. */
static struct tcb *make_child(struct shard *sh, struct synreq *r, struct tcb *l, const struct tcp_seg *s)
{
    struct tcb *c = tcb_alloc(sh);
    uint32_t rtt_ms = tcp_now_ms(sh) - r->sent_ms;

    if (!c)
        return NULL;
    child_fill(sh, c, r, l);
    c->pcb.filter = l->pcb.filter;
    filter_hold(sh, c->pcb.filter);
    if (flow_resolve(sh, &c->flow)) {
        c->pcb.remote.port_be = 0;
        tcb_free(sh, c);
        return NULL;
    }
    port_inherit(sh->st, &c->pcb, &l->pcb);
    tcp_conn_insert(sh, c);
    tcp_rtt_init(sh, c);
    if (!r->retries)
        tcp_rtt_sample(sh, c, rtt_ms ? rtt_ms * 1000 : 100);
    tcp_established(sh, c, s);
    tcp_count(sh, COUNT_TCP_PASSIVE_OPEN);
    tcp_synq_free(sh, r);
    return c;
}

/* The ACK that ends the handshake. */
static enum count last_ack(struct shard *sh, struct synreq *r, struct tcb *l, struct tcp_seg *s)
{
    struct tcb *c;

    if (tcp_accept_full(l)) {
        tcp_count(sh, COUNT_TCP_LISTEN_OVERFLOW);
        if (sh->st->set.tcp_abort_on_overflow) {
            tcp_reset_segment(sh, s);
            tcp_synq_free(sh, r);
        }
        r->flags |= SYNREQ_ACKED; /* as Linux: the SYN,ACK's retransmission asks the peer again */
        return COUNT_TCP_LISTEN_DROP;
    }
    c = make_child(sh, r, l, s);
    if (!c)
        return COUNT_TCP_LISTEN_DROP;
    tcp_accept_add(sh, l, c);
    return s->len || (s->h.flags & TCP_FIN) ? tcp_segment_arrives(sh, c, s) : TCP_DONE;
}

enum count tcp_synq_input(struct shard *sh, struct synreq *r, struct tcp_seg *s)
{
    struct tcb *l = listener_of(r);
    uint32_t wnd;

    if (!l) {
        tcp_synq_free(sh, r);
        return tcp_closed_input(sh, s);
    }
    if (!tcp_filter_ok(sh, l, s))
        return COUNT_SOCK_FILTER;
    /* The SYN again: so is the answer (RFC 9293 section 3.10.7.4, first check). */
    if ((s->h.flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN && s->h.seq == r->irs) {
        send_syn_ack(sh, r, l);
        return TCP_DONE;
    }
    if ((r->flags & SYNREQ_TS) && s->o.has_ts && !(s->h.flags & TCP_RST) &&
        (int32_t)(s->o.tsval - r->ts_recent) < 0) {
        send_syn_ack(sh, r, l);
        return COUNT_TCP_PAWS;
    }
    wnd = r->rcv_wnd;
    if (seq_lt(s->h.seq, r->irs + 1) || seq_gt(s->h.seq, r->irs + 1 + wnd)) {
        if (!(s->h.flags & TCP_RST))
            send_syn_ack(sh, r, l);
        return COUNT_TCP_SEQ;
    }
    if (s->h.flags & (TCP_RST | TCP_SYN)) {
        if (s->h.flags & TCP_SYN) /* RFC 5961 section 4.2: answered, not believed */
            send_syn_ack(sh, r, l);
        else if (s->h.seq == r->irs + 1)
            tcp_synq_free(sh, r);
        tcp_count(sh, COUNT_TCP_ATTEMPT_FAIL);
        return TCP_DONE;
    }
    if (!(s->h.flags & TCP_ACK))
        return COUNT_TCP_NOACK;
    if (s->h.ack != r->iss + 1) {
        tcp_reset_segment(sh, s);
        return COUNT_TCP_ACK_UNSENT;
    }
    if ((r->flags & SYNREQ_TS) && s->o.has_ts && s->h.seq == r->irs + 1)
        r->ts_recent = s->o.tsval;
    return last_ack(sh, r, l, s);
}
