/* test_wire_udp.c: UDP headers. */
#include <criterion/criterion.h>

#include "../../stack/wire_udp.h"

Test(wire_udp, round_trip_and_refusals)
{
    struct udp_hdr_in h;
    uint8_t p[UDP_HDR_LEN + 10] = {0};

    cr_assert_eq(wire_udp_emit(p, 0x1122, 0x3344, 10), UDP_HDR_LEN);
    cr_assert_eq(wire_udp_parse(p, 18, &h), 0);
    cr_assert_eq(h.sport_be, 0x1122);
    cr_assert_eq(h.dport_be, 0x3344);
    cr_assert_eq(h.len, 18);
    cr_assert_eq(h.cksum_be, 0);
    for (size_t n = 0; n < 18; n++)
        cr_assert_eq(wire_udp_parse(p, n, &h), -1);
    p[5] = 7; /* a length below the header's own */
    cr_assert_eq(wire_udp_parse(p, 18, &h), -1);
    p[5] = 8;
    cr_assert_eq(wire_udp_parse(p, 18, &h), 0);
    wire_udp_emit(p, 0, 0, 65527);
    cr_assert_eq(p[4] << 8 | p[5], 65535);
}
