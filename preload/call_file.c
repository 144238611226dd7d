/* call_file.c: stdio over a socket of the stack: fdopen, fclose, freopen, dprintf, and the standard streams.
 *
 * Theory of operation. libc's stdio reads and writes with its own system calls, which no preload sees; on the
 * number they would meet the placeholder. fdopen of a stack descriptor therefore makes a stream with
 * functions of ours (fopencookie) and puts the number into the stream, so that fileno knows it. Streams that
 * are open at exit are flushed before the stack goes (fork.c).
 *
 * The standard streams are libc's own, made for the numbers 0, 1 and 2 before anything was on them. When a
 * socket comes to stand on such a number (dup2, inetd), the variable stdin, stdout or stderr is set to a
 * stream of ours over it, which takes over buffering, state and what was not written yet; when the socket
 * goes, the variable is libc's again. Differs: who kept a copy of the pointer (C++'s cout does) has libc's
 * stream still, whose reads and writes fail with ENOTCONN.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fdtab.h"
#include "libc.h"
#include "popened.h"
#include "procfs.h"
#include "stream.h"

#define COOKIE(fd) ((void *)(long)(fd))
#define FD(cookie) ((int)(long)(cookie))

static struct standard {
    FILE *libcs; /* while ours stands for it, else NULL */
    FILE *ours;  /* made once */
} standard[3];

/* What libc's stream had read when ours took its place comes first. */
static size_t read_before(int fd, char *buf, size_t n)
{
    FILE *old = fd < 3 ? standard[fd].libcs : NULL;
    if (!old || old->_IO_read_ptr >= old->_IO_read_end)
        return 0;
    size_t left = (size_t)(old->_IO_read_end - old->_IO_read_ptr);
    n = n < left ? n : left;
    memcpy(buf, old->_IO_read_ptr, n);
    old->_IO_read_ptr += n;
    return n;
}

static ssize_t stream_read(void *cookie, char *buf, size_t n)
{
    size_t before = read_before(FD(cookie), buf, n);
    return before ? (ssize_t)before : read(FD(cookie), buf, n);
}

/* fopencookie: 0, not -1, says that nothing could be written. */
static ssize_t stream_write(void *cookie, const char *buf, size_t n)
{
    ssize_t r = write(FD(cookie), buf, n);
    return r < 0 ? 0 : r;
}

static int stream_seek(void *cookie, off64_t *at, int whence)
{
    errno = ESPIPE; /* stdio takes this as: not seekable, no error */
    return -1;
}

static int stream_close(void *cookie)
{
    return close(FD(cookie));
}

/* Streams of ours, for the flush at exit. */
#define STREAMS 256
static FILE *streams[STREAMS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void swap(const FILE *from, FILE *to)
{
    guard_enter();
    pthread_mutex_lock(&lock);
    for (int i = 0; i < STREAMS; i++) {
        if (streams[i] == from) {
            streams[i] = to;
            break;
        }
    }
    pthread_mutex_unlock(&lock);
    guard_leave();
}

void stream_flush_all(void)
{
    for (int i = 0; i < 3; i++)
        if (standard[i].libcs)
            fflush(standard[i].ours);
    for (int i = 0; i < STREAMS; i++)
        if (streams[i])
            fflush(streams[i]);
}

void stream_child(void)
{
    pthread_mutex_init(&lock, NULL);
}

static const cookie_io_functions_t functions = {
    .read = stream_read, .write = stream_write, .seek = stream_seek, .close = stream_close};

EXPORT FILE *fdopen(int fd, const char *mode)
{
    if (!fd_is_stack(fd) || fd_has(fd, FD_EPSET))
        return libc.fdopen(fd, mode);
    FILE *f = fopencookie(COOKIE(fd), mode, functions);
    if (f) {
        f->_fileno = fd;
        fd_mark(fd, FD_STREAM);
        swap(NULL, f);
    }
    return f;
}

/* --- the standard streams --- */

/* libc's bits of FILE._flags that its headers do not name. */
#define FLAG_UNBUFFERED    0x2
#define FLAG_LINE_BUFFERED 0x200
#define FLAGS_STATE        (_IO_EOF_SEEN | _IO_ERR_SEEN)

static FILE **variable(int fd)
{
    return fd == 0 ? &stdin : fd == 1 ? &stdout : &stderr;
}

/* What from holds unwritten, and its state, goes to to. */
static void hand_over(FILE *from, FILE *to)
{
    size_t n = __fpending(from);
    if (n > 0 && from->_mode <= 0) {
        fwrite(from->_IO_write_base, 1, n, to);
        __fpurge(from);
    }
    to->_flags = (to->_flags & ~FLAGS_STATE) | (from->_flags & FLAGS_STATE);
}

static void take_place(int fd)
{
    struct standard *s = &standard[fd];
    FILE *old = *variable(fd);
    if (!old || old->_fileno != fd || old == s->ours)
        return;
    if (!s->ours)
        s->ours = fopencookie(COOKIE(fd), fd == 0 ? "r" : "w", functions);
    if (!s->ours)
        return;
    s->ours->_fileno = fd;
    if (fd > 0)
        setvbuf(s->ours, NULL,
                old->_flags & FLAG_UNBUFFERED      ? _IONBF
                : old->_flags & FLAG_LINE_BUFFERED ? _IOLBF
                                                   : _IOFBF,
                0);
    hand_over(old, s->ours);
    s->libcs = old;
    *variable(fd) = s->ours;
}

static void give_back(int fd)
{
    struct standard *s = &standard[fd];
    hand_over(s->ours, s->libcs);
    if (*variable(fd) == s->ours)
        *variable(fd) = s->libcs;
    s->libcs = NULL;
}

void stream_number(int fd)
{
    bool socket = fd_is_stack(fd) && !fd_has(fd, FD_EPSET);
    if (socket && !standard[fd].libcs)
        take_place(fd);
    else if (!socket && standard[fd].libcs)
        give_back(fd);
}

/* Is f ours for a standard stream? Then it is not any more: libc's, or NULL. */
static FILE *not_standard(FILE *f)
{
    int fd = f->_fileno;
    if (fd < 0 || fd > 2 || f != standard[fd].ours || !standard[fd].libcs)
        return NULL;
    FILE *libcs = standard[fd].libcs;
    fflush(f);
    give_back(fd);
    return libcs;
}

#define FLAG_NO_READS  0x4
#define FLAG_NO_WRITES 0x8

/* open's flags of a mode of fopen, or -1. */
static int open_flags(const char *mode)
{
    int flags = mode[0] == 'r' ? O_RDONLY : mode[0] == 'w' ? O_WRONLY | O_CREAT | O_TRUNC : -1;
    if (mode[0] == 'a')
        flags = O_WRONLY | O_CREAT | O_APPEND;
    for (const char *p = mode + 1; flags >= 0 && mode[0] && *p && *p != ','; p++) {
        if (*p == '+')
            flags = (flags & ~O_ACCMODE) | O_RDWR;
        flags |= *p == 'e' ? O_CLOEXEC : *p == 'x' ? O_EXCL : 0;
    }
    return flags;
}

/* freopen of a stream of ours, which libc cannot do: it stays ours, over the file that is on its number now.
 */
static FILE *reopen(const char *path, const char *mode, FILE *f)
{
    int fd = f->_fileno, flags = open_flags(mode), to;
    fflush(f);
    __fpurge(f);
    close(fd);
    errno = path ? EINVAL : ENXIO; /* a socket cannot be opened by its name in /proc */
    to = path && flags >= 0 ? open(path, flags, 0666) : -1;
    if (to >= 0 && to != fd) {
        int moved = dup3(to, fd, flags & O_CLOEXEC);
        close(to);
        to = moved;
    }
    if (to < 0) {
        int err = errno;
        swap(f, NULL);
        libc.fclose(f);
        errno = err;
        return NULL;
    }
    flags &= O_ACCMODE;
    f->_flags &= ~(FLAGS_STATE | FLAG_NO_READS | FLAG_NO_WRITES);
    f->_flags |= flags == O_RDONLY ? FLAG_NO_WRITES : flags == O_WRONLY ? FLAG_NO_READS : 0;
    return f;
}

/* A path below /proc may be the stack's (procfs.h). */
static FILE *reopened(FILE *f, const char *path)
{
    fd_note_opened();
    int err = f && path && procfs_may_be(fileno(f), AT_FDCWD, path) ? procfs_opened(fileno(f)) : 0;
    if (!err && f && path &&
        fd_is_stack(fileno(f))) { /* a setting to be written: not by a stream of libc's */
        fdtab_forget(fileno(f));
        err = EROFS;
    }
    if (!err)
        return f;
    libc.fclose(f);
    errno = err;
    return NULL;
}

EXPORT FILE *freopen(const char *restrict path, const char *restrict mode, FILE *restrict f)
{
    if (!fdtab || !fd_is_stack(f->_fileno))
        return reopened(libc.freopen(path, mode, f), path);
    FILE *libcs = not_standard(f);
    if (libcs)
        f = libcs;
    else if (fd_has(f->_fileno, FD_STREAM))
        return reopen(path, mode, f);
    fdtab_forget(f->_fileno); /* libc closes the number itself */
    return reopened(libc.freopen(path, mode, f), path);
}

FILE *freopen64(const char *restrict path, const char *restrict mode, FILE *restrict f) ALIAS(freopen);

/* Another stream over a number that is the stack's now (dup2 onto 0, 1, 2) closes it with a call of libc's
 * own: the stack is told here. */
EXPORT int fclose(FILE *f)
{
    popened_forget(f);
    if (fdtab) {
        int fd = f->_fileno;
        FILE *libcs = not_standard(f);
        if (libcs)
            f = libcs;
        swap(f, NULL);
        if (fd_is_stack(fd) && !fd_has(fd, FD_STREAM))
            fdtab_forget(fd);
    }
    return libc.fclose(f);
}

/* --- dprintf --- */

static int write_out(int fd, char *text, int n)
{
    for (int done = 0; n > 0 && done < n;) {
        ssize_t r = write(fd, text + done, (size_t)(n - done));
        if (r < 0) {
            n = -1;
            break;
        }
        done += (int)r;
    }
    free(text);
    return n;
}

EXPORT int vdprintf(int fd, const char *restrict fmt, va_list ap)
{
    char *text = NULL;
    if (!fd_is_stack(fd))
        return libc.vdprintf(fd, fmt, ap);
    int n = vasprintf(&text, fmt, ap);
    return n < 0 ? -1 : write_out(fd, text, n);
}

EXPORT int dprintf(int fd, const char *restrict fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vdprintf(fd, fmt, ap);
    va_end(ap);
    return n;
}

int __vdprintf_chk(int fd, int flag, const char *restrict fmt, va_list ap);
int __dprintf_chk(int fd, int flag, const char *restrict fmt, ...);

/* Differs: the check of %n in a writable format is not made for other descriptors either. */
EXPORT int __vdprintf_chk(int fd, int flag, const char *restrict fmt, va_list ap)
{
    return vdprintf(fd, fmt, ap);
}

EXPORT int __dprintf_chk(int fd, int flag, const char *restrict fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vdprintf(fd, fmt, ap);
    va_end(ap);
    return n;
}
