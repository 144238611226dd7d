/* tcp_mend.c: TCP after a process was killed inside the stack, with the lock (shard.c).
 *
 * Theory of operation. Whoever changes a connection has said so first (shard.work), so that one connection at
 * most may be torn: it is reset, to both ends, because what its user and its peer believe need not fit any
 * more. All others are whole, but for what they share: lists and tables are made so, and counts are taken
 * again. Objects that are not reachable any more because the link to them was about to be made or cut are
 * found by going through the slab: a tcb without socket that is neither an orphan nor in an accept queue is
 * nobody's.
 *
 * What the torn connection's queues hold is given back: a queue's links are written in such an order that it
 * can be read forward at any moment, and buffers are taken off before they are freed.
 */
#include <errno.h>

#include "port.h"
#include "tcp_cb.h"
#include "tcp_close.h"
#include "tcp_listen.h"
#include "tcp_output.h"
#include "tcp_rcvq.h"
#include "tcp_sndq.h"
#include "tcp_synq.h"
#include "tcp_table.h"
#include "tcp_timer.h"
#include "tcp_tw.h"

static bool is_live(const void *obj)
{
    return ((const struct tcb *)obj)->pcb.proto == IPPROTO_TCP;
}

/* The accept queue, read forward. Its children are marked for others to know (pcb.dirty, which is not in use
 * then: they have no user to tell). */
static void mend_accept_queue(struct shard *sh, struct tcb *l, struct list *queued)
{
    struct tcb *t = l->acc_head, *next;

    l->acc_head = l->acc_tail = NULL;
    l->acc_len = 0;
    for (; t && is_live(t) && (t->flags & TF_ACCEPTQ) && !t->pcb.user && list_empty(&t->pcb.dirty);
         t = next) {
        next = ACC_NEXT(t);
        list_add_tail(queued, &t->pcb.dirty);
        tcp_accept_add(sh, l, t);
    }
}

/* Gives up a connection of which nothing is certain but its name and its numbers. */
static void reset(struct shard *sh, struct tcb *t)
{
    tcp_abort_quietly(sh, t);
    tcp_timer_stop(sh, t);
    tcp_conn_remove(sh, t);
    tcp_rcvq_free(sh, t);
    t->pcb.soft_error = 0;
    tcp_end(sh, t, ECONNRESET);
}

/* Nobody knows of t: its user was about to, or did no longer. */
static void forget(struct shard *sh, struct tcb *t)
{
    if (t->state == TCPS_LISTEN)
        tcp_listen_stop(sh, t);
    else
        tcp_abort_quietly(sh, t);
    tcb_free(sh, t);
}

/* What hangs on a list of the shard is hung there again, or not at all. */
static void mend_links(struct shard *sh, struct tcb *t)
{
    list_init(&t->pcb.dirty);
    if (t->io)
        list_init(&t->io->acks);
    t->pcb.events = 0;
    if (t->state == TCPS_LISTEN)
        t->synq_len = 0;
    if (t->pcb.user)
        pcb_event(sh, &t->pcb, EV_IN | EV_OUT);
}

/* Was it being changed when its shard's owner died? */
static bool was_at_work(const struct stack *st, const struct pcb *pcb)
{
    for (uint32_t i = 0; i < st->nshard; i++)
        if (st->shard[i].work == pcb)
            return true;
    return false;
}

/* The second look: who belongs to nobody, what is to be sent. */
static void settle(struct shard *sh, struct tcb *t)
{
    bool queued = !t->pcb.user && !list_empty(&t->pcb.dirty);

    if (queued)
        list_del(&t->pcb.dirty);
    if (t->flags & TF_CLOSED) {
        sh->tcp->norphan++;
    } else if (!t->pcb.user && !queued) {
        forget(sh, t);
        return;
    }
    if (t->state != TCPS_LISTEN && t->state != TCPS_CLOSE) {
        if (tcp_lookup(sh, &t->pcb.local, &t->pcb.remote) == NULL)
            tcp_conn_insert(sh, t);
        if (was_at_work(sh->st, &t->pcb)) {
            reset(sh, t);
            return;
        }
    }
    if (t->flags & (TF_OUTPUT | TF_ACK_NOW))
        tcp_at_burst_end(sh, t, 0);
}

void tcp_mend(struct shard *sh)
{
    struct tcp_table *tt = sh->tcp;
    struct slab *s = &tt->tcb;
    struct list queued;

    list_init(&sh->acks);
    for (unsigned i = 0; i < TCP_LISTEN_BUCKETS; i++)
        list_repair(&tt->listen[i]);
    slab_mend(s, is_live);
    tcp_conn_mend(sh);
    for (uint32_t i = 0; i < s->fresh; i++)
        if (is_live(slab_at(s, i)))
            mend_links(sh, slab_at(s, i));
    tcp_tw_mend(sh);
    tcp_synq_mend(sh);
    list_init(&queued);
    for (uint32_t i = 0; i < s->fresh; i++) {
        struct tcb *t = slab_at(s, i);

        if (is_live(t) && t->state == TCPS_LISTEN)
            mend_accept_queue(sh, t, &queued);
    }
    tt->norphan = 0;
    for (uint32_t i = 0; i < s->fresh; i++)
        if (is_live(slab_at(s, i)))
            settle(sh, slab_at(s, i));
}
