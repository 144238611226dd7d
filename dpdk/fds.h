/* fds.h: private descriptors. Every descriptor opened from inside the engine (by EAL, drivers or ourselves) goes through the linker's --wrap of open, openat, socket, eventfd,
 * epoll_create1, memfd_create, pipe2, accept4, timerfd_create, dup ... in fds.c, which makes the system call itself (so that no interposer sees it) and moves the result to the private range
 * with close-on-exec set. The range lies as high as RLIMIT_NOFILE's hard limit allows (the soft limit is raised for the moment of the move, and put back).
 */
#ifndef SHUNT_FDS_H
#define SHUNT_FDS_H

void fds_range(int *lo, int *hi); /* [lo, hi) that private descriptors are in */
int fds_move(int fd);             /* moves fd up (close-on-exec), closes the old number; the new number or -errno */

#endif
