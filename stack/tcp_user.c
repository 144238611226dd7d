/* tcp_user.c: SEND, RECEIVE and STATUS (RFC 9293 sections 3.10.2, 3.10.3, 3.10.6) with the results of Linux's
 * sockets. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "errq.h"
#include "tcp_ext.h"
#include "tcp_cb.h"
#include "tcp_output.h"
#include "tcp_rate.h"
#include "tcp_rcvq.h"
#include "tcp_sndq.h"
#include "tcp_stamp.h"
#include "tcp_tfo.h"
#include "tcp_timer.h"
#include "tcp_urg.h"

#ifndef POLLRDHUP
#define POLLRDHUP 0x2000
#endif

/* The pending error, taken, as -errno; or other when there is none. */
static int take_error(struct tcb *t, int other)
{
    int err = t->pcb.so_error;

    t->pcb.so_error = 0;
    return err ? -err : other;
}

/* May data be queued? 0 or what send returns. */
static int send_check(struct tcb *t)
{
    if (t->pcb.so_error)
        return take_error(t, -EPIPE);
    if (state_in(t, TCPF(SYN_SENT) | TCPF(SYN_RECEIVED)) && !tcp_tfo_passive(t))
        return -EAGAIN;
    if (t->shut & 2)
        return -EPIPE;
    if (tcp_tfo_passive(t))
        return 0;
    return state_in(t, TCPF(ESTABLISHED) | TCPF(CLOSE_WAIT)) ? 0 : -EPIPE;
}

void tcp_answers(struct tcb *t)
{
    if (t->state == TCPS_SYN_SENT && t->ext)
        t->ext->tfo.more = 1;
    else
        t->flags |= TF_PINGPONG;
}

/* After appending: hands it to the network, and notes a buffer too full for poll. */
static ssize_t queued(struct shard *sh, struct tcb *t, ssize_t n, int flags)
{
    if (n > 0) {
        t->flags = flags & MSG_MORE ? t->flags | TF_MORE : t->flags & ~(uint32_t)TF_MORE;
        /* The end of what the user gave at once (RFC 9293 section 3.9.1). */
        if (!(flags & MSG_MORE) || tcp_push_is_due(t))
            tcp_mark_push(t);
        if (t->flags & TF_TXSTAMP)
            tcp_stamp_request(sh, t);
        if (flags & (MSG_OOB | MSG_EOR)) {
            if (flags & MSG_EOR)
                pkt_meta(t->tx->snd_tail)->flags |= UNIT_EOR;
            if (flags & MSG_OOB)
                tcp_urg_send(sh, t);
        }
        tcp_output(sh, t);
    }
    if (!tcp_writeable(t))
        t->flags |= TF_NOSPACE;
    return n;
}

/* Takes what there is room for; a chunk that is full and next to go leaves before the rest is taken (Linux
 * pushes each buffer that is full), so that there may be room for more. */
static ssize_t append(struct shard *sh, struct tcb *t, const struct iovec *iov, int iovcnt, size_t off)
{
    bool again;
    ssize_t n = tcp_sndq_append(sh, t, iov, iovcnt, off, &again), r;

    while (again) {
        t->flags |= TF_MORE; /* more is at hand */
        if (t->tx->pushed_seq == t->write_seq)
            tcp_output(sh, t);
        else
            tcp_output_one(sh, t);
        r = tcp_sndq_append(sh, t, iov, iovcnt, off + (size_t)n, &again);
        n += r > 0 ? r : 0;
    }
    return n;
}

ssize_t tcp_send_msg(struct shard *sh, struct tcb *t, const struct iovec *iov, int iovcnt, size_t off,
                     int flags)
{
    int err;
    size_t want = 0;
    ssize_t n;

    if (tcp_tfo_is_deferred(t))
        return tcp_tfo_deferred(sh, t, iov, iovcnt);
    err = send_check(t);
    if (err)
        return err;
    for (int i = 0; i < iovcnt; i++)
        want += iov[i].iov_len;
    if (off >= want)
        return 0;
    if (t->tx)
        tcp_rate_check_app_limited(t);
    n = append(sh, t, iov, iovcnt, off);
    if (n == -EFAULT)
        return n;
    if (n <= 0) { /* full, or no packet buffers: both end when something is acknowledged */
        t->flags |= TF_NOSPACE;
        return n == -ENOBUFS && (!t->tx || !t->tx->snd_head) ? -ENOBUFS : -EAGAIN;
    }
    if ((size_t)n < want - off) {
        t->flags |= TF_NOSPACE;
        flags &= ~MSG_EOR; /* not the end yet */
    }
    return queued(sh, t, n, flags);
}

ssize_t tcp_send_mbufs(struct shard *sh, struct tcb *t, struct rte_mbuf **m, unsigned n, unsigned *taken,
                       bool more)
{
    int err = send_check(t);
    ssize_t done = 0, r = 0;

    *taken = 0;
    if (err || n == 0)
        return err;
    while (*taken < n && tcp_sndq_space(t)) {
        r = tcp_sndq_append_mbuf(sh, t, m[*taken]);
        if (r < 0)
            break;
        done += r;
        ++*taken;
    }
    if (*taken < n)
        t->flags |= TF_NOSPACE;
    if (!*taken)
        return r < 0 ? r : -EAGAIN;
    /* One push for all of them, so that they leave in as few packets as the path takes. */
    return queued(sh, t, done, more ? MSG_MORE : 0);
}

uint32_t tcp_send_grain(struct shard *sh, struct tcb *t, uint32_t *first)
{
    if (state_in(t, TCPF(ESTABLISHED) | TCPF(CLOSE_WAIT)))
        tcp_io_get(sh, t); /* it knows the link */
    return tcp_sndq_grain(t, first);
}

size_t tcp_send_space(const struct tcb *t)
{
    return t->state == TCPS_LISTEN ? 0 : tcp_sndq_space(t);
}

size_t tcp_send_unacked(const struct tcb *t)
{
    if (state_in(t, TCPF(LISTEN) | TCPF(CLOSE) | TCPF(SYN_SENT) | TCPF(SYN_RECEIVED)))
        return 0;
    /* The FIN counts as long as it is not acknowledged, as on Linux. */
    return t->write_seq + (t->flags & TF_FIN_QUEUED ? 1 : 0) - t->snd_una;
}

size_t tcp_send_unsent(const struct tcb *t)
{
    return state_in(t, TCPF(LISTEN) | TCPF(CLOSE)) || !tcp_has_unsent(t) ? 0 : t->write_seq - t->snd_nxt;
}

/* Bytes in the receive queue. */
static size_t in_queue(const struct tcb *t)
{
    if (state_in(t, TCPF(LISTEN) | TCPF(SYN_SENT)) || !tcp_has_unread(t))
        return 0;
    return t->rcv_nxt - t->copied_seq - (t->flags & TF_FIN_RCVD ? 1 : 0);
}

size_t tcp_recv_avail(const struct tcb *t)
{
    size_t n = in_queue(t);

    return t->flags & TF_URG ? tcp_urg_before(t, n) : n;
}

bool tcp_readable(const struct tcb *t)
{
    size_t want = tcp_rcvlowat(t), n = in_queue(t);

    if (t->flags & TF_URG) /* the urgent byte by itself is nothing to read */
        want += tcp_at_mark(t, 0) && !(t->pcb.flags & PCB_OOBINLINE);
    /* What the window has no room for won't come before something is read (Linux: tcp_epollin_ready). */
    return n >= want || (n && (t->flags & TF_LOWAT) && tcp_rcv_offered(t) <= t->rcv_mss);
}

/* The reader took data: tells the peer when the window opens by much (RFC 9293 section 3.8.6.2.2; Linux:
 * tcp_cleanup_rbuf), or when a second full segment waits for its ACK. */
static void reader_drained(struct shard *sh, struct tcb *t)
{
    uint32_t now = tcp_rcv_offered(t), next;

    if (!state_in(t, TCPF(ESTABLISHED) | TCPF(FIN_WAIT_1) | TCPF(FIN_WAIT_2)))
        return;
    if ((t->flags & TF_ACK_DELAYED) && t->rcv_nxt - t->rcv_wup > t->rcv_unit) {
        tcp_send_ack(sh, t);
        return;
    }
    next = tcp_rcv_window(t);
    if (next > now && next >= 2 * now)
        tcp_send_ack(sh, t);
}

bool tcp_has_lowat(const struct tcb *t)
{
    return t->flags & TF_LOWAT;
}

bool tcp_recv_waits(const struct tcb *t, size_t want, bool all)
{
    size_t n = in_queue(t), target = all ? want : tcp_rcvlowat(t) < want ? tcp_rcvlowat(t) : want;

    if (n >= target || n == 0) /* nothing at all: tcp_recv says what that means */
        return false;
    if (state_in(t, TCPF(LISTEN) | TCPF(CLOSE)) || (t->flags & (TF_FIN_RCVD | TF_URG)) || (t->shut & 1) ||
        t->pcb.so_error)
        return false;
    return tcp_rcv_offered(t) > t->rcv_mss; /* else no more can come before something is read */
}

static bool has_room(const struct iovec *iov, int iovcnt)
{
    for (int i = 0; i < iovcnt; i++)
        if (iov[i].iov_len)
            return true;
    return false;
}

ssize_t tcp_recv(struct shard *sh, struct tcb *t, const struct iovec *iov, int iovcnt, int flags,
                 size_t peek_off)
{
    size_t n, max = SIZE_MAX;

    if (t->state == TCPS_LISTEN)
        return -ENOTCONN;
    if ((t->flags & TF_URG) && has_room(iov, iovcnt))
        max = tcp_urg_limit(t, flags, &peek_off);
    if (in_queue(t) > (flags & MSG_PEEK ? peek_off : 0)) {
        n = tcp_rcvq_read(sh, t, iov, iovcnt, flags, peek_off, max);
        if (n == 0 && has_room(iov, iovcnt)) /* bytes there, and none could be copied (user.h) */
            return -EFAULT;
        if (t->flags & TF_URG)
            tcp_urg_passed(t);
        if (n && !(flags & MSG_PEEK))
            reader_drained(sh, t);
        return (ssize_t)n;
    }
    if (t->flags & TF_FIN_RCVD)
        return 0;
    if (t->pcb.so_error)
        return take_error(t, 0);
    if (t->shut & 1)
        return 0;
    return t->state == TCPS_CLOSE ? -ENOTCONN : -EAGAIN;
}

unsigned tcp_poll(const struct tcb *t)
{
    unsigned ev = 0;

    if (t->state == TCPS_LISTEN)
        return t->acc_len ? POLLIN | POLLRDNORM : 0;
    if (t->shut == 3 || t->state == TCPS_CLOSE)
        ev |= POLLHUP;
    if (t->shut & 1)
        ev |= POLLIN | POLLRDNORM | POLLRDHUP;
    if (tcp_tfo_is_deferred(t))
        ev |= POLLOUT | POLLWRNORM;
    if (!state_in(t, TCPF(SYN_SENT) | TCPF(SYN_RECEIVED)) || tcp_tfo_passive(t)) {
        if (tcp_readable(t))
            ev |= POLLIN | POLLRDNORM;
        if ((t->shut & 2) || tcp_writeable(t))
            ev |= POLLOUT | POLLWRNORM;
        if (tcp_urg_valid(t))
            ev |= POLLPRI;
    }
    if (t->pcb.so_error || errq_any(&t->pcb))
        ev |= POLLERR;
    return ev;
}

void tcp_set_recverr(struct shard *sh, struct tcb *t, uint16_t flag, bool on)
{
    t->pcb.flags = (uint16_t)(on ? t->pcb.flags | flag : t->pcb.flags & ~flag);
    if (!on) /* as Linux: what waits is thrown away */
        errq_purge(sh, &t->pcb);
}

int tcp_shut(const struct tcb *t)
{
    return t->shut;
}

int tcp_state(const struct tcb *t)
{
    return t->state;
}
