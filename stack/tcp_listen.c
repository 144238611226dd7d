/* tcp_listen.c: LISTEN (RFC 9293 section 3.10.7.2), the accept queue, listen and accept. */
#include "tcp_listen.h"

#include <errno.h>

#include "port.h"
#include "tcp_close.h"
#include "tcp_ext.h"
#include "tcp_input.h"
#include "tcp_md5.h"
#include "tcp_output.h"
#include "tcp_rst.h"
#include "tcp_synq.h"
#include "tcp_table.h"
#include "tcp_tfo.h"

enum count tcp_listen_input(struct shard *sh, struct tcb *l, struct tcp_seg *s)
{
    enum count v = COUNT_OK;

    if (tcp_from_too_far(l, s->ri))
        return COUNT_TCP_MINTTL;
    if ((l->flags & TF_MD5) || s->o.md5)
        v = tcp_md5_check(tcp_md5_find(l, &s->remote.addr), s);
    if (v != COUNT_OK)
        return v;
    if (s->h.flags & TCP_RST) /* first */
        return TCP_DONE;
    if (s->h.flags & TCP_ACK) { /* second; unless it brings a SYN cookie back */
        v = tcp_synq_cookie(sh, l, s);
        if (v == COUNT_OK)
            tcp_reset_segment(sh, s);
        return v == COUNT_OK ? TCP_DONE : v;
    }
    if (!(s->h.flags & TCP_SYN)) /* fourth */
        return COUNT_TCP_NOACK;
    if (s->h.flags & TCP_FIN) /* SYN,FIN is a scanner's */
        return COUNT_TCP_ERR;
    return tcp_synq_syn(sh, l, s); /* third */
}

void tcp_inherit(struct shard *sh, struct tcb *c, const struct tcb *l)
{
    const uint32_t keep = TF_NODELAY | TF_CORK; /* TF_LOWAT: tcp_ext_inherit */

    c->pcb.flags = l->pcb.flags & (PCB_REUSEADDR | PCB_REUSEPORT | PCB_V6ONLY | PCB_V6 | PCB_DONTROUTE |
                                   PCB_OOBINLINE | PCB_RECVERR | PCB_RECVERR6);
    c->pcb.tos = l->pcb.tos;
    c->pcb.ttl = l->pcb.ttl;
    c->pcb.tclass = l->pcb.tclass;
    c->pcb.hops = l->pcb.hops;
    c->pcb.ifindex = l->pcb.ifindex;
    c->flags = l->flags & keep;
    c->sndbuf = l->sndbuf;
    c->rcvbuf = l->rcvbuf;
    c->cc = l->cc;
    c->keep_idle_s = l->keep_idle_s;
    c->keep_intvl_s = l->keep_intvl_s;
    c->keep_cnt = l->keep_cnt;
    c->syn_cnt = l->syn_cnt;
    c->user_mss = l->user_mss;
    c->linger_s = l->linger_s;
    c->linger2_s = l->linger2_s;
    c->window_clamp = l->window_clamp;
    c->notsent_lowat = l->notsent_lowat;
    c->opts = l->opts;
    tcp_ext_inherit(sh, c, l);
}

void tcp_accept_add(struct shard *sh, struct tcb *l, struct tcb *c)
{
    c->flags |= TF_ACCEPTQ;
    ACC_NEXT(c) = NULL;
    if (l->acc_tail)
        ACC_NEXT(l->acc_tail) = c;
    else
        l->acc_head = c;
    l->acc_tail = c;
    l->acc_len++;
    pcb_event(sh, &l->pcb, EV_IN);
}

static struct tcb *accept_take(struct tcb *l)
{
    struct tcb *c = l->acc_head;

    if (!c)
        return NULL;
    l->acc_head = ACC_NEXT(c);
    if (!l->acc_head)
        l->acc_tail = NULL;
    l->acc_len--;
    ACC_NEXT(c) = NULL;
    c->flags &= ~(uint32_t)TF_ACCEPTQ;
    return c;
}

struct tcb *tcp_accept(struct shard *sh, struct tcb *l)
{
    (void)sh;
    return l->state == TCPS_LISTEN ? accept_take(l) : NULL;
}

int tcp_listen(struct shard *sh, struct tcb *t, int backlog)
{
    int64_t max = sh->st->set.somaxconn;
    uint32_t n =
        backlog < 0 || backlog > max ? (uint32_t)max : (uint32_t)backlog; /* Linux: negative is the most */
    int err;

    if (t->state == TCPS_LISTEN) {
        t->backlog = n;
        return 0;
    }
    if (t->state != TCPS_CLOSE)
        return -EINVAL;
    if (!(t->pcb.flags & PCB_BOUND)) {
        struct endpoint any = {t->pcb.local.addr, 0};

        err = port_bind(sh->st, sh, &t->pcb, &any);
        if (err)
            return err;
    } else {
        err = port_listen_check(sh->st, &t->pcb);
        if (err)
            return err;
    }
    err = t->pcb.so_error;
    tcp_reset_state(sh,
                    t); /* what an earlier connection left would lie under the queue; but its error is told */
    t->pcb.so_error = (uint8_t)err;
    t->acc_head = t->acc_tail = NULL;
    t->acc_len = t->synq_len = t->cookie_ms = 0;
    t->backlog = n;
    t->listen_id = ++sh->tcp->next_listen_id;
    t->state = TCPS_LISTEN;
    tcp_tfo_listen(sh, t);
    tcp_listen_insert(sh, t);
    return 0;
}

void tcp_listen_stop(struct shard *sh, struct tcb *l)
{
    struct tcb *c;

    tcp_listen_remove(sh, l);
    while ((c = accept_take(l))) {
        tcp_abort_quietly(sh, c);
        tcb_free(sh, c);
    }
    /* Where the accept queue was, a connection has its round-trip times. */
    l->acc_head = l->acc_tail = NULL;
    l->acc_len = l->backlog = l->synq_len = l->listen_id = l->cookie_ms = 0;
    l->state = TCPS_CLOSE;
}
