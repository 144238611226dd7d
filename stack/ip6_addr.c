/* ip6_addr.c: see ip6_addr.h. */
#include "ip6_addr.h"

#include "ifnet.h"
#include "route.h"

void ip6_set_eui64(struct ipaddr *a, const uint8_t mac[6])
{
    uint8_t *b = a->b + 8;

    b[0] = mac[0] ^ 2; /* the universal/local bit, turned over */
    b[1] = mac[1];
    b[2] = mac[2];
    b[3] = 0xff;
    b[4] = 0xfe;
    b[5] = mac[3];
    b[6] = mac[4];
    b[7] = mac[5];
}

struct ipaddr ip6_linklocal(const uint8_t mac[6], unsigned ifindex)
{
    struct ipaddr a = {.b = {0xfe, 0x80}};

    ip6_set_eui64(&a, mac);
    ipaddr_set_zone(&a, ifindex + 1);
    return a;
}

struct ipaddr ip6_solicited_node(const struct ipaddr *a, unsigned ifindex)
{
    struct ipaddr g = {.b = {0xff, 0x02, [11] = 1, [12] = 0xff}};

    memcpy(g.b + 13, a->b + 13, 3);
    ipaddr_set_zone(&g, ifindex + 1);
    return g;
}

struct ipaddr ip6_group(uint8_t n, unsigned ifindex)
{
    struct ipaddr g = {.b = {0xff, 0x02, [15] = n}};

    ipaddr_set_zone(&g, ifindex + 1);
    return g;
}

unsigned ip6_scope(const struct ipaddr *a)
{
    if (ipaddr_is_v4(a)) /* RFC 6724 section 3.2 */
        return a->b[12] == 127 || (a->b[12] == 169 && a->b[13] == 254) ? 2 : 14;
    if (a->b[0] == 0xff)
        return a->b[1] & 0xf;
    if (ipaddr_is_linklocal(a) || ipaddr_is_loopback(a))
        return 2;
    if (a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0xc0) /* RFC 3879's site-local, by the way */
        return 5;
    return 14;
}

/* RFC 6724 section 2.1, the default policy table's labels. */
static unsigned label(const struct ipaddr *a)
{
    static const struct {
        uint8_t prefix[16], plen, label;
    } table[] = {
        {{[15] = 1}, 128, 0},  {{[10] = 0xff, 0xff}, 96, 4}, {{0}, 96, 3},           {{0x20, 0x01}, 32, 5},
        {{0x20, 0x02}, 16, 2}, {{0x3f, 0xfe}, 16, 12},       {{0xfe, 0xc0}, 10, 11}, {{0xfc}, 7, 13},
    };

    for (unsigned i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct ipaddr p;

        memcpy(p.b, table[i].prefix, 16);
        if (ipaddr_prefix_eq(&p, a, table[i].plen))
            return table[i].label;
    }
    return 1;
}

/* RFC 6724 section 2.2: bits in common, at most the source's prefix length. */
static unsigned common_bits(const struct ifaddr *src, const struct ipaddr *dst)
{
    unsigned n = 0;

    while (n < src->prefix_len && ipaddr_prefix_eq(&src->addr, dst, n + 1))
        n++;
    return n;
}

struct candidate {
    const struct ifaddr *a;
    unsigned ifindex;
};

/* RFC 6724 section 5: is a a better source for dst than b? Rules 4 (home addresses) and 7 (temporary ones)
 * have nothing to decide here. */
static bool better(const struct candidate *a, const struct candidate *b, const struct ipaddr *dst,
                   unsigned ifindex, uint64_t now_ms)
{
    unsigned sa = ip6_scope(&a->a->addr), sb = ip6_scope(&b->a->addr), sd = ip6_scope(dst);
    bool da = a->a->preferred_ms && a->a->preferred_ms <= now_ms;
    bool db = b->a->preferred_ms && b->a->preferred_ms <= now_ms;
    bool la, lb;

    if (ipaddr_eq(&a->a->addr, dst) != ipaddr_eq(&b->a->addr, dst)) /* rule 1: the same address */
        return ipaddr_eq(&a->a->addr, dst);
    if (sa != sb) /* rule 2: appropriate scope */
        return sa < sb ? sa >= sd : sb < sd;
    if (da != db) /* rule 3: deprecated ones last */
        return db;
    if ((a->ifindex == ifindex) != (b->ifindex == ifindex)) /* rule 5: the outgoing interface */
        return a->ifindex == ifindex;
    la = label(&a->a->addr) == label(dst); /* rule 6: matching label */
    lb = label(&b->a->addr) == label(dst);
    if (la != lb)
        return la;
    return common_bits(a->a, dst) > common_bits(b->a, dst); /* rule 8: longest matching prefix */
}

const struct ifaddr *ip6_source(const struct stack *st, unsigned ifindex, const struct ipaddr *dst,
                                uint64_t now_ms)
{
    bool own_only = ipaddr_is_linklocal(dst) || ipaddr_is_multicast(dst); /* section 4 */
    struct candidate best = {0};

    for (unsigned i = 0; i < st->nif; i++) {
        const struct ifnet *ifn = &st->ifn[i];

        if (i != ifindex && (own_only || (ifn->caps & NETDEV_LOOPBACK)))
            continue;
        for (uint32_t k = 0; k < ifn->naddr; k++) {
            struct candidate c = {&ifn->addr[k], i};

            if (c.a->state != IFADDR_VALID || ipaddr_is_v4(&c.a->addr) ||
                (i != ifindex && ipaddr_is_linklocal(&c.a->addr)))
                continue;
            if (!best.a || better(&c, &best, dst, ifindex, now_ms))
                best = c;
        }
    }
    return best.a;
}
