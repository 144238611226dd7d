/* test_tunable.c: settings by name. */
#include <criterion/criterion.h>
#include <errno.h>

#include "../../stack/tunable.h"

static struct tunables t;
static int64_t min, max;

static int set(const char *key, const char *value)
{
    min = max = -1;
    return tunables_set(&t, key, value, &min, &max);
}

Test(tunable, defaults_lie_within_their_bounds)
{
    tunables_default(&t);
#define X(name, def, lo, hi, text)                                                                           \
    cr_assert_eq(t.name, def);                                                                               \
    cr_assert(t.name >= (lo) && t.name <= (hi), #name);
    TUNABLES(X)
#undef X
}

Test(tunable, set)
{
    tunables_default(&t);
    cr_assert_eq(set("tcp_fin_timeout", "30"), 0);
    cr_assert_eq(t.tcp_fin_timeout, 30);
    cr_assert_eq(set("tcp_fin_timeoutt", "30"), -ENOENT);
    cr_assert_eq(set("tcp_fin_timeout", "soon"), -EINVAL);
    cr_assert_eq(set("tcp_fin_timeout", ""), -EINVAL);
    cr_assert_eq(set("tcp_fin_timeout", "30s"), -EINVAL);
    cr_assert_eq(set("tcp_fin_timeout", "99999999999999999999"), -EINVAL);
    cr_assert_eq(set("tcp_fin_timeout", "0"), -ERANGE);
    cr_assert_eq(min, 1);
    cr_assert_eq(max, 3600);
    cr_assert_eq(set("tcp_fin_timeout", "-5"), -ERANGE);
    cr_assert_eq(t.tcp_fin_timeout, 30, "a refused value changes nothing");
}

Test(tunable, congestion_control_by_name)
{
    tunables_default(&t);
    cr_assert_eq(set("tcp_congestion_control", "reno"), 0);
    cr_assert_eq(t.tcp_congestion_control, 1);
    cr_assert_eq(set("tcp_congestion_control", "cubic"), 0);
    cr_assert_eq(t.tcp_congestion_control, 0);
    cr_assert_eq(set("tcp_congestion_control", "vegas"), -EINVAL);
    cr_assert_eq(set("tcp_congestion_control", "bbr"), 0);
    cr_assert_eq(t.tcp_congestion_control, 2);
    cr_assert_eq(set("tcp_congestion_control", "dctcp"), 0);
    cr_assert_eq(t.tcp_congestion_control, 3);
    cr_assert_eq(set("tcp_allowed_congestion_control", "reno cubic"), 0);
    cr_assert_eq(t.tcp_allowed_congestion_control, 3);
    cr_assert_eq(set("tcp_allowed_congestion_control", "bbr "), 0);
    cr_assert_eq(t.tcp_allowed_congestion_control, 4);
    cr_assert_eq(set("tcp_allowed_congestion_control", "reno vegas"), -EINVAL);
}

Test(tunable, memory_triples)
{
    tunables_default(&t);
    cr_assert_eq(set("tcp_rmem", "4096 87380 4194304"), 0);
    cr_assert_eq(t.tcp_rmem_default, 87380);
    cr_assert_eq(t.tcp_rmem_max, 4194304);
    cr_assert_eq(set("tcp_wmem", "4096\t16384\t1000000"), 0);
    cr_assert_eq(t.tcp_wmem_default, 16384);
    cr_assert_eq(t.tcp_wmem_max, 1000000);
    cr_assert_eq(set("tcp_wmem", "8000"), 0);
    cr_assert_eq(t.tcp_wmem_max, 8000);
    cr_assert_eq(t.tcp_wmem_default, 8000, "the default never passes the maximum");
    cr_assert_eq(set("tcp_rmem", "1 2"), -EINVAL);
    cr_assert_eq(set("tcp_rmem", "1 2 3 4"), -EINVAL);
    cr_assert_eq(set("tcp_rmem", "1 5000 4000"), -EINVAL);
    cr_assert_eq(set("tcp_rmem", "a b c"), -EINVAL);
    cr_assert_eq(set("tcp_rmem", "1 2 3"), -ERANGE);
    cr_assert_eq(t.tcp_rmem_default, 87380);
}

Test(tunable, shards_by_number_or_auto)
{
    tunables_default(&t);
    cr_assert_eq(t.shards, 1);
    cr_assert_eq(set("shards", "2"), 0);
    cr_assert_eq(t.shards, 2);
    cr_assert_eq(set("shards", "auto"), 0);
    cr_assert_eq(t.shards, 0);
    cr_assert_eq(set("shards", "many"), -EINVAL);
    cr_assert_eq(set("shards", "9"), -ERANGE);
    cr_assert_eq(set("spin_us", "auto"), -EINVAL);
}
