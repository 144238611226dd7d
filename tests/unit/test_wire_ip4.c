/* test_wire_ip4.c: the IPv4 header's checks and its options. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "../../stack/wire_ip4.h"

Test(wire_ip4, check)
{
    uint8_t p[80] = {0x45, 0, 0, 40};

    cr_assert_eq(wire_ip4_check(p, 40), IP4_OK);
    cr_assert_eq(wire_ip4_check(p, 80), IP4_OK);
    cr_assert_eq(wire_ip4_check(p, 39), IP4_BAD_TRUNC);
    for (size_t n = 0; n < 20; n++)
        cr_assert_eq(wire_ip4_check(p, n), IP4_BAD_TRUNC);
    p[0] = 0x4b; /* 44 bytes of header, 40 in all */
    cr_assert_eq(wire_ip4_check(p, 80), IP4_BAD_HEADER);
    p[0] = 0x44;
    cr_assert_eq(wire_ip4_check(p, 80), IP4_BAD_HEADER);
    p[0] = 0x55;
    cr_assert_eq(wire_ip4_check(p, 80), IP4_BAD_HEADER);
    p[0] = 0x4f;
    p[3] = 60;
    cr_assert_eq(wire_ip4_check(p, 60), IP4_OK);
}

static enum ip4_opts_verdict opts(const void *o, size_t n, uint8_t *at)
{
    uint8_t p[60] = {0};

    memcpy(p + 20, o, n);
    return wire_ip4_opts(p, 20 + n, at);
}

Test(wire_ip4, opts)
{
    uint8_t at = 0;

    cr_assert_eq(opts("\x01\x01\x01\x00", 4, &at), IP4_OPTS_OK);
    cr_assert_eq(opts("\x00\xff\xff\xff", 4, &at), IP4_OPTS_OK); /* nothing counts behind the end */
    cr_assert_eq(opts("\x94\x04\x00\x00", 4, &at), IP4_OPTS_OK); /* router alert */
    cr_assert_eq(opts("\x99\x04\x00\x00", 4, &at), IP4_OPTS_OK); /* unknown */
    cr_assert_eq(opts("\x83\x07\x04xxxx", 7, &at), IP4_OPTS_SOURCE_ROUTE);
    cr_assert_eq(opts("\x01\x89\x07\x04xxxx", 8, &at), IP4_OPTS_SOURCE_ROUTE);
    cr_assert_eq(opts("\x01\x01\x01\x99", 4, &at), IP4_OPTS_BAD); /* no length */
    cr_assert_eq(at, 23);
    cr_assert_eq(opts("\x99\x01\x00\x00", 4, &at), IP4_OPTS_BAD);
    cr_assert_eq(at, 20);
    cr_assert_eq(opts("\x99\x05\x00\x00", 4, &at), IP4_OPTS_BAD);
    cr_assert_eq(opts("\x07\x07\x03xxxx", 7, &at), IP4_OPTS_BAD); /* pointer below 4 */
    cr_assert_eq(at, 22);
    cr_assert_eq(opts("\x07\x02", 2, &at), IP4_OPTS_BAD);
}

Test(wire_ip4, opts_random)
{
    uint8_t o[40], at;

    srand(3);
    for (unsigned i = 0; i < 200000; i++) {
        size_t n = (size_t)rand() % 11 * 4;

        for (size_t k = 0; k < n; k++)
            o[k] = (uint8_t)(rand() % 3 ? rand() % 10 : rand());
        at = 0;
        if (opts(o, n, &at) == IP4_OPTS_BAD)
            cr_assert(at >= 20 && at < 20 + n);
    }
}
