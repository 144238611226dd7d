/* api_fd.c: descriptors of this process: making, duplicating, closing, pinning, flags. */
#include <errno.h>
#include <fcntl.h>

#include "api_int.h"
#include "file.h"
#include "tcp.h"

/* What F_SETFL may change of a socket. */
#define FILE_FLAGS (O_NONBLOCK | O_ASYNC | O_APPEND | O_NOATIME)

static int fd_socket(int fd, int domain, int type, int protocol)
{
    struct stack *st = api_self.st;
    struct shard *sh = api_enter();
    struct sock *s;
    int r = sock_new(st, domain, type, protocol, &s);

    if (!r) {
        s->uid = api_self.uid;
        r = proc_install(st, api_self.proc, fd, &s->file);
        if (r)
            file_put(st, &s->file);
    }
    api_leave(sh);
    return r;
}

static int fd_dup(struct ref r, int newfd)
{
    int err = 0;
    struct file *f = api_enter_file(r, &err);

    if (!f)
        return err;
    file_hold(f);
    err = proc_install(api_self.st, api_self.proc, newfd, f);
    if (err)
        file_put(api_self.st, f);
    api_leave(&api_self.st->shard[0]);
    return err;
}

static int fd_close(int fd)
{
    struct shard *sh = api_enter();
    int r = proc_close(api_self.st, api_self.proc, fd);

    api_leave(sh);
    return r;
}

/* The last descriptor of a stream that lingers: the file stays, by a pin, until the caller has waited. */
static uint32_t linger_begin(struct file *f)
{
    uint32_t s;

    if (f->type != FILE_SOCK || f->refs != 1 || !sock_is_tcp(file_sock(f)))
        return 0;
    shard_recall(api_self.st, file_sock(f)->pcb);
    s = tcp_linger_begin(file_sock(f)->sh, sock_tcb(file_sock(f)));
    if (!s || proc_pin(api_self.st, api_self.proc, f))
        return 0;
    ready_forget(api_self.st, f); /* for those who watch it is closed */
    return s;
}

static int fd_close_linger(int fd, struct ref *r)
{
    struct shard *sh = api_enter();
    struct file *f = proc_file(api_self.proc, fd);
    uint32_t s = f ? linger_begin(f) : 0;
    int err = proc_close(api_self.st, api_self.proc, fd);

    *r = (struct ref){.fd = -1, .pin = s ? f : NULL};
    api_leave(sh);
    return err ? err : (int)s;
}

static int fd_lingers(struct ref r)
{
    struct shard *sh = api_enter();
    int more = r.pin && tcp_lingers(sock_tcb(file_sock(r.pin)));

    api_leave(sh);
    return more;
}

static int fd_pin(struct ref *r)
{
    int err = 0;
    struct file *f = api_enter_file(*r, &err);

    if (!f)
        return err;
    err = proc_pin(api_self.st, api_self.proc, f);
    if (!err)
        r->pin = f;
    shard_unlock(&api_self.st->shard[0]);
    return err;
}

static void fd_unpin(struct ref *r)
{
    struct shard *sh = api_enter();

    if (r->pin)
        proc_unpin(api_self.st, api_self.proc, r->pin);
    r->pin = NULL;
    api_leave(sh); /* it may have been the last reference */
}

/* This and file_type read one word that is written as one, without the lock: memory of a file stays a file's
 * (slab.h), and who closes the number at the same time may get either answer on the kernel too. */
static int fd_get_flags(struct ref r)
{
    const struct file *f = api_file(r);

    return f ? file_oflags(f) : -EBADF;
}

static int fd_set_flags(struct ref r, int flags)
{
    int err = 0;
    struct file *f = api_enter_file(r, &err);

    if (!f)
        return err;
    if ((flags & ~file_oflags(f) & O_ASYNC) && f->type == FILE_SOCK)
        err = SOCK_MORE_SET(file_sock(f), sig_fd, r.fd);
    if (!err)
        file_set_oflags(f, flags & FILE_FLAGS);
    shard_unlock(&api_self.st->shard[0]);
    return err;
}

static int fd_file_type(struct ref r)
{
    const struct file *f = api_file(r);

    return f ? __atomic_load_n(&f->type, __ATOMIC_RELAXED) : -EBADF;
}

static int fd_same_file(int fd, int from)
{
    struct shard *sh = api_enter();
    const struct proc *p = api_self.proc;
    const struct file *f = proc_file(p, fd);
    int found = -1;

    for (int i = from < 0 ? 0 : from; f && found < 0 && (uint32_t)i < p->fd_end; i++)
        if (p->fds[i] == f)
            found = i;
    shard_unlock(sh);
    return found;
}

void api_fill_fd(struct shunt_api *t)
{
    t->socket = fd_socket;
    t->dup = fd_dup;
    t->close = fd_close;
    t->close_linger = fd_close_linger;
    t->lingers = fd_lingers;
    t->pin = fd_pin;
    t->unpin = fd_unpin;
    t->get_flags = fd_get_flags;
    t->set_flags = fd_set_flags;
    t->file_type = fd_file_type;
    t->same_file = fd_same_file;
}
