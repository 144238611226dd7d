/* api.h: the only door from preload/ into the stack. libshunt.so gets this table from libshunt-engine.so.
 *
 * Descriptors. A call names its file by descriptor number of this process, resolved under the lock in the
 * process's fd table in the segment, so a concurrent close can't hand it a freed file (-EBADF). A call that
 * is about to sleep pins the file first and goes on by the pin, as the kernel's calls hold their file. Every
 * call takes the lock, brings the clock up to date, works, transmits, unlocks and wakes; none sleeps (except
 * start); all return >= 0 or -errno. Calls that find nothing to do (empty queue) poll the devices once before
 * they say -EAGAIN. The caller keeps signal handlers off while inside (preload/signals.c).
 */
#ifndef SHUNT_API_H
#define SHUNT_API_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "kinds.h"

#define SHUNT_API_VERSION 3
#define SHUNT_FD_MAX      (1u << 20)
#define SLEEP_FDS                                                                                            \
    (16 * 8 + 2) /* entries of a pollfd array that sleep_prepare may add: one a queue of a link, and two */

struct file;
struct waiter;
struct report;

struct ref {
    int fd;
    struct file *pin; /* NULL: by number */
};

/* decide() by operation. TCP: the placement to take, a decided socket's own except that BOTH answers
 * DECIDE_CONNECT by the destination (STACK or KERNEL). UDP: DECIDE_CONNECT and DECIDE_SEND with an address
 * answer by the destination, whatever the socket's placement is (STACK or KERNEL; the interposer makes a twin
 * on demand), unless it is bound to an address of one side. */
enum decide_op { DECIDE_BIND, DECIDE_CONNECT, DECIDE_LISTEN, DECIDE_SEND };

/* How a process finds the stack of its tree: preload/tree.c. */
struct shunt_tree {
    int fd[2];         /* the pair's ends; -1: lost */
    uint64_t ino;      /* of end 0; 0: there is no tree */
    const char *place; /* SHUNT_PLACE: which place its image before had; NULL: none */
};

/* An exec that is about to happen: what goes on is listed under this. */
struct exec_place {
    uint32_t slot;
    uint64_t token;
    bool own; /* this process's own place, else one made for a child */
};

/* Where a file below /proc is read on. */
struct proc_at {
    uint64_t at[4];
};

/* half() by operation. HALF_ASK answers in bits: shutdown of reading, of writing, a bound port.
 * HALF_ANY_PORT: the port that it was bound to last is none that the program asked for. */
enum half_op { HALF_ASK, HALF_ANY_PORT };
enum half_bits { HALF_SHUT_RD = 1, HALF_SHUT_WR = 2, HALF_BOUND = 4 };

struct shunt_api {
    uint32_t version;

    /* --- descriptors of this process --- */
    struct file **fdt; /* [SHUNT_FD_MAX], in the segment; non-NULL: the stack has a say in this number */
    int placeholder;   /* descriptor to dup for a new socket */
    /* The engine's own descriptors lie in [lo, hi): hidden from close, dup2 ... Bit n of the map: lo + n is
     * one of them; the others are the program's. */
    int private_lo, private_hi;
    const uint64_t *private_map;
    /* fd, which the library made, becomes one of them: its new number (close-on-exec), or -errno; the end of
     * such a one. */
    int (*hide)(int fd);
    int (*hidden_close)(int fd);
    /* makes a file, installs it at fd. type without SOCK_NONBLOCK: use set_flags */
    int (*socket)(int fd, int domain, int type, int protocol);
    /* newfd becomes another descriptor of r's file (what stood there is released) */
    int (*dup)(struct ref r, int newfd);
    int (*close)(int fd); /* forgets fd, releases its file */
    /* The same for a program's close, which SO_LINGER may have wait: seconds > 0, r->pin set: wait so long,
     * or until lingers says 0, then unpin */
    int (*close_linger)(int fd, struct ref *r);
    int (*lingers)(struct ref r);
    int (*pin)(struct ref *r); /* r->pin: held until unpin. -EBADF */
    void (*unpin)(struct ref *r);
    int (*get_flags)(struct ref r); /* O_NONBLOCK, O_ASYNC, O_APPEND, O_NOATIME */
    int (*set_flags)(struct ref r, int flags);
    int (*file_type)(struct ref r); /* enum file_type */
    /* next descriptor >= from of fd's file in this process, or -1 */
    int (*same_file)(int fd, int from);

    /* --- descriptors that travel (parcel.h) --- */
#define TICKET_MARK 0x73687431 /* a ticket's SO_RCVLOWAT, for who has no stack to ask yet */
    const uint32_t *parcels;   /* how many are on their way: with none a received descriptor is no ticket */
    /* A ticket for fd's file, to be sent in its place: a descriptor of the engine's, closed by parcel_sent
     * after the sending. bits: the sender's note. half: fd's kernel descriptor travels along. */
    int (*parcel_make)(int fd, unsigned char bits, bool half);
    void (*parcel_sent)(int ticket);
    /* fd was received. A ticket: fd becomes a descriptor of its file, over the placeholder or the sender's
     * kernel descriptor, with FD_CLOEXEC as told: 0 and the sender's note. -ENOENT: it is none; else -errno,
     * fd stays what it is. again: the message will be received once more (MSG_PEEK). */
    int (*parcel_open)(int fd, bool cloexec, bool again, unsigned char *bits);
    /* newfd becomes another descriptor of the file at number fd of the family's process pid. -ENOENT: that is
     * none of the stack's */
    int (*fd_of)(int pid, int fd, int newfd);

    /* --- placement --- */
    int (*placement)(struct ref r); /* enum placement */
    /* enum placement to take; changes nothing; an already decided socket's own */
    int (*decide)(struct ref r, enum decide_op op, const struct sockaddr *sa, socklen_t len);
    int (*set_placement)(struct ref r, int placement);
    /* For a socket that has, or gets, a half in the kernel: what of its state no option tells */
    int (*half)(struct ref r, enum half_op op);
    /* i-th recorded option or -ENOENT; *len in/out */
    int (*opt_recorded)(struct ref r, int i, int *level, int *name, void *val, socklen_t *len);

    /* --- calls of man 2 --- */
    int (*bind)(struct ref r, const struct sockaddr *sa, socklen_t len);
    int (*listen)(struct ref r, int backlog);
    /* TCP: -EINPROGRESS; poll for EPOLLOUT, then call connect_result */
    int (*connect)(struct ref r, const struct sockaddr *sa, socklen_t len);
    /* 0, -EALREADY (still going), or the error, taken */
    int (*connect_result)(struct ref r);
    /* installs at newfd; -EAGAIN. newfd -1: only says whether there is a connection (0) */
    int (*accept)(struct ref r, int newfd, struct sockaddr *sa, socklen_t *len);
    int (*shutdown)(struct ref r, int how);
    int (*getsockname)(struct ref r, struct sockaddr *sa, socklen_t *len);
    int (*getpeername)(struct ref r, struct sockaddr *sa, socklen_t *len);
    int (*getsockopt)(struct ref r, int level, int name, void *val, socklen_t *len);
    int (*setsockopt)(struct ref r, int level, int name, const void *val, socklen_t len);
    /* FIONREAD, SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK, SIOCGIF*; FIONBIO is set_flags'. SIOCGSTAMP_OLD:
     * arg is a uint64_t of the caller's own, CLOCK_MONOTONIC in ns */
    int (*ioctl)(struct ref r, unsigned long req, void *arg);
    /* skip: bytes of msg's iovecs already sent by earlier rounds of the same blocking call */
    ssize_t (*sendmsg)(struct ref r, const struct msghdr *msg, int flags, size_t skip);
    ssize_t (*recvmsg)(struct ref r, struct msghdr *msg, int flags, size_t skip);
    /* mmap of r's descriptor: a packet socket's ring (packet_ring.h). *out: where it lies. -ENODEV: nothing
     * of r can be mapped */
    int (*map)(struct ref r, void *addr, size_t len, int prot, int flags, off_t off, void **out);
    /* off never NULL; reads by pread-like calls on in_fd, of which is known that it may be read */
    ssize_t (*sendfile)(struct ref r, int in_fd, off_t *off, size_t count);
    int (*sock_type)(struct ref r); /* SO_TYPE, without the lock */
    /* SO_RCVTIMEO, SO_SNDTIMEO; 0: none */
    int (*timeo_us)(struct ref r, int64_t *rcv, int64_t *snd);
    /* F_SETOWN_EX, F_GETOWN_EX: type F_OWNER_TID, F_OWNER_PID, F_OWNER_PGRP; who 0: nobody */
    int (*set_owner)(struct ref r, int type, int who);
    int (*get_owner)(struct ref r, int *type, int *who);
    int (*set_sig)(struct ref r, int sig); /* F_SETSIG, F_GETSIG */
    int (*get_sig)(struct ref r);

    const uint64_t *now_ns; /* CLOCK_MONOTONIC when a call last took the lock and worked; atomic */

    /* --- readiness --- */
    int (*poll)(struct ref r);      /* EPOLL* bits now; does not poll devices */
    unsigned (*poll_devices)(void); /* one shard_poll; frames received */
    unsigned (*poll_begin)(void);   /* the same: the first look of a poll or select */
    int (*eset_create)(int epfd);   /* makes a set, installs it at epfd */
    int (*eset_ctl)(struct ref set, int op, int fd, struct epoll_event *ev); /* fd's file is a stack one */
    /* polls devices once; number of events */
    /* Does this process's set at number epfd have no file of the stack? Takes no lock: true a moment ago. */
    bool (*eset_is_empty)(int epfd);
    int (*eset_wait)(struct ref set, struct epoll_event *ev, int max);

    /* --- sleeping. Order: waiter_get; watch (returns ready bits: then don't sleep); sleep_prepare; ppoll;
     * sleep_finish; look again ...; waiter_put --- */
    struct waiter *(*waiter_get)(void);
    void (*waiter_put)(struct waiter *w);
    /* EPOLLEXCLUSIVE in mask (epoll_wait, accept): an event wakes one of the waiters so marked, not all */
    int (*watch)(struct waiter *w, struct ref r, uint32_t mask);
    void (*unwatch)(struct waiter *w);
    /* Appends the descriptors to sleep on to p (room for SLEEP_FDS more), lowers *deadline_ns
     * (CLOCK_MONOTONIC, UINT64_MAX: none) to the next timer. Polls once more after arming: returns 1 when
     * woken already (call sleep_finish all the same), else 0. The caller then calls ppoll itself, outside of
     * the signal guard. */
    int (*sleep_prepare)(struct waiter *w, struct pollfd *p, nfds_t *n, uint64_t *deadline_ns);
    /* p, n as prepare left them: disarms, drains, polls devices */
    void (*sleep_finish)(struct waiter *w, struct pollfd *p, nfds_t n);
    /* how long a call may spin before it sleeps; UINT32_MAX: for ever */
    uint32_t spin_us;

    /* --- interfaces --- */
    int (*if_get)(unsigned i, struct if_info *out); /* sock_if_get's */
    /* a request about an interface by a socket of another family (AF_UNIX); sock_if_set's and sock_if_ioctl's
     */
    int (*if_ioctl)(int domain, unsigned long req, void *arg);

    /* --- what is read below /proc (procnet.h) --- */
#define PROC_PIECE 32768
    /* The file `name`, a path behind /proc/net/. -ENOENT: there is none. -ENOSYS: the kernel's is to be read
     */
    int (*proc_find)(const char *name);
    /* The next piece of it, PROC_PIECE bytes at most; at is all zero at first. *more false: that was all */
    size_t (*proc_read)(int file, struct proc_at *at, char *buf, bool *more);
    /* A file below /proc/sys/net, its path behind that: bytes of at most PROC_PIECE, or -ENOENT: the kernel's
     * is to be read */
    int (*proc_sysctl)(const char *path, char *buf);
    /* Makes number fd, a placeholder, what is written to that file is written to. 0, -ENOENT, -EROFS, -EACCES
     * (for the stack's owner and root alone) or socket's */
    int (*proc_sysctl_write)(int fd, const char *path);
    /* The inode that number fd of the family's process pid (0: this one) is shown with; 0: it is no socket of
     * the stack's */
    uint32_t (*proc_inode)(int pid, int fd);
    bool (*proc_has)(int pid); /* is it of the family? */
    /* From now on sockets are made by this user (as its effective one) */
    void (*set_uid)(uint32_t uid);

    /* --- processes --- */
    /* in the parent, before fork: a process slot with references for the child; 0 or -errno (the fork goes
     * on, the child has no stack) */
    int (*fork_prepare)(void);
    /* the process is about to forbid itself most system calls (seccomp): links that came with joining are
     * left to the others */
    void (*confine)(void);
    bool (*fork_room)(void); /* is there a slot for one more? Without, a fork fails with EAGAIN */
    void (*fork_parent)(bool ok, int child_pid);
    void (*fork_child)(void);
    /* Exec. Begin says that this process, or (own false) a child of pid that shares its memory, 0: not known
     * yet, is about to execute another image; keep, once a descriptor that goes on, that fd will be what
     * `from` is here, and what the new image's interposers are to know of it (below 0x80). Then either exec
     * succeeds, which for a child of pid 0 its parent says by exec_child, or exec_failed. 0 or -errno: the
     * image will have no sockets. */
    int (*exec_begin)(bool own, int pid, struct exec_place *out);
    int (*exec_keep)(const struct exec_place *x, int fd, int from, uint8_t bits);
    void (*exec_failed)(const struct exec_place *x);
    void (*exec_child)(const struct exec_place *x, int pid);
    /* What the image before this one passed on: bits by number; NULL: nothing was. */
    const uint8_t *passed;
    int passed_end;
    /* profile isolate: a kind of IP socket that the stack lacks is refused, not left to the kernel */
    uint32_t isolate;
    /* --- memory of the program, which may not be there: user.h. Under the guard --- */
    void (*user_init)(ptrdiff_t offset);
    bool (*user_copy)(void *to, const void *from, size_t n);
    bool (*user_readable)(const void *p, size_t n);
    bool (*user_writable)(void *p, size_t n);
    /* for the handler of SIGSEGV and SIGBUS: the fault was in one of these, which fails now */
    bool (*user_fault)(void *ucontext);

    /* atexit: releases this process's descriptors at once instead of waiting for the keeper */
    void (*exit_process)(void);
    struct report *report; /* preload/report.h; NULL: none is wanted */
    /* An address is in use: releases what dead processes of the family held, as the keeper is about to, or
     * has just done: then try again. */
    void (*bury)(void);
};

/* libshunt-engine.so's one exported symbol: starts the stack as the environment says (or joins a running
 * one: the tree's). Prints the reason of a failure, one line, to standard error. 0 or -errno. */
int shunt_engine_start(uint32_t version, const struct shunt_tree *tree, const struct shunt_api **out);

#endif
