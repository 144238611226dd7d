/* test_netdev.c: the table of devices. */
#include <criterion/criterion.h>

#include "../../stack/netdev.h"

Test(netdev, register_get_and_bounds)
{
    struct netdev d;

    cr_assert_null(netdev_get(1));
    netdev_register(1, &d);
    cr_assert_eq(netdev_get(1), &d);
    netdev_register(NETDEV_MAX, &d);
    cr_assert_null(netdev_get(NETDEV_MAX));
    netdev_register(1, NULL);
    cr_assert_null(netdev_get(1));
}
