/* tcp_urg.h: urgent data (RFC 9293 section 3.8.5, RFC 6093) as Linux has it.
 *
 * Theory of operation. One urgent byte at a time, known by its sequence number: tcp_ext.urg_seq. With
 * tcp_stdurg 0 the urgent pointer stands behind it (as BSD and everybody else), with 1 on it (RFC 1122). The
 * pointer can arrive long before the byte: then urg_data is URG_NOTYET, and every segment is looked into
 * until the byte comes by; it is copied aside (URG_VALID) and stays in the receive queue as well. recv stops
 * at it (the mark), and steps over it with the next call, unless SO_OOBINLINE has it read in line;
 * recv(MSG_OOB) gives the copy.
 *
 * The sender's side is snd_up, the sequence number behind the last urgent byte. Segments that begin before it
 * carry URG, leave without Nagle's delay and one by one, not as TSO packets.
 *
 * TF_URG is set while either side is in use; all state lies in tcp_ext, so that a connection without urgent
 * data pays for a test of that bit alone.
 */
#ifndef SHUNT_TCP_URG_H
#define SHUNT_TCP_URG_H

#include "tcp_input.h"

enum tcp_urg_data { /* tcp_ext.urg_data: 0, or one of these; with URG_VALID the byte in the low 8 bits */
                    URG_VALID = 0x0100,
                    URG_NOTYET = 0x0200,
                    URG_READ = 0x0400,
};

/* Sixth, check the URG bit (section 3.10.7.4). */
enum count tcp_step_urg(struct shard *sh, struct tcb *t, struct tcp_seg *s);

/* What was queued so far ends in an urgent byte (MSG_OOB). Out of memory: it goes as ordinary data. */
void tcp_urg_send(struct shard *sh, struct tcb *t);
/* Is the sender in urgent mode: not everything up to the mark is acknowledged. */
bool tcp_urg_sending(const struct tcb *t);
/* Fills in URG and the pointer of a segment about to leave (Linux: tcp_transmit_skb). */
void tcp_urg_mark(struct tcb *t, struct tcp_hdr_in *h);

/* recv is about to read at copied_seq + *peek: steps over an urgent byte that stands there (*peek grows when
 * flags has MSG_PEEK, copied_seq otherwise) and says how many bytes there are before the mark. */
size_t tcp_urg_limit(struct tcb *t, int flags, size_t *peek);
/* After reading: an urgent byte that was passed is forgotten. */
void tcp_urg_passed(struct tcb *t);
/* FIONREAD's share: of avail bytes those before the mark. */
size_t tcp_urg_before(const struct tcb *t, size_t avail);
/* For poll: the byte is here. */
bool tcp_urg_valid(const struct tcb *t);

#endif
