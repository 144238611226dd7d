/* capture.c: frames into rings (capture.h). */
#include "capture.h"

#include <errno.h>

#include "cksum.h"
#include "ip.h"
#include "pkt.h"
#include "wire_eth.h"
#include "wire_ip4.h"

#define NONE      UINT64_MAX
#define HDR       ((uint32_t)sizeof(struct capture_rec))
#define WAKE_PART 4 /* the reader is woken when so much of the ring, one in WAKE_PART, is full */
#define NO_WAKE   0xffff

static const enum count watched[4] = {COUNT_TCP_OUT_RST, COUNT_TCP_ESTAB_RESET, COUNT_TCP_EMBRYONIC_RST,
                                      COUNT_TCP_TIMEOUT};
enum { WATCHED_RTO = 3 };

static int ring_init(struct seg *seg, struct capture_ring *r, uint64_t bytes, uint32_t snaplen)
{
    if (!bytes)
        return 0;
    r->size = 4096;
    while (r->size < bytes)
        r->size *= 2;
    r->snaplen = snaplen;
    r->mem = seg_alloc(seg, r->size, 4096);
    return r->mem ? 0 : -ENOMEM;
}

int capture_start(struct shard *sh, const struct capture_config *cfg)
{
    struct capture *c = seg_alloc(sh->st->seg, sizeof *c, 64);
    int r;

    if (!c)
        return -ENOMEM;
    r = ring_init(sh->st->seg, &c->file, cfg->file_bytes, cfg->file_snaplen);
    if (!r)
        r = ring_init(sh->st->seg, &c->flight, cfg->flight_bytes, cfg->flight_snaplen);
    if (r)
        return r;
    c->flight.overwrite = 1;
    c->wall_off_ns = cfg->wall_off_ns;
    c->look_for = cfg->look_for;
    c->wake = NO_WAKE;
    c->stuck = NONE;
    c->last[0].file = c->last[0].flight = c->last[1].file = c->last[1].flight = NONE;
    sh->cap = c;
    sh->npacket++; /* packet_wanted */
    return 0;
}

/* --- into a ring --- */

static void put(struct capture_ring *r, uint64_t pos, const void *p, uint64_t n)
{
    uint64_t at = pos & (r->size - 1), first = r->size - at < n ? r->size - at : n;

    memcpy(r->mem + at, p, first);
    memcpy(r->mem, (const uint8_t *)p + first, n - first);
}

static void put_frame(struct capture_ring *r, uint64_t pos, const struct rte_mbuf *m, uint32_t n)
{
    uint64_t at = pos & (r->size - 1);
    uint32_t first = r->size - at < n ? (uint32_t)(r->size - at) : n;

    pkt_read(m, 0, first, r->mem + at);
    pkt_read(m, first, n - first, r->mem);
}

/* A sum of the IP header that is left to the port: who reads sees it done. */
static void put_ip_cksum(struct capture_ring *r, uint64_t pos, const struct rte_mbuf *m, uint32_t n)
{
    uint8_t buf[60];
    const struct ip4_hdr *ip = (const struct ip4_hdr *)buf;
    uint32_t hlen, at = m->l2_len;
    uint16_t sum;

    if (n < at + IP4_HDR_LEN || !pkt_read(m, at, IP4_HDR_LEN, buf))
        return;
    hlen = ip4_hlen(ip);
    if (hlen < IP4_HDR_LEN || n < at + hlen || !pkt_read(m, at, hlen, buf))
        return;
    sum = cksum(buf, hlen);
    put(r, pos + at + offsetof(struct ip4_hdr, cksum), &sum, sizeof sum);
}

/* Room for size bytes at r->next. */
static bool make_room(struct capture_ring *r, uint32_t size)
{
    uint64_t tail = __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE);
    struct capture_rec rec;

    if (size > r->size / 2 || __atomic_load_n(&r->frozen, __ATOMIC_ACQUIRE))
        return false;
    while (r->next + size - tail > r->size) {
        uint64_t pos = tail;

        if (!r->overwrite)
            return false;
        if (!capture_read(r, &pos, r->next, &rec)) /* torn by a process that was killed: all of it goes */
            pos = r->next;
        tail = pos;
        __atomic_store_n(&r->tail, tail, __ATOMIC_RELEASE);
    }
    return true;
}

/* The record's position, or NONE. */
static uint64_t record(struct capture_ring *r, const struct capture_rec *like, const struct rte_mbuf *m)
{
    struct capture_rec rec = *like;
    uint64_t pos = r->next;

    if (!r->mem)
        return NONE;
    rec.caplen = rec.len < r->snaplen ? rec.len : r->snaplen;
    rec.size = HDR + ((rec.caplen + 7) & ~7u);
    if (!make_room(r, rec.size)) {
        r->lost[rec.ifindex]++;
        r->lost_now[rec.ifindex]++;
        return NONE;
    }
    rec.lost = r->lost_now[rec.ifindex];
    put(r, pos, &rec, HDR);
    put_frame(r, pos + HDR, m, rec.caplen);
    if (rec.out && (m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM))
        put_ip_cksum(r, pos + HDR, m, rec.caplen);
    r->lost_now[rec.ifindex] = 0;
    r->frames[rec.ifindex]++;
    r->next = pos + rec.size;
    return pos;
}

void capture_frame(struct shard *sh, unsigned ifindex, const struct rte_mbuf *m, bool out)
{
    const struct ifnet *ifn = &sh->st->ifn[ifindex];
    struct capture *c = sh->cap;
    struct capture_rec rec = {.len = m->pkt_len,
                              .ns = sh->now_ns + (uint64_t)c->wall_off_ns,
                              .ifindex = (uint8_t)ifindex,
                              .out = out};

    if (ifn->vlan_id || (out && (ifn->caps & NETDEV_LOOPBACK)))
        return;
    c->last[out].m = NULL;
    c->last[out].file = record(&c->file, &rec, m);
    c->last[out].flight = record(&c->flight, &rec, m);
    c->last[out].m = m;
}

void capture_why(struct capture *c, const struct rte_mbuf *m, enum count why)
{
    uint16_t reason = (uint16_t)why;
    int i = c->last[1].m == m ? 1 : 0;

    if (c->last[i].m != m)
        return;
    if (c->last[i].file != NONE)
        put(&c->file, c->last[i].file + offsetof(struct capture_rec, why), &reason, sizeof reason);
    if (c->last[i].flight != NONE)
        put(&c->flight, c->last[i].flight + offsetof(struct capture_rec, why), &reason, sizeof reason);
    c->last[i].m = NULL;
}

/* --- to the readers --- */

static bool wake_reader(struct capture *c)
{
    if (c->wake == NO_WAKE || !__atomic_load_n(&c->sleeps, __ATOMIC_ACQUIRE))
        return false;
    __atomic_store_n(&c->sleeps, 0, __ATOMIC_RELEASE);
    return true;
}

bool capture_event(struct capture *c, enum capture_event ev)
{
    if (!c->flight.mem || !(c->look_for & ev))
        return false;
    capture_freeze(&c->flight, CAPTURE_HOLD_EVENT, true);
    __atomic_fetch_or(&c->events, ev, __ATOMIC_RELEASE);
    return wake_reader(c);
}

/* What was looked out for, of what the counters show. */
static bool look(struct shard *sh)
{
    struct capture *c = sh->cap;
    unsigned ev = 0;

    for (unsigned i = 0; i < 4; i++) {
        uint64_t n = sh->count[watched[i]];

        if (n != c->seen[i])
            ev |= i == WATCHED_RTO ? CAPTURE_RTO : CAPTURE_RST;
        c->seen[i] = n;
    }
    ev &= c->look_for;
    return ev && capture_event(c, (enum capture_event)ev);
}

bool capture_publish(struct shard *sh)
{
    struct capture *c = sh->cap;
    uint64_t waits;
    bool wake;

    c->last[0].m = c->last[1].m = NULL;
    __atomic_store_n(&c->file.head, c->file.next, __ATOMIC_RELEASE);
    __atomic_store_n(&c->flight.head, c->flight.next, __ATOMIC_RELEASE);
    wake = look(sh);
    waits = c->file.next - __atomic_load_n(&c->file.tail, __ATOMIC_RELAXED);
    if (waits > c->file.size / WAKE_PART)
        wake |= wake_reader(c) || waits > c->file.size / 2;
    return wake && c->wake != NO_WAKE;
}

void capture_freeze(struct capture_ring *r, enum capture_hold who, bool on)
{
    if (on)
        __atomic_fetch_or(&r->frozen, (uint8_t)who, __ATOMIC_SEQ_CST);
    else
        __atomic_fetch_and(&r->frozen, (uint8_t)~who, __ATOMIC_SEQ_CST);
}

/* Copies n bytes at pos out. */
static void get(const struct capture_ring *r, uint64_t pos, void *p, uint64_t n)
{
    uint64_t at = pos & (r->size - 1), first = r->size - at < n ? r->size - at : n;

    memcpy(p, r->mem + at, first);
    memcpy((uint8_t *)p + first, r->mem, n - first);
}

bool capture_read(const struct capture_ring *r, uint64_t *pos, uint64_t to, struct capture_rec *rec)
{
    uint64_t left = to - *pos;

    if (left > r->size || left < HDR) {
        *pos = to;
        return false;
    }
    get(r, *pos, rec, HDR);
    if (rec->size < HDR || rec->size > left || rec->size % 8 || rec->caplen > rec->size - HDR ||
        rec->ifindex >= NETDEV_MAX) {
        *pos = to;
        return false;
    }
    *pos += rec->size;
    return true;
}

void capture_bytes(const struct capture_ring *r, uint64_t pos, const struct capture_rec *rec, uint8_t *to)
{
    get(r, pos + HDR, to, rec->caplen);
}
