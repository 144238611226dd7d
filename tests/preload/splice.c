/* splice.c: splice between a socket and a pipe. */
#include "check.h"

CHECK(both_ways)
{
    int sv[2], p[2];
    char b[8];

    tcp_pair(sv);
    NEED(pipe(p) == 0);
    NEED(write(p[1], "pipe", 4) == 4);
    R(splice(p[0], NULL, sv[0], NULL, 4, 0));
    NEED(settle_bytes(sv[1], 4));
    R(splice(sv[1], NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK));
    R(read(p[0], b, 8));
    TEXT(b, 4);
    NEED(fcntl(sv[1], F_SETFL, O_NONBLOCK) == 0);
    R(splice(sv[1], NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK));
    shutdown(sv[0], SHUT_WR);
    NEED(settle(sv[1], POLLIN));
    R(splice(sv[1], NULL, p[1], NULL, 100, 0));
}
