/* tcp_fast.c: header prediction: the steps of tcp_input.c merged for the segment that is expected next.
 *
 * Taken when the connection is ESTABLISHED and undisturbed (nothing out of order, no recovery, no window
 * probe), and the segment is the next one in sequence, fits into the window, has no flag but ACK and PSH and
 * no option but timestamps, and acknowledges nothing strange. Then PAWS, sequence, RST, SYN, ACK and FIN
 * checks are all known to pass, and what is left is what those steps share with this file: tcp_take_ts,
 * tcp_take_window, tcp_take_ack, tcp_take_text.
 */
#include "tcp_input.h"
#include "tcp_output.h"
#include "tcp_rcvq.h"

bool tcp_fast_off;

/* Timestamps as the connection wants them, nothing else; PAWS passed. */
static bool options_expected(const struct tcb *t, struct tcp_seg *s)
{
    s->o.nsack = 0;
    s->o.has_ts = 0;
    if (!(t->flags & TF_TS))
        return s->h.hlen == TCP_HDR_LEN;
    s->o.has_ts = 1;
    return wire_tcp_only_ts(s->opts, s->h.hlen - TCP_HDR_LEN, &s->o.tsval, &s->o.tsecr) &&
           (int32_t)(s->o.tsval - t->ts_recent) >= 0;
}

enum count tcp_fast_path(struct shard *sh, struct tcb *t, struct tcp_seg *s)
{
    bool wnd_changed;

    if (t->state != TCPS_ESTABLISHED || (s->h.flags & ~TCP_PSH) != TCP_ACK || s->h.seq != t->rcv_nxt ||
        tcp_fast_off)
        return COUNT_OK;
    if (t->io->ofo || t->ca_state != CA_OPEN || (t->flags & (TF_PROBING | TF_URG | TF_MD5 | TF_MINTTL)) ||
        s->len > tcp_rcv_offered(t))
        return COUNT_OK;
    if (seq_lt(s->h.ack, t->snd_una) || seq_gt(s->h.ack, t->snd_nxt))
        return COUNT_OK;
    if (s->len == 0 && s->h.ack == t->snd_una && t->snd_una != t->snd_nxt) /* a duplicate ACK */
        return COUNT_OK;
    if (!options_expected(t, s))
        return COUNT_OK;
    tcp_count(sh, COUNT_TCP_FAST_PATH);
    tcp_take_ts(sh, t, s);
    wnd_changed = tcp_take_window(t, s);
    tcp_take_ack(sh, t, s, wnd_changed);
    if (s->len) {
        enum count v = tcp_take_text(sh, t, s);

        if (v != COUNT_OK)
            return v;
    }
    return TCP_DONE;
}
