/* fdtab.h: which descriptor numbers the stack has a say in, and what this process alone knows of a number.
 *
 * The table of files lies in the segment and belongs to the engine (api->fdt): `fdtab` is this process's,
 * NULL until a stack runs, so that the check costs a program without one a load and a branch. Beside it a
 * byte a number, private to the process: a number's kernel half.
 */
#ifndef SHUNT_PRELOAD_FDTAB_H
#define SHUNT_PRELOAD_FDTAB_H

#include <errno.h>
#include <stdbool.h>
#include <sys/types.h>

#include "guard.h"
#include "stack/api.h"

/* Bits of a number in fdtab_bits. */
#define FD_TWIN                                                                                              \
    1 /* a kernel socket (non-blocking, privately) stands on the number, beside the stack's: PLACE_BOTH */
#define FD_KERNEL 2  /* an epoll set that has, or may have, kernel descriptors */
#define FD_TURN   4  /* an epoll set: the kernel's events come first next time */
#define FD_EPSET  8  /* an epoll set, not a socket */
#define FD_STREAM 16 /* a stdio stream of ours stands over it (call_file.c) */

extern struct file **fdtab;
extern unsigned char fdtab_bits[SHUNT_FD_MAX];
extern const struct shunt_api *api; /* NULL until a stack runs */

static inline bool fd_is_stack(int fd)
{
    struct file **t = fdtab;
    return t && (unsigned)fd < SHUNT_FD_MAX && __atomic_load_n(&t[fd], __ATOMIC_RELAXED) && !guard.vforked;
}

static inline unsigned char fd_bits(int fd)
{
    return __atomic_load_n(&fdtab_bits[fd], __ATOMIC_RELAXED);
}

static inline bool fd_has(int fd, unsigned char bit)
{
    return fd_bits(fd) & bit;
}

/* Atomic: two threads may wait in one set, or add to it. */
static inline void fd_mark(int fd, unsigned char bit)
{
    __atomic_fetch_or(&fdtab_bits[fd], bit, __ATOMIC_RELAXED);
}

static inline void fd_unmark(int fd, unsigned char bit)
{
    __atomic_fetch_and(&fdtab_bits[fd], (unsigned char)~bit, __ATOMIC_RELAXED);
}

/* Grows whenever a number may have come to name something that is not open for reading. What was found out
 * about a number's mode (call_sendfile.c) is true as long as this stays what it was. */
extern uint64_t fdtab_opened;
static inline void fd_note_opened(void)
{
    /* One step for each: of two threads, or a handler in between, none may put back what it was before. */
    __atomic_fetch_add(&fdtab_opened, 1, __ATOMIC_RELEASE);
}

/* The engine's own descriptors: to the program they are not there. The engine itself may use them. */
extern int fdtab_private_lo; /* the lowest; INT_MAX: there is none yet */
bool fdtab_is_private(int fd);
static inline bool fd_is_private(int fd)
{
    return __builtin_expect(fd >= fdtab_private_lo, 0) && fdtab_is_private(fd);
}
/* fd is one of them from now on. */
static inline void fdtab_private_from(int fd)
{
    if (fd >= 0 && fd < fdtab_private_lo)
        fdtab_private_lo = fd;
}

/* Do n bytes at p lie in a frame just above the caller's own? Then they are there, and need no asking. */
static inline __attribute__((always_inline)) bool is_on_stack(const void *p, size_t n)
{
    uintptr_t at = (uintptr_t)p - (uintptr_t)__builtin_frame_address(0);
    return at < 4096 && n < 4096 - at;
}

/* Calls the engine, with the program's signal handlers off: API(bind(ref, sa, len)). */
#define API(call)                                                                                            \
    ({                                                                                                       \
        guard_enter();                                                                                       \
        __auto_type api_r_ = api->call;                                                                      \
        guard_leave();                                                                                       \
        api_r_;                                                                                              \
    })
#define API_VOID(call)                                                                                       \
    do {                                                                                                     \
        guard_enter();                                                                                       \
        api->call;                                                                                           \
        guard_leave();                                                                                       \
    } while (0)

/* The program's memory, as the engine touches it: false where Linux says EFAULT. */
#define USER_COPY(to, from, n) API(user_copy(to, from, n))
#define USER_READABLE(p, n)    API(user_readable(p, n))
#define USER_WRITABLE(p, n)    API(user_writable(p, n))

/* A result of the engine as a call of man 2 gives it. */
static inline ssize_t to_errno(ssize_t r)
{
    if (r < 0) {
        errno = (int)-r;
        return -1;
    }
    return r;
}

/* The errno of an argument of a call for sockets, on fd: that it is no socket at all comes first. */
static inline int unless_set(int fd, int err)
{
    return fd_has(fd, FD_EPSET) ? -ENOTSOCK : err;
}

static inline struct ref by_fd(int fd)
{
    return (struct ref){.fd = fd};
}

/* A new descriptor for a socket of the stack: the lowest number, a duplicate of the placeholder. -errno */
int fdtab_number(bool cloexec);
/* fd became a number of the stack: bits as given. */
void fdtab_set(int fd, unsigned char bits);
/* The kernel closed fd, or put something else there: the stack forgets it too. */
void fdtab_forget(int fd);
/* The same for the program's close: as api->close_linger. */
int fdtab_close(int fd, struct ref *r);
/* dup family: to is now a duplicate of fd, whatever both were. -errno of the engine (then the caller closes
 * `to`). */
int fdtab_dup(int fd, int to);
/* Forgets the numbers on which the kernel has no socket of ours. */
void fdtab_recheck(void);
/* One past the highest number that ever was the stack's in this process: where a walk over the table ends. */
int fdtab_end(void);
/* In an image that was executed by a member of the family: takes over what it passed on and what is still
 * there. */
void fdtab_passed(void);
/* Whether what stands on fd can be the stack's: bits as in fdtab_bits. */
bool fdtab_stands(int fd, unsigned char bits);
/* Follows the engine's table: after the start and in a forked child. NULL: the stack is out of reach for
 * good. */
void fdtab_follow(const struct shunt_api *a);

#endif
