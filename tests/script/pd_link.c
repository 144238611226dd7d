/* pd_link.c: the link of the packetdrill object: frames without their Ethernet header, as the tool has them.
 *
 * Theory of operation. The tool's own link to a kernel is a tun device, and what a script expects of receive
 * windows follows from the memory that Linux's tun takes for a packet, and from the segment size (--mss) that
 * the tool tells it in a virtio header. So received frames are put into buffers of a pool of their own that
 * account for as much, and say how large their segments are. In the other direction a frame leaves with its
 * checksums done. The tool does not tell the object its own options; they are read from its command line and
 * from the script.
 */
#include <net/ethernet.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>
#include <stdio.h>
#include <stdlib.h>

#include "pd.h"

#define PACKET_NS  (300ULL * 1000000000) /* how long netdev_receive waits for a packet, virtual */
#define TUN_PAGE   4096u
#define TUN_PAD    64u  /* Linux: NET_SKB_PAD */
#define SKB_SIZE   256u /* Linux on x86-64: sk_buff, and skb_shared_info behind the data */
#define SKB_SHARED 320u

/* --- what the tool was told --- */

/* The number behind key in the len bytes at text, where it begins a word. */
static bool number_of(const char *text, size_t len, const char *key, uint32_t *v)
{
    size_t n = strlen(key);

    for (const char *at = text; (at = memmem(at, len - (size_t)(at - text), key, n)); at += n) {
        if (at != text && strchr(" ,\n", at[-1]) == NULL)
            continue;
        *v = (uint32_t)strtoul(at + n, NULL, 10);
        return true;
    }
    return false;
}

/* A whole file; the script's options are in its first lines. */
static size_t read_file(const char *path, char *buf, size_t room)
{
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(buf, 1, room - 1, f) : 0;

    if (f)
        fclose(f);
    buf[n] = '\0';
    return n;
}

void pd_read_options(const char *flags)
{
    static char args[4096], script[4096];
    size_t n = read_file("/proc/self/cmdline", args, sizeof args), len;
    const char *last = args;

    for (size_t i = 0; i + 1 < n; i++)
        if (!args[i]) {
            args[i] = '\n';
            last = args + i + 1;
        }
    len = read_file(last, script, sizeof script);
    pd.mtu = 1500;
    number_of(script, len, "--mss=", &pd.mss);
    number_of(script, len, "--mtu=", &pd.mtu);
    number_of(args, n, "--mss=", &pd.mss);
    number_of(args, n, "--mtu=", &pd.mtu);
    if (!flags)
        return;
    number_of(flags, strlen(flags), "mss=", &pd.mss);
    number_of(flags, strlen(flags), "mtu=", &pd.mtu);
    number_of(flags, strlen(flags), "tso=", &pd.tso);
}

/* --- into the stack --- */

/* Memory that Linux's tun device needs for a packet of len bytes, as sockets are charged for it: one piece
 * for what fits into a page with its sk_buff, whole pages for more. */
static uint32_t tun_truesize(size_t len)
{
    uint32_t head = 512;

    if (len >= TUN_PAGE)
        return (uint32_t)RTE_ALIGN_CEIL(len, TUN_PAGE) + SKB_SIZE;
    while (head < len + TUN_PAD + SKB_SHARED)
        head *= 2;
    return head + SKB_SIZE;
}

/* The frame in buffers that make the stack account for what tun's would (tcp_mbuf_cost). */
static struct rte_mbuf *frame_as_tun(const uint8_t *frame, size_t len)
{
    uint32_t want = tun_truesize(len - ETH_HDR_LEN), used = 0, n = 0;
    struct rte_mbuf *head = NULL, **at = &head, *m = NULL;

    for (size_t off = 0; off < len; off += m->data_len, at = &m->next) {
        m = *at = rte_pktmbuf_alloc(pd.rx_pool);
        if (!m)
            abort();
        m->data_len = (uint16_t)RTE_MIN(len - off, (size_t)PKT_DATA_ROOM);
        m->buf_len = (uint16_t)(m->data_off + m->data_len);
        memcpy(rte_pktmbuf_mtod(m, void *), frame + off, m->data_len);
        used += (uint32_t)(sizeof *m + PKT_PRIV_SIZE) + m->buf_len;
        n++;
    }
    if (used < want)
        m->buf_len = (uint16_t)(m->buf_len + (want - used));
    head->nb_segs = (uint16_t)n;
    head->pkt_len = (uint32_t)len;
    return head;
}

int pd_netdev_send(void *u, const void *buf, size_t n)
{
    uint8_t frame[ETH_HDR_LEN + 65536];
    struct rte_mbuf *m;

    if (n > 65536)
        return -1;
    pd_enter();
    wire_eth_emit(frame, ENV_MAC, ENV_PEER_MAC,
                  *(const uint8_t *)buf >> 4 == 6 ? ETHERTYPE_IPV6 : ETH_TYPE_IP4);
    memcpy(frame + ETH_HDR_LEN, buf, n);
    m = frame_as_tun(frame, ETH_HDR_LEN + n);
    if (pd.mss) { /* the tool says so in its virtio header */
        m->ol_flags |= RTE_MBUF_F_RX_LRO;
        m->tso_segsz = (uint16_t)pd.mss;
    }
    env_inject(pd.env, m);
    env_poll(pd.env);
    pd_stand_still();
    return (int)pd_done(0);
}

/* --- out of the stack --- */

/* Does what the port would: the checksums that the frame still needs. */
static void finish_cksums(const struct env_seen *s, void *ip)
{
    bool v6 = s->type == ETHERTYPE_IPV6;
    uint8_t *l4 = (uint8_t *)ip + s->l3_len;
    uint64_t kind = s->ol_flags & RTE_MBUF_F_TX_L4_MASK;
    size_t at = kind == RTE_MBUF_F_TX_TCP_CKSUM ? offsetof(struct rte_tcp_hdr, cksum)
                                                : offsetof(struct rte_udp_hdr, dgram_cksum);
    uint16_t sum;

    if (s->ol_flags & RTE_MBUF_F_TX_IP_CKSUM && !v6) {
        ((struct rte_ipv4_hdr *)ip)->hdr_checksum = 0;
        ((struct rte_ipv4_hdr *)ip)->hdr_checksum = rte_ipv4_cksum(ip);
    }
    if (kind != RTE_MBUF_F_TX_TCP_CKSUM && kind != RTE_MBUF_F_TX_UDP_CKSUM)
        return;
    memset(l4 + at, 0, sizeof sum);
    sum = v6 ? rte_ipv6_udptcp_cksum(ip, l4) : rte_ipv4_udptcp_cksum(ip, l4);
    memcpy(l4 + at, &sum, sizeof sum);
}

/* The tool has no eyes for neighbour discovery and its like. */
static bool is_link_talk(const struct env_seen *s)
{
    const uint8_t *ip = s->raw + ETH_HDR_LEN;

    return s->type == ETHERTYPE_IPV6 &&
           (ip[6] == IPPROTO_HOPOPTS || (ip[6] == IPPROTO_ICMPV6 && ip[40] >= 130 && ip[40] <= 143));
}

/* A TSO frame leaves as the tool sees the kernel's: whole, with the length of the whole in its header. */
static size_t take_packet(void *buf, size_t room)
{
    static struct env_seen s;
    size_t n;

    do
        if (!env_seen(pd.env, &s))
            return 0;
    while ((s.type != ETH_TYPE_IP4 && s.type != ETHERTYPE_IPV6) || is_link_talk(&s));
    n = s.len - ETH_HDR_LEN;
    finish_cksums(&s, s.raw + ETH_HDR_LEN);
    if (n > room)
        n = room;
    memcpy(buf, s.raw + ETH_HDR_LEN, n);
    return n;
}

int pd_netdev_receive(void *u, void *buf, size_t *n, long long *time_us)
{
    uint64_t end;
    size_t room = *n;

    pd_enter();
    end = pd.env->now_ns + PACKET_NS;
    shard_flush(pd.env->sh);
    while ((*n = take_packet(buf, room)) == 0 && pd.env->now_ns < end)
        pd_step(end);
    *time_us = (long long)(pd.env->now_ns / 1000);
    return (int)pd_done(0);
}
