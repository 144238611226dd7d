/* process.c: the processes of the family, seen from inside one of them: its first entry, fork, exec and exit.
 *
 * Theory of operation. A process has a place in the family's table (stack/family.h), and this process's own
 * is known to the api functions (api_bind). Before a fork the child's place is made, with references to
 * everything the parent has; after it both say which pid it became, so that it does not matter which of them
 * is killed first. The keeper is told, to watch it.
 *
 * Namespaces of processes. The table's numbers are the keeper's: it is the one who has to know that a process
 * died. A program can make a child in a namespace of its own (clone, unshare: sandboxes, privilege
 * separation), where getpid says 1. Such a child has no parent that it could name (getppid says 0), and its
 * descendants inherit the knowledge. What the keeper calls them stands in /proc, which was mounted from
 * outside; it is opened at once, before a chroot. Where /proc is another namespace's or not there, the parent
 * alone names its child.
 *
 * An exec keeps the place (family.h); a new image finds it again when it joins.
 *
 * At exit the descriptors are released but the place stays: other threads may still be at work on the number
 * table, and the keeper frees it once the process is dead.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../../dpdk/fds.h"
#include "../../stack/api_int.h"
#include "../../stack/family.h"
#include "../../stack/file.h"
#include "../../stack/log.h"
#include "../../stack/mark.h"
#include "engine.h"

#define FORK_STALE_NS                                                                                        \
    (10ull * NS_IN_S) /* a fork that neither side finished: both were killed in the middle */
#define FORK_ORPHAN_NS                                                                                       \
    (700ull * NS_IN_MS) /* the same when the parent is known to be dead: the child, if there is one, names   \
                           itself in its first moments */

#define NAMED_WAIT_MS 1000

static struct proc *self; /* this process's place; NULL: it has none */

/* The fork that this thread is at: between fork_prepare and fork_parent or fork_child. */
static __thread struct proc *child;
static __thread uint64_t child_since_ns;

static void leave(struct shard *sh)
{
    shard_flush(sh);
    shard_unlock(sh);
}

/* What this process is called: by itself (own), and by the keeper (0: not yet known). proc_ok: /proc has the
 * keeper's numbers; proc_dir: /proc, held by whose own number is another than the keeper's. */
static struct {
    int own, keeper;
    bool foreign;
    bool proc_ok;
    int proc_dir;
} me = {.proc_dir = -1};

static int number_in_proc(int dir, const char *path)
{
    char text[16];
    int n = (int)sys4(SYS_readlinkat, dir, path, text, sizeof(text) - 1);

    if (n <= 0)
        return 0;
    text[n] = 0;
    return atoi(text);
}

static void name_first(void)
{
    me.own = me.keeper = (int)sys0(SYS_getpid);
    me.proc_ok = number_in_proc(AT_FDCWD, "/proc/self") == me.own;
}

/* In the child of a fork. */
static void name_child(void)
{
    me.own = me.keeper = (int)sys0(SYS_getpid);
    if (!me.foreign && sys0(SYS_getppid) != 0)
        return;
    me.foreign = true;
    if (me.proc_ok && me.proc_dir < 0)
        me.proc_dir = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    me.keeper = me.proc_dir < 0 ? 0 : number_in_proc(me.proc_dir, "self");
}

uint64_t process_namespace(void)
{
    struct stat sb;

    return sys4(SYS_newfstatat, AT_FDCWD, "/proc/self/ns/pid", &sb, 0) == 0 ? sb.st_ino : 0;
}

/* In an image that joins: what the keeper calls it. False: not known. */
static bool name_joined(void)
{
    name_first();
    if (process_namespace() == engine.shared->common.pid_ns)
        return true;
    me.foreign = true;
    me.keeper = join_number();
    if (me.proc_ok) /* it is this namespace's */
        me.proc_ok = false;
    else
        me.proc_dir = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return me.keeper != 0;
}

int process_number(void)
{
    return me.keeper;
}

static void set_self(struct proc *p)
{
    self = p;
    api_bind(engine.st, p);
    engine.api.fdt = p ? p->fds : NULL;
}

int process_first(void)
{
    struct shard *sh;
    struct proc *p;

    name_first();
    sh = engine_enter();
    p = family_enter(engine.st, me.own, 0);

    leave(sh);
    if (!p) {
        log_error("out of memory for the table of processes");
        return -ENOMEM;
    }
    self = p;
    return 0;
}

struct proc *process_self(void)
{
    return self;
}

bool process_fork_room(void)
{
    struct shard *sh;
    bool room;

    if (!self)
        return true;
    sh = engine_enter();
    room = family_room(engine.st);
    shard_unlock(sh);
    return room;
}

int process_fork_prepare(void)
{
    struct shard *sh;

    child = NULL;
    if (!self)
        return -ESRCH;
    sh = engine_enter();
    child = family_fork(engine.st, self);
    if (child)
        child_since_ns = child->since_ns;
    leave(sh);
    return child ? 0 : -EAGAIN;
}

void process_fork_parent(bool ok, int child_pid)
{
    struct shard *sh;

    if (!child)
        return;
    sh = engine_enter();
    /* The child may have named itself, died and been reaped by now, and its place be another's. */
    if (child->state == PROC_FORKING && child->forker == me.keeper && child->since_ns == child_since_ns) {
        if (!ok)
            family_reap(engine.st, child);
        else if (!me.foreign) /* else the number says nothing to the keeper */
            family_child(child, child_pid, 0);
    }
    leave(sh);
    child = NULL;
    if (ok)
        keeper_kick();
}

/* The number that the parent gives the child's place p, which it does as soon as it goes on; else, or when it
 * does not know better, the child's own number. */
static int named_by_parent(const struct proc *p)
{
    struct timespec pause = {0, 1000000};

    for (int i = 0; i < NAMED_WAIT_MS; i++) {
        if (__atomic_load_n(&p->state, __ATOMIC_ACQUIRE) != PROC_FORKING)
            return p->pid;
        sys2(SYS_nanosleep, &pause, NULL);
    }
    return me.own;
}

void process_fork_child(void)
{
    struct shard *sh;
    struct proc *p = child;

    child = NULL;
    fds_after_fork();
    sleep_after_fork();
    ticket_child();
    stopped_allow();
    name_child();
    if (p && !me.keeper)
        me.keeper = named_by_parent(p);
    if (p) {
        sh = engine_enter();
        /* Stopped for so long that its place was given to another: it has none, and no stack. */
        if ((p->state == PROC_FORKING && p->since_ns == child_since_ns) ||
            (p->state == PROC_LIVE && p->pid == me.keeper))
            family_child(p, me.keeper, 0);
        else
            p = NULL;
        leave(sh);
    }
    set_self(p);
}

/* --- exec --- */

/* x's place, if it still is what it was. */
static struct proc *exec_proc(const struct exec_place *x)
{
    struct proc *p = x->slot < FAMILY_MAX ? family_at(engine.st, x->slot) : NULL;

    return p && p->state != PROC_FREE && p->token == x->token ? p : NULL;
}

static unsigned slot_of(const struct proc *p)
{
    return (unsigned)(p - family_at(engine.st, 0));
}

int process_exec_begin(bool own, int pid, struct exec_place *out)
{
    struct shard *sh;
    struct proc *p;
    int rc = 0;

    if (!self)
        return -ESRCH;
    sh = engine_enter();
    if (own) {
        p = self;
        rc = me.own == (int)sys0(SYS_getpid)
                 ? family_exec_begin(engine.st, p, me.foreign ? 0 : (int)sys0(SYS_gettid))
                 : -ESRCH;
    } else {
        pid = me.foreign ? 0 : pid;
        p = family_enter(engine.st, pid, 0);
        if (!p)
            rc = -EAGAIN;
        else if (!pid)
            family_unborn(p, me.keeper, sh->now_ns);
        if (p)
            p->fresh = 1;
    }
    if (!rc)
        *out = (struct exec_place){.slot = slot_of(p), .token = p->token, .own = own};
    leave(sh);
    if (!rc && (own || pid))
        keeper_kick();
    return rc;
}

int process_exec_keep(const struct exec_place *x, int fd, int from, uint8_t bits)
{
    struct shard *sh = engine_enter();
    struct proc *p = exec_proc(x);
    struct file *f = proc_file(self, from);
    int rc = p && f ? 0 : -EBADF;

    if (!rc && !x->own) {
        file_hold(f);
        rc = proc_install(engine.st, p, fd, f);
        if (rc)
            file_put(engine.st, f);
    }
    if (!rc)
        proc_mark(p, fd, bits);
    leave(sh);
    return rc;
}

void process_exec_failed(const struct exec_place *x)
{
    struct shard *sh = engine_enter();
    struct proc *p = exec_proc(x);

    if (p && x->own)
        family_exec_failed(engine.st, p);
    else if (p)
        family_reap(engine.st, p);
    leave(sh);
}

void process_exec_child(const struct exec_place *x, int pid)
{
    struct shard *sh = engine_enter();
    struct proc *p = exec_proc(x);

    /* It may have joined, and named itself, by now. */
    if (p && p->state == PROC_FORKING && !me.foreign)
        family_child(p, pid, 0);
    leave(sh);
    keeper_kick();
}

/* The place that SHUNT_PLACE names, for an image whose pid has none: made by its parent for it; or of a
 * program that could not be preloaded, holds sockets and has executed or forked this one. */
static struct proc *place_given(const char *text)
{
    unsigned slot;
    unsigned long long token;
    struct proc *p, *copy;

    if (!text || sscanf(text, "%u:%llu", &slot, &token) != 2)
        return NULL;
    p = exec_proc(&(struct exec_place){.slot = slot, .token = token});
    if (!p)
        return NULL;
    if (p->state == PROC_FORKING) {
        family_child(p, me.keeper, 0);
        return p;
    }
    if (!p->fresh || !(copy = family_fork(engine.st, p)))
        return NULL;
    for (uint32_t fd = 0; fd < p->fd_end; fd++)
        proc_mark(copy, (int)fd, p->marks[fd]);
    family_child(copy, me.keeper, 0);
    return copy;
}

int process_join(const char *place)
{
    struct shard *sh;
    struct proc *p;

    if (!name_joined())
        return -ESRCH;
    sh = engine_enter();
    p = family_find(engine.st, me.keeper);
    if (p)
        family_exec_join(engine.st, p);
    else
        p = place_given(place);
    if (!p)
        p = family_enter(engine.st, me.keeper, 0);
    if (p) {
        p->joined = 1;
        p->fresh = 0;
        p->portless = engine.portless;
        engine.api.passed = p->marks;
        engine.api.passed_end = (int)p->fd_end;
    }
    leave(sh);
    if (!p)
        return -EAGAIN;
    self = p;
    return 0;
}

void process_confine(void)
{
    struct shard *sh;

    if (!engine.ports_came || engine.portless || !self)
        return;
    sh = engine_enter();
    for (unsigned i = 0; i < engine.ndev; i++)
        netdev_register(engine.dev[i]->index, NULL);
    engine.ndev = 0;
    engine.portless = true;
    self->portless = 1;
    shard_set_relay(sleep_relayed);
    leave(sh);
    keeper_kick();
}

bool process_execs(unsigned slot)
{
    struct proc *p = family_at(engine.st, slot);

    bool gone = p->exec_begun && p->exec_tid && sys3(SYS_tgkill, p->pid, p->exec_tid, 0) == -ESRCH;

    return p->exec_begun && !family_exec_done(engine.st, p, gone);
}

bool process_portless(unsigned slot)
{
    return family_at(engine.st, slot)->state == PROC_LIVE && family_at(engine.st, slot)->portless;
}

/* --- the end --- */

void process_exit(void)
{
    struct proc *p = self;
    struct shard *sh;

    if (!p || me.own != (int)sys0(SYS_getpid))
        return;
    sh = engine_enter();
    p->ended = 1;
    for (int fd = (int)p->fd_end - 1; fd >= 0; fd--)
        proc_close(engine.st, p, fd);
    leave(sh);
    MARK_REPORT();
}

void process_leave(void)
{
    struct shard *sh = engine_enter();

    family_reap(engine.st, self);
    leave(sh);
    self = NULL;
    keeper_kick();
}

unsigned process_slots(void)
{
    return family_slots(engine.st);
}

int process_pid(unsigned slot)
{
    struct proc *p = family_at(engine.st, slot);
    uint64_t age_ns = engine.st->shard[0].now_ns - p->since_ns;

    if (p->state == PROC_FORKING &&
        (age_ns > FORK_STALE_NS || (age_ns > FORK_ORPHAN_NS && p->forker != engine.shared->keeper_pid &&
                                    !family_find(engine.st, p->forker))))
        family_reap(engine.st, p);
    return p->state == PROC_FREE ? 0 : p->pid;
}

void process_reap(unsigned slot)
{
    family_reap(engine.st, family_at(engine.st, slot));
}

/* Whether the process that the keeper calls pid is dead: gone, or waiting for its parent to ask. */
static bool is_dead(int pid)
{
    int fd = (int)sys2(SYS_pidfd_open, pid, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct timespec none = {0};
    bool dead;

    if (fd < 0)
        return fd == -ESRCH;
    dead = sys6(SYS_ppoll, (long)&p, 1, (long)&none, 0, 8, 0) == 1;
    sys1(SYS_close, fd);
    return dead;
}

/* The kernel closes a process's sockets before anybody learns that it is dead. The keeper learns it a little
 * later than who waited for it, and that one may be about to bind to the address of the dead one's socket. */
void process_bury(void)
{
    int pids[FAMILY_MAX];
    bool any = false;
    unsigned n;
    struct shard *sh;

    if (me.foreign || !self) /* the numbers are another namespace's */
        return;
    sh = engine_enter();
    n = family_slots(engine.st);
    for (unsigned i = 0; i < n; i++) {
        struct proc *p = family_at(engine.st, i);

        pids[i] = p->state == PROC_LIVE && p != self ? p->pid : 0;
    }
    leave(sh);
    for (unsigned i = 0; i < n; i++) {
        if (pids[i] > 0 && !is_dead(pids[i]))
            pids[i] = 0;
        any |= pids[i] > 0;
    }
    if (!any)
        return;
    sh = engine_enter();
    for (unsigned i = 0; i < n; i++) {
        struct proc *p = family_at(engine.st, i);

        if (pids[i] > 0 && p->state == PROC_LIVE && p->pid == pids[i])
            family_reap(engine.st, p);
    }
    leave(sh);
    keeper_kick();
}
