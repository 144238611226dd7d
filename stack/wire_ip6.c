/* wire_ip6.c: see wire_ip6.h. */
#include "wire_ip6.h"

#include <string.h>

enum { OPT_PAD1 = 0, OPT_PADN = 1, OPT_ROUTER_ALERT = 5 };
enum { PARAM_HEADER = 0, PARAM_NEXT = 1, PARAM_OPTION = 2 }; /* RFC 4443 section 3.4 */

enum ip6_bad wire_ip6_check(const uint8_t *p, size_t avail)
{
    uint16_t plen_be;

    if (avail < IP6_HDR_LEN)
        return IP6_BAD_TRUNC;
    if (p[0] >> 4 != 6)
        return IP6_BAD_HEADER;
    memcpy(&plen_be, p + 4, sizeof plen_be);
    return (size_t)ntohs(plen_be) + IP6_HDR_LEN > avail ? IP6_BAD_TRUNC : IP6_OK;
}

static enum ip6_walk_verdict param(struct ip6_walk *w, uint8_t code, size_t at, bool even_multicast)
{
    w->code = code;
    w->pointer = (uint16_t)at;
    w->even_multicast = even_multicast;
    return IP6_WALK_PARAM;
}

/* RFC 8200 section 4.2: the two highest bits of an unknown option's type say what to do. */
static enum ip6_walk_verdict unknown_option(struct ip6_walk *w, uint8_t type, size_t at)
{
    switch (type >> 6) {
    case 0:
        return IP6_WALK_OK;
    case 1:
        return IP6_WALK_DISCARD;
    default:
        return param(w, PARAM_OPTION, at, type >> 6 == 2);
    }
}

/* The options of the hop-by-hop or destination options header at off, len bytes long. Differs: a jumbo
 * payload (RFC 2675) is an unknown option. */
static enum ip6_walk_verdict options(const uint8_t *p, size_t off, size_t len, bool hop, struct ip6_walk *w)
{
    size_t at = off + 2, end = off + len;
    unsigned n = 0, pad = 0;

    while (at < end) {
        enum ip6_walk_verdict v = IP6_WALK_OK;
        size_t olen;

        if (p[at] == OPT_PAD1) {
            if (++pad > IP6_PAD_MAX)
                return IP6_WALK_DISCARD;
            at++;
            continue;
        }
        if (at + 2 > end || (olen = 2u + p[at + 1]) > end - at)
            return IP6_WALK_DISCARD;
        if (p[at] == OPT_PADN) {
            pad += (unsigned)olen;
            if (pad > IP6_PAD_MAX)
                return IP6_WALK_DISCARD;
        } else {
            pad = 0;
            if (++n > IP6_OPTS_MAX)
                return IP6_WALK_DISCARD;
            if (!hop || p[at] != OPT_ROUTER_ALERT)
                v = unknown_option(w, p[at], at);
        }
        if (v != IP6_WALK_OK)
            return v;
        at += olen;
    }
    return IP6_WALK_OK;
}

/* A routing header asks nothing of who has no segments left to visit (RFC 8200 section 4.4). All others are
 * refused: type 0 by RFC 5095, those unknown because this host is no router. */
static enum ip6_walk_verdict routing(const uint8_t *p, size_t off, struct ip6_walk *w)
{
    return p[off + 3] == 0 ? IP6_WALK_OK : param(w, PARAM_HEADER, off + 2, false);
}

enum ip6_walk_verdict wire_ip6_walk(const uint8_t *p, size_t avail, bool past_fragment, struct ip6_walk *w)
{
    size_t off = IP6_HDR_LEN, next_at = 6, len;
    enum ip6_walk_verdict v = IP6_WALK_OK;

    memset(w, 0, sizeof *w);
    for (unsigned n = 0;; n++) {
        uint8_t next = p[next_at];

        w->proto = next;
        w->off = (uint16_t)off;
        w->next_at = (uint16_t)next_at;
        if (next == IP6_NEXT_FRAGMENT && !past_fragment)
            return off + IP6_FRAG_LEN <= avail ? IP6_WALK_FRAGMENT : IP6_WALK_TRUNC;
        if (next != IP6_NEXT_HOPOPTS && next != IP6_NEXT_ROUTING && next != IP6_NEXT_DSTOPTS &&
            next != IP6_NEXT_FRAGMENT)
            return IP6_WALK_OK;
        /* RFC 8200 section 4.3: hop-by-hop options come first or not at all. */
        if (next == IP6_NEXT_HOPOPTS && next_at != 6)
            return param(w, PARAM_NEXT, next_at, false);
        if (n == IP6_EXT_MAX)
            return IP6_WALK_DISCARD;
        if (off + 8 > avail)
            return IP6_WALK_TRUNC;
        len = next == IP6_NEXT_FRAGMENT ? IP6_FRAG_LEN : (p[off + 1] + 1u) * 8;
        if (off + len - IP6_HDR_LEN > IP6_EXT_BYTES)
            return IP6_WALK_DISCARD;
        if (off + len > avail)
            return IP6_WALK_TRUNC;
        if (next == IP6_NEXT_ROUTING)
            v = routing(p, off, w);
        else if (next != IP6_NEXT_FRAGMENT)
            v = options(p, off, len, next == IP6_NEXT_HOPOPTS, w);
        if (v != IP6_WALK_OK)
            return v;
        next_at = off;
        off += len;
    }
}
