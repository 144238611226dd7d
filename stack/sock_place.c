/* sock_place.c: which sockets go where (design section 2), and the recorded options that a kernel socket must
 * be given. */
#include <errno.h>
#include <netinet/in.h>

#include "dgram.h"
#include "file.h"
#include "filter.h"
#include "ip.h"
#include "packet.h"
#include "sock.h"
#include "sock_dgram.h"

/* Where a socket bound to a belongs. */
static enum placement place_local(const struct stack *st, const struct ipaddr *a)
{
    if (ipaddr_is_any(a))
        return PLACE_BOTH;
    if (ip_is_local(st, a))
        return PLACE_STACK;
    /* A directed broadcast address of the stack's links; 255.255.255.255 is as much the host's. */
    if (ip_is_broadcast(st, a) && ipaddr_get_v4(a) != INADDR_BROADCAST)
        return PLACE_STACK;
    return PLACE_KERNEL;
}

/* Where the peer a is found. */
static enum placement place_remote(const struct stack *st, const struct ipaddr *a)
{
    if (ipaddr_is_any(a) || ipaddr_is_loopback(a))
        return PLACE_KERNEL;
    if (ip_covers(st, a) || ip_is_broadcast(st, a))
        return PLACE_STACK;
    return PLACE_KERNEL;
}

/* A group is sent to by the interface that the socket names, or on whose groups it is a member. */
static bool group_here(const struct sock *s, const struct ipaddr *a)
{
    const struct dgram *d = (const struct dgram *)s->pcb;

    if (!ipaddr_is_multicast(a) || (s->kind != KIND_UDP && s->kind != KIND_RAW))
        return false;
    return (ipaddr_is_v4(a) ? d->mc_if : d->mc_if6) || d->groups || d->pcb.ifindex;
}

/* The sides are open to a datagram socket for each datagram anew, unless bind tied it to one. */
static bool tied(const struct sock *s)
{
    enum placement now = s->file.placement;

    if (now == PLACE_UNDECIDED || now == PLACE_BOTH)
        return false;
    return sock_is_tcp(s) || now == PLACE_KERNEL || (s->pcb->flags & PCB_ADDR_LOCKED);
}

/* A packet socket is where the interface that it names is (packet.h). */
static enum placement place_packet(const struct stack *st, enum sock_op op, const struct sockaddr *sa,
                                   socklen_t len)
{
    struct sockaddr_ll ll;

    if (!sa || len < sizeof ll)
        return PLACE_KERNEL;
    memcpy(&ll, sa, sizeof ll);
    if (ll.sll_ifindex == 0 && op == SOCK_OP_BIND) /* all interfaces: those of the stack */
        return st->nif > 1 ? PLACE_STACK : PLACE_KERNEL;
    return stack_if_of(st, ll.sll_ifindex) >= 0 ? PLACE_STACK : PLACE_KERNEL;
}

int sock_decide(struct stack *st, struct sock *s, enum sock_op op, const struct sockaddr *sa, socklen_t len)
{
    bool remote = op == SOCK_OP_CONNECT || op == SOCK_OP_SEND;
    enum placement now = s->file.placement;
    struct sockaddr_in any;
    struct endpoint e;
    int r;

    if (st->isolate || s->kind == KIND_NETLINK || tied(s) || (!remote && now != PLACE_UNDECIDED))
        return (int)now;
    if (s->kind == KIND_PACKET)
        return now != PLACE_UNDECIDED || (op != SOCK_OP_BIND && !sa) ? (int)now
                                                                     : (int)place_packet(st, op, sa, len);
    if (op == SOCK_OP_LISTEN)
        return s->type != SOCK_STREAM ? (int)now : sock_more(s)->foreign_dev ? PLACE_KERNEL : PLACE_BOTH;
    if (remote && (!sa || len < sizeof sa->sa_family))
        return (int)now;
    if (sa->sa_family == AF_UNSPEC && (op == SOCK_OP_CONNECT || (remote && s->domain == AF_INET6)))
        return (int)now;
    if (op == SOCK_OP_SEND && s->domain == AF_INET && sa->sa_family == AF_UNSPEC && len >= sizeof any) {
        memcpy(&any, sa, sizeof any); /* INADDR_ANY and up (udp_sendmsg) */
        any.sin_family = AF_INET;
        sa = (const struct sockaddr *)&any;
    }
    r = sock_addr_get(s, sa, len, &e);
    if (r == -ENODEV) /* a scope of the host's */
        return PLACE_KERNEL;
    if (r) /* wrong on either side: whoever has the socket says so */
        return (int)now;
    if (sock_more(s)->foreign_dev)
        return PLACE_KERNEL;
    /* No twin for a wildcard: packets of the wire reach a raw socket from its birth on; the kernel's part
     * comes with the first send to there. */
    if (!remote && s->kind == KIND_RAW && ipaddr_is_any(&e.addr))
        return (int)now;
    if (remote && group_here(s, &e.addr))
        return PLACE_STACK;
    return (int)(remote ? place_remote(st, &e.addr) : place_local(st, &e.addr));
}

void sock_set_placement(struct stack *st, struct sock *s, enum placement p)
{
    s->file.placement = (uint8_t)p;
    if (p == PLACE_STACK && s->kind == KIND_PACKET)
        packet_decided(sock_packet(s));
    /* A BOTH socket may still lose its stack side (connect to a peer of the kernel's), but its kernel twin
     * has the options by then. UDP sockets may get a twin late. */
    if (p == PLACE_STACK && sock_is_tcp(s))
        sock_opts_forget(st, s);
    sock_more_trim(st, s);
}

void sock_opts_forget(struct stack *st, struct sock *s)
{
    if (!s->more)
        return;
    list_for_each_safe(n, &s->more->opts)
    {
        list_del(n);
        list_step();
        slab_free(&st->ready->opts, container_of(n, struct sock_opt, node));
    }
    s->more->nopts = 0;
}

int sock_opt_recorded(struct sock *s, int i, int *level, int *name, void *val, socklen_t *len)
{
    if (!s->more)
        return -ENOENT;
    list_for_each(n, &s->more->opts)
    {
        const struct sock_opt *o = container_of(n, struct sock_opt, node);

        if (i--)
            continue;
        *level = o->level;
        *name = o->name;
        if (o->level == SOL_SOCKET && o->name == SO_ATTACH_FILTER) {
            /* The program's own copy may be gone by now: the segment's is given. None (detached again): a
             * call without effect. */
            struct sock_fprog fp = {0};
            uint32_t count;

            fp.filter = (struct sock_filter *)filter_insns(s->sh, s->pcb->filter, &count);
            fp.len = (unsigned short)count;
            *len = sizeof fp;
            memcpy(val, &fp, sizeof fp);
            return 0;
        }
        memcpy(val, o->val, *len < o->len ? *len : o->len);
        *len = o->len;
        return 0;
    }
    return -ENOENT;
}
