/* test_count.c: counters are named, and named once. */
#include <criterion/criterion.h>
#include <string.h>

#include "../../stack/count.h"

Test(count, names_are_there_and_unique)
{
    cr_assert_str_eq(count_name(COUNT_OK), "");
    cr_assert_str_eq(count_name(COUNT_MAX), "");
    cr_assert_str_eq(count_name(COUNT_TCP_PAWS), "TcpExtPAWSEstab");
    for (unsigned i = COUNT_OK + 1; i < COUNT_MAX; i++) {
        cr_assert_neq(*count_name(i), '\0');
        for (unsigned k = i + 1; k < COUNT_MAX; k++)
            cr_assert_str_neq(count_name(i), count_name(k));
    }
}
