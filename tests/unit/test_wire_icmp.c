/* test_wire_icmp.c: ICMP headers and types. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "../../stack/wire_icmp.h"

Test(wire_icmp, parse)
{
    static const uint8_t p[8] = {3, 4, 0, 0, 0, 0, 0x05, 0xdc};
    struct icmp_in h;

    cr_assert_eq(wire_icmp_parse(p, 8, &h), 0);
    cr_assert_eq(h.type, ICMP_T_UNREACH);
    cr_assert_eq(h.code, ICMP_C_FRAG_NEEDED);
    cr_assert_eq(h.mtu, 1500);
    for (size_t n = 0; n < 8; n++)
        cr_assert_eq(wire_icmp_parse(p, n, &h), -1);
}

Test(wire_icmp, emit_error)
{
    static const uint8_t want[8] = {12, 0, 0, 0, 20, 0, 0, 0};
    uint8_t p[8];

    memset(p, 0xff, sizeof p);
    cr_assert_eq(wire_icmp_emit(p, ICMP_T_PARAM, 0, 20u << 24), 8);
    cr_assert_arr_eq(p, want, 8);
}

Test(wire_icmp, which_types_are_errors)
{
    static const uint8_t queries[] = {0, 8, 9, 10, 13, 14, 15, 16, 17, 18};

    for (unsigned t = 0; t < 256; t++)
        cr_assert_eq(icmp_type_is_error((uint8_t)t), memchr(queries, (int)t, sizeof queries) == NULL,
                     "type %u", t);
}

Test(wire_icmp, errno_of_any_code_is_defined)
{
    for (unsigned type = 0; type < 256; type++)
        for (unsigned code = 0; code < 256; code++) {
            struct icmp_errno e = wire_icmp_errno((uint8_t)type, (uint8_t)code);

            cr_assert_geq(e.err, 0);
            if (e.err)
                cr_assert(type == 3 || type == 11 || type == 12);
        }
    cr_assert_eq(wire_icmp_errno(3, 4).err, EMSGSIZE);
}
