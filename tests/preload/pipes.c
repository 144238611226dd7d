/* pipes.c: splice, tee, vmsplice, sendfile and copy_file_range between sockets, pipes and files. */
#include "check.h"

#include <sys/mman.h>
#include <sys/sendfile.h>

static int file_of(const char *text)
{
    int f = memfd_create("text", 0);

    NEED(f >= 0 && write(f, text, strlen(text)) == (ssize_t)strlen(text) && lseek(f, 0, SEEK_SET) == 0);
    return f;
}

CHECK(tee_and_vmsplice)
{
    int sv[2], p[2];
    struct iovec v = {"text", 4};

    tcp_pair(sv);
    NEED(pipe(p) == 0);
    R(tee(sv[0], p[1], 4, 0));
    R(tee(p[0], sv[0], 4, 0));
    R(tee(sv[0], sv[1], 4, 0));
    R(tee(sv[0], p[1], 0, 0));
    R(tee(p[0], sv[0], 4, 0x100));
    R(vmsplice(sv[0], &v, 1, 0));
    R(vmsplice(sv[0], &v, 0, 0));
    R(vmsplice(sv[0], &v, 1, 0x100));
    R(vmsplice(p[1], &v, 1, 0));
    R(splice(p[0], NULL, sv[0], NULL, 4, 0));
    R(recv(sv[1], (char[8]){0}, 8, 0));
}

CHECK(copy_file_range_refuses)
{
    int sv[2], f = file_of("file"), p[2];
    off_t off = 0;

    tcp_pair(sv);
    NEED(pipe(p) == 0);
    R(copy_file_range(f, NULL, sv[0], NULL, 4, 0));
    R(copy_file_range(sv[0], NULL, f, NULL, 4, 0));
    R(copy_file_range(sv[0], NULL, sv[1], NULL, 4, 0));
    R(copy_file_range(f, &off, sv[0], NULL, 4, 0));
    R(copy_file_range(f, NULL, sv[0], &off, 4, 0));
    R(copy_file_range(f, NULL, sv[0], NULL, 4, 1));
    R(copy_file_range(f, NULL, sv[0], NULL, 0, 0));
    R(copy_file_range(sv[0], NULL, p[1], NULL, 4, 0));
}

CHECK(sendfile_from_a_socket)
{
    int sv[2], f = file_of("file"), p[2], n = open("/dev/null", O_WRONLY);
    off_t off = 0;

    tcp_pair(sv);
    NEED(pipe(p) == 0);
    NEED(send(sv[1], "data", 4, 0) == 4 && settle_bytes(sv[0], 4));
    R(sendfile(f, sv[0], NULL, 4));
    R(sendfile(p[1], sv[0], NULL, 4));
    R(sendfile(n, sv[0], NULL, 4));
    R(sendfile(sv[1], sv[0], NULL, 4));
    R(sendfile(sv[0], sv[0], NULL, 4));
    R(sendfile(f, sv[0], &off, 4));
    R(sendfile(sv[0], p[0], NULL, 4));
    R(sendfile(sv[0], f, NULL, 0));
    R(sendfile(200, sv[0], NULL, 4));
    R(sendfile(sv[0], 200, NULL, 4));
    R(sendfile(sv[0], n, NULL, 4));
    off = -1;
    R(sendfile(sv[0], f, &off, 4));
    R(sendfile(sv[0], f, (off_t *)8, 4));
}

CHECK(splice_arguments)
{
    int sv[2], tv[2], f = file_of("file"), p[2], q[2];
    off_t off = 0;

    tcp_pair(sv);
    tcp_pair(tv);
    NEED(pipe(p) == 0 && pipe(q) == 0 && write(p[1], "abcdef", 6) == 6);
    R(splice(sv[0], NULL, tv[0], NULL, 4, 0)); /* neither is a pipe */
    R(splice(sv[0], NULL, f, NULL, 4, 0));
    R(splice(f, NULL, sv[0], NULL, 4, 0));
    R(splice(sv[0], &off, p[1], NULL, 4, 0));
    R(splice(p[0], NULL, sv[0], &off, 4, 0));
    R(splice(p[0], &off, sv[0], NULL, 4, 0));
    R(splice(sv[0], NULL, p[1], NULL, 0, 0));
    R(splice(p[0], NULL, sv[0], NULL, 0, 0));
    R(splice(p[0], NULL, sv[0], NULL, 4, 0x100));
    R(splice(sv[0], NULL, p[1], NULL, 4, 0x100));
    R(splice(200, NULL, p[1], NULL, 4, 0));
    R(splice(p[0], NULL, 200, NULL, 4, 0));
    R(splice(sv[0], NULL, 200, NULL, 4, 0));
    R(splice(p[1], NULL, sv[0], NULL, 4, 0)); /* the wrong end */
    R(splice(sv[0], NULL, p[0], NULL, 4, SPLICE_F_NONBLOCK));
    R(splice(p[0], NULL, sv[0], NULL, 4, SPLICE_F_MOVE | SPLICE_F_MORE));
    R(splice(p[0], NULL, sv[0], NULL, 100, 0));
    NEED(settle_bytes(sv[1], 6));
    R(recv(sv[1], (char[8]){0}, 8, 0));
    R(splice(p[0], NULL, sv[0], NULL, 4, SPLICE_F_NONBLOCK)); /* an empty pipe */
    close(p[1]);
    R(splice(p[0], NULL, sv[0], NULL, 4, 0)); /* and its end */
}

CHECK(splice_from_a_socket)
{
    int sv[2], p[2];
    char b[16];

    tcp_pair(sv);
    NEED(pipe(p) == 0);
    NEED(fcntl(sv[1], F_SETFL, O_NONBLOCK) == 0);
    R(splice(sv[1], NULL, p[1], NULL, 10, 0));
    NEED(fcntl(sv[1], F_SETFL, 0) == 0);
    set_timeo(sv[1], SO_RCVTIMEO, 50);
    R(splice(sv[1], NULL, p[1], NULL, 10, SPLICE_F_NONBLOCK)); /* that is about the pipe: it waits */
    set_timeo(sv[1], SO_RCVTIMEO, 0);
    NEED(send(sv[0], "abcdefgh", 8, 0) == 8 && settle_bytes(sv[1], 8));
    R(splice(sv[1], NULL, p[1], NULL, 3, 0));
    R(splice(sv[1], NULL, p[1], NULL, 100, 0));
    R(read(p[0], b, sizeof(b)));
    TEXT(b, 8);
    NEED(shutdown(sv[0], SHUT_WR) == 0);
    R(splice(sv[1], NULL, p[1], NULL, 10, 0));
    close(p[0]);
    R(splice(sv[1], NULL, p[1], NULL, 10, 0));
    NEED(send(sv[1], "x", 1, 0) == 1 && settle_bytes(sv[0], 1));
    R(splice(sv[0], NULL, p[1], NULL, 10, 0)); /* nobody reads the pipe */
    R(recv(sv[0], b, 1, MSG_DONTWAIT));
}

CHECK(splice_to_a_closed_socket)
{
    int sv[2], p[2], s = tcp4(), l;
    struct sockaddr_in a;

    tcp_pair(sv);
    NEED(pipe(p) == 0 && write(p[1], "abcdefgh", 8) == 8);
    R(splice(p[0], NULL, s, NULL, 4, 0)); /* not connected */
    R(splice(s, NULL, p[1], NULL, 4, SPLICE_F_NONBLOCK));
    l = listen4(&a);
    R(splice(l, NULL, p[1], NULL, 4, SPLICE_F_NONBLOCK));
    NEED(shutdown(sv[0], SHUT_WR) == 0);
    on_signal(SIGPIPE, 0);
    R(splice(p[0], NULL, sv[0], NULL, 4, 0));
    V(check_signals > 0);
}

CHECK(splice_a_full_pipe)
{
    static char block[65536];
    int sv[2], p[2], total = 0;
    long n;

    tcp_pair(sv);
    NEED(pipe2(p, O_NONBLOCK) == 0);
    while ((n = write(p[1], block, sizeof(block))) > 0)
        total += (int)n;
    V(total);
    NEED(send(sv[0], "abc", 3, 0) == 3 && settle_bytes(sv[1], 3));
    R(splice(sv[1], NULL, p[1], NULL, 3, 0));
    R(splice(sv[1], NULL, p[1], NULL, 3, SPLICE_F_NONBLOCK));
    R(recv(sv[1], block, 3, 0));
}

CHECK(splice_of_datagrams)
{
    int sv[2], p[2];
    char b[16];

    udp_pair(sv);
    NEED(pipe(p) == 0 && write(p[1], "abcdefgh", 8) == 8);
    R(splice(p[0], NULL, sv[0], NULL, 8, 0));
    NEED(settle(sv[1], POLLIN));
    R(recv(sv[1], b, sizeof(b), 0));
    NEED(send(sv[0], "datagram", 8, 0) == 8 && settle(sv[1], POLLIN));
    R(splice(sv[1], NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK));
}

CHECK(proxied)
{
    static char out[300000], in[sizeof(out)];
    int a[2], b[2], p[2];
    size_t sent = 0, got = 0;
    pid_t child;

    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = (char)(i * 7 + i / 251);
    tcp_pair(a);
    tcp_pair(b);
    NEED(pipe(p) == 0);
    child = fork_tied();
    if (child == 0) { /* from a[1] to b[0] */
        ssize_t n;

        while ((n = splice(a[1], NULL, p[1], NULL, 65536, SPLICE_F_MOVE)) > 0)
            while (n > 0) {
                ssize_t m = splice(p[0], NULL, b[0], NULL, (size_t)n, SPLICE_F_MOVE | SPLICE_F_MORE);

                if (m <= 0)
                    _exit(1);
                n -= m;
            }
        _exit(n == 0 ? 0 : 2);
    }
    close(b[0]);
    while (got < sizeof(in)) {
        if (sent < sizeof(out)) {
            ssize_t n = send(a[0], out + sent, sizeof(out) - sent, MSG_DONTWAIT);

            sent += n > 0 ? (size_t)n : 0;
            if (sent == sizeof(out))
                shutdown(a[0], SHUT_WR);
        }
        ssize_t n = recv(b[1], in + got, sizeof(in) - got, sent < sizeof(out) ? MSG_DONTWAIT : 0);

        if (n == 0)
            break;
        got += n > 0 ? (size_t)n : 0;
    }
    V(got == sizeof(in) && memcmp(in, out, sizeof(in)) == 0);
    V(child_status(child));
}
