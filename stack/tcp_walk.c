/* tcp_walk.c: every connection, listener, half-open connection and TIME_WAIT entry, for ss and the keeper. */
#include "tcp_cb.h"
#include "tcp_synq.h"
#include "tcp_tw.h"

typedef void walk_fn(void *arg, const struct tcp_view *v);

static void view_tcb(const struct tcb *t, walk_fn *fn, void *arg)
{
    struct tcp_view v = {.local = t->pcb.local, .remote = t->pcb.remote, .state = t->state, .pcb = &t->pcb};

    if (t->state == TCPS_LISTEN) { /* as ss: the accept queue's length and its bound */
        v.recvq = t->acc_len;
        v.sendq = t->backlog;
    } else {
        v.recvq = (uint32_t)tcp_recv_avail(t);
        v.sendq = (uint32_t)tcp_send_unacked(t);
    }
    fn(arg, &v);
}

static void view_half(const struct synreq *r, walk_fn *fn, void *arg)
{
    struct tcp_view v = {
        .local = {r->laddr, r->lport_be}, .remote = {r->raddr, r->rport_be}, .state = TCPS_SYN_RECEIVED};

    fn(arg, &v);
}

static void view_tw(const struct tw *w, walk_fn *fn, void *arg)
{
    struct tcp_view v = {
        .local = {w->laddr, w->lport_be}, .remote = {w->raddr, w->rport_be}, .state = TCPS_TIME_WAIT};

    if (w->flags & TW_FIN_WAIT_2)
        v.state = TCPS_FIN_WAIT_2;

    fn(arg, &v);
}

/* Buckets in use of a growing table. */
static uint32_t buckets(const struct tcp_hash *h)
{
    return h->mask + 1 + h->split;
}

static void walk_connections(const struct tcp_hash *h, walk_fn *fn, void *arg)
{
    for (uint32_t i = 0; i < buckets(h); i++)
        for (struct list *n = h->bucket[i]; n; n = n->next)
            view_tcb((const struct tcb *)container_of(n, struct pcb, hash), fn, arg);
}

void tcp_walk(const struct shard *sh, walk_fn *fn, void *arg)
{
    struct tcp_table *tt = sh->tcp;

    for (unsigned i = 0; i < TCP_LISTEN_BUCKETS; i++)
        list_for_each(n, &tt->listen[i])
            view_tcb((const struct tcb *)container_of(n, struct pcb, hash), fn, arg);
    for (uint32_t i = 0; i < buckets(&tt->half); i++)
        for (struct list *n = tt->half.bucket[i]; n; n = n->next)
            view_half((const struct synreq *)(const void *)n, fn, arg);
    for (uint32_t k = 0; k < sh->st->nshard; k++)
        walk_connections(&sh->st->shard[k].tcp->conn, fn, arg);
    for (uint32_t i = 0; i < buckets(&tt->timewait); i++)
        for (struct list *n = tt->timewait.bucket[i]; n; n = n->next)
            view_tw((const struct tw *)(const void *)n, fn, arg);
}
