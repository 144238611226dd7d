/* tcp_close.c: the ends of a connection (RFC 9293 sections 3.10.4, 3.10.5), as Linux's sockets see them.
 * Lifetimes: tcp_cb.h. */
#include "tcp_close.h"

#include <errno.h>
#include <sys/socket.h>

#include "errq.h"
#include "port.h"
#include "tcp_cc.h"
#include "tcp_info.h"
#include "tcp_listen.h"
#include "tcp_output.h"
#include "tcp_rcvq.h"
#include "tcp_sndq.h"
#include "tcp_stamp.h"
#include "tcp_table.h"
#include "tcp_tfo.h"
#include "tcp_timer.h"
#include "tcp_zerocopy.h"
#include "tcp_tw.h"

/* Frees a finished tcb that nobody holds. */
static void free_if_orphan(struct shard *sh, struct tcb *t)
{
    if (!(t->flags & TF_CLOSED))
        return;
    sh->tcp->norphan--;
    tcb_free(sh, t);
}

/* A connection that ends without having been closed, whoever resets it (Linux: tcp_set_state). */
static void count_reset(struct shard *sh, const struct tcb *t)
{
    if (state_in(t, TCPF(ESTABLISHED) | TCPF(CLOSE_WAIT)))
        tcp_count(sh, COUNT_TCP_ESTAB_RESET);
}

void tcp_done(struct shard *sh, struct tcb *t)
{
    if (state_in(t, TCPF(SYN_SENT) | TCPF(SYN_RECEIVED)))
        tcp_count(sh, COUNT_TCP_ATTEMPT_FAIL);
    count_reset(sh, t);
    if (tcp_tfo_passive(t))
        tcp_tfo_child_ends(sh, t, false);
    tcp_timer_stop(sh, t);
    if (t->io)
        list_del(&t->io->acks);
    tcp_conn_remove(sh, t);
    if (!(t->pcb.flags & PCB_PORT_LOCKED))
        port_release(sh->st, &t->pcb);
    tcp_sndq_free(sh, t);
    if (t->flags & TF_TXSTAMP)
        tcp_zerocopy_end(sh, t);
    t->state = TCPS_CLOSE;
    t->shut = 3;
    pcb_event(sh, &t->pcb, EV_IN | EV_OUT | EV_RDHUP | EV_HUP);
    free_if_orphan(sh, t);
}

void tcp_end(struct shard *sh, struct tcb *t, int err)
{
    if (err) {
        t->pcb.so_error = err;
        pcb_event(sh, &t->pcb, EV_ERR);
    }
    tcp_done(sh, t);
}

void tcp_peer_reset(struct shard *sh, struct tcb *t)
{
    int err = ECONNRESET;

    if (tcp_tfo_passive(t))
        tcp_tfo_child_ends(sh, t, true);
    else if (state_in(t, TCPF(SYN_SENT) | TCPF(SYN_RECEIVED)))
        err = ECONNREFUSED;
    else if (t->state == TCPS_CLOSE_WAIT)
        err = EPIPE;
    tcp_end(sh, t, err);
}

void tcp_abort_quietly(struct shard *sh, struct tcb *t)
{
    if (state_in(t, TCPF(SYN_RECEIVED) | TCPF(ESTABLISHED) | TCPF(FIN_WAIT_1) | TCPF(FIN_WAIT_2) |
                        TCPF(CLOSE_WAIT)))
        tcp_send_reset(sh, t);
}

void tcp_abort(struct shard *sh, struct tcb *t)
{
    if (t->state == TCPS_LISTEN)
        tcp_listen_stop(sh, t);
    if (t->state == TCPS_CLOSE)
        return;
    tcp_abort_quietly(sh, t);
    tcp_end(sh, t, ECONNABORTED);
}

bool tcp_fin_wait_2(struct shard *sh, struct tcb *t, bool more)
{
    if (!(t->flags & TF_CLOSED))
        return false;
    if (t->linger2_s < 0) {
        tcp_done(sh, t);
        return true;
    }
    /* The usual time is kept in an entry much smaller than a tcb. */
    if (!more && t->linger2_s == 0 && tcp_tw_fin_wait_2(sh, t))
        return true;
    tcp_deadline_set(sh, t, DL_KEEP,
                     (uint32_t)(t->linger2_s > 0 ? t->linger2_s : sh->st->set.tcp_fin_timeout) * 1000);
    return false;
}

/* Our FIN is to follow what is queued. Returns false when there is no connection to close. */
static bool queue_fin(struct shard *sh, struct tcb *t)
{
    switch (t->state) {
    case TCPS_ESTABLISHED:
        t->state = TCPS_FIN_WAIT_1;
        break;
    case TCPS_CLOSE_WAIT:
        t->state = TCPS_LAST_ACK;
        break;
    case TCPS_SYN_RECEIVED: /* sent when established; Fast Open's at once */
        break;
    default:
        return false;
    }
    t->flags |= TF_FIN_QUEUED;
    tcp_output(sh, t);
    return true;
}

int tcp_shutdown(struct shard *sh, struct tcb *t, int how)
{
    switch (t->state) {
    case TCPS_CLOSE: /* it takes effect all the same (Linux: inet_shutdown) */
        t->shut |= (uint8_t)(how + 1);
        pcb_event(sh, &t->pcb, EV_OUT | (t->shut & 1 ? EV_IN | EV_RDHUP : 0) | EV_HUP);
        return -ENOTCONN;
    case TCPS_SYN_SENT:
        return tcp_disconnect(sh, t);
    case TCPS_LISTEN:
        if (how == SHUT_WR)
            return 0;
        tcp_listen_stop(sh, t);
        pcb_event(sh, &t->pcb, EV_IN | EV_OUT | EV_HUP);
        return 0;
    }
    t->shut |= (uint8_t)(how + 1);
    if (how != SHUT_RD && !(t->flags & TF_FIN_QUEUED))
        queue_fin(sh, t);
    pcb_event(sh, &t->pcb, EV_OUT | (t->shut & 1 ? EV_IN | EV_RDHUP : 0) | (t->shut == 3 ? EV_HUP : 0));
    return 0;
}

bool tcp_lingers(const struct tcb *t)
{
    return state_in(t, TCPF(FIN_WAIT_1) | TCPF(CLOSING) | TCPF(LAST_ACK));
}

uint32_t tcp_linger_begin(struct shard *sh, struct tcb *t)
{
    if (!(t->opts & TO_LINGER) || t->linger_s == 0)
        return 0;
    if (state_in(t, TCPF(LISTEN) | TCPF(SYN_SENT) | TCPF(CLOSE)) || tcp_has_unread(t))
        return 0;
    t->flags &= ~(uint32_t)(TF_CORK | TF_MORE);
    tcp_shutdown(sh, t, SHUT_RDWR);
    return tcp_lingers(t) ? t->linger_s : 0;
}

/* Does close mean a reset? Unread data is lost (RFC 2525 section 2.17), or SO_LINGER says so. */
static bool close_resets(struct shard *sh, struct tcb *t)
{
    if (tcp_has_unread(t)) {
        tcp_count(sh, COUNT_TCP_ABORT_CLOSE);
        return true;
    }
    if ((t->opts & TO_LINGER) && t->linger_s == 0) {
        tcp_count(sh, COUNT_TCP_CLOSED_DATA); /* as Linux counts it */
        return true;
    }
    return false;
}

/* TCP_LINGER2 below 0: the peer's FIN is not waited for (Linux: __tcp_close). */
static void linger2_reset(struct shard *sh, struct tcb *t)
{
    tcp_send_reset(sh, t);
    tcp_count(sh, COUNT_TCP_ABORT_LINGER);
    tcp_done(sh, t);
}

void tcp_close(struct shard *sh, struct tcb *t)
{
    uint32_t fin = t->flags & TF_FIN_QUEUED;

    errq_purge(sh, &t->pcb);
    tcp_stamp_drop(sh, t);
    tcp_zerocopy_drop(sh, t);
    if (t->state == TCPS_LISTEN)
        tcp_listen_stop(sh, t);
    if (t->state == TCPS_CLOSE || t->state == TCPS_SYN_SENT) {
        if (t->state == TCPS_SYN_SENT)
            tcp_count(sh, COUNT_TCP_ATTEMPT_FAIL);
        tcb_free(sh, t);
        return;
    }
    t->shut = 3;
    if (close_resets(sh, t)) {
        tcp_abort_quietly(sh, t);
        count_reset(sh, t);
        tcb_free(sh, t);
        return;
    }
    t->flags |= TF_CLOSED;
    t->flags &= ~(uint32_t)(TF_CORK | TF_MORE);
    sh->tcp->norphan++;
    if (!tcp_fin_waits(t))
        tcp_deadline_clear(t, DL_KEEP);
    if (!fin)
        queue_fin(sh, t);
    else if (t->state == TCPS_FIN_WAIT_2 && t->linger2_s < 0)
        linger2_reset(sh, t);
    else if (t->state == TCPS_FIN_WAIT_2)
        tcp_fin_wait_2(sh, t, false);
}

uint32_t tcp_orphans(const struct shard *sh)
{
    return sh->tcp->norphan + sh->tcp->nfw2;
}

void tcp_reset_state(struct shard *sh, struct tcb *t)
{
    const uint32_t keep =
        TF_NODELAY | TF_CORK | TF_LOWAT | TF_MD5 | TF_MINTTL | TF_CTL | TF_TXSTAMP | TF_PACED;

    tcp_cc_release(t);
    tcp_sndq_free(sh, t);
    tcp_tx_free(sh, t);
    tcp_rcvq_free(sh, t);
    tcp_io_free(sh, t);
    tcp_stamp_drop(sh, t);
    tcp_zerocopy_end(sh, t);
    t->flags &= keep;
    t->shut = 0;
    t->pcb.so_error = t->pcb.soft_error = 0;
    t->srtt_us8 = t->rttvar_us4 = 0;
    t->ts_recent = t->ts_recent_s = 0;
    t->snd_wscale = t->rcv_wscale = 0;
    t->snd_wnd = t->max_wnd = 0;
    t->keep_probes = 0;
    t->ca_state = CA_OPEN;
    t->ecn = 0;
    t->pmtu = 0;
    t->last_rcv_ms = t->last_snd_ms = t->last_ack_ms = 0;
    t->segs_in = t->segs_out = t->data_segs_in = t->data_segs_out = 0;
    t->chrono = CHRONO_NONE;
    t->busy_ms = 0;
    t->bytes_acked = t->bytes_received = 0;
    if (t->ext) {
        t->ext->total_retrans = t->ext->ofo_segs = t->ext->dsack_dups = t->ext->reord_seen = 0;
        t->ext->bytes_retrans = 0;
        memset(t->ext->limited_ms, 0, sizeof t->ext->limited_ms);
    }
}

int tcp_disconnect(struct shard *sh, struct tcb *t)
{
    /* Never connected: nothing to give up but what shutdown did, as Linux. */
    bool idle = t->state == TCPS_CLOSE && !t->pcb.remote.port_be, reset = false;
    uint8_t err = t->state == TCPS_CLOSE ? t->pcb.so_error : 0;

    if (t->state == TCPS_LISTEN) {
        tcp_listen_stop(sh, t);
    } else if (t->state != TCPS_CLOSE) {
        reset = t->state != TCPS_CLOSING && t->state != TCPS_LAST_ACK;
        tcp_abort_quietly(sh, t);
        tcp_done(sh, t);
    }
    tcp_reset_state(sh, t);
    t->window_clamp = 0; /* else the next connection's scale would be chosen for this one's buffer */
    t->pcb.so_error = err;
    if (idle)
        return 0;
    /* getsockname goes on showing the port, also when it is given back (as Linux's inet_sport). */
    if (!(t->pcb.flags & PCB_PORT_LOCKED))
        port_release(sh->st, &t->pcb);
    if (!(t->pcb.flags & PCB_ADDR_LOCKED))
        t->pcb.local.addr = IPADDR_ANY;
    t->pcb.remote = (struct endpoint){0};
    if (reset) { /* Linux: tcp_disconnect */
        t->pcb.so_error = ECONNRESET;
        pcb_event(sh, &t->pcb, EV_ERR | EV_OUT | EV_HUP);
    }
    return 0;
}
