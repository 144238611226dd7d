/* tcp_urg.c: see tcp_urg.h. */
#include "tcp_urg.h"

#include <errno.h>
#include <sys/socket.h>

#include "tcp_ext.h"
#include "tcp_rcvq.h"

static bool in_line(const struct tcb *t)
{
    return t->pcb.flags & PCB_OOBINLINE;
}

static bool receiving(const struct tcb *t)
{
    return (t->flags & TF_URG) && t->ext->urg_data;
}

/* TF_URG goes when neither side needs it any more. */
static void settle(struct tcb *t)
{
    if ((t->flags & TF_URG) && !t->ext->urg_data && !tcp_urg_sending(t))
        t->flags &= ~(uint32_t)TF_URG;
}

/* --- sending --- */

void tcp_urg_send(struct shard *sh, struct tcb *t)
{
    struct tcp_ext *x = tcp_ext_get(sh, t);

    if (!x)
        return;
    if (!(t->flags & TF_URG))
        x->urg_data = 0;
    x->snd_up = t->write_seq;
    t->flags |= TF_URG;
}

bool tcp_urg_sending(const struct tcb *t)
{
    return (t->flags & TF_URG) && seq_gt(t->ext->snd_up, t->snd_una);
}

void tcp_urg_mark(struct tcb *t, struct tcp_hdr_in *h)
{
    uint32_t up = t->ext->snd_up;

    if (!tcp_urg_sending(t)) {
        t->ext->snd_up = t->snd_una; /* so that it never seems to be ahead again */
        settle(t);
        return;
    }
    if (!seq_lt(h->seq, up))
        return;
    if (seq_lt(up, h->seq + 0x10000)) {
        h->urgent = (uint16_t)(up - h->seq);
        h->flags |= TCP_URG;
    } else if (seq_gt(h->seq + 0xffff, t->snd_nxt)) { /* farther than a pointer reaches */
        h->urgent = 0xffff;
        h->flags |= TCP_URG;
    }
}

/* --- the pointer and the byte arrive --- */

/* The urgent byte before this one was never stepped over: it is not data. */
static void drop_old_mark(struct tcb *t)
{
    if (t->ext->urg_seq == t->copied_seq && !in_line(t) && t->copied_seq != t->rcv_nxt)
        tcp_rcvq_skip(t);
}

static void take_pointer(struct shard *sh, struct tcb *t, const struct tcp_seg *s)
{
    uint32_t up = s->h.urgent;
    struct tcp_ext *x;

    if (up && !sh->st->set.tcp_stdurg)
        up--;
    up += s->h.seq;
    /* Read already; or about text that was taken before the pointer came (it is never replayed). */
    if (seq_gt(t->copied_seq, up) || seq_lt(up, t->rcv_nxt))
        return;
    if (receiving(t) && !seq_gt(up, t->ext->urg_seq)) /* no news */
        return;
    x = tcp_ext_get(sh, t);
    if (!x)
        return;
    if (!(t->flags & TF_URG)) {
        x->urg_data = 0;
        x->snd_up = t->snd_una;
    }
    pcb_event(sh, &t->pcb, EV_URG);
    if (x->urg_data)
        drop_old_mark(t);
    x->urg_data = URG_NOTYET;
    x->urg_seq = up;
    t->flags |= TF_URG;
}

enum count tcp_step_urg(struct shard *sh, struct tcb *t, struct tcp_seg *s)
{
    const uint8_t *p;
    uint8_t byte;
    uint32_t off;

    if (s->h.flags & TCP_URG)
        take_pointer(sh, t, s);
    if (!receiving(t) || t->ext->urg_data != URG_NOTYET)
        return COUNT_OK;
    off = t->ext->urg_seq - s->h.seq;
    if (off >= s->len)
        return COUNT_OK;
    p = rte_pktmbuf_read(s->m, s->h.hlen + s->skip + off, 1, &byte);
    t->ext->urg_data = (uint16_t)(URG_VALID | *p);
    pcb_event(sh, &t->pcb, EV_IN | EV_PRI);
    return COUNT_OK;
}

/* --- reading --- */

ssize_t tcp_recv_oob(struct tcb *t, char *byte, int flags)
{
    struct tcp_ext *x = t->ext;

    if (!receiving(t) || in_line(t) || x->urg_data == URG_READ)
        return -EINVAL;
    if (t->state == TCPS_CLOSE && !(t->flags & TF_FIN_RCVD))
        return -ENOTCONN;
    if (x->urg_data & URG_VALID) {
        *byte = (char)x->urg_data;
        if (!(flags & MSG_PEEK))
            x->urg_data = URG_READ;
        return 1;
    }
    return t->state == TCPS_CLOSE || (t->shut & 1) ? 0 : -EAGAIN;
}

size_t tcp_urg_limit(struct tcb *t, int flags, size_t *peek)
{
    uint32_t at = t->copied_seq + (flags & MSG_PEEK ? (uint32_t)*peek : 0), off;

    if (!receiving(t))
        return SIZE_MAX;
    off = t->ext->urg_seq - at;
    if (seq_lt(t->ext->urg_seq, at))
        return SIZE_MAX;
    if (off)
        return off;
    if (in_line(t) || seq_geq(at, t->rcv_nxt))
        return SIZE_MAX;
    if (flags & MSG_PEEK) {
        ++*peek;
    } else {
        tcp_rcvq_skip(t);
        tcp_urg_passed(t);
    }
    return SIZE_MAX;
}

void tcp_urg_passed(struct tcb *t)
{
    if (!receiving(t) || !seq_gt(t->copied_seq, t->ext->urg_seq))
        return;
    t->ext->urg_data = 0;
    settle(t);
}

bool tcp_at_mark(const struct tcb *t, size_t off)
{
    return receiving(t) && t->ext->urg_seq == t->copied_seq + (uint32_t)off;
}

size_t tcp_urg_before(const struct tcb *t, size_t avail)
{
    if (!receiving(t) || in_line(t) || seq_lt(t->ext->urg_seq, t->copied_seq) ||
        !seq_lt(t->ext->urg_seq, t->rcv_nxt))
        return avail;
    return t->ext->urg_seq - t->copied_seq;
}

bool tcp_urg_valid(const struct tcb *t)
{
    return receiving(t) && (t->ext->urg_data & URG_VALID);
}
