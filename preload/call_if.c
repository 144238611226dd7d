/* call_if.c: interfaces by name, number and address: if_nametoindex, if_indextoname, if_nameindex,
 * getifaddrs.
 *
 * The stack's interfaces come first. In profile default the host's follow, whose numbers are not the stack's
 * (stack_if_shown); in profile isolate there are no others. libc asks the kernel by descriptors of its own,
 * so that these calls must be answered here.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "boot.h"
#include "fdtab.h"
#include "libc.h"

#define LOWER_UP 0x10000 /* IFF_LOWER_UP, beyond the 16 bits of an ioctl */

/* The i-th interface of the stack; false: there is none. */
static bool get(unsigned i, struct if_info *out)
{
    return API(if_get(i, out)) == 0;
}

EXPORT unsigned if_nametoindex(const char *name)
{
    struct if_info x;
    if (!boot())
        return libc.if_nametoindex(name);
    for (unsigned i = 0; get(i, &x); i++)
        if (strcmp(x.name, name) == 0)
            return (unsigned)x.index;
    if (!api->isolate)
        return libc.if_nametoindex(name);
    errno = ENODEV;
    return 0;
}

EXPORT char *if_indextoname(unsigned index, char name[IF_NAMESIZE])
{
    struct if_info x;
    if (!boot())
        return libc.if_indextoname(index, name);
    for (unsigned i = 0; get(i, &x); i++)
        if ((unsigned)x.index == index)
            return strcpy(name, x.name);
    if (!api->isolate)
        return libc.if_indextoname(index, name);
    errno = ENXIO;
    return NULL;
}

/* One array of malloc'ed names, as if_freenameindex frees it. */
EXPORT struct if_nameindex *if_nameindex(void)
{
    struct if_info x;
    unsigned n = 0, old = 0;
    if (!boot())
        return libc.if_nameindex();
    struct if_nameindex *host = api->isolate ? NULL : libc.if_nameindex();
    while (get(n, &x))
        n++;
    while (host && host[old].if_index)
        old++;
    struct if_nameindex *list = calloc(n + old + 1, sizeof(*list));
    for (unsigned i = 0; list && i < n && get(i, &x); i++)
        list[i] = (struct if_nameindex){(unsigned)x.index, strdup(x.name)};
    if (list && host)
        memcpy(list + n, host, old * sizeof(*list)); /* the names are ours now */
    if (list)
        free(host);
    else if (host)
        if_freenameindex(host);
    return list;
}

/* --- getifaddrs --- */

/* An entry with all that it points to. The list is one block, an array of these; `host` of the first: the
 * host's list behind it. */
struct entry {
    struct ifaddrs ifa; /* first */
    char name[IFNAMSIZ];
    struct ifaddrs *host;
    union any {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_ll ll;
    } addr, mask, broad;
};

static bool is_ours(const struct ifaddrs *p)
{
    return p && p->ifa_name == ((const struct entry *)p)->name;
}

static void begin(struct entry *e, const struct if_info *x)
{
    memcpy(e->name, x->name, sizeof(e->name));
    e->ifa.ifa_name = e->name;
    e->ifa.ifa_flags = x->flags | (x->flags & IFF_RUNNING ? LOWER_UP : 0);
    e->ifa.ifa_addr = &e->addr.sa;
}

static void link_entry(struct entry *e, const struct if_info *x)
{
    begin(e, x);
    e->addr.ll = (struct sockaddr_ll){.sll_family = AF_PACKET,
                                      .sll_ifindex = x->index,
                                      .sll_hatype = x->hatype,
                                      .sll_halen = sizeof(x->mac)};
    memcpy(e->addr.ll.sll_addr, x->mac, sizeof(x->mac));
    e->broad.ll = e->addr.ll;
    memset(e->broad.ll.sll_addr, x->flags & IFF_LOOPBACK ? 0 : 0xff, sizeof(x->mac));
    e->ifa.ifa_broadaddr = &e->broad.sa;
}

static void put_prefix(unsigned char *to, unsigned bits)
{
    for (; bits >= 8; bits -= 8)
        *to++ = 0xff;
    if (bits)
        *to = (unsigned char)(0xff << (8 - bits));
}

static void addr_entry(struct entry *e, const struct if_info *x, unsigned k)
{
    unsigned plen = x->addr[k].prefix_len;
    begin(e, x);
    e->ifa.ifa_netmask = &e->mask.sa;
    e->addr.sa.sa_family = e->mask.sa.sa_family = x->addr[k].v4 ? AF_INET : AF_INET6;
    if (!x->addr[k].v4) {
        memcpy(&e->addr.in6.sin6_addr, x->addr[k].addr, 16);
        if (IN6_IS_ADDR_LINKLOCAL(&e->addr.in6.sin6_addr))
            e->addr.in6.sin6_scope_id = (uint32_t)x->index;
        put_prefix(e->mask.in6.sin6_addr.s6_addr, plen);
        return;
    }
    memcpy(&e->addr.in.sin_addr, x->addr[k].addr + 12, 4);
    put_prefix((unsigned char *)&e->mask.in.sin_addr, plen);
    e->broad.in = e->addr.in;
    if (!(x->flags & IFF_LOOPBACK) && plen < 31)
        e->broad.in.sin_addr.s_addr |= ~e->mask.in.sin_addr.s_addr;
    e->ifa.ifa_broadaddr = &e->broad.sa;
}

/* In the kernel's order: links, then IPv4 addresses, then IPv6. */
static unsigned fill(struct entry *e, unsigned room)
{
    struct if_info x;
    unsigned n = 0;
    for (unsigned i = 0; n < room && get(i, &x); i++)
        link_entry(&e[n++], &x);
    for (int v4 = 1; v4 >= 0; v4--)
        for (unsigned i = 0; get(i, &x); i++)
            for (unsigned k = 0; k < x.naddr && n < room; k++)
                if (x.addr[k].v4 == v4)
                    addr_entry(&e[n++], &x, k);
    return n;
}

EXPORT int getifaddrs(struct ifaddrs **out)
{
    struct ifaddrs *host = NULL;
    struct if_info x;
    unsigned room = 0;
    if (!boot())
        return libc.getifaddrs(out);
    if (!api->isolate && libc.getifaddrs(&host) < 0)
        return -1;
    for (unsigned i = 0; get(i, &x); i++)
        room += 1 + x.naddr;
    struct entry *e = room ? calloc(room, sizeof(*e)) : NULL;
    unsigned n = e ? fill(e, room) : 0;
    if (!n) {
        free(e);
        *out = host;
        return 0;
    }
    for (unsigned i = 0; i < n; i++)
        e[i].ifa.ifa_next = i + 1 < n ? &e[i + 1].ifa : host;
    e->host = host;
    *out = &e->ifa;
    return 0;
}

EXPORT void freeifaddrs(struct ifaddrs *p)
{
    if (!is_ours(p)) {
        libc.freeifaddrs(p);
        return;
    }
    if (((struct entry *)p)->host)
        libc.freeifaddrs(((struct entry *)p)->host);
    free(p);
}
