/* test_wire_arp.c: ARP packets. */
#include <criterion/criterion.h>
#include <string.h>

#include "../../stack/wire_arp.h"

Test(wire_arp, round_trip_and_refusals)
{
    struct arp_pkt in = {.op = ARP_REPLY,
                         .sha = {1, 2, 3, 4, 5, 6},
                         .tha = {7, 8, 9, 10, 11, 12},
                         .spa_be = 0x01020304,
                         .tpa_be = 0x05060708},
                   out;
    uint8_t p[ARP_LEN];

    memset(&out, 0, sizeof out);
    cr_assert_eq(wire_arp_emit(p, &in), ARP_LEN);
    cr_assert_eq(wire_arp_parse(p, ARP_LEN, &out), 0);
    cr_assert_eq(memcmp(&in, &out, sizeof in), 0);
    cr_assert_eq(p[7], 2);
    for (size_t n = 0; n < ARP_LEN; n++)
        cr_assert_eq(wire_arp_parse(p, n, &out), -1);
    for (unsigned i = 0; i < 6; i++) { /* hardware and protocol types, address lengths */
        p[i] ^= 1;
        cr_assert_eq(wire_arp_parse(p, ARP_LEN, &out), -1);
        p[i] ^= 1;
    }
}
