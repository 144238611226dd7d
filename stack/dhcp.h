/* dhcp.h: the DHCPv4 client (RFC 2131): an address for a link by `--addr dhcp`.
 *
 * Theory of operation. One client an interface, in the states of RFC 2131 section 4.4, on one timer each:
 *
 *   INIT        waits a while, then asks
 *   SELECTING   DISCOVER goes out again and again, 1 s to 64 s apart; the first usable offer is taken
 *   REQUESTING  REQUEST for it; after DHCP_REQUEST_TRIES of them INIT again
 *   PROBING     the address is the interface's, tentative: ARP asks whether another host has it (RFC 5227).
 *               If so: DECLINE, and INIT after a wait
 *   BOUND       till T1
 *   RENEWING    REQUEST to the server, till T2
 *   REBINDING   REQUEST to all, till the lease is over: then the address is taken away, and INIT
 *
 * Before there is an address nothing of IP output can be used: those messages are built as whole frames, from
 * 0.0.0.0 to all, with the flag that asks the server to answer to all. Answers come by udp_input, before (to
 * all) or after (to us) its sockets had their turn.
 *
 * What a lease brings: address and prefix, routes (option 121, else the router of option 3), an MTU below the
 * link's. Name servers are noted only: programs read the host's resolv.conf.
 *
 * Whom we believe. Any host on the link can answer; that is DHCP. An answer must name our transaction, our
 * link address and, once one was chosen, that server.
 */
#ifndef SHUNT_DHCP_H
#define SHUNT_DHCP_H

#include "ip.h"
#include "timer.h"
#include "wire_dhcp.h"
#include "wire_udp.h"

#define DHCP_FIRST_MS      1000 /* Differs: RFC 2131 section 4.1 begins with 4 s; a program waits for us */
#define DHCP_MAX_MS        64000
#define DHCP_REQUEST_TRIES 4
#define DHCP_RENEW_MIN_MS  60000 /* section 4.4.5: between requests of one lease */
#define DHCP_DECLINED_MS   10000 /* section 3.1 (5) */
#define DHCP_NAK_MS        1000  /* a server that offers and refuses is not asked faster */
#define DHCP_PROBE_MS      20    /* how often ARP's verdict is looked for */
#define DHCP_LEASE_MIN_S   10    /* a shorter lease is no offer */
#define DHCP_MTU_MIN       576   /* a smaller one is not believed */

enum dhcp_state {
    DHCP_OFF,
    DHCP_INIT,
    DHCP_SELECTING,
    DHCP_REQUESTING,
    DHCP_PROBING,
    DHCP_BOUND,
    DHCP_RENEWING,
    DHCP_REBINDING,
};

struct dhcp_client {
    struct timer timer; /* TIMER_DHCP */
    uint64_t due_ms;    /* what the timer is for; it may fire earlier */
    uint64_t begin_ms;  /* since when an address is asked for */
    uint64_t asked_ms;  /* when the REQUEST went: the lease counts from there (section 4.4.1) */
    uint64_t t1_ms, t2_ms, expires_ms;
    uint32_t xid;
    uint32_t wait_ms; /* the latest retransmission interval */
    uint32_t link_mtu;
    uint8_t state; /* enum dhcp_state */
    uint8_t ifindex, tries;
    bool heard;   /* some server answered, ever */
    bool held;    /* the interface has lease.yiaddr_be by us */
    uint8_t plen; /* of it */
    uint8_t nroutes;
    struct dhcp_route route[DHCP_ROUTES * 2]; /* in the table by us */
    struct dhcp_msg lease;                    /* the offer that was taken, later the latest ACK */
};

struct dhcp_table {
    struct dhcp_client client[NETDEV_MAX];
};

/* Begins to ask for an address for interface ifindex. 0, -ENODEV (loopback, or a link without ARP), -ENOMEM,
 * -EALREADY. Context of all: shard 0's lock. */
int dhcp_start(struct shard *sh, unsigned ifindex);
/* A datagram to port 68, m at its UDP header (checked, h). True: it was for a client here, m is freed. */
bool dhcp_input(struct shard *sh, struct rte_mbuf *m, const struct rxinfo *ri, const struct udp_hdr_in *h);
/* TIMER_DHCP fired. */
void dhcp_timer(struct shard *sh, struct timer *t);
/* Gives all leases back: the stack ends. True: there was one, and messages wait to be sent. */
bool dhcp_release(struct shard *sh);
/* The client of interface ifindex; NULL: none was started. */
const struct dhcp_client *dhcp_client(const struct shard *sh, unsigned ifindex);
/* Tells of the lease, at level info. The client does not by itself: as a rule the process that runs its timer
 * is the keeper, which has no standard error. */
void dhcp_log(const struct shard *sh, const struct dhcp_client *c);
/* True while the interface has its lease's address, checked. */
bool dhcp_is_bound(const struct dhcp_client *c);

#endif
