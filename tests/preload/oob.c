/* oob.c: urgent data (RFC 6093): MSG_OOB, SO_OOBINLINE, the mark, POLLPRI. */
#include "check.h"

CHECK(out_of_band)
{
    int sv[2], mark = -1;
    char b[8];

    tcp_pair(sv);
    R(send(sv[0], "ab", 2, 0));
    R(send(sv[0], "!", 1, MSG_OOB));
    R(send(sv[0], "cd", 2, 0));
    EV(poll_for(sv[1], POLLPRI, SETTLE_MS));
    NEED(settle_bytes(sv[1], 2));
    R(recv(sv[1], b, 1, MSG_OOB));
    TEXT(b, 1);
    R(recv(sv[1], b, 1, MSG_OOB));
    R(recv(sv[1], b, 8, 0));
    R(ioctl(sv[1], SIOCATMARK, &mark));
    V(mark);
    R(recv(sv[1], b, 8, 0));
    TEXT(b, 2);
}

CHECK(in_line)
{
    int sv[2], on = 1;
    char b[8];

    tcp_pair(sv);
    R(setsockopt(sv[1], SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)));
    R(send(sv[0], "ab", 2, 0));
    R(send(sv[0], "!", 1, MSG_OOB));
    NEED(settle_bytes(sv[1], 2));
    EV(poll_for(sv[1], POLLPRI | POLLIN, SETTLE_MS));
    R(recv(sv[1], b, 8, 0));
    R(recv(sv[1], b, 8, 0));
    TEXT(b, 1);
    R(recv(sv[1], b, 8, MSG_OOB));
}
