/* sockdiag.c: see sockdiag.h. Linux: net/core/sock_diag.c, net/ipv4/inet_diag.c, tcp_diag.c, udp_diag.c,
 * raw_diag.c, net/packet/diag.c. */
#include "sockdiag.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/packet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>

#include "inspect.h"
#include "inspect_filter.h"
#include "tcp_cb.h"

#define ROUNDS 4 /* pieces of the walk a piece of the dump, where none of them has anything to tell */

enum { AT_TABLE, AT_BUCKET, AT_SKIP }; /* cursor[] */

/* A request of either version. */
struct ask {
    struct inet_diag_req_v2 req;
    uint32_t protocol;
    const uint8_t *code; /* filter; NULL: none */
    uint32_t code_len;
};

static bool has_ext(const struct inet_diag_req_v2 *req, int attr)
{
    return req->idiag_ext & (1 << (attr - 1));
}

/* ---- requests ---- */

static uint8_t family_of(const struct nlmsghdr *nlh)
{
    return *(const uint8_t *)NLMSG_DATA(nlh);
}

static bool is_old(const struct nlmsghdr *nlh)
{
    return nlh->nlmsg_type == TCPDIAG_GETSOCK;
}

static uint32_t head_len(const struct nlmsghdr *nlh)
{
    return is_old(nlh) ? sizeof(struct inet_diag_req) : sizeof(struct inet_diag_req_v2);
}

/* The request's head is there. What the older version asks for, in the newer one's form. */
static struct inet_diag_req_v2 head_of(const struct nlmsghdr *nlh)
{
    struct inet_diag_req_v2 v2;
    struct inet_diag_req v1;

    if (!is_old(nlh)) {
        memcpy(&v2, NLMSG_DATA(nlh), sizeof v2);
        return v2;
    }
    memcpy(&v1, NLMSG_DATA(nlh), sizeof v1);
    return (struct inet_diag_req_v2){.sdiag_family =
                                         nlh->nlmsg_flags & NLM_F_DUMP ? AF_UNSPEC : v1.idiag_family,
                                     .sdiag_protocol = IPPROTO_TCP,
                                     .idiag_ext = v1.idiag_ext,
                                     .idiag_states = v1.idiag_states,
                                     .id = v1.id};
}

#define REQ_PROTOCOL 3   /* INET_DIAG_REQ_PROTOCOL, a u32 in place of the head's 8 bits */
#define PROTOCOL_MAX 262 /* IPPROTO_MPTCP: known, and nobody has one */

/* Both heads are multiples of 4. A filter that is missing among attributes that are there is an empty one. */
static int read_ask(const struct nlmsghdr *nlh, struct ask *a)
{
    const struct nlattr *tb[REQ_PROTOCOL + 1] = {0};
    uint32_t head = NLMSG_HDRLEN + NLMSG_ALIGN(head_len(nlh));
    struct nl_complaint why;

    *a = (struct ask){0};
    if (nlh->nlmsg_len < NLMSG_HDRLEN + head_len(nlh))
        return -EINVAL;
    a->req = head_of(nlh);
    a->protocol = a->req.sdiag_protocol;
    if (nlh->nlmsg_len <= head)
        return 0;
    if (nla_parse(tb, REQ_PROTOCOL, (const char *)nlh + head, nlh->nlmsg_len - head, NULL, false, &why))
        return -EINVAL;
    if (tb[REQ_PROTOCOL] && nla_len(tb[REQ_PROTOCOL]) == sizeof(uint32_t))
        a->protocol = nla_u32(tb[REQ_PROTOCOL]);
    if (!tb[INET_DIAG_REQ_BYTECODE])
        return 0;
    a->code = nla_data(tb[INET_DIAG_REQ_BYTECODE]);
    a->code_len = nla_len(tb[INET_DIAG_REQ_BYTECODE]);
    return 0;
}

/* The tables of a protocol; 0: it has none. A raw socket's protocol is not this one but a field more
 * (sdiag_raw_protocol, where pad is). */
static uint32_t tables_of(uint32_t protocol)
{
    switch (protocol) {
    case IPPROTO_TCP:
        return INSPECT_TCP;
    case IPPROTO_UDP:
        return 1u << INSPECT_UDP;
    case IPPROTO_UDPLITE:
        return 1u << INSPECT_UDPLITE;
    case IPPROTO_RAW:
        return 1u << INSPECT_RAW;
    default:
        return 0;
    }
}

static struct inspect_query query_of(const struct ask *a)
{
    const struct inet_diag_req_v2 *r = &a->req;
    bool raw = r->sdiag_protocol == IPPROTO_RAW;

    return (struct inspect_query){
        .tables = tables_of(a->protocol),
        .states = r->idiag_states,
        .family = r->sdiag_family,
        .lport_be = raw ? 0 : r->id.idiag_sport,
        .rport_be = raw ? 0 : r->id.idiag_dport,
        .proto = raw ? r->pad : 0,
        .want = (has_ext(r, INET_DIAG_INFO) ? INSPECT_INFO : 0u) |
                (has_ext(r, INET_DIAG_MEMINFO) || has_ext(r, INET_DIAG_SKMEMINFO) ? INSPECT_MEM : 0u) |
                (has_ext(r, INET_DIAG_CONG) || has_ext(r, INET_DIAG_VEGASINFO) || has_ext(r, INET_DIAG_INFO)
                     ? INSPECT_CONG
                     : 0u),
        .code = a->code,
        .code_len = a->code_len,
    };
}

/* ---- messages ---- */

static void put_names(const struct inspect_view *v, struct inet_diag_msg *r)
{
    r->idiag_family = (uint8_t)v->family;
    r->idiag_state = v->state;
    r->id.idiag_sport = v->lport_be;
    r->id.idiag_dport = v->rport_be;
    inspect_addr(v, &v->laddr, r->id.idiag_src);
    inspect_addr(v, &v->raddr, r->id.idiag_dst);
    r->id.idiag_if = v->ifindex;
    r->id.idiag_cookie[0] = (uint32_t)v->cookie;
    r->id.idiag_cookie[1] = (uint32_t)(v->cookie >> 32);
    r->idiag_timer = v->timer;
    r->idiag_retrans = v->timer == ITIMER_RTX ? v->retransmits : v->timer == ITIMER_TW ? 0 : v->probes;
    r->idiag_expires = v->expires_ms;
    r->idiag_rqueue = v->rqueue;
    r->idiag_wqueue = v->wqueue;
    r->idiag_uid = v->uid;
    r->idiag_inode = v->ino;
}

static void put_options(struct nl_out *o, const struct inspect_view *v)
{
    struct inet_diag_sockopt opt = {
        .recverr = !!(v->flags & (PCB_RECVERR | PCB_RECVERR6)),
        .is_icsk = v->proto == IPPROTO_TCP && !v->raw,
        .mc_loop = 1,
        .mc_all = 1,
    };

    nla_put(o, INET_DIAG_SOCKOPT, &opt, sizeof opt);
}

/* inet_diag_msg_attrs_fill */
static void put_common(struct nl_out *o, const struct inspect_view *v, const struct inet_diag_req_v2 *req,
                       bool admin)
{
    nla_put_u8(o, INET_DIAG_SHUTDOWN, v->shutdown);
    if (has_ext(req, INET_DIAG_TOS))
        nla_put_u8(o, INET_DIAG_TOS, v->tos);
    if (v->family == AF_INET6) {
        if (has_ext(req, INET_DIAG_TCLASS))
            nla_put_u8(o, INET_DIAG_TCLASS, v->tclass);
        if (v->state == TCPS_LISTEN || v->state == TCPS_CLOSE)
            nla_put_u8(o, INET_DIAG_SKV6ONLY, v->v6only);
    }
    if (admin)
        nla_put_u32(o, INET_DIAG_MARK, v->mark);
    /* The class of traffic control stands in for TCLASS too, which ss has no other bit to ask for it by. */
    if (has_ext(req, INET_DIAG_TCLASS))
        nla_put_u32(o, INET_DIAG_CLASS_ID, v->priority);
    put_options(o, v);
}

static void put_mem(struct nl_out *o, const struct inspect_view *v, const struct inet_diag_req_v2 *req)
{
    struct inet_diag_meminfo m = {.idiag_rmem = v->mem[0], .idiag_wmem = v->mem[5], .idiag_tmem = v->mem[2]};

    if (has_ext(req, INET_DIAG_MEMINFO))
        nla_put(o, INET_DIAG_MEMINFO, &m, sizeof m);
    if (has_ext(req, INET_DIAG_SKMEMINFO))
        nla_put(o, INET_DIAG_SKMEMINFO, v->mem, sizeof v->mem);
}

/* One socket's message; false: no room. */
static bool put_view(struct nl_out *o, const struct inspect_view *v, const struct inet_diag_req_v2 *req,
                     const struct nlmsghdr *nlh, uint32_t portid, uint16_t flags, bool admin)
{
    struct inet_diag_msg *r = nlmsg_begin(o, nlh->nlmsg_type, flags, nlh->nlmsg_seq, portid, sizeof *r);

    if (!r)
        return false;
    put_names(v, r);
    if (v->kind == INSPECT_IS_HALF && admin)
        nla_put_u32(o, INET_DIAG_MARK, v->mark);
    if (v->kind == INSPECT_FULL) {
        put_common(o, v, req, admin);
        put_mem(o, v, req);
        if (req->sdiag_protocol == IPPROTO_RAW)
            nla_put_u8(o, INET_DIAG_PROTOCOL, v->proto);
        if (v->proto == IPPROTO_TCP && req->sdiag_protocol == IPPROTO_TCP) {
            if (has_ext(req, INET_DIAG_INFO))
                nla_put(o, INET_DIAG_INFO, &v->info, sizeof v->info);
            if (has_ext(req, INET_DIAG_CONG))
                nla_put_str(o, INET_DIAG_CONG, v->cong);
            if (v->cc_len && v->state < TCPS_TIME_WAIT && has_ext(req, INET_DIAG_VEGASINFO))
                nla_put(o, (uint16_t)v->cc_attr, v->cc_info, v->cc_len);
        }
    }
    return nlmsg_end(o, r);
}

/* ---- packet sockets ---- */

static bool put_packet(struct nl_out *o, const struct inspect_view *v, const struct packet_diag_req *req,
                       const struct nl_dump *d)
{
    struct packet_diag_info info = {.pdi_index = v->ifindex, .pdi_flags = v->running ? PDI_RUNNING : 0};
    struct packet_diag_msg *r =
        nlmsg_begin(o, SOCK_DIAG_BY_FAMILY, nl_dump_flags(d), d->seq, d->portid, sizeof *r);

    if (!r)
        return false;
    r->pdiag_family = AF_PACKET;
    r->pdiag_type = v->type;
    r->pdiag_num = ntohs(v->proto_be);
    r->pdiag_ino = v->ino;
    r->pdiag_cookie[0] = (uint32_t)v->cookie;
    r->pdiag_cookie[1] = (uint32_t)(v->cookie >> 32);
    if (req->pdiag_show & PACKET_SHOW_INFO) {
        nla_put(o, PACKET_DIAG_INFO, &info, sizeof info);
        nla_put_u32(o, PACKET_DIAG_UID, v->uid);
    }
    if (req->pdiag_show & PACKET_SHOW_MEMINFO)
        nla_put(o, PACKET_DIAG_MEMINFO, v->mem, sizeof v->mem);
    return nlmsg_end(o, r);
}

/* ---- dumps ---- */

static void put_noop(struct nl_out *o)
{
    struct nlmsghdr *hdr = nlmsg_begin(o, NLMSG_NOOP, 0, 0, 0, 0);

    if (hdr)
        nlmsg_end(o, hdr);
}

static int diag_start(struct nl_req *rq, struct nl_dump *d)
{
    uint8_t family;
    struct ask a;
    int err;

    if (rq->nlh->nlmsg_len < NLMSG_HDRLEN + sizeof(struct sock_diag_req))
        return -EINVAL;
    family = family_of(rq->nlh);
    if (family == AF_PACKET && !is_old(rq->nlh))
        return rq->nlh->nlmsg_len < NLMSG_HDRLEN + sizeof(struct packet_diag_req) ? -EINVAL : 0;
    err = read_ask(rq->nlh, &a);
    if (err)
        return err;
    return a.code ? inspect_filter_audit(a.code, a.code_len, nl_may_change(rq->sh)) : 0;
}

/* Appends v as d's request wants it. */
static bool put_dumped(struct nl_out *o, const struct inspect_view *v, const struct ask *a,
                       const struct nl_dump *d, bool admin)
{
    struct packet_diag_req packet;

    if (v->family != AF_PACKET)
        return put_view(o, v, &a->req, d->ask, d->portid, nl_dump_flags(d), admin);
    memcpy(&packet, NLMSG_DATA(d->ask), sizeof packet);
    return put_packet(o, v, &packet, d);
}

static int diag_dump(struct shard *sh, struct nl_dump *d, struct nl_out *o)
{
    struct inspect_at at = {(uint32_t)d->cursor[AT_TABLE], (uint32_t)d->cursor[AT_BUCKET],
                            (uint32_t)d->cursor[AT_SKIP]};
    bool admin = nl_may_change(sh), more = at.table < INSPECT_TABLES, full = false;
    struct inspect_query q = {.tables = 1u << INSPECT_PACKET, .states = UINT32_MAX};
    struct ask a = {0};

    if (is_old(d->ask) || family_of(d->ask) != AF_PACKET) {
        if (read_ask(d->ask, &a))
            return -EINVAL;
        q = query_of(&a);
        if (!q.tables && a.protocol != PROTOCOL_MAX)
            return -ENOENT; /* the dump's end tells of it, as in Linux */
    }
    for (unsigned empty = 0; more && !full && empty < ROUNDS;) {
        struct inspect_at before = at;
        struct inspect_view v;

        if (!inspect_next(sh, &at, &q, &v, 1, &more)) {
            empty++;
            continue;
        }
        if (!put_dumped(o, &v, &a, d, admin)) {
            at = before;
            full = more = true;
        }
    }
    d->cursor[AT_TABLE] = at.table;
    d->cursor[AT_BUCKET] = at.bucket;
    d->cursor[AT_SKIP] = at.skip;
    if (more && !full && o->len == 0)
        put_noop(o);
    return more;
}

/* ---- one socket ---- */

/* The address of a request's, in the form that the stack keeps. */
static struct ipaddr addr_of(const struct inet_diag_req_v2 *req, const uint32_t words[4])
{
    struct ipaddr a;

    if (req->sdiag_family == AF_INET)
        return words[0] ? ipaddr_v4(words[0]) : IPADDR_ANY;
    memcpy(a.b, words, 16);
    return a;
}

static int find_one(struct nl_req *rq, struct ask *a, struct inspect_view *v)
{
    struct inspect_query q;
    struct ipaddr l, r;
    uint64_t cookie;
    int err;

    if (!is_old(rq->nlh) && family_of(rq->nlh) == AF_PACKET)
        return -EOPNOTSUPP;
    err = read_ask(rq->nlh, a);
    if (err)
        return err;
    q = query_of(a);
    if (!q.tables)
        return -ENOENT;
    if (a->req.sdiag_family != AF_INET && a->req.sdiag_family != AF_INET6)
        return -EINVAL;
    l = addr_of(&a->req, a->req.id.idiag_src);
    r = addr_of(&a->req, a->req.id.idiag_dst);
    cookie = a->req.id.idiag_cookie[0] | (uint64_t)a->req.id.idiag_cookie[1] << 32;
    return inspect_find(rq->sh, &q, &l, &r, a->req.id.idiag_if, cookie, v) ? 0 : -ENOENT;
}

static int diag_one(struct nl_req *rq)
{
    struct nl_out o = nl_answer(rq->sh);
    struct inspect_view v;
    struct ask a;
    int err = find_one(rq, &a, &v);

    if (err)
        return err;
    if (!put_view(&o, &v, &a.req, rq->nlh, rq->nl->portid, 0, nl_may_change(rq->sh)))
        return -EMSGSIZE;
    return nl_reply(rq, &o);
}

static int diag_destroy(struct nl_req *rq)
{
    struct inspect_view v;
    struct ask a;
    int err = find_one(rq, &a, &v);

    return err ? err : inspect_destroy(rq->sh, &v);
}

/* ---- the protocol ---- */

static const struct nl_handler handlers[] = {
    {.type = SOCK_DIAG_BY_FAMILY, .one = diag_one, .dump_start = diag_start, .dump = diag_dump},
    {.type = TCPDIAG_GETSOCK, .one = diag_one, .dump_start = diag_start, .dump = diag_dump},
    {.type = SOCK_DESTROY, .flags = NLH_CHANGES, .one = diag_destroy},
};

/* sock_diag_rcv_msg, __sock_diag_cmd */
static int diag_find(struct nl_req *rq, const struct nl_protocol *p)
{
    int i = nl_handler_of(p, rq->nlh->nlmsg_type);
    uint8_t family;

    if (i < 0)
        return -EINVAL; /* DCCPDIAG_GETSOCK, too: Linux 6.18 has no DCCP any more */
    if (is_old(rq->nlh))
        return i;
    if (rq->nlh->nlmsg_len < NLMSG_HDRLEN + sizeof(struct sock_diag_req))
        return -EINVAL;
    family = family_of(rq->nlh);
    if (family == AF_INET || family == AF_INET6 || family == AF_PACKET)
        return i;
    return family >= AF_MAX ? -EINVAL : -ENOENT;
}

static bool diag_elsewhere(const struct nlmsghdr *nlh)
{
    uint8_t family;

    if ((nlh->nlmsg_type != SOCK_DIAG_BY_FAMILY && nlh->nlmsg_type != SOCK_DESTROY) ||
        nlh->nlmsg_len < NLMSG_HDRLEN + sizeof(struct sock_diag_req))
        return false;
    family = family_of(nlh);
    return family != AF_INET && family != AF_INET6 && family != AF_PACKET && family < AF_MAX;
}

const struct nl_protocol sockdiag_protocol = {
    .protocol = NETLINK_SOCK_DIAG,
    .ngroups = SKNLGRP_MAX,
    .handlers = handlers,
    .n = sizeof handlers / sizeof handlers[0],
    .find = diag_find,
    .elsewhere = diag_elsewhere,
};
