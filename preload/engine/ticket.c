/* ticket.c: what stands for a descriptor of the stack in a message of SCM_RIGHTS.
 *
 * Theory of operation. A ticket is one end of a fresh socket pair. Its identity is the socket's cookie, which
 * whoever receives it can read; what it stands for is in the segment (stack/parcel.h). The other end goes to
 * the keeper, over a channel that every process of the family inherited, so that neither a chroot nor another
 * user stands in the way: when it hangs up, no copy of the ticket is left in any process or queue, whether
 * the message was thrown away, truncated, lost with its sender or received where nobody saw it, and the
 * parcel's reference is dropped. A member that receives the message (and does not merely look at it) drops it
 * itself: each ticket is in one message alone. The order makes that safe whoever dies when: first the keeper
 * has its end, then the parcel is noted, and the ticket is held until then.
 *
 * The kernel's half of a descriptor (an epoll set's, that of a socket which both sides serve) travels in the
 * ticket's own queue, where each receiver looks at it and nobody takes it out.
 *
 * A process that does not belong to the family gets the ticket itself: a stream whose peer has closed (reads
 * end at once; a write is the last thing it does: the keeper then hangs up).
 *
 * Tickets have numbers of the private range from the making to the sending. A child forked meanwhile by
 * another thread closes its copies.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "../../dpdk/fds.h"
#include "../../stack/parcel.h"
#include "engine.h"

#define HAND_TRIES    2000 /* milliseconds for a keeper with a full channel */
#define KEEPER_FDS    1024 /* descriptors that the keeper needs for other things */
#define COOKIE_OPTION 57   /* SO_COOKIE */
#define ASK_S         5    /* a keeper that is stopped does not answer */

static int channel[2] = {-1, -1}; /* to the keeper: [0] the family's end, [1] the keeper's */
static uint64_t transit[FDS_WORDS];
static bool any_transit; /* ever: most processes that fork send none */

union one_fd {
    struct cmsghdr hdr;
    char space[CMSG_SPACE(sizeof(int))];
};

int ticket_init(void)
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, channel) ? -errno : 0;
}

int ticket_channel(void)
{
    return channel[0];
}

/* -ENOTSOCK ... for what is no socket. */
static int key_of(int fd, struct parcel_key *key)
{
    struct stat sb;
    socklen_t len = sizeof key->cookie;
    long r = sys5(SYS_getsockopt, fd, SOL_SOCKET, COOKIE_OPTION, &key->cookie, &len);

    if (r == 0)
        r = sys2(SYS_fstat, fd, &sb);
    key->ino = r == 0 ? sb.st_ino : 0;
    return (int)r;
}

/* Sends n bytes and the descriptor fd on sk. 0 or -errno. */
static int send_fd(int sk, const void *data, size_t n, int fd)
{
    struct iovec iov = {.iov_base = (void *)data, .iov_len = n};
    union one_fd c;
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};
    struct timespec ms = {0, NS_IN_MS};
    struct rlimit old, lim;
    bool raised = false;
    long r = -EAGAIN;

    memset(&c, 0, sizeof c);
    c.hdr =
        (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)};
    memcpy(CMSG_DATA(&c.hdr), &fd, sizeof fd);
    for (int i = 0; r == -EAGAIN && i < HAND_TRIES; i++) {
        r = sys3(SYS_sendmsg, sk, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (r == -ETOOMANYREFS && !raised) { /* by the soft limit; our own are many (join.c) */
            raised = sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &old) == 0;
            lim = old;
            lim.rlim_cur = lim.rlim_max;
            r = raised ? sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, &lim, NULL) : r;
            r = r == 0 ? -EAGAIN : r;
        }
        if (r == -EAGAIN)
            sys2(SYS_nanosleep, &ms, NULL);
    }
    if (raised)
        sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, &old, NULL);
    return r < 0 ? (int)r : 0;
}

/* Receives n bytes and a descriptor from sk: its number, -ENODATA: none came, -errno. */
static int recv_fd(int sk, void *data, size_t n, int flags)
{
    struct iovec iov = {.iov_base = data, .iov_len = n};
    union one_fd c;
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};
    long r = sys3(SYS_recvmsg, sk, &m, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    int fd;

    if (r < 0)
        return (int)r;
    if (r != (long)n || m.msg_controllen < CMSG_LEN(sizeof fd) || c.hdr.cmsg_type != SCM_RIGHTS)
        return -ENODATA;
    memcpy(&fd, CMSG_DATA(&c.hdr), sizeof fd);
    return fd;
}

/* Asks the keeper for the wake descriptors: a message with an end to answer on and no key. */
int ticket_join(int fd, int wake[WAKE_FDS])
{
    struct parcel_key none = {0, 0};
    struct timespec wait = {ASK_S, 0};
    char control[CMSG_SPACE(sizeof(int) * WAKE_FDS)], byte;
    struct iovec iov = {&byte, 1};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct pollfd p = {.events = POLLIN};
    struct rlimit old, lim;
    int end[2], r;
    long n;

    channel[0] = fd;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, end) != 0)
        return -errno;
    r = send_fd(channel[0], &none, sizeof none, end[1]);
    fds_close(end[1]);
    p.fd = end[0];
    if (!r && sys5(SYS_ppoll, &p, 1, &wait, NULL, 8) <= 0)
        r = -ETIMEDOUT;
    sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &old);
    lim = old;
    lim.rlim_cur = lim.rlim_max;
    sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, &lim, NULL);
    if (!r) {
        n = sys3(SYS_recvmsg, end[0], &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n != 1 || m.msg_controllen < CMSG_LEN(sizeof(int) * WAKE_FDS))
            r = n < 0 ? (int)n : -EPROTO;
    }
    if (!r)
        memcpy(wake, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int) * WAKE_FDS);
    for (unsigned i = 0; !r && i < WAKE_FDS; i++)
        r = (wake[i] = fds_move(wake[i])) < 0 ? wake[i] : 0;
    sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, &old, NULL);
    fds_close(end[0]);
    return r;
}

/* The keeper's answer. */
static void hand_out_wakes(int fd)
{
    char control[CMSG_SPACE(sizeof(int) * WAKE_FDS)] = {0};
    struct iovec iov = {"", 1};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof engine.wake_fd);
    memcpy(CMSG_DATA(c), engine.wake_fd, sizeof engine.wake_fd);
    sys3(SYS_sendmsg, fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* --- the sender --- */

static uint64_t *transit_word(int fd, uint64_t *bit)
{
    int lo, hi;

    fds_range(&lo, &hi);
    *bit = 1ull << (unsigned)(fd - lo) % 64;
    return &transit[(unsigned)(fd - lo) / 64];
}

static void transit_set(int fd)
{
    uint64_t bit, *word = transit_word(fd, &bit);

    any_transit = true;
    __atomic_fetch_or(word, bit, __ATOMIC_RELAXED);
}

/* Closes fd unless a fork has. */
static void transit_close(int fd)
{
    uint64_t bit, *word = transit_word(fd, &bit);

    if (__atomic_fetch_and(word, ~bit, __ATOMIC_RELAXED) & bit)
        fds_close(fd);
}

void ticket_child(void)
{
    int lo, hi;

    if (!any_transit)
        return;
    fds_range(&lo, &hi);
    for (int i = 0; i < hi - lo; i = transit[i / 64] ? i + 1 : (i | 63) + 1)
        if (transit[i / 64] >> i % 64 & 1)
            transit_close(lo + i);
}

/* The parcel of fd's file, whose ticket the keeper watches already. */
static int note_parcel(int fd, struct parcel_key key, unsigned char bits)
{
    struct shard *sh = engine_enter();
    struct proc *p = process_self();
    struct file *f = p ? proc_file(p, fd) : NULL;
    int r = f ? parcel_add(engine.st, key, f, bits) : -EBADF;

    shard_unlock(sh);
    return r;
}

int ticket_make(int fd, unsigned char bits, bool half)
{
    struct parcel_key key;
    int end[2], mark = TICKET_MARK, r;

    if (*parcel_count(engine.st) >= engine.shared->parcels_max)
        return -ETOOMANYREFS;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, end) != 0)
        return -errno;
    transit_set(end[0]);
    transit_set(end[1]);
    r = key_of(end[0], &key);
    if (!r)
        r = (int)sys5(SYS_setsockopt, end[0], SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof mark);
    if (!r && half)
        r = send_fd(end[1], "", 1, fd);
    if (!r)
        r = (int)sys2(SYS_shutdown, end[1], SHUT_WR);
    if (!r)
        r = send_fd(channel[0], &key, sizeof key, end[1]);
    transit_close(end[1]);
    if (!r)
        r = note_parcel(fd, key, bits);
    if (!r)
        return end[0];
    transit_close(end[0]);
    return r;
}

void ticket_sent(int ticket)
{
    transit_close(ticket);
}

/* --- the receiver --- */

/* The file gets number fd. */
static int take_file(int fd, bool again, unsigned char *bits)
{
    struct parcel_key key;
    struct proc *p = process_self();
    struct file *f;
    struct shard *sh;
    int r = key_of(fd, &key);

    if (r || !p)
        return -ENOENT;
    sh = engine_enter();
    f = parcel_find(engine.st, key, bits);
    r = -ENOENT;
    if (f) {
        file_hold(f);
        r = proc_install(engine.st, p, fd, f);
        if (r)
            file_put(engine.st, f);
    }
    /* Not left to the keeper: the program's close of fd may be the last one, and is to show at once. */
    if (!r && !again)
        parcel_drop(engine.st, key);
    shard_unlock(sh);
    return r;
}

int ticket_open(int fd, bool cloexec, bool again, unsigned char *bits)
{
    char byte;
    int half, r = take_file(fd, again, bits);
    struct shard *sh;

    if (r)
        return r;
    half = recv_fd(fd, &byte, 1, MSG_PEEK);
    r = (int)sys3(SYS_dup3, half >= 0 ? half : engine.api.placeholder, fd, cloexec ? O_CLOEXEC : 0);
    if (half >= 0)
        sys1(SYS_close, half);
    if (r >= 0)
        return 0;
    sh = engine_enter();
    proc_close(engine.st, process_self(), fd);
    shard_flush(sh);
    shard_unlock(sh);
    return r;
}

/* pidfd_getfd: no message, no ticket. */
int ticket_fd_of(int pid, int fd, int newfd)
{
    struct proc *self = process_self();
    struct shard *sh;
    int r = -ENOENT;

    if (!self)
        return r;
    sh = engine_enter();
    for (unsigned i = 0; r == -ENOENT && i < process_slots(); i++) {
        struct proc *p = family_at(engine.st, i);
        struct file *f = p->state == PROC_LIVE && p->pid == pid ? proc_file(p, fd) : NULL;

        if (!f)
            continue;
        file_hold(f);
        r = proc_install(engine.st, self, newfd, f);
        if (r)
            file_put(engine.st, f);
    }
    shard_unlock(sh);
    return r;
}

/* --- the keeper --- */

#define HELD_MAX (PARCELS_MAX + KEEPER_FDS)

static struct parcel_key held[HELD_MAX]; /* by the number of the keeper's end */
static int held_epfd;

void ticket_serve(int epfd)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = TICKET_EVENT};
    struct rlimit lim;
    uint64_t max = 0;

    held_epfd = epfd;
    if (sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &lim) == 0 && lim.rlim_cur > KEEPER_FDS)
        max = lim.rlim_cur - KEEPER_FDS;
    engine.shared->parcels_max = max < PARCELS_MAX ? (uint32_t)max : PARCELS_MAX;
    sys4(SYS_epoll_ctl, epfd, EPOLL_CTL_ADD, channel[1], &ev);
}

void ticket_receive(void)
{
    struct parcel_key key;
    int fd;

    while ((fd = recv_fd(channel[1], &key, sizeof key, 0)) >= 0 || fd == -ENODATA) {
        struct epoll_event ev = {.events = EPOLLIN, .data.u64 = TICKET_EVENT + 1 + (uint64_t)fd};

        if (fd < 0)
            continue;
        if (key.cookie == 0) { /* cookies begin with 1 */
            hand_out_wakes(fd);
            sys1(SYS_close, fd);
            continue;
        }
        /* Closed: the ticket is worth nothing; parcels_max keeps this from happening. */
        if (fd >= HELD_MAX || sys4(SYS_epoll_ctl, held_epfd, EPOLL_CTL_ADD, fd, &ev) < 0) {
            sys1(SYS_close, fd);
            continue;
        }
        held[fd] = key;
    }
}

void ticket_gone(struct shard *sh, uint64_t data)
{
    uint64_t fd = data - TICKET_EVENT - 1;

    if (fd >= HELD_MAX)
        return;
    parcel_drop(engine.st, held[fd]);
    shard_flush(sh); /* it may have been a connection's last */
    sys1(SYS_close, fd);
}
