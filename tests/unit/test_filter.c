/* test_filter.c: classic BPF: the check, loads over chains and taken-off headers, memory that is given back.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "../../stack/filter.h"
#include "../../stack/rnd.h"
#include "../../stack/sock.h"
#include "../../stack/udp.h"
#include "env.h"

#define PROG(...)                                                                                            \
    (struct sock_filter[]){__VA_ARGS__},                                                                     \
        sizeof((struct sock_filter[]){__VA_ARGS__}) / sizeof(struct sock_filter)
#define RETA BPF_STMT(BPF_RET | BPF_A, 0)

static uint32_t run(struct env *e, const struct filter_pkt *p, const struct sock_filter *f, uint32_t n)
{
    uint32_t id = 0, r;

    cr_assert_eq(filter_new(e->sh, f, n, &id), 0);
    r = filter_run(e->sh, id, p);
    filter_put(e->sh, id);
    return r;
}

Test(filter, loads_at_every_offset_of_a_chain)
{
    struct env *e = env_stack(NULL);
    uint8_t b[64];
    struct rte_mbuf *m;

    for (unsigned i = 0; i < sizeof b; i++)
        b[i] = (uint8_t)(i + 1);
    m = env_frame_chain(e, b, sizeof b, 7);
    struct filter_pkt p = {.m = m, .net = 14, .mac = 0};
    for (unsigned i = 0; i < 70; i++) {
        uint32_t w = i + 4 <= 64 ? (i + 1) << 24 | (i + 2) << 16 | (i + 3) << 8 | (i + 4) : 0;

        cr_assert_eq(run(e, &p, PROG(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, i), RETA)), w, "at %u", i);
    }
    cr_assert_eq(run(e, &p, PROG(BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)SKF_NET_OFF + 3), RETA)), 18);
    cr_assert_eq(run(e, &p, PROG(BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)SKF_LL_OFF + 63), RETA)), 64);
    cr_assert_eq(run(e, &p, PROG(BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)SKF_LL_OFF + 64), RETA)), 0);
    rte_pktmbuf_free(m);
}

/* The headers stand before the data; what stands before the buffer is nobody's. */
Test(filter, loads_before_the_data_end_at_the_buffer)
{
    struct env *e = env_stack(NULL);
    uint8_t b[64];
    struct rte_mbuf *m;

    for (unsigned i = 0; i < sizeof b; i++)
        b[i] = (uint8_t)(i + 1);
    m = env_frame(e, b, sizeof b);
    rte_pktmbuf_adj(m, 42);
    struct filter_pkt p = {.m = m, .data = -8, .net = -20, .mac = -34};
    cr_assert_eq(run(e, &p, PROG(BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), RETA)), 30);
    cr_assert_eq(run(e, &p, PROG(BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), RETA)), 35);
    cr_assert_eq(run(e, &p, PROG(BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)SKF_NET_OFF), RETA)), 15);
    cr_assert_eq(run(e, &p, PROG(BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)SKF_LL_OFF), RETA)), 1);
    p.mac = -8 - (int32_t)rte_pktmbuf_headroom(m);
    cr_assert_eq(
        run(e, &p,
            PROG(BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)SKF_LL_OFF), BPF_STMT(BPF_RET | BPF_K, 1))),
        0);
    p.mac = FILTER_NOWHERE;
    cr_assert_eq(
        run(e, &p,
            PROG(BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)SKF_LL_OFF), BPF_STMT(BPF_RET | BPF_K, 1))),
        0);
    rte_pktmbuf_free(m);
}

/* What passes the check ends and touches nothing that is not its own, whatever the packet. */
Test(filter, random_programs_that_pass_the_check_end)
{
    struct env *e = env_stack(NULL);
    uint8_t b[100] = {0x45};
    struct rte_mbuf *m = env_frame_chain(e, b, sizeof b, 33);
    struct filter_pkt p = {.m = m, .net = 14, .mac = 0, .ifindex = 1};
    unsigned passed = 0;

    for (unsigned i = 0; i < 200000; i++) {
        struct sock_filter f[12];
        uint32_t n = 1 + rnd_u32(e->sh) % 12, id;

        for (uint32_t k = 0; k < n; k++) {
            f[k].code = (uint16_t)(rnd_u32(e->sh) & 0xff);
            f[k].jt = (uint8_t)(rnd_u32(e->sh) % 6);
            f[k].jf = (uint8_t)(rnd_u32(e->sh) % 6);
            f[k].k = rnd_u32(e->sh) % 4 ? rnd_u32(e->sh) % 24 : rnd_u32(e->sh);
            if (rnd_u32(e->sh) % 8 == 0)
                f[k].k = (uint32_t)SKF_AD_OFF + rnd_u32(e->sh) % 64;
        }
        if (rnd_u32(e->sh) % 2)
            f[n - 1] = (struct sock_filter)RETA;
        if (filter_new(e->sh, f, n, &id))
            continue;
        passed++;
        filter_run(e->sh, id, &p);
        filter_put(e->sh, id);
    }
    cr_assert_gt(passed, 2000);
    rte_pktmbuf_free(m);
}

Test(filter, memory_is_bounded_and_given_back)
{
    struct env *e = env_stack(NULL);
    static struct sock_filter big[FILTER_MAX_INSNS];
    static uint32_t ids[1024];
    unsigned n = 0;

    for (unsigned i = 0; i < FILTER_MAX_INSNS; i++)
        big[i] = (struct sock_filter)RETA;
    while (n < 1024 && filter_new(e->sh, big, FILTER_MAX_INSNS, &ids[n]) == 0)
        n++;
    cr_assert_eq(n, 512);
    cr_assert_eq(filter_new(e->sh, big, FILTER_MAX_INSNS, &ids[n]), -ENOMEM);
    filter_hold(e->sh, ids[0]);
    filter_put(e->sh, ids[0]);
    cr_assert_eq(filter_new(e->sh, big, FILTER_MAX_INSNS, &ids[n]), -ENOMEM, "one reference is left");
    filter_put(e->sh, ids[0]);
    cr_assert_eq(filter_new(e->sh, big, FILTER_MAX_INSNS, &ids[0]), 0);
}

/* A program that cuts a datagram, over a chain; and one that refuses is counted. */
Test(filter, a_datagram_is_cut)
{
    struct env *e = env_stack(NULL);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(7)};
    struct sock_filter f[] = {BPF_STMT(BPF_RET | BPF_K, 8 + 5)};
    struct sock_fprog fp = {.len = 1, .filter = f};
    struct sock *s;
    char b[64];
    struct iovec iov = {b, sizeof b};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_DGRAM, 0, &s), 0);
    cr_assert_eq(sock_bind(e->st, s, (struct sockaddr *)&a, sizeof a), 0);
    cr_assert_eq(sock_setsockopt(e->st, s, SOL_SOCKET, SO_ATTACH_FILTER, &fp, sizeof fp), 0);
    env_inject(e, env_udp(e, ENV_PEER_IP, 9, ENV_IP, 7, "0123456789", 10));
    env_poll(e);
    cr_assert_eq(sock_recvmsg(e->st, s, &msg, 0, 0), 5);
    cr_assert_arr_eq(b, "01234", 5);
    f[0].k = 0;
    cr_assert_eq(sock_setsockopt(e->st, s, SOL_SOCKET, SO_ATTACH_FILTER, &fp, sizeof fp), 0);
    env_inject(e, env_udp(e, ENV_PEER_IP, 9, ENV_IP, 7, "0123456789", 10));
    env_poll(e);
    cr_assert_eq(sock_recvmsg(e->st, s, &msg, 0, 0), -EAGAIN);
    cr_assert_eq(e->sh->count[COUNT_SOCK_FILTER], 1);
    file_put(e->st, &s->file);
    cr_assert_eq(env_leaks(e), 0);
}
