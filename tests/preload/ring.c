/* ring.c: packet_mmap on loopback: rings of all three versions to read and to send from, their options,
 * mmap's errors, poll, a fork; groups of sockets (PACKET_FANOUT). */
#include "check.h"

#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sys/mman.h>

#define BLOCK 65536u
#define PROTO 0x88b5

static int lo_index(void)
{
    struct ifreq r = {0};
    int s = udp4();

    strcpy(r.ifr_name, "lo");
    NEED(ioctl(s, SIOCGIFINDEX, &r) == 0);
    close(s);
    return r.ifr_ifindex;
}

static int packet_socket(int type, int proto)
{
    struct sockaddr_ll a = {
        .sll_family = AF_PACKET, .sll_protocol = htons((uint16_t)proto), .sll_ifindex = lo_index()};
    int fd = socket(AF_PACKET, type, 0);

    NEED(fd >= 0 && bind(fd, SA(a)) == 0);
    return fd;
}

static int set(int s, int name, int v)
{
    return setsockopt(s, SOL_PACKET, name, &v, sizeof(v));
}

static int ring(int s, int name, unsigned frame, unsigned blocks)
{
    struct tpacket_req3 q = {.tp_block_size = BLOCK,
                             .tp_block_nr = blocks,
                             .tp_frame_size = frame,
                             .tp_frame_nr = blocks * (BLOCK / frame)};

    return setsockopt(s, SOL_PACKET, name, &q, sizeof(q));
}

static uint8_t *map(int s, size_t n)
{
    uint8_t *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, s, 0);

    NEED(p != MAP_FAILED);
    return p;
}

/* A frame of the test's own protocol, seen by sockets of that alone. */
static void emit(const char *text, size_t n)
{
    struct sockaddr_ll a = {
        .sll_family = AF_PACKET, .sll_protocol = htons(PROTO), .sll_ifindex = lo_index(), .sll_halen = 6};
    int s = socket(AF_PACKET, SOCK_DGRAM, 0);

    NEED(sendto(s, text, n, 0, SA(a)) == (ssize_t)n);
    close(s);
}

#define KNOWN (TP_STATUS_USER | TP_STATUS_COPY | TP_STATUS_LOSING | TP_STATUS_BLK_TMO)

static void show_from(const uint8_t *frame, size_t at)
{
    struct sockaddr_ll ll;

    memcpy(&ll, frame + at, sizeof(ll));
    show("from", "family %d, type %d, proto %x, halen %d, hatype %d, index %s", ll.sll_family, ll.sll_pkttype,
         ntohs(ll.sll_protocol), ll.sll_halen, ll.sll_hatype, ll.sll_ifindex == lo_index() ? "lo" : "other");
}

static bool recent(long sec)
{
    return labs((long)time(NULL) - sec) < 5;
}

static void show_v1(const uint8_t *f)
{
    const struct tpacket_hdr *h = (const void *)f;

    show("v1", "status %lx, len %u, snap %u, mac %u, net %u, now %d", h->tp_status & KNOWN, h->tp_len,
         h->tp_snaplen, h->tp_mac, h->tp_net, recent((long)h->tp_sec));
    if (h->tp_status & TP_STATUS_USER)
        show_from(f, TPACKET_ALIGN(sizeof(*h)));
}

static void show_v2(const uint8_t *f)
{
    const struct tpacket2_hdr *h = (const void *)f;

    show("v2", "status %x, len %u, snap %u, mac %u, net %u, vlan %u, now %d", h->tp_status & KNOWN, h->tp_len,
         h->tp_snaplen, h->tp_mac, h->tp_net, h->tp_vlan_tci, recent(h->tp_sec));
    if (h->tp_status & TP_STATUS_USER)
        show_from(f, TPACKET_ALIGN(sizeof(*h)));
}

CHECK(v1)
{
    int s = packet_socket(SOCK_RAW, PROTO);

    R(ring(s, PACKET_RX_RING, 2048, 1));
    uint8_t *m = map(s, BLOCK);
    EV(poll_for(s, POLLIN, QUIET_MS));
    emit("first", 5);
    EV(poll_for(s, POLLIN, SETTLE_MS));
    show_v1(m);
    TEXT(m + ((struct tpacket_hdr *)m)->tp_net, 5);
    show_v1(m + 2048);
    ((struct tpacket_hdr *)m)->tp_status = TP_STATUS_KERNEL;
    EV(poll_for(s, POLLIN, QUIET_MS));
    R(munmap(m, BLOCK));
}

CHECK(v2)
{
    int s = packet_socket(SOCK_DGRAM, PROTO);

    R(set(s, PACKET_VERSION, TPACKET_V2));
    R(set(s, PACKET_RESERVE, 32));
    R(ring(s, PACKET_RX_RING, 2048, 2));
    uint8_t *m = map(s, 2 * BLOCK);
    for (int i = 0; i < 3; i++)
        emit("datagram", 8);
    EV(poll_for(s, POLLIN, SETTLE_MS));
    for (int i = 0; i < 4; i++)
        show_v2(m + i * 2048);
    TEXT(m + 2048 + ((struct tpacket2_hdr *)(m + 2048))->tp_net, 8);
    R(recv(s, m, 10, MSG_DONTWAIT));
}

/* The ring is full: what comes is dropped, and said to be lost in the next frame until it is asked for. */
CHECK(v2_full)
{
    int s = packet_socket(SOCK_DGRAM, PROTO);
    struct tpacket_stats st;
    socklen_t len = sizeof(st);

    R(set(s, PACKET_VERSION, TPACKET_V2));
    R(ring(s, PACKET_RX_RING, 16384, 1));
    uint8_t *m = map(s, BLOCK);
    for (int i = 0; i < 7; i++)
        emit("x", 1);
    for (int i = 0; i < 4; i++) {
        show_v2(m + i * 16384);
        ((struct tpacket2_hdr *)(m + i * 16384))->tp_status = TP_STATUS_KERNEL;
    }
    emit("y", 1);
    show_v2(m);
    R(getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &st, &len));
    V(st.tp_packets);
    V(st.tp_drops);
    emit("z", 1);
    show_v2(m + 16384);
}

/* A frame that is longer than the ring's: cut, and whole in the queue when PACKET_COPY_THRESH says so. */
CHECK(copy_thresh)
{
    static char big[1400];
    int s = packet_socket(SOCK_DGRAM, PROTO);
    char b[2000];

    R(set(s, PACKET_VERSION, TPACKET_V2));
    R(ring(s, PACKET_RX_RING, 256, 1));
    uint8_t *m = map(s, BLOCK);
    emit(big, sizeof(big));
    show_v2(m);
    R(recv(s, b, sizeof(b), MSG_DONTWAIT));
    R(set(s, PACKET_COPY_THRESH, 1));
    emit(big, sizeof(big));
    show_v2(m + 256);
    R(recv(s, b, sizeof(b), MSG_DONTWAIT));
}

static int ring3(int s, unsigned blocks, unsigned tov, unsigned priv)
{
    struct tpacket_req3 q = {.tp_block_size = 4096,
                             .tp_block_nr = blocks,
                             .tp_frame_size = 2048,
                             .tp_frame_nr = blocks * 2,
                             .tp_retire_blk_tov = tov,
                             .tp_sizeof_priv = priv};

    NEED(set(s, PACKET_VERSION, TPACKET_V3) == 0);
    return setsockopt(s, SOL_PACKET, PACKET_RX_RING, &q, sizeof(q));
}

static void show_block(uint8_t *b)
{
    struct tpacket_block_desc *d = (void *)b;
    struct tpacket_hdr_v1 *h = &d->hdr.bh1;
    uint8_t *f = b + h->offset_to_first_pkt;

    show("block", "version %u, priv %u, status %x, packets %u, first %u, len %u, seq %llu, times %d",
         d->version, d->offset_to_priv, h->block_status & KNOWN, h->num_pkts, h->offset_to_first_pkt,
         h->blk_len, (unsigned long long)h->seq_num, recent(h->ts_first_pkt.ts_sec));
    if (!(h->block_status & TP_STATUS_USER))
        return;
    for (unsigned i = 0; i < h->num_pkts; i++) {
        struct tpacket3_hdr *t = (void *)f;

        show("v3", "next %u, status %x, len %u, snap %u, mac %u, net %u, now %d", t->tp_next_offset,
             t->tp_status & KNOWN, t->tp_len, t->tp_snaplen, t->tp_mac, t->tp_net, recent(t->tp_sec));
        if (i == 0)
            show_from(f, TPACKET_ALIGN(sizeof(*t)));
        f += t->tp_next_offset;
    }
}

CHECK(v3_by_time)
{
    int s = packet_socket(SOCK_RAW, PROTO);

    R(ring3(s, 4, 30, 13));
    uint8_t *m = map(s, 4 * 4096);
    EV(poll_for(s, POLLIN, 80)); /* an empty block is not handed over */
    emit("one", 3);
    EV(poll_for(s, POLLIN, SETTLE_MS));
    emit("three", 5); /* right after the timer: both get into one block */
    emit("five", 4);
    show_block(m);
    ((struct tpacket_block_desc *)m)->hdr.bh1.block_status = TP_STATUS_KERNEL;
    EV(poll_for(s, POLLIN, SETTLE_MS));
    show_block(m + 4096);
}

CHECK(v3_full)
{
    static char big[1000];
    int s = packet_socket(SOCK_DGRAM, PROTO);
    struct tpacket_stats_v3 st = {0};
    socklen_t len = sizeof(st);

    R(ring3(s, 2, 1000, 0));
    uint8_t *m = map(s, 2 * 4096);
    for (int i = 0; i < 4; i++)
        emit(big, sizeof(big));
    EV(poll_for(s, POLLIN, SETTLE_MS));
    show_block(m);
    for (int i = 0; i < 6; i++)
        emit(big, sizeof(big));
    show_block(m + 4096);
    R(getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &st, &len));
    V(len);
    V(st.tp_packets);
    V(st.tp_drops);
    V(st.tp_freeze_q_cnt);
    ((struct tpacket_block_desc *)m)->hdr.bh1.block_status = TP_STATUS_KERNEL;
    for (int i = 0; i < 4; i++)
        emit(big, sizeof(big));
    show_block(m);
}

CHECK(sending)
{
    int r = packet_socket(SOCK_DGRAM, PROTO), s = packet_socket(SOCK_DGRAM, 0);
    struct sockaddr_ll a = {
        .sll_family = AF_PACKET, .sll_protocol = htons(PROTO), .sll_ifindex = lo_index(), .sll_halen = 6};
    size_t at = TPACKET2_HDRLEN - sizeof(struct sockaddr_ll);
    char b[100];

    R(set(s, PACKET_VERSION, TPACKET_V2));
    R(ring(s, PACKET_TX_RING, 2048, 1));
    uint8_t *m = map(s, BLOCK);
    EV(poll_for(s, POLLOUT, QUIET_MS));
    for (int i = 0; i < 3; i++) {
        struct tpacket2_hdr *h = (void *)(m + i * 2048);

        memcpy(m + i * 2048 + at, "payload", 7);
        h->tp_len = i == 2 ? 5000 : 7;
        h->tp_status = TP_STATUS_SEND_REQUEST;
    }
    EV(poll_for(s, POLLOUT, 0));
    R(sendto(s, NULL, 0, 0, SA(a)));
    for (int i = 0; i < 3; i++)
        V(((struct tpacket2_hdr *)(m + i * 2048))->tp_status);
    R(recv(r, b, sizeof(b), MSG_DONTWAIT));
    TEXT(b, 7);
    R(recv(r, b, sizeof(b), MSG_DONTWAIT));
    R(recv(r, b, sizeof(b), MSG_DONTWAIT));
    R(sendto(s, NULL, 0, 0, SA(a)));
    R(sendto(s, "direct", 6, 0, SA(a)));
    ((struct tpacket2_hdr *)(m + 4096))->tp_len = 3;
    ((struct tpacket2_hdr *)(m + 4096))->tp_status = TP_STATUS_SEND_REQUEST;
    R(sendto(s, NULL, 0, MSG_DONTWAIT, SA(a)));
    R(recv(r, b, sizeof(b), MSG_DONTWAIT));
}

CHECK(sending_passes_bad_ones_over)
{
    int s = packet_socket(SOCK_DGRAM, PROTO);
    struct sockaddr_ll a = {
        .sll_family = AF_PACKET, .sll_protocol = htons(PROTO), .sll_ifindex = lo_index(), .sll_halen = 6};

    R(set(s, PACKET_LOSS, 1));
    R(ring(s, PACKET_TX_RING, 2048, 1));
    uint8_t *m = map(s, BLOCK);
    for (int i = 0; i < 3; i++) {
        struct tpacket_hdr *h = (void *)(m + i * 2048);

        h->tp_len = i == 1 ? 5000 : 7;
        h->tp_status = TP_STATUS_SEND_REQUEST;
    }
    R(sendto(s, NULL, 0, 0, SA(a)));
    for (int i = 0; i < 3; i++)
        V(((struct tpacket_hdr *)(m + i * 2048))->tp_status);
}

CHECK(both_rings)
{
    int s = packet_socket(SOCK_DGRAM, PROTO);
    struct sockaddr_ll a = {
        .sll_family = AF_PACKET, .sll_protocol = htons(PROTO), .sll_ifindex = lo_index(), .sll_halen = 6};

    R(ring(s, PACKET_RX_RING, 2048, 1));
    R(ring(s, PACKET_TX_RING, 4096, 2));
    V(mmap(NULL, BLOCK, PROT_READ, MAP_SHARED, s, 0) == MAP_FAILED);
    uint8_t *m = map(s, 3 * BLOCK);
    emit("in", 2);
    show_v1(m);
    struct tpacket_hdr *h = (void *)(m + BLOCK);
    h->tp_len = 4;
    h->tp_status = TP_STATUS_SEND_REQUEST;
    R(sendto(s, NULL, 0, 0, SA(a)));
    V(h->tp_status);
    show_v1(m + 2048);
}

/* A child sees the frames that come after the fork, in memory that both share. */
CHECK(fork_shares_it)
{
    int s = packet_socket(SOCK_DGRAM, PROTO);

    R(ring(s, PACKET_RX_RING, 2048, 1));
    uint8_t *m = map(s, BLOCK);
    pid_t pid = fork();
    if (pid == 0) {
        emit("from the child", 14);
        ((struct tpacket_hdr *)(m + 4096))->tp_len = 77;
        _exit(((struct tpacket_hdr *)m)->tp_status & TP_STATUS_USER ? 0 : 1);
    }
    int st = -1;
    waitpid(pid, &st, 0);
    V(WEXITSTATUS(st));
    show_v1(m);
    V(((struct tpacket_hdr *)(m + 4096))->tp_len);
}

static int req(int s, unsigned block, unsigned nr, unsigned frame, unsigned frames)
{
    struct tpacket_req q = {block, nr, frame, frames};

    return setsockopt(s, SOL_PACKET, PACKET_RX_RING, &q, sizeof(q));
}

CHECK(requests)
{
    int s = packet_socket(SOCK_RAW, PROTO);
    struct tpacket_req3 q3 = {4096, 1, 4096, 1, 0, 4096, 0};

    R(req(s, 4096, 1, 2048, 2));
    R(req(s, 4096, 1, 2048, 2));
    R(req(s, 0, 0, 0, 1));
    R(req(s, 0, 0, 0, 0));
    R(req(s, 0, 0, 0, 0));
    R(req(s, 4095, 1, 2048, 1));
    R(req(s, 0, 1, 2048, 1));
    R(req(s, 0x80000000u, 1, 2048, 1));
    R(req(s, 4096, 1, 2048, 1));
    R(req(s, 4096, 1, 2040, 2));
    R(req(s, 4096, 1, 48, 85));
    R(req(s, 4096, 1, 16, 256));
    R(req(s, 4096, 1, 8192, 0));
    R(req(s, 4096, 0xffffffffu, 64, 64));
    R(setsockopt(s, SOL_PACKET, PACKET_RX_RING, &q3, 15));
    R(setsockopt(s, SOL_PACKET, PACKET_RX_RING, &q3, 0));
    R(set(s, PACKET_VERSION, 2));
    R(setsockopt(s, SOL_PACKET, PACKET_RX_RING, &q3, 16));
    R(setsockopt(s, SOL_PACKET, PACKET_RX_RING, &q3, sizeof(q3)));
    R(setsockopt(s, SOL_PACKET, PACKET_TX_RING, &q3, sizeof(q3)));
    q3.tp_sizeof_priv = 0;
    R(setsockopt(s, SOL_PACKET, PACKET_TX_RING, &q3, sizeof(q3)));
    R(set(s, PACKET_VERSION, 1));
    R(set(s, PACKET_RESERVE, 1));
    R(set(s, PACKET_LOSS, 1));
    R(set(s, PACKET_TX_HAS_OFF, 1));
}

CHECK(mapping)
{
    int s = packet_socket(SOCK_RAW, PROTO), u = udp4();
    void *p;

    p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, s, 0);
    show("no ring", "%s", p == MAP_FAILED ? errname(errno) : "mapped");
    p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, u, 0);
    show("udp", "%s", p == MAP_FAILED ? errname(errno) : "mapped");
    R(req(s, 8192, 1, 2048, 4));
    p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, s, 0);
    show("a part", "%s", p == MAP_FAILED ? errname(errno) : "mapped");
    p = mmap(NULL, 8192, PROT_READ, MAP_SHARED, s, 4096);
    show("an offset", "%s", p == MAP_FAILED ? errname(errno) : "mapped");
    p = mmap(NULL, 8000, PROT_READ, MAP_SHARED, s, 0);
    show("not quite", "%s", p == MAP_FAILED ? errname(errno) : "mapped");
    R(munmap(p, 8192));
    p = mmap(NULL, 3 * 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(p != MAP_FAILED);
    V(mmap((char *)p + 8192, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, s, 0) == (char *)p + 8192);
    V(((struct tpacket_hdr *)((char *)p + 8192))->tp_status);
    V(mmap((char *)p + 8192, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, s, 0) ==
      MAP_FAILED);
    R(munmap(p, 3 * 8192));
    R(req(s, 0, 0, 0, 0));
}

CHECK(options)
{
    static const int name[] = {PACKET_VERSION,     PACKET_RESERVE,   PACKET_LOSS,
                               PACKET_COPY_THRESH, PACKET_TIMESTAMP, PACKET_HDRLEN,
                               PACKET_TX_HAS_OFF,  PACKET_FANOUT,    PACKET_ROLLOVER_STATS};
    int s = packet_socket(SOCK_RAW, PROTO);

    for (size_t i = 0; i < sizeof(name) / sizeof(name[0]); i++) {
        int v = 2;
        socklen_t len = sizeof(v);

        V(name[i]);
        R(getsockopt(s, SOL_PACKET, name[i], &v, &len));
        V(v);
        if (name[i] == PACKET_FANOUT || name[i] == PACKET_ROLLOVER_STATS)
            continue;
        R(set(s, name[i], 2));
        R(set(s, name[i], -1));
        R(setsockopt(s, SOL_PACKET, name[i], &v, 8));
        R(setsockopt(s, SOL_PACKET, name[i], &v, 3));
        len = sizeof(v);
        R(getsockopt(s, SOL_PACKET, name[i], &v, &len));
        V(v);
        len = 2;
        R(getsockopt(s, SOL_PACKET, name[i], &v, &len));
    }
}

static int count(int s)
{
    int n = 0;
    char b[100];

    while (recv(s, b, sizeof(b), MSG_DONTWAIT) > 0)
        n++;
    return n;
}

static int fanout(int s, unsigned id, unsigned how)
{
    return set(s, PACKET_FANOUT, (int)(id | how << 16));
}

CHECK(fanout_in_turn)
{
    int a = packet_socket(SOCK_DGRAM, PROTO), b = packet_socket(SOCK_DGRAM, PROTO), n, m;

    R(fanout(a, 7, PACKET_FANOUT_LB));
    R(fanout(b, 7, PACKET_FANOUT_LB));
    for (int i = 0; i < 10; i++)
        emit("x", 1);
    n = count(a), m = count(b);
    V(n);
    V(m);
    close(a);
    emit("x", 1);
    V(count(b));
}

CHECK(fanout_by_flow)
{
    int a = packet_socket(SOCK_DGRAM, ETH_P_IP), b = packet_socket(SOCK_DGRAM, ETH_P_IP), sv[2], n, m;

    R(fanout(a, 8, PACKET_FANOUT_HASH));
    R(fanout(b, 8, PACKET_FANOUT_HASH));
    udp_pair(sv);
    for (int i = 0; i < 5; i++) {
        NEED(send(sv[0], "x", 1, 0) == 1);
        NEED(send(sv[1], "y", 1, 0) == 1);
    }
    nap(QUIET_MS);
    n = count(a), m = count(b);
    V(n + m);
    V(n == 0 || m == 0);
}

CHECK(fanout_errors)
{
    int a = packet_socket(SOCK_DGRAM, PROTO), b = packet_socket(SOCK_DGRAM, PROTO),
        c = packet_socket(SOCK_DGRAM, ETH_P_IP), d = packet_socket(SOCK_DGRAM, PROTO), v = 0;
    struct sock_filter f[] = {BPF_STMT(BPF_RET | BPF_K, 1)};
    struct sock_fprog fp = {.len = 1, .filter = f};
    struct sockaddr_ll any = {.sll_family = AF_PACKET, .sll_protocol = htons(PROTO)};
    struct fanout_args big = {.id = 12, .max_num_members = 1 << 20};
    struct tpacket_rollover_stats st;
    socklen_t len = sizeof(v);

    R(fanout(a, 9, 99));
    R(setsockopt(a, SOL_PACKET, PACKET_FANOUT_DATA, &fp, sizeof(fp)));
    R(setsockopt(a, SOL_PACKET, PACKET_FANOUT, &v, 3));
    R(setsockopt(a, SOL_PACKET, PACKET_FANOUT, &big, sizeof(big)));
    R(fanout(a, 9, PACKET_FANOUT_CBPF));
    R(fanout(a, 10, PACKET_FANOUT_CBPF));
    R(fanout(b, 9, PACKET_FANOUT_HASH));
    R(fanout(c, 9, PACKET_FANOUT_CBPF));
    R(fanout(b, 9, PACKET_FANOUT_CBPF));
    R(getsockopt(b, SOL_PACKET, PACKET_FANOUT, &v, &len));
    V(v);
    R(bind(b, SA(any)));
    R(setsockopt(a, SOL_PACKET, PACKET_FANOUT_DATA, &fp, sizeof(fp)));
    emit("x", 1);
    V(count(a));
    V(count(b));
    len = sizeof(st);
    R(getsockopt(a, SOL_PACKET, PACKET_ROLLOVER_STATS, &st, &len));
    R(fanout(d, 11, PACKET_FANOUT_ROLLOVER | PACKET_FANOUT_FLAG_ROLLOVER));
    R(fanout(d, 11, PACKET_FANOUT_ROLLOVER));
    len = sizeof(st);
    R(getsockopt(d, SOL_PACKET, PACKET_ROLLOVER_STATS, &st, &len));
    R(fanout(c, 5, PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_UNIQUEID));
    R(fanout(c, 0, PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_UNIQUEID));
}
