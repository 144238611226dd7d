/* test_kernel.c: tap: and packet: links against the kernel's own stack: frames out and in, partial checksums,
 * TCP segments larger than the MTU both ways, VLAN tags, frames that find no room, an interface that goes
 * down, use by a child after the opener's end, and an interface that goes away with the last process.
 *
 * The kernel's end is a UDP socket for checksums, and a raw socket on the interface for whole frames.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <rte_ip.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../stack/pkt.h"
#include "../../dpdk/rx_ring.h"
#include "link.h"
#include "raw_echo.h"

#define OURS   "198.18.0.2"
#define KERNEL "198.18.0.1"
#define PORT   4242

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 2};
static uint8_t kernel_mac[6];

static int udp_socket(void)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    struct timeval tv = {.tv_sec = 2};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    inet_pton(AF_INET, KERNEL, &sin.sin_addr);
    CHECK(bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    return fd;
}

/* Ethernet and IPv4 headers for len bytes of L4. Returns where L4 starts. */
static char *ip_frame(struct rte_mbuf *m, uint8_t proto, uint16_t len)
{
    struct ethhdr *eth = (struct ethhdr *)rte_pktmbuf_append(m, sizeof(*eth) + sizeof(struct iphdr));
    struct iphdr *ip = (struct iphdr *)(eth + 1);
    memcpy(eth->h_dest, kernel_mac, 6);
    memcpy(eth->h_source, our_mac, 6);
    eth->h_proto = htons(ETH_P_IP);
    *ip = (struct iphdr){.version = 4,
                         .ihl = 5,
                         .tot_len = htons((uint16_t)(sizeof(*ip) + len)),
                         .ttl = 64,
                         .protocol = proto};
    inet_pton(AF_INET, OURS, &ip->saddr);
    inet_pton(AF_INET, KERNEL, &ip->daddr);
    m->l2_len = sizeof(*eth);
    m->l3_len = sizeof(*ip);
    m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
    return (char *)(ip + 1);
}

/* A datagram with both checksums left to the link arrives at the kernel's socket, which verifies them. */
static void check_udp_out(struct side *s, int fd)
{
    char buf[64];
    struct rte_mbuf *m = rte_pktmbuf_alloc(s->pool);
    struct udphdr *udp = (struct udphdr *)ip_frame(m, IPPROTO_UDP, sizeof(*udp) + 5);
    rte_pktmbuf_append(m, sizeof(*udp) + 5);
    *udp = (struct udphdr){.source = htons(9), .dest = htons(PORT), .len = htons(sizeof(*udp) + 5)};
    memcpy(udp + 1, "hello", 5);
    m->l4_len = sizeof(*udp);
    m->ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM;
    CHECK(transmit(s->dev[0], m));
    ssize_t n = recv(fd, buf, sizeof(buf), 0);
    CHECK(n == 5 && memcmp(buf, "hello", 5) == 0);
}

static const struct iphdr *is_ip(struct rte_mbuf *m, uint8_t proto)
{
    const struct ethhdr *eth = rte_pktmbuf_mtod(m, const struct ethhdr *);
    const struct iphdr *ip = (const struct iphdr *)(eth + 1);
    return m->data_len >= sizeof(*eth) + sizeof(*ip) && eth->h_proto == htons(ETH_P_IP) &&
                   ip->protocol == proto
               ? ip
               : NULL;
}

/* A datagram of the kernel's arrives with a checksum that is right or marked as not to be verified. */
static void check_udp_in(struct side *s, int fd)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
    inet_pton(AF_INET, OURS, &to.sin_addr);
    CHECK(sendto(fd, "there", 5, 0, (struct sockaddr *)&to, sizeof(to)) == 5);
    for (;;) {
        struct rte_mbuf *m = receive(s->dev[0], 2000);
        CHECK(m != NULL);
        const struct iphdr *ip = is_ip(m, IPPROTO_UDP);
        if (ip && ((const struct udphdr *)(ip + 1))->dest == htons(9)) {
            uint64_t l4 = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
            CHECK(memcmp((const struct udphdr *)(ip + 1) + 1, "there", 5) == 0);
            CHECK(l4 == RTE_MBUF_F_RX_L4_CKSUM_NONE || l4 == RTE_MBUF_F_RX_L4_CKSUM_GOOD ||
                  rte_ipv4_udptcp_cksum((const void *)ip, ip + 1) == 0xffff /* over the sum itself */);
            rte_pktmbuf_free(m);
            return;
        }
        rte_pktmbuf_free(m);
    }
}

/* One TCP frame of 20000 bytes is taken as it is; the kernel answers it with a reset, so it was whole. */
static void check_tso_out(struct side *s)
{
    const uint16_t payload = 20000;
    struct rte_mbuf *m = rte_pktmbuf_alloc(s->pool);
    CHECK(s->dev[0]->caps & NETDEV_TSO && s->dev[0]->tso_max >= payload);
    struct tcphdr *tcp = (struct tcphdr *)ip_frame(m, IPPROTO_TCP, (uint16_t)(sizeof(*tcp) + payload));
    rte_pktmbuf_append(m, sizeof(*tcp));
    *tcp = (struct tcphdr){
        .source = htons(7), .dest = htons(8), .seq = htonl(1000), .ack_seq = htonl(77), .doff = 5, .ack = 1};
    m->l4_len = sizeof(*tcp);
    m->tso_segsz = 1460;
    m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
    for (unsigned left = payload; left;) {
        struct rte_mbuf *part = rte_pktmbuf_alloc(s->pool);
        unsigned n = left < PKT_DATA_ROOM ? left : PKT_DATA_ROOM;
        memset(rte_pktmbuf_append(part, (uint16_t)n), 'x', n);
        rte_pktmbuf_chain(m, part);
        left -= n;
    }
    CHECK(transmit(s->dev[0], m));
    for (;;) {
        struct rte_mbuf *r = receive(s->dev[0], 2000);
        CHECK(r != NULL);
        const struct iphdr *ip = is_ip(r, IPPROTO_TCP);
        const struct tcphdr *t = ip ? (const struct tcphdr *)(ip + 1) : NULL;
        bool reset = t && t->dest == htons(7) && t->rst && t->seq == htonl(77); /* RFC 9293 3.10.7.1 */
        rte_pktmbuf_free(r);
        if (reset)
            return;
    }
}

/* A packet socket on the kernel's end that sends alone, each frame behind a struct virtio_net_hdr. */
static int vnet_socket(const char *kernel_if)
{
    struct sockaddr_ll sll = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(kernel_if)};
    int fd = socket(AF_PACKET, SOCK_RAW, 0), on = 1;
    CHECK(fd >= 0 && setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) == 0);
    CHECK(bind(fd, (struct sockaddr *)&sll, sizeof(sll)) == 0);
    return fd;
}

struct kernel_frame {
    struct virtio_net_hdr vnet;
    unsigned char frame[64000];
} __attribute__((packed));

/* Ethernet with the given EtherType, all else `fill`. */
static void kernel_frame(struct kernel_frame *f, uint16_t type, unsigned char fill)
{
    memset(f, 0, sizeof(*f));
    memset(f->frame, fill, sizeof(f->frame));
    memcpy(f->frame, our_mac, 6);
    memcpy(f->frame + 6, kernel_mac, 6);
    f->frame[12] = (unsigned char)(type >> 8);
    f->frame[13] = (unsigned char)type;
}

static void kernel_send(int fd, const struct kernel_frame *f, size_t len)
{
    len += sizeof(f->vnet);
    CHECK(send(fd, f, len, 0) == (ssize_t)len);
}

/* The next frame with that EtherType. */
static struct rte_mbuf *receive_type(struct side *s, uint16_t type)
{
    for (;;) {
        struct rte_mbuf *m = receive(s->dev[0], 2000);
        CHECK(m != NULL);
        if (rte_pktmbuf_mtod(m, const struct ethhdr *)->h_proto == htons(type))
            return m;
        rte_pktmbuf_free(m);
    }
}

/* A TCP segment of 20000 bytes arrives in one piece, said to be made of many; short frames around it keep
 * their order. */
static void check_tso_in(struct side *s, const char *kernel_if)
{
    static struct kernel_frame f;
    int fd = vnet_socket(kernel_if);
    const uint32_t hlen = sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct tcphdr),
                   payload = 20000;
    for (unsigned i = 0; i < 100; i++) {
        kernel_frame(&f, ETH_P_IP, (unsigned char)i);
        struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP};
        struct tcphdr tcp = {.source = htons(1), .dest = htons(77), .doff = 5, .ack = 1};
        uint32_t len = i % 3 ? hlen + payload : hlen + 100;
        ip.tot_len = htons((uint16_t)(len - sizeof(struct ethhdr)));
        memcpy(f.frame + sizeof(struct ethhdr), &ip, sizeof(ip));
        memcpy(f.frame + sizeof(struct ethhdr) + sizeof(ip), &tcp, sizeof(tcp));
        f.vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        f.vnet.csum_start = sizeof(struct ethhdr) + sizeof(ip);
        f.vnet.csum_offset = 16;
        f.vnet.hdr_len = (uint16_t)hlen;
        f.vnet.gso_type = i % 3 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_NONE;
        f.vnet.gso_size = i % 3 ? 1460 : 0;
        kernel_send(fd, &f, len);
        struct rte_mbuf *m;
        while (m = receive_type(s, ETH_P_IP), m->pkt_len != len)
            rte_pktmbuf_free(m);
        CHECK(!!(m->ol_flags & RTE_MBUF_F_RX_LRO) == (i % 3 != 0));
        CHECK(i % 3 == 0 || m->tso_segsz == 1460);
        CHECK((m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_NONE);
        uint32_t seen = 0;
        for (struct rte_mbuf *at = m; at; at = at->next)
            for (uint32_t k = 0; k < at->data_len; k++, seen++)
                CHECK(seen < hlen || rte_pktmbuf_mtod(at, const unsigned char *)[k] == i);
        CHECK(seen == len);
        rte_pktmbuf_free(m);
    }
    close(fd);
}

/* A tag that a frame was sent with is there when it arrives, whatever the kernel did with it on the way. */
static void check_tag_in(struct side *s, const char *kernel_if)
{
    static struct kernel_frame f;
    int fd = vnet_socket(kernel_if);
    kernel_frame(&f, ETH_P_8021Q, 0x5a);
    memcpy(f.frame + 14, (unsigned char[]){0x60, 42, 0x88, 0xb5}, 4); /* priority 3, VLAN 42 */
    kernel_send(fd, &f, 100);
    struct rte_mbuf *m = receive_type(s, ETH_P_8021Q);
    CHECK(m->pkt_len == 100);
    CHECK(memcmp(rte_pktmbuf_mtod(m, const void *), f.frame, 100) == 0);
    rte_pktmbuf_free(m);
    close(fd);
}

/* Frames that nobody fetches in time are lost, and counted; those that are not are handed over. */
static void check_lost(struct side *s, const char *kernel_if)
{
    static struct kernel_frame f;
    int fd = vnet_socket(kernel_if);
    unsigned got = 0, sent = 5000;
    uint32_t lost = s->dev[0]->rx_lost[0];
    for (unsigned i = 0; i < sent; i++) {
        kernel_frame(&f, 0x88b6, (unsigned char)i);
        kernel_send(fd, &f, 60);
    }
    for (struct rte_mbuf *m; (m = receive(s->dev[0], 50)) != NULL; rte_pktmbuf_free(m))
        if (rte_pktmbuf_mtod(m, const struct ethhdr *)->h_proto == htons(0x88b6)) {
            CHECK(rte_pktmbuf_mtod(m, const unsigned char *)[20] == (unsigned char)got); /* the first ones */
            got++;
        }
    kernel_send(fd, &f, 60); /* the kernel tells with the next one that there is room for */
    rte_pktmbuf_free(receive_type(s, 0x88b6));
    got++;
    sent++;
    lost = s->dev[0]->rx_lost[0] - lost;
    printf("  %u frames that waited: %u came, %u found no room\n", sent, got, lost);
    CHECK(got > 0 && lost > 0 && got + lost >= sent); /* and maybe one of the kernel's own */
    close(fd);
}

/* A process was killed while it gave a slot back: the next one goes on with the frame behind it. */
static void check_ring_mend(const char *our_if, const char *kernel_if)
{
    static struct kernel_frame f;
    struct sockaddr_ll sll = {
        .sll_family = AF_PACKET, .sll_protocol = htons(0x88b7), .sll_ifindex = (int)if_nametoindex(our_if)};
    int out = vnet_socket(kernel_if), in = socket(AF_PACKET, SOCK_RAW, 0), on = 1;
    struct rx_ring r;
    struct rx_slot slot;
    CHECK(in >= 0 && setsockopt(in, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) == 0);
    CHECK(rx_ring_make(&r, in, 1500, 3) == 0 && bind(in, (struct sockaddr *)&sll, sizeof(sll)) == 0);
    char *base = rx_ring_map(&r, in);
    CHECK(base != NULL);
    for (unsigned i = 0; i < 3 * r.slots; i++) {
        kernel_frame(&f, 0x88b7, (unsigned char)i);
        kernel_send(out, &f, 60);
        CHECK(rx_ring_peek(&r, base, &slot) && slot.len == 60 && slot.data[20] == (char)i && !slot.cut);
        struct rx_ring before = r;
        rx_ring_drop(&r, base);
        switch (i % 4) {
        case 0: /* killed after the first of its steps, or after the second */
            r.head = before.head;
            r.held = before.head + 1;
            break;
        case 1:
            r.held = before.head + 1;
            break;
        default:
            break;
        }
        rx_ring_mend(&r, base);
        CHECK(r.held == 0 && !rx_ring_peek(&r, base, &slot));
    }
    rx_ring_unmap(&r, base);
    close(in);
    close(out);
}

/* An interface that goes down wakes a sleeper once, not for ever. Nor does it put long frames out of step
 * with the ring: they are in the socket's queue, behind the error. */
static void check_down(struct side *s, const char *our_if, const char *kernel_if)
{
    static struct kernel_frame f;
    uint64_t longest = 0;
    CHECK(run("ip link set %s down", our_if) == 0);
    for (struct rte_mbuf *m; (m = receive(s->dev[0], 50)) != NULL;) /* what came before */
        rte_pktmbuf_free(m);
    for (unsigned i = 0; i < 5; i++) {
        uint64_t t = now_ns();
        sleep_on(s->dev[0], 0, 100);
        t = now_ns() - t;
        longest = t > longest ? t : longest;
    }
    CHECK(longest > 50000000);
    CHECK(run("ip link set %s up", our_if) == 0);
    CHECK(run("ip link set %s down && ip link set %s up", our_if, our_if) == 0);
    int fd = vnet_socket(kernel_if);
    for (unsigned i = 0; i < 3; i++) {
        kernel_frame(&f, ETH_P_IP, (unsigned char)i);
        f.vnet.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
        f.vnet.gso_size = 1460;
        f.vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        f.vnet.csum_start = sizeof(struct ethhdr) + sizeof(struct iphdr);
        f.vnet.csum_offset = 16;
        f.vnet.hdr_len = sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct tcphdr);
        struct iphdr ip = {
            .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP, .tot_len = htons(9986)};
        struct tcphdr tcp = {.doff = 5, .ack = 1};
        memcpy(f.frame + sizeof(struct ethhdr), &ip, sizeof(ip));
        memcpy(f.frame + sizeof(struct ethhdr) + sizeof(ip), &tcp, sizeof(tcp));
        kernel_send(fd, &f, 10000);
        struct rte_mbuf *m;
        while (m = receive_type(s, ETH_P_IP), m->pkt_len != 10000)
            rte_pktmbuf_free(m);
        CHECK(rte_pktmbuf_mtod(m, const unsigned char *)[100] == i);
        rte_pktmbuf_free(m);
    }
    close(fd);
}

static void address_setup(const char *kernel_if)
{
    char path[64], text[32] = "";
    CHECK(run("ip neigh replace " OURS " lladdr 02:00:00:00:00:02 dev %s", kernel_if) == 0);
    /* Not /sys/class/net, which shows the namespace it was mounted in. */
    snprintf(path, sizeof(path), "ip -o link show %s | sed 's/.*ether //; s/ .*//'", kernel_if);
    FILE *f = popen(path, "r");
    CHECK(f && fgets(text, sizeof(text), f));
    pclose(f);
    CHECK(sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &kernel_mac[0], &kernel_mac[1], &kernel_mac[2],
                 &kernel_mac[3], &kernel_mac[4], &kernel_mac[5]) == 6);
}

/* The opener ends, its child goes on, and so does the link. */
static void check_fork(struct side *s)
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid) {
        int st;
        CHECK(waitpid(pid, &st, 0) == pid);
        CHECK(st == 0);
        return;
    }
    pid = fork(); /* a grandchild, whose parent is gone by the time it starts */
    if (pid)
        _exit(0);
    usleep(50000);
    if (!ping(s, 100, 500, 4))
        fprintf(stderr, "after the parent's end: no answer\n");
    else
        printf("  goes on in a grandchild\n");
    fflush(stdout);
    _exit(0);
}

int main(int argc, char **argv)
{
    bool tap = argc < 2 || strcmp(argv[1], "tap") == 0, persistent = argc > 2;
    const char *kernel_if = tap ? "t0" : "v1";
    own_namespace();
    run("ip link set lo up");
    struct side s;
    if (tap) {
        if (persistent && run("ip tuntap add t0 mode tap && ip link set t0 mtu 3000") != 0)
            return SKIP;
        s = side_start(128, false, "tap:t0,host=" KERNEL "/24", NULL);
        CHECK(s.dev[0]->mtu == (persistent ? 3000 : 1500));
    } else {
        if (run("ip link add v0 type veth peer name v1 && ip addr add " KERNEL
                "/24 dev v1 && ip link set v1 up") != 0)
            return SKIP;
        s = side_start(128, false, "packet:v0", NULL);
    }
    printf("  started in %.1f ms\n", s.start_ms);
    address_setup(kernel_if);
    int fd = udp_socket();
    check_udp_out(&s, fd);
    check_udp_in(&s, fd);
    check_tso_out(&s);
    check_tso_in(&s, kernel_if);
    check_tag_in(&s, kernel_if);
    if (!tap) {
        check_lost(&s, kernel_if);
        check_ring_mend("v0", kernel_if);
        check_down(&s, "v0", kernel_if);
    }
    pid_t peer = raw_echo(kernel_if);
    usleep(50000);
    CHECK(ping(&s, 2000, 64, 8));
    CHECK(ping(&s, 2000, 1514, 8));
    check_fork(&s);
    usleep(500000);
    kill(peer, SIGKILL);
    waitpid(peer, NULL, 0);
    dpdk_stop();
    if (tap)
        CHECK((run("ip link show t0 >/dev/null 2>&1") == 0) == persistent);
    return 0;
}
