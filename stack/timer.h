/* timer.h: a hierarchical timer wheel with a tick of one millisecond.
 *
 * Arming, re-arming and cancelling are O(1). A timer carries a kind instead of a function, because it lives
 * in the segment: whoever runs the wheel dispatches on it. Time comes in as an argument. Context: the lock of
 * the shard that owns the wheel.
 */
#ifndef SHUNT_TIMER_H
#define SHUNT_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "list.h"

#define WHEEL_LEVELS 5
#define WHEEL_BITS   6
#define WHEEL_SLOTS  (1u << WHEEL_BITS)
#define WHEEL_NEVER  UINT64_MAX

enum timer_kind {
    TIMER_NONE,
    TIMER_TCB,       /* struct tcb: whichever of its deadlines is due (tcp_timer) */
    TIMER_SYNREQ,    /* a half-open connection: SYN-ACK retransmission */
    TIMER_TW,        /* a compact TIME_WAIT entry */
    TIMER_NEIGH,     /* neighbour cache entry */
    TIMER_FRAG,      /* reassembly queue */
    TIMER_STACK,     /* housekeeping of the stack: ARP's probes and announcements */
    TIMER_MC_CHANGE, /* multicast membership (mcast.h): reports of changes, */
    TIMER_MC_QUERY,  /* the answer to a general query, */
    TIMER_MC_GROUP,  /* to one about a group */
    TIMER_ND,        /* IPv6 addresses and routers: probes, solicitations, lifetimes */
    TIMER_DHCP,      /* the DHCP client of an interface */
    TIMER_PACKET,    /* a block of a packet socket's ring */
};

struct timer {
    struct list node;
    uint64_t expires_ms : 48; /* in one word with what it is: connections hold many timers */
    uint64_t kind : 6;
    uint64_t armed : 1;
    uint64_t level : 3, slot : 6;
};

struct wheel {
    uint64_t now_ms; /* all timers up to here have fired */
    uint32_t armed;
    uint64_t occupied[WHEEL_LEVELS]; /* a bit a slot */
    struct list slot[WHEEL_LEVELS][WHEEL_SLOTS];
    /* Empty but in wheel_run. Here, not on its stack: a process that dies in there leaves them to the next.
     */
    struct list moving;  /* taken from their slot, to be placed again */
    struct list due;     /* to be fired */
    struct list *opened; /* the slot whose timers are being taken over to moving */
    struct timer *moved; /* the one being put in or taken out: what is linked of it is not known */
};

void wheel_init(struct wheel *w, uint64_t now_ms);
void timer_init(struct timer *t, enum timer_kind kind);
/* Fires at the first wheel_run with now_ms >= expires_ms; a past time fires at the next tick. Re-arms when
 * armed. */
void timer_arm(struct wheel *w, struct timer *t, uint64_t expires_ms);
void timer_cancel(struct wheel *w, struct timer *t);
/* Advances to now_ms and calls fire for each timer that is due, disarmed first. fire may arm and cancel any
 * timer. */
void wheel_run(struct wheel *w, uint64_t now_ms, void (*fire)(void *arg, struct timer *t), void *arg);
/* A lower bound of the next expiry in ms that is never late (it may be early by a cascade), WHEEL_NEVER when
 * none. */
uint64_t wheel_next(const struct wheel *w);
/* After a process was killed in the middle of any of these: makes the wheel whole. No timer is lost. */
void wheel_mend(struct wheel *w);

#endif
