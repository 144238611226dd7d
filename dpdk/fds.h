/* fds.h: private descriptors. Every descriptor opened from inside the engine (by EAL, drivers or ourselves)
 * goes through the linker's --wrap of open, openat, socket, eventfd, epoll_create1, memfd_create, pipe2,
 * accept4, timerfd_create, dup ... in fds.c, which makes the system call itself (so that no interposer sees
 * it) and moves the result to the private range with close-on-exec set, its lowest free number. The range
 * begins above what programs use and ends where RLIMIT_NOFILE's hard limit has it, or at FDS_HIGHEST (the
 * soft limit is raised for the moment of the move, and put back).
 */
#ifndef SHUNT_FDS_H
#define SHUNT_FDS_H

#include <stdbool.h>
#include <stdint.h>

#define FDS_HIGHEST 16384              /* no number of the private range is above */
#define FDS_WORDS   (FDS_HIGHEST / 64) /* of a map with a bit a number of the range, in uint64_t */

/* [lo, hi) that private descriptors are in. Fixed at the first call of either function, inherited by forks.
 */
void fds_range(int *lo, int *hi);
/* The part of the range that share.c hands out numbers of. */
void fds_shared_range(int *lo, int *hi);
/* A bit a number of the range (bit n: lo + n): is it the engine's? What else is open there is the program's.
 */
const uint64_t *fds_mine(void);
bool fds_is_mine(int fd);
/* close() for the engine: the number is nobody's first. 0 or -errno. */
int fds_close(int fd);
/* In the child of a fork: a thread of the parent may have been at it. */
void fds_after_fork(void);
/* Moves fd up (close-on-exec), closes the old number; the new number or -errno (fd is then still open). A
 * descriptor in the range stays where it is. */
int fds_move(int fd);

/* A duplicate of fd, any descriptor, in the private range, or -errno. */
int fds_dup(int fd);

/* A duplicate of fd in the shared part; a duplicate as the given number, in place of what the engine has
 * there
 * (-EBUSY: the program has something there). The number or -errno. */
int fds_dup_shared(int fd);
int fds_dup_to(int fd, int number);

/* The next accept in this thread gives fd, whatever it asks for; -1: none does. */
void fds_divert_accept(int fd);

/* The AF_XDP socket that was made last, -1: none. */
int fds_last_xdp(void);
/* On: poll() in this thread looks, but doesn't wait. */
void fds_never_wait(bool on);

/* The next memfd_create of that name gives fd instead. */
void fds_divert_memfd(const char *name, int fd);

/* A path below this directory is no file: opening it makes an anonymous memory file, so that EAL's runtime
 * files never exist (eal.c). */
#define FDS_RUNTIME_DIR "/shunt-runtime"

#endif
