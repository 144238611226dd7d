/* stdio.c: a FILE on a socket. libc's own reads and writes do not pass through the exported names. */
#include "check.h"

CHECK(reading)
{
    int sv[2];
    FILE *f;
    char line[32] = "";

    tcp_pair(sv);
    NEED(send(sv[0], "first line\nsecond\n", 18, 0) == 18);
    NEED(settle_bytes(sv[1], 18));
    f = fdopen(sv[1], "r");
    V(f != NULL);
    V(fgets(line, sizeof(line), f) != NULL);
    TEXT(line, strlen(line));
    V(fgets(line, sizeof(line), f) != NULL);
    TEXT(line, strlen(line));
    V(fclose(f));
    NEED(settle(sv[0], POLLIN));
    R(recv(sv[0], line, 1, 0));
}

CHECK(writing)
{
    int sv[2];
    FILE *f;
    char line[32] = "";

    tcp_pair(sv);
    f = fdopen(sv[0], "w");
    V(f != NULL);
    V(fprintf(f, "number %d\n", 42));
    V(fflush(f));
    NEED(settle_bytes(sv[1], 10));
    R(recv(sv[1], line, sizeof(line), 0));
    TEXT(line, 10);
    V(dprintf(sv[0], "direct\n"));
    NEED(settle_bytes(sv[1], 7));
    R(recv(sv[1], line, sizeof(line), MSG_DONTWAIT));
    V(fclose(f));
    NEED(settle(sv[1], POLLIN));
    R(recv(sv[1], line, 1, 0));
}
