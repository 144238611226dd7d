/* packet_ring.c: rings of frames (packet_ring.h; Linux: packet_set_ring, tpacket_rcv, tpacket_parse_header of
 * af_packet.c, whose order of checks this keeps). Blocks of TPACKET_V3: packet_block.c. */
#include "packet_ring.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "packet.h"
#include "packet_table.h"
#include "pkt.h"

#define PAGE 4096u

static uint32_t align16(uint32_t n)
{
    return (n + TPACKET_ALIGNMENT - 1) & ~(TPACKET_ALIGNMENT - 1u);
}

/* ---- frames ---- */

static uint8_t *frame_at(const struct packet_ring *g, uint32_t i)
{
    return g->mem + (size_t)(i / g->per_block) * g->block_size + (size_t)(i % g->per_block) * g->frame_size;
}

static uint32_t get_status(const struct packet_rings *r, const uint8_t *frame)
{
    switch (r->version) {
    case TPACKET_V1:
        return (uint32_t)__atomic_load_n(&((const struct tpacket_hdr *)frame)->tp_status, __ATOMIC_ACQUIRE);
    case TPACKET_V2:
        return __atomic_load_n(&((const struct tpacket2_hdr *)frame)->tp_status, __ATOMIC_ACQUIRE);
    default:
        return __atomic_load_n(&((const struct tpacket3_hdr *)frame)->tp_status, __ATOMIC_ACQUIRE);
    }
}

static void set_status(const struct packet_rings *r, uint8_t *frame, uint32_t status)
{
    switch (r->version) {
    case TPACKET_V1:
        __atomic_store_n(&((struct tpacket_hdr *)frame)->tp_status, status, __ATOMIC_RELEASE);
        break;
    case TPACKET_V2:
        __atomic_store_n(&((struct tpacket2_hdr *)frame)->tp_status, status, __ATOMIC_RELEASE);
        break;
    default:
        __atomic_store_n(&((struct tpacket3_hdr *)frame)->tp_status, status, __ATOMIC_RELEASE);
    }
}

static void advance(struct packet_ring *g)
{
    g->head = g->head + 1 < g->frames ? g->head + 1 : 0;
}

/* ---- receiving ---- */

/* Where things go in a frame of the ring. */
struct place {
    uint32_t mac, net, keep;
};

/* The header of the ring's version without its status; the frame's address behind it. Returns the length of
 * the header, which is where that address goes once aligned. */
static uint32_t put_header(const struct packet_rings *r, uint8_t *at, const struct ring_frame *f,
                           const struct place *w, uint32_t status)
{
    uint32_t sec = (uint32_t)(f->stamp_ns / 1000000000), ns = (uint32_t)(f->stamp_ns % 1000000000);
    struct tpacket_hdr *h1 = (void *)at;
    struct tpacket2_hdr *h2 = (void *)at;
    struct tpacket3_hdr *h3 = (void *)at;

    switch (r->version) {
    case TPACKET_V1:
        h1->tp_len = f->len;
        h1->tp_snaplen = w->keep;
        h1->tp_mac = (uint16_t)w->mac;
        h1->tp_net = (uint16_t)w->net;
        h1->tp_sec = sec;
        h1->tp_usec = ns / 1000;
        return sizeof *h1;
    case TPACKET_V2:
        h2->tp_len = f->len;
        h2->tp_snaplen = w->keep;
        h2->tp_mac = (uint16_t)w->mac;
        h2->tp_net = (uint16_t)w->net;
        h2->tp_sec = sec;
        h2->tp_nsec = ns;
        h2->tp_vlan_tci = h2->tp_vlan_tpid = 0;
        memset(h2->tp_padding, 0, sizeof h2->tp_padding);
        return sizeof *h2;
    default:
        h3->tp_status = status;
        h3->tp_len = f->len;
        h3->tp_snaplen = w->keep;
        h3->tp_mac = (uint16_t)w->mac;
        h3->tp_net = (uint16_t)w->net;
        h3->tp_sec = sec;
        h3->tp_nsec = ns;
        memset(&h3->hv1, 0, sizeof h3->hv1);
        memset(h3->tp_padding, 0, sizeof h3->tp_padding);
        return sizeof *h3;
    }
}

/* The longest frame, headers included. */
static uint32_t room_of(const struct packet_rings *r)
{
    return r->version < TPACKET_V3 ? r->rx.frame_size : r->rx.block_size - block_front(r->b.priv);
}

enum ring_verdict packet_ring_put(struct shard *sh, struct packetcb *p, const struct ring_frame *f,
                                  bool queue_room)
{
    struct packet_rings *r = p->rings;
    uint32_t room = room_of(r), status = TP_STATUS_USER | f->status, hlen;
    struct place w = {.keep = f->keep};
    bool copy = false;
    uint8_t *at;

    if (p->cooked)
        w.mac = w.net = align16(r->hdrlen) + 16 + r->reserve;
    else {
        w.net = align16(r->hdrlen + (f->net < 16 ? 16 : f->net)) + r->reserve;
        w.mac = w.net - f->net;
    }
    if (w.net > UINT16_MAX)
        return RING_FULL;
    if (w.mac + w.keep > room) {
        copy = r->version < TPACKET_V3 && r->copy_thresh && queue_room;
        w.keep = w.mac < room ? room - w.mac : 0;
        if (r->version == TPACKET_V3 && w.mac > room)
            w.mac = room;
    }
    if (r->version == TPACKET_V3) {
        at = packet_block_room(sh, p, w.mac + w.keep);
    } else {
        at = frame_at(&r->rx, r->rx.head);
        if (get_status(r, at) != TP_STATUS_KERNEL)
            at = NULL;
    }
    if (!at) {
        pcb_event(sh, &p->d.pcb, EV_IN);
        return RING_FULL;
    }
    if (r->version < TPACKET_V3) {
        advance(&r->rx);
        status |= p->drops ? TP_STATUS_LOSING : 0;
    }
    status |= copy ? TP_STATUS_COPY : 0;
    pkt_read(f->m, f->skip, w.keep, at + w.mac);
    hlen = put_header(r, at, f, &w, status);
    memcpy(at + align16(hlen), &f->from, sizeof f->from);
    if (r->version < TPACKET_V3) {
        set_status(r, at, status);
        pcb_event(sh, &p->d.pcb, EV_IN);
    }
    return copy ? RING_COPY : RING_TAKEN;
}

bool packet_ring_room(const struct packetcb *p)
{
    const struct packet_rings *r = p->rings;

    if (r->version == TPACKET_V3)
        return !r->b.frozen;
    return get_status(r, frame_at(&r->rx, r->rx.head)) == TP_STATUS_KERNEL;
}

bool packet_ring_readable(const struct packetcb *p)
{
    const struct packet_rings *r = p->rings;
    uint32_t prev;

    if (!r || !r->rx.mem)
        return false;
    if (r->version == TPACKET_V3) {
        prev = (r->b.active ? r->b.active : r->rx.block_nr) - 1;
        return __atomic_load_n(&((struct tpacket_block_desc *)(r->rx.mem + (size_t)prev * r->rx.block_size))
                                    ->hdr.bh1.block_status,
                               __ATOMIC_ACQUIRE) != TP_STATUS_KERNEL;
    }
    prev = (r->rx.head ? r->rx.head : r->rx.frames) - 1;
    return get_status(r, frame_at(&r->rx, prev)) != TP_STATUS_KERNEL;
}

/* ---- sending ---- */

/* Where the payload of a frame to be sent begins (tpacket_parse_header); 0: nowhere that is allowed. */
static uint32_t payload_at(const struct packetcb *p, const uint8_t *frame, uint32_t len)
{
    const struct packet_rings *r = p->rings;
    uint32_t least = r->hdrlen - (uint32_t)sizeof(struct sockaddr_ll), off;

    if (!r->has_off)
        return least;
    switch (r->version) {
    case TPACKET_V1:
        off = p->cooked ? ((const struct tpacket_hdr *)frame)->tp_net
                        : ((const struct tpacket_hdr *)frame)->tp_mac;
        break;
    case TPACKET_V2:
        off = p->cooked ? ((const struct tpacket2_hdr *)frame)->tp_net
                        : ((const struct tpacket2_hdr *)frame)->tp_mac;
        break;
    default:
        off = p->cooked ? ((const struct tpacket3_hdr *)frame)->tp_net
                        : ((const struct tpacket3_hdr *)frame)->tp_mac;
    }
    return off < least || off > r->tx.frame_size - len ? 0 : off;
}

uint8_t *packet_ring_to_send(const struct packetcb *p, uint32_t max, uint8_t **data, uint32_t *len, int *err)
{
    const struct packet_rings *r = p->rings;
    uint8_t *frame = frame_at(&r->tx, r->tx.head);
    uint32_t off, size_max = r->tx.frame_size - (r->hdrlen - (uint32_t)sizeof(struct sockaddr_ll));

    *err = 0;
    if (get_status(r, frame) != TP_STATUS_SEND_REQUEST)
        return NULL;
    if (r->version == TPACKET_V1)
        *len = __atomic_load_n(&((struct tpacket_hdr *)frame)->tp_len, __ATOMIC_RELAXED);
    else if (r->version == TPACKET_V2)
        *len = __atomic_load_n(&((struct tpacket2_hdr *)frame)->tp_len, __ATOMIC_RELAXED);
    else if (((struct tpacket3_hdr *)frame)->tp_next_offset != 0)
        *err = -EINVAL;
    else
        *len = __atomic_load_n(&((struct tpacket3_hdr *)frame)->tp_len, __ATOMIC_RELAXED);
    if (*err)
        return frame;
    if (*len > (size_max < max ? size_max : max)) {
        *err = -EMSGSIZE;
        return frame;
    }
    off = payload_at(p, frame, *len);
    if (!off)
        *err = -EINVAL;
    *data = frame + off;
    return frame;
}

void packet_ring_sent(struct packetcb *p, uint8_t *frame, uint32_t status, bool next)
{
    set_status(p->rings, frame, status);
    if (next)
        advance(&p->rings->tx);
}

/* ---- making and unmaking ---- */

static size_t ring_bytes(const struct packet_ring *g)
{
    return g->mem ? (size_t)g->block_size * g->block_nr : 0;
}

static void drop_ring(struct shard *sh, struct packet_rings *r, struct packet_ring *g)
{
    if (!g->mem)
        return;
    if (g == &r->rx) {
        timer_cancel(&sh->wheel, &r->timer);
        if (r->stamping) {
            r->stamping = 0;
            sh->st->stamps--;
        }
    }
    region_free(&sh->packet->region, g->mem, ring_bytes(g));
    *g = (struct packet_ring){0};
}

/* The rings of p, made when they are first spoken of. NULL: no memory. */
static struct packet_rings *rings_of(struct shard *sh, struct packetcb *p)
{
    if (p->rings)
        return p->rings;
    p->rings = slab_alloc(&sh->packet->rings);
    if (!p->rings)
        return NULL;
    p->rings->owner = p;
    timer_init(&p->rings->timer, TIMER_PACKET);
    return p->rings;
}

static uint32_t hdrlen_of(unsigned version)
{
    return version == TPACKET_V1 ? TPACKET_HDRLEN : version == TPACKET_V2 ? TPACKET2_HDRLEN : TPACKET3_HDRLEN;
}

static int check_request(const struct packet_rings *r, const struct tpacket_req3 *q, uint32_t hdrlen)
{
    uint64_t least = (uint64_t)hdrlen + r->reserve;
    uint32_t per_block;

    if ((int)q->tp_block_size <= 0 || q->tp_block_size % PAGE)
        return -EINVAL;
    if (r->version == TPACKET_V3 &&
        q->tp_block_size < BLOCK_HDR + (((uint64_t)q->tp_sizeof_priv + 7) & ~7ull) + least)
        return -EINVAL;
    if (q->tp_frame_size < least || q->tp_frame_size % TPACKET_ALIGNMENT)
        return -EINVAL;
    per_block = q->tp_block_size / q->tp_frame_size;
    if (per_block == 0 || per_block > UINT_MAX / q->tp_block_nr ||
        per_block * q->tp_block_nr != q->tp_frame_nr)
        return -EINVAL;
    return 0;
}

static int make_ring(struct shard *sh, struct packet_rings *r, struct packet_ring *g,
                     const struct tpacket_req3 *q)
{
    uint32_t hdrlen = hdrlen_of(r->version);
    int err;

    if (g->mem)
        return -EBUSY;
    err = check_request(r, q, hdrlen);
    if (err)
        return err;
    if (g == &r->tx && r->version == TPACKET_V3 &&
        (q->tp_retire_blk_tov || q->tp_sizeof_priv || q->tp_feature_req_word))
        return -EINVAL;
    g->mem = region_alloc(&sh->packet->region, (size_t)q->tp_block_size * q->tp_block_nr);
    if (!g->mem)
        return -ENOMEM;
    r->hdrlen = (uint16_t)hdrlen;
    g->block_size = q->tp_block_size;
    g->block_nr = q->tp_block_nr;
    g->frame_size = q->tp_frame_size;
    g->per_block = q->tp_block_size / q->tp_frame_size;
    g->frames = q->tp_frame_nr;
    g->head = 0;
    if (g == &r->tx)
        return 0;
    r->stamping = 1;
    sh->st->stamps++;
    if (r->version == TPACKET_V3)
        packet_block_start(sh, r, q);
    return 0;
}

/* PACKET_RX_RING, PACKET_TX_RING. */
static int set_ring(struct shard *sh, struct packetcb *p, bool tx, const void *val, uint32_t len)
{
    struct packet_rings *r = rings_of(sh, p);
    struct tpacket_req3 q = {0};
    struct packet_ring *g;
    uint32_t want;

    if (!r)
        return -ENOMEM;
    g = tx ? &r->tx : &r->rx;
    want = r->version == TPACKET_V3 ? sizeof(struct tpacket_req3) : sizeof(struct tpacket_req);
    if (len < want)
        return -EINVAL;
    memcpy(&q, val, want);
    if (q.tp_block_nr)
        return make_ring(sh, r, g, &q);
    if (q.tp_frame_nr)
        return -EINVAL;
    drop_ring(sh, r, g);
    return 0;
}

int packet_ring_pieces(const struct packetcb *p, size_t len, struct ring_piece piece[2])
{
    const struct packet_rings *r = p->rings;

    if (!r)
        return -EINVAL;
    piece[0] = (struct ring_piece){r->rx.mem, ring_bytes(&r->rx)};
    piece[1] = (struct ring_piece){r->tx.mem, ring_bytes(&r->tx)};
    len = (len + PAGE - 1) & ~(size_t)(PAGE - 1);
    return piece[0].bytes + piece[1].bytes == len ? 0 : -EINVAL;
}

void packet_ring_close(struct shard *sh, struct packetcb *p)
{
    struct packet_rings *r = p->rings;

    if (!r)
        return;
    drop_ring(sh, r, &r->rx);
    drop_ring(sh, r, &r->tx);
    p->rings = NULL;
    r->owner = NULL;
    list_step();
    slab_free(&sh->packet->rings, r);
}

static bool is_live(const void *obj)
{
    const struct packet_rings *r = obj;

    return r->owner && r->owner->in_use && r->owner->rings == r;
}

void packet_ring_mend(struct shard *sh)
{
    struct slab *s = &sh->packet->rings;

    slab_mend(s, is_live);
    region_mend(&sh->packet->region);
    for (uint32_t i = 0; i < s->fresh; i++) {
        const struct packet_rings *r = slab_at(s, i);

        if (!is_live(r))
            continue;
        if (r->rx.mem)
            region_hold(&sh->packet->region, r->rx.mem, ring_bytes(&r->rx));
        if (r->tx.mem)
            region_hold(&sh->packet->region, r->tx.mem, ring_bytes(&r->tx));
    }
}

/* ---- options ---- */

static bool has_ring(const struct packet_rings *r)
{
    return r->rx.mem || r->tx.mem;
}

/* Options of one int. */
static int set_int(struct packet_rings *r, int name, uint32_t v)
{
    switch (name) {
    case PACKET_VERSION:
        if (v > TPACKET_V3)
            return -EINVAL;
        if (has_ring(r))
            return -EBUSY;
        r->version = (uint8_t)v;
        return 0;
    case PACKET_RESERVE:
        if (v > INT_MAX)
            return -EINVAL;
        if (has_ring(r))
            return -EBUSY;
        r->reserve = v;
        return 0;
    case PACKET_LOSS:
        if (has_ring(r))
            return -EBUSY;
        r->loss = !!v;
        return 0;
    case PACKET_TX_HAS_OFF:
        if (has_ring(r))
            return 0; /* as Linux: says nothing, changes nothing */
        r->has_off = !!v;
        return 0;
    case PACKET_COPY_THRESH:
        r->copy_thresh = v;
        return 0;
    default:
        r->tstamp = v;
        return 0;
    }
}

int packet_ring_setopt(struct shard *sh, struct packetcb *p, int name, const void *val, uint32_t len)
{
    struct packet_rings *r;
    uint32_t v;

    switch (name) {
    case PACKET_RX_RING:
    case PACKET_TX_RING:
        return set_ring(sh, p, name == PACKET_TX_RING, val, len);
    case PACKET_VERSION:
    case PACKET_RESERVE:
    case PACKET_LOSS:
    case PACKET_TX_HAS_OFF:
    case PACKET_COPY_THRESH:
    case PACKET_TIMESTAMP:
        if (len != sizeof v)
            return -EINVAL;
        memcpy(&v, val, sizeof v);
        r = rings_of(sh, p);
        return r ? set_int(r, name, v) : -ENOMEM;
    default:
        return 1;
    }
}

/* PACKET_HDRLEN: of the version that the buffer names. */
static int get_hdrlen(void *val, uint32_t *len)
{
    int v;

    if (*len < sizeof v)
        return -EINVAL;
    *len = sizeof v;
    memcpy(&v, val, sizeof v);
    switch (v) {
    case TPACKET_V1:
        v = sizeof(struct tpacket_hdr);
        break;
    case TPACKET_V2:
        v = sizeof(struct tpacket2_hdr);
        break;
    case TPACKET_V3:
        v = sizeof(struct tpacket3_hdr);
        break;
    default:
        return -EINVAL;
    }
    memcpy(val, &v, sizeof v);
    return 0;
}

int packet_ring_getopt(const struct packetcb *p, int name, void *val, uint32_t *len)
{
    static const struct packet_rings none;
    const struct packet_rings *r = p->rings ? p->rings : &none;
    uint32_t v;

    switch (name) {
    case PACKET_HDRLEN:
        return get_hdrlen(val, len);
    case PACKET_VERSION:
        v = r->version;
        break;
    case PACKET_RESERVE:
        v = r->reserve;
        break;
    case PACKET_LOSS:
        v = r->loss;
        break;
    case PACKET_TX_HAS_OFF:
        v = r->has_off;
        break;
    case PACKET_COPY_THRESH:
        v = r->copy_thresh;
        break;
    case PACKET_TIMESTAMP:
        v = r->tstamp;
        break;
    default:
        return 1;
    }
    if (*len > sizeof v)
        *len = sizeof v;
    memcpy(val, &v, *len);
    return 0;
}
