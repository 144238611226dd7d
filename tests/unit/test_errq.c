/* test_errq.c: the error queue: what ICMP errors leave in it, local errors, bounds, its end. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>

#include "../../stack/errq.h"
#include "../../stack/shard.h"
#include "../../stack/sock.h"
#include "env.h"

static struct env_seen seen;

static struct sock *asking(struct env *e)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(1234)};
    struct sock *s;
    int on = 1;

    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_DGRAM, 0, &s), 0);
    cr_assert_eq(sock_bind(e->st, s, (struct sockaddr *)&a, sizeof a), 0);
    cr_assert_eq(sock_setsockopt(e->st, s, IPPROTO_IP, IP_RECVERR, &on, sizeof on), 0);
    return s;
}

static ssize_t to_peer(struct env *e, struct sock *s, size_t len)
{
    static char data[65536];
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = ENV_PEER_IP};
    struct iovec iov = {data, len};
    struct msghdr m = {.msg_name = &a, .msg_namelen = sizeof a, .msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n = sock_sendmsg(e->st, s, &m, 0, 0);

    shard_flush(e->sh);
    return n;
}

/* Sends a datagram of len bytes and has the peer complain about it, quoting quote bytes. */
static void complain(struct env *e, struct sock *s, size_t len, uint8_t type, uint8_t code, uint32_t rest,
                     size_t quote)
{
    cr_assert_eq(to_peer(e, s, len), (ssize_t)len);
    cr_assert(env_seen(e, &seen));
    env_inject(e, env_icmp(e, 0, 0, type, code, rest, seen.ip, quote));
    env_poll(e);
}

/* One entry, with its payload's length as result. */
static ssize_t take(struct env *e, struct sock *s, struct sock_extended_err *ee, struct sockaddr_in *name)
{
    char buf[2000], ctl[256];
    struct iovec iov = {buf, sizeof buf};
    struct msghdr m = {.msg_name = name,
                       .msg_namelen = sizeof *name,
                       .msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = ctl,
                       .msg_controllen = sizeof ctl};
    ssize_t n = sock_recvmsg(e->st, s, &m, MSG_ERRQUEUE | MSG_DONTWAIT, 0);

    if (n < 0)
        return n;
    cr_assert(m.msg_flags & MSG_ERRQUEUE);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    cr_assert(c && c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR);
    memcpy(ee, CMSG_DATA(c), sizeof *ee);
    return n;
}

Test(errq, icmp_error_is_queued_with_its_packet)
{
    struct env *e = env_stack(NULL);
    struct sock *s = asking(e);
    struct sock_extended_err ee;
    struct sockaddr_in name;

    complain(e, s, 100, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, 0, 60);
    cr_assert(sock_poll(s) & POLLERR);
    cr_assert_eq(take(e, s, &ee, &name), 60 - 28);
    cr_assert_eq(ee.ee_errno, EHOSTUNREACH);
    cr_assert_eq(ee.ee_origin, SO_EE_ORIGIN_ICMP);
    cr_assert_eq(ee.ee_type, ICMP_DEST_UNREACH);
    cr_assert_eq(ee.ee_code, ICMP_HOST_UNREACH);
    cr_assert_eq(name.sin_port, htons(53));
    cr_assert_eq(name.sin_addr.s_addr, ENV_PEER_IP);
    cr_assert_eq(sock_poll(s) & POLLERR, 0);
    cr_assert_eq(take(e, s, &ee, &name), -EAGAIN);
    cr_assert_eq(env_leaks(e), 0);
}

Test(errq, information_of_each_type)
{
    struct env *e = env_stack(NULL);
    struct sock *s = asking(e);
    struct sock_extended_err ee;
    struct sockaddr_in name;

    complain(e, s, 1000, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, 700, 28);
    cr_assert_eq(take(e, s, &ee, &name), 0);
    cr_assert_eq(ee.ee_errno, EMSGSIZE);
    cr_assert_eq(ee.ee_info, 700);
    complain(e, s, 10, ICMP_PARAMETERPROB, 0, 5u << 24, 28);
    cr_assert_eq(take(e, s, &ee, &name), 0);
    cr_assert_eq(ee.ee_errno, EPROTO);
    cr_assert_eq(ee.ee_info, 5);
    complain(e, s, 10, ICMP_TIME_EXCEEDED, 0, 77, 28);
    cr_assert_eq(take(e, s, &ee, &name), 0);
    cr_assert_eq(ee.ee_info, 0);
    for (size_t quote = 0; quote < 28; quote++) /* too short to say whose it is */
        complain(e, s, 10, ICMP_TIME_EXCEEDED, 0, 0, quote);
    cr_assert_eq(take(e, s, &ee, &name), -EAGAIN);
    cr_assert_eq(env_leaks(e), 0);
}

Test(errq, longer_than_the_path)
{
    struct env *e = env_stack(NULL);
    struct sock *s = asking(e);
    struct sock_extended_err ee;
    struct sockaddr_in name;
    int how = IP_PMTUDISC_DO;

    cr_assert_eq(sock_setsockopt(e->st, s, IPPROTO_IP, IP_MTU_DISCOVER, &how, sizeof how), 0);
    complain(e, s, 1000, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, 700, 28);
    cr_assert_eq(take(e, s, &ee, &name), 0);
    cr_assert_eq(to_peer(e, s, 673), -EMSGSIZE);
    cr_assert_eq(take(e, s, &ee, &name), 0);
    cr_assert_eq(ee.ee_origin, SO_EE_ORIGIN_LOCAL);
    cr_assert_eq(ee.ee_info, 700);
    cr_assert_eq(to_peer(e, s, 672), 672);
    how = IP_PMTUDISC_PROBE; /* by the link, with don't-fragment */
    cr_assert_eq(sock_setsockopt(e->st, s, IPPROTO_IP, IP_MTU_DISCOVER, &how, sizeof how), 0);
    env_tx_clear(e);
    cr_assert_eq(to_peer(e, s, 1472), 1472);
    cr_assert(env_seen(e, &seen));
    cr_assert_eq(seen.ip->off_be, htons(IP4_DF));
    cr_assert_eq(to_peer(e, s, 1473), -EMSGSIZE);
    how = IP_PMTUDISC_INTERFACE; /* by the link, without, never cut */
    cr_assert_eq(sock_setsockopt(e->st, s, IPPROTO_IP, IP_MTU_DISCOVER, &how, sizeof how), 0);
    cr_assert_eq(to_peer(e, s, 1472), 1472);
    cr_assert(env_seen(e, &seen));
    cr_assert_eq(seen.ip->off_be, 0);
    cr_assert_eq(to_peer(e, s, 1473), -EMSGSIZE);
    how = IP_PMTUDISC_OMIT; /* cut by the link's */
    cr_assert_eq(sock_setsockopt(e->st, s, IPPROTO_IP, IP_MTU_DISCOVER, &how, sizeof how), 0);
    cr_assert_eq(to_peer(e, s, 1473), 1473);
    cr_assert_eq(env_tx_count(e), 2);
    env_tx_clear(e);
    how = IP_PMTUDISC_DONT; /* cut by the path's */
    cr_assert_eq(sock_setsockopt(e->st, s, IPPROTO_IP, IP_MTU_DISCOVER, &how, sizeof how), 0);
    cr_assert_eq(to_peer(e, s, 1400), 1400);
    cr_assert_eq(env_tx_count(e), 3);
    env_tx_clear(e);
    file_put(e->st, &s->file);
    cr_assert_eq(env_leaks(e), 0);
}

Test(errq, is_bounded_and_goes_with_the_socket)
{
    struct env *e = env_stack(NULL);
    struct sock *s = asking(e);
    int small = 2304, n = 0;
    struct sock_extended_err ee;
    struct sockaddr_in name;
    struct sock *other = NULL;

    cr_assert_eq(sock_setsockopt(e->st, s, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    for (int i = 0; i < 20; i++) {
        complain(e, s, 10, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0, 38);
        sock_take_error(s);
    }
    while (take(e, s, &ee, &name) >= 0)
        n++;
    cr_assert_eq(n, 5, "%d", n); /* 4608 bytes at 842 each */
    complain(e, s, 10, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0, 38);
    file_put(e->st, &s->file);
    cr_assert_eq(env_leaks(e), 0);
    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_DGRAM, 0, &other), 0);
    cr_assert_eq(take(e, other, &ee, &name), -EAGAIN); /* a new socket at the old one's place has none */
}
