/* test_procsys.c: settings written below /proc/sys/net: what Linux takes of a text, what it refuses, and that
 * reading gives it back. (tests/system/ss.test writes them with sysctl and a shell.) */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/netlink.h>

#include "../../stack/netlink.h"
#include "../../stack/procsys.h"
#include "../../stack/sock.h"
#include "env.h"

static struct tunables t;

/* Writes text to the file and gives what it reads then; a negative number as text: the error. */
static const char *wrote(const char *path, const char *text)
{
    static char buf[PROCSYS_ROOM];
    int i = procsys_writable(path), err;

    if (i < 0) {
        snprintf(buf, sizeof buf, "%d", i);
        return buf;
    }
    err = procsys_write(&t, (unsigned)i, text);
    if (err)
        snprintf(buf, sizeof buf, "%d", err);
    else
        procsys_read(&t, path, buf, sizeof buf);
    return buf;
}

static void setup(void)
{
    tunables_default(&t);
}

Test(procsys, numbers, .init = setup)
{
    cr_assert_str_eq(wrote("ipv4/tcp_fin_timeout", "17\n"), "17\n");
    cr_assert_eq(t.tcp_fin_timeout, 17);
    cr_assert_str_eq(wrote("ipv4/tcp_fin_timeout", " \t0x12 "), "18\n");
    cr_assert_str_eq(wrote("ipv4/tcp_fin_timeout", "19 what follows"), "19\n");
    cr_assert_str_eq(wrote("ipv4/tcp_fin_timeout", "20x"), "-22");
    cr_assert_str_eq(wrote("ipv4/tcp_fin_timeout", "\n"), "-22");
    cr_assert_str_eq(wrote("ipv4/tcp_fin_timeout", "abc"), "-22");
    cr_assert_str_eq(wrote("ipv4/tcp_fin_timeout", "-1"), "-22");
    cr_assert_str_eq(wrote("ipv4/tcp_fin_timeout", "99999999999999999999"), "-22");
    cr_assert_eq(t.tcp_fin_timeout, 19);
}

Test(procsys, several_numbers, .init = setup)
{
    cr_assert_str_eq(wrote("ipv4/tcp_rmem", "4096 100000 2000000\n"), "4096\t100000\t2000000\n");
    cr_assert_str_eq(wrote("ipv4/tcp_rmem", "4096\t90000\n"), "4096\t90000\t2000000\n");
    cr_assert_str_eq(wrote("ipv4/tcp_rmem", "4096 x"), "-22");
    cr_assert_str_eq(wrote("ipv4/ip_local_port_range", "40000 40010"), "40000\t40010\n");
    cr_assert_str_eq(wrote("ipv4/ip_local_port_range", "40005"), "40005\t40010\n");
    cr_assert_str_eq(wrote("ipv4/ip_local_port_range", "40011"), "-22");
    cr_assert_str_eq(wrote("ipv4/ip_local_port_range", "30000 70000"), "-22");
    cr_assert_eq(t.ip_local_port_min, 40005);
    cr_assert_eq(t.ip_local_port_max, 40010);
}

Test(procsys, names, .init = setup)
{
    cr_assert_str_eq(wrote("ipv4/tcp_congestion_control", "reno\n"), "reno\n");
    cr_assert_str_eq(wrote("ipv4/tcp_congestion_control", "nosuch"), "-2");
    cr_assert_str_eq(wrote("ipv4/tcp_congestion_control", "1"), "-2", "a number is no name");
    cr_assert_str_eq(wrote("ipv4/tcp_allowed_congestion_control", "reno cubic\n"), "cubic reno\n");
    cr_assert_str_eq(wrote("ipv4/tcp_allowed_congestion_control", "reno nosuch"), "-2");
}

Test(procsys, what_is_not_written, .init = setup)
{
    char text[2 * PROCSYS_ROOM];

    cr_assert_str_eq(wrote("ipv4/tcp_available_congestion_control", "reno"), "-30");
    cr_assert_str_eq(wrote("ipv6/conf/all/disable_ipv6", "1"), "-30");
    cr_assert_str_eq(wrote("ipv4/nosuch", "1"), "-2");
    memset(text, '1', sizeof text - 1);
    text[sizeof text - 1] = 0;
    cr_assert_str_eq(wrote("ipv4/tcp_fin_timeout", text), "-22");
    cr_assert_eq(procsys_write(&t, 100000, "1"), -EINVAL);
}

/* The socket that stands for a file. */
Test(procsys, by_a_socket)
{
    struct env *e = env_stack(&(struct env_config){.isolate = true});
    struct sockaddr_nl to = {.nl_family = AF_NETLINK};
    struct iovec iov = {"23\n", 3};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    struct sock *s;

    to.nl_pid = (uint32_t)procsys_writable("ipv4/tcp_fin_timeout");
    cr_assert_eq(sock_new(e->st, AF_NETLINK, SOCK_RAW, NETLINK_SYSCTL, &s), 0);
    cr_assert_eq(sock_connect(e->st, s, (struct sockaddr *)&to, sizeof to), 0);
    cr_assert_eq(sock_sendmsg(e->st, s, &m, 0, 0), 3);
    cr_assert_eq(e->st->set.tcp_fin_timeout, 23);
    iov.iov_base = "x\n";
    iov.iov_len = 2;
    cr_assert_eq(sock_sendmsg(e->st, s, &m, 0, 0), -EINVAL);
    cr_assert_eq(e->st->set.tcp_fin_timeout, 23);
}
