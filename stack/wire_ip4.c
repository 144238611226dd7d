/* wire_ip4.c: IPv4 headers (wire_ip4.h). */
#include "wire_ip4.h"

enum ip4_bad wire_ip4_check(const uint8_t *p, size_t avail)
{
    size_t hlen, total;

    if (avail < IP4_HDR_LEN)
        return IP4_BAD_TRUNC;
    hlen = (size_t)(p[0] & 0xf) * 4;
    if (p[0] >> 4 != 4 || hlen < IP4_HDR_LEN)
        return IP4_BAD_HEADER;
    total = (size_t)p[2] << 8 | p[3];
    if (total < hlen)
        return IP4_BAD_HEADER;
    return total > avail ? IP4_BAD_TRUNC : IP4_OK;
}

enum ip4_opts_verdict wire_ip4_opts(const uint8_t *hdr, size_t hlen, uint8_t *at)
{
    enum ip4_opts_verdict v = IP4_OPTS_OK;
    size_t i = IP4_HDR_LEN;

    while (i < hlen) {
        unsigned type = hdr[i], len;

        if (type == IP4_OPT_EOL)
            return v;
        if (type == IP4_OPT_NOP) {
            i++;
            continue;
        }
        *at = (uint8_t)i;
        if (i + 1 == hlen)
            return IP4_OPTS_BAD;
        len = hdr[i + 1];
        if (len < 2 || i + len > hlen)
            return IP4_OPTS_BAD;
        /* Routes and time stamps start with a pointer that is at least 4 (RFC 791 section 3.1). */
        if (type == IP4_OPT_RR || type == IP4_OPT_LSRR || type == IP4_OPT_SSRR || type == IP4_OPT_TS) {
            *at = (uint8_t)(i + 1);
            if (len < 3)
                return IP4_OPTS_BAD;
            *at = (uint8_t)(i + 2);
            if (hdr[i + 2] < (type == IP4_OPT_TS ? 5 : 4))
                return IP4_OPTS_BAD;
        }
        if (type == IP4_OPT_LSRR || type == IP4_OPT_SSRR)
            v = IP4_OPTS_SOURCE_ROUTE;
        i += len;
    }
    return v;
}
