/* test_wire_eth.c: Ethernet addresses and headers. */
#include <criterion/criterion.h>

#include "../../stack/wire_eth.h"

Test(wire_eth, emit_and_predicates)
{
    static const uint8_t a[6] = {2, 0, 0, 0, 0, 1}, b[6] = {2, 0, 0, 0, 0, 2}, group[6] = {1, 0, 0x5e},
                         zero[6];
    uint8_t p[14];

    cr_assert_eq(wire_eth_emit(p, a, b, ETH_TYPE_ARP), 14);
    cr_assert_arr_eq(p, a, 6);
    cr_assert_arr_eq(p + 6, b, 6);
    cr_assert_eq(p[12], 0x08);
    cr_assert_eq(p[13], 0x06);
    cr_assert(eth_addr_eq(a, a));
    cr_assert_not(eth_addr_eq(a, b));
    cr_assert(eth_addr_is_multicast(group));
    cr_assert_not(eth_addr_is_multicast(a));
    cr_assert(eth_addr_is_zero(zero));
    cr_assert_not(eth_addr_is_zero(b));
}
