/* pd.h: what the parts of the packetdrill object share: the tool's table, the state, time and waiting
 * (pd_clock.c), and the calls (pd_calls.c). packetdrill.c says how they work together. All functions of the
 * table have libc's results and take the state's lock themselves; the others need it, where nothing else is
 * said.
 */
#ifndef SHUNT_PD_H
#define SHUNT_PD_H

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "../../stack/shard.h"
#include "../../stack/sock.h"
#include "../unit/env.h"

#define FILES_MAX 1024

/* The tool's table. */
struct packetdrill_interface {
    void *userdata;
    void (*free)(void *u);
    int (*socket)(void *u, int domain, int type, int protocol);
    int (*bind)(void *u, int fd, const struct sockaddr *sa, socklen_t len);
    int (*listen)(void *u, int fd, int backlog);
    int (*accept)(void *u, int fd, struct sockaddr *sa, socklen_t *len);
    int (*connect)(void *u, int fd, const struct sockaddr *sa, socklen_t len);
    ssize_t (*read)(void *u, int fd, void *buf, size_t n);
    ssize_t (*readv)(void *u, int fd, const struct iovec *iov, int n);
    ssize_t (*recv)(void *u, int fd, void *buf, size_t n, int flags);
    ssize_t (*recvfrom)(void *u, int fd, void *buf, size_t n, int flags, struct sockaddr *sa, socklen_t *len);
    ssize_t (*recvmsg)(void *u, int fd, struct msghdr *msg, int flags);
    ssize_t (*write)(void *u, int fd, const void *buf, size_t n);
    ssize_t (*writev)(void *u, int fd, const struct iovec *iov, int n);
    ssize_t (*send)(void *u, int fd, const void *buf, size_t n, int flags);
    ssize_t (*sendto)(void *u, int fd, const void *buf, size_t n, int flags, const struct sockaddr *sa,
                      socklen_t len);
    ssize_t (*sendmsg)(void *u, int fd, const struct msghdr *msg, int flags);
    int (*fcntl)(void *u, int fd, int cmd, ...);
    int (*ioctl)(void *u, int fd, unsigned long req, ...);
    int (*close)(void *u, int fd);
    int (*shutdown)(void *u, int fd, int how);
    int (*getsockopt)(void *u, int fd, int level, int name, void *val, socklen_t *len);
    int (*setsockopt)(void *u, int fd, int level, int name, const void *val, socklen_t len);
    int (*poll)(void *u, struct pollfd *fds, nfds_t n, int timeout_ms);
    int (*netdev_send)(void *u, const void *buf, size_t n);
    int (*netdev_receive)(void *u, void *buf, size_t *n, long long *time_us);
    int (*usleep)(void *u, useconds_t us);
    int (*gettimeofday)(void *u, struct timeval *tv, struct timezone *tz);
    int (*epoll_create)(void *u, int size);
    int (*epoll_ctl)(void *u, int epfd, int op, int fd, struct epoll_event *ev);
    int (*epoll_wait)(void *u, int epfd, struct epoll_event *ev, int max, int timeout_ms);
    int (*pipe)(void *u, int fd[2]);
    int (*splice)(void *u, int in, loff_t *in_off, int out, loff_t *out_off, size_t n, unsigned flags);
};

/* What a waiting call needs: one of the files has one of its bits, or the time is up. */
struct wait {
    struct pollfd *fds; /* events and revents as EPOLL* bits fit in poll's */
    nfds_t n;
    uint64_t until_ns;
};

struct pd_state {
    pthread_mutex_t lock; /* of all here, and of the stack, which needs its own for the lcore's id */
    pthread_cond_t wake, idle;
    pthread_t tool; /* the thread that runs the script */
    struct env *env;
    struct rte_mempool *rx_pool; /* pd_link.c */
    uint32_t mtu, mss, tso;      /* of the link; mss: of what it received as one, 0: not known */
    struct file *file[FILES_MAX];
    struct wait *waiting; /* the second thread's, while it sleeps */
    bool settle;          /* a blocking call has just ended: see pd_usleep */
    bool returning;       /* the second thread has been woken and has not asked the time since */
};
extern struct pd_state pd;

/* --- pd_clock.c --- */

/* Takes the lock, and the stack's; sets its time. */
void pd_enter(void);
/* Sends what waits, and drops them. */
void pd_leave(void);
/* enter ... return done(r): a result as libc gives it. */
ssize_t pd_done(ssize_t r);
/* Drops the locks until the second thread, if what it waits for has come, has got along. */
void pd_stand_still(void);
/* One step of the clock, to the next timer but at most to until_ns. */
void pd_step(uint64_t until_ns);
/* When a timeout of us microseconds from now is over; 0 or less: never. */
uint64_t pd_deadline(int64_t us);
/* Waits within a call. False: the time was up. */
bool pd_wait_for(struct wait *w);
bool pd_wait_fd(int fd, short events, uint64_t until_ns);

/* --- pd_calls.c --- */

/* The stack's file of this number, or NULL. */
struct file *pd_file(int fd);
/* The namespace's settings, as far as the stack has them under the same name. */
void pd_take_sysctls(void);

/* --- pd_link.c --- */

/* The link's properties, from so_flags, the tool's command line and its script. */
void pd_read_options(const char *flags);

/* --- pd_proc.c --- */

/* system(3). Context: without the lock. */
int pd_command(const char *command);

/* --- the table's --- */

int pd_netdev_send(void *u, const void *buf, size_t n);
int pd_netdev_receive(void *u, void *buf, size_t *n, long long *time_us);
int pd_usleep(void *u, useconds_t us);
int pd_gettimeofday(void *u, struct timeval *tv, struct timezone *tz);
int pd_socket(void *u, int domain, int type, int protocol);
int pd_bind(void *u, int fd, const struct sockaddr *sa, socklen_t len);
int pd_listen(void *u, int fd, int backlog);
int pd_accept(void *u, int fd, struct sockaddr *sa, socklen_t *len);
int pd_connect(void *u, int fd, const struct sockaddr *sa, socklen_t len);
ssize_t pd_read(void *u, int fd, void *buf, size_t n);
ssize_t pd_readv(void *u, int fd, const struct iovec *iov, int n);
ssize_t pd_recv(void *u, int fd, void *buf, size_t n, int flags);
ssize_t pd_recvfrom(void *u, int fd, void *buf, size_t n, int flags, struct sockaddr *sa, socklen_t *len);
ssize_t pd_recvmsg(void *u, int fd, struct msghdr *msg, int flags);
ssize_t pd_write(void *u, int fd, const void *buf, size_t n);
ssize_t pd_writev(void *u, int fd, const struct iovec *iov, int n);
ssize_t pd_send(void *u, int fd, const void *buf, size_t n, int flags);
ssize_t pd_sendto(void *u, int fd, const void *buf, size_t n, int flags, const struct sockaddr *sa,
                  socklen_t len);
ssize_t pd_sendmsg(void *u, int fd, const struct msghdr *msg, int flags);
int pd_fcntl(void *u, int fd, int cmd, ...);
int pd_ioctl(void *u, int fd, unsigned long req, ...);
int pd_close(void *u, int fd);
int pd_shutdown(void *u, int fd, int how);
int pd_getsockopt(void *u, int fd, int level, int name, void *val, socklen_t *len);
int pd_setsockopt(void *u, int fd, int level, int name, const void *val, socklen_t len);
int pd_poll(void *u, struct pollfd *fds, nfds_t n, int timeout_ms);
int pd_epoll_create(void *u, int size);
int pd_epoll_ctl(void *u, int epfd, int op, int fd, struct epoll_event *ev);
int pd_epoll_wait(void *u, int epfd, struct epoll_event *ev, int max, int timeout_ms);
int pd_pipe(void *u, int fd[2]);
int pd_splice(void *u, int in, loff_t *in_off, int out, loff_t *out_off, size_t n, unsigned flags);

#endif
