/* exec.c: sockets that stay open across exec; close-on-exec. The program executes itself as its own helper.
 */
#include "check.h"

/* Runs cat on fd as standard input and output: what arrives is sent back by a fresh image. */
static pid_t cat_on(int fd)
{
    pid_t p = fork_tied();

    if (p == 0) {
        dup2(fd, 0);
        dup2(fd, 1);
        execl("/bin/cat", "cat", (char *)NULL);
        _exit(97);
    }
    return p;
}

CHECK(inherited_connection)
{
    int sv[2];
    char b[8];
    pid_t p;

    tcp_pair(sv);
    p = cat_on(sv[1]);
    close(sv[1]);
    R(send(sv[0], "echo", 4, 0));
    R(shutdown(sv[0], SHUT_WR));
    R(recv(sv[0], b, 4, MSG_WAITALL));
    TEXT(b, 4);
    R(recv(sv[0], b, 4, 0));
    V(child_status(p));
}

CHECK(close_on_exec)
{
    int sv[2];
    pid_t p;

    tcp_pair(sv);
    NEED(fcntl(sv[1], F_SETFD, FD_CLOEXEC) == 0);
    p = fork_tied();
    if (p == 0) {
        close(sv[0]);
        execl("/bin/sleep", "sleep", "0.2", (char *)NULL);
        _exit(97);
    }
    close(sv[1]);
    NEED(poll_for(sv[0], POLLIN, 150) != 0); /* the image that runs does not hold it */
    R(recv(sv[0], (char[1]){0}, 1, 0));
    V(child_status(p));
}
