/* api_io.c: data: sendmsg, recvmsg, sendfile. A call that finds nothing to do looks at the devices once
 * before it says so. */
#include <errno.h>

#include "api_int.h"
#include "pkt.h"
#include "sendfile.h"

/* Linux's MAX_RW_COUNT: what one call moves at most. */
#define RW_COUNT_MAX 0x7ffff000u

/* Looks at the devices before the call goes on with s. */
static void poll_again(struct sock *s)
{
    shard_poll(s->sh, s->sh->now_ns);
    s->sh->work = s->pcb;
    list_step();
}

/* Flags of a send and of a recv that need no more than the connection itself. */
#define SEND_PLAIN (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE | MSG_EOR)
#define RECV_PLAIN (MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC | MSG_WAITALL | MSG_CMSG_CLOEXEC)

static ssize_t do_sendmsg(struct ref r, const struct msghdr *msg, int flags, size_t skip)
{
    int err = 0;
    bool lane = !(flags & ~SEND_PLAIN) && !msg->msg_controllen;
    struct sock *s = api_enter_plain(r, lane, &err);
    ssize_t n;

    if (!s)
        return err;
    n = sock_sendmsg(api_self.st, s, msg, flags, skip);
    if (n == -EAGAIN) {
        poll_again(s);
        n = sock_sendmsg(api_self.st, s, msg, flags, skip);
    }
    api_leave(s->sh);
    return n;
}

/* left_some: NULL: under all locks; set when there was something for those that may be what was missed. */
static __rte_always_inline ssize_t recvmsg_once(struct ref r, struct msghdr *msg, int flags, size_t skip,
                                                bool *left_some)
{
    /* An attempt that finds nothing has set both to zero. */
    socklen_t namelen = msg->msg_namelen;
    size_t controllen = msg->msg_controllen;
    int err = 0;
    struct sock *s = api_enter_plain(r, left_some && !(flags & ~RECV_PLAIN), &err);
    ssize_t n;

    if (!s)
        return err;
    n = sock_recvmsg(api_self.st, s, msg, flags, skip);
    if (n == -EAGAIN) {
        poll_again(s);
        msg->msg_namelen = namelen;
        msg->msg_controllen = controllen;
        n = sock_recvmsg(api_self.st, s, msg, flags, skip);
    }
    if (n == -EAGAIN) { /* for the caller's next round */
        msg->msg_namelen = namelen;
        msg->msg_controllen = controllen;
        if (left_some)
            *left_some = api_left_some(s);
    }
    api_leave(s->sh);
    return n;
}

static __rte_noinline ssize_t recvmsg_of_many(struct ref r, struct msghdr *msg, int flags, size_t skip)
{
    bool left_some = false;
    ssize_t n = recvmsg_once(r, msg, flags, skip, &left_some);

    return left_some ? recvmsg_once(r, msg, flags, skip, NULL) : n;
}

static ssize_t do_recvmsg(struct ref r, struct msghdr *msg, int flags, size_t skip)
{
    return api_has_lanes() ? recvmsg_of_many(r, msg, flags, skip) : recvmsg_once(r, msg, flags, skip, NULL);
}

/* The file is read into the chunk's buffers without the lock: they are this process's alone meanwhile. */
static void hold(struct file_chunk *c)
{
    for (unsigned i = 0; i < c->n; i++)
        pkt_hold(c->m[i], api_self.proc);
    api_self.proc->holds += c->n;
}

static void unhold(struct file_chunk *c)
{
    api_self.proc->holds -= c->n;
    for (unsigned i = 0; i < c->n; i++)
        pkt_unhold(c->m[i]);
}

static int take_chunk(struct ref r, struct file_chunk *c, size_t count)
{
    int err = 0;
    struct sock *s = api_enter_sock_here(r, &err);

    if (!s)
        return err;
    if (!sock_is_tcp(s)) {
        /* preload/ sends a file as datagrams itself. */
        err = s->pcb->remote.port_be ? -EINVAL : -EDESTADDRREQ;
    } else {
        err = chunk_take(s, c, count);
        if (err == -EAGAIN) {
            poll_again(s);
            err = chunk_take(s, c, count);
        }
        if (!err)
            hold(c);
    }
    api_leave(s->sh);
    return err;
}

/* Also when the socket is gone by now: the buffers must go back under the lock. */
static ssize_t give_chunk(struct ref r, struct file_chunk *c, bool more)
{
    struct shard *sh = api_enter();
    struct file *f = api_file(r);
    ssize_t n = -EBADF;

    unhold(c);
    if (f && f->type == FILE_SOCK && sock_is_tcp(file_sock(f)) && !sock_is_plain(file_sock(f)))
        shard_recall(api_self.st, file_sock(f)->pcb);
    if (f && f->type == FILE_SOCK && sock_is_tcp(file_sock(f)) && c->bytes)
        n = chunk_send(file_sock(f), c, more);
    chunk_drop(c);
    api_leave(sh);
    return n;
}

/* One round of what follows. */
static ssize_t send_extent_round(struct ref r, struct extent_send *x, uint64_t off, size_t count)
{
    int err = -EOPNOTSUPP;
    struct sock *s = api_enter_sock_here(r, &err);
    ssize_t n = err;

    if (!s || !sock_is_tcp(s)) {
        struct shard *sh = s ? s->sh : api_enter();

        extents_drop(sh->st, x);
        api_leave(sh);
        return s ? -EOPNOTSUPP : err;
    }
    n = extents_send(s, x, off, count);
    if (n == -EAGAIN) {
        poll_again(s);
        n = extents_send(s, x, off, count);
    }
    if (n > 0)
        s->sh->count[COUNT_UNCOPIED] += (uint64_t)n;
    api_leave(s->sh);
    return n;
}

/* The extent that a round asked for is read. Where the file is another one meanwhile, what was read is as
 * good as what Linux sends, for this call; 0: nothing more comes. */
static ssize_t load_extent(struct extent_send *x, int in_fd, uint64_t off)
{
    int err = extent_load(x->e, in_fd, &x->id, x->e_off, x->e_want);

    if (!err)
        return 1;
    x->keep = false;
    if (err == -ESTALE && extent_identify(in_fd, &x->id))
        x->id.size = 0;
    return err != -ESTALE ? err : x->e_off + x->e->len > off;
}

/* sendfile without a copy. -EOPNOTSUPP: not with this file. */
static ssize_t send_extents(struct ref r, int in_fd, off_t *off, size_t count)
{
    struct extent_send x = {.owner = api_self.proc->pid};
    size_t done = 0;
    ssize_t n = extent_identify(in_fd, &x.id);

    if (n)
        return n;
    n = -EOPNOTSUPP;
    while (done < count && (uint64_t)*off < x.id.size) {
        size_t left = count - done < x.id.size - (uint64_t)*off ? count - done : x.id.size - (uint64_t)*off;

        n = send_extent_round(r, &x, (uint64_t)*off, left);
        if (n > 0) {
            *off += n;
            done += (size_t)n;
        } else if (n < 0 || (n = load_extent(&x, in_fd, (uint64_t)*off)) <= 0) {
            break;
        }
    }
    if (x.e) {
        struct shard *sh = api_enter();

        extents_drop(sh->st, &x);
        api_leave(sh);
    }
    return done ? (ssize_t)done : n;
}

static ssize_t do_sendfile(struct ref r, int in_fd, off_t *off, size_t count)
{
    struct file_chunk c;
    size_t done = 0;
    ssize_t n = 0;

    if (*off < 0)
        return -EINVAL;
    if (count > RW_COUNT_MAX)
        count = RW_COUNT_MAX;
    if (api_self.st->extents && count && (n = send_extents(r, in_fd, off, count)) != -EOPNOTSUPP)
        return n;
    while (done < count) {
        bool at_end = false;
        ssize_t got;

        n = take_chunk(r, &c, count - done);
        if (n)
            break;
        got = chunk_read(&c, in_fd, *off, &at_end);
        if (got <= 0)
            c.bytes = 0;
        n = give_chunk(r, &c, !at_end && done + (size_t)(got > 0 ? got : 0) < count);
        if (got <= 0 || n < 0) {
            n = got <= 0 ? got : n;
            break;
        }
        *off += n;
        done += (size_t)n;
        if (n < got || at_end)
            break;
    }
    return done ? (ssize_t)done : n;
}

void api_fill_io(struct shunt_api *t)
{
    t->sendmsg = do_sendmsg;
    t->recvmsg = do_recvmsg;
    t->sendfile = do_sendfile;
}
