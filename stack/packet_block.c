/* packet_block.c: receiving in blocks, TPACKET_V3 (packet_ring.h; Linux: prb_* of af_packet.c). */
#include "packet.h"
#include "stamp.h"

#define TOV_DEFAULT_MS 8 /* Linux's DEFAULT_PRB_RETIRE_TOV */

static struct tpacket_block_desc *block_at(const struct packet_rings *r, uint32_t i)
{
    return (struct tpacket_block_desc *)(r->rx.mem + (size_t)i * r->rx.block_size);
}

static bool is_the_programs(const struct packet_rings *r)
{
    return __atomic_load_n(&block_at(r, r->b.active)->hdr.bh1.block_status, __ATOMIC_ACQUIRE) &
           TP_STATUS_USER;
}

static uint64_t wall_ns(const struct shard *sh)
{
    uint64_t ns = stamp_now_ns(sh);

    return ns ? ns : sh->now_ns;
}

static void set_time(struct tpacket_bd_ts *t, uint64_t ns)
{
    t->ts_sec = (unsigned)(ns / 1000000000);
    t->ts_nsec = (unsigned)(ns % 1000000000);
}

static void arm(struct shard *sh, struct packet_rings *r)
{
    timer_arm(&sh->wheel, &r->timer, shard_ms(sh) + r->b.tov_ms);
}

static void open_block(struct shard *sh, struct packet_rings *r)
{
    struct tpacket_block_desc *d = block_at(r, r->b.active);
    struct tpacket_hdr_v1 *h = &d->hdr.bh1;

    d->version = TPACKET_V3;
    d->offset_to_priv = BLOCK_HDR;
    h->seq_num = r->b.seq++;
    h->num_pkts = 0;
    h->blk_len = block_front(r->b.priv);
    h->offset_to_first_pkt = block_front(r->b.priv);
    set_time(&h->ts_first_pkt, wall_ns(sh));
    r->b.next = r->b.prev = block_front(r->b.priv);
    r->b.npkts = 0;
    r->b.frozen = 0;
    arm(sh, r);
}

void packet_block_start(struct shard *sh, struct packet_rings *r, const struct tpacket_req3 *req)
{
    r->b = (struct packet_blocks){.seq = 1,
                                  .priv = req->tp_sizeof_priv,
                                  .tov_ms = req->tp_retire_blk_tov ? req->tp_retire_blk_tov : TOV_DEFAULT_MS,
                                  .features = req->tp_feature_req_word};
    open_block(sh, r);
}

/* The active block is the program's from now on (prb_close_block). */
static void close_block(struct shard *sh, struct packetcb *p, uint32_t status)
{
    struct packet_rings *r = p->rings;
    struct tpacket_block_desc *d = block_at(r, r->b.active);
    struct tpacket3_hdr *last = (struct tpacket3_hdr *)((uint8_t *)d + r->b.prev);

    if (is_the_programs(r))
        return;
    if (p->drops)
        status |= TP_STATUS_LOSING;
    if (r->b.npkts) {
        last->tp_next_offset = 0;
        d->hdr.bh1.ts_last_pkt = (struct tpacket_bd_ts){.ts_sec = last->tp_sec, .ts_nsec = last->tp_nsec};
    } else {
        set_time(&d->hdr.bh1.ts_last_pkt, wall_ns(sh));
    }
    __atomic_store_n(&d->hdr.bh1.block_status, TP_STATUS_USER | status, __ATOMIC_RELEASE);
    pcb_event(sh, &p->d.pcb, EV_IN);
    r->b.active = r->b.active + 1 < r->rx.block_nr ? r->b.active + 1 : 0;
}

/* Opens the active block, or freezes the queue as long as the program has it. */
static bool next_block(struct shard *sh, struct packet_rings *r)
{
    if (is_the_programs(r)) {
        r->b.frozen = 1;
        r->b.freezes++;
        return false;
    }
    open_block(sh, r);
    return true;
}

uint8_t *packet_block_room(struct shard *sh, struct packetcb *p, uint32_t len)
{
    struct packet_rings *r = p->rings;
    struct tpacket_hdr_v1 *h;
    uint8_t *at;

    if (r->b.frozen) {
        if (is_the_programs(r))
            return NULL;
        open_block(sh, r);
    }
    len = (len + 7) & ~7u;
    if (r->b.next + len >= r->rx.block_size) {
        close_block(sh, p, 0);
        if (!next_block(sh, r))
            return NULL;
    }
    h = &block_at(r, r->b.active)->hdr.bh1;
    at = (uint8_t *)block_at(r, r->b.active) + r->b.next;
    ((struct tpacket3_hdr *)at)->tp_next_offset = len;
    r->b.prev = r->b.next;
    r->b.next += len;
    h->blk_len = r->b.next;
    h->num_pkts = ++r->b.npkts;
    return at;
}

/* A block with frames in it has waited long enough (prb_retire_rx_blk_timer_expired). */
void packet_ring_timer(struct shard *sh, struct timer *t)
{
    struct packet_rings *r = container_of(t, struct packet_rings, timer);

    if (!r->rx.mem)
        return;
    if (r->b.frozen) {
        if (is_the_programs(r))
            arm(sh, r);
        else
            open_block(sh, r);
        return;
    }
    if (r->b.npkts == 0) {
        arm(sh, r);
        return;
    }
    close_block(sh, r->owner, TP_STATUS_BLK_TMO);
    if (!next_block(sh, r))
        arm(sh, r);
}
