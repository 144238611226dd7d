/* call_file.c: stdio over a socket of the stack: fdopen, fclose, dprintf.
 *
 * Theory of operation. libc's stdio reads and writes with its own system calls, which no preload sees; on the
 * number they would meet the placeholder. fdopen of a stack descriptor therefore makes a stream with
 * functions of ours (fopencookie) and puts the number into the stream, so that fileno knows it. Streams that
 * are open at exit are flushed before the stack goes (fork.c).
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fdtab.h"
#include "libc.h"
#include "stream.h"

#define COOKIE(fd) ((void *)(long)(fd))
#define FD(cookie) ((int)(long)(cookie))

static ssize_t stream_read(void *cookie, char *buf, size_t n)
{
    return read(FD(cookie), buf, n);
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
    for (int i = 0; i < STREAMS; i++)
        if (streams[i])
            fflush(streams[i]);
}

void stream_child(void)
{
    pthread_mutex_init(&lock, NULL);
}

EXPORT FILE *fdopen(int fd, const char *mode)
{
    if (!fd_is_stack(fd) || fd_has(fd, FD_EPSET))
        return libc.fdopen(fd, mode);
    cookie_io_functions_t io = {
        .read = stream_read, .write = stream_write, .seek = stream_seek, .close = stream_close};
    FILE *f = fopencookie(COOKIE(fd), mode, io);
    if (f) {
        f->_fileno = fd;
        fdtab_bits[fd] |= FD_STREAM;
        swap(NULL, f);
    }
    return f;
}

/* Another stream over a number that is the stack's now (dup2 onto 0, 1, 2) closes it with a call of libc's
 * own: the stack is told here. */
EXPORT int fclose(FILE *f)
{
    if (fdtab) {
        int fd = f->_fileno;
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
