/* api_proc.c: what is read below /proc and is the stack's: files of /proc/net, the numbers that sockets are
 * shown with, and who made them. */
#include <errno.h>
#include <string.h>

#include "api_int.h"
#include "netlink.h"
#include "procnet.h"
#include "procsys.h"

_Static_assert(sizeof(struct procnet_at) <= sizeof((struct proc_at){0}.at), "has room");

static int do_proc_find(const char *name)
{
    return procnet_find(name);
}

static size_t do_proc_read(int file, struct proc_at *at, char *buf, bool *more)
{
    return procnet_read(api_self.st, file, (struct procnet_at *)at->at, buf, more, api_enter, api_leave);
}

static int do_proc_sysctl(const char *path, char *buf)
{
    return procsys_read(&api_self.st->set, path, buf, PROC_PIECE);
}

/* A socket that stands for the file: all that a number can have happen to it (dup, fork, exec) happens to it
 * as to other sockets. */
static int do_proc_sysctl_write(int fd, const char *path)
{
    int i = procsys_writable(path), r = -EACCES;
    struct stack *st = api_self.st;
    struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_pid = (uint32_t)i};
    struct shard *sh;
    struct sock *s;

    if (i < 0)
        return i;
    sh = api_enter();
    if (nl_may_change(sh))
        r = sock_new(st, AF_NETLINK, SOCK_RAW, NETLINK_SYSCTL, &s);
    if (!r) {
        r = sock_connect(st, s, (struct sockaddr *)&to, sizeof to);
        if (!r)
            r = proc_install(st, api_self.proc, fd, &s->file);
        if (r)
            file_put(st, &s->file);
    }
    api_leave(sh);
    return r;
}

/* Without the lock it would have to be held against a close by the process whose number it is. */
static uint32_t do_proc_inode(int pid, int fd)
{
    struct shard *sh = api_enter();
    struct proc *p = pid ? family_find(api_self.st, pid) : api_self.proc;
    struct file *f = p ? proc_file(p, fd) : NULL;
    uint32_t ino = f && f->type == FILE_SOCK && f->placement != PLACE_KERNEL ? file_ino(f) : 0;

    shard_unlock(sh);
    return ino;
}

static bool do_proc_has(int pid)
{
    struct shard *sh = api_enter();
    bool has = family_find(api_self.st, pid) != NULL;

    shard_unlock(sh);
    return has;
}

static void do_set_uid(uint32_t uid)
{
    api_self.uid = uid;
}

void api_fill_proc(struct shunt_api *t)
{
    t->proc_find = do_proc_find;
    t->proc_read = do_proc_read;
    t->proc_sysctl = do_proc_sysctl;
    t->proc_sysctl_write = do_proc_sysctl_write;
    t->proc_inode = do_proc_inode;
    t->proc_has = do_proc_has;
    t->set_uid = do_set_uid;
}
