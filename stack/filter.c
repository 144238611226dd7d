/* filter.c: checking and running classic BPF programs (filter.h). */
#include "filter.h"

#include <errno.h>
#include <net/if_arp.h>
#include <netinet/in.h>

#include "log.h"
#include "pkt.h"
#include "rnd.h"
#include "user.h"
#include "wire_eth.h"

/* Programs by size: how many instructions a slab's object has room for, and how many objects there may be. */
#define CLASSES 3
static const struct {
    uint32_t insns, max;
} classes[CLASSES] = {{64, 65536}, {512, 4096}, {FILTER_MAX_INSNS, 512}};

struct filter {
    uint32_t refs, n;
    struct sock_filter insn[];
};

struct filter_table {
    struct slab slab[CLASSES];
};

/* Ancillary loads that <linux/filter.h> of glibc's time may lack. */
#ifndef SKF_AD_VLAN_TPID
#define SKF_AD_VLAN_TPID 60
#endif

int filter_init(struct shard *sh)
{
    struct filter_table *t = seg_alloc(sh->st->seg, sizeof *t, 64);
    int r = 0;

    if (!t)
        return -ENOMEM;
    for (int i = 0; i < CLASSES && !r; i++)
        r = slab_init(&t->slab[i], sh->st->seg,
                      (uint32_t)(sizeof(struct filter) + classes[i].insns * sizeof(struct sock_filter)),
                      classes[i].max);
    sh->filters = t;
    return r;
}

/* ---- the check (net/core/filter.c: bpf_check_classic) ---- */

/* True for an ancillary load, which is no load from the packet. */
static bool is_ancillary(const struct sock_filter *f)
{
    uint32_t off = f->k - (uint32_t)SKF_AD_OFF;

    return BPF_CLASS(f->code) == BPF_LD && BPF_MODE(f->code) == BPF_ABS && f->k >= (uint32_t)SKF_AD_OFF &&
           off <= SKF_AD_VLAN_TPID && off % 4 == 0;
}

static bool code_exists(uint16_t code)
{
    static const uint16_t known[] = {
        BPF_ALU | BPF_ADD | BPF_K,
        BPF_ALU | BPF_ADD | BPF_X,
        BPF_ALU | BPF_SUB | BPF_K,
        BPF_ALU | BPF_SUB | BPF_X,
        BPF_ALU | BPF_MUL | BPF_K,
        BPF_ALU | BPF_MUL | BPF_X,
        BPF_ALU | BPF_DIV | BPF_K,
        BPF_ALU | BPF_DIV | BPF_X,
        BPF_ALU | BPF_MOD | BPF_K,
        BPF_ALU | BPF_MOD | BPF_X,
        BPF_ALU | BPF_AND | BPF_K,
        BPF_ALU | BPF_AND | BPF_X,
        BPF_ALU | BPF_OR | BPF_K,
        BPF_ALU | BPF_OR | BPF_X,
        BPF_ALU | BPF_XOR | BPF_K,
        BPF_ALU | BPF_XOR | BPF_X,
        BPF_ALU | BPF_LSH | BPF_K,
        BPF_ALU | BPF_LSH | BPF_X,
        BPF_ALU | BPF_RSH | BPF_K,
        BPF_ALU | BPF_RSH | BPF_X,
        BPF_ALU | BPF_NEG,
        BPF_LD | BPF_W | BPF_ABS,
        BPF_LD | BPF_H | BPF_ABS,
        BPF_LD | BPF_B | BPF_ABS,
        BPF_LD | BPF_W | BPF_LEN,
        BPF_LD | BPF_W | BPF_IND,
        BPF_LD | BPF_H | BPF_IND,
        BPF_LD | BPF_B | BPF_IND,
        BPF_LD | BPF_IMM,
        BPF_LD | BPF_MEM,
        BPF_LDX | BPF_W | BPF_LEN,
        BPF_LDX | BPF_B | BPF_MSH,
        BPF_LDX | BPF_IMM,
        BPF_LDX | BPF_MEM,
        BPF_ST,
        BPF_STX,
        BPF_MISC | BPF_TAX,
        BPF_MISC | BPF_TXA,
        BPF_RET | BPF_K,
        BPF_RET | BPF_A,
        BPF_JMP | BPF_JA,
        BPF_JMP | BPF_JEQ | BPF_K,
        BPF_JMP | BPF_JEQ | BPF_X,
        BPF_JMP | BPF_JGE | BPF_K,
        BPF_JMP | BPF_JGE | BPF_X,
        BPF_JMP | BPF_JGT | BPF_K,
        BPF_JMP | BPF_JGT | BPF_X,
        BPF_JMP | BPF_JSET | BPF_K,
        BPF_JMP | BPF_JSET | BPF_X,
    };

    for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i] == code)
            return true;
    return false;
}

/* One instruction by itself, `left` of them behind it. */
static bool insn_ok(const struct sock_filter *f, uint32_t left)
{
    if (!code_exists(f->code))
        return false;
    switch (f->code) {
    case BPF_ALU | BPF_DIV | BPF_K:
    case BPF_ALU | BPF_MOD | BPF_K:
        return f->k != 0;
    case BPF_ALU | BPF_LSH | BPF_K:
    case BPF_ALU | BPF_RSH | BPF_K:
        return f->k < 32;
    case BPF_LD | BPF_MEM:
    case BPF_LDX | BPF_MEM:
    case BPF_ST:
    case BPF_STX:
        return f->k < BPF_MEMWORDS;
    case BPF_JMP | BPF_JA:
        return f->k < left;
    default:
        break;
    }
    if (BPF_CLASS(f->code) == BPF_JMP)
        return f->jt < left && f->jf < left;
    if (BPF_CLASS(f->code) == BPF_LD && BPF_MODE(f->code) == BPF_ABS)
        return f->k < (uint32_t)SKF_AD_OFF || is_ancillary(f);
    return true;
}

/* No scratch word is read on a way on which none wrote it (check_load_and_stores): a packet must not see what
 * the stack of this process held before. Jumps go forward, so one pass does: valid[i] is what every way to i
 * has written. */
static bool scratch_ok(const struct sock_filter *insns, uint32_t n)
{
    uint16_t valid[FILTER_MAX_INSNS];
    uint16_t now = 0;

    memset(valid, 0xff, n * sizeof valid[0]);
    for (uint32_t i = 0; i < n; i++) {
        const struct sock_filter *f = &insns[i];

        now &= valid[i];
        switch (f->code) {
        case BPF_ST:
        case BPF_STX:
            now |= (uint16_t)(1u << f->k);
            break;
        case BPF_LD | BPF_MEM:
        case BPF_LDX | BPF_MEM:
            if (!(now & (1u << f->k)))
                return false;
            break;
        case BPF_JMP | BPF_JA:
            valid[i + 1 + f->k] &= now;
            now = 0xffff;
            break;
        default:
            if (BPF_CLASS(f->code) != BPF_JMP)
                break;
            valid[i + 1 + f->jt] &= now;
            valid[i + 1 + f->jf] &= now;
            now = 0xffff;
        }
    }
    return true;
}

bool filter_check(const struct sock_filter *insns, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (!insn_ok(&insns[i], n - i - 1))
            return false;
    return (insns[n - 1].code == (BPF_RET | BPF_K) || insns[n - 1].code == (BPF_RET | BPF_A)) &&
           scratch_ok(insns, n);
}

/* ---- programs ---- */

/* id: class in the top bits, index + 1 below. */
static struct filter *filter_at(const struct shard *sh, uint32_t id)
{
    return slab_at(&sh->filters->slab[id >> 24], (id & 0xffffff) - 1);
}

int filter_new(struct shard *sh, const struct sock_filter *insns, uint32_t n, uint32_t *id)
{
    struct filter *f;
    uint32_t c = 0;
    int r = 0;

    if (n == 0 || n > FILTER_MAX_INSNS || !insns)
        return -EINVAL;
    while (classes[c].insns < n)
        c++;
    f = slab_alloc(&sh->filters->slab[c]);
    if (!f)
        return -ENOMEM;
    if (!user_copy(f->insn, insns, n * sizeof *insns))
        r = -EFAULT;
    else if (!filter_check(f->insn, n))
        r = -EINVAL;
    if (r) {
        slab_free(&sh->filters->slab[c], f);
        return r;
    }
    f->n = n;
    f->refs = 1;
    *id = c << 24 | (slab_index(&sh->filters->slab[c], f) + 1);
    return 0;
}

void filter_hold(struct shard *sh, uint32_t id)
{
    if (id)
        filter_at(sh, id)->refs++;
}

void filter_put(struct shard *sh, uint32_t id)
{
    struct filter *f = id ? filter_at(sh, id) : NULL;

    if (f && --f->refs == 0)
        slab_free(&sh->filters->slab[id >> 24], f);
}

const struct sock_filter *filter_insns(const struct shard *sh, uint32_t id, uint32_t *n)
{
    const struct filter *f = id ? filter_at(sh, id) : NULL;

    *n = f ? f->n : 0;
    return f ? f->insn : NULL;
}

/* ---- running ---- */

/* Bytes [at, at + n) from byte 0 into buf; false: not all of them are there. Before m's data stand the
 * headers that were taken off it. */
static bool fetch(const struct filter_pkt *p, int64_t at, uint32_t n, uint8_t *buf)
{
    const struct rte_mbuf *m = p->m;

    at += p->data;
    if (at + n > m->pkt_len || at < -(int64_t)rte_pktmbuf_headroom(m))
        return false;
    if (at + n <= m->data_len) {
        memcpy(buf, rte_pktmbuf_mtod(m, const uint8_t *) + at, n);
        return true;
    }
    if (at >= 0)
        return pkt_read(m, (uint32_t)at, n, buf);
    for (uint32_t i = 0; i < n; i++) /* a header across the edge of a chain's first buffer */
        if (!fetch(p, at - p->data + i, 1, buf + i))
            return false;
    return true;
}

/* A load from the packet: k from byte 0, or, far below zero, from the link or network header
 * (bpf_internal_load_pointer_neg_helper). False: out of bounds, which ends the program with 0. */
static bool load(const struct filter_pkt *p, uint32_t k, uint32_t n, uint32_t *a)
{
    int32_t off = (int32_t)k;
    int64_t at = off;
    uint8_t b[4];

    if (off < 0) {
        int32_t base = off >= SKF_NET_OFF ? p->net : p->mac;

        if (off < SKF_LL_OFF || base == FILTER_NOWHERE)
            return false;
        at = (int64_t)base + off - (off >= SKF_NET_OFF ? SKF_NET_OFF : SKF_LL_OFF);
    }
    if (!fetch(p, at, n, b))
        return false;
    *a = n == 1   ? b[0]
         : n == 2 ? (uint32_t)(b[0] << 8 | b[1])
                  : (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    return true;
}

static uint32_t pkt_len(const struct filter_pkt *p)
{
    return (uint32_t)((int64_t)p->m->pkt_len - p->data);
}

/* Where the transport's payload begins, from byte 0 (skb_get_poff); 0: not known. Differs: IPv6 without
 * extension headers alone. */
static uint32_t payload_offset(const struct filter_pkt *p)
{
    uint8_t h[40], l4[14];
    uint32_t at, proto;

    if (p->net == FILTER_NOWHERE || !fetch(p, p->net, 1, h))
        return 0;
    if (h[0] >> 4 == 4 && fetch(p, p->net, 20, h)) {
        at = (uint32_t)(h[0] & 0xf) * 4;
        proto = h[9];
        if (((h[6] & 0x1f) | h[7]) != 0) /* a later fragment has no transport header */
            return (uint32_t)(p->net + (int32_t)at);
    } else if (h[0] >> 4 == 6 && fetch(p, p->net, 40, h)) {
        at = 40;
        proto = h[6];
    } else {
        return 0;
    }
    at = (uint32_t)(p->net + (int32_t)at);
    switch (proto) {
    case IPPROTO_TCP:
        return fetch(p, (int32_t)at, 13, l4) ? at + (uint32_t)RTE_MAX((l4[12] & 0xf0) >> 2, 20) : at;
    case IPPROTO_UDP:
    case IPPROTO_UDPLITE:
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
        return at + 8;
    default:
        return at;
    }
}

/* SKF_AD_*: what is known about the packet beside its bytes. False ends the program with 0. Differs: netlink
 * attributes (SKF_AD_NLATTR*) are found in no packet of this stack, mark, queue and hash are 0. */
static bool ancillary(struct shard *sh, const struct filter_pkt *p, uint32_t off, uint32_t *a, uint32_t x)
{
    switch (off) {
    case SKF_AD_PROTOCOL:
        *a = p->proto;
        return true;
    case SKF_AD_PKTTYPE:
        *a = p->type;
        return true;
    case SKF_AD_IFINDEX:
        *a = p->ifindex;
        return p->ifindex != 0;
    case SKF_AD_HATYPE:
        *a = p->hatype;
        return p->ifindex != 0;
    case SKF_AD_ALU_XOR_X:
        *a ^= x;
        return true;
    case SKF_AD_VLAN_TAG:
        *a = p->vlan ? p->vlan_tci : 0;
        return true;
    case SKF_AD_VLAN_TAG_PRESENT:
        *a = p->vlan;
        return true;
    case SKF_AD_VLAN_TPID:
        *a = p->vlan ? 0x8100 : 0;
        return true;
    case SKF_AD_PAY_OFFSET:
        *a = payload_offset(p);
        return true;
    case SKF_AD_RANDOM:
        *a = rnd_u32(sh);
        return true;
    case SKF_AD_CPU:
        *a = sh->id;
        return true;
    default: /* SKF_AD_NLATTR, _NLATTR_NEST, _MARK, _QUEUE, _RXHASH */
        *a = 0;
        return true;
    }
}

/* A and X with op; false: division by zero. Shifts take the low five bits, as the kernel's arithmetic on 32
 * bits does. */
static bool alu(uint16_t op, uint32_t *a, uint32_t v)
{
    switch (op) {
    case BPF_ADD:
        *a += v;
        break;
    case BPF_SUB:
        *a -= v;
        break;
    case BPF_MUL:
        *a *= v;
        break;
    case BPF_DIV:
        if (!v)
            return false;
        *a /= v;
        break;
    case BPF_MOD:
        if (!v)
            return false;
        *a %= v;
        break;
    case BPF_AND:
        *a &= v;
        break;
    case BPF_OR:
        *a |= v;
        break;
    case BPF_XOR:
        *a ^= v;
        break;
    case BPF_LSH:
        *a <<= v & 31;
        break;
    case BPF_RSH:
        *a >>= v & 31;
        break;
    default: /* BPF_NEG */
        *a = -*a;
        break;
    }
    return true;
}

static bool compare(uint16_t op, uint32_t a, uint32_t v)
{
    switch (op) {
    case BPF_JEQ:
        return a == v;
    case BPF_JGT:
        return a > v;
    case BPF_JGE:
        return a >= v;
    default: /* BPF_JSET */
        return (a & v) != 0;
    }
}

static uint32_t size_of(uint16_t code)
{
    return BPF_SIZE(code) == BPF_W ? 4 : BPF_SIZE(code) == BPF_H ? 2 : 1;
}

struct machine {
    uint32_t a, x, mem[BPF_MEMWORDS];
};

/* BPF_LD and BPF_LDX. False ends the program with 0. */
static bool run_load(struct shard *sh, const struct filter_pkt *p, const struct sock_filter *f,
                     struct machine *v)
{
    bool to_x = BPF_CLASS(f->code) == BPF_LDX;
    uint32_t *to = to_x ? &v->x : &v->a;

    switch (BPF_MODE(f->code)) {
    case BPF_IMM:
        *to = f->k;
        return true;
    case BPF_MEM:
        *to = v->mem[f->k];
        return true;
    case BPF_LEN:
        *to = pkt_len(p);
        return true;
    case BPF_MSH: /* the length of an IP header */
        if (!load(p, f->k, 1, to))
            return false;
        *to = (*to & 0xf) << 2;
        return true;
    case BPF_IND:
        return load(p, v->x + f->k, size_of(f->code), to);
    default: /* BPF_ABS */
        if (is_ancillary(f))
            return ancillary(sh, p, f->k - (uint32_t)SKF_AD_OFF, &v->a, v->x);
        return load(p, f->k, size_of(f->code), to);
    }
}

uint32_t filter_run(struct shard *sh, uint32_t id, const struct filter_pkt *p)
{
    const struct filter *prog = filter_at(sh, id);
    struct machine v = {0};

    for (const struct sock_filter *f = prog->insn;; f++) {
        switch (BPF_CLASS(f->code)) {
        case BPF_LD:
        case BPF_LDX:
            if (!run_load(sh, p, f, &v))
                return 0;
            break;
        case BPF_ST:
            v.mem[f->k] = v.a;
            break;
        case BPF_STX:
            v.mem[f->k] = v.x;
            break;
        case BPF_ALU:
            if (!alu(BPF_OP(f->code), &v.a, BPF_SRC(f->code) == BPF_X ? v.x : f->k))
                return 0;
            break;
        case BPF_JMP:
            if (BPF_OP(f->code) == BPF_JA)
                f += f->k;
            else
                f += compare(BPF_OP(f->code), v.a, BPF_SRC(f->code) == BPF_X ? v.x : f->k) ? f->jt : f->jf;
            break;
        case BPF_MISC:
            if (BPF_MISCOP(f->code) == BPF_TAX)
                v.x = v.a;
            else
                v.a = v.x;
            break;
        default: /* BPF_RET */
            return BPF_RVAL(f->code) == BPF_A ? v.a : f->k;
        }
    }
}

void filter_pkt_l4(const struct shard *sh, struct filter_pkt *p, const struct rte_mbuf *m, unsigned l3_len,
                   bool v6, unsigned ifindex)
{
    memset(p, 0, sizeof *p);
    p->m = m;
    p->net = -(int32_t)l3_len;
    p->mac = p->net - ETH_HDR_LEN;
    p->proto = v6 ? 0x86dd : ETH_TYPE_IP4;
    p->hatype = ifindex ? ARPHRD_ETHER : ARPHRD_LOOPBACK;
    p->ifindex = (uint32_t)stack_if_shown(sh->st, ifindex);
}

/* ---- options ---- */

int filter_attach(struct shard *sh, uint32_t *slot, bool locked, const void *val, uint32_t len)
{
    struct sock_fprog fp;
    uint32_t id;
    int r;

    if (len != sizeof fp)
        return -EINVAL;
    if (!user_copy(&fp, val, sizeof fp))
        return -EFAULT;
    if (locked)
        return -EPERM;
    r = filter_new(sh, fp.filter, fp.len, &id);
    if (r)
        return r;
    filter_put(sh, *slot);
    *slot = id;
    return 0;
}

int filter_detach(struct shard *sh, uint32_t *slot, bool locked)
{
    if (locked)
        return -EPERM;
    if (!*slot)
        return -ENOENT;
    filter_put(sh, *slot);
    *slot = 0;
    return 0;
}

int filter_get(const struct shard *sh, uint32_t slot, void *val, uint32_t *len)
{
    uint32_t n;
    const struct sock_filter *insns = filter_insns(sh, slot, &n);

    if (n && *len) {
        if (*len < n)
            return -EINVAL;
        if (!user_copy(val, insns, n * sizeof *insns))
            return -EFAULT;
    }
    *len = n;
    return 0;
}
