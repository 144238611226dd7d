/* fdtab.c: see fdtab.h. */
#include "fdtab.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libc.h"
#include "place.h"
#include "report.h"
#include "stream.h"
#include "tree.h"

struct file **fdtab;
unsigned char fdtab_bits[SHUNT_FD_MAX];
const struct shunt_api *api;

uint64_t fdtab_opened;

static int end; /* grows only */

int fdtab_private_lo = INT_MAX;

bool fdtab_is_private(int fd)
{
    if (tree_has_fd(fd))
        return true;
    if (!api || fd < api->private_lo || fd >= api->private_hi || guard.depth > 0)
        return false;
    unsigned i = (unsigned)(fd - api->private_lo);
    return __atomic_load_n(&api->private_map[i / 64], __ATOMIC_ACQUIRE) >> i % 64 & 1;
}

static void grow(int fd)
{
    int e = __atomic_load_n(&end, __ATOMIC_RELAXED);
    while (fd >= e &&
           !__atomic_compare_exchange_n(&end, &e, fd + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

int fdtab_end(void)
{
    return fdtab ? __atomic_load_n(&end, __ATOMIC_RELAXED) : 0;
}

int fdtab_number(bool cloexec)
{
    int fd = libc.fcntl(api->placeholder, cloexec ? F_DUPFD_CLOEXEC : F_DUPFD, NULL);
    if (fd < 0)
        return errno == EINVAL ? -EMFILE : -errno; /* EINVAL: RLIMIT_NOFILE is 0 */
    if (fd >= (int)SHUNT_FD_MAX) {
        libc.close(fd);
        return -EMFILE;
    }
    return fd;
}

void fdtab_set(int fd, unsigned char bits)
{
    __atomic_store_n(&fdtab_bits[fd], bits, __ATOMIC_RELAXED);
    grow(fd);
    if (fd <= 2)
        stream_number(fd);
}

void fdtab_forget(int fd)
{
    if (!fd_is_stack(fd))
        return;
    epoll_closed(fd);
    API(close(fd));
    __atomic_store_n(&fdtab_bits[fd], 0, __ATOMIC_RELAXED);
    if (fd <= 2)
        stream_number(fd);
}

int fdtab_close(int fd, struct ref *r)
{
    epoll_closed(fd);
    int s = API(close_linger(fd, r));
    __atomic_store_n(&fdtab_bits[fd], 0, __ATOMIC_RELAXED);
    if (fd <= 2)
        stream_number(fd);
    return s;
}

bool fdtab_stands(int fd, unsigned char bits)
{
    struct stat sb, placeholder;
    if (libc.fstat(fd, &sb) != 0)
        return false;
    if (bits & FD_EPSET)
        return !(sb.st_mode & S_IFMT);
    if (bits & FD_TWIN)
        return S_ISSOCK(sb.st_mode);
    return libc.fstat(api->placeholder, &placeholder) == 0 && sb.st_dev == placeholder.st_dev &&
           sb.st_ino == placeholder.st_ino;
}

void fdtab_recheck(void)
{
    int saved = errno;
    for (int fd = 0, e = fdtab_end(); fd < e; fd++)
        if (fd_is_stack(fd) && !fdtab_stands(fd, fd_bits(fd)))
            fdtab_forget(fd);
    errno = saved;
}

void fdtab_passed(void)
{
    for (int fd = 0; api->passed && fd < api->passed_end; fd++)
        if (fd_is_stack(fd))
            fdtab_set(fd, api->passed[fd] & (FD_TWIN | FD_KERNEL | FD_TURN | FD_EPSET));
    fdtab_recheck();
}

int fdtab_dup(int fd, int to)
{
    if (!fd_is_stack(fd)) {
        fdtab_forget(to);
        return 0;
    }
    if ((unsigned)to >= SHUNT_FD_MAX)
        return -EMFILE;
    int r = API(dup(by_fd(fd), to));
    if (r < 0)
        return r;
    fdtab_set(to, fd_bits(fd));
    return 0;
}

void fdtab_follow(const struct shunt_api *a)
{
    if (!a || !a->fdt) {
        __atomic_store_n(&fdtab, NULL, __ATOMIC_RELEASE);
        return;
    }
    a = report_follow(a);
    fdtab_private_from(a->private_lo);
    __atomic_store_n(&api, a, __ATOMIC_RELEASE);
    __atomic_store_n(&fdtab, a->fdt, __ATOMIC_RELEASE);
    a->set_uid(geteuid());
}
