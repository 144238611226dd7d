/* call_sendfile.c: sendfile: from a file to the engine, which sends the file's pages (api->sendfile). splice
 * has a file of its own. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "diag.h"
#include "dispatch.h"
#include "fdtab.h"
#include "io.h"
#include "libc.h"
#include "many.h"
#include "signals.h"
#include "splice.h"
#include "wait.h"

#define SENDFILE_MAX 0x7ffff000u /* Linux transfers at most this at once */
#define CHUNK        65536u

static ssize_t send_pages(int out, int in, off_t *off, size_t n)
{
    struct block b __attribute__((cleanup(block_end))) = block_begin(out, EPOLLOUT, false);
    size_t sent = 0;
    while (sent < n) {
        ssize_t r = API(sendfile(b.ref, in, off, n - sent));
        if (r > 0) {
            sent += (size_t)r;
            continue;
        }
        if (r == 0) /* the end of the file */
            break;
        if (r == -EAGAIN && (r = block_wait(&b)) == 0)
            continue;
        return sent ? (ssize_t)sent : r;
    }
    return (ssize_t)sent;
}

/* To a datagram socket: what is read at once is one datagram; what has more to come waits for it (Linux:
 * splice_to_socket, by way of a pipe of 16 pages). */
static ssize_t send_datagram(int out, int in, off_t *off, size_t n)
{
    struct scratch mem __attribute__((cleanup(scratch_free)));
    char *buf = scratch_get(&mem, n < CHUNK ? n : CHUNK);
    size_t sent = 0;
    if (!buf)
        return -ENOMEM;
    while (sent < n) {
        size_t want = n - sent < CHUNK ? n - sent : CHUNK;
        ssize_t got = pread(in, buf, want, *off);
        if (got <= 0)
            return sent ? (ssize_t)sent : got < 0 ? -errno : 0;
        ssize_t r = io_send_buf(out, buf, (size_t)got, (size_t)got == want && sent + want < n ? MSG_MORE : 0);
        if (r < 0)
            return sent ? (ssize_t)sent : r;
        sent += (size_t)r;
        *off += r;
    }
    return (ssize_t)sent;
}

static bool is_stream(int fd)
{
    int type = api->sock_type(by_fd(fd));
    return type < 0 || type == SOCK_STREAM;
}

/* Directories and the files behind eventfds, timers and the like can't be sent. Asked after the socket has
 * refused: a call that works pays nothing. */
static bool has_pages(int fd)
{
    struct stat sb;
    return fstat(fd, &sb) < 0 || (!S_ISDIR(sb.st_mode) && (sb.st_mode & S_IFMT) != 0);
}

/* May the kernel's fd be read, or written, as far as it goes? */
static bool may(int fd, int not_mode)
{
    int flags = libc.fcntl(fd, F_GETFL, NULL);
    return flags >= 0 && (flags & O_ACCMODE) != not_mode && !(flags & O_PATH);
}

/* Numbers found open for reading, and the count of fdtab.h as of then. A server sends the same files again
 * and again: it is spared a system call each time. Not where the program makes system calls of its own, of
 * which those that open a file are not looked at. */
#define READABLE_SLOTS 256 /* by number; the others ask each time */
static uint64_t readable[READABLE_SLOTS];

/* May in be read, for a call of n bytes? *kept: this is what was found some time ago; an error is then to be
 * looked at again (what is closed by now may not be read either). */
static bool may_read(int in, size_t n, bool *kept)
{
    uint64_t now = 1 + __atomic_load_n(&fdtab_opened, __ATOMIC_ACQUIRE);
    uint64_t *slot = n && (unsigned)in < READABLE_SLOTS && !dispatch_on ? &readable[in] : NULL;
    *kept = slot && __atomic_load_n(slot, __ATOMIC_RELAXED) == now;
    if (*kept)
        return true;
    if (!may(in, O_WRONLY))
        return false;
    if (slot)
        __atomic_store_n(slot, now, __ATOMIC_RELAXED);
    return true;
}

static ssize_t send_file(int out, int in, off_t *off, size_t n)
{
    off_t at = off ? *off : lseek(in, 0, SEEK_CUR);
    if (at < 0)
        return -EINVAL; /* a pipe, a socket; or a negative offset */
    if (n > SENDFILE_MAX)
        n = SENDFILE_MAX;
    ssize_t r = is_stream(out) ? send_pages(out, in, &at, n) : send_datagram(out, in, &at, n);
    if (off)
        *off = at;
    else if (r > 0)
        lseek(in, at, SEEK_SET);
    return r;
}

static ssize_t stack_sendfile(int out, int in, off_t *off, size_t n)
{
    bool kept;
    if (fd_is_stack(in) || fd_has(out, FD_EPSET))
        return -EINVAL;
    if (!may_read(in, n, &kept))
        return -EBADF;
    if (off && !is_on_stack(off, sizeof(*off)) && !USER_WRITABLE(off, sizeof(*off)))
        return -EFAULT;
    ssize_t r = send_file(out, in, off, n);
    if (r >= 0)
        return r;
    if (kept && !may(in, O_WRONLY))
        return -EBADF;
    if (!has_pages(in))
        return -EINVAL;
    if (r == -EPIPE && is_stream(out))
        signals_sigpipe();
    return r;
}

/* From a socket: Linux takes it to a pipe, as splice does, and nowhere else (do_sendfile). */
static ssize_t sendfile_from(int out, int in, const off_t *off, size_t n)
{
    bool nonblock = API(get_flags(by_fd(in))) & O_NONBLOCK;
    if (off)
        return -ESPIPE;
    if (!may(out, O_RDONLY))
        return -EBADF;
    if (!splice_is_pipe(out))
        return -EINVAL;
    return n ? splice_to_pipe(in, out, n < SENDFILE_MAX ? n : SENDFILE_MAX, nonblock) : 0;
}

EXPORT ssize_t sendfile(int out, int in, off_t *off, size_t n)
{
    if (!fd_is_stack(out)) {
        if (fd_is_stack(in) && !fd_has(in, FD_EPSET))
            return to_errno(sendfile_from(out, in, off, n));
        return libc.sendfile(out, in, off, n);
    }
    return to_errno(stack_sendfile(out, in, off, n));
}

ssize_t sendfile64(int out, int in, off64_t *off, size_t n) ALIAS_NOTHROW(sendfile);
