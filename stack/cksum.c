/* cksum.c: the Internet checksum (cksum.h). */
#include "cksum.h"

#include <rte_mbuf.h>
#include <string.h>

#include "ip.h"

/* 32-bit words into a 64-bit sum: no carry is lost below 16 GiB, and compilers vectorise it. */
uint64_t cksum_add(uint64_t sum, const void *p, size_t len)
{
    const uint8_t *b = p;
    uint32_t w;
    uint16_t h;

    for (; len >= 4; len -= 4, b += 4) {
        memcpy(&w, b, 4);
        sum += w;
    }
    if (len >= 2) {
        memcpy(&h, b, 2);
        sum += h;
        b += 2;
        len -= 2;
    }
    if (len)
        sum += *b; /* the first byte of a 16-bit word in memory order, on this little-endian machine */
    return sum;
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
        sum += part;
        done += n;
        len -= n;
        off = 0;
    }
    return sum;
}

uint64_t cksum_add_pseudo(uint64_t sum, const struct ipaddr *src, const struct ipaddr *dst, uint8_t proto,
                          uint32_t len)
{
    if (ipaddr_is_v4(src))
        sum += (uint64_t)src->w[3] + dst->w[3];
    else
        for (int i = 0; i < 4; i++)
            sum += (uint64_t)src->w[i] + dst->w[i];
    return sum + htonl(len) + htonl(proto);
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
