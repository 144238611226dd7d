/* test_udp.c: datagrams in and out (RFC 768), who gets them, errors, control messages. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <poll.h>

#include "../../stack/cksum.h"
#include "../../stack/shard.h"
#include "../../stack/sock.h"
#include "../../stack/udp.h"
#include "env.h"

static struct env_seen seen;

static struct sock *sock_udp_new(struct env *e, int domain)
{
    struct sock *s;

    cr_assert_eq(sock_new(e->st, domain, SOCK_DGRAM, 0, &s), 0);
    return s;
}

static int bind4(struct env *e, struct sock *s, uint32_t addr, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = addr};

    return sock_bind(e->st, s, (struct sockaddr *)&a, sizeof a);
}

static int connect4(struct env *e, struct sock *s, uint32_t addr, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = addr};

    return sock_connect(e->st, s, (struct sockaddr *)&a, sizeof a);
}

static struct sock *bound(struct env *e, uint32_t addr, uint16_t port)
{
    struct sock *s = sock_udp_new(e, AF_INET);

    cr_assert_eq(bind4(e, s, addr, port), 0);
    return s;
}

static ssize_t recv_flags(struct env *e, struct sock *s, void *buf, size_t len, int flags)
{
    struct iovec iov = {buf, len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    return sock_recvmsg(e->st, s, &m, flags, 0);
}

static ssize_t send_to(struct env *e, struct sock *s, const void *buf, size_t len, uint32_t addr,
                       uint16_t port, int flags)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = addr};
    struct iovec iov = {(void *)buf, len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;

    if (port) {
        m.msg_name = &a;
        m.msg_namelen = sizeof a;
    }
    n = sock_sendmsg(e->st, s, &m, flags, 0);
    shard_flush(e->sh);
    return n;
}

static void inject(struct env *e, uint16_t sport, uint16_t dport, const char *text)
{
    env_inject(e, env_udp(e, ENV_PEER_IP, sport, ENV_IP, dport, text, strlen(text)));
    env_poll(e);
}

static void setint(struct env *e, struct sock *s, int level, int name, int v)
{
    cr_assert_eq(sock_setsockopt(e->st, s, level, name, &v, sizeof v), 0);
}

Test(udp, datagram_is_received_with_its_sender)
{
    struct env *e = env_stack(NULL);
    struct sock *s = bound(e, ENV_IP, 7);
    struct sockaddr_in from;
    char buf[100];
    struct iovec iov = {buf, sizeof buf};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_name = &from, .msg_namelen = sizeof from};

    cr_assert_eq(sock_recvmsg(e->st, s, &m, 0, 0), -EAGAIN);
    cr_assert_eq(sock_poll(s) & POLLIN, 0);
    inject(e, 5555, 7, "hello");
    cr_assert(sock_poll(s) & POLLIN);
    m.msg_namelen = sizeof from;
    cr_assert_eq(sock_recvmsg(e->st, s, &m, 0, 0), 5);
    cr_assert_arr_eq(buf, "hello", 5);
    cr_assert_eq(from.sin_port, htons(5555));
    cr_assert_eq(from.sin_addr.s_addr, ENV_PEER_IP);
    cr_assert_eq(m.msg_namelen, sizeof from);
    cr_assert_eq(m.msg_flags, 0);
    file_put(e->st, &s->file);
    cr_assert_eq(env_leaks(e), 0);
}

Test(udp, truncation_and_peek)
{
    struct env *e = env_stack(NULL);
    struct sock *s = bound(e, ENV_IP, 7);
    char buf[4];
    struct iovec iov = {buf, sizeof buf};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    inject(e, 5555, 7, "hello");
    inject(e, 5555, 7, "xy");
    cr_assert_eq(recv_flags(e, s, buf, 4, MSG_PEEK), 4);
    cr_assert_eq(recv_flags(e, s, buf, 4, MSG_PEEK | MSG_TRUNC), 5);
    cr_assert_eq(sock_recvmsg(e->st, s, &m, 0, 0), 4);
    cr_assert_eq(m.msg_flags, MSG_TRUNC);
    cr_assert_eq(recv_flags(e, s, buf, 4, 0), 2);
    cr_assert_eq(recv_flags(e, s, buf, 4, 0), -EAGAIN);
    cr_assert_eq(env_leaks(e), 0);
}

/* What is read counts as received; the end that a shutdown makes is no datagram. */
Test(udp, only_datagrams_count_as_received)
{
    struct env *e = env_stack(NULL);
    struct sock *s = bound(e, 0, 1234);
    char b[8];

    cr_assert_eq(connect4(e, s, ENV_PEER_IP, 53), 0);
    inject(e, 53, 1234, "");
    cr_assert_eq(recv_flags(e, s, b, sizeof b, MSG_PEEK), 0);
    cr_assert_eq(e->sh->count[COUNT_UDP_IN], 0);
    cr_assert_eq(recv_flags(e, s, b, sizeof b, 0), 0);
    cr_assert_eq(e->sh->count[COUNT_UDP_IN], 1);
    cr_assert_eq(sock_shutdown(s, SHUT_RD), 0);
    cr_assert_eq(recv_flags(e, s, b, sizeof b, 0), 0);
    cr_assert_eq(e->sh->count[COUNT_UDP_IN], 1);
}

Test(udp, send_makes_a_right_datagram)
{
    struct env *e = env_stack(NULL);
    struct sock *s = bound(e, 0, 1234);

    cr_assert_eq(send_to(e, s, "ping", 4, ENV_PEER_IP, 53, 0), 4);
    cr_assert(env_seen(e, &seen));
    cr_assert_eq(seen.ip->proto, IPPROTO_UDP);
    cr_assert_eq(seen.ip->src_be, ENV_IP);
    cr_assert_eq(seen.udp.sport_be, htons(1234));
    cr_assert_eq(seen.udp.dport_be, htons(53));
    cr_assert_eq(seen.udp.len, 12);
    cr_assert_arr_eq(seen.data, "ping", 4);
    cr_assert_eq(env_leaks(e), 0);
}

Test(udp, unbound_sender_gets_a_port)
{
    struct env *e = env_stack(NULL);
    struct sock *s = sock_udp_new(e, AF_INET);
    struct sockaddr_in a;
    socklen_t len = sizeof a;

    cr_assert_eq(send_to(e, s, "x", 1, ENV_PEER_IP, 53, 0), 1);
    cr_assert_eq(sock_getsockname(s, (struct sockaddr *)&a, &len), 0);
    cr_assert_neq(a.sin_port, 0);
    cr_assert_eq(a.sin_addr.s_addr, 0);
}

Test(udp, send_refusals)
{
    struct env *e = env_stack(NULL);
    struct sock *s = bound(e, 0, 1234);
    static char big[65536];

    cr_assert_eq(send_to(e, s, "x", 1, 0, 0, 0), -EDESTADDRREQ);
    cr_assert_eq(send_to(e, s, big, 65508, ENV_PEER_IP, 53, 0), -EMSGSIZE);
    cr_assert_eq(send_to(e, s, "x", 1, ENV_PEER_IP, 53, MSG_OOB), -EOPNOTSUPP);
    cr_assert_eq(send_to(e, s, "x", 1, ENV_OTHER_IP, 53, 0), -ENETUNREACH);
    cr_assert_eq(send_to(e, s, "x", 1, IP4(198, 18, 0, 255), 53, 0), -EACCES);
    setint(e, s, SOL_SOCKET, SO_BROADCAST, 1);
    cr_assert_eq(send_to(e, s, "x", 1, IP4(198, 18, 0, 255), 53, 0), 1);
    cr_assert(env_seen(e, &seen));
    cr_assert_arr_eq(seen.eth->dst, ENV_BCAST_MAC, 6);
    cr_assert_eq(sock_shutdown(s, SHUT_WR), -ENOTCONN);
    cr_assert_eq(send_to(e, s, "x", 1, ENV_PEER_IP, 53, 0), -EPIPE);
}

Test(udp, large_datagram_is_fragmented_with_one_checksum)
{
    struct env *e = env_stack(NULL);
    struct sock *s = bound(e, 0, 1234);
    static char data[4000];
    uint32_t total = 0, frames = 0;

    memset(data, 'a', sizeof data);
    cr_assert_eq(send_to(e, s, data, sizeof data, ENV_PEER_IP, 53, 0), 4000);
    while (env_seen(e, &seen)) {
        total += (uint32_t)(ntohs(seen.ip->len_be) - 20);
        cr_assert_eq(seen.ol_flags & RTE_MBUF_F_TX_UDP_CKSUM, 0);
        frames++;
    }
    cr_assert_eq(frames, 3);
    cr_assert_eq(total, 4008);
    int v = IP_PMTUDISC_DO;
    setint(e, s, IPPROTO_IP, IP_MTU_DISCOVER, v);
    cr_assert_eq(send_to(e, s, data, sizeof data, ENV_PEER_IP, 53, 0), -EMSGSIZE);
    cr_assert_eq(env_leaks(e), 0);
}

Test(udp, no_socket_answers_port_unreachable)
{
    struct env *e = env_stack(NULL);

    inject(e, 5555, 9, "anybody");
    cr_assert(env_seen(e, &seen));
    cr_assert_eq(seen.ip->proto, IPPROTO_ICMP);
    cr_assert_eq(seen.l4[0], ICMP_DEST_UNREACH);
    cr_assert_eq(seen.l4[1], ICMP_PORT_UNREACH);
    cr_assert_eq(e->sh->count[COUNT_UDP_NOPORT], 1);
    cr_assert_eq(env_leaks(e), 0);
}

Test(udp, connected_beats_specific_beats_wildcard)
{
    struct env *e = env_stack(NULL);
    struct sock *any, *own, *conn;
    char b[8];

    any = sock_udp_new(e, AF_INET);
    own = sock_udp_new(e, AF_INET);
    conn = sock_udp_new(e, AF_INET);
    setint(e, any, SOL_SOCKET, SO_REUSEADDR, 1);
    setint(e, own, SOL_SOCKET, SO_REUSEADDR, 1);
    setint(e, conn, SOL_SOCKET, SO_REUSEADDR, 1);
    cr_assert_eq(bind4(e, conn, ENV_IP, 7), 0);
    cr_assert_eq(bind4(e, own, ENV_IP, 7), 0);
    cr_assert_eq(bind4(e, any, 0, 7), 0);
    cr_assert_eq(connect4(e, conn, ENV_PEER_IP, 1000), 0);
    inject(e, 1000, 7, "a");
    inject(e, 1001, 7, "b");
    cr_assert_eq(recv_flags(e, conn, b, 8, 0), 1);
    cr_assert_eq(recv_flags(e, own, b, 8, 0), 1);
    cr_assert_eq(b[0], 'b');
    cr_assert_eq(recv_flags(e, any, b, 8, 0), -EAGAIN);
    file_put(e->st, &own->file);
    inject(e, 1001, 7, "c");
    cr_assert_eq(recv_flags(e, any, b, 8, 0), 1);
}

Test(udp, reuseport_spreads_by_flow_and_sticks)
{
    struct env *e = env_stack(NULL);
    struct sock *s[4];
    unsigned got[4] = {0};
    char b[8];

    for (int i = 0; i < 4; i++) {
        s[i] = sock_udp_new(e, AF_INET);
        setint(e, s[i], SOL_SOCKET, SO_REUSEPORT, 1);
        cr_assert_eq(bind4(e, s[i], 0, 7), 0);
    }
    for (uint16_t port = 1000; port < 1200; port++)
        inject(e, port, 7, "x");
    for (int i = 0; i < 4; i++)
        while (recv_flags(e, s[i], b, 8, 0) == 1)
            got[i]++;
    for (int i = 0; i < 4; i++)
        cr_assert(got[i] > 20, "socket %d got %u of 200", i, got[i]);
    for (int i = 0; i < 4; i++)
        inject(e, 4000, 7, "x");
    unsigned most = 0;
    for (int i = 0; i < 4; i++) {
        unsigned n = 0;
        while (recv_flags(e, s[i], b, 8, 0) == 1)
            n++;
        most = n > most ? n : most;
    }
    cr_assert_eq(most, 4);
}

Test(udp, port_unreachable_reaches_the_connected_only)
{
    struct env *e = env_stack(NULL);
    struct sock *s = bound(e, 0, 1234);
    uint8_t quote[28];
    char b[8];
    int err;
    socklen_t len = sizeof err;

    cr_assert_eq(send_to(e, s, "x", 1, ENV_PEER_IP, 53, 0), 1);
    cr_assert(env_seen(e, &seen));
    memcpy(quote, seen.ip, sizeof quote);
    env_inject(e, env_icmp(e, 0, 0, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0, quote, sizeof quote));
    env_poll(e);
    cr_assert_eq(sock_poll(s) & POLLERR, 0);
    cr_assert_eq(connect4(e, s, ENV_PEER_IP, 53), 0);
    env_inject(e, env_icmp(e, 0, 0, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0, quote, sizeof quote));
    env_poll(e);
    cr_assert(sock_poll(s) & POLLERR);
    cr_assert_eq(recv_flags(e, s, b, 8, 0), -ECONNREFUSED);
    cr_assert_eq(recv_flags(e, s, b, 8, 0), -EAGAIN);
    env_inject(e, env_icmp(e, 0, 0, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0, quote, sizeof quote));
    env_poll(e);
    cr_assert_eq(sock_getsockopt(e->st, s, SOL_SOCKET, SO_ERROR, &err, &len), 0);
    cr_assert_eq(err, ECONNREFUSED);
}

Test(udp, connect_fixes_names_and_unspec_frees_them)
{
    struct env *e = env_stack(NULL);
    struct sock *s = sock_udp_new(e, AF_INET);
    struct sockaddr_in a;
    struct sockaddr unspec = {.sa_family = AF_UNSPEC};
    socklen_t len = sizeof a;

    cr_assert_eq(sock_getpeername(s, (struct sockaddr *)&a, &len), -ENOTCONN);
    cr_assert_eq(connect4(e, s, ENV_PEER_IP, 53), 0);
    cr_assert_eq(sock_getsockname(s, (struct sockaddr *)&a, &len), 0);
    cr_assert_eq(a.sin_addr.s_addr, ENV_IP);
    cr_assert_eq(sock_getpeername(s, (struct sockaddr *)&a, &len), 0);
    cr_assert_eq(a.sin_port, htons(53));
    cr_assert_eq(connect4(e, s, ENV_PEER_IP, 54), 0);
    cr_assert_eq(send_to(e, s, "x", 1, 0, 0, 0), 1);
    cr_assert(env_seen(e, &seen));
    cr_assert_eq(seen.udp.dport_be, htons(54));
    cr_assert_eq(sock_connect(e->st, s, &unspec, sizeof unspec), 0);
    cr_assert_eq(sock_getpeername(s, (struct sockaddr *)&a, &len), -ENOTCONN);
    cr_assert_eq(send_to(e, s, "x", 1, 0, 0, 0), -EDESTADDRREQ);
}

Test(udp, receive_buffer_is_bounded)
{
    struct env *e = env_stack(NULL);
    struct sock *s = bound(e, ENV_IP, 7);
    char b[8];
    int n = 0;

    setint(e, s, SOL_SOCKET, SO_RCVBUF, 4096);
    for (int i = 0; i < 100; i++)
        inject(e, 5555, 7, "x");
    while (recv_flags(e, s, b, 8, 0) == 1)
        n++;
    cr_assert_eq(n, 8192 / 832); /* what Linux charges for a small one */
    cr_assert_eq(e->sh->count[COUNT_UDP_RCVBUF], 100u - (unsigned)n);
    inject(e, 5555, 7, "y");
    cr_assert_eq(recv_flags(e, s, b, 8, 0), 1);
    cr_assert_eq(env_leaks(e), 0);
}

Test(udp, checksum_is_verified_and_zero_means_none)
{
    struct env *e = env_stack(NULL);
    struct sock *s = bound(e, ENV_IP, 7);
    uint8_t dg[9];
    struct env_ip ip = {.proto = IPPROTO_UDP};
    char b[8];

    wire_udp_emit(dg, htons(5), htons(7), 1);
    dg[8] = 'z';
    env_inject(e, env_ip4(e, &ip, dg, sizeof dg));
    env_poll(e);
    cr_assert_eq(recv_flags(e, s, b, 8, 0), 1);
    dg[6] = 1;
    env_inject(e, env_ip4(e, &ip, dg, sizeof dg));
    env_poll(e);
    cr_assert_eq(recv_flags(e, s, b, 8, 0), -EAGAIN);
    cr_assert_eq(e->sh->count[COUNT_UDP_CSUM], 1);
    for (size_t len = 0; len < 8; len++) { /* cut short */
        env_inject(e, env_ip4(e, &ip, dg, len));
        env_poll(e);
    }
    dg[5] = 200; /* longer than it is */
    env_inject(e, env_ip4(e, &ip, dg, sizeof dg));
    env_poll(e);
    cr_assert_eq(e->sh->count[COUNT_UDP_ERR], 10);
    cr_assert_eq(env_leaks(e), 0);
}

Test(udp, control_messages)
{
    struct env *e = env_stack(NULL);
    struct sock *s = bound(e, 0, 7);
    char buf[8], ctl[256];
    struct iovec iov = {buf, sizeof buf};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof ctl};
    int kinds = 0;

    setint(e, s, IPPROTO_IP, IP_PKTINFO, 1);
    setint(e, s, IPPROTO_IP, IP_RECVTTL, 1);
    setint(e, s, IPPROTO_IP, IP_RECVTOS, 1);
    inject(e, 5555, 7, "x");
    inject(e, 5555, 7, "x");
    cr_assert_eq(sock_recvmsg(e->st, s, &m, 0, 0), 1);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        struct in_pktinfo pi;
        int v;

        cr_assert_eq(c->cmsg_level, IPPROTO_IP);
        kinds++;
        if (c->cmsg_type == IP_PKTINFO) {
            memcpy(&pi, CMSG_DATA(c), sizeof pi);
            cr_assert_eq(pi.ipi_addr.s_addr, ENV_IP);
            cr_assert_eq(pi.ipi_ifindex, stack_if_shown(e->st, ENV_IF));
        } else if (c->cmsg_type == IP_TTL) {
            memcpy(&v, CMSG_DATA(c), sizeof v);
            cr_assert_eq(v, 64);
        }
    }
    cr_assert_eq(kinds, 3);
    m.msg_controllen = CMSG_LEN(4); /* room for a part of the first alone */
    cr_assert_eq(sock_recvmsg(e->st, s, &m, 0, 0), 1);
    cr_assert(m.msg_flags & MSG_CTRUNC);
}

/* IP_RECVFRAGSIZE: the longest fragment, its header included; nothing of what came in one piece. */
Test(udp, size_of_fragments)
{
    struct env *e = env_stack(NULL);
    struct sock *s = bound(e, 0, 7);
    uint8_t dg[48] = {0x15, 0xb3, 0, 7, 0, sizeof dg};
    char buf[64], ctl[64];
    struct iovec iov = {buf, sizeof buf};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof ctl};
    struct env_ip first = {.proto = IPPROTO_UDP, .id = 7, .off = 0x2000},
                  second = {.proto = IPPROTO_UDP, .id = 7, .off = 4};
    int size;

    setint(e, s, IPPROTO_IP, 25 /* IP_RECVFRAGSIZE */, 1);
    env_inject(e, env_ip4(e, &second, dg + 32, 16));
    env_inject(e, env_ip4(e, &first, dg, 32));
    inject(e, 5555, 7, "x");
    cr_assert_eq(sock_recvmsg(e->st, s, &m, 0, 0), 40);
    cr_assert_not_null(CMSG_FIRSTHDR(&m));
    cr_assert_eq(CMSG_FIRSTHDR(&m)->cmsg_type, 25);
    memcpy(&size, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof size);
    cr_assert_eq(size, 20 + 32);
    m.msg_controllen = sizeof ctl;
    cr_assert_eq(sock_recvmsg(e->st, s, &m, 0, 0), 1);
    cr_assert_eq(m.msg_controllen, 0);
}

Test(udp, answer_from_the_address_asked)
{
    struct env *e = env_stack(NULL);
    struct ipaddr second = env_addr(IP4(198, 18, 0, 3));
    char ctl[CMSG_SPACE(sizeof(struct in_pktinfo))] = {0};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = ENV_PEER_IP};
    struct iovec iov = {"x", 1};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_name = &to,
                       .msg_namelen = sizeof to,
                       .msg_control = ctl,
                       .msg_controllen = sizeof ctl};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    struct in_pktinfo pi = {.ipi_spec_dst.s_addr = IP4(198, 18, 0, 3)};
    struct sock *s = bound(e, 0, 7);

    cr_assert_eq(stack_add_addr(e->st, ENV_IF, &second, 24), 0);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof pi), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO};
    memcpy(CMSG_DATA(c), &pi, sizeof pi);
    env_tx_clear(e);
    cr_assert_eq(sock_sendmsg(e->st, s, &m, 0, 0), 1);
    shard_flush(e->sh);
    cr_assert(env_seen(e, &seen));
    cr_assert_eq(seen.ip->src_be, IP4(198, 18, 0, 3));
    cr_assert_eq(send_to(e, s, "x", 1, ENV_PEER_IP, 9, 0), 1);
    cr_assert(env_seen(e, &seen));
    cr_assert_eq(seen.ip->src_be, ENV_IP);
    c->cmsg_type = 99;
    cr_assert_eq(sock_sendmsg(e->st, s, &m, 0, 0), -EINVAL);
}

Test(udp, cork_makes_one_datagram)
{
    struct env *e = env_stack(NULL);
    struct sock *s = bound(e, 0, 7);

    cr_assert_eq(send_to(e, s, "ab", 2, ENV_PEER_IP, 9, MSG_MORE), 2);
    cr_assert_not(env_seen(e, &seen));
    cr_assert_eq(send_to(e, s, "cd", 2, ENV_PEER_IP, 9, 0), 2);
    cr_assert(env_seen(e, &seen));
    cr_assert_eq(seen.data_len, 4);
    cr_assert_arr_eq(seen.data, "abcd", 4);
    setint(e, s, IPPROTO_UDP, UDP_CORK, 1);
    cr_assert_eq(send_to(e, s, "x", 1, ENV_PEER_IP, 9, 0), 1);
    cr_assert_eq(send_to(e, s, "y", 1, ENV_PEER_IP, 9, 0), 1);
    cr_assert_not(env_seen(e, &seen));
    setint(e, s, IPPROTO_UDP, UDP_CORK, 0);
    shard_flush(e->sh);
    cr_assert(env_seen(e, &seen));
    cr_assert_eq(seen.data_len, 2);
    cr_assert_eq(send_to(e, s, "z", 1, ENV_PEER_IP, 9, MSG_MORE), 1);
    file_put(e->st, &s->file);
    cr_assert_eq(env_leaks(e), 0);
}

Test(udp, own_address_goes_through_loopback)
{
    struct env *e = env_stack(NULL);
    struct sock *a = bound(e, 0, 7), *b = bound(e, 0, 8);
    char buf[8];

    cr_assert_eq(send_to(e, a, "self", 4, ENV_IP, 8, 0), 4);
    cr_assert_eq(env_tx_count(e), 0);
    cr_assert_eq(recv_flags(e, b, buf, 8, 0), 4);
    file_put(e->st, &a->file);
    file_put(e->st, &b->file);
    cr_assert_eq(env_leaks(e), 0);
}

Test(udp, isolate_has_127_and_refuses_at_once)
{
    struct env *e = env_stack(&(struct env_config){.isolate = true, .no_if = true});
    struct sock *s = sock_udp_new(e, AF_INET);
    char b[4];

    cr_assert_eq(connect4(e, s, htonl(INADDR_LOOPBACK), 99), 0);
    cr_assert_eq(send_to(e, s, "x", 1, 0, 0, 0), 1);
    cr_assert_eq(recv_flags(e, s, b, 4, 0), -ECONNREFUSED);
    cr_assert_eq(connect4(e, s, ENV_PEER_IP, 99), -ENETUNREACH);
}

Test(udp, v6_socket_takes_mapped_datagrams)
{
    struct env *e = env_stack(NULL);
    struct sock *s = sock_udp_new(e, AF_INET6), *only = sock_udp_new(e, AF_INET6);
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(7)}, from;
    char buf[8];
    struct iovec iov = {buf, sizeof buf};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_name = &from, .msg_namelen = sizeof from};

    setint(e, only, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    setint(e, only, SOL_SOCKET, SO_REUSEADDR, 1);
    setint(e, s, SOL_SOCKET, SO_REUSEADDR, 1);
    cr_assert_eq(sock_bind(e->st, s, (struct sockaddr *)&a, sizeof a), 0);
    cr_assert_eq(sock_bind(e->st, only, (struct sockaddr *)&a, sizeof a), 0);
    inject(e, 5555, 7, "hello");
    cr_assert_eq(sock_recvmsg(e->st, s, &m, 0, 0), 5);
    cr_assert_eq(from.sin6_family, AF_INET6);
    cr_assert(IN6_IS_ADDR_V4MAPPED(&from.sin6_addr));
    cr_assert_eq(recv_flags(e, only, buf, 8, 0), -EAGAIN);
}

Test(udp, broadcast_reaches_every_socket)
{
    struct env *e = env_stack(NULL);
    struct sock *s[3];
    struct env_ip ip = {.proto = IPPROTO_UDP, .dst = IP4(198, 18, 0, 255), .dmac = ENV_BCAST_MAC};
    uint8_t dg[9];
    char b[4];

    for (int i = 0; i < 3; i++) {
        s[i] = sock_udp_new(e, AF_INET);
        setint(e, s[i], SOL_SOCKET, SO_REUSEADDR, 1);
        cr_assert_eq(bind4(e, s[i], i ? 0 : ENV_IP, 7), 0);
    }
    wire_udp_emit(dg, htons(5), htons(7), 1);
    dg[8] = 'z';
    env_inject(e, env_ip4(e, &ip, dg, sizeof dg));
    env_poll(e);
    cr_assert_eq(recv_flags(e, s[0], b, 4, 0), -EAGAIN);
    cr_assert_eq(recv_flags(e, s[1], b, 4, 0), 1);
    cr_assert_eq(recv_flags(e, s[2], b, 4, 0), 1);
    cr_assert_eq(env_leaks(e), 0);
}

/* ---- UDP-Lite (RFC 3828) ---- */

static struct rte_mbuf *lite_frame(struct env *e, uint16_t cov, bool damage_at_end, bool no_cksum)
{
    uint8_t p[8 + 6] = {0x12, 0x34, 0x23, 0x28, 0, 0, 0, 0, 'h', 'e', 'l', 'l', 'o', '!'}; /* to port 9000 */
    struct ipaddr src = env_addr(ENV_PEER_IP), dst = env_addr(ENV_IP);
    struct env_ip ip = {.proto = IPPROTO_UDPLITE};
    uint16_t sum, cov_be = htons(cov);
    uint32_t n = cov && cov <= sizeof p ? cov : sizeof p;

    memcpy(p + 4, &cov_be, 2);
    sum = (uint16_t)~cksum_fold(cksum_add(cksum_add_pseudo(0, &src, &dst, IPPROTO_UDPLITE, sizeof p), p, n));
    if (!no_cksum)
        memcpy(p + 6, &sum, 2);
    if (damage_at_end)
        p[sizeof p - 1] ^= 0x55;
    return env_ip4(e, &ip, p, sizeof p);
}

static unsigned lite_taken(struct env *e, struct udpcb *u, struct rte_mbuf *m)
{
    char b[32];
    struct iovec iov = {b, sizeof b};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    env_inject(e, m);
    env_poll(e);
    return udp_recv(e->sh, u, &msg, 0) == 6;
}

Test(udplite, a_damaged_rest_is_delivered)
{
    struct env *e = env_stack(NULL);
    struct udpcb *u = udplite_open(e->sh, 0);
    struct endpoint local = {env_addr(ENV_IP), htons(9000)};
    int least = 12;

    cr_assert_eq(udp_bind(e->sh, u, &local), 0);
    cr_assert(lite_taken(e, u, lite_frame(e, 0, false, false)));
    cr_assert(lite_taken(e, u, lite_frame(e, 14, false, false)));
    cr_assert(lite_taken(e, u, lite_frame(e, 10, false, false)));
    cr_assert(lite_taken(e, u, lite_frame(e, 10, true, false)), "the end is not covered");
    cr_assert(!lite_taken(e, u, lite_frame(e, 0, true, false)), "here it is");
    cr_assert(!lite_taken(e, u, lite_frame(e, 7, false, false)), "less than the header");
    cr_assert(!lite_taken(e, u, lite_frame(e, 15, false, false)), "more than there is");
    cr_assert(!lite_taken(e, u, lite_frame(e, 0, false, true)), "no checksum");
    cr_assert_eq(udp_setopt(e->sh, u, IPPROTO_UDPLITE, 11, &least, sizeof least), 0);
    cr_assert(!lite_taken(e, u, lite_frame(e, 10, false, false)), "less than the receiver wants");
    cr_assert(lite_taken(e, u, lite_frame(e, 12, false, false)));
    cr_assert(lite_taken(e, u, lite_frame(e, 0, false, false)));
    udp_close(e->sh, u);
    cr_assert_eq(env_leaks(e), 0);
}
