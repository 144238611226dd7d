/* cksum.c: the Internet checksum (cksum.h). */
#include "cksum.h"

#include <rte_mbuf.h>
#include <string.h>

#include "ip.h"

/* Four sums side by side, so that one addition need not wait for the carry of the one before. */
uint64_t cksum_add(uint64_t sum, const void *p, size_t len)
{
    const uint8_t *b = p;
    uint64_t s[4] = {sum, 0, 0, 0}, w[4], last = 0;

    for (; len >= sizeof w; len -= sizeof w, b += sizeof w) {
        memcpy(w, b, sizeof w);
        s[0] = cksum_carry(s[0], w[0]);
        s[1] = cksum_carry(s[1], w[1]);
        s[2] = cksum_carry(s[2], w[2]);
        s[3] = cksum_carry(s[3], w[3]);
    }
    sum = cksum_carry(cksum_carry(s[0], s[1]), cksum_carry(s[2], s[3]));
    for (; len >= 8; len -= 8, b += 8) {
        memcpy(w, b, 8);
        sum = cksum_carry(sum, w[0]);
    }
    /* What is left, in pieces of fixed sizes: a copy of variable length would cost more than all of a
     * header's sum. */
    if (len & 4) {
        uint32_t w4;

        memcpy(&w4, b, 4);
        last = w4;
        b += 4;
    }
    if (len & 2) {
        uint16_t w2;

        memcpy(&w2, b, 2);
        last += w2;
        b += 2;
    }
    if (len & 1)
        last += *b; /* the first byte of a 16-bit word in memory order, on this little-endian machine */
    return cksum_carry(sum, last);
}

uint64_t cksum_add_mbuf(uint64_t sum, const struct rte_mbuf *m, uint32_t off, uint32_t len)
{
    uint32_t done = 0;

    for (; m && len > 0; m = m->next) {
        uint32_t n = m->data_len, part;

        if (off >= n) {
            off -= n;
            continue;
        }
        n -= off;
        if (n > len)
            n = len;
        part = cksum_fold(cksum_add(0, rte_pktmbuf_mtod_offset(m, const void *, off), n));
        /* A piece that starts at an odd place contributes its bytes to the other halves of the words. */
        if (done & 1)
            part = ((part & 0xff) << 8) | (part >> 8);
        sum = cksum_carry(sum, part);
        done += n;
        len -= n;
        off = 0;
    }
    return sum;
}

uint64_t cksum_add_pseudo(uint64_t sum, const struct ipaddr *src, const struct ipaddr *dst, uint8_t proto,
                          uint32_t len)
{
    uint64_t add = (uint64_t)htonl(len) + htonl(proto);

    if (ipaddr_is_v4(src)) {
        add += (uint64_t)src->w[3] + dst->w[3];
    } else {
        struct ipaddr s = ipaddr_unzoned(src), d = ipaddr_unzoned(dst);

        for (int i = 0; i < 4; i++)
            add += (uint64_t)s.w[i] + d.w[i];
    }
    return cksum_carry(sum, add);
}

uint16_t ip_l4_cksum(const struct rte_mbuf *m, const struct ipaddr *src, const struct ipaddr *dst,
                     uint8_t proto, uint32_t len)
{
    uint64_t sum = cksum_add_pseudo(0, src, dst, proto, len);

    if (len <= m->data_len)
        sum = cksum_add(sum, rte_pktmbuf_mtod(m, const void *), len);
    else
        sum = cksum_add_mbuf(sum, m, 0, len);
    return (uint16_t)~cksum_fold(sum);
}
