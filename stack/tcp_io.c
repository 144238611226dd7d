/* tcp_io.c: see tcp_io.h. */
#include "tcp_io.h"

#include "tcp_ext.h"
#include "tcp_timer.h"

struct flow tcp_flow(const struct tcb *t)
{
    const struct pcb *p = &t->pcb;

    return (struct flow){.src = ipaddr_is_any(&p->local.addr) ? IPADDR_ANY : p->local.addr,
                         .dst = p->remote.addr,
                         .proto = IPPROTO_TCP,
                         .ttl = pcb_ttl(p, &p->remote.addr),
                         .tos = pcb_tos(p, &p->remote.addr),
                         .df = 1,
                         .bound_if = p->ifindex,
                         .mark = t->ext ? t->ext->mark : 0,
                         .label_be = t->ext ? t->ext->label_be : 0};
}

static bool is_open(const struct tcb *t)
{
    return state_in(t, ~(TCPF(CLOSE) | TCPF(SYN_SENT) | TCPF(SYN_RECEIVED)));
}

struct tcp_io *tcp_io_new(struct shard *sh, struct tcb *t)
{
    struct tcp_io *x = slab_alloc(&sh->tcp->io);

    if (!x) {
        tcp_count(sh, COUNT_NOMEM_PCB);
        return NULL;
    }
    list_init(&x->acks);
    x->tcb = slab_index(&sh->tcp->tcb, t);
    x->drs_us = tcp_now_us(sh);
    x->drs_seq = t->copied_seq;
    if (is_open(t)) {
        x->flow = tcp_flow(t);
        if (flow_resolve(sh, &x->flow)) /* what is sent says so; until then as it was */
            x->flow.mtu = tcp_mtu(t);
    }
    list_step();
    t->io = x;
    if (is_open(t))
        tcp_deadline_set(sh, t, DL_IDLE, TX_IDLE_MS);
    return x;
}

/* Does anything wait in it? */
static bool is_busy(const struct tcb *t)
{
    const struct tcp_io *x = t->io;

    return t->tx || x->rcv_head || x->ofo || !list_empty(&x->acks) || x->deadline_ms[DL_DELACK - DL_IO] ||
           (t->flags & (TF_ACK_NOW | TF_ACK_DELAYED | TF_OUTPUT));
}

void tcp_io_idle(struct shard *sh, struct tcb *t)
{
    uint32_t now_ms = tcp_now_ms(sh), wait_ms = TX_IDLE_MS, idle_ms;

    if (t->tx)
        wait_ms = tcp_tx_idle(sh, t);
    idle_ms = RTE_MIN(now_ms - t->last_rcv_ms, now_ms - t->last_ack_ms);
    if (!is_busy(t) && idle_ms >= TX_IDLE_MS)
        tcp_io_free(sh, t);
    else if (wait_ms)
        tcp_deadline_set(sh, t, DL_IDLE, wait_ms);
}

void tcp_io_free(struct shard *sh, struct tcb *t)
{
    struct tcp_io *x = t->io;

    if (!x)
        return;
    list_del(&x->acks);
    t->io = NULL;
    list_step(); /* as tcp_tx_free */
    slab_free(&sh->tcp->io, x);
}
