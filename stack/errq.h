/* errq.h: the error queue of a socket (IP_RECVERR in ip(7), MSG_ERRQUEUE in recv(2)): ICMP errors with the
 * packet they are about, local errors, time stamps of what was sent, ends of zero-copy sends. For every
 * protocol.
 *
 * Theory of operation. Few sockets have one: queues are found by their pcb in a hash table, made with the
 * first entry and freed with the last. PCB_ERRQ in pcb.flags says that there is one, that is, that something
 * is in it: readiness (EPOLLERR) and close look at that bit alone. An entry is what one recvmsg(MSG_ERRQUEUE)
 * gives. Entries are charged to SO_RCVBUF as Linux charges them, and bounded in all.
 *
 * so_error. An ICMP entry sets the pcb's pending error besides; taking entries leaves it at that of the next
 * ICMP entry (Linux: sock_dequeue_err_skb).
 *
 * Context of all functions: the shard's lock.
 */
#ifndef SHUNT_ERRQ_H
#define SHUNT_ERRQ_H

#include <sys/types.h>
#include <time.h>

#include <linux/errqueue.h> /* wants struct timespec */

#include "ip.h"
#include "pcb.h"

struct stamp;

#define ERRQ_ENTRIES 65536 /* of all sockets */

struct errq_entry {
    struct list node;
    struct sock_extended_err ee;
    uint8_t v4;       /* the error is about IPv4 */
    uint8_t has_name; /* name is given as msg_name: where our packet went */
    struct endpoint name;
    struct ipaddr offender; /* who reported; any: nobody */
    /* of the packet that reported, for IP_RECVTTL and its like */
    struct ipaddr to;
    uint8_t ttl, tos, ifindex;
    uint8_t from_wire;         /* these fields are set */
    uint64_t stamp_ns;         /* by the wall clock; 0: none */
    struct rte_mbuf *m;        /* payload; NULL: none */
    uint32_t zc_end, zc_bytes; /* a zero-copy send on its way (tcp_zerocopy.h): where it ends, its bytes */
    uint32_t off, charge;      /* where the payload starts in m; bytes charged */
};

int errq_init(struct shard *sh); /* 0 or -ENOMEM */

/* Queues a copy of *e, whose m it takes over (freed on failure), and raises EV_ERR. limit: SO_RCVBUF. 0, or
 * -ENOMEM (the buffer is full, counted nowhere, as in Linux). so_error is the caller's to set. */
int errq_add(struct shard *sh, struct pcb *pcb, const struct errq_entry *e, uint32_t limit);

/* An ICMP error about pcb's packet to port port_be. off: where the payload starts in err->data (from the
 * quoted IP header on), e.g. behind the transport header; what was quoted from there on is the entry's
 * payload. */
int errq_icmp(struct shard *sh, struct pcb *pcb, const struct icmp_error *err, uint16_t port_be, uint32_t off,
              uint32_t limit);
/* An error found here, before sending to dst: -EMSGSIZE with the path MTU in info. */
int errq_local(struct shard *sh, struct pcb *pcb, int err, uint32_t info, const struct endpoint *dst,
               uint32_t limit);

/* Ends of zero-copy sends (MSG_ZEROCOPY in send(2), Documentation/networking/msg_zerocopy.rst). The entry is
 * made when the bytes are taken, so that what was promised can be told: of call id; NULL: no memory. */
struct errq_entry *errq_zerocopy_new(struct shard *sh, uint32_t id);
/* The calls of e are done: joins the newest entry if that is about those just before, else queues e. Takes e
 * over. Raises EV_ERR. */
void errq_zerocopy_done(struct shard *sh, struct pcb *pcb, struct errq_entry *e);
void errq_zerocopy_free(struct shard *sh, struct errq_entry *e);
/* May the socket, with `pending` sends that are not done, have one more (net.core.optmem_max)? */
bool errq_zerocopy_room(struct shard *sh, const struct pcb *pcb, uint32_t pending);

/* recvmsg(MSG_ERRQUEUE): the oldest entry into msg. put_ctl, NULL or the protocol's: control messages that
 * the socket wants about the reporting packet; s: its stamp options (NULL: none). Bytes of payload, -EAGAIN,
 * -EFAULT. */
ssize_t errq_recv(struct shard *sh, struct pcb *pcb, struct msghdr *msg, const struct stamp *s,
                  void (*put_ctl)(struct shard *sh, struct pcb *pcb, const struct errq_entry *e,
                                  struct msghdr *msg, size_t *used));
/* After a process was killed in here, before the sockets are mended. */
void errq_mend(struct shard *sh);
/* The socket goes. Cheap when there is no queue. */
void errq_purge(struct shard *sh, struct pcb *pcb);

static inline bool errq_any(const struct pcb *pcb)
{
    return pcb->flags & PCB_ERRQ;
}

#endif
