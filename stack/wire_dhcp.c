/* wire_dhcp.c: DHCP messages (wire_dhcp.h).
 *
 * Options lie in up to three places: the options field and, where option 52 says so, the fields file and
 * sname, read in that order (RFC 2131 section 4.1). Of an option that comes twice the first counts, but for
 * option 121, whose pieces are put together (RFC 3396): it alone outgrows 255 bytes.
 */
#include "wire_dhcp.h"

#include <arpa/inet.h>
#include <string.h>

#define MIN_LEN   300
#define AT_SNAME  44
#define SNAME_LEN 64
#define AT_FILE   108
#define FILE_LEN  128
#define AT_COOKIE 236

enum option {
    OPT_PAD = 0,
    OPT_MASK = 1,
    OPT_ROUTER = 3,
    OPT_DNS = 6,
    OPT_MTU = 26,
    OPT_REQUESTED = 50,
    OPT_LEASE = 51,
    OPT_OVERLOAD = 52,
    OPT_TYPE = 53,
    OPT_SERVER = 54,
    OPT_PARAMETERS = 55,
    OPT_MAX_SIZE = 57,
    OPT_T1 = 58,
    OPT_T2 = 59,
    OPT_CLIENT_ID = 61,
    OPT_CLASSLESS = 121,
    OPT_END = 255,
};

static const uint8_t cookie[4] = {99, 130, 83, 99};

struct reader {
    struct dhcp_msg *m;
    uint8_t overload;
    size_t nroutes;      /* bytes in routes */
    uint8_t routes[512]; /* option 121, all pieces; what is beyond is passed over */
};

static uint32_t get_be(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, 4);
    return v;
}

/* A list of addresses: whole ones, one at least. */
static int read_addrs(const uint8_t *p, size_t len, uint32_t *out, unsigned max)
{
    unsigned n = 0;

    if (len < 4 || len % 4)
        return -1;
    for (size_t i = 0; i < len && n < max; i += 4)
        out[n++] = get_be(p + i);
    return (int)n;
}

static int read_addr(const uint8_t *p, size_t len, uint32_t *out)
{
    if (len != 4)
        return -1;
    if (!*out)
        *out = get_be(p);
    return 0;
}

static int read_seconds(const uint8_t *p, size_t len, uint32_t *out)
{
    uint32_t be = 0;

    if (read_addr(p, len, &be))
        return -1;
    if (!*out)
        *out = ntohl(be);
    return 0;
}

static int read_byte(const uint8_t *p, size_t len, uint8_t *out)
{
    if (len != 1)
        return -1;
    if (!*out)
        *out = *p;
    return 0;
}

static int read_option(struct reader *r, uint8_t code, const uint8_t *p, size_t len)
{
    struct dhcp_msg *m = r->m;
    int n;

    switch (code) {
    case OPT_TYPE:
        return read_byte(p, len, &m->type);
    case OPT_OVERLOAD:
        return read_byte(p, len, &r->overload);
    case OPT_MASK:
        return read_addr(p, len, &m->mask_be);
    case OPT_SERVER:
        return read_addr(p, len, &m->server_be);
    case OPT_REQUESTED:
        return read_addr(p, len, &m->requested_be);
    case OPT_LEASE:
        return read_seconds(p, len, &m->lease_s);
    case OPT_T1:
        return read_seconds(p, len, &m->t1_s);
    case OPT_T2:
        return read_seconds(p, len, &m->t2_s);
    case OPT_ROUTER:
        if (m->router_be)
            return 0;
        return read_addrs(p, len, &m->router_be, 1) < 0 ? -1 : 0;
    case OPT_DNS:
        if (m->ndns)
            return 0;
        n = read_addrs(p, len, m->dns_be, DHCP_DNS);
        m->ndns = (uint8_t)(n < 0 ? 0 : n);
        return n < 0 ? -1 : 0;
    case OPT_MTU:
        if (len != 2)
            return -1;
        if (!m->mtu)
            m->mtu = (uint16_t)(p[0] << 8 | p[1]);
        return 0;
    case OPT_CLASSLESS:
        m->classless = true;
        if (len > sizeof r->routes - r->nroutes)
            len = sizeof r->routes - r->nroutes;
        memcpy(r->routes + r->nroutes, p, len);
        r->nroutes += len;
        return 0;
    default:
        return 0;
    }
}

static int read_options(struct reader *r, const uint8_t *p, size_t len)
{
    for (size_t at = 0; at < len;) {
        uint8_t code = p[at++];

        if (code == OPT_PAD)
            continue;
        if (code == OPT_END)
            return 0;
        if (at == len || p[at] > len - at - 1)
            return -1;
        if (read_option(r, code, p + at + 1, p[at]))
            return -1;
        at += 1u + p[at];
    }
    return 0; /* no end option: what came before it is whole */
}

/* RFC 3442: width, the significant bytes of the network, router; again and again. */
static int read_routes(struct reader *r)
{
    struct dhcp_msg *m = r->m;
    const uint8_t *p = r->routes;

    for (size_t at = 0; at < r->nroutes && m->nroutes < DHCP_ROUTES;) {
        struct dhcp_route *x = &m->route[m->nroutes];
        uint8_t net[4] = {0};
        unsigned plen = p[at++], bytes = (plen + 7) / 8;

        if (plen > 32)
            return -1;
        if (bytes + 4 > r->nroutes - at)
            return r->nroutes == sizeof r->routes ? 0 : -1; /* cut by us, or by the sender */
        memcpy(net, p + at, bytes);
        x->plen = (uint8_t)plen;
        x->net_be = get_be(net) & htonl(plen ? 0xffffffffu << (32 - plen) : 0);
        x->via_be = get_be(p + at + bytes);
        at += bytes + 4;
        m->nroutes++;
    }
    return 0;
}

int wire_dhcp_parse(const uint8_t *p, size_t len, struct dhcp_msg *m)
{
    struct reader r = {.m = m};

    memset(m, 0, sizeof *m);
    if (len < DHCP_FIXED_LEN || memcmp(p + AT_COOKIE, cookie, sizeof cookie) != 0)
        return -1;
    if (p[1] != 1 || p[2] != 6) /* htype, hlen */
        return -1;
    m->op = p[0];
    m->xid = ntohl(get_be(p + 4));
    m->secs = (uint16_t)(p[8] << 8 | p[9]);
    m->flags = (uint16_t)(p[10] << 8 | p[11]);
    m->ciaddr_be = get_be(p + 12);
    m->yiaddr_be = get_be(p + 16);
    memcpy(m->chaddr, p + 28, 6);
    if (read_options(&r, p + DHCP_FIXED_LEN, len - DHCP_FIXED_LEN))
        return -1;
    /* Bits 1: file, 2: sname. An option 52 in there changes nothing more. */
    uint8_t overload = r.overload;

    if ((overload & 1) && read_options(&r, p + AT_FILE, FILE_LEN))
        return -1;
    if ((overload & 2) && read_options(&r, p + AT_SNAME, SNAME_LEN))
        return -1;
    return m->type == 0 || read_routes(&r) ? -1 : 0;
}

static uint8_t *put_option(uint8_t *p, uint8_t code, const void *data, uint8_t len)
{
    *p++ = code;
    *p++ = len;
    memcpy(p, data, len);
    return p + len;
}

size_t wire_dhcp_emit(uint8_t *p, const struct dhcp_msg *m)
{
    /* RFC 3442: 121 stands before 3. */
    static const uint8_t wanted[] = {OPT_MASK, OPT_CLASSLESS, OPT_ROUTER, OPT_DNS,
                                     OPT_MTU,  OPT_LEASE,     OPT_T1,     OPT_T2};
    uint8_t id[7] = {1}, *o = p + DHCP_FIXED_LEN;
    uint32_t xid_be = htonl(m->xid);
    uint16_t secs_be = htons(m->secs), flags_be = htons(m->flags), size_be = htons(m->mtu);

    memset(p, 0, DHCP_EMIT_MAX);
    p[0] = m->op;
    p[1] = 1;
    p[2] = 6;
    memcpy(p + 4, &xid_be, 4);
    memcpy(p + 8, &secs_be, 2);
    memcpy(p + 10, &flags_be, 2);
    memcpy(p + 12, &m->ciaddr_be, 4);
    memcpy(p + 28, m->chaddr, 6);
    memcpy(p + AT_COOKIE, cookie, sizeof cookie);
    memcpy(id + 1, m->chaddr, 6);
    o = put_option(o, OPT_TYPE, &m->type, 1);
    o = put_option(o, OPT_CLIENT_ID, id, sizeof id);
    if (m->requested_be)
        o = put_option(o, OPT_REQUESTED, &m->requested_be, 4);
    if (m->server_be)
        o = put_option(o, OPT_SERVER, &m->server_be, 4);
    if (m->mtu)
        o = put_option(o, OPT_MAX_SIZE, &size_be, 2);
    if (m->type == DHCP_DISCOVER || m->type == DHCP_REQUEST)
        o = put_option(o, OPT_PARAMETERS, wanted, sizeof wanted);
    *o++ = OPT_END;
    return o - p < MIN_LEN ? MIN_LEN : (size_t)(o - p);
}

int wire_dhcp_mask_len(uint32_t mask_be)
{
    uint32_t mask = ntohl(mask_be), host = ~mask;

    return host & (host + 1) ? -1 : __builtin_popcount(mask);
}
