/* pcb.h: what a TCP, UDP or raw protocol control block has in common: names, options, and the door to the
 * socket above.
 *
 * Lifetimes. A pcb outlives its socket (an orphan finishing its FIN) and precedes it (a connection not yet
 * accepted): user is NULL then. The protocol owns the pcb and frees it; the socket detaches first by calling
 * the protocol's close.
 *
 * Events go up as data, never as calls: the protocol sets bits in events and links the pcb on the shard's
 * dirty list (pcb_event); the socket layer drains that list once a burst and wakes each waiter once.
 */
#ifndef SHUNT_PCB_H
#define SHUNT_PCB_H

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"
#include "list.h"

enum pcb_event {
    EV_IN = 1u << 0,    /* data, a datagram, or a connection to accept came */
    EV_OUT = 1u << 1,   /* send space came, or connect finished */
    EV_ERR = 1u << 2,   /* so_error was set */
    EV_HUP = 1u << 3,   /* both directions are closed */
    EV_RDHUP = 1u << 4, /* the peer's FIN came */
    EV_PRI = 1u << 5,   /* urgent data */
    EV_URG = 1u << 6,   /* an urgent pointer came: SIGURG */
};

enum pcb_flag {
    PCB_BOUND = 1u << 0, /* has a local port, in the port table */
    PCB_REUSEADDR = 1u << 1,
    PCB_REUSEPORT = 1u << 2,
    PCB_V6ONLY = 1u << 3,
    PCB_V6 = 1u << 4,          /* socket of AF_INET6 */
    PCB_ADDR_LOCKED = 1u << 5, /* bind gave a specific address */
    PCB_PORT_LOCKED = 1u << 6, /* bind gave a specific port */
    PCB_BROADCAST = 1u << 7,
    PCB_DONTROUTE = 1u << 8,
    PCB_PORT_SHARED = 1u << 9, /* connect chose the port: other active opens may use it too */
    PCB_RECVERR = 1u << 10,    /* IP_RECVERR */
    PCB_RECVERR6 = 1u << 11,   /* IPV6_RECVERR */
    PCB_ERRQ = 1u << 12,       /* has an error queue (errq.h) */
    PCB_OOBINLINE = 1u << 13,  /* SO_OOBINLINE */
};

struct pcb {
    struct list hash;              /* in the connection or listener table */
    struct list port_node;         /* in its port's list (port.h) */
    struct list dirty;             /* on the shard's dirty list while events != 0 */
    void *user;                    /* struct sock, or NULL */
    struct endpoint local, remote; /* any/0 when not set */
    uint16_t flags;                /* enum pcb_flag */
    uint8_t proto;                 /* IPPROTO_TCP, _UDP */
    uint8_t shard;
    uint8_t events;       /* enum pcb_event not yet handed up */
    uint8_t tos, ttl;     /* of IPv4 packets; ttl 0: the stack's default */
    uint8_t ifindex;      /* SO_BINDTODEVICE; 0: any */
    uint8_t so_error;     /* pending error, a positive errno; the socket layer takes it */
    uint8_t soft_error;   /* last ICMP soft error */
    uint8_t tclass, hops; /* as tos and ttl, of IPv6 packets */
    uint32_t filter;      /* SO_ATTACH_FILTER (filter.h), 0: none; a reference held */
};

/* What a packet to dst has of p's. */
static inline uint8_t pcb_ttl(const struct pcb *p, const struct ipaddr *dst)
{
    return ipaddr_is_v4(dst) ? p->ttl : p->hops;
}

static inline uint8_t pcb_tos(const struct pcb *p, const struct ipaddr *dst)
{
    return ipaddr_is_v4(dst) ? p->tos : p->tclass;
}

#endif
