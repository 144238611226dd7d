/* aio.c: POSIX asynchronous I/O on sockets (aio(7)). */
#include "check.h"

#include <aio.h>

static char rbuf[4][64];

static struct aiocb cb_of(int fd, void *buf, size_t n)
{
    struct aiocb cb;

    memset(&cb, 0, sizeof(cb));
    cb.aio_fildes = fd;
    cb.aio_buf = buf;
    cb.aio_nbytes = n;
    cb.aio_sigevent.sigev_notify = SIGEV_NONE;
    return cb;
}

static int finish(struct aiocb *cb)
{
    const struct aiocb *list[1] = {cb};
    struct timespec second = {2, 0};

    while (aio_error(cb) == EINPROGRESS)
        if (aio_suspend(list, 1, &second) < 0)
            return -1;
    return 0;
}
#define ERR(cb) show("aio_error", "%s", errname(aio_error(&cb)))

CHECK(read_what_is_there)
{
    int sv[2];
    struct aiocb cb;

    tcp_pair(sv);
    NEED(send(sv[0], "hello", 5, 0) == 5 && settle(sv[1], POLLIN));
    cb = cb_of(sv[1], rbuf[0], sizeof(rbuf[0]));
    R(aio_read(&cb));
    R(finish(&cb));
    ERR(cb);
    R(aio_return(&cb));
    TEXT(rbuf[0], 5);
}

CHECK(read_what_comes)
{
    int sv[2];
    struct aiocb cb;

    tcp_pair(sv);
    cb = cb_of(sv[1], rbuf[0], sizeof(rbuf[0]));
    R(aio_read(&cb));
    nap(20);
    ERR(cb);
    R(send(sv[0], "later", 5, 0));
    R(finish(&cb));
    R(aio_return(&cb));
    TEXT(rbuf[0], 5);
}

CHECK(write_and_read)
{
    int sv[2];
    struct aiocb w, r;

    tcp_pair(sv);
    w = cb_of(sv[0], "written", 7);
    w.aio_offset = 12345; /* sockets have none */
    r = cb_of(sv[1], rbuf[0], 7);
    R(aio_write(&w));
    R(finish(&w));
    R(aio_return(&w));
    R(aio_read(&r));
    R(finish(&r));
    R(aio_return(&r));
    TEXT(rbuf[0], 7);
}

CHECK(the_end)
{
    int sv[2];
    struct aiocb cb;

    tcp_pair(sv);
    cb = cb_of(sv[1], rbuf[0], 8);
    R(shutdown(sv[0], SHUT_WR));
    R(aio_read(&cb));
    R(finish(&cb));
    R(aio_return(&cb));
    close(sv[1]);
    R(send(sv[0], "x", 1, MSG_NOSIGNAL));
    cb = cb_of(200, rbuf[0], 8);
    R(aio_read(&cb));
    R(finish(&cb));
    ERR(cb);
    R(aio_return(&cb));
}

CHECK(not_connected)
{
    int s = tcp4();
    struct aiocb cb = cb_of(s, rbuf[0], 8);

    R(aio_read(&cb));
    R(finish(&cb));
    ERR(cb);
    R(aio_return(&cb));
    R(aio_write(&cb));
    R(finish(&cb));
    ERR(cb);
}

CHECK(nonblocking)
{
    int sv[2];
    struct aiocb cb;

    tcp_pair_nb(sv);
    cb = cb_of(sv[1], rbuf[0], 8);
    R(aio_read(&cb));
    R(finish(&cb));
    ERR(cb);
}

static volatile sig_atomic_t came;
static void *volatile value;

static void on_done(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)context;
    value = info->si_value.sival_ptr;
    came = info->si_code;
}

CHECK(told_by_a_signal)
{
    int sv[2];
    struct aiocb cb;
    struct sigaction sa = {.sa_sigaction = on_done, .sa_flags = SA_SIGINFO | SA_RESTART};

    sigemptyset(&sa.sa_mask);
    NEED(sigaction(SIGUSR1, &sa, NULL) == 0);
    tcp_pair(sv);
    cb = cb_of(sv[1], rbuf[0], 8);
    cb.aio_sigevent.sigev_notify = SIGEV_SIGNAL;
    cb.aio_sigevent.sigev_signo = SIGUSR1;
    cb.aio_sigevent.sigev_value.sival_ptr = &cb;
    R(aio_read(&cb));
    R(send(sv[0], "abc", 3, 0));
    for (long end = now_ms() + SETTLE_MS; !came && now_ms() < end;)
        nap(1);
    V(came);
    V(value == &cb);
    ERR(cb);
    R(aio_return(&cb));
}

static volatile int called;

static void in_a_thread(union sigval v)
{
    called = v.sival_int;
}

CHECK(told_by_a_thread)
{
    int sv[2];
    struct aiocb cb;

    tcp_pair(sv);
    cb = cb_of(sv[1], rbuf[0], 8);
    cb.aio_sigevent.sigev_notify = SIGEV_THREAD;
    cb.aio_sigevent.sigev_notify_function = in_a_thread;
    cb.aio_sigevent.sigev_value.sival_int = 77;
    R(aio_read(&cb));
    R(send(sv[0], "abc", 3, 0));
    for (long end = now_ms() + SETTLE_MS; !called && now_ms() < end;)
        nap(1);
    V(called);
    R(aio_return(&cb));
}

CHECK(a_list)
{
    int sv[2], p[2];
    struct aiocb cb[4], *list[5];

    tcp_pair(sv);
    NEED(pipe(p) == 0);
    cb[0] = cb_of(sv[0], "list", 4);
    cb[0].aio_lio_opcode = LIO_WRITE;
    cb[1] = cb_of(sv[1], rbuf[1], 4);
    cb[1].aio_lio_opcode = LIO_READ;
    cb[2] = cb_of(p[1], "pipe", 4);
    cb[2].aio_lio_opcode = LIO_WRITE;
    cb[3] = cb_of(p[0], rbuf[3], 4);
    cb[3].aio_lio_opcode = LIO_NOP;
    for (int i = 0; i < 4; i++)
        list[i] = &cb[i];
    list[4] = NULL;
    R(lio_listio(LIO_WAIT, list, 5, NULL));
    for (int i = 0; i < 3; i++) {
        ERR(cb[i]);
        R(aio_return(&cb[i]));
    }
    TEXT(rbuf[1], 4);
    R(lio_listio(7, list, 1, NULL));
    R(lio_listio(LIO_WAIT, list, -1, NULL));
    cb[0] = cb_of(200, "list", 4);
    cb[0].aio_lio_opcode = LIO_WRITE;
    R(lio_listio(LIO_WAIT, list, 1, NULL) == -1 ? errno == EIO : 0);
}

CHECK(a_list_told_by_a_signal)
{
    int sv[2];
    struct aiocb cb[2], *list[2] = {&cb[0], &cb[1]};
    struct sigaction sa = {.sa_sigaction = on_done, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};

    sigemptyset(&sa.sa_mask);
    came = 0;
    NEED(sigaction(SIGUSR1, &sa, NULL) == 0);
    tcp_pair(sv);
    cb[0] = cb_of(sv[1], rbuf[0], 4);
    cb[0].aio_lio_opcode = LIO_READ;
    cb[1] = cb_of(sv[0], rbuf[1], 4);
    cb[1].aio_lio_opcode = LIO_READ;
    R(lio_listio(LIO_NOWAIT, list, 2, &ev));
    R(send(sv[0], "abcd", 4, 0));
    nap(20);
    V(came);
    R(send(sv[1], "efgh", 4, 0));
    for (long end = now_ms() + SETTLE_MS; !came && now_ms() < end;)
        nap(1);
    V(came);
    R(aio_return(&cb[0]));
    R(aio_return(&cb[1]));
}

CHECK(suspended)
{
    int sv[2], p[2];
    struct aiocb a, b;
    const struct aiocb *list[3] = {NULL};
    struct timespec soon = {0, 20000000};

    tcp_pair(sv);
    NEED(pipe(p) == 0);
    a = cb_of(sv[1], rbuf[0], 4);
    b = cb_of(p[0], rbuf[1], 4);
    R(aio_read(&a));
    R(aio_read(&b));
    list[1] = &a;
    list[2] = &b;
    R(aio_suspend(list, 3, &soon));
    R(aio_cancel(p[0], NULL) == AIO_CANCELED || 1);
    R(write(p[1], "pipe", 4));
    R(aio_suspend(list, 3, NULL));
    R(aio_return(&b));
    list[2] = NULL;
    R(aio_suspend(list, 3, &soon));
    R(send(sv[0], "sock", 4, 0));
    R(aio_suspend(list, 3, NULL));
    R(aio_return(&a));
    R(aio_cancel(sv[1], &a));
    R(aio_cancel(200, NULL));
}
