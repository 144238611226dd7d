/* test_dgram.c: what datagram sockets share: charges, coalescing (UDP_GRO), rows (UDP_SEGMENT), stamps. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>

#include "../../stack/dgram.h"
#include "../../stack/shard.h"
#include "../../stack/sock.h"
#include "env.h"

static struct env_seen seen;

static struct sock *bound(struct env *e)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(7)};
    struct sock *s;

    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_DGRAM, 0, &s), 0);
    cr_assert_eq(sock_bind(e->st, s, (struct sockaddr *)&a, sizeof a), 0);
    return s;
}

static void set(struct env *e, struct sock *s, int level, int name, int v)
{
    cr_assert_eq(sock_setsockopt(e->st, s, level, name, &v, sizeof v), 0);
}

/* One read; *gro: the size that UDP_GRO says, 0 when it says none; *stamp: SO_TIMESTAMPNS. */
static ssize_t take(struct env *e, struct sock *s, int *gro, struct timespec *stamp)
{
    static char buf[70000];
    char ctl[256];
    struct iovec iov = {buf, sizeof buf};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof ctl};
    ssize_t n = sock_recvmsg(e->st, s, &m, MSG_DONTWAIT, 0);

    *gro = 0;
    for (struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level == IPPROTO_UDP)
            memcpy(gro, CMSG_DATA(c), sizeof *gro);
        else if (c->cmsg_level == SOL_SOCKET && stamp)
            memcpy(stamp, CMSG_DATA(c), sizeof *stamp);
    }
    return n;
}

static void queue(struct env *e, uint16_t sport, size_t len)
{
    static char data[2000];

    env_inject(e, env_udp(e, ENV_PEER_IP, sport, ENV_IP, 7, data, len));
}

Test(dgram, charges_as_measured_on_linux)
{
    static const uint32_t sizes[][2] = {{0, 832},    {100, 832},   {272, 1280},  {600, 1280},
                                        {700, 2304}, {1472, 2304}, {1600, 2304}, {1700, 4352}};
    struct env *e = env_stack(NULL);
    struct rte_mbuf *m = rte_pktmbuf_alloc(e->pool);

    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        m->data_len = (uint16_t)sizes[i][0];
        cr_assert_eq(dgram_truesize(m), sizes[i][1], "%u: %u", sizes[i][0], dgram_truesize(m));
    }
    rte_pktmbuf_free(m);
}

Test(dgram, tiny_fragments_are_charged_each)
{
    struct env *e = env_stack(NULL);
    struct rte_mbuf *m = rte_pktmbuf_alloc(e->pool);
    uint32_t one;

    m->data_len = 8;
    one = dgram_truesize(m);
    for (int i = 0; i < 100; i++) {
        struct rte_mbuf *next = rte_pktmbuf_alloc(e->pool);

        next->data_len = 8;
        cr_assert_eq(rte_pktmbuf_chain(m, next), 0);
    }
    cr_assert_geq(dgram_truesize(m), one + 100 * 512);
    rte_pktmbuf_free(m);
}

Test(dgram, equal_datagrams_of_one_poll_are_read_at_once)
{
    struct env *e = env_stack(NULL);
    struct sock *s = bound(e);
    int gro;

    set(e, s, IPPROTO_UDP, UDP_GRO, 1);
    for (int i = 0; i < 5; i++)
        queue(e, 99, 100);
    queue(e, 99, 40); /* ends the row */
    queue(e, 99, 100);
    queue(e, 98, 100); /* from another */
    queue(e, 98, 101); /* longer */
    queue(e, 98, 0);
    env_poll(e);
    cr_assert_eq(take(e, s, &gro, NULL), 540);
    cr_assert_eq(gro, 100);
    cr_assert_eq(take(e, s, &gro, NULL), 100);
    cr_assert_eq(gro, 0);
    cr_assert_eq(take(e, s, &gro, NULL), 100);
    cr_assert_eq(take(e, s, &gro, NULL), 101);
    cr_assert_eq(take(e, s, &gro, NULL), 0);
    cr_assert_eq(take(e, s, &gro, NULL), -EAGAIN);
    queue(e, 99, 100);
    env_poll(e);
    env_advance_ms(e, 1);
    queue(e, 99, 100); /* of another poll */
    env_poll(e);
    cr_assert_eq(take(e, s, &gro, NULL), 100);
    cr_assert_eq(take(e, s, &gro, NULL), 100);
    for (int i = 0; i < 60; i++)
        queue(e, 99, 1400);
    env_poll(e);
    cr_assert_leq(take(e, s, &gro, NULL), 65507);
    file_put(e->st, &s->file);
    cr_assert_eq(env_leaks(e), 0);
}

Test(dgram, a_row_leaves_as_datagrams)
{
    struct env *e = env_stack(NULL);
    struct sock *s = bound(e);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = ENV_PEER_IP};
    static char data[3000];
    struct iovec iov[2] = {{data, 1000}, {data + 1000, 2000}};
    struct msghdr m = {.msg_name = &a, .msg_namelen = sizeof a, .msg_iov = iov, .msg_iovlen = 2};

    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 7);
    set(e, s, IPPROTO_UDP, UDP_SEGMENT, 1300);
    cr_assert_eq(sock_sendmsg(e->st, s, &m, 0, 0), 3000);
    shard_flush(e->sh);
    for (unsigned at = 0; at < sizeof data; at += 1300) {
        unsigned n = at + 1300 < sizeof data ? 1300 : (unsigned)sizeof data - at;

        cr_assert(env_seen(e, &seen));
        cr_assert_eq(seen.data_len, n);
        cr_assert_arr_eq(seen.data, data + at, n);
        cr_assert_eq(seen.ip->off_be, htons(IP4_DF));
    }
    cr_assert_not(env_seen(e, &seen));
    set(e, s, IPPROTO_UDP, UDP_SEGMENT, 1473); /* more than the path takes */
    cr_assert_eq(sock_sendmsg(e->st, s, &m, 0, 0), -EMSGSIZE);
    iov[1].iov_base = NULL;
    iov[1].iov_len = 0;
    cr_assert_eq(sock_sendmsg(e->st, s, &m, 0, 0), 1000); /* one that fits needs no row */
    shard_flush(e->sh);
    env_tx_clear(e);
    cr_assert_eq(env_leaks(e), 0);
}

Test(dgram, stamps_are_of_the_poll)
{
    struct env *e = env_stack(NULL);
    struct sock *s = bound(e);
    struct timespec ts = {0, 0};
    int gro;

    e->st->wall_off_ns = 1700000000000000000;
    set(e, s, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    cr_assert_eq(e->st->stamps, 1);
    queue(e, 99, 10);
    env_poll(e);
    uint64_t then = e->sh->now_ns + 1700000000000000000ULL;
    env_advance_ms(e, 50);
    cr_assert_eq(take(e, s, &gro, &ts), 10);
    cr_assert_eq((uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec, then);
    file_put(e->st, &s->file);
    cr_assert_eq(e->st->stamps, 0);
}
