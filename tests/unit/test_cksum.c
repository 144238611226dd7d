/* test_cksum.c: the Internet checksum against a naive one, on pieces of all lengths and alignments. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "../../stack/cksum.h"
#include "../../stack/ip.h"
#include "env.h"

static uint16_t naive(const uint8_t *p, size_t n)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)~sum);
}

/* RFC 1071 section 3's example */
Test(cksum, rfc1071_example)
{
    static const uint8_t p[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

    cr_assert_eq(cksum_fold(cksum_add(0, p, sizeof p)), htons(0xddf2));
}

Test(cksum, agrees_with_a_naive_sum)
{
    static uint8_t p[4096];

    srand(1);
    for (unsigned i = 0; i < 20000; i++) {
        size_t off = (size_t)rand() % 64, n = (size_t)rand() % 2000;

        for (size_t k = 0; k < 8; k++)
            p[rand() % 4096] = (uint8_t)rand();
        if (i % 100 == 0)
            memset(p, 0xff, sizeof p);
        cr_assert_eq(cksum(p + off, n), naive(p + off, n));
    }
}

Test(cksum, chains_of_any_pieces)
{
    struct env *e = env_net(NULL);
    uint8_t p[300];
    struct ipaddr src = ipaddr_v4(ENV_PEER_IP), dst = ipaddr_v4(ENV_IP);

    for (unsigned i = 0; i < sizeof p; i++)
        p[i] = (uint8_t)(i * 37 + 11);
    for (size_t piece = 1; piece < sizeof p; piece++) {
        struct rte_mbuf *m = env_frame_chain(e, p, sizeof p, piece);

        for (unsigned off = 0; off < 5; off++)
            cr_assert_eq((uint16_t)~cksum_fold(cksum_add_mbuf(0, m, off, sizeof p - off - 3)),
                         naive(p + off, sizeof p - off - 3), "pieces of %zu from %u", piece, off);
        cr_assert_eq(ip_l4_cksum(m, &src, &dst, IPPROTO_TCP, sizeof p),
                     (uint16_t)~cksum_fold(
                         cksum_add(cksum_add_pseudo(0, &src, &dst, IPPROTO_TCP, sizeof p), p, sizeof p)));
        rte_pktmbuf_free(m);
    }
}

Test(cksum, pseudo_headers)
{
    struct ipaddr a = ipaddr_v4(IP4(1, 2, 3, 4)), b = ipaddr_v4(IP4(5, 6, 7, 8));
    static const uint8_t v4[12] = {1, 2, 3, 4, 5, 6, 7, 8, 0, 6, 0x01, 0x02};
    struct ipaddr x = {.b = {0x20, 1, 0x0d, 0xb8, [15] = 1}}, y = {.b = {0x20, 1, 0x0d, 0xb8, [15] = 2}};
    uint8_t v6[40] = {0};

    cr_assert_eq((uint16_t)~cksum_fold(cksum_add_pseudo(0, &a, &b, 6, 0x102)), naive(v4, 12));
    memcpy(v6, x.b, 16);
    memcpy(v6 + 16, y.b, 16);
    v6[34] = 1;
    v6[35] = 2;
    v6[39] = 6;
    cr_assert_eq((uint16_t)~cksum_fold(cksum_add_pseudo(0, &x, &y, 6, 0x102)), naive(v6, 40));
}
