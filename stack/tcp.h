/* tcp.h: TCP as the layers above see it. What a tcb holds is in tcp_cb.h, known to tcp_*.c alone.
 *
 * All calls run under the shard's lock, never block and return 0 or a count, or -errno. The caller has set
 * sh->now_ns. Frames made on the way wait in shard->tx until shard_flush.
 */
#ifndef SHUNT_TCP_H
#define SHUNT_TCP_H

#include <linux/tcp.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "ip.h"
#include "pcb.h"

struct tcb; /* starts with struct pcb */

int tcp_init(struct shard *sh, uint32_t max_tcb); /* tables from the segment: sh->tcp */

struct tcb *tcp_open(struct shard *sh, uint16_t pcb_flags); /* CLOSED; NULL: out of memory */
int tcp_connect(struct shard *sh, struct tcb *t,
                const struct endpoint *remote); /* -EINPROGRESS when the SYN is out; binds when not bound */
/* connect and send at once (MSG_FASTOPEN; tcp_connect's checks). Bytes that left with the SYN, or
 * -EINPROGRESS: the SYN is out, without data; -EFAULT; or as tcp_connect, which returns 0 where
 * TCP_FASTOPEN_CONNECT makes it wait for data. */
ssize_t tcp_tfo_connect(struct shard *sh, struct tcb *t, const struct endpoint *remote,
                        const struct iovec *iov, int iovcnt);
/* Does the SYN of a connect wait for data (TCP_FASTOPEN_CONNECT)? */
bool tcp_syn_waits(const struct tcb *t);
/* As tcp_connect, but the SYN is left to the caller (tcp_tfo.c). */
int tcp_connect_quiet(struct shard *sh, struct tcb *t, const struct endpoint *remote);
int tcp_listen(struct shard *sh, struct tcb *t, int backlog);   /* again to change the backlog */
struct tcb *tcp_accept(struct shard *sh, struct tcb *listener); /* oldest ready child, NULL when none */

/* What is sent next answers what came last: the peer's segments are acknowledged with our data (Linux: a
 * write that waited for its Fast Open, sk_write_pending). */
void tcp_answers(struct tcb *t);
/* Appends a copy of up to the send buffer's free space. Bytes taken (may be short), or -EAGAIN (no room),
 * -EPIPE, -ENOTCONN, the pending so_error, -EFAULT. flags: MSG_MORE; MSG_EOR, no packet holds bytes of both
 * sides of what ends here; MSG_OOB, the last byte is urgent. */
ssize_t tcp_send_msg(struct shard *sh, struct tcb *t, const struct iovec *iov, int iovcnt, size_t off,
                     int flags);
static inline ssize_t tcp_send(struct shard *sh, struct tcb *t, const struct iovec *iov, int iovcnt,
                               size_t off, bool more)
{
    return tcp_send_msg(sh, t, iov, iovcnt, off, more ? MSG_MORE : 0);
}
/* MSG_ZEROCOPY on a socket with SO_ZEROCOPY (tcp_zerocopy.h). Around a call that sends n bytes, which is
 * number id of such calls: first tcp_zerocopy_begin, 0 or -ENOBUFS; then, when bytes were taken,
 * tcp_zerocopy_queued with *e and their number, else tcp_zerocopy_cancel. tcp_send_zerocopy: as tcp_send_msg,
 * in between, and (off > 0) for the further rounds of such a call. */
struct errq_entry;
int tcp_zerocopy_begin(struct shard *sh, struct tcb *t, uint32_t id, size_t n, struct errq_entry **e);
void tcp_zerocopy_queued(struct shard *sh, struct tcb *t, struct errq_entry *e, uint32_t n);
void tcp_zerocopy_cancel(struct shard *sh, struct errq_entry *e);
ssize_t tcp_send_zerocopy(struct shard *sh, struct tcb *t, const struct iovec *iov, int iovcnt, size_t off,
                          int flags);
/* Appends n already filled packets without copying (sendfile) and then pushes once. *taken says
 * how many of them are now TCP's own; the others stay the caller's. Bytes, -EAGAIN (no room), or as tcp_send.
 */
ssize_t tcp_send_mbufs(struct shard *sh, struct tcb *t, struct rte_mbuf **m, unsigned n, unsigned *taken,
                       bool more);
/* How many bytes a packet for tcp_send_mbufs best has: what leaves at once; *first: the next one, which goes
 * on where data that waits ends. At most 65535. */
uint32_t tcp_send_grain(struct shard *sh, struct tcb *t, uint32_t *first);
/* Bytes that may be appended now. */
size_t tcp_send_space(const struct tcb *t);
/* Copies out up to the iovecs' length. flags: MSG_PEEK, MSG_TRUNC (discard). Bytes, 0 at end of stream (or
 * when shut down for reading), -EAGAIN, the pending error, -ENOTCONN. */
ssize_t tcp_recv(struct shard *sh, struct tcb *t, const struct iovec *iov, int iovcnt, int flags,
                 size_t peek_off);
/* Would Linux's blocking recv of want bytes go on waiting although something is there: less than SO_RCVLOWAT,
 * or, with all (MSG_PEEK | MSG_WAITALL), less than want? Never at the end of the stream, or where the window
 * lets no more come. */
bool tcp_recv_waits(const struct tcb *t, size_t want, bool all);
bool tcp_has_lowat(const struct tcb *t); /* SO_RCVLOWAT above 1 */
/* recv(MSG_OOB): the urgent byte goes to *byte (flags: MSG_PEEK leaves it): 1, 0 (end of stream), -EINVAL
 * (none, read already, or SO_OOBINLINE), -EAGAIN (announced, not here yet), -ENOTCONN. */
ssize_t tcp_recv_oob(struct tcb *t, char *byte, int flags);
/* SIOCATMARK: does reading, with off bytes passed over by MSG_PEEK, stand at the urgent byte? */
bool tcp_at_mark(const struct tcb *t, size_t off);
/* recvmsg: control messages that the socket wants with what tcp_recv just took: bytes of msg_control used. */
size_t tcp_put_ctl(struct shard *sh, struct tcb *t, struct msghdr *msg);
/* recvmsg(MSG_ERRQUEUE): -EAGAIN when there is none. */
ssize_t tcp_recv_err(struct shard *sh, struct tcb *t, struct msghdr *msg);
/* sendmsg's SO_TIMESTAMPING: for the next tcp_send_msg. -EINVAL. */
int tcp_stamp_once(struct shard *sh, struct tcb *t, uint32_t flags);
/* IP_MINTTL, IPV6_MINHOPCOUNT: segments that came with less are dropped (RFC 5082); 0: none. -ENOBUFS */
int tcp_set_min_ttl(struct shard *sh, struct tcb *t, bool v4, uint8_t ttl);
uint8_t tcp_min_ttl(const struct tcb *t, bool v4);
/* TTL, TOS or their IPv6 likes were set in pcb: what is sent has them. */
void tcp_marks_changed(struct tcb *t);
/* SO_MARK's class (rule.h): the way is looked for again. 0, -ENOBUFS. */
int tcp_set_mark(struct shard *sh, struct tcb *t, uint8_t class);
/* The IPv6 flow label, as flow.label_be. -ENOBUFS */
int tcp_set_label(struct shard *sh, struct tcb *t, uint32_t label_be);
/* IP_RECVERR, IPV6_RECVERR */
void tcp_set_recverr(struct shard *sh, struct tcb *t, uint16_t flag, bool on);
size_t tcp_recv_avail(const struct tcb *t);   /* FIONREAD */
size_t tcp_send_unacked(const struct tcb *t); /* SIOCOUTQ */
size_t tcp_send_unsent(const struct tcb *t);  /* SIOCOUTQNSD */

int tcp_shutdown(struct shard *sh, struct tcb *t, int how); /* SHUT_*; -ENOTCONN */
/* The socket is gone (last descriptor): FIN, or RST when unread data is left or linger asks for it (RFC
 * 2525 2.17); the tcb lives on as an orphan until it's through. pcb.user must be NULL. */
void tcp_close(struct shard *sh, struct tcb *t);
/* SO_LINGER: before tcp_close, while the socket is still there. Sends the FIN and says for how many seconds
 * the close is to wait for what is unsent or not acknowledged, 0: not at all. tcp_lingers: it is not through
 * yet. */
uint32_t tcp_linger_begin(struct shard *sh, struct tcb *t);
bool tcp_lingers(const struct tcb *t);
void tcp_abort(struct shard *sh, struct tcb *t);     /* RST now */
int tcp_disconnect(struct shard *sh, struct tcb *t); /* connect(AF_UNSPEC) */

/* POLLIN|POLLOUT|POLLERR|POLLHUP|POLLRDHUP|POLLPRI as Linux's tcp_poll gives them. */
unsigned tcp_poll(const struct tcb *t);
int tcp_state(const struct tcb *t); /* TCP_ESTABLISHED ... of <netinet/tcp.h>'s enum, as ss shows them */
int tcp_shut(const struct tcb *t);  /* 1: no more reading, 2: no more writing */

/* IPPROTO_TCP options, SO_SNDBUF, SO_RCVBUF, SO_KEEPALIVE, SO_LINGER, SO_RCVLOWAT at SOL_SOCKET; -ENOPROTOOPT
 * for others. */
int tcp_setopt(struct shard *sh, struct tcb *t, int level, int name, const void *val, uint32_t len);
int tcp_getopt(struct shard *sh, struct tcb *t, int level, int name, void *val, uint32_t *len);
void tcp_get_info(const struct shard *sh, const struct tcb *t, struct tcp_info *out);

/* From below (rx.c, shard.c). */
void tcp_input(struct shard *sh, struct rte_mbuf *m, const struct rxinfo *ri); /* takes ownership */
void tcp_icmp(struct shard *sh, const struct icmp_error *e);
void tcp_timer(struct shard *sh, struct timer *t); /* TIMER_TCB, TIMER_SYNREQ, TIMER_TW */
/* End of a burst: ACKs owed, data that got window. */
void tcp_burst_end(struct shard *sh);

/* For ls, ss and the keeper. tcp_orphans: connections without a socket that still have something to say (no
 * TIME_WAIT); tcp_timewaits: how many TIME_WAIT. */
uint32_t tcp_orphans(const struct shard *sh);
uint32_t tcp_timewaits(const struct shard *sh);
void tcp_drop_timewaits(struct shard *sh);
struct tcp_view { /* one line of ss */
    struct endpoint local, remote;
    int state;
    uint32_t recvq, sendq;
    const struct pcb *pcb;
};
/* After a process was killed inside the stack: makes tables and lists whole and resets the connection that
 * was being changed (shard.work). What has something to be done or to be told is put on the shard's lists
 * anew (which are empty). */
void tcp_mend(struct shard *sh);
/* Calls fn for each connection, listener, half-open and TIME_WAIT entry. */
void tcp_walk(const struct shard *sh, void (*fn)(void *arg, const struct tcp_view *v), void *arg);

#endif
