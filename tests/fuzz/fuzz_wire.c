/* fuzz_wire: the parsers of layer 1 on arbitrary bytes. They are pure, so what can go wrong is a read beyond
 * the end (the sanitizers see it: the input is copied into memory of exactly its size), a field out of its
 * documented range, and an emitter that does not write what its parser reads.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../stack/wire_arp.h"
#include "../../stack/wire_icmp.h"
#include "../../stack/wire_ip4.h"
#include "../../stack/wire_tcp.h"
#include "../../stack/wire_udp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int ok)
{
    if (!ok)
        abort();
}

static void arp(const uint8_t *p, size_t n)
{
    struct arp_pkt a, b;
    uint8_t out[ARP_LEN];

    if (wire_arp_parse(p, n, &a) < 0)
        return;
    must(wire_arp_emit(out, &a) == ARP_LEN);
    must(wire_arp_parse(out, sizeof(out), &b) == 0);
    must(a.op == b.op && a.spa_be == b.spa_be && a.tpa_be == b.tpa_be);
    must(memcmp(a.sha, b.sha, 6) == 0 && memcmp(a.tha, b.tha, 6) == 0);
}

static void ip4(const uint8_t *p, size_t n)
{
    const struct ip4_hdr *h = (const struct ip4_hdr *)p;
    uint8_t at;

    if (wire_ip4_check(p, n) != IP4_OK)
        return;
    must(ip4_hlen(h) >= IP4_HDR_LEN && ip4_hlen(h) <= n);
    if (wire_ip4_opts(p, ip4_hlen(h), &at) == IP4_OPTS_BAD)
        must(at < ip4_hlen(h));
}

static void tcp_options(const uint8_t *p, size_t n, int syn)
{
    uint8_t out[TCP_OPTS_MAX_LEN];
    struct tcp_opts o, again;
    size_t len;

    wire_tcp_parse_opts(p, n, syn, &o);
    must(o.nsack <= TCP_SACK_MAX && o.wscale <= TCP_WSCALE_MAX);
    must(o.fastopen_len >= -1 && o.fastopen_len <= 16);
    must(syn || (!o.mss && !o.has_wscale && !o.sack_permitted && o.fastopen_len == -1));
    len = wire_tcp_emit_opts(out, &o);
    must(len <= sizeof(out) && len % 4 == 0);
    wire_tcp_parse_opts(out, len, syn, &again);
    must(again.mss == o.mss && again.has_wscale == o.has_wscale && again.wscale == o.wscale);
    must(again.has_ts == o.has_ts && again.tsval == o.tsval && again.tsecr == o.tsecr);
    must(again.sack_permitted == o.sack_permitted && again.nsack <= o.nsack);
    must(memcmp(again.sack, o.sack, again.nsack * sizeof(o.sack[0])) == 0);
}

static void tcp(const uint8_t *p, size_t n)
{
    struct tcp_hdr_in h, again;
    uint8_t out[TCP_HDR_LEN + TCP_OPTS_MAX_LEN] = {0};
    int hlen = wire_tcp_parse(p, n, &h);

    if (hlen < 0)
        return;
    must(hlen >= TCP_HDR_LEN && hlen <= 60 && (size_t)hlen <= n && hlen == h.hlen);
    tcp_options(p + TCP_HDR_LEN, (size_t)hlen - TCP_HDR_LEN, h.flags & TCP_SYN);
    must(wire_tcp_emit(out, &h) == TCP_HDR_LEN);
    must(wire_tcp_parse(out, sizeof(out), &again) == hlen);
    must(again.seq == h.seq && again.ack == h.ack && again.flags == h.flags && again.window == h.window);
    must(again.sport_be == h.sport_be && again.dport_be == h.dport_be);
}

static void rest(const uint8_t *p, size_t n)
{
    struct udp_hdr_in u;
    struct icmp_in i;

    if (wire_udp_parse(p, n, &u) == 0)
        must(u.len >= 8 && u.len <= n);
    if (wire_icmp_parse(p, n, &i) == 0)
        must(wire_icmp_errno(i.type, i.code).err >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *p = malloc(size);

    if (size == 0 || !p) {
        free(p);
        return 0;
    }
    memcpy(p, data, size);
    arp(p, size);
    ip4(p, size);
    tcp(p, size);
    tcp_options(p, size < TCP_OPTS_MAX_LEN ? size : TCP_OPTS_MAX_LEN, size & 1);
    rest(p, size);
    free(p);
    return 0;
}
