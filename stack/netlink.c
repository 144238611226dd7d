/* netlink.c: netlink sockets: names, requests, dumps, acknowledgements, receiving (netlink.h; Linux:
 * net/netlink/af_netlink.c, whose function names stand in the comments). Options: netlink_opt.c. */
#include "netlink.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <unistd.h>

#include "msg.h"
#include "netlink_table.h"
#include "procsys.h"
#include "rtnl.h"
#include "sockdiag.h"
#include "stamp.h"
#include "user.h"

#define ASK_HEAD     16  /* bytes before the request's copy: the slab's, and whether it is in use */
#define SKB_CONTROL  256 /* as Linux charges a message: its struct sk_buff */
#define SKB_SHARED   320 /* and what stands behind the data */
#define SNDBUF_SLACK 32
#define ROVER_FIRST  (-4097) /* netlink_autobind */
#define DONE_WORDS   256     /* room for an error in words */
#define DONE_BYTES   (NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(int)))

enum { DUMP_RUNS = 1, DUMP_ENDS }; /* nl_dump.running; ends: only NLMSG_DONE is still due */

static int sysctl_write(struct shard *sh, uint32_t to, const char *text)
{
    return procsys_write(&sh->st->set, to, text);
}

static const struct nl_protocol sysctl_protocol = {.protocol = NETLINK_SYSCTL, .write = sysctl_write};

/* All protocols that are answered here. */
static const struct nl_protocol *const protocols[] = {&rtnl_protocol, &sockdiag_protocol, &sysctl_protocol};
#define NPROTOCOLS (sizeof protocols / sizeof protocols[0])
_Static_assert(NPROTOCOLS <= NL_PROTOCOLS, "netlink_table.members is too short");

static int index_of(int protocol)
{
    for (unsigned i = 0; i < NPROTOCOLS; i++)
        if (protocols[i]->protocol == protocol)
            return (int)i;
    return -1;
}

const struct nl_protocol *netlink_protocol(const struct netlinkcb *nl)
{
    return protocols[nl->proto];
}

int netlink_knows(int type, int protocol)
{
    if (type != SOCK_RAW && type != SOCK_DGRAM)
        return -ESOCKTNOSUPPORT;
    return index_of(protocol) < 0 ? -EPROTONOSUPPORT : 0;
}

int netlink_init(struct shard *sh, uint32_t max_pcb)
{
    struct seg *seg = sh->st->seg;
    struct netlink_table *t = seg_alloc(seg, sizeof *t, 64);

    if (!t)
        return -ENOMEM;
    list_init(&t->all);
    t->rover = ROVER_FIRST;
    t->in = seg_alloc(seg, NL_ASK_MAX, 64);
    t->out = seg_alloc(seg, NL_PIECE_MAX, 64);
    sh->netlink = t;
    if (!t->in || !t->out || slab_init(&t->pcbs, seg, sizeof(struct netlinkcb), max_pcb))
        return -ENOMEM;
    if (rtnl_told_init(sh))
        return -ENOMEM;
    return slab_init(&t->asks, seg, ASK_HEAD + NL_DUMP_ASK, max_pcb);
}

struct netlinkcb *netlink_open(struct shard *sh, int protocol)
{
    struct netlinkcb *nl = slab_alloc(&sh->netlink->pcbs);

    if (!nl) {
        sh->count[COUNT_NOMEM_PCB]++;
        return NULL;
    }
    dgram_init(sh, &nl->d);
    nl->d.pcb.shard = (uint8_t)sh->id;
    nl->proto = (uint8_t)index_of(protocol);
    nl->in_use = 1;
    list_add_tail(&sh->netlink->all, &nl->d.pcb.hash);
    return nl;
}

static void dump_end(struct shard *sh, struct netlinkcb *nl)
{
    struct nlmsghdr *ask = nl->dump.ask;

    nl->dump.running = 0;
    nl->dump.ask = NULL;
    list_step();
    if (!ask)
        return;
    ((uint64_t *)((char *)ask - ASK_HEAD))[1] = 0;
    slab_free(&sh->netlink->asks, (char *)ask - ASK_HEAD);
}

/* Which groups have a member: asked for each change of a neighbour. */
void netlink_count_members(struct shard *sh)
{
    struct netlink_table *t = sh->netlink;
    uint64_t members[NL_PROTOCOLS] = {0};

    list_for_each(n, &t->all)
    {
        const struct netlinkcb *nl = (struct netlinkcb *)container_of(n, struct pcb, hash);

        members[nl->proto] |= nl->groups;
    }
    memcpy(t->members, members, sizeof members);
    rtnl_members_changed(sh);
}

void netlink_close(struct shard *sh, struct netlinkcb *nl)
{
    dump_end(sh, nl);
    list_del(&nl->d.pcb.hash);
    netlink_count_members(sh);
    dgram_close(sh, &nl->d);
    filter_put(sh, nl->d.pcb.filter);
    list_del(&nl->d.pcb.dirty);
    nl->in_use = 0;
    list_step();
    slab_free(&sh->netlink->pcbs, nl);
}

/* ---- names ---- */

static struct netlinkcb *find(const struct shard *sh, unsigned proto, uint32_t portid)
{
    list_for_each(n, &sh->netlink->all)
    {
        struct netlinkcb *nl = (struct netlinkcb *)container_of(n, struct pcb, hash);

        if (nl->proto == proto && nl->bound && nl->portid == portid)
            return nl;
    }
    return NULL;
}

static int insert(struct shard *sh, struct netlinkcb *nl, uint32_t portid)
{
    if (find(sh, nl->proto, portid))
        return -EADDRINUSE;
    nl->portid = portid;
    nl->bound = 1;
    return 0;
}

/* netlink_autobind: the process's number, or a negative one. */
static int autobind(struct shard *sh, struct netlinkcb *nl)
{
    int32_t portid = (int32_t)getpid();

    while (find(sh, nl->proto, (uint32_t)portid)) {
        portid = sh->netlink->rover--;
        if (sh->netlink->rover > ROVER_FIRST)
            sh->netlink->rover = ROVER_FIRST;
    }
    return insert(sh, nl, (uint32_t)portid);
}

int netlink_bind(struct shard *sh, struct netlinkcb *nl, const struct sockaddr *sa, socklen_t len)
{
    struct sockaddr_nl a;
    int err;

    if (len < sizeof a)
        return -EINVAL;
    memcpy(&a, sa, sizeof a);
    if (a.nl_family != AF_NETLINK || (nl->bound && a.nl_pid != nl->portid))
        return -EINVAL;
    if (!nl->bound) {
        err = a.nl_pid ? insert(sh, nl, a.nl_pid) : autobind(sh, nl);
        if (err)
            return err;
    }
    nl->groups = (nl->groups & ~(uint64_t)UINT32_MAX) | a.nl_groups;
    netlink_count_members(sh);
    return 0;
}

/* May the calling process write to others than the stack itself? (netlink_allowed) */
static bool may_write_to(const struct shard *sh, uint32_t portid, uint32_t groups)
{
    return (!portid && !groups) || nl_may_change(sh);
}

int netlink_connect(struct shard *sh, struct netlinkcb *nl, const struct sockaddr *sa, socklen_t len)
{
    struct sockaddr_nl a;
    int err;

    if (len < sizeof a.nl_family)
        return -EINVAL;
    if (sa->sa_family == AF_UNSPEC) {
        nl->dst_portid = nl->dst_group = 0;
        return 0;
    }
    if (sa->sa_family != AF_NETLINK || len < sizeof a)
        return -EINVAL;
    memcpy(&a, sa, sizeof a);
    if (!may_write_to(sh, a.nl_pid, a.nl_groups))
        return -EPERM;
    if (!nl->bound && (err = autobind(sh, nl)))
        return err;
    nl->dst_portid = a.nl_pid;
    nl->dst_group = (uint32_t)__builtin_ffs((int)a.nl_groups);
    return 0;
}

static uint32_t group_mask(uint32_t group)
{
    return group && group <= 32 ? 1u << (group - 1) : 0;
}

int netlink_getname(const struct netlinkcb *nl, bool peer, struct sockaddr *sa, socklen_t *len)
{
    struct sockaddr_nl a = {.nl_family = AF_NETLINK,
                            .nl_pid = peer ? nl->dst_portid : nl->portid,
                            .nl_groups = peer ? group_mask(nl->dst_group) : (uint32_t)nl->groups};
    socklen_t room, full = sizeof a;

    if (!user_copy(&room, len, sizeof room))
        return -EFAULT;
    if ((int)room < 0)
        return -EINVAL;
    return user_copy(sa, &a, room < full ? room : full) && user_copy(len, &full, sizeof full) ? 0 : -EFAULT;
}

/* ---- queueing ---- */

static uint32_t truesize(uint32_t len)
{
    uint32_t n = 1024;

    while (n < len + SKB_SHARED)
        n *= 2;
    return SKB_CONTROL + n;
}

/* A message was lost (netlink_overrun): told once until the queue was empty. */
static void overrun(struct shard *sh, struct netlinkcb *nl)
{
    nl->d.drops++;
    if ((nl->opts & NLO_NO_ENOBUFS) || nl->congested)
        return;
    nl->congested = 1;
    nl->d.pcb.so_error = ENOBUFS;
    pcb_event(sh, &nl->d.pcb, EV_ERR);
}

/* bytes in packet buffers; NULL: none are left. */
static struct rte_mbuf *chain_of(struct shard *sh, const uint8_t *p, uint32_t len)
{
    struct rte_mbuf *head = NULL, *last = NULL;

    do {
        struct rte_mbuf *m = pkt_alloc(sh);
        uint32_t n = m ? RTE_MIN(len, (uint32_t)rte_pktmbuf_tailroom(m)) : 0;

        if (!m) {
            rte_pktmbuf_free(head);
            return NULL;
        }
        memcpy(rte_pktmbuf_append(m, (uint16_t)n), p, n);
        if (head) {
            last->next = m;
            head->nb_segs++;
            head->pkt_len += n;
        } else {
            head = m;
        }
        last = m;
        p += n;
        len -= n;
    } while (len);
    return head;
}

/* How a message lies in the queue, in its pkt_meta: seq: the sender's portid; len: the group that it was sent
 * to. False: there is no memory. */
static bool queue(struct shard *sh, struct netlinkcb *nl, const uint8_t *p, uint32_t len, uint32_t portid,
                  uint32_t group)
{
    struct rte_mbuf *m = chain_of(sh, p, len);
    struct pkt_meta *meta;

    if (!m)
        return false;
    if (nl->d.pcb.filter) {
        struct filter_pkt f = {.m = m};
        uint32_t keep = filter_run(sh, nl->d.pcb.filter, &f);

        if (!keep) {
            rte_pktmbuf_free(m);
            return true;
        }
        if (keep < m->pkt_len)
            pkt_trim_to(m, keep);
    }
    meta = pkt_meta(m);
    memset(meta, 0, sizeof *meta);
    meta->seq = portid;
    meta->len = group;
    meta->truesize = truesize(len);
    meta->stamp_ns = stamp_now_ns(sh);
    list_step();
    if (nl->d.rcv_tail)
        pkt_meta(nl->d.rcv_tail)->link = m;
    else
        nl->d.rcv_head = m;
    nl->d.rcv_tail = m;
    nl->d.rcv_mem += meta->truesize;
    pcb_event(sh, &nl->d.pcb, EV_IN);
    return true;
}

/* From one who does not wait (netlink_attachskb, netlink_broadcast_deliver). */
static int deliver(struct shard *sh, struct netlinkcb *nl, const uint8_t *p, uint32_t len, uint32_t portid,
                   uint32_t group)
{
    if (nl->d.rcv_mem <= nl->d.rcvbuf && !nl->congested && queue(sh, nl, p, len, portid, group))
        return 0;
    overrun(sh, nl);
    return -ENOBUFS;
}

void netlink_lost(struct shard *sh, int protocol)
{
    list_for_each(n, &sh->netlink->all)
    {
        struct netlinkcb *nl = (struct netlinkcb *)container_of(n, struct pcb, hash);

        if (nl->groups && netlink_protocol(nl)->protocol == protocol)
            overrun(sh, nl);
    }
}

struct nl_out nl_answer(struct shard *sh)
{
    return nl_out_of(sh->netlink->out, NL_PIECE_MAX);
}

int nl_reply(struct nl_req *rq, const struct nl_out *o)
{
    return o->len ? deliver(rq->sh, rq->nl, o->buf, o->len, 0, 0) : 0;
}

static void publish(struct shard *sh, unsigned proto, uint32_t group, const uint8_t *p, uint32_t len,
                    uint32_t portid, uint32_t but)
{
    list_for_each(n, &sh->netlink->all)
    {
        struct netlinkcb *nl = (struct netlinkcb *)container_of(n, struct pcb, hash);

        if (nl->proto == proto && (nl->groups & (uint64_t)1 << (group - 1)) && nl->portid != but)
            deliver(sh, nl, p, len, portid, group);
    }
}

void nl_publish(struct shard *sh, int protocol, unsigned group, const struct nl_out *o)
{
    int i = index_of(protocol);

    if (i >= 0 && o->len && nl_has_members(sh, protocol, group))
        publish(sh, (unsigned)i, group, o->buf, o->len, 0, 0);
}

bool nl_has_members(const struct shard *sh, int protocol, unsigned group)
{
    int i = index_of(protocol);

    return i >= 0 && group && (sh->netlink->members[i] & (uint64_t)1 << (group - 1));
}

/* ---- dumps ---- */

uint16_t nl_dump_flags(const struct nl_dump *d)
{
    return NLM_F_MULTI | (d->was_gen && d->gen != d->was_gen ? NLM_F_DUMP_INTR : 0);
}

/* One piece into o. As nl_handler.dump; a message that no piece has room for is an error. */
static int dump_piece(struct shard *sh, struct netlinkcb *nl, struct nl_out *o)
{
    const struct nl_handler *h = &netlink_protocol(nl)->handlers[nl->dump.handler];
    int r = h->dump(sh, &nl->dump, o);

    if (r == 1 && o->len == 0 && o->max < NL_PIECE_MAX) {
        o->max = NL_PIECE_MAX;
        r = h->dump(sh, &nl->dump, o);
    }
    return r == 1 && o->len == 0 ? -EMSGSIZE : r;
}

/* NLMSG_DONE, with the dump's end as it was kept in cursor[0]. False: no room. */
static bool put_done(const struct netlinkcb *nl, struct nl_out *o)
{
    const struct nl_dump *d = &nl->dump;
    bool words = d->why && (nl->opts & NLO_EXT_ACK);
    int *result;

    if (o->max - o->len < DONE_BYTES + (words ? DONE_WORDS : 0))
        return false;
    result = nlmsg_begin(o, NLMSG_DONE, (uint16_t)(nl_dump_flags(d) | (words ? NLM_F_ACK_TLVS : 0)), d->seq,
                         d->portid, sizeof *result);
    *result = (int)(int64_t)d->cursor[0];
    if (words)
        nla_put_str(o, NLMSGERR_ATTR_MSG, d->why);
    return nlmsg_end(o, result);
}

/* The next piece (netlink_dump). -ENOBUFS: no memory; it can be tried again. */
static int dump_more(struct shard *sh, struct netlinkcb *nl)
{
    const struct nl_handler *h = &netlink_protocol(nl)->handlers[nl->dump.handler];
    struct nl_dump *d = &nl->dump, was = *d;
    struct nl_out o = nl_out_of(sh->netlink->out, RTE_MAX(nl->seen_len, (uint32_t)NL_PIECE_LEAST));
    bool done = false;

    if (d->running == DUMP_RUNS) {
        int r = dump_piece(sh, nl, &o);

        /* Whose NLMSG_DONE comes by itself is asked once more before: it may say that something changed. */
        if (r != 1 && !(r == 0 && o.len && (h->flags & NLH_OWN_DONE))) {
            d->running = DUMP_ENDS;
            d->cursor[0] = (uint64_t)(int64_t)r;
        }
    }
    if (d->running == DUMP_ENDS && !(o.len && (h->flags & NLH_OWN_DONE)))
        done = put_done(nl, &o);
    d->why = NULL;
    if (!queue(sh, nl, o.buf, o.len, 0, 0)) {
        *d = was;
        d->why = NULL; /* of this process, which may not be the one that tries again */
        return -ENOBUFS;
    }
    d->was_gen = d->gen;
    if (done)
        dump_end(sh, nl);
    return 0;
}

/* __netlink_dump_start. -EINTR: it began, and nothing is acknowledged. */
static int dump_begin(struct nl_req *rq, unsigned handler)
{
    struct netlinkcb *nl = rq->nl;
    const struct nl_handler *h = &netlink_protocol(nl)->handlers[handler];
    struct nl_dump *d = &nl->dump;
    char *ask;
    int err = 0;

    if (d->running)
        return -EBUSY;
    if (rq->nlh->nlmsg_len > NL_DUMP_ASK)
        return nl_refuse(rq, -EMSGSIZE, "request for a dump is too long", NULL);
    ask = slab_alloc(&rq->sh->netlink->asks);
    if (!ask)
        return -ENOBUFS;
    ((uint64_t *)ask)[1] = 1;
    *d = (struct nl_dump){.handler = (uint8_t)handler,
                          .strict = rq->strict,
                          .portid = nl->portid,
                          .seq = rq->nlh->nlmsg_seq,
                          .ask = (struct nlmsghdr *)(ask + ASK_HEAD)};
    memcpy(d->ask, rq->nlh, rq->nlh->nlmsg_len);
    if (h->dump_start) {
        struct nl_req copy = *rq;

        copy.nlh = d->ask;
        err = h->dump_start(&copy, d);
        rq->why = copy.why;
        if (rq->why.at) /* where it is in the message that was sent */
            rq->why.at = (const char *)rq->nlh + ((const char *)rq->why.at - (const char *)d->ask);
        if (err && !(h->flags & NLH_DONE_TELLS)) {
            dump_end(rq->sh, nl);
            return err;
        }
    }
    d->running = DUMP_RUNS;
    if (err) {
        d->running = DUMP_ENDS;
        d->cursor[0] = (uint64_t)(int64_t)err;
        d->why = rq->why.msg;
    }
    err = dump_more(rq->sh, nl);
    return err ? err : -EINTR;
}

/* ---- requests ---- */

int nl_handler_of(const struct nl_protocol *p, uint16_t type)
{
    for (unsigned i = 0; i < p->n; i++)
        if (p->handlers[i].type == type)
            return (int)i;
    return -1;
}

int nl_refuse(struct nl_req *rq, int err, const char *msg, const void *attr)
{
    rq->why.msg = msg;
    rq->why.at = attr;
    return err;
}

bool nl_may_change(const struct shard *sh)
{
    uid_t uid = geteuid();

    return uid == 0 || uid == sh->st->owner_uid;
}

/* Extended acknowledgement; false: there is nothing to say. Context: o has a message begun. */
static bool put_why(const struct nl_req *rq, int err, struct nl_out *o)
{
    const struct nl_complaint *w = &rq->why;
    size_t off = (size_t)((const char *)w->at - (const char *)rq->nlh);
    uint32_t was = o->len;

    if (w->msg)
        nla_put_str(o, NLMSGERR_ATTR_MSG, w->msg);
    if (err && w->at && off < rq->nlh->nlmsg_len)
        nla_put_u32(o, NLMSGERR_ATTR_OFFS, (uint32_t)off);
    if (err && w->missing)
        nla_put_u32(o, ATTR_MISS_TYPE, w->miss_type);
    return o->len != was;
}

/* netlink_ack. Differs: what does not fit into an answer of ours is not given back (NLM_F_CAPPED). */
static void acknowledge(struct nl_req *rq, int err)
{
    const struct nlmsghdr *nlh = rq->nlh;
    bool whole = err && !(rq->nl->opts & NLO_CAP_ACK) && nlh->nlmsg_len < NL_PIECE_MAX / 2;
    uint32_t given = whole ? nlh->nlmsg_len : (uint32_t)sizeof *nlh;
    struct nl_out o = nl_answer(rq->sh);
    struct nlmsgerr *e;

    e = nlmsg_begin(&o, NLMSG_ERROR, whole ? 0 : NLM_F_CAPPED, nlh->nlmsg_seq, rq->nl->portid,
                    (uint32_t)offsetof(struct nlmsgerr, msg) + given);
    if (!e)
        return;
    e->error = err;
    memcpy(&e->msg, nlh, given);
    if ((rq->nl->opts & NLO_EXT_ACK) && put_why(rq, err, &o))
        ((struct nlmsghdr *)(void *)o.buf)->nlmsg_flags |= NLM_F_ACK_TLVS;
    if (nlmsg_end(&o, e))
        nl_reply(rq, &o);
}

/* To the handler of rq's type. */
static int handle(struct nl_req *rq)
{
    const struct nl_protocol *p = netlink_protocol(rq->nl);
    const struct nl_handler *h;
    int i = p->find(rq, p);

    if (i < 0)
        return i == NL_IGNORE ? 0 : i;
    h = &p->handlers[i];
    if ((h->flags & NLH_CHANGES) && !nl_may_change(rq->sh))
        return -EPERM;
    if (h->dump && (rq->nlh->nlmsg_flags & NLM_F_DUMP))
        return dump_begin(rq, (unsigned)i);
    return h->one ? h->one(rq) : -EOPNOTSUPP;
}

/* netlink_rcv_skb: p, len bytes, is ours; a message that is cut ends it without a word. */
static void receive(struct shard *sh, struct netlinkcb *nl, const uint8_t *p, uint32_t len)
{
    while (len >= NLMSG_HDRLEN) {
        const struct nlmsghdr *nlh = (const struct nlmsghdr *)p;
        struct nl_req rq = {.sh = sh, .nl = nl, .nlh = nlh, .strict = nl->opts & NLO_STRICT};
        uint32_t step;
        int err = 0;

        if (nlh->nlmsg_len < NLMSG_HDRLEN || nlh->nlmsg_len > len)
            return;
        if ((nlh->nlmsg_flags & NLM_F_REQUEST) && nlh->nlmsg_type >= NLMSG_MIN_TYPE)
            err = handle(&rq);
        if (sh->st->listened)
            rtnl_tell(sh, nl->portid, nlh->nlmsg_seq);
        if (err != -EINTR && (err || (nlh->nlmsg_flags & NLM_F_ACK)))
            acknowledge(&rq, err);
        step = RTE_MIN(NLMSG_ALIGN(nlh->nlmsg_len), len);
        p += step;
        len -= step;
    }
}

/* __scm_send: credentials are taken, and are the caller's own. */
static int check_control(const struct msghdr *msg)
{
    struct cmsghdr *c = NULL;
    int r;

    while ((r = msg_next_ctl(msg, &c)) > 0)
        if (c->cmsg_level == SOL_SOCKET &&
            (c->cmsg_type != SCM_CREDENTIALS || c->cmsg_len != CMSG_LEN(3 * sizeof(int))))
            return -EINVAL;
    return r;
}

/* The program's bytes into t->in. */
static int gather(struct netlink_table *t, const struct msghdr *msg, size_t len)
{
    uint8_t *to = t->in;

    for (size_t i = 0; i < msg->msg_iovlen; i++) {
        size_t n = RTE_MIN(msg->msg_iov[i].iov_len, len);

        if (n && !user_copy(to, msg->msg_iov[i].iov_base, n))
            return -EFAULT;
        to += n;
        len -= n;
    }
    return 0;
}

/* To other sockets: the group's members, and one by name. */
static int pass_on(struct shard *sh, struct netlinkcb *nl, uint32_t len, uint32_t portid, uint32_t group)
{
    struct netlinkcb *to;

    if (group && group <= NL_GROUPS)
        publish(sh, nl->proto, group, sh->netlink->in, len, nl->portid, nl->portid);
    if (!portid)
        return 1;
    to = find(sh, nl->proto, portid);
    if (!to || (to->dst_portid && to->dst_portid != nl->portid)) /* netlink_getsockbyportid */
        return -ECONNREFUSED;
    return deliver(sh, to, sh->netlink->in, len, nl->portid, 0) ? -EAGAIN : 0;
}

/* Whom a send is for. */
static int destination(const struct shard *sh, const struct netlinkcb *nl, const struct msghdr *msg,
                       uint32_t *portid, uint32_t *group)
{
    struct sockaddr_nl a;

    *portid = nl->dst_portid;
    *group = nl->dst_group;
    if (!msg->msg_name || !msg->msg_namelen)
        return 0;
    if (msg->msg_namelen < sizeof a)
        return -EINVAL;
    if (!user_copy(&a, msg->msg_name, sizeof a))
        return -EFAULT;
    if (a.nl_family != AF_NETLINK)
        return -EINVAL;
    *portid = a.nl_pid;
    *group = (uint32_t)__builtin_ffs((int)a.nl_groups);
    return may_write_to(sh, *portid, *group) ? 0 : -EPERM;
}

/* Is what lies in t->in the kernel's to answer? */
static bool is_elsewhere(const struct shard *sh, const struct netlinkcb *nl, size_t len)
{
    const struct nl_protocol *p = netlink_protocol(nl);
    const struct nlmsghdr *nlh = (const struct nlmsghdr *)sh->netlink->in;

    return p->elsewhere && len >= NLMSG_HDRLEN && nlh->nlmsg_len <= len && p->elsewhere(nlh);
}

ssize_t netlink_send(struct shard *sh, struct netlinkcb *nl, const struct msghdr *msg, int flags)
{
    uint32_t portid, group;
    ssize_t len;
    int err;

    if (flags & MSG_OOB)
        return -EOPNOTSUPP;
    len = dgram_iov_total(msg, SIZE_MAX / 2);
    if (len <= 0)
        return len ? len : -ENODATA;
    err = check_control(msg);
    if (!err)
        err = destination(sh, nl, msg, &portid, &group);
    if (!err && !nl->bound)
        err = autobind(sh, nl);
    if (!err && (len > (ssize_t)nl->d.sndbuf - SNDBUF_SLACK || len > NL_ASK_MAX))
        err = -EMSGSIZE;
    if (!err)
        err = gather(sh->netlink, msg, (size_t)len);
    if (!err && netlink_protocol(nl)->write) {
        sh->netlink->in[len < NL_ASK_MAX ? len : NL_ASK_MAX - 1] = 0;
        err = netlink_protocol(nl)->write(sh, nl->dst_portid, (const char *)sh->netlink->in);
        return err ? err : len;
    }
    if (!err && !portid && is_elsewhere(sh, nl, (size_t)len))
        err = -EXDEV;
    if (!err && (portid || group))
        err = pass_on(sh, nl, (uint32_t)len, portid, group);
    if (err < 0)
        return err;
    if (!portid)
        receive(sh, nl, sh->netlink->in, (uint32_t)len);
    return len;
}

/* ---- receiving ---- */

static void dequeue(struct netlinkcb *nl)
{
    struct rte_mbuf *m = nl->d.rcv_head;

    nl->d.rcv_head = pkt_meta(m)->link;
    if (!nl->d.rcv_head) {
        nl->d.rcv_tail = NULL;
        nl->congested = 0; /* netlink_rcv_wake */
    }
    nl->d.rcv_mem -= pkt_meta(m)->truesize;
    list_step();
    rte_pktmbuf_free(m);
}

/* Sender, group, credentials, time. */
static bool put_what_is_known(struct shard *sh, const struct netlinkcb *nl, struct msghdr *msg,
                              const struct pkt_meta *meta)
{
    static const int stack_cred[3]; /* struct ucred of what the kernel itself sends: pid, uid, gid 0 */
    struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_pid = meta->seq, .nl_groups = group_mask(meta->len)};
    struct nl_pktinfo info = {.group = meta->len};
    size_t used = 0;

    if (msg->msg_name && !user_copy(msg->msg_name, &a, RTE_MIN(msg->msg_namelen, (socklen_t)sizeof a)))
        return false;
    msg->msg_namelen = msg->msg_name ? sizeof a : 0;
    if (nl->d.flags & DG_STAMP)
        stamp_put_rx(sh, &nl->d.stamp, msg, &used, meta->stamp_ns);
    if (nl->opts & NLO_PKTINFO)
        msg_put_ctl(msg, &used, SOL_NETLINK, NETLINK_PKTINFO, &info, sizeof info);
    if (nl->opts & NLO_PASSCRED)
        msg_put_ctl(msg, &used, SOL_SOCKET, SCM_CREDENTIALS, stack_cred, sizeof stack_cred);
    msg->msg_controllen = used;
    return true;
}

ssize_t netlink_recv(struct shard *sh, struct netlinkcb *nl, struct msghdr *msg, int flags)
{
    struct rte_mbuf *m = nl->d.rcv_head;
    ssize_t got, len, room;
    int err;

    if (flags & MSG_OOB)
        return -EOPNOTSUPP;
    if ((flags & DGRAM_KEEP_ERROR) && nl->d.pcb.so_error)
        return -ECANCELED;
    err = dgram_take_error(&nl->d);
    if (err || !m)
        return err ? err : -EAGAIN;
    room = dgram_iov_total(msg, SIZE_MAX / 2);
    if (room > (ssize_t)nl->seen_len)
        nl->seen_len = (uint32_t)RTE_MIN(room, NL_PIECE_MAX);
    msg->msg_flags = 0;
    len = m->pkt_len;
    got = msg_scatter(m, 0, msg);
    if (got >= 0 && !put_what_is_known(sh, nl, msg, pkt_meta(m)))
        got = -EFAULT;
    if (got >= 0 && got < len)
        msg->msg_flags |= MSG_TRUNC;
    if (!(flags & MSG_PEEK))
        dequeue(nl);
    if (nl->dump.running && nl->d.rcv_mem <= nl->d.rcvbuf / 2 && dump_more(sh, nl)) {
        nl->d.pcb.so_error = ENOBUFS;
        pcb_event(sh, &nl->d.pcb, EV_ERR);
    }
    return got >= 0 && (flags & MSG_TRUNC) ? len : got;
}

/* ---- after a process was killed inside ---- */

static bool is_live(const void *obj)
{
    return ((const struct netlinkcb *)obj)->in_use;
}

static bool ask_is_live(const void *obj)
{
    return ((const uint64_t *)obj)[1];
}

void netlink_mend(struct shard *sh)
{
    struct netlink_table *t = sh->netlink;

    list_repair(&t->all);
    slab_mend(&t->pcbs, is_live);
    for (uint32_t i = 0; i < t->asks.fresh; i++) /* those that no dump has */
        ((uint64_t *)slab_at(&t->asks, i))[1] = 0;
    for (uint32_t i = 0; i < t->pcbs.fresh; i++) {
        struct netlinkcb *nl = slab_at(&t->pcbs, i);

        if (!is_live(nl))
            continue;
        if (!nl->dump.running)
            nl->dump.ask = NULL;
        if (nl->dump.ask)
            ((uint64_t *)((char *)nl->dump.ask - ASK_HEAD))[1] = 1;
        if (&nl->d.pcb == sh->work)
            list_settle(&t->all, &nl->d.pcb.hash);
        dgram_mend(sh, &nl->d);
    }
    slab_mend(&t->asks, ask_is_live);
    for (uint32_t i = 0; i < t->pcbs.fresh; i++) {
        struct netlinkcb *nl = slab_at(&t->pcbs, i);

        if (is_live(nl) && !nl->d.pcb.user)
            netlink_close(sh, nl);
    }
    netlink_count_members(sh);
}
