/* api_sock.c: placement, names, connections and options: each call is sock.h's, between enter and leave. */
#include <errno.h>
#include <limits.h>
#include <sys/mman.h>

#include "api_int.h"
#include "packet.h"
#include "sock_dgram.h"
#include "sock_if.h"
#include "user.h"

_Static_assert((int)SOCK_OP_SEND == (int)DECIDE_SEND && (int)SOCK_OP_BIND == (int)DECIDE_BIND, "same order");

#define OPT_MAX 8704 /* bytes: a multicast filter of 64 sources, the longest value there is */

/* The result of call, made with the socket `s` of ref `r` under the lock. */
#define WITH_SOCK(r, call)                                                                                   \
    ({                                                                                                       \
        int ret_ = 0;                                                                                        \
        struct sock *s = api_enter_sock((r), &ret_);                                                         \
        if (s) {                                                                                             \
            ret_ = (call);                                                                                   \
            api_leave(&api_self.st->shard[0]);                                                               \
        }                                                                                                    \
        ret_;                                                                                                \
    })

/* The program's socket address, as Linux's move_addr_to_kernel takes it. 0, -EINVAL, -EFAULT. */
static int take_name(struct sockaddr_storage *to, const struct sockaddr *sa, socklen_t len)
{
    if (len > sizeof *to)
        return -EINVAL;
    return user_copy(to, sa, len) ? 0 : -EFAULT;
}

static int do_placement(struct ref r)
{
    const struct file *f = api_file(r); /* without the lock, as get_flags */

    if (!f)
        return -EBADF;
    return f->type == FILE_SOCK ? (int)__atomic_load_n(&f->placement, __ATOMIC_RELAXED) : -ENOTSOCK;
}

static int do_decide(struct ref r, enum decide_op op, const struct sockaddr *sa, socklen_t len)
{
    struct sockaddr_storage ss;
    int err = take_name(&ss, sa, len);

    if (err)
        return err;
    return WITH_SOCK(r,
                     sock_decide(api_self.st, s, (enum sock_op)op, sa ? (struct sockaddr *)&ss : NULL, len));
}

static int do_set_placement(struct ref r, int placement)
{
    return WITH_SOCK(r, (sock_set_placement(api_self.st, s, (enum placement)placement), 0));
}

static int do_half(struct ref r, enum half_op op)
{
    return WITH_SOCK(r, op == HALF_ANY_PORT ? (s->pcb->flags &= (uint16_t)~PCB_PORT_LOCKED, 0)
                                            : sock_shut(s) | (s->pcb->flags & PCB_BOUND ? HALF_BOUND : 0));
}

static int do_opt_recorded(struct ref r, int i, int *level, int *name, void *val, socklen_t *len)
{
    return WITH_SOCK(r, sock_opt_recorded(s, i, level, name, val, len));
}

static int do_bind(struct ref r, const struct sockaddr *sa, socklen_t len)
{
    struct sockaddr_storage ss;
    int err = take_name(&ss, sa, len);

    return err ? err : WITH_SOCK(r, sock_bind(api_self.st, s, (struct sockaddr *)&ss, len));
}

static int do_listen(struct ref r, int backlog)
{
    return WITH_SOCK(r, sock_listen(api_self.st, s, backlog));
}

static int do_connect(struct ref r, const struct sockaddr *sa, socklen_t len)
{
    struct sockaddr_storage ss;
    int err = take_name(&ss, sa, len);

    return err ? err : WITH_SOCK(r, sock_connect(api_self.st, s, (struct sockaddr *)&ss, len));
}

static int do_connect_result(struct ref r)
{
    return WITH_SOCK(r, sock_connect_result(s));
}

/* Takes a connection, looking at the devices once when there is none. */
static int take_child(struct sock *s, struct sock **child)
{
    int r = sock_accept(api_self.st, s, child);

    if (r == -EAGAIN) {
        shard_poll(s->sh, s->sh->now_ns);
        r = sock_accept(api_self.st, s, child);
    }
    return r;
}

static int accept_into(struct sock *s, int newfd, struct sockaddr *sa, socklen_t *len)
{
    struct sock *child;
    int r;

    r = take_child(s, &child);
    if (r)
        return r;
    child->uid = api_self.uid;
    if (sa) /* the name, whatever became of the connection since; a bad length costs the connection, as in
               Linux */
        r = sock_addr_put(child, &child->pcb->remote, sa, len);
    if (!r)
        r = proc_install(api_self.st, api_self.proc, newfd, &child->file);
    if (r)
        file_put(api_self.st, &child->file);
    return r;
}

/* Is there a connection to take, or an error that accept will tell? */
static int can_accept(struct sock *s)
{
    int r = sock_may_accept(s);

    if (!r && !sock_poll(s))
        shard_poll(s->sh, s->sh->now_ns);
    return r ? r : sock_poll(s) ? 0 : -EAGAIN;
}

static int do_accept(struct ref r, int newfd, struct sockaddr *sa, socklen_t *len)
{
    if (newfd < 0)
        return WITH_SOCK(r, can_accept(s));
    return WITH_SOCK(r, accept_into(s, newfd, sa, len));
}

static int do_shutdown(struct ref r, int how)
{
    return WITH_SOCK(r, sock_shutdown(s, how));
}

static int do_getsockname(struct ref r, struct sockaddr *sa, socklen_t *len)
{
    return WITH_SOCK(r, sock_getsockname(s, sa, len));
}

static int do_getpeername(struct ref r, struct sockaddr *sa, socklen_t *len)
{
    return WITH_SOCK(r, sock_getpeername(s, sa, len));
}

/* Options that say in the buffer what they are asked about: bytes of it they need; INT_MAX: another one. */
static int says_in_buffer(int level, int name)
{
    if (level == SOL_PACKET && name == PACKET_HDRLEN)
        return sizeof(int);
    if (level == IPPROTO_IP && name == IP_MSFILTER)
        return IP_MSFILTER_SIZE(0);
    if ((level == IPPROTO_IP || level == IPPROTO_IPV6) && name == MCAST_MSFILTER)
        return GROUP_FILTER_SIZE(0);
    return INT_MAX;
}

static int do_getsockopt(struct ref r, int level, int name, void *val, socklen_t *len)
{
    uint8_t own[OPT_MAX];
    socklen_t n, room;
    int err;

    if (!user_copy(&n, len, sizeof n))
        return WITH_SOCK(r, sock_knows_level(s, level) ? -EFAULT : sock_no_level(s));
    if (level == SOL_SOCKET && name == SO_GET_FILTER) { /* its length counts no bytes: filter_get copies */
        err = WITH_SOCK(r, sock_getsockopt(api_self.st, s, level, name, val, &n));
        return err ? err : user_copy(len, &n, sizeof n) ? 0 : -EFAULT;
    }
    if (((int)n >= 0 || (level == IPPROTO_IPV6 && name != MCAST_MSFILTER)) &&
        n > sizeof own) /* IPV6's length has no sign */
        n = sizeof own;
    if ((int)n >= says_in_buffer(level, name) && (int)n > 0 && !user_copy(own, val, n))
        return WITH_SOCK(r, sock_knows_level(s, level) ? -EFAULT : sock_no_level(s));
    room = n;
    err = WITH_SOCK(r, sock_getsockopt(api_self.st, s, level, name, own, &n));
    if (err)
        return err;
    /* NETLINK_LIST_MEMBERSHIPS tells how much there would be. */
    return user_copy(val, own, RTE_MIN(n, room)) && user_copy(len, &n, sizeof n) ? 0 : -EFAULT;
}

static int do_setsockopt(struct ref r, int level, int name, const void *val, socklen_t len)
{
    uint8_t own[OPT_MAX];
    socklen_t n = (int)len >= 0 && len > sizeof own ? sizeof own : len;

    if ((int)n > 0 && !user_copy(own, val, n)) {
        if (val || WITH_SOCK(r, sock_ip_null_is_fault(s, level, name)))
            return WITH_SOCK(r, sock_knows_level(s, level) ? -EFAULT : -ENOPROTOOPT);
        memset(own, 0, n);
    }
    return WITH_SOCK(r, sock_setsockopt(api_self.st, s, level, name, own, n));
}

static int do_ioctl(struct ref r, unsigned long req, void *arg)
{
    return WITH_SOCK(r, sock_ioctl(api_self.st, s, req, arg));
}

/* Without the lock, as api_fd.c's get_flags: words that are written as such, and memory of a file stays a
 * file's. */
static int do_sock_type(struct ref r)
{
    struct file *f = api_file(r);

    if (!f)
        return -EBADF;
    return __atomic_load_n(&f->type, __ATOMIC_RELAXED) == FILE_SOCK
               ? __atomic_load_n(&file_sock(f)->type, __ATOMIC_RELAXED)
               : -ENOTSOCK;
}

/* The same. */
static int do_timeo_us(struct ref r, int64_t *rcv, int64_t *snd)
{
    struct file *f = api_file(r);
    const struct sock_more *m;

    if (!f)
        return -EBADF;
    if (__atomic_load_n(&f->type, __ATOMIC_RELAXED) != FILE_SOCK)
        return -ENOTSOCK;
    m = __atomic_load_n(&file_sock(f)->more, __ATOMIC_RELAXED);
    *rcv = m ? __atomic_load_n(&m->rcvtimeo_us, __ATOMIC_RELAXED) : 0;
    *snd = m ? __atomic_load_n(&m->sndtimeo_us, __ATOMIC_RELAXED) : 0;
    return 0;
}

static int do_set_owner(struct ref r, int type, int who)
{
    return WITH_SOCK(r, SOCK_MORE_SET(s, owner, who) ?: SOCK_MORE_SET(s, owner_type, (uint8_t)type));
}

static int do_set_sig(struct ref r, int sig)
{
    return WITH_SOCK(r, SOCK_MORE_SET(s, sig, (uint8_t)sig));
}

static int do_get_sig(struct ref r)
{
    return WITH_SOCK(r, sock_more(s)->sig);
}

static int do_get_owner(struct ref r, int *type, int *who)
{
    return WITH_SOCK(r, (*who = sock_more(s)->owner, *type = sock_more(s)->owner_type, 0));
}

/* The pieces of a ring, one behind the other. */
static int map_pieces(const struct ring_piece piece[2], void *addr, int prot, int flags, void **out)
{
    const int fixed = MAP_FIXED | MAP_FIXED_NOREPLACE;
    size_t total = piece[0].bytes + piece[1].bytes;
    char *at;
    int err = 0;

    /* A place for all of it first. */
    at = mmap(addr, total, PROT_NONE, (flags & fixed) | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return -errno;
    *out = at;
    flags = (flags & ~fixed) | MAP_FIXED;
    for (int i = 0; i < 2 && !err; i++) {
        if (piece[i].bytes)
            seg_map(api_self.st->seg, piece[i].p, piece[i].bytes, at, prot, flags, &err);
        at += piece[i].bytes;
    }
    if (err)
        munmap(*out, total);
    return err;
}

/* A socket that nothing has sent to the host yet is the stack's by this: its ring can't change sides. */
static int map_sock(struct sock *s, void *addr, size_t len, int prot, int flags, off_t off, void **out)
{
    struct ring_piece piece[2];
    int r;

    if (s->kind != KIND_PACKET)
        return -ENODEV;
    r = off ? -EINVAL : packet_ring_pieces(sock_packet(s), len, piece);
    if (!r)
        r = map_pieces(piece, addr, prot, flags, out);
    if (!r && s->file.placement == PLACE_UNDECIDED)
        sock_set_placement(api_self.st, s, PLACE_STACK);
    return r;
}

static int do_map(struct ref r, void *addr, size_t len, int prot, int flags, off_t off, void **out)
{
    return WITH_SOCK(r, map_sock(s, addr, len, prot, flags, off, out));
}

static int do_if_get(unsigned i, struct if_info *out)
{
    struct shard *sh = api_enter();
    int r = sock_if_get(api_self.st, i, out);

    api_leave(sh);
    return r;
}

static int do_if_ioctl(int domain, unsigned long req, void *arg)
{
    struct shard *sh = api_enter();
    int r = sock_if_set(sh, domain, req, arg);

    if (r > 0)
        r = sock_if_ioctl(api_self.st, domain, req, arg);
    api_leave(sh);
    return r;
}

void api_fill_sock(struct shunt_api *t)
{
    t->if_get = do_if_get;
    t->if_ioctl = do_if_ioctl;
    t->map = do_map;
    t->placement = do_placement;
    t->decide = do_decide;
    t->set_placement = do_set_placement;
    t->half = do_half;
    t->opt_recorded = do_opt_recorded;
    t->bind = do_bind;
    t->listen = do_listen;
    t->connect = do_connect;
    t->connect_result = do_connect_result;
    t->accept = do_accept;
    t->shutdown = do_shutdown;
    t->getsockname = do_getsockname;
    t->getpeername = do_getpeername;
    t->getsockopt = do_getsockopt;
    t->setsockopt = do_setsockopt;
    t->ioctl = do_ioctl;
    t->sock_type = do_sock_type;
    t->timeo_us = do_timeo_us;
    t->set_owner = do_set_owner;
    t->get_owner = do_get_owner;
    t->set_sig = do_set_sig;
    t->get_sig = do_get_sig;
}
