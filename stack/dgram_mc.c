/* dgram_mc.c: the multicast groups of a socket (dgram_mc.h). Order and refusals are Linux's
 * (ip_mc_join_group, ip_mc_source, ip_mc_msfilter, ip_mc_leave_group; net/ipv6/mcast.c has the same rules).
 *
 * A membership is one entry a socket, group and interface, with the socket's own source filter, and one user
 * of the interface's membership (mcast.h).
 */
#include "dgram_mc.h"

#include <errno.h>
#include <stddef.h>

#include "ifnet.h"
#include "mcast.h"
#include "route.h"

#define MEMBERS 65536 /* of all sockets */
#define MSF_MAX 64    /* sources of one filter: room; the settings igmp_max_msf and mld_max_msf bound it */

struct mc_member {
    struct mc_member *next; /* dgram.groups; the latest first */
    struct ipaddr group;
    uint32_t if_addr_be; /* the interface as IP_ADD_MEMBERSHIP named it, for IP_DROP_MEMBERSHIP */
    uint8_t ifindex, mode;
    uint16_t nsrc;
    uint8_t seen; /* dgram_mc_mend's */
    struct ipaddr src[MSF_MAX];
};

struct dgram_mc {
    struct slab members;
};

int dgram_mc_init(struct shard *sh)
{
    sh->mc_sock = seg_alloc(sh->st->seg, sizeof *sh->mc_sock, 64);
    return sh->mc_sock ? slab_init(&sh->mc_sock->members, sh->st->seg, sizeof(struct mc_member), MEMBERS)
                       : -ENOMEM;
}

/* What a call is about. */
struct mc_req {
    struct ipaddr group, src;
    uint32_t if_addr_be; /* interface by its address, */
    int shown;           /* or by the number the program knows; 0 and 0: by route */
};

/* The interface of a request; -1: there is none (ip_mc_find_dev). */
static int find_if(const struct shard *sh, const struct mc_req *q)
{
    const struct stack *st = sh->st;
    const struct route *r;
    struct ipaddr a;

    if (q->shown)
        return stack_if_of(st, q->shown);
    if (q->if_addr_be) {
        a = ipaddr_v4(q->if_addr_be);
        for (unsigned i = 0; i < st->nif; i++)
            if (ifnet_find_addr(&st->ifn[i], &a))
                return (int)i;
        return st->isolate && ipaddr_is_loopback(&a) ? IFNET_LOOPBACK : -1;
    }
    r = route_lookup(st, &q->group, 0);
    if (r)
        return r->ifindex;
    /* Differs: without a route for groups the first link is taken, as for sending. */
    return st->nif > 1 ? 1 : -1;
}

/* The same; the group is told apart by it where it means something on one link only (addr.h). */
static int req_if(const struct shard *sh, struct mc_req *q)
{
    int i = find_if(sh, q);

    if (i >= 0)
        ipaddr_set_zone(&q->group, (unsigned)i + 1);
    return i;
}

static struct mc_member *find(const struct dgram *d, const struct ipaddr *group, unsigned ifindex)
{
    struct mc_member *m = d->groups;

    while (m && !(m->ifindex == ifindex && ipaddr_eq(&m->group, group)))
        m = m->next;
    return m;
}

static int find_src(const struct mc_member *m, const struct ipaddr *src)
{
    for (int i = 0; i < m->nsrc; i++)
        if (ipaddr_eq(&m->src[i], src))
            return i;
    return -1;
}

static int join(struct shard *sh, struct dgram *d, struct mc_req *q, enum mc_mode mode)
{
    int i = req_if(sh, q), r;
    struct mc_member *m;
    unsigned count = 0;

    if (!ipaddr_is_multicast(&q->group))
        return -EINVAL;
    if (i < 0)
        return -ENODEV;
    if (find(d, &q->group, (unsigned)i))
        return -EADDRINUSE;
    for (m = d->groups; m; m = m->next)
        count++;
    if (ipaddr_is_v4(&q->group) && count >= sh->st->set.igmp_max_memberships)
        return -ENOBUFS;
    m = slab_alloc(&sh->mc_sock->members);
    if (!m)
        return -ENOBUFS;
    r = mc_join(sh, (unsigned)i, &q->group, mode, NULL, 0);
    if (r) {
        slab_free(&sh->mc_sock->members, m);
        return r;
    }
    m->group = q->group;
    m->if_addr_be = q->if_addr_be;
    m->ifindex = (uint8_t)i;
    m->mode = mode;
    m->next = d->groups;
    list_step();
    d->groups = m;
    return 0;
}

/* Takes m, to which *at points, off and frees it. */
static void drop(struct shard *sh, struct mc_member **at)
{
    struct mc_member *m = *at;

    *at = m->next;
    list_step();
    mc_leave(sh, m->ifindex, &m->group, m->mode, m->src, m->nsrc);
    slab_free(&sh->mc_sock->members, m);
}

void dgram_mc_close(struct shard *sh, struct dgram *d)
{
    while (d->groups)
        drop(sh, &d->groups);
}

static int leave(struct shard *sh, struct dgram *d, struct mc_req *q)
{
    if (!ipaddr_is_v4(&q->group) && !ipaddr_is_multicast(&q->group))
        return -EINVAL;
    if (req_if(sh, q) < 0 && !q->shown && !q->if_addr_be)
        return -ENODEV;
    for (struct mc_member **at = &d->groups; *at; at = &(*at)->next) {
        const struct mc_member *m = *at;

        if (!ipaddr_eq(&m->group, &q->group))
            continue;
        if (q->shown ? m->ifindex != stack_if_of(sh->st, q->shown)
                     : q->if_addr_be && m->if_addr_be != q->if_addr_be)
            continue;
        drop(sh, at);
        return 0;
    }
    return -EADDRNOTAVAIL;
}

/* m's filter becomes mode and the n sources at src. */
static int set_filter(struct shard *sh, struct mc_member *m, enum mc_mode mode, const struct ipaddr *src,
                      unsigned n)
{
    int r = mc_change(sh, m->ifindex, &m->group, m->mode, m->src, m->nsrc, mode, src, n);

    if (r)
        return r;
    m->mode = mode;
    m->nsrc = (uint16_t)n;
    memmove(m->src, src, n * sizeof m->src[0]);
    return 0;
}

static unsigned msf_max(const struct shard *sh, const struct ipaddr *group)
{
    int64_t max = ipaddr_is_v4(group) ? sh->st->set.igmp_max_msf : sh->st->set.mld_max_msf;

    return max < MSF_MAX ? (unsigned)max : MSF_MAX;
}

static int add_source(struct shard *sh, struct mc_member *m, const struct ipaddr *src)
{
    struct ipaddr list[MSF_MAX];

    if (m->nsrc >= msf_max(sh, &m->group))
        return -ENOBUFS;
    if (find_src(m, src) >= 0)
        return -EADDRNOTAVAIL;
    memcpy(list, m->src, m->nsrc * sizeof list[0]);
    list[m->nsrc] = *src;
    return set_filter(sh, m, m->mode, list, m->nsrc + 1u);
}

static int del_source(struct shard *sh, struct dgram *d, struct mc_member *m, const struct ipaddr *src)
{
    struct ipaddr list[MSF_MAX];
    int at = find_src(m, src);

    if (at < 0)
        return -EADDRNOTAVAIL;
    if (m->nsrc == 1 && m->mode == MC_INCLUDE) { /* of nothing: the end of the membership */
        struct mc_member **p = &d->groups;

        while (*p != m)
            p = &(*p)->next;
        drop(sh, p);
        return 0;
    }
    memcpy(list, m->src, m->nsrc * sizeof list[0]);
    list[at] = list[m->nsrc - 1];
    return set_filter(sh, m, m->mode, list, m->nsrc - 1u);
}

/* One source more or less in the filter of that mode (ip_mc_source). */
static int source(struct shard *sh, struct dgram *d, struct mc_req *q, enum mc_mode mode, bool add)
{
    int i = req_if(sh, q), r;
    struct mc_member *m;

    if (!ipaddr_is_multicast(&q->group))
        return -EINVAL;
    if (i < 0)
        return -ENODEV;
    m = find(d, &q->group, (unsigned)i);
    if (!m || (m->nsrc && m->mode != mode))
        return -EINVAL;
    if (m->mode != mode) { /* an empty filter may change sides */
        r = set_filter(sh, m, mode, NULL, 0);
        if (r)
            return r;
    }
    return add ? add_source(sh, m, &q->src) : del_source(sh, d, m, &q->src);
}

static int join_source(struct shard *sh, struct dgram *d, struct mc_req *q)
{
    int r = join(sh, d, q, MC_INCLUDE);

    return r && r != -EADDRINUSE ? r : source(sh, d, q, MC_INCLUDE, true);
}

/* The whole filter at once (ip_mc_msfilter). */
static int whole_filter(struct shard *sh, struct dgram *d, struct mc_req *q, uint32_t mode,
                        const struct ipaddr *src, uint32_t n)
{
    int i = req_if(sh, q);
    struct mc_member *m;

    if (!ipaddr_is_multicast(&q->group) || (mode != MC_INCLUDE && mode != MC_EXCLUDE))
        return -EINVAL;
    if (i < 0)
        return -ENODEV;
    if (mode == MC_INCLUDE && !n)
        return leave(sh, d, q);
    m = find(d, &q->group, (unsigned)i);
    return m ? set_filter(sh, m, mode, src, n) : -EINVAL;
}

/* ---- the options' forms ---- */

/* A sockaddr of the option's family. */
static bool get_sockaddr(bool v4, const struct sockaddr_storage *ss, struct ipaddr *out)
{
    if (ss->ss_family != (v4 ? AF_INET : AF_INET6))
        return false;
    if (v4)
        *out = ipaddr_v4(((const struct sockaddr_in *)(const void *)ss)->sin_addr.s_addr);
    else
        memcpy(out->b, &((const struct sockaddr_in6 *)(const void *)ss)->sin6_addr, 16);
    return true;
}

/* struct ip_mreq, ip_mreqn (IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP), ipv6_mreq. */
static int get_mreq(bool v4, const void *val, uint32_t len, struct mc_req *q)
{
    struct ip_mreqn n = {.imr_ifindex = 0};
    struct ipv6_mreq six;

    if (!v4) {
        if (len < sizeof six)
            return -EINVAL;
        memcpy(&six, val, sizeof six);
        memcpy(q->group.b, &six.ipv6mr_multiaddr, 16);
        q->shown = (int)six.ipv6mr_interface;
        return 0;
    }
    if (len < sizeof(struct ip_mreq))
        return -EINVAL;
    memcpy(&n, val, len < sizeof n ? sizeof(struct ip_mreq) : sizeof n);
    q->group = ipaddr_v4(n.imr_multiaddr.s_addr);
    q->if_addr_be = n.imr_address.s_addr;
    q->shown = n.imr_ifindex;
    return 0;
}

/* struct ip_mreq_source */
static int get_mreq_source(const void *val, uint32_t len, struct mc_req *q)
{
    struct ip_mreq_source s;

    if (len != sizeof s)
        return -EINVAL;
    memcpy(&s, val, sizeof s);
    q->group = ipaddr_v4(s.imr_multiaddr.s_addr);
    q->if_addr_be = s.imr_interface.s_addr;
    q->src = ipaddr_v4(s.imr_sourceaddr.s_addr);
    return 0;
}

/* struct group_req, group_source_req */
static int get_group(bool v4, bool with_source, const void *val, uint32_t len, struct mc_req *q)
{
    struct group_source_req s;

    if (with_source ? len < sizeof s || (v4 && len != sizeof s) : len < sizeof(struct group_req))
        return -EINVAL;
    memcpy(&s, val, with_source ? sizeof s : sizeof(struct group_req));
    q->shown = (int)s.gsr_interface;
    if (!get_sockaddr(v4, &s.gsr_group, &q->group))
        return with_source || !v4 ? -EADDRNOTAVAIL : -EINVAL;
    return with_source && !get_sockaddr(v4, &s.gsr_source, &q->src) ? -EADDRNOTAVAIL : 0;
}

static int set_ip_msfilter(struct shard *sh, struct dgram *d, const void *val, uint32_t len)
{
    struct ipaddr src[MSF_MAX];
    struct ip_msfilter f;
    struct mc_req q = {.shown = 0};
    uint32_t head = (uint32_t)offsetof(struct ip_msfilter, imsf_slist);

    if (len < head)
        return -EINVAL;
    memcpy(&f, val, head);
    if (f.imsf_numsrc > sh->st->set.igmp_max_msf)
        return -ENOBUFS;
    if (f.imsf_numsrc > (len - head) / 4)
        return -EINVAL;
    for (uint32_t i = 0; i < f.imsf_numsrc && i < MSF_MAX; i++) {
        uint32_t a;

        memcpy(&a, (const char *)val + head + i * 4, 4);
        src[i] = ipaddr_v4(a);
    }
    q.group = ipaddr_v4(f.imsf_multiaddr.s_addr);
    q.if_addr_be = f.imsf_interface.s_addr;
    return whole_filter(sh, d, &q, f.imsf_fmode, src, f.imsf_numsrc);
}

static int set_group_filter(struct shard *sh, struct dgram *d, bool v4, const void *val, uint32_t len)
{
    struct ipaddr src[MSF_MAX];
    struct group_filter f;
    struct mc_req q = {.shown = 0};
    uint32_t head = (uint32_t)offsetof(struct group_filter, gf_slist);

    if (len < head)
        return -EINVAL;
    memcpy(&f, val, head);
    if (f.gf_numsrc > (v4 ? sh->st->set.igmp_max_msf : sh->st->set.mld_max_msf))
        return -ENOBUFS;
    if (f.gf_numsrc > (len - head) / sizeof(struct sockaddr_storage))
        return -EINVAL;
    if (!get_sockaddr(v4, &f.gf_group, &q.group))
        return v4 ? -EADDRNOTAVAIL : -EINVAL;
    for (uint32_t i = 0; i < f.gf_numsrc && i < MSF_MAX; i++) {
        struct sockaddr_storage ss;

        memcpy(&ss, (const char *)val + head + i * sizeof ss, sizeof ss);
        if (!get_sockaddr(v4, &ss, &src[i]))
            return -EADDRNOTAVAIL;
    }
    q.shown = (int)f.gf_interface;
    return whole_filter(sh, d, &q, f.gf_fmode, src, f.gf_numsrc);
}

/* IP_MULTICAST_IF: an address, struct ip_mreq or ip_mreqn (do_ip_setsockopt). */
static int set_mc_if4(struct shard *sh, struct dgram *d, const void *val, uint32_t len)
{
    struct ip_mreqn n = {.imr_ifindex = 0};
    struct mc_req q = {.shown = 0};
    int i;

    if (len >= sizeof n)
        memcpy(&n, val, sizeof n);
    else if (len >= sizeof(struct ip_mreq))
        memcpy(&n, val, sizeof(struct ip_mreq));
    else if (len >= sizeof n.imr_address)
        memcpy(&n.imr_address, val, sizeof n.imr_address);
    else
        return -EINVAL;
    d->flow.gen = 0;
    d->flow.dst = IPADDR_ANY;
    if (!n.imr_ifindex && n.imr_address.s_addr == INADDR_ANY) {
        d->mc_if = 0;
        d->mc_addr = IPADDR_ANY;
        return 0;
    }
    q.shown = n.imr_ifindex;
    q.if_addr_be = n.imr_address.s_addr;
    i = req_if(sh, &q);
    if (i < 0)
        return -EADDRNOTAVAIL;
    if (d->pcb.ifindex && d->pcb.ifindex != i)
        return -EINVAL;
    d->mc_if = (uint8_t)(i + 1);
    d->mc_addr = n.imr_address.s_addr ? ipaddr_v4(n.imr_address.s_addr) : IPADDR_ANY;
    return 0;
}

static int set_mc_if6(struct shard *sh, struct dgram *d, const void *val, uint32_t len)
{
    int v, i;

    if (len < sizeof v)
        return -EINVAL;
    memcpy(&v, val, sizeof v);
    i = v ? stack_if_of(sh->st, v) : 0;
    if (i < 0)
        return -ENODEV;
    d->mc_if6 = (uint8_t)(v ? i + 1 : 0);
    d->flow.dst = IPADDR_ANY;
    return 0;
}

/* RFC 3678's options for both versions. */
static int set_group_opt(struct shard *sh, struct dgram *d, bool v4, int name, const void *val, uint32_t len)
{
    bool with_source = name != MCAST_JOIN_GROUP && name != MCAST_LEAVE_GROUP;
    struct mc_req q = {.shown = 0};
    int r;

    if (name == MCAST_MSFILTER)
        return set_group_filter(sh, d, v4, val, len);
    r = get_group(v4, with_source, val, len, &q);
    if (r)
        return r;
    switch (name) {
    case MCAST_JOIN_GROUP:
        return join(sh, d, &q, MC_EXCLUDE);
    case MCAST_LEAVE_GROUP:
        return leave(sh, d, &q);
    case MCAST_BLOCK_SOURCE:
    case MCAST_UNBLOCK_SOURCE:
        return source(sh, d, &q, MC_EXCLUDE, name == MCAST_BLOCK_SOURCE);
    case MCAST_JOIN_SOURCE_GROUP:
        return join_source(sh, d, &q);
    default:
        return source(sh, d, &q, MC_INCLUDE, false);
    }
}

/* IP_ADD_SOURCE_MEMBERSHIP and its like. */
static int set_source_opt(struct shard *sh, struct dgram *d, int name, const void *val, uint32_t len)
{
    struct mc_req q = {.shown = 0};
    int r = get_mreq_source(val, len, &q);

    if (r)
        return r;
    switch (name) {
    case IP_ADD_SOURCE_MEMBERSHIP:
        return join_source(sh, d, &q);
    case IP_DROP_SOURCE_MEMBERSHIP:
        return source(sh, d, &q, MC_INCLUDE, false);
    default:
        return source(sh, d, &q, MC_EXCLUDE, name == IP_BLOCK_SOURCE);
    }
}

int dgram_mc_setopt(struct shard *sh, struct dgram *d, int level, int name, const void *val, uint32_t len)
{
    bool v4 = level == IPPROTO_IP;
    struct mc_req q = {.shown = 0};
    int r;

    if (name >= MCAST_JOIN_GROUP && name <= MCAST_MSFILTER)
        return set_group_opt(sh, d, v4, name, val, len);
    if (v4 ? name == IP_ADD_MEMBERSHIP || name == IP_DROP_MEMBERSHIP
           : name == IPV6_JOIN_GROUP || name == IPV6_LEAVE_GROUP) {
        r = get_mreq(v4, val, len, &q);
        if (r)
            return r;
        return name == (v4 ? IP_ADD_MEMBERSHIP : IPV6_JOIN_GROUP) ? join(sh, d, &q, MC_EXCLUDE)
                                                                  : leave(sh, d, &q);
    }
    if (!v4)
        return name == IPV6_MULTICAST_IF ? set_mc_if6(sh, d, val, len) : -ENOPROTOOPT;
    switch (name) {
    case IP_ADD_SOURCE_MEMBERSHIP:
    case IP_DROP_SOURCE_MEMBERSHIP:
    case IP_BLOCK_SOURCE:
    case IP_UNBLOCK_SOURCE:
        return set_source_opt(sh, d, name, val, len);
    case IP_MSFILTER:
        return set_ip_msfilter(sh, d, val, len);
    case IP_MULTICAST_IF:
        return set_mc_if4(sh, d, val, len);
    default:
        return -ENOPROTOOPT;
    }
}

static int get_ip_msfilter(struct shard *sh, struct dgram *d, void *val, uint32_t *len)
{
    uint32_t head = (uint32_t)offsetof(struct ip_msfilter, imsf_slist), room, n;
    struct mc_req q = {.shown = 0};
    const struct mc_member *m;
    struct ip_msfilter f;
    int i;

    if (*len < head)
        return -EINVAL;
    memcpy(&f, val, head);
    q.group = ipaddr_v4(f.imsf_multiaddr.s_addr);
    q.if_addr_be = f.imsf_interface.s_addr;
    if (!ipaddr_is_multicast(&q.group))
        return -EINVAL;
    i = req_if(sh, &q);
    if (i < 0)
        return -ENODEV;
    m = find(d, &q.group, (unsigned)i);
    if (!m)
        return -EADDRNOTAVAIL;
    room = RTE_MIN(f.imsf_numsrc, (*len - head) / 4);
    f.imsf_fmode = m->mode;
    f.imsf_numsrc = m->nsrc;
    memcpy(val, &f, head);
    for (n = 0; n < room && n < m->nsrc; n++)
        memcpy((char *)val + head + n * 4, m->src[n].b + 12, 4);
    *len = head + n * 4;
    return 0;
}

static void put_sockaddr(struct sockaddr_storage *to, bool v4, const struct ipaddr *a)
{
    struct sockaddr_in sin = {.sin_family = AF_INET};
    struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6};

    memset(to, 0, sizeof *to);
    if (v4) {
        sin.sin_addr.s_addr = ipaddr_get_v4(a);
        memcpy(to, &sin, sizeof sin);
    } else {
        memcpy(&sin6.sin6_addr, a->b, 16);
        memcpy(to, &sin6, sizeof sin6);
    }
}

/* MCAST_MSFILTER: the filter of the group that the buffer names (ip_mc_gsfget, ipv6_get_msfilter). */
static int get_group_filter(struct shard *sh, struct dgram *d, bool v4, void *val, uint32_t *len)
{
    uint32_t head = (uint32_t)offsetof(struct group_filter, gf_slist), room, n;
    const struct mc_member *m;
    struct group_filter f;
    struct ipaddr group;
    int i;

    if (*len < head)
        return -EINVAL;
    memcpy(&f, val, head);
    if (!get_sockaddr(v4, &f.gf_group, &group))
        return v4 ? -EINVAL : -EADDRNOTAVAIL;
    if (!ipaddr_is_multicast(&group))
        return -EINVAL;
    i = stack_if_of(sh->st, (int)f.gf_interface);
    m = i < 0 ? NULL : find(d, &group, (unsigned)i);
    if (!m)
        return -EADDRNOTAVAIL;
    room = RTE_MIN(f.gf_numsrc, (*len - head) / (uint32_t)sizeof f.gf_slist[0]);
    f.gf_fmode = m->mode;
    f.gf_numsrc = m->nsrc;
    memcpy(val, &f, head);
    for (n = 0; n < room && n < m->nsrc; n++) {
        struct sockaddr_storage ss;

        put_sockaddr(&ss, v4, &m->src[n]);
        memcpy((char *)val + head + n * sizeof ss, &ss, sizeof ss);
    }
    *len = head + n * (uint32_t)sizeof(struct sockaddr_storage);
    return 0;
}

int dgram_mc_getopt(struct shard *sh, struct dgram *d, int level, int name, void *val, uint32_t *len)
{
    uint32_t v;

    if (level == IPPROTO_IP && name == IP_MSFILTER)
        return get_ip_msfilter(sh, d, val, len);
    if ((level == IPPROTO_IP || level == IPPROTO_IPV6) && name == MCAST_MSFILTER)
        return get_group_filter(sh, d, level == IPPROTO_IP, val, len);
    if (level == IPPROTO_IP && name == IP_MULTICAST_IF)
        v = ipaddr_is_any(&d->mc_addr) ? 0 : ipaddr_get_v4(&d->mc_addr);
    else if (level == IPPROTO_IPV6 && name == IPV6_MULTICAST_IF)
        v = d->mc_if6 ? (uint32_t)stack_if_shown(sh->st, d->mc_if6 - 1u) : 0;
    else
        return -ENOPROTOOPT;
    *len = RTE_MIN(*len, (uint32_t)sizeof v);
    memcpy(val, &v, *len);
    return 0;
}

bool dgram_mc_allows(const struct dgram *d, const struct ipaddr *group, const struct ipaddr *src,
                     unsigned ifindex)
{
    const struct mc_member *m;

    if (!ipaddr_is_multicast(group))
        return true;
    m = find(d, group, ifindex);
    if (!m)
        return d->flags & (ipaddr_is_v4(group) ? DG_MC_ALL : DG_MC_ALL6);
    return (find_src(m, src) >= 0) == (m->mode == MC_INCLUDE);
}

static bool was_seen(const void *obj)
{
    return ((const struct mc_member *)obj)->seen;
}

void dgram_mc_mend_begin(struct shard *sh)
{
    struct slab *s = &sh->mc_sock->members;

    for (uint32_t i = 0; i < s->fresh; i++)
        ((struct mc_member *)slab_at(s, i))->seen = 0;
}

void dgram_mc_mend(struct shard *sh, struct dgram *d)
{
    for (struct mc_member *m = d->groups; m; m = m->next) {
        m->seen = 1;
        mc_join(sh, m->ifindex, &m->group, m->mode, m->src, m->nsrc);
    }
}

void dgram_mc_mend_end(struct shard *sh)
{
    slab_mend(&sh->mc_sock->members, was_seen);
}
