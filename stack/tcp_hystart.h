/* tcp_hystart.h: HyStart++ (RFC 9406): leaves the first slow start when round trips grow longer, before the
 * bottleneck's buffer overflows. For algorithms that want it (CUBIC).
 *
 * Theory of operation. A round ends when what was sent last at its beginning is acknowledged. When the least
 * RTT of a round (of at least eight samples) is a good deal above the round's before, growth falls to a
 * quarter (conservative slow start, CSS); if it comes down again within five rounds, that was jitter and slow
 * start goes on, else it is over.
 * Differs: no limit L on what one ACK may add (section 4.3 has 8 segments for senders that do not pace):
 * peers that acknowledge once a burst would hold the start back, and bursts are bounded where they are made.
 * tcp_hystart=2 has it as Linux does: slow start is over at once.
 */
#ifndef SHUNT_TCP_HYSTART_H
#define SHUNT_TCP_HYSTART_H

#include "tcp_tx.h"

/* All zero at the start. */
struct tcp_hystart {
    uint32_t round_end;           /* the round is over when snd_una passes it */
    uint32_t last_min_us, min_us; /* least RTT of the last round and of this one; 0: none */
    uint32_t css_base_us;         /* when CSS began; 0: not in CSS */
    uint8_t samples, css_rounds, in_round;
};

/* tunables.tcp_hystart */
enum hystart_kind { HYSTART_OFF, HYSTART_PP, HYSTART_LINUX };

/* An ACK in the first slow start; rtt_us: its sample, or -1; kind: enum hystart_kind. True: slow start is
 * over. */
bool tcp_hystart_ack(struct tcp_hystart *h, const struct tcb *t, int32_t rtt_us, int kind);
/* How much of acked bytes slow start may add to cwnd. */
static inline uint32_t tcp_hystart_growth(const struct tcp_hystart *h, uint32_t acked)
{
    return h->css_base_us == 0 ? acked : acked / 4;
}

#endif
