/* watched.c: the processes of the family, each by a pidfd, and the trees that may still join it, each by end
 * 1 of its pair (preload/tree.c). A process that died without a word is released here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "../../dpdk/fds.h"
#include "../../stack/parcel.h"
#include "keeper.h"
#include "record.h"

#define EXEC_NS     (1ull * NS_IN_MS) /* how often an exec that was begun is looked at, at first */
#define EXEC_MAX_NS (64ull * NS_IN_MS)

static void watch_process(unsigned slot, int pid)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = PROCESS_EVENT + slot};
    int fd = (int)sys2(SYS_pidfd_open, pid, 0);

    if (keeper.pidfd[slot] > 0)
        fds_close(keeper.pidfd[slot]);
    keeper.pidfd[slot] = 0;
    keeper.pid[slot] = pid;
    if (fd < 0) {
        /* Gone already, or without descriptors to spare, or the call is not there (a sandbox, valgrind). */
        keeper.pid[slot] = 0;
        if (fd == -ESRCH || sys2(SYS_kill, pid, 0) == -ESRCH)
            process_reap(slot);
        else
            keeper.unwatched = true;
        return;
    }
    keeper.pidfd[slot] = fd;
    sys4(SYS_epoll_ctl, keeper.epfd, EPOLL_CTL_ADD, fd, &ev);
}

/* A tracer (strace -f) waits for all that it follows, this process too, and may be of the tree itself:
 * neither would ever leave for the other's sake. */
static bool is_traced(void)
{
    char text[1024], *p;
    int fd = (int)sys4(SYS_openat, AT_FDCWD, "/proc/self/status", O_RDONLY, 0);
    long n = fd < 0 ? 0 : sys3(SYS_read, fd, text, sizeof text - 1);

    if (fd >= 0)
        sys1(SYS_close, fd);
    text[n > 0 ? n : 0] = '\0';
    p = strstr(text, "\nTracerPid:");
    return p && strtol(p + 11, NULL, 10) != 0;
}

/* Somebody holds an end of a pair who may become a member. A start that failed is nobody's to join. */
static bool may_be_joined(void)
{
    return keeper.ntrees && __atomic_load_n(&engine.shared->published, __ATOMIC_ACQUIRE) && !is_traced();
}

void watched_look(void)
{
    unsigned alive = 0;

    bool execs = false;

    keeper.unwatched = keeper.portless = false;
    keeper.look_ns = now_ns() + CHECK_NS;
    for (unsigned i = 0; i < process_slots(); i++) {
        int pid;

        execs |= process_execs(i);
        pid = process_pid(i);
        keeper.portless |= process_portless(i);

        if (pid > 0 && pid != keeper.pid[i])
            watch_process(i, pid);
        if (pid <= 0 && keeper.pid[i]) {
            if (keeper.pidfd[i] > 0)
                fds_close(keeper.pidfd[i]);
            keeper.pidfd[i] = keeper.pid[i] = 0;
        }
        if (process_pid(i) != 0)
            alive++;
        if (process_pid(i) < 0) /* a fork: both sides may be killed before either names the child */
            keeper.unwatched = true;
    }
    if (!execs)
        keeper.exec_ns = 0;
    else
        keeper.exec_ns = !keeper.exec_ns                ? EXEC_NS
                         : keeper.exec_ns < EXEC_MAX_NS ? 2 * keeper.exec_ns
                                                        : EXEC_MAX_NS;
    if (alive || may_be_joined())
        keeper.gone_ns = 0;
    else if (!keeper.gone_ns)
        keeper.gone_ns = now_ns();
    if (!alive)
        parcel_drop_all(engine.st);
    if (keeper.gone_ns)
        tell();
    keeper.look_at_processes = false;
    keeper.control_due |= dpdk_control_due(); /* of what the dead left */
}

void watched_died(unsigned slot)
{
    if (keeper.pidfd[slot] <= 0)
        return;
    if (process_pid(slot) == keeper.pid[slot]) {
        if (!family_at(engine.st, slot)->ended)
            record_event(CAPTURE_CRASH);
        process_reap(slot);
    }
    keeper.look_at_processes = true;
}

/* --- trees --- */

bool keeper_watch_tree(int fd, uint64_t ino)
{
    struct epoll_event ev = {.events = EPOLLRDHUP};

    for (unsigned i = 0; i < TREES; i++) {
        if (keeper.tree[i].fd)
            continue;
        ev.data.u64 = TREE_EVENT + i;
        if (sys4(SYS_epoll_ctl, keeper.epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
            return false;
        keeper.tree[i].fd = fd;
        keeper.tree[i].ino = ino;
        keeper.ntrees++;
        return true;
    }
    return false;
}

bool keeper_has_tree(uint64_t ino)
{
    for (unsigned i = 0; i < TREES; i++)
        if (keeper.tree[i].fd && keeper.tree[i].ino == ino)
            return true;
    return false;
}

void watched_tree_gone(unsigned i)
{
    if (!keeper.tree[i].fd)
        return;
    fds_close(keeper.tree[i].fd);
    keeper.tree[i].fd = 0;
    keeper.ntrees--;
    keeper.look_at_processes = true;
}

/* The same looked for, by who can't wait for the event. */
static void watched_look_at_trees(void)
{
    struct timespec zero = {0, 0};

    for (unsigned i = 0; i < TREES; i++) {
        struct pollfd p = {.fd = keeper.tree[i].fd, .events = POLLRDHUP};

        if (p.fd > 0 && sys5(SYS_ppoll, &p, 1, &zero, NULL, 8) > 0)
            watched_tree_gone(i);
    }
}

/* Who asks may have waited for the last process to end before it did: so that it is not told that this one
 * runs, the processes are looked at now and not when the epoll set comes to them. */
bool keeper_is_leaving(void)
{
    struct timespec zero = {0, 0};
    struct shard *sh = keeper.gone_ns ? NULL : keeper_try_enter();

    if (!sh)
        return keeper.gone_ns != 0;
    for (unsigned i = 0; i < process_slots(); i++) {
        struct pollfd p = {.fd = keeper.pidfd[i], .events = POLLIN};

        if (p.fd > 0 && sys5(SYS_ppoll, &p, 1, &zero, NULL, 8) > 0)
            watched_died(i);
    }
    watched_look_at_trees();
    watched_look();
    shard_unlock(sh);
    return keeper.gone_ns != 0;
}
