/* sock.h: sockets: a struct file over a protocol control block. What is below socket(2) and above TCP and UDP: address families' sockaddrs, placement,
 * generic options, pending errors.
 *
 * Placement (design section 2). A fresh IP socket is UNDECIDED: it has options recorded and no pcb's name yet. bind, connect, listen or the first send decides:
 * STACK; KERNEL (the interposer makes a kernel socket, replays the recorded options and puts it on the number; the file goes away); BOTH (a wildcard in profile default: the number is a kernel
 * socket and the file serves the wire).
 */
#ifndef SHUNT_SOCK_H
#define SHUNT_SOCK_H

#include <sys/socket.h>

#include "pcb.h"
#include "ready.h"

struct sock {
    struct file file; /* first */
    struct pcb *pcb;  /* tcb or udpcb */
    struct shard *sh;
    uint16_t domain, type, protocol; /* as getsockopt SO_DOMAIN, SO_TYPE, SO_PROTOCOL */
    uint8_t shut;                    /* 1: read, 2: write */
    uint8_t listening;
    int64_t rcvtimeo_us, sndtimeo_us; /* 0: for ever */
    struct list opts;                 /* struct sock_opt: recorded setsockopt calls, until decided (UDP and BOTH: kept) */
    /* more of sock.c's own may follow */
    uint32_t rcvlowat;
    int32_t owner; /* F_SETOWN */
    uint32_t mark, priority;
    struct list opt_spare;
};

static inline struct sock *file_sock(struct file *f)
{
    return (struct sock *)f;
}

int sock_new(struct stack *st, int domain, int type, int protocol, struct sock **out); /* -EAFNOSUPPORT, -EPROTONOSUPPORT, -ESOCKTNOSUPPORT, -ENOBUFS... as Linux */
void sock_close(struct stack *st, struct sock *s); /* file_put's */
uint32_t sock_poll(struct sock *s);
/* Drains the shard's dirty list: pcb events to ready_notify. Layer 7 calls it once a burst. */
void sock_hand_up(struct shard *sh);

#endif
