/* sock.c: the life of a socket, connections, and how protocol events become readiness (sock.h). */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>

#include "file.h"
#include "ip_ext.h"
#include "mark.h"
#include "netlink.h"
#include "port.h"
#include "shard.h"
#include "sock.h"
#include "sock_dgram.h"
#include "sock_opt_ip.h"
#include "tcp.h"
#include "tcp_lane.h"
#include "udp.h"

/* The states of <netinet/tcp.h> that matter here (that header and <linux/tcp.h> exclude each other). */
enum { ST_SYN_SENT = 2, ST_SYN_RECV = 3, ST_CLOSE = 7, ST_LISTEN = 10 };

static struct sock *sock_alloc(struct stack *st, enum sock_kind kind, int domain, int type, int protocol)
{
    struct sock *s = slab_alloc(&st->ready->socks);

    if (!s)
        return NULL;
    file_init(st, &s->file, FILE_SOCK);
    s->sh = &st->shard[0];
    s->domain = (uint8_t)domain;
    s->type = (uint8_t)type;
    s->protocol = (uint16_t)protocol;
    s->kind = (uint8_t)kind;
    return s;
}

static void attach(struct sock *s, struct pcb *pcb)
{
    s->pcb = pcb;
    pcb->user = s;
}

int sock_new(struct stack *st, int domain, int type, int protocol, struct sock **out)
{
    struct shard *sh = &st->shard[0];
    int kind = sock_kind_of(domain, type, &protocol);
    struct pcb *pcb;
    struct sock *s;

    if (kind < 0)
        return kind;
    s = sock_alloc(st, (enum sock_kind)kind, domain, type, protocol);
    if (!s)
        return -ENFILE;
    pcb = sock_kind_open(sh, (enum sock_kind)kind, domain, type, protocol);
    if (!pcb) {
        slab_free(&st->ready->socks, s);
        return -ENOBUFS;
    }
    attach(s, pcb);
    if (st->isolate || kind == KIND_NETLINK)
        s->file.placement = PLACE_STACK;
    *out = s;
    return 0;
}

void sock_close(struct stack *st, struct sock *s)
{
    shard_recall(st, s->pcb);
    s->sh->work = s->pcb;
    s->pcb->user = NULL;
    list_step();
    ip_ext_free(s->sh, s->ip_ext);
    s->ip_ext = NULL;
    if (sock_is_tcp(s))
        tcp_close(s->sh, sock_tcb(s));
    else
        sock_dgram_close(s);
    s->pcb = NULL;
    sock_forget(st, s);
}

void sock_forget(struct stack *st, struct sock *s)
{
    sock_more_free(st, s);
    s->file.type = FILE_FREE;
    list_step();
    slab_free(&st->ready->socks, s);
}

bool sock_is_plain(const struct sock *s)
{
    return sock_is_tcp(s) && s->pcb && s->state == SOCK_CONNECTED && s->file.placement == PLACE_STACK &&
           !s->syn_sent && tcp_is_settled(s->sh, sock_tcb(s));
}

int sock_take_error(struct sock *s)
{
    int err = s->pcb->so_error;

    s->pcb->so_error = 0;
    return -err;
}

int sock_listen(struct stack *st, struct sock *s, int backlog)
{
    struct endpoint any = {.addr = s->pcb->local.addr};
    int64_t max = st->set.somaxconn;
    int r = 0;

    if (s->type != SOCK_STREAM)
        return -EOPNOTSUPP;
    if (s->state != SOCK_UNCONNECTED || (!s->listening && tcp_state(sock_tcb(s)) != ST_CLOSE))
        return -EINVAL;
    if ((unsigned)backlog > max) /* as Linux: negative is large */
        backlog = (int)max;
    if (!(s->pcb->flags & PCB_BOUND))
        r = port_bind(st, s->sh, s->pcb, &any);
    if (!r)
        r = tcp_listen(s->sh, sock_tcb(s), backlog);
    if (!r)
        s->listening = 1;
    return r;
}

/* connect(AF_UNSPEC): back to a socket without a peer. */
static int disconnect(struct sock *s)
{
    s->state = SOCK_UNCONNECTED;
    s->listening = 0;
    return sock_is_tcp(s) ? tcp_disconnect(s->sh, sock_tcb(s)) : sock_dgram_disconnect(s);
}

/* What the socket itself says to a connect, whatever the address is (__inet_stream_connect). 1: go on. */
static int connect_state(struct sock *s)
{
    switch (s->state) {
    case SOCK_CONNECTING:
        return sock_connect_result(s);
    case SOCK_CONNECTED:
        return -EISCONN;
    case SOCK_DISCONNECTING:
        return -EINVAL;
    default:
        return tcp_state(sock_tcb(s)) == ST_CLOSE ? 1 : -EISCONN;
    }
}

static int connect_tcp(struct stack *st, struct sock *s, const struct endpoint *peer)
{
    int r;

    if (ipaddr_is_multicast(&peer->addr) || ip_is_broadcast(st, &peer->addr))
        return -ENETUNREACH; /* tcp_v4_connect */
    r = tcp_connect(s->sh, sock_tcb(s), peer);
    if (r == -EINPROGRESS || r == 0) /* 0: the SYN waits for data (TCP_FASTOPEN_CONNECT) */
        s->state = SOCK_CONNECTING;
    return r;
}

int sock_connect(struct stack *st, struct sock *s, const struct sockaddr *sa, socklen_t len)
{
    struct endpoint peer;
    int r;

    if (s->kind == KIND_PACKET)
        return -EOPNOTSUPP;
    if (s->kind == KIND_NETLINK)
        return netlink_connect(s->sh, sock_netlink(s), sa, len);
    if (len < sizeof sa->sa_family)
        return -EINVAL;
    if (sa->sa_family == AF_UNSPEC)
        return disconnect(s);
    if (sock_is_tcp(s)) {
        r = connect_state(s);
        if (r <= 0)
            return r;
    }
    /* ip6_datagram_connect_v6_only looks at the family before the length. */
    if (s->kind == KIND_RAW && s->domain == AF_INET6 && sa->sa_family != AF_INET6)
        return -EAFNOSUPPORT;
    r = sock_addr_get(s, sa, len, &peer);
    if (r)
        return r;
    if (ipaddr_is_any(&peer.addr))
        peer.addr = sock_this_host(s, sa);
    if (ipaddr_needs_zone(&peer.addr)) { /* tcp_v6_connect, ip6_datagram_connect: it binds to the link */
        unsigned zone = ipaddr_zone(&peer.addr);

        if (zone == 0 || zone > st->nif)
            return -EINVAL;
        s->pcb->ifindex = (uint8_t)(zone - 1);
    }
    st->port_range = sock_ip_port_range(s);
    r = sock_ip_take_label(s, sa, len, false);
    if (!r)
        r = sock_is_tcp(s) ? connect_tcp(st, s, &peer) : sock_dgram_connect(s, &peer);
    st->port_range = 0;
    return r;
}

int sock_connect_result(struct sock *s)
{
    int state, err;

    if (!sock_is_tcp(s))
        return 0;
    state = tcp_state(sock_tcb(s));
    if (state == ST_SYN_SENT && tcp_syn_waits(sock_tcb(s)))
        return -EISCONN;
    if (state == ST_SYN_SENT || state == ST_SYN_RECV)
        return -EALREADY;
    if (s->state != SOCK_CONNECTING)
        return 0;
    s->state = state == ST_CLOSE ? SOCK_UNCONNECTED : SOCK_CONNECTED;
    if (state != ST_CLOSE)
        return 0;
    /* As Linux: whoever is told of the failure has a fresh socket, which may try again. */
    err = sock_take_error(s);
    tcp_disconnect(s->sh, sock_tcb(s));
    return err ? err : -ECONNABORTED;
}

int sock_may_accept(const struct sock *s)
{
    if (s->type != SOCK_STREAM)
        return -EOPNOTSUPP;
    /* It may have been ended from outside (inspect_destroy). */
    return s->listening && tcp_state(sock_tcb(s)) == ST_LISTEN ? 0 : -EINVAL;
}

int sock_accept(struct stack *st, struct sock *s, struct sock **out)
{
    struct slab *slab = &st->ready->socks;
    struct sock *child;
    struct tcb *t;
    int r = sock_may_accept(s);

    if (r)
        return r;
    if (slab->in_use == slab->max) /* before a connection is taken off the queue and lost */
        return -ENFILE;
    t = tcp_accept(s->sh, sock_tcb(s));
    if (!t)
        return s->pcb->so_error ? sock_take_error(s) : -EAGAIN;
    child = sock_alloc(st, KIND_TCP, s->domain, s->type, s->protocol);
    child->filter_locked = s->filter_locked;
    sock_more_inherit(child, s);
    child->file.placement = PLACE_STACK;
    child->state = SOCK_CONNECTED;
    attach(child, (struct pcb *)t);
    *out = child;
    return 0;
}

int sock_shutdown(struct sock *s, int how)
{
    if (how < SHUT_RD || how > SHUT_RDWR)
        return -EINVAL;
    if (!sock_is_tcp(s))
        return sock_dgram_shutdown(s, how);
    if (s->state == SOCK_CONNECTING) { /* inet_shutdown */
        int state = tcp_state(sock_tcb(s));

        if (state == ST_SYN_SENT)
            return disconnect(s);
        s->state = state == ST_SYN_RECV || state == ST_CLOSE ? SOCK_DISCONNECTING : SOCK_CONNECTED;
    }
    if (s->listening) { /* inet_shutdown: the reading side ends the listening, the writing side means nothing
                         */
        if (how == SHUT_WR)
            return 0;
        disconnect(s);
        pcb_event(s->sh, s->pcb, EV_IN | EV_HUP);
        return 0;
    }
    return tcp_shutdown(s->sh, sock_tcb(s), how);
}

int sock_shut(const struct sock *s)
{
    return sock_is_tcp(s) ? tcp_shut(sock_tcb(s)) : sock_dgram_shut(s);
}

uint32_t sock_poll(struct sock *s)
{
    return sock_is_tcp(s) ? tcp_poll(sock_tcb(s)) : sock_dgram_poll(s);
}

/* The bits of EPOLL* that a protocol event may have set. */
static uint32_t event_bits(unsigned ev)
{
    uint32_t mask = 0;

    if (ev & EV_IN)
        mask |= EPOLLIN | EPOLLRDNORM;
    if (ev & EV_OUT)
        mask |= EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;
    if (ev & EV_ERR)
        mask |= EPOLLERR;
    if (ev & EV_HUP)
        mask |= EPOLLHUP | EPOLLRDHUP | EPOLLIN | EPOLLRDNORM | EPOLLOUT;
    if (ev & EV_RDHUP)
        mask |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
    if (ev & EV_PRI)
        mask |= EPOLLPRI | EPOLLRDBAND;
    return mask;
}

static void tell(struct shard *sh, const struct sock *s, int sig, int code)
{
    const struct sock_more *m = s->more;
    struct sig_due due = {.who = m->owner, .type = m->owner_type, .sig = (uint8_t)sig};

    if (m->sig && code) {
        due.sig = m->sig;
        due.code = (uint8_t)code;
        due.fd = m->sig_fd;
    }
    shard_signal(sh, &due);
}

/* SIGURG for urgent data; SIGIO, or what F_SETSIG asked for, for the rest when O_ASYNC is set (man 7 socket,
 * man 2 fcntl); s has an owner. Urgent data is told twice when there is a number (kill_fasync). */
static void tell_owner(struct shard *sh, const struct sock *s, unsigned ev)
{
    bool async = file_oflags(&s->file) & O_ASYNC;

    if (ev & EV_URG)
        tell(sh, s, SIGURG, 0);
    if ((ev & EV_URG) && async && s->more->sig)
        tell(sh, s, s->more->sig, POLL_PRI);
    if (!async)
        return;
    if (ev & EV_ERR)
        tell(sh, s, SIGIO, POLL_ERR);
    if (ev & EV_HUP)
        tell(sh, s, SIGIO, POLL_HUP);
    else if (ev & (EV_IN | EV_RDHUP))
        tell(sh, s, SIGIO, POLL_IN);
    if ((ev & EV_OUT) && !(ev & (EV_HUP | EV_ERR)))
        tell(sh, s, SIGIO, POLL_OUT);
}

void sock_hand_up(struct shard *sh)
{
    MARK(READY);
    while (!list_empty(&sh->dirty)) {
        struct pcb *pcb = container_of(sh->dirty.next, struct pcb, dirty);
        unsigned ev = pcb->events;
        struct sock *s = pcb->user;

        pcb->events = 0;
        list_del(&pcb->dirty);
        if (s && s->more && s->more->owner)
            tell_owner(stack_here(sh->st), s, ev);
        if (s && !list_empty(&s->file.watches))
            ready_notify(sh->st, &s->file, event_bits(ev));
    }
}
