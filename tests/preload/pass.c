/* pass.c: IP sockets handed over a Unix socket by SCM_RIGHTS. */
#include "check.h"

static int pass(int through, int fd)
{
    union {
        struct cmsghdr h;
        char room[CMSG_SPACE(sizeof(int))];
    } c = {0};
    struct iovec v = {"f", 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};

    c.h.cmsg_level = SOL_SOCKET;
    c.h.cmsg_type = SCM_RIGHTS;
    c.h.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&c.h), &fd, sizeof(fd));
    return (int)sendmsg(through, &m, 0);
}

static int take(int through)
{
    union {
        struct cmsghdr h;
        char room[CMSG_SPACE(sizeof(int))];
    } c = {0};
    char b;
    int fd = -1;
    struct iovec v = {&b, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};

    if (recvmsg(through, &m, 0) == 1 && CMSG_FIRSTHDR(&m))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
    return fd;
}

CHECK(to_oneself)
{
    int un[2], sv[2], got;

    tcp_pair(sv);
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, un) == 0);
    R(pass(un[0], sv[0]));
    got = FD(take(un[1]));
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
        int got = take(un[1]);

        _exit(send(got, "via", 3, MSG_NOSIGNAL) == 3 ? 0 : 1);
    }
    tcp_pair(sv);
    R(pass(un[0], sv[0]));
    R(close(sv[0])); /* only the message holds it now */
    R(recv(sv[1], (char[8]){0}, 8, 0));
    V(child_status(p));
    R(recv(sv[1], (char[8]){0}, 8, 0));
}
