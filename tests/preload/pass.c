/* pass.c: IP sockets handed over a Unix socket by SCM_RIGHTS. */
#include "check.h"

CHECK(to_oneself)
{
    int un[2], sv[2], got;

    tcp_pair(sv);
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, un) == 0);
    R(pass_fd(un[0], sv[0]));
    got = FD(take_fd(un[1]));
    close(sv[0]);
    R(send(got, "via", 3, MSG_NOSIGNAL));
    R(recv(sv[1], (char[8]){0}, 8, 0));
}

CHECK(to_a_child_after_close)
{
    int un[2], sv[2];
    pid_t p;

    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, un) == 0);
    p = fork_tied();
    if (p == 0) {
        int got = take_fd(un[1]);

        _exit(send(got, "via", 3, MSG_NOSIGNAL) == 3 ? 0 : 1);
    }
    tcp_pair(sv);
    R(pass_fd(un[0], sv[0]));
    R(close(sv[0])); /* only the message holds it now */
    R(recv(sv[1], (char[8]){0}, 8, 0));
    V(child_status(p));
    R(recv(sv[1], (char[8]){0}, 8, 0));
}
