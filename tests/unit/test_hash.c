/* test_hash.c: SipHash's published vectors, and the flow hash's spread. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "../../stack/hash.h"

/* From the paper's appendix A and the reference implementation: key 00..0f, input 00, 00 01, ... */
Test(hash, siphash_vectors)
{
    static const uint64_t want[] = {
        0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d, 0xcf2794e0277187b7,
        0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137, 0x93f5f5799a932462, 0x9e0082df0ba9e4b0};
    uint8_t key[16], in[16];

    for (unsigned i = 0; i < 16; i++)
        key[i] = in[i] = (uint8_t)i;
    for (unsigned n = 0; n < sizeof want / sizeof want[0]; n++)
        cr_assert_eq(siphash(key, in, n), want[n], "length %u", n);
    cr_assert_eq(siphash(key, in, 15), 0xa129ca6149be45e5);
}

/* Flows that differ in the ways real ones do spread evenly over a table's low bits. */
Test(hash, flow_spread)
{
    static unsigned bucket[1024];
    uint8_t secret[16] = {42, 7};
    struct endpoint l = {.addr = ipaddr_v4(0x0200120a), .port_be = 0x5000}, r = l;
    unsigned max = 0;

    for (unsigned host = 0; host < 64; host++) {
        for (unsigned port = 0; port < 1024; port++) {
            r.addr = ipaddr_v4(htonl(0xc6120000u + host));
            r.port_be = htons((uint16_t)(32768 + 2 * port));
            bucket[hash_flow(secret, &l, &r) % 1024]++;
        }
    }
    for (unsigned i = 0; i < 1024; i++)
        max = bucket[i] > max ? bucket[i] : max;
    cr_assert_lt(max, 64 + 60, "64 expected a bucket, %u found", max);
}

Test(hash, flow_depends_on_all_of_it)
{
    uint8_t secret[16] = {1}, other[16] = {2};
    struct endpoint l = {.addr = ipaddr_v4(1), .port_be = 1}, r = {.addr = ipaddr_v4(2), .port_be = 2}, x;
    uint32_t h = hash_flow(secret, &l, &r);

    cr_assert_eq(h, hash_flow(secret, &l, &r));
    cr_assert_neq(h, hash_flow(other, &l, &r));
    cr_assert_neq(h, hash_flow(secret, &r, &l));
    for (unsigned bit = 0; bit < 128; bit++) {
        x = r;
        x.addr.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_neq(h, hash_flow(secret, &l, &x));
        cr_assert_neq(hash_addr(secret, &r.addr, 1), hash_addr(secret, &x.addr, 1));
    }
    x = r;
    x.port_be++;
    cr_assert_neq(h, hash_flow(secret, &l, &x));
}
