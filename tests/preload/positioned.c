/* positioned.c: pread, pwrite and their vector forms on a socket. */
#include "check.h"

/* preadv2 and pwritev2 with offset -1 are readv and writev with flags; every other offset is a seek. */
CHECK(positioned)
{
    int sv[2];
    char b[4];
    struct iovec o = {"1234", 4}, i = {b, 4};

    tcp_pair(sv);
    R(pread(sv[0], b, 1, 0));
    R(pwrite(sv[0], b, 1, 0));
    R(preadv(sv[0], &i, 1, 0));
    R(pwritev2(sv[0], &o, 1, -1, 0));
    NEED(settle_bytes(sv[1], 4));
    R(preadv2(sv[1], &i, 1, -1, 0));
    R(preadv2(sv[1], &i, 1, -1, RWF_NOWAIT));
    R(preadv2(sv[1], &i, 1, 0, 0));
}
