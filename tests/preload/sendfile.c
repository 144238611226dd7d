/* sendfile.c: sendfile and sendfile64: offsets, counts, ends of files, kinds of source, content. */
#include "check.h"

#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>

static unsigned char pattern(long i)
{
    return (unsigned char)(i * 31 + (i >> 8) * 7 + (i >> 16) * 3);
}

/* A file of n patterned bytes without a name. */
static int file_of(long n)
{
    int fd = memfd_create("check", 0);
    unsigned char b[4096];

    NEED(fd >= 0);
    for (long done = 0; done < n;) {
        long k = n - done < (long)sizeof(b) ? n - done : (long)sizeof(b);

        for (long i = 0; i < k; i++)
            b[i] = pattern(done + i);
        NEED(write(fd, b, (size_t)k) == k);
        done += k;
    }
    NEED(lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

/* Receives n bytes and prints whether they are the file's from off on. */
static void expect(int fd, long off, long n)
{
    static unsigned char b[1 << 16];
    long got = 0, wrong = 0;

    while (got < n) {
        long want = n - got < (long)sizeof(b) ? n - got : (long)sizeof(b);
        ssize_t r = recv(fd, b, (size_t)want, 0);

        if (r <= 0)
            break;
        for (ssize_t i = 0; i < r; i++)
            wrong += b[i] != pattern(off + got + i);
        got += r;
    }
    show("received", "%ld, wrong %ld", got, wrong);
}

CHECK(position)
{
    int sv[2], f = file_of(1000);

    tcp_pair(sv);
    R(sendfile(sv[0], f, NULL, 300));
    V(lseek(f, 0, SEEK_CUR));
    expect(sv[1], 0, 300);
    R(sendfile(sv[0], f, NULL, 2000));
    V(lseek(f, 0, SEEK_CUR));
    expect(sv[1], 300, 700);
    R(sendfile(sv[0], f, NULL, 10));
}

CHECK(offset)
{
    int sv[2], f = file_of(1000);
    off_t off = 100;

    tcp_pair(sv);
    R(sendfile(sv[0], f, &off, 300));
    V(off);
    V(lseek(f, 0, SEEK_CUR));
    expect(sv[1], 100, 300);
    R(sendfile(sv[0], f, &off, 100000));
    V(off);
    expect(sv[1], 400, 600);
    R(sendfile(sv[0], f, &off, 10));
    V(off);
    off = 5000;
    R(sendfile(sv[0], f, &off, 10));
    V(off);
    off = -1;
    R(sendfile(sv[0], f, &off, 10));
    off = 0;
    R(sendfile(sv[0], f, &off, 0));
    V(off);
    R(sendfile64(sv[0], f, &off, 4));
    V(off);
    expect(sv[1], 0, 4);
}

CHECK(bad_arguments)
{
    int sv[2], f = file_of(10), w = open("/dev/null", O_WRONLY), pf[2], u = udp4();
    struct sockaddr_in a;

    tcp_pair(sv);
    NEED(pipe(pf) == 0);
    R(sendfile(200, f, NULL, 10));
    R(sendfile(sv[0], 200, NULL, 10));
    R(sendfile(sv[0], w, NULL, 10));
    R(sendfile(sv[0], sv[1], NULL, 10));
    R(sendfile(sv[0], pf[0], NULL, 10) < 0 ? 1 : 0);
    R(sendfile(tcp4(), f, NULL, 10));
    R(sendfile(listen4(&a), f, NULL, 10));
    R(sendfile(u, f, NULL, 10));
    shutdown(sv[0], SHUT_WR);
    lseek(f, 0, SEEK_SET);
    R(sendfile(sv[0], f, NULL, 10));
    V(lseek(f, 0, SEEK_CUR));
}

CHECK(directory_and_device)
{
    int sv[2], d = open("/", O_RDONLY), z = open("/dev/zero", O_RDONLY);
    char b[16];

    tcp_pair(sv);
    R(sendfile(sv[0], d, NULL, 10));
    R(sendfile(sv[0], z, NULL, 10));
    R(recv(sv[1], b, 10, MSG_WAITALL));
    V(b[0] == 0 && b[9] == 0);
}

CHECK(large)
{
    enum { N = 20 << 20 };
    int sv[2], f = file_of(N);
    off_t off = 0;
    long sent = 0;
    pid_t p;

    tcp_pair(sv);
    p = fork_tied();
    if (p == 0) {
        long i = 0;
        static unsigned char b[1 << 16];

        close(sv[0]);
        for (;;) {
            ssize_t n = recv(sv[1], b, sizeof(b), 0);

            if (n <= 0)
                _exit(i == N ? 0 : 1);
            for (ssize_t k = 0; k < n; k++)
                if (b[k] != pattern(i + k))
                    _exit(2);
            i += n;
        }
    }
    close(sv[1]);
    while (off < N) {
        ssize_t n = sendfile(sv[0], f, &off, N);

        if (n <= 0)
            break;
        sent += n;
    }
    V(sent);
    V(off);
    close(sv[0]);
    V(child_status(p));
}

CHECK(nonblocking)
{
    enum { N = 32 << 20 };
    int sv[2], f = file_of(N);
    off_t off = 0;
    ssize_t n;

    tcp_pair_nb(sv);
    n = sendfile(sv[0], f, &off, N);
    V(n > 0 && n < N);
    V(off == n);
    fill(sv[0]);
    R(sendfile(sv[0], f, &off, N));
    V(off == n);
}

CHECK(with_header_and_cork)
{
    int sv[2], f = file_of(5000), on = 1, off = 0;
    char b[6];

    tcp_pair(sv);
    R(setsockopt(sv[0], IPPROTO_TCP, TCP_CORK, &on, sizeof(on)));
    R(send(sv[0], "header", 6, 0));
    R(sendfile(sv[0], f, NULL, 5000));
    R(setsockopt(sv[0], IPPROTO_TCP, TCP_CORK, &off, sizeof(off)));
    R(recv(sv[1], b, 6, MSG_WAITALL));
    TEXT(b, 6);
    expect(sv[1], 0, 5000);
}

/* What is written to the file after sendfile has returned may or may not be seen; truncation may not hurt
 * either end. */
CHECK(file_truncated_after)
{
    int sv[2], f = file_of(100000);
    off_t off = 0;
    ssize_t n;

    tcp_pair(sv);
    n = sendfile(sv[0], f, &off, 50000);
    V(n > 0);
    R(ftruncate(f, 10));
    R(sendfile(sv[0], f, &off, 50000));
    off = 0;
    R(sendfile(sv[0], f, &off, 50000));
    close(sv[0]);
    V(read_all(sv[1], (char[60000]){0}, 60000) == n + 10);
}

CHECK(to_kernel_descriptors)
{
    int f = file_of(100), un[2], pf[2], out = memfd_create("out", 0);
    char b[100];

    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, un) == 0 && pipe(pf) == 0);
    R(sendfile(un[0], f, NULL, 50));
    R(recv(un[1], b, 50, MSG_WAITALL));
    R(sendfile(out, f, NULL, 50));
    V(lseek(out, 0, SEEK_END));
    lseek(f, 0, SEEK_SET);
    R(sendfile(pf[1], f, NULL, 10));
    R(read(pf[0], b, 10));
}

CHECK(named_file_changes)
{
    char name[] = "/tmp/check-sendfile-XXXXXX";
    int sv[2], f = mkstemp(name);
    off_t off;
    char b[8];

    NEED(f >= 0 && unlink(name) == 0);
    tcp_pair(sv);
    NEED(pwrite(f, "first", 5, 0) == 5);
    off = 0;
    R(sendfile(sv[0], f, &off, 5));
    R(recv(sv[1], b, 5, MSG_WAITALL));
    TEXT(b, 5);
    NEED(pwrite(f, "other", 5, 0) == 5);
    off = 0;
    R(sendfile(sv[0], f, &off, 5));
    R(recv(sv[1], b, 5, MSG_WAITALL));
    TEXT(b, 5);
}

/* A number that was sent from, and is free again. */
static int sent_from(int sv[2], const char *name)
{
    int fd = open(name, O_RDONLY);
    char b[10];

    NEED(fd >= 0);
    for (int i = 0; i < 2; i++) {
        off_t off = 0;

        NEED(sendfile(sv[0], fd, &off, 5) == 5);
    }
    NEED(recv(sv[1], b, 10, MSG_WAITALL) == 10);
    NEED(close(fd) == 0);
    return fd;
}

/* The number is something else now. */
static void from_other(int sv[2], int was, int fd)
{
    off_t off = 0;

    V(fd == was);
    R(sendfile(sv[0], fd, &off, 5));
    R(sendfile(sv[0], fd, NULL, 5));
    R(sendfile(sv[0], fd, &off, 0));
    close(fd);
}

/* What is not open for reading can't be sent, whatever was sent from the same number before. */
CHECK(number_changes_its_mode)
{
    char name[] = "/tmp/check-sendfile-XXXXXX";
    int sv[2], f = mkstemp(name), w = open(name, O_WRONLY), was, p[2], un[2], fd, mount;
    char shm[64];
    union {
        struct file_handle h;
        char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
    } handle = {.h = {.handle_bytes = MAX_HANDLE_SZ}};
    union {
        struct cmsghdr h;
        char room[CMSG_SPACE(sizeof(int))];
    } c = {.h = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct iovec iov = {.iov_base = name, .iov_len = 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};
    FILE *file;

    NEED(f >= 0 && w >= 0 && pwrite(f, "bytes", 5, 0) == 5);
    tcp_pair(sv);
    NEED(socketpair(AF_UNIX, SOCK_DGRAM, 0, un) == 0);
    from_other(sv, sent_from(sv, name), -1); /* closed */
    was = sent_from(sv, name);
    from_other(sv, was, was);
    was = sent_from(sv, name);
    from_other(sv, was, open(name, O_WRONLY));
    was = sent_from(sv, name);
    from_other(sv, was, open(name, O_PATH));
    was = sent_from(sv, name);
    from_other(sv, was, openat(AT_FDCWD, name, O_WRONLY | O_APPEND));
    was = sent_from(sv, name);
    from_other(sv, was, dup(w));
    was = sent_from(sv, name);
    from_other(sv, was, dup2(w, was));
    was = sent_from(sv, name);
    from_other(sv, was, fcntl(w, F_DUPFD, 0));
    was = sent_from(sv, name);
    file = fopen(name, "a");
    NEED(file);
    from_other(sv, was, fileno(file));
    was = sent_from(sv, name);
    fd = creat(name, 0600);
    NEED(pwrite(f, "bytes", 5, 0) == 5);
    from_other(sv, was, fd);
    was = sent_from(sv, name);
    fd = (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY);
    from_other(sv, was, fd);
#ifdef SYS_creat
    was = sent_from(sv, name);
    fd = (int)syscall(SYS_creat, name, 0600);
    NEED(pwrite(f, "bytes", 5, 0) == 5);
    from_other(sv, was, fd);
#endif
    snprintf(shm, sizeof shm, "/check-sendfile-%d", (int)getpid());
    fd = shm_open(shm, O_RDWR | O_CREAT, 0600);
    NEED(fd >= 0 && write(fd, "bytes", 5) == 5 && close(fd) == 0);
    was = sent_from(sv, name);
    from_other(sv, was, shm_open(shm, O_WRONLY, 0));
    NEED(shm_unlink(shm) == 0);
    was = sent_from(sv, name);
    /* who may, and where files have handles */
    if (name_to_handle_at(AT_FDCWD, name, &handle.h, &mount, 0) == 0 &&
        (fd = open_by_handle_at(AT_FDCWD, &handle.h, O_WRONLY)) >= 0)
        from_other(sv, was, fd);
    was = sent_from(sv, name);
    memcpy(CMSG_DATA(&c.h), &w, sizeof(w));
    NEED(sendmsg(un[0], &m, 0) == 1 && recvmsg(un[1], &m, 0) == 1);
    memcpy(&w, CMSG_DATA(&c.h), sizeof(w));
    from_other(sv, was, w);
    was = sent_from(sv, name);
    NEED(pipe(p) == 0 && p[0] == was && dup2(p[1], was) == was);
    from_other(sv, was, was);
    NEED(unlink(name) == 0);
}
