/* join.c: how a process becomes a member of a stack that runs already, without being a fork of a member.
 *
 * Theory of operation. Whoever starts a stack puts a message into the tree's pair of sockets
 * (preload/tree.c): the descriptors of the segment, of packet memory, of the placeholder and of the channel
 * to the keeper (ticket.c). It is only ever looked at (MSG_PEEK makes new references each time), so that any
 * number of processes can take them, whenever they come, whatever their user or root directory is by then.
 * The wake eventfds are too many to lie there: Linux counts what a user has in messages, and refuses all his
 * processes more than RLIMIT_NOFILE of it (unix(7), ETOOMANYREFS). The keeper hands them out by that channel.
 *
 * What one makes of it: the segment and packet memory are mapped where all others have them. Packet buffers
 * need nothing else of DPDK: a mempool names its functions by an index into a table that each process fills
 * in the order of the linked objects, which is why the message has the engine's build id and another build is
 * refused. There is no EAL.
 *
 * Links that are a descriptor and shared memory alone (tap, packet) come with the message. Others are private
 * memory of drivers: the frames of who joins such a stack go by the members that have them (stack/shard.c,
 * "Relay"), and while one sleeps, the keeper sleeps on the devices for it (keeper_appoint).
 *
 * Who lost the pair (closed all descriptors by number, in the kernel) or comes from outside of the tree
 * (shunt exec) asks the keeper on its control socket ("join"), which answers with end 0 of another pair,
 * filled the same way.
 *
 * Without an answer it starts one, with a pair that it keeps to itself.
 *
 * The right to start is a record lock on end 0: it goes with its owner's death. It is held over the start, so
 * that whoever comes second waits, and joins or, where the start failed, tries itself.
 */
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "../../dpdk/dpdk.h"
#include "../../dpdk/fds.h"
#include "../../stack/log.h"
#include "ctldir.h"
#include "engine.h"

#define MAGIC     0x7368756e746a6f69ULL /* "shuntjoi" */
#define BUILD_MAX 32
/* Segment, packet memory, placeholder, channel to the keeper; then those of the links. */
#define FDS     4
#define FDS_MAX (FDS + CONFIG_LINKS * NETDEV_QUEUE_MAX)
#define ASK_MS  2000

struct ticket {
    uint64_t magic;
    uint32_t nfd;
    uint8_t build[BUILD_MAX];
    struct engine_shared *shared;
};

#define failed(err, ...) (log_print(LOG_LEVEL_ERROR, __VA_ARGS__), (err))

/* --- the build --- */

static int find_build(struct dl_phdr_info *info, size_t size, void *out)
{
    uintptr_t here = (uintptr_t)&find_build;
    bool mine = false;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        uintptr_t at = info->dlpi_addr + ph->p_vaddr;
        mine |= ph->p_type == PT_LOAD && here >= at && here < at + ph->p_memsz;
    }
    for (int i = 0; mine && i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        const char *p = (const char *)(info->dlpi_addr + ph->p_vaddr), *end = p + ph->p_memsz;
        while (ph->p_type == PT_NOTE && end - p >= (long)sizeof(ElfW(Nhdr))) {
            const ElfW(Nhdr) *n = (const void *)p;
            const char *desc = p + sizeof *n + ((n->n_namesz + 3) & ~3u);
            if (n->n_type == NT_GNU_BUILD_ID && n->n_namesz == 4)
                memcpy(out, desc, n->n_descsz < BUILD_MAX ? n->n_descsz : BUILD_MAX);
            p = desc + ((n->n_descsz + 3) & ~3u);
        }
    }
    return mine;
}

static void build_id(uint8_t out[BUILD_MAX])
{
    memset(out, 0, BUILD_MAX);
    dl_iterate_phdr(find_build, out);
}

/* --- the message --- */

/* The soft limit of descriptors, which bounds what a message may carry and where it arrives, out of the way.
 */
static void limit_up(struct rlimit *old)
{
    struct rlimit lim;

    sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, old);
    lim = *old;
    lim.rlim_cur = lim.rlim_max;
    sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, &lim, NULL);
}

static void limit_back(const struct rlimit *old)
{
    sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, old, NULL);
}

/* By end 1. 0 or -errno. */
static int put_message(int end1)
{
    const struct engine_common *common = &engine.shared->common;
    char control[CMSG_SPACE(sizeof(int) * FDS_MAX)] = {0};
    struct ticket t = {.magic = MAGIC, .nfd = FDS, .shared = engine.shared};
    struct iovec iov = {&t, sizeof t};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control};
    struct cmsghdr *c;
    struct rlimit old;
    int fd[FDS_MAX] = {engine.st->seg->fd, engine.memory_fd, engine.api.placeholder, ticket_channel()};
    struct dpdk_passed passed;
    long r;

    if (engine.memory_fd < 0)
        return -EOPNOTSUPP;
    build_id(t.build);
    for (unsigned i = 0; common->ports_pass && i < common->nports; i++)
        t.nfd += (unsigned)dpdk_pass(engine.dev[i], &passed, fd + t.nfd);
    msg.msg_controllen = CMSG_SPACE(sizeof(int) * t.nfd);
    c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * t.nfd);
    memcpy(CMSG_DATA(c), fd, sizeof(int) * t.nfd);
    limit_up(&old);
    r = sys3(SYS_sendmsg, end1, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    limit_back(&old);
    return r < 0 ? (int)r : 0;
}

/* Looks at end 0. 0: *t and fd; -EAGAIN: nothing is there yet; another -errno. */
static int look(int end0, struct ticket *t, int fd[FDS_MAX])
{
    char control[CMSG_SPACE(sizeof(int) * FDS_MAX)];
    struct iovec iov = {t, sizeof *t};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c;
    struct rlimit old;
    unsigned n;
    long r;

    limit_up(&old);
    r = sys3(SYS_recvmsg, end0, &msg, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (r > 0) {
        c = CMSG_FIRSTHDR(&msg);
        n = c ? (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int)) : 0;
        if (n)
            memcpy(fd, CMSG_DATA(c), n * sizeof(int));
        for (unsigned i = 0; i < n; i++) {
            int up = fds_move(fd[i]);

            if (up < 0)
                sys1(SYS_close, fd[i]);
            fd[i] = up;
            if (up < 0)
                r = up;
        }
        if (r > 0 && msg.msg_flags & MSG_CTRUNC)
            r = -EMFILE;
        if (r > 0 && (r != (long)sizeof *t || t->magic != MAGIC || n < FDS || t->nfd != n))
            r = -EPROTO;
    }
    limit_back(&old);
    return r == 0 ? -ECONNRESET : r < 0 ? (int)r : 0;
}

/* --- joining --- */

static int map_all(const struct ticket *t, const int fd[FDS_MAX])
{
    struct engine_common *c;
    struct seg *seg;
    int rc = seg_attach(fd[0], &seg);

    if (rc)
        return rc;
    engine.st = seg->root;
    engine.shared = t->shared;
    c = &engine.shared->common;
    engine.cfg = c->cfg;
    log_level = (enum log_level)c->log_level;
    engine.portless = c->has_ports && !c->ports_pass;
    madvise(seg, SEG_BYTES, MADV_DONTDUMP);
    rc = dpdk_join(fd[1], c->memory, c->memory_bytes);
    if (rc || engine.portless)
        return rc;
    engine.ndev = c->nports;
    engine.ports_came = true;
    for (unsigned i = 0, at = FDS; i < c->nports; at += c->port[i++].nqueue) {
        engine.dev[i] = dpdk_take(i, &c->port[i], engine.st->shard[0].pool, fd + at);
        netdev_register(c->port[i].index, engine.dev[i]);
    }
    return 0;
}

/* Becomes a member by what end 0 holds. 1; 0: it holds nothing; -errno after one line. */
static int join_by(int end0, const char *place)
{
    uint8_t build[BUILD_MAX];
    struct ticket t;
    int fd[FDS_MAX], rc = look(end0, &t, fd);

    if (rc == -EAGAIN)
        return 0;
    if (rc)
        return failed(rc, "cannot join the stack of this process tree: %s%s", strerror(-rc),
                      rc == -EMFILE ? ": raise the hard limit of descriptors (ulimit -Hn)" : "");
    build_id(build);
    if (memcmp(build, t.build, sizeof build) != 0)
        return failed(-EPROTO,
                      "the stack of this process tree was started by another build of shunt: use the "
                      "same libraries, or end it first");
    rc = map_all(&t, fd);
    if (rc)
        return failed(rc, "cannot join the stack of this process tree: %s",
                      rc == -EBUSY ? "this program uses the addresses that the stack has" : strerror(-rc));
    engine.memory_fd = fd[1];
    rc = ticket_join(fd[3], engine.wake_fd);
    if (rc)
        return failed(rc, "cannot join stack %s: its keeper hands out no descriptors: %s", engine.st->name,
                      strerror(-rc));
    rc = process_join(place);
    if (!rc)
        rc = engine_open(fd[2]);
    if (!rc)
        stopped_allow();
    if (rc)
        return failed(rc, "cannot join stack %s: %s", engine.st->name,
                      rc == -ESRCH ? "in another PID namespace its keeper must be asked, and does not answer"
                                   : strerror(-rc));
    if (engine.portless)
        shard_set_relay(sleep_relayed);
    keeper_kick();
    return 1;
}

/* Asks one keeper for a pair of the tree whose number is ino. Its end 0, private, or -1. */
static int ask_keeper(const struct sockaddr_un *a, uint64_t ino)
{
    char line[64], answer[64], control[CMSG_SPACE(sizeof(int))];
    struct iovec iov = {answer, sizeof answer};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct pollfd p = {.events = POLLIN};
    struct timespec ts = {ASK_MS / 1000, 0};
    struct cmsghdr *c;
    int got = -1;

    p.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (p.fd < 0)
        return -1;
    snprintf(line, sizeof line, "join %llu\n", (unsigned long long)ino);
    if (connect(p.fd, (const struct sockaddr *)a, sizeof *a) == 0 &&
        send(p.fd, line, strlen(line), MSG_NOSIGNAL) > 0 && sys5(SYS_ppoll, &p, 1, &ts, NULL, 8) > 0 &&
        recvmsg(p.fd, &msg, 0) > 0 && (c = CMSG_FIRSTHDR(&msg)) && c->cmsg_type == SCM_RIGHTS)
        memcpy(&got, CMSG_DATA(c), sizeof got);
    fds_close(p.fd);
    return got;
}

/* The same of all keepers of this user. */
static int ask_keepers(uint64_t ino)
{
    char dir[CTLDIR_PATH];
    int got = -1, has;

    for (unsigned i = 0; got < 0 && (has = ctldir_get(i, dir)) != -ENOENT; i++) {
        DIR *d = has == 0 && ctldir_is_ours(dir) ? opendir(dir) : NULL;
        struct dirent *e;

        while (d && got < 0 && (e = readdir(d))) {
            struct sockaddr_un a = {.sun_family = AF_UNIX};
            int n =
                snprintf(a.sun_path, sizeof a.sun_path, "%s/%.*s", dir, (int)sizeof a.sun_path, e->d_name);

            if (strstr(e->d_name, CTLDIR_SUFFIX) && n < (int)sizeof a.sun_path)
                got = ask_keeper(&a, ino);
        }
        if (d)
            closedir(d);
    }
    return got;
}

int join_number(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct timespec ts = {ASK_MS / 1000, 0};
    struct pollfd p = {.events = POLLIN};
    char answer[32] = "";

    memcpy(a.sun_path, engine.shared->common.control, sizeof a.sun_path);
    p.fd = *a.sun_path ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    if (p.fd < 0)
        return 0;
    if (connect(p.fd, (const struct sockaddr *)&a, sizeof a) == 0 &&
        send(p.fd, "who\n", 4, MSG_NOSIGNAL) == 4 && sys5(SYS_ppoll, &p, 1, &ts, NULL, 8) > 0 &&
        read(p.fd, answer, sizeof answer - 1) <= 0)
        answer[0] = '\0';
    fds_close(p.fd);
    return atoi(answer);
}

int join_lock(const struct shunt_tree *tree)
{
    struct flock l = {.l_type = F_WRLCK};
    long r;

    if (tree->fd[0] < 0)
        return 0;
    do
        r = sys3(SYS_fcntl, tree->fd[0], F_SETLKW, &l);
    while (r == -EINTR);
    return r < 0 && r != -EINVAL ? failed((int)r, "cannot lock the process tree: %s", strerror((int)-r)) : 0;
}

void join_unlock(const struct shunt_tree *tree)
{
    struct flock l = {.l_type = F_UNLCK};

    if (tree->fd[0] >= 0)
        sys3(SYS_fcntl, tree->fd[0], F_SETLK, &l);
}

int join_tree(const struct shunt_tree *tree)
{
    int fd, rc, pair[2];

    if (tree->fd[0] >= 0) {
        rc = join_by(tree->fd[0], tree->place);
        if (rc == 0 && tree->fd[1] >= 0) {
            /* About to start: the keeper must find its end among the engine's descriptors. */
            engine.tree_fd = fds_dup(tree->fd[1]);
            engine.tree_ino = tree->ino;
        }
        return rc;
    }
    if (!tree->ino)
        return 0;
    fd = ask_keepers(tree->ino);
    if (fd >= 0)
        return join_by(fd, tree->place);
    /* Nobody of the tree has a stack yet, or its keeper can't be reached from here: then the name is taken.
     * Others that lost their pair find this one. */
    if (tree->place || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return failed(-ESRCH,
                      "the descriptors by which this process tree finds its stack were closed, and its "
                      "keeper does not answer: let the program leave descriptors above 2000 open");
    engine.tree_end = pair[0];
    engine.tree_fd = pair[1];
    engine.tree_ino = tree->ino;
    return 0;
}

void join_publish(const struct shunt_tree *tree)
{
    int rc = engine.tree_fd >= 0 ? put_message(engine.tree_fd) : -EBADF;

    __atomic_store_n(&engine.shared->published, 1, __ATOMIC_RELEASE);
    if (rc && tree->fd[0] >= 0)
        log_warn("programs that this one executes will not be on its stack: %s",
                 rc == -EOPNOTSUPP ? "its packet memory cannot be shared" : strerror(-rc));
}

int join_pair(int fd[2])
{
    int rc;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd) < 0)
        return -errno;
    rc = put_message(fd[1]);
    if (rc) {
        fds_close(fd[0]);
        fds_close(fd[1]);
    }
    return rc;
}
