/* tcp_inspect.c: TCP's share of inspect.h: listeners, half-open connections, connections, TIME_WAIT entries,
 * with the numbers that Linux's tcp_diag.c and tcp_ipv4.c give. */
#include <errno.h>
#include <linux/inet_diag.h>
#include <netinet/in.h>
#include <string.h>

#include "inspect.h"
#include "shard.h"
#include "tcp_cb.h"
#include "tcp_cc.h"
#include "tcp_close.h"
#include "tcp_ext.h"
#include "tcp_output.h"
#include "tcp_rtt.h"
#include "tcp_synq.h"
#include "tcp_table.h"
#include "tcp_timer.h"
#include "tcp_tw.h"

/* Milliseconds until at, a time of the millisecond clock. */
static uint32_t until(const struct shard *sh, uint32_t at_ms)
{
    int32_t left = (int32_t)(at_ms - tcp_now_ms(sh));

    return left > 0 ? (uint32_t)left : 0;
}

static void fill_timer(const struct shard *sh, const struct tcb *t, struct inspect_view *v)
{
    bool probing = t->flags & TF_PROBING;

    v->retransmits = probing ? 0 : tcp_retries(t);
    v->probes = probing ? tcp_retries(t) : t->keep_probes;
    if (tcp_deadline_isset(t, DL_RTX)) {
        v->timer = probing ? ITIMER_PROBE : ITIMER_RTX;
        v->expires_ms = until(sh, tcp_deadline_ms(t, DL_RTX));
    } else if (tcp_deadline_isset(t, DL_KEEP)) {
        v->timer = ITIMER_KEEP;
        v->expires_ms = until(sh, tcp_deadline_ms(t, DL_KEEP));
    }
}

/* As Linux, which counts SYN and FIN with the bytes. */
static void fill_queues(const struct tcb *t, struct inspect_view *v)
{
    int32_t unread = (int32_t)(t->rcv_nxt - t->copied_seq);

    if (t->state == TCPS_LISTEN) {
        v->rqueue = t->acc_len;
        v->wqueue = t->backlog;
        return;
    }
    v->rqueue = unread > 0 && !state_in(t, TCPF(SYN_SENT)) ? (uint32_t)unread : 0;
    v->wqueue = state_in(t, TCPF(SYN_SENT) | TCPF(SYN_RECEIVED)) ? t->snd_nxt - t->snd_una
                                                                 : (uint32_t)tcp_send_unacked(t);
}

static void fill_window(const struct shard *sh, const struct tcb *t, struct inspect_view *v)
{
    if (t->state == TCPS_LISTEN) {
        v->rto_ms = TCP_RTO_INIT_MS;
        v->cwnd = (uint32_t)sh->st->set.tcp_init_cwnd;
        v->ssthresh = t->ext ? t->ext->tfo.max : 0;
        return;
    }
    v->rto_ms = t->rto_ms ? tcp_rto_backed_off(t) : TCP_RTO_INIT_MS;
    v->ato_ms = t->data_segs_in ? (uint32_t)sh->st->set.tcp_delack_min : 0;
    v->quick = t->data_segs_in ? t->quick : 0; /* Linux begins to count with the first data */
    v->pingpong = !!(t->flags & TF_PINGPONG);
    v->cwnd = !t->mss ? (uint32_t)sh->st->set.tcp_init_cwnd : t->cwnd / t->mss ? t->cwnd / t->mss : 1;
    v->ssthresh = t->ssthresh == UINT32_MAX || !t->mss ? -1 : (int32_t)(t->ssthresh / t->mss);
}

static void fill_cong(const struct tcb *t, struct inspect_view *v)
{
    const struct tcp_cc *cc = tcp_cc_table[t->cc];
    union tcp_cc_info info = {0};

    strncpy(v->cong, cc->name, sizeof v->cong - 1);
    if (state_in(t, TCPF(CLOSE) | TCPF(LISTEN) | TCPF(SYN_SENT)) || !cc->get_info)
        return;
    v->cc_len = cc->get_info(t, &info);
    if (v->cc_len > sizeof v->cc_info)
        v->cc_len = sizeof v->cc_info;
    memcpy(v->cc_info, &info, v->cc_len);
    v->cc_attr = strcmp(cc->name, "bbr") == 0 ? INET_DIAG_BBRINFO : INET_DIAG_DCTCPINFO;
}

static void fill_mem(const struct tcb *t, struct inspect_view *v)
{
    v->mem[1] = t->rcvbuf;
    v->mem[3] = t->sndbuf;
    if (t->state == TCPS_LISTEN)
        return;
    v->mem[0] = tcp_rcv_mem(t);
    v->mem[2] = v->mem[5] = t->tx ? t->tx->snd_mem : 0;
}

static void fill_tcb(const struct shard *sh, const struct tcb *t, uint32_t want, struct inspect_view *v)
{
    v->kind = INSPECT_FULL;
    v->place = (uint64_t)(uintptr_t)t;
    v->refs = 1;
    v->shutdown = t->shut;
    v->tos = t->pcb.tos;
    v->tclass = t->pcb.tclass;
    fill_timer(sh, t, v);
    v->refs += v->timer == ITIMER_RTX || v->timer == ITIMER_PROBE;
    fill_queues(t, v);
    fill_window(sh, t, v);
    if (want & INSPECT_MEM)
        fill_mem(t, v);
    if (want & INSPECT_CONG)
        fill_cong(t, v);
    if (want & INSPECT_INFO)
        tcp_get_info_full(sh, t, &v->info);
}

/* The view of a tcb, if the query wants it. */
static bool view_tcb(const struct shard *sh, const struct inspect_query *q, const struct tcb *t,
                     struct inspect_view *v)
{
    if (!(q->states & (1u << t->state)) || t->state == TCPS_CLOSE)
        return false;
    v->state = t->state;
    if (!inspect_names(sh->st, q, &t->pcb, v))
        return false;
    fill_tcb(sh, t, q->want, v);
    return true;
}

static unsigned listeners(const struct shard *sh, struct inspect_at *at, const struct inspect_query *q,
                          struct inspect_view *v, const struct pcb **pcb, unsigned max, bool *more)
{
    unsigned n = 0;

    for (; at->bucket < TCP_LISTEN_BUCKETS; at->bucket++, at->skip = 0) {
        uint32_t i = 0;

        list_for_each(node, &sh->tcp->listen[at->bucket])
        {
            const struct tcb *t = (const struct tcb *)container_of(node, struct pcb, hash);

            if (i++ < at->skip)
                continue;
            if (n == max)
                return n;
            at->skip = i;
            if (!view_tcb(sh, q, t, &v[n]))
                continue;
            pcb[n++] = &t->pcb;
        }
    }
    *more = false;
    return n;
}

static unsigned connections(const struct shard *sh, struct inspect_at *at, const struct inspect_query *q,
                            struct inspect_view *v, const struct pcb **pcb, unsigned max, bool *more)
{
    const struct slab *s = &sh->tcp->tcb;
    uint32_t looks = inspect_looks(q);
    uint32_t end = s->fresh - at->bucket > looks ? at->bucket + looks : s->fresh;
    unsigned n = 0;

    for (; at->bucket < end && n < max; at->bucket++) {
        const struct tcb *t = slab_at(s, at->bucket);

        if (slab_is_hole(s, at->bucket))
            continue;
        if (t->pcb.proto != IPPROTO_TCP || t->state == TCPS_LISTEN || !view_tcb(sh, q, t, &v[n]))
            continue;
        pcb[n++] = &t->pcb;
    }
    *more = at->bucket < s->fresh;
    return n;
}

static bool view_half(const struct shard *sh, const struct inspect_query *q, const struct synreq *r,
                      struct inspect_view *v)
{
    uint64_t now_ms = shard_ms(sh);

    if (r->listener->pcb.proto != IPPROTO_TCP || r->listener->state != TCPS_LISTEN ||
        r->listener->listen_id != r->listen_id)
        return false; /* its listener is gone, which it does not know yet */
    v->state = TCPS_SYN_RECEIVED;
    v->kind = INSPECT_IS_HALF;
    v->proto = IPPROTO_TCP;
    v->family = r->listener->pcb.flags & PCB_V6 ? AF_INET6 : AF_INET;
    v->laddr = r->laddr;
    v->raddr = r->raddr;
    v->lport_be = r->lport_be;
    v->rport_be = r->rport_be;
    v->timer = ITIMER_RTX;
    v->retransmits = r->retries;
    v->expires_ms =
        r->timer.armed && r->timer.expires_ms > now_ms ? (uint32_t)(r->timer.expires_ms - now_ms) : 0;
    v->place = (uint64_t)(uintptr_t)r;
    return inspect_asked(sh->st, q, v);
}

static bool view_tw(const struct shard *sh, const struct inspect_query *q, const struct tw *w,
                    struct inspect_view *v)
{
    v->state = w->flags & TW_FIN_WAIT_2 ? TCPS_FIN_WAIT_2 : TCPS_TIME_WAIT;
    if (!(q->states & (1u << v->state)))
        return false;
    v->kind = INSPECT_IS_TW;
    v->proto = IPPROTO_TCP;
    v->family = w->v6 ? AF_INET6 : AF_INET;
    v->laddr = w->laddr;
    v->raddr = w->raddr;
    v->lport_be = w->lport_be;
    v->rport_be = w->rport_be;
    v->timer = ITIMER_TW;
    v->expires_ms = until(sh, w->expires_ms);
    v->refs = 3; /* as Linux: two tables and a timer */
    v->place = (uint64_t)(uintptr_t)w;
    return inspect_asked(sh->st, q, v);
}

/* Half-open connections and TIME_WAIT entries, by chain. */
static unsigned chains(const struct shard *sh, struct inspect_at *at, const struct inspect_query *q,
                       struct inspect_view *v, const struct pcb **pcb, unsigned max, bool *more)
{
    bool half = at->table == INSPECT_HALF;
    const struct tcp_hash *h = half ? &sh->tcp->half : &sh->tcp->timewait;
    uint32_t buckets = h->mask + 1 + h->split, seen = 0, looks = inspect_looks(q);
    unsigned n = 0;

    for (; at->bucket < buckets && seen < looks; at->bucket++, at->skip = 0) {
        uint32_t i = 0;

        seen++;
        for (const struct list *e = h->bucket[at->bucket]; e; e = e->next, i++) {
            if (i < at->skip)
                continue;
            if (n == max || seen >= looks)
                return n;
            seen++;
            at->skip = i + 1;
            v[n] = (struct inspect_view){0};
            if (half ? view_half(sh, q, (const void *)e, &v[n]) : view_tw(sh, q, (const void *)e, &v[n]))
                pcb[n++] = NULL;
        }
    }
    *more = at->bucket < buckets;
    return n;
}

unsigned tcp_inspect(const struct shard *sh, struct inspect_at *at, const struct inspect_query *q,
                     struct inspect_view *v, const struct pcb **pcb, unsigned max, bool *more)
{
    uint32_t in_chains = at->table == INSPECT_HALF ? TCPF(SYN_RECEIVED) : TCPF(TIME_WAIT) | TCPF(FIN_WAIT_2);

    *more = true;
    if (at->table == INSPECT_LISTEN && (q->states & TCPF(LISTEN)) && !q->rport_be)
        return listeners(sh, at, q, v, pcb, max, more);
    if (at->table == INSPECT_CONN && (q->states & ~(TCPF(LISTEN) | TCPF(TIME_WAIT))))
        return connections(sh, at, q, v, pcb, max, more);
    if ((at->table == INSPECT_HALF || at->table == INSPECT_TIMEWAIT) && (q->states & in_chains))
        return chains(sh, at, q, v, pcb, max, more);
    *more = false;
    return 0;
}

bool tcp_inspect_find(const struct shard *csh, const struct inspect_query *q, const struct endpoint *local,
                      const struct endpoint *remote, struct inspect_view *v, const struct pcb **pcb)
{
    struct shard *sh = (struct shard *)csh; /* look-ups move what was found to the front, some of them */
    struct tcb *t = tcp_lookup(sh, local, remote);
    struct tw *w;
    struct synreq *r;

    *v = (struct inspect_view){0};
    *pcb = NULL;
    if (t) {
        *pcb = &t->pcb;
        return view_tcb(sh, q, t, v);
    }
    w = tcp_tw_lookup(sh, local, remote);
    if (w)
        return view_tw(sh, q, w, v);
    r = tcp_synq_lookup(sh, local, remote);
    return r && view_half(sh, q, r, v);
}

static void end_connection(struct shard *sh, struct tcb *t)
{
    bool listener = t->state == TCPS_LISTEN;

    shard_recall(sh->st, &t->pcb);
    sh->work = &t->pcb;
    list_step();
    tcp_abort(sh, t);
    if (!listener)
        return;
    t->pcb.so_error = ECONNABORTED; /* who waits for a connection is told */
    pcb_event(sh, &t->pcb, EV_ERR | EV_IN);
}

void tcp_inspect_destroy(struct shard *sh, const struct inspect_view *v)
{
    void *obj = (void *)(uintptr_t)v->place;

    if (v->kind == INSPECT_IS_TW) {
        tcp_tw_free(sh, obj);
    } else if (v->kind == INSPECT_IS_HALF) {
        tcp_synq_free(sh, obj);
    } else {
        end_connection(sh, obj);
    }
}

void tcp_inspect_count(const struct shard *sh, struct inspect_tally *t)
{
    const struct slab *s = &sh->tcp->tcb;
    uint64_t bytes = 0;

    t->tcp_orphan = sh->tcp->norphan;
    t->tcp_tw = sh->tcp->tw.in_use;
    t->tcp_alloc = s->in_use;
    for (uint32_t i = 0; i < s->fresh; i++) {
        const struct tcb *c = slab_at(s, i);
        const struct tcp_io *io;
        const struct tcp_tx *tx;

        if (slab_is_hole(s, i) || c->pcb.proto != IPPROTO_TCP || c->state == TCPS_CLOSE)
            continue;
        io = __atomic_load_n(&c->io, __ATOMIC_RELAXED);
        tx = __atomic_load_n(&c->tx, __ATOMIC_RELAXED);
        t->tcp_inuse[!!(c->pcb.flags & PCB_V6)]++;
        t->tcp_established += state_in(c, TCPF(ESTABLISHED) | TCPF(CLOSE_WAIT));
        if (c->state != TCPS_LISTEN)
            bytes += (io ? io->rcv_mem : 0) + (tx ? tx->snd_mem : 0);
    }
    t->tcp_pages = (uint32_t)(bytes / 4096);
}
