/* wire_tcp.h: the TCP header (RFC 9293 section 3.1) and its options. Pure: no clock, no allocation, nothing
 * read beyond avail.
 */
#ifndef SHUNT_WIRE_TCP_H
#define SHUNT_WIRE_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TCP_HDR_LEN      20 /* without options */
#define TCP_OPTS_MAX_LEN 40
#define TCP_SACK_MAX     4
#define TCP_WSCALE_MAX   14 /* RFC 7323 section 2.3 */
#define TCP_TS_OPT_LEN   12 /* NOP NOP TS */

/* Control bits, as byte 13 of the header has them. */
enum tcp_ctl {
    TCP_FIN = 0x01,
    TCP_SYN = 0x02,
    TCP_RST = 0x04,
    TCP_PSH = 0x08,
    TCP_ACK = 0x10,
    TCP_URG = 0x20,
    TCP_ECE = 0x40,
    TCP_CWR = 0x80,
};

enum tcp_opt_kind {
    TCP_OPT_EOL = 0,
    TCP_OPT_NOP = 1,
    TCP_OPT_MSS = 2,
    TCP_OPT_WSCALE = 3,
    TCP_OPT_SACK_PERM = 4,
    TCP_OPT_SACK = 5,
    TCP_OPT_TS = 8,
    TCP_OPT_MD5 = 19,
    TCP_OPT_FASTOPEN = 34,
    TCP_OPT_EXP = 254, /* RFC 4727; Fast Open before RFC 7413 had it, with a magic number */
};

struct tcp_hdr_in {
    uint16_t sport_be, dport_be;
    uint32_t seq, ack;       /* host order, as all below */
    uint16_t window, urgent; /* window: not scaled */
    uint8_t flags;           /* enum tcp_ctl */
    uint8_t hlen;            /* bytes, 20 to 60: where the payload starts */
    uint8_t ae;              /* the bit beside the flags, received: AE of AccECN, once NS (RFC 3540) */
};

struct tcp_sack_block {
    uint32_t left, right; /* [left, right), host order */
};

/* Options, read or to be written; absent: 0, NULL, fastopen_len -1. */
struct tcp_opts {
    uint16_t mss;               /* 0: absent (a peer's MSS of 0 is taken as absent, as Linux does) */
    uint8_t has_wscale, wscale; /* wscale: at most TCP_WSCALE_MAX */
    uint8_t has_ts, sack_permitted;
    uint8_t nsack;
    uint8_t fastopen_exp; /* in the experimental option */
    int8_t fastopen_len;  /* cookie bytes; 0: a request for a cookie; -1: no such option */
    uint32_t tsval, tsecr;
    const uint8_t *md5;      /* 16 bytes in the packet (RFC 2385) */
    const uint8_t *fastopen; /* in the packet (RFC 7413) */
    struct tcp_sack_block sack[TCP_SACK_MAX];
};

/* Reads the fixed header. avail: bytes from p to the packet's end. The header's length in bytes, or -1 when
 * it is cut short or the data offset is below 5 or beyond avail. */
int wire_tcp_parse(const uint8_t *p, size_t avail, struct tcp_hdr_in *h);

/* Reads the len bytes of options at p (header length - 20) into *o, all of it set. Tolerant as Linux: unknown
 * options are skipped, one with a wrong length for its kind is ignored, a length that leads nowhere (below 2,
 * beyond the end) ends the parsing with what was found so far. syn: the segment has SYN; MSS, window scale,
 * SACK-permitted and fast open only count then. */
void wire_tcp_parse_opts(const uint8_t *p, size_t len, bool syn, struct tcp_opts *o);

/* The one layout that an established connection sees: exactly NOP NOP TS (RFC 7323 appendix A). False:
 * another one, nothing set. */
static inline bool wire_tcp_only_ts(const uint8_t *p, size_t len, uint32_t *tsval, uint32_t *tsecr)
{
    static const uint8_t head[4] = {TCP_OPT_NOP, TCP_OPT_NOP, TCP_OPT_TS, 10};
    uint32_t v;

    if (len != TCP_TS_OPT_LEN || memcmp(p, head, sizeof head) != 0)
        return false;
    memcpy(&v, p + 4, 4);
    *tsval = __builtin_bswap32(v);
    memcpy(&v, p + 8, 4);
    *tsecr = __builtin_bswap32(v);
    return true;
}

/* Writes the 20 bytes of the fixed header, data offset from h->hlen (a multiple of 4), checksum zero.
 * Returns 20. */
size_t wire_tcp_emit(uint8_t *p, const struct tcp_hdr_in *h);

/* Writes the options (p has room for TCP_OPTS_MAX_LEN bytes), padded with NOPs to a multiple of 4; returns
 * their length. SACK blocks and the fast open cookie, in this order of preference, are left out when there is
 * no room for them. md5: 16 bytes are copied. */
size_t wire_tcp_emit_opts(uint8_t *p, const struct tcp_opts *o);

#endif
