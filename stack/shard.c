/* shard.c: the lock, the poll loop and the transmit queues of a shard.
 *
 * Theory of operation. A shard has no thread of its own: whoever enters a socket call takes the lock, may
 * poll, and leaves. The lock is a robust process-shared mutex, because a process of the family can be killed
 * while it holds it. The next owner then gets EOWNERDEAD, makes whole what can be torn (mend) and goes on.
 * That works because updates are ordered such that a break in the middle loses rather than frees twice
 * (txq_flush shows the pattern; list.h's list_step keeps the compiler from changing the order; the processor
 * does not matter, as the kernel's unlocking for the dead stands between), because objects say of themselves
 * whether they are in use, so that lists and counts can be had from them again, and because the one
 * connection that may be torn inside is known (work).
 *
 * Loopback. Frames for interface 0 go on a list instead of to a device, and come back as input at the end of
 * the same call (shard_flush), as Linux runs loopback's softirq at the end of the send. A peer on the same
 * stack is thus woken by the sender's own call. What LO_ROUNDS don't finish is left for the next call:
 * shard_next_timer_ns says "now" meanwhile.
 *
 * Relay. A netdev is function pointers and a driver's private state, so that a process that joined the family
 * by exec, not by fork, has none. What it sends goes on a list of the interface in the segment, whole batches
 * in their order, and whoever has the device and polls next sends the list before anything else. The one who
 * sleeps on the devices is woken for it as for a timer (shard_next_timer_ns); where nobody sleeps there
 * relay_fn has the keeper do it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rte_lcore.h>

#include "capture.h"
#include "cksum.h"
#include "except.h"
#include "extent.h"
#include "ip_ext.h"
#include "lane.h"
#include "log.h"
#include "mark.h"
#include "family.h"
#include "route.h"
#include "neigh.h"
#include "mcast.h"
#include "frag.h"
#include "errq.h"
#include "dgram_mc.h"
#include "ip.h"
#include "netlink.h"
#include "pcb.h"
#include "packet.h"
#include "ping.h"
#include "pkt.h"
#include "port.h"
#include "port_reuse.h"
#include "raw.h"
#include "ready.h"
#include "rtnl.h"
#include "rx.h"
#include "shard.h"
#include "sock.h"
#include "sweep.h"
#include "tcp.h"
#include "udp.h"
#include "vlan.h"
#include "wire_ip4.h"

#define LO_ROUNDS    256            /* bursts of loopback frames a flush works off at most */
#define LO_QUEUE_MAX 4096           /* frames; Linux's netdev_max_backlog is 1000 */
#define TX_RETRY_NS  50000          /* how soon to try again when a port was full */
#define RELAY_MAX    4096           /* frames an interface that wait for a member with the device */
#define TX_DATA      (TX_BATCH - 8) /* places of the queue that TCP's data may fill */
#define TX_LONG      8              /* those that frames of many segments may */
#define RELAY_DATA   256            /* the same of the relay */

static void (*wake_fn)(unsigned wake_index);

void shard_set_wake(void (*fn)(unsigned wake_index))
{
    wake_fn = fn;
}

static void (*signal_fn)(const struct sig_due *s);

void shard_set_signal(void (*fn)(const struct sig_due *s))
{
    signal_fn = fn;
}

static void (*relay_fn)(struct shard *sh);

void shard_set_relay(void (*fn)(struct shard *sh))
{
    relay_fn = fn;
}

bool shard_relays(void)
{
    return relay_fn != NULL;
}

void shard_signal(struct shard *sh, const struct sig_due *due)
{
    for (uint32_t i = 0; i < sh->nsig; i++)
        if (sh->sig[i].who == due->who && sh->sig[i].type == due->type && sh->sig[i].sig == due->sig &&
            sh->sig[i].fd == due->fd && sh->sig[i].code == due->code)
            return;
    if (sh->nsig < SIG_DUE_MAX)
        sh->sig[sh->nsig++] = *due;
}

static void (*mend_fn)(struct shard *sh);

void shard_set_mend(void (*fn)(struct shard *sh))
{
    mend_fn = fn;
}

/* Frames on loopback, read forward. */
static void mend_loopback(struct shard *sh)
{
    sh->lo_tail = NULL;
    sh->lo_len = 0;
    for (struct rte_mbuf *m = sh->lo_head; m; m = pkt_meta(m)->link) {
        sh->lo_tail = m;
        sh->lo_len++;
    }
}

/* The same for those that members without the device left. */
static void mend_relay(struct txq *q)
{
    q->relay_tail = NULL;
    q->nrelay = 0;
    for (struct rte_mbuf *m = q->relay_head; m; m = pkt_meta(m)->link) {
        q->relay_tail = m;
        q->nrelay++;
    }
}

static void mend_tx(struct shard *sh)
{
    for (unsigned i = 0; i < NETDEV_MAX; i++) {
        struct txq *q = &sh->tx[i];

        mend_relay(q);
        /* old addresses would hide lost frames from the sweep */
        memset(&q->m[q->n], 0, (TX_BATCH - q->n) * sizeof q->m[0]);
    }
}

/* The owner was killed in the middle of something: what is shared is made whole, what it was changing (work)
 * is given up, and who sleeps is woken to look again, because what would have been told is not known. From
 * the bottom up: buffers, timers, queues of frames, transports, files, and last the files that nobody holds,
 * whose end takes all of the others. Whoever is killed in here leaves the same to the next owner. */
static void mend(struct shard *sh)
{
    for (uint32_t i = 0; mend_fn && i < sh->st->nshard; i++)
        if (sh->st->shard[i].torn)
            mend_fn(&sh->st->shard[i]);
    wheel_mend(&sh->wheel);
    if (sh->many)
        lanes_mend(sh->st);
    mend_loopback(sh);
    for (uint32_t i = 0; i < sh->st->nshard; i++)
        mend_tx(&sh->st->shard[i]);
    sh->icmp_copy->m = NULL;
    sh->nsig = 0;
    list_init(&sh->dirty);
    route_mend(sh->st);
    neigh_mend(sh);
    frag_mend(sh);
    mc_mend(sh);
    dgram_mc_mend_begin(sh);
    errq_mend(sh);
    port_mend(sh->st, sh->work);
    tcp_mend(sh);
    extent_mend(sh->st);
    udp_mend(sh);
    raw_mend(sh);
    ping_mend(sh);
    packet_mend(sh);
    netlink_mend(sh);
    dgram_mc_mend_end(sh);
    ip_ext_mend(sh);
    reuse_mend(sh);
    ready_mend(sh->st);
    family_mend(sh->st);
    for (uint32_t i = 0; i < sh->st->nshard; i++)
        sh->st->shard[i].work = NULL;
    if (!sh->sweep_ns)
        sh->sweep_ns = sh->now_ns + SWEEP_AFTER_NS;
}

/* r: what locking the mutex returned. */
static void lock_taken(struct shard *sh, int r)
{
    if (__builtin_expect(r != 0, 0)) {
        if (r != EOWNERDEAD) {
            /* ENOTRECOVERABLE: an owner died in the recovery. Nothing can be saved. */
            log_error("shard %u: lock unusable (%d)", sh->id, r);
            abort();
        }
        sh->torn = true; /* what was begun stays so until somebody has mended it */
        pthread_mutex_consistent(&sh->lock);
        sh->count[COUNT_LOCK_RECOVERED]++;
        log_warn("a process died inside the stack; going on");
    }
    RTE_PER_LCORE(_lcore_id) = sh->id;
}

/* On every call's way. */
static __rte_always_inline bool one_lock(struct shard *sh, bool try)
{
    int r = pthread_mutex_trylock(&sh->lock);

    if (r == EBUSY) {
        if (try)
            return false;
        /* Taking it twice in one thread is a bug that must not look like a hang. */
        if (__builtin_expect(RTE_PER_LCORE(_lcore_id) == sh->id, 0)) {
            log_error("shard %u: lock taken twice", sh->id);
            abort();
        }
        r = pthread_mutex_lock(&sh->lock);
    }
    lock_taken(sh, r);
    return true;
}

bool shard_one_lock(struct shard *sh, bool try)
{
    return one_lock(sh, try);
}

static inline void one_unlock(struct shard *sh)
{
    RTE_PER_LCORE(_lcore_id) = LCORE_ID_ANY;
    pthread_mutex_unlock(&sh->lock);
}

void shard_one_unlock(struct shard *sh)
{
    one_unlock(sh);
}

/* Who holds all locks works on shard 0, whichever a connection lives on. */
static inline struct shard *held(struct shard *sh)
{
    return __builtin_expect(sh->many, 0) && sh->st->all ? &sh->st->shard[0] : sh;
}

/* Of all shards, sh's is held. */
static __rte_noinline bool lock_others(struct shard *sh, bool try)
{
    struct stack *st = sh->st;
    bool torn = sh->torn;

    for (uint32_t i = 1; i < st->nshard; i++) {
        if (!shard_one_lock(&st->shard[i], try)) {
            while (--i > 0)
                shard_one_unlock(&st->shard[i]);
            shard_one_unlock(sh);
            return false;
        }
        torn |= st->shard[i].torn;
    }
    if (sh->many)
        lanes_taken(st);
    if (__builtin_expect(torn, 0)) {
        mend(sh);
        for (uint32_t i = 0; i < st->nshard; i++)
            st->shard[i].torn = false;
    }
    return true;
}

void shard_lock(struct shard *sh)
{
    one_lock(sh, false);
    if (__builtin_expect(sh->many | sh->torn, 0))
        lock_others(sh, false);
    MARK_GO(CALL);
}

/* The leader sleeps until what was the next timer when it lay down: a timer due earlier must wake it, or
 * nobody runs it. Of several shards' owners one does. */
static void wake_leader(struct shard *sh)
{
    struct shard *first = &sh->st->shard[0];
    uint64_t until_ns = __atomic_load_n(&first->leader_until_ns, __ATOMIC_RELAXED);

    if (until_ns == 0 || shard_next_timer_ns(sh) >= until_ns ||
        !__atomic_exchange_n(&first->leader_until_ns, 0, __ATOMIC_RELAXED))
        return;
    if (first->leader && first->leader->wake != WAKE_NONE && sh->nwake < WAKE_MAX)
        sh->wake[sh->nwake++] = first->leader->wake;
}

bool shard_trylock(struct shard *sh)
{
    if (!shard_one_lock(sh, true))
        return false;
    return !(sh->many | sh->torn) || lock_others(sh, true);
}

void shard_unlock(struct shard *sh)
{
    struct sig_due sig[SIG_DUE_MAX];
    uint16_t wake[WAKE_MAX];
    uint32_t n, nsig;
    bool slow = false;

    sh = held(sh);
    if (__builtin_expect(sh->many, 0))
        slow = lanes_end(sh);
    if (!slow) /* else this thread is about to do it */
        wake_leader(sh);
    n = sh->nwake;
    nsig = sh->nsig;

    memcpy(wake, sh->wake, n * sizeof wake[0]);
    sh->nwake = 0;
    if (__builtin_expect(nsig != 0, 0)) {
        memcpy(sig, sh->sig, nsig * sizeof sig[0]);
        sh->nsig = 0;
    }
    sh->work = NULL;
    if (__builtin_expect(sh->many, 0))
        lanes_release(sh);
    one_unlock(sh);
    /* After the lock is dropped: who wakes up wants it. */
    for (uint32_t i = 0; i < n && wake_fn; i++)
        wake_fn(wake[i]);
    for (uint32_t i = 0; i < nsig && signal_fn; i++)
        signal_fn(&sig[i]);
    if (slow)
        lanes_catch_up(sh->st);
    MARK_GO(PROGRAM);
}

void pcb_event(struct shard *sh, struct pcb *pcb, unsigned events)
{
    if (!events)
        return;
    if (!pcb->events)
        list_add_tail(&sh->dirty, &pcb->dirty);
    pcb->events |= (uint8_t)events;
}

/* Who reads whole packets is to see an IP header's checksum that was left to the port. */
static void finish_ip_cksum(struct rte_mbuf *m)
{
    struct ip4_hdr *ip = rte_pktmbuf_mtod_offset(m, struct ip4_hdr *, m->l2_len);

    if (m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM)
        ip->cksum = cksum(ip, ip4_hlen(ip));
}

/* Turns a frame that was sent into one that was received: it never left memory, so that its checksums need no
 * look but for those that a program wrote; offload marks of the send side go. */
static void lo_enqueue(struct shard *sh, unsigned ifindex, struct rte_mbuf *m)
{
    struct ifnet *ifn = &sh->st->ifn[0];

    if (sh->lo_len >= LO_QUEUE_MAX) {
        ifn->tx_dropped++;
        pkt_drop(sh, m, COUNT_TX_FULL);
        return;
    }
    if (__builtin_expect(raw_wanted(sh) || packet_wanted(sh), 0))
        finish_ip_cksum(m);
    bool whole = m->ol_flags & RTE_MBUF_F_TX_TCP_SEG;

    m->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
    if (whole) /* tso_segsz says of how many */
        m->ol_flags |= RTE_MBUF_F_RX_LRO;
    m->ol_flags |=
        RTE_MBUF_F_RX_IP_CKSUM_GOOD | (m->packet_type & PKT_UNSUMMED ? 0 : RTE_MBUF_F_RX_L4_CKSUM_GOOD);
    m->packet_type &= PKT_ROUTED | PKT_UNSUMMED;
    m->port = (uint16_t)ifindex; /* rx_loopback's */
    ifn->tx_packets++;
    ifn->tx_bytes += m->pkt_len;
    pkt_meta(m)->link = NULL;
    if (sh->lo_tail)
        pkt_meta(sh->lo_tail)->link = m;
    else
        sh->lo_head = m;
    sh->lo_tail = m;
    sh->lo_len++;
}

static void count_tx(struct shard *sh, unsigned ifindex, uint32_t frames, uint64_t bytes, uint64_t lost)
{
    struct ifnet *ifn = &sh->st->ifn[ifindex];

    if (__builtin_expect(sh->id != 0, 0)) {
        sh->ifc[ifindex].tx_packets += frames;
        sh->ifc[ifindex].tx_bytes += bytes;
        sh->ifc[ifindex].tx_dropped += lost;
        return;
    }
    ifn->tx_packets += frames;
    ifn->tx_bytes += bytes;
    ifn->tx_dropped += lost;
}

/* Leaves the batch to a member that has the device. */
static void relay_put(struct shard *sh, unsigned ifindex)
{
    struct txq *q = &sh->tx[ifindex];
    uint32_t n = q->n;

    q->n = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct rte_mbuf *m = q->m[i];

        if (q->nrelay == RELAY_MAX) {
            count_tx(sh, ifindex, 0, 0, 1);
            pkt_drop(sh, m, COUNT_TX_FULL);
            continue;
        }
        pkt_meta(m)->link = NULL;
        if (q->relay_tail)
            pkt_meta(q->relay_tail)->link = m;
        else
            q->relay_head = m;
        q->relay_tail = m;
        q->nrelay++;
    }
    if (relay_fn && q->nrelay)
        relay_fn(sh);
}

/* The first frames of the list, at most TX_BATCH, off it. */
static uint32_t relay_take(struct txq *q, struct rte_mbuf **m)
{
    uint32_t n = 0;

    while (n < TX_BATCH && q->relay_head) {
        m[n] = q->relay_head;
        q->relay_head = pkt_meta(m[n])->link;
        n++;
    }
    if (!q->relay_head)
        q->relay_tail = NULL;
    q->nrelay -= n;
    return n;
}

/* The ones that the port did not take, back to its front. */
static void relay_put_back(struct txq *q, struct rte_mbuf **m, uint32_t n)
{
    while (n--) {
        pkt_meta(m[n])->link = q->relay_head;
        q->relay_head = m[n];
        if (!q->relay_tail)
            q->relay_tail = m[n];
        q->nrelay++;
    }
}

/* Hands n frames to the port. Returns how many it took. */
static uint32_t dev_tx(struct shard *sh, unsigned ifindex, struct netdev *dev, struct rte_mbuf **m,
                       uint32_t n)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < n; i++)
        bytes += m[i]->pkt_len;
    MARK_GO(TX);
    uint32_t sent = dev->ops->tx(dev, (uint16_t)sh->id, m, (uint16_t)n);
    MARK_GO(CALL);
    for (uint32_t i = sent; i < n; i++)
        bytes -= m[i]->pkt_len;
    count_tx(sh, ifindex, sent, bytes, dev->tx_lost[sh->id]);
    sh->count[COUNT_TX_LOST] += dev->tx_lost[sh->id];
    dev->tx_lost[sh->id] = 0;
    return sent;
}

/* True when the list is empty. */
static bool relay_flush(struct shard *sh, unsigned ifindex, struct netdev *dev)
{
    struct txq *q = &sh->tx[ifindex];
    struct rte_mbuf *m[TX_BATCH];

    while (q->relay_head) {
        uint32_t n = relay_take(q, m), sent = dev_tx(sh, ifindex, dev, m, n);

        if (sent < n) {
            relay_put_back(q, m + sent, n - sent);
            return false;
        }
    }
    return true;
}

/* Hands the batch to the port and keeps what it doesn't take. The queue is empty while the port works: a
 * process killed in there leaks frames, but none is sent or freed twice. A member of the family without the
 * device leaves the frames to one that has it. */
static void txq_flush(struct shard *sh, unsigned ifindex)
{
    struct txq *q = &sh->tx[ifindex];
    struct netdev *dev = netdev_get(ifindex);
    struct rte_mbuf *m[TX_BATCH];
    uint32_t n;

    if (__builtin_expect(!dev, 0)) {
        relay_put(sh, ifindex);
        return;
    }
    if (__builtin_expect(q->nrelay != 0, 0) && !relay_flush(sh, ifindex, dev))
        return;
    n = q->n;
    if (!n)
        return;
    memcpy(m, q->m, n * sizeof m[0]);
    q->n = 0;
    uint32_t sent = dev_tx(sh, ifindex, dev, m, n);
    for (uint32_t i = sent; i < n; i++)
        q->m[i - sent] = m[i];
    q->n = n - sent;
}

/* Out by the interface that carries the VLAN. */
static void vlan_tx(struct shard *sh, struct ifnet *ifn, struct rte_mbuf *m)
{
    if (!vlan_tag(ifn, m)) {
        ifn->tx_dropped++;
        pkt_drop(sh, m, COUNT_IP_OUT_DISCARD);
        return;
    }
    ifn->tx_packets++;
    ifn->tx_bytes += m->pkt_len;
    shard_tx(sh, ifn->vlan_parent, m);
}

void shard_tx(struct shard *sh, unsigned ifindex, struct rte_mbuf *m)
{
    if (__builtin_expect(packet_wanted(sh), 0))
        packet_tap(sh, ifindex, m, true);
    if (sh->st->ifn[ifindex].caps & NETDEV_LOOPBACK) {
        lo_enqueue(sh, ifindex, m);
        return;
    }
    if (__builtin_expect(sh->st->ifn[ifindex].tx_odd, 0)) {
        if (!sh->st->ifn[ifindex].up) {
            count_tx(sh, ifindex, 0, 0, 1);
            pkt_drop(sh, m, COUNT_IP_OUT_DISCARD);
            return;
        }
        if (sh->st->ifn[ifindex].vlan_id) {
            vlan_tx(sh, &sh->st->ifn[ifindex], m);
            return;
        }
        if (sh->st->ifn[ifindex].except_if && !except_tx(sh, &sh->st->ifn[ifindex], m))
            return;
    }
    shard_tx_bare(sh, ifindex, m);
}

void shard_tx_bare(struct shard *sh, unsigned ifindex, struct rte_mbuf *m)
{
    struct txq *q = &sh->tx[ifindex];

    if (q->n == TX_BATCH)
        txq_flush(sh, ifindex);
    if (q->n == TX_BATCH) {
        count_tx(sh, ifindex, 0, 0, 1);
        pkt_drop(sh, m, COUNT_TX_FULL);
        return;
    }
    q->m[q->n++] = m;
}

bool shard_tx_room(struct shard *sh, unsigned ifindex, uint32_t n, bool long_frames)
{
    const struct txq *q = &sh->tx[ifindex];
    uint32_t most = long_frames ? TX_LONG : TX_DATA;

    if (q->n + n <= most && !q->nrelay)
        return true;
    txq_flush(sh, ifindex);
    /* A burst longer than the queue goes once that is empty. */
    return (q->n + n <= most || q->n == 0) && q->nrelay < RELAY_DATA;
}

void shard_loop(struct shard *sh, unsigned ifindex, struct rte_mbuf *m)
{
    lo_enqueue(sh, ifindex, m);
    m->packet_type = PKT_LOOPED;
}

void shard_tx_flush(struct shard *sh)
{
    for (unsigned i = 0; i < sh->st->nif; i++)
        if (sh->tx[i].n | sh->tx[i].nrelay)
            txq_flush(sh, i);
}

static void publish_capture(struct shard *sh)
{
    if (capture_publish(sh) && sh->nwake < WAKE_MAX)
        sh->wake[sh->nwake++] = sh->cap->wake;
}

void shard_flush(struct shard *sh)
{
    sh = held(sh);
    if (__builtin_expect(sh->many, 0) && !lanes_flush(sh))
        return;
    tcp_burst_end(sh);
    for (int round = 0; sh->lo_head && round < LO_ROUNDS; round++) {
        rx_loopback(sh);
        tcp_burst_end(sh);
    }
    sh->work = NULL;
    if (__builtin_expect(sh->st->listened, 0))
        rtnl_tell(sh, 0, 0);
    sock_hand_up(sh);
    shard_tx_flush(sh);
    if (__builtin_expect(sh->cap != NULL, 0))
        publish_capture(sh);
}

unsigned shard_poll(struct shard *sh, uint64_t now_ns)
{
    sh = held(sh);
    /* CLOCK_MONOTONIC is one for all processes, but they read it before they get the lock. */
    if (now_ns > sh->now_ns)
        sh->now_ns = now_ns;
    if (!relay_fn) /* read without the lock */
        __atomic_store_n(&sh->last_poll_ns, sh->now_ns, __ATOMIC_RELAXED);
    if (__builtin_expect(sh->many, 0))
        return lanes_poll(sh);
    unsigned n = rx_devices(sh);
    rx_timers(sh);
    shard_flush(sh);
    return n;
}

static __rte_always_inline uint64_t next_timer_ns(const struct shard *sh)
{
    uint64_t due_ms = wheel_next(&sh->wheel), due_ns = UINT64_MAX;

    if (sh->lo_head || sh->slow)
        return sh->now_ns;
    if (due_ms != WHEEL_NEVER)
        due_ns = due_ms * 1000000;
    for (unsigned i = 0; i < sh->st->nif; i++)
        if ((sh->tx[i].n | sh->tx[i].nrelay) && sh->now_ns + TX_RETRY_NS < due_ns)
            due_ns = sh->now_ns + TX_RETRY_NS;
    return due_ns;
}

uint64_t shard_next_timer_ns(const struct shard *sh)
{
    uint64_t due_ns = next_timer_ns(sh);

    if (__builtin_expect(!sh->many || !sh->st->all, 1))
        return due_ns;
    for (uint32_t i = 1; i < sh->st->nshard; i++) {
        uint64_t at_ns = next_timer_ns(&sh->st->shard[i]);

        due_ns = at_ns < due_ns ? at_ns : due_ns;
    }
    return due_ns;
}
