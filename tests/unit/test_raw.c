/* test_raw.c: raw, ping and packet sockets on the fake link: who gets a packet, what leaves, bounds, leaks.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/ip_icmp.h>
#include <poll.h>

#include "../../stack/packet.h"
#include "../../stack/shard.h"
#include "../../stack/sock.h"
#include "env.h"

static struct env_seen seen;

static struct sock *make(struct env *e, int domain, int type, int protocol)
{
    struct sock *s;

    cr_assert_eq(sock_new(e->st, domain, type, protocol, &s), 0);
    return s;
}

static ssize_t recv_some(struct env *e, struct sock *s, void *buf, size_t len)
{
    struct iovec iov = {buf, len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    return sock_recvmsg(e->st, s, &m, 0, 0);
}

static ssize_t send_to(struct env *e, struct sock *s, const void *buf, size_t len, uint32_t addr)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = addr};
    struct iovec iov = {(void *)buf, len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_name = &a, .msg_namelen = sizeof a};
    ssize_t n = sock_sendmsg(e->st, s, &m, 0, 0);

    shard_flush(e->sh);
    return n;
}

static void inject_proto(struct env *e, uint8_t proto, const char *text)
{
    env_inject(e, env_ip4(e, &(struct env_ip){.proto = proto}, text, strlen(text)));
    env_poll(e);
}

static void gone(struct env *e, struct sock *s)
{
    file_put(e->st, &s->file);
}

Test(raw, a_packet_of_its_protocol_with_its_header)
{
    struct env *e = env_stack(NULL);
    struct sock *s = make(e, AF_INET, SOCK_RAW, 253), *t = make(e, AF_INET, SOCK_RAW, 253);
    uint8_t b[64];

    inject_proto(e, 253, "hello");
    cr_assert_eq(recv_some(e, s, b, sizeof b), 25);
    cr_assert_eq(b[0], 0x45);
    cr_assert_arr_eq(b + 20, "hello", 5);
    cr_assert_eq(recv_some(e, t, b, sizeof b), 25, "all of them get it");
    cr_assert_eq(recv_some(e, s, b, sizeof b), -EAGAIN);
    cr_assert_eq(env_tx_count(e), 0, "nobody is told that the protocol is unknown");
    gone(e, s);
    gone(e, t);
    inject_proto(e, 253, "hello");
    cr_assert(env_seen(e, &seen));
    cr_assert_eq(seen.l4[0], ICMP_DEST_UNREACH);
    cr_assert_eq(seen.l4[1], ICMP_PROT_UNREACH);
    cr_assert_eq(env_leaks(e), 0);
}

/* Fragments are put together first; what the program reads is one packet. */
Test(raw, a_reassembled_packet)
{
    struct env *e = env_stack(NULL);
    struct sock *s = make(e, AF_INET, SOCK_RAW, 253);
    uint8_t b[64];

    env_inject(e, env_ip4(e, &(struct env_ip){.proto = 253, .id = 7, .off = 0x2000}, "01234567", 8));
    env_inject(e, env_ip4(e, &(struct env_ip){.proto = 253, .id = 7, .off = 1}, "89", 2));
    env_poll(e);
    cr_assert_eq(recv_some(e, s, b, sizeof b), 30);
    cr_assert_arr_eq(b + 20, "0123456789", 10);
    cr_assert_eq(b[2] << 8 | b[3], 30);
    gone(e, s);
    cr_assert_eq(env_leaks(e), 0);
}

Test(raw, the_queue_is_bounded)
{
    struct env *e = env_stack(NULL);
    struct sock *s = make(e, AF_INET, SOCK_RAW, 253);
    uint8_t b[64];
    unsigned n = 0;

    for (unsigned i = 0; i < 3000; i++)
        inject_proto(e, 253, "x");
    while (recv_some(e, s, b, sizeof b) > 0)
        n++;
    cr_assert_gt(n, 100);
    cr_assert_lt(n, 1000);
    gone(e, s);
    cr_assert_eq(env_leaks(e), 0);
}

Test(raw, header_of_the_programs_own_is_completed)
{
    struct env *e = env_stack(NULL);
    struct sock *s = make(e, AF_INET, SOCK_RAW, IPPROTO_RAW);
    struct ip4_hdr ip = {.ver_ihl = 0x45, .ttl = 3, .proto = 99, .dst_be = ENV_PEER_IP};

    cr_assert_eq(send_to(e, s, &ip, sizeof ip, ENV_PEER_IP), 20);
    cr_assert(env_seen(e, &seen));
    cr_assert_eq(seen.ip->src_be, ENV_IP);
    cr_assert_eq(ntohs(seen.ip->len_be), 20);
    cr_assert_eq(seen.ip->ttl, 3);
    cr_assert_eq(seen.ip->proto, 99);
    cr_assert_neq(seen.ip->id_be, 0);
    ip.ver_ihl = 0x46;
    cr_assert_eq(send_to(e, s, &ip, sizeof ip, ENV_PEER_IP), -EINVAL);
    cr_assert_eq(send_to(e, s, &ip, 10, ENV_PEER_IP), -EINVAL);
    cr_assert_eq(env_tx_count(e), 0);
    gone(e, s);
    cr_assert_eq(env_leaks(e), 0);
}

/* Echo replies reach raw sockets and the ping socket whose identifier they carry, and nobody else. */
Test(ping, a_reply_finds_its_socket)
{
    struct env *e = env_stack(NULL);
    struct sock *s = make(e, AF_INET, SOCK_DGRAM, IPPROTO_ICMP),
                *o = make(e, AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
    struct sock *r = make(e, AF_INET, SOCK_RAW, IPPROTO_ICMP);
    uint8_t m[12] = {ICMP_ECHO, 0, 0, 0, 0, 0, 0, 9, 'd', 'a', 't', 'a'}, b[64];
    uint32_t rest;

    cr_assert_eq(send_to(e, o, m, sizeof m, ENV_PEER_IP), 12);
    env_tx_clear(e);
    cr_assert_eq(send_to(e, s, m, sizeof m, ENV_PEER_IP), 12);
    cr_assert(env_seen(e, &seen));
    cr_assert_eq(seen.ip->proto, IPPROTO_ICMP);
    cr_assert_eq(seen.l4[0], ICMP_ECHO);
    rest = (uint32_t)seen.l4[4] << 24 | (uint32_t)seen.l4[5] << 16 | 9;
    cr_assert_neq(rest >> 16, 0);
    env_inject(e, env_icmp(e, ENV_PEER_IP, ENV_IP, ICMP_ECHOREPLY, 0, rest, "data", 4));
    env_poll(e);
    cr_assert_eq(recv_some(e, s, b, sizeof b), 12);
    cr_assert_eq(b[0], ICMP_ECHOREPLY);
    cr_assert_arr_eq(b + 8, "data", 4);
    cr_assert_eq(recv_some(e, o, b, sizeof b), -EAGAIN);
    cr_assert_eq(recv_some(e, r, b, sizeof b), 32);
    env_inject(e, env_icmp(e, ENV_PEER_IP, ENV_IP, ICMP_ECHOREPLY, 0, rest ^ 0x10000, "data", 4));
    env_poll(e);
    cr_assert_eq(recv_some(e, s, b, sizeof b), -EAGAIN);
    m[0] = ICMP_ECHOREPLY;
    cr_assert_eq(send_to(e, s, m, sizeof m, ENV_PEER_IP), -EINVAL);
    gone(e, s);
    gone(e, o);
    gone(e, r);
    cr_assert_eq(env_leaks(e), 0);
}

/* What the stack itself answers it goes on answering, and overwrites nothing that a raw socket holds. */
Test(ping, requests_are_answered_and_seen)
{
    struct env *e = env_stack(NULL);
    struct sock *r = make(e, AF_INET, SOCK_RAW, IPPROTO_ICMP);
    uint8_t b[64];

    env_inject(e, env_icmp(e, ENV_PEER_IP, ENV_IP, ICMP_ECHO, 0, 0x00050001, "data", 4));
    env_poll(e);
    cr_assert(env_seen(e, &seen));
    cr_assert_eq(seen.l4[0], ICMP_ECHOREPLY);
    cr_assert_eq(recv_some(e, r, b, sizeof b), 32);
    cr_assert_eq(b[20], ICMP_ECHO);
    gone(e, r);
    cr_assert_eq(env_leaks(e), 0);
}

static void bind_ll(struct env *e, struct sock *s, int proto)
{
    struct sockaddr_ll a = {.sll_family = AF_PACKET,
                            .sll_protocol = htons((uint16_t)proto),
                            .sll_ifindex = stack_if_shown(e->st, ENV_IF)};

    cr_assert_eq(sock_decide(e->st, s, SOCK_OP_BIND, (struct sockaddr *)&a, sizeof a), PLACE_STACK);
    cr_assert_eq(sock_bind(e->st, s, (struct sockaddr *)&a, sizeof a), 0);
    sock_set_placement(e->st, s, PLACE_STACK);
}

Test(packet, sees_frames_come_and_go)
{
    struct env *e = env_stack(NULL);
    struct sock *all = make(e, AF_PACKET, SOCK_RAW, 0), *arp = make(e, AF_PACKET, SOCK_DGRAM, 0);
    uint8_t b[256];
    struct sockaddr_ll ll;
    struct iovec iov = {b, sizeof b};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_name = &ll, .msg_namelen = sizeof ll};

    bind_ll(e, all, ETH_P_ALL);
    bind_ll(e, arp, ETH_P_ARP);
    env_inject(e, env_arp(e, ARP_REQUEST, ENV_PEER_MAC, ENV_PEER_IP, NULL, ENV_IP));
    env_poll(e);
    cr_assert_eq(sock_recvmsg(e->st, all, &m, 0, 0), 42);
    cr_assert_eq(ll.sll_pkttype, PACKET_BROADCAST);
    cr_assert_arr_eq(ll.sll_addr, ENV_PEER_MAC, 6);
    cr_assert_eq(sock_recvmsg(e->st, all, &m, 0, 0), 42);
    cr_assert_eq(ll.sll_pkttype, PACKET_OUTGOING);
    cr_assert_arr_eq(ll.sll_addr, ENV_MAC, 6);
    cr_assert_eq(sock_recvmsg(e->st, arp, &m, 0, 0), 28);
    cr_assert_eq(sock_recvmsg(e->st, arp, &m, 0, 0), -EAGAIN, "what is sent goes to ETH_P_ALL alone");
    gone(e, all);
    gone(e, arp);
    cr_assert_eq(env_leaks(e), 0);
}

/* In profile default a packet socket that named no interface sees nothing; one of the host's sends it there.
 */
Test(packet, undecided_sees_nothing)
{
    struct env *e = env_stack(NULL);
    struct sock *s = make(e, AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_ifindex = 2};
    uint8_t b[64];

    inject_proto(e, 253, "x");
    cr_assert_eq(recv_some(e, s, b, sizeof b), -EAGAIN);
    cr_assert_eq(sock_decide(e->st, s, SOCK_OP_BIND, (struct sockaddr *)&a, sizeof a), PLACE_KERNEL);
    gone(e, s);
    cr_assert_eq(env_leaks(e), 0);
}

Test(packet, sends_frames_and_does_not_see_its_own)
{
    struct env *e = env_stack(NULL);
    struct sock *s = make(e, AF_PACKET, SOCK_DGRAM, 0), *all = make(e, AF_PACKET, SOCK_RAW, 0);
    struct sockaddr_ll a = {.sll_family = AF_PACKET,
                            .sll_protocol = htons(0x88b5),
                            .sll_ifindex = stack_if_shown(e->st, ENV_IF),
                            .sll_halen = 6,
                            .sll_addr = {1, 2, 3, 4, 5, 6}};
    static uint8_t big[1600];
    struct iovec iov = {"payload", 7};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_name = &a, .msg_namelen = sizeof a};
    uint8_t b[64];

    bind_ll(e, s, ETH_P_ALL);
    bind_ll(e, all, ETH_P_ALL);
    cr_assert_eq(sock_sendmsg(e->st, s, &m, 0, 0), 7);
    shard_flush(e->sh);
    cr_assert(env_seen(e, &seen));
    cr_assert_eq(seen.len, 21);
    cr_assert_eq(seen.type, 0x88b5);
    cr_assert_arr_eq(seen.raw, ((uint8_t[]){1, 2, 3, 4, 5, 6}), 6);
    cr_assert_arr_eq(seen.raw + 6, ENV_MAC, 6);
    cr_assert_eq(recv_some(e, s, b, sizeof b), -EAGAIN);
    cr_assert_eq(recv_some(e, all, b, sizeof b), 21);
    iov = (struct iovec){big, 1501};
    cr_assert_eq(sock_sendmsg(e->st, s, &m, 0, 0), -EMSGSIZE);
    iov = (struct iovec){big, 1500};
    cr_assert_eq(sock_sendmsg(e->st, s, &m, 0, 0), 1500);
    shard_flush(e->sh);
    cr_assert_eq(env_tx_count(e), 1);
    gone(e, s);
    gone(e, all);
    cr_assert_eq(env_leaks(e), 0);
}

/* ---- rings (packet_ring.h) ---- */

static int set_int(struct env *e, struct sock *s, int name, int v)
{
    return sock_setsockopt(e->st, s, SOL_PACKET, name, &v, sizeof v);
}

static struct packet_ring *rx_ring(struct sock *s)
{
    return &((struct packetcb *)s->pcb)->rings->rx;
}

static struct sock *ring_socket(struct env *e, int version, struct tpacket_req3 q)
{
    struct sock *s = make(e, AF_PACKET, SOCK_RAW, 0);

    bind_ll(e, s, ETH_P_ARP);
    cr_assert_eq(set_int(e, s, PACKET_VERSION, version), 0);
    cr_assert_eq(sock_setsockopt(e->st, s, SOL_PACKET, PACKET_RX_RING, &q, sizeof q), 0);
    return s;
}

static void arp_comes(struct env *e)
{
    env_inject(e, env_arp(e, ARP_REQUEST, ENV_PEER_MAC, ENV_PEER_IP, NULL, ENV_IP));
    env_poll(e);
}

/* Time goes by, a millisecond at a time, as timers are run. */
static void wait_ms(struct env *e, int ms)
{
    while (ms-- > 0) {
        env_advance_ms(e, 1);
        env_poll(e);
    }
}

Test(ring, frames_come_until_it_is_full)
{
    struct env *e = env_stack(NULL);
    struct sock *s = ring_socket(e, TPACKET_V2, (struct tpacket_req3){4096, 1, 1024, 4, 0, 0, 0});
    struct tpacket_stats st;
    socklen_t len = sizeof st;
    uint8_t *mem = rx_ring(s)->mem;

    cr_assert(!(sock_poll(s) & EPOLLIN));
    for (int i = 0; i < 6; i++)
        arp_comes(e);
    cr_assert(sock_poll(s) & EPOLLIN);
    for (int i = 0; i < 4; i++) {
        struct tpacket2_hdr *h = (struct tpacket2_hdr *)(mem + i * 1024);

        cr_assert(h->tp_status & TP_STATUS_USER);
        cr_assert_eq(h->tp_len, 42);
        cr_assert_arr_eq(mem + i * 1024 + h->tp_mac + 6, ENV_PEER_MAC, 6);
        h->tp_status = TP_STATUS_KERNEL;
    }
    arp_comes(e);
    cr_assert(((struct tpacket2_hdr *)mem)->tp_status & TP_STATUS_LOSING);
    cr_assert_eq(sock_getsockopt(e->st, s, SOL_PACKET, PACKET_STATISTICS, &st, &len), 0);
    cr_assert_eq(st.tp_packets, 7);
    cr_assert_eq(st.tp_drops, 2);
    gone(e, s);
    cr_assert_eq(env_leaks(e), 0);
}

/* A block goes to the program when its time is up, and not before; an empty one never. */
Test(ring, a_block_by_time)
{
    struct env *e = env_stack(NULL);
    struct sock *s = ring_socket(e, TPACKET_V3, (struct tpacket_req3){4096, 2, 2048, 4, 100, 0, 0});
    struct tpacket_hdr_v1 *h = &((struct tpacket_block_desc *)rx_ring(s)->mem)->hdr.bh1;

    wait_ms(e, 1000);
    cr_assert_eq(h->block_status, TP_STATUS_KERNEL);
    arp_comes(e);
    arp_comes(e);
    cr_assert(!(sock_poll(s) & EPOLLIN));
    wait_ms(e, 200);
    cr_assert_eq(h->block_status, TP_STATUS_USER | TP_STATUS_BLK_TMO);
    cr_assert_eq(h->num_pkts, 2);
    cr_assert(sock_poll(s) & EPOLLIN);
    gone(e, s);
    cr_assert_eq(env_leaks(e), 0);
}

/* Whatever the program writes into the ring's memory, nothing is read or written beside it. */
Test(ring, a_program_that_scribbles)
{
    struct env *e = env_stack(NULL);
    struct sock *s = ring_socket(e, TPACKET_V3, (struct tpacket_req3){4096, 4, 2048, 8, 1, 100, 0});
    struct sock *t = make(e, AF_PACKET, SOCK_RAW, 0);
    struct tpacket_req q = {4096, 2, 1024, 8};
    struct msghdr m = {0};
    uint8_t *tx;

    bind_ll(e, t, ETH_P_ARP);
    cr_assert_eq(sock_setsockopt(e->st, t, SOL_PACKET, PACKET_TX_RING, &q, sizeof q), 0);
    tx = ((struct packetcb *)t->pcb)->rings->tx.mem;
    srand(1);
    for (int i = 0; i < 3000; i++) {
        for (int k = 0; k < 40; k++) {
            rx_ring(s)->mem[rand() % (4 * 4096)] = (uint8_t)rand();
            tx[rand() % (2 * 4096)] = (uint8_t)rand();
        }
        for (uint32_t k = 0; k < 8; k++) {
            ((struct tpacket_hdr *)(tx + k * 1024))->tp_status = TP_STATUS_SEND_REQUEST;
            if (rand() % 2)
                ((struct tpacket_hdr *)(tx + k * 1024))->tp_len = (uint32_t)rand() % 1100;
        }
        for (uint32_t k = 0; k < 4; k++)
            ((struct tpacket_block_desc *)(rx_ring(s)->mem + k * 4096))->hdr.bh1.block_status = 0;
        arp_comes(e);
        wait_ms(e, rand() % 3);
        sock_sendmsg(e->st, t, &m, 0, 0);
        shard_flush(e->sh);
        while (env_seen(e, &seen))
            ;
    }
    gone(e, s);
    gone(e, t);
    cr_assert_eq(env_leaks(e), 0);
}

Test(ring, memory_comes_back)
{
    struct env *e = env_stack(NULL);
    struct tpacket_req q = {1 << 20, 512, 4096, 512 * 256};
    struct ring_piece piece[2];

    for (int i = 0; i < 20; i++) {
        struct sock *s = make(e, AF_PACKET, SOCK_RAW, 0), *t = make(e, AF_PACKET, SOCK_RAW, 0),
                    *u = make(e, AF_PACKET, SOCK_RAW, 0);

        cr_assert_eq(sock_setsockopt(e->st, s, SOL_PACKET, PACKET_RX_RING, &q, sizeof q), 0);
        cr_assert_eq(rx_ring(s)->mem[0], 0);
        rx_ring(s)->mem[0] = 1;
        cr_assert_eq(packet_ring_pieces((struct packetcb *)s->pcb, 1 << 29, piece), 0);
        cr_assert_eq(packet_ring_pieces((struct packetcb *)s->pcb, 1 << 28, piece), -EINVAL);
        cr_assert_eq(sock_setsockopt(e->st, t, SOL_PACKET, PACKET_TX_RING, &q, sizeof q), 0);
        cr_assert_eq(sock_setsockopt(e->st, u, SOL_PACKET, PACKET_RX_RING, &q, sizeof q), -ENOMEM);
        gone(e, s);
        gone(e, t);
        gone(e, u);
    }
    cr_assert_eq(e->st->stamps, 0);
    cr_assert_eq(env_leaks(e), 0);
}

/* ---- groups (packet_fanout.h) ---- */

Test(fanout, one_of_the_group_gets_it)
{
    struct env *e = env_stack(NULL);
    struct sock *s[3];
    uint8_t b[128];
    int got[3] = {0};

    for (int i = 0; i < 3; i++) {
        s[i] = make(e, AF_PACKET, SOCK_RAW, 0);
        bind_ll(e, s[i], ETH_P_ARP);
        cr_assert_eq(set_int(e, s[i], PACKET_FANOUT, 5 | PACKET_FANOUT_LB << 16), 0);
    }
    for (int i = 0; i < 9; i++)
        arp_comes(e);
    for (int i = 0; i < 3; i++)
        while (recv_some(e, s[i], b, sizeof b) > 0)
            got[i]++;
    cr_assert(got[0] == 3 && got[1] == 3 && got[2] == 3);
    gone(e, s[0]);
    gone(e, s[1]);
    arp_comes(e);
    cr_assert_eq(recv_some(e, s[2], b, sizeof b), 42);
    gone(e, s[2]);
    cr_assert_eq(env_leaks(e), 0);
}
